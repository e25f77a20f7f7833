"""Grades `window` with the states of a receiver whose reader takes single bytes, with large and small buffers."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import compare
from pystack.labs.lab_10_flow_control.solution import window as right

HINTS = [
    "Run `pystack lab run 10`. How large is each segment, although the reader takes single bytes?",
    "How much larger would the new window be than the old one? Is that worth an acknowledgement?",
    "Return `free` if `free - announced` is at least a full segment or half of the buffer, whichever is less, and else `announced`.",
]
WRONG = {
    "wrong_silly.py": "Your window grows byte by byte, and so the segments are as small: a silly window. Wait until the step is worth it.",
    "wrong_shrink.py": "Your window shrinks below what you have announced. The sender may have used that already, so keep it.",
    "wrong_small.py": "A buffer that is shorter than a full segment never opens again. Half of the buffer is worth it, too.",
    "wrong_room.py": "You look at the free bytes. What counts is by how much the window grows: `free - announced`.",
}


def states(capacity: int, mss: int) -> list[tuple[int, int, int, int]]:
    """Return the states of a receiver whose buffer is full at first, and whose sender uses each window at once or later."""
    found = []
    for use in (0, 1, 3):
        free = announced = 0
        for step in range(3 * capacity):
            free = min(free + 1, capacity)
            found.append((free, announced, capacity, mss))
            announced = right(free, announced, capacity, mss)
            if use and step % (use * mss // 2 + 1) == 0:
                sent = min(announced, mss)
                free, announced = free - sent, announced - sent
    return found


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    cases: list[tuple[Any, ...]] = []
    for capacity, mss in ((73, 15), (40, 15), (20, 15), (10, 15), (16, 16)):  # even ones: a half is exact
        cases += dict.fromkeys(states(capacity, mss))
    compare(answer, "window", [*cases, (5000, 100, 7300, 1460), (1500, 100, 65_535, 1460)], right, WRONG, __package__)
