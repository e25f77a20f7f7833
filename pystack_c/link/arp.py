"""ARP packets, in and out (RFC 826, RFC 1122 section 2.3.2), and address conflicts (RFC 5227 section 2.4).

The stack accepts a reply only for an address that has an entry. Only a request for one of our own addresses can create
an entry from outside. link/neighbor.py has the states of an entry.
"""

import pystack_c.const as C
from pystack_c.base.address import addr_text, is_broadcast, is_multicast, key
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.link.neighbor import NeighborEntry, Resolver, create, has_mac, source_for, update
from pystack_c.packet import Packet, new_transmit
from pystack_c.wire import arp as wire
from pystack_c.wire import ethernet


def send_arp(
    core: Core, iface: Iface, op: int, eth_dst: int, spa: int, tha: int, tpa: int, reason: str, rfc: str
) -> None:
    """Send one ARP packet from this interface."""
    if op == C.ARPOP_REQUEST:
        core.counters.ArpOutRequests += 1
    else:
        core.counters.ArpOutReplies += 1
    if core.probe is not None:
        fields = {"op": "request" if op == C.ARPOP_REQUEST else "reply", "addr": tpa}
        core.emit("arp.send", "arp " + addr_text(tpa), 0, reason, rfc, fields)
    core.transmit(new_transmit(iface, wire.frame(eth_dst, op, iface.mac, spa, tha, tpa), None))


class Arp(Resolver):
    """Finds the MAC addresses of IPv4 neighbours."""

    def solicit(self, core: Core, entry: NeighborEntry) -> None:
        """Send one ARP request: to the neighbour alone in state PROBE, otherwise as a broadcast."""
        spa = source_for(entry.iface, entry.addr)
        if entry.state == C.NUD_PROBE:
            reason = "the stack checks whether the neighbour is still reachable"
            send_arp(
                core, entry.iface, C.ARPOP_REQUEST, entry.mac, spa, entry.mac, entry.addr, reason, "RFC 1122 2.3.2.1"
            )
        else:
            reason = "the next hop's MAC address is not known"
            send_arp(core, entry.iface, C.ARPOP_REQUEST, ethernet.BROADCAST, spa, 0, entry.addr, reason, "RFC 826")


def input(core: Core, iface: Iface, pkt: Packet) -> None:
    """Process an ARP packet that arrived (RFC 826 "Packet Reception"; RFC 5227 section 2.4 for conflicts)."""
    code = wire.parse(pkt)
    subject = "arp " + iface.name
    if code < 0:
        core.drop(_PARSE_DROPS[-code], subject, _PARSE_REASONS[-code], "RFC 826")
        return
    # If we accepted a group address or no address as the sender, we would send its packets to every host on the link.
    if pkt.arp_sha == 0 or (pkt.arp_sha >> 40) & 1 or is_multicast(pkt.arp_spa) or is_broadcast(pkt.arp_spa):
        core.drop("arp-bad-sender", subject, "the sender's address is not a unicast address", "RFC 826")
        return
    if pkt.arp_op == C.ARPOP_REQUEST:
        core.counters.ArpInRequests += 1
    else:
        core.counters.ArpInReplies += 1
    if pkt.arp_sha == iface.mac:
        core.drop("arp-own", subject, "our own ARP packet came back", "RFC 5227 2.1.1")
        return
    if _conflict(core, iface, pkt):
        return
    for_us = _is_own(iface, pkt.arp_tpa)
    proxied = False
    if not for_us and pkt.arp_op == C.ARPOP_REQUEST and pkt.arp_spa != 0 and pkt.arp_spa != pkt.arp_tpa:
        proxied = core.proxies(iface, pkt.arp_tpa, pkt.arp_spa)
        for_us = proxied
    if core.probe is not None:
        op = "request" if pkt.arp_op == C.ARPOP_REQUEST else "reply"
        fields = {"op": op, "addr": pkt.arp_spa, "target": pkt.arp_tpa}
        core.emit("arp.in", "arp " + addr_text(pkt.arp_spa), 0, "an ARP " + op, "RFC 826", fields)
    merged = _learn(core, iface, pkt, for_us)
    if pkt.arp_op == C.ARPOP_REQUEST and for_us:
        reason = "another host asked for our address"
        if proxied:
            reason = "another host asked for an address to which this router has a route by another interface"
        send_arp(core, iface, C.ARPOP_REPLY, pkt.arp_sha, pkt.arp_tpa, pkt.arp_sha, pkt.arp_spa, reason, "RFC 826")
    elif not merged:
        core.drop("arp-not-for-us", subject, "the packet concerns neither us nor a known neighbour", "RFC 826")


