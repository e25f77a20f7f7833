"""The panes: each shows one side of the session, as many lines as fit, and scrolls where there are more."""

import textwrap
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget

from pystack.stepper.dissect import hex_rows
from pystack.stepper.explain import why
from pystack.stepper.records import Frame
from pystack.stepper.tui import ladder, words
from pystack.stepper.tui.session import TerminalSession
from pystack.visible import pictures

if TYPE_CHECKING:
    from pystack.stepper.tui.app import StepperApp

CHANGED = "bold yellow"
WORDS = "bold"


def border(text: str) -> Text:
    """A title for a border: what may be in a name is neither markup nor a control character there."""
    return Text(pictures(text))


class Pane(Widget, can_focus=True):
    """Lines of text; `lines` makes them. Scrolls by the arrow keys and the wheel."""

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
        """The app."""
        app: Any = self.app
        return app

    def lines(self, width: int, height: int) -> list[Text]:
        """All lines there are."""
        raise NotImplementedError

    def render(self) -> Text:
        """Those that are in view."""
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
        """The title, on the border; what does not fit is counted behind it."""
        return self.title

    def changed(self) -> None:
        """The session is somewhere else."""
        self.top = 0
        self.refresh()

    def action_line(self, count: int) -> None:
        """Scroll."""
        self.top += count
        self.refresh()

    def action_page(self, count: int) -> None:
        """Scroll a page."""
        self.action_line(count * max(self.content_size.height - 1, 1))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel."""
        self.action_line(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel."""
        self.action_line(-1)


class LadderPane(Pane):
    """The hosts and their frames; up and down go from frame to frame."""

    title = "LadderPane"
    numbers: list[int]

    def lines(self, width: int, height: int) -> list[Text]:
        """Around the cursor's frame."""
        found, self.numbers = ladder.lines(self.session, width, height)
        return found

    def action_line(self, count: int) -> None:
        """The next frame."""
        self.stepper.action_step("frame", count)

    def action_page(self, count: int) -> None:
        """A screenful of frames on."""
        self.stepper.action_step("frame", count * max(self.content_size.height - 2, 1))

    def on_click(self, event: events.Click) -> None:
        """To the frame on this line."""
        place = event.get_content_offset(self)
        if place is not None and place.y < len(self.numbers) and self.numbers[place.y]:
            self.stepper.do(f"goto frame {self.numbers[place.y]}")


class Events(Pane):
    """All events; up and down go from one to the next."""

    title = "Events"
    first = 0

    def lines(self, width: int, height: int) -> list[Text]:
        """Around the cursor."""
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
        """The next event."""
        self.stepper.action_step("event", count)

    def action_page(self, count: int) -> None:
        """A screenful on."""
        self.stepper.action_step("event", count * max(self.content_size.height - 1, 1))

    def on_click(self, event: events.Click) -> None:
        """To the event on this line."""
        place = event.get_content_offset(self)
        if place is not None and self.first + place.y < len(self.session.timeline.events):
            self.stepper.do(f"goto event {self.first + place.y}")


class Compare(Pane):
    """After `whatif`: the frames of both runs, each beside its counterpart."""

    title = "Compare"
    frames: list[int]

    def lines(self, width: int, height: int) -> list[Text]:
        """What each run came to, and the rows around the cursor's frame."""
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
        """The row of the cursor's frame."""
        session, frame = self.session, self.session.frame
        if frame is None:
            return 0
        for index, row in enumerate(session.rows):
            mine = row.right if session.changed else row.left
            if mine is not None and mine.number == frame.number:
                return index
        return 0

    def action_line(self, count: int) -> None:
        """The next frame."""
        self.stepper.action_step("frame", count)

    def action_page(self, count: int) -> None:
        """A screenful of frames on."""
        self.stepper.action_step("frame", count * max(self.content_size.height - 4, 1))

    def on_click(self, event: events.Click) -> None:
        """To the frame on this line."""
        place = event.get_content_offset(self)
        if place is not None and place.y < len(self.frames) and self.frames[place.y]:
            self.stepper.do(f"goto frame {self.frames[place.y]}")


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


class Reason(Pane):
    """Why: the event's reason with its RFC section, the explanation in sentences, the link; of a frame, what it was."""

    title = "Why"

    def lines(self, width: int, height: int) -> list[Text]:
        """Who and when, why, the links, the frame."""
        session = self.session
        entry = session.entry
        if entry is None:
            return _before(session, width)
        timeline = session.timeline
        frame = timeline.frames[entry.frame] if entry.frame >= 0 else None
        head = f"{entry.host}  {words.since(entry.time, timeline.start)} ms  {entry.kind}  {entry.subject}"
        if frame is not None:
            head += f"  (frame {frame.number}, {frame.fate})"
        found = [Text(head, style="dim")]
        reasons, rfcs = _reasons(session, entry, frame)
        for reason in reasons:
            found += _wrapped(reason, width, WORDS)
        for sentence in why(timeline, event=entry.index).sentences:
            if not any(sentence.rstrip(".").endswith(reason) for reason in reasons):  # told already
                found += _wrapped(sentence, width)
        links = [timeline.link(rfc) for rfc in dict.fromkeys(rfcs) if timeline.link(rfc)]
        found += [Text(link, style="underline") for link in links]
        if frame is not None and str(entry.kind) in ("frame.in", "frame.out"):
            found += _wrapped(frame.summary, width, ladder.style(session, frame))
            for drop in frame.drops:
                found += _wrapped(drop, width, ladder.DROPPED)
        return found


