"""RFC 9293, sections 3.8.5, 3.9.1 and 3.9.2: urgent data, errors, the DS field, options and errors of IP."""

import errno
import struct

import pytest

from pystack.testing.peer import HOST, PEER, S, build, with_tos
from pystack.testing.segments import ACK, M32, RST, URG
from pystack_c.tcp import sockopt, user
from tests.rfc import quoting

SOL_SOCKET, SO_ERROR, SO_OOBINLINE, SOL_IP, IP_TOS, IP_TTL = 1, 4, 10, 0, 1, 2
IP_PKTOPTIONS, IP_RECVERR, IP_RECVTOS = 9, 11, 13
MSG_OOB = 1
EV_PRI = 2


def test_must_30_urgent_data_is_sent_and_received(make):
    conn = make().established()
    (seg,) = conn.send(b"hurry", MSG_OOB)
    assert seg.has(URG)
    conn.rx(ACK | URG, b"abc!", urg=4, ack=5)
    assert conn.recv(10, MSG_OOB) == b"!" and conn.recv() == b"abc"
    conn.has(5)
    conn.rx()
    assert not conn.send(b"normal")[0].has(URG)


def test_must_31_of_any_length(make):
    conn = make(tcp_init_cwnd=60).established()
    out = conn.send(bytes(60_000), MSG_OOB)
    assert len(out) > 40 and all(seg.has(URG) for seg in out)
    receiver = make().established()
    for _ in range(20):
        receiver.rx(ACK | URG, bytes(1460), urg=60_000)
    assert len(receiver.recv(1 << 20) or b"") == 29_200


def test_must_62_the_pointer_names_the_byte_after(make):
    conn = make(tcp_init_cwnd=10).established()
    out = conn.send(bytes(4000), MSG_OOB)
    assert len(out) == 3 and {(seg.seq + seg.urg) & M32 for seg in out} == {(conn.ack + 4000) & M32}
    receiver = make().established()
    receiver.rx(ACK | URG, b"abcdef", urg=4)  # the last urgent byte is the fourth
    assert receiver.recv(1, MSG_OOB) == b"d"


def test_must_32_the_application_is_told_when_it_appears_and_moves(make):
    conn = make().established()
    conn.rx(ACK, b"abc")
    assert not conn.tcb.take_pending() & EV_PRI
    for urg in (3, 5):
        conn.rx(ACK | URG, b"abc", urg=urg)
        assert conn.tcb.take_pending() & EV_PRI


def test_must_33_and_can_ask_whether_there_is_more(make):
    conn = make().established()
    conn.peer.call(sockopt.setsockopt, conn.tcb, SOL_SOCKET, SO_OOBINLINE, 1)
    conn.rx(ACK | URG, b"abcdef", urg=4)
    assert not conn.peer.call(user.at_mark, conn.tcb)
    assert conn.recv() == b"abc"  # a read stops at the mark
    assert conn.peer.call(user.at_mark, conn.tcb)
    assert conn.recv() == b"def"
    assert not conn.peer.call(user.at_mark, conn.tcb)


@pytest.mark.parametrize(("told", "expect"), [(True, errno.EHOSTUNREACH), (False, errno.ETIMEDOUT)])
def test_must_47_soft_errors_are_reported(make, told, expect):
    conn = make(tcp_retries2=2).established()
    conn.send(b"x")
    if told:
        quoting.error(conn, 3, 1)
    conn.peer.advance(100 * S)
    assert conn.peer.call(sockopt.getsockopt, conn.tcb, SOL_SOCKET, SO_ERROR) == expect


@pytest.mark.parametrize("on", [False, True])
def test_shld_20_reports_of_soft_errors_can_be_switched(make, on):
    conn = make().established()
    conn.set(SOL_IP, IP_RECVERR, int(not on))
    conn.set(SOL_IP, IP_RECVERR, int(on))
    conn.send(b"x")
    conn.tcb.take_pending()
    quoting.error(conn, 3, 1)
    assert bool(conn.tcb.take_pending()) is on and bool(conn.tcb.readiness() & 8) is on  # EV_ERR
    if on:
        with pytest.raises(OSError) as caught:
            conn.recv()
        assert caught.value.errno == errno.EHOSTUNREACH
    assert conn.recv() is None and conn.state == "ESTABLISHED"  # told once, and nothing ends
    conn.rx(data=b"fine")
    assert conn.recv() == b"fine"


def test_shld_20_and_are_off_by_default(make):
    conn = make().established()
    assert conn.peer.call(sockopt.getsockopt, conn.tcb, SOL_IP, IP_RECVERR) == 0
    conn.send(b"x")
    quoting.error(conn, 3, 1)
    assert conn.recv() is None and conn.tcb.so_error == 0


@pytest.mark.parametrize(("kind", "code", "error"), [(3, 0, errno.ENETUNREACH), (3, 1, errno.EHOSTUNREACH), (11, 0, errno.EHOSTUNREACH), (12, 0, errno.EPROTO)])  # fmt: skip
def test_shld_25_icmp_errors_are_visible(make, kind, code, error):
    conn = make(tcp_retries2=2).established()
    conn.send(b"x")
    quoting.error(conn, kind, code)
    assert conn.tcb.soft_error == error
    conn.peer.advance(100 * S)
    with pytest.raises(OSError) as caught:
        conn.recv()
    assert caught.value.errno == error


def next_segment(conn):
    (seg,) = conn.send(b"a")
    conn.has(1)
    conn.rx()
    return seg


