"""Grades the congestion control: it runs inside the stack, and its window is compared with Reno's in each round trip."""

import importlib
from itertools import count
from types import ModuleType
from typing import Any

from pystack.labs.judging import function
from pystack.labs.lab_11_congestion import solution
from pystack.labs.lab_11_congestion.experiment import MSS, flow
from pystack.labs.values import WrongAnswer
from pystack.phy.match import is_data
from pystack.testing.lab import MS, S, lab_net, sleep
from pystack_c.tcp.congestion import SIGNAL_RTO, CongestionControl, register

R = 100 * MS
ROUNDS = 26
#: 350 ms are so long that there is one timeout, and no second one
CASES = ("nothing is lost", "a segment is lost", "the link is down for 350 ms")
HINTS = [
    "Run `pystack lab run 12` for growth, and read the explanation of lab 11 for losses. When does the window double, and when is it halved?",
    "`on_ack` has two cases: cwnd below ssthresh, or not. `on_loss` has two cases: a timeout, or not.",
    "Return cwnd + acked or cwnd + mss * acked / cwnd. Let half be max(cwnd / 2, 2 * mss), and return (half, half) or (mss, half).",
]
WRONG = {
    "wrong_forever.py": "Your window doubles in each round without an end. From ssthresh on, it grows by one segment in a round.",
    "wrong_slow.py": "Your window begins to grow by one segment in a round at once. Below ssthresh, it grows by all that was acknowledged.",
    "wrong_count.py": "Your window grows by a half in each round of slow start. One acknowledgement is often for two segments: count the bytes in `acked`.",
    "wrong_one.py": "Your window falls to one segment although acknowledgements still arrive. Halve it, and use one segment after a timeout only.",
    "wrong_ssthresh.py": "After a timeout, your slow start goes on up to the old window, at which segments were lost. Let it end at half of that.",
    "wrong_timeout.py": "After a timeout, your window is half of the old one. Nothing is on the way any more, so begin with one segment.",
}
_numbers = count()


def control_of(module: ModuleType) -> str:
    """Register a congestion control that asks the learner's functions. Returns its name."""
    on_ack, on_loss = function(module, "on_ack"), function(module, "on_loss")

    class Learners(CongestionControl):
        name = f"lab11-{next(_numbers)}"

        def conn_init(self, tcb: Any) -> None:
            tcb.cwnd = 10 * tcb.mss
            tcb.own_recovery = True  # The window is the learner's in a recovery, too.

        def ack_received(self, tcb: Any, acked: int) -> None:
            tcb.cwnd = clean(on_ack(tcb.cwnd, tcb.ssthresh, acked, tcb.mss))

        def cong_signal(self, tcb: Any, signal: int) -> None:
            both = on_loss(tcb.cwnd, tcb.mss, signal == SIGNAL_RTO)
            if not isinstance(both, list | tuple) or len(both) != 2:
                raise WrongAnswer("`on_loss` must return two numbers: the new window and the new ssthresh.")
            tcb.cwnd, tcb.ssthresh = (clean(number) for number in both)

    register(Learners)
    return Learners.name


def clean(number: Any) -> int:
    """Return a window in bytes."""
    if not isinstance(number, int | float) or not 0 < number < 1 << 31:
        raise WrongAnswer(f"A window must be a number of bytes between 1 and 2**31, and yours is {str(number)[:40]}.")
    return round(number)


def windows(module: ModuleType, case: str) -> list[float]:
    """Run the congestion control. Returns its window in each round trip, in segments."""
    control = control_of(module)
    lab = lab_net(R // 2, log=False, tcp_congestion=control, tcp_init_ssthresh=40 * MSS, server={"tcp_rmem": 300 * MSS})
    if case == CASES[1]:
        lab.link.ab.drop(400, match=is_data)
    elif case == CASES[2]:
        lab.net.after(S, lambda: lab.link.ab.set(loss=1.0))
        lab.net.after(S + 350 * MS, lambda: lab.link.ab.set(loss=0.0))
    _, tcb = flow(lab)
    found = []

    def watch():
        yield sleep(R // 2)
        for _ in range(ROUNDS):
            found.append(round(tcb.cwnd / MSS, 1))
            yield sleep(R)

    lab.run(watch())
    return found


def near(one: list[float], other: list[float]) -> bool:
    """Return True if the windows are the same, but for what rounding makes of them."""
    return all(abs(a - b) <= 1 for a, b in zip(one, other))


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    for case in CASES:
        wanted, got = windows(solution, case), windows(answer, case)
        if near(wanted, got):
            continue
        for file, hint in WRONG.items():
            if near(windows(importlib.import_module(f"{__package__}.{file[:-3]}"), case), got):
                raise WrongAnswer(hint)
        at = next(number for number in range(ROUNDS) if abs(wanted[number] - got[number]) > 1)
        raise WrongAnswer(
            f"If {case}, the window in round {at + 1} should be {wanted[at]:g} segments, and yours is {got[at]:g}."
            f" Your windows so far: {', '.join(f'{window:g}' for window in got[: at + 1])}."
        )
