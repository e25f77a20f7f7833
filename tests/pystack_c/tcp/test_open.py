"""Opening: sequence numbers (RFC 9293 3.4.1), ports, listeners and their two queues."""

import errno

import pytest

from pystack.testing.peer import HOST, HOST_ADDR, MS, PEER, PEER_ADDR, Peer, S
from pystack.testing.segments import ACK, PSH, RST, SYN
from pystack_c.base.address import conn_key, v4
from pystack_c.base.siphash import SipHash
from pystack_c.tcp import user

M32 = 0xFFFFFFFF


def isn(peer, addr=PEER, port=7, lport=0):
    """The ISN of an active open."""
    tcb = peer.call(user.tcp_open, peer.stack)
    if lport:
        peer.call(user.bind, tcb, 0, lport)
    peer.call(user.connect, tcb, addr, port)
    (syn,) = peer.take()
    peer.call(user.close, tcb)
    return syn.seq


def test_isn_ticks_every_4_us():
    # RFC 9293 MUST-8
    peer = Peer()
    first = isn(peer, lport=1000)
    peer.advance(40_000)
    assert (isn(peer, lport=1000) - first) & M32 == 10
    peer.advance(S)
    assert (isn(peer, lport=1000) - first) & M32 == 250_010


def test_isn_differs_by_each_of_the_four_and_by_host():
    # RFC 9293 3.4.1: F is keyed, over the four
    peer = Peer()
    values = [
        isn(peer, lport=1000),
        isn(peer, lport=1001),
        isn(peer, port=8, lport=1000),
        isn(peer, PEER + 1, lport=1000),
    ]
    other = Peer()
    other.stack.rng.hasher = SipHash(bytes(16))
    values.append(isn(other, lport=1000))
    assert len(set(values)) == 5
    near = [abs(a - b) for a in values for b in values if a is not b]
    assert min(near) > 1000


def test_isn_is_the_same_compiled_and_uncompiled():
    # What the keyed hash gives for this seed: a number, so that both builds are held to it.
    assert (isn(Peer(start=0), lport=1000), Peer().stack.tcp.hash4(HOST_ADDR, 1, PEER_ADDR, 2)) == EXPECTED_ISN


EXPECTED_ISN = (3_744_094_647, 6_143_675_088_048_583_160)


def test_ephemeral_ports():
    # RFC 6056: inside the range, each once, not in a row to anybody else
    peer = Peer(port_min=40_000, port_max=40_063)
    ports = [peer.connecting()[1].sport for _ in range(64)]
    assert sorted(ports) == list(range(40_000, 40_064))
    with pytest.raises(OSError) as caught:
        peer.connecting()
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert peer.connecting(port=8)[1].sport in ports  # to another service there are


def test_ports_to_different_services_start_at_different_places():
    firsts = {Peer().connecting(port=port)[1].sport for port in range(1, 20)}
    assert len(firsts) >= 18


def test_connect_twice(make):
    peer = make()
    tcb, syn = peer.connecting()
    with pytest.raises(OSError) as caught:
        peer.call(user.connect, tcb, PEER, 7)
    assert caught.value.errno == errno.EALREADY
    peer.segment(SYN | ACK, 1, syn.end, syn.dport, syn.sport)
    with pytest.raises(OSError) as caught:
        peer.call(user.connect, tcb, PEER, 7)
    assert caught.value.errno == errno.EISCONN


@pytest.mark.parametrize(
    ("addr", "code"),
    [(0xFFFFFFFF, errno.ENETUNREACH), (0xE0000001, errno.ENETUNREACH), (0x0B000001, errno.ENETUNREACH)],
)
def test_connect_where_there_is_no_way(make, addr, code):
    # MUST-46, MUST-47
    peer = make()
    tcb = peer.call(user.tcp_open, peer.stack)
    with pytest.raises(OSError) as caught:
        peer.call(user.connect, tcb, addr, 7)
    assert caught.value.errno == code and peer.take() == []


def test_same_four_twice(make):
    peer = make()
    one = peer.call(user.tcp_open, peer.stack)
    two = peer.call(user.tcp_open, peer.stack)
    for tcb in (one, two):
        tcb.reuseaddr = True
        peer.call(user.bind, tcb, 0, 5000)
    peer.call(user.connect, one, PEER, 7)
    with pytest.raises(OSError) as caught:
        peer.call(user.connect, two, PEER, 7)
    assert caught.value.errno == errno.EADDRNOTAVAIL


# Listeners


def knock(peer, sport, finish=True):
    """A connection attempt; True where it got through to the accept queue."""
    out = peer.segment(SYN, 100, sport=sport)
    if not out or not out[0].has(SYN | ACK):
        return False
    if finish:
        peer.segment(ACK, 101, out[0].end, sport=sport)
    return True


