"""The walk: from the end of a request backwards through causes to its beginning.

Whatever a host does, it does while it works on one input: a frame that arrived, a timer that expired, or a call of a program. If several
conditions had to hold, the input is the one that came last, and if one was enough, it is the one that came first. So the walk asks at each
place for the input, and goes on where the input came from: along the frame's way to its sender, to the event that set the timer, or along the
program's step to what woke the program. On a link, a frame that waited goes on behind the frames ahead of it.
"""

from pystack.stepper.records import TIME, Entry, Frame
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.captured import captured_path
from pystack.stepper.timing.causes import TIMERS
from pystack.stepper.timing.ends import begin_of, client_of, end_of, only_server
from pystack.stepper.timing.index import Lookup
from pystack.stepper.timing.path import CARRIED, Path, PathError, Span
from pystack.stepper.timing.ties import Joined, NoTies, Ties
from pystack.stepper.timing.waits import NoWaits, Waits
from pystack.stepper.ways import Passage

#: the most places at which all walks together look
MOST_STEPS = 1_000_000


def path(timeline: Timeline, conn: str = "", begin: int = -1, end: int = -1, index: "Lookup | None" = None) -> Path:
    """Return the critical path between two events, by their indices.

    Without `end`, the path ends where the last data arrived that the client of the connection `conn` received (of the first connection, without
    `conn`); without `begin`, it begins at its connect(). PathError: there is no such connection, or nothing between both places.
    """
    index = Lookup(timeline) if index is None else index
    if timeline.inferred:
        return captured_path(timeline, index, conn, begin, end)
    if not conn and (begin < 0 or end < 0):
        conn = client_of(timeline, index)
    if end < 0:
        end = end_of(timeline, index, conn)
    if begin < 0:
        begin = begin_of(timeline, index, conn)
    events = timeline.events
    if not 0 <= begin < len(events) or not 0 <= end < len(events):
        raise PathError(f"there are events from 0 to {len(events) - 1}, but the path is from {begin} to {end}")
    if begin > end:
        raise PathError(f"event {end} comes before event {begin}")
    if events[begin].time >= events[end].time:
        raise PathError(f"no time passes between event {begin} and event {end}")
    return Walk(timeline, index, begin, end, conn).run()


