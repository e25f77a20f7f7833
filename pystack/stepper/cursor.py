"""A place in a timeline, and the methods that move it."""

from collections.abc import Iterator
from typing import Any

from pystack.stepper import rounds
from pystack.stepper.expr import Expression
from pystack.stepper.records import Entry, Frame
from pystack.stepper.scope import Scope
from pystack.stepper.timeline import Timeline

UNITS = ("event", "frame", "layer", "rtt")


class Breakpoint:
    """An expression to stop at: the run stops if it is true, or (`watch`) if its value changes.

    `hits` counts the stops. `error` says why the expression could not be evaluated at any event so far.
    """

    def __init__(self, text: str, expression: Expression, watch: bool = False):
        self.expression = text
        self.compiled = expression
        self.watch = watch
        self.enabled = True
        self.hits = 0
        self.error = ""

    def __repr__(self) -> str:
        return f"<{'watch' if self.watch else 'break'} {self.expression!r}, {self.hits} hits>"


class Stop:
    """Why `run` stopped: the event, and the breakpoints that hit. For a watchpoint, `values` holds the old and the new
    value.
    """

    def __init__(self, entry: Entry, hits: "list[Breakpoint]", values: "dict[str, tuple[Any, Any]]"):
        self.entry = entry
        self.hits = hits
        self.values = values

    def __str__(self) -> str:
        parts = []
        for hit in self.hits:
            if hit.watch:
                before, after = self.values[hit.expression]
                parts.append(f"{hit.expression}: {before} -> {after}")
            else:
                parts.append(hit.expression)
        return "; ".join(parts)


