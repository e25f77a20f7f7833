"""RFC 9293, sections 3.8.6 and 3.10.7.4: windows, probes, silly windows, acknowledgements, reassembly."""

from itertools import permutations

import pytest

from pystack.testing.peer import HOST, MS, PEER, SACK_OK, Peer, S, build, mss_option
from pystack.testing.segments import ACK, M32, RST, SYN
from pystack_c.config import PROFILES


def shrunk(make):
    """Four segments are out; the peer takes one, and draws its window back to 1,000 bytes."""
    conn = make().established(window=6000)
    assert len(conn.send(bytes(20_000))) == 4
    conn.has(1460)
    assert conn.rx(window=1000) == []
    return conn


def test_must_34_a_sender_copes_with_a_shrinking_window(make):
    conn = shrunk(make)
    assert conn.tcb.snd_wnd == 1000 and conn.state == "ESTABLISHED"
    conn.peer.advance(conn.tcb.rto)
    conn.has(3 * 1460)
    assert len(conn.rx(window=60_000)) >= 2


def test_shld_15_it_sends_nothing_new_beyond_the_edge(make):
    conn = shrunk(make)
    highest = conn.tcb.snd_nxt
    for _ in range(20):
        assert all((highest - seg.end) & M32 < 1 << 31 for seg in conn.peer.advance(S))
        conn.rx(window=1000)
    conn.has(1460)
    assert conn.rx(window=0) == []


def test_shld_16_but_retransmits_what_lies_inside(make):
    conn = shrunk(make)
    again = conn.peer.advance(conn.tcb.rto)
    assert again[0].seq == conn.ack and len(again[0]) > 0


def test_may_7_and_what_lies_past_it(make):
    conn = shrunk(make)
    again = conn.peer.advance(conn.tcb.rto)
    assert len(again[0]) == 1460  # the window is 1,000


def test_shld_17_and_never_gives_up_while_the_peer_answers(make):
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


def test_shld_14_our_right_edge_never_moves_left(make):
    peer = make(tcp_rmem=8000, tcp_window_scaling=False)
    conn = peer.established()
    edges = []
    for _ in range(5):
        out = conn.rx(data=bytes(1000)) or peer.advance(50 * MS)
        edges.append((out[-1].ack + out[-1].window) & M32)
    assert len(set(edges)) == 1 and out[-1].window == 3000
    conn.set(1, 8, 2048)  # SO_RCVBUF: less room than was announced
    out = conn.rx(data=bytes(1000)) or peer.advance(50 * MS)
    assert (out[-1].ack + out[-1].window) & M32 == edges[-1]


def closed(make, **settings):
    """A sender with data, and a peer that has just closed its window."""
    conn = make(**settings).established(window=1460)
    conn.send(bytes(5000))
    conn.has(1460)
    assert conn.rx(window=0) == []
    return conn


def probes(conn, count):
    """When the next `count` probes are sent, after the window closed (each is answered: still closed)."""
    start, times = conn.peer.now, []
    for _ in range(count):
        out = []
        while not out:
            out = conn.peer.advance(10 * MS)
            assert conn.peer.now - start < 5000 * S
        times += [seg.time - start for seg in out]
        conn.rx(window=0)
    return times


def test_must_35_a_window_shrunk_to_nothing_is_probed(make):
    conn = make().established(window=4000)
    conn.send(bytes(10_000))
    conn.has(2920)
    conn.rx(window=0)
    times = probes(conn, 5)
    assert len(times) == 5
    assert len(conn.rx(window=4000)) == 2


def test_must_36_a_closed_window_is_probed(make):
    conn = closed(make)
    out = conn.peer.advance(60 * S)
    assert out and all(len(seg) == 0 and seg.seq == (conn.ack - 1) & M32 for seg in out)


def test_must_37_the_connection_lasts_while_probes_are_answered(make):
    conn = closed(make, tcp_retries2=4)
    assert len(probes(conn, 20)) == 20 and conn.state == "ESTABLISHED"
    silent = closed(make, tcp_retries2=4)  # the control
    silent.peer.advance(1000 * S)
    assert silent.state == "CLOSED"


def test_shld_29_the_first_probe_comes_after_one_rto(make):
    conn = closed(make)
    assert probes(conn, 1) == [conn.tcb.rto]


