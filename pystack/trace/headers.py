"""Finds the header above IP in a frame: over IPv4 and IPv6, behind VLAN tags, IPv6 extension headers and in first fragments."""

import ipaddress
from functools import lru_cache
from typing import NamedTuple

import pystack_c.const as C

IPV4, IPV6 = C.ETH_P_IP, 0x86DD
VLAN = (C.ETH_P_8021Q, 0x88A8, 0x9100)
#: the most VLAN tags, and the most extension headers, that are skipped
MOST_TAGS, MOST_EXTENSIONS = 4, 8
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, MOBILITY = 0, 43, 44, 51, 60, 135
ICMPV6 = 58
#: the extension headers of IPv6 that have the place of the next one (RFC 8200 section 4, RFC 4302, RFC 6275)
EXTENSIONS = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, MOBILITY))


class IpPacket(NamedTuple):
    """An IP packet in a frame.

    base           where its IP header begins
    source, target 4 or 16 bytes
    proto          the protocol above IP, whose header begins at `at`; -1 if the IPv4 header is too short to be one
    end            where the packet ends, by its own length; not all of its bytes need be there
    offset, more   the place of a fragment in bytes, and whether others follow; 0 and False for a whole packet
    ident          the same in all fragments
    """

    version: int
    base: int
    source: bytes
    target: bytes
    proto: int
    at: int
    end: int
    offset: int
    more: bool
    ident: int


def payload_of(data: bytes) -> tuple[int, int]:
    """Return the type of what an Ethernet frame carries, behind VLAN tags, and where it begins."""
    at, kind = C.ETH_HLEN, int.from_bytes(data[12:14], "big")
    for _ in range(MOST_TAGS):
        if kind not in VLAN:
            break
        kind, at = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
    return kind, at


def find(data: bytes, link: int, length: int = 0) -> IpPacket | None:
    """Return the IP packet in a frame, or None if it has none. `link` is a const.LINK_*.

    `length` is the frame's length if not all of it is there. It counts if the packet leaves its own length out, as for segmentation offload.
    """
    base, version = 0, data[0] >> 4 if data else 0
    if link == C.LINK_ETHERNET:
        kind, base = payload_of(data)
        version = {IPV4: 4, IPV6: 6}.get(kind, 0)
    if version == 4:
        return ipv4(data, base, length)
    return ipv6(data, base, length) if version == 6 else None


def ipv4(data: bytes, base: int, length: int = 0) -> IpPacket | None:
    """Return the IPv4 packet at `base`, or None."""
    if len(data) < base + 20 or data[base] >> 4 != 4:
        return None
    total, place = int.from_bytes(data[base + 2 : base + 4], "big"), int.from_bytes(data[base + 6 : base + 8], "big")
    end = base + total if total else length or len(data)
    source, target = data[base + 12 : base + 16], data[base + 16 : base + 20]
    ident = int.from_bytes(data[base + 4 : base + 6], "big")
    at = base + (data[base] & 15) * 4
    proto = data[base + 9] if at >= base + 20 else -1
    return IpPacket(4, base, source, target, proto, at, end, (place & 0x1FFF) * 8, bool(place & 0x2000), ident)


def ipv6(data: bytes, base: int, length: int = 0) -> IpPacket | None:
    """Return the IPv6 packet at `base`, or None. Extension headers are skipped as far as they are there."""
    if len(data) < base + 40 or data[base] >> 4 != 6:
        return None
    size, proto, at = int.from_bytes(data[base + 4 : base + 6], "big"), data[base + 6], base + 40
    end = at + size if size else length or len(data)
    offset = ident = 0
    more = False
    for _ in range(MOST_EXTENSIONS):
        if proto not in EXTENSIONS or offset or at + 8 > min(end, len(data)):
            break
        if proto == FRAGMENT:
            place = int.from_bytes(data[at + 2 : at + 4], "big")
            offset, more, ident = place & 0xFFF8, bool(place & 1), int.from_bytes(data[at + 4 : at + 8], "big")
        proto, at = data[at], at + extension_size(proto, data[at + 1])
    return IpPacket(
        6, base, data[base + 8 : base + 24], data[base + 24 : base + 40], proto, at, end, offset, more, ident
    )


def extension_size(kind: int, length: int) -> int:
    """Return the size of an extension header in bytes. The field `length` has another unit in each of three kinds."""
    if kind == FRAGMENT:
        return 8
    return (length + 2) * 4 if kind == AUTHENTICATION else (length + 1) * 8


@lru_cache(4096)
def address_text(address: bytes) -> str:
    """Return an address of 4 or 16 bytes in the usual notation (RFC 5952)."""
    return str(ipaddress.ip_address(bytes(address)))


def end_text(address: bytes, port: int) -> str:
    """Return an address with a port: "10.0.0.1:80" or "[2001:db8::1]:80"."""
    return f"{address_text(address)}:{port}" if len(address) == 4 else f"[{address_text(address)}]:{port}"
