"""Segment arrival by state: RFC 9293 section 3.10.7, with RFC 5961 where it is stricter."""

import errno

import pytest

from pystack.testing.peer import HOST, HOST_ADDR, MS, PEER, PEER_ADDR, Peer, S, build, mss_option
from pystack.testing.segments import ACK, FIN, M32, PSH, RST, SYN, URG
from pystack_c.tcp import user

SYNCHRONIZED = ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"]
SEVEN = pytest.mark.parametrize("state", SYNCHRONIZED)


# 3.10.7.1 CLOSED


def test_closed_answers_everything_but_rst_with_rst(make):
    peer = make()
    (rst,) = peer.segment(SYN, 100, dport=4242, data=b"abc")
    assert (rst.flags, rst.seq, rst.ack) == (RST | ACK, 0, 104)
    (rst,) = peer.segment(FIN | ACK, 100, 777, dport=4242, data=b"abc")
    assert (rst.flags, rst.seq, rst.ack) == (RST, 777, 0)
    (rst,) = peer.segment(FIN, M32, dport=4242)
    assert (rst.flags, rst.seq, rst.ack) == (RST | ACK, 0, 0)
    assert peer.segment(RST, 100, dport=4242) == peer.segment(RST | ACK, 100, 5, dport=4242) == []
    assert peer.counters.TcpOutRsts == 3 and peer.dropped("tcp-no-connection") == 3


# 3.10.7.2 LISTEN


def test_listen(make):
    peer = make()
    listener = peer.listener()
    assert peer.segment(RST, 1) == []
    (rst,) = peer.segment(ACK, 1, 777)
    assert (rst.flags, rst.seq) == (RST, 777)
    (rst,) = peer.segment(SYN | ACK, 1, 777)
    assert (rst.flags, rst.seq) == (RST, 777)
    assert peer.segment(0, 1, data=b"x") == peer.segment(FIN, 1) == peer.segment(SYN | FIN, 1) == []
    assert len(listener.listener.syn_queue) == 0
    (syn_ack,) = peer.segment(SYN, 99)
    assert (syn_ack.flags, syn_ack.ack, syn_ack.seq) == (SYN | ACK, 100, peer.config.tcp_isn)
    assert len(listener.listener.syn_queue) == 1


def test_text_in_a_syn_is_taken_once(make):
    # MUST-? 3.10.7.2: "any other control or data-bearing segment" waits: the text is not acknowledged, and comes again.
    peer = make()
    conn = None
    (syn_ack,) = peer.segment(SYN, 99, data=b"hello")
    assert syn_ack.flags == RST | ACK  # nobody listens yet
    peer.listener()
    (syn_ack,) = peer.segment(SYN, 99, data=b"hello", sport=10)
    assert syn_ack.ack == 100
    peer.segment(ACK, 100, syn_ack.end, sport=10, data=b"hello")
    conn = peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, 10)
    assert peer.call(user.recv, conn, 100, 0) == b"hello"


# 3.10.7.3 SYN-SENT


@pytest.mark.parametrize("off", [-1, 0, 2])
def test_syn_sent_bad_ack(make, off):
    peer = make()
    tcb, syn = peer.connecting()
    number = (syn.seq + off) & M32
    (rst,) = peer.segment(SYN | ACK, 300, number, syn.dport, syn.sport)
    assert (rst.flags, rst.seq) == (RST, number)
    assert peer.segment(RST | ACK, 300, number, syn.dport, syn.sport) == []
    assert tcb.state == 2
    (again,) = peer.advance(S)  # and it goes on trying
    assert again.flags == SYN and again.seq == syn.seq


def test_syn_sent_reset(make):
    peer = make()
    tcb, syn = peer.connecting()
    assert peer.segment(RST, 300, 0, syn.dport, syn.sport) == [] and tcb.state == 2
    assert peer.segment(RST | ACK, 0, syn.end, syn.dport, syn.sport) == []
    assert tcb.state == 7 and tcb.so_error == errno.ECONNREFUSED


def test_syn_sent_neither_syn_nor_rst(make):
    peer = make()
    tcb, syn = peer.connecting()
    assert peer.segment(ACK, 300, syn.end, syn.dport, syn.sport, data=b"x") == []
    assert peer.segment(FIN, 300, 0, syn.dport, syn.sport) == []
    assert tcb.state == 2


