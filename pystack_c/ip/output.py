"""IPv4 output: the choice of route and source address, the header, fragmentation (RFC 791, RFC 1122 section 3.3).

This host follows the weak end system model (RFC 1122 3.3.4.2), as Linux does: a packet for any of its addresses is
accepted on any interface (127/8 only on loopback), and the route alone decides where a packet leaves.
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.core import Core
from pystack_c.filter.hooks import OUTPUT, POSTROUTING, passes
from pystack_c.iface import Iface, LocalAddr
from pystack_c.link import neighbor
from pystack_c.packet import Outgoing
from pystack_c.route import Dst, Route, link_mtu
from pystack_c.wire import ipv4 as wire
from pystack_c.wire.checksum import sum_bytes

#: cached answers of route_output
DST_CACHE_MAX = 4096


def route_output(core: Core, addr: int, src: int = 0, iface: Iface | None = None, onlink: bool = False) -> Any:
    """`find_route` for a packet of our own; that there is no route is counted."""
    dst: Dst = find_route(core, addr, src, iface, onlink)
    if dst is None:
        core.counters.IpOutNoRoutes += 1
    return dst


def find_route(core: Core, addr: int, src: int = 0, iface: Iface | None = None, onlink: bool = False) -> Any:
    """Where packets to `addr` go, as a Dst, or None with the errno in core.route_error (RFC 1122 3.3.1).

    `src` is the address the caller will use (0: take Dst.src); the weak model does not route by it. `iface` restricts
    the search to one interface (SO_BINDTODEVICE), `onlink` to hosts on a link of ours (SO_DONTROUTE). Dsts are shared: all connections to one address hold the same one.
    """
    if iface is None and not onlink:
        found: Dst | None = core.latest_dst
        if found is None or found.addr != addr:
            found = core.dst_cache.get(addr)
        if found is not None and found.epoch == core.route_epoch:
            core.latest_dst = found
            if found.mtu_until > 0:
                expire_mtu(core, found)
            return found
    core.route_error = 0
    dst: Dst = _resolve(core, addr, iface, onlink)
    if core.probe is not None:
        _tell_route(core, addr, dst)
    if dst is None:
        return None
    dst.ident = core.rng.u32() & 0xFFFF
    if iface is None and not onlink:
        if len(core.dst_cache) >= DST_CACHE_MAX:
            core.dst_cache.clear()
        core.dst_cache[addr] = dst
        core.latest_dst = dst
    return dst


def _resolve(core: Core, addr: int, iface: Iface | None, onlink: bool) -> Any:
    mine: LocalAddr | None = core.local_addr(addr)
    if mine is not None:
        # RFC 1122 3.2.1.3 (g): what is addressed to this host never reaches a wire.
        src = 0x7F000001 if (addr >> 24) == 127 else addr
        return Dst(core.lo, addr, src, min(core.lo.mtu, 65535), C.DST_LOCAL, core.route_epoch)
    if addr == C.M32 or (addr >> 28) == 14:
        return _resolve_group(core, addr, iface)
    if addr == 0 or (addr >> 24) == 127:
        core.route_error = errno.ENETUNREACH
        return None
    route: Route = core.routes.lookup(addr, iface, onlink)
    if route is None:
        core.route_error = errno.ENETUNREACH
        return None
    if route.kind != C.RT_UNICAST:
        core.route_error = _REFUSALS[route.kind]
        return None
    hop = route.gateway if route.gateway != 0 else addr
    kind = C.DST_UNICAST
    for own in route.iface.addrs:
        if route.gateway == 0 and own.broadcast == addr:
            kind = C.DST_BROADCAST
    src = route.src if route.src != 0 else source_address(core, route.iface, hop)
    dst = Dst(route.iface, hop, src, min(route.iface.mtu, 65535), kind, core.route_epoch)
    dst.addr = addr
    dst.route = route
    dst.mtu = link_mtu(dst)
    return dst


def _tell_route(core: Core, addr: int, dst: Dst | None) -> None:
    """The route event: which one was chosen, or that there is none."""
    fields = {"dst": addr, "gateway": 0, "iface": "", "prefixlen": -1}
    why, rfc = "no route leads there", "RFC 1812 5.2.4.3"
    if dst is not None:
        fields["iface"] = dst.iface.name
        if dst.route is not None:
            fields["gateway"] = dst.route.gateway
            fields["prefixlen"] = dst.route.prefixlen
            why = "the longest matching prefix"
        elif dst.kind == C.DST_LOCAL:
            why, rfc = "an address of this host: it never reaches a wire", "RFC 1122 3.2.1.3"
        else:
            why, rfc = "to everybody, or to a group, on one interface", "RFC 1122 3.3.6"
    core.emit("route", "route " + neighbor.addr_text(addr), 0, why, rfc, fields)


_REFUSALS = {C.RT_UNREACHABLE: errno.EHOSTUNREACH, C.RT_PROHIBIT: errno.EACCES, C.RT_BLACKHOLE: errno.EINVAL}


def _resolve_group(core: Core, addr: int, iface: Iface | None) -> Any:
    """255.255.255.255 or a multicast group: the given interface, the route's, or the first one that has a wire."""
    if iface is None:
        route: Route = core.routes.lookup(addr, None)
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
    kind = C.DST_BROADCAST if addr == C.M32 else C.DST_MULTICAST
    return Dst(iface, addr, source_address(core, iface, addr), iface.mtu, kind, core.route_epoch)


