"""Drives a network by the real clock, and waits for frames of kernel hosts and other descriptors meanwhile.

Virtual time is the real clock's, minus what it was at the beginning. An event happens as soon as its time has come. It may come late, because the
process had other work, but what follows from it is computed from the time for which it was due, so delays do not add up.
"""

import os
import select
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pystack.sim.scheduler import SimError

if TYPE_CHECKING:
    from pystack.sim.network import Network

# before any replacement (pystack.patching)
_monotonic_ns, _time_ns = time.monotonic_ns, time.time_ns
_epoll, _select = select.epoll, select.select
EPOLLIN = select.EPOLLIN
#: ns after which a wait looks again, so that a signal or a new event is noticed
LONGEST = 1_000_000_000
#: the kernel may let a wait of this length (ns) or a longer one end late by a thousandth; so a long wait is made of two
ROUGH = 10_000_000
#: steps in one turn after which the network is taken for one in which time never passes
STEPS = 1_000_000
#: ns in one class of the statistics, and the number of classes
CLASS, CLASSES = 10_000, 10_000


class Lateness:
    """By how much frames reached kernel hosts later than the links wanted."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.worst = 0
        self._classes: Counter[int] = Counter()

    def add(self, late: int) -> None:
        """A frame was late by so many ns."""
        self.count += 1
        self.total += late
        self.worst = max(self.worst, late)
        self._classes[min(late // CLASS, CLASSES)] += 1

    def percentile(self, part: float) -> int:
        """The lateness in ns that `part` (0 to 1) of all frames did not exceed, rounded up to 10 us. Of more than 100 ms, the worst."""
        left = part * self.count
        for found, count in sorted(self._classes.items()):
            left -= count
            if left <= 0:
                return self.worst if found == CLASSES else min(self.worst, (found + 1) * CLASS)
        return self.worst

    def __str__(self) -> str:
        if not self.count:
            return "no frame went to a kernel host"
        mean = self.total / self.count / 1e6
        near, worst = self.percentile(0.99) / 1e6, self.worst / 1e6
        return (
            f"{self.count} frames reached kernel hosts {mean:.3f} ms late on average, 99 % of them at most {near:.2f} ms, "
            f"the worst one {worst:.2f} ms"
        )


class RealTime:
    """The driver of one network.

    late  how far it was off
    """

    def __init__(self, net: "Network"):
        self.net = net
        self.late = Lateness()
        self._poll = _epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._calls: deque[Callable[[], None]] = deque()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._offset = 0
        self._depth = 0
        self.watch(self._bell, self._ring)

    def clock(self) -> int:
        """The virtual time that the real clock shows now."""
        return _monotonic_ns() - self._offset

    # -- descriptors and other threads -------------------------------------------------------------------------------

    def watch(self, fd: int, reader: Callable[[], None]) -> None:
        """Call `reader` when a descriptor is readable, in the thread that drives the network."""
        self._readers[fd] = reader
        self._poll.register(fd, EPOLLIN)

    def forget(self, fd: int) -> None:
        """End `watch`. Call it before the descriptor is closed."""
        if self._readers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def call_soon(self, fn: Callable[[], None]) -> None:
        """Call a function in the thread that drives the network. Any thread may call this."""
        self._calls.append(fn)
        if self._bell >= 0:  # otherwise the network is closed, and nothing is called any more
            os.eventfd_write(self._bell, 1)

    def _ring(self) -> None:
        os.eventfd_read(self._bell)
        while self._calls:
            self._calls.popleft()()

    # -- driving -----------------------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the clock run in the block. Outside, virtual time stands still."""
        if self._depth == 0:
            self._offset = _monotonic_ns() - self.net.now
            self.net.epoch = _time_ns() - self.net.now  # hosts of both kinds agree about the time of day
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def drive(self, waiting: Any, deadline: int | None) -> bool:
        """Let time pass until `waiting` has fired (True) or virtual time `deadline` has come (False). See Hub.drive."""
        with self.running():
            while not waiting.fired:
                end = self.clock()
                if deadline is not None and deadline <= end:
                    self._catch_up(deadline, waiting)
                    return bool(waiting.fired)
                self._catch_up(end, waiting)
                if not waiting.fired:
                    self._wait(waiting, deadline)
        return True

    def _catch_up(self, end: int, waiting: Any) -> None:
        """Run all events up to the time `end`, or until `waiting` has fired."""
        net = self.net
        hub = net.hub
        hub.check_limit(end)
        began = net.steps
        while not waiting.fired:
            due = net.next_time()
            if due is None or due > end:
                net.now = max(net.now, end)
                hub.collect_if_due()
                return
            net.step()
            if net.steps - began > STEPS:
                raise SimError(f"{STEPS} steps at {net.now / 1e9:.6f} s: time cannot pass\n{hub.report()}")

    def _wait(self, waiting: Any, deadline: int | None) -> None:
        """Wait until something is to be done, and read what has arrived."""
        due = self.net.next_time()
        if due is None or (deadline is not None and deadline < due):
            due = deadline
        left = LONGEST if due is None else min(LONGEST, max(0, due - self.clock()))
        if left > ROUGH:
            left -= left // 50
        if left and self._poll.fileno() < 1024:
            _select([self._poll], [], [], left / 1e9)  # epoll_wait(2) counts in milliseconds
            left = 0
        ready = self._poll.poll(left / 1e9)
        if ready:
            # Events that were due before a frame arrived come first. Otherwise the frame would have to be dated back, and arrive too early.
            now = self.clock()
            self._catch_up(now if deadline is None else min(now, deadline), waiting)
        for fd, _ in ready:
            if waiting.fired:
                return
            reader = self._readers.get(fd)  # another reader may have forgotten it
            if reader is not None:
                reader()

    def arrived(self) -> bool:
        """A frame is being read: set the network's time to now, but not later than the next event, which must not be overtaken.

        False: an event is due, so no other frame should be read before it.
        """
        net = self.net
        now, due = self.clock(), net.next_time()
        alone = due is None or due >= now
        if due is not None and not alone:
            now = due
        if now > net.now:
            net.now = now
        return alone

    def close(self) -> None:
        """Close its own descriptors."""
        if self._bell >= 0:
            self._poll.close()
            os.close(self._bell)
            self._bell = -1
