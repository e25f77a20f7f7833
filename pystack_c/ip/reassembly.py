"""Reassembly of fragments (RFC 791 section 3.2, RFC 1122 section 3.3.2), written for hostile fragments.

Source, destination, protocol and identification identify a datagram. Its pieces wait, sorted, until there is no hole
between 0 and the end of the last one. A piece that overlaps another poisons the whole datagram, as RFC 5722 requires
for IPv6 and Linux does for IPv4, because no honest sender makes overlaps. The stack ignores an exact duplicate. All
reassemblies together hold at most `ipfrag_high_thresh` bytes; beyond that, the oldest ones are dropped.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text
from pystack_c.base.timer import Timer, TimerOwner
from pystack_c.core import Core
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.iface import Iface
from pystack_c.ip import icmpv4
from pystack_c.packet import Packet
from pystack_c.wire import ipv4 as wire

#: the bytes that a piece is charged besides its data
OVERHEAD = 128


class Fragment:
    """Bytes [start, end) of a datagram's payload."""

    def __init__(self, start: int, end: int, data: bytes) -> None:
        self.start = start
        self.end = end
        self.data = data


class Fragments(TimerOwner):
    """One incomplete datagram.

    `total` is its length once the last fragment arrived; `first` is the first fragment's packet.
    """

    def __init__(self, core: Any, iface: Any, key: tuple[Any, ...]) -> None:
        self.core = core
        self.iface = iface
        self.key = key
        self.pieces: list[Fragment] = []
        self.total = -1
        self.covered = 0
        self.held = OVERHEAD
        self.first = b""
        self.ecn = 0
        #: the length of the largest fragment with its header
        self.largest = 0
        self.poisoned = False
        self.timer = Timer(self, C.T_REASM)

    def subject(self) -> str:  # inherited
        """Return a short name for events."""
        return "ip " + addr_text(self.key[0]) + "-" + addr_text(self.key[1])

    def on_timer(self, kind: int) -> None:
        """Discard the datagram, and send an ICMP error if fragment zero has arrived (RFC 1122 3.3.2)."""
        core = self.core
        _forget(core, self, "the reassembly timer expired before all fragments arrived")
        if self.poisoned:
            return
        core.counters.IpReasmTimeout += 1
        core.counters.IpReasmFails += 1
        why = "the reassembly timer expired before all fragments arrived"
        core.drop("ip-reassembly-timeout", self.subject(), why, "RFC 1122 3.3.2")
        if core.conntrack is not None and core.local_addr(self.key[1]) is None:
            # Only the destination reports it (RFC 792), and this host reassembles for its connection tracking.
            return
        if self.first:
            pkt: Packet = core.packet
            load(pkt, self.first)
            icmpv4.send_error(
                core, pkt, self.iface, C.ICMP_TIME_EXCEEDED, C.ICMP_EXC_FRAGTIME, 0, why, "RFC 1122 3.3.2"
            )


class Reassembly:
    """All incomplete datagrams of a host, the oldest first."""

    def __init__(self) -> None:
        self.table: dict[tuple[int, ...], Fragments] = {}
        self.held = 0
        #: of the datagram that was completed last: the length of its largest fragment, and the bytes in each one
        self.largest = 0
        self.sizes: list[int] = []


def load(pkt: Packet, packet: bytes) -> int:
    """Parse an IPv4 packet into `pkt` as if it had just arrived (unicast). Returns the codec's result."""
    pkt.frame = packet
    pkt.l2_off = 0
    pkt.ip_off = 0
    pkt.end = len(packet)
    pkt.flags = 0
    pkt.gso_size = 0
    pkt.l2_group = False
    pkt.dst_kind = C.DST_UNICAST
    return wire.parse(pkt)


