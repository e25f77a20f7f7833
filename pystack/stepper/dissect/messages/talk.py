"""One TCP connection: its protocol is found by its first bytes, and then its bytes become messages.

The content decides, because programs use any port. PostgreSQL's own port helps if the beginning of a connection is missing.
"""

from collections.abc import Callable

from pystack.stepper.dissect.application import METHODS
from pystack.stepper.dissect.layout import wrong
from pystack.stepper.dissect.messages import mongodb, postgres
from pystack.stepper.dissect.messages.base import KEPT, Bad, StreamMessage, StreamParser, StreamPiece
from pystack.stepper.dissect.messages.ciphers import Keys
from pystack.stepper.dissect.messages.http1 import Http1, request_line, status_line
from pystack.stepper.dissect.messages.http2 import PREFACE, Http2
from pystack.stepper.dissect.messages.mongodb import Mongo
from pystack.stepper.dissect.messages.postgres import Postgres
from pystack.stepper.dissect.messages.tls import CLIENT_HELLO, Tls
from pystack.stepper.dissect.messages.websocket import WebSocket

#: the protocols that a user can choose for a port, with Wireshark's names ("Decode as")
CHOICES = ("http", "http2", "mongo", "none", "pgsql", "websocket")
POSTGRES_PORT = 5432
#: the longest first line of HTTP that is waited for
MOST_LINE = 8 << 10


class Unknown(StreamParser):
    """A connection whose protocol is not found yet. It keeps the bytes of both sides until then."""

    def __init__(self, ports: tuple[int, int] = (0, 0), keys: Keys | None = None):
        super().__init__()
        self.ports = ports  # of the client and of the server
        self.keys = keys or {}  # for TLS; without keys it is not looked at
        self.looked: list[bool | None] = [None, None]

    def find(self, way: int, data: bytearray) -> StreamParser | None:
        """Return the protocol that these first bytes of a side begin, or None."""
        answers: list[bool | None] = []
        for rule, make in _RULES:
            answer = rule(data)
            if answer:
                return make(way, self)
            answers.append(answer)
        if self.keys and data[:1] == b"\x16":
            hello = len(data) >= 6 and data[1] == 3 and data[5] == CLIENT_HELLO
            answers.append(None if len(data) < 6 else hello)
            if hello:
                return self.secure(way)
        answer = _answer_of_http(data)
        if answer:
            return Http1(1 - way, self.again)
        answers.append(answer)
        if POSTGRES_PORT in self.ports and _postgres_later(data, self.ports[way] == POSTGRES_PORT):
            return Postgres(way if self.ports[way] != POSTGRES_PORT else 1 - way, False, self.secure)
        waits = None in answers or (len(data) < 5 and POSTGRES_PORT in self.ports)
        self.looked[way] = None if waits and len(data) < KEPT else False
        return None

    def secure(self, way: int) -> StreamParser:
        """Return the parser of TLS, for the way of its client."""
        ports = self.ports if way == 0 else self.ports[::-1]
        # Inside, there are no keys: TLS in TLS stays as it is.
        return Tls(way, self.keys, TalkReader((ports[0], ports[1])))

    def again(self) -> StreamParser:
        """Return the parser of a connection that begins in this one, such as after a CONNECT."""
        return Unknown(self.ports, self.keys)

    @property
    def hopeless(self) -> bool:
        """True if no protocol begins as both sides do. One side alone may be a server that speaks first."""
        return self.looked == [False, False]


