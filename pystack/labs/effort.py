"""How long a learner needs for a lab, and what the lab needs: for `pystack lab list`."""

import difflib
from functools import cache

from pystack.labs.folders import LabFolder

#: how fast people read a technical text, in words a minute
WORDS = 130
#: minutes for a prediction, for the run and the comparison, for the beginning of an exercise, and for a line of it
PREDICTION, RUN, BEGINNING, LINE = 1, 5, 5, 1
KERNEL = "a kernel host"


@cache
def minutes(lab: LabFolder) -> int:
    """Return an estimate in minutes, in steps of 5. It is no measurement: it comes from the words of the page, the values, and the exercise's new lines."""
    starter, solution = (path.read_text(encoding="utf-8").splitlines() for path in (lab.starter, lab.solution))
    lines = sum(line.startswith("+ ") and len(line.strip()) > 1 for line in difflib.ndiff(starter, solution))
    words = len(lab.page.split())
    total = words / WORDS + PREDICTION * len(lab.values()) + RUN + BEGINNING + LINE * lines
    return max(5, round(total / 5) * 5)


def needs(lab: LabFolder) -> list[str]:
    """Return the programs and Python modules that some part of the lab needs, and a kernel host if it needs one."""
    from pystack.labs.hosts import HostValue  # the page of the course, which asks for minutes alone, has no processes

    grader, experiment = lab.module("grader"), lab.module("experiment")
    found = {name for value in lab.values() for name in value.needs.split()}
    found |= {name for control in experiment.CONTROLS for name in control.value.needs.split()}
    found |= set(getattr(grader, "NEEDS", "").split())
    host = getattr(grader, "KERNEL_HOST", False) or any(isinstance(value, HostValue) for value in lab.values())
    return sorted(found) + ([KERNEL] if host else [])
