"""A server for the tests of proxies. The path of a request says how it behaves, and it remembers the bytes that it got."""

import asyncio
import contextlib
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.support.patience import PATIENCE

#: the size of the long answer
LONG = 48 << 20


class Origin:
    """HTTP/1.1 over raw bytes, in a thread with a loop of its own."""

    def __init__(self, loop):
        self.loop = loop
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        #: connections, and bytes of the long answer that the proxy took
        self.connections = 0
        self.taken = 0
        self.failed: dict[bytes, int] = {}
        self.writers: set = set()
        #: the port of HTTP/2
        self.second = 0

    def forget(self):
        """Start a new case."""
        self.heads, self.bodies, self.connections, self.taken = [], [], 0, 0

    async def serve(self, reader, writer):
        self.connections += 1
        self.writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self.one(reader, writer):
                pass
        self.writers.discard(writer)
        writer.close()

    def close_all(self):
        """Close the connections that are open. (Called in the loop's thread.)"""
        for writer in self.writers:
            writer.close()

    async def one(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        lines = head.lower().split(b"\r\n")
        path = head.split(b" ")[1]
        body = b""
        for line in lines[1:]:
            if line.startswith(b"content-length:"):
                body = await reader.readexactly(int(line.split(b":")[1]))
            elif line.startswith(b"transfer-encoding:"):
                while size := int((await reader.readline()).split(b";")[0], 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readline()
        self.bodies.append(body)
        behave = getattr(
            self, "do_" + path.strip(b"/").split(b"/")[0].decode() if path != b"/" else "do_ok", self.do_ok
        )
        return await behave(reader, writer, path, body)

    async def do_ok(self, reader, writer, path, body):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        return True

    async def do_never(self, reader, writer, path, body):
        await reader.read(1)
        return False

    async def do_die(self, reader, writer, path, body):
        """Close before the first byte, once for each path."""
        self.failed[path] = self.failed.get(path, 0) + 1
        return False if self.failed[path] == 1 else await self.do_ok(reader, writer, path, body)

    async def do_middle(self, reader, writer, path, body):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)
        await writer.drain()
        await asyncio.sleep(0.1)
        return False

    async def do_chunks(self, reader, writer, path, body):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        return False

    async def do_stall(self, reader, writer, path, body):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)
        await reader.read(1)
        return False

    async def do_garbage(self, reader, writer, path, body):
        writer.write(b"hello, I am no HTTP server\r\n\r\n")
        await writer.drain()
        return False

    async def do_wide(self, reader, writer, path, body):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Wide: " + b"w" * 65536 + b"\r\n\r\nok")
        await writer.drain()
        return True

    async def do_both(self, reader, writer, path, body):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        await writer.drain()
        return True

    async def do_long(self, reader, writer, path, body):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LONG)
        piece = b"x" * 65536
        while self.taken < LONG:
            writer.write(piece)
            await writer.drain()
            self.taken += len(piece)
        return True

    async def do_events(self, reader, writer, path, body):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(2):
            event = b"data: %d\n\n" % number
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(0.7)
        writer.write(b"0\r\n\r\n")
        return True

    async def do_socket(self, reader, writer, path, body):
        """Accept an upgrade, and echo."""
        head = self.heads[-1].lower()
        if b"upgrade: websocket" not in head:
            return await self.do_ok(reader, writer, path, body)
        accept = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # to the key of RFC 6455's example
        head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n\r\nready"
        writer.write(head % accept)
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
        return False

    async def do_early(self, reader, writer, path, body):
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        return await self.do_ok(reader, writer, path, body)


