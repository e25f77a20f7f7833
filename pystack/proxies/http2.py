"""The client's side of an HTTP proxy over HTTP/2 (RFC 9113), by the library h2: a task for each stream."""

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from pystack.proxies.conn import ProxyConn
from pystack.proxies.head import check_body, check_request
from pystack.proxies.message import Headers, ProxiedRequest, RefusedRequest, RequestBody
from pystack.proxies.output2 import Http2Output
from pystack.proxies.settings import ProxySettings

#: how many bytes of bodies a client may send ahead of the upstreams, in all streams of a connection together
WINDOW = 1 << 20
log = logging.getLogger("pystack.proxies")
_Codes = h2.errors.ErrorCodes


class Http2Client:
    """One connection of a client. `handle(request, reply, conn)` serves a request, and raises RefusedRequest if it cannot."""

    def __init__(self, conn: ProxyConn, settings: ProxySettings, handle: Any, refused: Any):
        self.conn = conn
        self.settings = settings
        self.handle = handle
        self.refused = refused
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self.streams: dict[int, Http2Stream] = {}
        self.requests = 0
        self.resets = 0
        #: set when a window of the client has grown, or a stream has ended
        self.room = asyncio.Event()
        self.quiet_since = 0.0
        # One task writes. A stream that is cancelled must not stop in the middle of a frame.
        self.output = Http2Output(conn, self.h2, settings.buffer_size, settings.send_timeout)
        self._writer: Any = None

    async def run(self) -> None:
        """Serve until the client or the proxy ends the connection."""
        settings = h2.settings.SettingCodes
        self.h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                settings.MAX_CONCURRENT_STREAMS: self.settings.max_streams,
                settings.MAX_HEADER_LIST_SIZE: self.settings.max_head,
                settings.ENABLE_PUSH: 0,
            },
        )
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(WINDOW - 65_535)
        self.quiet_since = asyncio.get_running_loop().time()
        self._writer = asyncio.ensure_future(self._write())
        try:
            await self.flush()
            while await self._step():
                pass
        finally:
            for stream in list(self.streams.values()):
                stream.task.cancel()
            try:
                await asyncio.gather(*(stream.task for stream in self.streams.values()), return_exceptions=True)
                with contextlib.suppress(OSError):
                    await self.flush()
            finally:
                failed = self._writer.done()
                self._writer.cancel()
                await asyncio.gather(self._writer, return_exceptions=True)
        if failed:
            self.conn.reset()
        else:
            await self.conn.linger()

    async def _step(self) -> bool:
        """Read once, and do what follows. False: the connection ends."""
        data = await self._read()
        if not data:
            return False
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            return False  # GOAWAY is in the output
        for event in events:
            self._event(event)
            if isinstance(event, h2.events.ConnectionTerminated):
                return False
        self.room.set()
        if self.resets > self.settings.max_resets:
            self.h2.close_connection(_Codes.ENHANCE_YOUR_CALM)
            return False
        await self.flush()
        if self.requests >= self.settings.max_requests and not self.streams:
            self.h2.close_connection()
            return False
        return True

    async def _read(self) -> bytes:
        """The next bytes; b"" at the end, and after a time without requests."""
        loop = asyncio.get_running_loop()
        reader = asyncio.ensure_future(self.conn.recv(self.settings.buffer_size))
        try:
            while True:
                left = self.settings.keepalive_timeout
                if not self.streams:
                    left += self.quiet_since - loop.time()
                    if left <= 0:
                        self.h2.close_connection()
                        return b""
                await asyncio.wait([reader, self._writer], timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if self._writer.done():
                    return b""
                if reader.done():
                    return reader.result()
        finally:
            if not reader.done():
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)

    async def flush(self) -> None:
        """Send what h2 has written, and wait until the socket has taken it. ConnectionError if it took nothing for too long."""
        self.output.take()
        while self.output.waiting:
            if self._writer.done():
                raise ConnectionAbortedError("the client's connection failed")
            await self.output.drained.wait()

    async def _write(self) -> None:
        """Write to the socket for ever. It ends if the client does not take up to `buffer_size` bytes in time."""
        try:
            await self.output.write()
        except OSError as error:
            log.debug("%s: %s", self.conn.peer, error)
        finally:
            asyncio.get_running_loop().call_soon(self.output.drained.set)  # once this task is done, for those that wait

    def _event(self, event: Any) -> None:
        stream = self.streams.get(getattr(event, "stream_id", 0) or 0)
        if isinstance(event, h2.events.RequestReceived):
            self._begin(event)
        elif isinstance(event, h2.events.DataReceived):
            if stream is None:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            else:
                stream.arrived(event.data, event.flow_controlled_length)
        elif isinstance(event, h2.events.StreamEnded) and stream is not None:
            stream.complete()
        elif isinstance(event, h2.events.StreamReset):
            self.resets += 1
            if stream is not None:
                stream.task.cancel()

    def _begin(self, event: Any) -> None:
        self.requests += 1
        stream = self.streams[event.stream_id] = Http2Stream(self, event.stream_id, event.headers, event.stream_ended)
        stream.task = asyncio.ensure_future(stream.serve())

    def ended(self, stream: "Http2Stream") -> None:
        """Forget a stream."""
        self.streams.pop(stream.number, None)
        self.quiet_since = asyncio.get_running_loop().time()
        self.room.set()


