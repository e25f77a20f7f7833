"""The waterfall of a request: one bar for each span of its critical path."""

from typing import Any

from pystack import charts
from pystack.stepper.plot import data
from pystack.stepper.timing import Path, path
from pystack.stepper.timing.causes import group
from pystack.stepper.timing.text import ms, rows, what
from pystack.visible import one_line

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = charts.COLORS
#: group of causes -> its colour
COLORS = {"way": BLUE, "bits": SKY, "queue": PURPLE, "program": GREEN, "held": ORANGE, "loss": RED, "other": GREY}
#: the most bars that can be read
BARS = 45


def draw(figure: Any, timeline: Any, connection: str) -> None:
    """Draw the request of a connection (a part of its name, or "" for the first one). ValueError: there is none."""
    found: Path = path(timeline, data.find_connection(timeline, connection) if connection else "")
    spans = rows(found)
    left_out = max(0, len(spans) - BARS)
    spans = sorted(sorted(spans, key=lambda span: -span.duration)[:BARS], key=lambda span: span.start)
    figure.set_size_inches(10, 1.4 + 0.22 * len(spans))
    axes = figure.add_subplot()
    for place, span in enumerate(spans):
        color = COLORS[group(span.cause)]
        left = (span.start - found.begin) / 1e6
        # the edge makes the shortest span visible, too
        axes.barh(place, span.duration / 1e6, left=left, height=0.7, color=color, edgecolor=color, linewidth=1)
        frame = f", frame {span.frame}" if span.frame else f", {span.host}" if span.host else ""
        axes.annotate(
            one_line(f"{what(span)}{frame}"), ((span.end - found.begin) / 1e6, place), (4, 0),
            textcoords="offset points", va="center", fontsize=8,
        )  # fmt: skip
    axes.set_ylim(len(spans) - 0.5, -0.5)
    axes.set_xlim(0, found.elapsed / 1e6 * 1.35)
    axes.set_yticks([])
    axes.set_xlabel("time in ms" + (f" ({left_out} shorter spans are not drawn)" if left_out else ""))
    axes.set_title(one_line(f"{timeline.name}: {found.conn}, {ms(found.elapsed)}"), loc="left", fontsize=11)
