"""The panes. Each shows one aspect of the session in as many lines as fit, and scrolls if there are more."""

import textwrap
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget

from pystack.stepper.records import Frame
from pystack.stepper.tui import ladder, words
from pystack.stepper.tui.session import TerminalSession
from pystack.visible import pictures

if TYPE_CHECKING:
    from pystack.stepper.tui.app import StepperApp

CHANGED = "bold yellow"
WORDS = "bold"


def border(text: str) -> Text:
    """Return a title for a border, in which a name can hold neither markup nor control characters."""
    return Text(pictures(text))


class Pane(Widget, can_focus=True):
    """A pane with lines of text, which `lines` makes. The arrow keys and the wheel scroll it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "line(-1)", show=False),
        Binding("down", "line(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
    ]
    title = ""

    def __init__(self, session: TerminalSession, *, id: str):
        super().__init__(id=id)
        self.session = session
        self.top = 0
        self.border_title = border(self.title)

    @property
    def stepper(self) -> "StepperApp":
        """The application."""
        app: Any = self.app
        return app

    def lines(self, width: int, height: int) -> list[Text]:
        """Return all lines."""
        raise NotImplementedError

    def render(self) -> Text:
        """Return the lines in view."""
        width, height = max(self.content_size.width, 1), max(self.content_size.height, 1)
        found = self.lines(width, height)
        self.top = max(0, min(self.top, len(found) - height))
        more = len(found) - self.top - height
        self.border_title = border(self.heading() + (f" (+{more})" if more > 0 else ""))
        shown = found[self.top : self.top + height]
        for line in shown:
            line.plain = pictures(line.plain)
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join(shown)

    def heading(self) -> str:
        """Return the title on the border. The number of lines that do not fit follows it."""
        return self.title

    def changed(self) -> None:
        """Called when the session has moved."""
        self.top = 0
        self.refresh()

    def action_line(self, count: int) -> None:
        """Scroll by lines."""
        self.top += count
        self.refresh()

    def action_page(self, count: int) -> None:
        """Scroll by pages."""
        self.action_line(count * max(self.content_size.height - 1, 1))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll with the wheel."""
        self.action_line(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll with the wheel."""
        self.action_line(-1)


class LadderPane(Pane):
    """The hosts and their frames. The up and down keys move from frame to frame."""

    title = "Ladder"
    numbers: list[int]

    def lines(self, width: int, height: int) -> list[Text]:
        """Return the lines around the cursor's frame."""
        found, self.numbers = ladder.lines(self.session, width, height)
        return found

    def heading(self) -> str:
        """Return the title, which says how long a line is if the ladder is to scale."""
        unit = self.session.unit
        return f"{self.title}, to scale: a line is {_duration(unit)}" if unit else self.title

    def action_line(self, count: int) -> None:
        """Go to the next frame."""
        self.stepper.action_step("frame", count)

    def action_page(self, count: int) -> None:
        """Go on by a screenful of frames."""
        self.stepper.action_step("frame", count * max(self.content_size.height - 2, 1))

    def on_click(self, event: events.Click) -> None:
        """Go to the frame on this line."""
        place = event.get_content_offset(self)
        if place is not None and place.y < len(self.numbers) and self.numbers[place.y]:
            self.stepper.do(f"goto frame {self.numbers[place.y]}")


class Events(Pane):
    """All events. The up and down keys move from one to the next."""

    title = "Events"
    first = 0

    def lines(self, width: int, height: int) -> list[Text]:
        """Return the lines around the cursor."""
        timeline, here = self.session.timeline, self.session.cursor.position
        self.first = max(0, min(here - height // 2, len(timeline.events) - height))
        names = max((len(name) for name in timeline.lanes), default=1)
        found = []
        for entry in timeline.events[self.first : self.first + height]:
            mark = ">" if entry.index == here else " "
            time = words.since(entry.time, timeline.start)
            text = Text(f"{mark}{entry.index:>5} {time:>9} {entry.host[:names]:<{names}} ", no_wrap=True)
            text.append(f"{entry.kind:<16}")
            text.append(_event_words(self.session, entry))
            text.truncate(width, overflow="ellipsis")
            if entry.index == here:
                text.pad_right(max(width - len(text), 0))
                text.stylize("reverse")
            elif entry.index > here:
                text.stylize("dim")
            found.append(text)
        return found

    def action_line(self, count: int) -> None:
        """Go to the next event."""
        self.stepper.action_step("event", count)

    def action_page(self, count: int) -> None:
        """Go on by a screenful."""
        self.stepper.action_step("event", count * max(self.content_size.height - 1, 1))

    def on_click(self, event: events.Click) -> None:
        """Go to the event on this line."""
        place = event.get_content_offset(self)
        if place is not None and self.first + place.y < len(self.session.timeline.events):
            self.stepper.do(f"goto event {self.first + place.y}")


class Compare(Pane):
    """The frames of both runs after `whatif`, each beside its counterpart."""

    title = "Compare"
    frames: list[int]

    def lines(self, width: int, height: int) -> list[Text]:
        """Return the result of each run, and the rows around the cursor's frame."""
        session = self.session
        runs = session.runs()
        self.frames = []
        if runs is None:
            return []
        half = (width - 5) // 2
        found = []
        for n, (timeline, numbers) in enumerate(zip(runs, session.numbers)):
            style = "bold" if (n == 1) == session.changed else ""
            found += [Text(line, style=style) for line in textwrap.wrap(f"{timeline.name}: {numbers}", width)]
        found.append(Text("─" * width, style="dim"))
        room = max(height - len(found), 1)
        here = self._here()
        first = max(0, min(here - room // 2, len(session.rows) - room))
        self.frames = [0] * len(found)
        for index in range(first, min(first + room, len(session.rows))):
            row = session.rows[index]
            mark = "=" if row.same else "~" if row.left and row.right else "<" if row.left else ">"
            cells = (_cell(session, row.left, half), _cell(session, row.right, half))
            text = Text.assemble(cells[0], f" {mark} ", cells[1])
            text.stylize("reverse" if index == here else "dim" if row.same else "")
            found.append(text)
            mine = row.right if session.changed else row.left
            self.frames.append(mine.number if mine is not None else 0)
        return found

    def _here(self) -> int:
        """Return the row of the cursor's frame."""
        session, frame = self.session, self.session.frame
        if frame is None:
            return 0
        for index, row in enumerate(session.rows):
            mine = row.right if session.changed else row.left
            if mine is not None and mine.number == frame.number:
                return index
        return 0

    def action_line(self, count: int) -> None:
        """Go to the next frame."""
        self.stepper.action_step("frame", count)

    def action_page(self, count: int) -> None:
        """Go on by a screenful of frames."""
        self.stepper.action_step("frame", count * max(self.content_size.height - 4, 1))

    def on_click(self, event: events.Click) -> None:
        """Go to the frame on this line."""
        place = event.get_content_offset(self)
        if place is not None and place.y < len(self.frames) and self.frames[place.y]:
            self.stepper.do(f"goto frame {self.frames[place.y]}")


def _duration(ns: int) -> str:
    size, unit = next(
        ((size, unit) for size, unit in ((10**9, "s"), (10**6, "ms"), (10**3, "us")) if ns >= size), (1, "ns")
    )
    return f"{ns / size:g} {unit}"


def _cell(session: TerminalSession, frame: "Frame | None", width: int) -> Text:
    if frame is None:
        return Text(" " * width)
    start = frame._timeline.start
    fate = f"{frame.fate.upper()} " if frame.fate in ("lost", "dropped") else ""
    head = f"{frame.number:>4} {words.since(frame.time, start):>9} {frame.host}>{frame.to or '*'} {fate}"
    text = Text(head + words.label(frame.summary, max(width - len(head), 8)))
    look = {"lost": ladder.LOST, "dropped": ladder.DROPPED}.get(frame.fate, "")
    text.stylize(look)
    text.truncate(width, pad=True)
    return text


def _event_words(session: TerminalSession, entry: Any) -> str:
    if str(entry.kind) in ("frame.in", "frame.out") and entry.frame >= 0:
        frame = session.timeline.frames[entry.frame]
        return f"{frame.number}: {words.label(frame.summary, 200)}"
    return str(entry.text())
