"""The choice of the route and of the source address (RFC 1122 sections 3.3.1 and 3.3.4).

This host follows the weak end system model (RFC 1122 3.3.4.2), as Linux does: a packet for any of its addresses is
accepted on any interface (127/8 only on loopback), and the route alone decides where a packet leaves.
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_sum, addr_text, is_broadcast, is_loopback, is_multicast, key, loopback_for
from pystack_c.core import Core
from pystack_c.endpoint import Endpoint
from pystack_c.iface import Iface, LocalAddr
from pystack_c.ip.pmtu import expire_mtu
from pystack_c.ip.policy import REFUSALS, Policy, RouteFlow, next_hop, select
from pystack_c.link import neighbor
from pystack_c.route import Dst, NextHop, Route, RouteTable, link_mtu, slot

#: the most decisions in a cache
DST_CACHE_MAX = 4096


def route_output(core: Core, addr: int, src: int = 0, iface: Iface | None = None, onlink: bool = False) -> Any:
    """Return `find_route` for a packet of our own, and count it if there is no route."""
    dst: Dst = find_route(core, addr, src, iface, onlink)
    if dst is None:
        core.counters.IpOutNoRoutes += 1
    return dst


def find_route(core: Core, addr: int, src: int = 0, iface: Iface | None = None, onlink: bool = False) -> Any:
    """Return the path of packets to `addr` as a Dst, or None with the errno in core.route_error (RFC 1122 3.3.1).

    `src` is the address that the caller will use (0: use Dst.src). The weak model does not route by it. `iface`
    restricts the search to one interface (SO_BINDTODEVICE), `onlink` to hosts on a link of ours (SO_DONTROUTE). All
    connections to one address share the same Dst.
    """
    if core.policy is not None:
        return route_flow(core, addr, src, iface, onlink, 0, None, 0, 0, 0)
    if iface is None and not onlink:
        at = slot(0, addr)
        found: Dst | None = core.latest[at]
        if found is None or found.addr != addr:
            found = core.dst_cache.get(key(addr))
            if found is not None:
                core.latest[at] = found
        if found is not None and found.epoch == core.route_epoch:
            if found.mtu_until > 0:
                expire_mtu(core, found)
            return found
    core.route_error = 0
    dst: Dst = _resolve(core, addr, iface, onlink, None)
    if core.probe is not None:
        _tell_route(core, addr, dst)
    if dst is None:
        return None
    dst.ident = core.rng.u32() & 0xFFFF
    dst.pseudo = addr_sum(dst.src, dst.addr)
    if iface is None and not onlink:
        _remember(core.dst_cache, key(addr), dst)
        core.latest[slot(0, addr)] = dst
    return dst


def route_endpoint(
    core: Core, ep: Endpoint, addr: int, iface: Iface | None, onlink: bool, proto: int, dport: int
) -> Any:
    """Return `find_route` for a packet of an endpoint to `addr` and `dport`, and count it if there is no route."""
    dst: Dst = route_flow(core, addr, ep.laddr, iface, onlink, ep.mark, None, proto, ep.lport, dport)
    if dst is None:
        core.counters.IpOutNoRoutes += 1
    return dst


def route_flow(
    core: Core,
    addr: int,
    src: int = 0,
    iface: Iface | None = None,
    onlink: bool = False,
    mark: int = 0,
    iif: Iface | None = None,
    proto: int = 0,
    sport: int = 0,
    dport: int = 0,
) -> Any:
    """Return `find_route` for a packet by all that rules and next hops may choose by (ip.policy).

    `mark` is its mark, and `iif` the interface on which it arrived, or None if it is this host's own. Without a policy of the
    host, these do not matter. The decision for a flow is cached, and all flows along one path share its Dst.
    """
    policy: Policy = core.policy
    if policy is None:
        return find_route(core, addr, src, iface, onlink)
    ports = 0
    if core.config.fib_multipath_hash_policy == 1:
        ports = proto << 32 | sport << 16 | dport
    out = 0 if iface is None else iface.index
    into = 0 if iif is None else iif.index
    where = (key(addr), key(src), out, onlink, mark, into, ports)
    found: Dst | None = core.dst_cache.get(where)
    if found is not None and found.epoch == core.route_epoch:
        if found.mtu_until > 0:
            expire_mtu(core, found)
        return found
    dst: Dst = decide(core, addr, src, iface, mark, iif, proto, sport, dport, onlink)
    if core.probe is not None:
        _tell_route(core, addr, dst)
    if dst is None:
        return None
    dst = _shared(core, policy, dst)
    _remember(core.dst_cache, where, dst)
    return dst


def decide(
    core: Core,
    addr: int,
    src: int = 0,
    iface: Iface | None = None,
    mark: int = 0,
    iif: Iface | None = None,
    proto: int = 0,
    sport: int = 0,
    dport: int = 0,
    onlink: bool = False,
) -> Any:
    """Return what `route_flow` decides if its cache has no answer, as a Dst that no packet uses yet.

    This changes neither caches nor random numbers.
    """
    flow: RouteFlow | None = None
    policy: Policy | None = core.policy
    if policy is not None:
        flow = policy.flow
        flow.begin(addr, src, iif, iface, mark)
        flow.ports(proto, sport, dport)
    core.route_error = 0
    return _resolve(core, addr, iface, onlink, flow)


def _shared(core: Core, policy: Policy, dst: Dst) -> Any:
    """Return the Dst of an older decision for the same path, which may have a path MTU and a neighbour, or this one."""
    path = (key(dst.addr), key(dst.src), key(dst.next_hop), dst.iface.index, dst.kind)
    found: Dst | None = policy.paths.get(path)
    if found is not None and found.epoch == core.route_epoch and found.route is dst.route:
        return found
    dst.ident = core.rng.u32() & 0xFFFF
    dst.pseudo = addr_sum(dst.src, dst.addr)
    _remember(policy.paths, path, dst)
    return dst


def _remember(cache: dict[Any, Any], where: Any, dst: Dst) -> None:
    """Keep a decision in a cache, which is emptied first if it is full."""
    if len(cache) >= DST_CACHE_MAX:
        cache.clear()
    cache[where] = dst


def lookup(core: Core, addr: int, iface: Iface | None, onlink: bool, flow: RouteFlow | None) -> Any:
    """Return the route for a packet, or None with the errno in core.route_error. `flow` is None without a policy."""
    if flow is not None:
        return select(core, flow, onlink)
    table: RouteTable = core.routes
    route: Route = table.lookup(addr, iface, onlink)
    if route is None:
        core.route_error = errno.ENETUNREACH
    return route


def _resolve(core: Core, addr: int, iface: Iface | None, onlink: bool, flow: RouteFlow | None) -> Any:
    mine: LocalAddr | None = core.local_addr(addr)
    if mine is not None:
        # RFC 1122 3.2.1.3 (g): a packet for this host must never reach a wire.
        src = loopback_for(addr) if is_loopback(addr) else addr
        return Dst(core.lo, addr, src, min(core.lo.mtu, 65535), C.DST_LOCAL, core.route_epoch)
    if is_broadcast(addr) or is_multicast(addr):
        return _resolve_group(core, addr, iface, flow)
    if addr == 0 or is_loopback(addr):
        core.route_error = errno.ENETUNREACH
        return None
    route: Route | None = lookup(core, addr, iface, onlink, flow)
    if route is not None and route.kind != C.RT_UNICAST:
        core.route_error = REFUSALS[route.kind]
        route = None
    if route is None:
        if iface is None or onlink or not iface.up:
            return None
        # As on Linux, a socket that is bound to an interface takes every destination for a neighbour if there is no route.
        dst = Dst(iface, addr, source_address(core, iface, addr), 0, C.DST_UNICAST, core.route_epoch)
        dst.mtu = link_mtu(dst)
        return dst
    gateway = route.gateway
    through: Iface = route.iface
    if route.hops is not None:
        chosen: NextHop = next_hop(core, route, flow)
        gateway = chosen.gateway
        through = chosen.iface
    hop = gateway if gateway != 0 else addr
    kind = C.DST_UNICAST
    for own in through.addrs:
        if gateway == 0 and own.broadcast == addr:
            kind = C.DST_BROADCAST
    if core.redirects is not None and gateway != 0:
        hop = core.redirects.hop(key(addr), through, hop)
    src = route.src if route.src != 0 else source_address(core, through, hop)
    dst = Dst(through, hop, src, min(through.mtu, 65535), kind, core.route_epoch)
    dst.addr = addr
    dst.route = route
    dst.mtu = link_mtu(dst)
    return dst


def _tell_route(core: Core, addr: int, dst: Dst | None) -> None:
    """Emit the event with the route that was chosen, or that there is none."""
    fields = {"dst": addr, "gateway": 0, "iface": "", "prefixlen": -1}
    why, rfc = "there is no route to the destination", "RFC 1812 5.2.4.3"
    if dst is not None:
        fields["iface"] = dst.iface.name
        if dst.route is not None:
            fields["gateway"] = 0 if dst.next_hop == addr else dst.next_hop
            fields["prefixlen"] = dst.route.prefixlen
            why = "this route has the longest matching prefix"
            if core.policy is not None:
                why = f"this route has the longest matching prefix in table {dst.route.table}, which the rules chose"
        elif dst.kind == C.DST_LOCAL:
            why, rfc = "the destination is an address of this host, so the packet never leaves it", "RFC 1122 3.2.1.3"
        else:
            why, rfc = (
                "the destination is a broadcast or multicast address on this interface",
                "RFC 1122 3.3.6",
            )
    core.emit("route", "route " + addr_text(addr), 0, why, rfc, fields)


def _resolve_group(core: Core, addr: int, iface: Iface | None, flow: RouteFlow | None) -> Any:
    """Route to 255.255.255.255 or a group: on the given interface, the route's, or the first that is not loopback."""
    if iface is None:
        route: Route = lookup(core, addr, None, False, flow)
        if route is not None and route.kind == C.RT_UNICAST:
            iface = route.iface
    if iface is None:
        for other in core.ifaces:
            if other.kind != C.LINK_LOOPBACK and other.up:
                iface = other
                break
    if iface is None:
        core.route_error = errno.ENETUNREACH
        return None
    kind = C.DST_BROADCAST if is_broadcast(addr) else C.DST_MULTICAST
    return Dst(iface, addr, source_address(core, iface, addr), iface.mtu, kind, core.route_epoch)


def source_address(core: Core, iface: Iface, hop: int) -> int:
    """Return the source address towards `hop` (RFC 1122 3.3.4.3): the interface's in that subnet, its first, or any."""
    addr = neighbor.source_for(iface, hop)
    if addr != 0 or iface.kind == C.LINK_LOOPBACK:
        return addr
    for other in core.ifaces:
        if other.kind != C.LINK_LOOPBACK and other.addrs:
            own: LocalAddr = other.addrs[0]
            return own.addr
    return 0
