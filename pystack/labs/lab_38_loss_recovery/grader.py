"""Grades `repeat` with losses, reordering, repeated segments and small windows."""

import random
from types import ModuleType
from typing import Any

from pystack.labs.judging import compare
from pystack.labs.lab_38_loss_recovery import solution

HINTS = [
    "Begin with the list of the missing segments. Which of them count as lost, and which may only be late?",
    "For each missing segment, count the segments in `sacked` that are above it. Then count how many segments are on the way now.",
    "lost: missing, and three or more of `sacked` above it. On the way: missing and not lost, or repeated. The result: lost, not repeated, the first window - on_the_way of them.",
]
WRONG = {
    "wrong_early.py": "A segment that may only be late is repeated. Wait until three segments above it have arrived.",
    "wrong_again.py": "A segment is repeated that is on the way again already. Leave out what is in `repeated`.",
    "wrong_window.py": "More segments are on the way than the window allows. How many may be added?",
    "wrong_first.py": "Only one segment is repeated, although the window has room for more. SACK shows all holes at once.",
    "wrong_pipe.py": "Too few segments are repeated. A lost segment is not on the way any more, so it leaves room.",
}


def cases() -> list[tuple[Any, ...]]:
    """Return the cases: some by hand, and some by chance with a seed."""
    found: list[tuple[Any, ...]] = [
        (3, 11, {4, 5, 6}, set(), 10),
        (3, 11, {4, 5}, set(), 10),
        (2, 11, {3, 5, 7, 8, 9, 10}, set(), 10),
        (2, 11, {3, 5, 7, 8, 9, 10}, {2, 4}, 10),
        (1, 11, {8, 9, 10}, set(), 3),
        (1, 11, {8, 9, 10}, {1, 2}, 4),
        (1, 11, set(), set(), 10),
    ]
    chance = random.Random(38)
    for _ in range(40):
        first, sent = chance.randint(1, 20), chance.randint(3, 20)
        beyond = range(first + 1, first + sent)
        sacked = {number for number in beyond if chance.random() < 0.5}
        repeated = {number for number in [first, *beyond] if number not in sacked and chance.random() < 0.3}
        found.append((first, first + sent, sacked, repeated, chance.randint(1, 12)))
    return found


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "repeat", cases(), solution.repeat, WRONG, __package__)
