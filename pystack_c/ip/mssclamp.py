"""MSS clamping: a router lowers the MSS in SYNs to the size that its links carry (RFC 4459 3.2, like iptables' TCPMSS).

If routers' ICMP errors do not get through, this saves the hosts behind a narrow link from a black hole, because neither
side ever sends a segment that is too large.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.packet import Packet
from pystack_c.route import Dst
from pystack_c.wire import checksum


def bound(core: Core, iface: Iface, dst: Dst) -> int:
    """Return the largest MSS in bytes between the two links, or 0 for no limit. With setting -1, their MTUs decide."""
    most = core.config.ip_forward_mss
    if most >= 0:
        return most
    mtu = dst.mtu if dst.mtu < iface.mtu else iface.mtu
    return mtu - 40


def find_option(pkt: Packet) -> int:
    """Return the offset in the frame of the value of a SYN's MSS option, or -1 if there is none."""
    p = pkt.frame
    begin = pkt.l4_off
    if pkt.proto != C.IPPROTO_TCP or pkt.frag_off != 0 or pkt.l4_end - begin < 20 or not p[begin + 13] & C.SYN:
        return -1
    end = begin + (p[begin + 12] >> 4) * 4
    if end > pkt.l4_end:
        return -1
    at = begin + 20
    while at < end and p[at] != 0:
        if p[at] == 1:
            at += 1
            continue
        # RFC 9293 3.1: each option has a kind and a length.
        if at + 1 >= end or p[at + 1] < 2 or at + p[at + 1] > end:
            return -1
        if p[at] == 2:
            return at + 2 if p[at + 1] == 4 else -1
        at += p[at + 1]
    return -1


def clamp(core: Core, iface: Iface, dst: Dst, pkt: Packet, payload: Any) -> Any:
    """Return the IP payload to forward: `payload`, or a copy with a smaller MSS and an updated checksum (RFC 1624).

    A SYN without the option means an MSS of 536 (RFC 9293 MUST-15), which is small enough.
    """
    at = find_option(pkt)
    if at < 0:
        return payload
    most = bound(core, iface, dst)
    at -= pkt.l4_off
    told = (payload[at] << 8) | payload[at + 1]
    if most <= 0 or told <= most:
        return payload
    new = bytearray(payload)
    new[at] = most >> 8
    new[at + 1] = most & 0xFF
    csum = (new[16] << 8) | new[17]
    word = at & ~1
    while word < at + 2:
        # An option may begin at an odd offset; then two words change.
        csum = checksum.update(csum, (payload[word] << 8) | payload[word + 1], (new[word] << 8) | new[word + 1])
        word += 2
    new[16] = csum >> 8
    new[17] = csum & 0xFF
    core.counters.IpForwMssClamped += 1
    if core.probe is not None:
        fields = {"old": told, "new": most}
        why = f"segments of {told} bytes would not fit into the MTU of this router's links"
        core.emit("ip.mss", "ip " + addr_text(pkt.src) + "-" + addr_text(pkt.dst), 0, why, "RFC 4459 3.2", fields)
    return new
