"""Requirements of RFC 9293 by their numbers, as far as the tests by section do not show them already."""

import errno
import struct

import pytest

from pystack_c.tcp import sockopt, user
from tests.support.segments import ACK, FIN, RST, SYN, URG, ones
from tests.support.tcp_peer import HOST, MS, PEER, Peer, S, build, mss_option

M32 = 0xFFFFFFFF
SOL_SOCKET, SO_ERROR, SOL_IP, IP_TOS, IP_TTL = 1, 4, 0, 1, 2
MSG_OOB = 1


def test_windows_are_unsigned(make):
    """MUST-1"""
    conn = make(tcp_init_cwnd=100).established(window=0xFFFF)
    assert sum(len(seg) for seg in conn.send(bytes(100_000))) == 0xFFFF // 1460 * 1460


def test_options_on_any_segment_unknown_ones_and_unaligned_ones(make):
    """MUST-5, MUST-6, MUST-64, MUST-68"""
    unknown = bytes((253, 6, 1, 2, 3, 4))
    peer = make(tcp_timestamps=True)
    unaligned = unknown + b"\x01" + mss_option(700) + b"\x01" + struct.pack(">BBII", 8, 10, 55, 0) + b"\x01"
    conn = peer.established(options=unaligned)
    assert conn.syn_ack.ts[1] == 55
    assert conn.tcb.peer_mss == 700
    conn.rx(data=b"x", options=unknown + b"\x01\x01" + struct.pack(">BBII", 8, 10, 60, 0))
    assert conn.tcb.ts_recent == 60 and conn.recv() == b"x"


def test_a_passive_open_remembers_that_it_was_one(make):
    """MUST-11: a RST in SYN-RECEIVED returns to LISTEN, or refuses the connection."""
    peer = make()
    listener = peer.listener()
    peer.segment(SYN, 1)
    peer.segment(RST, 2)
    assert listener.state == 10 and listener.so_error == 0 and len(peer.segment(SYN, 500)) == 1


@pytest.mark.parametrize("abort", [False, True])
def test_the_application_can_tell_close_from_abort(make, abort):
    """MUST-12"""
    conn = make().established()
    conn.rx(RST) if abort else conn.rx(FIN | ACK)
    if abort:
        with pytest.raises(OSError) as caught:
            conn.recv()
        assert caught.value.errno == errno.ECONNRESET
    else:
        assert conn.recv() == b""


def test_a_syn_is_retried_for_three_minutes_by_the_rfc(make):
    """MUST-22, MUST-23 (profile rfc; Linux stops after 127 s)"""
    peer = make(profile="rfc")
    tcb, _ = peer.connecting()
    start = peer.now
    again = peer.advance(1000 * S)
    assert tcb.so_error == errno.ETIMEDOUT and again[-1].time - start < 180 * S
    peer = make(profile="rfc")
    tcb, _ = peer.connecting()
    peer.advance(180 * S)
    assert tcb.state == 2


def test_r1_asks_ip_for_another_route(make):
    """MUST-20, SHLD-10"""
    conn = make().established()
    conn.send(b"x")
    routes = [conn.tcb.route]
    for _ in range(3):
        conn.peer.now = conn.peer.stack.poll_timeout()
        conn.peer.stack.handle_timeout(conn.peer.now)
        routes.append(conn.tcb.route)
        conn.peer.drain()
    assert routes[:3] == [routes[0]] * 3 and routes[3] is None and conn.tcb.route is not None


def test_r2_is_long_enough(make):
    """SHLD-11: at least 100 s, in every profile"""
    for profile in ("linux", "rfc", "lab"):
        conn = make(profile=profile).established()
        conn.send(b"x")
        conn.peer.advance(100 * S)
        assert conn.state == "ESTABLISHED"


def test_urgent_data_of_any_length(make):
    """MUST-30, MUST-31, MUST-62: the pointer names the byte after the urgent data in each segment before it."""
    conn = make(tcp_init_cwnd=10).established()
    out = conn.send(bytes(4000), MSG_OOB)
    up = (conn.ack + 4000) & M32
    assert len(out) == 3 and all(seg.has(URG) and (seg.seq + seg.urg) & M32 == up for seg in out)
    conn.has(4000)
    conn.rx()
    assert not conn.send(b"normal")[0].has(URG)


def test_urgent_pointer_appears_moves_and_can_be_asked_for(make):
    """MUST-32, MUST-33"""
    conn = make().established()
    conn.rx(ACK | URG, b"abc", urg=3)
    assert conn.tcb.take_pending() & 2
    conn.rx(ACK | URG, b"def", urg=5)
    assert conn.tcb.take_pending() & 2
    conn = make().established()
    conn.peer.call(sockopt.setsockopt, conn.tcb, SOL_SOCKET, 10, 1)  # SO_OOBINLINE
    conn.rx(ACK | URG, b"abcdef", urg=4)
    assert not conn.peer.call(user.at_mark, conn.tcb)
    assert conn.recv() == b"abc"  # a read stops at the mark
    assert conn.peer.call(user.at_mark, conn.tcb)
    assert conn.recv() == b"def"


def test_segments_beyond_a_shrunken_window_do_not_end_the_connection(make):
    """SHLD-17: the peer closes its window over what is out, and answers for ever"""
    conn = make(tcp_retries2=3).established()
    conn.send(bytes(1460))
    conn.rx(window=0)
    for _ in range(300):
        out = conn.peer.advance(S)
        assert conn.state == "ESTABLISHED" and not any(seg.has(RST) for seg in out)
        if out:
            conn.rx(window=0)
    assert conn.tcb.retries > 3
    silent = make(tcp_retries2=3).established()  # the control: it does not answer
    silent.send(bytes(1460))
    silent.rx(window=0)
    silent.peer.advance(1000 * S)
    assert silent.state == "CLOSED"