def input(core: Core, iface: Iface, pkt: Packet) -> bool:
    """Process a fragment for this host. Returns True if it completed its datagram; `pkt` is then the whole datagram."""
    core.counters.IpReasmReqds += 1
    size = pkt.l4_end - pkt.l4_off
    if size == 0 or (pkt.mf and size & 7):
        return _refuse(core, pkt, "ip-fragment-bad-length", "the fragment's length is 0 or not a multiple of 8")
    if pkt.frag_off + size + pkt.ip_hlen > 65535:
        return _refuse(core, pkt, "ip-fragment-too-long", "the fragment ends beyond the limit of 65,535 bytes")
    if core.reasm is None:
        core.reasm = Reassembly()
    all_: Reassembly = core.reasm
    key = (pkt.src, pkt.dst, pkt.proto, pkt.ident)
    frags: Fragments | None = all_.table.get(key)
    if frags is None:
        frags = Fragments(core, iface, key)
        all_.table[key] = frags
        all_.held += frags.held
        why = "the first fragment of the datagram arrived"
        core.set_timer(frags.timer, core.now + core.config.ipfrag_time, why, "RFC 1122 3.3.2")
    if frags.poisoned:
        return _refuse(core, pkt, "ip-fragment-poisoned", "the datagram of this fragment was discarded before")
    if not _insert(core, frags, pkt, size):
        return False
    if frags.covered == frags.total:
        return _complete(core, frags, pkt)
    _make_room(core)
    if core.probe is not None:
        fields = {"ident": pkt.ident, "offset": pkt.frag_off, "length": size}
        core.emit("ip.held", frags.subject(), 0, "other fragments have not arrived yet", "RFC 791 3.2", fields)
    return False


def _refuse(core: Core, pkt: Packet, name: str, reason: str) -> bool:
    core.counters.IpReasmFails += 1
    core.drop(name, "ip " + addr_text(pkt.src) + "-" + addr_text(pkt.dst), reason, "RFC 791 3.2")
    return False


def _insert(core: Core, frags: Fragments, pkt: Packet, size: int) -> bool:
    """Insert a fragment at its place. Returns False if it was a duplicate, or poisoned the datagram."""
    start = pkt.frag_off
    end = start + size
    total = frags.total if pkt.mf else end
    if frags.total >= 0 and frags.total != total:
        return _poison(core, frags, "ip-fragment-conflict", "two last fragments end at different offsets")
    i = _place(frags.pieces, start)
    if i > 0:
        piece: Any = frags.pieces[i - 1]
        if piece.start == start and piece.end == end:
            if frags.total != total:
                return _poison(core, frags, "ip-fragment-conflict", "two copies of a fragment differ in the flag MF")
            core.drop("ip-fragment-duplicate", frags.subject(), "the same fragment arrived before", "RFC 791 3.2")
            return False
        if piece.end > start:
            return _poison(core, frags, "ip-fragment-overlap", "two fragments overlap")
    if i < len(frags.pieces):
        piece = frags.pieces[i]
        if end > piece.start:
            return _poison(core, frags, "ip-fragment-overlap", "two fragments overlap")
    piece = frags.pieces[len(frags.pieces) - 1] if frags.pieces else None
    if total >= 0 and (end > total or (piece is not None and piece.end > total)):
        return _poison(core, frags, "ip-fragment-conflict", "a fragment ends beyond the last fragment")
    if len(frags.pieces) >= core.config.ipfrag_max_fragments:
        return _poison(core, frags, "ip-fragment-too-many", "the datagram has more fragments than ipfrag_max_fragments")
    frags.total = total
    frags.pieces.insert(i, Fragment(start, end, pkt.frame[pkt.l4_off : pkt.l4_end]))
    frags.covered += size
    frags.ecn |= 1 << (pkt.tos & 3)
    if pkt.total_len > frags.largest:
        frags.largest = pkt.total_len
    cost = size + OVERHEAD
    if start == 0:
        frags.first = pkt.frame[pkt.ip_off : pkt.l4_end]
        cost += size
    frags.held += cost
    all_: Reassembly = core.reasm
    all_.held += cost
    return True


def _place(pieces: list[Fragment], start: int) -> int:
    """Return how many of the sorted pieces begin at `start` or before it.

    A forger may send fragments in any order, so this is a binary search.
    """
    low = 0
    high = len(pieces)
    # Fragments mostly arrive in order, so look at the last one first.
    middle = high - 1
    while low < high:
        piece: Any = pieces[middle]
        if piece.start <= start:
            low = middle + 1
        else:
            high = middle
        middle = (low + high) >> 1
    return low


