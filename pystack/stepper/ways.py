"""What a recorded network noted beside its stacks: why each program ran, and what each frame met on each link (sim/causes.py)."""

from array import array
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from zlib import crc32

from pystack.sim.causes import READY, SLEEP, START
from pystack.stepper.store import Block, LooseRow, PackedColumns

#: how many arrivals that are to come are remembered
PENDING = 1 << 16
#: why a program's step began
WHYS = START, READY, SLEEP


class ProgramStep(NamedTuple):
    """A stretch of work of programs: why it began ("start", "ready", "sleep"), and when.

    parent  with "sleep", the number of the step that began to wait, or 0
    woken   with "ready", the number of the host whose endpoint became ready, or -1
    after   with "ready", the recording had so many records then
    """

    why: str
    began: int
    parent: int
    woken: int
    after: int


class Steps(Mapping[int, ProgramStep]):
    """The steps of programs by their numbers, which count up from 1. They are arrays, because there may be very many."""

    def __init__(self) -> None:
        self._why = array("b")  # the place of each step's reason among WHYS
        self._began, self._parent, self._woken, self._after = (array("q") for _ in range(4))

    def append(self, step: ProgramStep) -> None:
        """Add the step with the next number. ValueError: its reason is none of WHYS. OverflowError: a value has more than 64 bits."""
        why = WHYS.index(step.why)
        self._began.append(step.began)
        self._parent.append(step.parent)
        self._woken.append(step.woken)
        self._after.append(step.after)
        self._why.append(why)

    def __len__(self) -> int:
        return len(self._why)

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, len(self) + 1))

    def __getitem__(self, number: int) -> ProgramStep:
        at = number - 1
        if not 0 <= at < len(self._why):
            raise KeyError(number)
        return ProgramStep(WHYS[self._why[at]], self._began[at], self._parent[at], self._woken[at], self._after[at])


class Passage(NamedTuple):
    """A frame on one link: it was `sent`, its first bit left at `begin` and its last one at `end`, all in ns.

    number    of the passage; parent: the passage by which the frame came to the switch that sent it on, or 0
    link      the name of the link and its direction
    frame     index of the frame in the timeline, or -1
    delay     the link's delay; without other effects, the frame arrives at end + delay
    arrivals  when it arrived: no time if it was lost, several if it was repeated
    ahead     number of the passage before it on the same link, or 0
    """

    number: int
    parent: int
    link: str
    frame: int
    length: int
    sent: int
    begin: int
    end: int
    delay: int
    arrivals: list[int]
    ahead: int


def _passage(index: int, block: "Block | LooseRow", at: int) -> Passage:
    return Passage._make(block.first(at))


class Ways:
    """All notes of one recording. ValueError: a note has a number that no recorder gives, so the file was made by something else.

    Numbers count up from 1, and a parent's number is below that of its child. So nobody who follows them goes round in circles.
    """

    def __init__(self) -> None:
        self.steps = Steps()
        #: index of a call's event -> number of the step that made it
        self.step_of: dict[int, int] = {}
        #: the passages by their number - 1
        self.passages: PackedColumns[Passage] = PackedColumns(_passage, [range(len(Passage._fields))])
        #: index of a frame -> the first passage that begins with it, and the others, if its device cut it
        self._first_of: dict[int, int] = {}
        self._others_of: dict[int, list[int]] = {}
        #: number of a passage -> the passages by which a switch sent the frame on
        self.onward: dict[int, list[int]] = {}
        self._last: dict[str, int] = {}  # link -> its last passage
        self._now: dict[int, int] = {}  # host -> its step
        self._out: OrderedDict[int, deque[int]] = OrderedDict()  # CRC of a frame on the wire -> frames that were sent
        self._due: OrderedDict[tuple[int, int], deque[int]] = OrderedDict()  # (host, time) -> frames that arrive then

    def program(self, host: int, fields: dict[str, Any]) -> None:
        """Take the note of a step; the calls of the host that follow belong to it."""
        number = fields["number"]
        # A step that calls the stacks of several hosts has a note for each.
        if number not in self.steps:
            check_number("step", number, len(self.steps) + 1, fields["parent"])
            self.steps.append(
                ProgramStep(fields["why"], fields["began"], fields["parent"], fields["woken"], fields["after"])
            )
        self._now[host] = number

    def call(self, host: int, index: int) -> None:
        """Note the event of a call."""
        number = self._now.get(host)
        if number is not None:
            self.step_of[index] = number

    def sent(self, frame: int, pieces: Iterable[bytes]) -> None:
        """A host sent a frame, of which its device makes these pieces. The notes of their passages follow."""
        for piece in pieces:
            self._out.setdefault(crc32(piece), deque()).append(frame)
        while len(self._out) > PENDING:
            self._out.popitem(last=False)

    def wire(self, fields: dict[str, Any]) -> None:
        """Take the note of a passage."""
        number, parent, link, crc = fields["number"], fields["parent"], fields["link"], fields["crc"]
        check_number("passage", number, len(self.passages) + 1, parent)
        sent = self._out.get(crc)
        frame = -1
        if sent:
            # A switch sends frames on that it does not report, and a bridge reports its frames as a host does.
            frame = sent.popleft()
            if not sent:
                del self._out[crc]
            if self._first_of.setdefault(frame, number) != number:
                self._others_of.setdefault(frame, []).append(number)
        elif parent:
            frame = self.passage(parent).frame
        if parent:
            self.onward.setdefault(parent, []).append(number)
        arrivals = [time for time in fields["arrivals"] if isinstance(time, int)]
        self.passages.append([
            number, parent, link, frame, fields["length"], fields["sent"], fields["begin"], fields["end"],
            fields["delay"], arrivals, self._last.get(link, 0),
        ])  # fmt: skip
        if len(self.passages.tail) > 2 * self.passages.block:
            self.passages.pack(number)
        self._last[link] = number
        for time in arrivals:
            self._due.setdefault((fields["to"], time), deque()).append(frame)
            if len(self._due) > PENDING:
                self._due.popitem(last=False)

    def finish(self) -> None:
        """Forget what is needed only while notes come."""
        for pending in (self._last, self._now, self._out, self._due):
            pending.clear()

    def passage(self, number: int) -> Passage:
        """Return a passage by its number."""
        return self.passages[number - 1]

    def of_frame(self, frame: int) -> list[int]:
        """Return the passages that begin with a frame: several, if its device cut it."""
        first = self._first_of.get(frame)
        return [] if first is None else [first, *self._others_of.get(frame, ())]

    def arrived(self, host: int, time: int) -> int:
        """Return the index of the frame that a host receives now, as far as the links say; or -1. Frames arrive in the order of the notes."""
        due = self._due.get((host, time))
        return due.popleft() if due else -1

    def last_passage(self, frame: int, arrival: int, piece: int = 0) -> Passage | None:
        """Return the passage by which a frame, or a piece of it, reached a host at `arrival`; its parents lead to the sender. None: it is not known."""
        begun = self.of_frame(frame)
        todo = list(reversed(begun[piece:] + begun[:piece]))
        while todo:
            number = todo.pop()
            onward = self.onward.get(number)
            if onward:
                todo.extend(onward)
                continue
            passage = self.passage(number)
            if arrival in passage.arrivals:
                return passage
        return None


def check_number(what: str, number: int, expected: int, parent: int) -> None:
    """Raise ValueError if a note has not the number that follows, or a parent that did not come before it."""
    if number != expected:
        raise ValueError(f"the {what} {number} is noted where {expected} follows")
    if not 0 <= parent < number:
        raise ValueError(f"the {what} {number} has the parent {parent}, which did not come before it")
