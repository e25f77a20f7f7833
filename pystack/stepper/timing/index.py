"""What the walk looks up in a timeline, collected in one pass."""

from bisect import bisect_left, bisect_right
from typing import Any

import pystack_c.const as C
from pystack.stepper.collect import CONN, FIELDS, HOST, KIND, REASON, RECORD, SUBJECT
from pystack.stepper.records import Entry
from pystack.stepper.timeline import Timeline

INPUTS = ("frame.in", "timer.fired", "call")
#: the events of connections that the walk looks up by their kind
WANTED = ("tcp.out", "tcp.ooo", "tcp.rtt", "tcp.data", "tcp.acked", "tcp.lost", "frame.out")
#: how many rows of holds, and how many marks of lost segments, are looked at for one frame
MOST_ROWS, MOST_MARKS = 12, 512


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
        #: connection -> for each of its holds, the number of the first one in the row of holds with the same conditions
        self.rows: dict[str, list[int]] = {}
        self._last_row: dict[str, tuple[list[str], str]] = {}
        #: the first hold of a row -> in which phase the congestion window was, if it held the data
        self.phases: dict[int, str] = {}
        #: connection -> its first congestion window, the one that it has now, and why it has changed
        self.windows: dict[str, tuple[int, int, str]] = {}
        #: connection -> its holds of lost data
        self.lost_holds: dict[str, list[int]] = {}
        for index in range(len(timeline.events)):
            self._take(index)
        #: number of a step of the programs -> its calls
        self._calls: dict[int, list[int]] = {}
        for call, step in timeline.ways.step_of.items():
            self._calls.setdefault(step, []).append(call)

    def _take(self, index: int) -> None:
        timeline = self.timeline
        row: Any = timeline.events.raw(index)
        if isinstance(row, Entry):
            kind, host, subject, record = str(row.kind), timeline.hosts.index(row.host), row.subject, row.record
            conn, fields, reason = row.conn, row.fields, row.reason
        else:
            kind, host, subject, record = row[KIND], row[HOST], row[SUBJECT], row[RECORD]
            conn, fields = timeline._keys[row[CONN]] if row[CONN] >= 0 else "", row[FIELDS]
            reason = row[REASON]
        if kind in INPUTS:
            self.inputs[host].append(index)
            self.records[host].append(record)
            if kind == "timer.fired" and conn and fields["timer"] == "retransmission":
                self.kinds.setdefault(("rto", conn), []).append(index)
            elif kind == "call" and conn:
                self.kinds.setdefault(("call", conn), []).append(index)
        elif kind == "timer.set":
            self.sets.setdefault((host, subject, fields["timer"]), []).append(index)
        elif conn and kind in WANTED:
            self.kinds.setdefault((kind, conn), []).append(index)
            if kind == "tcp.out":
                after = fields["seq"] + max(fields["length"], 1 if fields["flags"] & (C.SYN | C.FIN) else 0)
                highest = self.sent.setdefault(conn, [])
                before = highest[-1] if highest else after
                highest.append(before + max(0, signed(after - before)))
        elif kind == "tcp.hold" and conn in self.sent:
            self._hold(index, conn, fields)
        elif kind == "tcp.cwnd":
            first = self.windows[conn][0] if conn in self.windows else max(1, fields["new"])
            self.windows[conn] = first, fields["new"], reason

    def _hold(self, index: int, conn: str, fields: dict[str, Any]) -> None:
        """Take a hold. A row of holds with the same conditions in the same phase is one wait."""
        if fields["data"] == "lost":
            self.lost_holds.setdefault(conn, []).append(index)
            return
        places, ends = self.holds.setdefault(conn, ([], []))
        rows = self.rows.setdefault(conn, [])
        found = conditions(fields)
        phase = self.phase(conn) if found[0] == "cwnd" else ""
        same = bool(places) and self._last_row[conn] == (found, phase)
        self._last_row[conn] = found, phase
        rows.append(rows[-1] if same else len(places))
        if not same:
            self.phases[index] = phase
        places.append(index)
        ends.append(max(self.sent[conn][-1] + fields["length"], ends[-1] if ends else 0))

    def phase(self, conn: str) -> str:
        """Return what the congestion window of a connection did last. Slow start doubles it in each round trip, so its size says which one it is."""
        if conn not in self.windows:
            return ""
        initial, now, reason = self.windows[conn]
        if "slow start" in reason or "initial window" in reason:
            return f"slow start, round {1 + (-(-now // initial) - 1).bit_length()}"
        return "congestion avoidance" if "avoidance" in reason else "after a loss or a mark"

    def calls_of(self, step: int) -> list[int]:
        """Return the calls that a step made."""
        return self._calls.get(step, [])

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

    def held(self, conn: str, seq: int, before: int) -> list[tuple[int, str]]:
        """Return the holds, before an event, of the data with a sequence number: the first one of each row, the latest first, with its phase."""
        places, ends = self.holds.get(conn, ([], []))
        last = bisect_left(places, before) - 1
        if last < 0:
            return []
        number = ends[last] + signed(seq - ends[last])
        first = bisect_right(ends, number)
        found: list[tuple[int, str]] = []
        while last >= first and len(found) < MOST_ROWS:
            begin = self.rows[conn][last]
            found.append((places[max(first, begin)], self.phases[places[begin]]))
            last = begin - 1
        if last >= first:
            found[-1] = places[first], found[-1][1]
        return found

    def lost_and_held(self, conn: str, seq: int, before: int) -> int:
        """Return the first hold of lost data after a sequence number was marked lost, or -1: its retransmission was not held."""
        places = self.lost_holds.get(conn, [])
        if not places or places[0] >= before:
            return -1
        mark = self.last("rto", conn, before)  # a timeout marks all data that is in flight
        marks = self.kinds.get(("tcp.lost", conn), [])
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


def conditions(fields: dict[str, Any]) -> list[str]:
    """Return the conditions of a hold, the first one first. Pacing counts only alone: beside others, it does not last as long as they do."""
    found = str(fields["by"]).split(", ")
    return [name for name in found if name != "pacing"] or found


def signed(number: int) -> int:
    """Return a difference of sequence numbers as a number from -2**31 on."""
    return ((number + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
