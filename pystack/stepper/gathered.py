"""What the search for causes (timing/) looks up in all events of a recording. It is collected while the recording is opened, so that the first answer need not read everything again."""

from array import array
from collections import defaultdict
from typing import Any

import pystack_c.const as C
from pystack.stepper.records import CONN, FIELDS, HOST, KIND, REASON, RECORD, SUBJECT, TIME, Entry
from pystack.stepper.store import PackedColumns

#: what an input is: a frame that arrived, a timer that expired, or a call, by its name
FRAME_IN, TIMER, CALL, RECV, SEND, CONNECT = range(6)
INPUTS = {"frame.in": FRAME_IN, "timer.fired": TIMER, "call": CALL}
VERBS = ("recv", RECV), ("send", SEND), ("connect", CONNECT)
#: the events of connections that are looked up by their kind
WANTED = frozenset(("tcp.out", "tcp.ooo", "tcp.rtt", "tcp.data", "tcp.acked", "tcp.lost", "frame.out"))
#: all kinds of events that are looked up
READ = WANTED | set(INPUTS) | {"timer.set", "tcp.hold", "tcp.cwnd", "ip.reassembled"}
#: times of a forged file may have any size
LATEST = (1 << 63) - 1


def bounded(time: int) -> int:
    """Return a time that fits into an array."""
    return max(-LATEST, min(time, LATEST))


def places() -> "array[int]":
    """Return an empty list of indices or times. An array needs less memory than a list."""
    return array("q")


def _codes() -> "array[int]":
    return array("b")


class Holds:
    """The holds of new data of one connection.

    places, times  their indices and times
    ends           the sequence numbers (not wrapped) after the data that was written then
    rows           for each hold, the number of the first one of its row: the holds with the same conditions before it
    why            number of the first hold of a row -> its conditions, the phase of the congestion window, and the reason
    """

    def __init__(self) -> None:
        self.places = places()
        self.times = places()
        self.ends = places()
        self.rows = places()
        self.why: dict[int, tuple[list[str], str, str]] = {}


