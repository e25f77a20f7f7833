"""The results of a sweep as a table in plain text, and as a plot."""

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pystack.charts import COLORS, STYLE
from pystack.sweeps.values import plain
from pystack.visible import one_line

if TYPE_CHECKING:
    from pystack.sweeps.results import Summary, Sweep, Value

ENDINGS = (".png", ".svg", ".pdf")
_STATISTICS = ("mean", "min", "median", "p95", "max")


def value_text(value: Any) -> str:
    """A parameter as it stands in a table."""
    return value if isinstance(value, str) else json.dumps(plain(value))


def number_text(value: float) -> str:
    """A number with four digits."""
    return f"{value:.4g}"


def table(sweep: "Sweep", value: "Value", by: "Sequence[str] | None") -> str:
    """The statistics of a value for each set of parameters."""
    found = sweep.summary(value, by)
    names = list(found[0].parameters) if found else []
    head = [*names, "runs", "errors", *_STATISTICS]
    lines = [[*(value_text(one.parameters[name]) for name in names), *_statistics(one)] for one in found]
    lines = [[one_line(cell) for cell in line] for line in [head, *lines]]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    right = [at >= len(names) or all(_is_number(one.parameters[names[at]]) for one in found) for at in range(len(head))]
    texts = []
    for line in lines:
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in zip(line, widths, right)
        ]
        texts.append("  ".join(cells).rstrip())
    return "\n".join(texts)


def _statistics(one: "Summary") -> list[str]:
    if not one.count:
        return ["0", str(one.errors), *("-" for _ in _STATISTICS)]
    numbers = (one.mean, one.min, one.median, one.percentile(95), one.max)
    return [str(one.count), str(one.errors), *(number_text(number) for number in numbers)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def plot(sweep: "Sweep", path: str, value: "Value", x: str, by: str) -> None:
    """Draw the mean of a value over a parameter, with the range from the least to the greatest value as a band."""
    if os.path.splitext(path)[1] not in ENDINGS:
        raise ValueError(f"{path}: the file name must end in {', '.join(ENDINGS)}")
    rows = sweep.rows()
    names = list(rows[0].parameters) if rows else []
    if not names:
        raise ValueError("there are no rows with parameters to draw")
    # The first parameter with several numbers is the usual x, and the first other one the usual line.
    x = x or next((name for name in names if _is_number(rows[0].parameters[name])), names[0])
    by = by or next((name for name in names if name != x), "")
    found = sweep.summary(value, [x, *([by] if by else [])])
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 4.8), layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, found, x, by)
        axes.set_xlabel(one_line(x))
        axes.set_ylabel(one_line(value) if isinstance(value, str) else "result")
        axes.set_title(one_line(sweep.name), loc="left", fontsize=11)
        # The file holds no date, so the same results give the same file.
        figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def _draw(axes: Any, found: "list[Summary]", x: str, by: str) -> None:
    lines: dict[str, list[Summary]] = {}
    for one in found:
        if one.count:
            lines.setdefault(value_text(one.parameters[by]) if by else "", []).append(one)
    numeric = all(_is_number(one.parameters[x]) for one in found)
    places = {value_text(one.parameters[x]): number for number, one in enumerate(found)}
    order = {text: number for number, text in enumerate(dict.fromkeys(places))}
    for number, (text, points) in enumerate(lines.items()):
        color = COLORS[number % len(COLORS)]
        pairs = [(one.parameters[x] if numeric else order[value_text(one.parameters[x])], one) for one in points]
        pairs.sort(key=lambda pair: pair[0])
        xs = [place for place, _ in pairs]
        label = one_line(f"{by} {text}") if by else None
        axes.plot(xs, [one.mean for _, one in pairs], marker="o", color=color, label=label)
        low, high = [one.min for _, one in pairs], [one.max for _, one in pairs]
        axes.fill_between(xs, low, high, color=color, alpha=0.15, linewidth=0)
    if not numeric:
        axes.set_xticks(list(order.values()), list(order))
    if by and lines:
        axes.legend()