def test_shld_30_and_the_gaps_double(make):
    conn = closed(make)
    rto = conn.tcb.rto
    times = probes(conn, 12)
    assert [b - a for a, b in zip([0, *times], times)] == [min(rto << n, 120 * S) for n in range(12)]


def test_may_8_a_receiver_may_keep_its_window_closed(make):
    conn = make(tcp_rmem=1000, tcp_window_scaling=False).established()
    conn.rx(data=bytes(1000))
    for _ in range(50):  # nobody reads: every probe is answered, with window 0
        (ack, *_) = conn.rx(data=b"x", seq=0)
        conn.seq = (conn.seq - 1) & M32
        assert ack.window == 0 and ack.ack == conn.seq
        conn.peer.advance(100 * S)
    assert conn.recv() == bytes(1000) and conn.peer.take()[0].window == 1000


def test_must_38_a_sender_waits_for_a_worthwhile_window(make):
    conn = make().established(window=1460)
    conn.send(bytes(1460 * 3))
    conn.has(1460)
    assert conn.rx(window=500) == []  # under half of the largest window ever seen
    assert [len(seg) for seg in conn.rx(window=800)] == [800]  # over it
    conn = make().established(window=1460)
    conn.send(bytes(1460 * 3))
    conn.has(1460)
    conn.rx(window=500)
    (late,) = conn.peer.advance(conn.tcb.rto)  # the override timeout
    assert len(late) == 500


def test_must_39_a_receiver_opens_its_window_by_worthwhile_steps(make):
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


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_must_40_an_ack_is_delayed_less_than_half_a_second(profile):
    conn = Peer(profile, tcp_quickack_segs=0).established()
    assert conn.rx(data=b"x") == []
    start = conn.peer.now
    (ack,) = conn.peer.advance(10 * S)
    assert 0 < ack.time - start < 500 * MS and ack.ack == conn.seq


def test_shld_18_acks_are_delayed(make):
    conn = make().established()
    assert conn.rx(data=bytes(100)) == [] and conn.rx(data=bytes(100)) == []
    assert len(conn.peer.advance(S)) == 1


def test_shld_19_but_not_for_a_second_full_segment(make):
    conn = make().established()
    for _ in range(10):
        assert conn.rx(data=bytes(1460)) == []
        (ack,) = conn.rx(data=bytes(1460))
        assert ack.pure_ack and ack.ack == conn.seq


def batch(conn, count):
    """`count` full segments in the queue at once; what is sent for them."""
    peer = conn.peer
    for n in range(count):
        packet = build(PEER, HOST, conn.sport, conn.dport, conn.seq + n * 1460, conn.ack, ACK, data=bytes(1460))
        peer.stack.receive(peer.iface, packet, peer.now)
    return peer.take()


def test_must_58_acks_are_combined(make):
    conn = make().established()
    assert len(batch(conn, 10)) == 1


def test_must_59_all_queued_segments_are_processed_before_the_ack(make):
    conn = make().established()
    assert [seg.ack for seg in batch(conn, 10)] == [(conn.seq + 14600) & M32]


def test_shld_31_out_of_order_segments_are_kept(make):
    for order in permutations(range(4)):
        conn = make().established(options=mss_option(1460) + SACK_OK)
        for n in order:
            conn.peer.segment(
                ACK, conn.seq + 3 * n, conn.ack, conn.sport, conn.dport, data=b"abcdefghijkl"[3 * n : 3 * n + 3]
            )
        assert conn.recv() == b"abcdefghijkl"


@pytest.mark.parametrize(("flags", "off"), [(RST, 10), (SYN, 10), (SYN | ACK, 10), (ACK, None)])
def test_may_12_blind_attacks_are_challenged(make, flags, off):
    conn = make().established(window=1000)
    if off is None:
        (ack,) = conn.rx(data=b"x", ack=-1100)  # an ACK from long ago
        assert conn.tcb.recvbuf.used == 0
        conn.seq = (conn.seq - 1) & M32
    else:
        (ack,) = conn.rx(flags, seq=off)
    assert ack.pure_ack and ack.ack == conn.seq and conn.state == "ESTABLISHED"
    assert conn.peer.counters.TcpExtTCPChallengeACK == 1
