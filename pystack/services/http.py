"""A small HTTP/1.1 server (RFC 9112): a page, downloads of any size, and uploads that are answered with their SHA-256.

`exchange` has the order of requests and answers, `httploop` the connections.

    GET /           a page
    GET /bytes/N    N bytes of a fixed pattern (see `pattern`), with its SHA-256 in the X-SHA256 header up to 64 MB
    PUT or POST     the SHA-256 of the body, in hexadecimal

The server has no dependencies and strict limits: a head has at most 16 KB, a body has a Content-Length or is chunked,
and anything else is refused.
"""

import hashlib
import string
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

MAX_HEAD = 16384
MAX_BYTES = 1 << 40
#: the X-SHA256 header is present up to this length in bytes
MAX_HASHED = 1 << 26
#: the time in seconds in which the next request on a connection must arrive
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
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
# The bytes that each part of a head may have. `translate` deletes them, so whatever
# is left is wrong. This is one pass over the bytes, whatever they are. Client data
# must not meet a regular expression that may try again from another byte.
#: RFC 9110 5.6.2
_TOKEN = b"!#$%&'*+-.^_`|~" + (string.digits + string.ascii_letters).encode()
_VISIBLE = bytes(range(0x21, 0x7F))
#: RFC 9110 5.5
_VALUE = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
_HEX = string.hexdigits.encode()


class BadRequest(Exception):
    """The request is refused with the status code `status`."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


class Request(NamedTuple):
    """The head of a request.

    `length` is that of the body in bytes; `expects` means that the client waits for 100 Continue.
    """

    method: str
    target: str
    keep_alive: bool
    length: int
    chunked: bool
    expects: bool


@lru_cache(256)
def parse_head(head: bytes) -> Request:
    """Parse a request head without the empty line at its end. Raises BadRequest, which says what is wrong."""
    lines = head.split(b"\r\n")
    method, target, minor = _request_line(lines[0])
    fields: dict[bytes, list[bytes]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not name or name.translate(None, _TOKEN) or value.translate(None, _VALUE):
            raise BadRequest(400, "malformed header field")
        key = name.lower()
        if key in fields and key in (b"content-length", b"host", b"transfer-encoding"):
            # RFC 9110 5.3; two different lengths or hosts attack an intermediary (RFC 9112 11.2)
            raise BadRequest(400, f"the field {key.decode()} occurs twice")
        fields.setdefault(key, []).append(value)
    if minor != b"0" and b"host" not in fields:
        raise BadRequest(400, "HTTP/1.1 needs a Host field (RFC 9112 3.2)")
    options = [word.strip() for value in fields.get(b"connection", ()) for word in value.lower().split(b",")]
    keep = b"close" not in options if minor != b"0" else b"keep-alive" in options
    length, chunked = _framing(fields, minor)
    expect = b", ".join(fields.get(b"expect", ())).lower()
    if expect not in (b"", b"100-continue"):
        raise BadRequest(417, "the only supported expectation is 100-continue")
    path = target.decode("ascii")
    if path.startswith("http://"):
        path = "/" + path[7:].partition("/")[2]
    return Request(method.decode(), path.partition("?")[0], keep, length, chunked, bool(expect) and minor != b"0")


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the method, the target and the minor version (RFC 9112 3). Raises BadRequest."""
    words = line.split(b" ")
    if len(words) != 3:
        raise BadRequest(400, "malformed request line")
    method, target, version = words
    wrong = not method or method.translate(None, _TOKEN) or not target or target.translate(None, _VISIBLE)
    if wrong or len(target) > 8000 or len(version) != 8 or version[:5] != b"HTTP/" or version[6:7] != b".":
        raise BadRequest(400, "malformed request line")
    major, minor = version[5:6], version[7:8]
    if not major.isdigit() or not minor.isdigit():
        raise BadRequest(400, "malformed request line")
    if major != b"1":
        raise BadRequest(505, "only HTTP/1.0 and HTTP/1.1 are supported")
    return method, target, minor


