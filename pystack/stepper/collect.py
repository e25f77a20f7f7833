"""The one replay from which a timeline is made: events, frames and their receivers, and the states in between.

The collector reads the state of the connection that an event is about when the core reports the event. At the end of
each record it reads the state of all connections that the record touched. So a change that the core reports belongs to
its own event, and everything else that a record did belongs to the record's last event.
"""

from array import array
from typing import Any

import pystack_c.const as C
from pystack.addresses import parse_addr
from pystack.sim.clock import HostClock
from pystack.stepper import snapshot
from pystack.stepper.flight import OUTSIDE, Flights
from pystack.stepper.records import CONN, FIELDS, FRAME, KIND
from pystack.stepper.states import States
from pystack.stepper.ways import Ways
from pystack.trace.annotate import OUTGOING
from pystack.trace.replay import Replay, ReplayHost
from pystack.trace.summary import Summarizer
from pystack_c.base.address import addr_text
from pystack_c.endpoint import Endpoint
from pystack_c.iface import Iface
from pystack_c.probe import Event
from pystack_c.tcp.shown import shown
from pystack_c.tcp.tcb import Tcb

#: the most bytes of frames, in all, that are kept in full; of later frames only the first HEAD bytes are kept
DATA_LIMIT = 256 << 20
HEAD = 256
#: the types of most values, which JSON can hold
PLAIN = frozenset((int, str, bool))
_UNA, _NXT = snapshot.FIELDS.index("snd_una"), snapshot.FIELDS.index("snd_nxt")


class StepReplay(Replay):
    """A Replay that notes, before it replays a record, which connections the record will touch."""

    collector: "Collector"

    def _at(self, number: int, time: int) -> ReplayHost:
        host = super()._at(number, time)
        self.collector.before(number, host.stack, time)
        return host

    def way(self, number: int, kind: str, told: dict[str, Any]) -> None:
        """See Replay."""
        if kind == "program":
            self.collector.ways.program(number, told)
        else:
            self.collector.ways.wire(told)


class HostState:
    """The state of one host while its events are collected."""

    def __init__(self, number: int, stack: Any, box: bool = False):
        self.number = number
        self.box = box  # a middlebox, whose stack does nothing
        self.clock: HostClock | None = None  # a clock that does not show the network's time
        self.stack = stack
        self.summarizer = Summarizer()
        self.frame = -1  # the frame that arrived last, as long as its events go on
        self.announced: list[int] = []
        self.cause: list[int] = []  # a timer that expired, and the decisions that followed
        self.kinds: dict[str, int] = {}
        self.calls: list[tuple[list[Any], Event]] = []

    def kind(self, iface: str) -> int:
        """Return const.LINK_* of an interface."""
        kind = self.kinds.get(iface)
        if kind is None:
            self.kinds.update((one.name, one.kind) for one in self.stack.ifaces)
            kind = self.kinds.setdefault(iface, C.LINK_LOOPBACK if iface == "lo" else C.LINK_ETHERNET)
        return kind


