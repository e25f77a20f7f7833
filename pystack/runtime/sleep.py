"""Sleeping until a descriptor is readable or a time has come; waking who sleeps so; the clock for it.

Two bodies, as phy.tapio has: compiled, ppoll(2) on an array of our own (see sleep.pxd); uncompiled, `select.epoll`
(whose objects, other than those of `select.poll`, a signal handler may use in the middle of a call).

Compiled, a sleeper may look for a moment before it sleeps (Linux calls it busy polling): to be woken takes a processor that
went idle several times as long as a request needs, and whoever wakes it pays for that as well. How long it looks it learns from how
long its sleeps were, as KVM does before it lets a processor halt (Documentation/virt/kvm/halt-polling.rst): while they are shorter
than `busy_poll`, twice as long each time; after a longer one, not at all. So a stack with nothing to do never looks. Between
two looks whoever else wants the processor gets it (sched_yield(2)); if that takes long, because a program there computes, the
stack sleeps for a while as it would without all this, for the kernel prefers who slept to who was ready all the time.
"""

import os
import select
from time import monotonic_ns
from typing import Any

import pystack_c.const as C
from pystack.runtime.lock import Gate

#: the most descriptors one Sleeper has: interfaces and a few of the driver's own
MOST = 256
#: microseconds of busy polling where nobody says otherwise (see Sleeper)
BUSY_POLL = 200
#: ns of looking to begin with
_FIRST_LOOK = 10_000
#: ns without looking where others need the processor: the first time, and at most
_SHORT_REST = 1_000_000
_LONG_REST = 128_000_000


def monotonic() -> int:
    """CLOCK_MONOTONIC in nanoseconds."""
    if C.COMPILED:
        return clock_now()  # type: ignore[name-defined,no-any-return] # noqa: F821
    else:
        return monotonic_ns()


def poke(fd: int) -> None:
    """Make an eventfd readable."""
    os.eventfd_write(fd, 1)


def calm(fd: int) -> None:
    """Take an eventfd back to zero."""
    try:
        os.eventfd_read(fd)
    except BlockingIOError:
        pass


class Sleeper:
    """Descriptors to sleep on; `ready(i)` says afterwards whether the i-th that was added is readable."""

    def __init__(self) -> None:
        self.count = 0
        #: sleeps up to this many ns are worth looking instead (0: none is), and how long it looks now, if at all
        self.busy_poll = 0
        self.looking = 0
        #: it does not look before this time, and how long that pause is, in ns
        self.rests_until = 0
        self.resting = 0
        self.fds: list[int] = []
        self.found: list[int] = []
        self.epoll: Any = None if C.COMPILED else select.epoll()

    def add(self, fd: int) -> None:
        """One more; -1 keeps the place free. (A descriptor that is closed later is reported as readable.)"""
        if self.count == MOST:
            raise ValueError(f"more than {MOST} descriptors")
        self.fds.append(fd)
        if C.COMPILED:
            add_fd(self, fd)  # type: ignore[name-defined] # noqa: F821
        elif fd >= 0:
            self.epoll.register(fd, select.EPOLLIN)
        self.count += 1

    def learn(self, slept: int) -> None:
        """It took `slept` ns until a descriptor was readable: how long shall it look next time?"""
        if slept > self.busy_poll:
            self.looking = 0
        elif slept > self.looking:
            self.looking = 2 * self.looking if self.looking > 0 else _FIRST_LOOK
            if self.looking > self.busy_poll:
                self.looking = self.busy_poll

    def rest(self, now: int) -> None:
        """Somebody else kept the processor for longer than a look is worth: sleep for a while, whoever sleeps is woken at once."""
        self.resting = min(2 * self.resting, _LONG_REST) if self.resting >= _SHORT_REST else _SHORT_REST
        self.rests_until = now + self.resting

    def ready(self, place: int) -> bool:
        """Whether the last sleep ended with this one readable (or broken)."""
        if C.COMPILED:
            return is_ready(self, place)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            return self.fds[place] in self.found

    def sleep(self, timeout: int, opens: Gate | None) -> int:
        """Open a gate, if there is one, and sleep up to `timeout` ns (-1: for ever). How many are readable.

        A signal ends it early, after its handler ran; what that raises comes out.
        """
        if C.COMPILED:
            return sleep_on(self, timeout, opens)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            if opens is not None:
                opens.open()
            self.found = []
            found = self.epoll.poll(-1 if timeout < 0 else min(timeout / 1e9, 1e6))
            self.found = [fd for fd, _ in found]
            return len(found)