_PARSE_DROPS = ("", "arp-truncated", "arp-bad-type", "arp-bad-op")


_PARSE_REASONS = (
    "",
    "the packet is shorter than 28 bytes",
    "the packet is not for IPv4 over Ethernet",
    "the packet is neither a request nor a reply",
)


def _is_own(iface: Iface, addr: int) -> bool:
    for own in iface.addrs:
        if own.addr == addr:
            return True
    return False


def _conflict(core: Core, iface: Iface, pkt: Packet) -> bool:
    """Return True if another host uses, or probes for, an address that we have or probe for (RFC 5227 2.1.1, 2.4)."""
    watch = core.acd.get(pkt.arp_spa) if core.acd else None
    if watch is None and pkt.arp_spa == 0 and core.acd:
        watch = core.acd.get(pkt.arp_tpa)
    if watch is not None and watch.iface is iface and watch.on_arp(pkt.arp_spa, pkt.arp_sha):
        core.drop("arp-conflict", "arp " + addr_text(watch.addr), "another host claims the address", "RFC 5227 2.1.1")
        return True
    if pkt.arp_spa == 0 or not _is_own(iface, pkt.arp_spa):
        return False
    core.drop("arp-conflict", "arp " + addr_text(pkt.arp_spa), "another host uses our address", "RFC 5227 2.4")
    # 2.4 (b): defend the address, with at most one announcement in DEFEND_INTERVAL (10 s).
    if iface.defended < 0 or core.now - iface.defended >= 10_000_000_000:
        iface.defended = core.now
        announce(core, iface, pkt.arp_spa)
    return True


def _learn(core: Core, iface: Iface, pkt: Packet, for_us: bool) -> bool:
    """Update the sender's entry, and create one only if a request is for us (RFC 826's merge).

    Returns True if it was used.
    """
    addr = pkt.arp_spa
    if addr == 0:  # RFC 5227 1.1: an ARP probe contains no sender address
        return False
    entry: NeighborEntry | None = iface.neighbors.get(key(addr))
    if entry is None:
        if not for_us or pkt.arp_op != C.ARPOP_REQUEST or not _on_link(iface, addr):
            return False
        entry = create(core, iface, addr)
        if entry is None:
            core.drop("arp-table-full", iface.name, "the neighbour table is full", "RFC 1122 2.3.2.1")
            return False
    if entry.state == C.NUD_PERMANENT:
        return True
    gratuitous = pkt.arp_tpa == addr
    solicited = pkt.arp_op == C.ARPOP_REPLY and for_us and not pkt.l2_group
    if has_mac(entry) and pkt.arp_sha != entry.mac:
        # The first of two answers within a second wins, unless the second is an announcement (proxy ARP, spoofing).
        if not gratuitous and core.now - entry.updated < 1_000_000_000:
            core.drop(
                "arp-locked",
                "arp " + addr_text(addr),
                "a different answer was accepted less than 1 s ago",
                "Linux arp(7) locktime",
            )
            return True
    update(core, entry, pkt.arp_sha, solicited)
    return True


def _on_link(iface: Iface, addr: int) -> bool:
    for own in iface.addrs:
        if (own.addr ^ addr) & own.mask == 0:
            return True
    return False


def announce(core: Core, iface: Iface, addr: int) -> None:
    """Send a gratuitous ARP request. Hosts that know the address update their entry (RFC 5227 section 3, RFC 826)."""
    send_arp(core, iface, C.ARPOP_REQUEST, ethernet.BROADCAST, addr, 0, addr, "we announce our address", "RFC 5227 2.3")