def test_must_48_the_ds_field_can_be_set(make):
    peer = make()
    listener = peer.listener()
    peer.call(sockopt.setsockopt, listener, SOL_IP, IP_TOS, 0xB8)
    conn = peer.established()
    assert conn.syn_ack.tos & 0xFC == next_segment(conn).tos & 0xFC == 0xB8
    assert next_segment(make().established()).tos == 0


def test_shld_21_in_mid_connection(make):
    conn = make().established()
    seen = []
    for tos in (0, 0xB8, 0x28):
        conn.set(SOL_IP, IP_TOS, tos)
        seen.append(next_segment(conn).tos)
    assert seen == [0, 0xB8, 0x28]


def test_shld_22_and_goes_to_ip_unchanged(make):
    conn = make().established()
    for dscp in range(64):
        conn.set(SOL_IP, IP_TOS, dscp << 2)
        assert next_segment(conn).tos == dscp << 2


def last_ds_field(conn):
    """What IP_PKTOPTIONS tells (ip(7)): a control message with the DS field, or nothing."""
    told = conn.peer.call(sockopt.getsockopt, conn.tcb, SOL_IP, IP_PKTOPTIONS)
    return told and struct.unpack("=QiiB7x", told)


def test_may_9_the_last_received_ds_field_is_told(make):
    conn = make().established()
    for tos in (0, 0xB8, 0x28):
        packet = build(PEER, HOST, conn.sport, conn.dport, conn.seq, conn.ack, ACK, data=b"x")
        conn.seq = (conn.seq + 1) & M32
        conn.peer.packet(with_tos(packet, tos))
        conn.set(SOL_IP, IP_RECVTOS, 1)
        assert last_ds_field(conn) == (17, SOL_IP, IP_TOS, tos)
        conn.set(SOL_IP, IP_RECVTOS, 0)
        assert last_ds_field(conn) == b""


def test_must_49_the_ttl_can_be_set(make):
    conn = make().established()
    assert next_segment(conn).ttl == 64
    conn.set(SOL_IP, IP_TTL, 3)
    assert next_segment(conn).ttl == 3
    assert next_segment(make(ip_default_ttl=99).established()).ttl == 99


def with_options(conn, options, data=b"hi"):
    """A segment in a packet with IP options arrives."""
    packet = build(PEER, HOST, conn.sport, conn.dport, conn.seq, conn.ack, ACK, data=data)
    conn.seq = (conn.seq + len(data)) & M32
    return conn.peer.packet(quoting.ip(packet[20:], 6, options=options))


@pytest.mark.parametrize("options", [b"\x9e\x04\0\0", b"\x01\x01\x01\x00", b"\x88\x04\0\1", b"\x94\x04\0\0"])
def test_must_50_ip_options_do_not_disturb(make, options):
    conn = make().established()
    with_options(conn, options)
    assert conn.recv() == b"hi"


def test_must_54_icmp_errors_reach_the_connection_they_concern(make):
    peer = make()
    one, two = peer.established(), peer.established()
    for conn in (one, two):
        conn.send(b"x")
    quoting.error(one, 3, 1)
    assert (one.tcb.soft_error, two.tcb.soft_error) == (errno.EHOSTUNREACH, 0)
    quoting.error(two, 3, 0, seq=1 << 20)  # nothing of that is in flight (RFC 5927)
    assert two.tcb.soft_error == 0 and peer.dropped("icmp-out-of-window") == 1


def test_must_55_source_quench_is_ignored(make):
    conn = make().established()
    conn.send(bytes(20_000))
    before = conn.tcb.snapshot()
    assert quoting.error(conn, 4, 0) == [] and conn.peer.other == []
    assert conn.tcb.snapshot() == before and conn.tcb.soft_error == 0


@pytest.mark.parametrize(("kind", "code"), [(3, 0), (3, 1), (3, 5), (11, 0), (11, 1), (12, 0)])
def test_must_56_soft_icmp_errors_end_nothing(make, kind, code):
    conn = make().established()
    conn.send(b"x")
    quoting.error(conn, kind, code)
    assert conn.state == "ESTABLISHED"
    conn.has(1)
    conn.rx()
    conn.rx(data=b"fine")
    assert conn.recv() == b"fine" and conn.send(b"y")[0].payload == b"y"
    peer = make()
    tcb, syn = peer.connecting()
    body = quoting.with_sum(struct.pack(">BBHHHBBHII", 0x45, 0, 60, 1, 0x4000, 60, 6, 0, HOST, PEER), 10)
    body += struct.pack(">HHI", syn.sport, syn.dport, syn.seq)
    peer.packet(quoting.icmp(kind, code, 0, body))
    assert tcb.state == 2


@pytest.mark.parametrize("code", [2, 3])
def test_shld_26_hard_icmp_errors_end_an_opening(make, code):
    peer = make()
    tcb, syn = peer.connecting()
    body = quoting.with_sum(struct.pack(">BBHHHBBHII", 0x45, 0, 60, 1, 0x4000, 60, 6, 0, HOST, PEER), 10)
    body += struct.pack(">HHI", syn.sport, syn.dport, syn.seq)
    peer.packet(quoting.icmp(3, code, 0, body))
    assert tcb.state == 7 and tcb.so_error in (errno.ECONNREFUSED, errno.ENOPROTOOPT)
    conn = make().established()  # an open connection lives on (RFC 5927 section 5.2)
    conn.send(b"x")
    quoting.error(conn, 3, code)
    assert conn.state == "ESTABLISHED"


def test_may_14_there_is_no_flush_call(make):
    assert not hasattr(user, "flush")
    conn = make().established()
    conn.send(bytes(30_000))
    conn.peer.call(user.abort, conn.tcb)  # what comes nearest: everything unsent is gone
    assert conn.peer.take()[-1].has(RST)
