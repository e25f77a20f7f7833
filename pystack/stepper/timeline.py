"""A recording to look at: every event, frame and state of every host, made by one replay.

Long recordings need little memory: events and frames are packed in blocks (store.py), and states are keyframes and
deltas. You can ask for any index at any time, in any order.
"""

import io
import os
import traceback
from array import array
from collections.abc import Callable
from functools import cached_property
from typing import Any, BinaryIO, ClassVar

from pystack.stepper import snapshot
from pystack.stepper import states as states_of
from pystack.stepper.collect import Collector, StepReplay, object_name
from pystack.stepper.flight import EVERYBODY
from pystack.stepper.gathered import Gathered
from pystack.stepper.keys import ConnKey
from pystack.stepper.links import link
from pystack.stepper.records import CONN, DATA, EVENT_GROUPS, FIELDS, FRAME_GROUPS, HOST, KIND, Entry, Frame, kind_of
from pystack.stepper.sniff import foreign, is_capture
from pystack.stepper.store import FRAMES_BLOCK, Block, LooseRow, PackedColumns
from pystack.trace import format as fmt
from pystack.trace.errors import TraceError
from pystack.trace.replay import ReplayMismatch

#: kinds of events that end the sequence of events that an arrived frame causes
_ENDS = ("frame.in", "frame.out", "timer.fired", "call", "crash")
#: what a plot shows of a connection over time
SERIES = (
    "cwnd", "ssthresh", "in_flight", "srtt", "rttvar", "rto", "backoff", "snd_una", "snd_nxt", "snd_wnd", "rcv_nxt",
    "rcv_wnd", "state", "sacked", "lost", "total_retrans",
)  # fmt: skip

#: progress(bytes read, bytes in all)
Progress = Callable[[int, int], None]


