"""What the walk looks up in a timeline."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from pystack.stepper.gathered import TIMER, signed
from pystack.stepper.records import CONN, HOST
from pystack.stepper.timeline import Timeline

NONE: "array[int]" = array("q")
#: how many rows of holds, and how many marks of lost segments, are looked at for one frame
MOST_ROWS, MOST_MARKS = 12, 512


class HeldBack(NamedTuple):
    """Data was held back since `time`, by these conditions. `phase` is that of the congestion window, if it was full."""

    time: int
    by: list[str]
    phase: str
    reason: str


class Lookup:
    """The inputs of each host, and the events that explain waits (gathered.py). Connections have their keys here.

    inputs, records, times, what, calls   by the number of a host
    kinds, first, sent, holds, lost_holds by the keys of connections
    """

    def __init__(self, timeline: Timeline):
        self.timeline = timeline
        gathered = timeline.gathered
        hosts = range(len(timeline.hosts))
        self.inputs = [gathered.inputs[host] for host in hosts]
        self.records = [gathered.records[host] for host in hosts]
        self.times = [gathered.times[host] for host in hosts]
        self.what = [gathered.what[host] for host in hosts]
        self.calls = [gathered.calls[host] for host in hosts]
        self.sets = gathered.sets
        self.reassembled = gathered.reassembled
        keys = timeline._keys
        self.kinds = {(kind, keys[conn]): found for (kind, conn), found in gathered.kinds.items()}
        self.first = {keys[conn]: index for conn, index in gathered.first.items()}
        self.sent = {keys[conn]: found for conn, found in gathered.sent.items()}
        self.holds = {keys[conn]: found for conn, found in gathered.holds.items()}
        self.lost_holds = {keys[conn]: found for conn, found in gathered.lost_holds.items()}

    @cached_property
    def _calls(self) -> dict[int, list[int]]:
        """By the number of a step of the programs, its calls."""
        found: dict[int, list[int]] = {}
        for call, step in self.timeline.ways.step_of.items():
            found.setdefault(step, []).append(call)
        return found

    def calls_of(self, step: int) -> list[int]:
        """Return the calls that a step made."""
        return self._calls.get(step, [])

    def input_of(self, index: int) -> int:
        """Return the index of the input during which an event happened, or -1: itself, if it is one."""
        events = self.timeline.events
        host = events.value(index, HOST)
        inputs = self.inputs[host]
        at = bisect_right(inputs, index)
        if not at:
            return -1
        found = inputs[at - 1]
        if self.what[host][at - 1] != TIMER or events.value(index, CONN) < 0:
            return found
        entry = events[index]
        # Several timers may have expired at once. Prefer the one of the same connection.
        for other in reversed(inputs[max(0, at - 16) : at]):
            one = events[other]
            if one.kind != "timer.fired" or one.record != events[found].record:
                break
            if one.conn == entry.conn:
                return other
        return found

    def around(self, cause: int, host: str) -> Sequence[int]:
        """Return the inputs of the same host that happened at the same time as one, itself included; 1,000 before and after it at most."""
        number = self.timeline.hosts.index(host)
        inputs, times = self.inputs[number], self.times[number]
        at = bisect_left(inputs, cause)
        first = last = at
        while first > 0 and times[first - 1] == times[at] and at - first < 1000:
            first -= 1
        while last + 1 < len(inputs) and times[last + 1] == times[at] and last - at < 1000:
            last += 1
        return inputs[first : last + 1]

    def input_before(self, host: int, record: int) -> int:
        """Return the last input of a host up to a record of the recording, or -1."""
        at = bisect_right(self.records[host], record)
        return self.inputs[host][at - 1] if at else -1

    def set_before(self, fired: int) -> int:
        """Return the timer.set that belongs to a timer.fired, or -1."""
        entry = self.timeline.events[fired]
        key = self.timeline.hosts.index(entry.host), entry.subject, entry.fields["timer"]
        found = self.sets.get(key, NONE)
        at = bisect_left(found, fired)
        return found[at - 1] if at else -1

    def last(self, kind: str, conn: str, before: int) -> int:
        """Return the last event of a kind of a connection before an index, or -1."""
        found = self.kinds.get((kind, conn), NONE)
        at = bisect_left(found, before)
        return found[at - 1] if at else -1

    def held(self, conn: str, seq: int, before: int) -> "list[HeldBack]":
        """Return the waits, before an event, of the data with a sequence number: one for each row of holds, the latest first."""
        holds = self.holds.get(conn)
        last = -1 if holds is None else bisect_left(holds.places, before) - 1
        if holds is None or last < 0:
            return []
        number = holds.ends[last] + signed(seq - holds.ends[last])
        first = bisect_right(holds.ends, number)
        found: list[HeldBack] = []
        while last >= first and len(found) < MOST_ROWS:
            begin = holds.rows[last]
            found.append(HeldBack(holds.times[max(first, begin)], *holds.why[begin]))
            last = begin - 1
        if last >= first:
            found[-1] = found[-1]._replace(time=holds.times[first])
        return found

    def lost_and_held(self, conn: str, seq: int, before: int) -> int:
        """Return the first hold of lost data after a sequence number was marked lost, or -1: its retransmission was not held."""
        places = self.lost_holds.get(conn, NONE)
        if not places or places[0] >= before:
            return -1
        mark = self.last("rto", conn, before)  # a timeout marks all data that is in flight
        marks = self.kinds.get(("tcp.lost", conn), NONE)
        end = bisect_left(marks, before)
        for at in reversed(marks[max(0, end - MOST_MARKS) : end]):
            fields = self.timeline.events[at].fields
            if at < mark or (seq - fields["seq"]) & 0xFFFFFFFF < fields["length"]:
                mark = max(mark, at)
                break
        found = bisect_left(places, mark)
        return places[found] if mark >= 0 and found < len(places) and places[found] < before else -1

    def first_sent(self, conn: str, seq: int) -> int:
        """Return the first tcp.out that carried the byte with a sequence number, which a connection has sent."""
        highest = self.sent[conn]
        number = highest[-1] + signed(seq - highest[-1])
        return self.kinds["tcp.out", conn][min(bisect_right(highest, number), len(highest) - 1)]

    def conn(self, index: int) -> str:
        """Return the connection that an event is about, or ""."""
        number = self.timeline.events.value(index, CONN)
        return self.timeline._keys[number] if number >= 0 else ""

    def what_is(self, input_: int) -> int:
        """Return what an input is: FRAME_IN, TIMER, CALL, RECV, SEND or CONNECT (gathered.py)."""
        host = self.timeline.events.value(input_, HOST)
        return self.what[host][bisect_left(self.inputs[host], input_)]

    def call_before(self, host: int, before: int) -> int:
        """Return the last call on a host before an event, or -1."""
        calls = self.calls[host]
        at = bisect_left(calls, before)
        return calls[at - 1] if at else -1

    def all(self, kind: str, conn: str) -> Sequence[int]:
        """Return all events of a kind of a connection."""
        return self.kinds.get((kind, conn), NONE)
