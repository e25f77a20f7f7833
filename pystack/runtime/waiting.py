"""Threads that wait for endpoints, and who is told when an endpoint has news. All under the host's lock."""

from collections import deque
from typing import Any

from pystack.runtime.lock import Gate
from pystack.runtime.sleep import Sleeper, calm, poke
from pystack_c.endpoint import Endpoint


class Waiter:
    """A thread that waits (each thread has one), or the caretaker."""

    def __init__(self) -> None:
        #: the waiter of the same thread that a signal handler interrupted
        self.outer: Waiter | None = None
        self.gate = Gate()
        #: it waits at its gate, or is about to
        self.parked = False
        #: its gate was opened, and it has not come through yet
        self.opened = False
        #: let go to take the lead, not because something happened
        self.promoted = False
        self.fired = False
        self.bits = 0
        #: how long it shall sleep, in ns (-1: for ever), and the gate it opens first
        self.timeout = -1
        self.opens: Gate | None = None
        #: an event loop also waits for descriptors of the kernel: its gate is an eventfd (else -1), it has sleepers of its own
        #: to lead and to follow with, and `outside` says that the kernel's were ready
        self.event_fd = -1
        self.leading: Sleeper | None = None
        self.following: Sleeper | None = None
        self.outside = False
        #: when it began its last look at the devices and the kernel's descriptors
        self.looked = 0

    def let_go(self) -> None:
        """Open its gate."""
        if self.parked and not self.opened:
            self.opened = True
            if self.event_fd < 0:
                self.gate.open()
            else:
                poke(self.event_fd)

    def park(self) -> bool:
        """Wait at the gate; False: `timeout` passed first, or the kernel's descriptors are ready."""
        if self.following is None:
            return self.gate.wait(self.timeout, self.opens)
        self.following.sleep(self.timeout, self.opens)
        self.outside = self.following.ready(1)
        return self.following.ready(0)

    def fire(self) -> None:
        """Something this thread waits for happened."""
        self.fired = True
        self.let_go()

    def promote(self) -> None:
        """The lead is vacant: wake up and take it. It must be parked."""
        self.promoted = True
        self.let_go()

    def unpark(self, passed: bool) -> None:
        """It goes on. Where it did not come `passed` its gate, but this was opened for it meanwhile, it is shut again."""
        self.parked = False
        if self.opened:
            self.opened = False
            if self.event_fd >= 0:
                calm(self.event_fd)
            elif not passed:
                # Whoever opened it may be just about to: a moment. (Come too late, it is a look more next time.)
                self.gate.wait(50_000_000, None)


class Hook:
    """Who is told of each change of an endpoint's readiness.

    `rising`: told is enough when there is more of it. Others also hear of calls that took what there was.
    """

    def __init__(self) -> None:
        self.rising = False

    def notify(self, bits: int) -> None:
        """The endpoint's readiness may have changed: `bits` (EV_*) did, or 0: look. Under the host's lock; must not raise."""
        raise NotImplementedError


class Watch:
    """Those who wait for one endpoint: set as `Endpoint.waiter` while there are any."""

    def __init__(self, endpoint: Any):
        self.endpoint: Any = endpoint
        #: the same, where it is one of the core
        self.inner: Any = endpoint if isinstance(endpoint, Endpoint) else None
        #: the first one, as a rule the only one, and the others
        self.first: Waiter | None = None
        self.others: list[Waiter] | None = None
        #: told at each change (readiness descriptors, event loops); replaced, never changed
        self.hooks: tuple[Hook, ...] = ()
        #: one of them is not `rising`
        self.falls = False

    def readiness(self) -> int:
        """EV_* bits as poll(2) would report them now."""
        if self.inner is not None:
            return self.inner.readiness()
        return int(self.endpoint.readiness())

    def waiters(self) -> list[Waiter]:
        """All that wait."""
        found = [] if self.first is None else [self.first]
        return found if self.others is None else found + self.others

    def add(self, waiter: Waiter) -> None:
        """One more."""
        if self.first is None:
            self.first = waiter
        elif self.others is None:
            self.others = [waiter]
        else:
            self.others.append(waiter)
        if self.inner is not None:
            self.inner.waiter = self
        else:
            self.endpoint.waiter = self

    def remove(self, waiter: Waiter) -> None:
        """One less."""
        if self.first is waiter:
            self.first = None
            if self.others:
                self.first = self.others.pop(0)
        elif self.others is not None and waiter in self.others:
            self.others.remove(waiter)
        if self.first is None and not self.hooks:
            if self.inner is not None:
                self.inner.waiter = None
            else:
                self.endpoint.waiter = None

    def show(self, hook: Hook) -> None:
        """One hook more."""
        self.hooks = (*self.hooks, hook)
        if not hook.rising:
            self.falls = True

    def hide(self, hook: Hook) -> None:  # python
        """Take a hook away."""
        self.hooks = tuple(other for other in self.hooks if other is not hook)
        self.falls = not all(other.rising for other in self.hooks)

    def notify(self, bits: int, later: "deque[Waiter] | None" = None) -> None:
        """The endpoint's readiness changed: fire those that wait for one of `bits`.

        Their gates are opened at once, or by and by where a queue is given for it (see serving.py).
        """
        if self.first is not None:
            self._tell(self.first, bits, later)
        if self.others:
            for waiter in self.others:
                self._tell(waiter, bits, later)
        for item in self.hooks:
            hook: Hook = item
            hook.notify(bits)

    def _tell(self, waiter: Waiter, bits: int, later: "deque[Waiter] | None") -> None:
        if waiter.bits & bits and not waiter.fired:
            waiter.fired = True
            if later is None:
                waiter.let_go()
            elif waiter.parked:
                later.append(waiter)
