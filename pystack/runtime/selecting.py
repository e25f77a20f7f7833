"""Endpoints that an event loop is interested in: it leads the stack itself while it waits (see serving.py).

No descriptors of readiness are needed for this, and no hand-over between threads: what a frame makes ready, the loop knows as
soon as it has read the frame. `pystack.aio` makes asyncio's selector of it.
"""

from typing import Any

import pystack_c.const as C
from pystack.runtime.serving import ServingHost
from pystack.runtime.waiting import Hook, Watch

#: what an event loop calls readable, and writable
READ = 1
WRITE = 2
_READ = READ
_WRITE = WRITE
_IN = C.EV_IN | C.EV_ERR | C.EV_HUP | C.EV_RDHUP
_OUT = C.EV_OUT | C.EV_ERR | C.EV_HUP


class Interest(Hook):
    """One endpoint, and what of it is of interest (READ, WRITE). `key` is what the event loop knows it by."""

    def __init__(self, owner: "Selection", watch: Watch, events: int, key: Any):
        # What was told before is looked at again before the next sleep, whatever was called meanwhile.
        self.rising = True
        self.owner = owner
        self.watch = watch
        self.events = events
        self.key = key
        self.queued = False
        self.registered = True

    def level(self) -> int:
        """READ and WRITE as they are now, of what is of interest."""
        bits = self.watch.readiness()
        found = _READ if self.events & _READ and bits & _IN else 0
        return found | _WRITE if self.events & _WRITE and bits & _OUT else found

    def notify(self, bits: int) -> None:
        """The endpoint's readiness may have changed. Under the host's lock."""
        if not self.queued and self.registered and self.level() != 0:
            self.queued = True
            self.owner.ready.append(self)
            self.owner.watch.notify(C.EV_IN)


class Selection:
    """All that one event loop is interested in. `fd`: readable while the kernel has something for the loop."""

    def __init__(self, host: ServingHost, fd: int):
        self.host = host
        self.ready: list[Interest] = []
        self.told: list[Interest] = []
        self.watch = Watch(self)
        self.me = host.loop_waiter(fd)
        #: after `select`: whether the kernel has something
        self.outside = False
        #: an Endpoint, as far as Watch is concerned
        self.waiter: Any = None

    def readiness(self) -> int:
        """As an endpoint's: readable while something is ready."""
        return C.EV_IN if self.ready else 0

    def add(self, watch: Watch, events: int, key: Any) -> Interest:
        """Be interested; `key` is the caller's."""
        interest = Interest(self, watch, events, key)
        self.host.show(watch, interest)
        return interest

    def change(self, interest: Interest, events: int, key: Any) -> None:
        """Be interested in something else."""
        interest.events = events
        interest.key = key
        self.host.refresh(interest.watch)

    def remove(self, interest: Interest) -> None:
        """Be interested no more."""
        interest.registered = False
        self.host.hide(interest.watch, interest)

    def select(self, timeout: float | None) -> list[tuple[Any, int]]:
        """Wait up to `timeout` seconds (None: for ever): (key, events) of what is ready, level-triggered.

        `outside` says afterwards that the kernel has something.
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
        """What was told last time and is still so is told again."""
        if self.told:
            self.host.lock.acquire()
            try:
                for interest in self.told:
                    interest.notify(0)
                self.told = []
            finally:
                self.host.lock.release()

    def close(self) -> None:
        """The loop is closed."""
        self.host.end_loop(self.me)
