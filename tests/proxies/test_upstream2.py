"""Upstreams that speak HTTP/2, friendly and hostile, in virtual time. The server is the library h2, driven by hand."""

import asyncio

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import pytest

from pystack.proxies import HealthCheck, HttpProxy, Upstream
from pystack.proxies.origin import UpstreamDied
from pystack.proxies.origin2 import Http2Connection
from pystack.proxies.settings import ProxySettings
from tests.proxies.test_http2 import connected
from tests.proxies.test_virtual import World, get, status

Codes = h2.settings.SettingCodes
Errors = h2.errors.ErrorCodes


class Server:
    """One connection of the proxy to a server. `request(server, number, headers)` runs as a task when a request's head has come."""

    def __init__(self, world, reader, writer, request, settings=None):
        self.world, self.reader, self.writer, self.request = world, reader, writer, request
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.bodies, self.over, self.resets, self.room = {}, {}, {}, asyncio.Event()
        self.acknowledge = True
        self.tasks = []
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    async def serve(self):
        self.world.connections.append(self)
        while data := await self.reader.read(65536):
            for event in self.h2.receive_data(data):
                self.event(event)
            self.room.set()
            self.flush()

    def event(self, event):
        number = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            self.bodies[number], self.over[number] = b"", asyncio.Event()
            headers = [(bytes(name).decode(), bytes(value).decode()) for name, value in event.headers]
            self.world.heads.append(headers)
            self.tasks.append(asyncio.ensure_future(self.request(self, number, dict(headers))))
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[number] += event.data
            if self.acknowledge and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, number)
        elif isinstance(event, h2.events.StreamEnded):
            self.over[number].set()
        elif isinstance(event, h2.events.StreamReset):
            self.resets[number] = event.error_code.name
            if number in self.over:
                self.over[number].set()

    def head(self, number, code=200, *fields, end=False):
        self.h2.send_headers(number, [(":status", str(code)), *fields], end_stream=end)
        self.flush()

    async def body(self, number, data, end=True):
        """Send a body as the windows allow. Returns how much of it went."""
        sent = 0
        while sent < len(data) and number not in self.resets:
            size = min(self.h2.local_flow_control_window(number), 16_384, len(data) - sent)
            if size <= 0:
                self.room.clear()
                await self.room.wait()
                continue
            self.h2.send_data(number, data[sent : sent + size])
            sent += size
            self.flush()
            await self.writer.drain()
        if end and number not in self.resets:
            self.h2.end_stream(number)
            self.flush()
        return sent

    def goaway(self, last, code=0):
        self.flush()
        self.writer.write(b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def world(request, servers=1, count=None, settings=None, config=None, check=None, **options):
    """A World whose servers speak HTTP/2 with prior knowledge."""

    async def answer(made, reader, writer):
        await Server(made, reader, writer, request, settings).serve()

    def proxy(limits):
        upstreams = [Upstream(f"10.0.{number}.2", 80, http2=True) for number in range(2, 2 + servers)]
        return HttpProxy(("", 80), upstreams, settings=limits, check=check)

    made = World(answer, proxy, servers, config, **options)
    made.connections = []
    return made


async def ok(server, number, headers):
    await server.over[number].wait()
    server.head(number, 200, ("content-length", "2"))
    await server.body(number, b"ok")


def test_many_requests_share_one_connection():
    async def slow(server, number, headers):
        await asyncio.sleep(1)
        await ok(server, number, headers)

    async def ask(made, client):
        began = made.now()
        numbers = [client.ask() for _ in range(50)]
        answers = [await client.answer(number) for number in numbers]
        return answers, made.now() - began

    made = world(slow)
    answers, took = made.run(connected(ask))
    assert answers == [(200, b"ok")] * 50 and took < 1.2
    assert len(made.connections) == 1 and made.proxy.group.upstreams[0].opened == 1
    assert made.proxy.group.upstreams[0].active == 0


def test_the_head_of_a_request():
    async def client(made):
        return status(
            await made.exchange(
                get("/a?b=1", "GET", "X-One: 1", "Connection: X-Two", "X-Two: 2", "TE: trailers", "Keep-Alive: 5")
            )
        )

    made = world(ok)
    assert made.run(client) == 200
    (fields,) = made.heads
    assert fields[:4] == [(":method", "GET"), (":scheme", "http"), (":path", "/a?b=1"), (":authority", "site")]
    names = [name for name, _ in fields[4:]]
    assert ("x-one", "1") in fields and ("te", "trailers") in fields and ("x-forwarded-for", "10.0.1.1") in fields
    assert not {"host", "connection", "x-two", "keep-alive", "transfer-encoding", "content-length", "upgrade"} & set(
        names
    )


@pytest.mark.parametrize("size", [0, 5, 300_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_goes_there_and_back(size, chunked):
    async def echo(server, number, headers):
        await server.over[number].wait()
        assert headers.get("content-length") == (None if chunked else str(size))
        data = server.bodies[number]
        server.head(number, 200, ("content-length", str(len(data))))
        await server.body(number, data[::-1])

    async def client(made):
        data = bytes(range(250)) * (size // 250) + bytes(size % 250)
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        body = b"%x\r\n" % size + data + b"\r\n0\r\n\r\n" if chunked and size else b"0\r\n\r\n" if chunked else data
        reader, writer = await made.open()
        writer.write(get("/", "POST", framing, body=body))
        head = await reader.readuntil(b"\r\n\r\n")
        back = await reader.readexactly(size)
        writer.close()
        return status(head), back == data[::-1]

    assert world(echo, max_body=1 << 20).run(client) == (200, True)


def test_a_server_that_permits_few_streams_gets_more_connections():
    async def slow(server, number, headers):
        await asyncio.sleep(1)
        await ok(server, number, headers)

    async def ask(made, client):
        assert await client.answer(client.ask()) == (200, b"ok")  # the proxy knows the limit from now on
        numbers = [client.ask() for _ in range(9)]
        return [await client.answer(number) for number in numbers]

    made = world(slow, settings={Codes.MAX_CONCURRENT_STREAMS: 4})
    assert made.run(connected(ask)) == [(200, b"ok")] * 9
    assert len(made.connections) == 3


def test_max_upstream_bounds_the_connections_and_requests_wait_in_order():
    order = []

    async def slow(server, number, headers):
        order.append(headers[":path"])
        await asyncio.sleep(1)
        await ok(server, number, headers)

    async def ask(made, client):
        head = lambda n: [*[(":method", "GET"), (":scheme", "http"), (":authority", "site")], (":path", f"/{n}")]  # noqa: E731
        assert await client.answer(client.ask(head(99))) == (200, b"ok")
        began = made.now()
        numbers = [client.ask(head(n)) for n in range(6)]
        return [await client.answer(number) for number in numbers], made.now() - began

    made = world(slow, settings={Codes.MAX_CONCURRENT_STREAMS: 2}, max_upstream=1)
    answers, took = made.run(connected(ask))
    assert answers == [(200, b"ok")] * 6 and took == pytest.approx(3, abs=0.2) and len(made.connections) == 1
    assert order == ["/99", *(f"/{n}" for n in range(6))]

    made = world(slow, settings={Codes.MAX_CONCURRENT_STREAMS: 2}, max_upstream=1, queue_timeout=1.5)
    answers, _ = made.run(connected(ask))
    assert [code for code, _ in answers] == [200] * 4 + [503] * 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_refused_streams_are_repeated(method):
    """RFC 9113 section 8.7: the server has done nothing, so any method may be repeated."""
    tries = []

    async def refuse(server, number, headers):
        await server.over[number].wait()
        tries.append(server.bodies[number])
        if len(tries) < 3:
            server.h2.reset_stream(number, Errors.REFUSED_STREAM)
            server.flush()
        else:
            await ok(server, number, headers)

    async def client(made):
        return status(await made.exchange(get("/", method, "Content-Length: 5", body=b"hello")))

    made = world(refuse)
    assert made.run(client) == 200 and tries == [b"hello"] * 3
    assert len(made.connections) == 1 and made.proxy.group.upstreams[0].fails == 0


def test_a_server_that_refuses_everything_is_not_asked_for_ever():
    async def refuse(server, number, headers):
        server.h2.reset_stream(number, Errors.REFUSED_STREAM)
        server.flush()

    async def client(made):
        return status(await made.exchange(get()))

    made = world(refuse)
    assert made.run(client) == 502 and len(made.heads) == 21


@pytest.mark.parametrize("method, code, sent", [("GET", 502, 3), ("POST", 502, 1)])
def test_a_stream_that_is_reset_for_another_reason_is_repeated_only_if_that_is_safe(method, code, sent):
    async def fail(server, number, headers):
        server.h2.reset_stream(number, Errors.INTERNAL_ERROR)
        server.flush()

    async def client(made):
        return status(await made.exchange(get("/", method, "Content-Length: 5", body=b"hello")))

    made = world(fail, servers=3)
    assert made.run(client) == code and len(made.heads) == sent


def test_goaway_lets_old_streams_end_and_repeats_new_ones():
    async def leave(server, number, headers):
        if len(server.world.connections) > 1:
            return await ok(server, number, headers)
        if number == 5:
            server.goaway(3)
        if number <= 3:
            await asyncio.sleep(2)
            await ok(server, number, headers)

    async def ask(made, client):
        post = [(":method", "POST"), (":scheme", "http"), (":authority", "site"), (":path", "/")]
        numbers = [client.ask(post, body=b"x") for _ in range(4)]
        for number in numbers:
            client.h2.end_stream(number)
        client.flush()
        return [await client.answer(number) for number in numbers]

    made = world(leave)
    assert made.run(connected(ask)) == [(200, b"ok")] * 4
    assert len(made.connections) == 2 and len(made.heads) == 6
    assert made.proxy.refusals == {}


def test_goaway_with_an_error_fails_the_requests_that_it_may_have_processed():
    async def die(server, number, headers):
        server.goaway(1, 2)
        server.writer.close()

    async def client(made):
        return status(await made.exchange(get("/", "POST", "Content-Length: 1", body=b"x")))

    made = world(die)
    assert made.run(client) == 502 and len(made.heads) == 1


def test_a_connection_that_was_closed_while_idle_costs_nothing():
    async def client(made):
        first = status(await made.exchange(get()))
        made.connections[0].writer.close()
        await asyncio.sleep(1)
        return first, status(await made.exchange(get("/", "POST", "Content-Length: 1", body=b"x")))

    made = world(ok)
    assert made.run(client) == (200, 200) and len(made.connections) == 2


def test_idle_connections_end():
    async def client(made):
        await made.exchange(get())
        await asyncio.sleep(60)
        return made.proxy.group.upstreams[0].shared, made.connections[0].reader.at_eof()

    assert world(ok, idle_timeout=10).run(client) == ([], True)


def test_a_client_that_reads_nothing_does_not_hold_up_the_others():
    """Its stream's window stays closed, and the connection's is open for the others."""

    async def long(server, number, headers):
        size = 3_000_000 if headers[":path"] == "/long" else 200_000
        server.head(number, 200)
        server.sent = getattr(server, "sent", {})
        server.sent[number] = await server.body(number, bytes(size))

    async def client(made):
        stuck = [await made.open() for _ in range(30)]
        for _, writer in stuck:
            writer.transport.pause_reading()
            writer.write(get("/long"))
        await asyncio.sleep(3)
        reader, writer = await made.open()
        began = made.now()
        writer.write(get("/", "GET", "Connection: close"))
        size = len(await reader.read(1 << 20))
        while more := await reader.read(1 << 20):
            size += len(more)
        for _, other in stuck:
            other.transport.abort()
        writer.close()
        await asyncio.sleep(1)
        return size, made.now() - began, sorted(made.connections[0].resets.values()), len(made.connections)

    config = {"profile": "lab", "tcp_rmem": 20_000, "tcp_wmem": 20_000}
    size, took, resets, connections = world(long, config=config).run(client)
    assert size > 200_000 and took < 2 and connections == 1
    assert resets == ["CANCEL"] * 30  # the requests of clients that are gone end, and the connection stays


def test_a_slow_client_bounds_what_the_server_can_send():
    async def long(server, number, headers):
        server.head(number, 200)
        server.sent = 0
        while server.sent < 3_000_000:
            server.sent += await server.body(number, bytes(10_000), end=False)

    async def client(made):
        reader, writer = await made.open()
        writer.transport.pause_reading()
        writer.write(get())
        await asyncio.sleep(10)
        sent = made.connections[0].sent
        writer.transport.abort()
        return sent

    config = {"profile": "lab", "tcp_rmem": 20_000, "tcp_wmem": 20_000}
    sent = world(long, config=config).run(client)
    # the window of the stream, what the proxy reads ahead, one piece, and the buffers of the sockets
    assert 100_000 < sent < 65_535 + 65_536 + 65_536 + 150_000


def test_an_upload_waits_for_the_servers_window():
    async def slow(server, number, headers):
        server.acknowledge = False
        await asyncio.sleep(5)
        seen = len(server.bodies[number])
        server.acknowledge = True
        server.h2.acknowledge_received_data(seen, number)
        server.flush()
        await server.over[number].wait()
        server.head(number, 200, ("x-seen", str(seen)), ("content-length", "2"))
        await server.body(number, b"ok")

    async def client(made):
        reader, writer = await made.open()
        writer.write(get("/", "PUT", "Content-Length: 500000", body=bytes(500_000)))
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return status(head), b"x-seen: 65535\r\n" in head

    assert world(slow).run(client) == (200, True)

    async def never(server, number, headers):
        server.acknowledge = False

    made = world(never, response_timeout=7, retries=0)
    assert made.run(client_of_big) in (502, 504)


async def client_of_big(made):
    reader, writer = await made.open()
    writer.write(get("/", "PUT", "Content-Length: 500000", body=bytes(500_000)))
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return status(head)


def test_an_answer_before_the_end_of_the_body_ends_the_upload():
    async def early(server, number, headers):
        server.acknowledge = False
        server.head(number, 413, ("content-length", "3"))
        await server.body(number, b"big")
        server.h2.reset_stream(number, Errors.NO_ERROR)
        server.flush()

    made = world(early, request_buffer=1000)
    assert made.run(client_of_big) == 413


def test_trailers_reach_clients_of_both_versions():
    async def trailing(server, number, headers):
        server.head(number, 200)
        server.h2.send_data(number, b"data")
        server.h2.send_headers(number, [("grpc-status", "0"), ("content-length", "9"), ("x-sum", "1")], end_stream=True)
        server.flush()

    async def client(made):
        reader, writer = await made.open()
        writer.write(get("/", "GET", "TE: trailers", "Connection: close"))
        data = await reader.read()
        while more := await reader.read():
            data += more
        writer.close()
        return data

    data = world(trailing).run(client)
    assert data.endswith(b"4\r\ndata\r\n0\r\ngrpc-status: 0\r\nx-sum: 1\r\n\r\n")

    async def ask(made, other):
        number = other.ask()
        assert await other.answer(number) == (200, b"data")
        (event,) = other.of(h2.events.TrailersReceived, number)
        return [(bytes(name), bytes(value)) for name, value in event.headers]

    assert world(trailing).run(connected(ask)) == [(b"grpc-status", b"0"), (b"x-sum", b"1")]


def test_informational_responses_pass_and_their_number_is_bounded():
    async def hints(server, number, headers):
        for _ in range(int(headers[":path"][1:])):
            server.h2.send_headers(number, [(":status", "103"), ("link", "</a.css>")])
        server.flush()
        await ok(server, number, headers)

    async def client(made):
        return await made.exchange(get("/2")), status(await made.exchange(get("/200")))

    some, many = world(hints).run(client)
    assert some.count(b"HTTP/1.1 103 ") == 2 and some.endswith(b"ok")
    assert many in (502, 103)


@pytest.mark.parametrize(
    "fields",
    [
        [(":status", "abc")],
        [(":status", "200"), ("connection", "close")],
        [(":status", "200"), ("x-a", "b\r\nx-c: d")],
        [(":status", "200"), *((f"x-{n}", "y") for n in range(200))],
        [(":status", "200"), ("x-wide", "w" * 60_000)],
        [("x-no-status", "1")],
        [(":status", "101"), ("upgrade", "websocket")],
    ],
    ids=["status", "connection", "split", "many", "wide", "none", "101"],
)
def test_wrong_responses_are_502(fields):
    async def wrong(server, number, headers):
        if headers[":path"] == "/fine":
            return await ok(server, number, headers)
        server.h2.send_headers(number, fields, end_stream=fields[0][1] != "101")
        server.flush()

    async def client(made):
        answers = [status(await made.exchange(get("/wrong", "POST", "Content-Length: 1", body=b"x")))]
        return [*answers, status(await made.exchange(get("/fine")))]

    made = world(wrong)
    assert made.run(client) == [502, 200] and made.proxy.group.upstreams[0].active == 0


def test_bytes_that_are_no_http2_are_502():
    async def garbage(made, reader, writer):
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async def client(made):
        return status(await made.exchange(get("/", "POST", "Content-Length: 1", body=b"x")))

    made = world(ok)
    made.answer = garbage
    assert made.run(client) == 502


def test_a_server_that_answers_nothing_is_504():
    async def never(server, number, headers):
        await asyncio.sleep(1000)

    async def client(made):
        began = made.now()
        return status(await made.exchange(get())), made.now() - began, list(made.connections[0].resets.values())

    found, took, resets = world(never, response_timeout=9).run(client)
    assert found == 504 and took == pytest.approx(9, abs=0.1)


@pytest.mark.parametrize("http2", [False, True])
def test_a_slow_upload_is_no_slow_server(http2):
    """The time for a response begins when the request has been sent. The server answers 5 s after it has the whole body."""

    async def late(server, number, headers):
        await server.over[number].wait()
        await asyncio.sleep(5)
        await ok(server, number, headers)

    async def late1(made, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(300_000)
        await asyncio.sleep(5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def client(made):
        reader, writer = await made.open()
        writer.write(get("/", "PUT", "Content-Length: 300000"))
        for _ in range(30):
            writer.write(bytes(10_000))
            await asyncio.sleep(2)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return status(head)

    limits = {"response_timeout": 8, "request_buffer": 1000}
    assert (world(late, **limits) if http2 else World(late1, **limits)).run(client) == 200


def test_no_connection_is_502_for_all_that_wait():
    async def ask(made, client):
        numbers = [client.ask() for _ in range(5)]
        return [(await client.answer(number))[0] for number in numbers]

    made = world(ok)
    made.proxy.group.upstreams[0].port = 81
    assert made.run(connected(ask)) == [502] * 5


def test_a_websocket_is_refused():
    async def client(made):
        return status(
            await made.exchange(
                get(
                    "/",
                    "GET",
                    "Connection: Upgrade",
                    "Upgrade: websocket",
                    "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                )
            )
        )

    made = world(ok)
    assert made.run(client) == 502 and made.heads == []


def test_empty_frames_and_small_ones_take_no_memory():
    async def crumbs(server, number, headers):
        server.head(number, 200)
        for _ in range(20_000):
            server.h2.send_data(number, b"")
        for _ in range(5_000):
            server.h2.send_data(number, b"x", pad_length=3)
        server.flush()
        await asyncio.sleep(1)
        exchange = next(iter(server.world.proxy.group.upstreams[0].shared[0].streams.values()))
        server.world.events = len(exchange._events)
        server.h2.end_stream(number)
        server.flush()

    async def client(made):
        reader, writer = await made.open()
        writer.transport.pause_reading()
        writer.write(get("/", "GET", "Connection: close"))
        await asyncio.sleep(5)
        writer.transport.resume_reading()
        data = b""
        while more := await reader.read(1 << 20):
            data += more
        writer.close()
        return data.count(b"x")

    config = {"profile": "lab", "tcp_rmem": 20_000, "tcp_wmem": 20_000}
    made = world(crumbs, config=config)
    assert made.run(client) >= 5000 and made.events <= 3


def test_a_server_that_pings_and_reads_nothing_is_left():
    async def ping(server, number, headers):
        server.reader._transport.pause_reading()
        for _ in range(300_000):
            server.h2.ping(b"12345678")
            if _ % 1000 == 0:
                server.flush()
                await server.writer.drain()

    async def client(made):
        return status(await made.exchange(get("/", "POST", "Content-Length: 1", body=b"x")))

    config = {"profile": "lab", "tcp_rmem": 20_000, "tcp_wmem": 20_000}
    assert world(ping, config=config, response_timeout=20).run(client) in (502, 504)


@pytest.mark.parametrize("up", [True, False])
def test_health_checks_speak_http2(up):
    async def health(server, number, headers):
        server.head(number, 204 if up and headers[":path"] == "/health" else 500, end=True)

    async def client(made):
        await asyncio.sleep(10)
        return made.proxy.group.upstreams[0].healthy

    assert world(health, check=HealthCheck("/health")).run(client) is up


def test_a_proxy_header_and_http2_exclude_each_other():
    with pytest.raises(ValueError, match="PROXY"):
        Upstream("10.0.0.1", 80, http2=True, proxy=1)


def test_a_run_is_the_same_each_time():
    async def ask(made, client):
        numbers = [client.ask() for _ in range(20)]
        return [await client.answer(number) for number in numbers], made.net.now, made.net.steps

    assert world(ok, servers=3).run(connected(ask)) == world(ok, servers=3).run(connected(ask))


@pytest.mark.parametrize("late", ["leaving", "closed"])
def test_a_request_that_has_a_place_but_no_number_yet_was_not_processed(late):
    async def run():
        over = Http2Connection(None, ProxySettings())
        stream = over.begin()
        setattr(over, late, True)
        with pytest.raises(UpstreamDied) as caught:
            over.number(stream)
        return caught.value

    error = asyncio.run(run())
    assert error.early and error.unprocessed  # so any request may be sent again
