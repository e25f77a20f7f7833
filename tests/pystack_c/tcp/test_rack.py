"""RACK-TLP (RFC 8985), PRR (RFC 9937), and taking responses back (RFC 3522, RFC 3708, RFC 5682)."""

import pytest

from pystack.testing.peer import HOST, MS, SACK_OK, PeerConn, mss_option, sack_option, ts_option
from pystack.testing.segments import ACK, SYN

M32 = 0xFFFFFFFF
MSS = 1000
RTT = 100 * MS


def sender(make, segments=10, ts=False, size=100 * MSS, **settings):
    """A connection with SRTT = 100 ms that has just sent `segments` full segments."""
    peer = make(tcp_init_cwnd=segments, tcp_timestamps=ts, **settings)
    tcb, syn = peer.connecting()
    peer.advance(RTT)
    options = mss_option(MSS + 12 * ts) + SACK_OK + (ts_option(1, syn.ts[0]) if ts else b"")
    peer.segment(SYN | ACK, peer.irs, syn.end, syn.dport, syn.sport, options=options)
    conn = PeerConn(peer, tcb, syn.dport, syn.sport, (peer.irs + 1) & M32, 65535)
    conn.ack = syn.end
    assert tcb.srtt == RTT and tcb.sack_ok
    out = conn.send(bytes(size))
    conn.stamp = out[-1].ts[0] if ts else 0
    if ts:
        conn.ts = (1, conn.stamp)
    assert len(out) == min(segments, -(-size // MSS))
    return conn


def numbers(conn, segs):
    return [conn.rel(seg.seq) // MSS for seg in segs if len(seg)]


def sacked(conn, *ranges, **fields):
    """An ACK with these segments SACKed arrives; what is sent."""
    return conn.rx(options=sack_option(*((conn.ack + a * MSS, conn.ack + b * MSS) for a, b in ranges)), **fields)


# RACK, RFC 8985 6.2


def test_one_segment_above_waits_a_quarter_round_trip(make):
    conn = sender(make)
    conn.peer.advance(RTT)
    assert 0 not in numbers(conn, sacked(conn, (1, 2)))
    out = conn.peer.advance(RTT // 4 - 1)
    assert 0 not in numbers(conn, out)
    assert 0 in numbers(conn, conn.peer.advance(1))


def test_reordering_within_the_window_costs_nothing(make):
    conn = sender(make)
    conn.peer.advance(RTT)
    sacked(conn, (1, 2))
    conn.peer.advance(RTT // 8)
    conn.has(2 * MSS)
    conn.rx()
    conn.peer.advance(RTT // 2)
    assert conn.tcb.total_retrans == 0 and conn.tcb.ssthresh > 1 << 20
    assert conn.tcb.rack_reordering  # and it is known from now on


def test_three_above_are_enough_while_no_reordering_was_seen(make):
    conn = sender(make)
    conn.peer.advance(RTT)
    sacked(conn, (1, 2))
    sacked(conn, (1, 3))
    assert 0 in numbers(conn, sacked(conn, (1, 4)))


@pytest.mark.parametrize("size", [100, MSS])
def test_the_threshold_counts_segments(make, size):
    """RFC 8985 6.2: DupThresh segments are SACKed, and nobody waits, small as they may be."""
    conn = sender(make, segments=1, size=MSS, tcp_tlp=False)
    conn.peer.advance(RTT)
    conn.has(MSS)
    conn.rx()
    conn.tcb.nodelay, conn.tcb.cwnd = True, 20 * MSS
    for _ in range(6):
        conn.send(bytes(size))
    conn.peer.advance(RTT)
    for count in (1, 2):
        out = conn.rx(options=sack_option((conn.ack + size, conn.ack + (1 + count) * size)))
        assert not any(len(seg) and conn.rel(seg.seq) == 0 for seg in out)
    out = conn.rx(options=sack_option((conn.ack + size, conn.ack + 4 * size)))
    assert [conn.rel(seg.seq) for seg in out if len(seg)] == [0]


def test_parts_of_one_segment_are_not_three_segments(make):
    """A peer that SACKs two edges of a segment has not got three segments."""
    conn = sender(make, tcp_sack_whole=False)
    conn.peer.advance(RTT)
    base = conn.ack + MSS
    conn.rx(options=sack_option((base, base + 10), (base + 20, base + 30), (base + 40, base + 50)))
    assert conn.tcb.rtxq.sacked_segs == 0 and conn.tcb.rtxq.lost_out == 0
    conn.rx(options=sack_option((base, base + MSS)))
    assert conn.tcb.rtxq.sacked_segs == 1 and conn.tcb.rtxq.lost_out == 0


def test_a_lost_retransmission_is_found(make):
    # What RFC 6675 leaves to the timeout
    conn = sender(make)
    conn.peer.advance(RTT)
    assert 0 in numbers(conn, sacked(conn, (1, 8)))
    conn.peer.advance(RTT)
    out = sacked(conn, (1, 10))  # sent before the retransmission: says nothing about it
    assert 0 not in numbers(conn, out)
    newest = conn.rel(conn.tcb.snd_nxt) // MSS
    assert newest > 10
    conn.peer.advance(RTT // 2)
    out = sacked(conn, (1, newest))
    out += conn.peer.advance(RTT // 4)
    assert 0 in numbers(conn, out) and conn.peer.counters.TcpExtTCPLostRetransmit == 1
    assert conn.peer.counters.TcpExtTCPTimeouts == 0


def test_the_timeout_begins_anew_with_a_retransmission_of_the_earliest(make):
    # RFC 6675 6: RTO is 300 ms; sent again at 50 ms, segment 0 has as long from there.
    conn = sender(make, segments=20)
    conn.peer.advance(RTT // 2)
    assert 0 in numbers(conn, sacked(conn, (1, 8)))
    conn.peer.advance(300 * MS - 1)
    assert conn.peer.counters.TcpExtTCPTimeouts == 0
    conn.peer.advance(1)
    assert conn.peer.counters.TcpExtTCPTimeouts == 1


def test_control_a_retransmission_further_on_puts_nothing_off(make):
    # At 150 ms it is segment 5 that goes again; the timer runs for segment 0, since 50 ms.
    conn = sender(make, segments=20)
    conn.peer.advance(RTT // 2)
    assert 0 in numbers(conn, sacked(conn, (1, 5)))
    conn.peer.advance(RTT)
    assert 5 in numbers(conn, sacked(conn, (1, 5), (6, 20)))
    conn.peer.advance(200 * MS - 1)
    assert conn.peer.counters.TcpExtTCPTimeouts == 0
    conn.peer.advance(1)
    assert conn.peer.counters.TcpExtTCPTimeouts == 1


@pytest.mark.parametrize("racked", [True, False])
def test_a_timeout_leaves_what_is_younger_than_a_round_trip(make, racked):
    """6.3: segments 0 to 9 went out 300 ms ago, ten more 50 ms ago. (Control: without RACK all twenty are lost.)"""
    conn = sender(make, tcp_rack=racked, tcp_tlp=False)
    conn.peer.advance(250 * MS)
    conn.tcb.cwnd = 20 * MSS
    assert len(conn.send(bytes(1))) == 10
    out = conn.peer.advance(50 * MS)
    assert conn.peer.counters.TcpExtTCPTimeouts == 1 and numbers(conn, out) == [0]
    assert conn.tcb.rtxq.lost_out == (10 if racked else 20) * MSS


@pytest.mark.parametrize("whole", [True, False])
def test_a_sack_block_that_ends_inside_a_segment(make, whole):
    """Linux counts whole segments only. (Looking for their edges never came to an end, and kept an empty record each time.)"""
    conn = sender(make, tcp_sack_whole=whole)
    conn.rx(options=sack_option((conn.ack + MSS, conn.ack + 2 * MSS + 500)))
    q = conn.tcb.rtxq
    assert q.sacked_out == (MSS if whole else MSS + 500)
    assert all(seg.length() > 0 for seg in q.segs[q.first :]) and len(q) <= 13


def test_dsack_widens_the_window(make):
    conn = sender(make)
    conn.tcb.total_retrans = 3  # (as if so many had been sent again: more copies than that are the network's)
    for n in range(2, 5):
        conn.has(2 * MSS)
        conn.rx(options=sack_option((conn.ack - 2 * MSS, conn.ack - MSS)))
        assert conn.tcb.rack_mult == n
        conn.ack = conn.tcb.snd_nxt  # once a round trip
        conn.rx()


# TLP, section 7


def test_probe_after_two_round_trips_is_the_last_segment(make):
    conn = sender(make, size=5 * MSS)
    start = conn.peer.now
    (probe,) = conn.peer.advance(2 * RTT)
    assert probe.time - start == 2 * RTT and numbers(conn, [probe]) == [4]
    assert conn.peer.counters.TcpExtTCPLossProbes == 1
    (rto,) = conn.peer.advance(300 * MS)[:1]  # one probe only, then the RTO counts
    assert numbers(conn, [rto]) == [0] and conn.peer.counters.TcpExtTCPTimeouts == 1


def test_probe_is_new_data_where_there_is_some(make):
    conn = sender(make, segments=4, size=4 * MSS)
    conn.peer.advance(RTT)
    conn.tcb.cwnd = 4 * MSS
    conn.send(bytes(5 * MSS))  # held: cwnd is full
    out = conn.peer.advance(RTT)
    assert numbers(conn, out)[:1] == [4] and conn.tcb.total_retrans == 0


def test_a_single_segment_waits_for_a_delayed_ack_too(make):
    # 7.2: FlightSize of one segment: PTO + the longest ACK delay, which is later than the RTO here
    conn = sender(make, size=MSS)
    start = conn.peer.now
    out = conn.peer.advance(RTT * 3)
    assert [seg.time - start for seg in out] == [300 * MS] and conn.peer.counters.TcpExtTCPTimeouts == 1


def test_a_probe_that_repaired_a_loss_lowers_cwnd(make):
    # 7.4.2: the ACK goes beyond the probe, so the probe it was that filled the hole
    conn = sender(make, size=5 * MSS, tcp_tlp_max_ack_delay=0)
    conn.peer.advance(RTT)
    conn.has(4 * MSS)
    conn.rx()
    (probe,) = conn.peer.advance(2 * RTT)
    assert numbers(conn, [probe]) == [0] and conn.peer.counters.TcpExtTCPLossProbes == 1
    conn.has(MSS)
    conn.rx()
    assert conn.tcb.ssthresh == 1 << 30  # (it may still have been the original, late)
    conn.send(b"more")
    conn.has(4)
    conn.rx()
    assert conn.tcb.ssthresh < 1 << 30 and conn.peer.counters.TcpExtTCPTimeouts == 0


def test_a_probe_that_was_a_duplicate_changes_nothing(make):
    # 7.4.2: the D-SACK says that both arrived
    conn = sender(make, size=5 * MSS)
    conn.peer.advance(2 * RTT)
    assert conn.tcb.tlp_out
    conn.has(5 * MSS)
    conn.rx(options=sack_option((conn.ack - MSS, conn.ack)))
    assert conn.tcb.ssthresh == 1 << 30 and not conn.tcb.tlp_out


def test_a_probe_that_cannot_be_sent_leaves_the_rto(make):
    # 7.3: after the attempt the RTO timer is armed and not the PTO, even if nothing was sent
    conn = sender(make, size=5 * MSS)
    peer = conn.peer
    start = peer.now
    peer.stack.del_addr(peer.iface, HOST)
    fired = []
    for _ in range(8):
        deadline = peer.stack.poll_timeout()
        peer.advance(deadline - peer.now)
        assert (peer.stack.poll_timeout() or 1 << 62) > peer.now
        fired.append(peer.now - start)
    rto = 300 * MS
    assert fired == [2 * RTT] + [2 * RTT + rto * ((1 << n) - 1) for n in range(1, 8)]
    assert peer.counters.TcpExtTCPTimeouts == 7


# PRR, RFC 9937


def test_recovery_sends_in_proportion_to_what_arrives(make):
    conn = sender(make, segments=20)
    conn.peer.advance(RTT)
    out = []
    for n in range(2, 21):
        out.append(len([seg for seg in sacked(conn, (1, n)) if len(seg)]))
    assert conn.tcb.ssthresh == 10 * MSS
    assert sum(out) in (9, 10, 11) and max(out) <= 2  # half of what was out, spread over the round trip
    conn.ack = conn.tcb.recover
    conn.rx()
    assert conn.tcb.cwnd == 10 * MSS


def test_the_rate_is_that_of_what_was_not_delivered_before_recovery(make):
    # RFC 9937 6.1: RecoverFS has no bytes that earlier ACKs SACKed, because prr_delivered does not count them
    conn = sender(make, segments=20, tcp_prr_safe=True)
    conn.peer.advance(RTT)
    assert [len(sacked(conn, (1, n))) for n in (2, 3)] == [1, 1]  # limited transmit
    sacked(conn, (1, 4))
    assert conn.tcb.ca_state == 3 and conn.tcb.prr_flight == 20 * MSS and conn.tcb.prr_delivered == MSS


def lossy_start(make, **settings):
    """A recovery in which 14 of 20 segments are lost, so that little is left in flight; the segments that it sends at once."""
    conn = sender(make, segments=20, size=20 * MSS, **settings)
    conn.peer.advance(RTT)
    return conn, numbers(conn, sacked(conn, (14, 17)))


@pytest.mark.parametrize(("settings", "more"), [({"tcp_prr_safe": True}, 0), ({}, 1)])
def test_below_ssthresh_only_a_safe_ack_sends_more_than_it_delivers(make, settings, more):
    # RFC 9937 6.2: PRR-CRB, and PRR-SSRB if SND.UNA advances without a further loss; RFC 6937 did not ask for that
    conn, first = lossy_start(make, **settings)
    assert first == [0, 1, 2, 3][: 3 + more]
    assert len(numbers(conn, sacked(conn, (14, 18)))) == 1 + more
    conn.has(MSS)
    assert len(numbers(conn, conn.rx(options=sack_option((conn.ack + 13 * MSS, conn.ack + 17 * MSS))))) == 2


def test_an_ack_that_delivers_nothing_lets_nothing_leave(make):
    # RFC 9937 6.2: DeliveredData is 0
    conn, first = lossy_start(make, tcp_prr_safe=True)
    conn.tcb.prr_delivered += (
        2 * MSS
    )  # as if more had been delivered than sent, which the next ACK that delivers may send
    cwnd, out = conn.tcb.cwnd, conn.tcb.prr_out
    again = sack_option((conn.ack - 10, conn.ack), (conn.ack + 14 * MSS, conn.ack + 17 * MSS))  # a D-SACK
    assert first and conn.rx(options=again) == []
    assert (conn.tcb.cwnd, conn.tcb.prr_out) == (cwnd, out)


def test_recovery_begins_with_one_segment_even_if_the_rate_allows_none(make):
    # RFC 9937 6.2: the forced retransmission, here with the reordering timer, when less than a segment is allowed
    conn = sender(make, segments=20, tcp_prr_safe=True)
    conn.peer.advance(RTT)
    sacked(conn, (1, 2))
    assert numbers(conn, conn.peer.advance(RTT // 4)) == [0]
    assert conn.tcb.prr_out == MSS and conn.tcb.cwnd == conn.tcb.in_flight()


def test_control_without_prr_it_waits_and_then_sends(make):
    conn = sender(make, segments=20, tcp_prr=False)
    conn.peer.advance(RTT)
    out = [len([seg for seg in sacked(conn, (1, n)) if len(seg)]) for n in range(2, 21)]
    assert out[4:9] == [0] * 5


# Undo


def test_eifel_takes_back_a_timeout(make):
    # RFC 3522: the ACK echoes a timestamp older than the retransmission
    conn = sender(make, ts=True, tcp_tlp=False, tcp_frto=False)
    cwnd = conn.tcb.cwnd
    conn.peer.advance(301 * MS)
    assert conn.peer.counters.TcpExtTCPTimeouts == 1 and conn.tcb.cwnd == conn.tcb.mss
    conn.has(2 * MSS)
    conn.rx()  # (conn.ts echoes the originals)
    assert conn.tcb.cwnd >= cwnd and conn.tcb.ssthresh == 1 << 30 and conn.tcb.ca_state == 0


def test_control_the_echo_of_the_retransmission_proves_the_loss(make):
    conn = sender(make, ts=True, tcp_tlp=False, tcp_frto=False)
    out = conn.peer.advance(301 * MS)
    conn.ts = (1, out[0].ts[0])
    conn.has(MSS)
    conn.rx()
    assert conn.tcb.ssthresh == 5 * MSS


def test_dsack_takes_back_a_fast_retransmit(make):
    # RFC 3708: all retransmissions were duplicates
    conn = sender(make, tcp_rack=False)
    conn.peer.advance(RTT)
    for n in (2, 3, 4):
        sacked(conn, (1, n))
    assert conn.tcb.ssthresh < 1 << 30 and conn.tcb.total_retrans == 1
    conn.has(10 * MSS)
    conn.rx(options=sack_option((conn.ack - 10 * MSS, conn.ack - 9 * MSS)))
    assert conn.tcb.ssthresh == 1 << 30


def test_frto_takes_back_a_timeout_when_originals_are_acknowledged(make):
    # RFC 5682 3.1
    conn = sender(make, tcp_tlp=False)
    conn.peer.advance(301 * MS)
    assert conn.tcb.frto
    conn.has(3 * MSS)  # one retransmission cannot have brought three
    conn.rx()
    assert conn.peer.counters.TcpExtTCPSpuriousRTOs == 1 and conn.tcb.ssthresh == 1 << 30
    sender_off = sender(make, tcp_tlp=False, tcp_frto=False)  # the control
    sender_off.peer.advance(301 * MS)
    sender_off.has(3 * MSS)
    sender_off.rx()
    assert sender_off.tcb.ssthresh == 5 * MSS


@pytest.mark.parametrize("settings", [{}, {"tcp_rack": False}, {"tcp_prr": False}, {"tcp_tlp": False}])
def test_everything_arrives_whatever_is_on(make, settings):
    """Every third segment is lost at first; the peer SACKs what it has and everything is sent in the end."""
    conn = sender(make, size=40 * MSS, **settings)
    have: set[int] = {n for n in range(10) if n % 3}
    done = 0
    for _ in range(200):
        out = conn.peer.advance(RTT)
        have |= {conn.rel(seg.seq) // MSS for seg in out if len(seg) == MSS}
        step = 0
        while step in have:
            step += 1
        have = {n - step for n in have if n >= step}
        done += step
        conn.has(step * MSS)
        runs = sorted(n for n in have if n - 1 not in have)[:3]
        blocks = []
        for left in runs:
            right = left
            while right in have:
                right += 1
            blocks.append((left, right))
        got = sacked(conn, *blocks) if blocks else conn.rx()
        have |= {conn.rel(seg.seq) // MSS for seg in got if len(seg) == MSS}
        if done >= 40:
            break
    assert done == 40 and conn.tcb.snd_una == conn.tcb.snd_nxt