class Walk:
    """One walk. `time` and `at` (an event) are the place where it is."""

    def __init__(
        self, timeline: Timeline, index: Lookup, begin: int, end: int, conn: str, ties: "NoTies | None" = None
    ):
        self.timeline = timeline
        self.events = timeline.events
        self.index = index
        self.first, self.last = begin, end
        self.ties = NoTies() if ties is None else ties
        self.begin = timeline.events[begin].time
        self.conn = conn
        self.client = timeline.peer if only_server(timeline, index, conn) else timeline.events[begin].host
        self.time = timeline.events[end].time
        self.waits = Waits(timeline, index)
        self.spans: list[Span] = []

    def run(self) -> Path:
        """Walk, and return the path."""
        self.go()
        end = self.events[self.last].time
        ends = self.first, self.last, self.conn
        timeline, index = self.timeline, self.index
        return Path(self.begin, end, self.conn, self.first, self.last, self.spans, lambda: tied(timeline, index, *ends))

    def go(self) -> None:
        """Walk, and note the spans."""
        self.waits.at_end(self.events[self.last])
        at = self.last
        while self.time > self.begin:
            before = self.step(at)
            if not 0 <= before < at:  # a cause comes before its effect; in a forged file it may not
                break
            at = before
        self.span(self.begin, "unknown", self.client, 0, self.last, "the recording does not say what was waited for")
        self.spans.reverse()

    def span(
        self, start: int, cause: str, host: str, frame: int, event: int, text: str, inferred: bool = False
    ) -> None:
        """Add the spans from `start` to the time where the walk is, and go there. A wait that opened in between cuts them."""
        while self.time > max(start, self.begin):
            why, opened = self.waits.why(self.time)
            cut = max(start, self.begin, opened)
            said = f"{text}; {self.waits.text()}" if why else text
            before = self.spans[-1] if self.spans else None
            also = self.waits.also()
            one = Span(cut, self.time, cause, why, host, frame, event, said, inferred, also)
            if before is not None and (before.cause, before.why, before.frame, before.event, before.text) == (
                cause, why, frame, event, said,
            ):  # fmt: skip
                self.spans[-1] = Span(cut, before.end, cause, why, host, frame, before.event, said, inferred, also)
            else:
                self.spans.append(one)
            self.time = cut
        self.time = max(min(self.time, start), self.begin)

    def step(self, at: int) -> int:
        """Go back from an event to the one that caused its input. Returns that event, or -1: there is none."""
        cause = self.index.input_of(at)
        if cause < 0:
            return -1
        entry = self.events[cause]
        if entry.time < self.time:
            self.span(entry.time, "driver", entry.host, 0, at, f"{entry.host}'s driver had other work")
        self.ties.worked_on(cause, entry)
        if entry.kind == "frame.in":
            return self.arrival(entry)
        if entry.kind == "timer.fired":
            return self.timer(entry)
        return self.call(entry)

    # -- timers ------------------------------------------------------------------------------------------------------

    def timer(self, entry: Entry) -> int:
        """Go back to where a timer was set."""
        name = entry.fields["timer"]
        cause = TIMERS.get(name, "timer")
        at = self.index.set_before(entry.index)
        if at < 0:
            return -1
        if name == "pacing":
            at = self.waits.departure(entry, at)
        start = self.events[at].time
        self.span(start, cause, entry.host, 0, entry.index, f"{entry.host}'s {name} timer was running")
        return at

    # -- programs ----------------------------------------------------------------------------------------------------

    def call(self, entry: Entry) -> int:
        """Go back from a call of a program to what woke the program."""
        ways = self.timeline.ways
        number = ways.step_of.get(entry.index, 0)
        if not number:
            return self.unnoted_call(entry)
        self.waits.at_step(entry)
        step = ways.steps[number]
        while step.why == "sleep":
            name = self.thinking(entry.host, number)
            parent = ways.steps.get(step.parent)
            began = self.begin if parent is None else parent.began
            self.span(began, name, entry.host, 0, entry.index, f"the program on {entry.host} slept")
            if parent is None or self.time <= self.begin:
                return -1
            number, step = step.parent, parent
        if step.why != "ready" or not 0 <= step.woken < len(self.index.inputs):
            return -1
        woken = self.index.input_before(step.woken, step.after)
        # Before it slept, the program may have read more than what woke it.
        reads = entry.index if step.began == entry.time else max(self.index.calls_of(number), default=-1)
        if reads >= 0 and self.events[reads].time == step.began:
            woken = self.data_of_step(woken, self.events[reads])
        self.waits.relayed(entry, woken)
        return woken

    def thinking(self, host: str, step: int = 0) -> str:
        """Return the cause of a span in which a program on a host had other things to do, before the calls of a step."""
        if any(self.waits.tls.of_call(self.events[at]) for at in self.index.calls_of(step)):
            return "TLS computing"
        return "client thinking" if host == self.client else "server thinking"

    def data_of_step(self, woken: int, entry: Entry) -> int:
        """Return the input that brought the last data which the calls of a step could read: it may have come after the one that woke the program."""
        if woken < 0 or self.events[woken].host != entry.host or not entry.conn:
            return woken
        last = self.index.last("tcp.data", entry.conn, entry.index)
        return self.index.input_of(last) if last > woken and self.events.value(last, TIME) == entry.time else woken

    def unnoted_call(self, entry: Entry) -> int:
        """Go back from a call of a program of which the recording notes no steps: to the last event that made its socket ready."""
        ready = -1
        for kind in ("tcp.data", "tcp.acked"):
            ready = max(ready, self.index.last(kind, entry.conn, entry.index) if entry.conn else -1)
        if ready < 0:
            ready = self.index.call_before(self.timeline.hosts.index(entry.host), entry.index)
        if ready < 0:
            return -1
        self.span(
            self.events[ready].time,
            self.thinking(entry.host),
            entry.host,
            0,
            entry.index,
            f"the program on {entry.host} worked or slept",
            True,
        )
        return ready

    # -- frames ------------------------------------------------------------------------------------------------------

    def arrival(self, entry: Entry) -> int:
        """Go back along the way of a frame that arrived, to the event at which it was sent."""
        if entry.frame < 0:
            return -1
        frame = self.timeline.frames[entry.frame]
        if frame.outside:
            return self.from_outside(entry, frame)
        self.waits.on_the_way(frame)
        self.waits.reassembled(entry)
        passage = self.timeline.ways.last_passage(frame.index, entry.time, self.piece_of(entry, frame))
        if passage is not None:
            return self.along(passage, entry)
        what = f"frame {frame.number} went from {frame.host} to {entry.host}"
        self.span(frame.time, "on the way", frame.host, frame.number, entry.index, what)
        return self.sent(frame.index)

    def piece_of(self, entry: Entry, frame: Frame) -> int:
        """Return which piece of a frame arrived, from 0: the device makes several of one with offload. The sequence number says it."""
        if not frame.gso_size:
            return 0
        sent = next((self.events[at] for at in frame.why if self.events[at].kind == "tcp.out"), None)
        if sent is None:
            return 0
        for at in range(entry.index + 1, min(entry.index + 4, len(self.events))):
            other = self.events[at]
            if other.kind == "tcp.in" and other.host == entry.host:
                return ((other.fields["seq"] - sent.fields["seq"]) & 0xFFFFFFFF) // frame.gso_size
        return 0

    def along(self, passage: Passage, entry: Entry) -> int:
        """Go back along the links that a frame passed, from the last one to its sender."""
        before: Passage | None = passage
        at = -1
        while before is not None:
            passage = before
            number = passage.frame + 1
            what = f"frame {number} on {passage.link}"
            due = passage.end + passage.delay
            if self.time > due:
                self.span(due, "jitter", "", number, entry.index, f"{what} came later than the link's delay says")
            self.span(passage.end, "propagation", "", number, entry.index, f"{what} was on its way")
            self.span(passage.begin, "serialization", "", number, entry.index, f"the {passage.length} bytes of {what}")
            before, at = self.onto(passage, entry)
        return at

    def onto(self, passage: Passage, entry: Entry) -> tuple[Passage | None, int]:
        """Go back from the first bit of a frame on a link. Returns its passage over the link before, or None and where its sender sent it."""
        self.ties.passed(passage, entry)
        if passage.begin > passage.sent:
            passage = self.behind(passage, entry)
        return self.before(passage, entry)

    def before(self, passage: Passage, entry: Entry) -> tuple[Passage | None, int]:
        """Go back from where a frame came to a link, as onto() does."""
        if not passage.parent and passage.frame >= 0:
            passage = self.in_discipline(passage, entry)
        if passage.parent:
            return self.timeline.ways.passage(passage.parent), -1
        return None, self.sent(passage.frame, passage.number)

    def behind(self, passage: Passage, entry: Entry) -> Passage:
        """Go back behind the frames that were sent ahead of one on the same link. Returns the first of these, which did not wait."""
        ways = self.timeline.ways
        number = passage.frame + 1
        while passage.begin > passage.sent:
            ahead = ways.passage(passage.ahead) if passage.ahead else None
            if ahead is None or ahead.end < passage.begin or ahead.frame < 0:
                self.span(passage.sent, "queueing", "", number, entry.index, f"frame {number} waited on {passage.link}")
                break
            passage = ahead
            self.ties.passed(passage, entry)
            other = "the rest of its group" if passage.frame + 1 == number else f"frame {passage.frame + 1}"
            what = f"frame {number} waited on {passage.link} while {other} was being sent"
            self.span(passage.begin, "queueing", "", number, entry.index, what)
        return passage

    def in_discipline(self, passage: Passage, entry: Entry) -> Passage:
        """Go back through the queueing discipline of the sender: it gave the link a frame when the wire was free, or when the shaper allowed it.

        Returns the passage of the first frame that did not wait.
        """
        ways, frames = self.timeline.ways, self.timeline.frames
        while not passage.parent and passage.frame >= 0 and passage.sent > frames[passage.frame].time:
            queued = frames[passage.frame].time
            ahead = ways.passage(passage.ahead) if passage.ahead else None
            what = f"frame {passage.frame + 1} waited in front of {passage.link}"
            if ahead is None or ahead.frame < 0 or ahead.end <= queued:
                self.span(queued, "shaping", "", passage.frame + 1, entry.index, f"{what}: the shaper held it back")
                break
            if ahead.end < passage.sent:
                self.span(ahead.end, "shaping", "", passage.frame + 1, entry.index, f"{what}: the shaper held it back")
            other = f"{what} while frame {ahead.frame + 1} was being sent"
            self.span(ahead.begin, "queueing", "", passage.frame + 1, entry.index, other)
            passage = ahead
            self.ties.passed(passage, entry)
            if passage.begin > passage.sent:
                passage = self.behind(passage, entry)
        return passage

    def sent(self, index: int, number: int = 0) -> int:
        """Go on where a frame was sent, of which a passage carried this piece. -1: nobody recorded its sender."""
        if index < 0:
            return -1
        frame = self.timeline.frames[index]
        if self.time > frame.time:
            what = f"frame {frame.number} waited in {frame.host}"
            self.span(frame.time, "queueing", frame.host, frame.number, frame.event, what)
        pieces = self.timeline.ways.of_frame(index) if frame.gso_size else []
        self.waits.before_sending(frame, pieces.index(number) if number in pieces else 0)
        return frame.event

    def from_outside(self, entry: Entry, frame: Frame) -> int:
        """Conclude where a frame came from whose sender nobody recorded: an answer to our latest frame that can have reached it."""
        conn = self.events[entry.index].conn
        shortest = self.waits.shortest_round_trip(conn)
        sent = self.waits.sent_before(conn, entry.time - shortest, entry.index) if shortest >= 0 else -1
        peer = self.timeline.peer
        if sent < 0:
            return -1
        time = self.events[sent].time
        self.span(
            entry.time - shortest, "on the way", peer, frame.number, entry.index,
            f"at least a round trip to {peer} and back to frame {frame.number}, the shortest that was measured", True,
        )  # fmt: skip
        self.span(
            time, "peer", peer, frame.number, entry.index, f"{peer} worked, or the frames waited on their way", True
        )
        self.waits.before_sending(self.timeline.frames[self.events[sent].frame])
        return sent


