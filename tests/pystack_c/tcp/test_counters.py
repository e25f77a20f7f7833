"""TCP's counters, by the names of nstat: what moves each, and that the like of it without the cause moves none."""

import pytest

from pystack.testing.peer import (
    HOST,
    MS,
    PEER,
    PEER_ADDR,
    SACK_OK,
    Peer,
    PeerConn,
    S,
    build,
    mss_option,
    sack_option,
    ts_option,
    wscale_option,
)  # fmt: skip
from pystack.testing.segments import ACK, RST, SYN
from pystack_c.tcp import sockopt, user
from pystack_c.tcp.congestion.cubic import Cubic
from pystack_c.tcp.opening.fastopen import remember
from tests import frames as f
from tests.support.counting import Cases, check
from tests.support.peer import ip_packet

MSS = 1000
RTT = 100 * MS
ECE = 0x40

cases = Cases()


def sender(segments=10, sack=True, ts=False, size=100 * MSS, **settings):
    """A connection with SRTT = 100 ms that has just sent `segments` full segments."""
    peer = Peer(tcp_init_cwnd=segments, tcp_timestamps=ts, tcp_isn=1000, **settings)
    tcb, syn = peer.connecting()
    peer.advance(RTT)
    options = mss_option(MSS + 12 * ts) + (SACK_OK if sack else b"") + (ts_option(1, syn.ts[0]) if ts else b"")
    peer.segment(SYN | ACK, 5000, syn.end, syn.dport, syn.sport, options=options)
    conn = PeerConn(peer, tcb, syn.dport, syn.sport, 5001, 65535)
    conn.ack = syn.end
    out = conn.send(bytes(size))
    conn.ts = (1, out[-1].ts[0]) if ts else None
    return conn


def sacked(conn, *ranges):
    """An ACK with these segments SACKed, counted from the first that the peer does not have."""
    return conn.rx(options=sack_option(*((conn.ack + a * MSS, conn.ack + b * MSS) for a, b in ranges)))


def acked(conn, count):
    conn.has(count * MSS)
    return conn.rx()


# Opening


@cases.counts(TcpExtEmbryonicRsts=1, TcpAttemptFails=1)
def a_reset_of_a_half_open_connection(cause):
    peer = Peer()
    peer.listener()
    (answer,) = peer.segment(SYN, 5000)
    yield peer
    peer.segment(RST if cause else ACK, 5001, 0 if cause else answer.end)


@cases.counts(TcpExtPAWSActive=1)
def an_answer_to_a_timestamp_that_was_never_sent(cause):
    peer = Peer(tcp_syn_ts_check=True, tcp_timestamps=True)
    _, syn = peer.connecting()
    yield peer
    options = mss_option(MSS) + ts_option(1, syn.ts[0] + cause)
    peer.segment(SYN | ACK, 5000, syn.end, syn.dport, syn.sport, options=options)


@cases.counts(TcpExtTCPDeferAcceptDrop=1)
def a_bare_ack_where_data_is_waited_for(cause):
    peer = Peer()
    listener = peer.listener()
    peer.call(sockopt.setsockopt, listener, 6, sockopt.TCP_DEFER_ACCEPT, 5)
    (answer,) = peer.segment(SYN, 5000)
    yield peer
    peer.segment(ACK, 5001, answer.end, data=b"" if cause else b"data")


@cases.counts(TcpExtTCPReqQFullDoCookies=1, TcpExtSyncookiesSent=1)
def a_syn_beyond_the_queue_gets_a_cookie(cause):
    peer = Peer(tcp_max_syn_backlog=2, tcp_syncookies=1)
    peer.listener()
    peer.segment(SYN, 5000, sport=1)
    yield peer
    peer.segment(SYN, 5000, sport=2)
    if cause:
        peer.segment(SYN, 5000, sport=3)


@cases.counts(TcpPassiveOpens=1, TcpExtSyncookiesRecv=1)
def a_cookie_that_comes_back(cause):
    peer = Peer(tcp_max_syn_backlog=0, tcp_syncookies=1)
    peer.listener()
    (answer,) = peer.segment(SYN, 5000, options=mss_option(1460))
    yield peer
    peer.segment(ACK, 5001, answer.end if cause else answer.end + 1)


