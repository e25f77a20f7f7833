"""The rows of a ladder: frames that leave and arrive, timers, calls and changes of state, in the order of events."""

import re
import statistics
from typing import TYPE_CHECKING, NamedTuple

from pystack.stepper.plot.data import LadderNote, index_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pystack.stepper.records import Frame
    from pystack.stepper.timeline import Timeline

_ENDS = re.compile(r"IP6? (\S+) > (\S+):")
#: a time between two rows is a gap if it is so many times the usual one
UNUSUAL = 4
#: to scale, a time between two rows is broken off if it is so much of the whole, and then it is drawn as so much of the height
MOST, BROKEN = 0.9, 0.1


class Mark(NamedTuple):
    """A note at the line of its host. If `own` is true, nothing else is in its row."""

    row: int
    line: int
    kind: str
    text: str
    event: int
    own: bool


class Ladder(NamedTuple):
    """Rows in the order of events. Each row is the moment at which a frame leaves or arrives, or a timer, call or state.

    `departs[i]` and `arrives[i]` are the rows of frame i (arrives -1: it never arrived), and `sender` and `receiver`
    its columns in `lines`. `times` and `events` hold the time and the event of each row. `flows[i]` is the number of
    the conversation of frame i, or -1.
    """

    lines: list[str]
    times: list[int]
    events: list[int]
    departs: list[int]
    arrives: list[int]
    sender: list[int]
    receiver: list[int]
    flows: list[int]
    marks: list[Mark]


def ladder(timeline: "Timeline") -> Ladder:
    """Return the rows for all departures and arrivals, and for what happened at other times or at other hosts."""
    lines = list(timeline.lanes)
    place = {name: i for i, name in enumerate(lines)}
    moments: list[tuple[int, int, int, int, int]] = []  # event, 0 departure, 1 arrival or 2 note; index, time, line
    sender, receiver, flows = [], [], []
    known: dict[frozenset[str], int] = {}
    for frame in timeline.frames:
        at = place.get(frame.host, 0)
        # A frame to all hosts is drawn to the next line.
        to = place.get(frame.to, at + 1 if at + 1 < len(lines) else max(at - 1, 0))
        moments.append((frame.event, 0, frame.index, frame.time, at))
        if frame.arrived >= 0:
            moments.append((frame.arrived, 1, frame.index, frame.arrival or frame.time, to))
        sender.append(at)
        receiver.append(to)
        ends = ends_of(frame)
        flows.append(known.setdefault(ends, len(known)) if ends else -1)
    notes = index_of(timeline).notes
    moments += [(note.event, 2, i, note.time, place.get(note.host, 0)) for i, note in enumerate(notes)]
    moments.sort()
    found = Ladder(lines, [], [], [-1] * len(sender), [-1] * len(sender), sender, receiver, flows, [])
    _fill(found, timeline, moments, notes)
    return found


def ends_of(frame: "Frame") -> frozenset[str]:
    """Return both ends of a frame's conversation, as in its summary, or no ends for a frame that is not IP."""
    found = _ENDS.match(frame.summary)
    return frozenset(found.groups() if found else ())


def is_again(timeline: "Timeline", frame: "Frame") -> bool:
    """Return True for a retransmission."""
    return any(timeline.kind(index) == "tcp.retransmit" for index in frame.why)


def _fill(
    found: Ladder, timeline: "Timeline", moments: list[tuple[int, int, int, int, int]], notes: list[LadderNote]
) -> None:
    """Give each moment a row. A note goes into the row before it if that is of the same host and time."""
    before = (-1, -1)
    for event, what, index, time, line in moments:
        own = what != 2 or before != (time, line)
        if own:
            found.times.append(time - timeline.start)
            found.events.append(event)
        row = len(found.times) - 1
        if what == 2:
            found.marks.append(Mark(row, line, notes[index].kind, notes[index].text, event, own))
        else:
            (found.arrives if what else found.departs)[index] = row
        # A note may join an arrival or another note. The frame that a call sends begins a new row.
        before = (time, line)


def gaps(times: "Sequence[int]") -> list[int]:
    """Return the time between each row and the row before it if that is unusually long, else 0."""
    steps = [0, *(later - earlier for earlier, later in zip(times, times[1:]))]
    usual = [step for step in steps if step > 0]
    limit = UNUSUAL * statistics.median(usual) if usual else 0
    return [step if step > limit else 0 for step in steps]


def broken(times: "Sequence[int]") -> list[int]:
    """Return the time between each row and the row before it if it would leave no room for the others to scale, else 0.

    The 60 s of TIME-WAIT are such a time, and all other rows would be in one place.
    """
    steps = [0, *(later - earlier for earlier, later in zip(times, times[1:]))]
    found = [0] * len(steps)
    for _ in steps:
        rest = sum(steps)
        longest = max(steps)
        if longest <= MOST * rest or longest == rest:
            break
        place = steps.index(longest)
        found[place], steps[place] = longest, 0
    return found


def later(gap: int) -> str:
    """Return a gap in words."""
    return f"{gap / 1e9:.3g} s later" if gap >= 1_000_000_000 else f"{gap / 1e6:.3g} ms later"


def spread(times: "Sequence[int]", to_scale: bool) -> list[float]:
    """Return the height of each row, counted in lines of text. To scale, it is proportional to the time, without `broken` ones."""
    heights = []
    if to_scale:
        cut = broken(times)
        width = max(times[-1] - times[0] - sum(cut), 1)
        room = max(len(times), 30)
        below = float(0)
        gone = 0
        for time, gap in zip(times, cut):
            gone += gap
            below += room * BROKEN if gap else 0
            heights.append((time - times[0] - gone) * room / width + below)
        return heights
    at = -1.0
    for gap in gaps(times):
        at += 2.6 if gap else 1.0
        heights.append(at)
    return heights
