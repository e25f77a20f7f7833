"""Grades `leaving` and `coming` with a list of packets, from the simplest to all ports in use."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import compare, function, shown
from pystack.labs.lab_07_nat import solution

HINTS = [
    "Run `pystack lab run 7`. Why does one of the two hosts get another port, and why does the 101st flow fail?",
    "Keep one entry for each flow. Which two things does a packet that comes back have, by which you can find the entry?",
    "Use (port, server) as the key, and the inside end as the value. `leaving` first looks for an entry with its inside end.",
]
WRONG = {
    "wrong_keep.py": "Two hosts have the same port outside, so nothing distinguishes their answers. Take a port of the list that is free.",
    "wrong_new.py": "A flow gets a new port with each packet. Look for its entry before you make one.",
    "wrong_open.py": "A packet came in, and its sender is not one that an inside host has sent to. The sender must be the server of the entry.",
    "wrong_few.py": "Two flows to different servers may have the same port outside. They differ in the server, and so do their answers.",
}
PORTS = [5000, 5001, 5002]
A, B = ("10.0.0.2", 40000), ("10.0.0.3", 40000)
WEB, DNS, STRANGER = ("198.51.100.2", 80), ("198.51.100.3", 53), ("192.0.2.66", 80)
#: ("leaving", inside, server) or ("coming", port, sender), one after the other
SCRIPT: list[tuple[str, Any, Any]] = [
    ("leaving", A, WEB),
    ("coming", 5000, WEB),
    ("leaving", B, WEB),
    ("coming", 5001, WEB),
    ("coming", 5000, WEB),
    ("leaving", A, WEB),
    ("coming", 5000, STRANGER),
    ("coming", 5000, (WEB[0], 81)),
    ("coming", 5002, WEB),
    ("leaving", ("10.0.0.2", 40001), WEB),
    ("leaving", ("10.0.0.2", 40002), WEB),
    ("leaving", ("10.0.0.2", 40002), DNS),
    ("coming", 5000, DNS),
    ("coming", 5000, WEB),
    ("leaving", B, WEB),
]


def play(module: ModuleType, count: int) -> Any:
    """Return the result of packet `count` of the script, after those before it."""
    table: dict[Any, Any] = {}
    for kind, one, other in SCRIPT[:count]:
        more = [list(PORTS)] if kind == "leaving" else []
        found = function(module, kind)(table, one, other, *more)
    return found


def words(count: int) -> str:
    """Describe a packet."""
    kind, one, other = SCRIPT[count - 1]
    return f"Packet {count}, `{kind}` of {shown(one)} and {shown(other)},"


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    cases = [(count,) for count in range(1, len(SCRIPT) + 1)]
    compare(answer, "", cases, lambda count: play(solution, count), WRONG, __package__, play, words)
