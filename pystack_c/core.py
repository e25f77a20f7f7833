"""What all layers share: settings, time, randomness, timers, tables, counters, queues, the probe hook.

`Core` is the ground that the layers stand on; `Stack` (running.py) is the Core with the layers put in
order on top. A layer takes the Core as its first argument and never another layer's caller.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import is_loopback, is_v6, key, loopback_for
from pystack_c.base.fifo import Fifo
from pystack_c.base.ratelimit import PeerBuckets, SharedBudget
from pystack_c.base.rng import Rng
from pystack_c.base.timer import Timer, TimerQueue
from pystack_c.config import Config
from pystack_c.counters import Counters
from pystack_c.iface import Iface, LocalAddr
from pystack_c.packet import Outgoing, Packet, Transmit
from pystack_c.probe import TIMER_NAMES, Event

# What carries a frame on each kind of link.
LINK_RFC = {C.LINK_ETHERNET: "RFC 894", C.LINK_IP: "RFC 791 2.2", C.LINK_LOOPBACK: "RFC 1122 3.2.1.3"}


class Core:
    """The shared state of one host."""

    def __init__(self, seed: int, config: Config | None = None, name: str = "host") -> None:
        self.config = Config() if config is None else config
        # (What was assigned is checked here, as what `update` sets is.)
        self.config.verify()
        self.name = name
        self.seed = seed
        self.now = 0
        self.rng = Rng(seed)
        self.timers = TimerQueue()
        self.counters = Counters()
        #: the packet that is coming in, and the one that is going out
        self.packet = Packet()
        self.out = Outgoing()
        self.probe: Any = None
        self.ifaces: list[Iface] = []
        self.local: dict[int, LocalAddr] = {}
        self.routes: Any = None
        self.next_ident = 1
        self.endpoints: dict[int, Any] = {}
        self.txq = Fifo()
        self.loopq = Fifo()
        self.output_queue = Fifo()
        self.events = Fifo()
        self.service_queue = Fifo()
        self.tcp: Any = None
        self.udp: Any = None
        self.raw: Any = None
        #: the way that the segment in hand came, where it was in a datagram (tcp/tunnel.py)
        self.tunnel: Any = None
        self.reasm: Any = None
        self.scratch = bytearray(512)
        self.route_epoch = 0
        self.error_queue = Fifo()
        self.icmp_budget = SharedBudget(1)  # what limits ICMP errors (ip/icmpv4.py)
        self.icmp_peers = PeerBuckets()
        self.acd: dict[int, Any] = {}
        #: the link.neighbor.Resolver of the host
        self.resolver: Any = None
        self.lo: Any = None
        #: where packets to an address go (ipv4.route_output), and the answer before
        self.dst_cache: dict[int, Any] = {}
        self.latest_dst: Any = None
        self.route_error = 0
        #: filter.hooks.Hooks, or None while no hook is attached
        self.hooks: Any = None
        # the last packet that passed all address checks, see ip_input
        self.ok_src = 0
        self.ok_dst = 0
        self.ok_iface: Any = None
        self.ok_epoch = -1
        self.port_counter = self.rng.u32() & 0xFFFF
        # what TCP's buffers hold together, and whether that is much (tcp/queues/memory.py)
        self.tcp_memory = 0
        self.tcp_pressure = False
        self.tcp_pressure_at = 0
        #: under pressure, what each peer's connections hold, by address; and how many peers hold much (see tcp/queues/memory.py)
        self.tcp_peers: Any = None
        self.tcp_large = 0
        self.tcp_reclaimed = -1
        self.tcp_orphans = 0

    def transmit(self, tx: Transmit) -> None:
        """Hand a finished frame to its interface: the driver takes it by poll_transmit."""
        iface: Iface = tx.iface
        iface.tx_frames += 1
        iface.tx_bytes += len(tx.header) if tx.payload is None else len(tx.header) + len(tx.payload)
        if self.probe is not None:
            fields = {"iface": iface.name, "frame": tx.to_bytes(), "gso_size": tx.gso_size}
            self.emit("frame.out", iface.name, 0, "the frame was handed to the interface", LINK_RFC[iface.kind], fields)
        if iface.kind == C.LINK_LOOPBACK:
            self.loopq.append(tx)
        else:
            self.txq.append(tx)

    def new_ident(self) -> int:
        """The next endpoint number (recordings name endpoints by it)."""
        ident = self.next_ident
        self.next_ident += 1
        return ident

    def speaks(self, addr: int) -> bool:
        """Has this host a network layer for the family of the address? (None for IPv6 yet; the unspecified address has no family.)"""
        return not is_v6(addr)

    def local_addr(self, addr: int) -> LocalAddr | None:
        """The LocalAddr of one of this host's addresses, or None."""
        found = self.local.get(key(addr))
        if found is None and is_loopback(addr) and self.ifaces:
            # RFC 1122 3.2.1.3 (g): all of 127/8 is this host.
            found = self.local.get(key(loopback_for(addr)))
        return found

    def drop(self, name: str, subject: str, reason: str, rfc: str) -> None:
        """Count a dropped frame, packet or segment under `name`, and say why."""
        self.counters.drop(name)
        if self.probe is not None:
            self.emit("drop", subject, 0, reason, rfc, {"name": name})

    def set_timer(self, timer: Timer, deadline: int, why: str, rfc: str) -> None:
        """Set or move a timer. Every timer of the core is set here, so that the probe hears of it."""
        self.timers.arm(timer, deadline)
        if self.probe is not None:
            self.tell_timer("timer.set", timer, why, rfc)

    def cancel_timer(self, timer: Timer | None, why: str, rfc: str) -> None:
        """Take a timer out; nothing where it is not set, or was never made. Every timer is cancelled here."""
        if timer is None:
            return
        told = timer.deadline >= 0
        # (One that was stopped may still have its place.)
        self.timers.cancel(timer)
        if told and self.probe is not None:
            self.tell_timer("timer.cancelled", timer, why, rfc)

    def stop_timer(self, timer: Timer | None, why: str, rfc: str) -> None:
        """As cancel_timer, for one that will probably be set again before its time was up."""
        if timer is None or timer.deadline < 0:
            return
        self.timers.stop(timer)
        if self.probe is not None:
            self.tell_timer("timer.cancelled", timer, why, rfc)

    def tell_timer(self, kind: str, timer: Timer, why: str, rfc: str) -> None:
        """An event about a timer, under the name of its owner. Only with a probe."""
        owner = timer.owner
        fields: dict[str, Any] = {"timer": TIMER_NAMES[timer.kind]}
        if kind == "timer.set":
            fields["deadline"] = timer.deadline
        self.emit(kind, owner.subject(), getattr(owner, "ident", 0), why, rfc, fields)

    def emit(
        self,
        kind: str,
        subject: str,
        endpoint: int,
        reason: str,
        rfc: str,
        fields: dict[str, Any],
        before: Any = None,
        after: Any = None,
    ) -> Any:
        """Hand an event to the probe, and return it. Callers check `probe is not None` first: off costs nothing."""
        event = Event(kind, self.now, self.name, subject, endpoint, reason, rfc, fields, before, after)
        probe = self.probe
        if endpoint != 0 and getattr(probe, "snapshots", False):
            # (Before is what the probe saw last of this endpoint: between two events nothing is lost.)
            about = self.endpoints.get(endpoint)
            if about is not None:
                event.after = about.snapshot()
                event.before = about.shown if about.shown is not None else before
                about.shown = event.after
        probe.event(event)
        return event
