"""IPv4 output: the header, and fragmentation (RFC 791, RFC 1122 section 3.3).

ip/routing.py chooses the route and the source address.
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text
from pystack_c.core import Core
from pystack_c.filter.hooks import verdict_of
from pystack_c.ip.routing import route_flow
from pystack_c.link import neighbor
from pystack_c.packet import Outgoing
from pystack_c.route import Dst
from pystack_c.wire import ipv4 as wire
from pystack_c.wire.checksum import sum_bytes


def new_ident(dst: Dst, count: int) -> int:
    """Return the IP ID of the next datagram, unique per source, destination and protocol (RFC 6864 4).

    Each destination has a counter with a random start, so that one peer learns nothing about our traffic with others
    (RFC 7739). The call takes `count` numbers, one for each packet that a device makes of a GSO packet.
    """
    value = dst.ident
    dst.ident = (value + count) & 0xFFFF
    return value


def output(core: Core, out: Outgoing) -> int:
    """Send one IP packet, or fragments of it. Returns 0 or an errno.

    EMSGSIZE means that it must not be fragmented, or is longer than IP allows; EPERM means that a hook dropped it.
    Afterwards, `out` no longer refers to the payload. If a hook took the packet over, it does not refer to the route either.
    """
    hlen = 20 + len(out.options)
    total = hlen + out.l4_len
    if out.payload is not None:
        total += len(out.payload)
    if total > 65535:
        core.counters.IpOutDiscards += 1
        out.payload = None
        return errno.EMSGSIZE
    core.counters.IpOutRequests += 1
    if core.hooks is not None:
        verdict = ask_hooks(core, out)
        if verdict != C.NF_ACCEPT:
            out.payload = None
            return errno.EPERM if verdict == C.NF_DROP else 0
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
            out.payload = None
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


def ask_hooks(core: Core, out: Outgoing) -> int:
    """Run the hooks for a packet of our own, before it is fragmented, and return their verdict.

    For the sender, a packet that a hook took over has been sent, as on Linux. Only the route is gone from the record, so
    that the sender makes no copy for this host.
    """
    daddr = out.daddr
    verdict = verdict_of(core, C.HOOK_OUTPUT, out.dst.iface, out)
    if verdict == C.NF_ACCEPT and (out.daddr != daddr or out.reroute):
        # The destination was translated, or a rule changed the mark. So the packet may leave by another interface.
        dst: Dst = _route_anew(core, out)
        if dst is None:
            why = "there is no route to the translated destination"
            if out.daddr == daddr:
                why = "there is no route for the mark, the source or the TOS that a rule has set"
            core.drop("output-no-route", "ip " + addr_text(out.daddr), why, "")
            return C.NF_DROP
        out.dst = dst
    if verdict == C.NF_ACCEPT:
        verdict = verdict_of(core, C.HOOK_POSTROUTING, out.dst.iface, out)
    if verdict != C.NF_ACCEPT and verdict != C.NF_DROP:
        out.dst = None
    return verdict


def _route_anew(core: Core, out: Outgoing) -> Any:
    """Return the path of a packet that the hooks changed, or None (Linux ip_route_me_harder)."""
    sport = dport = 0
    if (out.proto == C.IPPROTO_TCP or out.proto == C.IPPROTO_UDP) and out.l4_len >= 4:
        p = core.scratch
        sport = (p[C.L4_OFF] << 8) | p[C.L4_OFF + 1]
        dport = (p[C.L4_OFF + 2] << 8) | p[C.L4_OFF + 3]
    return route_flow(core, out.daddr, out.src, None, False, out.mark, None, out.proto, sport, dport)


def loop_back(core: Core, out: Outgoing, payload: bytes) -> None:
    """Send this host a copy of its own broadcast or group datagram (RFC 1112 6.1; Linux copies broadcasts, too).

    The copy is never fragmented. It goes through the loopback
    queue, and arrives on the interface that sent the original.
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
            "this host receives a copy of its own broadcast or multicast packet",
            "RFC 1112 6.1",
            {"iface": "lo", "frame": packet, "gso_size": 0},
        )
    core.loopq.append((out.dst.iface, packet))


def _finish_checksum(data: bytes, csum_offset: int) -> bytes:
    """Complete a checksum that was left to the device. The field holds the pseudo-header's sum."""
    s = sum_bytes(data, 0, len(data), 0) ^ 0xFFFF
    if s == 0:
        s = 0xFFFF
    return data[:csum_offset] + bytes((s >> 8, s & 0xFF)) + data[csum_offset + 2 :]


def fragment(core: Core, out: Outgoing, mtu: int, data: bytes, sizes: list[int] | None = None) -> None:
    """Cut the IP payload `data` into fragments (RFC 791 section 3.2, "An Example Fragmentation Procedure").

    `out.frag_off` and `out.mf` describe a packet that is itself a fragment, if a router
    cuts it further. The size of every piece except the last is a multiple of 8 bytes.
    The first one carries all options, the others only those with the copied flag. `sizes` are the bytes of each piece, if
    a router has reassembled the datagram and cuts it as it was.
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
        if sizes is not None and count < len(sizes):
            last = count == len(sizes) - 1
            room = sizes[count]
        size = length - pos if last else room
        flags = 0 if last and not out.mf else 0x2000
        start = C.L4_OFF - hlen
        core.scratch[start + 20 : C.L4_OFF] = opts
        field = flags | ((out.frag_off + pos) >> 3)
        wire.write(
            core.scratch, start, hlen, out.tos, hlen + size, out.ident, field, out.ttl, out.proto, out.src, out.daddr
        )
        if core.probe is not None and count == 0:
            reason = "the datagram is larger than the MTU of the link, and DF is not set"
            fields = {"ident": out.ident, "count": (length + room - 1) // room}
            core.emit("ip.fragment", "ip " + addr_text(out.daddr), 0, reason, "RFC 791 3.2", fields)
        out.payload = view[pos : pos + size]
        neighbor.output(core, out, start, C.L4_OFF)
        count += 1
        pos += size
    out.payload = None
    core.counters.IpFragOKs += 1
    core.counters.IpFragCreates += count
