"""The ladder as lines of text: a column for each host and an arrow for each frame, fitted to the available room.

Between the frames are lines for timers, calls and changes of state, and for unusually long waits. To scale, there are also
empty lines, so that the distance of two lines says how much time is between them.
"""

from dataclasses import dataclass

from rich.text import Text

from pystack.stepper import messages
from pystack.stepper.plot.ladder import ends_of, is_again, later
from pystack.stepper.records import Frame
from pystack.stepper.tui import rows, words
from pystack.stepper.tui.session import TerminalSession

#: room for mark, number and time before the columns
PREFIX = 16
#: if the arrows are shorter than this, the words are after the columns
INSIDE = 22
LOST = "bold red"
AGAIN = "bold yellow"
DROPPED = "bold magenta"
NOTE = "italic"
#: styles of the conversations, one after another
FLOWS = ("", "cyan", "green", "bright_blue", "bright_cyan", "bright_green")


@dataclass(frozen=True)
class Columns:
    """The positions of the hosts' columns: `x` of each, and the place for words after them (0: inside the arrows)."""

    names: list[str]
    x: list[int]
    words: int

    @classmethod
    def fit(cls, names: list[str], width: int) -> "Columns":
        """Spread the hosts over `width`."""
        gaps = max(len(names) - 1, 1)
        room = max(width - 1, 4)
        if room // gaps >= INSIDE or len(names) < 2:
            return cls(names, [n * room // gaps for n in range(len(names))], 0)
        space = max(4, min(12, (room - 26) // gaps))
        return cls(names, [n * space for n in range(len(names))], gaps * space + 2)

    def lines(self) -> list[str]:
        """Return the letters of a row with nothing but the hosts' lines."""
        cells = [" "] * (self.x[-1] + 1)
        for x in self.x:
            cells[x] = "│"
        return cells


def lines(session: TerminalSession, width: int, height: int) -> tuple[list[Text], list[int]]:
    """Return the heading and as many rows around the cursor's as fit, and the frame's number on each line, or 0."""
    timeline = session.timeline
    columns = Columns.fit(timeline.lanes, width - PREFIX)
    found, numbers = [_heading(columns)], [0]
    current = session.frame
    count = max(height - 1, 1)
    ladder = rows.around(timeline, -1 if current is None else current.index, count, session.unit)
    here = _here(ladder, session.cursor.position, -1 if current is None else current.index)
    first = max(0, min(here - count // 2, len(ladder) - count))
    for place in range(first, min(first + count, len(ladder))):
        row = ladder[place]
        if row.frame >= 0:
            frame = timeline.frames[row.frame]
            found.append(_row(session, columns, frame, place == here, width))
            numbers.append(frame.number)
        else:
            found.append(_between(session, columns, row, place == here, width))
            numbers.append(0)
    return found, numbers


def _here(ladder: list[rows.LadderRow], position: int, frame: int) -> int:
    """Return the row of the cursor: a note if the cursor is at one of its events, otherwise the row of the frame."""
    for place, row in enumerate(ladder):
        if row.texts and row.event <= position <= row.last:
            return place
    return next((place for place, row in enumerate(ladder) if row.frame == frame >= 0), 0 if frame >= 0 else -1)


def _between(session: TerminalSession, columns: Columns, row: rows.LadderRow, current: bool, width: int) -> Text:
    """Return a line that is no frame: a note, an empty line to scale, or a wait that is much longer than the others."""
    if row.texts:
        return _note(session, columns, row, current, width)
    if row.gap:
        words = later(row.gap) + (" (not to scale)" if session.unit else "")
        text = Text(f"{'⋮':>15} {words}", style="dim", no_wrap=True, end="")
        text.truncate(width)
        return text
    text = Text(f"{'·':>15} {''.join(columns.lines())}", no_wrap=True, end="")
    return _shown(session, text, row.event, False, width)


def _note(session: TerminalSession, columns: Columns, row: rows.LadderRow, current: bool, width: int) -> Text:
    """Return a line for what a host did: its mark is in the host's column, and the words are beside it."""
    time = words.since(row.time, session.timeline.start)
    text = Text(f"{'>' if current else ' '}{'':>4} {time:>9} ", no_wrap=True, end="")
    cells = columns.lines()
    at = _column(columns, row.host, 0)
    cells[at] = "●"
    said = ", ".join(row.texts)
    if columns.words:
        text.append("".join(cells), NOTE)
        text.pad_right(max(PREFIX + columns.words - len(text), 0))
        text.append(f"{row.host}: {said}", NOTE)
    else:
        # beside the column, on the side that has room
        right = at < columns.x[-1] or len(columns.x) < 2
        room = columns.x[1] - 4 if len(columns.x) > 1 else width
        said = said if len(said) <= room else said[: room - 1] + "~"
        start = at + 2 if right else at - 1 - len(said)
        cells[start : start + len(said)] = said
        text.append("".join(cells), NOTE)
    return _shown(session, text, row.event, current, width)


def _shown(session: TerminalSession, text: Text, event: int, current: bool, width: int) -> Text:
    """Cut a line to the width. The cursor's line is reverse, and lines after it are dim."""
    text.truncate(width)
    if current:
        text.pad_right(max(width - len(text), 0))
        text.stylize("reverse")
    elif event > session.cursor.position:
        text.stylize("dim")
    return text


def _heading(columns: Columns) -> Text:
    cells = [" "] * (columns.x[-1] + 12)
    for name, x in zip(columns.names, columns.x):
        last = x == columns.x[-1] and len(columns.x) > 1
        start = max(x - len(name) + 1, 0) if last and not columns.words else x
        for n, letter in enumerate(name[:10]):
            if start + n < len(cells):
                cells[start + n] = letter
    return Text(f"{'frame':>5} {'s':>9} " + "".join(cells).rstrip(), style="bold", no_wrap=True)


def style(session: TerminalSession, frame: Frame) -> str:
    """Return the style of a frame: lost, dropped, retransmitted, or that of its conversation."""
    if frame.fate == "lost":
        return LOST
    if frame.fate == "dropped":
        return DROPPED
    if is_again(session.timeline, frame):
        return AGAIN
    return FLOWS[session.flows.get(ends_of(frame), 0) % len(FLOWS)]


def _row(session: TerminalSession, columns: Columns, frame: Frame, current: bool, width: int) -> Text:
    time = words.since(frame.time, session.timeline.start)
    text = Text(f"{'>' if current else ' '}{frame.number:>4} {time:>9} ", no_wrap=True, end="")
    look = style(session, frame)
    text.append(arrow(columns, frame), look)
    if columns.words:
        text.pad_right(max(PREFIX + columns.words - len(text), 0))
        room = width - len(text)
        text.append(said(frame, room) if room > 3 else "", look)
    return _shown(session, text, frame.event, current, width)


def arrow(columns: Columns, frame: Frame) -> str:
    """Return the columns with the arrow of one frame: to its receiver, to an x if it was lost, with a ! if it was
    dropped.
    """
    cells = columns.lines()
    start = _column(columns, frame.host, 0)
    stop = _column(columns, frame.to, columns.x[-1] if start != columns.x[-1] else columns.x[0])
    if start == stop:
        cells[start] = "o"
        return "".join(cells)
    step = 1 if stop > start else -1
    end = stop
    if frame.fate == "lost":
        end = start + (stop - start) * 3 // 4
    for x in range(start + step, end, step):
        cells[x] = "─"
    cells[end - step] = "x" if frame.fate == "lost" else ">" if step > 0 else "<"
    if frame.fate == "dropped":
        cells[stop] = "!"
    if not columns.words:
        _write(cells, frame, min(start, end), max(start, end), step)
    return "".join(cells)


def said(frame: Frame, room: int) -> str:
    """Return the words beside an arrow: the messages of programs in the frame, and its segment."""
    message = messages.beside(frame)
    if len(message) + 10 > room:
        return words.label(message, room) if message else words.label(frame.summary, room)
    return (
        f"{message}  {words.label(frame.summary, room - len(message) - 2)}"
        if message
        else words.label(frame.summary, room)
    )


def _write(cells: list[str], frame: Frame, low: int, high: int, step: int) -> None:
    """Write the words into the arrow."""
    room = high - low - 6
    note = {"lost": " LOST", "dropped": " DROPPED"}.get(frame.fate, "")
    text = f" {said(frame, room - len(note))}{note} "
    start = low + (2 if step > 0 else 3)
    cells[start : start + len(text)] = text


def _column(columns: Columns, name: str, otherwise: int) -> int:
    return columns.x[columns.names.index(name)] if name in columns.names else otherwise
