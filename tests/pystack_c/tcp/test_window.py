"""Windows: what is announced, what is obeyed (RFC 9293 3.8.6), silly window avoidance, window scale (RFC 7323 2)."""

import pytest

from pystack.testing.peer import MS, S, mss_option, wscale_option
from pystack.testing.segments import ACK, FIN, PSH, RST, SYN
from pystack_c.tcp import user

M32 = 0xFFFFFFFF


# The sender obeys the window.


def test_sender_stays_inside_the_window(make):
    conn = make().established(window=4000)
    assert [len(seg) for seg in conn.send(bytes(10_000))] == [1460, 1460]
    # (1080 bytes more would fit: half of the largest window is 2000, so this waits.)
    conn.has(1460)
    assert [len(seg) for seg in conn.rx()] == [1460]


def test_window_comes_from_the_newest_segment_only(make):
    # SND.WL1, SND.WL2
    conn = make().established(window=4000)
    conn.send(bytes(2000))
    conn.rx(data=b"abc", ack=1460, window=9000)
    assert conn.tcb.snd_wnd == 9000
    conn.rx(data=b"xyz", seq=10, ack=1460, window=9000)
    conn.rx(data=b"abcdef", seq=-3, ack=1460, window=100)  # older by SEG.SEQ: it was overtaken
    conn.seq = (conn.seq + 3) & M32
    assert conn.tcb.snd_wnd == 9000
    conn.rx(seq=10, ack=0, window=200)  # older by SEG.ACK
    assert conn.tcb.snd_wnd == 9000
    conn.rx(seq=10, ack=1460, window=300)  # the control: as new in both
    assert conn.tcb.snd_wnd == 300


def test_shrunken_window(make):
    # SHLD-15, 16, 17: nothing new beyond the edge, but what is out there may be retransmitted, and nothing breaks
    conn = make().established(window=6000)
    assert len(conn.send(bytes(20_000))) == 4
    conn.has(1460)
    assert conn.rx(window=1000) == []
    assert conn.tcb.snd_wnd == 1000 and conn.tcb.snd_nxt == (conn.ack + 3 * 1460) & M32
    again = conn.peer.advance(conn.tcb.rto)
    assert again[0].seq == conn.ack and len(again[0]) == 1460
    conn.has(3 * 1460)
    assert len(conn.rx(window=60_000)) >= 2


def closed(make, **settings):
    """A sender with data, and a peer that has just closed its window."""
    conn = make(**settings).established(window=1460)
    conn.send(bytes(5000))
    conn.has(1460)
    assert conn.rx(window=0) == []
    return conn


def test_zero_window_probes(make):
    # MUST-35 to 37, SHLD-29, SHLD-30: from one RTO on, gaps double, and never an end while the peer answers
    conn = closed(make)
    start, rto = conn.peer.now, conn.tcb.rto
    times = []
    for _ in range(20):
        out = []
        while not out:
            out = conn.peer.advance(10 * MS)
        (probe,) = out
        assert probe.seq == (conn.ack - 1) & M32 and len(probe) == 0
        times.append(probe.time - start)
        conn.rx(window=0)
    gaps = [b - a for a, b in zip([0, *times], times)]
    assert gaps == [min(rto << n, 120 * S) for n in range(20)]
    assert conn.state == "ESTABLISHED"


def test_unanswered_probes_end(make):
    conn = closed(make, tcp_retries2=4)
    out = conn.peer.advance(1000 * S)
    assert len(out) == 5 and out[-1].has(RST) and conn.state == "CLOSED"


def test_window_opens(make):
    conn = closed(make)
    conn.peer.advance(5 * S)
    out = conn.rx(window=3000)
    assert [len(seg) for seg in out] == [1460, 1460]
    assert conn.peer.stack.poll_timeout() == conn.peer.now + conn.tcb.rto  # no backoff of the probes is left


def test_data_with_a_zero_window_still_acknowledges(make):
    # MUST-66: a closed window takes no text, but ACK, RST and URG count
    peer = make(tcp_rmem=1000, tcp_window_scaling=False)
    conn = peer.established()
    conn.send(b"abc")
    conn.rx(data=bytes(1000))
    conn.has(3)
    (ack,) = conn.rx(data=b"more")
    conn.seq = (conn.seq - 4) & M32
    assert ack.window == 0 and ack.ack == conn.seq and conn.tcb.snd_una == conn.ack
    conn.rx(RST)
    assert conn.state == "CLOSED"


