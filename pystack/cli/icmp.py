"""ICMP echo messages over a raw socket of the stack (RFC 792), for ping and traceroute."""

import struct
from dataclasses import dataclass

ECHO_REPLY = 0
UNREACHABLE = 3
ECHO = 8
TIME_EXCEEDED = 11


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(ident: int, seq: int, payload: bytes) -> bytes:
    """Return an echo request."""
    header = struct.pack(">BBHHH", ECHO, 0, 0, ident, seq)
    return struct.pack(">BBHHH", ECHO, 0, checksum(header + payload), ident, seq) + payload


@dataclass
class Message:
    """An ICMP message that answers one of this program's echo requests."""

    kind: int
    code: int
    ident: int
    seq: int
    ttl: int
    length: int
    payload: bytes = b""


def parse(packet: bytes) -> Message | None:
    """Parse an IPv4 packet as a raw socket returns it. Return None unless it is an ICMP message about an echo.

    In an error message, ident and seq are those of the request that the error quotes.
    """
    if len(packet) < 28:
        return None
    hlen = (packet[0] & 15) * 4
    icmp = packet[hlen:]
    if hlen < 20 or len(icmp) < 8:
        return None
    kind, code = icmp[0], icmp[1]
    if kind in (ECHO_REPLY, ECHO):
        ident, seq = struct.unpack_from(">HH", icmp, 4)
        return Message(kind, code, ident, seq, packet[8], len(icmp), icmp[8:])
    # RFC 792: an error carries the IP header and at least 8 bytes of the packet that caused it.
    inner = icmp[8:]
    if len(inner) < 28:
        return None
    inner_hlen = (inner[0] & 15) * 4
    about = inner[inner_hlen : inner_hlen + 8]
    if inner[9] != 1 or len(about) < 8 or about[0] != ECHO:
        return None
    ident, seq = struct.unpack_from(">HH", about, 4)
    return Message(kind, code, ident, seq, packet[8], len(icmp))
