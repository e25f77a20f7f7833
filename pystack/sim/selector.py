"""Selectors, select() and poll() over simulated sockets: a wait parks the program or steps the network."""

import selectors
from collections.abc import Iterable
from typing import Any

import pystack_c.const as C
from pystack.runtime.waiting import READ, WRITE, Interest, Watch
from pystack.sim.causes import step_of
from pystack.sim.virtual import VirtualHost
from pystack.sockets import current
from pystack.sockets.handles import lookup
from pystack.sockets.selectorbase import SelectorBase, check_events, number_of


def here() -> Any:
    """The simulated host to which the running code belongs, or None."""
    host = current.bound_host()
    return host if isinstance(host, VirtualHost) else None


class SimInterest(Interest):
    """One registered socket."""

    def __init__(self, owner: "SimSelector", watch: Watch, events: int, key: selectors.SelectorKey):
        super().__init__(watch, events, key)
        self.owner = owner
        #: the step (sim/causes.py) in which it became ready, if the network is recorded
        self.cause: Any = None

    def notify(self, bits: int) -> None:
        """Queue the socket if it is ready."""
        if not self.queued and self.registered and self.level():
            self.queued = True
            self.cause = step_of(self.owner.net)
            self.owner.ready.append(self)
            self.owner.fire()


class SimSelector(SelectorBase):
    """A selector over the sockets of one network. `select` waits in virtual time; to the hub it is a wait itself."""

    def __init__(self, net: Any, host: Any = None):
        super().__init__()
        self.net = net
        #: the host whose clock measures the timeouts, or None: the network's
        self.host = host
        self.ready: list[Interest] = []
        self._told: list[Interest] = []
        #: the wait that is under way, as the hub sees it
        self.fired = False
        self._woken = False
        self.resume: Any = None
        self.what = "its sockets"

    def fire(self) -> None:
        """Look at the sockets that are ready, in the wait that is under way or the next one."""
        if not self.fired:
            self.fired = True
            if self.resume is not None:
                self.resume()

    def wake(self) -> None:
        """End the wait that is under way, or the next one at once."""
        self._woken = True
        self.fire()

    # -- registering ---------------------------------------------------------------------------------------------

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """See selectors.BaseSelector. ValueError: the descriptor is the kernel's."""
        check_events(events)
        fd = number_of(fileobj)
        handle = lookup(fd)
        description: Any = None if handle is None else handle.description
        if description is None or getattr(description.host, "net", None) is not self.net:
            raise ValueError(
                f"descriptor {fd} is no socket of the network: virtual time cannot wait for files, pipes and Unix sockets"
            )
        if fd in self._interests:
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered")
        key = selectors.SelectorKey(fileobj, fd, events, data)
        interest = self._interests[fd] = SimInterest(self, description.watch, events, key)
        description.host.show(description.watch, interest)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        interest = self._interests.pop(self._find(fileobj), None)
        if interest is None:
            raise KeyError(f"{fileobj!r} is not registered")
        interest.registered = False
        interest.watch.hide(interest)
        return interest.key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        interest = self._interests.get(self._find(fileobj))
        if interest is None:
            raise KeyError(f"{fileobj!r} is not registered")
        check_events(events)
        interest.key = selectors.SelectorKey(interest.key.fileobj, interest.key.fd, events, data)
        interest.events = events
        interest.notify(0)
        return interest.key

    def interests(self) -> list[Interest]:
        """All that is registered."""
        return list(self._interests.values())

    def readiness(self, fd: int) -> int:
        """The readiness (C.EV_...) of a registered socket."""
        return int(self._interests[fd].watch.readiness())

    def cause(self, fd: int) -> Any:
        """The step in which a registered socket became ready, or None."""
        interest = self._interests.get(fd)
        return interest.cause if isinstance(interest, SimInterest) else None

    # -- selecting -----------------------------------------------------------------------------------------------

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See selectors.BaseSelector. With timeout 0, everything happens that is due now."""
        for interest in self._told:
            interest.notify(0)
        self._told = []
        hub = self.net.hub
        if timeout is not None and timeout <= 0:
            hub.settle()
            self.fired = self._woken = False
            return self._found()
        deadline = None
        if timeout is not None:
            delay = -int(-min(timeout, 1e9) * 1e9 // 1)
            deadline = self.net.now + (delay if self.host is None else self.host.span(delay))
        while True:
            in_time = hub.park(self, deadline)
            woken, self.fired, self._woken = self._woken, False, False
            found = self._found()
            if found or woken or not in_time:
                return found
            # A socket was ready when it was registered, and is no more.

    def _found(self) -> list[tuple[selectors.SelectorKey, int]]:
        found = []
        ready, self.ready = self.ready, []
        for interest in ready:
            interest.queued = False
            level = interest.level() if interest.registered else 0
            if level:
                found.append((interest.key, level))
                self._told.append(interest)
        return found

    def close(self) -> None:
        """See selectors.BaseSelector."""
        for interest in self._interests.values():
            interest.registered = False
            interest.watch.hide(interest)
        self._interests = {}


def select(
    rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: float | None = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """select.select(), for a program on a simulated host. Exceptional conditions are not reported."""
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    wanted: dict[int, int] = {}
    readers, writers = list(rlist), list(wlist)
    for objects, event in ((readers, READ), (writers, WRITE)):
        for fileobj in objects:
            wanted[number_of(fileobj)] = wanted.get(number_of(fileobj), 0) | event
    with SimSelector(here().net, here()) as selector:
        for fd, events in wanted.items():
            selector.register(fd, events)
        found = {key.fd: events for key, events in selector.select(timeout)}
    read = [fileobj for fileobj in readers if found.get(number_of(fileobj), 0) & READ]
    return read, [fileobj for fileobj in writers if found.get(number_of(fileobj), 0) & WRITE], []


POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP = 1, 2, 4, 8, 16


class Poll:
    """select.poll(), for a program on a simulated host."""

    def __init__(self) -> None:
        self._selector = SimSelector(here().net, here())
        self._asked: dict[int, int] = {}

    def register(self, fd: Any, eventmask: int = POLLIN | POLLPRI | POLLOUT) -> None:
        """See select.poll."""
        number = number_of(fd)
        events = (READ if eventmask & POLLIN else 0) | (WRITE if eventmask & POLLOUT else 0)
        if number in self._asked:
            self._selector.unregister(number)
        self._selector.register(number, events or READ)
        self._asked[number] = eventmask

    def modify(self, fd: Any, eventmask: int) -> None:
        """See select.poll."""
        if number_of(fd) not in self._asked:
            raise FileNotFoundError(2, "No such file or directory")
        self.register(fd, eventmask)

    def unregister(self, fd: Any) -> None:
        """See select.poll."""
        del self._asked[number_of(fd)]
        self._selector.unregister(fd)

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """See select.poll."""
        found = self._selector.select(None if timeout is None or timeout < 0 else timeout / 1000)
        return [(key.fd, self._mask(key.fd, events)) for key, events in found]

    def _mask(self, fd: int, events: int) -> int:
        """The bits of poll for the events of a selector. Errors and the end of both directions are reported in any case."""
        mask = (POLLIN if events & READ else 0) | (POLLOUT if events & WRITE else 0)
        bits = self._selector.readiness(fd)
        return (mask & self._asked[fd]) | (POLLERR if bits & C.EV_ERR else 0) | (POLLHUP if bits & C.EV_HUP else 0)
