"""Retransmission timeout (RFC 6298), giving up (RFC 9293 3.8.3), keep-alive (3.8.4), delayed ACKs (3.8.6.3)."""

import errno

import pytest

from pystack.testing.peer import MS, PEER, Peer, S, mss_option
from pystack.testing.segments import ACK, FIN, RST, SYN
from pystack_c.tcp import user
from pystack_c.tcp.loss import rtt

SOL_SOCKET, SO_KEEPALIVE = 1, 9
SOL_TCP, TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT = 6, 1, 3, 4, 5, 6, 18


# RFC 6298


def test_formula(make):
    # 2.2 and 2.3 with alpha = 1/8 and beta = 1/4, G = 1 ms
    tcb = make(tcp_rto_var_min=MS, tcp_rto_min=0).established().tcb
    tcb.srtt = 0
    rtt.update(tcb, 100 * MS)
    assert (tcb.srtt, tcb.rttvar, tcb.rto) == (100 * MS, 50 * MS, 300 * MS)
    rtt.update(tcb, 180 * MS)
    assert tcb.rttvar == (3 * 50 * MS + 80 * MS) // 4 and tcb.srtt == 110 * MS
    assert tcb.rto == tcb.srtt + 4 * tcb.rttvar
    for _ in range(200):
        rtt.update(tcb, 100 * MS)
    assert tcb.rto == pytest.approx(101 * MS, rel=0.001)  # 4 RTTVAR has fallen below G


@pytest.mark.parametrize(
    ("settings", "rto"), [({"tcp_rto_min": S}, S), ({"tcp_rto_max": 150 * MS}, 150 * MS), ({}, 300 * MS)]
)
def test_bounds(settings, rto):
    # 2.4, 2.5
    tcb = Peer(**settings).established().tcb
    tcb.srtt = 0
    rtt.update(tcb, 100 * MS)
    assert tcb.rto == rto


def open_with_rtt(make, sample=100 * MS, active=True, **settings):
    """A connection whose handshake took `sample`."""
    peer = make(**settings)
    if not active:
        return peer.established()
    tcb, syn = peer.connecting()
    peer.advance(sample)
    peer.segment(SYN | ACK, peer.irs, syn.end, syn.dport, syn.sport, options=mss_option(1460))
    from pystack.testing.peer import PeerConn

    conn = PeerConn(peer, tcb, syn.dport, syn.sport, (peer.irs + 1) & 0xFFFFFFFF, 65535)
    conn.ack = syn.end
    return conn


def test_initial_rto_is_one_second(make):
    # 2.1 for the SYN; 2.2 after its sample
    peer = make()
    peer.connecting()
    assert peer.stack.poll_timeout() == peer.now + S
    assert open_with_rtt(make).tcb.rto == 300 * MS


def test_timer_runs_from_the_oldest_and_restarts_with_new_acks(make):
    # 5.1, 5.2, 5.3
    conn = open_with_rtt(make)
    peer = conn.peer
    conn.send(bytes(2920))
    start = peer.now
    peer.advance(50 * MS)
    conn.has(1460)
    conn.rx()
    assert peer.stack.poll_timeout() == start + 50 * MS + conn.tcb.rto
    conn.has(1460)
    conn.rx()
    assert peer.stack.poll_timeout() is None


