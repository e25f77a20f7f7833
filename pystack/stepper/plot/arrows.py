"""A ladder as a figure: the hosts' lines, an arrow for each frame, and all words in a column that no arrow crosses."""

import re
from typing import TYPE_CHECKING, Any

from pystack import charts
from pystack.stepper.explain import datagrams
from pystack.stepper.plot import data
from pystack.stepper.plot.ladder import Ladder, broken, gaps, is_again, ladder, later, spread
from pystack.visible import one_line

if TYPE_CHECKING:
    from pystack.stepper.timeline import Timeline

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = charts.COLORS
#: colours of the conversations; orange and red have a meaning of their own
FLOWS = (BLUE, GREEN, PURPLE, SKY, "#8c564b", "#444444")
#: inches: a line of text, the column of times, a letter of the small font, above the first row
LINE, TIMES, LETTER, TOP = 0.17, 1.05, 0.062, 0.75
LONGEST = 78
ARROW = {"arrowstyle": "-|>", "lw": 1.2, "shrinkA": 0, "shrinkB": 0}


class _Drawing:
    """The places of rows and lines, in inches from the left upper corner."""

    def __init__(self, figure: Any, timeline: "Timeline", shown: range, to_scale: bool):
        self.timeline, self.shown, self.to_scale = timeline, shown, to_scale
        self.ladder: Ladder = ladder(timeline)
        self.rows = self._rows()
        times = [self.ladder.times[row] for row in self.rows]
        self.gaps = broken(times) if to_scale else gaps(times)
        self.y = {row: TOP + LINE * (y + 1) for row, y in zip(self.rows, spread(times, to_scale))}
        self.words = self._words()
        lines = len(self.ladder.lines)
        apart = 2.6 if lines < 3 else max(1.1, 6.0 / lines)
        self.x = [TIMES + apart * line for line in range(lines)]
        self.column = self.x[-1] + 0.35
        longest = max((len(text) for text, _ in self.words.values()), default=0)
        width = self.column + LETTER * max(longest, 40) + 0.1
        height = max(self.y.values()) + 0.65
        figure.set_size_inches(width, height)
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)
        self.axes.axis("off")
        self.bottom = max(self.y.values()) + 0.2

    def _rows(self) -> list[int]:
        """Return the rows of the frames shown, and those between them; after the last frame also what follows it."""
        ladder, shown = self.ladder, self.shown
        used = {row for i in shown for row in (ladder.departs[i], ladder.arrives[i]) if row >= 0}
        others = {row for rows in (ladder.departs, ladder.arrives) for row in rows if row >= 0} - used
        first = 0 if shown.start == 0 else min(used)
        last = len(ladder.times) - 1 if shown.stop == len(self.timeline.frames) else max(used)
        return [row for row in range(first, last + 1) if row not in others]

    def _words(self) -> dict[int, tuple[str, str]]:
        """Return the text and its colour for each row that has one."""
        found: dict[int, tuple[str, str]] = {}
        for i in self.shown:
            frame = self.timeline.frames[i]
            again = "again: " if is_again(self.timeline, frame) else ""
            fate = {"lost": "  LOST", "dropped": f"  dropped: {_reason(frame)}"}.get(frame.fate, "")
            said = datagrams.brief(frame)
            text = f"{frame.number}  {again}{f'{said}  ' if said else ''}{data.short(frame.summary)}"
            found[self.ladder.departs[i]] = (_cut(text, LONGEST - len(fate)) + fate, self.colour(i))
        notes: dict[int, dict[str, None]] = {}
        for mark in self.ladder.marks:
            if mark.row in self.y:
                notes.setdefault(mark.row, {f"{self.ladder.lines[mark.line]}:": None})[mark.text] = None
        for row, texts in notes.items():
            host, *rest = texts
            note = f"{host} {', '.join(rest)}"
            text, colour = found.get(row, ("", GREY))
            found[row] = (f"{text}  ({note})" if text else _cut(note, LONGEST), colour)
        return found

    def colour(self, i: int) -> str:
        """Return the colour of a frame: red for a lost one, orange for a retransmission, otherwise its conversation's."""
        frame = self.timeline.frames[i]
        if frame.fate == "lost":
            return RED
        if is_again(self.timeline, frame):
            return ORANGE
        return GREY if self.ladder.flows[i] < 0 else FLOWS[self.ladder.flows[i] % len(FLOWS)]

    def hosts(self) -> None:
        """Draw the hosts' names and lines."""
        for x, name in zip(self.x, self.ladder.lines):
            self.axes.plot([x, x], [TOP, self.bottom], color=GREY, lw=1.2, zorder=1)
            self.axes.text(x, TOP - 0.06, one_line(name), ha="center", va="bottom", fontsize=9, fontweight="bold")

    def times(self) -> None:
        """Write the times, and the gaps between them."""
        before, free = None, 0.0
        for row, gap in zip(self.rows, self.gaps):
            time, y = self.ladder.times[row], self.y[row]
            if time != before and y >= free:
                self.axes.text(TIMES - 0.2, y, f"{time / 1e9:.6f} s", ha="right", va="center", fontsize=7.5, color=GREY)
                free = y + LINE * 0.95
            before = time
            if gap:
                middle = y - 1.3 * LINE
                for x in self.x:
                    self.axes.plot([x - 0.05, x + 0.05], [middle + 0.03, middle - 0.03], color=GREY, lw=1)
                text = later(gap) + (" (not to scale)" if self.to_scale else "")
                self.axes.text(self.column, middle, text, va="center", fontsize=7.5, fontstyle="italic", color=GREY)

    def arrow(self, i: int) -> None:
        """Draw a frame. A cross half-way means that it was lost, and a hollow square that its receiver dropped it."""
        ladder, frame = self.ladder, self.timeline.frames[i]
        x0, x1 = self.x[ladder.sender[i]], self.x[ladder.receiver[i]]
        y0 = self.y[ladder.departs[i]]
        if frame.fate == "lost":
            x1 = (x0 + x1) / 2
        y1 = self.y[ladder.arrives[i]] if ladder.arrives[i] >= 0 else y0 + LINE * 0.6
        colour = self.colour(i)
        self.axes.annotate("", (x1, y1), (x0, y0), arrowprops={**ARROW, "color": colour})
        if frame.fate == "lost":
            self.axes.plot([x1], [y1], "x", color=RED, ms=8, mew=2)
        elif frame.fate == "dropped":
            self.axes.plot([x1], [y1], "s", mfc="white", mec=colour, ms=6, mew=1.5, zorder=5)

    def text(self) -> None:
        """Write the words of each row. Of rows that are too near to each other, to scale, the first frame is written, and the others are counted."""
        frames = {self.ladder.departs[i] for i in self.shown}
        shown: list[tuple[int, int, int]] = []  # the row of the place, the row of the words, how many others
        for row in self.rows:
            if row not in self.words:
                continue
            if not shown or self.y[row] >= self.y[shown[-1][0]] + LINE * 0.95:
                shown.append((row, row, 0))
                continue
            place, said, more = shown[-1]
            shown[-1] = (place, row if row in frames and said not in frames else said, more + 1)
        for place, row, more in shown:
            text, colour = self.words[row]
            text += f"  (+{more})" if more else ""
            self.axes.text(self.column, self.y[place], text, ha="left", va="center", fontsize=7.5, color=colour)
        for mark in self.ladder.marks:
            if mark.own and mark.row in self.y:
                shape = {"timer": "D", "call": ".", "state": "o"}[mark.kind]
                self.axes.plot([self.x[mark.line]], [self.y[mark.row]], shape, color=GREY, ms=4, zorder=4)

    def title(self) -> None:
        """Write what is shown, and what the marks mean that are in it."""
        shown, count = self.shown, len(self.timeline.frames)
        title = one_line(f"{self.timeline.name}: frames {shown.start + 1}-{shown.stop}")
        title += f" of {count}" if len(shown) < count else ""
        self.axes.text(0.1, 0.3, title + (", to scale" if self.to_scale else ""), fontsize=10)
        fates = {self.timeline.frames[i].fate for i in shown}
        legend = ["a colour for each conversation"] if len({self.ladder.flows[i] for i in shown}) > 1 else []
        legend += ["cross: lost"] if "lost" in fates else []
        legend += ["square: dropped by its receiver"] if "dropped" in fates else []
        legend += ["orange: sent again"] if any(is_again(self.timeline, self.timeline.frames[i]) for i in shown) else []
        self.axes.text(0.1, self.bottom + 0.25, "; ".join(legend), fontsize=7.5, color=GREY)


def draw(figure: Any, timeline: "Timeline", first: int, last: int, to_scale: bool = False) -> None:
    """Draw the frames `first` up to, but not including, `last`."""
    if last <= first:
        raise ValueError(f"{timeline.name}: no frames in it")
    # All places are given in inches, so nothing is left to a layout.
    figure.set_layout_engine("none")
    drawing = _Drawing(figure, timeline, range(first, last), to_scale)
    drawing.hosts()
    drawing.times()
    for i in drawing.shown:
        drawing.arrow(i)
    drawing.text()
    drawing.title()


def _reason(frame: Any) -> str:
    """Return the name of the first drop of a frame."""
    found = re.match(r"dropped \(([^()]*)\)", frame.drops[0]) if frame.drops else None
    return found[1] if found else ""


def _cut(text: str, most: int) -> str:
    text = one_line(text)
    return text if len(text) <= most else text[: most - 1] + "…"
