"""The sender's reaction to loss: RFC 5681, RFC 6582 (NewReno), RFC 6675 (SACK), RFC 3042; ICMP (RFC 1191, RFC 5927)."""

import struct

import pytest

from pystack.testing.peer import HOST, MS, PEER, SACK_OK, S, mss_option, sack_option
from pystack.testing.segments import ACK, RST, SYN, ones

M32 = 0xFFFFFFFF
MSS = 1000


def sender(make, sack=False, segments=10, **settings):
    """A connection that has just sent `segments` full segments and has more to say."""
    options = mss_option(MSS) + (SACK_OK if sack else b"")
    settings = {"tcp_rto_var_min": 200 * MS, "tcp_init_cwnd": segments, **settings}
    conn = make(**settings).established(options=options)
    out = conn.send(bytes(100 * MSS))
    assert [conn.rel(seg.seq) for seg in out] == [n * MSS for n in range(segments)]
    return conn


def numbers(conn, segs):
    """Which segments (counted from 0 at the peer's place) these are."""
    return [conn.rel(seg.seq) // MSS for seg in segs if len(seg)]


def sacked(conn, *ranges):
    return sack_option(*((conn.ack + left * MSS, conn.ack + right * MSS) for left, right in ranges))


# RFC 5681 3.2, RFC 6582


def test_three_duplicates_retransmit_the_first(make):
    conn = sender(make, tcp_limited_transmit=False)
    assert conn.rx() == conn.rx() == []
    out = conn.rx()
    assert numbers(conn, out) == [0]
    assert conn.tcb.ssthresh == 5 * MSS and conn.peer.counters.TcpExtTCPRenoRecovery == 1


def test_limited_transmit(make):
    # RFC 3042: the first two duplicates send new data
    conn = sender(make)
    assert [numbers(conn, conn.rx()) for _ in range(2)] == [[10], [11]]
    assert numbers(conn, conn.rx()) == [0]
    assert conn.tcb.ssthresh == 5 * MSS  # RFC 5681 3.2 (2): these two do not count as FlightSize


@pytest.mark.parametrize("what", ["data", "window", "fin"])
def test_what_is_no_duplicate_ack(make, what):
    # RFC 5681 2: no data, no SYN or FIN, the same window
    conn = sender(make, tcp_limited_transmit=False)
    out = []
    for n in range(4):
        if what == "data":
            out += conn.rx(data=b"x")
        elif what == "window":
            out += conn.rx(window=60_000 - n)
        elif n == 0:
            out += conn.rx(ACK | 1)
    assert 0 not in numbers(conn, out) and conn.tcb.dupacks == 0


def test_duplicates_with_nothing_outstanding_do_nothing(make):
    conn = make().established()
    assert [conn.rx() for _ in range(5)] == [[]] * 5
    assert conn.tcb.dupacks == 0


def test_partial_acks_retransmit_the_next_hole(make):
    # RFC 6582 3.2 step 3
    conn = sender(make, tcp_limited_transmit=False)
    for _ in range(3):
        conn.rx()
    conn.has(4 * MSS)
    assert numbers(conn, conn.rx())[0] == 0  # hole 4 is at the new place
    conn.has(3 * MSS)
    assert numbers(conn, conn.rx())[0] == 0
    recover = conn.tcb.recover
    conn.ack = recover
    conn.rx()
    assert conn.tcb.ca_state == 0 and conn.tcb.cwnd == conn.tcb.ssthresh


def test_no_second_fast_retransmit_in_one_window(make):
    conn = sender(make, tcp_limited_transmit=False)
    for _ in range(3):
        conn.rx()
    cwnd = conn.tcb.ssthresh
    out = []
    for _ in range(6):
        out += conn.rx()
    assert 0 not in numbers(conn, out) and conn.tcb.ssthresh == cwnd


def test_fast_recovery_sends_new_data_as_duplicates_arrive(make):
    conn = sender(make, tcp_limited_transmit=False)
    for _ in range(3):
        conn.rx()
    # cwnd = ssthresh + 3, one more with each duplicate: 8 at the third, 10 (what is out) at the fifth.
    assert [numbers(conn, conn.rx()) for _ in range(6)] == [[], [], [10], [11], [12], [13]]


def test_timeout_goes_back_to_one_segment(make):
    # RFC 5681 3.1 equation 4, slow start from the loss window
    conn = sender(make)
    out = conn.peer.advance(conn.tcb.rto)
    assert numbers(conn, out) == [0]
    assert conn.tcb.cwnd == MSS and conn.tcb.ssthresh == 5 * MSS
    conn.has(MSS)
    assert numbers(conn, conn.rx()) == [0, 1]
    conn.has(2 * MSS)
    assert numbers(conn, conn.rx()) == [0, 1, 2, 3][: conn.tcb.cwnd // MSS]


def test_ssthresh_falls_once_for_one_loss(make):
    # RFC 5681 3.1: not again at the second timeout of the same segment
    conn = sender(make)
    conn.peer.advance(conn.tcb.rto)
    ssthresh = conn.tcb.ssthresh
    conn.peer.advance(10 * S)
    assert conn.tcb.ssthresh == ssthresh and conn.tcb.retries > 1


def test_slow_start_and_congestion_avoidance(make):
    # RFC 5681 3.1, RFC 3465
    conn = sender(make, tcp_init_ssthresh=20 * MSS)
    sizes = []
    for _ in range(20):
        conn.has(2 * MSS)
        conn.rx()
        sizes.append(conn.tcb.cwnd // MSS)
    assert sizes[:5] == [12, 14, 16, 18, 20] and sizes[5:15] == [20] * 9 + [21]


def test_one_ack_of_many_segments_counts_as_two(make):
    # RFC 3465 2.2, L = 2
    conn = sender(make)
    conn.has(8 * MSS)
    conn.rx()
    assert conn.tcb.cwnd == 12 * MSS


def test_acks_of_parts_of_a_segment_do_not_open_cwnd_faster(make):
    # RFC 3465 (ACK division)
    conn = sender(make)
    for _ in range(10):
        conn.has(100)
        conn.rx()
    assert conn.tcb.cwnd == 11 * MSS


def test_cwnd_does_not_grow_unused(make):
    # RFC 7661
    conn = make(tcp_init_cwnd=10).established(options=mss_option(MSS))
    for _ in range(50):
        conn.send(bytes(MSS))
        conn.has(MSS)
        conn.rx()
    assert conn.tcb.cwnd == 10 * MSS


def test_restart_after_idle(make):
    # RFC 5681 4.1
    for restart, expect in ((True, 10), (False, 20)):
        conn = sender(make, tcp_slow_start_after_idle=restart)
        while conn.rel(conn.tcb.snd_nxt):
            conn.has(min(2 * MSS, conn.rel(conn.tcb.snd_nxt)))
            conn.rx()
        conn.tcb.cwnd = 20 * MSS
        conn.peer.advance(10 * conn.tcb.rto)
        assert len(conn.send(bytes(50 * MSS))) == expect


# RFC 6675


def test_sack_retransmits_holes_only(make):
    conn = sender(make, sack=True, tcp_limited_transmit=False)
    out = conn.rx(options=sacked(conn, (1, 2)))
    out += conn.rx(options=sacked(conn, (1, 3)))
    out += conn.rx(options=sacked(conn, (1, 4)))
    assert 0 in numbers(conn, out)
    conn.has(4 * MSS)
    assert 0 not in numbers(conn, conn.rx())[:0] and conn.tcb.snd_una == conn.ack


def test_one_sack_of_many_is_enough(make):
    # RFC 6675 IsLost(): more than (DupThresh - 1) * SMSS bytes above
    conn = sender(make, sack=True)
    assert numbers(conn, conn.rx(options=sacked(conn, (1, 4))))[:1] == [0]


def test_sacked_segments_are_not_sent_again_after_a_timeout(make):
    conn = sender(make, sack=True, tcp_limited_transmit=False)
    conn.rx(options=sacked(conn, (2, 4)))
    out = conn.peer.advance(2 * S)
    assert {0} <= set(numbers(conn, out))
    conn.has(2 * MSS)
    out = conn.rx(options=sacked(conn, (0, 2)))
    assert not {0, 1} & set(numbers(conn, out))


def test_reneging(make):
    # RFC 2018 8: what was SACKed and is not there any more is sent again
    conn = sender(make, sack=True, tcp_limited_transmit=False)
    conn.rx(options=sacked(conn, (1, 2)))
    conn.has(MSS)
    conn.rx()  # the ACK stops below what had been SACKed
    out = conn.peer.advance(2 * S)
    assert 0 in numbers(conn, out)


@pytest.mark.parametrize("block", [(-5, -3), (8, 12), (200, 300), (5, 5), (5, 3), (-1, 3), (-(1 << 21), 1 << 21)])
def test_sack_blocks_that_cannot_be_are_ignored(make, block):
    conn = sender(make, sack=True)
    for _ in range(5):
        conn.rx(options=sacked(conn, block))
    assert conn.tcb.rtxq.sacked_out == 0 and conn.tcb.in_flight() >= 10 * MSS


def test_sack_of_half_a_segment(make):
    conn = sender(make, sack=True)
    conn.rx(options=sack_option((conn.ack + 1500, conn.ack + 4200)))
    assert conn.tcb.rtxq.sacked_out == 2700


# ICMP


def icmp(conn, kind, code, seq, mtu=0):
    """An ICMP error about a segment of the connection that began at `seq`."""
    tcb = conn.tcb
    quote = struct.pack(">BBHHHBBHII", 0x45, 0, 1500, 1, 0x4000, 60, 6, 0, HOST, PEER)
    quote += struct.pack(">HHI", tcb.lport, tcb.rport, seq & M32)
    body = struct.pack(">BBHHH", kind, code, 0, 0, mtu) + quote
    body = body[:2] + struct.pack(">H", ones(body) ^ 0xFFFF) + body[4:]
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(body), 1, 0, 64, 1, 0, 0x0A000063, HOST)
    return conn.peer.packet(head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:] + body)


def test_fragmentation_needed_shrinks_segments(make):
    # RFC 1191 6.1 and 6.4
    conn = sender(make)
    out = icmp(conn, 3, 4, conn.ack, mtu=640)
    assert out and max(len(seg) for seg in out) == 600 and conn.tcb.mss == 600
    assert out[0].seq == conn.ack


def test_an_open_connection_learns_the_mtu_that_another_found(make):
    peer = make()
    one, two = (peer.established(options=mss_option(1460)) for _ in range(2))
    one.send(bytes(3000))
    icmp(one, 3, 4, one.ack, mtu=1000)
    assert one.tcb.mss == 960
    assert [len(seg) for seg in two.send(bytes(1920))] == [960, 960]
    two.has(960)  # and what another had sent before is cut when its own error comes
    two.rx()
    three = peer.established(options=mss_option(1460))
    assert three.tcb.mss == 960


def test_each_connection_cuts_its_own_segments_anew(make):
    peer = make()
    one, two = (peer.established(options=mss_option(1460)) for _ in range(2))
    one.send(bytes(2920)), two.send(bytes(2920))
    for conn in (one, two):
        out = icmp(conn, 3, 4, conn.ack, mtu=1000)
        assert [len(seg) for seg in out] == [960, 960, 960, 40]
        assert conn.tcb.cwnd == 14600
        two.rx(data=b"!")  # (makes it look at its route in between)
        two.peer.advance(50 * MS)
        assert icmp(conn, 3, 4, conn.ack, mtu=1000) == []


def test_the_fin_stays_behind_what_is_cut(make):
    conn = make().established(options=mss_option(1460))
    conn.set(6, 3, 1)  # TCP_CORK: data and FIN in one segment
    conn.send(bytes(1459))
    (seg,) = conn.shutdown()
    assert len(seg) == 1459 and seg.flags & 1
    out = icmp(conn, 3, 4, conn.ack, mtu=1000)
    assert [(len(seg), seg.flags & 1) for seg in out] == [(960, 0), (499, 1)]
    conn.has(1460)
    conn.rx()
    assert conn.state == "FIN-WAIT-2"


@pytest.mark.parametrize(("off", "mtu"), [(-1, 640), (10 * MSS, 640), (0, 1500), (0, 9000)])
def test_forged_fragmentation_needed_is_ignored(make, off, mtu):
    # RFC 5927 4.1, 7.2
    conn = sender(make)
    assert icmp(conn, 3, 4, conn.ack + off, mtu) == [] and conn.tcb.mss == MSS


def test_the_mtu_does_not_rise_by_icmp(make):
    conn = sender(make)
    icmp(conn, 3, 4, conn.ack, 640)
    assert icmp(conn, 3, 4, conn.ack, 900) == [] and conn.tcb.mss == 600


def test_the_mtu_is_tried_again_after_ten_minutes(make):
    # RFC 1191 6.3
    conn = make().established(options=mss_option(1460))
    conn.send(bytes(1460))
    icmp(conn, 3, 4, conn.ack, 640)
    conn.has(1460)
    conn.rx()
    for wait, size in ((599, 600), (1, 1460)):
        conn.peer.advance(wait * S)
        (seg,) = conn.send(bytes(size))
        assert len(seg) == size and conn.tcb.mss == size
        if size == 600:
            conn.has(size)
            conn.rx()
    assert [len(seg) for seg in icmp(conn, 3, 4, conn.ack, 640)] == [600, 600, 260]  # still as narrow


def test_no_mtu_below_the_smallest_there_is(make):
    # RFC 791: every link carries 68 bytes
    conn = sender(make, min_pmtu=68)
    assert max(len(seg) for seg in icmp(conn, 3, 4, conn.ack, 5)) == 28


def test_icmp_errors_do_not_end_an_open_connection(make):
    # MUST-56 for the soft ones, RFC 5927 5.2 for the hard ones
    conn = sender(make)
    for kind, code in ((3, 0), (3, 1), (3, 2), (3, 3), (3, 5), (3, 13), (11, 0), (12, 0), (4, 0)):
        icmp(conn, kind, code, conn.ack)
        assert conn.state == "ESTABLISHED"
    assert conn.tcb.cwnd == 10 * MSS  # MUST-55: nothing of source quench


@pytest.mark.parametrize(("code", "ends"), [(0, False), (1, False), (2, True), (3, True), (13, True)])
def test_icmp_errors_while_opening(make, code, ends):
    # SHLD-26
    peer = make()
    tcb, syn = peer.connecting()

    class Opening:
        pass

    conn = Opening()
    conn.tcb, conn.peer = tcb, peer
    icmp(conn, 3, code, syn.seq)
    assert (tcb.state == 7) == ends
    if not ends:
        peer.segment(SYN | ACK, 1, syn.end, syn.dport, syn.sport)
        assert tcb.state == 1


def test_icmp_about_an_unknown_connection(make):
    conn = sender(make)
    conn.tcb.rport  # noqa: B018

    class Other:
        pass

    other = Other()
    other.peer = conn.peer
    other.tcb = type("Tcb", (), {"lport": 1, "rport": 2})()
    assert icmp(other, 3, 3, conn.ack) == []
    conn.rx(RST)
