"""Waits for many sockets of a stack in one thread, without descriptors.

The thread leads, like a thread that blocks in recv.

    poller = Poller(host)
    poller.register(sock, data)         # a non-blocking socket
    for data in poller.poll(): ...      # the sockets that became readable since the last call
    poller.watch(sock, WRITE)           # from now on, report it when it is writable

The poller reports a socket when it becomes readable (or writable, if that was requested), and again if it is still so
after a call on it. The caller either reads until nothing is left or calls `again`.
"""

from collections import deque
from typing import Any

import pystack_c.const as C
from pystack.runtime.sockethost import SocketHost
from pystack.runtime.waiting import Hook, Watch

#: the events that `watch` accepts
READ = 1
WRITE = 2
_BITS = (
    0,
    C.EV_IN | C.EV_ERR | C.EV_HUP,
    C.EV_OUT | C.EV_ERR | C.EV_HUP,
    C.EV_IN | C.EV_OUT | C.EV_ERR | C.EV_HUP,
)


class PollEntry(Hook):
    """A registered socket."""

    __slots__ = ("bits", "data", "description", "poller", "queued", "registered")

    def __init__(self, poller: "Poller", description: Any, data: Any):
        self.rising = False
        self.poller = poller
        self.description = description
        self.data = data
        self.bits = _BITS[READ]
        self.queued = False
        self.registered = True

    def notify(self, bits: int) -> None:
        """Queue the socket if it is ready. Needs the host's lock."""
        if not self.queued and self.description.endpoint.readiness() & self.bits:
            self.queued = True
            self.poller.ready.append(self)
            self.poller.told.notify(C.EV_IN)


class Poller:
    """The sockets for which one thread waits."""

    def __init__(self, host: SocketHost):
        self.host = host
        self.ready: deque[PollEntry] = deque()
        self.entries: dict[Any, PollEntry] = {}
        #: `host.wait` treats the poller as an endpoint, which has a waiter
        self.waiter: Any = None
        self.told = Watch(self)

    def readiness(self) -> int:
        """Return EV_IN while there is a socket to report, as an endpoint does."""
        return C.EV_IN if self.ready else 0

    def register(self, sock: Any, data: Any) -> None:
        """Report `data` when the socket is readable."""
        description = sock._open_description()
        entry = PollEntry(self, description, data)
        self.entries[sock] = entry
        self.host.show(description.watch, entry)

    def watch(self, sock: Any, events: int) -> None:
        """Report the socket when it is ready for one of `events` (READ and WRITE; 0: not at all)."""
        entry = self.entries[sock]
        entry.bits = _BITS[events]
        self.host.refresh(entry.description.watch)

    def again(self, sock: Any) -> None:
        """Report the socket once more, because it is still ready."""
        entry = self.entries[sock]
        if not entry.queued:
            entry.queued = True
            self.ready.append(entry)

    def unregister(self, sock: Any) -> None:
        """Stop reporting the socket."""
        entry = self.entries.pop(sock, None)
        if entry is not None:
            entry.registered = False
            self.host.hide(entry.description.watch, entry)

    def poll(self, timeout: float | None = None) -> list[Any]:
        """Return the data of the ready sockets. Waits up to `timeout` seconds (None: forever) for the first one."""
        deadline = self.host.deadline(timeout)
        if not self.ready and not self.host.wait(self.told, C.EV_IN, deadline):
            return []
        found = []
        for _ in range(len(self.ready)):
            entry = self.ready.popleft()
            entry.queued = False
            if entry.registered:
                found.append(entry.data)
        return found

    def wake(self) -> None:
        """Make `poll` return. Other threads may call this."""
        self.host.wake(self.told)
