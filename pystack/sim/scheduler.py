"""Virtual time: a clock that stands still while anything happens, and jumps to the next thing that does."""

import heapq
from collections.abc import Callable
from typing import Any


class SimError(RuntimeError):
    """The simulation cannot go on (a step cap was reached, a condition never became true)."""


class SimDeadlock(SimError):
    """Programs wait, but nothing is scheduled: nothing can ever happen again."""


class Scheduler:
    """Events in order of (time, insertion). What an event schedules comes after everything that was there for that time."""

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
        """Call fn(*args) in `delay` ns; 0 means once what is already due now is done."""
        self.at(self.now + delay, fn, *args)

    def soon(self, fn: Callable[..., Any], *args: Any) -> None:
        """Call fn(*args) as the very next thing, before all that is already due now."""
        self._soon += 1
        heapq.heappush(self._heap, (self.now, self._soon, fn, args))

    def next_time(self) -> int | None:
        """When the next event is due, or None."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> bool:
        """Do one event. False where there is none."""
        if not self._heap:
            return False
        self.now, _, fn, args = heapq.heappop(self._heap)
        self.steps += 1
        fn(*args)
        return True

    def run(self, until: int) -> None:
        """Do everything up to and including time `until`; the clock then shows `until`."""
        heap = self._heap
        pop = heapq.heappop
        while heap and heap[0][0] <= until:
            self.now, _, fn, args = pop(heap)
            self.steps += 1
            fn(*args)
        self.now = max(self.now, until)

    def run_until(self, predicate: Callable[[], Any], limit: int) -> int:
        """Run until predicate() is true, asked after each event; returns the time. SimError at time `limit`."""
        while not predicate():
            if not self._heap or self._heap[0][0] > limit:
                raise SimError(f"the condition was not met until {limit / 1e9:.6f} s (it is {self.now / 1e9:.6f} s)")
            self.step()
        return self.now

    def run_until_idle(self, max_steps: int = 10_000_000) -> int:
        """Run until nothing at all is left to do, timers included; returns the time. SimError after `max_steps`."""
        for _ in range(max_steps):
            if not self.step():
                return self.now
        raise SimError(f"not idle after {max_steps} steps, at {self.now / 1e9:.6f} s")
