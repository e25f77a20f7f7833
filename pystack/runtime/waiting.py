"""Threads that wait for endpoints, and who is told when an endpoint has news. All under the host's lock."""

import threading
from collections.abc import Callable
from typing import Any


class Waiter:
    """A thread that waits (each thread has one), or the caretaker."""

    __slots__ = ("bits", "fired", "gate", "outer", "parked", "promoted")

    def __init__(self) -> None:
        #: the waiter of the same thread that a signal handler interrupted
        self.outer: Waiter | None = None
        self.gate = threading.Lock()
        self.gate.acquire()
        self.parked = False
        #: let go to take the lead, not because something happened
        self.promoted = False
        self.fired = False
        self.bits = 0

    def fire(self) -> None:
        """Something this thread waits for happened. Under the host's lock."""
        if not self.fired:
            self.fired = True
            if self.parked:
                self.gate.release()

    def promote(self) -> None:
        """The lead is vacant: wake up and take it. It must be parked. Under the host's lock."""
        self.promoted = True
        self.parked = False
        self.gate.release()


class Watch:
    """Those who wait for one endpoint: set as `Endpoint.waiter` while there are any."""

    __slots__ = ("endpoint", "hooks", "waiters")

    def __init__(self, endpoint: Any):
        self.endpoint = endpoint
        self.waiters: list[Waiter] = []
        #: called with the EV_* bits at each change (readiness descriptors); replaced, never changed
        self.hooks: tuple[Callable[[int], None], ...] = ()

    def add(self, waiter: Waiter) -> None:
        """One more."""
        self.waiters.append(waiter)
        self.endpoint.waiter = self

    def remove(self, waiter: Waiter) -> None:
        """One less."""
        if waiter in self.waiters:
            self.waiters.remove(waiter)
        if not self.waiters and not self.hooks:
            self.endpoint.waiter = None

    def hide(self, hook: Callable[[int], None]) -> None:
        """Take a hook away. May run in a finalizer, so without the lock: one assignment."""
        self.hooks = tuple(other for other in self.hooks if other != hook)

    def notify(self, bits: int) -> None:
        """The endpoint's readiness changed: let go those that wait for one of `bits`."""
        for waiter in self.waiters:
            if waiter.bits & bits:
                waiter.fire()
        for hook in self.hooks:
            hook(bits)
