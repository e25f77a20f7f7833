"""RFC 9293, sections 3.1 to 3.4: the header, its options, sequence numbers."""

import struct

import pytest

from pystack.testing.peer import HOST, PEER, Peer, S, build, mss_option, ts_option
from pystack.testing.segments import ACK, M32, RST, SYN, URG, ones
from pystack_c.base.siphash import SipHash
from pystack_c.tcp import user

UNKNOWN = bytes((253, 6, 1, 2, 3, 4))


def raw_segments(peer):
    """Packets as they leave, undecoded."""
    out = []
    while (tx := peer.stack.poll_transmit(peer.now)) is not None:
        out.append(bytes(tx.to_bytes()))
    return out


def test_must_1_windows_are_unsigned(make):
    conn = make(tcp_init_cwnd=100).established(window=0xFFFF)
    assert sum(len(seg) for seg in conn.send(bytes(100_000))) == 0xFFFF // 1460 * 1460
    conn = make(tcp_init_cwnd=100).established(window=1000)
    conn.send(bytes(100_000))
    conn.has(1000)
    assert sum(len(seg) for seg in conn.rx(window=0x8000 + 4)) == 0x8004 // 1460 * 1460


def test_must_2_the_checksum_is_right_on_everything_sent(make):
    peer = make()
    conn = peer.established()
    user.send(conn.tcb, b"an odd number of bytes.", 0, peer.now)
    peer.stack.receive(peer.iface, build(PEER, HOST, 9, 4242, 1, 0, SYN), peer.now)  # answered with a RST
    packets = raw_segments(peer)
    assert len(packets) >= 2
    for packet in packets:
        tcp = packet[20:]
        assert ones(packet[12:20] + struct.pack(">HH", 6, len(tcp)) + tcp) == 0xFFFF