@cases.counts(TcpExtListenOverflows=1, TcpExtListenDrops=1)
def the_third_ack_finds_the_accept_queue_full(cause):
    peer = Peer()
    peer.listener(backlog=0 if cause else 1)
    answers = [peer.segment(SYN, 5000, sport=port)[0] for port in (1, 2)]
    peer.segment(ACK, 5001, answers[0].end, sport=1)
    yield peer
    peer.segment(ACK, 5001, answers[1].end, sport=2)


@cases.counts(TcpExtListenDrops=1)
def a_syn_from_where_no_route_leads_back(cause):
    peer = Peer()
    peer.listener()
    yield peer
    peer.packet(syn_from(0x0B000002 if cause else PEER))


def syn_from(src):
    return build(src, HOST, 9, 80, 5000, 0, SYN)


@cases.counts(TcpExtTCPFastOpenBlackhole=1)
def no_answer_to_a_syn_with_a_cookie(cause):
    peer = Peer(tcp_fastopen=1)
    known = peer.stack.tcp.fastopen_cache
    tcb = peer.call(user.tcp_open, peer.stack)
    remember(peer.stack, PEER_ADDR).cookie = b"cookie!!"
    assert known
    peer.call(user.connect_fastopen, tcb, b"data", PEER, 7)
    (syn,) = peer.take()
    yield peer
    if not cause:
        peer.segment(SYN | ACK, 5000, syn.end, syn.dport, syn.sport, options=mss_option(MSS))
    peer.advance(1500 * MS)


# Closing


@cases.counts(TcpEstabResets=1, TcpOutRsts=1, TcpExtTCPAbortOnClose=1)
def closing_with_unread_data(cause):
    conn = Peer().established()
    conn.rx(data=b"unread")
    if not cause:
        conn.recv()
    yield conn.peer
    conn.close()


@cases.counts(TcpEstabResets=1, TcpExtTCPAbortOnData=1)
def closing_with_a_linger_time_of_zero(cause):
    conn = Peer().established()
    conn.set(1, 13, (1, 0 if cause else 5))
    yield conn.peer
    conn.close()


@cases.counts(TcpEstabResets=1)
def a_reset_from_the_peer(cause):
    conn = Peer().established()
    yield conn.peer
    conn.rx(RST, seq=0 if cause else -1)


@cases.counts(TcpEstabResets=1, TcpExtTCPAbortOnTimeout=1, TcpExtTCPKeepAlive=1)
def a_peer_that_answers_no_keepalive(cause):
    conn = Peer().established()
    for name, value in ((4, 1), (5, 1), (6, 1)):
        conn.set(6, name, value)
    yield conn.peer
    if cause:
        conn.set(1, 9, 1)
    conn.peer.advance(3 * S)


# What comes in


@cases.counts(TcpExtPAWSOldAck=1)
def an_ack_that_was_overtaken(cause):
    conn = stamped()
    conn.ts = (50 if cause else 100, 0)
    yield conn.peer
    conn.rx(seq=-4)


@cases.counts(TcpExtPAWSEstab=1)
def data_with_an_old_timestamp(cause):
    conn = stamped()
    conn.ts = (50 if cause else 100, 0)
    yield conn.peer
    conn.rx(data=b"new")


@cases.counts(TcpExtPAWSTimewait=1)
def an_old_timestamp_in_time_wait(cause):
    conn = stamped().to("TIME-WAIT")
    conn.ts = (50 if cause else 100, 0)
    yield conn.peer
    conn.rx(data=b"old", seq=-4)


def stamped():
    """A connection with timestamps that has got data with TSval 100."""
    peer = Peer(tcp_timestamps=True)
    conn = peer.established(options=mss_option(MSS) + ts_option(90))
    conn.ts = (100, 0)
    conn.rx(data=b"data")
    conn.recv()
    peer.advance(S)
    return conn


@cases.counts(TcpExtBeyondWindow=1)
def a_segment_beyond_the_window(cause):
    conn = Peer().established()
    yield conn.peer
    conn.rx(data=b"x", seq=1 << 24 if cause else 1)


