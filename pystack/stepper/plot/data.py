"""The numbers that the plots show, taken from a Timeline. The web page and the files draw the same numbers.

Times are nanoseconds since the recording's first event. Sequence numbers are relative to the initial one (ISS), and do
not wrap.
"""

import bisect
import re
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pystack.stepper.timeline import Timeline

M32 = 0xFFFFFFFF
FIN, SYN = 1, 2

#: kinds of a SegmentBar
DATA, RETRANSMISSION, SYN_FIN, PROBE = "data", "retransmission", "syn/fin", "probe"


class SegmentBar(NamedTuple):
    """A segment as its sender sent it: bytes `low` up to `high`. `event` and `frame` are its indices in the timeline."""

    time: int
    low: int
    high: int
    kind: str
    event: int
    frame: int
    lost: bool


class StepLine(NamedTuple):
    """A quantity that holds its value until the next change."""

    times: list[int]
    values: list[int]

    def at(self, time: int) -> int:
        """Return the value in force at a time (the first one before it starts)."""
        return self.values[max(bisect.bisect_right(self.times, time) - 1, 0)] if self.values else 0


class Sequence(NamedTuple):
    """The time-sequence graph (tcptrace's) of one direction, as its sender sees it."""

    key: str
    segments: list[SegmentBar]
    acked: StepLine
    edge: StepLine
    sacks: list[tuple[int, int, int, int]]  # time, low, high, event


class Rtt(NamedTuple):
    """Measured round trips (time, sample, event), and the SRTT and RTO computed from them.

    `rto` is the timeout in force: the computed one, doubled by each back-off (RFC 6298 5.5). `backoffs` has the time and
    the new timeout of each.
    """

    samples: list[tuple[int, int, int]]
    srtt: StepLine
    rto: StepLine
    backoffs: list[tuple[int, int]]


class Throughput(NamedTuple):
    """Bytes in slots of `width` nanoseconds: sent for the first time, retransmitted, acknowledged."""

    width: int
    times: list[int]
    first: list[int]
    again: list[int]
    acked: list[int]


class Unwrap:
    """Makes sequence numbers relative to `base`, beyond the wrap at 2**32. Each is assumed to be near the previous one."""

    def __init__(self, base: int):
        self.base = base
        self.last = 0

    def __call__(self, seq: int) -> int:
        """Return the number without the wrap."""
        delta = (seq - self.base - self.last) & M32
        if delta > 0x7FFFFFFF:
            delta -= M32 + 1
        self.last += delta
        return self.last


class LadderNote(NamedTuple):
    """What a host did besides sending and receiving: a change of state, a timer that fired, a call of a program."""

    event: int
    time: int
    host: str
    kind: str
    text: str


class Index:
    """What the plots need from all events, collected in one pass, because long recordings have a million events."""

    def __init__(self, timeline: "Timeline"):
        self.sent = dict.fromkeys(timeline.connections, 0)
        self.events: dict[str, list[int]] = {}
        self.notes: list[LadderNote] = []

    def take(self, entry: Any) -> None:
        """Take the next event."""
        kind = str(entry.kind)
        if kind in NOTED:
            text = note(entry, kind)
            if text:
                self.notes.append(LadderNote(entry.index, entry.time, entry.host, NOTED[kind], text))
        if entry.conn and kind in _DRAWN:
            self.events.setdefault(entry.conn, []).append(entry.index)
            if kind == "tcp.out":
                self.sent[entry.conn] = self.sent.get(entry.conn, 0) + 1 + int(entry.fields["length"])


#: kinds of events that are drawn
_DRAWN = ("tcp.out", "tcp.sack", "tcp.rtt", "tcp.rto")
#: kinds of events that are notes in a ladder, and the notes' kinds
NOTED = {"tcp.state": "state", "timer.fired": "timer", "call": "call"}
#: calls that only prepare, or only ask
_SILENT = (
    "tcp_open", "udp_open", "raw_open", "ping_open", "packet_open", "bind", "setsockopt", "getsockopt", "tcp_info",
)  # fmt: skip