def _wrapped(text: str, width: int, style: str = "") -> list[Text]:
    return [Text(line, style=style) for line in textwrap.wrap(text, width)]


def _before(session: TerminalSession, width: int) -> list[Text]:
    """Before the first event: what this is about."""
    scenario = session.scenario
    if scenario is None:
        return [Text("before the first event: n, f or the arrow down go on", style=WORDS)]
    title = _wrapped(f"{scenario.title}. {scenario.question} (a: the answer)", width, WORDS)
    return title + _wrapped(" ".join(scenario.story.split()), width)


def _reasons(session: TerminalSession, entry: Any, frame: Any) -> tuple[list[str], list[str]]:
    """The words, and the RFC references to link to."""
    kind = str(entry.kind)
    if kind == "frame.out" and frame is not None and frame.why:
        all_events = session.timeline.events
        return list(dict.fromkeys(frame.reasons)), [all_events[index].rfc for index in frame.why]
    if kind == "frame.in" and frame is not None:
        effects = [session.timeline.events[index] for index in session.timeline.effects(entry.index)]
        told = [one for one in effects if str(one.kind) not in ("timer.set", "timer.cancelled", "route", "drop")]
        first = told[:3]
        return [f"{entry.host} takes it: " + "; ".join(one.text() for one in first)] if first else [], [
            one.rfc for one in first
        ]
    return [entry.text()], [entry.rfc]


class ConnectionPane(Pane):
    """The connection's state; what the event changed stands on top and is marked."""

    def heading(self) -> str:
        """The connection's name."""
        return words.connection(self.session.conn) or "Connection"

    def lines(self, width: int, height: int) -> list[Text]:
        """Changes, then all fields."""
        session = self.session
        conn, tcb = session.conn, session.tcb()
        if tcb is None:
            return [Text("no connection here" if not conn else "not there at this point", style="dim")]
        changes = session.changes()
        found = []
        for name, (before, after) in changes.items():
            if name != "timers":
                text = f"*{name} {words.value(name, before, tcb)} -> {words.value(name, after, tcb)}"
                found.append(Text(text, style=CHANGED))
        if found:
            found.append(Text("─" * width, style="dim"))
        names = [*words.FIELDS, *(name for name in tcb if name not in words.FIELDS and name != "timers")]
        found += [self._field(name, tcb, name in changes, width) for name in names if name in tcb]
        return found

    @staticmethod
    def _field(name: str, tcb: dict[str, Any], changed: bool, width: int) -> Text:
        shown = words.value(name, tcb[name], tcb)
        text = Text(f"{'*' if changed else ' '}{name:<13} {shown:>12}", no_wrap=True)
        segments = words.segments(name, tcb[name], tcb)
        if segments and len(text) + len(segments) + 2 <= width:
            text.append(f"  {segments:>9}", "" if changed else "dim")
        meaning = words.FIELDS.get(name, "")
        if meaning and width >= 60:
            text.pad_right(max(40 - len(text), 2))
            text.append(meaning, "dim")
        if changed:
            text.stylize(CHANGED)
        return text


class Timers(Pane):
    """The armed timers of all hosts, the next one first; and the ARP tables."""

    title = "Timers and ARP"

    def lines(self, width: int, height: int) -> list[Text]:
        """In ms from the cursor's time."""
        cursor, now = self.session.cursor, self.session.cursor.time
        armed = [(deadline, name, key) for key, timers in cursor.timers().items() for name, deadline in timers.items()]
        found = [
            Text(f"{words.ms(deadline - now):>10} ms {name} {words.connection(key)}")
            for deadline, name, key in sorted(armed)
        ] or [Text("no timer is armed", style="dim")]
        changed = cursor.diff()
        for key, entry in cursor.arp().items():
            style = CHANGED if key in changed else ""
            found.append(Text(f"{key} {entry['state']} {entry['mac']}", style=style, no_wrap=True))
        return found


class Hex(Pane):
    """The frame's bytes, those of the chosen field marked."""

    title = "Bytes"

    def lines(self, width: int, height: int) -> list[Text]:
        """Rows of 16 bytes, or of 8 where it is narrow."""
        frame, node = self.session.frame, self.session.node
        if frame is None:
            return []
        size = 16 if width >= 71 else 8
        found = []
        for row in hex_rows(frame.data, node, size):
            text = Text(f"{row[0].offset:04x} ", style="", no_wrap=True)
            text.stylize("dim")
            for cell in row:
                text.append(" ")
                text.append(cell.hex, "reverse" if cell.mark else "")
            text.append("   " * (size - len(row)) + "  ")
            for cell in row:
                text.append(cell.char, "reverse" if cell.mark else "")
            found.append(text)
        return found

    def changed(self) -> None:
        """Go where the field is."""
        node = self.session.node
        self.top = 0
        if node is not None:
            size = 16 if self.content_size.width >= 71 else 8
            self.top = max(0, node.offset // size - max(self.content_size.height - 2, 0) // 2)
        self.refresh()

    def heading(self) -> str:
        """The chosen field, and where it is."""
        return field_place(self.session)


def field_place(session: TerminalSession) -> str:
    """Name and place of the chosen field."""
    node = session.node
    if node is None:
        return "Bytes"
    bits = f", {node.bits}" if node.bits else ""
    count = f"bytes {node.offset}-{node.end - 1}" if node.size > 1 else f"byte {node.offset}"
    return f"{node.abbrev or node.name}: {count}{bits}"
