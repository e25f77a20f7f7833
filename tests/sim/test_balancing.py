"""The balancer of connections: weights, least connections, draining, health checks, direct return, bounded memory, recordings."""

import asyncio
import io
from collections import Counter

import pytest

import pystack_c.const as C
from pystack.addresses import parse_addr
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram
from pystack.trace.replay import replay
from pystack_c.filter import balance

VIP = "192.0.2.10"


class World:
    """A client, a balancer and servers on a switch behind it. `served` counts connections by the names of servers."""

    def __init__(self, count=3, by="round-robin", direct=False, record=None, **settings):
        self.net = net = Network(1)
        if record is not None:
            net.record(record)
        self.client = net.host("client")
        self.lb = net.balancer("lb", **settings)
        self.lan = net.switch("lan")
        self.servers = [net.host(f"s{n}") for n in range(1, count + 1)]
        net.link(self.client, self.lb, delay=MS, addrs=("192.0.2.1/24", f"{VIP}/24"))
        net.link(self.lb, self.lan, delay=MS, addrs=("10.0.0.1/24", None))
        for number, server in enumerate(self.servers, 11):
            net.link(server, self.lan, addrs=(f"10.0.0.{number}/24", None))
            server.route("default", via="10.0.0.1" if not direct else "10.0.0.2")
        if direct:
            # The answers take another way: a router that knows nothing about the balancer.
            self.out = net.router("out")
            net.link(self.out, self.lan, addrs=("10.0.0.2/24", None))
            net.link(self.client, self.out, delay=MS, addrs=("198.51.100.1/24", "198.51.100.2/24"))
            self.client.route("10.0.0.0/24", via="198.51.100.2")
            self.out.route("192.0.2.0/24", via="198.51.100.1")
            for server in self.servers:
                server.addr(f"{VIP}/32", iface="lo")
        self.served = Counter()
        self.service = self.lb.balance(f"{VIP}:80", self.names(), by=by, direct=direct)
        self.background = {server: self.program(server.name) for server in self.servers}

    def names(self):
        return [f"10.0.0.{number}:80" for number in range(11, 11 + len(self.servers))]

    def program(self, name):
        async def echo(reader, writer):
            self.served[name] += 1
            try:
                while data := await reader.read(1000):
                    writer.write(name.encode() + b" " + data)
            except (ConnectionError, asyncio.CancelledError):
                pass
            writer.close()

        async def serve():
            async with await asyncio.start_server(echo, "", 80) as listener:
                await listener.serve_forever()

        return serve

    def run(self, client, **background):
        async def main():
            await asyncio.sleep(0.1)
            return await client()

        return self.net.run(
            {self.client: main}, background={**self.background, **background}, limit=self.net.now + 3600 * S
        )[self.client]

    async def open(self):
        """A connection, and the name of the server that answers."""
        reader, writer = await asyncio.open_connection(VIP, 80)
        writer.write(b"hello")
        return (await reader.read(1000)).split()[0].decode(), reader, writer


def test_connections_in_turn():
    world = World()

    async def client():
        found = [await world.open() for _ in range(6)]
        for _, _, writer in found:
            writer.close()
        return [name for name, _, _ in found]

    assert world.run(client) == ["s1", "s2", "s3"] * 2


def test_least_connections():
    world = World(by="least-connections")

    async def client():
        first = [await world.open() for _ in range(3)]
        first[1][2].close()
        await asyncio.sleep(0.1)
        again = [await world.open() for _ in range(2)]
        for _, _, writer in first + again:
            writer.close()
        return [name for name, _, _ in first + again]

    names = world.run(client)
    assert sorted(names[:3]) == ["s1", "s2", "s3"] and names[3] == names[1]
    assert names[4] in names[:3]


def test_draining_keeps_the_connections_that_are_there():
    world = World(2)

    async def client():
        name, reader, writer = await world.open()
        world.service.drain(world.names()[0])
        others = [(await world.open()) for _ in range(3)]
        writer.write(b"still there?")
        answer = await reader.read(1000)
        for _, _, other in [*others, (0, 0, writer)]:
            other.close()
        return name, [other for other, _, _ in others], answer

    assert world.run(client) == ("s1", ["s2"] * 3, b"s1 still there?")


def test_no_server():
    world = World(1)
    world.service.mark(world.names()[0], up=False)

    async def client():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await world.open()

    world.run(client)
    assert world.lb.counters.drops["balance-no-server"] >= 2


def test_maglev_sends_a_connection_to_the_same_server_after_another_one_went():
    """Two balancers would agree, too: the table and the hash depend on nothing else."""
    worlds = [World(3, by="maglev") for _ in range(2)]
    worlds[1].service.remove(worlds[1].names()[2])
    clients = [(parse_addr("198.51.100.7"), port) for port in range(2000, 2300)]
    services = [world.lb.stack.service(*world.service.service) for world in worlds]
    pairs = [[service.choose(worlds[0].lb.stack, *client).name for service in services] for client in clients]
    stayed = [before == after for before, after in pairs if before != worlds[1].names()[2]]
    assert len(stayed) > 150 and stayed.count(True) / len(stayed) > 0.9
    assert {before for before, _ in pairs} == set(worlds[0].names())


@pytest.mark.parametrize("direct", [False, True])
def test_datagrams_of_a_client_go_to_one_server(direct):
    """By the hash of the source, whatever the port is; in turn, each port is another connection."""
    found = []
    for by in ("source-hash", "round-robin"):
        world = World(direct=direct)
        service = world.lb.balance(
            f"{VIP}:53", [name.replace(":80", ":53") for name in world.names()], by=by, proto="udp", direct=direct
        )
        takers = [datagram(server) for server in world.servers]
        for taker in takers:
            taker.bind("", 53)
        for _ in range(9):
            datagram(world.client).sendto(b"question", VIP, 53)
        world.net.run(until=S)
        found.append(sorted(server.chosen for server in service.servers()))
    assert found == [[0, 0, 9], [3, 3, 3]]


