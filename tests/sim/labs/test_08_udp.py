"""Lab 8: UDP keeps boundaries, tells of closed ports after R, and does not slow down."""

import errno

import pytest

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, sleep, spawn
from pystack.testing.lab import lab_net, pattern

A, B = "10.0.0.1", "10.0.0.2"


def net_of(seed=1, **link):
    net = Network(seed)
    a, b = net.host("a"), net.host("b")
    joint = net.link(a, b, addrs=(A + "/24", B + "/24"), **link)
    net.introduce()
    return net, a, b, joint


def receiver(host, count, port=9):
    """Collects `count` datagrams."""
    sock = datagram(host)
    sock.bind("", port)
    got = []
    for _ in range(count):
        got.append((yield sock.recvfrom()).data)
    return got


def test_three_sends_are_three_receives_of_those_sizes():
    net, a, b, _ = net_of(delay=5 * MS)
    taker = spawn(net, receiver(b, 3))
    net.run(1)
    sender = datagram(a)
    for size in (100, 200, 300):
        assert sender.sendto(pattern(size), B, 9) == size
    net.run_until(taker.finished, limit=S)
    assert [len(data) for data in taker.value] == [100, 200, 300]


def test_control_tcp_gives_one_stream():
    lab = lab_net(5 * MS)
    client, server = lab.connected()

    def put():
        for size in (100, 200, 300):
            yield client.sendall(pattern(size))
        client.shutdown()

    def take():
        yield sleep(S)
        return [(yield server.recv(65536)), (yield server.recv(65536))]

    _, got = lab.run(put(), take())
    assert [len(data) for data in got] == [600, 0]


def test_a_closed_port_is_known_after_one_round_trip():
    net, a, _, _ = net_of(delay=5 * MS)
    sock = datagram(a)
    sock.connect(B, 9)
    sock.sendto(b"anybody?")

    def wait():
        try:
            yield sock.recvfrom()
        except OSError as error:
            return net.now, error.errno

    proc = spawn(net, wait())
    net.run_until(proc.finished, limit=S)
    assert proc.value == (10 * MS, errno.ECONNREFUSED)
    assert sock.sendto(b"anybody now?") == 12  # the error was told once


def flood(rate: int, seconds: int):
    """20 datagrams of 1,472 bytes for every 10 that fit at `rate`; returns the channel's statistics and what arrived."""
    net, a, b, link = net_of(ab={"rate": 10_000_000, "queue": 50})
    frame = 1514 * 8 * 1_000_000_000 // rate
    sock = datagram(a)
    taker = datagram(b)
    taker.bind("", 9)
    payload = bytes(1472)
    blocked = []

    def send():
        for _ in range(seconds * S // frame):
            before = net.now
            if sock.sendto(payload, B, 9) != len(payload):
                blocked.append(before)
            yield sleep(frame)

    got = []

    def take():
        while True:
            yield taker.recvfrom()
            got.append(net.now)

    spawn(net, take())
    proc = spawn(net, send())
    net.run_until(proc.finished, limit=100 * S)
    net.run(net.now + S)
    assert not blocked
    return link.ab.stats, len(got)


def test_twice_the_rate_delivers_half():
    stats, got = flood(20_000_000, 20)
    assert got == stats.delivered
    assert got / stats.frames == pytest.approx(0.5, abs=0.005)
    assert stats.wait_max == pytest.approx(50 * 1514 * 8 / 10e6 * S, rel=0.02)  # 60.6 ms
    assert stats.drops == {"queue": stats.frames - got}


def test_control_half_the_rate_loses_nothing():
    stats, got = flood(5_000_000, 2)
    assert got == stats.frames and stats.wait_max == 0


def test_control_tcp_slows_down_to_the_link():
    lab = lab_net(0, link={"ab": {"rate": 10_000_000, "queue": 50}})
    client, server = lab.connected()
    size = 5_000_000
    took = lab.upload(pattern(size), client, server)
    assert size * 8 / took * S == pytest.approx(10e6 * 1460 / 1514, rel=0.03)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bernoulli_loss_is_the_seeds(seed):
    def delivered(loss, seed):
        net, a, _, link = net_of(seed, ab={"loss": loss})
        sock = datagram(a)
        for _ in range(1000):
            sock.sendto(b"x", B, 9)
        return link.ab.stats.delivered

    count = delivered(0.1, seed)
    assert abs(count - 900) <= 28
    assert delivered(0.1, seed) == count
    assert delivered(0.0, seed) == 1000  # the control
