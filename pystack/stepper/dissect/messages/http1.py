"""HTTP/1.1 (RFC 9112) as a stream: where heads and bodies end, events in bodies, and what follows an upgrade."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from pystack.stepper.dissect.application import http
from pystack.stepper.dissect.messages.base import KEPT, Bad, StreamMessage, StreamParser, StreamPiece
from pystack.stepper.dissect.messages.http2 import Http2
from pystack.stepper.dissect.messages.sse import EventStream
from pystack.stepper.dissect.messages.websocket import WebSocket

#: the longest line with the size of a chunk, or of a trailer; the most requests that wait for their answers
MOST_LINE, MOST_WAITING = 8 << 10, 1000
HEAD, LENGTH, CLOSE, CHUNK, CHUNK_DATA, CHUNK_END, TRAILER = range(7)


class _Head(NamedTuple):
    first: bytes
    fields: dict[bytes, bytes]

    def has(self, name: bytes, word: bytes) -> bool:
        """Return True if a list has a word."""
        return word in [part.strip().lower() for part in self.fields.get(name, b"").split(b",")]


class _Side:
    """One direction: what comes next, and how much of it."""

    def __init__(self) -> None:
        self.state = HEAD
        self.left = 0
        self.looked = 0  # how far the end of a head was looked for
        self.events: EventStream | None = None


class Http1(StreamParser):
    """A connection of HTTP/1.1. Its messages are the heads, and the events of an event stream."""

    protocol, title = "http", "HTTP"

    def __init__(self, client: int = 0, tunnel: Callable[[], StreamParser] | None = None):
        """`tunnel` makes what follows a CONNECT."""
        super().__init__(client)
        self.tunnel = tunnel
        self.sides = (_Side(), _Side())
        self.waiting: deque[bytes] = deque(maxlen=MOST_WAITING)  # the methods of requests without an answer

    def size(self, way: int, data: bytearray) -> int:
        """Return the size of a head, of a part of a body that is here, or of a line between chunks."""
        side = self.sides[way]
        if side.state == HEAD:
            if data.startswith(b"\r\n"):  # an empty line before a request is ignored (RFC 9112 2.2)
                return 2
            self._check(way, data)
            stop = data.find(b"\r\n\r\n", max(side.looked - 3, 0), KEPT)
            side.looked = len(data)
            if stop < 0 and len(data) >= KEPT:
                raise Bad(f"a head of more than {KEPT} bytes")
            return stop + 4 if stop >= 0 else 0
        if side.state in (CHUNK, TRAILER):
            stop = data.find(b"\r\n", 0, MOST_LINE)
            if stop < 0 and len(data) >= MOST_LINE:
                raise Bad("the line of a chunk does not end (RFC 9112 7.1)")
            return stop + 2 if stop >= 0 else 0
        if side.state == CHUNK_END:
            if len(data) >= 2 and data[:2] != b"\r\n":
                raise Bad("a chunk is longer than its size says (RFC 9112 7.1)")
            return 2
        return min(len(data), KEPT) if side.state == CLOSE else min(side.left, len(data), KEPT)

    def _check(self, way: int, data: bytearray) -> None:
        stop = data.find(b"\r\n", 0, MOST_LINE)
        if stop < 0:
            if len(data) >= MOST_LINE:
                raise Bad(f"a first line of more than {MOST_LINE} bytes")
            return
        line = bytes(data[:stop])
        if not (request_line(line) if way == self.client else status_line(line)):
            raise Bad(f"no {'request' if way == self.client else 'status'} line of HTTP/1.1 (RFC 9112 2.1)")

    def read(self, piece: StreamPiece) -> list[StreamMessage]:
        """Take what `size` has measured."""
        side = self.sides[piece.way]
        if side.state == HEAD:
            side.looked = 0
            return self._head(side, piece) if piece.size > 2 else []
        if side.state == CHUNK:
            text = piece.data[:-2].partition(b";")[0].strip()
            if not text or len(text) > 15 or text.strip(b"0123456789abcdefABCDEF"):
                raise Bad("the size of a chunk is no hexadecimal number (RFC 9112 7.1)")
            side.left = int(text, 16)
            side.state = CHUNK_DATA if side.left else TRAILER
            return []
        if side.state == CHUNK_END:
            side.state = CHUNK
            return []
        if side.state == TRAILER:
            if piece.size == 2:
                self._ended(side)
            return []
        found = side.events.take(piece.data, piece.start) if side.events is not None else []
        if side.state != CLOSE:
            side.left -= piece.size
            if not side.left and side.state == CHUNK_DATA:
                side.state = CHUNK_END
            elif not side.left:
                self._ended(side)
        return found

    def _ended(self, side: _Side) -> None:
        side.state, side.events = HEAD, None

    def _head(self, side: _Side, piece: StreamPiece) -> list[StreamMessage]:
        head = _parse(piece.data)
        layer = http(piece.data, 0, len(piece.data))[0]
        found = [piece.message(self.protocol, self.title, layer.text, layer.children)]
        if piece.way == self.client:
            self.waiting.append(head.first.partition(b" ")[0])
            self._body(side, head, False)
            return found
        code = head.first[9:12]
        if code.startswith(b"1") and code != b"101":
            return found
        method = self.waiting.popleft() if self.waiting else b""
        if code == b"101":
            self._upgrade(head)
        elif method == b"CONNECT" and code.startswith(b"2"):
            if self.tunnel is None:
                raise Bad("a tunnel begins")
            self.becomes = self.tunnel()  # anything may be in it (RFC 9110 9.3.6)
        elif method != b"HEAD" and code not in (b"204", b"304"):
            self._body(side, head, True)
            plain = head.fields.get(b"content-encoding", b"identity").lower() == b"identity"
            if head.fields.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"text/event-stream":
                if side.state != HEAD and plain:
                    side.events = EventStream(piece.way)
                elif not plain:
                    found[0].text += " (compressed events)"
        return found

    def _body(self, side: _Side, head: _Head, answer: bool) -> None:
        """Find out how long the body is (RFC 9112 6.3)."""
        length = head.fields.get(b"content-length", b"").strip()
        if b"transfer-encoding" in head.fields:
            if head.has(b"transfer-encoding", b"chunked"):
                side.state = CHUNK
            elif answer:
                side.state = CLOSE
            else:
                raise Bad("the length of the request's body is unknown (RFC 9112 6.3)")
        elif length:
            if not length.isdigit() or len(length) > 18:
                raise Bad("Content-Length is no number (RFC 9112 6.3)")
            side.left = int(length)
            side.state = LENGTH if side.left else HEAD
        elif answer:
            side.state = CLOSE

    def _upgrade(self, head: _Head) -> None:
        if head.has(b"upgrade", b"websocket"):
            extensions = head.fields.get(b"sec-websocket-extensions", b"").decode("latin-1")
            self.becomes = WebSocket(self.client, extensions)
        elif head.has(b"upgrade", b"h2c"):
            self.becomes = Http2(self.client)
        else:
            raise Bad("the connection goes on with an unknown protocol (RFC 9110 7.8)")


def request_line(line: bytes) -> bool:
    """Return True for the first line of a request."""
    parts = line.split(b" ")
    return len(parts) == 3 and parts[0].isalpha() and bool(parts[1]) and parts[2] in (b"HTTP/1.1", b"HTTP/1.0")


def status_line(line: bytes) -> bool:
    """Return True for the first line of an answer."""
    return line[:9] in (b"HTTP/1.1 ", b"HTTP/1.0 ") and line[9:12].isdigit() and line[12:13] in (b" ", b"")


def _parse(data: bytes) -> _Head:
    lines = data.split(b"\r\n")
    fields: dict[bytes, bytes] = {}
    for line in lines[1:1000]:
        name, _, value = line.partition(b":")
        key = name.strip().lower()
        fields[key] = fields[key] + b"," + value.strip() if key in fields else value.strip()
    return _Head(lines[0], fields)
