"""A critical path: the spans from the beginning of a request to its end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

#: causes of spans in which a frame is carried
CARRIED = ("propagation", "jitter", "on the way")


class PathError(ValueError):
    """There is no path between the given places. The message is one line."""


class Span(NamedTuple):
    """A stretch of time with one cause.

    start, end  in ns of the recording's time
    cause       where the time passed: a key of CAUSES
    why         what was waited for: a key of WHYS
    host        where
    frame       number of the frame that was on its way, from 1; or 0
    event       index of the event that ended the span, or -1
    text        the span in words
    inferred    nobody recorded the other side: the span is a conclusion
    also        other conditions that were satisfied at the same time as `why`: keys of WHYS
    """

    start: int
    end: int
    cause: str
    why: str
    host: str
    frame: int
    event: int
    text: str
    inferred: bool = False
    also: tuple[str, ...] = ()

    @property
    def duration(self) -> int:
        """Its length in ns."""
        return self.end - self.start


@dataclass(frozen=True)
class Path:
    """The critical path of a request. The spans are disjoint, in order, and cover begin to end.

    begin, end  in ns of the recording's time
    conn        key of the connection that was asked for, or ""
    first, last indices of the events at both ends
    tied        returns the numbers of the frames on other paths that end at the same time
    """

    begin: int
    end: int
    conn: str
    first: int
    last: int
    spans: list[Span]
    tied: Callable[[], set[int]] = field(default=set, repr=False, compare=False)

    @cached_property
    def ties(self) -> list[int]:
        """The numbers of frames on other paths that end at the same time (see ties.py): each of them may be the cause. It takes as long as the path itself."""
        return sorted(self.tied() - set(self.frames()))

    @property
    def elapsed(self) -> int:
        """The time between both ends, in ns."""
        return self.end - self.begin

    def totals(self) -> dict[tuple[str, str], int]:
        """The ns of each (cause, why), the largest first."""
        found: dict[tuple[str, str], int] = {}
        for span in self.spans:
            key = span.cause, span.why
            found[key] = found.get(key, 0) + span.duration
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def frames(self) -> list[int]:
        """The numbers of the frames whose way is part of the path."""
        return sorted({span.frame for span in self.spans if span.frame and span.cause in CARRIED})

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "elapsed": self.elapsed,
            "begin": self.begin,
            "end": self.end,
            "connection": self.conn,
            "spans": [span._asdict() for span in self.spans],
        }

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)
