"""RFC 9293, sections 3.8.1 to 3.8.4: retransmission, congestion control, giving up, keep-alive."""

import errno

import pytest

from pystack.testing.peer import HOST, MS, PEER, SACK_OK, Peer, PeerConn, S, build, mss_option, with_tos
from pystack.testing.segments import ACK, RST, SYN
from pystack_c.tcp import sockopt, user
from pystack_c.tcp.loss import rtt
from tests.rfc import quoting

SOL_SOCKET, SO_ERROR, SO_KEEPALIVE = 1, 4, 9
SOL_TCP, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_CONGESTION, TCP_USER_TIMEOUT = 6, 4, 5, 6, 13, 18


def timed(make, sample=100 * MS, **settings):
    """A connection whose handshake took `sample`."""
    peer = make(**settings)
    tcb, syn = peer.connecting()
    peer.advance(sample)
    peer.segment(SYN | ACK, peer.irs, syn.end, syn.dport, syn.sport, options=mss_option(1460))
    conn = PeerConn(peer, tcb, syn.dport, syn.sport, (peer.irs + 1) & 0xFFFFFFFF, 65535)
    conn.ack = syn.end
    return conn


def test_must_18_rto_by_rfc_6298_without_ambiguous_samples(make):
    tcb = make(tcp_rto_var_min=MS, tcp_rto_min=0).established().tcb
    tcb.srtt = 0
    rtt.update(tcb, 100 * MS)
    assert (tcb.srtt, tcb.rttvar, tcb.rto) == (100 * MS, 50 * MS, 300 * MS)
    rtt.update(tcb, 180 * MS)
    assert (tcb.rttvar, tcb.srtt, tcb.rto) == (57_500_000, 110 * MS, 340 * MS)
    conn = timed(make)
    srtt = conn.tcb.srtt
    conn.send(b"x")
    conn.peer.advance(300 * MS)  # lost, sent again: Karn
    conn.peer.advance(10 * MS)
    conn.has(1)
    conn.rx()
    assert conn.tcb.srtt == srtt
    conn.send(b"y")  # the control
    conn.peer.advance(150 * MS)
    conn.has(1)
    conn.rx()
    assert conn.tcb.srtt > srtt


