"""Connection tracking: the table of connections, and the hooks that assign each packet to one of them (Linux nf_conntrack).

`track` runs at PREROUTING and OUTPUT, before address translation and filters. It finds the connection of the packet, or makes
a new entry, and leaves the answer in core.conntrack: `entry`, `direction` and `state` (CT_NEW, CT_ESTABLISHED, CT_RELATED,
CT_INVALID). `confirm` runs last at INPUT and POSTROUTING. Only then does a new entry go into the table. So a packet that a filter
drops leaves nothing behind.

Fragments never get here: while connection tracking is on, ingress/ipv4.py reassembles all datagrams before PREROUTING, and
ip/forward.py cuts a datagram again into fragments of the original size.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.core import Core
from pystack_c.filter import conntrack_states, conntrack_tcp
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.filter.flow import Half, Seen, Tracked, answer_to
from pystack_c.filter.hooks import HookCall, attach, detach
from pystack_c.iface import Iface
from pystack_c.packet import Outgoing, Packet
from pystack_c.wire import checksum, rewrite

#: Linux's priorities of hooks: tracking, translation of the destination and of the source, and the last of all
TRACK, DNAT, SNAT, LAST = -200, -100, 100, 1 << 30
_LINUX = "Linux nf_conntrack"


def _is_error(icmp_type: int) -> bool:
    """Return True for the ICMP messages that quote a packet (RFC 1122 3.2.2)."""
    return icmp_type in (3, 4, 5, 11, 12)


# The hooks.


def track(core: Core, place: int, iface: Iface, packet: Any) -> int:
    """Assign a packet to its connection: the hook at PREROUTING and OUTPUT."""
    ct: Conntrack = core.conntrack
    seen = ct.seen
    if place == C.HOOK_PREROUTING:
        pkt: Packet = packet
        seen.of_packet(pkt)
        ct.pending = None
        if iface.kind == C.LINK_LOOPBACK:
            _resume(ct, seen)
            return C.NF_ACCEPT
    else:
        out: Outgoing = packet
        # An error of our own may be about a packet whose connection is not in the table yet.
        ct.fragment_size = 0
        seen.of_outgoing(core, out)
        ct.pending = ct.entry
        ct.pending_direction = ct.direction
    ct.entry = None
    ct.direction = C.CT_ORIGINAL
    ct.state = C.CT_INVALID
    ct.why = ""
    if ct.untracked or ct.attach:
        if _set_apart(ct):
            return C.NF_ACCEPT
    verdict = _assign(core, ct, seen)
    if ct.state == C.CT_INVALID and verdict == C.NF_ACCEPT:
        ct.entry = None
        if core.probe is not None:
            _tell_invalid(core, ct, seen)
    return verdict


def _tell_invalid(core: Core, ct: Conntrack, seen: Seen) -> None:
    fields = {"proto": seen.proto, "length": seen.length}
    core.emit("ct.invalid", seen.subject(), 0, ct.why, _LINUX, fields)


def _set_apart(ct: Conntrack) -> bool:
    """Return True for a packet that needs no entry: one that a rule exempts, or a reset that a rule sends about a connection."""
    if ct.untracked:
        ct.untracked = False
        ct.state = C.CT_UNTRACKED
        return True
    ct.attach = False
    if ct.pending is None:
        return False
    # Linux nf_ct_attach: the reset belongs to the connection of the packet that it answers.
    ct.entry = ct.pending
    ct.direction = 1 - ct.pending_direction
    ct.state = C.CT_RELATED
    return True


def _resume(ct: Conntrack, seen: Seen) -> None:
    """Find the entry of a packet of our own that comes back through lo. OUTPUT has tracked it, and POSTROUTING translated it."""
    ct.state = C.CT_INVALID
    ct.direction = C.CT_ORIGINAL
    ct.entry = None
    half: Half | None = None
    if seen.proto == C.IPPROTO_ICMP and _is_error(seen.dport >> 8):
        _related(ct.core, ct, seen)
        return
    half = ct.find(seen.src, seen.sport, seen.dst, seen.dport, seen.proto)
    if half is None:
        # The translated form of a direction mirrors the other direction.
        other = ct.inner_half
        other.set(seen.src, seen.sport, seen.dst, seen.dport, seen.proto)
        ct.spare_half.mirror(other)
        other = ct.spare_half
        half = ct.find(other.src, other.sport, other.dst, other.dport, other.proto)
        if half is None:
            return
        ct.direction = 1 - half.direction
    else:
        ct.direction = half.direction
    ct.entry = half.entry
    ct.state = _state_of(half.entry, ct.direction)


def _state_of(entry: Tracked, direction: int) -> int:
    return C.CT_ESTABLISHED if direction == C.CT_REPLY or entry.status & C.IPS_SEEN_REPLY else C.CT_NEW


def _assign(core: Core, ct: Conntrack, seen: Seen) -> int:
    """Find or make the entry of a packet, and apply the packet to it. Returns a verdict."""
    if seen.fragment:
        ct.why = "the packet is a fragment"
        return C.NF_ACCEPT
    why = _error(core, seen)
    if why is not None:
        ct.why = why
        return C.NF_ACCEPT
    if seen.proto == C.IPPROTO_ICMP and _is_error(seen.dport >> 8):
        _related(core, ct, seen)
        return C.NF_ACCEPT
    half: Half | None = ct.find(seen.src, seen.sport, seen.dst, seen.dport, seen.proto)
    entry: Any = None
    for _ in range(2):
        if half is not None:
            entry = half.entry
            direction = half.direction
        else:
            direction = C.CT_ORIGINAL
            entry = ct.begin(seen)
            if entry is None:
                return C.NF_ACCEPT
            if not ct.make_room():
                return _full(core, seen)
        result = conntrack_states.packet(core, entry, seen, direction)
        if result != C.CT_REPEAT:
            break
        half = None
    if result == C.CT_INVALID:
        return C.NF_ACCEPT
    ct.entry = entry
    ct.direction = direction
    ct.state = _state_of(entry, direction)
    if ct.uncounted:
        ct.uncounted = False
    else:
        way: Half = entry.half(direction)
        way.packets += 1
        way.octets += seen.length
    if direction == C.CT_REPLY and not entry.status & C.IPS_SEEN_REPLY:
        _replied(core, entry)
    return C.NF_ACCEPT


def _full(core: Core, seen: Seen) -> int:
    """Drop a packet, because there is no room for its connection."""
    why = "the table of connections is full, and all of them are assured"
    core.drop("conntrack-full", seen.subject(), why, _LINUX)
    return C.NF_COUNTED


def _replied(core: Core, entry: Tracked) -> None:
    """Note that a packet of the other direction has passed."""
    entry.status |= C.IPS_SEEN_REPLY
    if core.probe is not None:
        fields = {"what": "status", "old": "unreplied", "new": "replied"}
        core.emit("ct.update", entry.subject(), 0, "the first packet of the other direction passed", _LINUX, fields)


def _error(core: Core, seen: Seen) -> str | None:
    """Return why the transport header is wrong, or None."""
    size = seen.end - seen.at
    proto = seen.proto
    p = seen.data
    if proto == C.IPPROTO_TCP:
        why = conntrack_tcp.header_error(seen)
        if why != "":
            return why
    elif proto == C.IPPROTO_UDP:
        if size < 8:
            return "the UDP header is truncated"
        length = (p[seen.at + 4] << 8) | p[seen.at + 5]
        if length > seen.size or length < 8:
            return "the length in the UDP header is wrong"
        if (p[seen.at + 6] | p[seen.at + 7]) == 0:
            return None
    elif proto == C.IPPROTO_ICMP:
        if size < 8:
            return "the ICMP message is truncated"
        if (seen.dport >> 8) > 18:
            return "the type of the ICMP message is unknown"
    else:
        return None
    if seen.verified or not core.config.nf_conntrack_checksum:
        return None
    acc = 0
    if proto != C.IPPROTO_ICMP:
        acc = checksum.pseudo_sum(seen.src, seen.dst, proto, seen.size)
    if checksum.sum_bytes(seen.data, seen.at, seen.end, acc) != 0xFFFF:
        return "the checksum of the transport header is wrong"
    return None


def _related(core: Core, ct: Conntrack, seen: Seen) -> None:
    """Assign an ICMP error to the connection of the packet that it quotes (RFC 5508 4)."""
    quoted = ct.quoted
    ct.why = "the ICMP error quotes no packet of a known connection"
    if not rewrite.read(quoted, seen.data, seen.at + 8, seen.end):
        ct.why = "the ICMP error quotes too little of a packet"
        return
    inner = ct.inner_half
    p = seen.data
    at = quoted.l4
    sport = 0
    dport = 0
    if quoted.proto == C.IPPROTO_TCP or quoted.proto == C.IPPROTO_UDP:
        sport = (p[at] << 8) | p[at + 1]
        dport = (p[at + 2] << 8) | p[at + 3]
    elif quoted.proto == C.IPPROTO_ICMP:
        sport = (p[at + 4] << 8) | p[at + 5]
        dport = (p[at] << 8) | p[at + 1]
        if answer_to(dport) < 0:
            return
    inner.set(quoted.src, sport, quoted.dst, dport, quoted.proto)
    if _about_current(ct, inner):
        ct.entry = ct.pending
        ct.direction = 1 - ct.pending_direction
        ct.state = C.CT_RELATED
        return
    ct.spare_half.mirror(inner)
    other = ct.spare_half
    half: Half | None = ct.find(other.src, other.sport, other.dst, other.dport, other.proto)
    if half is None:
        return
    if half.dst != seen.dst:
        ct.why = "the ICMP error is not for the host that sent the quoted packet"
        return
    ct.entry = half.entry
    ct.direction = half.direction
    ct.state = C.CT_RELATED


def _about_current(ct: Conntrack, inner: Half) -> bool:
    """Return True if an error of our own quotes the packet that is on its way through the hooks.

    Its connection may not be in the table yet, or the packet may have only a part of its translation. So each of its numbers
    may be the old or the new one. As on Linux, the error belongs to the connection of the packet.
    """
    entry: Tracked | None = ct.pending
    if entry is None or entry.original.proto != inner.proto:
        return False
    old = entry.half(ct.pending_direction)
    new = ct.spare_half
    new.mirror(entry.half(1 - ct.pending_direction))
    return (
        (inner.src == old.src or inner.src == new.src)
        and (inner.dst == old.dst or inner.dst == new.dst)
        and (inner.sport == old.sport or inner.sport == new.sport)
        and (inner.dport == old.dport or inner.dport == new.dport)
    )


def confirm(core: Core) -> int:
    """Put a new entry into the table: the last hook at INPUT and POSTROUTING."""
    ct: Conntrack = core.conntrack
    entry: Tracked | None = ct.entry
    if entry is None or entry.status & (C.IPS_CONFIRMED | C.IPS_DYING) or ct.state == C.CT_RELATED:
        return C.NF_ACCEPT
    if ct.confirm(entry):
        return C.NF_ACCEPT
    why = "another connection has the same addresses and ports after the translation"
    core.drop("conntrack-clash", entry.subject(), why, _LINUX)
    return C.NF_COUNTED


class Tracker(HookCall):
    """The hook `track`."""

    def enter(self, core: Core, place: int, iface: Any, packet: Any) -> int:  # inherited
        """Assign a packet to its connection."""
        return track(core, place, iface, packet)


class Confirmer(HookCall):
    """The hook `confirm`."""

    def enter(self, core: Core, place: int, iface: Any, packet: Any) -> int:  # inherited
        """Put a new entry into the table."""
        return confirm(core)


_TRACKER, _CONFIRMER = Tracker(True), Confirmer(False)


def enable(core: Core) -> None:
    """Switch connection tracking on. Nothing happens if it is on already."""
    if core.conntrack is not None:
        return
    core.conntrack = Conntrack(core)
    attach(core, C.HOOK_PREROUTING, _TRACKER, TRACK)
    attach(core, C.HOOK_OUTPUT, _TRACKER, TRACK)
    attach(core, C.HOOK_INPUT, _CONFIRMER, LAST)
    attach(core, C.HOOK_POSTROUTING, _CONFIRMER, LAST)


def disable(core: Core) -> None:
    """Switch connection tracking off, and forget all connections."""
    ct: Conntrack | None = core.conntrack
    if ct is None:
        return
    for entry in ct.all():
        ct.destroy(entry, "connection tracking was switched off")
    detach(core, C.HOOK_PREROUTING, _TRACKER)
    detach(core, C.HOOK_OUTPUT, _TRACKER)
    detach(core, C.HOOK_INPUT, _CONFIRMER)
    detach(core, C.HOOK_POSTROUTING, _CONFIRMER)
    core.conntrack = None
