"""Lab 23: proxy and reverse proxy. Client -R 20- proxy -R 80- server; the direct path has R = 100."""

import asyncio

import pytest

pytest.importorskip("h11", reason="needs the extra `proxy`")

from pystack.proxies import HttpProxy, ProxySettings, Upstream
from pystack.sim.network import MS, Network, S
from pystack.testing.segments import WireLog

GET = b"GET / HTTP/1.1\r\nHost: server\r\n\r\n"


class World:
    """The network, the proxy, and the heads that the server got."""

    def __init__(self, **settings):
        self.net = Network(1)
        self.client, self.proxy, self.server = (self.net.host(name, profile="lab") for name in "cps")
        self.net.link(self.client, self.proxy, delay=10 * MS, addrs=("10.0.1.1/24", "10.0.1.2/24"))
        self.net.link(self.proxy, self.server, delay=40 * MS, addrs=("10.0.2.1/24", "10.0.2.2/24"))
        self.net.link(self.client, self.server, delay=50 * MS, addrs=("10.0.3.1/24", "10.0.3.2/24"))
        self.net.introduce()
        self.heads: list[bytes] = []
        self.peers: list[str] = []
        self.program = HttpProxy(("", 80), [Upstream("10.0.2.2", 80)], settings=ProxySettings(**settings))

    async def serve(self):
        async def answer(reader, writer):
            self.peers.append(writer.get_extra_info("peername")[0])
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        async def guarded(reader, writer):
            try:
                await answer(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                writer.close()

        async with await asyncio.start_server(guarded, "", 80) as listener:
            await listener.serve_forever()

    def run(self, client):
        return self.net.run(
            {self.client: client},
            background={self.server: self.serve, self.proxy: self.program},
            limit=self.net.now + 60 * S,
        )[self.client]

    async def connect(self, where):
        return await asyncio.open_connection(where, 80)

    async def ask(self, reader, writer):
        """Milliseconds until the first byte of the answer."""
        began = self.net.now
        writer.write(GET)
        assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200")
        return (self.net.now - began) / MS

    async def cold(self, where):
        """The same with a new connection."""
        began = self.net.now
        reader, writer = await self.connect(where)
        await self.ask(reader, writer)
        writer.close()
        return (self.net.now - began) / MS


def test_the_time_to_the_first_byte():
    world = World()

    async def client():
        await asyncio.sleep(1)
        direct = await world.cold("10.0.3.2")
        new = await world.cold("10.0.1.2")
        pooled = await world.cold("10.0.1.2")
        reader, writer = await world.connect("10.0.1.2")
        await world.ask(reader, writer)
        kept = await world.ask(reader, writer)
        writer.close()
        return direct, new, pooled, kept

    assert world.run(client) == (200, 40 + 160, 40 + 80, 100)


def test_a_new_upstream_each_time():
    world = World(max_idle=0)

    async def client():
        await asyncio.sleep(1)
        return [await world.cold("10.0.1.2") for _ in range(3)]

    assert world.run(client) == [200, 200, 200]


def test_the_server_sees_the_proxy_and_the_field_names_the_client():
    world = World()
    logs = WireLog(world.client.port("eth0"), world.server.port("eth0"))

    async def client():
        await asyncio.sleep(1)
        await world.cold("10.0.1.2")

    world.run(client)
    assert world.peers == ["10.0.2.1"]
    assert b"\r\nx-forwarded-for: 10.0.1.1\r\n" in world.heads[0]
    isns = [log[0].seq for log in (logs.sent["c"], logs.got["s"])]
    assert len(set(isns)) == 2


def test_control_one_connection_to_the_upstream():
    """Two requests at once: the second waits until the first has its answer, 80 ms."""
    times = []
    for most in (0, 1):
        world = World(max_upstream=most)

        async def client(world=world):
            await asyncio.sleep(1)
            await asyncio.gather(
                *(world.cold("10.0.1.2") for _ in range(2))
            )  # as many connections to the upstream as may be
            pairs = [await world.connect("10.0.1.2") for _ in range(2)]
            found = await asyncio.gather(*(world.ask(*pair) for pair in pairs))
            for _, writer in pairs:
                writer.close()
            return sorted(found)

        times.append(world.run(client))
    assert times == [[100, 100], [100, 180]]