class Http2Stream:
    """One request: its body as it arrives, and its response as it is written (see Replier)."""

    task: "asyncio.Future[None]"

    def __init__(self, client: Http2Client, number: int, headers: Headers, ended: Any):
        self.client = client
        self.number = number
        self.headers = headers
        self.whole = bool(ended)
        self.empty = self.whole
        self.parts: deque[tuple[bytes, int]] = deque()
        self.got = 0
        self.changed = asyncio.Event()
        self.started = False
        self.closed = False

    # The request.

    def arrived(self, data: bytes, size: int) -> None:
        """A part of the body arrived. `size` is what it takes of the window: 0 if the part is empty, which counts for nothing."""
        if size:
            self.parts.append((data, size))
            self.changed.set()

    def complete(self) -> None:
        """The body is complete."""
        self.whole = True
        self.changed.set()

    async def read(self) -> bytes:
        """The next part of the body, b"" at its end. The client's window opens when a part is taken."""
        client = self.client
        while await self._more():
            data, size = self.parts.popleft()
            self.got += len(data)
            check_body(self.got, client.settings)
            client.h2.acknowledge_received_data(size, self.number)
            await client.flush()
            if data:  # otherwise the part was nothing but padding
                return data
        return b""

    async def _more(self) -> bool:
        """Wait for a part of the body. False: the body has ended. RefusedRequest: the part did not arrive in time."""
        while not self.parts:
            if self.whole:
                return False
            self.changed.clear()
            try:
                async with asyncio.timeout(self.client.settings.body_timeout):
                    await self.changed.wait()
            except TimeoutError:
                raise RefusedRequest(408, "the body of the request did not arrive in time") from None
        return True

    def request(self) -> ProxiedRequest:
        """The request of the stream's header fields. RefusedRequest if it is not valid."""
        pseudo = {bytes(name): bytes(value) for name, value in self.headers if name.startswith(b":")}
        fields = [(bytes(name), bytes(value)) for name, value in self.headers if not name.startswith(b":")]
        cookies = [value for name, value in fields if name == b"cookie"]
        if len(cookies) > 1:  # RFC 9113 section 8.2.3
            fields = [(name, value) for name, value in fields if name != b"cookie"]
            fields.append((b"cookie", b"; ".join(cookies)))
        request = ProxiedRequest(pseudo.get(b":method", b""), pseudo.get(b":path", b"/"), fields, b"2.0")
        request.scheme = b"http" if self.client.conn.tls is None else b"https"
        request.host = pseudo.get(b":authority") or b"".join(request.get(b"host")[:1])
        if request.method == b"CONNECT":
            raise RefusedRequest(405, "CONNECT is not possible over HTTP/2")
        check_request(request, self.client.settings)
        lengths = request.get(b"content-length")
        request.length = 0 if self.empty else int(lengths[0]) if lengths else None
        check_body(request.length or 0, self.client.settings)
        request.peer = self.client.conn.peer
        request.body = RequestBody(self.read, self.empty)
        return request

    async def serve(self) -> None:
        """Serve the request, and end the stream in any case."""
        client = self.client
        try:
            try:
                await client.handle(self.request(), self, client.conn)
            except RefusedRequest as refusal:
                client.refused(refusal.status)
                await self._error(refusal)
            if not self.closed:
                self._reset(_Codes.INTERNAL_ERROR)
            elif not self.whole:
                self._reset(_Codes.NO_ERROR)  # the rest of the body is not wanted (RFC 9113 section 8.1)
            await client.flush()
        except (OSError, EOFError, h2.exceptions.ProtocolError):
            await self._failed()
        except Exception:
            log.exception("a request failed")
            await self._failed()
        finally:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                for _, size in self.parts:
                    client.h2.acknowledge_received_data(size, self.number)
            self.parts.clear()
            client.ended(self)

    async def _failed(self) -> None:
        self._reset(_Codes.INTERNAL_ERROR)
        with contextlib.suppress(OSError):
            await self.client.flush()

    async def _error(self, refusal: RefusedRequest) -> None:
        if self.started:
            self.abort()
            return
        headers, text = refusal.response()
        await self.head(refusal.status, b"", headers)
        if (b":method", b"HEAD") not in [(bytes(name), bytes(value)) for name, value in self.headers]:
            await self.data(text)
        await self.end([])

    def _reset(self, code: Any) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self.client.h2.reset_stream(self.number, code)
        self.closed = True

    # The response.

    async def informational(self, status: int, headers: Headers) -> None:
        """See Replier."""
        self.client.h2.send_headers(self.number, [(b":status", str(status).encode()), *headers])
        await self.client.flush()

    async def head(self, status: int, reason: bytes, headers: Headers) -> None:
        """See Replier."""
        self.started = True
        self.client.h2.send_headers(self.number, [(b":status", str(status).encode()), *headers])
        await self.client.flush()

    async def data(self, piece: bytes) -> None:
        """See Replier. It waits while the client's window is closed."""
        client = self.client
        async with asyncio.timeout(client.settings.send_timeout):
            while piece:
                window = client.h2.local_flow_control_window(self.number)
                size = min(window, client.h2.max_outbound_frame_size, client.settings.buffer_size, len(piece))
                if size <= 0:
                    client.room.clear()
                    await client.room.wait()
                    continue
                client.h2.send_data(self.number, piece[:size])
                piece = piece[size:]
                await client.flush()

    async def end(self, trailers: Headers) -> None:
        """See Replier."""
        if trailers:
            self.client.h2.send_headers(self.number, trailers, end_stream=True)
        else:
            self.client.h2.end_stream(self.number)
        self.closed = True
        await self.client.flush()

    def abort(self) -> None:
        """See Replier."""
        self._reset(_Codes.INTERNAL_ERROR)

    async def switch(self, headers: Headers) -> Any:
        """See Replier. HTTP/2 has no 101, so no request asks for it."""
        raise RefusedRequest(502, "the upstream changed the protocol")
