"""The name that a TLS client asks for (SNI, RFC 6066 section 3), read from its first message and left in the stream."""

from typing import Any

#: the longest ClientHello that is read, records included
LONGEST = 16_384 + 5


async def server_name(conn: Any) -> str:
    """The name in lower case, or "" if the client does not speak TLS, names nothing, or its message is wrong. All bytes are put back."""
    data = b""
    try:
        while True:
            body, complete = handshake(data)
            if body is None or complete:
                return "" if body is None else name_of(body)
            if len(data) >= LONGEST:
                return ""
            more = await conn.recv(LONGEST - len(data))
            if not more:
                return ""
            data += more
    finally:
        conn.unread(data)


def handshake(data: bytes) -> tuple[bytes | None, bool]:
    """The ClientHello in these records without its header, and whether it is whole; None if it is none (RFC 8446 section 5.1)."""
    message = b""
    at = 0
    while len(data) - at >= 5:
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at] != 22 or data[at + 1] != 3 or size == 0 or size > 16_384:
            return None, False
        message += data[at + 5 : at + 5 + size]
        if message[0:1] not in (b"", b"\1"):
            return None, False
        if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
            return message[4 : 4 + int.from_bytes(message[1:4], "big")], True
        at += 5 + size
    if at == 0 and data[:1] not in (b"", b"\x16"):
        return None, False
    return b"", False


def name_of(body: bytes) -> str:
    """The name in a ClientHello (RFC 8446 section 4.1.2), or ""."""
    at = 34
    for width in (1, 2, 1):  # session, cipher suites, compression
        if len(body) < at + width:
            return ""
        at += width + int.from_bytes(body[at : at + width], "big")
    end = min(len(body), at + 2 + int.from_bytes(body[at : at + 2], "big"))
    at += 2
    while end - at >= 4:
        kind, size = int.from_bytes(body[at : at + 2], "big"), int.from_bytes(body[at + 2 : at + 4], "big")
        if kind == 0:
            names = body[at + 4 : min(end, at + 4 + size)]
            if len(names) < 5 or names[2] != 0:
                return ""
            name = names[5 : 5 + int.from_bytes(names[3:5], "big")]
            return name.decode("ascii", "replace").lower().rstrip(".")
        at += 4 + size
    return ""
