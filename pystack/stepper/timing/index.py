"""What the walk looks up in a timeline, collected in one pass."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from itertools import count
from typing import Any, NamedTuple

import pystack_c.const as C
from pystack.stepper.collect import CONN, HOST, KIND, REASON, RECORD, SUBJECT, TIME
from pystack.stepper.store import Block
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
        #: the calls of each host
        self.calls: list[list[int]] = [[] for _ in range(hosts)]
        #: (host, subject, timer) -> indices of timer.set
        self.sets: defaultdict[tuple[int, str, str], list[int]] = defaultdict(list)
        #: (kind, connection) -> indices; "rto" are its retransmission timers that expired, and "text" its tcp.out with data
        self.kinds: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        #: connection -> the first input that is about it, but the calls that only make a socket do not count
        self.first: dict[str, int] = {}
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
        for first, block in timeline.events.each_block():
            self._take(first, block, timeline._keys)
        #: number of a step of the programs -> its calls
        self._calls: dict[int, list[int]] = {}
        for call, step in timeline.ways.step_of.items():
            self._calls.setdefault(step, []).append(call)

    def _take(self, first: int, block: Block, keys: list[str]) -> None:
        """Take the events of a block. Most work of a Lookup is in this loop, so it reads only the values that it needs."""
        columns = block.columns
        for index, kind, host, number in zip(count(first), columns[KIND], columns[HOST], columns[CONN]):
            if kind not in READ:
                continue
            conn = keys[number] if number >= 0 else ""
            if kind in INPUTS:
                self.inputs[host].append(index)
                self.records[host].append(columns[RECORD][index - first])
                self.times[host].append(columns[TIME][index - first])
                self._input(kind, host, conn, index, block, index - first)
            elif kind == "timer.set":
                at = index - first
                self.sets[host, columns[SUBJECT][at], block.field(at, "timer")].append(index)
            elif kind in WANTED:
                if conn:
                    self.kinds[kind, conn].append(index)
                    if kind == "tcp.out":
                        self._out(index, conn, block.fields(index - first))
            elif kind == "ip.reassembled":
                self.reassembled.append(index)
            else:
                at = index - first
                self._held_or_changed(kind, index, conn, block.fields(at), columns[TIME][at], columns[REASON][at])

    def _input(self, kind: str, host: int, conn: str, index: int, block: Block, at: int) -> None:
        makes = False
        if kind == "call":
            self.calls[host].append(index)
            if conn:
                self.kinds["call", conn].append(index)
                makes = conn not in self.first and block.field(at, "name") in ("tcp_open", "bind")
        elif kind == "timer.fired" and conn and block.field(at, "timer") == "retransmission":
            self.kinds["rto", conn].append(index)
        if conn and not makes and conn not in self.first:
            self.first[conn] = index

    def _out(self, index: int, conn: str, fields: dict[str, Any]) -> None:
        """Take a segment that was sent."""
        if fields["length"] > 0:
            self.kinds["text", conn].append(index)
        after = fields["seq"] + max(fields["length"], 1 if fields["flags"] & (C.SYN | C.FIN) else 0)
        highest = self.sent.setdefault(conn, [])
        before = highest[-1] if highest else after
        highest.append(before + max(0, signed(after - before)))

    def _held_or_changed(
        self, kind: str, index: int, conn: str, fields: dict[str, Any], time: int, reason: str
    ) -> None:
        """Take a hold, or a change of the congestion window."""
        if kind == "tcp.cwnd":
            first = self.windows[conn][0] if conn in self.windows else max(1, fields["new"])
            self.windows[conn] = first, fields["new"], reason
        elif conn in self.sent:
            self._hold(index, conn, fields, time, reason)

    def _hold(self, index: int, conn: str, fields: dict[str, Any], time: int, reason: str) -> None:
        """Take a hold. A row of holds with the same conditions in the same phase is one wait."""
        if fields["data"] == "lost":
            self.lost_holds.setdefault(conn, []).append(index)
            return
        holds = self.holds.setdefault(conn, Holds())
        found = conditions(fields)
        phase = self.phase(conn) if found[0] == "cwnd" else ""
        if not holds.rows or holds.why[holds.rows[-1]][:2] != (found, phase):
            holds.why[len(holds.places)] = found, phase, reason
            holds.rows.append(len(holds.places))
        else:
            holds.rows.append(holds.rows[-1])
        holds.places.append(index)
        holds.times.append(time)
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
        events = self.timeline.events
        inputs = self.inputs[events.value(index, HOST)]
        at = bisect_right(inputs, index)
        if not at:
            return -1
        found = inputs[at - 1]
        if events.value(found, KIND) != "timer.fired" or events.value(index, CONN) < 0:
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
        calls = self.calls[host]
        at = bisect_left(calls, before)
        return calls[at - 1] if at else -1

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
