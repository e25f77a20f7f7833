"""Forwarding between interfaces (RFC 1812 section 5.2.1): TTL, checksum, size, and the errors that a router sends."""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, is_group, is_loopback
from pystack_c.core import Core
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.filter.hooks import unread, verdict_of
from pystack_c.iface import Iface
from pystack_c.ip import groups, icmpv4, mssclamp, redirect
from pystack_c.ip import output as ip_output
from pystack_c.ip.routing import find_route, route_flow
from pystack_c.link import neighbor
from pystack_c.packet import Outgoing, Packet, new_transmit
from pystack_c.route import Dst
from pystack_c.wire import checksum, rewrite


def _subject(pkt: Packet) -> str:
    return "ip " + addr_text(pkt.src) + "-" + addr_text(pkt.dst)


def forward(core: Core, iface: Iface, pkt: Packet) -> None:
    """Forward a packet that is not for this host, or report to its sender why that is impossible."""
    if pkt.l2_group or is_group(pkt.dst):
        core.drop("forward-broadcast", _subject(pkt), "broadcasts and multicasts are not forwarded", "RFC 1812 5.3.4")
        return
    if pkt.src == 0 or is_loopback(pkt.src) or iface.kind == C.LINK_LOOPBACK:
        core.drop("forward-martian", _subject(pkt), "packets with this source must not be forwarded", "RFC 1812 5.3.7")
        return
    dst: Dst = find_route(core, pkt.dst) if core.policy is None else _route(core, iface, pkt)
    if dst is None:
        _no_route(core, iface, pkt)
        return
    if _expired(core, iface, pkt):
        return
    if dst.kind != C.DST_UNICAST:
        # RFC 2644: directed broadcasts are not forwarded by default.
        core.drop("forward-directed-broadcast", _subject(pkt), "the destination is a directed broadcast", "RFC 2644 2")
        return
    size = _checked_size(core, iface, dst, pkt)
    if size < 0:
        return
    if core.hooks is not None:
        # Hooks find the interface by which the packet leaves there.
        core.out.dst = dst
        if verdict_of(core, C.HOOK_FORWARD, iface, pkt) != C.NF_ACCEPT:
            return
    if core.probe is not None:
        fields = {"ttl": pkt.ttl - 1, "iface": dst.iface.name}
        core.emit("ip.forward", _subject(pkt), 0, "the packet is for another host", "RFC 1812 5.2.1", fields)
    core.counters.IpForwDatagrams += 1
    if pkt.gso_size > 0 and size <= dst.mtu:
        if groups.fits(dst, pkt):
            groups.send_whole(core, dst, pkt)
        else:
            groups.send_segments(core, dst, pkt)
    elif not _relay(core, dst, pkt):
        _send(core, iface, dst, pkt)
    if dst.iface is iface and core.config.send_redirects and (pkt.ip_hlen == 20 or groups.final_of(pkt) == pkt.dst):
        # Linux sends it before the packet. Here the connection tracking has only one current packet, which must be done.
        redirect.report(core, iface, pkt, dst)


def _route(core: Core, iface: Iface, pkt: Packet) -> Any:
    """Return the path of a packet by the rules of the host, or None."""
    sport = dport = 0
    if (pkt.proto == C.IPPROTO_TCP or pkt.proto == C.IPPROTO_UDP) and not pkt.mf and pkt.frag_off == 0:
        if pkt.l4_end - pkt.l4_off >= 4:
            p = pkt.frame
            at = pkt.l4_off
            sport = (p[at] << 8) | p[at + 1]
            dport = (p[at + 2] << 8) | p[at + 3]
    return route_flow(core, pkt.dst, pkt.src, None, False, pkt.mark, iface, pkt.proto, sport, dport)


def _expired(core: Core, iface: Iface, pkt: Packet) -> bool:
    """Return True if the TTL has expired. The packet was dropped then, and that was reported to its sender."""
    if pkt.ttl <= 1:
        # RFC 1812 5.3.1: a router MUST NOT forward a packet with TTL zero, and MUST send Time Exceeded.
        core.counters.IpInHdrErrors += 1
        why = "the TTL has expired"
        core.drop("forward-ttl", _subject(pkt), why, "RFC 1812 5.3.1")
        icmpv4.send_error(core, pkt, iface, C.ICMP_TIME_EXCEEDED, C.ICMP_EXC_TTL, 0, why, "RFC 1812 5.3.1")
        return True
    return False


