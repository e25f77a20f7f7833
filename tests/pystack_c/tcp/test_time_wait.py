"""TIME-WAIT: how much it holds, RFC 1337's hazards, and what may take its place (RFC 6191)."""

import errno
import gc
import tracemalloc

import pytest

from pystack import compiled
from pystack.sim.network import MS, S
from pystack.sim.programs import stream
from pystack.testing.lab import B, lab_net, pattern
from pystack.testing.peer import HOST_ADDR, PEER_ADDR, Peer, mss_option, ts_option
from pystack.testing.segments import ACK, FIN, M32, RST, SYN
from pystack.trace.pcapng import OUTBOUND
from pystack_c.tcp import user

OPTIONS = mss_option(1460) + ts_option(1000)


def closed_by_us(peer, first, count):
    """So many connections that the server closed first, one after the other."""
    listener = next(iter(peer.stack.tcp.listeners.values()))[0]
    for sport in range(first, first + count):
        (syn_ack,) = peer.segment(SYN, 1, sport=sport, options=mss_option(1460))
        peer.segment(ACK, 2, syn_ack.end, sport=sport)
        peer.call(user.close, peer.call(user.accept, listener))
        (fin,) = peer.take()
        peer.segment(ACK | FIN, 2, fin.end, sport=sport)


@pytest.mark.parametrize("most", [500, 10_000])
def test_what_it_holds_is_bounded(most):
    """3 KB each, and at most tcp_max_tw_buckets of them; the control has room for all."""
    peer = Peer(tcp_max_tw_buckets=most, profile="linux")
    peer.listener()
    closed_by_us(peer, 1000, 100)
    gc.collect()
    tracemalloc.start()
    try:
        closed_by_us(peer, 2000, 2000)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    kept = min(most, 2100)
    assert peer.stack.tcp.time_wait == kept
    assert peer.counters.TcpExtTCPTimeWaitOverflow == 2100 - kept and peer.counters.TcpExtTW == 2100
    if all(compiled().values()):
        assert 1000 * (kept - 100) < held < 3000 * (kept - 100)
    peer.advance(61 * S)
    assert peer.stack.tcp.time_wait == 0 and len(peer.stack.tcp.conns) == 0


def assassinated(make, **settings):
    """RFC 1337 section 2, hazard H3: an old duplicate, our ACK, and the RST of a peer that has forgotten the connection."""
    conn = make(**settings).established()
    conn.rx(data=b"first")
    conn.recv()
    conn.to("TIME-WAIT")
    conn.seq = (conn.seq - 6) & M32
    (ack,) = conn.rx(data=b"first")
    assert ack.flags == ACK and conn.state == "TIME-WAIT"
    conn.seq = ack.ack
    assert conn.rx(RST, seq=0) == []
    return conn.state


def test_rfc_1337_a_reset_does_not_end_it(make):
    assert assassinated(make, tcp_rfc1337=True) == "TIME-WAIT"
    assert assassinated(make) == "CLOSED"  # (the default of Linux)


def test_rfc_1337_old_segments_do_no_harm_to_the_next_connection(make):
    """Hazards H1 and H2: an old duplicate whose numbers fit into the new window; only its timestamp gives it away."""
    for stamps in (True, False):
        peer = make(tcp_timestamps=stamps)
        conn = peer.established(options=OPTIONS)
        conn.ts = (1000, 0) if stamps else None
        conn.rx(data=b"old data")
        conn.recv()
        conn.to("TIME-WAIT")
        sport, seq = conn.sport, conn.seq
        # The next incarnation begins 20 below the old duplicate (a clock of the peer's that went back).
        peer.now += 30 * S
        options = mss_option(1460) + ts_option(40_000)
        irs = (seq + 1000) & M32
        (syn_ack,) = peer.segment(SYN, irs, sport=sport, options=options)
        assert syn_ack.flags == SYN | ACK
        extra = {"options": ts_option(40_001)} if stamps else {}
        peer.segment(ACK, irs + 1, syn_ack.end, sport=sport, **extra)
        tcb = peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, sport)
        old = {"options": ts_option(1001)} if stamps else {}
        peer.segment(ACK, irs + 1, syn_ack.end, sport=sport, data=b"old data", **old)
        assert (tcb.recvbuf.used == 0) == stamps
        assert peer.counters.TcpExtPAWSEstab == stamps