class Origin2:
    """The same over HTTP/2 with prior knowledge, for the paths below /h2. It counts connections and requests in its Origin."""

    def __init__(self, origin, reader, writer):
        self.origin, self.reader, self.writer = origin, reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.paths, self.methods = {}, {}

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    async def serve(self):
        self.origin.connections += 1
        self.h2.initiate_connection()
        self.flush()
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError, asyncio.CancelledError):
            while data := await self.reader.read(65536):
                for event in self.h2.receive_data(data):
                    await self.event(event)
                self.flush()
        self.writer.close()

    async def event(self, event):
        number = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            fields = {bytes(name): bytes(value) for name, value in event.headers}
            self.paths[number] = fields[b":path"]
            self.origin.heads.append(b"\r\n".join(name + b": " + value for name, value in fields.items()))
        elif isinstance(event, h2.events.DataReceived) and b"window" not in self.paths[number]:
            self.h2.acknowledge_received_data(event.flow_controlled_length, number)  # type: ignore[arg-type]
        if getattr(event, "stream_ended", None):
            kind = self.paths[number].split(b"/")[2].decode()
            await getattr(self, f"do_{kind}", self.do_ok)(number)

    def again(self, number):
        """Whether the path was asked for before."""
        path = self.paths[number]
        self.origin.failed[path] = self.origin.failed.get(path, 0) + 1
        return self.origin.failed[path] > 1

    async def do_ok(self, number):
        self.h2.send_headers(number, [(":status", "200"), ("content-length", "2")])
        self.h2.send_data(number, b"ok", end_stream=True)

    async def do_slow(self, number):
        def answer():
            with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
                self.h2.send_headers(number, [(":status", "200"), ("content-length", "2")])
                self.h2.send_data(number, b"ok", end_stream=True)
                self.flush()

        self.origin.loop.call_later(0.3, answer)

    async def do_refuse(self, number):
        if self.again(number):
            return await self.do_ok(number)
        self.h2.reset_stream(number, h2.errors.ErrorCodes.REFUSED_STREAM)

    async def do_goaway(self, number):
        if self.again(number):
            return await self.do_ok(number)
        self.flush()
        self.writer.write(b"\0\0\x08\x07\0\0\0\0\0" + (number - 2 if number > 1 else 0).to_bytes(4, "big") + bytes(4))

    async def do_reset(self, number):
        self.h2.reset_stream(number, h2.errors.ErrorCodes.INTERNAL_ERROR)

    async def do_middle(self, number):
        self.h2.send_headers(number, [(":status", "200"), ("content-length", "1000")])
        self.h2.send_data(number, b"x" * 500)
        self.flush()
        await asyncio.sleep(0.1)
        self.h2.reset_stream(number, h2.errors.ErrorCodes.INTERNAL_ERROR)

    async def do_trailers(self, number):
        self.h2.send_headers(number, [(":status", "200")])
        self.h2.send_data(number, b"data")
        self.h2.send_headers(number, [("grpc-status", "0")], end_stream=True)


class InThread:
    """An asyncio loop in a thread: servers and proxies that blocking clients talk to."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.tasks = []
        self.servers = []

    def run(self, work, timeout=PATIENCE):
        """Run a coroutine there, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def origin(self):
        """Start an Origin. Returns it and its port."""
        origin = Origin(self.loop)

        async def start():
            return await asyncio.start_server(origin.serve, "127.0.0.1", 0, limit=1 << 17)

        server = self.run(start())
        self.servers.append(server)
        serve2 = lambda reader, writer: Origin2(origin, reader, writer).serve()  # noqa: E731
        second = self.run(asyncio.start_server(serve2, "127.0.0.1", 0))
        self.servers.append(second)
        origin.second = second.sockets[0].getsockname()[1]
        return origin, server.sockets[0].getsockname()[1]

    def proxy(self, server):
        """Start a ProxyServer, and return its port."""

        async def start():
            server.started = asyncio.Event()
            self.tasks.append(asyncio.ensure_future(server()))
            await server.started.wait()

        self.run(start())
        return server.address[1]

    def close(self):
        """End everything."""

        async def end():
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            for server in self.servers:
                server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0.01)  # transports close in the next round

        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)
        self.loop.close()
