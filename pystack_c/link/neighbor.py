"""The neighbours of a link: their addresses, and the states of RFC 4861 section 7.3.2 that say whether they can be reached.

    (none) --packet to send--> INCOMPLETE --reply--> REACHABLE --time--> STALE --packet--> DELAY --time--> PROBE
                                   |                     ^                                   |             |
                                   +--no answer-> FAILED +---------- reply or hint ----------+-------------+

How to ask is left to a Resolver: ARP for IPv4 (link/arp.py). Requests go out once a second at most (RFC 1122 2.3.2.1).
While an entry is INCOMPLETE the latest packets wait in its queue (2.3.2.2). REACHABLE turns STALE lazily, when the entry is
used, so an idle stack has no timers.
"""

from collections import deque
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, key
from pystack_c.base.timer import Timer, TimerOwner
from pystack_c.core import Core
from pystack_c.counters import Counters
from pystack_c.iface import Iface
from pystack_c.packet import Outgoing, Transmit, new_transmit
from pystack_c.route import Dst
from pystack_c.wire import ethernet

STATE_NAMES = {
    C.NUD_NONE: "NONE",
    C.NUD_INCOMPLETE: "INCOMPLETE",
    C.NUD_REACHABLE: "REACHABLE",
    C.NUD_STALE: "STALE",
    C.NUD_DELAY: "DELAY",
    C.NUD_PROBE: "PROBE",
    C.NUD_FAILED: "FAILED",
    C.NUD_PERMANENT: "PERMANENT",
}

# States in which the MAC address is good to send to.
_VALID = C.NUD_REACHABLE | C.NUD_STALE | C.NUD_DELAY | C.NUD_PROBE | C.NUD_PERMANENT


class Resolver:
    """Asks for the MAC address of a neighbour: ARP for IPv4 (link/arp.py). `core.resolver` holds one."""

    def solicit(self, core: Core, entry: Any) -> None:
        """Send one question for `entry`, to everybody, or in PROBE to the neighbour alone."""
        raise NotImplementedError


class NeighborEntry(TimerOwner):
    """One address on a link. `header` is the 14 bytes in front of a packet to it; state NONE means taken out."""

    def __init__(self, core: Any, iface: Any, addr: int) -> None:
        self.core = core
        self.iface = iface
        self.addr = addr
        self.state = C.NUD_NONE
        self.mac = 0
        self.header = b""
        #: when it last answered a question of ours; -1: never
        self.confirmed = -1
        self.updated = 0
        #: when a packet was last sent to it; -1: never
        self.used = -1
        self.probes = 0
        self.queue: deque[Any] | None = None
        self.timer = Timer(self, C.T_NEIGH)

    def subject(self) -> str:  # inherited
        """As events name it."""
        return "arp " + addr_text(self.addr)

    def on_timer(self, kind: int) -> None:
        """INCOMPLETE: ask again or give up; DELAY: no hint came, probe; PROBE: probe again or give up."""
        core = self.core
        if self.state == C.NUD_INCOMPLETE:
            if self.probes >= core.config.neigh_mcast_solicit:
                _failed(core, self, "the neighbour did not answer the last ARP request", "RFC 1122 2.3.2.2")
                return
        elif self.state == C.NUD_DELAY:
            self.probes = 0
            set_state(core, self, C.NUD_PROBE, "nothing confirmed that the neighbour is reachable", "RFC 4861 7.3.3")
        elif self.state == C.NUD_PROBE:
            if self.probes >= core.config.neigh_ucast_solicit:
                _failed(core, self, "the neighbour did not answer the unicast ARP requests", "RFC 1122 2.3.2.1")
                return
        else:
            return
        ask(core, self)


def set_state(core: Core, entry: NeighborEntry, state: int, reason: str, rfc: str) -> None:
    """Change the state, and say why."""
    old = entry.state
    entry.state = state
    if (old | state) & (C.NUD_INCOMPLETE | C.NUD_FAILED) and old != state:
        _keep_lists(entry, old, state)
    if core.probe is not None and old != state:
        fields = {"addr": entry.addr, "old": STATE_NAMES[old], "new": STATE_NAMES[state]}
        core.emit("arp.state", "arp " + addr_text(entry.addr), 0, reason, rfc, fields)


def _keep_lists(entry: NeighborEntry, old: int, state: int) -> None:
    """The interface's lists of entries that have no MAC address, by their age."""
    iface: Iface = entry.iface
    if old == C.NUD_INCOMPLETE:
        iface.asked.pop(entry.addr, None)
    elif old == C.NUD_FAILED:
        iface.failed.pop(entry.addr, None)
    if state == C.NUD_INCOMPLETE:
        iface.asked[entry.addr] = entry
    elif state == C.NUD_FAILED:
        iface.failed[entry.addr] = entry