def source_address(core: Core, iface: Iface, hop: int) -> int:
    """The source address towards `hop` (RFC 1122 3.3.4.3): the interface's own in that subnet, its first, or any."""
    addr = neighbor.source_for(iface, hop)
    if addr != 0 or iface.kind == C.LINK_LOOPBACK:
        return addr
    for other in core.ifaces:
        if other.kind != C.LINK_LOOPBACK and other.addrs:
            own: LocalAddr = other.addrs[0]
            return own.addr
    return 0


def lower_mtu(core: Core, dst: Dst, mtu: int) -> None:
    """A router told the MTU of the path (RFC 1191 6.3): keep it for `mtu_expires` (ten minutes), then try the interface's again.

    Less than `min_pmtu` would cost the sender more headers than data, and a liar nothing: DF goes off instead (RFC 5927 7).
    """
    locked = mtu < core.config.min_pmtu
    if locked:
        mtu = core.config.min_pmtu if core.config.min_pmtu < dst.mtu else dst.mtu
    if mtu > dst.mtu:
        return
    old = dst.mtu
    dst.mtu = mtu
    dst.mtu_locked = dst.mtu_locked or locked
    dst.mtu_until = core.now + core.config.mtu_expires
    if core.probe is not None and mtu != old:
        _tell_mtu(core, dst, old, "a router on the path can carry no more", "RFC 1191 6.3")


def expire_mtu(core: Core, dst: Dst) -> None:
    """RFC 1191 6.3: the path may carry more by now; it will say so if it does not."""
    if core.now >= dst.mtu_until:
        old = dst.mtu
        dst.mtu_until = 0
        dst.mtu_locked = False
        dst.mtu = link_mtu(dst)
        if core.probe is not None:
            _tell_mtu(core, dst, old, "what the router said is old: the path may carry more by now", "RFC 1191 6.3")


def _tell_mtu(core: Core, dst: Dst, old: int, why: str, rfc: str) -> None:
    fields = {"dst": dst.addr, "old": old, "new": dst.mtu}
    core.emit("ip.mtu", "route " + neighbor.addr_text(dst.addr), 0, why, rfc, fields)


def new_ident(dst: Dst, count: int) -> int:
    """The IP ID of the next datagram (RFC 6864 4: unique per source, destination and protocol while it may be in flight).

    A counter for each destination, from a random start, so that one peer learns nothing about our traffic with others
    (RFC 7739). `count` numbers are taken: a device cuts a GSO packet into as many.
    """
    value = dst.ident
    dst.ident = (value + count) & 0xFFFF
    return value


