"""Grades `count` with short connections, and with those of the experiment."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import compare
from pystack.labs.lab_28_wireshark_tcp import solution
from pystack.labs.lab_28_wireshark_tcp.experiment import segments

HINTS = [
    "What do you have to remember while you go through the segments, so that you can judge the next one?",
    "Remember the end of all data that were sent, and the number and the window of the last acknowledgement.",
    "A retransmission: number + length <= highest. A duplicate: number == last, and number < highest, and (sack or the same window).",
]
WRONG = {
    "wrong_gap.py": "After a retransmission, new data count as retransmitted or old ones do not. Remember the highest end of all data, not that of the last segment.",
    "wrong_first.py": "You look whether the first byte of a segment was sent before. Its boundaries may change: it is a retransmission if all of its bytes were sent.",
    "wrong_update.py": "The receiver has opened its window, and you count that as a duplicate. The number is the same, and the window is not.",
    "wrong_idle.py": "Everything is acknowledged, and the same acknowledgement comes again. Nothing is missing then: it answers a probe.",
    "wrong_sack.py": "A duplicate with SACK blocks has another window. It is one, because SACK blocks say that data have arrived behind a hole.",
    "wrong_any.py": "An acknowledgement with a lower number came late. A duplicate has the same number as the one just before.",
}


def data(number: int, length: int = 10) -> tuple[str, int, int, int, bool]:
    """Return a segment with data."""
    return "data", number, length, 0, False


def ack(number: int, window: int = 100, sack: bool = False) -> tuple[str, int, int, int, bool]:
    """Return an acknowledgement."""
    return "ack", number, 0, window, sack


CASES: list[list[tuple[str, int, int, int, bool]]] = [
    [data(0), ack(10), data(10), ack(20)],
    [data(0), data(10), data(20), data(30), ack(10), ack(10), ack(10), data(10), ack(40)],
    [data(0), data(10), data(20), data(0), data(10), data(30), ack(40)],
    [data(0), data(10), ack(10, 100), ack(10, 50), ack(10, 200), data(20), ack(30)],
    [data(0), ack(10), ack(10), ack(10), data(10), ack(20)],
    [data(0), data(10), data(20), ack(10), ack(10, 80, True), ack(10, 60, True), data(10), ack(30)],
    [data(0), data(10), data(20), ack(20), ack(10), ack(20), data(30), ack(40)],
    [data(0), ack(10, 0), ack(10, 0), ack(10, 50), data(10), ack(20, 0), ack(20, 100)],
    [data(0), data(10), data(5), ack(20)],
    [data(0), data(10), data(10, 20), ack(30)],
    [],
]


def cases() -> list[tuple[Any]]:
    """Return the cases."""
    return [*((case,) for case in CASES), (segments(),), (segments(()),)]


def words(case: Any) -> str:
    """Describe a case."""
    return f"`count({case})`" if len(case) < 20 else f"A connection with {len(case)} segments"


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "count", cases(), solution.count, WRONG, __package__, say=words)
