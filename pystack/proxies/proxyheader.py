"""The PROXY protocol, versions 1 and 2: the first bytes of a connection name the client for whom a proxy opened it.

The rules are those of HAProxy's document "The PROXY protocol, versions 1 & 2" (doc/proxy-protocol.txt, 2020/03/05).
"""

import ipaddress
import struct
from dataclasses import dataclass
from typing import Any

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
#: the longest header of version 1 (section 2.1), and the longest of version 2 that is accepted, TLVs included
LONGEST_V1 = 107
LONGEST_V2 = 16 + 1024
_SIZES = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36}


class ProxyHeaderError(OSError):
    """The connection does not begin with a PROXY header that is allowed."""


@dataclass
class ProxyHeader:
    """The two ends of the client's connection, or None if the proxy speaks for itself (LOCAL, UNKNOWN)."""

    source: tuple[str, int] | None
    destination: tuple[str, int] | None


async def read(conn: Any) -> ProxyHeader:
    """Read the header from a connection, and not one byte more. ProxyHeaderError if there is none, or a wrong one."""
    begin = await conn.exactly(12)
    if begin == SIGNATURE:
        rest = await conn.exactly(4)
        size = int.from_bytes(rest[2:4], "big")
        if 16 + size > LONGEST_V2:
            raise ProxyHeaderError(f"a PROXY header of {16 + size} bytes is too long")
        return parse_v2(begin + rest + await conn.exactly(size))
    if not begin.startswith(b"PROXY "):
        raise ProxyHeaderError("the connection does not begin with a PROXY header")
    while not begin.endswith(b"\r\n"):
        if len(begin) >= LONGEST_V1:
            raise ProxyHeaderError("a PROXY header of version 1 has no end")
        begin += await conn.exactly(1)
    return parse_v1(begin)


def parse_v1(line: bytes) -> ProxyHeader:
    """A header of version 1, with its end of line."""
    try:
        words = line.removesuffix(b"\r\n").decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyHeaderError("a PROXY header of version 1 is ASCII") from None
    if words[:2] == ["PROXY", "UNKNOWN"]:
        return ProxyHeader(None, None)
    if len(words) != 6 or words[0] != "PROXY" or words[1] not in ("TCP4", "TCP6"):
        raise ProxyHeaderError("a PROXY header of version 1 is: PROXY TCP4 source destination port port")
    version = 4 if words[1] == "TCP4" else 6
    return ProxyHeader((_address(words[2], version), _port(words[4])), (_address(words[3], version), _port(words[5])))


def _address(word: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(word)
    except ValueError:
        raise ProxyHeaderError(f"{word!r} in the PROXY header is no address") from None
    if address.version != version or "%" in word:
        raise ProxyHeaderError(f"{word!r} in the PROXY header is not of its family")
    return str(address)


def _port(word: str) -> int:
    # No sign, no zeros in front (section 2.1).
    if (
        not word.isascii()
        or not word.isdigit()
        or len(word) > 5
        or int(word) > 65535
        or (word[0] == "0" and word != "0")
    ):
        raise ProxyHeaderError(f"{word!r} in the PROXY header is no port")
    return int(word)


def parse_v2(data: bytes) -> ProxyHeader:
    """A whole header of version 2. Its TLVs are skipped."""
    if len(data) < 16 or data[:12] != SIGNATURE or data[12] >> 4 != 2:
        raise ProxyHeaderError("the PROXY header is not of version 2")
    command, kind = data[12] & 15, data[13]
    if command > 1:
        raise ProxyHeaderError(f"the PROXY header has the unknown command {command}")
    if command == 0 or kind not in _SIZES:
        return ProxyHeader(None, None)
    size = _SIZES[kind]
    if len(data) < 16 + size:
        raise ProxyHeaderError("the PROXY header is shorter than its addresses")
    length = (size - 4) // 2
    ends = data[16 : 16 + size]
    source, destination = (str(ipaddress.ip_address(ends[at : at + length])) for at in (0, length))
    ports = struct.unpack(">HH", ends[-4:])
    return ProxyHeader((source, ports[0]), (destination, ports[1]))


def build(version: int, source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """The header of a version for a TCP connection. Ends of different families, or unknown ones, are sent as UNKNOWN or LOCAL."""
    try:
        ends = ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])
    except ValueError:
        ends = None
    same = ends is not None and ends[0].version == ends[1].version
    if version == 1:
        if not same or ends is None:
            return b"PROXY UNKNOWN\r\n"
        return f"PROXY TCP{ends[0].version} {ends[0]} {ends[1]} {source[1]} {destination[1]}\r\n".encode()
    if not same or ends is None:
        return SIGNATURE + b"\x20\x00\x00\x00"
    body = ends[0].packed + ends[1].packed + struct.pack(">HH", source[1], destination[1])
    kind = 0x11 if ends[0].version == 4 else 0x21
    return SIGNATURE + bytes((0x21, kind)) + struct.pack(">H", len(body)) + body
