"""The upstream's side of an HTTP proxy over HTTP/2 (RFC 9113), by the library h2: many requests on one connection."""

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
import h11

from pystack.proxies.conn import ProxyConn
from pystack.proxies.message import Headers, ProxiedRequest, RefusedRequest, tokens
from pystack.proxies.origin import BadResponse, UpstreamDied, patiently
from pystack.proxies.output2 import Http2Output
from pystack.proxies.settings import ProxySettings

#: how many bytes of responses may be on their way, in all streams of a connection together. A stream that nobody reads holds up to 65,535 bytes
#: of a response, and takes nothing away from the others
WINDOW = 1 << 20
#: the most bytes that wait for an upstream that does not read, beside one frame of each stream
BACKLOG = 1 << 20
#: how many responses of 1xx may come before the response
INFORMATIONAL = 64
#: streams of a connection, after which it takes no more (RFC 9113 section 5.1.1: their numbers have 31 bits)
LAST = (1 << 31) - 1001
log = logging.getLogger("pystack.proxies")
_Codes = h2.errors.ErrorCodes
_Settings = h2.settings.SettingCodes
_GOAWAY = 7
_FRAME_HEADER = 9


class Http2Connection:
    """A connection to an upstream. `begin` takes a stream of it, and `changed` is called when it has room for more or has ended.

    One task reads, and one writes. So a request that is cancelled does not stop in the middle of a frame.
    """

    def __init__(self, conn: ProxyConn, settings: ProxySettings, changed: Any = None):
        self.conn = conn
        self.settings = settings
        self.changed = changed
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.streams: dict[int, Http2Upstream] = {}
        #: streams that were promised to requests, and have no number yet
        self.reserved = 0
        #: requests that it carried
        self.requests = 0
        #: it takes no more requests: the upstream said GOAWAY, or it has ended
        self.leaving = False
        self.closed = False
        #: the upstream's settings have arrived, and with them the number of streams that it permits
        self.settled = False
        #: since when it has been idle (the loop's time)
        self.quiet_since = asyncio.get_running_loop().time()
        self.output = Http2Output(conn, self.h2, settings.buffer_size, settings.response_timeout)
        #: set when a window of the upstream has grown, or a stream has ended
        self.room = asyncio.Event()
        self._unacknowledged = 0
        self._in = bytearray()
        self._tasks: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Send the preface, and begin to read. The upstream's settings need not arrive before the first request (RFC 9113 section 3.4)."""
        self.h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={_Settings.ENABLE_PUSH: 0, _Settings.MAX_HEADER_LIST_SIZE: self.settings.max_head},
        )
        self.h2.decoder.max_header_list_size = self.settings.max_head
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(WINDOW - 65_535)
        self.flush()
        self._tasks = [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._write())]

    def free(self) -> int:
        """How many more requests it can take now."""
        if self.leaving or self.closed:
            return 0
        most = min(self.settings.max_upstream_streams, self.h2.remote_settings.max_concurrent_streams)
        if not self.settled:
            most = 1  # the first request need not wait
        return max(0, most - len(self.streams) - self.reserved)

    def begin(self) -> "Http2Upstream":
        """The place of one request, which must be given back with `Http2Upstream.leave`."""
        self.reserved += 1
        self.requests += 1
        return Http2Upstream(self)

    def number(self, stream: "Http2Upstream") -> int:
        """The number of a stream that begins now. UpstreamDied if it is too late for that."""
        if self.leaving or self.closed:
            raise UpstreamDied("the upstream ends the connection", True, unprocessed=True)
        number = self.h2.get_next_available_stream_id()
        self.reserved -= 1
        self.streams[number] = stream
        self.leaving = number > LAST
        return number

    def ended(self, number: int) -> None:
        """Forget a stream. 0: it never began."""
        if number == 0:
            self.reserved -= 1
        else:
            self.streams.pop(number, None)
        self.quiet_since = asyncio.get_running_loop().time()
        self.room.set()
        if self.leaving and not self.streams and not self.reserved:
            self.close()
        self.tell()

    def tell(self) -> None:
        """Report that there may be room."""
        if self.changed is not None:
            self.changed()

    # Writing.

    def flush(self) -> None:
        """Let the writer send what h2 has written."""
        self.output.take()

    async def drained(self) -> None:
        """Wait until the socket has taken everything. UpstreamDied if the connection has failed."""
        while self.output.waiting and not self.closed:
            await self.output.drained.wait()
        if self.closed:
            raise UpstreamDied("the connection to the upstream failed", True)

    async def _write(self) -> None:
        try:
            await self.output.write()
        except OSError as error:
            self._failed(str(error) or "the upstream took no bytes in time")

    # Reading.

    async def _read(self) -> None:
        why = "the upstream closed the connection"
        try:
            while data := await self.conn.recv(self.settings.buffer_size):
                self._in += data
                self._frames()
                self.room.set()
                self.tell()
                self.flush()
                if len(self.output.waiting) > BACKLOG:
                    why = "the upstream does not read the answers to its frames"
                    break
        except OSError as error:
            why = str(error)
        except h2.exceptions.ProtocolError as error:
            self._fail_all(BadResponse(f"the upstream broke the rules of HTTP/2: {error}"))
            self.flush()  # GOAWAY
            with contextlib.suppress(UpstreamDied, TimeoutError):
                async with asyncio.timeout(1):
                    await self.drained()
        self._failed(why)

    def _frames(self) -> None:
        """Give the frames that are whole to h2, but GOAWAY: h2 takes no frame behind it, although the upstream may still answer."""
        data = self._in
        while len(data) >= _FRAME_HEADER:
            length = int.from_bytes(data[:3], "big")
            size = _FRAME_HEADER + length
            if length > self.h2.max_inbound_frame_size:
                self.h2.close_connection(_Codes.FRAME_SIZE_ERROR)
                raise h2.exceptions.FrameTooLargeError(f"a frame of {length} bytes")
            if len(data) < size:
                break
            frame = bytes(data[:size])
            del data[:size]
            if frame[3] == _GOAWAY and length >= 8:
                last, code = (int.from_bytes(frame[at : at + 4], "big") for at in (_FRAME_HEADER, _FRAME_HEADER + 4))
                self._goes_away(last & 0x7FFFFFFF, code)
                continue
            for event in self.h2.receive_data(frame):
                self._event(event)

    def _event(self, event: Any) -> None:
        stream = self.streams.get(getattr(event, "stream_id", 0) or 0)
        if isinstance(event, h2.events.DataReceived):
            # The window of the connection opens at once, and that of the stream when the client has taken the bytes.
            self._unacknowledged += event.flow_controlled_length
            if self._unacknowledged >= WINDOW // 2:
                self.h2.increment_flow_control_window(self._unacknowledged)
                self._unacknowledged = 0
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.settled = True
        elif stream is not None:
            stream.happened(event)

    def _goes_away(self, last: int, code: int) -> None:
        """GOAWAY: streams above the last one were not processed, and the others may go on (RFC 9113 section 6.8)."""
        self.leaving = True
        for number, stream in list(self.streams.items()):
            if number > last:
                stream.fail(UpstreamDied("the upstream goes away", True, unprocessed=True))
            elif code:
                stream.fail(UpstreamDied(f"the upstream goes away: {_name(code)}", not stream.answered))
        if not self.streams and not self.reserved:
            self.close()

    def _fail_all(self, error: "Exception | str") -> None:
        self.leaving = True
        for stream in list(self.streams.values()):
            stream.fail(UpstreamDied(error, not stream.answered) if isinstance(error, str) else error)

    def _failed(self, why: str) -> None:
        """The connection has ended: all requests on it fail."""
        self._fail_all(why)
        self.close()

    def close(self) -> None:
        """Close it."""
        if self.closed:
            return
        self.leaving = self.closed = True
        here = asyncio.current_task()
        for task in self._tasks:
            if task is not here:
                task.cancel()
        self.output.drained.set()
        self.room.set()
        self.conn.close()
        self.tell()

    async def end(self) -> None:
        """Say GOAWAY, and close it."""
        if not self.closed:
            with contextlib.suppress(h2.exceptions.ProtocolError, OSError, TimeoutError):
                self.h2.close_connection()
                self.flush()
                async with asyncio.timeout(1):
                    await self.drained()
        tasks = self._tasks
        self.close()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Piece:
    """Bytes of a body that nobody has taken yet. `size` is what they take of the window."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.size = 0


class Http2Upstream:
    """One request and its response: what Http1Upstream is for HTTP/1.1."""

    def __init__(self, over: Http2Connection):
        self.over = over
        self.settings = over.settings
        self.number = 0
        #: whether a part of the response has arrived, and whether all of it has
        self.answered = False
        self.complete = False
        self._events: deque[Any] = deque()
        self._trailers: Headers = []
        self._informational = 0
        self._error: Exception | None = None
        self._arrived = asyncio.Event()
        #: whether the request was sent to its end, and when the last part of it was sent (the loop's time)
        self.sent = False
        self.moved = asyncio.get_running_loop().time()
        self._untold = 0  # bytes of the body that were taken, and for which the window was not opened yet
        self._left = False

    # Frames that arrive for the stream.

    def happened(self, event: Any) -> None:
        """The connection received something for this stream."""
        if isinstance(event, h2.events.InformationalResponseReceived):
            self._informational += 1
            self._head(event, h11.InformationalResponse)
        elif isinstance(event, h2.events.ResponseReceived):
            self._head(event, h11.Response)
        elif isinstance(event, h2.events.DataReceived):
            self._data(event.data, event.flow_controlled_length)
        elif isinstance(event, h2.events.TrailersReceived):
            self._trailers = [(bytes(name), bytes(value)) for name, value in event.headers]
            if len(self._trailers) > self.settings.max_headers:
                self.fail(BadResponse("the response has too many header fields"))
        elif isinstance(event, h2.events.StreamEnded):
            self.complete = self._error is None
            self._put(self._end())
        elif isinstance(event, h2.events.StreamReset):
            self._reset(event.error_code)

    def _head(self, event: Any, kind: Any) -> None:
        self.answered = True
        fields = [(bytes(name), bytes(value)) for name, value in event.headers]
        status = dict(fields).get(b":status", b"")
        try:
            if not status.isdigit() or len(status) != 3:
                raise BadResponse(f"the status {status[:20]!r}")
            if len(fields) > self.settings.max_headers:
                raise BadResponse("the response has too many header fields")
            if self._informational > INFORMATIONAL:
                raise BadResponse("the response has too many parts of 1xx")
            rest = [(name, value) for name, value in fields if not name.startswith(b":")]
            self._put(kind(status_code=int(status), headers=rest, reason=b""))
        except (h11.LocalProtocolError, BadResponse) as error:
            self.fail(BadResponse(str(error)))

    def _data(self, data: bytes, size: int) -> None:
        """Keep a part of the body. Parts that follow each other become one, so many small ones need no more memory."""
        last = self._events[-1] if self._events else None
        if not isinstance(last, _Piece):
            last = _Piece()
            if not data:
                self._took(size)
                return
            self._put(last)
        last.data += data
        last.size += size

    def _end(self) -> Any:
        try:
            return h11.EndOfMessage(headers=[one for one in self._trailers if not one[0].startswith(b":")])
        except h11.LocalProtocolError as error:
            return BadResponse(str(error))

    def _reset(self, code: Any) -> None:
        if self.complete:
            return  # the upstream does not want the rest of the request (RFC 9113 section 8.1)
        refused = code == _Codes.REFUSED_STREAM
        # RFC 9113 section 8.7: a request that was refused was not processed.
        self.fail(UpstreamDied(f"the upstream reset the stream: {_name(code)}", not self.answered, unprocessed=refused))

    def _put(self, event: Any) -> None:
        if self._error is None:
            self._events.append(event)
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        """There is no more of the response, unless it is complete."""
        if self._error is None and not self.complete:
            self._error = error
        self._arrived.set()
        self.over.room.set()

    # The request.

    async def send(self, request: ProxiedRequest, headers: Headers) -> None:
        """Send the request. UpstreamDied if the connection fails; RefusedRequest and others if the client's body does."""
        try:
            await self._request(request, headers)
        except UpstreamDied as died:
            self.fail(died)
            raise

    async def _request(self, request: ProxiedRequest, headers: Headers) -> None:
        over = self.over
        if request.upgrade:
            raise RefusedRequest(502, "the upstream speaks HTTP/2, in which a connection cannot change its protocol")
        empty = request.length == 0 and not request.get(b"content-length")
        number = over.number(self)
        try:
            over.h2.send_headers(number, self._fields(request, headers), end_stream=empty)
        except h2.exceptions.ProtocolError as error:
            over.streams.pop(number, None)
            over.reserved += 1
            if isinstance(error, h2.exceptions.TooManyStreamsError):
                raise UpstreamDied("the upstream takes no more streams", True, unprocessed=True) from None
            raise RefusedRequest(400, f"the request cannot be sent over HTTP/2: {error}") from None
        self.number = number
        over.flush()
        if not empty:
            async for piece in request.body.pieces():
                await self._send(piece)
            self._check()
            try:
                over.h2.end_stream(number)
            except h2.exceptions.ProtocolError as error:
                raise UpstreamDied(str(error), not self.answered) from None
            over.flush()
        self.sent = True
        await over.drained()
        self.moved = asyncio.get_running_loop().time()

    def _fields(self, request: ProxiedRequest, headers: Headers) -> Headers:
        scheme = b"https" if self.over.conn.tls is not None else b"http"
        fields = [(b":method", request.method), (b":scheme", scheme), (b":path", request.target)]
        fields += [(b":authority", value) for name, value in headers if name == b"host" and value]
        fields += [(name, value) for name, value in headers if name != b"host"]
        if request.length is not None and (request.length or request.get(b"content-length")):
            fields.append((b"content-length", str(request.length).encode()))
        if b"trailers" in tokens(request.get(b"te")):
            fields.append((b"te", b"trailers"))
        return fields

    def _check(self) -> None:
        """UpstreamDied if the stream has failed, or if the upstream answered and wants no more of the body."""
        if self._error is not None:
            raise self._error
        if self.over.closed or self.number not in self.over.streams:
            raise UpstreamDied("the connection to the upstream failed", not self.answered)

    async def _send(self, piece: bytes) -> None:
        """Send a part of the body. It waits while the upstream's window is closed."""
        over = self.over
        while piece:
            self._check()
            try:
                size = min(over.h2.local_flow_control_window(self.number), over.h2.max_outbound_frame_size, len(piece))
                size = min(size, self.settings.buffer_size)
                if size > 0:
                    over.h2.send_data(self.number, piece[:size])
            except h2.exceptions.ProtocolError as error:
                raise UpstreamDied(str(error), not self.answered) from None
            if size <= 0:
                over.room.clear()
                try:
                    async with asyncio.timeout(self.settings.response_timeout):
                        await over.room.wait()
                except TimeoutError:
                    raise UpstreamDied("the upstream opened no window in time", not self.answered) from None
                continue
            piece = piece[size:]
            over.flush()
            await over.drained()
            self.moved = asyncio.get_running_loop().time()

    # The response.

    async def event(self) -> Any:
        """The next part of the response: see Http1Upstream.event."""
        while not self._events:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await patiently(self._arrived.wait, self)
        event = self._events.popleft()
        if isinstance(event, BadResponse):
            raise event
        if isinstance(event, _Piece):
            self._took(event.size)
            return h11.Data(data=bytes(event.data))
        return event

    def _took(self, size: int) -> None:
        """Open the window of the stream for bytes that were taken, in steps of half of it."""
        self._untold += size
        over = self.over
        if self._untold < 32_768 or self.complete or over.closed or self.number not in over.streams:
            return
        with contextlib.suppress(h2.exceptions.ProtocolError):
            over.h2.increment_flow_control_window(self._untold, self.number)
            self._untold = 0
            over.flush()

    def rest(self) -> bytes:
        """Nothing: see Http1Upstream.rest."""
        return b""

    def leave(self) -> None:
        """Give the place back. A request that is not complete is cancelled."""
        if self._left:
            return
        self._left = True
        over = self.over
        if self.number and not over.closed:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                if not (self.complete and self.sent):
                    over.h2.reset_stream(self.number, _Codes.CANCEL)
            over.flush()
        over.ended(self.number)


def _name(code: Any) -> str:
    """The name of an error code (RFC 9113 section 7)."""
    try:
        return str(_Codes(code).name)
    except ValueError:
        return str(int(code))