def note(entry: Any, kind: str) -> str:
    """Return an event as a note in a ladder, or "" if it needs none. A listener's states are marked as the listener's."""
    fields = entry.fields
    if kind == "tcp.state":
        new = str(fields["new"])
        return f"listener {new}" if new == "CLOSED" and fields["old"] == "LISTEN" else new
    if kind == "timer.fired":
        return f"◷ {fields['timer']}"
    name = str(fields["name"]).rpartition(":")[2]
    if name in _SILENT:
        return ""
    waits = fields.get("result") is None and name in ("recv", "recvfrom", "accept")
    return f"{name} waits" if waits else name


_indexes: "weakref.WeakKeyDictionary[Timeline, Index]" = weakref.WeakKeyDictionary()


def keep_index(timeline: "Timeline", index: Index) -> None:
    """Keep an index that a caller has built while it went through all events for another purpose."""
    _indexes[timeline] = index


def index_of(timeline: "Timeline") -> Index:
    """Return the index of a timeline, which is made at the first request."""
    found = _indexes.get(timeline)
    if found is None:
        found = _indexes[timeline] = Index(timeline)
        for entry in timeline.events:
            found.take(entry)
    return found


def events_of(timeline: "Timeline", key: str) -> Iterator[Any]:
    """Yield the events of a connection that are drawn."""
    return (timeline.events[index] for index in index_of(timeline).events.get(key, ()))


def connections(timeline: "Timeline") -> list[str]:
    """Return the keys of the connections, the one that sent most data first, and listeners last."""
    sent = index_of(timeline).sent
    return sorted(sent, key=lambda key: -sent[key])


def find_connection(timeline: "Timeline", wanted: str | None) -> str:
    """Return the connection whose key contains `wanted`, or the one that sent most; ValueError if there is none."""
    keys = connections(timeline)
    if not keys:
        hint = ", so draw it with --kind ladder" if timeline.frames else ""
        raise ValueError(f"{timeline.name}: there is no TCP connection in it{hint}")
    for key in keys:
        if wanted is None or wanted in key:
            return key
    raise ValueError(f"no connection {wanted!r}; there are: {', '.join(keys)}")


def steps(timeline: "Timeline", key: str, field: str) -> StepLine:
    """Return one field of the block over time."""
    times: list[int] = []
    values: list[int] = []
    for time, fields in timeline.series(key):
        value = fields.get(field)
        if value is None or (values and values[-1] == value):
            continue
        times.append(time - timeline.start)
        values.append(value)
    return StepLine(times, values)


def sequence(timeline: "Timeline", key: str) -> Sequence:
    """Return the segments that `key` sends, the line of acknowledgements, the window's edge and the SACK blocks."""
    segments: list[SegmentBar] = []
    sacks: list[tuple[int, int, int, int]] = []
    highest, base, unwrap = 0, -1, Unwrap(0)
    for entry in events_of(timeline, key):
        if entry.kind == "tcp.out":
            if base < 0:
                # The first segment of a connection is its SYN, whose number is ISS.
                base = int(entry.fields["seq"])
                unwrap = Unwrap(base)
            segment = _segment(timeline, entry, unwrap(entry.fields["seq"]), highest)
            if segment is not None:
                highest = max(highest, segment.high)
                segments.append(segment)
        elif entry.kind == "tcp.sack":
            for left, right in entry.fields["blocks"]:
                sacks.append((entry.time - timeline.start, unwrap(left), unwrap(right), entry.index))
    return Sequence(key, segments, *_lines(timeline, key, base, segments), sacks)


def _segment(timeline: "Timeline", entry: Any, low: int, highest: int) -> SegmentBar | None:
    flags, length = entry.fields["flags"], entry.fields["length"]
    high = low + length + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
    if high == low:
        return None
    kind = SYN_FIN if length == 0 else DATA
    if low < highest:
        kind = RETRANSMISSION
    frame = sent_frame(timeline, entry)
    lost = frame is not None and frame.arrived < 0 and timeline.missing(frame) == "lost"
    return SegmentBar(
        entry.time - timeline.start, low, high, kind, entry.index, -1 if frame is None else frame.index, lost
    )


