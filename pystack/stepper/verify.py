"""Is a timeline right? Its states are walked through forwards, backwards and forwards again, and a second replay agrees.

The second replay shares nothing with the first but the core: it reads each connection in full, with the core's own
`Tcb.snapshot`, where the timeline has differences between states.
"""

import hashlib
import io
from typing import Any, BinaryIO, NamedTuple

from pystack.stepper import snapshot
from pystack.stepper.timeline import Timeline
from pystack.trace.replay import Replay
from pystack_c.link import neighbor
from pystack_c.probe import Event, Probe
from pystack_c.tcp.tcb import Tcb


class VerificationError(AssertionError):
    """Two ways to the same state gave different ones; one line that says where."""


class Verified(NamedTuple):
    """What was compared: events, the states hashed (three times each), and values read again by the second replay."""

    events: int
    frames: int
    states: int
    values: int
    digest: str


def digest(timeline: Timeline, index: int) -> bytes:
    """The hash of everything that the timeline says of the state after an event."""
    state = timeline.states.at(index)
    return hashlib.blake2b(repr(sorted(state.items())).encode(), digest_size=16).digest()


def walk(timeline: Timeline) -> str:
    """Forwards to the end, backwards to the start, forwards again: the hash of all states, the same three times.

    The first time one state is made from the other by the differences, then these are taken back, and the last time each
    keyframe is begun from anew.
    """
    count = len(timeline.events)
    timeline.states.at(-1)
    forwards = [digest(timeline, index) for index in range(-1, count)]
    backwards = [digest(timeline, index) for index in range(count - 1, -2, -1)]
    backwards.reverse()
    keyframes = dict.fromkeys(timeline.states.key_at)
    again = []
    for index in range(-1, count):
        if index in keyframes:
            timeline.states.forget()
        again.append(digest(timeline, index))
    for name, other in (("backwards", backwards), ("forwards again", again)):
        for at, (one, two) in enumerate(zip(forwards, other)):
            if one != two:
                raise VerificationError(f"{timeline.name}: {name}, the state after event {at - 1} differs")
    return hashlib.blake2b(b"".join(forwards), digest_size=16).hexdigest()


