"""Grades `route`: it is compared with where the packets of a simulated host go."""

from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_06_routing.experiment import ROUTES, chosen, destinations

#: the routes of the experiment in three orders, prefixes that do not end at a byte, and a table without a default route
TABLES = (
    ROUTES,
    ROUTES[::-1],
    [ROUTES[1], ROUTES[3], ROUTES[2], ROUTES[0]],
    [("10.16.0.0/12", 1), ("10.0.0.0/10", 2), ("0.0.0.0/0", 0), ("10.20.0.0/15", 3)],
    [("10.1.0.0/16", 2), ("10.1.128.0/17", 1)],
)
EDGES = ["10.10.1.1", "10.15.255.255", "10.16.0.0", "10.31.255.255", "10.32.0.0", "10.21.0.1", "10.22.0.1", "10.64.0.0"]
EDGES += ["10.1.127.255", "10.1.128.0", "192.0.2.1", "101.2.3.4"]
HINTS = [
    "Run `pystack lab run 6`. Does the order of the table matter?",
    "Turn addresses into numbers of 32 bits. A route of n bits matches if both numbers are the same after a shift by 32 - n.",
    "Go through all routes, and remember the one that matches and has the most bits so far. Begin with -1 for the router.",
]
WRONG = {
    "wrong_first.py": "You take the first route that matches. The order of the table says nothing: look at all, and take the longest prefix.",
    "wrong_bytes.py": "Your answers are right if a prefix ends at a byte. Compare bits, because /12 and /17 exist, too.",
    "wrong_text.py": "You seem to compare text. As text, 10.1 is the beginning of 10.10, which is another network.",
    "wrong_sorted.py": "You seem to compare the lengths of prefixes as text. As text, 8 comes after 16: turn them into numbers.",
    "wrong_none.py": "If no route matches, there is no router: return -1. A default route is an entry like all others, and may be missing.",
}


def right(routes: list[tuple[str, int]], address: str) -> int:
    """Return the router to which the simulated host sends."""
    return chosen([address], routes)[0]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    cases = [(table, address) for table in TABLES for address in [*destinations(20), *EDGES]]
    compare(answer, "route", cases, right, WRONG, __package__)
