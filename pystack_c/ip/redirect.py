"""ICMP redirects: a router reports a better first hop (RFC 1812 section 5.2.7.2), and a host that wants to believes it.

Sending has Linux's rate limit. Each further report to a host waits twice as long as the one before, and after nine reports
that the host ignored the router is silent until the host has sent nothing through it for 20 seconds.
"""

from collections import OrderedDict
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, is_group, is_loopback, key, v4, v4_bits
from pystack_c.core import Core
from pystack_c.iface import Iface, LocalAddr
from pystack_c.ip import icmpv4
from pystack_c.ip.policy import Policy
from pystack_c.ip.routing import lookup
from pystack_c.packet import Packet
from pystack_c.route import Dst, Route

#: the first wait between two reports in ns (Linux's redirect_load), the number of reports (redirect_number), and the time
#: after which a host counts as new (redirect_silence)
LOAD = 20_000_000
NUMBER = 9
SILENCE = LOAD << (NUMBER + 1)
#: the number of hosts whose reports are counted, and of destinations with an accepted redirect
HOSTS_MAX = 1024
ACCEPTED_MAX = 1024


class RedirectedHost:
    """A host to which redirects were sent: how many, and the time in ns of the latest (or of the latest packet, if there were too many)."""

    def __init__(self) -> None:
        self.count = 0
        self.last = -1


class Redirects:
    """The redirects that a host accepted, by destination. A change of the routes removes them all."""

    def __init__(self) -> None:
        self.accepted: OrderedDict[int, Any] = OrderedDict()

    def accept(self, addr: int, iface: Iface, old: int, new: int) -> None:
        """Use the gateway `new` for `addr` as long as the route's own gateway is `old`, on `iface`."""
        if len(self.accepted) >= ACCEPTED_MAX:
            self.accepted.popitem(last=False)
        self.accepted[addr] = (iface, old, new)

    def hop(self, addr: int, iface: Iface, gateway: int) -> int:
        """Return the next hop to `addr` for a route through `gateway`."""
        found = self.accepted.get(addr)
        if found is None or found[0] is not iface or found[1] != gateway:
            return gateway
        return found[2]  # type: ignore[no-any-return]


def report(core: Core, iface: Iface, pkt: Packet, dst: Dst) -> None:
    """Report the next hop to the sender of a packet that leaves by the interface on which it arrived.

    The sender must be on that link. The caller forwards the packet in any case.
    """
    route: Route = _route_back(core, iface, pkt)
    if route is None or route.kind != C.RT_UNICAST or route.gateway != 0 or is_loopback(pkt.src):
        return
    hosts: OrderedDict[int, RedirectedHost] = core.redirected
    if hosts is None:
        hosts = core.redirected = OrderedDict()
    host: RedirectedHost | None = hosts.get(key(pkt.src))
    if host is None:
        if len(hosts) >= HOSTS_MAX:
            hosts.popitem(last=False)
        host = hosts[key(pkt.src)] = RedirectedHost()
    if host.last >= 0 and core.now - host.last > SILENCE:
        host.count = 0
    if host.count >= NUMBER:
        host.last = core.now
        return
    if host.count > 0 and core.now - host.last <= (LOAD << host.count):
        return
    host.last = core.now
    host.count += 1
    why = "the next hop is on the sender's own link, so the sender can reach it without this router"
    icmpv4.send_error(
        core, pkt, iface, C.ICMP_REDIRECT, C.ICMP_REDIR_HOST, v4_bits(dst.next_hop), why, "RFC 1812 5.2.7.2"
    )


def _route_back(core: Core, iface: Iface, pkt: Packet) -> Any:
    """Return the route by which this interface reaches the sender, or None."""
    flow = None
    policy: Policy | None = core.policy
    if policy is not None:
        flow = policy.flow
        flow.begin(pkt.src, pkt.dst, None, iface, 0)
    error = core.route_error
    route: Route = lookup(core, pkt.src, iface, False, flow)
    core.route_error = error
    return route


def refused(core: Core, iface: Iface, pkt: Packet, dst: Dst | None) -> str:
    """Return why a redirect must be ignored, or "" (RFC 1122 3.2.2.2). `dst` is the path to the destination that it names.

    The new gateway is in pkt.icmp_rest.
    """
    gateway = v4(pkt.icmp_rest)
    if not core.config.accept_redirects:
        return "this host ignores redirects"
    if dst is None or dst.kind != C.DST_UNICAST or dst.iface is not iface or dst.next_hop != pkt.src:
        return "the sender is not the current first hop to the destination"
    if gateway == 0 or is_group(gateway) or gateway == pkt.src or core.local_addr(gateway) is not None:
        return "the new first hop cannot be a gateway"
    for item in iface.addrs:
        own: LocalAddr = item
        if (own.addr ^ gateway) & own.mask == 0 and own.broadcast != gateway:
            return ""
    return "the new first hop is not on the link"


def accept(core: Core, iface: Iface, pkt: Packet, dst: Any) -> None:
    """Use the new gateway for the destination of `dst` from now on."""
    gateway = v4(pkt.icmp_rest)
    if core.redirects is None:
        core.redirects = Redirects()
    known: Redirects = core.redirects
    known.accept(key(dst.addr), iface, pkt.src, gateway)
    # Sockets keep a path as long as its epoch is the current one.
    dst.epoch = -1
    core.dst_cache.pop(key(dst.addr), None)
    policy: Policy | None = core.policy
    if policy is not None:
        for item in policy.paths.values():
            other: Dst = item
            if other.addr == dst.addr:
                other.epoch = -1
    if core.probe is not None:
        fields = {"dst": dst.addr, "old": pkt.src, "new": gateway}
        why = "the current first hop reported a better one"
        core.emit("route.redirect", "route " + addr_text(dst.addr), 0, why, "RFC 1122 3.2.2.2", fields)