@cases.counts(TcpExtDelayedACKLost=2, TcpExtTCPDSACKOldSent=2)
def data_that_came_before(cause):
    conn = Peer().established(options=mss_option(MSS) + SACK_OK)
    conn.rx(data=b"twice")
    yield conn.peer
    for _ in range(2):
        conn.rx(data=b"twice", seq=-5 if cause else 0)


@cases.counts(TcpExtTCPZeroWindowDrop=1)
def data_at_a_closed_window(cause):
    conn = Peer(tcp_rmem=5000).established()
    while conn.tcb.rcv_wnd() > 0:
        conn.rx(data=bytes(min(1000, conn.tcb.rcv_wnd())))
        conn.peer.advance(S)
    yield conn.peer
    conn.rx(data=b"x" if cause else b"", window=1000)


@cases.counts(TcpExtTCPWantZeroWindowAdv=1)
def the_room_is_used_up_but_was_promised(cause):
    conn = Peer(tcp_rmem=5000).established()
    for _ in range(3):
        conn.rx(data=bytes(1000))
        conn.peer.advance(S)
    yield conn.peer
    conn.rx(data=bytes(1400 if cause else 10))
    conn.peer.advance(S)


@cases.counts(TcpExtTCPRcvCoalesce=1)
def small_segments_that_nobody_reads(cause):
    conn = Peer().established()
    conn.rx(data=b"one")
    yield conn.peer
    if not cause:
        conn.recv()
    conn.rx(data=b"two")


@cases.counts(TcpExtTCPOFOQueue=1)
def a_segment_out_of_order(cause):
    conn = Peer().established()
    yield conn.peer
    conn.rx(data=bytes(100), seq=100 if cause else 0)


@cases.counts(TcpExtTCPOFOMerge=1, TcpExtTCPDSACKOfoSent=1)
def a_segment_out_of_order_that_came_before(cause):
    conn = Peer().established(options=mss_option(MSS) + SACK_OK)
    conn.rx(data=bytes(100), seq=100)
    yield conn.peer
    conn.rx(data=bytes(100), seq=100 if cause else 200)


@cases.counts(TcpExtTCPOFOMerge=1)
def a_segment_out_of_order_of_which_a_part_came_before(cause):
    conn = Peer().established(options=mss_option(MSS) + SACK_OK)
    conn.rx(data=bytes(100), seq=100)
    yield conn.peer
    conn.rx(data=bytes(100), seq=150 if cause else 200)


@cases.counts(TcpExtTCPOFODrop=1)
def too_many_pieces_out_of_order(cause):
    conn = Peer(tcp_max_ooo=2).established()
    conn.rx(data=b"x", seq=100)
    yield conn.peer
    conn.rx(data=b"x", seq=200)
    if cause:
        conn.rx(data=b"x", seq=300)


@cases.counts(TcpExtRcvPruned=1, TcpExtTCPRcvQDrop=1, TcpExtPruneCalled=1)
def data_for_which_there_is_no_memory(cause):
    conn = full()
    yield conn.peer
    if not cause:
        conn.recv()
    conn.rx(data=bytes(1000))


@cases.counts(TcpExtRcvPruned=1, TcpExtTCPOFODrop=1)
def data_out_of_order_for_which_there_is_no_memory(cause):
    conn = full()
    yield conn.peer
    if not cause:
        conn.recv()
    conn.rx(data=bytes(1000), seq=2000)


def full():
    """A connection that holds all the memory that there is."""
    bounds = {"tcp_mem_low": 20_000, "tcp_mem_pressure": 30_000, "tcp_mem_high": 40_000, "tcp_mem_share": 100}
    conn = Peer(tcp_rmem=400_000, tcp_wscale=3, **bounds).established(options=mss_option(1460) + wscale_option(3))
    for _ in range(40):
        conn.rx(data=bytes(1000))
    return conn


@cases.counts(TcpExtTCPPureAcks=1)
def an_ack_without_data(cause):
    conn = sender()
    yield conn.peer
    conn.has(MSS)
    conn.rx(data=b"" if cause else b"answer")


@cases.counts(TcpExtTCPACKSkippedSeq=1)
def a_second_ack_outside_the_window_so_soon(cause):
    conn = Peer().established()
    conn.rx(data=b"data")
    conn.peer.advance(S)
    conn.rx(seq=-3)
    yield conn.peer
    conn.peer.advance(100 * MS if cause else 600 * MS)
    assert len(conn.rx(seq=-3)) == (not cause)