class _Second(Probe):
    """The second replay's look at each event: what it says of the connection it is about."""

    def __init__(self, timeline: Timeline):
        self.timeline = timeline
        self.stacks: dict[str, Any] = {}
        self.index = -1
        self.values = 0
        self.open: tuple[int, str, int, dict[str, Any]] | None = None
        #: what differs first; told after the record, for an exception in the core's midst would be taken for a call's
        self.failure: VerificationError | None = None

    def event(self, event: Event) -> None:
        """Called inside the core for each decision."""
        if self.failure is None:
            try:
                self._event(event)
            except VerificationError as error:
                self.failure = error

    def _event(self, event: Event) -> None:
        """The event before this one, of the same record, is over: compare what it left."""
        self.compare_open()
        self.index += 1
        timeline = self.timeline
        if self.index >= len(timeline.events):
            raise VerificationError(f"{timeline.name}: the second replay has more events")
        entry = timeline.events[self.index]
        if (entry.time, entry.host, str(entry.kind), entry.reason) != (
            event.time,
            event.host,
            event.kind,
            event.reason,
        ):
            raise VerificationError(f"{timeline.name}: event {self.index} is {event.kind} in the second replay")
        stack = self.stacks[event.host]
        tcb = stack.endpoints.get(event.endpoint)
        if isinstance(tcb, Tcb):
            self.open = (self.index, event.host, event.endpoint, read(tcb))

    def compare_open(self) -> None:
        """The event's own connection, as it was when the event was told."""
        if self.open is not None:
            index, host, ident, values = self.open
            self.open = None
            self.compare(index, host, ident, values)

    def compare(self, index: int, host: str, ident: int, values: dict[str, Any]) -> None:
        """The timeline's values of a connection after event `index` against these."""
        timeline = self.timeline
        collector = timeline._collector
        number = collector.numbers.get((timeline.hosts.index(host), "tcp", ident))
        state = None if number is None else timeline.states.at(index).get(number)
        where = f"{timeline.name}: after event {index}, {host}'s endpoint {ident}"
        if state is None:
            raise VerificationError(f"{where} is missing")
        found = snapshot.as_dict(snapshot.FIELDS, state)
        for name, value in values.items():
            self.values += 1
            if found[name] != value:
                raise VerificationError(f"{where} has {name} {found[name]}, but the second replay {value}")

    def record_over(self) -> None:
        """At the end of a record, everything is compared: all connections and all ARP entries of all hosts."""
        self.open = None
        timeline = self.timeline
        state = timeline.states.at(self.index)
        objects = timeline._collector.objects
        there = {objects[number] for number in state}
        for host, stack in self.stacks.items():
            number = timeline.hosts.index(host)
            for ident, endpoint in stack.endpoints.items():
                if isinstance(endpoint, Tcb):
                    there.discard((number, "tcp", ident))
                    self.compare(self.index, host, ident, read(endpoint))
            for iface in stack.ifaces:
                for addr, entry in iface.neighbors.items():
                    there.discard((number, "arp", addr))
                    self.compare_arp(state, number, addr, entry)
        if there:
            raise VerificationError(
                f"{timeline.name}: after event {self.index}, the second replay lacks {sorted(there)}"
            )

    def compare_arp(self, state: Any, host: int, addr: int, entry: Any) -> None:
        """An ARP entry: its state, its MAC address, what waits, and its timer."""
        number = self.timeline._collector.numbers.get((host, "arp", addr), -1)
        values = state.get(number)
        self.values += 1
        mac = entry.mac.to_bytes(6, "big").hex(":")
        deadline = dict(values[5]).get("arp", -1) if values is not None else -1
        if (
            values is None
            or values[0] != neighbor.STATE_NAMES[entry.state]
            or values[1] not in ("", mac)
            or values[4] != len(entry.queue or ())
            or deadline != entry.timer.deadline
        ):
            raise VerificationError(f"{self.timeline.name}: after event {self.index}, an ARP entry differs")


def read(tcb: Any) -> dict[str, Any]:
    """A connection in full, in the core's words, and every further field that a timeline shows."""
    values: dict[str, Any] = {name: getattr(tcb, name) for name in snapshot.ATTRIBUTES}
    values.update((name, value) for name, value in tcb.snapshot().items() if name in snapshot.FIELDS)
    timers = (tcb.rto_timer, tcb.delack_timer, tcb.reorder_timer, tcb.wait_timer, tcb.keep_timer, tcb.pace_timer)
    values["timers"] = {snapshot.TIMER_NAMES[t.kind]: t.deadline for t in timers if t is not None and t.armed()}
    return values


def second_replay(timeline: Timeline, source: "bytes | BinaryIO") -> int:
    """Replay again, uncached and in full, and compare all states; returns how many values were compared."""
    second = _Second(timeline)
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    replay = Replay(file, probe=second)
    for record in replay.steps():
        for host in replay.hosts[len(second.stacks) :]:
            second.stacks[host.name] = host.stack
        if second.failure is not None:
            raise second.failure
        # What records without events of their own do belongs to the event before: look once the next one comes.
        at = second.index + 1
        if at > 0 and (at == len(timeline.events) or timeline.events[at].record == record.number + 1):
            second.record_over()
        second.open = None
    if second.index != len(timeline.events) - 1:
        raise VerificationError(f"{timeline.name}: the second replay has {second.index + 1} events")
    return second.values


def verify(timeline: Timeline, source: "bytes | BinaryIO | None" = None) -> Verified:
    """All of it; VerificationError where something is not the same. `source` is the recording, for the second replay."""
    total = walk(timeline)
    values = second_replay(timeline, source) if source is not None else 0
    return Verified(len(timeline.events), len(timeline.frames), 3 * (len(timeline.events) + 1), values, total)
