"""Virtual time: the clock stands still while an event runs, and jumps to the next event."""

from collections.abc import Callable
from typing import Any

from pystack_c.base.fifo import Fifo


class SimError(RuntimeError):  # python
    """The simulation cannot go on (a step cap was reached, a condition never became true)."""


class SimDeadlock(SimError):  # python
    """Programs wait, but nothing is scheduled: nothing can ever happen again."""


class Scheduled:
    """The call `fn(*args)` at a time. `order` decides between events of the same time."""

    def __init__(self, time: int, order: int, fn: Callable[..., Any], args: tuple[Any, ...]):
        self.fill(time, order, fn, args)

    def fill(self, time: int, order: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Give every field its value."""
        self.time = time
        self.order = order
        self.fn = fn
        self.args = args


def _scheduled(time: int, order: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> Scheduled:
    """Create a Scheduled without the cost of a Python-level constructor call."""
    event: Scheduled = Scheduled.__new__(Scheduled)
    event.fill(time, order, fn, args)
    return event


class Scheduler:
    """Events in order of (time, insertion). An event that is added for a time comes after those that were there for that time."""

    def __init__(self) -> None:
        self.now = 0
        self.steps = 0
        self._order = 0
        self._soon = -(1 << 62)
        self._heap: list[Any] = []
        #: events in their order, which need no heap: those that `follow` added, each for the same time as the one before or later
        self._line = Fifo()
        self._line_end = 0  # the time of the last one
        #: while a network is recorded, why its programs run (sim/causes.py)
        self.causes: Any = None

    def __len__(self) -> int:
        return len(self._heap) + self._line.count

    def at(self, time: int, fn: Callable[..., Any], *args: Any) -> None:  # python
        """Call fn(*args) at `time` (ns). A time that has passed is an error."""
        self.add(time, fn, args)

    def add(self, time: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Do what `at` does, for compiled callers."""
        if time < self.now:
            raise ValueError(f"the time {time} has already passed: it is {self.now} now")
        self._order += 1
        self._push(_scheduled(time, self._order, fn, args))

    def follow(self, time: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Do what `add` does. It is faster if the time is that of the last such call or later, as with frames that cannot overtake."""
        if time < self.now:
            raise ValueError(f"the time {time} has already passed: it is {self.now} now")
        self._order += 1
        event = _scheduled(time, self._order, fn, args)
        if self._line.count and time < self._line_end:
            self._push(event)
        else:
            self._line.append(event)
            self._line_end = time

    def after(self, delay: int, fn: Callable[..., Any], *args: Any) -> None:  # python
        """Call fn(*args) in `delay` ns. 0 means after everything that is due now already."""
        self.add(self.now + delay, fn, args)

    def soon(self, fn: Callable[..., Any], *args: Any) -> None:  # python
        """Call fn(*args) next, before everything that is due now already."""
        self._soon += 1
        self._push(_scheduled(self.now, self._soon, fn, args))

    def next_time(self) -> int | None:
        """The time of the next event, or None."""
        return self._first().time if self._waits() else None

    def step(self) -> bool:
        """Run one event. Returns False if there is none."""
        if not self._waits():
            return False
        self._next()
        return True

    def settle(self) -> None:
        """Run the events that are due now, except those that are added meanwhile."""
        last = self._order
        while self._waits():
            event = self._first()
            if event.time > self.now or event.order > last:
                return
            self.step()

    def run(self, until: int) -> None:  # python
        """Run everything up to and including time `until`. The clock then shows `until`."""
        while self._waits() and self._first().time <= until:
            self._next()
        self.now = max(self.now, until)

    def run_until(self, predicate: Callable[[], Any], limit: int) -> int:  # python
        """Run until predicate() is true, which is checked after each event. Returns the time. SimError at time `limit`."""
        while not predicate():
            if not self._waits() or self._first().time > limit:
                raise SimError(f"the condition was not met until {limit / 1e9:.6f} s (it is {self.now / 1e9:.6f} s)")
            self.step()
        return self.now

    def run_until_idle(self, max_steps: int = 10_000_000) -> int:  # python
        """Run until nothing is left to do, including timers. Returns the time. SimError after `max_steps`."""
        for _ in range(max_steps):
            if not self.step():
                return self.now
        raise SimError(f"not idle after {max_steps} steps, at {self.now / 1e9:.6f} s")

    # -- the queue: a binary heap, and a line --------------------------------------------------------------------------

    def _waits(self) -> bool:
        """Whether there is an event."""
        return bool(self._heap) or self._line.count > 0

    def _in_line(self) -> bool:
        """Whether the next event is the first of the line, and not that of the heap. There must be one."""
        if self._line.count == 0:
            return False
        return not self._heap or _before(self._line.first(), self._heap[0])

    def _first(self) -> Scheduled:
        """The next event. There must be one."""
        return self._line.first() if self._in_line() else self._heap[0]  # type: ignore[no-any-return]

    def _next(self) -> None:
        """Run the next event. There must be one."""
        event: Scheduled = self._line.popleft() if self._in_line() else self._pop()
        self.now = event.time
        self.steps += 1
        event.fn(*event.args)

    def _push(self, event: Scheduled) -> None:
        heap = self._heap
        heap.append(event)
        i = len(heap) - 1
        while i > 0:
            parent = (i - 1) >> 1
            other: Scheduled = heap[parent]
            if not _before(event, other):
                break
            heap[i] = other
            i = parent
        heap[i] = event

    def _pop(self) -> Scheduled:
        heap = self._heap
        last: Scheduled = heap.pop()
        size = len(heap)
        if size == 0:
            return last
        first: Scheduled = heap[0]
        i = 0
        child = 1
        while child < size:
            event: Scheduled = heap[child]
            if child + 1 < size:
                other: Scheduled = heap[child + 1]
                if _before(other, event):
                    event = other
                    child += 1
            if not _before(event, last):
                break
            heap[i] = event
            i = child
            child = 2 * i + 1
        heap[i] = last
        return first


def _before(a: Scheduled, b: Scheduled) -> bool:
    if a.time != b.time:
        return a.time < b.time
    return a.order < b.order
