"""Virtual time: the clock stands still while an event runs, and jumps to the next event."""

import heapq
from collections.abc import Callable
from typing import Any


class SimError(RuntimeError):
    """The simulation cannot go on (a step cap was reached, a condition never became true)."""


class SimDeadlock(SimError):
    """Programs wait, but nothing is scheduled: nothing can ever happen again."""


class Scheduler:
    """Events in order of (time, insertion). An event that is added for a time comes after those that were there for that time."""

    def __init__(self) -> None:
        self.now = 0
        self.steps = 0
        self._order = 0
        self._soon = -(1 << 62)
        self._heap: list[tuple[int, int, Callable[..., Any], tuple[Any, ...]]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, time: int, fn: Callable[..., Any], *args: Any) -> None:
        """Call fn(*args) at `time` (ns). A time that has passed is an error."""
        if time < self.now:
            raise ValueError(f"the time {time} has already passed: it is {self.now} now")
        self._order += 1
        heapq.heappush(self._heap, (time, self._order, fn, args))

    def after(self, delay: int, fn: Callable[..., Any], *args: Any) -> None:
        """Call fn(*args) in `delay` ns. 0 means after everything that is due now already."""
        self.at(self.now + delay, fn, *args)

    def soon(self, fn: Callable[..., Any], *args: Any) -> None:
        """Call fn(*args) next, before everything that is due now already."""
        self._soon += 1
        heapq.heappush(self._heap, (self.now, self._soon, fn, args))

    def next_time(self) -> int | None:
        """The time of the next event, or None."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> bool:
        """Run one event. Returns False if there is none."""
        if not self._heap:
            return False
        self.now, _, fn, args = heapq.heappop(self._heap)
        self.steps += 1
        fn(*args)
        return True

    def settle(self) -> None:
        """Run the events that are due now, except those that are added meanwhile."""
        heap, last = self._heap, self._order
        while heap and heap[0][0] <= self.now and heap[0][1] <= last:
            self.step()

    def run(self, until: int) -> None:
        """Run everything up to and including time `until`. The clock then shows `until`."""
        heap = self._heap
        pop = heapq.heappop
        while heap and heap[0][0] <= until:
            self.now, _, fn, args = pop(heap)
            self.steps += 1
            fn(*args)
        self.now = max(self.now, until)

    def run_until(self, predicate: Callable[[], Any], limit: int) -> int:
        """Run until predicate() is true, which is checked after each event. Returns the time. SimError at time `limit`."""
        while not predicate():
            if not self._heap or self._heap[0][0] > limit:
                raise SimError(f"the condition was not met until {limit / 1e9:.6f} s (it is {self.now / 1e9:.6f} s)")
            self.step()
        return self.now

    def run_until_idle(self, max_steps: int = 10_000_000) -> int:
        """Run until nothing is left to do, including timers. Returns the time. SimError after `max_steps`."""
        for _ in range(max_steps):
            if not self.step():
                return self.now
        raise SimError(f"not idle after {max_steps} steps, at {self.now / 1e9:.6f} s")
