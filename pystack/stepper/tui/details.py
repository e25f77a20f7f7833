"""The panes that show the current event in detail: its reason, its connection, the timers, and the bytes of its frame."""

import textwrap
from typing import Any

from rich.text import Text

from pystack.stepper.dissect import hex_rows
from pystack.stepper.explain import why
from pystack.stepper.tui import ladder, words
from pystack.stepper.tui.panes import CHANGED, WORDS, Pane
from pystack.stepper.tui.session import TerminalSession


class Reason(Pane):
    """The event's reason with its RFC section, the explanation in sentences and the link, and the frame that it belongs
    to.
    """

    title = "Why"

    def lines(self, width: int, height: int) -> list[Text]:
        """Return host and time, the reasons, the links, and the frame."""
        session = self.session
        entry = session.entry
        if entry is None:
            return _before(session, width)
        timeline = session.timeline
        frame = timeline.frames[entry.frame] if entry.frame >= 0 else None
        head = f"{entry.host}  {words.since(entry.time, timeline.start)} s  {entry.kind}  {entry.subject}"
        if frame is not None:
            head += f"  (frame {frame.number}, {frame.fate})"
        found = [Text(head, style="dim")]
        reasons, rfcs = _reasons(session, entry, frame)
        for reason in reasons:
            found += _wrapped(reason, width, WORDS)
        for sentence in why(timeline, event=entry.index).sentences:
            # the explanation contains the reason already
            if not any(sentence.rstrip(".").endswith(reason) for reason in reasons):
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
    """Return what is shown before the first event: what the scenario is about."""
    scenario = session.scenario
    if scenario is None:
        return [Text("before the first event: n, f or the down arrow step forwards", style=WORDS)]
    title = _wrapped(f"{scenario.title}. {scenario.question} (a: the answer)", width, WORDS)
    return title + _wrapped(" ".join(scenario.story.split()), width)


def _reasons(session: TerminalSession, entry: Any, frame: Any) -> tuple[list[str], list[str]]:
    """Return the reasons in words, and the RFC references to link to."""
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
    """The connection's state. The fields that the event changed are on top and marked."""

    def heading(self) -> str:
        """Return the connection's name."""
        return words.connection(self.session.conn) or "Connection"

    def lines(self, width: int, height: int) -> list[Text]:
        """Return the changes, and then all fields."""
        session = self.session
        conn, tcb = session.conn, session.tcb()
        if tcb is None:
            return [Text("no connection here" if not conn else "it does not exist at this point", style="dim")]
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
    """The armed timers of all hosts, the next to expire first, and the ARP tables."""

    title = "Timers and ARP"

    def lines(self, width: int, height: int) -> list[Text]:
        """Return the timers in ms from the cursor's time."""
        cursor, now = self.session.cursor, self.session.cursor.time
        armed = [(deadline, name, key) for key, timers in cursor.timers().items() for name, deadline in timers.items()]
        found = [
            Text(f"{words.ms(deadline - now):>10} ms {name} {words.connection(key)}")
            for deadline, name, key in sorted(armed)
        ] or [Text("no timer is set", style="dim")]
        changed = cursor.diff()
        for key, entry in cursor.arp().items():
            style = CHANGED if key in changed else ""
            found.append(Text(f"{key} {entry['state']} {entry['mac']}", style=style, no_wrap=True))
        return found


class Hex(Pane):
    """The frame's bytes, with those of the chosen field marked."""

    title = "Bytes"

    def lines(self, width: int, height: int) -> list[Text]:
        """Return rows of 16 bytes, or of 8 if the pane is narrow."""
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
        """Scroll to the chosen field."""
        node = self.session.node
        self.top = 0
        if node is not None:
            size = 16 if self.content_size.width >= 71 else 8
            self.top = max(0, node.offset // size - max(self.content_size.height - 2, 0) // 2)
        self.refresh()

    def heading(self) -> str:
        """Return the name and place of the chosen field."""
        return field_place(self.session)


def field_place(session: TerminalSession) -> str:
    """Return the name and place of the chosen field."""
    node = session.node
    if node is None:
        return "Bytes"
    bits = f", {node.bits}" if node.bits else ""
    count = f"bytes {node.offset}-{node.end - 1}" if node.size > 1 else f"byte {node.offset}"
    return f"{node.abbrev or node.name}: {count}{bits}"
