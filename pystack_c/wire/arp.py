"""ARP packets for IPv4 over Ethernet (RFC 826).

0       2       4   5   6       8         14        18        24        28
+-------+-------+---+---+-------+---------+---------+---------+---------+
|  hrd  |  pro  |hln|pln|  op   |   sha   |   spa   |   tha   |   tpa   |
+-------+-------+---+---+-------+---------+---------+---------+---------+
"""

from typing import TYPE_CHECKING

import pystack_c.const as C
from pystack_c.base.address import addr_bytes, v4
from pystack_c.wire import ethernet

if TYPE_CHECKING:
    from pystack_c.packet import Packet


def parse(pkt: "Packet") -> int:
    """Read the ARP packet at pkt.ip_off.

    Returns 0, -1 (truncated), -2 (the packet is not for IPv4 over Ethernet) or -3 (unknown operation).
    """
    off = pkt.ip_off
    if pkt.end - off < 28:
        return -1
    p = pkt.frame
    # hrd 1 (Ethernet), pro 0x0800, hln 6, pln 4
    if p[off] != 0 or p[off + 1] != 1 or p[off + 2] != 8 or p[off + 3] != 0 or p[off + 4] != 6 or p[off + 5] != 4:
        return -2
    pkt.arp_op = (p[off + 6] << 8) | p[off + 7]
    hi = (p[off + 8] << 8) | p[off + 9]
    lo = (p[off + 10] << 24) | (p[off + 11] << 16) | (p[off + 12] << 8) | p[off + 13]
    pkt.arp_sha = (hi << 32) | lo
    bits = (p[off + 14] << 24) | (p[off + 15] << 16) | (p[off + 16] << 8) | p[off + 17]
    pkt.arp_spa = v4(bits)
    hi = (p[off + 18] << 8) | p[off + 19]
    lo = (p[off + 20] << 24) | (p[off + 21] << 16) | (p[off + 22] << 8) | p[off + 23]
    pkt.arp_tha = (hi << 32) | lo
    bits = (p[off + 24] << 24) | (p[off + 25] << 16) | (p[off + 26] << 8) | p[off + 27]
    pkt.arp_tpa = v4(bits)
    if pkt.arp_op != C.ARPOP_REQUEST and pkt.arp_op != C.ARPOP_REPLY:
        return -3
    return 0


def frame(eth_dst: int, op: int, sha: int, spa: int, tha: int, tpa: int) -> bytes:
    """Return a whole ARP frame with its Ethernet header."""
    return b"".join(
        (
            ethernet.header(eth_dst, sha, 0x0806),
            b"\x00\x01\x08\x00\x06\x04",
            op.to_bytes(2, "big"),
            sha.to_bytes(6, "big"),
            addr_bytes(spa),
            tha.to_bytes(6, "big"),
            addr_bytes(tpa),
        )
    )
