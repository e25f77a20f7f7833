"""Grades `discover` on paths with honest, old and silent routers: the result, and the number of probes."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import compare, program
from pystack.labs.lab_16_mtu.experiment import chain_of
from pystack.labs.values import WrongAnswer
from pystack.phy.match import is_icmp
from pystack.sim.programs import spawn
from pystack.testing.lab import S
from pystack.testing.routed import ping

HINTS = [
    "Run `pystack lab run 16`. Which three things can come back for a packet that is too long?",
    "If a router names its MTU, try exactly this next. If nothing useful comes back, try the middle of what is still possible.",
    "Keep low (which arrives) and high (above which nothing does). After silence or an MTU of 0, high is size - 1, and the next size is (low + high + 1) // 2.",
]
WRONG = {
    "wrong_linear.py": "Your program takes too many probes. Believe a router that names its MTU, and else halve the range each time.",
    "wrong_trust.py": "You believe the first router. A narrower link may come after it: try the size that it names, and go on.",
    "wrong_zero.py": "You sent a packet that is too small. Some routers do not name their MTU, and say 0: then halve the range yourself.",
    "wrong_hole.py": "You give up if nothing comes back. Silence says that the packet was too long for somebody: try a smaller one.",
}
#: case -> (MTUs of the links, the most probes)
CASES: dict[str, tuple[tuple[int, ...], int]] = {
    "all links carry 1,500 bytes": ((1500, 1500, 1500), 1),
    "one link carries 1,400": ((1500, 1400, 1500), 2),
    "two links are narrow": ((1500, 1400, 1300, 1500), 3),
    "a router says nothing, and its link carries 1,400": ((1500, 1400, 1500), 12),
    "a router says nothing, and its link carries 577": ((1500, 577, 1500), 12),
    "an old router has a link with 1,006": ((1500, 1006, 1500), 12),
}
LOW, HIGH = 68, 1500
PROBES = 200  # A program that needs more is stopped.


def play(discover: Any, case: str) -> list[Any]:
    """Run the learner's program. Returns its result, and whether it took few probes."""
    mtus, most = CASES[case]
    chain, _ = chain_of(*mtus)
    if "says nothing" in case:
        chain.links[0].ba.drop_if(lambda frame: is_icmp(frame) and frame[34] == 3)
    count = 0

    def probe(size):
        nonlocal count
        count += 1
        if count > PROBES:
            raise WrongAnswer(WRONG["wrong_linear.py"])
        if size < LOW:
            raise WrongAnswer(WRONG["wrong_zero.py"])
        if size > HIGH:
            raise WrongAnswer(f"You sent a packet of {size} bytes, and this host's link carries {HIGH}.")
        found = yield from ping(chain.a, chain.addr, number=count, size=size - 28, probe=True)
        if found is None:
            return "silence", 0
        _, kind, _, data = found
        named = int.from_bytes(data[26:28], "big")
        return ("arrived", 0) if kind == 0 else ("too big", 0 if "old" in case else named)

    proc = spawn(chain.net, discover(probe, LOW, HIGH))
    chain.net.run_until(proc.finished, limit=4 * PROBES * S)
    return [proc.value, f"{count} probes, which is too many" if count > most else "few probes"]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    program(answer, "discover")

    def right(case: str) -> list[Any]:
        return [min(CASES[case][0]), "few probes"]

    cases = [(case,) for case in CASES]
    compare(
        answer, "discover", cases, right, WRONG, __package__, play, lambda case: f"If {case}, the result and the probes"
    )
