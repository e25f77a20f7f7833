"""Requests between the two sides of an HTTP proxy, and the header fields that a proxy removes and adds."""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

#: (name in lower case, value)
Headers = list[tuple[bytes, bytes]]
#: fields of one connection, which are not forwarded (RFC 9110 section 7.6.1, and those that older software sends)
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-authentication-info",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
#: fields that must not be in trailers, because what they say would come too late (RFC 9110 section 6.5.1)
NO_TRAILERS = HOP_BY_HOP | frozenset(
    b"age authorization cache-control content-encoding content-length content-range content-type date expires host location".split()
    + b"pragma set-cookie vary via www-authenticate".split()
)
#: methods that may be repeated (RFC 9110 section 9.2.2)
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
#: fields by which proxies name the client
FORWARDED = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"))
#: protocols to which a connection may change; h2c is none of them, because a proxy that passes it on loses control over the requests
UPGRADES = (b"websocket",)
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class RefusedRequest(Exception):
    """The client's request is refused with this status."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status
        self.text = text
        #: more fields of the response
        self.headers: Headers = []

    def response(self) -> tuple[Headers, bytes]:
        """The fields and the body of the response that says so."""
        body = f"{self.status} {self.text}\n".encode()
        framing = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        return [*framing, *self.headers], body


class RequestBody:
    """The body of a request. The part that was read before an upstream was chosen can be sent to several of them."""

    def __init__(self, read: Callable[[], Awaitable[bytes]], empty: bool):
        self._read = read
        self._ahead: list[bytes] = []
        #: whether everything has been read, and whether something that is not kept has been given away
        self.whole = empty
        self.spent = False

    async def prefetch(self, most: int) -> None:
        """Read up to `most` bytes ahead."""
        size = 0
        while not self.whole and size < most:
            piece = await self._read()
            self.whole = not piece
            if piece:
                size += len(piece)
                self._ahead.append(piece)

    def replayable(self) -> bool:
        """Whether another upstream can get the same body."""
        return not self.spent

    async def pieces(self) -> Any:
        """The whole body, piece by piece."""
        for piece in list(self._ahead):
            yield piece
        while not self.whole:
            self.spent = True
            piece = await self._read()
            self.whole = not piece
            if piece:
                yield piece


class ProxiedRequest:
    """One request of a client. `headers` are all that it sent. `length` is None if the body's length is not known before."""

    def __init__(self, method: bytes, target: bytes, headers: Headers, version: bytes):
        self.method = method
        self.target = target
        self.headers = headers
        self.version = version
        self.scheme = b"http"
        self.host = b""
        self.length: int | None = 0
        self.body: Any = None
        self.upgrade = b""
        #: whether the target was a whole URL
        self.absolute = False
        self.peer: tuple[str, int] = ("", 0)

    def get(self, name: bytes) -> list[bytes]:
        """The values of a field."""
        return [value for key, value in self.headers if key == name]


class Replier(Protocol):
    """What a client's side can do with the response."""

    #: whether the head of the response was sent
    started: bool

    async def informational(self, status: int, headers: Headers) -> None:
        """Send a response of 1xx."""

    async def head(self, status: int, reason: bytes, headers: Headers) -> None:
        """Send the head."""

    async def data(self, piece: bytes) -> None:
        """Send a part of the body. It waits while the client does not read."""

    async def end(self, trailers: Headers) -> None:
        """The response is complete. The trailers are sent if the protocol has a place for them."""

    def abort(self) -> None:
        """The response will never be complete: the client must see this."""

    async def switch(self, headers: Headers) -> Any:
        """Send 101, and return the connection for the other protocol."""


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """The elements of comma-separated fields, in lower case."""
    return [word for value in values for part in value.split(b",") if (word := part.strip().lower())]


def end_to_end(headers: Headers) -> Headers:
    """The fields that are forwarded: without those of the connection, and without those that `Connection` names."""
    named = set(tokens(value for key, value in headers if key == b"connection"))
    return [(key, value) for key, value in headers if key not in HOP_BY_HOP and key not in named]


def upstream_headers(request: ProxiedRequest, via: bytes, trust: bool, by: tuple[str, int]) -> Headers:
    """The fields of the request to an upstream, without those that frame the body."""
    headers = [
        (key, value)
        for key, value in end_to_end(request.headers)
        if key not in (b"content-length", b"expect", b"host", b"via") and (trust or key not in FORWARDED)
    ]
    headers.insert(0, (b"host", request.host))
    client = request.peer[0].encode()
    before = request.get(b"x-forwarded-for") if trust else []
    headers = [(key, value) for key, value in headers if key not in (b"x-forwarded-for", b"forwarded")]
    headers.append((b"x-forwarded-for", b", ".join([*before, client])))
    if not trust or not request.get(b"x-forwarded-proto"):
        headers.append((b"x-forwarded-proto", request.scheme))
    if not trust or not request.get(b"x-forwarded-host"):
        headers.append((b"x-forwarded-host", request.host))
    element = forwarded(request, by)
    headers.append((b"forwarded", b", ".join([*(request.get(b"forwarded") if trust else []), element])))
    headers.append((b"via", b", ".join([*request.get(b"via"), request.version + b" " + via])))
    return headers


def forwarded(request: ProxiedRequest, by: tuple[str, int]) -> bytes:
    """The element that this proxy adds to `Forwarded` (RFC 7239 section 4)."""
    parts = [b"for=" + _node(request.peer[0]), b"by=" + _node(by[0]), b"proto=" + request.scheme]
    if request.host:
        parts.insert(2, b"host=" + _quoted(request.host))
    return b";".join(parts)


def _node(address: str) -> bytes:
    """A node of RFC 7239 section 6: an IPv6 address is in brackets and quoted."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return b"unknown"
    return f'"[{found}]"'.encode() if found.version == 6 else str(found).encode()


def is_token(word: bytes) -> bool:
    """Whether a word is a token (RFC 9110 section 5.6.2)."""
    return bool(word) and all(byte in _TOKEN for byte in word)


def _quoted(value: bytes) -> bytes:
    if is_token(value):
        return value
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def response_headers(headers: Headers, via: bytes) -> tuple[Headers, bool]:
    """The fields of a response to the client, and whether a framing with both lengths makes its connection unfit for another use."""
    chunked = any(key == b"transfer-encoding" for key, _ in headers)
    both = chunked and any(key == b"content-length" for key, _ in headers)
    kept = [
        (key, value)
        for key, value in end_to_end(headers)
        if key != b"via" and not (chunked and key == b"content-length")
    ]
    before = [value for key, value in headers if key == b"via"]
    kept.append((b"via", b", ".join([*before, b"1.1 " + via])))
    return kept, both
