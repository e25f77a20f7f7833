"""Where the time of a request went, in the terminal: its spans as a waterfall, linked with the cursor, and beside those of another run."""

import textwrap

from rich.text import Text
from textual import events

from pystack.stepper.timing.causes import GROUPS, group
from pystack.stepper.timing.path import Path, PathError
from pystack.stepper.timing.text import bar, changes, ms, what
from pystack.stepper.tui.panes import Pane
from pystack.stepper.tui.session import TerminalSession
from pystack.stepper.tui.spans import words
from pystack.visible import one_line

#: group of causes -> its colour; the words beside a bar say the same
COLORS = {
    "way": "blue",
    "bits": "cyan",
    "queue": "magenta",
    "program": "green",
    "held": "yellow",
    "loss": "red",
    "other": "white",
}
#: lines for the span at the cursor, and for the causes that changed most between two runs
DETAIL, CHANGES = 4, 4
#: from this width on, the start of each span is shown, too
ROOMY = 76


class Waterfall(Pane):
    """The spans of a request. The up and down keys move the cursor from span to span."""

    title = "Where the time went"

    def __init__(self, session: TerminalSession, *, id: str):
        super().__init__(session, id=id)
        #: the span of each line, or -1
        self.places: list[int] = []

    def heading(self) -> str:
        """Return the title with the request that is shown."""
        conn, begin, end = self.session.request
        parts = [conn, begin and f"from {begin}", end and f"to {end}"]
        return f"{self.title}: {' '.join(part for part in parts if part) or 'the first request'}"

    def lines(self, width: int, height: int) -> list[Text]:
        """Return the sum, the spans around the cursor, and the words of the span there."""
        session = self.session
        self.places = []
        try:
            path = session.path()
        except PathError as error:
            return [Text(line) for line in textwrap.wrap(one_line(str(error)), width)]
        other = session.other_path()
        found = [_sum(path, other)]
        here = session.span(path)
        compared = _changed(path, other) if other is not None else []
        detail = _detail(path, here, width)
        room = max(height - len(found) - len(detail) - len(compared), 3)
        first = max(0, min(max(here, 0) - room // 2, len(path.spans) - room))
        longest = max(path.elapsed, other.elapsed if other is not None else 0)
        time = session.cursor.time if session.cursor.position >= 0 else -1
        self.places = [-1] * len(found)
        half = (width - 3) // 2 if other is not None else width
        for at in range(first, first + room):
            if at >= len(path.spans) and (other is None or at >= len(other.spans)):
                break
            mine = _row(path, at, half, longest, time, at == here)
            if other is not None:
                mine = Text.assemble(mine, " │ ", _row(other, at, half, longest, -1, False))
            found.append(mine)
            self.places.append(at if at < len(path.spans) else -1)
        found += [Text("")] * (room - (len(found) - 1))
        return found + compared + detail

    def action_line(self, count: int) -> None:
        """Go to the next span."""
        self.stepper.do(f"span {count:+d}")

    def action_page(self, count: int) -> None:
        """Go on by a screenful of spans."""
        self.action_line(count * max(self.content_size.height - DETAIL - 2, 1))

    def on_click(self, event: events.Click) -> None:
        """Go to the span on this line."""
        place = event.get_content_offset(self)
        if place is not None and place.y < len(self.places) and self.places[place.y] >= 0:
            self.stepper.do(f"span {self.places[place.y] + 1}")


def _sum(path: Path, other: "Path | None") -> Text:
    """The elapsed time, and what each group of causes took of it: the legend of the colours."""
    text = Text(ms(path.elapsed), style="bold")
    if other is not None:
        text.append(f" → {ms(other.elapsed)}")
    sums: dict[str, int] = {}
    for span in path:
        name = group(span.cause)
        sums[name] = sums.get(name, 0) + span.duration
    for name, time in sorted(sums.items(), key=lambda item: -item[1]):
        text.append("  █ ", COLORS[name]).append(f"{GROUPS[name][0]} {100 * time / path.elapsed:.1f} %")
    return text


def _row(path: Path, at: int, width: int, longest: int, time: int, here: bool) -> Text:
    """Return one span: its start, its length, its bar, and its cause in words."""
    if at >= len(path.spans):
        return Text(" " * width)
    span = path.spans[at]
    roomy = width >= ROOMY
    start = f"{ms(span.start - path.begin):>13} " if roomy else ""
    text = Text(f"{'>' if here else ' '}{start}{ms(span.duration):>13} ", no_wrap=True)
    size = width // 4 if roomy else max(width // 7, 6)
    drawn = list(bar(path.begin, span.start, span.end, longest, size))
    cursor = (time - path.begin) * size // longest if path.begin <= time <= path.end else -1
    for place, cell in enumerate(drawn):
        mark = place == min(cursor, size - 1)
        text.append(
            "│" if mark and cell == " " else cell, "reverse" if mark and cell != " " else COLORS[group(span.cause)]
        )
    where = f"frame {span.frame}" if span.frame else span.host
    text.append(f" {what(span)}", "bold" if here else "").append(f" {where}{' ~' if span.inferred else ''}", "dim")
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def _detail(path: Path, at: int, width: int) -> list[Text]:
    """Return the words of a span, in as many lines as there are for them."""
    rule = Text("─" * width, style="dim")
    if not 0 <= at < len(path.spans):
        return [rule, Text("the cursor is not on the path of this request; up and down go to its spans", style="dim")]
    return [rule, *(Text(line) for line in textwrap.wrap(words(path, path.spans[at]), width)[: DETAIL - 1])]


def _changed(path: Path, other: Path) -> list[Text]:
    """Return the causes that grew or shrank most."""
    found = []
    for cause, why, before, after in changes(path, other)[:CHANGES]:
        if before != after:
            sign = "▲ +" if after > before else "▼ "
            name = f"{cause} ({why})" if why else cause
            found.append(Text(f"{sign}{ms(after - before)}  {name}: {ms(before)} here, {ms(after)} there"))
    return found
