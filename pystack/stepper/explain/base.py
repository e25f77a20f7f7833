"""The parts of an explanation: an event, the states around it, and the events before and after it."""

import re
from typing import Any

from pystack.stepper.keys import ConnKey
from pystack.stepper.records import Entry, Frame
from pystack.stepper.timeline import Timeline

#: how many events are searched, at most, in each direction
REACH = 20_000


class Explanation:
    """Why something happened: the mechanism's name, and sentences with the values and RFC sections.

    `mechanism` is one of MECHANISMS, for programs; `sentences` are for people.
    """

    def __init__(self, mechanism: str, *sentences: str):
        self.mechanism = mechanism
        # A sentence may begin with a name, such as a, but "the peer" begins with a capital letter.
        self.sentences = [f"T{one[1:]}" if one.startswith("the ") else one for one in sentences if one]

    def __str__(self) -> str:
        return " ".join(self.sentences)

    def __repr__(self) -> str:
        return f"<{self.mechanism}: {self}>"


class Look:
    """An event to explain, with methods that look around it."""

    def __init__(self, timeline: Timeline, index: int):
        self.timeline = timeline
        self.index = index
        self.entry = timeline.events[index]
        self.conn = self.entry.conn
        self.host = self.entry.host
        self.tcb: dict[str, Any] = timeline.tcb(index, self.conn) or timeline.tcb(index - 1, self.conn) or {}
        self.before: dict[str, Any] = timeline.tcb(index - 1, self.conn) or {}

    def at(self, index: int) -> "Look":
        """Return another event of the same timeline."""
        return Look(self.timeline, index)

    def seq(self, number: int) -> int:
        """Return one of the host's own sequence numbers relative to the initial one."""
        return (number - int(self.tcb.get("iss", 0))) & 0xFFFFFFFF

    def last(
        self, *kinds: str, conn: "str | None" = None, host: "str | None" = None, reach: int = REACH
    ) -> "Entry | None":
        """Return the last event of these kinds before this one, of the connection (or of a host)."""
        return self._find(range(self.index - 1, max(self.index - reach, -1), -1), kinds, conn, host)

    def next(
        self, *kinds: str, conn: "str | None" = None, host: "str | None" = None, reach: int = REACH
    ) -> "Entry | None":
        """Return the next event of these kinds after this one."""
        stop = min(self.index + reach, len(self.timeline.events))
        return self._find(range(self.index + 1, stop), kinds, conn, host)

    def _find(self, indices: range, kinds: tuple[str, ...], conn: "str | None", host: "str | None") -> "Entry | None":
        events = self.timeline.events
        wanted = self.conn if conn is None and host is None else conn
        for index in indices:
            entry = events[index]
            if (
                str(entry.kind) in kinds
                and (wanted is None or entry.conn == wanted)
                and (host is None or entry.host == host)
            ):
                return entry
        return None

    def cause(self) -> "Entry | None":
        """Return the event that caused this one: the frame that arrived, the timer that expired, or the call."""
        for index in range(self.index, max(self.index - 2000, -1), -1):
            entry = self.timeline.events[index]
            if entry.host == self.host and str(entry.kind) in ("frame.in", "timer.fired", "call"):
                return entry
        return None

    def frame(self, entry: "Entry | None" = None) -> "Frame | None":
        """Return the frame of an event, by default of this one."""
        number = (self.entry if entry is None else entry).frame
        return self.timeline.frames[number] if number >= 0 else None

    def frame_text(self) -> str:
        """Return the frame that arrived and caused this event, or "an ACK"."""
        cause = self.cause()
        return number(self.frame(cause)) if cause is not None and cause.frame >= 0 else "an ACK"

    def peer(self) -> str:
        """Return the host at the other end of the connection, or "the peer"."""
        return ConnKey.of(self.peer_conn()).host or "the peer"

    def named(self, text: str = "") -> str:
        """Return a reason of the core (by default the event's) with names: the core speaks of "our" segments and of "the peer"."""
        text = re.sub(r"\bour\b", f"{self.host}'s", text or self.entry.reason).replace("SYN,ACK", "SYN-ACK")
        peer = self.peer() if self.conn else "the peer"
        return text if peer == "the peer" else re.sub(r"\bthe peer\b", peer, text)

    def section(self) -> str:
        """Return the RFC section of the event in parentheses, with a space before it, or ""."""
        return f" ({self.entry.rfc})" if self.entry.rfc else ""

    def peer_conn(self) -> str:
        """Return the key of the connection's other end, or ""."""
        return self.timeline.other_end(self.conn)

    def first_sent(self, seq: int) -> "Entry | None":
        """Return the first tcp.out that carried the data at `seq`, before this event."""
        found = None
        for index in range(self.index - 1, max(self.index - REACH, -1), -1):
            entry = self.timeline.events[index]
            if entry.conn == self.conn and str(entry.kind) == "tcp.out":
                fields = entry.fields
                size = max(fields["length"], 1 if fields["flags"] & 3 else 0)
                if (seq - fields["seq"]) & 0xFFFFFFFF < size:
                    found = entry
        return found

    def ago(self, entry: "Entry | None") -> str:
        """Return how long before this event another one happened."""
        return "" if entry is None else ms(self.entry.time - entry.time)


def ms(time: int) -> str:
    """Format a duration."""
    return f"{time / 1e6:g} ms" if abs(time) < 10_000_000_000 else f"{time / 1e9:g} s"


def after(time: int) -> str:
    """Say how much later something happened."""
    return f"{ms(time)} later" if time > 0 else "at the same moment"


def count_of(number: int, what: str = "byte") -> str:
    """Return a number with its unit: "1 byte", "2 bytes"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def when(timeline: Timeline, time: int) -> str:
    """Format a time since the start."""
    return f"{(time - timeline.start) / 1e9:.6f} s"


def number(frame: "Frame | None") -> str:
    """Return "frame 12", or "a frame" if the frame is not known."""
    return "a frame" if frame is None else f"frame {frame.number}"
