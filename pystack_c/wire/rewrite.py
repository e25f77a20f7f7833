"""Changing the addresses and ports of packets in place, with incremental checksums (RFC 1624).

The work does not depend on the length of a packet: each changed word is one update of a checksum. So a group of segments
that a device will cut (GSO) costs as much as one segment. The checksums of the pieces change with the group's header.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import v4, v4_bits
from pystack_c.wire.checksum import update


class Quoted:
    """The headers at the start of a packet, such as the one that an ICMP error quotes: addresses, protocol, offsets."""

    def __init__(self) -> None:
        self.src = 0
        self.dst = 0
        self.proto = 0
        self.ident = 0
        self.at = 0
        self.l4 = 0


def read(quoted: Quoted, data: Any, at: int, end: int) -> bool:
    """Read the network header at data[at]. Returns False unless the ports of a first fragment follow.

    RFC 792 wants 8 bytes of the transport header in an ICMP error. Linux is content with the ports.
    """
    if end - at < 20:
        return False
    p = data
    hlen = (p[at] & 15) * 4
    if p[at] >> 4 != 4 or hlen < 20 or end - at < hlen:
        return False
    quoted.proto = p[at + 9]
    if end - at - hlen < 8:
        if quoted.proto == C.IPPROTO_ICMP:
            return False
        if end - at - hlen < 4 and (quoted.proto == C.IPPROTO_TCP or quoted.proto == C.IPPROTO_UDP):
            return False
    if (p[at + 6] & 0x1F) | p[at + 7]:
        return False
    bits = (p[at + 12] << 24) | (p[at + 13] << 16) | (p[at + 14] << 8) | p[at + 15]
    quoted.src = v4(bits)
    bits = (p[at + 16] << 24) | (p[at + 17] << 16) | (p[at + 18] << 8) | p[at + 19]
    quoted.dst = v4(bits)
    quoted.ident = (p[at + 4] << 8) | p[at + 5]
    quoted.at = at
    quoted.l4 = at + hlen
    return True


def _word(q: bytearray, at: int, csum_at: int, new: int, partial: bool) -> None:
    """Set the 16-bit word at `at`, and update the checksum at `csum_at` (RFC 1624 3, eqn. 3).

    If the device completes the checksum (`partial`), the field holds a sum that is not inverted.
    """
    old = (q[at] << 8) | q[at + 1]
    q[at] = new >> 8
    q[at + 1] = new & 0xFF
    _fix(q, csum_at, old, new, partial)


def _fix(q: bytearray, csum_at: int, old: int, new: int, partial: bool) -> None:
    """Update the checksum at `csum_at` after a word changed from `old` to `new`. A negative offset means no checksum."""
    if csum_at < 0:
        return
    flip = 0xFFFF if partial else 0
    csum = update(((q[csum_at] << 8) | q[csum_at + 1]) ^ flip, old, new) ^ flip
    q[csum_at] = csum >> 8
    q[csum_at + 1] = csum & 0xFF


def network(q: bytearray, at: int, source: bool, addr: int) -> None:
    """Set the source or the destination in the network header at `at`."""
    where = at + 12 if source else at + 16
    bits = v4_bits(addr)
    _word(q, where, at + 10, bits >> 16, False)
    _word(q, where + 2, at + 10, bits & 0xFFFF, False)


def tos_and_ttl(q: bytearray, at: int, tos: int, ttl: int) -> None:
    """Set the TOS and the TTL in the network header at `at`."""
    _word(q, at, at + 10, (q[at] << 8) | tos, False)
    _word(q, at + 8, at + 10, (ttl << 8) | q[at + 9], False)


def checksum_at(q: bytearray, at: int, end: int, proto: int, partial: bool) -> int:
    """Return the offset of the checksum of the transport header at `at`, or -1 if there is none to update."""
    if proto == C.IPPROTO_TCP:
        return at + 16 if end - at >= 18 else -1
    if proto == C.IPPROTO_UDP:
        # RFC 768: a checksum of zero means that the sender computed none.
        if end - at < 8 or (not partial and (q[at + 6] | q[at + 7]) == 0):
            return -1
        return at + 6
    if proto == C.IPPROTO_ICMP:
        return at + 2 if end - at >= 4 else -1
    return -1


def transport(
    q: bytearray, at: int, end: int, proto: int, source: bool, old: int, new: int, port: int, partial: bool
) -> None:
    """Change a transport header for a translation of the source or the destination from address `old` to `new`.

    `port` is the new port, or an ICMP query's new identifier. `partial`: the field of the checksum holds only the sum of
    the pseudo-header, which contains no ports.
    """
    csum_at = checksum_at(q, at, end, proto, partial)
    if proto == C.IPPROTO_ICMP:
        if end - at >= 6:
            _word(q, at + 4, csum_at, port, False)
        return
    if csum_at >= 0:
        was = v4_bits(old)
        bits = v4_bits(new)
        _fix(q, csum_at, was >> 16, bits >> 16, partial)
        _fix(q, csum_at, was & 0xFFFF, bits & 0xFFFF, partial)
    if (proto == C.IPPROTO_TCP or proto == C.IPPROTO_UDP) and end - at >= 4:
        _word(q, at if source else at + 2, -1 if partial else csum_at, port, False)
    if csum_at >= 0 and proto == C.IPPROTO_UDP and not partial and (q[csum_at] | q[csum_at + 1]) == 0:
        # RFC 768: an all zero transmitted checksum value means that the transmitter generated no checksum.
        q[csum_at] = 0xFF
        q[csum_at + 1] = 0xFF