@cases.counts(TcpExtTCPACKSkippedPAWS=1)
def a_second_old_timestamp_so_soon(cause):
    conn = stamped()
    conn.ts = (50, 0)
    conn.rx(data=b"old")
    yield conn.peer
    conn.peer.advance(100 * MS if cause else 600 * MS)
    conn.rx(data=b"old")


@cases.counts(TcpExtTCPACKSkippedTimeWait=1)
def a_second_one_in_time_wait(cause):
    conn = stamped().to("TIME-WAIT")
    conn.ts = (50, 0)
    conn.rx(data=b"old")
    yield conn.peer
    conn.peer.advance(100 * MS if cause else 600 * MS)
    conn.rx(data=b"old")


@cases.counts(TcpExtTCPACKSkippedFinWait2=1)
def a_second_one_for_an_orphan_in_fin_wait_2(cause):
    conn = stamped()
    conn.close()
    conn.has(1)
    conn.rx()
    assert conn.state == "FIN-WAIT-2"
    conn.ts = (50, 0)
    conn.rx(seq=-3)
    yield conn.peer
    conn.peer.advance(100 * MS if cause else 600 * MS)
    conn.rx(seq=-3)


@cases.counts(TcpExtTCPACKSkippedSynRecv=1)
def a_second_one_while_half_open(cause):
    peer = Peer()
    peer.listener()
    (answer,) = peer.segment(SYN, 5000)
    peer.segment(ACK, 4000, answer.end)
    yield peer
    peer.advance(100 * MS if cause else 600 * MS)
    peer.segment(ACK, 4000, answer.end)


@cases.counts(TcpExtTCPACKSkippedChallenge=1)
def more_challenges_than_a_second_may_have(cause):
    conn = Peer().established()
    conn.rx(SYN, seq=1)
    yield conn.peer
    conn.peer.advance(10 * MS if cause else S)
    conn.rx(SYN, seq=1)


# What is acknowledged


@cases.counts(TcpExtTCPDelivered=3)
def segments_that_arrive(cause):
    conn = sender()
    yield conn.peer
    if cause:
        acked(conn, 2)
        sacked(conn, (1, 2))
    else:
        conn.rx()


@cases.counts(TcpExtTCPDeliveredCE=2)
def segments_that_met_congestion(cause):
    peer = Peer(tcp_ecn=1, tcp_init_cwnd=10)
    tcb, syn = peer.connecting()
    peer.segment(SYN | ACK | ECE, 5000, syn.end, syn.dport, syn.sport, options=mss_option(MSS))
    conn = PeerConn(peer, tcb, syn.dport, syn.sport, 5001, 65535)
    conn.ack = syn.end
    conn.send(bytes(5 * MSS))
    yield peer
    conn.has(2 * MSS)
    conn.rx(ACK | ECE if cause else ACK)


@cases.counts(TcpExtTCPSACKReorder=1)
def a_segment_that_was_overtaken(cause):
    conn = sender()
    sacked(conn, (1, 2) if not cause else (2, 3))
    yield conn.peer
    sacked(conn, (1, 3))


@cases.counts(TcpExtTCPRenoReorder=1)
def more_duplicates_than_segments(cause):
    conn = sender(sack=False, segments=4, size=4 * MSS)
    for _ in range(3):
        conn.rx()
    yield conn.peer
    if cause:
        conn.rx()


@cases.counts(TcpExtTCPTSReorder=1, TcpExtTCPPartialUndo=1)
def a_timestamp_from_before_the_retransmission_in_recovery(cause):
    conn = sender(ts=True, tcp_rack=False)
    conn.peer.advance(50 * MS)
    (again,) = [seg for n in (2, 3, 4) for seg in sacked_with_time(conn, (1, n)) if conn.rel(seg.seq) == 0]
    yield conn.peer
    conn.ts = (1, conn.ts[1] if cause else again.ts[0])
    conn.has(MSS)
    conn.rx(options=sack_option((conn.ack + MSS, conn.ack + 3 * MSS)))


def sacked_with_time(conn, *ranges):
    conn.peer.advance(MS)
    return sacked(conn, *ranges)