@pytest.mark.parametrize("bit", [0, 5, 20 * 8 + 3, 21 * 8, 13 * 8 + 1])
def test_must_3_a_segment_with_a_wrong_checksum_is_dropped(make, bit):
    conn = make().established()
    packet = bytearray(build(PEER, HOST, conn.sport, conn.dport, conn.seq, conn.ack, ACK, data=b"hello"))
    packet[20 + bit // 8] ^= 1 << bit % 8
    assert conn.peer.packet(bytes(packet)) == [] and conn.recv() is None
    assert conn.peer.counters.TcpInCsumErrors == 1
    conn.rx(data=b"hello")  # the control
    assert conn.recv() == b"hello"


@pytest.mark.parametrize(
    ("options", "mss"),
    [
        (mss_option(700), 700),
        (b"\x01" + mss_option(700) + b"\x01\x01", 700),
        (mss_option(700) + b"\x00" + mss_option(900), 700),
        (b"\x00" + mss_option(700), 536),
    ],
    ids=["mss", "nop", "end", "end-first"],
)
def test_must_4_end_nop_and_mss_are_understood(make, options, mss):
    conn = make().established(options=options)
    assert conn.tcb.peer_mss == mss
    assert [len(seg) for seg in conn.send(bytes(2 * mss))] == [mss, mss]


def test_must_5_options_count_on_any_segment(make):
    conn = make(tcp_timestamps=True).established(options=mss_option(1460) + ts_option(50))
    assert conn.syn_ack.ts[1] == 50
    conn.rx(data=b"x", options=ts_option(77, 1))
    assert conn.recv() == b"x" and conn.tcb.ts_recent == 77
    (ack,) = conn.peer.advance(S)
    assert ack.ts[1] == 77


def test_must_6_unknown_options_are_passed_over(make):
    conn = make(tcp_timestamps=True).established(options=UNKNOWN + mss_option(700) + UNKNOWN + ts_option(5))
    assert conn.tcb.peer_mss == 700 and conn.tcb.ts_recent == 5
    conn.rx(data=b"x", options=UNKNOWN + ts_option(60))
    assert conn.recv() == b"x" and conn.tcb.ts_recent == 60


@pytest.mark.parametrize(
    "options",
    [b"\x02\x00\x00\x00", b"\x02\x01\x00\x00", b"\x05\xff\x00\x00", b"\xfe", b"\x02\x04\x05", b"\x01\x01\x01\x08", b"\x03\x02", b"\xfd\x00"],
)  # fmt: skip
def test_must_7_impossible_option_lengths_do_no_harm(make, options):
    peer = make()
    peer.listener()
    (syn_ack,) = peer.segment(SYN, 1, options=options)
    assert syn_ack.flags == SYN | ACK
    conn = peer.established()
    conn.rx(data=b"fine", options=options)
    assert conn.recv() == b"fine"


def isn(peer, addr=PEER, port=7, lport=1000):
    """The ISN of an active open."""
    tcb = peer.call(user.tcp_open, peer.stack)
    peer.call(user.bind, tcb, 0, lport)
    peer.call(user.connect, tcb, addr, port)
    (syn,) = peer.take()
    peer.call(user.close, tcb)
    return syn.seq


def test_must_8_initial_sequence_numbers_follow_a_clock_of_4_us():
    peer = Peer()
    first = isn(peer)
    peer.advance(40_000)
    assert (isn(peer) - first) & M32 == 10
    peer.advance(S)
    assert (isn(peer) - first) & M32 == 250_010


def test_must_9_the_function_behind_them_has_a_secret():
    one, other = Peer(), Peer()
    assert isn(one) == isn(Peer())  # the same secret: the same number
    other.stack.rng.hasher = SipHash(bytes(16))
    assert abs(isn(one) - isn(other)) > 1000
    assert len({isn(Peer(), port=port) & 0xFFFF0000 for port in range(1, 20)}) > 15


def test_shld_1_each_of_the_four_numbers_has_a_part_in_it():
    peer = Peer()
    peer.stack.add_addr(peer.iface, HOST + 9, 24)
    values = [isn(peer), isn(peer, lport=1001), isn(peer, port=8), isn(peer, PEER + 1)]
    tcb = peer.call(user.tcp_open, peer.stack)
    peer.call(user.bind, tcb, HOST + 9, 1000)
    peer.call(user.connect, tcb, PEER, 7)
    values.append(peer.take()[0].seq)
    near = [abs(a - b) for i, a in enumerate(values) for b in values[:i]]
    assert min(near) > 1000


def test_must_64_options_need_not_be_aligned(make):
    unaligned = b"\x01" + mss_option(700) + b"\x01\x01" + struct.pack(">BBII", 8, 10, 55, 0) + b"\x01"
    conn = make(tcp_timestamps=True).established(options=unaligned)
    assert conn.tcb.peer_mss == 700 and conn.syn_ack.ts[1] == 55


def test_must_65_mss_is_sent_on_a_syn_only(make):
    for active in (False, True):
        conn = make(tcp_timestamps=True).established(active=active, options=mss_option(1460) + ts_option(1))
        conn.ts = (2, 0)
        sent = [*conn.send(bytes(5000)), *conn.rx(data=bytes(3000)), *conn.peer.advance(S), *conn.shutdown()]
        assert len(sent) > 5 and all(seg.mss is None and seg.ts for seg in sent)


def test_must_66_rst_and_urg_count_at_a_closed_window(make):
    peer = make(tcp_rmem=1000, tcp_window_scaling=False)
    conn = peer.established()
    conn.rx(data=bytes(1000))
    (ack,) = conn.rx(data=b"more", seq=0)
    conn.seq = (conn.seq - 4) & M32
    assert ack.window == 0 and ack.ack == conn.seq
    conn.tcb.take_pending()
    conn.rx(ACK | URG, b"text", urg=5)
    conn.seq = (conn.seq - 4) & M32
    assert conn.tcb.take_pending() & 2 and conn.tcb.urgent.seen and conn.tcb.rcv_nxt == conn.seq
    conn.rx(RST, b"text")
    assert conn.state == "CLOSED"


def test_must_68_every_option_but_end_and_nop_has_a_length(make):
    # An option of a kind nobody knows is stepped over by its length alone, so what looks like an MSS inside is none.
    inside = bytes((200, 10)) + mss_option(99) + mss_option(98)
    conn = make().established(options=mss_option(800) + inside)
    assert conn.tcb.peer_mss == 800
    assert len(conn.syn_ack.options[2]) == 2  # and ours have one


def test_must_69_what_follows_the_end_of_the_options_is_zero():
    settings = [{}, {"tcp_timestamps": True}, {"tcp_sack": False}, {"tcp_sack": False, "tcp_window_scaling": False}]
    for more in settings:
        peer = Peer(**more)
        peer.stack.receive(peer.iface, build(PEER, HOST, 9, 4242, 1, 0, SYN), peer.now)
        user.connect(user.tcp_open(peer.stack, peer.now), PEER, 7, peer.now)
        for packet in raw_segments(peer):
            options = packet[40 : 20 + (packet[32] >> 4) * 4]
            at = 0
            while at < len(options) and options[at] != 0:
                at += 1 if options[at] == 1 else max(2, options[at + 1])
            assert at <= len(options) and not any(options[at:])


def test_rec_1_windows_have_more_than_16_bits(make):
    conn = make(tcp_init_cwnd=1000, tcp_wscale=14).established(
        options=mss_option(1460) + b"\x01\x03\x03\x0a", window=1000
    )
    assert conn.tcb.snd_wnd == 1000 << 10
    assert sum(len(seg) for seg in conn.send(bytes(1_100_000))) == (1000 << 10) // 1460 * 1460
