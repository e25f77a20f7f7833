"""Grades `over_quic` and `over_tcp` with logs by hand and by chance."""

import random
from types import ModuleType
from typing import Any

from pystack.labs.judging import compare, function
from pystack.labs.lab_44_quic import solution

HINTS = [
    "Begin with one dict: when did each frame arrive for the first time? Which frames of it decide about a stream over QUIC?",
    "Over QUIC, a stream is complete at the latest of its frames' times. Over TCP, a frame also waits for each one that was sent for the first time before it.",
    "Go through the frames in the order of their first sending, with the latest time so far. The last frame of a stream finds there when the stream is complete over TCP.",
]
WRONG = {
    "wrong_line.py": "Over QUIC, a stream waits for the data of another one. The order holds in each stream only.",
    "wrong_last.py": "Over QUIC, a stream is not complete when its last frame arrives: an earlier one may still be missing.",
    "wrong_all.py": "Over TCP, a stream waits for data that was sent after it. What comes before the hole does not wait.",
    "wrong_repeated.py": "Over TCP, repeated data has its old place in the sequence, however late it is repeated.",
    "wrong_twice.py": "A frame that arrives twice is there after the first time.",
    "wrong_quic.py": "Over TCP, the streams do not wait for each other in your file. TCP knows one sequence only, and keeps its order.",
}
Log = list[tuple[int | None, list[tuple[int, int]]]]


def by_chance(chance: random.Random) -> Log:
    """Return a log with some streams and some losses."""
    streams = chance.randint(1, 4)
    left = [(stream, number) for stream in range(streams) for number in range(chance.randint(1, 4))]
    left.sort(key=lambda frame: (frame[1], chance.random()))  # in turns
    log: Log = []
    repeat: list[tuple[int, int]] = []
    now = 10
    while left or repeat:
        now += chance.randint(1, 10)
        frames = [left.pop(0) for _ in range(min(len(left), chance.randint(1, 2)))]
        if repeat and (not left or chance.random() < 0.4):
            frames.append(repeat.pop(0))
        lost = bool(left) and chance.random() < 0.3
        log.append((None if lost else now + 50, frames))
        if lost or chance.random() < 0.1:  # or the sender believes so
            repeat += [frame for frame in frames if frame not in repeat]
        if not left and not lost and chance.random() < 0.5:
            repeat = [frame for frame in repeat if not any(at is not None and frame in had for at, had in log)]
    return log


CASES: list[tuple[Log]] = [
    ([(50, [(0, 0)]), (60, [(1, 0)]), (70, [(0, 1)])],),
    ([(50, [(0, 0)]), (None, [(1, 0)]), (70, [(2, 0)]), (160, [(1, 0)])],),
    ([(None, [(0, 0), (1, 0)]), (60, [(0, 1)]), (70, [(1, 1)]), (80, [(2, 0)]), (160, [(0, 0), (2, 1)]), (170, [(1, 0)])],),
    ([(50, [(0, 0)]), (60, [(1, 0)]), (70, [(0, 0), (2, 0)]), (80, [(1, 1)])],),
    ([(70, [(0, 0)]), (50, [(0, 1)]), (60, [(1, 0)])],),
    ([(50, [(7, 0), (3, 0)]), (None, [(7, 1)]), (None, [(3, 1)]), (150, [(3, 1)]), (170, [(7, 1)])],),
    ([],),
    *((by_chance(random.Random(seed)),) for seed in range(30)),
]  # fmt: skip


def both(answer: ModuleType, log: Log) -> list[Any]:
    """Return what both functions give."""
    return [function(answer, name)(log) for name in ("over_quic", "over_tcp")]


def say(log: Log) -> str:
    """Describe a case."""
    return f"[over_quic(log), over_tcp(log)] with log = {log!r}"


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "", CASES, lambda log: both(solution, log), WRONG, __package__, both, say)
