"""The proxies on simulated hosts: time, memory and failures are exact, and the same in each run."""

import asyncio
import random
import struct
from socket import SO_LINGER, SOL_SOCKET

import pytest

from pystack.proxies import ForwardProxy, HttpProxy, ProxySettings, SocksProxy, TcpRelay, Upstream
from pystack.sim.network import MS, Network, S

PROXY, SERVER = "10.0.1.2", "10.0.2.2"


class World:
    """client - proxy - server, 5 ms each. The server runs `answer(world, reader, writer)`; `heads` are what it read."""

    def __init__(self, answer, make=None, servers=1, config=None, **settings):
        self.net = Network(1)
        host = lambda name: self.net.host(name, **(config or {}))  # noqa: E731
        self.client, self.host = host("client"), host("proxy")
        self.servers = [host(f"s{n}") for n in range(servers)]
        self.net.link(self.client, self.host, delay=5 * MS, addrs=("10.0.1.1/24", f"{PROXY}/24"))
        for number, server in enumerate(self.servers, 2):
            self.net.link(self.host, server, delay=5 * MS, addrs=(f"10.0.{number}.1/24", f"10.0.{number}.2/24"))
        self.heads = []
        self.answer = answer
        self.settings = ProxySettings(**settings)
        upstreams = [Upstream(f"10.0.{number}.2", 80) for number in range(2, 2 + servers)]
        make = make or (lambda settings: HttpProxy(("", 80), upstreams, settings=settings))
        self.proxy = make(self.settings)

    async def serve(self):
        async def guarded(reader, writer):
            try:
                await self.answer(self, reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                pass
            writer.close()

        async with await asyncio.start_server(guarded, "", 80, limit=1 << 20) as listener:
            await listener.serve_forever()

    def run(self, client, limit=3600):
        async def main():
            await asyncio.sleep(0.1)
            return await client(self)

        background = {self.host: self.proxy, **dict.fromkeys(self.servers, self.serve)}
        return self.net.run({self.client: main}, background=background, limit=self.net.now + limit * S)[self.client]

    def now(self):
        return self.net.now / 1e9

    async def open(self):
        return await asyncio.open_connection(PROXY, 80)

    async def exchange(self, data, until=b"\r\n\r\nok"):
        """Send bytes on a new connection, and read up to the end of an answer, or to the end of the stream."""
        reader, writer = await self.open()
        writer.write(data)
        try:
            return await reader.readuntil(until)
        except asyncio.IncompleteReadError as error:
            return error.partial
        except ConnectionError:
            return b"reset"
        finally:
            writer.close()


def get(path="/", method="GET", *fields, body=b""):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: site", *fields, "", ""]).encode() + body


async def ok(world, reader, writer):
    while head := await reader.readuntil(b"\r\n\r\n"):
        world.heads.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def never(world, reader, writer):
    world.heads.append(await reader.readuntil(b"\r\n\r\n"))
    await reader.read()


def status(data):
    return int(data.split()[1]) if data.startswith(b"HTTP/1.1 ") else data


# Time.


def test_timeouts_are_exact():
    async def client(world):
        began = world.now()
        reader, writer = await world.open()
        writer.write(b"GET / HT")
        data = await reader.read()
        writer.close()
        return status(data), round(world.now() - began, 3)

    found, took = World(ok, head_timeout=7).run(client)
    assert (found, took) == (408, 7.03)  # ARP, the handshake, the first bytes and the answer take 10 + 10 + 5 + 5 ms

    async def waits(world):
        began = world.now()
        data = await world.exchange(get())
        return status(data), round(world.now() - began, 3)

    found, took = World(never, response_timeout=9).run(waits)
    assert found == 504 and took == pytest.approx(9, abs=0.06)


def test_the_time_for_a_head_is_the_time_for_all_of_it():
    async def client(world):
        reader, writer = await world.open()
        began = world.now()
        try:
            for byte in get("/", "GET", "X-Long: " + "a" * 1000):
                writer.write(bytes([byte]))
                await asyncio.sleep(1)
                if reader.at_eof() or world.clients_gone():
                    break
        except ConnectionError:
            pass
        writer.close()
        return world.now() - began

    world = World(ok, head_timeout=10)
    world.clients_gone = lambda: world.proxy.accepted and not world.proxy.clients
    assert 10 <= world.run(client) <= 14
    assert world.proxy.refusals == {408: 1}


def test_many_slow_clients_take_no_more_than_their_number():
    """Slowloris: all places are taken, until the timeout frees them, and then another client is served."""

    async def client(world):
        slow = [await world.open() for _ in range(20)]
        for _, writer in slow:
            writer.write(b"GET / HTTP/1.1\r\n")
        began = world.now()
        data = await world.exchange(get())
        most = world.most
        for _, writer in slow:
            writer.close()
        return status(data), world.now() - began, most

    world = World(ok, head_timeout=10, max_clients=20)
    world.most = 0
    original = world.proxy.serve

    async def serve(conn):
        world.most = max(world.most, world.proxy.clients)
        await original(conn)

    world.proxy.serve = serve
    found, took, most = world.run(client)
    assert found == 200 and 9 < took < 14 and most == 20


def test_an_idle_connection_ends():
    async def client(world):
        reader, writer = await world.open()
        writer.write(get())
        await reader.readuntil(b"ok")
        began = world.now()
        assert await reader.read() == b""
        writer.close()
        return world.now() - began

    assert World(ok, keepalive_timeout=20).run(client) == pytest.approx(20, abs=0.1)


def test_a_connection_has_a_most_number_of_requests():
    async def client(world):
        reader, writer = await world.open()
        writer.write(get() * 5)
        data = await reader.read()
        writer.close()
        return data.count(b"HTTP/1.1 200"), data.count(b"connection: close")

    assert World(ok, max_requests=3).run(client) == (3, 1)


# Memory.


@pytest.mark.parametrize("buffered", [0, 100_000])
def test_a_client_that_does_not_read_holds_a_bounded_part(buffered):
    """The server sends 20 MB. What it got rid of is in the buffers of the sockets, and in the proxy's own one."""
    sent = 0

    async def long(world, reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n")
        for _ in range(2000):
            writer.write(bytes(10_000))
            await writer.drain()
            sent += 10_000

    async def client(world):
        from socket import socket

        loop = asyncio.get_running_loop()
        with socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, (PROXY, 80))
            await loop.sock_sendall(sock, get())
            await asyncio.sleep(20)
            before = sent
            got = 0
            while got < 20_000_000 and (data := await loop.sock_recv(sock, 1 << 20)):
                got += len(data)
        return before, got

    config = {"profile": "lab", "tcp_rmem": 100_000, "tcp_wmem": 100_000}
    world = World(long, config=config, send_timeout=60, response_timeout=60, response_buffer=buffered)
    before, got = world.run(client)
    # two connections with two buffers each, the transport of the server's program, and the proxy
    assert before < 4 * 100_000 + 150_000 + buffered + 2 * 16_384
    assert got > 20_000_000  # the head, too


def test_a_client_that_never_reads_is_reset():
    async def long(world, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + bytes(20_000_000))
        await writer.drain()

    async def client(world):
        from socket import socket

        with socket() as sock:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (PROXY, 80))
            await asyncio.get_running_loop().sock_sendall(sock, get())
            await asyncio.sleep(60)
            return world.proxy.clients, world.proxy.counts

    clients, counts = World(long, send_timeout=10).run(client)
    assert (
        clients == 0
        and counts == {"client-gone": 1, "client-timeout": 1}
        or counts == {"client-gone": 1, "client-error": 1}
    )