def reconnect(wait, timestamps=True, addr=B, **client):
    """connect() from a bound port whose last connection to the same server we closed: (errno or 0, lab, old numbers)."""
    lab = lab_net(MS, profile="linux", tcp_timestamps=timestamps, client=client)
    host = lab.b if addr == B else lab.a
    listener = lab.listener(host=host)
    numbers = []

    def serve():
        while True:
            sock = yield listener.accept()
            yield sock.sendall((yield sock.recv_all()))
            sock.close()

    def once():
        sock = stream(lab.a)
        sock.setsockopt(1, 2, 1)
        sock.bind("", 5555)
        yield sock.connect(addr, 80)
        yield sock.sendall(b"hello")
        sock.shutdown()
        assert (yield sock.recv_all()) == b"hello"
        numbers.append((sock.endpoint.iss, sock.endpoint.snd_nxt))
        sock.close()

    lab.spawn(serve())
    lab.run(once(), limit=S)
    assert lab.a.stack.tcp.time_wait == 1
    lab.net.run(until=lab.net.now + wait)
    try:
        lab.run(once(), limit=lab.net.now + 10 * S)
    except OSError as error:
        return error.errno, lab, numbers
    return 0, lab, numbers


def test_an_active_open_may_take_its_place(make):
    """RFC 6191 and Linux's tcp_tw_reuse: a second later, by timestamps; the ISS lies beyond all that was sent."""
    failed, lab, ((_, last), (iss, _)) = reconnect(2 * S, tcp_tw_reuse=1)
    assert not failed and (iss - last) & M32 == 65537
    assert lab.a.counters.TcpExtTWRecycled == 1 and lab.a.stack.tcp.time_wait == 1


@pytest.mark.parametrize(
    "wait, options",
    [
        (2 * S, {"tcp_tw_reuse": 0}),
        (2 * S, {}),  # 2: to this host only
        (S // 2, {"tcp_tw_reuse": 1}),
        (2 * S, {"tcp_tw_reuse": 1, "timestamps": False}),
    ],
)
def test_control_it_may_not(wait, options):
    failed, lab, _ = reconnect(wait, **options)
    assert failed == errno.EADDRNOTAVAIL and lab.a.counters.TcpExtTWRecycled == 0


def test_to_this_host_it_may_by_default():
    assert reconnect(2 * S, addr="127.0.0.1")[0] == 0


def test_ephemeral_ports_that_are_all_in_time_wait():
    """Ten ports, eleven connections to one server."""

    def eleventh(**client):
        lab = lab_net(MS, profile="linux", client={"port_min": 40_000, "port_max": 40_009, **client})
        for _ in range(10):
            client, server = lab.connected()
            client.close()
            lab.net.run(until=lab.net.now + 10 * MS)
            server.close()
            lab.net.run(until=lab.net.now + 10 * MS)
        assert lab.a.stack.tcp.time_wait == 10
        lab.net.run(until=lab.net.now + 2 * S)
        client, server = lab.connected()
        lab.upload(pattern(10_000), client, server)

    eleventh(tcp_tw_reuse=1)
    with pytest.raises(OSError) as caught:
        eleventh()
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_nothing_of_the_old_connection_is_delivered_in_the_new_one():
    """RFC 1122 4.2.2.13 (1): the network delivers an old data segment after the SYN that reopens TIME-WAIT; no timestamp tells it."""
    lab = lab_net(MS, profile="linux", tcp_timestamps=False)
    listener = lab.listener()
    frames = []
    lab.b.port().taps.append(lambda time, direction, frame: direction == OUTBOUND and frames.append(frame))

    def serve(data):
        sock = yield listener.accept()
        yield sock.sendall(data)
        sock.close()

    def read(late):
        sock = stream(lab.a)
        sock.setsockopt(1, 2, 1)
        sock.bind("", 5555)
        yield sock.connect(B, 80)
        if late:
            lab.a.deliver(lab.a.port(), late)
            lab.a.pump()
        got = yield sock.recv_all()
        sock.close()
        return got

    old, new = pattern(100_000), bytes(100_000)
    assert lab.run(serve(old), read(b""))[1] == old
    lab.net.run(until=lab.net.now + S // 10)
    assert lab.b.stack.tcp.time_wait == 1
    data = [frame for frame in frames if len(frame) == 1514]
    assert lab.run(serve(new), read(data[30]))[1] == new
