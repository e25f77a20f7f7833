"""The endpoints in which an event loop is interested. The loop leads the stack while it waits (see serving.py).

This needs neither readiness descriptors nor a hand-over between threads: the loop learns which endpoint is ready as
soon as it has read the frame. `pystack.aio` builds asyncio's selector on it.
"""

from typing import Any

import pystack_c.const as C
from pystack.runtime.serving import ServingHost
from pystack.runtime.waiting import Interest, Watch


class LoopInterest(Interest):
    """An interest of an event loop."""

    def join(self, owner: "Selection") -> None:
        """Belong to this selection. (An __init__ that calls the base class's would be slower.)"""
        self.owner = owner

    def notify(self, bits: int) -> None:
        """Queue the endpoint if it is ready. Needs the host's lock."""
        if not self.queued and self.registered and self.level() != 0:
            self.queued = True
            self.owner.ready.append(self)
            self.owner.watch.notify(C.EV_IN)


class Selection:
    """All interests of one event loop. `fd` is readable while one of the kernel's descriptors is ready."""

    def __init__(self, host: ServingHost, fd: int):
        self.host = host
        self.ready: list[Interest] = []
        self.told: list[Interest] = []
        self.watch = Watch(self)
        self.me = host.loop_waiter(fd)
        #: whether one of the kernel's descriptors was ready in the last `select`
        self.outside = False
        #: Watch treats the selection as an endpoint, which has a waiter
        self.waiter: Any = None

    def readiness(self) -> int:
        """Return EV_IN while an endpoint is ready, as an endpoint does."""
        return C.EV_IN if self.ready else 0

    def add(self, watch: Watch, events: int, key: Any) -> Interest:
        """Add an interest in `events` (READ, WRITE), and return it. `select` returns `key` for it."""
        interest = LoopInterest(watch, events, key)
        interest.join(self)
        self.host.show(watch, interest)
        return interest

    def change(self, interest: Interest, events: int, key: Any) -> None:
        """Change the events and the key of an interest."""
        interest.events = events
        interest.key = key
        self.host.refresh(interest.watch)

    def remove(self, interest: Interest) -> None:
        """Remove an interest."""
        interest.registered = False
        self.host.hide(interest.watch, interest)

    def select(self, timeout: float | None) -> list[tuple[Any, int]]:
        """Wait up to `timeout` seconds (None: forever). Returns (key, events) of each ready endpoint, level-triggered.

        Afterwards `outside` says whether one of the kernel's descriptors is ready.
        """
        host = self.host
        limit = -1
        if timeout is not None:
            limit = host.time()
            if timeout > 0:
                limit += int(min(timeout, 1e9) * 1e9)
        self._look_again()
        host.await_loop(self.me, self.watch, limit)
        self.outside = self.me.outside
        found: list[tuple[Any, int]] = []
        ready = self.ready
        self.ready = []
        for interest in ready:
            interest.queued = False
            level = interest.level() if interest.registered else 0
            if level != 0:
                found.append((interest.key, level))
                self.told.append(interest)
        return found

    def _look_again(self) -> None:
        """Queue those endpoints of the last result again that are still ready."""
        if self.told:
            self.host.lock.acquire()
            try:
                for interest in self.told:
                    interest.notify(0)
                self.told = []
            finally:
                self.host.lock.release()

    def close(self) -> None:
        """Remove the event loop, which is closed."""
        self.host.end_loop(self.me)