def test_must_19_slow_start_congestion_avoidance_and_backoff(make):
    mss = 1000
    conn = make(tcp_init_cwnd=4, tcp_init_ssthresh=16_000).established(options=mss_option(mss))
    out = conn.send(bytes(200 * mss))
    rounds = []
    for _ in range(6):
        rounds.append(len(out))
        new = []
        for _ in out:
            conn.has(mss)
            new += conn.rx()
        out = new
    assert rounds == [4, 8, 16, 17, 18, 19]
    silent = timed(make, tcp_rto_max=4 * S)
    start = silent.peer.now
    silent.send(b"x")
    assert [(seg.time - start) // MS for seg in silent.peer.advance(20 * S)][:6] == [300, 900, 2100, 4500, 8500, 12500]


def test_may_18_other_congestion_controls_may_be_chosen(make):
    for name in ("reno", "cubic", "bbr"):
        conn = make().established()
        conn.set(SOL_TCP, TCP_CONGESTION, name)
        assert conn.tcb.cc.name == name
    with pytest.raises(OSError) as caught:
        conn.set(SOL_TCP, TCP_CONGESTION, "none-of-that-name")
    assert caught.value.errno == errno.ENOENT


def test_shld_8_ecn(make):
    peer = make(tcp_ecn=1)
    tcb, syn = peer.connecting()
    assert syn.flags == SYN | 0xC0
    peer.segment(SYN | ACK | 0x40, peer.irs, syn.end, syn.dport, syn.sport, options=mss_option(1000))
    conn = PeerConn(peer, tcb, syn.dport, syn.sport, (peer.irs + 1) & 0xFFFFFFFF, 65535)
    conn.ack = syn.end
    out = conn.send(bytes(50_000))
    assert all(seg.tos & 3 == 2 for seg in out)
    before = tcb.cwnd
    conn.has(1000)
    conn.rx(ACK | 0x40)  # the peer echoes a mark: as a loss, once, without one
    conn.has(1000)
    conn.rx(ACK | 0x40)
    assert tcb.cwnd == tcb.ssthresh == before // 2 and conn.peer.counters.TcpRetransSegs == 0
    out = []
    for _ in range(8):
        conn.has(1000)
        out += conn.rx()
    assert sum(bool(seg.flags & 0x80) for seg in out) == 1  # CWR
    packet = build(PEER, HOST, conn.sport, conn.dport, conn.seq, conn.ack, ACK, data=bytes(900))
    acks = [*peer.packet(with_tos(packet, 3)), *peer.advance(20 * MS)]
    assert all(seg.flags & 0x40 for seg in acks) and tcb.ecn_echo  # a router's mark is echoed


def test_must_20_r1_asks_ip_anew_and_r2_closes(make):
    conn = timed(make, tcp_retries2=5)
    conn.send(b"x")
    routes = [conn.tcb.route]
    for _ in range(3):
        conn.peer.now = conn.peer.stack.poll_timeout()
        conn.peer.stack.handle_timeout(conn.peer.now)
        routes.append(conn.tcb.route)
        conn.peer.drain()
    assert routes[:3] == [routes[0]] * 3 and routes[3] is None and conn.tcb.route is not None
    out = conn.peer.advance(1000 * S)
    assert conn.state == "CLOSED" and conn.tcb.so_error == errno.ETIMEDOUT and out[-1].has(RST)
    assert [len(seg) for seg in out] == [1] * 5 + [0]


def test_must_21_the_application_chooses_r2(make):
    for limit in (2000, 7000):
        conn = timed(make)
        conn.set(SOL_TCP, TCP_USER_TIMEOUT, limit)
        start = conn.peer.now
        conn.send(b"x")
        out = conn.peer.advance(100 * S)
        assert out[-1].has(RST) and out[-1].time - start == limit * MS


def test_must_22_syns_follow_r1_and_r2_too(make):
    peer = make(tcp_syn_retries=4)
    tcb, syn = peer.connecting()
    again = peer.advance(200 * S)
    assert [seg.time - syn.time for seg in again] == [1 * S, 3 * S, 7 * S, 15 * S]
    assert all(seg.flags == SYN and seg.seq == syn.seq for seg in again)
    assert tcb.state == 7 and tcb.so_error == errno.ETIMEDOUT
    limited, _ = peer.connecting(syn_retries=2)  # R2 is the application's (TCP_SYNCNT)
    peer.advance(6 * S)
    assert limited.state == 2
    peer.advance(2 * S)
    assert limited.state == 7


def test_must_23_a_syn_is_retried_for_three_minutes(make):
    peer = make(profile="rfc")
    tcb, _ = peer.connecting()
    peer.advance(180 * S)
    assert tcb.state == 2
    peer.advance(1000 * S)
    assert tcb.so_error == errno.ETIMEDOUT


def test_shld_9_trouble_is_told_before_the_end(make):
    conn = make(tcp_retries2=6).established()
    conn.send(b"x")
    quoting.error(conn, 3, 1)
    info = conn.peer.call(sockopt.tcp_info, conn.tcb)
    assert conn.tcb.soft_error == errno.EHOSTUNREACH and info["tcpi_retransmits"] == 0
    conn.peer.advance(5 * S)
    info = conn.peer.call(sockopt.tcp_info, conn.tcb)
    assert info["tcpi_retransmits"] >= 3 and conn.state == "ESTABLISHED"


def test_shld_10_r1_is_three_retransmissions_at_least():
    for profile in ("linux", "rfc", "lab"):
        conn = Peer(profile).established()
        conn.send(b"x")
        route = conn.tcb.route
        for _ in range(2):
            conn.peer.now = conn.peer.stack.poll_timeout()
            conn.peer.stack.handle_timeout(conn.peer.now)
            assert conn.tcb.route is route
            conn.peer.drain()


def test_shld_11_r2_is_100_seconds_at_least():
    for profile in ("linux", "rfc", "lab"):
        conn = Peer(profile).established()
        conn.send(b"x")
        conn.peer.advance(100 * S)
        assert conn.state == "ESTABLISHED"


def alive(make, **settings):
    """An open connection with keep-alive on."""
    conn = make(**settings).established()
    conn.peer.advance(10 * S)
    conn.set(SOL_SOCKET, SO_KEEPALIVE, 1)
    return conn


def test_must_24_keep_alive_is_the_applications_choice(make):
    conn = alive(make, tcp_keepalive_time=10 * S)
    assert len(conn.peer.advance(12 * S)) == 1
    conn.rx()
    conn.set(SOL_SOCKET, SO_KEEPALIVE, 0)
    assert conn.peer.advance(1000 * S) == []


def test_must_25_and_off_by_default(make):
    conn = make().established()
    assert conn.peer.advance(100_000 * S) == [] and conn.state == "ESTABLISHED"


def test_must_26_probes_only_on_an_idle_line(make):
    conn = make(tcp_keepalive_time=10 * S, tcp_keepalive_intvl=S).established()
    conn.set(SOL_SOCKET, SO_KEEPALIVE, 1)
    for _ in range(10):
        assert all(seg.seq == conn.ack for seg in conn.peer.advance(9 * S))
        conn.rx(data=b"x")
        conn.recv()
    conn.peer.advance(S)
    conn.send(b"x")  # outstanding: retransmissions, no probes
    assert all(seg.payload == b"x" for seg in conn.peer.advance(20 * S))


def test_must_27_the_idle_interval_can_be_set(make):
    for idle in (5, 500):
        conn = alive(make)
        conn.set(SOL_TCP, TCP_KEEPIDLE, idle)
        last = conn.peer.now - 10 * S
        (probe, *_) = conn.peer.advance(idle * S)
        assert probe.time == max(last + idle * S, last + 10 * S + 1)


def test_must_28_its_default_is_two_hours(make):
    conn = alive(make)
    assert conn.peer.advance(7190 * S - 1) == []
    assert len(conn.peer.advance(1)) == 1


def test_must_29_one_unanswered_probe_proves_nothing(make):
    conn = alive(make)
    conn.set(SOL_TCP, TCP_KEEPIDLE, 20)
    conn.set(SOL_TCP, TCP_KEEPINTVL, 2)
    conn.set(SOL_TCP, TCP_KEEPCNT, 3)
    out = conn.peer.advance(14 * S)
    assert len(out) == 3 and conn.state == "ESTABLISHED"
    conn.rx()  # an answer, at last
    conn.peer.advance(23 * S)
    assert conn.state == "ESTABLISHED"
    conn.peer.advance(10 * S)
    assert conn.state == "CLOSED" and conn.tcb.so_error == errno.ETIMEDOUT


def test_shld_12_probes_have_no_data(make):
    conn = alive(make, tcp_keepalive_time=20 * S)
    (probe,) = conn.peer.advance(15 * S)
    assert len(probe) == 0 and probe.seq == conn.ack - 1 & 0xFFFFFFFF and probe.flags == ACK


def test_may_5_there_are_keep_alives(make):
    assert len(alive(make, tcp_keepalive_time=20 * S).peer.advance(15 * S)) == 1


def test_may_6_a_garbage_byte_is_answered_and_not_taken(make):
    conn = make().established()
    for data in (b"", b"\0"):
        (ack,) = conn.rx(data=data, seq=-1)
        assert ack.pure_ack and ack.ack == conn.seq and conn.recv() is None


def test_may_4_a_retransmission_has_an_identification_of_its_own(make):
    conn = timed(make)
    (first,) = conn.send(b"x")
    again = conn.peer.advance(5 * S)
    assert len({seg.ident for seg in (first, *again)}) == 1 + len(again)


def test_may_13_out_of_order_segments_are_acknowledged_at_once(make):
    conn = make().established(options=mss_option(1460) + SACK_OK)
    (dup,) = conn.rx(data=bytes(100), seq=100)
    assert dup.ack == conn.seq and dup.sack == [((conn.seq + 100) & 0xFFFFFFFF, (conn.seq + 200) & 0xFFFFFFFF)]
    (ack,) = conn.rx(data=bytes(100))
    assert ack.ack == (conn.seq + 100) & 0xFFFFFFFF
    assert user.recv(conn.tcb, 1000, 0, conn.peer.now) == bytes(200)
