"""256 connections share one link: Jain's index, and what makes it fall."""

import pytest

import pystack_c.tcp.output
from pystack.runtime.procs import sleep, spawn, stream
from pystack.runtime.simulated import MS, Network, S

# (A hundred thousand segments: seconds compiled, minutes uncompiled.)
pytestmark = pytest.mark.skipif(pystack_c.tcp.output.__file__.endswith(".py"), reason="compiled only")

COUNT = 256
RATE = 30_000_000
BLOCK = bytes(1 << 16)


def jain(shares):
    """Jain's index: 1 where all have the same, 1/n where one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def shares(algorithm, seconds=24, warm=8, greedy=0, seed=1):
    """Bytes that each of COUNT connections brought through 30 Mbit/s in `seconds`, R = 200 ms, a queue of 0.8 BDP.

    `greedy` of them have a fixed window of 100 segments instead. (Some jitter: in virtual time, to the nanosecond, packets of
    one connection would meet the full queue again and again.)
    """
    link = {"rate": RATE, "queue": 400, "jitter": 20 * MS}
    net = Network(seed)
    a, b = (net.host(name, tcp_rmem=1 << 20, tcp_wmem=1 << 18) for name in "ab")
    net.link(a, b, addrs=("10.0.0.1/16", "10.0.0.2/16"), delay=100 * MS, ab=link)
    net.introduce()
    listener = stream(b)
    listener.bind("", 80)
    listener.listen(COUNT)
    got = [0] * COUNT

    def drain(sock, number):
        while True:
            got[number] += len((yield sock.recv(1 << 16)))

    def serve():
        while True:
            sock = yield listener.accept()
            spawn(net, drain(sock, sock.endpoint.rport - 20_000))

    def pour(number):
        yield sleep(number * 10 * MS)
        sock = stream(a)
        sock.bind("", 20_000 + number)
        sock.setsockopt(6, 13, "fixed(100)" if number < greedy else algorithm)
        yield sock.connect("10.0.0.2", 80)
        while True:
            yield sock.sendall(BLOCK)

    spawn(net, serve())
    for number in range(COUNT):
        spawn(net, pour(number))
    net.run(until=warm * S)
    before = list(got)
    net.run(until=(warm + seconds) * S)
    return [after - one for after, one in zip(got, before, strict=True)]


@pytest.mark.parametrize("algorithm", ["reno", "cubic"])
def test_256_connections_share_a_link(algorithm):
    found = shares(algorithm)
    assert sum(found) * 8 / 24 > 0.9 * RATE * 1448 / 1514  # it is in use,
    assert min(found) > 0  # by all of them,
    assert jain(found) > 0.9  # alike.


def test_control_who_does_not_give_way_takes_it_all():
    found = shares("reno", seconds=8, greedy=16)
    assert jain(found) < 0.5