# Retries.


def dying(times, early=True):
    """A server that closes connections before (or inside) an answer, so many times."""

    async def answer(world, reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            world.heads.append(head)
            if len(world.heads) <= times:
                writer.write(b"" if early else b"HTTP/1.1 200 OK\r\nConte")
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    return answer


@pytest.mark.parametrize(
    "method, times, early, found, tries",
    [
        ("GET", 1, True, 200, 2),
        ("GET", 2, True, 200, 3),
        ("GET", 3, True, 502, 3),  # two retries
        ("PUT", 1, True, 200, 2),
        ("POST", 1, True, 502, 1),
        ("PATCH", 1, True, 502, 1),
        ("GET", 1, False, 502, 1),  # the answer has begun
    ],
)
def test_what_is_repeated(method, times, early, found, tries):
    world = World(dying(times, early), servers=3, max_fails=0)
    body = [] if method == "GET" else ["Content-Length: 0"]
    data = world.run(lambda world: world.exchange(get("/", method, *body)))
    assert (status(data), len(world.heads)) == (found, tries)


def test_a_body_that_was_not_kept_is_not_repeated():
    found = []
    for most in (65_536, 0):
        world = World(dying(1), servers=2, max_fails=0, request_buffer=most)
        data = world.run(lambda world: world.exchange(get("/", "PUT", "Content-Length: 3", body=b"abc")))
        found.append((status(data), len(world.heads)))
    assert found == [(200, 2), (502, 1)]


def test_a_server_that_fails_gets_nothing_for_a_while():
    world = World(ok, servers=2, max_fails=2, fail_time=30, connect_timeout=1)

    async def client(world):
        world.servers[0].crash()
        times = []
        for _ in range(8):
            began = world.now()
            assert status(await world.exchange(get())) == 200
            times.append(round(world.now() - began))
        return times

    times = world.run(client)
    assert times.count(1) == 2 and times[-4:] == [0] * 4


# What passes.


def test_websocket_and_events_pass_at_once():
    async def answer(world, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"upgrade: websocket" in head.lower():
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi")
            while data := await reader.read(100):
                writer.write(data[::-1])
            writer.write(b"bye")
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(3):
            writer.write(b"data: %d\n\n" % number)
            await asyncio.sleep(1)

    async def client(world):
        reader, writer = await world.open()
        writer.write(get("/", "GET", "Connection: Upgrade", "Upgrade: websocket") + b"early")
        parts = [await reader.readuntil(b"\r\n\r\nhi"), await reader.readexactly(5)]
        writer.write(b"abc")
        parts.append(await reader.readexactly(3))
        writer.write_eof()
        parts.append(await reader.read())
        writer.close()
        reader, writer = await world.open()
        writer.write(get())
        times = []
        for number in range(3):
            await reader.readuntil(b"data: %d" % number)
            times.append(world.now())
        await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        return parts, [round(later - sooner, 3) for sooner, later in zip(times, times[1:])]

    parts, gaps = World(answer).run(client)
    assert parts[0].startswith(b"HTTP/1.1 101") and parts[1:] == [b"ylrae", b"cba", b"bye"]
    assert gaps == [1, 1]


def test_forward_and_socks_proxies_by_name():
    async def through(world):
        answers = []
        reader, writer = await world.open()
        writer.write(b"CONNECT s0:80 HTTP/1.1\r\nHost: s0:80\r\n\r\n")
        answers.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(get())
        answers.append(await reader.readuntil(b"\r\n\r\nok"))
        writer.close()
        return answers

    answers = World(ok, lambda settings: ForwardProxy(("", 80), settings=settings)).run(through)
    assert [answer.split(b"\r\n")[0] for answer in answers] == [
        b"HTTP/1.1 200 Connection established",
        b"HTTP/1.1 200 OK",
    ]

    async def socks(world):
        reader, writer = await world.open()
        writer.write(b"\5\1\0")
        first = await reader.readexactly(2)
        writer.write(b"\5\1\0\3\2s0\0\x50")
        second = await reader.readexactly(10)
        writer.write(get())
        third = await reader.readuntil(b"\r\n\r\nok")
        writer.close()
        return first, second, status(third)

    found = World(ok, lambda settings: SocksProxy(("", 80), settings=settings)).run(socks)
    assert found[0] == b"\5\0" and found[1][:8] == b"\5\0\0\1\x0a\0\2\1" and found[2] == 200


@pytest.mark.parametrize("data, answer", [
    (b"\4\1\0\x50\x0a\0\2\2\0", b""),  # version 4
    (b"\5\1\2", b"\5\xff"),  # no method that is allowed
    (b"\5\1\0\5\2\0\1\x0a\0\2\2\0\x50", b"\5\0\5\7\0\1\0\0\0\0\0\0"),  # BIND
    (b"\5\1\0\5\1\0\2", b"\5\0\5\x08\0\1\0\0\0\0\0\0"),  # no such type of address
    (b"\5\1\0\5\1\0\1\x0a\0\2\2\0\x09", b"\5\0\5\5\0\1\0\0\0\0\0\0"),  # nothing listens there
])  # fmt: skip
def test_socks_refuses(data, answer):
    async def client(world):
        reader, writer = await world.open()
        writer.write(data)
        got = b""
        try:
            while piece := await reader.read(100):
                got += piece
        except ConnectionError:
            pass
        writer.close()
        return got

    assert World(ok, lambda settings: SocksProxy(("", 80), settings=settings)).run(client) == answer


# Ends.


def test_a_relay_resets_the_other_side():
    async def reset(world, reader, writer):
        await reader.read(10)
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))

    async def client(world):
        reader, writer = await world.open()
        writer.write(b"hello")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    world = World(reset, lambda settings: TcpRelay(("", 80), [Upstream(SERVER, 80)], settings=settings))
    world.run(client)
    assert world.proxy.counts == {"relay-failed": 1}


