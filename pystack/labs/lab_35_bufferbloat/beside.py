"""An upload through a bottleneck, and small requests beside it, which see how long the queue is."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pystack.sim.programs import Program, ProgramDatagrams, StreamSocket, datagram, sleep, stream
from pystack.sim.qdisc import Qdisc
from pystack.testing.lab import MS, B, Lab, S, lab_net

ECHO, SINK = 7, 9
SMALL = 64  # bytes of a request
GAP = 50 * MS  # between two requests
BLOCK = bytes(65_536)


class Beside(NamedTuple):
    """The result of a measurement: when each request was sent, and its time (ns), the share of the rate that the upload had, and the lab."""

    requests: list[tuple[int, int]]
    share: float
    lab: Lab

    def times(self, since: int = 0) -> list[int]:
        """Return how long the requests took that were sent since a time."""
        return [took for sent, took in self.requests if sent >= since]


def network(rate: int, delay: int, queue: "Qdisc | str", **settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, and a queue in front of the slow link from a to b."""
    return lab_net(delay, link={"ab": {"rate": rate, "qdisc": queue}}, server={"tcp_rmem": 1 << 20}, **settings)


def echo(sock: ProgramDatagrams) -> Program:
    """Answer each datagram with the same."""
    while True:
        asked = yield sock.recvfrom()
        sock.call("sendto", asked.data, asked.src, asked.sport, 0)


def upload(lab: Lab) -> Program:
    """Open a connection, and send without an end."""
    sock = stream(lab.a)
    yield sock.connect(B, SINK)
    while True:
        yield sock.sendall(BLOCK)


def accept(lab: Lab, got: Callable[[int], None]) -> Program:
    """Serve all uploads. `got` gets the number of bytes of each read."""

    def take(sock: StreamSocket) -> Program:
        while True:
            got(len((yield sock.recv())))

    listener = lab.listener(SINK)
    while True:
        lab.spawn(take((yield listener.accept())))


def measured(lab: Lab, rate: int, seconds: float, since: float, flows: int = 1) -> Beside:
    """Run uploads and requests for some seconds. The share of the rate is that of the payload since a second."""
    end, begin = int(seconds * S), int(since * S)
    arrived = 0
    requests: list[tuple[int, int]] = []
    server, client = datagram(lab.b), datagram(lab.a)
    server.bind("", ECHO)

    def got(size: int) -> None:
        nonlocal arrived
        arrived += size if lab.net.now >= begin else 0

    def ask() -> Program:
        while lab.net.now < end:
            sent = lab.net.now
            client.sendto(bytes(SMALL), B, ECHO)
            try:
                yield client.within(client.recvfrom(), S)
                requests.append((sent, lab.net.now - sent))
            except TimeoutError:
                pass  # the queue dropped it
            yield sleep(max(0, sent + GAP - lab.net.now))

    lab.spawn(echo(server))
    lab.spawn(accept(lab, got))
    for _ in range(flows):
        lab.spawn(upload(lab))
    lab.spawn(ask())
    lab.net.run(until=end)
    return Beside(requests, arrived * 8 * S / (end - begin) / rate, lab)