@cases.counts(TcpExtTCPFullUndo=1)
def a_timestamp_from_before_the_retransmission_at_its_end(cause):
    conn = sender(ts=True, tcp_rack=False)
    conn.peer.advance(50 * MS)
    (again,) = [seg for n in (2, 3, 4) for seg in sacked_with_time(conn, (1, n)) if conn.rel(seg.seq) == 0]
    yield conn.peer
    conn.ts = (1, conn.ts[1] if cause else again.ts[0])
    conn.ack = conn.tcb.snd_nxt
    conn.rx()


@cases.counts(TcpExtTCPDSACKUndo=1, TcpExtTCPDSACKRecv=1, TcpExtTCPDSACKRecvSegs=1)
def a_retransmission_that_came_twice(cause):
    conn = in_recovery()
    acked(conn, 10)
    yield conn.peer
    if cause:
        conn.rx(options=sack_option((conn.ack - 10 * MSS, conn.ack - 9 * MSS)))


def in_recovery(**settings):
    """Segment 0 was sent again: three others were SACKed."""
    conn = sender(tcp_rack=False, **settings)
    conn.peer.advance(RTT)
    for n in (2, 3, 4):
        sacked(conn, (1, n))
    assert conn.tcb.total_retrans == 1
    return conn


@cases.counts(TcpExtTCPDSACKOfoRecv=1)
def a_duplicate_above_the_acknowledgement(cause):
    conn = in_recovery()
    yield conn.peer
    sacked(conn, *([(2, 3), (1, 5)] if cause else [(1, 5)]))


@cases.counts(TcpExtTCPDSACKIgnoredDubious=1, TcpExtTCPDSACKRecvSegs=0)
def a_duplicate_that_was_never_sent(cause):
    conn = sender()
    acked(conn, 2)
    yield conn.peer
    conn.rx(options=sack_option((conn.ack - 2 * MSS, conn.ack - MSS)) if cause else b"")
    assert conn.tcb.rack_mult == 1


@cases.counts(TcpExtTCPDSACKIgnoredNoUndo=1)
def a_duplicate_with_nothing_to_take_back(cause):
    conn = in_recovery(tcp_undo=True)
    conn.tcb.undo_possible = not cause
    acked(conn, 10)
    yield conn.peer
    conn.rx(options=sack_option((conn.ack - 10 * MSS, conn.ack - 9 * MSS)))


@cases.counts(TcpExtTCPDSACKIgnoredOld=1, TcpExtTCPDSACKUndo=0)
def a_duplicate_from_before_the_recovery(cause):
    conn = sender(tcp_rack=False)
    acked(conn, 2)
    conn.peer.advance(RTT)
    for n in (2, 3, 4):
        sacked(conn, (1, n))
    assert conn.tcb.total_retrans == 1
    yield conn.peer
    left = conn.ack - 2 * MSS
    conn.rx(options=sack_option((left, left + MSS), (conn.ack + MSS, conn.ack + 4 * MSS)) if cause else b"")


@cases.counts(TcpExtTCPSACKDiscard=1)
def a_block_of_what_was_never_sent(cause):
    conn = sender()
    yield conn.peer
    sacked(conn, (50, 51) if cause else (1, 2))


# Sending again


@cases.counts(TcpRetransSegs=1, TcpOutSegs=0, TcpExtTCPTimeouts=1)
def what_goes_again_is_no_segment_more(cause):
    conn = sender(size=MSS)
    yield conn.peer
    if not cause:
        acked(conn, 1)
    conn.peer.advance(400 * MS)


@cases.counts(TcpExtTCPRetransFail=1)
def what_should_go_again_has_no_way(cause):
    conn = sender(size=MSS)
    yield conn.peer
    if cause:
        conn.peer.stack.del_addr(conn.peer.iface, HOST)
    conn.peer.advance(400 * MS)


@cases.counts(TcpExtTCPRenoFailures=1)
def a_timeout_after_one_duplicate(cause):
    conn = sender(sack=False, tcp_limited_transmit=False)
    yield conn.peer
    if cause:
        conn.rx()
    conn.peer.advance(400 * MS)