def output(core: Core, out: Outgoing) -> int:
    """Send one IP packet, or fragments of it. 0, or an errno.

    EMSGSIZE: it must not be fragmented, or is longer than IP allows. The record keeps no hold of the payload afterwards.
    """
    hlen = 20 + len(out.options)
    total = hlen + out.l4_len
    if out.payload is not None:
        total += len(out.payload)
    if total > 65535:
        core.counters.IpOutDiscards += 1
        return errno.EMSGSIZE
    core.counters.IpOutRequests += 1
    if core.hooks is not None and not _leaves(core, out):
        return errno.EPERM
    start = C.L4_OFF - hlen
    if hlen > 20:
        core.scratch[start + 20 : C.L4_OFF] = out.options
    dst: Dst = out.dst
    count = 1
    if out.gso_size > 0:
        count = (total - hlen - out.l4_len + out.gso_size - 1) // out.gso_size
    ident = new_ident(dst, count)
    mtu = dst.mtu
    if out.df & C.LINK_MTU:
        mtu = dst.iface.mtu
    if total > mtu and out.gso_size == 0:
        if out.df & C.DONT_FRAGMENT:
            core.counters.IpFragFails += 1
            return errno.EMSGSIZE
        data = bytes(core.scratch[C.L4_OFF : C.L4_OFF + out.l4_len])
        if out.payload is not None:
            data += bytes(out.payload)
        if out.csum_offset > 0:
            data = _finish_checksum(data, out.csum_offset)
        out.ident = ident
        fragment(core, out, mtu, data)
        return 0
    flags = 0x4000 if out.df & C.DONT_FRAGMENT else 0
    wire.write(core.scratch, start, hlen, out.tos, total, ident, flags, out.ttl, out.proto, out.src, out.daddr)
    neighbor.output(core, out, start, C.L4_OFF + out.l4_len)
    out.payload = None
    return 0


def _leaves(core: Core, out: Outgoing) -> bool:
    """The hooks of a packet of our own, before it is cut into fragments. False: refused (EPERM, as on Linux)."""
    iface = out.dst.iface
    return passes(core, OUTPUT, iface, out) and passes(core, POSTROUTING, iface, out)


def loop_back(core: Core, out: Outgoing, payload: bytes) -> None:
    """A copy to this host of a broadcast or group datagram that it sent (RFC 1112 6.1, as Linux does for broadcasts too).

    It arrives as if on the interface that it left by, whole, through the loopback queue.
    """
    start = C.L4_OFF - 20
    total = 20 + out.l4_len + len(payload)
    wire.write(core.scratch, start, 20, out.tos, total, 0, 0, out.ttl, out.proto, out.src, out.daddr)
    packet = bytes(core.scratch[start : C.L4_OFF + out.l4_len]) + payload
    if core.probe is not None:
        core.emit(
            "frame.out",
            "lo",
            0,
            "a copy for ourselves",
            "RFC 1112 6.1",
            {"iface": "lo", "frame": packet, "gso_size": 0},
        )
    core.loopq.append((out.dst.iface, packet))


def _finish_checksum(data: bytes, csum_offset: int) -> bytes:
    """Complete a checksum that was left to the device: the field holds the pseudo-header's sum."""
    s = sum_bytes(data, 0, len(data), 0) ^ 0xFFFF
    if s == 0:
        s = 0xFFFF
    return data[:csum_offset] + bytes((s >> 8, s & 0xFF)) + data[csum_offset + 2 :]


def fragment(core: Core, out: Outgoing, mtu: int, data: bytes) -> None:
    """Cut the IP payload `data` into fragments (RFC 791 section 3.2, "An Example Fragmentation Procedure").

    `out.frag_off` and `out.mf` are those of a packet that is itself a fragment (a router cuts it further). Every piece but the
    last is a multiple of 8 bytes. The first one carries all options, the others those with the copied flag.
    """
    pos = 0
    count = 0
    length = len(data)
    view = memoryview(data)
    options = out.options
    out.gso_size = out.csum_offset = 0
    while pos < length:
        if out.frag_off + pos == 0:
            opts = options
        else:
            opts = wire.copied_options(options) if options else b""
        hlen = 20 + len(opts)
        room = (mtu - hlen) & -8
        last = length - pos <= mtu - hlen
        size = length - pos if last else room
        flags = 0 if last and not out.mf else 0x2000
        start = C.L4_OFF - hlen
        core.scratch[start + 20 : C.L4_OFF] = opts
        field = flags | ((out.frag_off + pos) >> 3)
        wire.write(
            core.scratch, start, hlen, out.tos, hlen + size, out.ident, field, out.ttl, out.proto, out.src, out.daddr
        )
        if core.probe is not None and count == 0:
            reason = "larger than the link's MTU, and fragmentation is allowed"
            fields = {"ident": out.ident, "count": (length + room - 1) // room}
            core.emit("ip.fragment", "ip " + neighbor.addr_text(out.daddr), 0, reason, "RFC 791 3.2", fields)
        out.payload = view[pos : pos + size]
        neighbor.output(core, out, start, C.L4_OFF)
        count += 1
        pos += size
    out.payload = None
    core.counters.IpFragOKs += 1
    core.counters.IpFragCreates += count
