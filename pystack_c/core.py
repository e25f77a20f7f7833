"""What all layers share: settings, time, randomness, timers, tables, counters, queues, the probe hook.

`Core` is the ground that the layers stand on; `Stack` (stack.py) is the Core with the layers put in
order on top. A layer takes the Core as its first argument and never another layer's caller.
"""

from collections import deque
from typing import Any

import pystack_c.const as C
from pystack_c.config import Config
from pystack_c.counters import Counters
from pystack_c.iface import Iface, LocalAddr
from pystack_c.packet import Packet, Transmit
from pystack_c.probe import Event
from pystack_c.rng import Rng
from pystack_c.timer import TimerQueue


class Core:
    """The shared state of one host."""

    def __init__(self, seed: int, config: Config | None = None, name: str = "host") -> None:
        self.config = Config() if config is None else config
        self.name = name
        self.seed = seed
        self.now = 0
        self.rng = Rng(seed)
        self.timers = TimerQueue()
        self.counters = Counters()
        self.packet = Packet()
        self.probe: Any = None
        self.ifaces: list[Iface] = []
        self.local: dict[int, LocalAddr] = {}
        self.routes: Any = None
        self.next_ident = 1
        self.endpoints: dict[int, Any] = {}
        self.txq: deque[Transmit] = deque()
        self.loopq: deque[Any] = deque()
        self.output_queue: deque[Any] = deque()
        self.events: deque[Any] = deque()
        self.tcp: Any = None
        self.udp: Any = None
        self.raw: Any = None
        self.reasm: Any = None
        self.scratch = bytearray(512)
        self.route_epoch = 0
        self.error_queue: deque[Any] = deque()
        self.icmp_tokens = 0
        self.icmp_stamp = -1
        self.acd: dict[int, Any] = {}
        self.lo: Any = None
        self.dst_cache: dict[int, Any] = {}
        self.route_error = 0
        # the last packet that passed all address checks, see ip_input
        self.ok_src = 0
        self.ok_dst = 0
        self.ok_iface: Any = None
        self.ok_epoch = -1
        self.port_counter = self.rng.u32() & 0xFFFF

    def transmit(self, tx: Transmit) -> None:
        """Hand a finished frame to its interface: the driver takes it by poll_transmit."""
        iface: Iface = tx.iface
        iface.tx_frames += 1
        iface.tx_bytes += len(tx.header) if tx.payload is None else len(tx.header) + len(tx.payload)
        if self.probe is not None:
            fields = {"iface": iface.name, "frame": tx.to_bytes(), "gso_size": tx.gso_size}
            self.emit("frame.out", iface.name, 0, "", "", fields)
        if iface.kind == C.LINK_LOOPBACK:
            self.loopq.append(tx)
        else:
            self.txq.append(tx)

    def new_ident(self) -> int:
        """The next endpoint number (recordings name endpoints by it)."""
        ident = self.next_ident
        self.next_ident += 1
        return ident

    def local_addr(self, addr: int) -> LocalAddr | None:
        """The LocalAddr of one of this host's addresses, or None."""
        found = self.local.get(addr)
        if found is None and (addr >> 24) == 127 and self.ifaces:
            # RFC 1122 3.2.1.3 (g): all of 127/8 is this host.
            found = self.local.get(0x7F000001)
        return found

    def drop(self, name: str, subject: str, reason: str, rfc: str) -> None:
        """Count a dropped frame, packet or segment under `name`, and say why."""
        self.counters.drop(name)
        if self.probe is not None:
            self.emit("drop", subject, 0, reason, rfc, {"name": name})

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
    ) -> None:
        """Hand an event to the probe. Callers check `probe is not None` first, so that off costs nothing."""
        self.probe.event(Event(kind, self.now, self.name, subject, endpoint, reason, rfc, fields, before, after))
