"""The requests of one timeline, for views that show one after another: the timeline is indexed once."""

from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.index import Lookup
from pystack.stepper.timing.path import Path, Span
from pystack.stepper.timing.places import connection, place
from pystack.stepper.timing.walk import path

#: the most paths that are kept
KEPT = 64


class Requests:
    """Paths of a timeline by their ends, as a user writes them (see places.py)."""

    def __init__(self, timeline: Timeline):
        self.timeline = timeline
        self._index: Lookup | None = None
        self._paths: dict[tuple[str, str, str], Path] = {}

    def path(self, conn: str = "", begin: str = "", end: str = "") -> Path:
        """Return the path of a request. PathError: there is none."""
        key = conn, begin, end
        if key not in self._paths:
            if self._index is None:
                self._index = Lookup(self.timeline)
            ends = place(self.timeline, begin, False), place(self.timeline, end, True)
            found = path(self.timeline, connection(self.timeline, conn), *ends, index=self._index)
            if len(self._paths) >= KEPT:
                del self._paths[next(iter(self._paths))]
            self._paths[key] = found
        return self._paths[key]


def event_of(timeline: Timeline, span: Span) -> int:
    """Return the event to which a view goes for a span: where its frame was sent, or else the end of the span."""
    return timeline.frames[span.frame - 1].event if span.frame else span.event


def span_at(timeline: Timeline, spans: list[Span], position: int) -> int:
    """Return the index of the span in which an event lies, or -1: it is not on the path. The span of the event's frame goes first."""
    if position < 0 or not spans:
        return -1
    entry = timeline.events[position]
    time = entry.time
    if entry.frame >= 0:
        mine = [at for at, span in enumerate(spans) if span.frame == entry.frame + 1]
        # A frame that waits, and is sent and is on its way, has several spans: the one at this time, or the first one.
        for at in mine:
            if spans[at].start <= time < spans[at].end or (time == spans[at].end and entry.kind == "frame.in"):
                return at
        if mine and spans[mine[0]].start <= time <= spans[mine[-1]].end:
            return mine[0]
    if not spans[0].start <= time <= spans[-1].end:
        return -1
    return next((at for at, span in enumerate(spans) if span.start <= time < span.end), len(spans) - 1)