def _set_mac(entry: NeighborEntry, mac: int) -> None:
    entry.mac = mac
    entry.header = ethernet.header(mac, entry.iface.mac, C.ETH_P_IP)


def _failed(core: Core, entry: NeighborEntry, reason: str, rfc: str) -> None:
    """Give up: whoever's packets wait hears EHOSTUNREACH (the Stack takes them from core.error_queue)."""
    set_state(core, entry, C.NUD_FAILED, reason, rfc)
    core.cancel_timer(entry.timer, reason, rfc)
    waiting = entry.queue
    entry.queue = None
    if waiting is not None:
        for tx in waiting:
            core.drop("arp-failed", "arp " + addr_text(entry.addr), "the neighbour did not answer", "RFC 1122 2.3.2.2")
            core.error_queue.append((entry.iface, C.ICMP_UNREACHABLE, C.ICMP_HOST_UNREACH, tx.to_bytes()))


def ask(core: Core, entry: NeighborEntry) -> None:
    """Send one question, and wait for the answer."""
    entry.probes += 1
    resolver: Resolver = core.resolver
    resolver.solicit(core, entry)
    why = "without an answer until then, ARP asks again or gives up"
    core.set_timer(entry.timer, core.now + core.config.neigh_retrans_time, why, "RFC 1122 2.3.2.1")


def has_mac(entry: NeighborEntry) -> bool:
    """Is the entry's MAC address good to send to?"""
    return entry.state & _VALID != 0


def source_for(iface: Iface, addr: int) -> int:
    """This interface's own address in the subnet of `addr`, else its first one, else 0."""
    for own in iface.addrs:
        if (own.addr ^ addr) & own.mask == 0:
            return own.addr
    if iface.addrs:
        own = iface.addrs[0]
        return own.addr
    return 0


def lookup(core: Core, iface: Iface, addr: int) -> Any:
    """The entry of an address on this link, or None."""
    return iface.neighbors.get(key(addr))


def create(core: Core, iface: Iface, addr: int) -> Any:
    """A new entry in state NONE, or None where the table is full of permanent entries."""
    if len(iface.neighbors) >= core.config.neigh_max_entries and not _make_room(core, iface):
        core.counters.ArpTableOverflow += 1
        return None
    entry = NeighborEntry(core, iface, addr)
    iface.neighbors[key(addr)] = entry
    return entry


def _make_room(core: Core, iface: Iface) -> bool:
    """Take out entries in Linux's order: those without a MAC address first, those in use last, permanent ones never.

    Anybody can make us ask for an address (a forged SYN does), and anybody on the link can tell us one unasked. So what nobody ever
    sent a packet to, or for a while, goes next; then what never answered a question of ours; then what did: each time the one used
    least recently.
    """
    if _drop_unresolved(core, iface):
        return True
    before = core.now - core.config.neigh_gc_stale_time
    oldest: NeighborEntry | None = None
    for entry in list(iface.neighbors.values()):
        if entry.state == C.NUD_PERMANENT:
            continue
        if entry.used < 0 or entry.used < before:
            remove(core, entry)
        elif oldest is None or _gives_way(entry, oldest):
            oldest = entry
    if len(iface.neighbors) < core.config.neigh_max_entries:
        return True
    if oldest is None:
        return False
    remove(core, oldest)
    return True


def _gives_way(entry: NeighborEntry, other: NeighborEntry) -> bool:
    """Is `entry` worth less than `other`?"""
    if (entry.confirmed >= 0) != (other.confirmed >= 0):
        return entry.confirmed < 0
    return entry.used < other.used


def _drop_unresolved(core: Core, iface: Iface) -> bool:
    """Take out the oldest FAILED entry, or else the INCOMPLETE one that has waited longest. False where there is neither."""
    if len(iface.failed) > 0:
        remove(core, next(iter(iface.failed.values())))
        return True
    if len(iface.asked) > 0:
        remove(core, next(iter(iface.asked.values())))
        return True
    return False


