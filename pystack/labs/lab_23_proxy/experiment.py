"""A client, a reverse proxy near it, and a server far away, to which there is a direct way, too."""

import asyncio
from functools import cache
from typing import Any

from pystack.labs.hosts import HostValue
from pystack.labs.lab_23_proxy import tools
from pystack.labs.lab_23_proxy.slow import GAP, PIECES, busy
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.network import MS, Network, S
from pystack.testing.segments import WireLog

R1, R2, R = 20 * MS, 80 * MS, 100 * MS  # client to proxy, proxy to server, client to server
GET = b"GET / HTTP/1.1\r\nHost: server\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PROXY, DIRECT = "10.0.1.2", "10.0.3.2"


def network() -> Network:
    """Build the network."""
    net = Network(1)
    client, proxy, server = (net.host(name, profile="lab") for name in ("client", "proxy", "server"))
    net.link(client, proxy, delay=R1 // 2, addrs=("10.0.1.1/24", f"{PROXY}/24"))
    net.link(proxy, server, delay=R2 // 2, addrs=("10.0.2.1/24", "10.0.2.2/24"))
    net.link(client, server, delay=R // 2, addrs=("10.0.3.1/24", f"{DIRECT}/24"))
    net.introduce()
    return net


class World:
    """The network with its programs. `heads` and `peers` are the requests and the addresses that the server has seen."""

    def __init__(self, **settings: Any):
        from pystack.proxies import HttpProxy, ProxySettings, Upstream

        self.net = network()
        self.heads: list[bytes] = []
        self.peers: list[str] = []
        self.program = HttpProxy(("", 80), [Upstream("10.0.2.2", 80)], settings=ProxySettings(**settings))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.peers.append(writer.get_extra_info("peername")[0])
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def serve(self) -> None:
        """Run the server."""
        async with await asyncio.start_server(self.answer, "", 80) as listener:
            await listener.serve_forever()

    def run(self, client: Any) -> Any:
        """Run the client's program, a second after the others."""

        async def late() -> Any:
            await asyncio.sleep(1)
            return await client()

        hosts = self.net.hosts
        background = {hosts["server"]: self.serve, hosts["proxy"]: self.program}
        return self.net.run({hosts["client"]: late}, background=background, limit=60 * S)[hosts["client"]]

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        """Make one request. Returns the time until the answer (ns)."""
        began = self.net.now
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\nok")
        return self.net.now - began

    async def cold(self, where: str) -> int:
        """Make one request on a new connection. Returns the time with the handshake (ns)."""
        began = self.net.now
        reader, writer = await asyncio.open_connection(where, 80)
        await self.ask(reader, writer)
        writer.close()
        return self.net.now - began


@cache
def times() -> dict[str, int]:
    """Make four requests. Returns the time of each."""
    world = World()

    async def client() -> dict[str, int]:
        found = {"direct": await world.cold(DIRECT), "new": await world.cold(PROXY), "pooled": await world.cold(PROXY)}
        reader, writer = await asyncio.open_connection(PROXY, 80)
        await world.ask(reader, writer)
        found["kept"] = await world.ask(reader, writer)
        writer.close()
        return found

    result: dict[str, int] = world.run(client)
    return result


def unpooled() -> list[int]:
    """Make three requests by a proxy that keeps no connection. Returns the time of each."""
    world = World(max_idle=0)

    async def client() -> list[int]:
        return [await world.cold(PROXY) for _ in range(3)]

    result: list[int] = world.run(client)
    return result


def identity() -> dict[str, int]:
    """Make one request. Returns what the server knows about the client, and how many first sequence numbers there are."""
    world = World()
    log = WireLog(world.net.hosts["client"].port("eth0"), world.net.hosts["server"].port("eth0"))
    world.run(lambda: world.cold(PROXY))
    isns = {log.sent["client"][0].seq, log.got["server"][0].seq}
    named = b"\r\nx-forwarded-for: 10.0.1.1\r\n" in world.heads[0]
    return {"last byte": int(world.peers[0].split(".")[2]), "named": int(named), "isns": len(isns)}


def two_at_once(most: int) -> list[int]:
    """Make two requests at the same time, with at most `most` connections to the server (0: any number). Returns the times."""
    world = World(max_upstream=most)

    async def client() -> list[int]:
        await asyncio.gather(world.cold(PROXY), world.cold(PROXY))  # opens as many as there may be
        pairs = [await asyncio.open_connection(PROXY, 80) for _ in range(2)]
        found = await asyncio.gather(*(world.ask(*pair) for pair in pairs))
        for _, writer in pairs:
            writer.close()
        return sorted(found)

    result: list[int] = world.run(client)
    return result


def _value(name: str, question: str, formula: str, expected: Any, unit: str = "ms") -> LabValue:
    return LabValue(name, question, formula, expected, unit, needs="h11 h2")


VALUES = [
    _value("direct", "Direct, a new connection: when is the answer there?", "2 R", 2 * R),
    _value("new", "By the proxy, which has no connection yet: when?", "2 R1 + 2 R2", 2 * R1 + 2 * R2),
    _value("pooled", "By the proxy, which has one from the pool: when?", "2 R1 + R2", 2 * R1 + R2),
    _value("kept", "The client keeps its connection, too: when?", "R1 + R2", R1 + R2),
    _value("last byte", "From 10.0.x.1 the server sees a connection: what is x?", "the proxy's: 2", 2, ""),
    _value("named", "Does X-Forwarded-For name the client? (1 is yes, 0 is no)", "1", 1, ""),
    _value("isns", "How many different first sequence numbers do client and server see?", "2", 2, ""),
    _value("together", "Two requests at once, any number of connections: when?", "R1 + R2, both", [R1 + R2] * 2),
    _value("buffered", "A slow upload, and the proxy reads it whole: how long is the server busy with it?", "0", 0),
    HostValue("nginx", "The real nginx as the proxy: what is x in 10.0.x.1, and is the client named?", "2, 1", [2, 1], "", needs="nginx"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "nginx":
        return tools.named()
    if name == "buffered":
        return busy(network(), PROXY, 65_536)
    if name in ("direct", "new", "pooled", "kept"):
        return times()[name]
    return two_at_once(0) if name == "together" else identity()[name]


CONTROLS = [
    LabControl(
        "The proxy keeps no connection open",
        _value("unpooled", "Three requests, one after the other", "2 R1 + 2 R2, each", [2 * R1 + 2 * R2] * 3),
    ),
    LabControl(
        "At most one connection to the server",
        _value("limit", "Two requests at once", "R1 + R2, R1 + 2 R2", [R1 + R2, R1 + 2 * R2]),
    ),
    LabControl(
        "The proxy passes on each piece at once",
        _value(
            "passed",
            "A slow upload: how long the server is busy with it",
            "9 * 100 ms - R2, in which the proxy connects",
            (PIECES - 1) * GAP - R2,
        ),
    ),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "passed":
        return busy(network(), PROXY, 0)
    return unpooled() if name == "unpooled" else two_at_once(1)


LOOKS = [
    LabLook("Directly, by the proxy, and by the proxy again", times.__wrapped__, 'host == "proxy" and event.kind == "state" and state == ESTABLISHED', "ladder", needs="h11 h2"),
]  # fmt: skip
