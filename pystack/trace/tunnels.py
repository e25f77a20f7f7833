"""Finds the packet or frame that a packet carries through a tunnel: IP in IP (RFC 2003, RFC 4213), GRE (RFC 2784, RFC 2890), VXLAN (RFC 7348)."""

from typing import NamedTuple

import pystack_c.const as C
from pystack.trace.headers import IPV4, IPV6, IpPacket

IP_IN_IP, IPV6_IN_IP, GRE = 4, 41, 47
VXLAN_PORT = 4789
#: the ethertype of a frame of Ethernet in GRE (RFC 7637)
BRIDGED = 0x6558
#: bits of GRE's first 16: the fields that follow, in this order (RFC 2784 2.1, RFC 2890 2)
GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE, GRE_VERSION = 0x8000, 0x2000, 0x1000, 0x0007
#: the bit of VXLAN that says that the number of the network is valid (RFC 7348 5)
VXLAN_VALID = 0x08
#: how many tunnels inside each other are looked into
MOST_NESTED = 4


class Carried(NamedTuple):
    """What a tunnel carries: the tunnel's name, its number or -1, and the ethertype of what begins at `at` (BRIDGED: a whole frame)."""

    name: str
    number: int
    ethertype: int
    at: int


def find(data: bytes, packet: IpPacket) -> Carried | None:
    """Return what an IP packet carries through a tunnel, or None."""
    at, end = packet.at, min(packet.end, len(data))
    if packet.offset or at >= end:
        return None
    if packet.proto in (IP_IN_IP, IPV6_IN_IP):
        return Carried("IP in IP", -1, IPV4 if packet.proto == IP_IN_IP else IPV6, at)
    if packet.proto == GRE:
        return _gre(data, at, end)
    if packet.proto == C.IPPROTO_UDP and end >= at + 16:
        port = int.from_bytes(data[at + 2 : at + 4], "big")
        if port == VXLAN_PORT and data[at + 8] & VXLAN_VALID:
            return Carried("VXLAN", int.from_bytes(data[at + 12 : at + 15], "big"), BRIDGED, at + 16)
    return None


def _gre(data: bytes, at: int, end: int) -> Carried | None:
    if end < at + 4:
        return None
    flags, ethertype = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
    size = gre_size(flags)
    if flags & GRE_VERSION or at + size > end:
        return None
    key = -1
    if flags & GRE_KEY:
        place = at + (8 if flags & GRE_CHECKSUM else 4)
        key = int.from_bytes(data[place : place + 4], "big")
    return Carried("GRE", key, ethertype, at + size)


def gre_size(flags: int) -> int:
    """Return the size of a header of GRE, version 0."""
    return 4 + 4 * sum(bool(flags & bit) for bit in (GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE))