@cases.counts(TcpExtTCPSackFailures=1)
def a_timeout_with_one_segment_sacked(cause):
    conn = sender(tcp_rack=False)
    yield conn.peer
    if cause:
        sacked(conn, (1, 2))
    conn.peer.advance(700 * MS)


@cases.counts(TcpExtTCPRenoRecoveryFail=1)
def a_timeout_in_recovery(cause):
    conn = sender(sack=False)
    for _ in range(3):
        conn.rx()
    yield conn.peer
    if not cause:
        conn.ack = conn.tcb.snd_nxt
        conn.rx()
    conn.peer.advance(700 * MS)


@cases.counts(TcpExtTCPSackRecoveryFail=1)
def a_timeout_in_recovery_with_sack(cause):
    conn = in_recovery()
    yield conn.peer
    if not cause:
        conn.ack = conn.tcb.snd_nxt
        conn.rx()
    conn.peer.advance(700 * MS)


@cases.counts(TcpExtTCPLossFailures=1)
def a_timeout_after_a_timeout(cause):
    conn = sender(tcp_frto=False, tcp_tlp=False)
    conn.peer.advance(301 * MS)
    yield conn.peer
    if cause:
        acked(conn, 1)
    else:
        conn.ack = conn.tcb.snd_nxt
        conn.rx()
    conn.peer.advance(700 * MS)


@cases.counts(TcpExtTCPLossProbeRecovery=1)
def a_probe_that_repaired_the_tail(cause):
    conn = sender(size=5 * MSS, tcp_tlp_max_ack_delay=0)
    conn.peer.advance(RTT)
    acked(conn, 4 if cause else 5)
    conn.peer.advance(2 * RTT)
    if cause:
        acked(conn, 1)
    yield conn.peer
    conn.send(b"more")
    conn.has(4)
    conn.rx()


@cases.counts(TcpExtTCPHystartDelayDetect=1, TcpExtTCPHystartDelayCwnd=16)
def slow_start_that_ends_by_delay(cause):
    conn = Peer(tcp_congestion="cubic").established()
    tcb = conn.tcb
    tcb.cc, tcb.mss, tcb.cwnd = Cubic(), 1000, 16_000
    yield conn.peer
    for round_trip in range(9):
        tcb.last_rtt = RTT if round_trip == 0 or not cause else 2 * RTT
        tcb.snd_una = tcb.snd_nxt
        tcb.snd_nxt += 10_000
        for _ in range(9):
            tcb.cc.ack_received(tcb, 0)


# And the rest


@cases.counts(TcpExtTCPSackRecovery=1, TcpExtTCPFastRetrans=1)
def three_sacked_above_a_hole(cause):
    conn = sender(tcp_rack=False)
    conn.peer.advance(RTT)
    yield conn.peer
    for n in (2, 3, 4) if cause else (2, 3):
        sacked(conn, (1, n))


@cases.counts(TcpActiveOpens=1)
def an_active_open(cause):
    peer = Peer()
    yield peer
    if cause:
        peer.connecting()


@cases.counts(TcpExtTCPSynRetrans=1, TcpOutSegs=0)
def a_syn_that_nobody_answers(cause):
    peer = Peer()
    _, syn = peer.connecting()
    yield peer
    if not cause:
        peer.segment(RST | ACK, 5000, syn.end, syn.dport, syn.sport)
    peer.advance(1500 * MS)


@cases.counts(TcpExtTCPOrigDataSent=3, TcpOutSegs=3)
def data_that_is_new(cause):
    conn = sender(segments=1, size=MSS)
    acked(conn, 1)
    conn.tcb.cwnd = 3 * MSS
    yield conn.peer
    if cause:
        conn.send(bytes(3 * MSS))


@cases.counts(TcpExtTCPOrigDataSent=1)
def a_fin_of_its_own(cause):
    conn = Peer().established()
    yield conn.peer
    if cause:
        conn.shutdown()


@cases.counts(TcpExtTCPOrigDataSent=1)
def data_in_a_syn(cause):
    peer = Peer(tcp_fastopen=1)
    tcb = peer.call(user.tcp_open, peer.stack)
    remember(peer.stack, PEER_ADDR).cookie = b"cookie!!" if cause else b""
    yield peer
    peer.call(user.connect_fastopen, tcb, b"data", PEER, 7)


