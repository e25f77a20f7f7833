"""Grades `trace` in four networks: all answer, a router is silent, the destination is silent, and a router has no route."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import compare, program
from pystack.labs.lab_03_icmp.experiment import R1, run
from pystack.labs.values import WrongAnswer
from pystack.phy.match import is_icmp
from pystack.testing.lab import MS
from pystack.testing.routed import RoutedChain, ping
from pystack_c.base.address import addr_text

HINTS = [
    "Run `pystack lab run 3`. Which TTL brings an answer of which router?",
    "Go through the TTLs from 1 on. A hop that is silent is no reason to stop. Which answers are?",
    "Append the address or None in each round, and break if the type is 0 or 3. `range(1, 31)` is 30 hops.",
]
WRONG = {
    "wrong_silent.py": "You stop at the first hop without an answer. A router may be silent and forward all the same: append None, and go on.",
    "wrong_end.py": "You do not stop when the destination has answered. Look at the ICMP type of the answer.",
    "wrong_unreachable.py": "You go on after a router has said that the destination is unreachable. Nothing new can come after that.",
    "wrong_endless.py": "You have sent 30 requests, and you send one more. If the destination is silent, the trace must end after 30 hops.",
    "wrong_routers.py": "The last line is missing. The hop that ends the trace belongs to the list, too.",
}
HOPS = 30
ROUTERS = {
    "all answer": 3,
    "the second router is silent": 4,
    "the destination is silent": 2,
    "a router has no route": 3,
}


def chain_of(case: str) -> tuple[RoutedChain, str]:
    """Build the network of a case. Returns it with the destination."""
    chain = RoutedChain([{"delay": MS}] * (ROUTERS[case] + 1))
    if "second" in case:
        chain.links[1].ba.drop_if(lambda frame: frame[26:30] == R1[:2] + bytes((1, 2)))
    if "destination" in case:
        chain.links[-1].ba.drop_if(is_icmp)
    if "no route" in case:
        chain.a.route("192.0.2.0/24", via="10.0.0.2")
        chain.nodes[1].route("192.0.2.0/24", via="10.0.1.2")
        return chain, "192.0.2.1"
    return chain, chain.addr


def play(trace: Any, case: str) -> Any:
    """Run the learner's program in the network of a case."""
    chain, destination = chain_of(case)
    sent: list[int] = []

    def probe(ttl):
        if len(sent) == HOPS:
            raise WrongAnswer(WRONG["wrong_endless.py"])
        sent.append(ttl)
        answer = yield from ping(chain.a, destination, number=len(sent), ttl=ttl)
        return answer and (addr_text(answer[2]), answer[1])

    return run(chain, trace(probe))


def right(case: str) -> list[str | None]:
    """Return the addresses that the network has."""
    if "no route" in case:
        return ["10.0.0.2", "10.0.1.2"]
    hops: list[str | None] = [f"10.0.{number}.2" for number in range(ROUTERS[case] + 1)]
    if "second" in case:
        hops[1] = None
    return hops[:-1] + [None] * 28 if "destination" in case else hops


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    program(answer, "trace")
    cases = [(case,) for case in ROUTERS]
    compare(answer, "trace", cases, right, WRONG, __package__, play, lambda case: f"`trace` in a network where {case}")