def test_backoff_doubles_to_the_ceiling(make):
    # 5.5, 2.5
    conn = open_with_rtt(make, tcp_rto_max=4 * S)
    start = conn.peer.now
    conn.send(b"x")
    again = conn.peer.advance(20 * S)
    at = [(seg.time - start) // MS for seg in again]
    assert at[:6] == [300, 900, 2100, 4500, 8500, 12500]
    assert all(seg.payload == b"x" and seg.seq == conn.ack for seg in again)


def test_backoff_without_end_stays_at_the_ceiling(make):
    conn = open_with_rtt(make, sample=5 * S, tcp_retries2=60)
    conn.send(b"x")
    times = [seg.time for seg in conn.peer.advance(6000 * S)]
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert len(gaps) > 45 and set(gaps[5:]) == {120 * S}


def test_karn(make):
    # Section 3: no sample from what was retransmitted; section 5: the backed-off RTO stays until there is one.
    conn = open_with_rtt(make)
    peer = conn.peer
    srtt = conn.tcb.srtt
    conn.send(b"x")
    peer.advance(300 * MS)  # lost, sent again
    peer.advance(10 * MS)
    conn.has(1)
    conn.rx()
    assert conn.tcb.srtt == srtt and conn.tcb.backoff == 1
    conn.send(b"y")
    assert peer.stack.poll_timeout() == peer.now + 600 * MS
    peer.advance(100 * MS)
    conn.has(1)
    conn.rx()
    assert conn.tcb.backoff == 0 and conn.tcb.rto < 600 * MS
    conn.send(b"z")  # the control: a new sample ends the backoff
    assert peer.stack.poll_timeout() == peer.now + conn.tcb.rto


def test_karn_an_ack_of_a_retransmission_and_more_is_no_sample(make):
    conn = open_with_rtt(make, tcp_tlp=False)
    srtt = conn.tcb.srtt
    conn.send(bytes(2920))
    conn.peer.advance(conn.tcb.rto)  # the first is sent again
    conn.has(2920)
    conn.rx()
    assert conn.tcb.srtt == srtt and conn.tcb.snd_una == conn.ack
    conn.send(bytes(2920))  # the control
    conn.peer.advance(50 * MS)
    conn.has(2920)
    conn.rx()
    assert conn.tcb.srtt != srtt


def test_lost_syn_means_three_seconds(make):
    # 5.7
    peer = make()
    tcb, syn = peer.connecting()
    peer.advance(S)
    peer.segment(SYN | ACK, peer.irs, syn.end, syn.dport, syn.sport)
    peer.call(user.send, tcb, b"x", 0)
    assert peer.stack.poll_timeout() == peer.now + 3 * S


def test_r2_gives_up_and_tells_the_peer(make):
    # RFC 9293 MUST-20
    conn = open_with_rtt(make, tcp_retries2=3)
    conn.send(b"x")
    start = conn.peer.now
    out = conn.peer.advance(100 * S)
    assert [len(seg) for seg in out] == [1, 1, 1, 0] and out[-1].has(RST)
    assert out[-1].time - start == (300 + 600 + 1200 + 2400) * MS
    assert conn.state == "CLOSED" and conn.tcb.so_error == errno.ETIMEDOUT


def test_user_timeout(make):
    # RFC 5482
    conn = open_with_rtt(make)
    conn.set(SOL_TCP, TCP_USER_TIMEOUT, 2000)
    start = conn.peer.now
    conn.send(b"x")
    out = conn.peer.advance(100 * S)
    assert out[-1].has(RST) and out[-1].time - start == 2 * S


def test_the_fin_is_retransmitted(make):
    conn = open_with_rtt(make)
    (fin,) = conn.shutdown()
    (again,) = conn.peer.advance(conn.tcb.rto)
    assert (again.flags, again.seq) == (fin.flags, fin.seq) and again.has(FIN)
    both = open_with_rtt(make)
    both.send(b"last words")
    both.shutdown()
    again = both.peer.advance(both.tcb.rto)
    assert [seg.payload for seg in again] == [b"last words", b""] and again[1].has(FIN)


# RFC 9293 3.8.4, keep-alive


def test_keepalive_is_off_by_default(make):
    # MUST-25
    conn = make().established()
    assert conn.peer.advance(100_000 * S) == [] and conn.state == "ESTABLISHED"


def alive(make, **settings):
    conn = make(**settings).established()
    conn.peer.advance(10 * S)
    conn.set(SOL_SOCKET, SO_KEEPALIVE, 1)
    return conn


def test_keepalive_waits_two_hours_after_the_last_segment(make):
    # MUST-26, MUST-27, MUST-28
    conn = alive(make)
    conn.peer.advance(100 * S)
    conn.rx()
    last = conn.peer.now
    conn.recv()
    (probe,) = conn.peer.advance(7200 * S)
    assert probe.time == last + 7200 * S
    assert probe.seq == conn.ack - 1 & 0xFFFFFFFF and len(probe) == 0  # SEG.SEQ = SND.NXT - 1, without data (SHLD-12)
    conn.rx()  # the answer
    assert conn.peer.advance(7200 * S - 1) == []
    assert len(conn.peer.advance(1)) == 1


def test_keepalive_gives_up_only_after_all_probes(make):
    # MUST-29: one unanswered probe proves nothing
    conn = alive(make)
    conn.set(SOL_TCP, TCP_KEEPIDLE, 10)
    conn.set(SOL_TCP, TCP_KEEPINTVL, 2)
    conn.set(SOL_TCP, TCP_KEEPCNT, 3)
    out = conn.peer.advance(100 * S)
    probes, (rst,) = out[:-1], out[-1:]
    assert [seg.time - probes[0].time for seg in probes] == [0, 2 * S, 4 * S]
    assert rst.has(RST) and rst.time == probes[-1].time + 2 * S
    assert conn.tcb.so_error == errno.ETIMEDOUT


def test_keepalive_one_answer_starts_anew(make):
    conn = make(tcp_keepalive_time=10 * S, tcp_keepalive_intvl=2 * S, tcp_keepalive_probes=3).established()
    conn.set(SOL_SOCKET, SO_KEEPALIVE, 1)
    for _ in range(20):
        assert [seg.pure_ack for seg in conn.peer.advance(13 * S)] == [True, True]
        conn.rx()
    assert conn.state == "ESTABLISHED"
    conn.peer.advance(17 * S)  # the control: this time no answer
    assert conn.state == "CLOSED"


def test_no_keepalive_while_data_is_outstanding(make):
    # "MUST only be sent when no sent data is outstanding"
    conn = alive(make, tcp_keepalive_time=S, tcp_keepalive_intvl=S)
    conn.send(b"x")
    assert all(seg.payload == b"x" for seg in conn.peer.advance(20 * S))


def test_we_answer_the_peers_keepalive(make):
    conn = make().established()
    for data in (b"", b"\0"):  # with garbage octet, as old ones do
        (ack,) = conn.rx(data=data, seq=-1)
        assert ack.pure_ack and ack.ack == conn.seq
        conn.peer.advance(S)


# RFC 9293 3.8.6.3, delayed ACKs; RFC 5681 4.2


def test_ack_is_delayed_but_not_for_a_second_full_segment(make):
    conn = make().established()
    assert conn.rx(data=bytes(1460)) == []
    (ack,) = conn.rx(data=bytes(1460))
    assert ack.pure_ack and ack.ack == conn.seq
    assert conn.rx(data=bytes(100)) == []
    assert conn.peer.advance(40 * MS - 1) == []
    (ack,) = conn.peer.advance(1)
    assert ack.ack == conn.seq
    assert conn.peer.advance(S) == []


def test_small_segments_are_acknowledged_by_the_timer_of_the_first(make):
    conn = make().established()
    conn.rx(data=b"a")
    conn.peer.advance(30 * MS)
    assert conn.rx(data=b"b") == []
    (ack,) = conn.peer.advance(10 * MS)
    assert ack.ack == conn.seq


def test_an_answer_carries_the_ack(make):
    conn = make().established()
    conn.rx(data=b"question")
    (answer,) = conn.send(b"answer")
    assert answer.ack == conn.seq and conn.peer.advance(100 * MS) == []


def test_acks_of_a_batch_merge(make):
    # MUST-58, MUST-59: process all that has arrived before ACKing
    from pystack.testing.peer import HOST, build

    conn = make().established()
    peer = conn.peer
    for n in range(10):
        packet = build(PEER, HOST, conn.sport, conn.dport, conn.seq + n * 1460, conn.ack, ACK, data=bytes(1460))
        peer.stack.receive(peer.iface, packet, peer.now)
    (ack,) = peer.take()
    assert ack.ack == (conn.seq + 14600) & 0xFFFFFFFF


def test_out_of_order_and_gap_filling_are_acknowledged_at_once(make):
    conn = make().established()
    (dup,) = conn.rx(data=bytes(100), seq=100)
    assert dup.ack == conn.seq
    (ack,) = conn.rx(data=bytes(100))
    assert ack.ack == (conn.seq + 100) & 0xFFFFFFFF


def test_quick_acks_at_the_start(make):
    conn = make(tcp_quickack_segs=3).established()
    assert [len(conn.rx(data=b"x")) for _ in range(6)] == [1, 1, 1, 0, 0, 0]


# RFC 9293 3.7.4, Nagle; PSH


def test_nagle_holds_the_second_small_segment(make):
    conn = make(tcp_minshall=False).established()
    assert [seg.payload for seg in conn.send(b"one")] == [b"one"]
    assert conn.send(b"two") == conn.send(b"three") == []
    conn.has(3)
    assert [seg.payload for seg in conn.rx()] == [b"twothree"]


def test_nodelay_and_cork(make):
    conn = make().established()
    conn.set(SOL_TCP, TCP_NODELAY, 1)
    assert len(conn.send(b"one")) == len(conn.send(b"two")) == 1
    conn = make().established()
    conn.set(SOL_TCP, TCP_CORK, 1)
    assert conn.send(b"one") == []
    assert [len(seg) for seg in conn.send(bytes(1460))] == [1460]  # a full one goes
    assert [len(seg) for seg in conn.set(SOL_TCP, TCP_CORK, 0)] == [3]


def test_cork_lasts_200_ms_at_most(make):
    conn = make().established()
    conn.set(SOL_TCP, TCP_CORK, 1)
    conn.send(b"one")
    (seg,) = conn.peer.advance(200 * MS)
    assert seg.payload == b"one" and seg.time == conn.peer.now


def test_fin_is_not_held_by_nagle(make):
    conn = make().established()
    conn.send(b"one")
    conn.send(b"two")
    (last,) = conn.shutdown()
    assert last.payload == b"two" and last.has(FIN)


def test_push_when_the_buffer_is_empty(make):
    # MUST-61: PSH in the last segment of what was written, in every segment sent alone
    conn = make().established()
    assert [bool(seg.flags & 8) for seg in conn.send(bytes(3 * 1460 + 10))] == [False, False, False, True]
    conn.has(3 * 1460 + 10)
    conn.rx()
    assert [bool(seg.flags & 8) for seg in conn.send(b"x")] == [True]