def _checked_size(core: Core, iface: Iface, dst: Dst, pkt: Packet) -> int:
    """Return the bytes of the largest packet that leaves, or -1 if none may leave.

    Then the packet was dropped, and the sender of one that is too large received an error (RFC 1191 4).
    """
    size = pkt.total_len
    if pkt.gso_size > 0:
        size = groups.wire_size(pkt)
        if size < 0:
            core.drop("forward-bad-gso", _subject(pkt), "only TCP segments can be forwarded as one offloaded group", "")
            return -1
    if size > dst.mtu and pkt.df:
        core.counters.IpFragFails += 1
        why = "the packet is larger than the MTU of the next link, and DF is set"
        core.drop("forward-too-big", _subject(pkt), why, "RFC 1191 4")
        icmpv4.send_error(core, pkt, iface, C.ICMP_UNREACHABLE, C.ICMP_FRAG_NEEDED, dst.mtu, why, "RFC 1191 4")
        return -1
    return size


def forward_to(core: Core, iface: Iface, dst: Dst, pkt: Packet) -> None:
    """Forward a packet to another host than its destination, which keeps its addresses (direct return of a load balancer)."""
    if _expired(core, iface, pkt):
        return
    size = _checked_size(core, iface, dst, pkt)
    if size < 0:
        return
    core.counters.IpForwDatagrams += 1
    if pkt.gso_size > 0 and size <= dst.mtu:
        groups.send_segments(core, dst, pkt)
    else:
        _send(core, iface, dst, pkt)


def _no_route(core: Core, iface: Iface, pkt: Packet) -> None:
    """Report net unreachable, or host unreachable or prohibited if a route says so (RFC 1812 5.2.7.1)."""
    code = C.ICMP_NET_UNREACH
    if core.route_error == errno.ENETUNREACH:
        core.counters.IpExtInNoRoutes += 1
    elif core.route_error == errno.EHOSTUNREACH:
        code = C.ICMP_HOST_UNREACH
    elif core.route_error == errno.EACCES:
        code = C.ICMP_PKT_FILTERED
    why = "there is no route to the destination"
    core.drop("forward-no-route", _subject(pkt), why, "RFC 1812 5.2.7.1")
    if core.route_error != errno.EINVAL:  # a black hole sends no error
        icmpv4.send_error(core, pkt, iface, C.ICMP_UNREACHABLE, code, 0, why, "RFC 1812 5.2.7.1")


def _relay(core: Core, dst: Dst, pkt: Packet) -> bool:
    """Send an ordinary packet as one copy of its frame with another link header, TTL and checksum (RFC 1624).

    Returns False, and has done nothing, if there is more to do: hooks that read the packet, options, a neighbour to find, a checksum
    to finish, an MSS to lower, or fragments to make.
    """
    if (
        (core.hooks is not None and not unread(core))
        or pkt.flags & C.RX_CSUM_OK
        or pkt.ip_hlen != 20
        or core.config.ip_forward_mss != 0
        or pkt.total_len > dst.mtu
    ):
        return False
    tracked: Conntrack | None = core.conntrack
    if tracked is not None and tracked.fragment_size > 0:
        return False
    header = neighbor.ready_header(core, dst)
    if header is None:
        return False
    if core.hooks is not None and verdict_of(core, C.HOOK_POSTROUTING, dst.iface, None) != C.NF_ACCEPT:
        return True
    size = pkt.total_len
    at = len(header)
    p = pkt.frame
    old = (p[pkt.ip_off + 8] << 8) | p[pkt.ip_off + 9]
    csum = checksum.update((p[pkt.ip_off + 10] << 8) | p[pkt.ip_off + 11], old, old - 0x100)
    if C.COMPILED:
        frame = blank(at + size)  # type: ignore[name-defined] # noqa: F821
        q = frame
        h = header
        memcpy(q, h, at)  # type: ignore[name-defined] # noqa: F821
        memcpy(q + at, p + pkt.ip_off, size)  # type: ignore[name-defined, operator] # noqa: F821
        q[at + 8] = pkt.ttl - 1
        q[at + 10] = csum >> 8
        q[at + 11] = csum & 0xFF
    else:
        changed = bytes((pkt.ttl - 1, pkt.proto, csum >> 8, csum & 0xFF))
        frame = b"".join((header, p[pkt.ip_off : pkt.ip_off + 8], changed, p[pkt.ip_off + 12 : pkt.ip_off + size]))
    neighbor.count_out(core.counters, dst.kind, size)
    core.transmit(new_transmit(dst.iface, frame, None))
    return True


