"""What the walk looks up in a timeline, collected in one pass."""

from bisect import bisect_left, bisect_right
from typing import Any

import pystack_c.const as C
from pystack.stepper.collect import CONN, FIELDS, HOST, KIND, REASON, RECORD, SUBJECT
from pystack.stepper.records import Entry
from pystack.stepper.timeline import Timeline

INPUTS = ("frame.in", "timer.fired", "call")
#: the events of connections that the walk looks up by their kind
WANTED = ("tcp.out", "tcp.ooo", "tcp.rtt", "tcp.data", "tcp.acked", "frame.out")


class Lookup:
    """The inputs of each host, and the events that explain waits.

    A host does something only while it works on an input: a frame that arrived, a timer that expired, or a call.
    """

    def __init__(self, timeline: Timeline):
        self.timeline = timeline
        hosts = len(timeline.hosts)
        self.inputs: list[list[int]] = [[] for _ in range(hosts)]
        self.records: list[list[int]] = [[] for _ in range(hosts)]
        #: (host, subject, timer) -> indices of timer.set
        self.sets: dict[tuple[int, str, str], list[int]] = {}
        #: (kind, connection) -> indices
        self.kinds: dict[tuple[str, str], list[int]] = {}
        #: connection -> the sequence numbers (not wrapped) after all that was sent, at each of its tcp.out
        self.sent: dict[str, list[int]] = {}
        #: connection -> its holds of new data: indices, and the sequence numbers (not wrapped) after the data that was written then
        self.holds: dict[str, tuple[list[int], list[int]]] = {}
        for index in range(len(timeline.events)):
            self._take(index)

    def _take(self, index: int) -> None:
        timeline = self.timeline
        row: Any = timeline.events.raw(index)
        if isinstance(row, Entry):
            kind, host, subject, record = str(row.kind), timeline.hosts.index(row.host), row.subject, row.record
            conn, fields, reason = row.conn, row.fields, row.reason
        else:
            kind, host, subject, record = row[KIND], row[HOST], row[SUBJECT], row[RECORD]
            conn, fields, reason = timeline._keys[row[CONN]] if row[CONN] >= 0 else "", row[FIELDS], row[REASON]
        if kind in INPUTS:
            self.inputs[host].append(index)
            self.records[host].append(record)
        elif kind == "timer.set":
            self.sets.setdefault((host, subject, fields["timer"]), []).append(index)
        elif conn and kind in WANTED:
            self.kinds.setdefault((kind, conn), []).append(index)
            if kind == "tcp.out":
                after = fields["seq"] + max(fields["length"], 1 if fields["flags"] & (C.SYN | C.FIN) else 0)
                highest = self.sent.setdefault(conn, [])
                before = highest[-1] if highest else after
                highest.append(before + max(0, signed(after - before)))
        elif kind == "tcp.hold" and conn in self.sent and "lost data" not in reason:
            places, ends = self.holds.setdefault(conn, ([], []))
            places.append(index)
            ends.append(max(self.sent[conn][-1] + fields["length"], ends[-1] if ends else 0))

    def input_of(self, index: int) -> int:
        """Return the index of the input during which an event happened, or -1: itself, if it is one."""
        entry = self.timeline.events[index]
        inputs = self.inputs[self.timeline.hosts.index(entry.host)]
        at = bisect_right(inputs, index)
        if not at:
            return -1
        found = inputs[at - 1]
        if self.timeline.kind(found) != "timer.fired" or not entry.conn:
            return found
        # Several timers may have expired at once. Prefer the one of the same connection.
        for other in reversed(inputs[max(0, at - 16) : at]):
            one = self.timeline.events[other]
            if one.kind != "timer.fired" or one.record != self.timeline.events[found].record:
                break
            if one.conn == entry.conn:
                return other
        return found

    def around(self, cause: int) -> list[int]:
        """Return the inputs of the same host that happened at the same time as one, itself included."""
        entry = self.timeline.events[cause]
        inputs = self.inputs[self.timeline.hosts.index(entry.host)]
        at = bisect_left(inputs, cause)
        first = last = at
        while first > 0 and self.timeline.events[inputs[first - 1]].time == entry.time and at - first < 1000:
            first -= 1
        while last + 1 < len(inputs) and self.timeline.events[inputs[last + 1]].time == entry.time and last - at < 1000:
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
        found = self.sets.get(key, [])
        at = bisect_left(found, fired)
        return found[at - 1] if at else -1

    def last(self, kind: str, conn: str, before: int) -> int:
        """Return the last event of a kind of a connection before an index, or -1."""
        found = self.kinds.get((kind, conn), [])
        at = bisect_left(found, before)
        return found[at - 1] if at else -1

    def held_since(self, conn: str, seq: int, before: int) -> tuple[int, int]:
        """Return the first and the last hold, before an event, of the data with a sequence number; (-1, -1) if it was not held."""
        places, ends = self.holds.get(conn, ([], []))
        last = bisect_left(places, before) - 1
        if last < 0:
            return -1, -1
        number = ends[last] + signed(seq - ends[last])
        first = bisect_right(ends, number)
        return (places[first], places[last]) if first <= last else (-1, -1)

    def first_sent(self, conn: str, seq: int) -> int:
        """Return the first tcp.out that carried the byte with a sequence number, which a connection has sent."""
        highest = self.sent[conn]
        number = highest[-1] + signed(seq - highest[-1])
        return self.kinds["tcp.out", conn][min(bisect_right(highest, number), len(highest) - 1)]

    def call_before(self, host: int, before: int) -> int:
        """Return the last call on a host before an event, or -1."""
        inputs = self.inputs[host]
        at = bisect_left(inputs, before) - 1
        while at >= 0 and self.timeline.kind(inputs[at]) != "call":
            at -= 1
        return inputs[at] if at >= 0 else -1

    def all(self, kind: str, conn: str) -> list[int]:
        """Return all events of a kind of a connection."""
        return self.kinds.get((kind, conn), [])


def signed(number: int) -> int:
    """Return a difference of sequence numbers as a number from -2**31 on."""
    return ((number + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