class Timeline:
    """Everything that a view of the stepper shows. `load`, `of`, or a scenario's `timeline()` make one."""

    #: True for a capture (stepper/capture), whose frames are all that is known; the rest is inferred
    inferred = False
    #: the key logs of TLS that a capture contains
    secrets: "list[bytes]"
    #: (host, ns after the start) if the request to look at begins only then, with the next call of the host; a what-if sets it
    begins: "tuple[str, int] | None" = None
    #: the class for a capture (pystack/stepper/__init__.py sets it)
    of_capture: "ClassVar[type[Timeline]]"

    def _begin(self, name: str) -> None:
        """Set what a timeline has before anything is read into it."""
        self.name = name
        self.meta: dict[str, Any] = {}
        self.secrets = []
        self.crash = ""
        self.complete = False  # the recording is complete: it has an end record
        self.hosts: list[str] = []
        self.boxes: list[str] = []  # the names of the middleboxes among the hosts
        self.peer = ""
        self.events: PackedColumns[Entry] = PackedColumns(self._entry, EVENT_GROUPS, dicts=FIELDS)
        self.frames: PackedColumns[Frame] = PackedColumns(self._frame, FRAME_GROUPS, FRAMES_BLOCK, long=DATA)
        #: what the search for causes looks up
        self.gathered = Gathered(self.events)
        #: the indices of the events at which a frame was sent or arrived
        self.frame_events = array("q")
        #: by the number of a connection, the indices of the events at which a round trip ended
        self.rounds: dict[int, array[int]] = {}
        #: by number: the key, the kind ("tcp" or "arp") and the host of each object in the states
        self._keys: list[str] = []
        self._kinds: list[str] = []
        self._host_of: list[int] = []

    def __init__(
        self,
        source: BinaryIO,
        name: str,
        *,
        partial: bool = False,
        progress: "Progress | None" = None,
        size: int = 0,
        trusted: bool = False,
    ):
        self._begin(name)
        self._collector = Collector(self.events, self.frames)
        self._replay(source, partial, progress, size, trusted)
        self.gathered.finish()
        self._collector.ways.finish()
        self.states = self._collector.states
        self.ways = self._collector.ways
        self.hosts = list(self._collector.names)
        self.rounds = self._collector.rounds
        self.frame_events = self._collector.frame_events
        self._flights = self._collector.flights
        self._flights.pending.clear()
        self.boxes = [name for name, host in self._collector.hosts.items() if host.box]
        for host in self._collector.hosts.values():
            host.stack = None  # the replayed stack is no longer needed
        self._name_objects()
        self._find_lanes()
        self._series: dict[str, list[tuple[int, dict[str, Any]]]] = {}

    # -- making ------------------------------------------------------------------------------------------------------

    @classmethod
    def load(
        cls, path: str, *, partial: bool = False, progress: "Progress | None" = None, trusted: bool = False
    ) -> "Timeline":
        """Return the timeline of a recording's or capture's file. TraceError says in one line what is wrong with the file.

        If `partial` is true, a recording that was cut off, for example by a crash, is read as far as it goes. If
        `trusted` is true, a recording may have any size.
        """
        try:
            size = os.path.getsize(path)
            file = open(path, "rb")
        except OSError as error:
            raise TraceError(f"{path}: {error.strerror}") from None
        with file:
            return cls.of_file(file, path, partial=partial, progress=progress, size=size, trusted=trusted)

    @classmethod
    def of_file(cls, file: BinaryIO, name: str, **options: Any) -> "Timeline":
        """Return the timeline of an open file. The options are those of `load`, and `size`, for the progress."""
        head = file.read(512)
        file.seek(0)
        if is_capture(head):
            return cls.of_capture(file, name, **options)
        what = foreign(head)
        if what:
            raise TraceError(f"{name}: not a pystack recording: {what}")
        return cls(file, name, **options)

    @classmethod
    def of(cls, recording: bytes, name: str = "recording", *, partial: bool = False) -> "Timeline":
        """Return the timeline of a recording's or capture's bytes."""
        if is_capture(recording):
            return cls.of_capture(io.BytesIO(recording), name, partial=partial)
        what = foreign(recording[:512])
        if what:
            raise TraceError(f"{name}: not a pystack recording: {what}")
        return cls(io.BytesIO(recording), name, partial=partial)

    def _replay(self, source: BinaryIO, partial: bool, progress: "Progress | None", size: int, trusted: bool) -> None:
        collector = self._collector
        replay = None
        try:
            replay = StepReplay(source, probe=collector, partial=partial, name=self.name, trusted=trusted)
            replay.collector = collector
            done = 0
            for record in replay.steps():
                if record.kind == fmt.HOST:
                    if record.fields[0] in collector.hosts:
                        raise TraceError(
                            f"{self.name}: the recording is corrupted, because two hosts are named {record.fields[0]!r}"
                        )
                    collector.host_made(replay.hosts[-1].stack, not record.fields[2])
                collector.after(record.number)
                if progress is not None and replay.reader.position != done:
                    done = replay.reader.position
                    progress(done, size)
        except ReplayMismatch as difference:
            first = " ".join(str(difference).split())
            raise TraceError(f"{first}; it was changed, or made by another version of pystack") from None
        except TraceError as error:
            if not (partial and error.__cause__ is not None):
                raise
            self._crashed(error.__cause__)
        except Exception as error:
            # A core that fails, or a forged file, can raise any exception. With `partial`, the timeline ends there.
            if not partial:
                where = "" if replay is None else f" (after record {replay.reader.records})"
                what = f"{type(error).__name__}: {error}".splitlines()[0]
                raise TraceError(f"{self.name}: cannot be replayed: {what}{where}") from error
            self._crashed(error)
        if replay is not None:
            self.meta = replay.meta
            self.complete = replay.reader.complete and not self.crash
            self.start, self.end = max(replay.start, 0), max(replay.start, 0)
            if replay.start >= 0:
                self.end = max(replay.reader.time, self.start)
        if not collector.hosts:
            raise TraceError(f"{self.name}: the recording contains no host")

    def _crashed(self, error: BaseException) -> None:
        """The core raised an exception, as it did in the recorded run. The last event reports it."""
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        self.crash = f"{type(error).__name__}: {error}"
        collector = self._collector
        last = self.events.tail[-1] if self.events.tail else None
        host = last[HOST] if last is not None else 0
        collector.after(collector.record)
        collector.states.event()
        fields = {"traceback": "".join(lines)}
        time = last[0] if last is not None else 0
        self.events.append(
            [time, host, "crash", "", 0, f"the core raised {self.crash}", "", fields, -1, collector.record, -1]
        )

    def _name_objects(self) -> None:
        """Make the keys of connections. If a name is taken, the key gets a number after it."""
        collector = self._collector
        seen: dict[str, int] = {}
        for (host, what, ident), subject in zip(collector.objects, collector.subjects):
            name = object_name(self.hosts[host], what, ident, subject)
            seen[name] = seen.get(name, 0) + 1
            self._keys.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
        self._numbers = {name: number for number, name in enumerate(self._keys)}
        self._kinds = [what for _, what, _ in collector.objects]
        self._host_of = [host for host, _, _ in collector.objects]

    def _find_lanes(self) -> None:
        """Find the columns of a ladder: the hosts, and the world outside if a frame came from there or went there."""
        peer = str(self.meta.get("peer", "peer"))
        while peer in self.hosts:
            peer += "'"
        self.peer = peer
        self.lanes = self.hosts + ([peer] if self._collector.outside else [])

    # -- what there is -----------------------------------------------------------------------------------------------

    @property
    def connections(self) -> list[str]:
        """The keys of all TCP connections (and listeners), in the order in which they appeared."""
        return [key for key, kind in zip(self._keys, self._kinds) if kind == "tcp"]

    @cached_property
    def _of_ends(self) -> dict[tuple[str, str], list[str]]:
        """The keys of connections by their local and remote ends."""
        found: dict[tuple[str, str], list[str]] = {}
        for key in self.connections:
            parts = ConnKey.of(key)
            if not parts.unconnected:
                found.setdefault((parts.local, parts.remote), []).append(key)
        return found

    def other_end(self, conn: str) -> str:
        """Return the key of the other end of a connection, or "". Between networks that translate addresses, it is not found.

        If the ends had several connections, it is the one with the same number.
        """
        parts = ConnKey.of(conn)
        found = self._of_ends.get((parts.remote, parts.local), [])
        return next((key for key in found if ConnKey.of(key).number == parts.number), found[0] if found else "")

    def _entry(self, index: int, block: "Block | LooseRow", at: int) -> Entry:
        entry = Entry()
        entry._block, entry._at, entry._fields = block, at, None
        entry.index = index
        entry.time, host, kind, entry.frame, entry.record, conn = block.first(at)
        entry.host = self.hosts[host]
        entry.kind = kind_of(kind)
        entry.conn = self._keys[conn] if conn >= 0 else ""
        return entry

    def _frame(self, index: int, block: "Block | LooseRow", at: int) -> Frame:
        frame = Frame()
        frame._timeline, frame._data, frame._block, frame._at = self, None, block, at
        frame.index, frame.number = index, index + 1
        frame.time, host, frame.link, frame.gso_size, why, frame.event, to, frame.outside, conn = block.first(at)
        flights = self._flights
        frame.why = list(why)
        frame.host = self.peer if host < 0 else self.hosts[host]
        arrival = flights.arrival[index]
        frame.arrival = None if flights.event[index] < 0 else arrival
        frame.arrived = flights.event[index]
        if frame.arrived >= 0:
            to = flights.receiver[index]
        frame.to = "" if to == EVERYBODY else self.peer if to < 0 else self.hosts[to]
        frame.copies = [(time, self.hosts[at], event) for time, at, event in flights.copies.get(index, ())]
        frame.altered = index in flights.altered
        frame.conn = self._keys[conn] if conn >= 0 else ""
        return frame

    def kind(self, index: int) -> str:
        """Return the kind of an event without making an Entry of it."""
        return str(self.events.value(index, KIND))

    def missing(self, frame: Frame) -> str:
        """Return the fate of a frame that never arrived: "lost", or "unknown"."""
        if frame.to == self.peer and self.peer not in self.hosts:
            return "unknown"
        hosts = self.hosts
        if frame.host in hosts and frame.to in hosts:
            usual = self._flights.delay.get((hosts.index(frame.host), hosts.index(frame.to)), 0)
            if frame.time + usual >= self.end:
                return "unknown"  # still on the way when the recording ends
        return "lost"

    def effects(self, arrived: int) -> list[int]:
        """Return the indices of the events that the frame.in at index `arrived` caused."""
        found: list[int] = []
        if arrived < 0:
            return found
        host = self.events[arrived].host
        frame = self.events[arrived].frame
        for index in range(arrived + 1, len(self.events)):
            entry = self.events[index]
            if entry.host != host:
                continue
            if str(entry.kind) in _ENDS:
                break
            # Some decisions of the same work belong to the frame that is sent because of it, such as its route.
            if entry.frame == frame:
                found.append(index)
        return found

    def drops(self, arrived: int) -> list[str]:
        """Return what was dropped of the frame that arrived with the frame.in at index `arrived`, and why."""
        caused = [self.events[i] for i in self.effects(arrived)]
        taken = any(entry.kind == "raw.in" for entry in caused)
        # A DHCP client reads by a packet socket what is not addressed to the host yet, so that packet is not lost to it.
        return [
            entry.text()
            for entry in caused
            if entry.kind == "drop" and not (taken and entry.fields["name"] == "ip-not-for-us")
        ]

    # -- states ------------------------------------------------------------------------------------------------------

    def state(self, index: int, host: "str | None" = None) -> dict[str, dict[str, Any]]:
        """Return the connections (of one host) with their fields, right after event `index`; -1 is before the first."""
        return self._states(index, host, "tcp", snapshot.FIELDS)

    def arp(self, index: int, host: "str | None" = None) -> dict[str, dict[str, Any]]:
        """Return the ARP entries right after event `index`."""
        return self._states(index, host, "arp", snapshot.ARP_FIELDS)

    def _states(self, index: int, host: "str | None", what: str, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        wanted = -1 if host is None else self.hosts.index(host)
        return {
            self._keys[number]: snapshot.as_dict(names, values)
            for number, values in sorted(self.states.at(index).items())
            if self._kinds[number] == what and wanted in (-1, self._host_of[number])
        }

    def number_of(self, key: str) -> int | None:
        """Return the number of a connection or ARP entry in `states`, or None."""
        return self._numbers.get(key)

    def tcb(self, index: int, conn: str) -> "dict[str, Any] | None":
        """Return the fields of one connection right after event `index`, or None if it does not exist then."""
        number = self._numbers.get(conn)
        values = None if number is None else self.states.at(index).get(number)
        return None if values is None else snapshot.as_dict(snapshot.FIELDS, values)

    def diff(self, index: int) -> dict[str, dict[str, tuple[Any, Any]]]:
        """Return what event `index` changed: {key: {field: (before, after)}}. The key of an ARP entry contains " arp ".

        `before` is None for a new connection, and `after` is None for one that is gone.
        """
        if not 0 <= index < len(self.events):
            return {}
        found: dict[str, dict[str, tuple[Any, Any]]] = {}
        for number, places in self.states.changes(index).items():
            names = snapshot.FIELDS if self._kinds[number] == "tcp" else snapshot.ARP_FIELDS
            found[self._keys[number]] = {
                names[p]: (_timers(pair[0]), _timers(pair[1])) if names[p] == "timers" else pair
                for p, pair in places.items()
            }
        return found

    def timers(self, index: int) -> dict[str, dict[str, int]]:
        """Return the armed timers right after event `index`: {connection or ARP entry: {name: deadline}}."""
        found = {key: state["timers"] for key, state in (self.state(index) | self.arp(index)).items()}
        return {key: timers for key, timers in found.items() if timers}

    def series(self, key: str) -> list[tuple[int, dict[str, Any]]]:
        """Return the points at which one of SERIES changed: (time, {field: value}). `snd_wnd_edge` is SND.UNA +
        SND.WND.
        """
        if key not in self._series:
            self._series[key] = self._points(key)
        return self._series[key]

    def _points(self, key: str) -> list[tuple[int, dict[str, Any]]]:
        number = self._numbers[key]
        places = [snapshot.FIELDS.index(name) for name in SERIES]
        points: list[tuple[int, dict[str, Any]]] = []
        last: tuple[Any, ...] = ()
        state: states_of.Snapshot = {}
        for index, deltas in enumerate(self.states.deltas):
            own = tuple(delta for delta in deltas if delta[0] == number)
            if not own:
                continue
            states_of.apply(state, own)
            values = state.get(number)
            if values is None:
                continue
            chosen = tuple(values[place] for place in places)
            if chosen == last:
                continue
            last = chosen
            point = dict(zip(SERIES, chosen))
            point["snd_wnd_edge"] = (point["snd_una"] + point["snd_wnd"]) & 0xFFFFFFFF
            time = self.events[index].time
            if points and points[-1][0] == time:
                points.pop()
            points.append((time, point))
        return points

    def beyond(self, what: str) -> TraceError:
        """Return an error that says that `what` needs a recording. It is for a timeline that was inferred from a capture."""
        return TraceError(
            f"{self.name}: it is a capture, which contains no decisions of a stack; {what} needs a recording "
            "(`pystack up --record`, `Network.record`)"
        )

    # -- for faces ---------------------------------------------------------------------------------------------------

    @staticmethod
    def link(rfc: str) -> str:
        """Return the address of a reference (pystack.stepper.links), or "" if there is none: "RFC 6298 5.4" leads to
        that section.
        """
        return link(rfc)

    def to_json(self, first: int = 0, last: "int | None" = None) -> dict[str, Any]:
        """Return events `first` up to, but not including, `last`, their frames, and the states after each as
        differences, for JSON.
        """
        stop = len(self.events) if last is None else min(last, len(self.events))
        first = max(first, 0)
        entries = [
            self.events[i].as_dict() | {"diff": self.diff(i), "link": self.link(self.events[i].rfc)}
            for i in range(first, stop)
        ]
        numbers = sorted({entry["frame"] for entry in entries if entry["frame"] >= 0})
        return {
            "name": self.name,
            "meta": {str(key): str(value) for key, value in self.meta.items()},
            "hosts": self.hosts,
            "lanes": self.lanes,
            "peer": self.peer,
            "start": self.start,
            "end": self.end,
            "connections": self.connections,
            "first": first,
            "count": len(self.events),
            "state": {"tcp": self.state(first - 1), "arp": self.arp(first - 1)},
            "events": entries,
            "frames": [self.frames[i].as_dict() for i in numbers],
        }


def _timers(pairs: Any) -> Any:
    return None if pairs is None else dict(pairs)


__all__ = ["CONN", "FIELDS", "KIND", "SERIES", "Entry", "Frame", "Timeline"]
