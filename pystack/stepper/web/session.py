"""The requests that the page may send. Each one names the trace: "0" is the one that was opened, others are branches."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pystack.stepper import search
from pystack.stepper.changed import last_change
from pystack.stepper.cursor import UNITS, Breakpoint, Cursor
from pystack.stepper.expr import Expression
from pystack.stepper.scope import Scope
from pystack.stepper.web import timing, whatif
from pystack.stepper.web.data import Trace, is_words, words

if TYPE_CHECKING:
    from pystack.stepper.records import Entry
    from pystack.stepper.timeline import Timeline

#: how many seconds a filter searches before it answers with what it has found
SLICE = 0.25
#: the most units of one step, breakpoints, and matches in one answer
MOST_STEPS = 10_000
MOST_BREAKPOINTS = 100
MOST_MATCHES = 20_000
#: the id of the run that the command line gives to compare with
AGAINST = "against"
#: how many branches are kept; a new one replaces the oldest
MOST_BRANCHES = 8


class WebSession:
    """The traces that the page can show. The page holds position and breakpoints; the server keeps none.

    ValueError and LookupError say what was wrong with a request.
    """

    def __init__(self, trace: Trace, cursor: Cursor | None = None, against: Trace | None = None):
        self.traces: dict[str, Trace] = {"0": trace}
        if against is not None:
            self.traces[AGAINST] = against
        self.branches = 0
        self.begin = -1 if cursor is None else cursor.position
        given = [] if cursor is None else cursor.breakpoints
        self.breakpoints = [
            {"text": one.expression, "watch": one.watch, "enabled": one.enabled, "hits": 0} for one in given
        ]

    def trace(self, trace: str) -> Trace:
        """Return a trace by its id. LookupError if there is none."""
        found = self.traces.get(trace)
        if found is None:
            raise LookupError(f"no trace {trace!r}")
        return found

    def _cursor(self, trace: str, position: Any) -> Cursor:
        cursor = Cursor(self.trace(trace).timeline)
        if not isinstance(position, int) or not -1 <= position < len(cursor.timeline.events):
            raise ValueError(f"no event {position!r}")
        cursor.position = position
        return cursor

    # -- looking -----------------------------------------------------------------------------------------------------

    def overview(self, trace: str) -> dict[str, Any]:
        """Return the overview of a trace, and the position at which the command line begins."""
        found = self.trace(trace)
        first = trace == "0"
        return {
            **found.overview(),
            "served": True,
            "parent": None if first else "0",
            "begin": self.begin if first else -1,
            "breakpoints": self.breakpoints,
            "changes": whatif.changes(found) if first else [],
            "tries": found.tries() if first else [],
            "next": found.following(),
        }

    def events(self, trace: str, number: int) -> dict[str, Any]:
        """Return a chunk of events."""
        return self.trace(trace).events(number)

    def frames(self, trace: str, number: int) -> list[dict[str, Any]]:
        """Return a chunk of frames."""
        return self.trace(trace).frames(number)

    def plots(self, trace: str, connection: str) -> dict[str, Any]:
        """Return the data of a connection's plots."""
        return self.trace(trace).plots(connection)

    def time(self, trace: str, connection: str = "", **ends: Any) -> dict[str, Any]:
        """Return where the time of a request went, and the other runs with which it can be compared."""
        found = timing.answer(self.trace(trace).requests, connection, ends.get("from", ""), ends.get("to", ""))
        runs = [
            [ident, one.timeline.name if ident == AGAINST or not one.note else one.note]
            for ident, one in self.traces.items()
            if ident != trace
        ]
        return {**found, "runs": runs}

    def why(self, trace: str, index: int) -> dict[str, str]:
        """Explain in sentences why an event happened."""
        self._cursor(trace, index)
        return {"text": self.trace(trace).why(index)}

    # -- moving ------------------------------------------------------------------------------------------------------

    def step(self, trace: str, unit: str, count: int, **where: Any) -> dict[str, int]:
        """Return where a step of the cursor leads."""
        cursor = self._cursor(trace, where.get("from"))
        if unit not in UNITS or not isinstance(count, int) or abs(count) > MOST_STEPS:
            raise ValueError(f"no step of {count!r} {unit!r}")
        cursor.step(unit, count)
        return {"position": cursor.position}

    def run(self, trace: str, direction: int, breakpoints: list[Any], **where: Any) -> dict[str, Any]:
        """Go to the next event at which a breakpoint hits."""
        cursor = self._cursor(trace, where.get("from"))
        if direction not in (1, -1) or not isinstance(breakpoints, list) or len(breakpoints) > MOST_BREAKPOINTS:
            raise ValueError("run needs a direction (forwards or backwards) and a list of breakpoints")
        made: list[Breakpoint] = []
        for one in breakpoints:
            text, watch = str(one["text"]), bool(one.get("watch"))
            made.append(cursor.watch(text) if watch else cursor.add_break(text))
        stop = cursor.run(direction)
        if stop is None:
            return {"position": cursor.position, "hit": -1, "text": ""}
        hit, told = stop.hits[0], ""
        if hit.watch:
            before, after = stop.values[hit.expression]
            told = f": {before} -> {after}"
        return {"position": cursor.position, "hit": made.index(hit), "text": told}

    def evaluate(self, trace: str, text: str, at: int) -> dict[str, Any]:
        """Evaluate an expression at an event. The value is None unless it is a plain value."""
        timeline = self._cursor(trace, at).timeline
        value = _quiet(Expression(str(text), timeline.hosts), Scope(timeline, at))
        return {"value": value if isinstance(value, (int, float, str, list, dict)) else None}

    def filter(self, trace: str, text: str, most: int, **where: Any) -> dict[str, Any]:
        """Return the events that match words or an expression, as many as are found in a while. `next` is where to
        continue.
        """
        timeline = self.trace(trace).timeline
        index, total = where.get("from"), len(timeline.events)
        if not isinstance(index, int) or not 0 <= index <= total or not isinstance(most, int):
            raise ValueError("filter needs a starting event")
        text = str(text)
        wanted = text.lower().split() if is_words(text) else None
        expression = Expression(text, timeline.hosts) if wanted is None else None
        deadline = time.monotonic() + SLICE
        matches: list[int] = []
        while index < total and len(matches) < min(most, MOST_MATCHES):
            if wanted is not None:
                hit = _has_words(timeline, timeline.events[index], wanted)
            else:
                hit = bool(_quiet(expression, Scope(timeline, index)))
            if hit:
                matches.append(index)
            index += 1
            if index % 64 == 0 and time.monotonic() > deadline:
                break
        return {"matches": matches, "next": index if index < total else -1}

    def changed(self, trace: str, at: int, key: str, field: str) -> dict[str, int]:
        """Return the last event up to here that changed a field of a connection, or -1."""
        timeline = self._cursor(trace, at).timeline
        return {"position": last_change(timeline, at, str(key), str(field))}

    def search(self, trace: str, text: str, **where: Any) -> dict[str, Any]:
        """Return the matches of words in everything, as many as are found in a while. `next` is where to continue."""
        first = where.get("from")
        if not isinstance(first, int) or first < 0:
            raise ValueError("search needs a starting event")
        hits, following = search.search(self.trace(trace).timeline, str(text), first, seconds=SLICE)
        return {"hits": search.as_json(hits), "next": following}

    def conversations(self, trace: str) -> list[dict[str, Any]]:
        """Return the conversations of TCP and UDP."""
        return self.trace(trace).talks()

    def stream(self, trace: str, number: int) -> dict[str, Any]:
        """Return what both sides of a conversation said."""
        return self.trace(trace).stream(number)

    # -- what if -----------------------------------------------------------------------------------------------------

    def branch(self, trace: str, at: int, change: str, argument: str) -> dict[str, Any]:
        """Run the scenario again with a change at this event, and compare the runs."""
        cursor = self._cursor(trace, at)
        return self._branched(trace, lambda original: whatif.branch(original, cursor, str(change), str(argument)))

    def attempt(self, trace: str, number: int) -> dict[str, Any]:
        """Run the scenario again with a change that it suggests, from the beginning, and compare the runs."""
        return self._branched(trace, lambda original: whatif.attempt(original, number))

    def _branched(self, trace: str, run: "Callable[[Trace], tuple[Trace, dict[str, Any]]]") -> dict[str, Any]:
        if trace != "0":
            raise ValueError("this is already a branch; go back to the scenario first")
        branched, compared = run(self.trace(trace))
        self.branches += 1
        ident = str(self.branches)
        self.traces[ident] = branched
        if len(self.traces) > MOST_BRANCHES + 1 + (AGAINST in self.traces):
            del self.traces[next(key for key in self.traces if key not in ("0", AGAINST))]
        return {"id": ident, "label": branched.note, **compared}


def _quiet(expression: Any, scope: Scope) -> Any:
    """Return the value, or None if it cannot be computed."""
    try:
        return expression.value(scope)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _has_words(timeline: "Timeline", entry: "Entry", wanted: list[str]) -> bool:
    line = f"{entry.host} {entry.kind} {entry.subject} {words(timeline, entry)} {entry.rfc}".lower()
    return all(word in line for word in wanted)