class OtherWalk(Walk):
    """A walk along another path that ends at the same time as the first one. It only collects the frames, and ends where it joins a known path."""

    def __init__(self, first: Walk):
        super().__init__(first.timeline, first.index, first.first, first.last, first.conn, first.ties)
        self.waits = NoWaits(first.waits)
        self.frames: set[int] = set()

    def span(
        self, start: int, cause: str, host: str, frame: int, event: int, text: str, inferred: bool = False
    ) -> None:
        """Go to the start of a span, and note the frame that it carried."""
        if cause in CARRIED and frame and self.time > max(start, self.begin):
            self.frames.add(frame)
        self.time = max(min(self.time, start), self.begin)

    def follow(self, at: int, passage: Passage | None, entry: Entry, waited: bool) -> None:
        """Walk back from an event, or from where the first bit of a frame came to a link (`waited`: behind the frames ahead of it)."""
        try:
            if passage is not None:
                self.time = passage.begin if waited else passage.sent
                before, at = self.onto(passage, entry) if waited else self.before(passage, entry)
                if before is not None:
                    at = self.along(before, entry)
            else:
                self.time = entry.time
            while self.time > self.begin and at >= 0:
                before_at = self.step(at)
                if before_at >= at:
                    break
                at = before_at
        except Joined:
            pass


def tied(timeline: Timeline, index: Lookup, begin: int, end: int, conn: str) -> set[int]:
    """Return the frames of all other paths that decide at the same time as the path of a walk, within the ns to which links round."""
    found: set[int] = set()
    ties = Ties(timeline, index)
    walk = Walk(timeline, index, begin, end, conn, ties)
    walk.go()
    ties.first = False
    while ties.others and ties.steps < MOST_STEPS:
        other = OtherWalk(walk)
        other.follow(*ties.others.pop())
        found |= other.frames
    return found
