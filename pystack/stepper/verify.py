"""Checks a timeline: walks its states forwards, backwards and forwards again, and compares them with a second replay.

The second replay shares only the core with the first. It reads each connection in full, with the core's own
`Tcb.snapshot`, whereas the timeline holds differences between states.
"""

import hashlib
import io
from typing import Any, BinaryIO, NamedTuple

from pystack.stepper import snapshot
from pystack.stepper.collect import clock_after
from pystack.stepper.timeline import Timeline
from pystack.trace.replay import Replay
from pystack_c.link import neighbor
from pystack_c.probe import TIMER_NAMES, Event, Probe
from pystack_c.tcp.tcb import Tcb


class VerificationError(AssertionError):
    """Two ways to the same state gave different ones. The message is one line that names the place."""


class Verified(NamedTuple):
    """The result of a verification: how many events, states (hashed three times each) and values were compared."""

    events: int
    frames: int
    states: int
    values: int
    digest: str


def digest(timeline: Timeline, index: int) -> bytes:
    """Return the hash of everything that the timeline holds about the state after an event."""
    state = timeline.states.at(index)
    return hashlib.blake2b(repr(sorted(state.items())).encode(), digest_size=16).digest()


def walk(timeline: Timeline) -> str:
    """Go forwards to the end, backwards to the start and forwards again. Return the hash of all states, equal all three
    times.

    The first walk applies the differences, the second one undoes them, and the last one starts again from each
    keyframe.
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
    """The second replay's probe: compares the connection of each event with the timeline."""

    def __init__(self, timeline: Timeline):
        self.timeline = timeline
        self.stacks: dict[str, Any] = {}
        self.index = -1
        self.values = 0
        self.open: tuple[int, str, int, dict[str, Any]] | None = None
        self.clocks: dict[str, Any] = {}
        #: The first difference. It is raised after the record, because an exception inside the core would be taken for
        #: a result of a call.
        self.failure: VerificationError | None = None

    def event(self, event: Event) -> None:
        """Called inside the core for each decision."""
        if self.failure is None:
            try:
                self._event(event)
            except VerificationError as error:
                self.failure = error

    def _event(self, event: Event) -> None:
        """The previous event of the same record is over, so compare the state that it left."""
        self.compare_open()
        self.index += 1
        timeline = self.timeline
        if self.index >= len(timeline.events):
            raise VerificationError(f"{timeline.name}: the second replay has more events")
        entry = timeline.events[self.index]
        clock = self.clocks[event.host] = clock_after(event, self.clocks.get(event.host))
        time = event.time if clock is None else clock.true(event.time)
        if (entry.time, entry.host, str(entry.kind), entry.reason) != (
            time,
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
        """Compare the event's own connection with its state when the core reported the event."""
        if self.open is not None:
            index, host, ident, values = self.open
            self.open = None
            self.compare(index, host, ident, values)

    def compare(self, index: int, host: str, ident: int, values: dict[str, Any]) -> None:
        """Compare the timeline's values of a connection after event `index` with these."""
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
        """At the end of a record, compare everything: all connections and all ARP entries of all hosts."""
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
        """Compare an ARP entry: its state, its MAC address, the packets that wait, and its timer."""
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
    """Read a connection in full: what the core's snapshot gives, and every further field that a timeline shows."""
    values: dict[str, Any] = {name: getattr(tcb, name) for name in snapshot.ATTRIBUTES}
    values.update((name, value) for name, value in tcb.snapshot().items() if name in snapshot.FIELDS)
    timers = (tcb.rto_timer, tcb.delack_timer, tcb.reorder_timer, tcb.wait_timer, tcb.keep_timer, tcb.pace_timer)
    values["timers"] = {TIMER_NAMES[t.kind]: t.deadline for t in timers if t is not None and t.armed()}
    return values


def second_replay(timeline: Timeline, source: "bytes | BinaryIO") -> int:
    """Replay again, without a cache and in full, and compare all states. Return how many values were compared."""
    second = _Second(timeline)
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    replay = Replay(file, probe=second)
    for record in replay.steps():
        for host in replay.hosts[len(second.stacks) :]:
            second.stacks[host.name] = host.stack
        if second.failure is not None:
            raise second.failure
        # Changes by records without events belong to the previous event, so compare when the next event comes.
        at = second.index + 1
        if at > 0 and (at == len(timeline.events) or timeline.events[at].record == record.number + 1):
            second.record_over()
        second.open = None
    if second.index != len(timeline.events) - 1:
        raise VerificationError(f"{timeline.name}: the second replay has {second.index + 1} events")
    return second.values


def verify(timeline: Timeline, source: "bytes | BinaryIO | None" = None) -> Verified:
    """Check everything. VerificationError says what differs. `source` is the recording, for the second replay."""
    total = walk(timeline)
    values = second_replay(timeline, source) if source is not None else 0
    return Verified(len(timeline.events), len(timeline.frames), 3 * (len(timeline.events) + 1), values, total)
