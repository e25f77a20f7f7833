"""A client, a balancer of layer 4 or of layer 7, and two backends, round robin."""

import asyncio
from functools import cache
from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.network import MS, Network, S
from pystack.testing.segments import WireLog

GET = b"GET / HTTP/1.1\r\nHost: service\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SERVICE = "192.0.2.10"
REQUESTS, DIES = 100, 50


def network() -> Network:
    """Build the network."""
    net = Network(1)
    client, lb = net.host("client", profile="lab"), net.balancer("lb", profile="lab")
    net.link(client, lb, delay=MS, addrs=("192.0.2.1/24", f"{SERVICE}/24"))
    for number, name in enumerate(("one", "two"), 1):
        backend = net.host(name, profile="lab")
        net.link(lb, backend, delay=MS, addrs=(f"10.0.{number}.1/24", f"10.0.{number}.2/24"))
        backend.route("default", via=f"10.0.{number}.1")
    net.introduce()
    return net


class World:
    """The network with its programs. `served` counts the requests of each backend, and `opened` its connections."""

    def __init__(self, layer: int):
        self.net = network()
        hosts = self.net.hosts
        self.client, self.backends = hosts["client"], [hosts["one"], hosts["two"]]
        self.served, self.opened = [0, 0], [0, 0]
        self.background: dict[Any, Any] = {host: self.server(number) for number, host in enumerate(self.backends)}
        if layer == 4:
            hosts["lb"].balance(f"{SERVICE}:80", ["10.0.1.2:80", "10.0.2.2:80"], by="round-robin")
        else:
            self.background[hosts["lb"]] = proxy()

    def server(self, number: int) -> Any:
        """Return the program of a backend."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.opened[number] += 1
            try:
                while await reader.readuntil(b"\r\n\r\n"):
                    self.served[number] += 1
                    writer.write(ANSWER)
            except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                writer.close()

        async def serve() -> None:
            async with await asyncio.start_server(answer, "", 80) as listener:
                await listener.serve_forever()

        return serve

    def run(self, client: Any) -> Any:
        """Run the client's program, a moment after the others."""

        async def late() -> Any:
            await asyncio.sleep(0.1)
            return await client()

        return self.net.run({self.client: late}, background=self.background, limit=3600 * S)[self.client]

    async def requests(self, count: int, dies: int = -1) -> list[bool]:
        """Make requests on one connection. Returns whether each succeeded. At request `dies`, the first backend crashes."""
        reader, writer = await asyncio.open_connection(SERVICE, 80)
        good = []
        for number in range(count):
            if number == dies:
                self.backends[0].crash()
            try:
                writer.write(GET)
                async with asyncio.timeout(1):
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r")[0]))
                good.append(head.startswith(b"http/1.1 200"))
                if b"connection: close" in head:
                    writer.close()
                    reader, writer = await asyncio.open_connection(SERVICE, 80)
            except (OSError, asyncio.IncompleteReadError):
                good.append(False)
        writer.close()
        return good


def proxy() -> Any:
    """Return the balancer of layer 7."""
    from pystack.proxies import HttpProxy, ProxySettings, Upstream

    upstreams = [Upstream("10.0.1.2", 80), Upstream("10.0.2.2", 80)]
    settings = ProxySettings(response_timeout=0.5, connect_timeout=0.2)
    return HttpProxy(("", 80), upstreams, balance="round-robin", settings=settings)


def one_connection(layer: int) -> list[int]:
    """Make 100 requests on one connection. Returns how many each backend has served."""
    world = World(layer)
    assert all(world.run(lambda: world.requests(REQUESTS)))
    return world.served


def connections(count: int, together: bool) -> list[int]:
    """Make requests by layer 4, on a connection each. Returns how many connections each backend has had."""
    world = World(4)

    async def client() -> None:
        if together:
            await asyncio.gather(*(world.requests(1) for _ in range(count)))
        else:
            for _ in range(count):
                assert await world.requests(1) == [True]

    world.run(client)
    return world.opened


@cache
def dying(layer: int) -> list[bool]:
    """Let a backend die after 50 of 100 requests. Returns whether each request succeeded."""
    world = World(layer)
    good: list[bool] = world.run(lambda: world.requests(REQUESTS, DIES))
    assert all(good[:DIES])
    return good


def same_numbers(layer: int) -> int:
    """Return 1 if the backend sees the client's sequence numbers, or else 0."""
    world = World(layer)
    log = WireLog(world.client.port(), world.backends[0].port())
    world.run(lambda: world.requests(1))
    return int(log.sent["client"][0].seq == log.got["one"][0].seq)


L7: dict[str, Any] = {"needs": "h11 h2"}
VALUES = [
    LabValue("l4", "Layer 4, one connection: requests of each backend?", "100, 0", [100, 0], "requests"),
    LabValue("l7", "Layer 7, one connection: requests of each backend?", "50, 50", [50, 50], "requests", **L7),
    LabValue("ten", "Layer 4, ten connections: how many does each backend get?", "5, 5", [5, 5], "connections"),
    LabValue("dies l4", "A backend dies after 50. Layer 4: how many requests fail?", "50", 50, "requests"),
    LabValue("dies l7", "The same in layer 7: how many fail?", "0 or 1", 0.5, "requests", 0.5, **L7),
    LabValue("numbers l4", "Layer 4: does the backend see the client's sequence numbers? (1 is yes)", "1", 1, ""),
    LabValue("numbers l7", "Layer 7: does it? (1 is yes, 0 is no)", "0", 0, "", **L7),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "ten":
        return connections(10, together=True)
    layer = int(name[-1])
    if name.startswith("dies"):
        return dying(layer).count(False)
    return same_numbers(layer) if name.startswith("numbers") else one_connection(layer)


CONTROLS = [
    LabControl(
        "Layer 4, a new connection for each request",
        LabValue("each", "Connections of each backend", "50, 50", [50, 50], "connections"),
    )
]


def control(name: str) -> list[int]:
    """Measure the control."""
    return connections(REQUESTS, together=False)


LOOKS = [
    LabLook("Layer 4: one connection, one backend", lambda: one_connection(4), 'event.kind == "balance.choose"', "ladder", frames="1-16"),
    LabLook("Layer 7: one connection of the client, and two of the balancer", lambda: one_connection(7), 'host == "two" and event.kind == "state" and state == ESTABLISHED', "ladder", frames="1-24", **L7),
]  # fmt: skip