def test_accept_queue_holds_backlog_plus_one(make):
    peer = make()
    listener = peer.listener(backlog=4)
    assert [knock(peer, port) for port in range(1, 9)] == [True] * 5 + [False] * 3
    assert peer.counters.TcpExtListenOverflows == 3 and peer.dropped("tcp-accept-queue-full") == 3
    assert [peer.call(user.accept, listener).rport for _ in range(5)] == [1, 2, 3, 4, 5]
    assert peer.call(user.accept, listener) is None
    assert knock(peer, 9)


@pytest.mark.parametrize("abort", [False, True])
def test_a_good_cookie_at_a_full_accept_queue_is_dropped_in_silence(make, abort):
    """As on Linux (a RST ended the client's connection): it comes again with the client's data, and there may be room then."""
    peer = make(tcp_syncookies=2, tcp_abort_on_overflow=abort)
    listener = peer.listener(backlog=0)
    (one,), (two,) = peer.segment(SYN, 100, sport=1), peer.segment(SYN, 100, sport=2)
    peer.segment(ACK, 101, one.end, sport=1)
    assert peer.segment(ACK, 101, two.end, sport=2) == []
    assert peer.counters.TcpExtListenOverflows == peer.counters.TcpExtListenDrops == 1
    assert peer.dropped("tcp-accept-queue-full") == 1 and peer.counters.TcpOutRsts == 0
    assert peer.dropped("tcp-no-connection") == 0 and peer.counters.TcpExtSyncookiesFailed == 0
    assert peer.call(user.accept, listener).rport == 1
    peer.segment(ACK | PSH, 101, two.end, sport=2, data=b"hello")
    assert peer.call(user.recv, peer.call(user.accept, listener), 10, 0) == b"hello"
    # The control: a bad one is refused, whether there is room or not.
    peer.segment(ACK, 101, two.end, sport=3)
    assert peer.counters.TcpOutRsts == 1


def test_third_step_at_a_full_accept_queue_is_ignored_and_comes_again(make):
    peer = make()
    listener = peer.listener(backlog=0)
    (one,), (two,) = peer.segment(SYN, 100, sport=1), peer.segment(SYN, 100, sport=2)
    peer.segment(ACK, 101, one.end, sport=1)
    assert peer.segment(ACK, 101, two.end, sport=2) == []
    assert peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, 2).state == 3
    peer.call(user.accept, listener)
    again = [seg for seg in peer.advance(S) if seg.dport == 2]
    assert again[0].has(SYN | ACK)
    peer.segment(ACK, 101, two.end, sport=2)
    assert peer.call(user.accept, listener).rport == 2


def test_third_step_at_a_full_accept_queue_with_reset(make):
    peer = make(tcp_abort_on_overflow=True)
    peer.listener(backlog=0)
    (one,), (two,) = peer.segment(SYN, 100, sport=1), peer.segment(SYN, 100, sport=2)
    peer.segment(ACK, 101, one.end, sport=1)
    (rst,) = peer.segment(ACK, 101, two.end, sport=2)
    assert rst.has(RST) and peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, 2) is None
    (rst,) = peer.segment(SYN, 100, sport=3)
    assert rst.flags == RST | ACK and rst.ack == 101


def test_syn_queue_is_bounded(make):
    peer = make(tcp_max_syn_backlog=100, tcp_syncookies=False)
    listener = peer.listener(backlog=1000)
    assert [knock(peer, port, finish=False) for port in range(1, 121)].count(True) == 100
    assert len(listener.listener.syn_queue) == 100 and peer.dropped("tcp-syn-queue-full") == 20
    peer.advance(200 * S)  # they give up
    assert len(listener.listener.syn_queue) == 0 and peer.stack.poll_timeout() is None
    assert knock(peer, 500)


