"""What if: a scenario runs again with a change, beside the original run."""

from typing import Any

from pystack.stepper.cursor import Cursor
from pystack.stepper.plot.data import sequence, short
from pystack.stepper.web.data import Trace

#: the text that an input field begins with, by the kind of argument
SUGGESTIONS = {"TIME": "50ms", "SHARE": "0.05", "BITS": "1000000", "NAME": "cubic", "NAME=VALUE": "tcp_sack=off"}


def changes(trace: Trace) -> list[dict[str, Any]]:
    """Return the possible changes; none if the trace is not a scenario."""
    if trace.scenario is None:
        return []
    from pystack.stepper.changes import FORMS

    hosts = trace.timeline.hosts
    found = []
    for form, text in FORMS.items():
        name, _, argument = form.partition("=")
        parts = argument.split(":") if argument else []
        known = {"FRAME": "1", "HOST": hosts[0], **SUGGESTIONS}
        suggestion = ":".join(known.get(part, "") for part in parts)
        choices = list(hosts) if argument == "HOST" else []
        found.append(
            {
                "name": name,
                "label": f"{name}: {text}",
                "argument": argument,
                "choices": choices,
                "suggestion": suggestion,
            }
        )
    return found


def branch(trace: Trace, cursor: Cursor, change: str, argument: str) -> tuple[Trace, dict[str, Any]]:
    """Return the branched trace, and both runs side by side. ValueError says what cannot be done."""
    return _run(trace, cursor, [f"{change}={argument}"], "")


def attempt(trace: Trace, number: int) -> tuple[Trace, dict[str, Any]]:
    """Return the run with a change that the scenario suggests, and both runs side by side."""
    tries = trace.scenario.tries if trace.scenario is not None else ()
    if not isinstance(number, int) or not 0 <= number < len(tries):
        raise ValueError(f"no change {number!r} to try")
    return _run(trace, None, tries[number].changes.split(), tries[number].text)


def _run(trace: Trace, cursor: Cursor | None, texts: list[str], note: str) -> tuple[Trace, dict[str, Any]]:
    if trace.scenario is None:
        raise ValueError("only a scenario can run again with a change")
    from pystack.stepper import branch as engine
    from pystack.stepper.changes import parse

    made = [parse(text) for text in texts]
    note = note or " and ".join(change.text for change in made)
    seed = trace.timeline.meta.get("seed")
    other = engine.branch(trace.scenario, cursor, *made, seed=seed if isinstance(seed, int) else 1)
    before, after = engine.figures(trace.timeline), engine.figures(other)
    rows = [_row(row) for row in engine.compare(trace.timeline, other)]
    branched = Trace(other, trace.scenario, f"what if {note}?")
    return branched, {
        "figures": {name: [_number(value), _number(after[name])] for name, value in before.items()},
        "rows": rows,
        "first": next((n for n, row in enumerate(rows) if not row["same"]), -1),
        "plot": both(trace, branched),
    }


def both(one: Trace, two: Trace) -> dict[str, Any]:
    """Return both runs as lines for one plot: the acknowledged bytes of the busiest connection, or else the number of frames."""
    key = next(iter(one.connections), "")
    if key and key in two.connections:
        lines = [sequence(trace.timeline, key).acked for trace in (one, two)]
        if all(values and max(values) > 1 for _, values in lines):
            return {"label": "acknowledged bytes", "of": key, "runs": [list(line) for line in lines]}
    counts = [
        [
            [frame.time - trace.timeline.start for frame in trace.timeline.frames],
            list(range(1, len(trace.timeline.frames) + 1)),
        ]
        for trace in (one, two)
    ]
    return {"label": "frames sent", "of": "", "runs": counts}


def _number(value: Any) -> str:
    return f"{value:.6f} s" if isinstance(value, float) else str(value)


def _row(row: Any) -> dict[str, Any]:
    left, right = row.left, row.right
    return {
        "left": _text(left),
        "right": _text(right),
        "leftTime": None if left is None else left.time,
        "rightTime": None if right is None else right.time,
        "leftFrame": -1 if left is None else left.index,
        "rightFrame": -1 if right is None else right.index,
        "same": row.same,
    }


def _text(frame: Any) -> str:
    if frame is None:
        return ""
    fate = "" if frame.fate in ("delivered", "unknown") else f" ** {frame.fate} **"
    return f"{frame.number} {frame.host}>{frame.to or '*'} {short(frame.summary)}{fate}"