@pytest.mark.parametrize("direct", [False, True])
def test_health_checks(direct):
    pytest.importorskip("h11", reason="needs the extra `proxy`")
    from pystack.proxies import HealthCheck
    from pystack.proxies.balancer import ServiceCheck

    world = World(2, direct=direct)
    check = ServiceCheck(world.service, HealthCheck(interval=0.5, timeout=0.2, rise=1, fall=2))
    world.background[world.lb] = check

    async def client():
        world.servers[0].crash()
        await asyncio.sleep(2)
        states = [server.up for server in world.service.servers()]
        found = [await world.open() for _ in range(3)]
        for _, _, writer in found:
            writer.close()
        return states, [name for name, _, _ in found]

    assert world.run(client) == ([False, True], ["s2"] * 3)


def test_direct_return():
    """The balancer changes the MAC addresses alone, and never sees an answer."""
    world = World(3, direct=True)
    frames = {"lb": [], "s1": []}
    for host in (world.lb, world.servers[0]):
        port = host.port()
        port.taps.append(lambda time, direction, frame, name=host.name: frames[name].append((direction, frame)))

    async def client():
        found = [await world.open() for _ in range(3)]
        for _, _, writer in found:
            writer.close()
        await asyncio.sleep(0.1)
        return [name for name, _, _ in found]

    assert world.run(client) == ["s1", "s2", "s3"]
    ips = [frame for _, frame in frames["lb"] if frame[12:14] == b"\x08\x00"]
    vip = bytes((192, 0, 2, 10))
    assert ips and all(frame[30:34] == vip and frame[26:30] == bytes((192, 0, 2, 1)) for frame in ips)
    macs = {frame[:6] for frame in ips}
    assert macs == {server.port().iface.mac.to_bytes(6, "big") for server in world.servers}
    answers = [frame for direction, frame in frames["s1"] if frame[12:14] == b"\x08\x00" and frame[26:30] == vip]
    assert answers  # from the service's address, by way of the other router
    assert [(server.chosen, server.active) for server in world.service.servers()] == [(1, 0)] * 3


def test_direct_return_needs_the_address_on_the_loopback():
    """Control: without it, the server does not take the packet for its own."""
    world = World(1, direct=True)
    server = world.servers[0]
    server.stack.del_addr(server.stack.lo, parse_addr(VIP))

    async def client():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await world.open()

    world.run(client)
    assert world.served == {}


def test_direct_return_forgets_connections(monkeypatch):
    """The table is bounded, and the connection that was idle longest gives way."""
    monkeypatch.setattr(balance, "MOST", 10)
    service = balance.VirtualService(1, 80, C.IPPROTO_TCP, "round-robin", True)
    service.put(2, 80, 1, True)

    class Packet:
        proto, l4_off, l4_end = C.IPPROTO_TCP, 0, 20

        def __init__(self, port, flags):
            self.src = 7
            self.frame = port.to_bytes(2, "big") + bytes(11) + bytes([flags]) + bytes(6)

    class Clock:
        probe, now = None, 0

    def pass_(port, flags, now):
        Clock.now = now
        service.server_of(Clock, Packet(port, flags))

    for port in range(100):
        pass_(port, C.SYN, 0)
    (server,) = service.servers
    assert len(service.connections) == server.active == 10
    pass_(99, C.FIN | C.ACK, 1)
    assert server.active == 9
    pass_(1, C.SYN, balance.ESTABLISHED + 2)
    assert len(service.connections) == server.active == 1
    pass_(1, C.RST, balance.ESTABLISHED + 3)
    pass_(1, C.SYN, balance.ESTABLISHED + 4)
    assert (server.active, server.chosen) == (1, 102)


@pytest.mark.parametrize("direct", [False, True])
def test_a_recording_is_replayed(direct):
    out = io.BytesIO()
    close, out.close = out.close, lambda: None
    world = World(2, direct=direct, record=out)

    async def client():
        for _ in range(2):
            _, _, writer = await world.open()
            writer.close()
        world.service.drain(world.names()[0])
        _, _, writer = await world.open()
        writer.close()

    world.run(client)
    world.net.close()
    out.seek(0)
    assert replay(out).frames > 50
    close()


def test_a_boot_repeats_the_service():
    world = World(2)
    world.lb.crash()
    world.lb.boot()

    async def client():
        found = [await world.open() for _ in range(2)]
        for _, _, writer in found:
            writer.close()
        return [name for name, _, _ in found]

    assert world.run(client) == ["s1", "s2"]


def test_mistakes():
    world = World(1)
    for service, message in ((f"{VIP}:80", "there is a service"), (VIP, "not an address and a port")):
        with pytest.raises(ValueError, match=message):
            world.lb.balance(service, ["10.0.0.11:80"])
    with pytest.raises(ValueError, match="the ways to balance"):
        world.lb.balance(f"{VIP}:81", ["10.0.0.11:80"], by="luck")
    with pytest.raises(ValueError, match="changes no port"):
        world.lb.balance(f"{VIP}:82", ["10.0.0.11:80"], direct=True)
    with pytest.raises(ValueError, match="the weight 70000"):
        world.service.set("10.0.0.11:80", 70_000)
    with pytest.raises(ValueError, match="has no server"):
        world.service.drain("10.0.0.99:80")
