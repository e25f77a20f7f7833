"""What the walk looks up in a timeline, collected in one pass."""

from bisect import bisect_left, bisect_right
from typing import Any, NamedTuple

import pystack_c.const as C
from pystack.stepper.collect import CONN, FIELDS, HOST, KIND, REASON, RECORD, SUBJECT, TIME
from pystack.stepper.timeline import Timeline

INPUTS = ("frame.in", "timer.fired", "call")
#: the events of connections that the walk looks up by their kind
WANTED = ("tcp.out", "tcp.ooo", "tcp.rtt", "tcp.data", "tcp.acked", "tcp.lost", "frame.out")
#: all kinds of events that the lookup reads
READ = frozenset((*INPUTS, *WANTED, "timer.set", "tcp.hold", "tcp.cwnd", "ip.reassembled"))
#: how many rows of holds, and how many marks of lost segments, are looked at for one frame
MOST_ROWS, MOST_MARKS = 12, 512


class HeldBack(NamedTuple):
    """Data was held back since `time`, by these conditions. `phase` is that of the congestion window, if it was full."""

    time: int
    by: list[str]
    phase: str
    reason: str


class Holds:
    """The holds of new data of one connection.

    places, times  their indices and times
    ends           the sequence numbers (not wrapped) after the data that was written then
    rows           for each hold, the number of the first one of its row: the holds with the same conditions before it
    why            number of the first hold of a row -> its conditions, the phase of the congestion window, and the reason
    """

    def __init__(self) -> None:
        self.places: list[int] = []
        self.times: list[int] = []
        self.ends: list[int] = []
        self.rows: list[int] = []
        self.why: dict[int, tuple[list[str], str, str]] = {}


class Lookup:
    """The inputs of each host, and the events that explain waits.

    A host does something only while it works on an input: a frame that arrived, a timer that expired, or a call.
    """

    def __init__(self, timeline: Timeline):
        self.timeline = timeline
        hosts = len(timeline.hosts)
        self.inputs: list[list[int]] = [[] for _ in range(hosts)]
        self.records: list[list[int]] = [[] for _ in range(hosts)]
        self.times: list[list[int]] = [[] for _ in range(hosts)]
        #: (host, subject, timer) -> indices of timer.set
        self.sets: dict[tuple[int, str, str], list[int]] = {}
        #: (kind, connection) -> indices
        self.kinds: dict[tuple[str, str], list[int]] = {}
        #: connection -> the sequence numbers (not wrapped) after all that was sent, at each of its tcp.out
        self.sent: dict[str, list[int]] = {}
        #: connection -> its holds of new data
        self.holds: dict[str, Holds] = {}
        #: connection -> its holds of lost data
        self.lost_holds: dict[str, list[int]] = {}
        #: the events at which a host had all fragments of a datagram
        self.reassembled: list[int] = []
        #: connection -> its first congestion window, the one that it has now, and why it has changed
        self.windows: dict[str, tuple[int, int, str]] = {}
        keys = timeline._keys
        for index, row in enumerate(timeline.events.each()):
            if row[KIND] in READ:
                self._take(index, row, keys[row[CONN]] if row[CONN] >= 0 else "")
        #: number of a step of the programs -> its calls
        self._calls: dict[int, list[int]] = {}
        for call, step in timeline.ways.step_of.items():
            self._calls.setdefault(step, []).append(call)

    def _take(self, index: int, row: tuple[Any, ...], conn: str) -> None:
        kind, host, fields = row[KIND], row[HOST], row[FIELDS]
        if kind in INPUTS:
            self.inputs[host].append(index)
            self.records[host].append(row[RECORD])
            self.times[host].append(row[TIME])
            if kind == "timer.fired" and conn and fields["timer"] == "retransmission":
                self.kinds.setdefault(("rto", conn), []).append(index)
            elif kind == "call" and conn:
                self.kinds.setdefault(("call", conn), []).append(index)
        elif kind == "timer.set":
            self.sets.setdefault((host, row[SUBJECT], fields["timer"]), []).append(index)
        elif conn and kind in WANTED:
            self.kinds.setdefault((kind, conn), []).append(index)
            if kind == "tcp.out":
                after = fields["seq"] + max(fields["length"], 1 if fields["flags"] & (C.SYN | C.FIN) else 0)
                highest = self.sent.setdefault(conn, [])
                before = highest[-1] if highest else after
                highest.append(before + max(0, signed(after - before)))
        elif kind == "tcp.hold" and conn in self.sent:
            self._hold(index, conn, row)
        elif kind == "ip.reassembled":
            self.reassembled.append(index)
        elif kind == "tcp.cwnd":
            first = self.windows[conn][0] if conn in self.windows else max(1, fields["new"])
            self.windows[conn] = first, fields["new"], row[REASON]

    def _hold(self, index: int, conn: str, row: tuple[Any, ...]) -> None:
        """Take a hold. A row of holds with the same conditions in the same phase is one wait."""
        fields = row[FIELDS]
        if fields["data"] == "lost":
            self.lost_holds.setdefault(conn, []).append(index)
            return
        holds = self.holds.setdefault(conn, Holds())
        found = conditions(fields)
        phase = self.phase(conn) if found[0] == "cwnd" else ""
        if not holds.rows or holds.why[holds.rows[-1]][:2] != (found, phase):
            holds.why[len(holds.places)] = found, phase, row[REASON]
            holds.rows.append(len(holds.places))
        else:
            holds.rows.append(holds.rows[-1])
        holds.places.append(index)
        holds.times.append(row[TIME])
        holds.ends.append(max(self.sent[conn][-1] + fields["length"], holds.ends[-1] if holds.ends else 0))

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

    def around(self, cause: int, host: str) -> list[int]:
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
        found = self.sets.get(key, [])
        at = bisect_left(found, fired)
        return found[at - 1] if at else -1

    def last(self, kind: str, conn: str, before: int) -> int:
        """Return the last event of a kind of a connection before an index, or -1."""
        found = self.kinds.get((kind, conn), [])
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
