"""A live stack driven by a list of plain steps: what the fuzzers, the parity tests and the reproducers share.

A program is a dict: `seed`, `config` (settings), `probe` (bool) and `steps`, tuples of ints, strings and bytes:

    ("iface", name, kind, mac, mtu, tx_csum, gso_max)     ("setup", method, args...)     an Iface argument is its name
    ("rx", iface, frame, flags, gso_size)                 a frame comes in
    ("tick", ns)                                          time passes, timers fire late, all at its end
    ("run", ns)                                           time passes, each timer fires when it is due
    ("open", kind, handle, args...)                       kind tcp, udp or raw
    ("accept", handle, new)                               the new endpoint, if there is one, gets the handle `new`
    ("send", handle, n, flags)                            n bytes of the stream's pattern
    ("recv", handle, n, flags)
    ("call", name, handle, args...)                       any other call of the endpoint's module

`World.apply(step)` gives everything observable that followed. The same program gives the same observations on every build.
Payload is a function of the sequence number, so both directions of every connection are checked to the byte (see `honest`).
"""

import hashlib
from types import ModuleType
from typing import Any

import pystack_c.const as C
from pystack_c.config import Config
from pystack_c.probe import ListProbe
from pystack_c.sockets import raw, udp
from pystack_c.stack import Stack
from pystack_c.tcp import sockopt, user
from tests.support import invariants
from tests.support.outputs import OutputCheck

PERIOD = 1 << 16
#: what the peer sends at sequence number s is PEER[s % PERIOD], what the host sends at stream offset o is HOST[o % PERIOD]
PEER = hashlib.shake_128(b"peer").digest(PERIOD) * 3
HOST = hashlib.shake_128(b"host").digest(PERIOD) * 19

MODULES: dict[str, ModuleType] = {"tcp": user, "udp": udp, "raw": raw, "ping": raw}


def peer_bytes(seq: int, n: int) -> bytes:
    """The payload that an honest peer has from sequence number `seq` on."""
    at = seq & 0xFFFF
    return PEER[at : at + n]


def host_bytes(offset: int, n: int) -> bytes:
    """What this world's applications write at a stream offset."""
    at = offset & 0xFFFF
    return HOST[at : at + n]


def honest(frame: bytes, at: int) -> bool:
    """False where a frame could bring a stream bytes that are not the pattern's; `at` is where its IP header begins."""
    p = frame
    if len(p) < at + 40 or p[at + 9] != 6:
        return True
    if (p[at + 6] & 0x3F) | p[at + 7]:
        return False
    tcp = at + (p[at] & 15) * 4
    end = min(len(p), at + (p[at + 2] << 8 | p[at + 3]))
    if end < tcp + 20:
        return True
    data = tcp + (p[tcp + 12] >> 4) * 4
    if data >= end or data < tcp + 20:
        return True
    seq = int.from_bytes(p[tcp + 4 : tcp + 8], "big") + (p[tcp + 13] >> 1 & 1)
    return p[data:end] == peer_bytes(seq, end - data)


class Failure(Exception):
    """An oracle said no; the message says which, the step is `World.count`."""


