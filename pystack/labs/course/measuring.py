"""Measures a lab's values and controls one after the other, and reports how far it is."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pystack.labs.folders import LabFolder, LabResult

#: gets how many values are measured, how many there are, and what is measured next
MeasureProgress = Callable[[int, int, str], None]


def measured(lab: LabFolder, progress: MeasureProgress | None = None, stop: Any = None) -> list[list[Any]]:
    """Measure in this process. Returns for each value, and then for each control, what was measured and why it was skipped.

    `stop` is for measurements in other processes. Nothing can interrupt this one.
    """
    values, controls = lab.values(), lab.module("experiment").CONTROLS
    experiment = lab.module("experiment")
    everything = [(value, experiment.measure) for value in values]
    everything += [(control.value, experiment.control) for control in controls]
    found = []
    for number, (value, measure) in enumerate(everything):
        if progress is not None:
            progress(number, len(everything), value.question)
        result = lab.result(value, measure)
        found.append([result.measured, result.skipped])
    if progress is not None:
        progress(len(everything), len(everything), "")
    return found


def written(lab: LabFolder) -> bytes:
    """Return the lab's capture."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.pcapng"
        lab.write(path)
        return path.read_bytes()


def results(lab: LabFolder, found: list[list[Any]]) -> tuple[list[LabResult], list[tuple[str, LabResult]]]:
    """Return the results of the values, and those of the controls with their changes, from what `measured` returned."""
    values, controls = lab.values(), lab.module("experiment").CONTROLS
    if len(found) != len(values) + len(controls):
        raise ValueError("there is one result for each value and each control")
    of_values = [LabResult(value, *one) for value, one in zip(values, found)]
    of_controls = [
        (control.change, LabResult(control.value, *one)) for control, one in zip(controls, found[len(values) :])
    ]
    return of_values, of_controls