def remove(core: Core, entry: NeighborEntry) -> None:
    """Take an entry out of its table; packets that wait in it are dropped."""
    core.cancel_timer(entry.timer, "the neighbour entry is removed from the table", "RFC 1122 2.3.2.1")
    if entry.queue is not None:
        for _tx in entry.queue:
            core.drop("arp-removed", "arp " + addr_text(entry.addr), "the entry was removed", "RFC 1122 2.3.2.1")
        entry.queue = None
    entry.iface.neighbors.pop(entry.addr, None)
    set_state(core, entry, C.NUD_NONE, "the entry was removed from the table", "RFC 1122 2.3.2.1")


def set_permanent(core: Core, iface: Iface, addr: int, mac: int) -> Any:
    """A static entry: never asked for, never aged, never overridden."""
    entry = iface.neighbors.get(addr)
    if entry is None:
        entry = create(core, iface, addr)
        if entry is None:
            raise ValueError("the neighbour table is full")
    core.cancel_timer(entry.timer, "the administrator set the entry", "RFC 1122 2.3.2.1")
    _set_mac(entry, mac)
    set_state(core, entry, C.NUD_PERMANENT, "the administrator set the entry", "RFC 1122 2.3.2.1")
    _flush(core, entry)
    return entry


def current_state(entry: NeighborEntry, now: int) -> int:
    """The state as it would be seen now: a REACHABLE entry beyond its time is STALE already."""
    if entry.state == C.NUD_REACHABLE and now - entry.confirmed > entry.core.config.neigh_reachable_time:
        return C.NUD_STALE
    return entry.state


def confirm(entry: NeighborEntry) -> None:
    """The neighbour is there: a transport saw its data acknowledged (RFC 1122 2.3.2.1 (4), RFC 4861 7.3.1)."""
    core: Core = entry.core
    entry.confirmed = core.now
    if entry.state != C.NUD_REACHABLE and entry.state & (C.NUD_STALE | C.NUD_DELAY | C.NUD_PROBE):
        core.cancel_timer(entry.timer, "the transport made forward progress through it", "RFC 4861 7.3.1")
        set_state(core, entry, C.NUD_REACHABLE, "the transport made forward progress through it", "RFC 4861 7.3.1")


def output(core: Core, out: Outgoing, start: int, end: int) -> None:
    """Send the IP packet core.scratch[start:end] + out.payload to the next hop, now or when its MAC address is known."""
    dst: Dst = out.dst
    iface = dst.iface
    count_out(core.counters, dst.kind, end - start if out.payload is None else end - start + len(out.payload))
    if iface.kind != C.LINK_ETHERNET:
        transmit(core, iface, out, start, end)
        return
    if dst.kind == C.DST_UNICAST:
        entry: NeighborEntry | None = dst.neigh
        if entry is None or entry.state == C.NUD_NONE:
            entry = iface.neighbors.get(key(dst.next_hop))
            if entry is None:
                entry = create(core, iface, dst.next_hop)
            if entry is None:
                core.drop("arp-table-full", iface.name, "the neighbour table is full", "RFC 1122 2.3.2.1")
                return
            dst.neigh = entry
        entry.used = core.now
        if entry.state == C.NUD_REACHABLE:
            if core.now - entry.confirmed > core.config.neigh_reachable_time:
                reason = "nothing confirmed the neighbour for its reachable time"
                set_state(core, entry, C.NUD_STALE, reason, "RFC 4861 7.3.3")
                _use_stale(core, entry)
        elif entry.state & _VALID == 0:
            _enqueue(core, entry, out, start, end)
            return
        elif entry.state == C.NUD_STALE:
            _use_stale(core, entry)
        header = entry.header
    elif dst.kind == C.DST_MULTICAST:
        header = ethernet.header(ethernet.group_mac(dst.next_hop), iface.mac, C.ETH_P_IP)
    else:
        header = ethernet.header(ethernet.BROADCAST, iface.mac, C.ETH_P_IP)
    _prepend(core.scratch, start - C.ETH_HLEN, header)
    transmit(core, iface, out, start - C.ETH_HLEN, end)


def count_out(counters: Counters, kind: int, n: int) -> None:
    """An IP packet of `n` bytes is on its way to a link (RFC 4293; what a device cuts is one, as on Linux)."""
    counters.IpOutTransmits += 1
    counters.IpExtOutOctets += n
    if kind == C.DST_MULTICAST:
        counters.IpExtOutMcastPkts += 1
        counters.IpExtOutMcastOctets += n
    elif kind == C.DST_BROADCAST:
        counters.IpExtOutBcastPkts += 1
        counters.IpExtOutBcastOctets += n