class Gathered:
    """The inputs of each host, and the events that explain waits. Connections have their numbers here.

    A host does something only while it works on an input: a frame that arrived, a timer that expired, or a call.
    """

    def __init__(self, events: "PackedColumns[Entry]"):
        self._events = events
        events.watch = self.take
        #: by the number of a host, its inputs: their indices, the recording's records, their times, and what they are
        self.inputs: defaultdict[int, array[int]] = defaultdict(places)
        self.records: defaultdict[int, array[int]] = defaultdict(places)
        self.times: defaultdict[int, array[int]] = defaultdict(places)
        self.what: defaultdict[int, array[int]] = defaultdict(_codes)
        #: by the number of a host, its calls
        self.calls: defaultdict[int, array[int]] = defaultdict(places)
        #: (host, subject, timer) -> indices of timer.set
        self.sets: defaultdict[tuple[int, str, str], array[int]] = defaultdict(places)
        #: (kind, connection) -> indices; "rto" are its retransmission timers that expired, and "text" its tcp.out with data
        self.kinds: defaultdict[tuple[str, int], array[int]] = defaultdict(places)
        #: connection -> the first input that is about it, but the calls that only make a socket do not count
        self.first: dict[int, int] = {}
        #: connection -> the sequence numbers (not wrapped) after all that was sent, at each of its tcp.out
        self.sent: dict[int, array[int]] = {}
        #: connection -> its holds of new data
        self.holds: dict[int, Holds] = {}
        #: connection -> its holds of lost data
        self.lost_holds: defaultdict[int, array[int]] = defaultdict(places)
        #: the events at which a host had all fragments of a datagram
        self.reassembled = places()
        #: connection -> its first congestion window, the one that it has now, and why it has changed
        self.windows: dict[int, tuple[int, int, str]] = {}

    def finish(self) -> None:
        """Take the events that are not packed. Call this when no more follow."""
        rows = self._events.tail
        self.take(len(self._events) - len(rows), rows)

    def take(self, first: int, rows: list[list[Any]]) -> None:
        """Take events. Most work is in this loop, so it reads only the values that it needs."""
        for index, row in enumerate(rows, first):
            kind = row[KIND]
            if kind not in READ:
                continue
            conn = row[CONN]
            if kind in WANTED:
                if conn >= 0:
                    self.kinds[kind, conn].append(index)
                    if kind == "tcp.out":
                        self._out(index, conn, row[FIELDS])
            elif kind in INPUTS:
                self._input(index, kind, row)
            elif kind == "timer.set":
                self.sets[row[HOST], row[SUBJECT], row[FIELDS]["timer"]].append(index)
            elif kind == "ip.reassembled":
                self.reassembled.append(index)
            elif kind == "tcp.hold":
                if conn in self.sent:
                    self._hold(index, conn, row)
            elif conn >= 0:
                self._window(conn, row[FIELDS], row[REASON])

    def _input(self, index: int, kind: str, row: list[Any]) -> None:
        host, conn, fields = row[HOST], row[CONN], row[FIELDS]
        what, makes = INPUTS[kind], False
        if what == CALL:
            name = str(fields["name"])
            what = next((verb for word, verb in VERBS if name.startswith(word)), CALL)
            self.calls[host].append(index)
            if conn >= 0:
                self.kinds["call", conn].append(index)
                makes = name in ("tcp_open", "bind")
        elif what == TIMER and conn >= 0 and fields["timer"] == "retransmission":
            self.kinds["rto", conn].append(index)
        self.inputs[host].append(index)
        self.records[host].append(row[RECORD])
        self.times[host].append(bounded(row[TIME]))
        self.what[host].append(what)
        if conn >= 0 and not makes and conn not in self.first:
            self.first[conn] = index

    def _out(self, index: int, conn: int, fields: dict[str, Any]) -> None:
        """Take a segment that was sent."""
        length = fields["length"]
        if length > 0:
            self.kinds["text", conn].append(index)
        after = fields["seq"] + max(length, 1 if fields["flags"] & (C.SYN | C.FIN) else 0)
        highest = self.sent.get(conn)
        if highest is None:
            highest = self.sent[conn] = places()
        before = highest[-1] if highest else after
        highest.append(before + max(0, signed(after - before)))

    def _window(self, conn: int, fields: dict[str, Any], reason: str) -> None:
        """Take a change of the congestion window."""
        first = self.windows[conn][0] if conn in self.windows else max(1, fields["new"])
        self.windows[conn] = first, fields["new"], reason

    def _hold(self, index: int, conn: int, row: list[Any]) -> None:
        """Take a hold. A row of holds with the same conditions in the same phase is one wait."""
        fields = row[FIELDS]
        if fields["data"] == "lost":
            self.lost_holds[conn].append(index)
            return
        holds = self.holds.get(conn)
        if holds is None:
            holds = self.holds[conn] = Holds()
        found = conditions(fields)
        phase = self._phase(conn) if found[0] == "cwnd" else ""
        if not holds.rows or holds.why[holds.rows[-1]][:2] != (found, phase):
            holds.why[len(holds.places)] = found, phase, row[REASON]
            holds.rows.append(len(holds.places))
        else:
            holds.rows.append(holds.rows[-1])
        holds.places.append(index)
        holds.times.append(bounded(row[TIME]))
        holds.ends.append(max(self.sent[conn][-1] + fields["length"], holds.ends[-1] if holds.ends else 0))

    def _phase(self, conn: int) -> str:
        """Return what the congestion window of a connection did last. Slow start doubles it in each round trip, so its size says which one it is."""
        if conn not in self.windows:
            return ""
        initial, now, reason = self.windows[conn]
        if "slow start" in reason or "initial window" in reason:
            return f"slow start, round {1 + (-(-now // initial) - 1).bit_length()}"
        return "congestion avoidance" if "avoidance" in reason else "after a loss or a mark"


def conditions(fields: dict[str, Any]) -> list[str]:
    """Return the conditions of a hold, the first one first. Pacing counts only alone: beside others, it does not last as long as they do."""
    found = str(fields["by"]).split(", ")
    return [name for name in found if name != "pacing"] or found


def signed(number: int) -> int:
    """Return a difference of sequence numbers as a number from -2**31 on."""
    return ((number + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