def sent_frame(timeline: "Timeline", entry: Any) -> Any:
    """Return the frame that a tcp.out became, or None if the segment waits for ARP or was not sent."""
    frame = timeline.frames[entry.frame] if entry.frame >= 0 else None
    return frame if frame is not None and frame.host == entry.host else None


def _lines(timeline: "Timeline", key: str, base: int, segments: list[SegmentBar]) -> tuple[StepLine, StepLine]:
    """Return SND.UNA and SND.UNA + SND.WND over time."""
    unwrap = Unwrap(base)
    acked, edge = StepLine([], []), StepLine([], [])
    first = segments[0].time if segments else 0
    for time, fields in timeline.series(key):
        when = time - timeline.start
        if "snd_una" not in fields or when < first:
            continue
        una = unwrap(fields["snd_una"])
        _change(acked, when, una)
        _change(edge, when, una + fields.get("snd_wnd", 0))
    return acked, edge


def _change(line: StepLine, time: int, value: int) -> None:
    if line.values and line.values[-1] == value:
        return
    line.times.append(time)
    line.values.append(value)


def rtt(timeline: "Timeline", key: str) -> Rtt:
    """Return the round trips that `key` measured."""
    samples = []
    backoffs = []
    for entry in events_of(timeline, key):
        if entry.kind == "tcp.rtt":
            samples.append((entry.time - timeline.start, int(entry.fields["sample"]), entry.index))
        elif entry.kind == "tcp.rto":
            backoffs.append((entry.time - timeline.start, int(entry.fields["new"])))
    return Rtt(samples, steps(timeline, key, "srtt"), _in_force(timeline, key, backoffs), backoffs)


def _in_force(timeline: "Timeline", key: str, backoffs: list[tuple[int, int]]) -> StepLine:
    """Return the timeout over time, with its back-off: TCB's `rto` does not contain the doublings."""
    doubled = dict(backoffs)
    line = StepLine([], [])
    held = 0
    for time, fields in timeline.series(key):
        when = time - timeline.start
        if when in doubled:
            held = doubled[when]
        elif not fields.get("backoff"):
            held = 0
        timeout = held or fields.get("rto")  # a capture does not say what the stack's timer was
        if timeout is not None:
            _change(line, when, timeout)
    return line


def throughput(timeline: "Timeline", key: str, slots: int = 60) -> Throughput:
    """Return what `key` sent and what was acknowledged, in equal slots of time."""
    seq = sequence(timeline, key)
    busy = [segment.time for segment in seq.segments] + seq.acked.times
    if not busy:
        return Throughput(1, [], [], [], [])
    begin, end = min(busy), max(busy)
    width = max((end - begin) // slots + 1, 1)
    count = (end - begin) // width + 1
    first, again, acked = [0] * count, [0] * count, [0] * count
    for segment in seq.segments:
        into = again if segment.kind == RETRANSMISSION else first
        into[(segment.time - begin) // width] += segment.high - segment.low
    before = 0
    for time, value in zip(seq.acked.times, seq.acked.values):
        acked[(time - begin) // width] += max(value - before, 0)
        before = value
    return Throughput(width, [begin + i * width for i in range(count)], first, again, acked)


def short(summary: str) -> str:
    """Return a frame's summary without the addresses, which a ladder shows anyway, and without the options."""
    text = re.sub(r"^IP6? ", "", summary)
    # An IPv6 address such as :: may end before ": ", too.
    stop = text.find(": ", max(text.find(" > "), 0))
    if stop >= 0 and " > " in text[:stop]:
        text = text[stop + 2 :]
    text = re.sub(r", options \[[^][]*\]", "", text)
    text = re.sub(r"Flags \[([^][]*)\]", r"[\1]", text)
    text = re.sub(r"^(ICMP |ICMP6, |ARP, )", "", text)
    return text.replace(", length ", ", len ").replace(",", "")