@cases.counts(TcpExtTCPSYNChallenge=1, TcpExtTCPChallengeACK=1)
def a_syn_on_an_open_connection(cause):
    conn = Peer().established()
    yield conn.peer
    conn.rx(SYN if cause else ACK)


@cases.counts(TcpExtTCPWinProbe=1)
def a_window_that_stays_closed(cause):
    conn = sender(size=MSS)
    acked(conn, 1)
    conn.rx(window=0 if cause else 1000)
    conn.send(b"waits")
    yield conn.peer
    conn.peer.advance(350 * MS)


@cases.counts(TcpExtTCPSlowStartRetrans=1)
def slow_start_after_a_timeout(cause):
    conn = sender(size=MSS, sack=False)
    if not cause:
        acked(conn, 1)
    yield conn.peer
    conn.peer.advance(400 * MS)


@cases.counts(TcpExtTCPLossUndo=1, TcpExtTCPSpuriousRTOs=1)
def a_timeout_too_soon(cause):
    conn = sender(tcp_tlp=False)
    conn.peer.advance(301 * MS)
    yield conn.peer
    acked(conn, 3 if cause else 1)


@cases.counts(TcpExtTCPSACKReneging=1)
def a_peer_that_throws_away_what_it_sacked(cause):
    conn = sender(tcp_rack=False)
    sacked(conn, (1, 2))
    if cause:
        acked(conn, 1)
    yield conn.peer
    conn.peer.advance(700 * MS)


@cases.counts(TcpExtTCPFastOpenActive=1)
def data_in_a_syn_that_is_taken(cause):
    peer, syn = opening_fast()
    yield peer
    answered(peer, syn, syn.end if cause else syn.end - 4)


@cases.counts(TcpExtTCPFastOpenActiveFail=1)
def data_in_a_syn_that_is_not_taken(cause):
    peer, syn = opening_fast()
    yield peer
    answered(peer, syn, syn.end - 4 if cause else syn.end)


def opening_fast():
    """A SYN with a cookie and four bytes of data."""
    peer = Peer(tcp_fastopen=1)
    tcb = peer.call(user.tcp_open, peer.stack)
    remember(peer.stack, PEER_ADDR).cookie = b"cookie!!"
    peer.call(user.connect_fastopen, tcb, b"data", PEER, 7)
    (syn,) = peer.take()
    assert len(syn) == 4
    return peer, syn


def answered(peer, syn, ack):
    peer.segment(SYN | ACK, 5000, ack, syn.dport, syn.sport, options=mss_option(MSS))


@cases.counts(TcpExtTCPFastOpenCookieReqd=1)
def a_syn_that_asks_for_a_cookie(cause):
    peer = Peer(tcp_fastopen=2)
    listener = peer.listener()
    peer.call(sockopt.setsockopt, listener, 6, sockopt.TCP_FASTOPEN, 1)
    yield peer
    peer.segment(SYN, 5000, sport=1, options=b"\x22\x02\1\1" if cause else b"")


@cases.counts(TcpExtTCPFastOpenListenOverflow=1)
def more_fast_openings_than_may_wait(cause):
    peer = Peer(tcp_fastopen=0x202)
    listener = peer.listener()
    peer.call(sockopt.setsockopt, listener, 6, sockopt.TCP_FASTOPEN, 1)
    if cause:
        peer.segment(SYN, 5000, sport=1, data=b"data")
    yield peer
    peer.segment(SYN, 5000, sport=2, data=b"data")


@cases.counts(TcpExtOutOfWindowIcmps=1)
def an_icmp_error_about_nothing_that_is_out(cause):
    conn = sender(size=MSS)
    yield conn.peer
    seq = conn.ack + (0 if not cause else 50_000)
    quote = build(HOST, PEER, conn.dport, conn.sport, seq, 0, ACK)[:28]
    conn.peer.packet(ip_packet(PEER, HOST, 1, f.icmp(3, 1, bytes(4), quote)))
    assert conn.peer.counters.IcmpInDestUnreachs == 1


@pytest.mark.parametrize(("case", "expected"), cases.all)
def test_counted(case, expected):
    check(case, expected, True)


@pytest.mark.parametrize(("case", "expected"), cases.all)
def test_control_not_counted_without_the_cause(case, expected):
    check(case, expected, False)
