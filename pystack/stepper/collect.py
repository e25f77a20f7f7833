"""The one replay from which a timeline is made: events, frames and their receivers, and the states in between.

The collector reads the state of the connection that an event is about when the core reports the event. At the end of
each record it reads the state of all connections that the record touched. So a change that the core reports belongs to
its own event, and everything else that a record did belongs to the record's last event.

There are about ten events for each frame, so this module is compiled.
"""

from array import array
from typing import Any

import pystack_c.const as C
from pystack.addresses import parse_addr
from pystack.sim.clock import HostClock
from pystack.stepper import snapshot
from pystack.stepper.flight import OUTSIDE, Flights
from pystack.stepper.records import CONN, FIELDS, FRAME, HOST, KIND
from pystack.stepper.states import States
from pystack.stepper.store import BLOCK, FRAMES_BLOCK
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
_HOST, _KIND, _FIELDS, _FRAME, _CONN = HOST, KIND, FIELDS, FRAME, CONN
#: the most rows that wait to be packed
_MOST_EVENTS, _MOST_FRAMES = 2 * BLOCK, 2 * FRAMES_BLOCK


class StepReplay(Replay):  # python
    """A Replay that notes, before it replays a record, which connections the record will touch."""

    collector: "Collector"

    def _at(self, number: int, time: int) -> ReplayHost:
        host = Replay._at(self, number, time)
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

    def kind(self, iface: str) -> int:
        """Return const.LINK_* of an interface."""
        kind = self.kinds.get(iface)  # object
        if kind is None:
            for one in self.stack.ifaces:
                self.kinds[one.name] = one.kind
            kind = self.kinds.setdefault(iface, C.LINK_LOOPBACK if iface == "lo" else C.LINK_ETHERNET)
        return kind


