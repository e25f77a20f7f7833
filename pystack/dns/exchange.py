"""One question to one server: over UDP, or over TCP if the answer is too long or somebody seems to forge answers.

An answer over UDP counts only if it comes from the server's address and port, to the random port of this question's own socket, with the
question's random identifier and its question section with the same case of each letter (RFC 5452 sections 4 and 9).
"""

import errno
from collections.abc import Callable
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype

from pystack.sockets.resolve import SOCK_STREAM
from pystack.sockets.sockobj import SOCK_DGRAM, socket
from pystack_c.base.rng import Rng

_S = 1_000_000_000
#: datagrams with something wrong that one question takes before it goes on over TCP (RFC 5452 section 9.3)
FORGED = 16
#: attempts to bind a random port
_BINDS = 20
_HEADER = 12
#: the bit TC in the third byte: the answer did not fit
_TC = 2


class Unreliable(Exception):
    """Answers over UDP cannot be relied on for this question: ask over TCP."""


class CaseChanged(Unreliable):
    """The server, or someone else, answered with the letters of the question in another case."""


class Secret:
    """Numbers that nobody can guess from earlier ones: a keyed hash (SipHash) of a counter, whose key comes from the stack's seed."""

    def __init__(self, seed: object):
        self._rng = Rng(f"{seed}/dns")
        self._count = 0

    def bits(self) -> int:
        """The next 64 bits."""
        self._count += 1
        return int(self._rng.keyed_hash(b"dns" + self._count.to_bytes(8, "big")))


class Question:
    """A question: its bytes, and what an answer has to repeat."""

    def __init__(
        self, name: str, rdtype: dns.rdatatype.RdataType, secret: Secret, payload: int, mix: bool, recurse: bool = True
    ):
        self.name = dns.name.from_text(_mixed(name, secret) if mix else name)
        self.rdtype = rdtype
        self.mixed = mix
        self.ident = secret.bits() & 0xFFFF
        self.payload = payload
        message = dns.message.QueryMessage(id=self.ident)
        if recurse:
            message.flags |= dns.flags.RD
        message.find_rrset(message.question, self.name, dns.rdataclass.IN, rdtype, create=True, force_unique=True)
        if payload:
            message.use_edns(0, payload=payload)
        self.wire = message.to_wire()
        self.section = self.wire[_HEADER : _HEADER + len(self.name.to_wire()) + 4]  # type: ignore[arg-type]

    def matches(self, data: bytes) -> bool:
        """Whether `data` begins as an answer to this question does. This costs little, so a flood of forged answers costs little."""
        if len(data) < _HEADER or int.from_bytes(data[:2], "big") != self.ident or data[2] & 0xF8 != 0x80:
            return False
        count = int.from_bytes(data[4:6], "big")
        if count == 0 and data[3] & 0xF == 1:
            return True  # FORMERR: the server could not read the question, so it may not repeat it
        return count == 1 and data[_HEADER : _HEADER + len(self.section)] == self.section

    def only_case_differs(self, data: bytes) -> bool:
        """Whether this would be an answer if the case of letters did not matter. A forger must still know the identifier."""
        if len(data) < _HEADER or int.from_bytes(data[:2], "big") != self.ident or data[2] & 0xF8 != 0x80:
            return False
        section = data[_HEADER : _HEADER + len(self.section)]
        return self.mixed and section != self.section and section.lower() == self.section.lower()


def _mixed(name: str, secret: Secret) -> str:
    """The name with a random case of each letter."""
    bits, left, letters = 0, 0, []
    for letter in name:
        if letter.isalpha():
            if not left:
                bits, left = secret.bits(), 64
            letter = letter.upper() if bits & 1 else letter.lower()
            bits, left = bits >> 1, left - 1
        letters.append(letter)
    return "".join(letters)


class DnsSockets:
    """Asks servers, by the sockets of one host."""

    def __init__(self, host: Any, secret: Secret):
        self.host = host
        self.secret = secret
        self._socket: Callable[..., Any] = type("socket", (socket,), {"_pystack_host": host, "__slots__": ()})

    def udp(self, server: tuple[str, int], question: Question, wait: float) -> dns.message.Message:
        """Ask over UDP. TimeoutError or another OSError: no answer came. Unreliable: ask over TCP."""
        deadline = self.host.clock() + int(wait * _S)
        sock = self._socket(type=SOCK_DGRAM)
        try:
            self._bind(sock)
            sock.connect(server)
            sock.send(question.wire)
            for _ in range(FORGED):
                self._limit(sock, deadline)
                data = sock.recv(65535)
                if question.matches(data):
                    message = None if data[2] & _TC else read(data)
                    if message is not None:
                        return message
                    break  # truncated or malformed
                if question.only_case_differs(data):
                    raise CaseChanged
            raise Unreliable
        finally:
            sock.close()

    def tcp(self, server: tuple[str, int], question: Question, wait: float) -> dns.message.Message:
        """Ask over TCP (RFC 7766). TimeoutError or another OSError: no answer came, or none that can be used."""
        deadline = self.host.clock() + int(wait * _S)
        sock = self._socket(type=SOCK_STREAM)
        try:
            self._limit(sock, deadline)
            sock.connect(server)
            sock.sendall(len(question.wire).to_bytes(2, "big") + question.wire)
            size = int.from_bytes(self._exactly(sock, 2, deadline), "big")
            data = self._exactly(sock, size, deadline)
            message = read(data) if question.matches(data) else None
            if message is None:
                raise OSError(errno.EPROTO, "the DNS server sent something else than an answer")
            return message
        finally:
            sock.close()

    def _bind(self, sock: Any) -> None:
        """Bind a port that nobody can guess. The stack's own choice depends only on the two ends, or on its plain generator."""
        config = self.host.stack.config
        low, count = config.port_min, config.port_max - config.port_min + 1
        for _ in range(_BINDS):
            try:
                sock.bind(("", low + self.secret.bits() % count))
                return
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE:
                    raise
        sock.bind(("", 0))

    def _limit(self, sock: Any, deadline: int) -> None:
        """Let the next call on the socket end at `deadline`. TimeoutError: it has passed."""
        left = deadline - self.host.clock()
        if left <= 0:
            raise TimeoutError("timed out")
        sock.settimeout(left / _S)

    def _exactly(self, sock: Any, size: int, deadline: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._limit(sock, deadline)
            piece = sock.recv(size - len(data))
            if not piece:
                raise OSError(errno.ECONNRESET, "the DNS server closed the connection in an answer")
            data += piece
        return bytes(data)


def read(data: bytes) -> dns.message.Message | None:
    """The message, or None if it is malformed."""
    try:
        return dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError, IndexError):
        return None
