"""What a recorded network noted beside its stacks: why each program ran, and what each frame met on each link (sim/causes.py)."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, NamedTuple
from zlib import crc32

#: how many arrivals that are to come are remembered
PENDING = 1 << 16


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


class Passage(NamedTuple):
    """A frame on one link: it was `sent`, its first bit left at `begin` and its last one at `end`, all in ns.

    number    of the passage; parent: the passage by which the frame came to the switch that sent it on, or 0
    link      the name of the link and its direction
    frame     index of the frame in the timeline, or -1
    delay     the link's delay; without other effects, the frame arrives at end + delay
    arrivals  when it arrived: no time if it was lost, several if it was repeated
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


class Ways:
    """All notes of one recording."""

    def __init__(self) -> None:
        self.steps: dict[int, ProgramStep] = {}
        #: index of a call's event -> number of the step that made it
        self.step_of: dict[int, int] = {}
        self.passages: dict[int, Passage] = {}
        #: index of a frame -> the passages that begin with it (several, if its device cut it)
        self.of_frame: dict[int, list[int]] = {}
        #: number of a passage -> the passages by which a switch sent the frame on
        self.onward: dict[int, list[int]] = {}
        #: number of a passage -> the one before it on the same link
        self.ahead: dict[int, int] = {}
        self._last: dict[str, int] = {}  # link -> its last passage
        self._now: dict[int, int] = {}  # host -> its step
        self._out: OrderedDict[int, deque[int]] = OrderedDict()  # CRC of a frame on the wire -> frames that were sent
        self._due: OrderedDict[tuple[int, int], deque[int]] = OrderedDict()  # (host, time) -> frames that arrive then

    def __bool__(self) -> bool:
        return bool(self.passages or self.steps)

    def program(self, host: int, fields: dict[str, Any]) -> None:
        """Take the note of a step; the calls of the host that follow belong to it."""
        number = fields["number"]
        self.steps.setdefault(
            number, ProgramStep(fields["why"], fields["began"], fields["parent"], fields["woken"], fields["after"])
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
        sent = self._out.get(crc)
        frame = -1
        if sent:
            # A switch sends frames on that it does not report, and a bridge reports its frames as a host does.
            frame = sent.popleft()
            if not sent:
                del self._out[crc]
            self.of_frame.setdefault(frame, []).append(number)
        elif parent in self.passages:
            frame = self.passages[parent].frame
        if parent in self.passages:
            self.onward.setdefault(parent, []).append(number)
        self.passages[number] = Passage(
            number, parent, link, frame, fields["length"], fields["sent"], fields["begin"], fields["end"],
            fields["delay"], [time for time in fields["arrivals"] if isinstance(time, int)],
        )  # fmt: skip
        for time in self.passages[number].arrivals:
            self._due.setdefault((fields["to"], time), deque()).append(frame)
            if len(self._due) > PENDING:
                self._due.popitem(last=False)
        if link in self._last:
            self.ahead[number] = self._last[link]
        self._last[link] = number

    def arrived(self, host: int, time: int) -> int:
        """Return the index of the frame that a host receives now, as far as the links say; or -1. Frames arrive in the order of the notes."""
        due = self._due.get((host, time))
        return due.popleft() if due else -1

    def chain(self, frame: int, arrival: int) -> list[Passage]:
        """Return the passages by which a frame reached a host at `arrival`, the first one first; [] if they are not known."""
        todo = [[number] for number in reversed(self.of_frame.get(frame, []))]
        while todo:
            numbers = todo.pop()
            onward = self.onward.get(numbers[-1], [])
            if not onward and arrival in self.passages[numbers[-1]].arrivals:
                return [self.passages[number] for number in numbers]
            todo.extend([*numbers, number] for number in onward)
        return []
