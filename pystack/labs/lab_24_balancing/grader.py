"""Grades `choose` with 2,000 flows: the same on each machine, evenly spread, and few that move if a backend dies."""

from types import ModuleType

from pystack.labs.judging import function, shown
from pystack.labs.values import WrongAnswer

FLOWS, BACKENDS = 2000, [f"10.0.{number}.2" for number in range(1, 6)]
#: a share of 1 in 5, within more than five standard deviations (18) of 2,000 flows
LEAST, MOST = 300, 500
HINTS = [
    "Begin with a rule that gives the same backend for the same flow. What happens to the other flows if the list gets one shorter?",
    "Give each backend a number of its own for the flow: the number of the text of both. Which backends' numbers change if another one dies?",
    "The backend with the highest number gets the flow: `max(backends, key=...)`. This is called rendezvous hashing.",
]
WRONG = {
    "wrong_chance.py": "Two packets of one flow went to different backends. The choice must depend on nothing but the flow and the list.",
    "wrong_order.py": "Two machines that have the list in another order choose different backends for the same flow.",
    "wrong_client.py": "All flows of one client went to the same backend. Use the whole flow, because a large company may have one address.",
    "wrong_modulo.py": "A backend died, and flows of other backends moved, too. Their connections break.",
}
ONE_CLIENT = [("198.51.100.7", 10_000 + number, "192.0.2.10", 443) for number in range(FLOWS)]
MANY = [
    (f"198.51.{number % 50}.{number % 250}", 1024 + number * 31 % 60_000, "192.0.2.10", 443) for number in range(FLOWS)
]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    choose = function(answer, "choose")

    def chosen(flow: tuple[str, int, str, int], backends: list[str]) -> str:
        found = choose(flow, list(backends))
        if found not in backends:
            raise WrongAnswer(f"`choose({flow}, {backends})` returned {shown(found)}, which is no backend of the list.")
        return str(found)

    homes = {flow: chosen(flow, BACKENDS) for flow in ONE_CLIENT + MANY}
    if any(chosen(flow, BACKENDS) != home for flow, home in homes.items()):
        raise WrongAnswer(WRONG["wrong_chance.py"])
    if any(chosen(flow, BACKENDS[::-1]) != home for flow, home in homes.items()):
        raise WrongAnswer(WRONG["wrong_order.py"])
    for flows, whose in ((MANY, "many clients"), (ONE_CLIENT, "one client")):
        counts = [sum(homes[flow] == backend for flow in flows) for backend in BACKENDS]
        if flows is ONE_CLIENT and max(counts) == FLOWS:
            raise WrongAnswer(WRONG["wrong_client.py"])
        if not all(LEAST <= count <= MOST for count in counts):
            raise WrongAnswer(f"{FLOWS} flows of {whose} are spread as {counts}, which is not even.")
    for dead in BACKENDS:
        alive = [backend for backend in BACKENDS if backend != dead]
        if any(chosen(flow, alive) != home for flow, home in homes.items() if home != dead):
            raise WrongAnswer(WRONG["wrong_modulo.py"])