def test_syn_ack_is_repeated_until_it_is_answered(make):
    peer = make()
    peer.listener()
    knock(peer, 1, finish=False)
    again = peer.advance(100 * S)
    assert [seg.time // S - 1 for seg in again] == [1, 3, 7, 15, 31] and all(seg.flags == SYN | ACK for seg in again)


def test_closing_a_listener_resets_what_waits(make):
    peer = make()
    listener = peer.listener()
    knock(peer, 1)
    knock(peer, 2, finish=False)
    peer.call(user.close, listener)
    assert sorted(seg.dport for seg in peer.take() if seg.has(RST)) == [1, 2]
    assert peer.stack.poll_timeout() is None and peer.stack.tcp.all() == []
    (rst,) = peer.segment(SYN, 1, sport=3)
    assert rst.has(RST)


def test_a_bound_address_beats_any(make):
    peer = make()
    peer.stack.add_addr(peer.iface, HOST + 10, 24)
    anyone = peer.call(user.tcp_open, peer.stack)
    exact = peer.call(user.tcp_open, peer.stack)
    for tcb, addr in ((anyone, 0), (exact, HOST + 10)):
        tcb.reuseaddr = True
        peer.call(user.bind, tcb, addr, 80)
    peer.call(user.listen, anyone, 5)
    with pytest.raises(OSError) as caught:  # Linux: any and exact cannot both listen, SO_REUSEPORT apart
        peer.call(user.listen, exact, 5)
    assert caught.value.errno == errno.EADDRINUSE


def test_options_of_the_listener_are_inherited(make):
    peer = make()
    listener = peer.listener()
    listener.nodelay, listener.ttl, listener.user_mss = True, 9, 600
    conn = peer.established()
    assert (conn.tcb.nodelay, conn.tcb.ttl, conn.syn_ack.mss) == (True, 9, 600)


def test_everything_is_given_back(make):
    # No endpoint, no timer, no port after many connections have come and gone.
    peer = make()
    listener = peer.listener()
    for n in range(30):
        conn = peer.established()
        conn.rx(data=b"hello")
        conn.recv()
        conn.send(b"world")
        conn.has(5)
        conn.rx()
        if n % 3 == 0:
            conn.rx(RST)
            conn.close()
        else:
            conn.to("TIME-WAIT" if n % 3 == 1 else "LAST-ACK")
            if n % 3 == 2:
                conn.has(1)
                conn.rx()
            conn.close()
    peer.advance(100 * S)
    assert peer.stack.endpoints == {listener.ident: listener}
    assert peer.stack.tcp.conns == {} and list(peer.stack.tcp.buckets) == [80]
    assert peer.stack.poll_timeout() is None and peer.stack.tcp.time_wait == 0 and peer.counters.TcpCurrEstab == 0


def test_keys_are_unique_and_spread_wherever_they_differ():
    # A dict of 1,024 places looks at the low 10 bits of a key first.
    some = range(1000)
    for keys in (
        [conn_key(PEER_ADDR, port + 20_000, 80) for port in some],
        [conn_key(PEER_ADDR, 80, port + 20_000) for port in some],
        [conn_key(PEER_ADDR + n, 80, 20_000) for n in some],
        [conn_key(PEER_ADDR + (n << 16), 80, 20_000) for n in some],
    ):
        assert len({key & 0x3FF for key in keys}) > 900
    four = [
        conn_key(PEER_ADDR ^ n, a, b)
        for n in (0, 1, 1 << 16, 1 << 31)
        for a in range(0, 65536, 3855)
        for b in range(0, 65536, 3855)
    ]
    assert len(set(four)) == 4 * 18 * 18


def test_a_listener_of_one_address_hears_of_that_only():
    peer = Peer()
    peer.stack.add_addr(peer.stack.ifaces[1], HOST + 50, 24)
    listener = peer.listener()
    bound = peer.call(user.tcp_open, peer.stack)
    peer.call(user.bind, bound, HOST + 50, 81)
    peer.call(user.listen, bound, 5)
    pkt = peer.stack.packet
    for dst, port, found in ((HOST, 80, listener), (HOST + 50, 80, listener), (HOST + 50, 81, bound), (HOST, 81, None)):
        pkt.dst, pkt.dport = v4(dst), port
        assert peer.stack.tcp.listener_for(pkt) is found


def test_time_wait_is_bounded(make):
    peer = make(tcp_max_tw_buckets=2)
    states = [peer.established() for _ in range(4)]
    for conn in states[:2]:
        conn.to("TIME-WAIT")
    for conn in states[2:]:
        conn.to("FIN-WAIT-2")
        conn.rx(1 | ACK)
    assert peer.stack.tcp.time_wait == 2 and peer.counters.TcpExtTCPTimeWaitOverflow == 2
    assert [conn.state for conn in states] == ["TIME-WAIT"] * 2 + ["CLOSED"] * 2


def test_a_connection_to_oneself():
    # Loopback: both ends in one stack
    peer = Peer()
    listener = peer.listener()
    tcb = peer.call(user.tcp_open, peer.stack)
    peer.call(user.connect, tcb, 0x7F000001, 80)
    other = peer.call(user.accept, listener)
    assert peer.call(user.send, tcb, bytes(300_000), 0) == 300_000
    got = b""
    while len(got) < 300_000:
        data = peer.call(user.recv, other, 1 << 20, 0)
        got += data if data else b""
        if not data:
            peer.advance(MS)
    assert len(got) == 300_000 and peer.take() == []
