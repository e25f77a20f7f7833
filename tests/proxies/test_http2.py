"""HTTP/2 clients, friendly and hostile, in virtual time. The client is the library h2, driven by hand."""

import asyncio

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from tests.proxies.test_virtual import World, ok

HEAD = [(":method", "GET"), (":scheme", "http"), (":authority", "site"), (":path", "/")]


class Client:
    """A connection of HTTP/2 with prior knowledge."""

    def __init__(self, reader, writer, window=None):
        self.reader, self.writer = reader, writer
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        if window is not None:
            self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.events = []
        self.ended = False
        self.flush()

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    def ask(self, headers=HEAD, body=None):
        """Begin a request. Returns its number."""
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, headers, end_stream=body is None)
        if body:
            self.h2.send_data(number, body)
        self.flush()
        return number

    async def until(self, condition, acknowledge=True):
        """Read until a condition holds, or the connection ends."""
        while not condition() and not self.ended:
            try:
                data = await self.reader.read(65536)
            except ConnectionError:
                data = b""
            self.ended = not data
            for event in self.h2.receive_data(data) if data else []:
                self.events.append(event)
                if acknowledge and isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.flush()

    def of(self, kind, number=None):
        return [
            event for event in self.events if isinstance(event, kind) and (number is None or event.stream_id == number)
        ]

    async def answer(self, number):
        """(status, body) of a request, or the code with which its stream was reset."""
        over = (h2.events.StreamEnded, h2.events.StreamReset)
        await self.until(lambda: self.of(over, number))
        if self.of(h2.events.StreamReset, number):
            return self.of(h2.events.StreamReset, number)[0].error_code.name
        (head,) = self.of(h2.events.ResponseReceived, number)
        fields = {bytes(name): bytes(value) for name, value in head.headers}
        body = b"".join(event.data for event in self.of(h2.events.DataReceived, number))
        return int(fields[b":status"]), body


def connected(test, window=None):
    """A program with a Client."""

    async def client(world):
        made = Client(*await world.open(), window)
        try:
            return await test(world, made)
        finally:
            made.writer.close()

    return client


def test_requests_at_once_go_to_both_servers():
    async def ask(world, client):
        numbers = [client.ask() for _ in range(10)]
        return [await client.answer(number) for number in numbers]

    world = World(ok, servers=2)
    assert world.run(connected(ask)) == [(200, b"ok")] * 10
    assert len(world.heads) == 10 and all(b"\r\nvia: 2.0 pystack\r\n" in head for head in world.heads)


def test_cookies_are_joined_and_a_field_list_becomes_a_head():
    async def ask(world, client):
        return await client.answer(client.ask([*HEAD, ("cookie", "a=1"), ("x-one", "2"), ("cookie", "b=2")]))

    world = World(ok)
    assert world.run(connected(ask)) == (200, b"ok")
    assert b"\r\ncookie: a=1; b=2\r\n" in world.heads[0] and world.heads[0].startswith(
        b"GET / HTTP/1.1\r\nhost: site\r\n"
    )


@pytest.mark.parametrize(
    "headers, answer",
    [
        ([*HEAD, ("x-wide", "w" * 40_000)], 431),
        ([*HEAD, *((f"x-{n}", "y") for n in range(150))], 431),
        ([*HEAD[:3], (":path", "/" + "a" * 9_000)], 414),
        ([*HEAD[:3], (":path", "/a b")], 400),
        ([*HEAD[:3], (":path", "http://other/")], 400),
        ([*HEAD[:2], (":authority", "a b"), HEAD[3]], 400),
        ([(":method", "CONNECT"), (":authority", "site:80")], 405),
        ([*HEAD, ("x-split", "a\r\nx-more: b")], None),
        ([*HEAD, ("transfer-encoding", "chunked")], None),
        ([*HEAD, ("X-Upper", "a")], None),
        ([*HEAD, ("host", "other")], None),
    ],
)
def test_heads_that_are_refused(headers, answer):
    """None: the library, or our check, refuses it by an error of the stream or connection, or by 400."""

    async def ask(world, client):
        number = client.ask(headers)
        await client.until(lambda: client.of((h2.events.StreamEnded, h2.events.StreamReset), number))
        return [dict(event.headers) for event in client.of(h2.events.ResponseReceived, number)]

    world = World(ok)
    found = world.run(connected(ask))
    assert world.heads == []
    if answer is not None:
        assert [int(fields[b":status"]) for fields in found] == [answer]
    else:
        assert found == [] or found[0][b":status"] == b"400"


def test_rapid_resets_end_the_connection():
    """CVE-2023-44487: a client begins requests and cancels them at once."""

    async def ask(world, client):
        for _ in range(500):
            number = client.ask()
            client.h2.reset_stream(number)
            client.flush()
            await asyncio.sleep(0)
        await client.until(lambda: False)
        return [event.error_code.name for event in client.of(h2.events.ConnectionTerminated)]

    world = World(ok, max_resets=50)
    assert world.run(connected(ask)) == ["ENHANCE_YOUR_CALM"]
    assert world.proxy.requests < 300 and world.proxy.clients == 0