class World:
    """A stack, its clock, its endpoints by handle, and the oracles. `log` is the steps so far."""

    def __init__(self, program: dict[str, Any], oracles: bool = True):
        config = Config().update(program.get("config", {}))
        self.stack = Stack(program.get("seed", 1), config, "host")
        self.probe = ListProbe() if program.get("probe") else None
        self.stack.probe = self.probe
        self.now = 1_000_000_000
        self.stack.now = self.now
        self.ifaces: dict[str, Any] = {}
        self.endpoints: dict[int, Any] = {}
        self.kinds: dict[int, str] = {}
        self.read: dict[int, int] = {}
        self.honest = True
        # connections that lost an urgent byte from their stream (SO_OOBINLINE off), by number
        self.cut: dict[int, bool] = {}
        self.urgent_sent = False
        self.oracles = oracles
        self.watch = invariants.Watch(self.stack)
        self.outputs = OutputCheck(self.stack, host_bytes)
        self.count = 0
        self.log: list[tuple[Any, ...]] = []
        self.sent: list[Any] = []

    # What goes in

    def apply(self, step: tuple[Any, ...]) -> tuple[Any, ...]:
        """Do one step, drain, ask the oracles. What followed: (result, frames, events of the core, what is observable)."""
        self.count += 1
        self.log.append(step)
        if self.probe is not None:
            self.probe.events.clear()
        before = self._accounts(step) if self.oracles and step[0] == "rx" else None
        result = getattr(self, "_" + step[0])(*step[1:])
        frames = self.drain()
        if self.oracles:
            if before is not None:
                self._accounted(step, before)
            self.watch.check()
            for tcb in self.stack.tcp.all():
                if tcb.urgent is not None and tcb.urgent.state > C.OOB_EXPECTED:
                    self.cut[tcb.ident] = True
        return (result, frames)

    def _iface(self, name: str, kind: int, mac: int, mtu: int, tx_csum: bool, gso_max: int) -> None:
        self.ifaces[name] = self.stack.add_iface(name, kind, mac, mtu, tx_csum, gso_max)

    def _setup(self, method: str, *args: Any) -> str:
        self.stack.now = self.now
        args = tuple(self.ifaces.get(arg, arg) if isinstance(arg, str) else arg for arg in args)
        try:
            made = getattr(self.stack, method)(*args)
        except (ValueError, FileExistsError) as error:
            return type(error).__name__
        if method == "add_vlan":
            self.ifaces[made.name] = made
        return ""

    def _rx(self, iface: str, frame: bytes, flags: int, gso_size: int) -> None:
        card = self.ifaces.get(iface)
        if card is None or (flags & C.RX_CSUM_OK == 0 and gso_size):
            return
        if self.honest and not honest(frame, 14 if card.kind == C.LINK_ETHERNET else 0):
            self.honest = False
        self.stack.receive(card, frame, self.now, 0, flags, gso_size)

    def _tick(self, ns: int) -> None:
        self.now += ns
        self.stack.handle_timeout(self.now)

    def _run(self, ns: int) -> list[Any]:
        end = self.now + ns
        frames = []
        for _ in range(5000):
            deadline = self.stack.poll_timeout()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.stack.handle_timeout(self.now)
            frames += self.drain()
        self.now = end
        return frames

    # Calls of the application

    def _open(self, kind: str, handle: int, *args: Any) -> int:
        opener = getattr(MODULES[kind], kind + "_open")
        return self._keep(handle, kind, opener(self.stack, *args, self.now))

    def _keep(self, handle: int, kind: str, endpoint: Any) -> int:
        while handle in self.endpoints:
            # (A number used twice must not lose the first one's endpoint.)
            handle += 1000
        endpoint.waiter = self
        self.endpoints[handle] = endpoint
        self.kinds[handle] = kind
        self.read[handle] = 0
        ident: int = endpoint.ident
        return ident

    def _accept(self, handle: int, new: int) -> Any:
        endpoint = self.endpoints.get(handle)
        if endpoint is None:
            return None
        try:
            child = user.accept(endpoint, self.now)
        except OSError as exc:
            return exc.errno
        return None if child is None else self._keep(new, "tcp", child)

    def _send(self, handle: int, n: int, flags: int) -> Any:
        endpoint = self.endpoints.get(handle)
        if endpoint is None:
            return None
        self.urgent_sent = self.urgent_sent or flags & C.MSG_OOB != 0
        try:
            return user.send(endpoint, host_bytes(endpoint.sendbuf.tail, n), flags, self.now)
        except OSError as exc:
            return -(exc.errno or 0)

    def _recv(self, handle: int, n: int, flags: int) -> Any:
        endpoint = self.endpoints.get(handle)
        if endpoint is None:
            return None
        try:
            data = user.recv(endpoint, n, flags, self.now)
        except OSError as exc:
            return -(exc.errno or 0)
        if data and self.oracles and self.honest and endpoint.ident not in self.cut and not flags & C.MSG_OOB:
            at, n = self.read[handle], min(len(data), PERIOD)
            ours = self.stack.local_addr(endpoint.raddr) is not None
            if ours and self.urgent_sent:
                return data
            want = host_bytes(at, n) if ours else peer_bytes(endpoint.irs + 1 + at, n)
            if data[: len(want)] != want:
                raise Failure(f"{endpoint.subject()}: bytes read at {self.read[handle]} are not those that were sent")
        if data and not flags & (C.MSG_PEEK | C.MSG_OOB):
            self.read[handle] += len(data)
        return data

    def _call(self, name: str, handle: int, *args: Any) -> Any:
        endpoint = self.endpoints.get(handle)
        if endpoint is None:
            return None
        kind = self.kinds[handle]
        if name == "sendto" and kind in ("raw", "ping"):
            self.outputs.raw_sent += [1, endpoint.proto]
        module = sockopt if kind == "tcp" and name in ("setsockopt", "getsockopt", "tcp_info") else MODULES[kind]
        try:
            result = getattr(module, name)(endpoint, *args, self.now)
        except OSError as exc:
            return -(exc.errno or 0)
        if name in ("close", "abort"):
            del self.endpoints[handle]
        if name == "recvfrom" and result is not None:
            return plain(result)
        return result

    # What comes out

    def drain(self) -> list[Any]:
        """Take everything that the stack has to say."""
        frames: list[Any] = []
        while True:
            tx = self.stack.poll_transmit(self.now)
            if tx is None:
                break
            if len(frames) > MOST_FRAMES:
                raise Failure(f"one step makes more than {MOST_FRAMES} frames: it does not come to an end")
            frame = tx.to_bytes()
            if self.oracles:
                self.outputs.frame(tx, frame)
            frames.append((tx.iface.name, frame, tx.gso_size, tx.csum_start, tx.csum_offset, tx.hdr_len))
        while True:
            endpoint = self.stack.poll_event()
            if endpoint is None:
                break
            frames.append(("event", endpoint.ident, endpoint.take_pending(), endpoint.readiness()))
        self.sent = [frame for frame in frames if frame[0] != "event"] or self.sent
        return frames

    def observe(self) -> tuple[Any, ...]:
        """Everything else that can be seen: counters, drops, events of the probe, control blocks, the next deadline."""
        stack = self.stack
        events = () if self.probe is None else tuple(plain(event) for event in self.probe.events)
        blocks = [control_block(tcb) for tcb in invariants.all_tcbs(stack)]
        neighbors = [
            (i.name, a, e.state, e.mac, e.timer.deadline) for i in stack.ifaces for a, e in i.neighbors.items()
        ]
        held = 0 if stack.reasm is None else stack.reasm.held
        counters = tuple(stack.counters.nonzero().items()), tuple(stack.counters.drops.items())
        return (stack.poll_timeout(), len(stack.timers), counters, neighbors, held, blocks, events)

    # Oracles

    def _accounts(self, step: tuple[Any, ...]) -> tuple[Any, ...]:
        counters = self.stack.counters
        # IGMP has no counters of its own (RFC 5519 counts groups).
        igmp = counters.IpInDelivers if b"\x02" in step[2][9:28] else 0
        queues = [
            len(self.endpoints[h].queue)
            for h, kind in self.kinds.items()
            if kind in ("raw", "ping") and h in self.endpoints
        ]
        return (sum(counters.drops.values()), tuple(getattr(counters, name) for name in ACCEPTED), queues, igmp)

    def _accounted(self, step: tuple[Any, ...], before: tuple[Any, ...]) -> None:
        """Each frame is delivered, answered, forwarded or held, or it is counted as a drop."""
        if step[1] in self.ifaces and self._accounts(step) == before:
            raise Failure(f"a frame left no trace in the counters: {step[2].hex()}")

    def finish(self) -> None:
        """Close everything, let time pass, and see that nothing is left."""
        for handle in list(self.endpoints):
            self.apply(("call", "close", handle))
        if self.stack.mrouter is not None:
            # A router asks its hosts for ever.
            for link in list(self.stack.mrouter.links.values()):
                self.apply(("setup", "set_iface", link.iface.name, False))
        for _ in range(3000):
            deadline = self.stack.poll_timeout()
            if deadline is None:
                break
            self.apply(("tick", max(1, deadline - self.now)))
        if self.oracles:
            invariants.idle(self.stack)


