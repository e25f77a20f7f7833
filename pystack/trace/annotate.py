"""Turns the probe's events into frames with their story: what arrived, what the stack decided, what it sent and why.

The rule that groups events (docs/explanation/architecture.md): the events after a `frame.in` belong to that frame, up
to the next frame, timer or call. Events that announce a frame (OUTGOING) belong to the `frame.out` after them, and so
do the decisions of a timer or a call before it.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import pystack_c.const as C
from pystack.phy.segmenter import finish_checksum
from pystack.trace import pcapng
from pystack.trace.summary import Summarizer
from pystack_c.base.address import addr_text
from pystack_c.probe import Event, Probe

IN = "in"
OUT = "out"
TIMER = "timer"
CALL = "call"

#: the kinds that begin a record of their own
_BEGINS = {"frame.in": IN, "timer.fired": TIMER, "call": CALL}
#: the kinds that give the reason for the next frame
OUTGOING = frozenset(
    (
        "tcp.out",
        "icmp.out",
        "udp.out",
        "arp.send",
        "ip.fragment",
        "ip.forward",
        "tcp.retransmit",
        "tcp.probe",
        "route",
        "box",
        "bridge",
        "qdisc",
    )
)
#: the kinds that are kept in `events` but not described, because they would hide the others
QUIET = frozenset(("timer.set", "timer.cancelled", "route", "return", "ip.in", "tcp.acked", "tcp.data", "tcp.mss"))


class DroppedFrame(NamedTuple):
    """A drop: the name of the counter, the reason, and the section with the rule."""

    name: str
    reason: str
    rfc: str


class FrameRecord:
    """One frame and its story. Without a frame, it is a timer or a call and its results.

    direction   "in", "out", "timer" or "call"
    frame       the bytes, or b"" for a timer or a call
    summary     one line in the style of tcpdump
    reasons     the stack's decisions in words, with the RFC sections
    drops       what was dropped, and why
    """

    __slots__ = ("time", "host", "iface", "direction", "frame", "gso_size", "summary", "reasons", "drops", "events")

    def __init__(self, time: int, host: str, iface: str, direction: str, frame: bytes, gso_size: int, summary: str):
        self.time = time
        self.host = host
        self.iface = iface
        self.direction = direction
        self.frame = frame
        self.gso_size = gso_size
        self.summary = summary
        self.reasons: list[str] = []
        self.drops: list[DroppedFrame] = []
        self.events: list[Event] = []

    def add(self, event: Event) -> None:
        """Add an event that belongs to this record."""
        self.events.append(event)
        if event.kind == "drop":
            self.drops.append(DroppedFrame(event.fields["name"], event.reason, event.rfc))
        elif event.kind not in QUIET:
            text = describe(event)
            if text:
                self.reasons.append(text)

    def comments(self) -> list[str]:
        """Return the reasons and drops as lines, for the comments of a capture."""
        lines = list(self.reasons)
        for drop in self.drops:
            lines.append(f"DROPPED {drop.name}: {drop.reason}" + (f" [{drop.rfc}]" if drop.rfc else ""))
        return lines

    def line(self) -> str:
        """Return the record as one line: time, direction, summary, and reasons."""
        arrow = {IN: "<", OUT: ">", TIMER: "*", CALL: "="}[self.direction]
        why = "; ".join(self.comments())
        text = f"{self.time / 1e9:.6f} {self.host} {self.iface or '-'} {arrow} {self.summary}"
        return f"{text}  | {why}" if why else text

    def __repr__(self) -> str:
        return f"<{self.line()}>"


def kind_of(iface: str, kinds: Mapping[str, int]) -> int:
    """Return the kind of link of an interface name.

    Unless `kinds` says otherwise, "lo" has bare IP and all others Ethernet.
    """
    return kinds.get(iface, C.LINK_LOOPBACK if iface == "lo" else C.LINK_ETHERNET)


def value_text(value: object) -> str:
    """Return a field of an event, or an argument of a call, as text.

    The core's addresses are numbers of 128 bits. Those of IPv4 are known by their prefix, ::ffff.
    """
    return addr_text(value) if isinstance(value, int) and value >> 32 == 0xFFFF else str(value)


def describe(event: Event) -> str:
    """Describe an event in words: its reason, the values that changed, the RFC section."""
    fields = event.fields
    text = event.reason
    if "old" in fields and "new" in fields and event.kind != "tcp.window":
        text = f"{text or event.kind}: {value_text(fields['old'])} -> {value_text(fields['new'])}"
    if not text and event.kind not in ("tcp.in", "tcp.out", "udp.in", "udp.out", "frame.in", "frame.out"):
        text = event.kind + "".join(f" {name} {value_text(value)}" for name, value in fields.items())
    return f"{text} [{event.rfc}]" if text and event.rfc else text


class FrameProbe(Probe):
    """Groups the events of any number of stacks into FrameRecords, and passes each to `sink` when it is complete.

    A record is complete when the next one of its host begins, or at `flush()`, which a driver calls after
    draining. `kinds` maps interface names to their const.LINK_* (see kind_of for the names that are missing).
    """

    def __init__(self, sink: Callable[[FrameRecord], None], kinds: Mapping[str, int] | None = None):
        self.sink = sink
        self.kinds = {} if kinds is None else kinds
        self.hosts: dict[str, _HostState] = {}

    def event(self, event: Event) -> None:
        """Process one event."""
        state = self.hosts.get(event.host)
        if state is None:
            state = self.hosts[event.host] = _HostState(self)
        state.event(event)

    def flush(self) -> None:
        """Pass on the records that are still open."""
        for state in self.hosts.values():
            state.finish()


class _HostState:
    """Groups the events of one host."""

    def __init__(self, probe: FrameProbe):
        self.probe = probe
        self.summarizer = Summarizer()
        self.current: FrameRecord | None = None
        self.announced: list[Event] = []
        # the timer or call before the next frame, whose record then reports its decisions
        self.cause: FrameRecord | None = None

    def event(self, event: Event) -> None:
        kind = event.kind
        if kind == "frame.out":
            self._frame_out(event)
        elif kind in _BEGINS:
            self._begin(event)
        elif kind in OUTGOING:
            self.announced.append(event)
        elif self.current is not None:
            self.current.add(event)
        else:
            self._open(event, "", CALL, b"", event.subject).add(event)

    def _open(self, event: Event, iface: str, direction: str, frame: bytes, summary: str) -> FrameRecord:
        self.finish()
        gso = event.fields.get("gso_size", 0)
        self.current = FrameRecord(event.time, event.host, iface, direction, frame, gso, summary)
        return self.current

    def _begin(self, event: Event) -> None:
        self._unsent()
        direction = _BEGINS[event.kind]
        if direction == IN:
            iface, frame = event.fields["iface"], event.fields["frame"]
            self._open(event, iface, IN, frame, self._summary(iface, frame))
            self.cause = None
            return
        if direction == TIMER:
            name = event.fields["timer"]
            summary = f"the {name} timer expired" + (f" ({event.subject})" if event.subject not in ("", name) else "")
        else:
            summary = f"call {event.fields['name']} on {event.subject}"
        record = self._open(event, "", direction, b"", summary)
        record.events.append(event)
        self.cause = record

    def _frame_out(self, event: Event) -> None:
        iface, frame = event.fields["iface"], event.fields["frame"]
        cause, announced = self.cause, self.announced
        self.cause, self.announced = None, []
        record = self._open(event, iface, OUT, frame, self._summary(iface, frame))
        if cause is not None and cause.direction == TIMER:
            record.reasons.append(cause.summary)
            record.reasons.extend(cause.reasons)
        for reason in announced:
            record.add(reason)
        if record.gso_size:
            record.reasons.append(f"the device cuts this group into segments of {record.gso_size} bytes")

    def _summary(self, iface: str, frame: bytes) -> str:
        return self.summarizer.line(frame, kind_of(iface, self.probe.kinds))

    def _unsent(self) -> None:
        """Add announcements without a frame, which waits for ARP or was dropped, to the record before."""
        if self.current is not None:
            for event in self.announced:
                self.current.add(event)
        self.announced = []

    def finish(self) -> None:
        """Pass on the open record."""
        record, self.current = self.current, None
        if record is not None:
            self.probe.sink(record)


def wall_clock() -> int:
    """Return the time at which the monotonic clock was zero, in ns since 1970."""
    return time.time_ns() - time.monotonic_ns()


class AnnotatedCapture:
    """A sink that writes FrameRecords to pcapng, each frame with its reasons and drops as comments.

    Timers and calls have no frame and are left out. A checksum that the device would complete is completed here, so
    that the capture shows the frame as it was on the wire. Frames larger than the MTU are written as they are. `epoch`
    is added to every time: use `wall_clock()` for a live run, whose clock counts from the machine's start.
    """

    def __init__(
        self, writer: pcapng.PcapngWriter, kinds: Mapping[str, int] | None = None, hosts: bool = False, epoch: int = 0
    ):
        self.writer = writer
        self.kinds = {} if kinds is None else kinds
        self.hosts = hosts
        self.epoch = epoch
        self.numbers: dict[tuple[str, str], int] = {}

    def __call__(self, record: FrameRecord) -> None:
        """Write one record."""
        if not record.frame:
            return
        key = (record.host, record.iface)
        kind = kind_of(record.iface, self.kinds)
        number = self.numbers.get(key)
        if number is None:
            name = f"{record.host}:{record.iface}" if self.hosts else record.iface
            linktype = pcapng.LINKTYPE_ETHERNET if kind == C.LINK_ETHERNET else pcapng.LINKTYPE_RAW
            number = self.numbers[key] = self.writer.interface(name, linktype)
        direction = pcapng.INBOUND if record.direction == IN else pcapng.OUTBOUND
        frame = record.frame
        if direction == pcapng.OUTBOUND:
            frame = finish_checksum(frame, C.ETH_HLEN if kind == C.LINK_ETHERNET else 0)
        self.writer.packet(number, record.time + self.epoch, frame, direction, record.comments())


def only(
    matches: Callable[[bytes, int], bool], sink: Callable[[FrameRecord], None], kinds: Mapping[str, int] | None = None
) -> Callable[[FrameRecord], None]:
    """Return a sink that passes on the frames for which `matches(frame, kind of link)` is true (`pystack.bpf.matcher`)."""
    known = {} if kinds is None else kinds

    def one(record: FrameRecord) -> None:
        if record.frame and matches(record.frame, kind_of(record.iface, known)):
            sink(record)

    return one


def tee(*sinks: Callable[[FrameRecord], None]) -> Callable[[FrameRecord], None]:
    """Return a sink that passes each record to several sinks."""
    chosen: Iterable[Callable[[FrameRecord], None]] = tuple(sinks)

    def sink(record: FrameRecord) -> None:
        for one in chosen:
            one(record)

    return sink
