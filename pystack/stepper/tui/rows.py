"""The rows of the terminal's ladder near the cursor: frames, and between them timers, calls, changes of state and gaps.

Only the events around the cursor are read, so a long recording costs no more than a short one.
"""

from dataclasses import dataclass, field

from pystack.stepper.keys import ConnKey
from pystack.stepper.plot.data import NOTED, note
from pystack.stepper.plot.ladder import gaps
from pystack.stepper.timeline import Timeline
from pystack.stepper.tui.scale import distance

#: so many events are searched for notes at most
MOST = 20_000


@dataclass
class LadderRow:
    """A frame (its index), or a note with its texts (frame -1), or a gap with its duration (frame -1, no texts).

    A row that has none of them is an empty one, which a ladder to scale has between the others.
    """

    event: int
    time: int
    host: str
    frame: int = -1
    texts: list[str] = field(default_factory=list)
    last: int = -1
    gap: int = 0


def around(timeline: Timeline, here: int, count: int, unit: int = 0) -> list[LadderRow]:
    """Return the rows of up to `count` frames on each side of frame `here`, with what happened between them.

    If `unit` is given, the rows are to scale, and each has so many ns.
    """
    frames = timeline.frames
    reach = count
    while True:
        first, stop = max(here - reach, 0), min(max(here, 0) + reach + 1, len(frames))
        begin = frames[first].event if first else 0
        end = frames[stop].event if stop < len(frames) else len(timeline.events)
        if end - begin <= MOST or reach <= 1:
            break
        reach //= 2
    rows = [LadderRow(f.event, f.time, f.host, f.index, last=f.event) for f in (frames[i] for i in range(first, stop))]
    for index in range(begin, min(end, begin + MOST)):
        kind = timeline.kind(index)
        if kind in NOTED:
            entry = timeline.events[index]
            text = note(entry, kind)
            if text:
                rows.append(LadderRow(index, entry.time, entry.host, texts=[text], last=index))
    joined = _joined(sorted(rows, key=lambda row: row.event))
    return _to_scale(joined, unit) if unit else _with_gaps(joined)


def _joined(rows: list[LadderRow]) -> list[LadderRow]:
    """Join notes of the same host and time that follow one another."""
    found: list[LadderRow] = []
    for row in rows:
        before = found[-1] if found else None
        if before is not None and row.texts and before.texts and (row.time, row.host) == (before.time, before.host):
            before.last = row.last
            before.texts += [text for text in row.texts if text not in before.texts]
        else:
            found.append(row)
    return found


def _with_gaps(rows: list[LadderRow]) -> list[LadderRow]:
    found: list[LadderRow] = []
    for row, gap in zip(rows, gaps([row.time for row in rows])):
        if gap:
            found.append(LadderRow(row.event, row.time, "", gap=gap))
        found.append(row)
    return found


def _to_scale(rows: list[LadderRow], unit: int) -> list[LadderRow]:
    """Put as many empty rows before each row as its wait is long. A wait that is too long becomes a gap."""
    found: list[LadderRow] = []
    before = rows[0].time if rows else 0
    for row in rows:
        wait = max(0, row.time - before)
        lines = distance(wait, unit)
        if lines:
            found += [LadderRow(row.event, row.time, "") for _ in range(lines - 1 if found else 0)]
        else:
            found.append(LadderRow(row.event, row.time, "", gap=wait))
        found.append(row)
        before = row.time
    return found


def flows(timeline: Timeline) -> dict[frozenset[str], int]:
    """Return a number for each pair of ends that have a connection, written as in a frame's summary: 10.0.0.1.80."""
    found: dict[frozenset[str], int] = {}
    for key in timeline.connections:
        parts = ConnKey.of(key)
        if not parts.unconnected:
            found.setdefault(frozenset(end.replace(":", ".") for end in (parts.local, parts.remote)), len(found))
    return found
