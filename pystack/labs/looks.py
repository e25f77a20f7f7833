"""What there is to see in a lab: runs to step through, each with its key moment, and a plot of each.

A lab's experiment declares them as `LOOKS`, a list of LabLook, the most important one first. A lab without any says why in `NO_LOOKS`.

for look in lab_of("17").looks():
    timeline, cursor, scenario = look.open()    # for the stepper, at the key moment
    text = look.svg()                           # for a page, or a slide

Nothing here needs Linux, or is loaded before it is used. A plot needs matplotlib (the extra `plot`).
"""

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pystack.labs.values import lacking

if TYPE_CHECKING:
    from pystack.stepper.cursor import Cursor
    from pystack.stepper.scenarios import Scenario
    from pystack.stepper.timeline import Timeline

_PLACE = re.compile(r"(frame|event|time)=[\d.]+|first|last")


class _Kept(io.BytesIO):
    """A file that keeps its bytes after close()."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class LabLook:
    """A run, its key moment, and its plot.

    `title` says what one sees. `run` is the name of a scenario, or a function of the experiment, which makes a network and runs
    something; the first network that it makes is recorded. `at` is the key moment: a place (frame=N, event=N, time=SECONDS), or
    an expression of the stepper, whose first event it is. Without it, the moment is the one that answers the scenario's question, or the
    first event. `plot` is the kind of the plot (`pystack plot` has them), or "" if there is none. `connection`, `frames` and `to_scale`
    are the options of the plot. `needs` names what the run needs, as a value's does.
    """

    title: str
    run: str | Callable[[], Any]
    at: str = ""
    plot: str = ""
    connection: str = ""
    frames: str = ""
    to_scale: bool = False
    needs: str = ""

    def missing(self) -> str:
        """Return what this machine lacks for the run, with the package that has it, or ""."""
        return lacking(self.needs)

    @property
    def scenario(self) -> "Scenario | None":
        """The scenario, or None if the run is the experiment's own."""
        from pystack.stepper import scenarios

        return scenarios.get(self.run) if isinstance(self.run, str) else None

    def recording(self) -> bytes:
        """Run it, and return the recording."""
        scenario = self.scenario
        if scenario is not None:
            return scenario.record()
        from pystack.sim.network import recording

        assert not isinstance(self.run, str)
        out = _Kept()
        with recording(out) as made:
            self.run()
        if not made:
            raise ValueError(f"{self.title}: the run makes no network")
        made[0].close()
        return out.getvalue()

    def capture(self, path: "str | os.PathLike[str]") -> None:
        """Run it, and write a capture of all hosts, with their names and what the stacks decided."""
        from pystack.trace.hosts import write_capture

        write_capture(io.BytesIO(self.recording()), os.fspath(path), self.title)

    def timeline(self, recording: bytes | None = None) -> "Timeline":
        """Run it, unless its recording is given, and return what the stepper shows."""
        from pystack.stepper.timeline import Timeline

        return Timeline(io.BytesIO(recording or self.recording()), self.title, trusted=True)

    def moment(self, timeline: "Timeline") -> "Cursor":
        """Return a cursor at the key moment. ValueError if the run has no such moment."""
        from pystack.stepper.cursor import Cursor

        cursor = Cursor(timeline)
        scenario = self.scenario
        if not self.at:
            answers = scenario.answers(timeline) if scenario else []
            cursor.position = answers[0] if answers else 0
        elif _PLACE.fullmatch(self.at):
            cursor.at(self.at)
        else:
            cursor.add_break(self.at)
            stop = cursor.run()
            cursor.breakpoints.clear()
            if stop is None:
                raise ValueError(f"{self.title}: no event of the run fits {self.at!r}")
        return cursor

    def open(self) -> "tuple[Timeline, Cursor, Scenario | None]":
        """Run it. Returns its timeline, a cursor at the key moment, and the scenario if it is one."""
        timeline = self.timeline()
        return timeline, self.moment(timeline), self.scenario

    def draw(self, path: str) -> None:
        """Run it, and draw the plot into a .svg, .png or .pdf file. ImportError: matplotlib is missing."""
        from pystack.stepper.plot import figures

        figures.draw(self.timeline(), self.plot, path, **self._options())

    def svg(self, timeline: "Timeline | None" = None) -> str:
        """Run it, unless its timeline is given, and return the plot as the text of an SVG file. ImportError: matplotlib is missing."""
        from pystack.stepper.plot import figures

        return figures.svg(timeline or self.timeline(), self.plot, **self._options())

    def _options(self) -> dict[str, Any]:
        return {"connection": self.connection or None, "frames": self.frames, "to_scale": self.to_scale}
