"""Ethernet II frames: destination, source, EtherType (RFC 894). 802.3 frames (RFC 1042) are rejected.

0                   6                   12      14
+-------------------+-------------------+-------+----------
|    destination    |      source       | type  | payload
+-------------------+-------------------+-------+----------
"""

from typing import TYPE_CHECKING

import pystack_c.const as C
from pystack_c.base.address import v4_bits

if TYPE_CHECKING:
    from pystack_c.packet import Packet


BROADCAST = 0xFFFFFFFFFFFF


def parse(pkt: "Packet") -> int:
    """Read the header at pkt.l2_off. Returns 0, -1 (truncated) or -2 (an 802.3 length instead of a type)."""
    off = pkt.l2_off
    if pkt.end - off < C.ETH_HLEN:
        return -1
    p = pkt.frame
    hi = (p[off] << 8) | p[off + 1]
    lo = (p[off + 2] << 24) | (p[off + 3] << 16) | (p[off + 4] << 8) | p[off + 5]
    pkt.eth_dst = (hi << 32) | lo
    hi = (p[off + 6] << 8) | p[off + 7]
    lo = (p[off + 8] << 24) | (p[off + 9] << 16) | (p[off + 10] << 8) | p[off + 11]
    pkt.eth_src = (hi << 32) | lo
    pkt.eth_type = (p[off + 12] << 8) | p[off + 13]
    # The group bit is the first one on the wire (IEEE 802.3 section 3.2.3).
    pkt.l2_group = (p[off] & 1) != 0
    pkt.ip_off = off + C.ETH_HLEN
    if pkt.eth_type < 0x600:
        return -2
    return 0


def header(dst: int, src: int, ethertype: int) -> bytes:
    """Return the 14 bytes in front of a payload."""
    return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + ethertype.to_bytes(2, "big")


def group_mac(addr: int) -> int:
    """Return the MAC address of a multicast group: 01:00:5e and the group's low 23 bits (RFC 1112 section 6.4)."""
    return 0x01005E000000 | (v4_bits(addr) & 0x7FFFFF)