class TalkReader:
    """The messages of one connection. `take` gets the bytes of both sides, each side's in order, in pieces of any size."""

    def __init__(self, ports: tuple[int, int] = (0, 0), chosen: str = "", keys: Keys | None = None):
        """`ports` are those of the client and of the server. `chosen` is a protocol of CHOICES, or "" to find it.

        `keys` are those of TLS connections, by client random.
        """
        self.ports = ports
        unknown = Unknown(ports, keys)
        self.parser: StreamParser | None = chosen_parser(chosen, unknown) if chosen else unknown
        self.held = (bytearray(), bytearray())
        self.starts = [0, 0]  # the place in the stream of the first byte that is held
        self.skip = [0, 0]  # bytes of a large message that are still to come
        self.dead = [False, False]

    @property
    def protocol(self) -> str:
        """Wireshark's name of the protocol, or "" if it is not known."""
        return self.parser.protocol if self.parser is not None else ""

    def take(self, way: int, data: bytes) -> list[StreamMessage]:
        """Take the next bytes of a side. Return the messages that they complete, or whose beginning is enough."""
        if self.parser is None or self.dead[way]:
            return []
        if self.skip[way]:
            done = min(self.skip[way], len(data))
            self.skip[way] -= done
            self.starts[way] += done
            data = data[done:]
        self.held[way].extend(data)
        found: list[StreamMessage] = []
        if isinstance(self.parser, Unknown):
            self._find(way)
            if isinstance(self.parser, Unknown) or self.parser is None:
                return found
            self._read(1 - way, found)
        self._read(way, found)
        return found

    def _find(self, way: int) -> None:
        assert isinstance(self.parser, Unknown)
        known = self.parser.find(way, self.held[way])
        if known is not None:
            self.parser = known
        elif self.parser.hopeless:
            self.stop()
        elif len(self.held[way]) > KEPT:
            del self.held[way][:]
            self.dead[way] = True
            if all(self.dead):
                self.stop()

    def stop(self) -> None:
        """Look at no further bytes."""
        self.parser = None
        for held in self.held:
            held.clear()

    def _read(self, way: int, found: list[StreamMessage]) -> None:
        held = self.held[way]
        while held and not self.dead[way]:
            parser = self.parser
            assert parser is not None
            if isinstance(parser, Unknown):
                self._find(way)
                if isinstance(self.parser, Unknown) or self.parser is None:
                    return
                continue
            try:
                size = parser.size(way, held)
                here = min(size, parser.kept)
                if not size or len(held) < here:
                    return
                piece = StreamPiece(way, bytes(held[:here]), size, self.starts[way])
                messages = parser.read(piece)
            except Bad as error:
                found.append(self._damaged(way, str(error)))
                continue
            found += messages
            gone = min(size, len(held))
            del held[:gone]
            self.starts[way] += gone
            self.skip[way] = size - gone
            if parser.becomes is not None:
                self.parser = parser.becomes
                self._read(1 - way, found)

    def _damaged(self, way: int, why: str) -> StreamMessage:
        """Return the message that says why no further ones of this side are found."""
        assert self.parser is not None
        start = self.starts[way]
        self.dead[way] = True
        self.held[way].clear()
        nodes = [wrong(why, 0, 1)]
        return StreamMessage(self.parser.protocol, self.parser.title, f"malformed: {why}", nodes, start, start + 1, way)


def chosen_parser(name: str, unknown: Unknown) -> StreamParser | None:
    """Return the protocol that a user has chosen, or None for "none"."""
    if name == "websocket":
        return WebSocket(extensions="permessage-deflate")
    if name == "http":
        return Http1(0, unknown.again)
    makers: dict[str, type[StreamParser]] = {"http2": Http2, "mongo": Mongo}
    if name == "pgsql":
        return Postgres(secure=unknown.secure)
    return makers[name]() if name in makers else None


def _http2(data: bytearray) -> bool | None:
    head = bytes(data[: len(PREFACE)])
    return head == PREFACE if len(head) == len(PREFACE) or not PREFACE.startswith(head) else None


def _http1(data: bytearray) -> bool | None:
    word, space, _ = bytes(data[:16]).partition(b" ")
    if not space:
        return None if any(method.startswith(word) for method in METHODS) else False
    if word not in METHODS:
        return False
    stop = data.find(b"\r\n", 0, MOST_LINE)
    if stop < 0:
        return None if len(data) < MOST_LINE else False
    return request_line(bytes(data[:stop]))


def _answer_of_http(data: bytearray) -> bool | None:
    head = bytes(data[:7])
    if not b"HTTP/1.".startswith(head):
        return False
    stop = data.find(b"\r\n", 0, MOST_LINE)
    if stop < 0:
        return None if len(data) < MOST_LINE else False
    return status_line(bytes(data[:stop]))


def _postgres(data: bytearray) -> bool | None:
    """The startup message has a version and a user, and a request has a number that no version has."""
    if len(data) < 8:
        return None if data[:2] == b"\0\0"[: len(data)] else False
    length, code = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
    if code in (postgres.SSL, postgres.GSS):
        return length == 8
    if code == postgres.CANCEL:
        return 16 <= length <= 300
    if code >> 16 != 3 or code & 0xFFFF > 9999 or not 14 <= length <= postgres.MOST_STARTUP:
        return False
    if len(data) < length:
        return None
    parts = bytes(data[8 : length - 2]).split(b"\0")
    return data[length - 2 : length] == b"\0\0" and len(parts) % 2 == 0 and b"user" in parts[::2]


def _postgres_later(data: bytearray, server: bool) -> bool:
    """Return True if bytes at PostgreSQL's port are a message in the middle of a connection."""
    names = postgres.BACKEND if server else postgres.FRONTEND
    if len(data) < 5 or chr(data[0]) not in names:
        return False
    at = 1 + int.from_bytes(data[1:5], "big")
    return 5 <= at <= 1 << 20


def _mongo(data: bytearray) -> bool | None:
    return mongodb.plausible(data)


#: the rules, and what makes the protocol's parser for the way of the client
_RULES: tuple[tuple[Callable[[bytearray], bool | None], Callable[[int, Unknown], StreamParser]], ...] = (
    (_http2, lambda way, _: Http2(way)),
    (_http1, lambda way, unknown: Http1(way, unknown.again)),
    (_postgres, lambda way, unknown: Postgres(way, secure=unknown.secure)),
    (_mongo, lambda way, _: Mongo(way)),
)