class Cursor:
    """A position among the events of a timeline. Position -1 is before the first event."""

    def __init__(self, timeline: Timeline):
        self.timeline = timeline
        self.position = -1
        self.breakpoints: list[Breakpoint] = []

    # -- where it is -------------------------------------------------------------------------------------------------

    @property
    def entry(self) -> "Entry | None":
        """The event at the cursor; None if the cursor is before the first."""
        return self.timeline.events[self.position] if self.position >= 0 else None

    @property
    def time(self) -> int:
        """The time at the cursor."""
        entry = self.entry
        return self.timeline.start if entry is None else entry.time

    @property
    def frame(self) -> "Frame | None":
        """The frame of the event at the cursor, or the last frame before it if the event has none."""
        for index in range(self.position, max(self.position - 2000, -1), -1):
            number = self.timeline.events[index].frame
            if number >= 0:
                return self.timeline.frames[number]
        return None

    @property
    def conn(self) -> str:
        """The key of the connection at the cursor.

        It is the connection of the event, or of the last event before it that has one, or "".
        """
        return rounds.connection_at(self.timeline, self.position)

    def state(self, host: "str | None" = None) -> dict[str, dict[str, Any]]:
        """Return the connections right after the event at the cursor."""
        return self.timeline.state(self.position, host)

    def diff(self) -> dict[str, dict[str, tuple[Any, Any]]]:
        """Return what the event at the cursor changed."""
        return self.timeline.diff(self.position)

    def arp(self) -> dict[str, dict[str, Any]]:
        """Return the ARP entries at the cursor."""
        return self.timeline.arp(self.position)

    def timers(self) -> dict[str, dict[str, int]]:
        """Return the armed timers at the cursor, with their deadlines."""
        return self.timeline.timers(self.position)

    def events_near(self, n: int = 10) -> list[Entry]:
        """Return the events around the cursor, up to `n` on each side."""
        first = max(self.position - n, 0)
        return self.timeline.events[first : self.position + n + 1]

    # -- moving ------------------------------------------------------------------------------------------------------

    def step(self, unit: str = "event", n: int = 1) -> "Entry | None":
        """Move by `n` units, backwards if `n` is negative, and return the event reached.

        "event" is one event; "frame" the next frame sent or received; "layer" the next event of another layer or host;
        "rtt" the next round trip of the connection at the cursor. If there are not enough units left, return None; the
        cursor is then at the end (or before the first event). A ValueError names the units.
        """
        if unit not in UNITS:
            raise ValueError(f"a step is one of {', '.join(UNITS)}, not {unit!r}")
        direction = 1 if n >= 0 else -1
        for _ in range(abs(n)):
            if not self._step(unit, direction):
                self.position = len(self.timeline.events) - 1 if direction > 0 else -1
                return None
        return self.entry

    def _step(self, unit: str, direction: int) -> bool:
        target = None
        if unit == "event":
            target = self.position + direction
        elif unit == "rtt":
            target = rounds.next_round(self.timeline, self.conn, self.position, direction)
        elif unit == "frame":
            target = rounds.following(self.timeline.frame_events, self.position, direction)
        else:
            here = self.entry
            for index in self._ahead(direction):
                entry = self.timeline.events[index]
                if here is None or (entry.layer, entry.host) != (here.layer, here.host):
                    target = index
                    break
        if target is None or not 0 <= target < len(self.timeline.events):
            return False
        self.position = target
        return True

    def _ahead(self, direction: int) -> Iterator[int]:
        stop = len(self.timeline.events) if direction > 0 else -1
        return iter(range(self.position + direction, stop, direction))

    def goto(
        self, *, time: "int | None" = None, frame: "int | None" = None, event: "int | None" = None
    ) -> "Entry | None":
        """Go to the last event at or before a time (ns), to a frame's number (from 1), or to an event's index.

        A ValueError says that there is no such place.
        """
        if (time is not None) + (frame is not None) + (event is not None) != 1:
            raise ValueError("goto takes one of time, frame and event")
        timeline = self.timeline
        if frame is not None:
            if not 1 <= frame <= len(timeline.frames):
                raise ValueError(f"there is no frame {frame}; there are {len(timeline.frames)}")
            self.position = timeline.frames[frame - 1].event
        elif event is not None:
            if not -1 <= event < len(timeline.events):
                raise ValueError(f"there is no event {event}; there are {len(timeline.events)}")
            self.position = event
        elif time is not None:
            low, high = 0, len(timeline.events)
            while low < high:
                middle = (low + high) // 2
                if timeline.events[middle].time <= time:
                    low = middle + 1
                else:
                    high = middle
            self.position = low - 1
        return self.entry

    def at(self, place: str) -> None:
        """Go to a place as users write it: frame=N, event=N, time=SECONDS, first or last. ValueError if there is no such place."""
        unit, _, value = place.partition("=")
        if place == "first":
            self.first()
        elif place == "last":
            self.last()
        elif unit == "time":
            self.goto(time=self.timeline.start + round(float(value) * 1e9))
        elif unit == "frame":
            self.goto(frame=int(value))
        elif unit == "event":
            self.goto(event=int(value))
        else:
            raise ValueError("write frame=N, event=N, time=SECONDS, first or last")

    def first(self) -> None:
        """Go before the first event."""
        self.position = -1

    def last(self) -> "Entry | None":
        """Go to the last event and return it."""
        self.position = len(self.timeline.events) - 1
        return self.entry

    # -- breakpoints -------------------------------------------------------------------------------------------------

    def add_break(self, text: str) -> Breakpoint:
        """Stop where this expression becomes true (see expr.py). ExpressionError says what is wrong with it."""
        return self._add(text, False)

    def watch(self, text: str) -> Breakpoint:
        """Stop where the value of this expression changes."""
        return self._add(text, True)

    def _add(self, text: str, watch: bool) -> Breakpoint:
        found = Breakpoint(text, Expression(text, self.timeline.hosts), watch)
        self.breakpoints.append(found)
        return found

    def evaluate(self, text: str) -> Any:
        """Return the value of an expression at the cursor."""
        return Expression(text, self.timeline.hosts).value(Scope(self.timeline, self.position))

    def run(self, direction: int = 1) -> "Stop | None":
        """Go to the next event (or, with -1, the previous one) at which an enabled breakpoint hits; return None at the
        end.

        A breakpoint whose expression uses `event`, `frame` or `time` hits at each event for which it is true. Any other
        expression describes a state that stays, so it hits when it becomes true, and again only after it was false.
        """
        chosen = [one for one in self.breakpoints if one.enabled]
        before = {id(one): self._value(one, self.position) for one in chosen}
        watching = any(one.watch for one in chosen)
        for index in self._ahead(direction):
            if not watching and self._impossible(chosen, index):
                continue
            hits: list[Breakpoint] = []
            values: dict[str, tuple[Any, Any]] = {}
            scope = Scope(self.timeline, index)
            for one in chosen:
                value = self._value(one, index, scope)
                old = before[id(one)]
                if one.watch:
                    hit = value is not None and old is not None and value != old
                else:
                    hit = bool(value) and (one.compiled.momentary or not old)
                if hit:
                    hits.append(one)
                    values[one.expression] = (old, value)
                if value is not None or not one.watch:
                    before[id(one)] = value
            if hits:
                self.position = index
                for one in hits:
                    one.hits += 1
                entry = self.entry
                assert entry is not None
                return Stop(entry, hits, values)
        self.position = len(self.timeline.events) - 1 if direction > 0 else -1
        return None

    def _impossible(self, chosen: list[Breakpoint], index: int) -> bool:
        """Return True if none of them can hit, judged only by the event's kind."""
        kind = self.timeline.kind(index)
        return not any(one.compiled.possible(kind) for one in chosen)

    def _value(self, one: Breakpoint, index: int, scope: "Scope | None" = None) -> Any:
        if index < 0:
            return None
        try:
            return one.compiled.value(scope if scope is not None else Scope(self.timeline, index))
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            one.error = f"{type(error).__name__}: {error}"
            return None
