"""The records of TLS 1.3 with honest sizes, for scenarios. They encrypt nothing.

The bytes that OpenSSL writes are new in each run, because their keys are, and a scenario must be the same run each time. So a scenario
writes records of the sizes that OpenSSL's have (RFC 8446). The first two messages can be read, and the rest is a pattern. The sizes are those
of Python's `ssl` with X25519, TLS_AES_256_GCM_SHA384, ALPN, and a chain of two small ECDSA certificates; tests/stepper/test_tls_records.py
makes such handshakes and compares. Public servers have longer chains.
"""

from typing import NamedTuple

HANDSHAKE, CHANGE_CIPHER, APPLICATION = 22, 20, 23
#: what a record adds to its text: its head, the type of the content, and the tag
OVERHEAD = 22
#: the longest text of a record
MOST = 16_384
CLIENT_HELLO, SERVER_HELLO, CHANGE, EXTENSIONS, CERTIFICATE, VERIFY, FINISHED, TICKET = (
    517,
    127,
    6,
    43,
    1119,
    101,
    74,
    271,
)
#: with a ticket: the client's first message names it, and the server's accepts it
RESUMED_CLIENT_HELLO, RESUMED_SERVER_HELLO = 593, 133


class TlsFlights(NamedTuple):
    """The bytes of a handshake: the client's first flight, the server's, the client's second, and the server's tickets."""

    hello: bytes
    answer: bytes
    finished: bytes
    tickets: bytes


def flights(name: str, resumed: bool = False) -> TlsFlights:
    """Return the flights of a handshake with the server `name`."""
    change = record(CHANGE_CIPHER, b"\x01")
    encrypted = [EXTENSIONS, FINISHED] if resumed else [EXTENSIONS, CERTIFICATE, VERIFY, FINISHED]
    return TlsFlights(
        _client_hello(name, resumed),
        _server_hello(resumed) + change + b"".join(_sealed(size) for size in encrypted),
        change + _sealed(FINISHED),
        b"".join(_sealed(TICKET) for _ in range(1 if resumed else 2)),
    )


def sealed(text: bytes) -> bytes:
    """Return application data in records, as long as if they were encrypted. The text is readable."""
    parts = [text[at : at + MOST] for at in range(0, len(text), MOST)]
    return b"".join(record(APPLICATION, part + bytes(OVERHEAD - 5)) for part in parts)


def size_of(text: int) -> int:
    """Return how many bytes `sealed` makes of a text of this size."""
    return text + OVERHEAD * -(-text // MOST)


def record(kind: int, content: bytes) -> bytes:
    """Return one record (RFC 8446 5.1)."""
    return bytes([kind, 3, 3]) + len(content).to_bytes(2, "big") + content


def _sealed(size: int) -> bytes:
    return record(APPLICATION, _pattern(size - 5))


def _pattern(size: int) -> bytes:
    return bytes((37 * place + size) & 0xFF for place in range(size))


def _extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content


def _message(kind: int, content: bytes) -> bytes:
    return record(HANDSHAKE, bytes([kind]) + len(content).to_bytes(3, "big") + content)


def _client_hello(name: str, resumed: bool) -> bytes:
    """RFC 8446 4.1.2: version, random, session id, one cipher suite, and the extensions; the padding (RFC 7685) makes the size."""
    server_name = len(name).to_bytes(2, "big") + name.encode()
    extensions = b"".join(
        (
            _extension(0, (len(server_name) + 1).to_bytes(2, "big") + b"\x00" + server_name),
            _extension(10, b"\x00\x02\x00\x1d"),
            _extension(13, b"\x00\x04\x04\x03\x08\x04"),
            _extension(16, b"\x00\x09\x08http/1.1"),
            _extension(43, b"\x02\x03\x04"),
            _extension(45, b"\x01\x01"),
            _extension(51, b"\x00\x24\x00\x1d\x00\x20" + _pattern(32)),
        )
    )
    head = b"\x03\x03" + _pattern(32) + b"\x20" + _pattern(32) + b"\x00\x02\x13\x02" + b"\x01\x00"
    # identity and age of the ticket, and the binder (RFC 8446 4.2.11); it is always the last extension
    ticket = TICKET - OVERHEAD - 17
    key = ticket.to_bytes(2, "big") + _pattern(ticket) + bytes(4)
    shared = _extension(41, len(key).to_bytes(2, "big") + key + b"\x00\x31\x30" + _pattern(48)) if resumed else b""
    size = RESUMED_CLIENT_HELLO if resumed else CLIENT_HELLO
    missing = size - 9 - len(head) - 2 - len(extensions) - len(shared) - 4
    extensions += _extension(21, bytes(missing)) + shared
    return _message(1, head + len(extensions).to_bytes(2, "big") + extensions)


def _server_hello(resumed: bool) -> bytes:
    """RFC 8446 4.1.3."""
    extensions = _extension(43, b"\x03\x04") + _extension(51, b"\x00\x1d\x00\x20" + _pattern(32))
    if resumed:
        extensions += _extension(41, b"\x00\x00")
    head = b"\x03\x03" + _pattern(32) + b"\x20" + _pattern(32) + b"\x13\x02" + b"\x00"
    return _message(2, head + len(extensions).to_bytes(2, "big") + extensions)