def test_syn_sent_to_established_with_text_and_fin(make):
    peer = make()
    tcb, syn = peer.connecting()
    (ack,) = peer.segment(SYN | ACK | FIN, M32 - 1, syn.end, syn.dport, syn.sport, data=b"hi")
    assert ack.ack == 2  # SYN, two bytes, FIN
    assert tcb.state == 8 and peer.call(user.recv, tcb, 10, 0) == b"hi"


def test_simultaneous_open(make):
    peer = make()
    tcb, syn = peer.connecting()
    (syn_ack,) = peer.segment(SYN, peer.irs, 0, syn.dport, syn.sport, options=mss_option(1000))
    assert (syn_ack.flags, syn_ack.seq, syn_ack.ack) == (SYN | ACK, syn.seq, (peer.irs + 1) & M32)
    assert tcb.state == 3
    # The peer's SYN,ACK: its SYN is known, its ACK counts, and no RST or challenge follows.
    out = peer.segment(SYN | ACK, peer.irs, syn.end, syn.dport, syn.sport)
    assert tcb.state == 1 and not any(seg.has(RST) for seg in out)
    assert peer.call(user.send, tcb, b"x", 0) == 1
    assert peer.take()[0].payload == b"x"


# 3.10.7.4 SYN-RECEIVED


def half_open(peer):
    listener = peer.listener()
    (syn_ack,) = peer.segment(SYN, peer.irs)
    return listener, syn_ack, (peer.irs + 1) & M32


def test_syn_received_repeated_syn_repeats_the_syn_ack(make):
    peer = make()
    _, syn_ack, _ = half_open(peer)
    (again,) = peer.segment(SYN, peer.irs)
    assert again.flags == SYN | ACK and again.seq == syn_ack.seq


def test_syn_received_repeated_syn_gives_the_answer_a_whole_timeout(make):
    # Found by tests/sim/properties.py: the repeated SYN was answered, and the half-open connection given up 4 ms later.
    peer = make(tcp_synack_retries=2)
    half_open(peer)
    peer.advance(7 * S - 1)  # SYN-ACKs at 0, 1, 3 s; given up at 7 s
    assert len(peer.segment(SYN, peer.irs)) == 1
    peer.advance(S - 1)
    assert peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, 9).state == 3
    # Once: another SYN gets no more time.
    assert len(peer.segment(SYN, peer.irs)) == 1
    peer.advance(1)
    assert peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, 9) is None


def test_syns_that_come_again_are_answered_twice_a_second_and_do_not_keep_it_half_open(make):
    """One forged SYN each half second kept the queue's place for an hour, and each was answered (Linux tcp_check_req)."""
    peer = make(tcp_invalid_ratelimit=500 * MS)
    half_open(peer)
    sent = 0
    started = peer.now
    while peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, 9) is not None and peer.now - started < 3600 * S:
        sent += sum(seg.has(SYN | ACK) for seg in peer.advance(100 * MS))
        if peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, 9) is not None:
            sent += len(peer.segment(SYN, peer.irs))
    # SYN-ACKs by the timer at 0, 1, 3, 7, 15, 31 s; given up at 63 s, or one RTO later as the last of these SYNs was answered.
    lived = peer.now - started
    assert 63 * S <= lived <= 64 * S + 100 * MS
    assert 100 < sent <= 2 * lived // S + 7
    assert peer.counters.TcpExtTCPACKSkippedSynRecv == peer.dropped("tcp-syn-again") > 400


@pytest.mark.parametrize("off", [0, 2, -1])
def test_syn_received_bad_ack(make, off):
    peer = make()
    _, syn_ack, seq = half_open(peer)
    number = (syn_ack.seq + off) & M32
    (rst,) = peer.segment(ACK, seq, number)
    assert (rst.flags, rst.seq) == (RST, number)
    assert peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, 9).state == 3


def test_syn_received_rst_returns_to_listen(make):
    peer = make()
    listener, _, seq = half_open(peer)
    assert peer.segment(RST, seq) == []
    assert peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, 9) is None and not listener.listener.syn_queue
    assert peer.advance(200 * S) == []


