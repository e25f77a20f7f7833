"""The table of tracked connections (Linux nf_conntrack_core).

The table is bounded by nf_conntrack_max. If it is full, the oldest entry that is not assured gives way; assured entries have
seen traffic in both directions. The place in the table is a keyed hash, so nobody outside can make long chains. The table
grows by one place for each new direction (linear hashing), so no packet pays for a large rehash.
"""

from collections import OrderedDict
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text
from pystack_c.core import Core
from pystack_c.filter import conntrack_tcp
from pystack_c.filter.flow import Half, Seen, Side, TcpTrack, Tracked
from pystack_c.wire import rewrite

_LINUX = "Linux nf_conntrack"
# the first number of places in the table
_PLACES = 64


def _is_query(icmp_type: int) -> bool:
    """Return True for the ICMP types that begin an exchange: echo, timestamp, information, address mask."""
    return icmp_type in (8, 13, 15, 17)


class Conntrack:
    """The tracked connections of one host, and the answer for the packet that is on its way through the hooks."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.places: list[Any] = [None] * _PLACES
        # linear hashing: places below `split` have been divided with twice the mask
        self.mask = _PLACES - 1
        self.split = 0
        self.count = 0
        self.halves = 0
        self.next_ident = 1
        #: the entries that are not assured, by number, the oldest first
        self.unassured: OrderedDict[int, Tracked] = OrderedDict()
        self.entry: Any = None
        #: the entry of the packet before, while a packet of our own is tracked
        self.pending: Any = None
        self.pending_direction = 0
        self.direction = 0
        self.state = C.CT_UNTRACKED
        self.why = ""
        #: a rule says notrack for the packet that is on its way
        self.untracked = False
        #: the segment does not count: it leaves the state of its connection as it is, as on Linux
        self.uncounted = False
        #: the next packet of our own is a reset about the connection of the packet before (reject)
        self.attach = False
        #: the size of the largest fragment of the datagram that is on its way, or 0 if it was not fragmented
        self.fragment_size = 0
        #: the bytes of the payload in each of its fragments
        self.fragment_sizes: list[int] = []
        self.seen = Seen()
        self.quoted = rewrite.Quoted()
        self.inner_half = Half(None, 0)
        self.spare_half = Half(None, 0)
        self.spare = Side()

    # The table.

    def place_of(self, hashed: int) -> int:
        """Return the place of a hash."""
        place = hashed & self.mask
        if place < self.split:
            place = hashed & (2 * self.mask + 1)
        return place

    def find(self, src: int, sport: int, dst: int, dport: int, proto: int) -> Any:
        """Return the Half with these five numbers, or None."""
        hashed = self.core.rng.keyed_flow(src, sport, dst, dport & 0xFFFF, proto)
        half: Half | None = self.places[self.place_of(hashed)]
        while half is not None:
            if (
                half.hash == hashed
                and half.src == src
                and half.dst == dst
                and half.sport == sport
                and half.dport == dport
                and half.proto == proto
            ):
                return half
            half = half.next
        return None

    def taken(self, half: Half, ignore: Any) -> bool:
        """Return True if another entry than `ignore` has packets like those of `half`."""
        found: Half | None = self.find(half.src, half.sport, half.dst, half.dport, half.proto)
        return found is not None and found.entry is not ignore

    def _insert(self, half: Half) -> None:
        half.hash = self.core.rng.keyed_flow(half.src, half.sport, half.dst, half.dport & 0xFFFF, half.proto)
        place = self.place_of(half.hash)
        half.next = self.places[place]
        self.places[place] = half
        self.halves += 1
        if self.halves > len(self.places):
            self._grow()

    def _grow(self) -> None:
        """Divide one place, so that the number of places follows the number of entries."""
        half: Half | None = self.places[self.split]
        self.places[self.split] = None
        self.places.append(None)
        self.split += 1
        while half is not None:
            following: Half | None = half.next
            place = self.place_of(half.hash)
            half.next = self.places[place]
            self.places[place] = half
            half = following
        if self.split > self.mask:
            self.mask = 2 * self.mask + 1
            self.split = 0

    def _remove(self, half: Half) -> None:
        place = self.place_of(half.hash)
        other: Half | None = self.places[place]
        self.halves -= 1
        if other is half:
            self.places[place] = half.next
            return
        while other is not None:
            if other.next is half:
                other.next = half.next
                return
            other = other.next

    def all(self) -> list[Any]:
        """Return all entries, in the order in which they were made."""
        found = {}
        for half in self.places:
            while half is not None:
                found[half.entry.ident] = half.entry
                half = half.next
        return [found[ident] for ident in sorted(found)]

    # Entries.

    def refresh(self, entry: Tracked, timeout: int, why: str) -> None:
        """Let an entry live for `timeout` ns from now. One that is not in the table yet begins to live when it is."""
        entry.timeout = timeout
        if entry.status & C.IPS_CONFIRMED and not entry.status & C.IPS_DYING:
            self.core.set_timer(entry.timer, self.core.now + timeout, why, _LINUX)

    def assure(self, entry: Tracked, why: str) -> None:
        """Mark an entry as assured: it does not give way if the table is full."""
        if entry.status & C.IPS_ASSURED:
            return
        entry.status |= C.IPS_ASSURED
        self.unassured.pop(entry.ident, None)
        if self.core.probe is not None:
            fields = {"what": "status", "old": "unassured", "new": "assured"}
            self.core.emit("ct.update", entry.subject(), 0, why, _LINUX, fields)

    def destroy(self, entry: Tracked, why: str) -> None:
        """Remove an entry from the table."""
        if entry.status & C.IPS_DYING or not entry.status & C.IPS_CONFIRMED:
            return
        entry.status |= C.IPS_DYING
        core = self.core
        core.cancel_timer(entry.timer, why, _LINUX)
        self._remove(entry.original)
        self._remove(entry.reply)
        self.unassured.pop(entry.ident, None)
        self.count -= 1
        if entry.mapped and core.nat is not None:
            core.nat.release(entry)
        entry.leave()
        entry.uncount()
        if core.probe is not None:
            core.emit("ct.destroy", entry.subject(), 0, why, _LINUX, {"count": self.count})

    def make_room(self) -> bool:
        """Return True if the table has room for one more entry, after the oldest unassured one has given way if necessary."""
        if self.count < self.core.config.nf_conntrack_max:
            return True
        if len(self.unassured) == 0:
            return False
        entry: Tracked = next(iter(self.unassured.values()))
        self.core.counters.drop("conntrack-early-drop")
        self.destroy(entry, "the table is full, and this is the oldest connection that is not assured")
        return True

    def begin(self, seen: Seen) -> Any:
        """Return a new entry for the packet, or None with the reason in `why`."""
        entry: Tracked = Tracked(self.core, self.next_ident)
        entry.original.set(seen.src, seen.sport, seen.dst, seen.dport, seen.proto)
        if seen.proto == C.IPPROTO_ICMP and not _is_query(seen.dport >> 8):
            self.why = "an ICMP message that is no query begins no connection"
            return None
        entry.reply.mirror(entry.original)
        if seen.proto == C.IPPROTO_TCP:
            entry.tcp = TcpTrack()
            self.why = conntrack_tcp.begin(self.core, entry, seen)
            if self.why != "":
                return None
        elif seen.proto == C.IPPROTO_UDP:
            entry.stream_at = self.core.now + 2_000_000_000
        self.next_ident += 1
        return entry

    def confirm(self, entry: Tracked) -> bool:
        """Put the current entry into the table. Returns False if another connection has the same packets."""
        if self.taken(entry.original, entry) or self.taken(entry.reply, entry):
            return False
        entry.status |= C.IPS_CONFIRMED
        self._insert(entry.original)
        self._insert(entry.reply)
        self.count += 1
        core = self.core
        if not entry.status & C.IPS_ASSURED:
            self.unassured[entry.ident] = entry
        if core.nat is not None and entry.status & C.IPS_SRC_NAT_DONE:
            core.nat.hold(entry)
        if entry.server is not None:
            entry.server.opened()
        if core.probe is not None:
            half = entry.original
            fields = {
                "proto": half.proto,
                "src": addr_text(half.src),
                "sport": half.sport,
                "dst": addr_text(half.dst),
                "dport": half.dport,
            }
            why = "the first packet of the connection passed all hooks"
            core.emit("ct.new", entry.subject(), 0, why, _LINUX, fields)
        core.set_timer(entry.timer, core.now + entry.timeout, "the entry is new", _LINUX)
        return True