def _framing(fields: dict[bytes, list[bytes]], minor: bytes) -> tuple[int, bool]:
    """Return (length, chunked) of the body (RFC 9112 6.3). Raises BadRequest."""
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if coding is not None:
        if length is not None or minor == b"0":
            raise BadRequest(400, "Transfer-Encoding cannot be combined with Content-Length or HTTP/1.0")
        if coding[0].lower() != b"chunked":
            raise BadRequest(501, "the only supported transfer coding is chunked")
        return 0, True
    if length is None:
        return 0, False
    text = length[0]
    if not text.isdigit() or len(text) > 13:
        raise BadRequest(400, "Content-Length must be a number")
    return int(text), False


def chunk_size(text: bytes) -> int:
    """Return the size of a chunk in bytes (RFC 9112 7.1) from `text` without extensions. Raises BadRequest."""
    if not 0 < len(text) <= 8 or text.translate(None, _HEX):
        raise BadRequest(400, "malformed chunk size")
    return int(text, 16)


def refusal(exc: BadRequest) -> bytes:
    """Return the response to a bad request."""
    return response(exc.status, f"{exc}\n".encode(), keep_alive=False)


def bytes_wanted(target: str) -> int:
    """Return N of /bytes/N, or -1."""
    digits = target.removeprefix("/bytes/")
    if digits == target or len(digits) > 13 or not digits.isdigit():
        return -1
    length = int(digits)
    return length if length <= MAX_BYTES else -1


def response(
    status: int,
    body: bytes,
    kind: str = "text/plain",
    keep_alive: bool = True,
    head: bool = False,
    extra: str = "",
) -> bytes:
    """Return a whole response. With `head`, leave out the body."""
    connection = "" if keep_alive else "Connection: close\r\n"
    text = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nServer: pystack\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n{extra}{connection}\r\n"
    )
    return text.encode("ascii") + (b"" if head else body)


@lru_cache(4)
def page(keep_alive: bool, head: bool) -> bytes:
    """Return the response to GET /, or to HEAD /."""
    return response(200, PAGE, "text/html; charset=utf-8", keep_alive, head)


@lru_cache(1)
def _block() -> bytes:
    # 65521 is prime, so no segment size divides the period, and misplaced bytes are noticed.
    return hashlib.shake_128(b"pystack").digest(65521)


def pattern(length: int) -> Iterator[bytes]:
    """Yield the content of /bytes/N in pieces."""
    piece = _block()
    for _ in range(length // len(piece)):
        yield piece
    if length % len(piece):
        yield piece[: length % len(piece)]


#: the hash of the first n * _STEP blocks of the pattern, for each n that was needed so far
_STEP = 4
_hashes = [hashlib.sha256()]


@lru_cache(16)
def pattern_sha256(length: int) -> str:
    """Return the SHA-256 of `pattern(length)`.

    A request hashes at most _STEP blocks, except that the first one for a length also computes the steps up to it.
    """
    block = _block()
    step = _STEP * len(block)
    while len(_hashes) <= length // step:
        digest = _hashes[-1].copy()
        digest.update(block * _STEP)
        _hashes.append(digest)
    digest = _hashes[length // step].copy()
    for piece in pattern(length % step):
        digest.update(piece)
    return digest.hexdigest()


def download_head(length: int, keep_alive: bool) -> bytes:
    """Return the head of the response to /bytes/N."""
    connection = "" if keep_alive else "Connection: close\r\n"
    sha = f"X-SHA256: {pattern_sha256(length)}\r\n" if length <= MAX_HASHED else ""
    text = (
        "HTTP/1.1 200 OK\r\nServer: pystack\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Length: {length}\r\n{sha}{connection}\r\n"
    )
    return text.encode("ascii")


def busy() -> bytes:
    """Return the response to a client for which there is no connection left (RFC 9110 15.6.4)."""
    return response(503, b"Too many connections; try again.\n", keep_alive=False, extra="Retry-After: 5\r\n")
