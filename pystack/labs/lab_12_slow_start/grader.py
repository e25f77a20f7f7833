"""Grades `round_trips`: its predictions are compared with transfers in the simulator."""

from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_12_slow_start.experiment import R
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
WRONG = {
    "wrong_handshake.py": "Each of your answers is one too small. The connection itself takes a round trip, too.",
    "wrong_rounding.py": "Your answers are right if the size is a multiple of the MSS. A part of a segment is a segment, too.",
    "wrong_window.py": "You seem to compare the answer with one window. Earlier rounds have sent segments, too: add them.",
}


def measured(size: int, mss: int, window: int) -> int:
    """Return the round trips that a transfer takes in the simulator."""
    return lab_net(R // 2, tcp_mss=mss, tcp_init_cwnd=window).fetch(size) // R


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "round_trips", CASES, measured, WRONG, __package__)