class Collector:
    """The probe of all stacks of a replay."""

    def __init__(self, events: Any, frames: Any) -> None:
        self.events = events
        self.frames = frames
        self.states = States()
        self.ways = Ways()
        self.flights = Flights(self.ways)
        self.hosts: dict[str, HostState] = {}
        self.names: list[str] = []
        #: the objects in the states: (host, "tcp" or "arp", endpoint number or address)
        self.objects: list[tuple[int, str, int]] = []
        self.numbers: dict[tuple[int, str, int], int] = {}
        self.subjects: list[str] = []
        self.by_subject: dict[tuple[int, str], int] = {}
        self.tcbs: dict[int, Any] = {}
        self.touched: dict[int, Any] = {}
        self.arps: dict[int, Any] = {}
        #: events at which frames are sent and received, and at which round trips end (a round trip ends when the data
        #: that was in flight at its beginning is acknowledged)
        self.frame_events = array("q")
        self.rounds: dict[int, array[int]] = {}
        self.targets: dict[int, int] = {}
        self.record = 0
        self.data = 0
        self.outside = False  # a frame came from outside the recording, or went there
        self.began = 0  # the first event of the current record

    # -- records -----------------------------------------------------------------------------------------------------

    def host_made(self, stack: Any, box: bool = False) -> None:
        """Called when the recording announces a host, or a middlebox."""
        self.hosts[stack.name] = HostState(len(self.names), stack, box)
        self.names.append(stack.name)

    def before(self, number: int, stack: Any, now: int) -> None:
        """Called before a record is replayed on a host. Note the connections that may change without an event of their
        own.
        """
        for tcb in stack.output_queue:
            self._touch(number, tcb)
        if stack.error_queue:
            for endpoint in stack.endpoints.values():
                self._touch(number, endpoint)
        heap = stack.timers.heap
        if heap and heap[0].key <= now:
            self._due(number, heap, 0, now)

    def _due(self, number: int, heap: list[Any], at: int, now: int) -> None:
        """Note the owners of the timers that are due. In a heap, no timer below one that is not due is due."""
        if at < len(heap) and heap[at].key <= now:
            self._touch(number, heap[at].owner)
            self._due(number, heap, 2 * at + 1, now)
            self._due(number, heap, 2 * at + 2, now)

    def _touch(self, number: int, owner: Any) -> None:
        if isinstance(owner, Tcb):
            self._object(number, "tcp", owner.ident, owner)
        elif hasattr(owner, "mac") and hasattr(owner, "addr"):
            self._object(number, "arp", owner.addr, owner)

    def _object(self, host: int, what: str, ident: int, value: Any) -> int:
        key = (host, what, ident)
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.objects)
            self.objects.append(key)
            self.subjects.append("")
        if what == "tcp":
            self.touched[number] = value
        else:
            self.arps[number] = value
        return number

    def after(self, record: int) -> None:
        """Called after a record was replayed. Read what it changed without an event, and clean up."""
        self.record = record + 1
        for host in self.hosts.values():
            for row, event in host.calls:
                result = event.fields["result"]
                row[FIELDS]["result"] = plain(result)
                self._touch(host.number, result)
            host.calls.clear()
        if self.touched:
            self._settle()
        for number, entry in self.arps.items():
            if entry.state == C.NUD_NONE:
                self.states.remove(number)
            else:
                self.states.put(number, snapshot.arp(entry))
        self.touched.clear()
        self.arps.clear()
        self.began = self.events.total
        if len(self.events.tail) > 2 * self.events.block:
            self.events.pack(self.began - 1)
        if len(self.frames.tail) > 2 * self.frames.block:
            self.frames.pack(self.frames.total - 1)

    def _settle(self) -> None:
        for number, tcb in self.touched.items():
            host = self.objects[number][0]
            if self.hosts[self.names[host]].stack.endpoints.get(tcb.ident) is not tcb:
                self.states.remove(number)
                continue
            self._name(number, tcb)
            self._put(number, tcb, self.events.total - 1)

    def _put(self, number: int, tcb: Any, index: int) -> None:
        """Note a connection's state at an event, and whether a round trip ended there."""
        values = shown(tcb)
        self.states.put(number, values)
        una, nxt = values[_UNA], values[_NXT]
        target = self.targets.get(number, -1)
        if target >= 0 and (una - target) & 0xFFFFFFFF < 0x80000000:
            self.rounds.setdefault(number, array("q")).append(index)
            target = -1
        self.targets[number] = nxt if target < 0 and una != nxt else target

    def _name(self, number: int, tcb: Any) -> None:
        """Give a connection the fullest name known so far: local and remote address, or only the local one."""
        if tcb.raddr or tcb.lport or not self.subjects[number]:
            subject = tcb.subject()
            if subject != self.subjects[number] and (tcb.raddr or not self.subjects[number]):
                self.subjects[number] = subject
                self.by_subject[self.objects[number][0], subject] = number
            elif not tcb.raddr and self.subjects[number].endswith("-0.0.0.0:0"):
                self.subjects[number] = subject
                self.by_subject[self.objects[number][0], subject] = number

    # -- events ------------------------------------------------------------------------------------------------------

    def event(self, event: Event) -> None:
        """Called inside the core for each decision."""
        host = self.hosts.get(event.host)
        if host is None:
            return
        kind = event.kind
        index = self.events.total
        self.states.event()
        if kind == "clock":
            host.clock = clock_after(event, host.clock)
        if host.clock is not None:
            event.time = host.clock.true(event.time)
        conn = self._conn(host, event)
        row = [
            event.time, host.number, kind, event.subject, event.endpoint, event.reason, event.rfc, None, host.frame,
            self.record, conn,
        ]  # fmt: skip
        self.events.append(row)
        if kind == "frame.out":
            self.frame_events.append(index)
            self._frame_out(host, event, index, row)
        elif kind == "frame.in":
            self.frame_events.append(index)
            self._frame_in(host, event, index, row)
        elif kind == "call" or kind == "timer.fired":
            host.frame = row[FRAME] = -1
            host.announced = []
            host.cause = [index] if kind == "timer.fired" else []
            row[FIELDS] = plain_fields(event.fields)
            if kind == "call":
                self.ways.call(host.number, index)
                host.calls.append((row, event))
        else:
            row[FIELDS] = plain_fields(event.fields)
            if kind in OUTGOING:
                host.announced.append(index)
            elif host.cause:
                host.cause.append(index)
            if conn < 0 and event.subject.startswith("arp "):
                self._arp(host, event)

    def _conn(self, host: HostState, event: Event) -> int:
        """Return the number of the connection that an event is about, after reading its state; or -1."""
        if not event.endpoint:
            return self.by_subject.get((host.number, event.subject), -1) if event.subject.startswith("tcp ") else -1
        tcb = host.stack.endpoints.get(event.endpoint)
        if not isinstance(tcb, Tcb):
            return self.numbers.get((host.number, "tcp", event.endpoint), -1)
        number = self._object(host.number, "tcp", event.endpoint, tcb)
        self._name(number, tcb)
        self._put(number, tcb, self.events.total)
        # A frame that arrived belongs to the first connection that its events name.
        if host.frame >= 0 and self.events.total > self.began:
            first = self.events.tail[self.began - self.events.total]
            if first[KIND] == "frame.in" and first[CONN] < 0 and first[FRAME] == host.frame:
                first[CONN] = number
        return number

    def _arp(self, host: HostState, event: Event) -> None:
        addr = event.fields.get("addr")
        if addr is None:
            try:
                addr = parse_addr(event.subject.removeprefix("arp "))
            except ValueError:
                return
        for iface in host.stack.ifaces:
            entry = iface.neighbors.get(addr)
            if entry is not None:
                number = self._object(host.number, "arp", entry.addr, entry)
                self.states.put(number, snapshot.arp(entry))

    # -- frames ------------------------------------------------------------------------------------------------------

    def _frame_out(self, host: HostState, event: Event, index: int, row: list[Any]) -> None:
        fields = event.fields
        iface, data, gso = fields["iface"], fields["frame"], fields["gso_size"]
        kind = host.kind(iface)
        number = self.frames.total
        announced = host.announced
        for told in announced:
            if told >= self.began:
                self.events.tail[told - self.events.total][FRAME] = number
        conns = [self.events.tail[told - self.events.total][CONN] for told in announced if told >= self.began]
        conn = max(conns, default=-1)
        row[FRAME], row[CONN] = number, conn
        row[FIELDS] = {"iface": iface, "length": len(data), "gso_size": gso}
        to = self.flights.sent(number, host.number, self.hosts, data, kind, gso, event.time)
        why = tuple(told for told in (*host.cause, *announced))
        host.announced, host.cause = [], []
        self._add(event.time, host, iface, data, kind, gso, why, index, to, False, conn)

    def _frame_in(self, host: HostState, event: Event, index: int, row: list[Any]) -> None:
        fields = event.fields
        iface, data = fields["iface"], fields["frame"]
        kind = host.kind(iface)
        host.announced, host.cause = [], []
        due = self.ways.arrived(host.number, event.time)
        number = self.flights.arrived(index, host.number, data, kind, event.time, host.box, due)
        if number < 0:
            number = self.frames.total
            self.flights.outside(number, index, host.number, event.time)
            self._add(event.time, host, iface, data, kind, 0, (), index, host.number, True, -1)
        host.frame = row[FRAME] = number
        row[FIELDS] = {"iface": iface, "length": len(data)}

    def _add(
        self, time: int, host: HostState, iface: str, data: bytes, kind: int, gso: int, why: tuple[int, ...],
        event: int, to: int, outside: bool, conn: int,
    ) -> None:  # fmt: skip
        summary = host.summarizer.line(data, kind)
        length = len(data)
        if self.data + length > DATA_LIMIT:
            data = data[:HEAD]
        self.data += len(data)
        sender = -1 if outside else host.number
        self.outside = self.outside or outside or to == OUTSIDE
        self.frames.append([time, sender, iface, data, length, kind, gso, summary, why, event, to, outside, conn])


def clock_after(event: Event, clock: HostClock | None) -> HostClock | None:
    """The clock of a host after an event: a clock event says that it has another one."""
    if event.kind != "clock":
        return clock
    return HostClock(event.fields["true"], event.time, event.fields["ppb"], event.fields["offset"])


def plain_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an event as JSON can hold them. Most values are plain already."""
    return {name: value if type(value) in PLAIN else plain(value) for name, value in fields.items()}


def plain(value: Any, depth: int = 0) -> Any:
    """Return a field's value in a form that JSON can hold."""
    if value is None or isinstance(value, (int, str, float)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"
    if isinstance(value, Endpoint):
        return f"{value.subject()} (endpoint {value.ident})"
    if isinstance(value, Iface):
        return value.name
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, (tuple, list)) and depth < 4:
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict) and depth < 4:
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    return type(value).__name__


def object_name(host: str, what: str, ident: int, subject: str) -> str:
    """Return the key of an object in states: "a tcp 10.0.0.1:40000-10.0.0.2:80", "a arp 10.0.0.2"."""
    if what == "arp":
        return f"{host} arp {addr_text(ident)}"
    return f"{host} {subject}"
