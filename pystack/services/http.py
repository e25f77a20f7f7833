"""A small HTTP/1.1 server (RFC 9112): a page, downloads of any size, uploads answered with their SHA-256.

    GET /           a page
    GET /bytes/N    N bytes of a fixed pattern (see `pattern`), its SHA-256 in the X-SHA256 header up to 64 MB
    PUT or POST     the SHA-256 of the body, in hexadecimal

No dependency, strict limits: a head of at most 16 KB, bodies with Content-Length or chunked, anything else refused.
"""

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

MAX_HEAD = 16384
MAX_BYTES = 1 << 40
CHUNK = 1 << 18
#: seconds for the next request on a connection, and for a body's next byte
KEEP_ALIVE = 30.0

PAGE = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>pystack</title>
<h1>It answers.</h1>
<p>Every frame of this page was made by a TCP/IP stack written in Python.</p>
<p><a href="/bytes/10000000">Ten million bytes</a></p>
</html>
"""
REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}
# RFC 9110 5.6.2
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]{1,8000}) HTTP/(\d)\.(\d)")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_BYTES = re.compile(r"/bytes/(\d{1,13})")


class BadRequest(Exception):
    """The request is refused; `status` says how."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


class Request(NamedTuple):
    """A request's head."""

    method: str
    target: str
    keep_alive: bool
    length: int
    chunked: bool
    expects: bool


@lru_cache(256)
def parse_head(head: bytes) -> Request:
    """Parse a request head (without the empty line at its end). BadRequest says what is wrong with it."""
    lines = head.split(b"\r\n")
    found = _REQUEST_LINE.fullmatch(lines[0])
    if found is None:
        raise BadRequest(400, "malformed request line")
    method, target, major, minor = found.groups()
    if major != b"1":
        raise BadRequest(505, "HTTP/1.0 and HTTP/1.1 only")
    fields: dict[bytes, bytes] = {}
    for line in lines[1:]:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadRequest(400, "malformed header field")
        key = field[1].lower()
        if key in fields:
            # RFC 9110 5.3; two different lengths or hosts are an attack on whoever is between (RFC 9112 11.2)
            if key in (b"content-length", b"host", b"transfer-encoding"):
                raise BadRequest(400, f"{key.decode()} twice")
            fields[key] += b", " + field[2]
        else:
            fields[key] = field[2]
    if minor != b"0" and b"host" not in fields:
        raise BadRequest(400, "HTTP/1.1 needs a Host field (RFC 9112 3.2)")
    options = [word.strip() for word in fields.get(b"connection", b"").lower().split(b",")]
    keep = b"close" not in options if minor != b"0" else b"keep-alive" in options
    length, chunked = _framing(fields, minor)
    expect = fields.get(b"expect", b"").lower()
    if expect not in (b"", b"100-continue"):
        raise BadRequest(417, "only 100-continue can be expected")
    path = target.decode("ascii")
    if path.startswith("http://"):
        path = "/" + path[7:].partition("/")[2]
    return Request(method.decode(), path.partition("?")[0], keep, length, chunked, bool(expect) and minor != b"0")


def _framing(fields: dict[bytes, bytes], minor: bytes) -> tuple[int, bool]:
    """How the body is delimited (RFC 9112 6.3)."""
    coding = fields.get(b"transfer-encoding")
    text = fields.get(b"content-length")
    if coding is not None:
        if text is not None or minor == b"0":
            raise BadRequest(400, "Transfer-Encoding cannot be combined so")
        if coding.lower() != b"chunked":
            raise BadRequest(501, "the only transfer coding here is chunked")
        return 0, True
    if text is None:
        return 0, False
    if not text.isdigit() or len(text) > 13:
        raise BadRequest(400, "Content-Length is a number")
    return int(text), False


class Reader:
    """The bytes of a connection, cut where the protocol says."""

    def __init__(self, conn: Any):
        self.conn = conn
        self.buffer = b""

    def take_head(self) -> bytes | None:
        """The next head, if it is in the buffer; BadRequest where it is too long."""
        end = self.buffer.find(b"\r\n\r\n")
        if end >= 0:
            head, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
            return head.removeprefix(b"\r\n")  # RFC 9112 2.2: an empty line before it is allowed
        if len(self.buffer) > MAX_HEAD:
            raise BadRequest(431, "the head is too long")
        return None

    def head(self) -> bytes | None:
        """Up to the empty line, or None where the peer has closed."""
        while (head := self.take_head()) is None:
            data = self.conn.recv(65536)
            if not data:
                return None
            self.buffer = self.buffer + data if self.buffer else data
        return head

    def some(self, limit: int) -> bytes:
        """At least one byte, at most `limit`."""
        if self.buffer:
            data, self.buffer = self.buffer[:limit], self.buffer[limit:]
        else:
            data = self.conn.recv(min(limit, CHUNK))
        if not data:
            raise ConnectionAbortedError("the peer closed in the middle of a body")
        return data  # type: ignore[no-any-return]

    def line(self, limit: int = 256) -> bytes:
        """Up to CRLF."""
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > limit:
                raise BadRequest(400, "a line is too long")
            data = self.conn.recv(65536)
            if not data:
                raise ConnectionAbortedError("the peer closed in the middle of a body")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def body(self, request: Request) -> Iterator[bytes]:
        """The body in pieces."""
        left = request.length
        while left > 0:
            piece = self.some(left)
            left -= len(piece)
            yield piece
        while request.chunked:
            size = self.line().partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
                raise BadRequest(400, "malformed chunk size")
            left = int(size, 16)
            if left == 0:
                while self.line(MAX_HEAD):
                    pass
                return
            while left > 0:
                piece = self.some(left)
                left -= len(piece)
                yield piece
            if self.line():
                raise BadRequest(400, "a chunk is longer than it says")


