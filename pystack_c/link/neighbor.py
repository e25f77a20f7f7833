"""The neighbours of a link: their addresses, and the states of their reachability (RFC 4861 section 7.3.2).

    (none) --packet to send--> INCOMPLETE --reply--> REACHABLE --time--> STALE --packet--> DELAY --time--> PROBE
                                   |                     ^                                   |             |
                                   +--no answer-> FAILED +---------- reply or hint ----------+-------------+

A Resolver sends the requests: ARP for IPv4 (link/arp.py). It sends at most one a second (RFC 1122 2.3.2.1). While an
entry is INCOMPLETE, the latest packets wait in its queue (2.3.2.2). An entry turns from REACHABLE to STALE only when it
is used, so an idle stack has no timers.
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

# The states in which the stack may send to the MAC address.
_VALID = C.NUD_REACHABLE | C.NUD_STALE | C.NUD_DELAY | C.NUD_PROBE | C.NUD_PERMANENT


class Resolver:
    """Requests the MAC address of a neighbour: ARP for IPv4 (link/arp.py). `core.resolver` holds one."""

    def solicit(self, core: Core, entry: Any) -> None:
        """Send one request for `entry`: to the neighbour alone in state PROBE, otherwise to all hosts."""
        raise NotImplementedError


class NeighborEntry(TimerOwner):
    """One address on a link.

    `header` is the 14 bytes in front of a packet to it. State NONE means that it was removed.
    """

    def __init__(self, core: Any, iface: Any, addr: int) -> None:
        self.core = core
        self.iface = iface
        self.addr = addr
        self.state = C.NUD_NONE
        self.mac = 0
        self.header = b""
        #: the time (ns) of its last answer to a request of ours; -1: never
        self.confirmed = -1
        self.updated = 0
        #: the time (ns) when a packet was last sent to it; -1: never
        self.used = -1
        self.probes = 0
        self.queue: deque[Any] | None = None
        #: the bytes in these packets, without a link header
        self.queued = 0
        self.timer = Timer(self, C.T_NEIGH)

    def subject(self) -> str:  # inherited
        """Return the name that events use."""
        return "arp " + addr_text(self.addr)

    def on_timer(self, kind: int) -> None:
        """In INCOMPLETE and PROBE, ask again or give up. In DELAY, nothing confirmed the neighbour, so probe it."""
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
    """Change the state of an entry, and report the reason."""
    old = entry.state
    entry.state = state
    if (old | state) & (C.NUD_INCOMPLETE | C.NUD_FAILED) and old != state:
        _keep_lists(entry, old, state)
    if core.probe is not None and old != state:
        fields = {"addr": entry.addr, "old": STATE_NAMES[old], "new": STATE_NAMES[state]}
        core.emit("arp.state", "arp " + addr_text(entry.addr), 0, reason, rfc, fields)


def _keep_lists(entry: NeighborEntry, old: int, state: int) -> None:
    """Update the interface's lists of the entries without a MAC address, which are ordered by age."""
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
    """Give up. The senders of the waiting packets get EHOSTUNREACH, which the Stack delivers from core.error_queue."""
    set_state(core, entry, C.NUD_FAILED, reason, rfc)
    core.cancel_timer(entry.timer, reason, rfc)
    waiting = entry.queue
    entry.queue = None
    if waiting is not None:
        for tx in waiting:
            core.drop("arp-failed", "arp " + addr_text(entry.addr), "the neighbour did not answer", "RFC 1122 2.3.2.2")
            core.error_queue.append((entry.iface, C.ICMP_UNREACHABLE, C.ICMP_HOST_UNREACH, tx.to_bytes()))


def ask(core: Core, entry: NeighborEntry) -> None:
    """Send one request, and set the timer for the answer."""
    entry.probes += 1
    resolver: Resolver = core.resolver
    resolver.solicit(core, entry)
    why = "without an answer until then, ARP asks again or gives up"
    core.set_timer(entry.timer, core.now + core.config.neigh_retrans_time, why, "RFC 1122 2.3.2.1")


