"""echo (RFC 862), discard (RFC 863), chargen (RFC 864) and daytime (RFC 867), over TCP and UDP."""

import time
from typing import Any

CHUNK = 65536
_PRINTABLE = bytes(range(32, 127))
#: RFC 864: 72 characters a line, each line begins one character later
LINES = [(_PRINTABLE * 2)[i : i + 72] + b"\r\n" for i in range(len(_PRINTABLE))]
_PATTERN = b"".join(LINES)


def echo(conn: Any) -> None:
    """Send back what comes."""
    while data := conn.recv(CHUNK):
        conn.sendall(data)


def echo_datagram(data: bytes) -> bytes:
    """The same datagram."""
    return data


def discard(conn: Any) -> None:
    """Throw away what comes."""
    while conn.recv(1 << 20):
        pass


def discard_datagram(data: bytes) -> None:
    """Nothing."""


def chargen(conn: Any) -> None:
    """Send lines of characters until the peer has had enough."""
    pattern = _PATTERN * 8
    while True:
        conn.sendall(pattern)


def chargen_datagram(data: bytes) -> bytes:
    """RFC 864: a random number of characters between 0 and 512; here always one line."""
    return LINES[len(data) % len(LINES)]


def _now() -> bytes:
    return time.strftime("%A, %B %d, %Y %H:%M:%S-%Z\r\n", time.gmtime()).encode("ascii")


def daytime(conn: Any) -> None:
    """One line, and the end."""
    conn.sendall(_now())


def daytime_datagram(data: bytes) -> bytes:
    """One line."""
    return _now()
