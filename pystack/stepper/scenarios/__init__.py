"""Scenarios to step through, by name. Each is a short program in virtual time, and its docstring says what happens.

from pystack.stepper import scenarios

for name in scenarios.NAMES:
    print(name, scenarios.get(name).title)
"""

from pystack.stepper.scenarios import (
    applications,
    balance,
    congestion,
    container,
    course,
    filtering,
    flow,
    link,
    loss,
    names,
    nat,
    opening,
    paths,
    post,
    queue,
    sessions,
)
from pystack.stepper.scenarios.base import SCENARIOS, Scenario, Try

#: the parts of the course: (title, names); course.py has their order, and a scenario that it does not list comes last
PARTS = course.parts([name for name in SCENARIOS if ":" not in name])
NAMES = tuple(name for _, names in PARTS for name in names)


def known(name: str) -> bool:
    """Return True if there is a scenario of this name, or a variant of one, such as post:keep-alive."""
    return name in SCENARIOS


def get(name: str) -> Scenario:
    """Return a scenario by name. KeyError, with a list of the names, if there is none."""
    found = SCENARIOS.get(name)
    if found is None:
        raise KeyError(f"no scenario named {name!r}; there are {', '.join(NAMES)}")
    return found


__all__ = [
    "NAMES",
    "PARTS",
    "Scenario",
    "Try",
    "filtering",
    "applications",
    "balance",
    "congestion",
    "container",
    "flow",
    "get",
    "known",
    "link",
    "loss",
    "names",
    "nat",
    "opening",
    "paths",
    "post",
    "queue",
    "sessions",
]