def quick(request: Request) -> bytes | None:
    """The response to a request that is answered at once, or None where there is a body to take or to send."""
    if request.method == "GET" and request.target == "/" and not request.length and not request.chunked:
        return _page(request.keep_alive)
    return None


def serve_one(conn: Any, reader: Reader) -> bool:
    """Answer one request of a blocking connection. True: there may be more."""
    try:
        head = reader.head()
        if head is None:
            return False
        request = parse_head(head)
        response_ = quick(request)
        if response_ is not None:
            conn.sendall(response_)
        else:
            _answer(conn, reader, request)
        return request.keep_alive
    except BadRequest as exc:
        conn.sendall(refusal(exc))
    except TimeoutError:
        pass
    return False


def refusal(exc: BadRequest) -> bytes:
    """The response to a bad request."""
    return response(exc.status, f"{exc}\n".encode(), keep_alive=False)


def _answer(conn: Any, reader: Reader, request: Request) -> None:
    if request.expects and (request.length or request.chunked):
        conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    digest = hashlib.sha256()
    for piece in reader.body(request):
        digest.update(piece)
    if request.method in ("PUT", "POST"):
        conn.sendall(response(200, digest.hexdigest().encode() + b"\n", keep_alive=request.keep_alive))
        return
    if request.method not in ("GET", "HEAD"):
        body = b"GET, HEAD, PUT and POST are known here.\n"
        conn.sendall(response(405, body, keep_alive=request.keep_alive, extra="Allow: GET, HEAD, PUT, POST\r\n"))
        return
    only_head = request.method == "HEAD"
    found = _BYTES.fullmatch(request.target)
    if found is not None and int(found[1]) <= MAX_BYTES:
        _send_bytes(conn, int(found[1]), request.keep_alive, only_head)
    elif request.target == "/":
        conn.sendall(response(200, PAGE, "text/html; charset=utf-8", request.keep_alive, head=only_head))
    else:
        conn.sendall(response(404, b"Nothing here.\n", keep_alive=request.keep_alive, head=only_head))


def response(
    status: int,
    body: bytes,
    kind: str = "text/plain",
    keep_alive: bool = True,
    head: bool = False,
    extra: str = "",
) -> bytes:
    """A whole response."""
    connection = "" if keep_alive else "Connection: close\r\n"
    text = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nServer: pystack\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n{extra}{connection}\r\n"
    )
    return text.encode("ascii") + (b"" if head else body)


@lru_cache(2)
def _page(keep_alive: bool) -> bytes:
    return response(200, PAGE, "text/html; charset=utf-8", keep_alive)


@lru_cache(1)
def _block() -> bytes:
    # 65521 is prime: a period that no segment size divides, so bytes out of place are seen.
    return hashlib.shake_128(b"pystack").digest(65521)


def pattern(length: int) -> Iterator[bytes]:
    """The content of /bytes/N, in pieces."""
    piece = _block() * 4
    for _ in range(length // len(piece)):
        yield piece
    if length % len(piece):
        yield piece[: length % len(piece)]


@lru_cache(16)
def pattern_sha256(length: int) -> str:
    """The SHA-256 of `pattern(length)`."""
    digest = hashlib.sha256()
    for piece in pattern(length):
        digest.update(piece)
    return digest.hexdigest()


def _send_bytes(conn: Any, length: int, keep_alive: bool, only_head: bool) -> None:
    connection = "" if keep_alive else "Connection: close\r\n"
    sha = f"X-SHA256: {pattern_sha256(length)}\r\n" if length <= 1 << 26 else ""
    text = (
        "HTTP/1.1 200 OK\r\nServer: pystack\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Length: {length}\r\n{sha}{connection}\r\n"
    )
    conn.sendall(text.encode("ascii"))
    if not only_head:
        for piece in pattern(length):
            conn.sendall(piece)
