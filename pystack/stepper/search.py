"""Search over everything that a recording shows: events, reasons, the fields of frames, and the values that changed.

The text is words, all of which must be in one place. It is no pattern, so no text makes the search slow.
"""

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pystack.stepper import messages

if TYPE_CHECKING:
    from pystack.stepper.records import Entry, Frame
    from pystack.stepper.timeline import Timeline

#: the longest text, the most words in it, and the longest excerpt of a match
MOST_TEXT, MOST_WORDS, MOST_EXCERPT = 200, 10, 160


class SearchHit(NamedTuple):
    """A match: its event, where it is ("event", "frame" or "value"), and the words around it."""

    event: int
    where: str
    text: str


def wanted(text: str) -> list[str]:
    """Return the words of a text. ValueError if there are none, or too many."""
    words = text.lower().split() if len(text) <= MOST_TEXT else []
    if not 1 <= len(words) <= MOST_WORDS:
        raise ValueError(f"a search has 1 to {MOST_WORDS} words and at most {MOST_TEXT} letters")
    return words


def search(
    timeline: "Timeline", text: str, first: int = 0, most: int = 200, seconds: float = 1.0
) -> tuple[list[SearchHit], int]:
    """Return matches from event `first` on, as many as are found in that time, and the event to go on with (-1: none)."""
    words = wanted(text)
    deadline = time.monotonic() + seconds
    found: list[SearchHit] = []
    index = max(first, 0)
    while index < len(timeline.events):
        if len(found) >= most or (index % 32 == 0 and index > first and time.monotonic() > deadline):
            return found, index
        hit = look(timeline, index, words)
        if hit is not None:
            found.append(hit)
        index += 1
    return found, -1


def look(timeline: "Timeline", index: int, words: list[str]) -> "SearchHit | None":
    """Return the match at one event, or None."""
    entry = timeline.events[index]
    line = event_line(entry)
    if _has(line, words):
        return SearchHit(index, "event", _excerpt(line, words))
    for key, fields in timeline.diff(index).items():
        for name, (_, after) in fields.items():
            line = f"{key} {name} {after} {name}={after}"
            if _has(line, words):
                return SearchHit(index, "value", _excerpt(f"{key}: {name} = {after}", words))
    if entry.frame >= 0:
        frame = timeline.frames[entry.frame]
        if frame.event == index:
            for line in frame_lines(frame):
                if _has(line, words):
                    return SearchHit(index, "frame", _excerpt(line, words))
    return None


def event_line(entry: "Entry") -> str:
    """Return what an event says, in one line."""
    return f"{entry.host} {entry.kind} {entry.subject} {entry.text()} {entry.rfc}"


def frame_lines(frame: "Frame") -> list[str]:
    """Return what a frame says: its summary, and a line for each field."""
    tree = messages.tree(frame)
    lines = [f"frame {frame.number} {frame.summary}"]
    lines += [f"frame {frame.number} {node.abbrev} {node.line} {node.meaning}" for node in tree.walk()]
    return lines


def _has(line: str, words: list[str]) -> bool:
    line = line.lower()
    return all(word in line for word in words)


def _excerpt(line: str, words: list[str]) -> str:
    """Return the line, or the part of a long one that has the first word."""
    line = " ".join(line.split())
    if len(line) <= MOST_EXCERPT:
        return line
    start = max(0, min(line.lower().find(words[0]) - 40, len(line) - MOST_EXCERPT))
    return f"{'...' if start else ''}{line[start : start + MOST_EXCERPT]}..."


def as_json(hits: list[SearchHit], shift: int = 0) -> list[list[Any]]:
    """Return the matches for the page."""
    return [[hit.event - shift, hit.where, hit.text] for hit in hits]