def test_syn_received_active_rst_is_connection_refused(make):
    peer = make()
    tcb, syn = peer.connecting()
    peer.segment(SYN, 300, 0, syn.dport, syn.sport)
    assert tcb.state == 3
    peer.segment(RST, 301, 0, syn.dport, syn.sport)
    assert tcb.state == 7 and tcb.so_error == errno.ECONNREFUSED


def test_syn_received_gives_up(make):
    peer = make(tcp_synack_retries=2)
    listener, _, _ = half_open(peer)
    again = peer.advance(100 * S)
    assert [seg.time // S for seg in again] == [2, 4] and all(seg.flags == SYN | ACK for seg in again)
    assert not listener.listener.syn_queue and peer.stack.poll_timeout() is None


def test_syn_received_fin_goes_to_close_wait(make):
    peer = make()
    listener, syn_ack, seq = half_open(peer)
    (ack,) = peer.segment(ACK | FIN, seq, syn_ack.end, data=b"bye")
    assert ack.ack == (seq + 4) & M32
    tcb = peer.call(user.accept, listener)
    assert tcb.state == 8 and peer.call(user.recv, tcb, 10, 0) == b"bye" and peer.call(user.recv, tcb, 10, 0) == b""


def test_syn_received_close_by_the_application(make):
    # A simultaneous open that the application closes before it is through: the FIN follows the handshake.
    peer = make()
    tcb, syn = peer.connecting()
    peer.segment(SYN, 300, 0, syn.dport, syn.sport)
    peer.call(user.shutdown, tcb, 1)
    peer.take()
    out = peer.segment(ACK, 301, syn.end, syn.dport, syn.sport)
    out += peer.take()
    fins = [seg for seg in out if seg.has(FIN)]
    assert len(fins) == 1 and fins[0].seq == syn.end and tcb.state == 4
    peer.segment(ACK, 301, fins[0].end, syn.dport, syn.sport)
    assert tcb.state == 5


# 3.10.7.4, the synchronized states


@SEVEN
def test_rst_exactly_at_rcv_nxt(make, state):
    # RFC 5961 3.2, case 1
    conn = make().established().to(state)
    assert conn.rx(RST) == [] and conn.state == "CLOSED"
    expect = {"CLOSE-WAIT": errno.EPIPE, "CLOSING": 0, "LAST-ACK": 0, "TIME-WAIT": 0}.get(state, errno.ECONNRESET)
    assert conn.tcb.so_error == expect
    assert conn.peer.advance(1000 * S) == []


@SEVEN
@pytest.mark.parametrize("off", [1, 1000])
def test_rst_elsewhere_in_the_window_is_challenged(make, state, off):
    # RFC 5961 3.2, case 2
    conn = make().established().to(state)
    (ack,) = conn.rx(RST, seq=off)
    assert ack.pure_ack and ack.ack == conn.seq and conn.state == state
    assert conn.peer.counters.TcpExtTCPChallengeACK == 1


@SEVEN
@pytest.mark.parametrize("off", [-1, 1 << 23, -(1 << 30)])
def test_rst_outside_the_window_is_ignored(make, state, off):
    # RFC 5961 3.2, case 3
    conn = make().established().to(state)
    assert conn.rx(RST, seq=off) == [] and conn.state == state


@SEVEN
@pytest.mark.parametrize("flags", [SYN, SYN | ACK])
def test_syn_in_a_synchronized_state_is_challenged(make, state, flags):
    # RFC 5961 4.2 (in TIME-WAIT a bare SYN may reopen the connection: below)
    if state == "TIME-WAIT" and flags == SYN:
        return
    conn = make().established().to(state)
    (ack,) = conn.rx(flags, seq=10)
    assert ack.pure_ack and ack.ack == conn.seq and conn.state == state


def test_challenge_acks_are_limited_for_each_connection_by_itself(make):
    # RFC 5961 7, in Linux's way: an exact budget of all would tell one connection's peer what another one gets (CVE-2016-5696).
    peer = make(tcp_invalid_ratelimit=500 * MS)
    one, two = peer.established(), peer.established()
    acks = [len(conn.rx(RST, seq=10)) for conn in (one, two, one, two, one)]
    assert acks == [1, 1, 0, 0, 0]
    peer.advance(500 * MS)
    assert len(two.rx(RST, seq=10)) == 1 and len(one.rx(SYN, seq=10)) == 1
    assert peer.counters.TcpExtTCPACKSkippedChallenge == 3


def test_the_budget_of_all_challenge_acks_is_never_the_same(make):
    peer = make(tcp_challenge_ack_limit=20)
    conns = [peer.established() for _ in range(40)]
    answered = []
    for _ in range(100):
        peer.advance(2 * S)
        answered.append(sum(len(conn.rx(RST, seq=10)) for conn in conns))
    assert 10 <= min(answered) <= 13 and 26 <= max(answered) <= 29 and len(set(answered)) > 10
    assert 18 < sum(answered) / 100 < 22


@SEVEN
def test_no_ack_bit_no_effect(make, state):
    conn = make().established().to(state)
    assert conn.rx(0, b"data") == [] and conn.state == state
    assert conn.tcb.recvbuf.used == 0


@SEVEN
def test_ack_of_something_never_sent(make, state):
    conn = make().established().to(state)
    una = conn.tcb.snd_una
    (ack,) = conn.rx(ack=conn.rel(conn.tcb.snd_nxt) + 1)
    assert ack.pure_ack and ack.seq == conn.tcb.snd_nxt
    assert conn.state == state and conn.tcb.snd_una == una


def test_ack_from_long_ago_is_challenged(make):
    # RFC 5961 5.2: acceptable is SND.UNA - MAX.SND.WND =< SEG.ACK
    conn = make().established(window=1000)
    assert conn.rx(ack=-900) == []
    assert [seg.pure_ack for seg in conn.rx(data=b"x", ack=-1100)] == [True]
    assert conn.tcb.recvbuf.used == 0


@SEVEN
def test_text_in_each_state(make, state):
    conn = make().established().to(state)
    out = conn.rx(data=b"text", seq=0)
    if state in ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"):
        assert conn.recv() == b"text"
    else:  # "This should not occur since a FIN has been received": it is ignored
        assert conn.tcb.recvbuf.used == 0 and conn.tcb.rcv_nxt == (conn.seq - 4) & M32
    assert conn.state == state and not any(seg.has(RST) for seg in out)


def test_fin_in_each_state(make):
    for state, after in {
        "ESTABLISHED": "CLOSE-WAIT",
        "FIN-WAIT-1": "CLOSING",
        "FIN-WAIT-2": "TIME-WAIT",
    }.items():
        conn = make().established().to(state)
        (ack,) = conn.rx(FIN | ACK)
        assert ack.ack == conn.seq and conn.state == after
    for state in ("CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"):
        conn = make().established().to(state)
        (ack,) = conn.rx(FIN | ACK, seq=-1)  # the same FIN again
        assert ack.pure_ack and ack.ack == conn.seq and conn.state == state


def test_fin_with_the_ack_of_our_fin(make):
    conn = make().established().to("FIN-WAIT-1")
    conn.has(1)
    (ack,) = conn.rx(FIN | ACK)
    assert ack.ack == conn.seq and conn.state == "TIME-WAIT"


def test_simultaneous_close(make):
    conn = make().established().to("CLOSING")
    conn.has(1)
    assert conn.rx() == [] and conn.state == "TIME-WAIT"
    conn.peer.advance(60 * S)
    assert conn.state == "CLOSED"


def test_last_ack_ends(make):
    conn = make().established().to("LAST-ACK")
    conn.has(1)
    assert conn.rx() == [] and conn.state == "CLOSED"
    (rst,) = conn.rx()
    assert rst.has(RST)  # nobody here any more


def test_fin_before_its_data_waits(make):
    conn = make().established()
    conn.rx(FIN | ACK, b"world", seq=5)
    assert conn.state == "ESTABLISHED"
    (ack,) = conn.rx(PSH | ACK, b"hello")
    assert conn.state == "CLOSE-WAIT" and ack.ack == (conn.seq + 6) & M32
    assert conn.recv() == b"helloworld" and conn.recv() == b""


def test_half_close(make):
    conn = make().established().to("FIN-WAIT-2")
    conn.rx(data=b"still coming")
    assert conn.recv() == b"still coming" and conn.state == "FIN-WAIT-2"
    conn = make().established().to("CLOSE-WAIT")
    (seg,) = conn.send(b"still going")
    assert seg.payload == b"still going"
    with pytest.raises(OSError) as caught:
        made = make().established().to("FIN-WAIT-2")
        made.send(b"x")
    assert caught.value.errno == errno.EPIPE


def test_close_with_unread_data_resets(make):
    # RFC 9293 3.6.1, SHLD-3 / RFC 2525 2.17
    conn = make().established()
    conn.rx(data=b"unread")
    (rst,) = conn.close()
    assert rst.flags == RST | ACK and rst.seq == conn.ack and conn.state == "CLOSED"
    conn = make().established()  # the control: read first
    conn.rx(data=b"read")
    conn.recv()
    assert conn.close()[-1].flags & (FIN | RST) == FIN


@pytest.mark.parametrize("state", ["FIN-WAIT-1", "FIN-WAIT-2"])
def test_data_after_close_resets(make, state):
    conn = make().established()
    conn.close()
    if state == "FIN-WAIT-2":
        conn.has(1)
        conn.rx()
    assert conn.state == state
    (rst,) = conn.rx(data=b"too late")
    assert rst.has(RST) and conn.state == "CLOSED"


def test_orphan_in_fin_wait_2_is_forgotten(make):
    conn = make(tcp_fin_timeout=60 * S).established()
    conn.close()
    conn.has(1)
    conn.rx()
    conn.peer.advance(60 * S - 1)
    assert conn.state == "FIN-WAIT-2"
    conn.peer.advance(1)
    assert conn.state == "CLOSED"
    shut = make().established().to("FIN-WAIT-2")  # the control: the application still reads
    shut.peer.advance(600 * S)
    assert shut.state == "FIN-WAIT-2"


def test_time_wait_restarts_on_a_repeated_fin(make):
    # RFC 9293 3.10.7.4, fifth and eighth
    conn = make().established().to("TIME-WAIT")
    conn.peer.advance(59 * S)
    (ack,) = conn.rx(FIN | ACK, seq=-1)
    assert ack.pure_ack
    conn.peer.advance(59 * S)
    assert conn.state == "TIME-WAIT"
    conn.rx()  # the control: another segment does not
    conn.peer.advance(S)
    assert conn.state == "CLOSED"


@pytest.mark.parametrize(("off", "opens"), [(1, True), (100_000, True), (0, False), (-5, False)])
def test_new_syn_in_time_wait(make, off, opens):
    # RFC 9293 3.6.1, MAY-2; RFC 6191 without timestamps
    conn = make().established().to("TIME-WAIT")
    (out,) = conn.rx(SYN, seq=off)
    assert out.flags == (SYN | ACK if opens else ACK)
    if opens:
        assert out.ack == (conn.seq + off + 1) & M32
    assert (conn.state == "CLOSED") == opens


def test_abort(make):
    # 3.10.5: RST where the peer knows of the connection
    for state in SYNCHRONIZED:
        conn = make().established().to(state)
        conn.peer.call(user.abort, conn.tcb)
        out = conn.peer.take()
        assert [seg.has(RST) for seg in out] == ([] if state == "TIME-WAIT" else [True]), state
        assert conn.state == "CLOSED" and conn.peer.stack.poll_timeout() is None


# 3.10.7.4, first: the acceptability test

WINDOW = 1000


@pytest.mark.parametrize(
    ("length", "closed", "seq", "good"),
    [
        (0, True, 0, True), (0, True, 1, False), (0, True, -1, False),
        (0, False, 0, True), (0, False, WINDOW - 1, True), (0, False, WINDOW, False), (0, False, -1, False),
        (5, True, 0, False), (5, True, -4, False),
        (5, False, 0, True), (5, False, WINDOW - 1, True), (5, False, WINDOW, False), (5, False, -4, True), (5, False, -5, False),
    ],
)  # fmt: skip
def test_acceptability_table(make, length, closed, seq, good):
    peer = make(tcp_rmem=WINDOW, tcp_window_scaling=False)
    conn = peer.established()
    if closed:
        conn.rx(data=bytes(WINDOW))
        assert conn.tcb.rcv_wnd() == 0
    sent = conn.send(b"a")
    assert len(sent) == 1
    peer.advance(0)
    # An ACK of our byte is processed just where the segment is acceptable.
    conn.rx(data=bytes(length), seq=seq, ack=1)
    taken = conn.tcb.snd_una == (conn.ack + 1) & M32
    # (3.10.7.4: with a closed window, valid ACKs at RCV.NXT still count, text or not.)
    assert taken == (good or (closed and seq == 0))
    if not good and length:
        assert conn.tcb.recvbuf.used == (WINDOW if closed else 0)


def test_text_is_trimmed_to_the_window_at_both_ends(make):
    conn = make(tcp_rmem=WINDOW, tcp_window_scaling=False).established()
    conn.rx(data=b"abcdef")
    conn.rx(data=b"defghi", seq=-3)
    assert conn.tcb.rcv_nxt == (conn.seq + 3) & M32
    conn.rx(data=bytes(2 * WINDOW), seq=3)
    assert conn.tcb.recvbuf.used == WINDOW and conn.recv()[:9] == b"abcdefghi"


def test_unacceptable_segments_are_answered_but_not_in_a_loop(make):
    # The ACK says where the window is; two hosts that disagree must not do that for ever.
    conn = make().established()
    assert [len(conn.rx(seq=-100)) for _ in range(5)] == [1, 0, 0, 0, 0]
    conn.peer.advance(S)
    assert len(conn.rx(seq=-100)) == 1


def test_urgent_data(make):
    # 3.8.5: the pointer names the byte after the urgent data (MUST-62), on both sides
    conn = make().established()
    conn.rx(ACK | URG, b"abc!", urg=4)
    assert conn.tcb.rcv_up == conn.seq and conn.tcb.pending & 2
    sent = conn.send(b"help", 1)
    assert sent[0].has(URG) and sent[0].urg == 4


# Hostile segments


def test_land_attack_is_harmless():
    # A SYN that claims to come from its own destination.
    peer = Peer()
    peer.listener()
    peer.packet(build(HOST, HOST, 80, 80, 1, 0, SYN))
    assert peer.advance(S) == [] and not peer.stack.tcp.all()[0].listener.syn_queue


@SEVEN
@pytest.mark.parametrize("flags", [0, 0x3F, SYN | FIN, FIN, PSH | URG | FIN, SYN | RST, 0xFF])
def test_flags_that_make_no_sense(make, state, flags):
    conn = make().established().to(state)
    out = conn.rx(flags, b"x", seq=5, urg=3)
    assert not any(seg.has(RST) for seg in out) and conn.state == state


@pytest.mark.parametrize(
    "options", [b"\x02\x00\x00\x00", b"\x02\x01\x00\x00", b"\x05\xff\x00\x00", b"\xfe", b"\x02\x04\x05", b"\x01\x01\x01\x08", b"\x03\x02"]
)  # fmt: skip
def test_options_with_impossible_lengths_end_the_list(make, options):
    # MUST-7
    peer = make()
    peer.listener()
    (syn_ack,) = peer.segment(SYN, 1, options=options)
    assert syn_ack.flags == SYN | ACK
    conn = peer.established()
    conn.rx(data=b"fine", options=options)
    assert conn.recv() == b"fine"


def test_bad_checksums_and_impossible_headers_are_dropped(make):
    # MUST-2, MUST-3
    conn = make().established()
    conn.rx(data=b"good")
    conn.rx(data=b"evil", seq=0, damage=True)
    conn.seq = (conn.seq - 4) & M32
    assert conn.recv() == b"good" and conn.recv() is None
    assert conn.peer.counters.TcpInCsumErrors == 1
    packet = bytearray(build(PEER, HOST, 9, 80, 1, 0, SYN))
    for offset in (0x00, 0x40, 0xF0):
        packet[32] = offset
        assert conn.peer.packet(bytes(packet)) == []
    assert conn.peer.dropped("tcp-malformed") == 3