# Sender's silly window avoidance, 3.8.6.2.1


def test_sender_waits_for_a_worthwhile_window(make):
    conn = make().established(window=1460)
    conn.send(bytes(1460 * 3))
    conn.has(1460)
    assert conn.rx(window=500) == []  # under half of the largest window ever seen
    assert [len(seg) for seg in conn.rx(window=800)] == [800]  # over it
    conn = make().established(window=1460)
    conn.send(bytes(1460 * 3))
    conn.has(1460)
    conn.rx(window=500)
    (late,) = conn.peer.advance(conn.tcb.rto)  # the override timeout (4)
    assert len(late) == 500


# The receiver's window


def test_the_right_edge_never_moves_left(make):
    # SHLD-14, MUST-34
    peer = make(tcp_rmem=8000, tcp_window_scaling=False)
    conn = peer.established()
    edges = []
    for _ in range(5):
        out = conn.rx(data=bytes(1000)) or peer.advance(50 * MS)
        edges.append((out[-1].ack + out[-1].window) & M32)
    assert len(set(edges)) == 1 and out[-1].window == 3000


def test_window_opens_by_worthwhile_steps_only(make):
    # MUST-39, 3.8.6.2.2
    peer = make(tcp_rmem=8000, tcp_window_scaling=False)
    conn = peer.established()
    for _ in range(5):
        conn.rx(data=bytes(1460))
    conn.rx(data=bytes(700))
    peer.advance(S)
    updates = []
    for _ in range(80):
        assert conn.recv(100) == bytes(100)
        updates += peer.take()
    steps = [b - a for a, b in zip([0, *(seg.window for seg in updates)], (seg.window for seg in updates))]
    assert updates and min(steps) >= 1460 and all(seg.pure_ack for seg in updates)


def test_reading_a_little_of_a_wide_window_says_nothing(make):
    conn = make().established()
    conn.rx(data=bytes(3000))
    conn.peer.advance(S)
    conn.recv()
    assert conn.peer.take() == []


@pytest.mark.parametrize(("size", "scale"), [(65_535, 0), (65_536, 1), (1 << 20, 5), (4 << 20, 7), (1 << 30, 14)])
def test_scale_is_the_smallest_that_shows_the_buffer(make, size, scale):
    # RFC 7323 2.3
    peer = make(tcp_rmem=size)
    _, syn = peer.connecting()
    assert syn.wscale == scale and syn.window == min(size, 65_535)  # unscaled in a SYN (2.2)


def test_scale_needs_both_sides(make):
    peer = make(tcp_rmem=1 << 20)
    with_it = peer.established(options=mss_option(1460) + wscale_option(3), window=1000)
    assert with_it.syn_ack.wscale == 5 and with_it.tcb.snd_wscale == 3
    assert with_it.tcb.snd_wnd == 8000  # the third segment's window is scaled
    with_it.rx(data=bytes(1460))
    (ack,) = with_it.rx(data=bytes(1460))
    assert ack.window == (1 << 20) - 1460 * 2 + 31 >> 5
    without = peer.established(options=mss_option(1460))
    assert without.syn_ack.wscale is None and without.tcb.snd_wscale == without.tcb.rcv_wscale == 0
    off = make(tcp_window_scaling=False).established(options=wscale_option(3))
    assert off.syn_ack.wscale is None and off.tcb.snd_wscale == 0


def test_scale_over_14_counts_as_14(make):
    # RFC 7323 2.3
    conn = make().established(options=wscale_option(200), window=2)
    assert conn.tcb.snd_wscale == 14 and conn.tcb.snd_wnd == 2 << 14


def test_scale_only_in_a_syn(make):
    conn = make().established(options=mss_option(1460) + wscale_option(2))
    conn.rx(options=wscale_option(9), window=1000)
    assert conn.tcb.snd_wnd == 4000


# MSS, RFC 9293 3.7.1


def test_mss_is_announced_in_syn_and_syn_ack(make):
    # MUST-14, SHLD-5
    peer = make(mtu=1400)
    _, syn = peer.connecting()
    peer.listener()
    (syn_ack,) = peer.segment(SYN, 1)
    assert syn.mss == syn_ack.mss == 1360