def test_a_client_that_opens_no_window_is_reset_in_time():
    async def long(world, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
        await writer.drain()

    async def ask(world, client):
        began = world.now()
        number = client.ask()
        await client.until(lambda: client.of(h2.events.StreamReset, number), acknowledge=False)
        got = sum(len(event.data) for event in client.of(h2.events.DataReceived))
        world.answer = ok
        return got, world.now() - began, (await client.answer(client.ask()))[0]

    world = World(long, send_timeout=20)
    got, took, code = world.run(connected(ask, window=10_000))
    assert got == 10_000 and took == pytest.approx(20, abs=1) and code == 200  # the connection goes on


def test_an_upload_is_bounded_by_the_window_while_the_server_does_not_read():
    async def slow(world, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(5)
        while not (await reader.read(1 << 20)).endswith(b"0\r\n\r\n"):
            pass
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def ask(world, client):
        number = client.ask([(":method", "PUT"), *HEAD[1:]], body=b"")
        sent = 0
        before = 0
        while sent < 1_500_000:
            size = min(client.h2.local_flow_control_window(number), 16_000)
            if size:
                client.h2.send_data(number, bytes(size))
                sent += size
                client.flush()
                continue
            count = len(client.of(h2.events.WindowUpdated))
            if world.now() < 4:
                before = sent
            await client.until(lambda count=count: len(client.of(h2.events.WindowUpdated)) > count)
        client.h2.end_stream(number)
        client.flush()
        return before, await client.answer(number)

    config = {"profile": "lab", "tcp_rmem": 100_000, "tcp_wmem": 100_000}
    before, answer = World(slow, config=config).run(connected(ask))
    assert answer == (200, b"ok")
    # the window of the stream, what was read ahead, the buffers of the sockets, and of the server's program
    assert 65_535 <= before < 65_535 + 65_536 + 200_000 + 2 * (1 << 20)


@pytest.mark.parametrize("padding", [None, 0])
def test_thousands_of_empty_parts_of_a_body_cost_nothing(padding):
    """Empty DATA frames are no flow control's business (RFC 9113 section 6.9.1), and those of padding alone contain no byte of the body."""

    async def ask(world, client):
        number = client.ask([(":method", "PUT"), *HEAD[1:]], body=b"")
        for _ in range(6000):
            client.h2.send_data(number, b"", pad_length=padding)
        client.h2.send_data(number, b"body", end_stream=True)
        client.flush()
        return await client.answer(number)

    assert World(ok).run(connected(ask)) == (200, b"ok")


def test_an_idle_connection_ends():
    async def ask(world, client):
        assert await client.answer(client.ask()) == (200, b"ok")
        began = world.now()
        await client.until(lambda: False)
        return world.now() - began

    assert World(ok, keepalive_timeout=15).run(connected(ask)) == pytest.approx(15, abs=0.1)


def test_pings_do_not_keep_a_connection():
    async def ask(world, client):
        began = world.now()
        while not client.ended and not client.of(h2.events.ConnectionTerminated):
            client.h2.ping(b"12345678")
            client.flush()
            count = len(client.events)
            await asyncio.sleep(1)
            await client.until(lambda count=count: len(client.events) > count)
        return world.now() - began

    assert World(ok, keepalive_timeout=15).run(connected(ask)) == pytest.approx(15, abs=1.1)


def test_control_a_protocol_error_ends_the_connection_alone():
    async def ask(world, client):
        client.writer.write(b"\0\0\1\0\0\0\0\0\1x")  # DATA on a stream that was never opened
        await client.until(lambda: False)
        other = Client(*await world.open())
        answer = await other.answer(other.ask())
        other.writer.close()
        return [event.error_code.name for event in client.of(h2.events.ConnectionTerminated)], answer

    assert World(ok).run(connected(ask)) == (["PROTOCOL_ERROR"], (200, b"ok"))


def test_a_stream_that_is_cancelled_leaves_whole_frames():
    """A client cancels requests while their responses are on the way. The frames of the others are not damaged."""

    async def long(world, reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000))
            await writer.drain()

    async def ask(world, client):
        numbers = [client.ask() for _ in range(10)]
        for number in numbers[::2]:
            await client.until(lambda number=number: client.of(h2.events.DataReceived, number))
            client.h2.reset_stream(number)
            client.flush()
        return [len((await client.answer(number))[1]) for number in numbers[1::2]]

    config = {"profile": "lab", "tcp_rmem": 20_000, "tcp_wmem": 20_000}
    assert World(long, config=config).run(connected(ask)) == [300_000] * 5


def test_a_client_that_reads_nothing_at_all_is_reset():
    async def long(world, reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000))
            await writer.drain()

    async def ask(world, client):
        transport = client.writer.transport
        transport.pause_reading()
        client.h2.increment_flow_control_window(1 << 20)
        for _ in range(5):
            client.ask()
        await asyncio.sleep(60)
        return world.proxy.clients

    config = {"profile": "lab", "tcp_rmem": 20_000, "tcp_wmem": 20_000}
    assert World(long, config=config, send_timeout=10).run(connected(ask, window=1 << 20)) == 0
