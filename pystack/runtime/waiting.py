"""The threads that wait for endpoints, and the hooks that are notified of changes.

Everything here needs the host's lock.
"""

from collections import deque
from typing import Any

import pystack_c.const as C
from pystack.runtime.lock import Gate
from pystack.runtime.sleep import Sleeper, calm, poke
from pystack_c.endpoint import Endpoint

#: the events readable and writable of an Interest
READ = 1
WRITE = 2
_READ = READ
_WRITE = WRITE
_IN = C.EV_IN | C.EV_ERR | C.EV_HUP | C.EV_RDHUP
_OUT = C.EV_OUT | C.EV_ERR | C.EV_HUP


class Waiter:
    """A thread that waits (each thread has one), or the caretaker."""

    def __init__(self) -> None:
        #: the waiter of the same thread that a signal handler interrupted
        self.outer: Waiter | None = None
        self.gate = Gate()
        #: True while the thread waits at its gate, or is about to
        self.parked = False
        #: True if the gate was opened, and the thread has not passed it yet
        self.opened = False
        #: True if it was released to take the lead, not because of an event
        self.promoted = False
        self.fired = False
        self.bits = 0
        #: how long it sleeps, in ns (-1: forever), and the gate that it opens first
        self.timeout = -1
        self.opens: Gate | None = None
        #: An event loop also waits for the kernel's descriptors. Its gate is an eventfd (otherwise -1), it has its own
        #: sleepers for leading and for following, and `outside` is True if one of the kernel's descriptors was ready.
        self.event_fd = -1
        self.leading: Sleeper | None = None
        self.following: Sleeper | None = None
        self.outside = False
        #: the time (ns) at which it last began to poll the devices and the kernel's descriptors
        self.looked = 0

    def let_go(self) -> None:
        """Open the gate of this waiter, if it is parked."""
        if self.parked and not self.opened:
            self.opened = True
            if self.event_fd < 0:
                self.gate.open()
            else:
                poke(self.event_fd)

    def park(self) -> bool:
        """Wait at the gate. Returns False if `timeout` passed first or a descriptor of the kernel is ready."""
        if self.following is None:
            return self.gate.wait(self.timeout, self.opens)
        self.following.sleep(self.timeout, self.opens)
        self.outside = self.following.ready(1)
        return self.following.ready(0)

    def fire(self) -> None:
        """Release this thread, because an event that it waits for happened."""
        self.fired = True
        self.let_go()

    def promote(self) -> None:
        """Wake this waiter, which must be parked, so that it takes the vacant lead."""
        self.promoted = True
        self.let_go()

    def unpark(self, passed: bool) -> None:
        """Stop being parked.

        If the thread did not pass its gate (`passed`), but the gate was opened meanwhile, shut it again.
        """
        self.parked = False
        if self.opened:
            self.opened = False
            if self.event_fd >= 0:
                calm(self.event_fd)
            elif not passed:
                # The other thread may be about to open the gate, so wait for
                # a moment. If it is later, the next wait checks once more.
                self.gate.wait(50_000_000, None)


class Hook:
    """An object that is notified of each change of an endpoint's readiness.

    A hook with `rising` set is only notified if there is more to
    do. Other hooks are also notified after calls that took data.
    """

    def __init__(self) -> None:
        self.rising = False

    def notify(self, bits: int) -> None:
        """Handle a change of `bits` (EV_*) of the readiness; 0 means that the hook has to check.

        Needs the host's lock; must not raise.
        """
        raise NotImplementedError


class Watch:
    """The waiters and hooks of one endpoint. It is the endpoint's `waiter` while it has any."""

    def __init__(self, endpoint: Any):
        self.endpoint: Any = endpoint
        #: the endpoint, if it is one of the core's
        self.inner: Any = endpoint if isinstance(endpoint, Endpoint) else None
        #: the first waiter, usually the only one, and the others
        self.first: Waiter | None = None
        self.others: list[Waiter] | None = None
        #: notified of each change (readiness descriptors, event loops); the tuple is replaced, never changed
        self.hooks: tuple[Hook, ...] = ()
        #: True if one of the hooks is not `rising`
        self.falls = False

    def readiness(self) -> int:
        """Return the EV_* bits that poll(2) would report now."""
        if self.inner is not None:
            return self.inner.readiness()
        return int(self.endpoint.readiness())

    def waiters(self) -> list[Waiter]:
        """Return all waiters."""
        found = [] if self.first is None else [self.first]
        return found if self.others is None else found + self.others

    def add(self, waiter: Waiter) -> None:
        """Add a waiter."""
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
        """Remove a waiter."""
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
        """Add a hook."""
        self.hooks = (*self.hooks, hook)
        if not hook.rising:
            self.falls = True

    def hide(self, hook: Hook) -> None:  # python
        """Remove a hook."""
        self.hooks = tuple(other for other in self.hooks if other is not hook)
        self.falls = not all(other.rising for other in self.hooks)

    def notify(self, bits: int, later: "deque[Waiter] | None" = None) -> None:
        """Fire the waiters that wait for one of `bits`, and notify the hooks.

        The gates are opened at once. If `later` is given, the waiters are appended to it instead (see serving.py).
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


class Interest(Hook):
    """One endpoint and the events of interest (READ, WRITE) of a selector. `key` is the selector's own.

    Each kind of selector has a subclass, whose `notify` queues the endpoint there and ends the selector's wait.
    """

    def __init__(self, watch: Watch, events: int, key: Any):
        # The next wait checks a reported endpoint again, so calls in between do not matter.
        self.rising = True
        self.watch = watch
        self.events = events
        self.key = key
        self.queued = False
        self.registered = True

    def level(self) -> int:
        """Return the events of interest (READ, WRITE) that are ready now."""
        bits = self.watch.readiness()
        found = _READ if self.events & _READ and bits & _IN else 0
        return found | _WRITE if self.events & _WRITE and bits & _OUT else found