class Collector:
    """The probe of all stacks of a replay."""

    def __init__(self, events: Any, frames: Any) -> None:
        self.events = events
        self.frames = frames
        #: the rows of events that are not packed, and the number of those that are
        self.rows = events.tail
        self.packed = 0
        self.frame_rows = frames.tail
        self.frames_packed = 0
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
        #: the calls of the current record: their rows and events
        self.calls: list[tuple[list[Any], Event]] = []
        self.touched: dict[int, Any] = {}
        self.arps: dict[int, Any] = {}
        #: events at which frames are sent and received, and at which round trips end (a round trip ends when the data
        #: that was in flight at its beginning is acknowledged)
        self.frame_events = array("q")
        self.rounds: dict[int, array[int]] = {}
        #: for each object, the sequence number at which its round trip ends, or -1
        self.targets: list[int] = []
        self.record = 0
        self.data = 0
        self.outside = False  # a frame came from outside the recording, or went there
        self.began = 0  # the first event of the current record

    # -- records -----------------------------------------------------------------------------------------------------

    def host_made(self, stack: Any, box: bool = False) -> None:  # python
        """Called when the recording announces a host, or a middlebox."""
        self.hosts[stack.name] = HostState(len(self.names), stack, box)
        self.names.append(stack.name)

    def before(self, number: int, stack: Any, now: int) -> None:
        """Called before a record is replayed on a host. Note the connections that may change without an event of their
        own.
        """
        if stack.output_queue.count:
            for tcb in stack.output_queue:
                self._touch(number, tcb)
        if stack.error_queue.count:
            for endpoint in stack.endpoints.values():
                self._touch(number, endpoint)
        heap = stack.timers.heap
        if heap:
            self._due(number, heap, 0, now)

    def _due(self, number: int, heap: list[Any], at: int, now: int) -> None:
        """Note the owners of the timers that are due. In a heap, no timer below one that is not due is due."""
        if at < len(heap):
            timer = heap[at]
            if timer.key <= now:
                self._touch(number, timer.owner)
                self._due(number, heap, 2 * at + 1, now)
                self._due(number, heap, 2 * at + 2, now)

    def _touch(self, number: int, owner: Any) -> None:
        if isinstance(owner, Tcb):
            self._object(number, "tcp", owner.ident, owner)
        elif hasattr(owner, "mac") and hasattr(owner, "addr"):
            self._object(number, "arp", owner.addr, owner)

    def _object(self, host: int, what: str, ident: int, value: Any) -> int:
        key = (host, what, ident)
        number = self.numbers.get(key)  # object
        if number is None:
            number = self.numbers[key] = len(self.objects)
            self.objects.append(key)
            self.subjects.append("")
            self.targets.append(-1)
        if what == "tcp":
            self.touched[number] = value
        else:
            self.arps[number] = value
        return number

    def after(self, record: int) -> None:
        """Called after a record was replayed. Read what it changed without an event, and clean up."""
        self.record = record + 1
        if self.calls:
            self._returned()
        if self.touched:
            self._settle()
            self.touched.clear()
        if self.arps:
            for number, entry in self.arps.items():
                if entry.state == C.NUD_NONE:
                    self.states.remove(number)
                else:
                    self.states.put(number, snapshot.arp(entry))
            self.arps.clear()
        self.began = self.packed + len(self.rows)
        if len(self.rows) > _MOST_EVENTS:
            self.events.pack(self.began - 1)
            self.packed = self.began - len(self.rows)
        if len(self.frame_rows) > _MOST_FRAMES:
            frames = self.frames_packed + len(self.frame_rows)
            self.frames.pack(frames - 1)
            self.frames_packed = frames - len(self.frame_rows)

    def _returned(self) -> None:
        """Take the results of the calls, which came after their events."""
        for row, event in self.calls:
            result = event.fields["result"]  # object
            row[_FIELDS]["result"] = plain(result)
            self._touch(row[_HOST], result)
        self.calls.clear()

    def _settle(self) -> None:
        for number, tcb in self.touched.items():
            host: HostState = self.hosts[self.names[self.objects[number][0]]]
            if host.stack.endpoints.get(tcb.ident) is not tcb:
                self.states.remove(number)
                continue
            self._name(number, tcb)
            self._put(number, tcb, self.packed + len(self.rows) - 1)

    def _put(self, number: int, tcb: Any, index: int) -> None:
        """Note a connection's state at an event, and whether a round trip ended there."""
        self.states.put(number, shown(tcb))
        una, nxt = tcb.snd_una, tcb.snd_nxt
        target = self.targets[number]
        if target >= 0 and (una - target) & 0xFFFFFFFF < 0x80000000:
            self.rounds.setdefault(number, array("q")).append(index)
            target = -1
        if target < 0:
            self.targets[number] = nxt if una != nxt else -1

    def _name(self, number: int, tcb: Any) -> None:
        """Give a connection the fullest name known so far: local and remote address, or only the local one."""
        known: str = self.subjects[number]
        if tcb.raddr or tcb.lport or not known:
            subject = tcb.subject()
            if subject != known and (tcb.raddr or not known or known.endswith("-0.0.0.0:0")):
                self.subjects[number] = subject
                self.by_subject[self.objects[number][0], subject] = number

    # -- events ------------------------------------------------------------------------------------------------------

    def event(self, event: Event) -> None:
        """Called inside the core for each decision."""
        host: HostState | None = self.hosts.get(event.host)
        if host is None:
            return
        kind: str = event.kind
        index = self.packed + len(self.rows)
        self.states.event()
        if kind == "clock":
            host.clock = clock_after(event, host.clock)
        if host.clock is not None:
            event.time = host.clock.true(event.time)
        conn = self._conn(host, event, index)
        row = [
            event.time, host.number, kind, event.subject, event.endpoint, event.reason, event.rfc, None, host.frame,
            self.record, conn,
        ]  # fmt: skip
        self.rows.append(row)
        if kind == "frame.out":
            self.frame_events.append(index)
            self._frame_out(host, event, index, row)
        elif kind == "frame.in":
            self.frame_events.append(index)
            self._frame_in(host, event, index, row)
        elif kind == "call" or kind == "timer.fired":
            host.frame = -1
            row[_FRAME] = -1
            host.announced = []
            host.cause = [index] if kind == "timer.fired" else []
            row[_FIELDS] = plain_fields(event.fields)
            if kind == "call":
                self.ways.call(host.number, index)
                self.calls.append((row, event))
        else:
            row[_FIELDS] = plain_fields(event.fields)
            if kind in OUTGOING:
                host.announced.append(index)
            elif host.cause:
                host.cause.append(index)
            if conn < 0 and event.subject.startswith("arp "):
                self._arp(host, event)

    def _conn(self, host: HostState, event: Event, index: int) -> int:
        """Return the number of the connection that an event is about, after reading its state; or -1."""
        ident = event.endpoint  # object
        if not ident:
            return self.by_subject.get((host.number, event.subject), -1) if event.subject.startswith("tcp ") else -1
        endpoint = host.stack.endpoints.get(ident)  # object
        if not isinstance(endpoint, Tcb):
            return self.numbers.get((host.number, "tcp", ident), -1)
        tcb: Tcb = endpoint
        number = self._object(host.number, "tcp", ident, tcb)
        # The core gives an event the name that the connection has. So only another name is a reason to look.
        if not tcb.raddr or event.subject != self.subjects[number]:
            self._name(number, tcb)
        self._put(number, tcb, index)
        # A frame that arrived belongs to the first connection that its events name.
        if host.frame >= 0 and index > self.began:
            first: list[Any] = self.rows[self.began - self.packed]
            if first[_CONN] < 0 and first[_FRAME] == host.frame and first[_KIND] == "frame.in":
                first[_CONN] = number
        return number

    def _arp(self, host: HostState, event: Event) -> None:  # python
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
        number = self.frames_packed + len(self.frame_rows)
        announced = host.announced
        conn = -1
        for told in announced:
            if told >= self.began:
                other: list[Any] = self.rows[told - self.packed]
                other[_FRAME] = number
                conn = max(conn, other[_CONN])
        row[_FRAME] = number
        row[_CONN] = conn
        row[_FIELDS] = {"iface": iface, "length": len(data), "gso_size": gso}
        to = self.flights.sent(number, host.number, self.hosts, data, kind, gso, event.time)
        why = (*host.cause, *announced)
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
            number = self.frames_packed + len(self.frame_rows)
            self.flights.outside(number, index, host.number, event.time)
            self._add(event.time, host, iface, data, kind, 0, (), index, host.number, True, -1)
        host.frame = number
        row[_FRAME] = number
        row[_FIELDS] = {"iface": iface, "length": len(data)}

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
        self.frame_rows.append([time, sender, iface, data, length, kind, gso, summary, why, event, to, outside, conn])


def clock_after(event: Event, clock: HostClock | None) -> HostClock | None:  # python
    """The clock of a host after an event: a clock event says that it has another one."""
    if event.kind != "clock":
        return clock
    return HostClock(event.fields["true"], event.time, event.fields["ppb"], event.fields["offset"])


def plain_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an event as JSON can hold them. Most values are plain already, and then it is the same dict."""
    for value in fields.values():
        if type(value) not in PLAIN:
            return {name: plain(value) for name, value in fields.items()}
    return fields


def plain(value: Any, depth: int = 0) -> Any:  # python
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


def object_name(host: str, what: str, ident: int, subject: str) -> str:  # python
    """Return the key of an object in states: "a tcp 10.0.0.1:40000-10.0.0.2:80", "a arp 10.0.0.2"."""
    if what == "arp":
        return f"{host} arp {addr_text(ident)}"
    return f"{host} {subject}"