def test_a_relay_that_is_idle_ends():
    world = World(
        never, lambda settings: TcpRelay(("", 80), [Upstream(SERVER, 80)], settings=settings), tunnel_timeout=100
    )

    async def client(world):
        reader, writer = await world.open()
        began = world.now()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        return world.now() - began

    assert world.run(client) == pytest.approx(100, abs=0.1)
    assert world.proxy.counts == {"relay-idle": 1}


# Hostile bytes.


@pytest.mark.parametrize("part", range(4))
def test_random_bytes_end_no_proxy(part):
    """Mutations of requests: each connection ends in time with one answer or none, and the next client is served."""
    rng = random.Random(part)
    seeds = [
        get(),
        get("/", "POST", "Content-Length: 5", body=b"hello"),
        get("/", "POST", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + bytes.fromhex("000000040000000000")
        + bytes.fromhex("00000401050000000182868441"),
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    ]

    def mutated():
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randrange(1, 9)]
                case 2:
                    data[at:at] = rng.choice([b"\r", b"\n", b"\r\n", b" ", b":", b"\0", b"\xff", b"0", b"chunked"])
                case _:
                    data[at:at] = data[max(0, at - 9) : at]
            if not data:
                data = bytearray(b"x")
        return bytes(data)

    async def client(world):
        for _ in range(40):
            reader, writer = await world.open()
            writer.write(mutated())
            try:
                async with asyncio.timeout(100):
                    await reader.read()
            except ConnectionError:
                pass
            writer.close()
        return status(await world.exchange(get()))

    world = World(ok, head_timeout=2, body_timeout=2, keepalive_timeout=2, response_timeout=2, max_fails=0)
    assert world.run(client) == 200
    assert "internal-error" not in world.proxy.counts
    for head in world.heads:  # what the server got is always a whole and plain head
        assert head.count(b"\r\n\r\n") == 1 and head.endswith(b"\r\n\r\n") and b"\0" not in head
        lowered = head.lower()
        assert not (b"\r\ncontent-length:" in lowered and b"\r\ntransfer-encoding:" in lowered)
        assert lowered.count(b"\r\ncontent-length:") <= 1 and b"\r\n " not in head


def test_settings_are_checked():
    with pytest.raises(ValueError, match="buffer_size=0: it must be a number of at least 1"):
        ProxySettings(buffer_size=0)
    with pytest.raises(ValueError, match="head_timeout=-1"):
        ProxySettings(head_timeout=-1)
    assert ProxySettings(retries=0).retries == 0