def _release(core: Core, frags: Fragments) -> None:
    all_: Reassembly = core.reasm
    all_.held -= frags.held
    frags.held = 0
    frags.pieces = []


def _forget(core: Core, frags: Fragments, why: str) -> None:
    """Remove a datagram, its timer and its bytes."""
    all_: Reassembly = core.reasm
    core.cancel_timer(frags.timer, why, "RFC 1122 3.3.2")
    _release(core, frags)
    all_.table.pop(frags.key, None)


def _poison(core: Core, frags: Fragments, name: str, reason: str) -> bool:
    """Give up a datagram, and reject its other fragments until the timeout (RFC 5722 section 4)."""
    core.counters.IpReasmFails += 1
    if name == "ip-fragment-overlap":
        core.counters.IpExtReasmOverlaps += 1
    core.drop(name, frags.subject(), reason, "RFC 5722 4")
    _release(core, frags)
    frags.first = b""
    frags.poisoned = True
    frags.held = OVERHEAD
    all_: Reassembly = core.reasm
    all_.held += OVERHEAD
    return False


def _make_room(core: Core) -> None:
    """Drop datagrams, the oldest first, until all of them together hold at most ipfrag_high_thresh bytes."""
    all_: Reassembly = core.reasm
    while all_.held > core.config.ipfrag_high_thresh and all_.table:
        oldest: Fragments = next(iter(all_.table.values()))
        _forget(core, oldest, "reassemblies hold too much memory")
        core.counters.IpReasmFails += 1
        core.drop("ip-reassembly-evicted", oldest.subject(), "reassemblies hold too much memory", "RFC 1122 3.3.2")


def _complete(core: Core, frags: Fragments, pkt: Packet) -> bool:
    """Make `pkt` the whole datagram, with the first fragment's header.

    Returns False if the fragments contradict each other.
    """
    # RFC 3168 5.3: keep a CE mark of any fragment. CE together with not-ECT is invalid, so the datagram is dropped.
    if frags.ecn & 8 and frags.ecn & 1:
        return _poison(core, frags, "ip-fragment-ecn", "one fragment is marked CE and another one is not-ECT")
    hlen = (frags.first[0] & 15) * 4
    if hlen + frags.total > 65535:
        return _poison(core, frags, "ip-fragment-too-long", "the reassembled datagram is longer than 65,535 bytes")
    head = bytearray(frags.first[:hlen])
    tos = head[1] | 3 if frags.ecn & 8 else head[1]
    wire.write(head, 0, hlen, tos, hlen + frags.total, pkt.ident, 0, head[8], pkt.proto, pkt.src, pkt.dst)
    all_: Reassembly = core.reasm
    all_.largest = frags.largest
    all_.sizes = [piece.end - piece.start for piece in frags.pieces]
    parts = [bytes(head)]
    for item in frags.pieces:
        piece: Fragment = item
        parts.append(piece.data)
    ident = pkt.ident
    kind = pkt.dst_kind
    group = pkt.l2_group
    subject = frags.subject()
    _forget(core, frags, "the datagram is complete")
    load(pkt, b"".join(parts))
    pkt.dst_kind = kind
    pkt.l2_group = group
    core.counters.IpReasmOKs += 1
    if core.probe is not None:
        fields = {"ident": ident, "length": pkt.l4_end - pkt.l4_off}
        core.emit("ip.reassembled", subject, 0, "the last missing fragment arrived", "RFC 791 3.2", fields)
    return True


def whole(core: Core, iface: Iface, pkt: Packet) -> bool:
    """Reassemble for the connection tracking, which then knows how the datagram was cut. Returns the result of `input`."""
    tracked: Conntrack = core.conntrack
    if not input(core, iface, pkt):
        return False
    all_: Reassembly = core.reasm
    tracked.fragment_size = all_.largest
    tracked.fragment_sizes = all_.sizes
    return True