def test_listening_leaves_connections_alone_and_may_share_their_port(make):
    """MUST-41, MUST-42"""
    peer = make()
    conn = peer.established(active=True)
    port = conn.tcb.lport
    conn.tcb.reuseaddr = True
    listener = peer.call(user.tcp_open, peer.stack)
    listener.reuseaddr = True
    peer.call(user.bind, listener, 0, port)
    peer.call(user.listen, listener, 5)
    (syn_ack,) = peer.segment(SYN, 1, sport=99, dport=port)
    assert syn_ack.has(SYN | ACK)
    conn.rx(data=b"still here")
    assert conn.recv() == b"still here"


def test_the_local_address_is_asked_of_ip_and_kept(make):
    """MUST-43, MUST-44, MUST-45"""
    peer = make()
    peer.stack.add_addr(peer.iface, HOST + 7, 24)
    conn = peer.established(active=True)
    assert conn.tcb.laddr == HOST
    bound = peer.call(user.tcp_open, peer.stack)
    peer.call(user.bind, bound, HOST + 7, 0)
    peer.call(user.connect, bound, PEER, 7)
    assert [seg.src for seg in peer.take()] == [HOST + 7]


def quote(conn, kind, code):
    tcb = conn.tcb
    inner = struct.pack(">BBHHHBBHII", 0x45, 0, 1500, 1, 0x4000, 60, 6, 0, HOST, PEER)
    inner += struct.pack(">HHI", tcb.lport, tcb.rport, conn.ack)
    body = struct.pack(">BBHI", kind, code, 0, 0) + inner
    body = body[:2] + struct.pack(">H", ones(body) ^ 0xFFFF) + body[4:]
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(body), 1, 0, 64, 1, 0, 0x0A000063, HOST)
    conn.peer.packet(head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:] + body)


def test_a_soft_error_tells_why_in_the_end(make):
    """MUST-47, SHLD-9, SHLD-25"""
    for told, expect in ((True, errno.EHOSTUNREACH), (False, errno.ETIMEDOUT)):
        conn = make(tcp_retries2=2).established()
        conn.send(b"x")
        if told:
            quote(conn, 3, 1)
        conn.peer.advance(100 * S)
        assert conn.peer.call(sockopt.getsockopt, conn.tcb, SOL_SOCKET, SO_ERROR) == expect


def test_ds_field_and_ttl(make):
    """MUST-48, MUST-49, SHLD-21, SHLD-22"""
    conn = make().established()
    (seg,) = conn.send(b"a")
    assert (seg.tos, seg.ttl) == (0, 64)
    conn.set(SOL_IP, IP_TOS, 0xB8)
    conn.set(SOL_IP, IP_TTL, 3)
    conn.has(1)
    conn.rx()
    (seg,) = conn.send(b"b")
    assert (seg.tos, seg.ttl) == (0xB8, 3)


def test_ip_options_do_not_disturb(make):
    """MUST-50"""
    conn = make().established()
    packet = build(PEER, HOST, conn.sport, conn.dport, conn.seq, conn.ack, ACK, data=b"hi")
    options = bytes((0x1E | 0x80, 4, 0, 0))
    head = (
        bytes((0x46,))
        + packet[1:2]
        + struct.pack(">H", len(packet) + 4)
        + packet[4:10]
        + b"\0\0"
        + packet[12:20]
        + options
    )
    conn.peer.packet(head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:] + packet[20:])
    assert conn.recv() == b"hi"


@pytest.mark.parametrize("dst", [0x0A0000FF, 0xFFFFFFFF, 0xE0000001])
def test_a_syn_to_a_group_is_ignored(dst):
    """MUST-57"""
    peer = Peer()
    peer.listener()
    assert peer.packet(build(PEER, dst, 9, 80, 1, 0, SYN)) == [] and peer.other == []


@pytest.mark.parametrize("src", [0x0A0000FF, 0xFFFFFFFF, 0xE0000001, 0x7F000001, 0, HOST])
def test_a_syn_from_an_address_that_cannot_be_is_ignored(src):
    """MUST-63"""
    peer = Peer()
    listener = peer.listener()
    assert peer.packet(build(src, HOST, 9, 80, 1, 0, SYN)) == [] and peer.other == []
    assert not listener.listener.syn_queue
    assert len(peer.packet(build(PEER, HOST, 9, 80, 1, 0, SYN))) == 1  # the control


def test_data_is_not_held_for_ever(make):
    """MUST-60: Nagle, cork and the silly window all let go in the end"""
    for flags in (0, 0x8000):  # MSG_MORE
        conn = make().established()
        out = conn.send(b"a", flags) + conn.peer.advance(S)
        assert b"a" in [seg.payload for seg in out]


def test_a_reset_may_carry_data(make):
    """SHLD-2"""
    conn = make().established()
    assert conn.rx(RST | ACK, b"because") == [] and conn.state == "CLOSED"


def test_small_writes_are_merged_into_full_segments(make):
    """SHLD-27, SHLD-28, MAY-16"""
    conn = make().established()
    conn.send(b"first")
    assert conn.send(bytes(1000)) == []
    assert [len(seg) for seg in conn.send(bytes(1000))] == [1460]  # Nagle held it until it was full


def test_delays_are_under_half_a_second():
    """MUST-40, in every profile"""
    from pystack_c.config import PROFILES, profile

    assert all(profile(name).tcp_delack_time < 500 * MS for name in PROFILES)
