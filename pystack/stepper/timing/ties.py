"""Ties: other paths that end at the same time as the critical path, so that a frame on them may be the cause, too.

Two frames may arrive at one host at the same nanosecond. Or a frame comes to a link just when another one has left it: it did not wait, but had the
other one come later, it would have waited. A link rounds the time at which a frame has left to whole ns, so a difference of one is a tie, too.
"""

from pystack.stepper.records import Entry
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.index import Lookup
from pystack.stepper.ways import Passage

#: ns by which a link rounds
ROUNDING = 1


class Joined(Exception):
    """A walk came to a place where another one has been: what comes before it is known."""


class NoTies:
    """Where nobody asks for ties."""

    def worked_on(self, cause: int, entry: Entry) -> None:
        """See Ties."""

    def passed(self, passage: Passage, entry: Entry) -> None:
        """See Ties."""


class Ties(NoTies):
    """Where walks have been, and where other paths branch off: (event, passage, entry, waited), as OtherWalk.follow() takes them.

    steps  how many places there are
    first  the first walk is still going on: it finds the path, and cannot join another one
    """

    def __init__(self, timeline: Timeline, index: Lookup):
        self.timeline = timeline
        self.index = index
        self.others: list[tuple[int, Passage | None, Entry, bool]] = []
        self.steps = 0
        self.first = True
        self._inputs: set[int] = set()
        self._passages: set[int] = set()

    def worked_on(self, cause: int, entry: Entry) -> None:
        """A walk comes to an input. The other frames that arrived at the host at the same time are ties. Joined: another walk was here."""
        if cause in self._inputs and not self.first:
            raise Joined
        self._inputs.add(cause)
        self.steps += 1
        for at in self.index.around(cause, entry.host):
            if at != cause and at not in self._inputs:
                other = self.timeline.events[at]
                if other.kind == "frame.in" and other.frame >= 0:
                    self.others.append((at, None, other, False))

    def passed(self, passage: Passage, entry: Entry) -> None:
        """A walk comes to the first bit of a frame on a link: was the link free only just then? Joined: another walk was here."""
        if passage.number in self._passages and not self.first:
            raise Joined
        self._passages.add(passage.number)
        self.steps += 1
        ahead = self.timeline.ways.passage(passage.ahead) if passage.ahead else None
        if ahead is None or ahead.end == ahead.begin:
            return
        waited = passage.begin - passage.sent
        if not waited and 0 <= passage.begin - ahead.end <= ROUNDING:
            self.others.append((-1, ahead, entry, True))
        elif 0 < waited <= ROUNDING:
            self.others.append((-1, passage, entry, False))