def _send(core: Core, iface: Iface, dst: Dst, pkt: Packet) -> None:
    """Send the header with the TTL decremented and the checksum updated (RFC 1624), and the payload unchanged."""
    p = pkt.frame
    q = core.scratch
    start = C.L4_OFF - pkt.ip_hlen
    for i in range(pkt.ip_hlen):
        q[start + i] = p[pkt.ip_off + i]
    old = (p[pkt.ip_off + 8] << 8) | p[pkt.ip_off + 9]
    csum = checksum.update((p[pkt.ip_off + 10] << 8) | p[pkt.ip_off + 11], old, old - 0x100)
    q[start + 8] = pkt.ttl - 1
    q[start + 10] = csum >> 8
    q[start + 11] = csum & 0xFF
    if pkt.ip_hlen > 20 and not groups.sign(core, dst, pkt):
        return
    if pkt.flags & C.RX_CSUM_OK and pkt.frag_off == 0 and not pkt.mf:
        payload = _payload(pkt)
    else:
        payload = memoryview(pkt.frame)[pkt.l4_off : pkt.l4_end]
    if core.config.ip_forward_mss != 0:
        payload = mssclamp.clamp(core, iface, dst, pkt, payload)
    out = core.out
    out.begin(dst, pkt.src, pkt.dst, pkt.proto)
    out.ttl = pkt.ttl - 1
    out.tos = pkt.tos
    out.payload = payload
    mtu = dst.mtu
    if core.hooks is not None:
        mtu = _ask_postrouting(core, dst, out, start)
        if mtu == 0:
            out.payload = None
            return
        payload = out.payload
    if pkt.total_len > mtu:
        out.options = bytes(core.scratch[start + 20 : C.L4_OFF])
        out.ident = pkt.ident
        out.frag_off = pkt.frag_off
        out.mf = pkt.mf
        sizes = None
        if _was_cut(core, dst):
            sizes = core.conntrack.fragment_sizes
        ip_output.fragment(core, out, mtu, bytes(payload), sizes)
        return
    neighbor.output(core, out, start, C.L4_OFF)
    out.payload = None


def send_copy(core: Core, iface: Iface, dst: Dst, pkt: Packet) -> None:
    """Send a copy of a multicast by one interface. The caller has checked TTL and size (ip/mforward.py)."""
    _send(core, iface, dst, pkt)


def _was_cut(core: Core, dst: Dst) -> bool:
    """Return True if the datagram arrived in fragments that fit into the next link. They leave with the same sizes, as on Linux."""
    tracked: Conntrack | None = core.conntrack
    return tracked is not None and 0 < tracked.fragment_size <= dst.mtu


def _ask_postrouting(core: Core, dst: Dst, out: Outgoing, start: int) -> int:
    """Run the hooks at POSTROUTING for a packet whose header is in core.scratch at `start`.

    Returns the largest size in which it may leave: the MTU, or the size of its largest fragment, if the connection tracking
    has reassembled it. 0 means that the packet goes no further.
    """
    src = out.src
    if verdict_of(core, C.HOOK_POSTROUTING, dst.iface, out) != C.NF_ACCEPT:
        return 0
    if out.src != src:
        rewrite.network(core.scratch, start, True, out.src)
    if out.daddr != core.packet.dst:
        rewrite.network(core.scratch, start, False, out.daddr)
    if out.tos != core.packet.tos or out.ttl != core.packet.ttl - 1:
        rewrite.tos_and_ttl(core.scratch, start, out.tos, out.ttl)
    tracked: Conntrack | None = core.conntrack
    if tracked is not None and 0 < tracked.fragment_size < dst.mtu:
        return tracked.fragment_size
    return dst.mtu


def _payload(pkt: Packet) -> Any:
    """Return the IP payload with a complete transport checksum, which RX_CSUM_OK does not guarantee."""
    data = bytearray(pkt.frame[pkt.l4_off : pkt.l4_end])
    if pkt.proto == C.IPPROTO_TCP and len(data) >= 20:
        at = 16
    elif pkt.proto == C.IPPROTO_UDP and len(data) >= 8 and (data[6] | data[7]) != 0:
        at = 6
    else:
        return data
    data[at] = 0
    data[at + 1] = 0
    acc = checksum.pseudo_sum(pkt.src, groups.final_of(pkt), pkt.proto, len(data))
    csum = checksum.sum_any(data, acc) ^ 0xFFFF
    if csum == 0 and at == 6:
        csum = 0xFFFF
    data[at] = csum >> 8
    data[at + 1] = csum & 0xFF
    return data