def has_mac(entry: NeighborEntry) -> bool:
    """Return True if the stack may send to the entry's MAC address."""
    return entry.state & _VALID != 0


def source_for(iface: Iface, addr: int) -> int:
    """Return the interface's own address in the subnet of `addr`, otherwise its first address, otherwise 0."""
    for own in iface.addrs:
        if (own.addr ^ addr) & own.mask == 0:
            return own.addr
    if iface.addrs:
        own = iface.addrs[0]
        return own.addr
    return 0


def lookup(core: Core, iface: Iface, addr: int) -> Any:
    """Return the entry of an address on this link, or None."""
    return iface.neighbors.get(key(addr))


def create(core: Core, iface: Iface, addr: int) -> Any:
    """Create an entry in state NONE. Returns None if the table is full of permanent entries."""
    if len(iface.neighbors) >= core.config.neigh_max_entries and not _make_room(core, iface):
        core.counters.ArpTableOverflow += 1
        return None
    entry = NeighborEntry(core, iface, addr)
    iface.neighbors[key(addr)] = entry
    return entry


def _make_room(core: Core, iface: Iface) -> bool:
    """Remove entries in Linux's order: first those without a MAC address, last those in use, permanent ones never.

    Anyone can make us ask for an address (a forged SYN does), and any host on the link can
    announce one unasked. So the next to go are the entries that no packet was sent to, ever or
    for a while. Then follow those that never answered a request of ours, and then those that did.
    The least recently used entry of each group goes first. Returns False if there is no room.
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
    """Return True if `entry` should be removed before `other`."""
    if (entry.confirmed >= 0) != (other.confirmed >= 0):
        return entry.confirmed < 0
    return entry.used < other.used


def _drop_unresolved(core: Core, iface: Iface) -> bool:
    """Remove the oldest FAILED entry, otherwise the INCOMPLETE one that has waited longest.

    Returns False if there is neither.
    """
    if len(iface.failed) > 0:
        remove(core, next(iter(iface.failed.values())))
        return True
    if len(iface.asked) > 0:
        remove(core, next(iter(iface.asked.values())))
        return True
    return False


def remove(core: Core, entry: NeighborEntry) -> None:
    """Remove an entry from its table, and drop the packets that wait in it."""
    core.cancel_timer(entry.timer, "the neighbour entry is removed from the table", "RFC 1122 2.3.2.1")
    if entry.queue is not None:
        for _tx in entry.queue:
            core.drop("arp-removed", "arp " + addr_text(entry.addr), "the entry was removed", "RFC 1122 2.3.2.1")
        entry.queue = None
    entry.iface.neighbors.pop(entry.addr, None)
    set_state(core, entry, C.NUD_NONE, "the entry was removed from the table", "RFC 1122 2.3.2.1")


def set_permanent(core: Core, iface: Iface, addr: int, mac: int) -> Any:
    """Set a static entry, which the stack never asks for, ages or changes. Raises ValueError if the table is full."""
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
    """Return the state as it is now: a REACHABLE entry that exceeded its time counts as STALE."""
    if entry.state == C.NUD_REACHABLE and now - entry.confirmed > entry.core.config.neigh_reachable_time:
        return C.NUD_STALE
    return entry.state


def confirm(entry: NeighborEntry) -> None:
    """Confirm a neighbour after a transport made forward progress (RFC 1122 2.3.2.1 (4), RFC 4861 7.3.1)."""
    core: Core = entry.core
    entry.confirmed = core.now
    if entry.state != C.NUD_REACHABLE and entry.state & (C.NUD_STALE | C.NUD_DELAY | C.NUD_PROBE):
        core.cancel_timer(entry.timer, "the transport made forward progress through it", "RFC 4861 7.3.1")
        set_state(core, entry, C.NUD_REACHABLE, "the transport made forward progress through it", "RFC 4861 7.3.1")


def ready_header(core: Core, dst: Dst) -> Any:
    """Return the bytes in front of a packet to a unicast next hop, or None if `output` must first look at the neighbour."""
    iface: Iface = dst.iface
    if iface.kind != C.LINK_ETHERNET:
        return b"" if iface.kind == C.LINK_IP else None
    entry: NeighborEntry | None = dst.neigh
    if entry is None or entry.state & (C.NUD_REACHABLE | C.NUD_DELAY | C.NUD_PROBE | C.NUD_PERMANENT) == 0:
        return None
    if entry.state == C.NUD_REACHABLE and core.now - entry.confirmed > core.config.neigh_reachable_time:
        return None
    entry.used = core.now
    return entry.header


def output(core: Core, out: Outgoing, start: int, end: int) -> None:
    """Send the IP packet core.scratch[start:end] + out.payload to its next hop, if necessary after ARP."""
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
    """Count an IP packet of `n` bytes that goes to a link (RFC 4293).

    As on Linux, a packet that a device cuts counts as one.
    """
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
    """Transmit the frame core.scratch[start:end] + out.payload."""
    p = core.scratch
    if C.COMPILED:
        # In the compiled build p is a pointer, so its slice is bytes already. A call of `bytes` would be an extra Python call,
        # and a concatenation would ask for two buffers.
        tx = new_transmit(iface, p[start:end], out.payload)  # type: ignore[arg-type]
    else:
        tx = new_transmit(iface, bytes(p[start:end]), out.payload)
    if out.csum_offset > 0:
        _offload(tx, out, start, end)
    core.transmit(tx)


def _offload(tx: Transmit, out: Outgoing, start: int, end: int) -> None:
    """Set the fields of the work that the device shall finish: the checksum and the segmentation."""
    tx.gso_size = out.gso_size
    tx.csum_start = C.L4_OFF - start
    tx.csum_offset = out.csum_offset
    tx.hdr_len = end - start


def _use_stale(core: Core, entry: NeighborEntry) -> None:
    """Use a STALE entry for its first packet, and wait for a confirmation before probing (RFC 4861 7.3.3)."""
    set_state(core, entry, C.NUD_DELAY, "a packet was sent through the stale entry", "RFC 4861 7.3.3")
    why = "without a confirmation until then, ARP probes the neighbour"
    core.set_timer(entry.timer, core.now + core.config.neigh_delay_probe_time, why, "RFC 4861 7.3.3")


def _enqueue(core: Core, entry: NeighborEntry, out: Outgoing, start: int, end: int) -> None:
    """Keep a packet until the MAC address is known, and start to ask for it unless that is under way."""
    subject = "arp " + addr_text(entry.addr)
    payload = b"" if out.payload is None else bytes(out.payload)
    tx = new_transmit(entry.iface, bytes(core.scratch[start:end]) + payload, None)
    if out.csum_offset > 0:
        _offload(tx, out, start, end)
    if entry.queue is None:
        entry.queue = deque()
        entry.queued = 0
    entry.queue.append(tx)
    entry.queued += len(tx.header)
    while len(entry.queue) > 1 and (
        len(entry.queue) > core.config.neigh_queue_len or entry.queued > core.config.neigh_queue_bytes
    ):
        old = entry.queue.popleft()
        entry.queued -= len(old.header)
        core.drop("arp-queue-full", subject, "the queue is full, so its oldest packet is dropped", "RFC 1122 2.3.2.2")
    if core.probe is not None:
        fields = {"addr": entry.addr, "length": len(entry.queue)}
        core.emit("arp.queued", subject, 0, "the packet waits for the MAC address", "RFC 1122 2.3.2.2", fields)
    if entry.state != C.NUD_INCOMPLETE:
        entry.probes = 0
        if entry.state != C.NUD_FAILED:
            # A scan, or a flood of forged senders, must not fill the table with unresolved entries.
            iface = entry.iface
            while len(iface.asked) + len(iface.failed) >= core.config.neigh_max_unresolved:
                if not _drop_unresolved(core, iface):
                    break
        set_state(core, entry, C.NUD_INCOMPLETE, "a packet for this neighbour waits", "RFC 826")
        ask(core, entry)


def _flush(core: Core, entry: NeighborEntry) -> None:
    """Send the packets that waited for the MAC address."""
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
    """Accept a MAC address. As in RFC 4861 7.2.5, only an answer to our own request makes an entry REACHABLE."""
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
