"""Sleeping until a descriptor is readable or a time has come, waking a thread that sleeps, and the clock for both.

There are two bodies, as in phy.tapio. Compiled, a sleep is a ppoll(2) on an array (see sleep.pxd). Uncompiled, it uses
`select.epoll`, whose objects a signal handler may use in the middle of a call, unlike those of `select.poll`.

Compiled, a sleeper may poll for a moment before it sleeps (Linux calls this busy polling). The reason is that waking an
idle processor takes several times as long as a request needs, and the thread that wakes it pays for that as well. The
sleeper learns from its sleeps how long to poll, as KVM does before it halts a processor
(Documentation/virt/kvm/halt-polling.rst): while sleeps are shorter than `busy_poll`, it polls twice as long each time;
after a longer sleep it does not poll. So an idle stack never polls. Between two polls the sleeper yields the processor
(sched_yield(2)). If that takes long because another program computes, the stack sleeps for a while without polling,
because the kernel prefers a thread that slept to a thread that was always ready.
"""

import os
from time import monotonic_ns
from typing import Any

import pystack_c.const as C
from pystack.runtime.lock import Gate

#: the most descriptors of one Sleeper: interfaces and a few of the driver's own
MOST = 256
#: the default of `busy_poll`, in microseconds
BUSY_POLL = 200
#: the first time of polling, in ns
_FIRST_LOOK = 10_000
#: ns without polling while other programs need the processor: the first time, and at most
_SHORT_REST = 1_000_000
_LONG_REST = 128_000_000


def monotonic() -> int:
    """Return CLOCK_MONOTONIC in nanoseconds."""
    if C.COMPILED:
        return clock_now()  # type: ignore[name-defined,no-any-return] # noqa: F821
    else:
        return monotonic_ns()


def poke(fd: int) -> None:
    """Make an eventfd readable."""
    os.eventfd_write(fd, 1)


def calm(fd: int) -> None:
    """Reset an eventfd to zero."""
    try:
        os.eventfd_read(fd)
    except BlockingIOError:
        pass


def _select() -> Any:  # python
    """The module `select`, which networks in virtual time do without (a browser's Python does not have it)."""
    import select

    return select


class Sleeper:
    """Descriptors to sleep on. Afterwards `ready(i)` says whether the i-th one that was added is readable."""

    def __init__(self) -> None:
        self.count = 0
        #: the longest sleep, in ns, that polling replaces (0: it never polls), and the time for which it polls now
        self.busy_poll = 0
        self.looking = 0
        #: the time before which it does not poll, and the length of that pause in ns
        self.rests_until = 0
        self.resting = 0
        self.fds: list[int] = []
        self.found: list[int] = []
        self.epoll: Any = None if C.COMPILED else _select().epoll()

    def add(self, fd: int) -> None:
        """Add a descriptor; -1 leaves its place empty. A descriptor that is closed later is reported as readable."""
        if self.count == MOST:
            raise ValueError(f"a sleeper holds at most {MOST} descriptors")
        self.fds.append(fd)
        if C.COMPILED:
            add_fd(self, fd)  # type: ignore[name-defined] # noqa: F821
        elif fd >= 0:
            self.epoll.register(fd, _select().EPOLLIN)
        self.count += 1

    def learn(self, slept: int) -> None:
        """Choose the time of the next polling, after a descriptor became readable within `slept` ns."""
        if slept > self.busy_poll:
            self.looking = 0
        elif slept > self.looking:
            self.looking = 2 * self.looking if self.looking > 0 else _FIRST_LOOK
            if self.looking > self.busy_poll:
                self.looking = self.busy_poll

    def rest(self, now: int) -> None:
        """Stop polling for a while, because another program kept the processor too long.

        A thread that sleeps is scheduled at once.
        """
        self.resting = min(2 * self.resting, _LONG_REST) if self.resting >= _SHORT_REST else _SHORT_REST
        self.rests_until = now + self.resting

    def ready(self, place: int) -> bool:
        """Return True if the descriptor at this place was readable (or broken) at the end of the last sleep."""
        if C.COMPILED:
            return is_ready(self, place)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            return self.fds[place] in self.found

    def sleep(self, timeout: int, opens: Gate | None) -> int:
        """Open `opens`, if given, and sleep up to `timeout` ns (-1: forever).

        Returns how many descriptors are readable.

        A signal ends the sleep after its handler ran; an exception of the handler leaves this call.
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
