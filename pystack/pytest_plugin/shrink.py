"""Shrinking a failing run: fewer faults, fewer hosts, an earlier end. A smaller run counts only if it fails in the same way.

The faults are what chance decided for single frames, and the steps of the schedule. "Delta debugging" leaves parts of them out: halves
first, then smaller parts, until no single one can be left out (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from pystack.pytest_plugin.plan import Fault, Plan

#: seconds of real time after which no further run begins
MOST_SECONDS = 20.0
#: the limit of virtual time becomes smaller by this factor, so often
CUT, CUTS = 4, 6
#: faults are moved by so many frames at most, if there are not too many of them
SHIFTS, MOST_SHIFTED = 3, 8
SECOND = 1_000_000_000


@dataclasses.dataclass
class Outcome:
    """How a run ended: the kind of its failure (None: it did not fail), and what happened until then."""

    kind: Any = None
    faults: tuple[Fault, ...] = ()
    steps: tuple[str, ...] = ()
    ended_at: int = -1
    #: the limit of virtual time ended the run
    at_limit: bool = False
    #: there were more faults than are recorded
    overflow: bool = False
    #: another plugin ended the run, because it took too long in real time
    timed_out: bool = False
    #: steps of the simulation
    work: int = 0
    #: the plan of the run, if there was a network
    plan: Plan | None = None
    #: the faults with their times and frames
    made: tuple[Any, ...] = ()
    #: by the name of a channel: the nodes from which and to which it goes, and its kind of link
    ways: dict[str, tuple[Any, Any, int]] = dataclasses.field(default_factory=dict)
    #: the names of the hosts, by their addresses
    names: dict[str, str] = dataclasses.field(default_factory=dict)


class Shrinker:
    """Makes the plan of a failing run smaller.

    attempt  runs the test by a plan
    first    how the failing run ended
    runs     the most runs
    """

    def __init__(
        self,
        attempt: Callable[[Plan], Outcome],
        plan: Plan,
        first: Outcome,
        runs: int,
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.attempt = attempt
        self.first = first
        self.most = runs
        self.runs = 0
        self.clock = clock
        self.until = clock() + (MOST_SECONDS if seconds is None else seconds)
        #: the smallest plan that fails in the same way
        self.best = plan
        self.outcome = first
        self._tried: set[Plan] = set()

    def spent(self) -> bool:
        """Whether no further run may begin."""
        return self.runs >= self.most or self.clock() >= self.until

    def fails(self, plan: Plan) -> bool:
        """Run the test by a smaller plan. If it fails in the same way, the plan is the best one, without the faults that did not happen."""
        if self.spent() or plan in self._tried:
            return False
        self._tried.add(plan)
        self.runs += 1
        outcome = self.attempt(plan)
        if outcome.timed_out:
            self.most = self.runs
        if outcome.kind is None or outcome.kind != self.first.kind:
            return False
        happened = set(outcome.faults)
        faults = tuple(fault for fault in plan.faults or () if fault in happened)
        self.best, self.outcome = plan.but(faults=faults), outcome
        return True

    def run(self, hosts: Sequence[str]) -> bool:
        """Shrink. `hosts` are the hosts that may be left out. Returns False if the failing run, repeated exactly, does not fail in the same way."""
        plan = self.best
        if plan.faults is None:
            plan = plan.but(faults=self.first.faults)
        if plan.steps is None:
            plan = plan.but(steps=self.first.steps)
        if self.spent() or self.first.overflow:
            return True
        if not self.fails(plan):
            return False
        nothing = self.best.but(faults=(), steps=(), shuffle=False)
        if not self.fails(nothing):
            self._order()
            self._cut()
            self._minimize()
        while self._shift():
            pass
        self._hosts(hosts)
        if self.best.without and (self.best.faults or self.best.steps):
            self._minimize()
        self._limit()
        return True

    def _order(self) -> None:
        """asyncio's own order of tasks."""
        if self.best.shuffle:
            self.fails(self.best.but(shuffle=False))

    def _cut(self) -> None:
        """No faults from a frame on: search for the earliest one."""
        low, high = 0, len(self.best.faults or ())
        while low < high and not self.spent():
            middle = (low + high) // 2
            kept = (self.best.faults or ())[:middle]
            if self.fails(self.best.but(faults=kept)):
                high = len(self.best.faults or ())
            else:
                low = middle + 1

    def _minimize(self) -> None:
        """Leave parts of the faults and steps out, smaller and smaller ones."""
        parts = 2
        while not self.spent():
            items = self._items()
            parts = min(parts, len(items))
            if parts < 1:
                return
            size = -(-len(items) // parts)
            for begin in range(0, len(items), size):
                if self.fails(self._with(items[:begin] + items[begin + size :])):
                    parts = max(parts - 1, 2)
                    break
            else:
                if size == 1:
                    return
                parts *= 2

    def _shift(self) -> bool:
        """Leave one fault out, and let the later faults of its channel happen to earlier frames. Returns True if that was possible.

        A lost frame is retransmitted, so without its loss the frames behind it have smaller numbers.
        """
        faults = self.best.faults or ()
        if len(faults) > MOST_SHIFTED:
            return False
        for left_out in faults:
            for by in range(1, SHIFTS + 1):
                kept = tuple(
                    fault._replace(number=max(1, fault.number - by))
                    if fault.channel == left_out.channel and fault.number > left_out.number
                    else fault
                    for fault in faults
                    if fault is not left_out
                )
                if len({fault[:3] for fault in kept}) == len(kept) and self.fails(self.best.but(faults=kept)):
                    return True
        return False

    def _items(self) -> list[Fault | str]:
        return [*(self.best.faults or ()), *(self.best.steps or ())]

    def _with(self, items: Sequence[Fault | str]) -> Plan:
        return self.best.but(
            faults=tuple(item for item in items if isinstance(item, Fault)),
            steps=tuple(item for item in items if isinstance(item, str)),
        )

    def _hosts(self, hosts: Sequence[str]) -> None:
        """Leave out all hosts, or halves of them and so on, or single ones."""
        size = len(hosts)
        while size:
            for begin in range(0, len(hosts), size):
                group = tuple(name for name in hosts[begin : begin + size] if name not in self.best.without)
                if group:
                    self.fails(self.best.but(without=(*self.best.without, *group)))
            size //= 2

    def _limit(self) -> None:
        """End a run that never ends earlier."""
        if not self.outcome.at_limit:
            return
        limit = self.outcome.ended_at
        for _ in range(CUTS):
            limit //= CUT
            if limit < SECOND or not self.fails(self.best.but(limit=limit)):
                return
