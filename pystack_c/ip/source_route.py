"""Packets that arrive with a source route (RFC 791 section 3.1, RFC 1122 section 3.3.5, RFC 1812 section 5.2.4.1).

The stack drops them unless the setting accept_source_route is on, because source routes serve attacks (RFC 7126 section
4.3, and 4.4 for strict ones).
"""

from struct import pack
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_bytes, addr_text, from_bytes, is_loopback
from pystack_c.core import Core
from pystack_c.ip import icmpv4
from pystack_c.ip.routing import route_output
from pystack_c.packet import Packet
from pystack_c.wire import ipv4 as wire
from pystack_c.wire.checksum import sum_bytes


def arrived(core: Core, iface: Any, pkt: Packet, at: int) -> bool:
    """Handle a packet whose source route is at `at` in its options.

    Returns True if it continues, up or (DST_OTHER) to the next hop.
    """
    strict = pkt.frame[pkt.ip_off + 20 + at] == wire.IPOPT_SSRR
    if not core.config.accept_source_route:
        why = "this host does not accept source routes"
        return refuse(core, iface, pkt, why, "RFC 7126 4.4" if strict else "RFC 7126 4.3", core.config.ip_forward)
    if pkt.dst_kind == C.DST_OTHER:
        if not strict:
            # This host is between two hops of the route, which a loose route allows (RFC 791 3.1).
            return True
        return refuse(core, iface, pkt, "the strict source route does not name this host", "RFC 1812 5.2.4.1", True)
    if pkt.dst_kind != C.DST_UNICAST or pkt.l2_group:
        return refuse(core, iface, pkt, "a source route needs a unicast destination", "RFC 1122 3.3.6", False)
    return follow(core, iface, pkt, at, strict)


def follow(core: Core, iface: Any, pkt: Packet, at: int, strict: bool) -> bool:
    """Find the route's next hop, and skip each hop that is this host itself. Returns True if the packet continues."""
    p = bytearray(pkt.frame)
    o = pkt.ip_off + 20 + at
    own = pkt.dst
    to = own
    while p[o + 2] <= p[o + 1]:
        i = o + p[o + 2] - 1
        if i + 4 > o + p[o + 1]:
            return refuse(core, iface, pkt, "the source route ends in the middle of an address", "RFC 791 3.1", True)
        to = from_bytes(bytes(p[i : i + 4]))
        if not core.config.ip_forward and core.local_addr(to) is None:
            return refuse(core, iface, pkt, "this host does not forward packets", "RFC 1122 3.3.5", True)
        dst = route_output(core, to, 0)
        if dst is None or is_loopback(to) or dst.kind not in (C.DST_UNICAST, C.DST_LOCAL):
            return refuse(core, iface, pkt, "there is no route to the next hop", "RFC 1812 5.2.7.1", True)
        if strict and dst.kind == C.DST_UNICAST and dst.next_hop != to:
            return refuse(core, iface, pkt, "the next hop is not a direct neighbour", "RFC 1812 5.2.4.1", True)
        if pkt.ttl <= 1 and dst.kind == C.DST_UNICAST:
            # The TTL is used up. forward.forward sends the error, and quotes the packet as it arrived.
            pkt.dst_kind = C.DST_OTHER
            return True
        # RFC 791 3.1: our own address, as the next network knows it, replaces the address that was used.
        p[i : i + 4] = addr_bytes(own if dst.kind == C.DST_LOCAL else dst.src)
        p[o + 2] += 4
        own = to
        if dst.kind != C.DST_LOCAL:
            pkt.dst_kind = C.DST_OTHER
            break
    if core.probe is not None:
        here = pkt.dst_kind == C.DST_UNICAST
        why = "the source route ends here" if here else "the source route continues at its next hop"
        fields = {"hop": to, "left": max(0, (p[o + 1] - p[o + 2] + 1) // 4)}
        core.emit("ip.source_route", subject(pkt), 0, why, "RFC 791 3.1", fields)
    if to != pkt.dst:
        rewritten(pkt, p, to)
    return True


def rewritten(pkt: Packet, p: bytearray, to: int) -> None:
    """Give the packet its new destination and its changed route."""
    o = pkt.ip_off
    p[o + 16 : o + 20] = addr_bytes(to)
    p[o + 10 : o + 12] = b"\0\0"
    p[o + 10 : o + 12] = pack(">H", sum_bytes(bytes(p), o, o + pkt.ip_hlen, 0) ^ 0xFFFF)
    pkt.frame = bytes(p)
    pkt.dst = to


def subject(pkt: Packet) -> str:
    """Return a short name for events."""
    return "ip " + addr_text(pkt.src) + "-" + addr_text(pkt.dst)


def refuse(core: Core, iface: Any, pkt: Packet, why: str, rfc: str, tell: bool) -> bool:
    """Drop the packet, and return False. With `tell`, send the ICMP error Source Route Failed (RFC 1122 3.2.2.1)."""
    core.drop("ip-source-route", subject(pkt), why, rfc)
    if tell:
        icmpv4.send_error(core, pkt, iface, C.ICMP_UNREACHABLE, C.ICMP_SR_FAILED, 0, why, rfc)
    return False
