"""Two senders share a link: how fair is it?"""

from typing import Any

from pystack.sim.network import Network
from pystack.sim.programs import Program, spawn, stream
from pystack.testing.lab import MS, S, pattern, sleep

DATA = pattern(1 << 20)


def _drain(sock: Any, count: list[int]) -> Program:
    """Read for ever; count[0] is the bytes so far."""
    while True:
        count[0] += len((yield sock.recv(1 << 20)))


def two_flows(rate: int, extra: int) -> list[int]:
    """Let two Reno senders share a link of this rate (bits a second), the second one with `extra` ns more each way. Returns their bytes in 30 s."""
    net = Network(1)
    config: dict[str, Any] = {"profile": "lab", "tcp_congestion": "reno"}
    router, server = net.router("r", **config), net.host("s", **config)
    clients = [net.host(name, **config) for name in ("a", "b")]
    for number, client in enumerate(clients):
        net.link(client, router, delay=5 * MS + number * extra, addrs=(f"10.0.{number}.1/24", f"10.0.{number}.2/24"))
        client.route("default", via=f"10.0.{number}.2")
    net.link(router, server, delay=20 * MS, addrs=("10.0.9.1/24", "10.0.9.2/24"), ab={"rate": rate, "queue": 40})
    server.route("default", via="10.0.9.1")
    net.introduce()
    listener = stream(server)
    listener.bind("", 80)
    listener.listen()
    counts: dict[int, list[int]] = {}

    def serve():
        while True:
            sock = yield listener.accept()
            counts[sock.endpoint.raddr >> 8 & 255] = count = [0]
            spawn(net, _drain(sock, count))

    def dial(client, wait):
        yield sleep(wait)
        sock = stream(client)
        yield sock.connect("10.0.9.2", 80)
        while True:
            yield sock.sendall(DATA)

    spawn(net, serve())
    for number, client in enumerate(clients):
        spawn(net, dial(client, number * 137 * MS))
    net.run(until=30 * S)
    before = [counts[number][0] for number in range(2)]
    net.run(until=60 * S)
    return [counts[number][0] - before[number] for number in range(2)]


def jain(x: int, y: int) -> float:
    """Return Jain's index of fairness: 1 if both have the same, and 1/2 if one has everything."""
    return (x + y) ** 2 / (2 * (x * x + y * y))