#: more than any window of these worlds needs at once
MOST_FRAMES = 20_000

#: counters of which one moves where a frame was taken (those of TCP and IP's totals do not say that)
ACCEPTED = (
    "IpForwDatagrams", "IpReasmReqds", "IcmpInEchos", "IcmpInEchoReps", "IcmpInDestUnreachs", "IcmpInTimeExcds",
    "IcmpInParmProbs", "IcmpInRedirects", "IcmpInErrors", "UdpInDatagrams", "ArpInRequests", "ArpInReplies", "TcpInSegs",
)  # fmt: skip


def plain(thing: Any) -> Any:
    """A Datagram or an Event as a tuple of plain values."""
    names = getattr(type(thing), "__slots__", None)
    if not isinstance(names, tuple):
        names = tuple(n for n in dir(thing) if not n.startswith("_") and not callable(getattr(thing, n)))
    return tuple(simple(getattr(thing, name)) for name in names)


def simple(value: Any) -> Any:
    """A value without objects of the core, and with bool and int told apart no more (a C bint is either)."""
    if value is None or isinstance(value, (str, bytes, float)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (memoryview, bytearray)):
        return bytes(value)
    if isinstance(value, dict):
        return tuple((simple(key), simple(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(simple(item) for item in value)
    return getattr(value, "name", type(value).__name__)


def control_block(tcb: Any) -> tuple[Any, ...]:
    """A control block: its snapshot, its records, its pieces, its timers."""
    q, buf = tcb.rtxq, tcb.recvbuf
    records = [
        (s.seq, s.end, s.sent_at, int(s.sacked), int(s.lost), int(s.in_flight_again), s.retrans) for s in q.segs[q.first :]
    ]  # fmt: skip
    ooo = [(run.seq, run.right) for run in buf.ooo or ()]
    timers = [
        -1 if t is None else t.deadline for t in (tcb.rto_timer, tcb.delack_timer, tcb.wait_timer, tcb.keep_timer)
    ]
    more = (tcb.ident, tcb.so_error, tcb.soft_error, tcb.ca_state, tcb.recover, tcb.pending, int(tcb.detached))
    return (simple(tcb.snapshot()), more, records, ooo, timers, simple(tcb.sacks))
