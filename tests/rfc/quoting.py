"""ICMP errors about a segment of the stack's, as a router would send them."""

import struct
from typing import Any

from pystack.testing.peer import HOST, PEER
from pystack.testing.segments import M32, ones

ROUTER = 0x0A000063


def with_sum(data: bytes, at: int) -> bytes:
    """`data` with its internet checksum put at offset `at`."""
    return data[:at] + struct.pack(">H", ones(data) ^ 0xFFFF) + data[at + 2 :]


def ip(payload: bytes, proto: int, src: int = PEER, dst: int = HOST, options: bytes = b"", **fields: int) -> bytes:
    """An IPv4 packet; fields: ttl, tos, ident, frag (flags and offset), total, version."""
    hlen = 20 + len(options)
    total = fields.get("total", hlen + len(payload))
    first = fields.get("version", 4) << 4 | hlen // 4
    head = struct.pack(
        ">BBHHHBBHII", first, fields.get("tos", 0), total, fields.get("ident", 1), fields.get("frag", 0),
        fields.get("ttl", 64), proto, 0, src, dst,
    )  # fmt: skip
    return with_sum(head + options, 10) + payload


def icmp(kind: int, code: int, rest: int, body: bytes, src: int = ROUTER, dst: int = HOST, **fields: int) -> bytes:
    """An ICMP message as an IPv4 packet."""
    return ip(with_sum(struct.pack(">BBHI", kind, code, 0, rest) + body, 2), 1, src, dst, **fields)


def quoted(conn: Any, length: int = 1500, seq: int = 0, sport: int | None = None) -> bytes:
    """The first 28 bytes of a segment that `conn`'s stack has in flight, `seq` beyond what the peer has."""
    tcb = conn.tcb
    head = with_sum(struct.pack(">BBHHHBBHII", 0x45, 0, length, 1, 0x4000, 60, 6, 0, HOST, PEER), 10)
    port = tcb.lport if sport is None else sport
    return head + struct.pack(">HHI", port, tcb.rport, (conn.ack + seq) & M32)


def error(conn: Any, kind: int, code: int, rest: int = 0, **fields: Any) -> list[Any]:
    """An ICMP error about `conn` arrives; what the stack sends at once."""
    return conn.peer.packet(icmp(kind, code, rest, quoted(conn, **fields)))