@pytest.mark.parametrize(
    ("options", "mtu", "sizes"),
    [
        (b"", 1500, 536),  # MUST-15
        (mss_option(1000), 1500, 1000),  # MUST-16
        (mss_option(9000), 1500, 1460),
        (mss_option(1460), 600, 560),
        (mss_option(0), 1500, 536),
        (mss_option(1), 1500, 48),
    ],
)
def test_effective_send_mss(make, options, mtu, sizes):
    conn = make(mtu=mtu).established(options=options)
    assert [len(seg) for seg in conn.send(bytes(sizes * 3))] == [sizes] * 3


def test_mss_leaves_room_for_options(make):
    # MUST-16: Eff.snd.MSS takes the options of each segment off
    conn = make(tcp_timestamps=True).established(active=True, options=mss_option(1460) + b"\x01\x01\x08\x0a" + bytes(8))
    conn.ts = (1, 0)
    out = conn.send(bytes(3000))
    assert [len(seg) for seg in out[:2]] == [1448, 1448] and out[0].ts


def test_mss_of_an_active_open(make):
    conn = make().established(active=True, options=mss_option(700))
    assert [len(seg) for seg in conn.send(bytes(1400))] == [700, 700]


def test_maxseg_of_the_application(make):
    peer = make()
    tcb, syn = peer.connecting(user_mss=500)
    assert syn.mss == 500
    peer.segment(SYN | ACK, 1, syn.end, syn.dport, syn.sport, options=mss_option(1460))
    peer.call(user.send, tcb, bytes(1000), 0)
    assert [len(seg) for seg in peer.take()] == [500, 500]


TCP_NODELAY, TCP_CORK, MSG_MORE = 1, 3, 0x8000


@pytest.mark.parametrize(
    ("settings", "option", "flags", "segments", "pieces"),
    [
        ({}, TCP_NODELAY, 0, [1460, 1460, 100], [3020]),
        ({}, None, 0, [1460, 1460, 100], [3020]),
        ({"tcp_minshall": False}, None, 0, [1460, 1460], [2920]),
        ({}, TCP_CORK, 0, [1460, 1460], [2920]),
        ({}, TCP_NODELAY, MSG_MORE, [1460, 1460], [2920]),
    ],
)
def test_a_small_end_goes_with_the_full_segments_before_it(make, settings, option, flags, segments, pieces):
    """Offload cuts it off again: one piece for the device instead of two, where nothing holds a small segment back."""
    for gso_max, expected in ((0, segments), (60_000, pieces)):
        conn = make(**settings).established()
        conn.peer.iface.gso_max = gso_max
        if option is not None:
            conn.set(6, option, 1)
        out = conn.send(bytes(3020), flags)
        assert [len(seg) for seg in out] == expected
        assert bool(out[-1].flags & PSH) == (sum(segments) == 3020)


def test_only_the_first_small_end_goes_where_nagle_holds_the_second(make):
    conn = make().established()
    conn.peer.iface.gso_max = 60_000
    assert [[len(seg) for seg in conn.send(bytes(1500))] for _ in range(2)] == [[1500], [1460]]
    conn.has(1500)
    assert [len(seg) for seg in conn.rx()] == [40]  # of the second


@pytest.mark.parametrize(("closes", "pieces"), [(True, [3020]), (False, [2920])])
def test_a_small_end_goes_with_the_fin(make, closes, pieces):
    conn = make(tcp_minshall=False).established(window=0)
    conn.peer.iface.gso_max = 60_000
    assert conn.send(bytes(3020)) == []
    if closes:
        assert conn.shutdown() == []
    out = conn.rx(window=60_000)
    assert [len(seg) for seg in out] == pieces
    assert bool(out[0].flags & FIN) == closes


def test_more_that_there_is_no_room_for_holds_nothing_back(make):
    """The write was cut short: its end must not wait for what only its acknowledgement makes room for."""
    for size, held in ((10_000, False), (2_000, True)):
        conn = make(tcp_wmem=2_000, tcp_moderate_sndbuf=False).established()
        conn.set(6, TCP_NODELAY, 1)
        assert conn.peer.call(user.send, conn.tcb, bytes(size), MSG_MORE) == 2_000
        assert [len(seg) for seg in conn.peer.take()] == ([1460] if held else [1460, 540])
    # And what is held is let go when more comes that finds no room.
    assert conn.peer.call(user.send, conn.tcb, b"more", MSG_MORE) == 0
    assert [len(seg) for seg in conn.peer.take()] == [540]
