"""Grades `round_trips`: its predictions are compared with transfers in the simulator."""

from types import ModuleType

from pystack.labs.lab_12_slow_start.experiment import R
from pystack.labs.values import WrongAnswer
from pystack.testing.lab import lab_net

#: (bytes, MSS, initial window in segments): both sides of each step, and other networks
CASES = [
    (1_460, 1460, 10),
    (14_600, 1460, 10),
    (14_601, 1460, 10),
    (43_800, 1460, 10),
    (43_801, 1460, 10),
    (102_200, 1460, 10),
    (102_201, 1460, 10),
    (100_000, 1460, 4),
    (20_001, 1000, 10),
    (3_001, 1000, 1),
]
HINTS = [
    "Run `pystack lab run 12`. In which round does segment 11 leave?",
    "After k rounds, the server has sent w + 2 w + 4 w + ... segments. How many segments are `size` bytes?",
    "Begin with 1 for the connection. Then subtract the window from the segments that are left, double it, and count, until none is left.",
]
#: file -> the beginning of the hint that its author needs
WRONG = {
    "wrong_handshake.py": "Each of your answers is one too small",
    "wrong_rounding.py": "Your answers are right if",
    "wrong_window.py": "You seem to compare",
}


def measured(size: int, mss: int, window: int) -> int:
    """Return the round trips that a transfer takes in the simulator."""
    return lab_net(R // 2, tcp_mss=mss, tcp_init_cwnd=window).fetch(size) // R


def by_last_window(size: int, mss: int, window: int) -> int:
    """Return the answer of a learner who compares the size with one window only."""
    trips = 2
    while window < -(-size // mss):
        trips, window = trips + 1, window * 2
    return trips


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    predict = getattr(answer, "round_trips", None)
    if not callable(predict):
        raise WrongAnswer("Your file has no function `round_trips`. Start again from `pystack lab start 12`.")
    right = [measured(*case) for case in CASES]
    found = [predict(*case) for case in CASES]
    wrong = [(case, got, real) for case, got, real in zip(CASES, found, right) if got != real]
    if not wrong:
        return
    if any(not isinstance(got, int | float) for got in found):
        raise WrongAnswer("`round_trips` must return a number in each case. Is there a `return` at its end?")
    if all(real - got == 1 for got, real in zip(found, right)):
        raise WrongAnswer("Each of your answers is one too small. The connection itself takes a round trip, too.")
    if all(size % mss and got < real for (size, mss, _), got, real in wrong):
        raise WrongAnswer(
            "Your answers are right if the size is a multiple of the MSS. A part of a segment is a segment, too."
        )
    if found == [by_last_window(*case) for case in CASES]:
        raise WrongAnswer(
            "You seem to compare the answer with one window. Earlier rounds have sent segments, too: add them."
        )
    (size, mss, window), got, real = wrong[0]
    raise WrongAnswer(
        f"{size:,} bytes with an MSS of {mss} and an initial window of {window} take {real} round trips, and you say {got}."
    )
