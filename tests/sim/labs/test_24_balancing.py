"""Lab 24: load balancing in layer 4 and layer 7: 100 requests, two backends, round robin."""

import asyncio

import pytest

pytest.importorskip("h11", reason="needs the extra `proxy`")

from pystack.proxies import HttpProxy, ProxySettings, Upstream
from pystack.sim.network import MS, Network, S
from pystack.testing.segments import WireLog

GET = b"GET / HTTP/1.1\r\nHost: service\r\n\r\n"


class World:
    """A client, a balancer and two backends, 1 ms apart. `served` counts the requests of each backend, `opened` its connections."""

    def __init__(self, layer, by="round-robin"):
        self.net = net = Network(1)
        self.client = net.host("client", profile="lab")
        self.lb = net.balancer("lb", profile="lab")
        self.backends = [net.host(name, profile="lab") for name in ("one", "two")]
        net.link(self.client, self.lb, delay=MS, addrs=("192.0.2.1/24", "192.0.2.10/24"))
        for number, backend in enumerate(self.backends, 1):
            net.link(self.lb, backend, delay=MS, addrs=(f"10.0.{number}.1/24", f"10.0.{number}.2/24"))
            backend.route("default", via=f"10.0.{number}.1")
        net.introduce()
        self.served, self.opened = [0, 0], [0, 0]
        self.background = {backend: self.server(number) for number, backend in enumerate(self.backends)}
        if layer == 4:
            self.service = self.lb.balance("192.0.2.10:80", ["10.0.1.2:80", "10.0.2.2:80"], by=by)
        else:
            upstreams = [Upstream("10.0.1.2", 80), Upstream("10.0.2.2", 80)]
            settings = ProxySettings(response_timeout=0.5, connect_timeout=0.2)
            self.background[self.lb] = HttpProxy(("", 80), upstreams, balance=by, settings=settings)

    def server(self, number):
        async def answer(reader, writer):
            self.opened[number] += 1
            try:
                while await reader.readuntil(b"\r\n\r\n"):
                    self.served[number] += 1
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                writer.close()

        async def serve():
            async with await asyncio.start_server(answer, "", 80) as listener:
                await listener.serve_forever()

        return serve

    def run(self, client):
        async def main():
            await asyncio.sleep(0.1)
            return await client()

        return self.net.run({self.client: main}, background=self.background, limit=self.net.now + 3600 * S)[self.client]

    async def requests(self, count, at=None):
        """Requests on one connection. Returns whether each succeeded. `at`: the number of the request at which backend "one" dies."""
        reader, writer = await asyncio.open_connection("192.0.2.10", 80)
        good = []
        for number in range(count):
            if number == at:
                self.backends[0].crash()
            try:
                writer.write(GET)
                async with asyncio.timeout(1):
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0]))
                good.append(head.startswith(b"HTTP/1.1 200"))
                if b"connection: close" in head.lower():
                    writer.close()
                    reader, writer = await asyncio.open_connection("192.0.2.10", 80)
            except (OSError, asyncio.IncompleteReadError):
                good.append(False)
        writer.close()
        return good


@pytest.mark.parametrize("layer, served", [(4, [100, 0]), (7, [50, 50])])
def test_one_connection_with_100_requests(layer, served):
    world = World(layer)
    assert world.run(lambda: world.requests(100)) == [True] * 100
    assert world.served == served


def test_ten_connections_through_layer_4():
    world = World(4)

    async def client():
        await asyncio.gather(*(world.requests(1) for _ in range(10)))
        await asyncio.sleep(0.1)  # the last FINs pass

    world.run(client)
    assert world.opened == [5, 5]
    assert [(server.chosen, server.active) for server in world.service.servers()] == [(5, 0), (5, 0)]


def test_control_a_connection_for_each_request_through_layer_4():
    world = World(4)

    async def client():
        for _ in range(100):
            assert await world.requests(1) == [True]

    world.run(client)
    assert world.served == [50, 50]


def test_a_backend_dies_in_layer_4():
    world = World(4)
    good = world.run(lambda: world.requests(100, at=50))
    assert good == [True] * 50 + [False] * 50


def test_a_backend_dies_in_layer_7():
    world = World(7)
    good = world.run(lambda: world.requests(100, at=50))
    assert good.count(False) <= 1 and good[:50] == [True] * 50
    assert world.served[1] >= 74


def test_sequence_numbers():
    """By DNAT the backend sees the client's sequence numbers. The proxy has its own."""
    same = []
    for layer in (4, 7):
        world = World(layer)
        log = WireLog(world.client.port(), world.backends[0].port())
        world.run(lambda world=world: world.requests(1))
        same.append(log.sent["client"][0].seq == log.got["one"][0].seq)
    assert same == [True, False]