def _prepend(scratch: bytearray, off: int, header: bytes) -> None:
    """Copy the 14 header bytes to scratch[off:]."""
    if C.COMPILED:
        q = scratch
        h = header
        memcpy(q + off, h, 14)  # type: ignore[name-defined, operator] # noqa: F821
    else:
        scratch[off : off + 14] = header


def transmit(core: Core, iface: Iface, out: Outgoing, start: int, end: int) -> None:
    """Make the Transmit of core.scratch[start:end] + out.payload."""
    p = core.scratch
    # (A slice is bytes where p is a pointer; `bytes` would call Python once more.)
    tx = new_transmit(iface, b"" + p[start:end], out.payload)
    if out.csum_offset > 0:
        _offload(tx, out, start, end)
    core.transmit(tx)


def _offload(tx: Transmit, out: Outgoing, start: int, end: int) -> None:
    """What the device shall finish: the checksum, and the cutting into segments."""
    tx.gso_size = out.gso_size
    tx.csum_start = C.L4_OFF - start
    tx.csum_offset = out.csum_offset
    tx.hdr_len = end - start


def _use_stale(core: Core, entry: NeighborEntry) -> None:
    """First packet through a STALE entry: use it, and wait a while for a hint before asking (RFC 4861 7.3.3)."""
    set_state(core, entry, C.NUD_DELAY, "a packet was sent through the stale entry", "RFC 4861 7.3.3")
    why = "without a confirmation until then, ARP probes the neighbour"
    core.set_timer(entry.timer, core.now + core.config.neigh_delay_probe_time, why, "RFC 4861 7.3.3")


def _enqueue(core: Core, entry: NeighborEntry, out: Outgoing, start: int, end: int) -> None:
    """Keep the packet until the address is known; start asking if nobody did."""
    subject = "arp " + addr_text(entry.addr)
    payload = b"" if out.payload is None else bytes(out.payload)
    tx = new_transmit(entry.iface, bytes(core.scratch[start:end]) + payload, None)
    if out.csum_offset > 0:
        _offload(tx, out, start, end)
    if entry.queue is None:
        entry.queue = deque()
    entry.queue.append(tx)
    if len(entry.queue) > core.config.neigh_queue_len:
        entry.queue.popleft()
        core.drop("arp-queue-full", subject, "the queue is full, so its oldest packet is dropped", "RFC 1122 2.3.2.2")
    if core.probe is not None:
        fields = {"addr": entry.addr, "length": len(entry.queue)}
        core.emit("arp.queued", subject, 0, "the packet waits for the MAC address", "RFC 1122 2.3.2.2", fields)
    if entry.state != C.NUD_INCOMPLETE:
        entry.probes = 0
        if entry.state != C.NUD_FAILED:
            # A scan, or a flood of forged senders, must not fill the table with questions.
            iface = entry.iface
            while len(iface.asked) + len(iface.failed) >= core.config.neigh_max_unresolved:
                if not _drop_unresolved(core, iface):
                    break
        set_state(core, entry, C.NUD_INCOMPLETE, "a packet for this neighbour waits", "RFC 826")
        ask(core, entry)


def _flush(core: Core, entry: NeighborEntry) -> None:
    """Send what waited."""
    waiting = entry.queue
    entry.queue = None
    if waiting is None:
        return
    for tx in waiting:
        tx.header = entry.header + tx.header
        if tx.csum_start > 0:
            tx.csum_start += C.ETH_HLEN
            tx.hdr_len += C.ETH_HLEN
        core.transmit(tx)


def update(core: Core, entry: NeighborEntry, mac: int, solicited: bool) -> None:
    """Believe a MAC address (RFC 4861 7.2.5 in ARP's clothes: only an answer to our question makes an entry REACHABLE)."""
    changed = mac != entry.mac
    known = entry.state & _VALID != 0
    asked = entry.state & (C.NUD_INCOMPLETE | C.NUD_DELAY | C.NUD_PROBE) != 0
    if changed or not known:
        entry.updated = core.now
        _set_mac(entry, mac)
    if solicited and (asked or entry.state == C.NUD_REACHABLE or not changed):
        entry.confirmed = core.now
        core.cancel_timer(entry.timer, "the neighbour answered", "RFC 826")
        set_state(core, entry, C.NUD_REACHABLE, "the neighbour answered", "RFC 826")
    elif changed or not known:
        core.cancel_timer(entry.timer, "the neighbour announced its address unasked", "RFC 826")
        set_state(core, entry, C.NUD_STALE, "the neighbour announced its address unasked", "RFC 826")
        if entry.queue is not None:
            _use_stale(core, entry)
    if entry.queue is not None:
        _flush(core, entry)
