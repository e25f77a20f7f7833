"""The state that all layers share: settings, time, randomness, timers, tables, counters, queues and the probe hook.

`Core` is the base of the layers, and `Stack` (stack.py) is a Core with the layers in order on top. A layer takes
the Core as its first argument, and never calls the layers above it.
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
from pystack_c.route import SLOTS
from pystack_c.wire import vlan

# the standard that defines how each kind of link carries a packet
LINK_RFC = {C.LINK_ETHERNET: "RFC 894", C.LINK_IP: "RFC 791 2.2", C.LINK_LOOPBACK: "RFC 1122 3.2.1.3"}


class Core:
    """The shared state of one host."""

    def __init__(self, seed: int, config: Config | None = None, name: str = "host") -> None:
        self.config = Config() if config is None else config
        # This checks the settings that the program assigned; `update` has checked the others.
        self.config.verify()
        self.name = name
        self.seed = seed
        self.now = 0
        self.rng = Rng(seed)
        self.timers = TimerQueue()
        self.counters = Counters()
        #: the packet that is being received, and the packet that is being sent
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
        #: how the current segment arrived, if it came in a datagram (tcp/tunnel.py)
        self.tunnel: Any = None
        self.reasm: Any = None
        self.scratch = bytearray(512)
        self.route_epoch = 0
        self.error_queue = Fifo()
        self.icmp_budget = SharedBudget(1)  # limits ICMP errors (ip/icmpv4.py)
        self.icmp_peers = PeerBuckets()
        self.acd: dict[int, Any] = {}
        #: the link.neighbor.Resolver of the host
        self.resolver: Any = None
        self.lo: Any = None
        self._no_routes()
        self._no_filter()
        #: what passed all address checks (route.Accepted), each at its route.slot (ingress/ipv4.py)
        self.accepted: list[Any] = [None] * SLOTS
        self.port_counter = self.rng.u32() & 0xFFFF
        # the bytes that all of TCP's buffers hold, and whether that is close to the limit (tcp/queues/memory.py)
        self.tcp_memory = 0
        self.tcp_pressure = False
        self.tcp_pressure_at = 0
        #: under memory pressure: the bytes of each peer's connections, by address, and the number of large peers
        self.tcp_peers: Any = None
        self.tcp_large = 0
        self.tcp_reclaimed = -1
        self.tcp_orphans = 0

    def _no_routes(self) -> None:
        """Begin without decisions about routes."""
        #: cached results of ip.routing, by destination address, and the latest result of each route.slot
        self.dst_cache: dict[Any, Any] = {}
        self.latest: list[Any] = [None] * SLOTS
        self.route_error = 0
        #: the ip.policy.Policy, or None while the destination alone decides about the route
        self.policy: Any = None
        #: the ip.redirect.Redirects that were accepted, or None
        self.redirects: Any = None
        #: the hosts to which ip.redirect sent redirects, or None
        self.redirected: Any = None
        #: ip.mforward.MulticastRouter, or None while no multicasts are forwarded
        self.mrouter: Any = None

    def _no_filter(self) -> None:
        """Begin without hooks."""
        #: filter.hooks.Hooks, or None while no hook is attached
        self.hooks: Any = None
        #: filter.conntrack_table.Conntrack and filter.nat_rules.Nat, or None while they are off
        self.conntrack: Any = None
        self.nat: Any = None
        #: filter.nft.ruleset.Ruleset, or None before the first ruleset
        self.nftables: Any = None

    def transmit(self, tx: Transmit) -> None:
        """Pass a finished frame to its interface. The driver takes it with poll_transmit."""
        iface: Iface = tx.iface
        iface.tx_frames += 1
        iface.tx_bytes += len(tx.header) if tx.payload is None else len(tx.header) + len(tx.payload)
        if self.probe is not None:
            fields = {"iface": iface.name, "frame": tx.to_bytes(), "gso_size": tx.gso_size}
            self.emit("frame.out", iface.name, 0, "the frame was handed to the interface", LINK_RFC[iface.kind], fields)
        if self.raw is not None and self.raw.packets is not None:
            self.raw.packets.sent(self, tx)
        if iface.vid != 0:
            self._tag(iface, tx)
        elif iface.kind == C.LINK_LOOPBACK:
            self.loopq.append(tx)
        else:
            self.txq.append(tx)

    def _tag(self, iface: Iface, tx: Transmit) -> None:
        """Send the frame of an interface for a VLAN by its parent, with the tag (IEEE 802.1Q 9.3)."""
        tx.header = vlan.push(tx.header, iface.vid)
        tx.iface = iface.parent
        self.transmit(tx)

    def new_ident(self) -> int:
        """Return the next endpoint number. Recordings identify endpoints by it."""
        ident = self.next_ident
        self.next_ident += 1
        return ident

    def speaks(self, addr: int) -> bool:
        """Return True if the host has a network layer for the address's family. There is none for IPv6 yet."""
        return not is_v6(addr)

    def local_addr(self, addr: int) -> LocalAddr | None:
        """Return the LocalAddr of one of this host's addresses, or None."""
        found = self.local.get(key(addr))
        if found is None and is_loopback(addr) and self.ifaces:
            # RFC 1122 3.2.1.3 (g): every address in 127/8 is this host.
            found = self.local.get(key(loopback_for(addr)))
        return found

    def proxies(self, iface: Iface, addr: int, src: int) -> bool:
        """Return True if the host answers ARP requests from `src` on `iface` for an address that is not its own."""
        return False

    def drop(self, name: str, subject: str, reason: str, rfc: str) -> None:
        """Count a dropped frame, packet or segment under `name`, and report the reason to the probe."""
        self.counters.drop(name)
        if self.probe is not None:
            self.emit("drop", subject, 0, reason, rfc, {"name": name})

    def set_timer(self, timer: Timer, deadline: int, why: str, rfc: str) -> None:
        """Set or move a timer to `deadline` (ns). Every timer of the core is set here, so that the probe sees it."""
        self.timers.arm(timer, deadline)
        if self.probe is not None:
            self.tell_timer("timer.set", timer, why, rfc)

    def cancel_timer(self, timer: Timer | None, why: str, rfc: str) -> None:
        """Cancel a timer, if it exists and is set. Every timer of the core is cancelled here."""
        if timer is None:
            return
        told = timer.deadline >= 0
        # A timer that was only stopped may still be in the heap.
        self.timers.cancel(timer)
        if told and self.probe is not None:
            self.tell_timer("timer.cancelled", timer, why, rfc)

    def stop_timer(self, timer: Timer | None, why: str, rfc: str) -> None:
        """Stop a timer as cancel_timer does. It is cheaper if the timer will probably be set again to a later time."""
        if timer is None or timer.deadline < 0:
            return
        self.timers.stop(timer)
        if self.probe is not None:
            self.tell_timer("timer.cancelled", timer, why, rfc)

    def tell_timer(self, kind: str, timer: Timer, why: str, rfc: str) -> None:
        """Emit an event about a timer, under the name of its owner. Call it only if there is a probe."""
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
        """Pass an event to the probe, and return it.

        Callers check `probe is not None` first, so without a probe it costs nothing.
        """
        event = Event(kind, self.now, self.name, subject, endpoint, reason, rfc, fields, before, after)
        probe = self.probe
        if endpoint != 0 and getattr(probe, "snapshots", False):
            # `before` is the probe's last snapshot of this endpoint, so no change between two events is missed.
            about = self.endpoints.get(endpoint)
            if about is not None:
                event.after = about.snapshot()
                event.before = about.shown if about.shown is not None else before
                about.shown = event.after
        probe.event(event)
        return event
