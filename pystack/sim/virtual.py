"""The sockets of a host in virtual time: what `SocketHost` asks of a driver, without threads, locks or descriptors.

The two methods that every send and recv runs through are compiled. Waiting is the network's hub's task (sim/hub.py).
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack.runtime.sockethost import SocketHost
from pystack.runtime.waiting import Hook, Watch

#: the first descriptor number of simulated sockets, above every number that a kernel gives (fs.nr_open is at most 2**30 - 16)
FIRST_NUMBER = 1 << 30


class Parked(Hook):
    """A program that waits until an endpoint is ready for one of `bits`. `resume` is called once, when that has happened."""

    def __init__(self, watch: Watch, bits: int):
        self.rising = True
        self.watch = watch
        self.bits = bits
        self.fired = False
        self.resume: Any = None

    def notify(self, bits: int) -> None:
        """React to a change of the readiness."""
        if bits & self.bits or self.watch.readiness() & self.bits:
            self.fire()

    def fire(self) -> None:
        """Let the program go on."""
        if not self.fired:
            self.fired = True
            if self.resume is not None:
                self.resume()


class VirtualHost(SocketHost):
    """A SocketHost whose clock is a network's. SimHost adds ports, links and the stack's timers."""

    def __init__(self, net: Any, stack: Any):
        super().__init__(stack)
        self.net = net
        #: the host's own clock (sim/clock.py), or None: it shows the network's time
        self.local: Any = None
        #: there are sockets of an earlier stack, whose calls `call` refuses (see SimHost.boot)
        self.rebooted = False
        #: the work that finalizers left: (function, endpoint), or (None, handle)
        self.garbage: deque[tuple[Any, Any]] = deque()

    def clock(self) -> int:  # python
        """Virtual time, as the host's clock shows it."""
        now: int = self.net.now
        return now if self.local is None else int(self.local.own(now))

    def true(self, time: int) -> int:  # python
        """The network's time at which the host's clock shows `time`."""
        return time if self.local is None else int(self.local.true(time))

    def span(self, delay: int) -> int:  # python
        """The network's time, in ns from now on, in which the host's clock advances by `delay` ns."""
        return delay if self.local is None else int(self.local.true(self.clock() + delay)) - int(self.net.now)

    def wall_time(self, stamp: int) -> int:  # python
        """The time of day (ns since 1970) that the host showed when its clock showed `stamp`."""
        return int(self.net.epoch + stamp) + (0 if self.local is None else int(self.local.offset))

    def caller(self) -> int:
        """The number of the program that runs now."""
        return int(self.net.hub.caller())

    # -- calls ---------------------------------------------------------------------------------------------------

    def begin(self) -> int:
        """SocketHost.begin: recorders, probes and the uncompiled core are served by `call`."""
        if not C.COMPILED or self.recorder is not None or self.error is not None or self.stack.probe is not None:
            return -1
        if self.rebooted:
            return -1
        if self.local is not None:
            return self.local.own(self.net.now)  # type: ignore[no-any-return]
        return self.net.now  # type: ignore[no-any-return]

    def end(self, now: int) -> None:
        """SocketHost.end."""
        if now >= 0:
            self.pump()

    def call(self, fn: Callable[..., Any], target: Any, *args: Any) -> Any:  # python
        """Host.call, unless the host has stopped."""
        if self.error is not None:
            raise OSError(self.error.errno, self.error.strerror)
        return super().call(fn, target, *args)

    def later(self, fn: Callable[..., Any], target: Any) -> None:
        """Make the call `fn(target)` once what is due now is done."""
        self._leave(fn, target)

    def abandon(self, handle: Any) -> None:
        """Call `handle.bury()` once what is due now is done."""
        self._leave(None, handle)

    def _leave(self, fn: Any, target: Any) -> None:  # python
        self.garbage.append((fn, target))
        if len(self.garbage) == 1:
            self.net.after(0, self.collect)

    def collect(self) -> None:  # python
        """Do the work that finalizers left."""
        while self.garbage:
            fn, target = self.garbage.popleft()
            if fn is None:
                target.bury()
            elif self.error is None:
                self.call(fn, target)

    # -- waiting -------------------------------------------------------------------------------------------------

    def wait(self, watch: Watch, bits: int, deadline: int | None) -> bool:
        """SocketHost.wait: the program is parked, or the network is stepped if the caller is not one of its programs."""
        if watch.readiness() & bits:
            return True
        parked = Parked(watch, bits)
        self.show(watch, parked)
        try:
            if deadline is not None and self.local is not None:
                deadline = self.local.true(deadline)
            return bool(self.net.hub.park(parked, deadline))
        finally:
            self.hide(watch, parked)

    def polled(self) -> None:  # python
        """SocketHost.polled."""
        self.net.hub.spin("tries a socket that must not wait", 10)

    def wake(self, watch: Watch) -> None:
        """SocketHost.wake."""
        for hook in watch.hooks:  # object
            if isinstance(hook, Parked):
                hook.fire()

    def show(self, watch: Watch, hook: Hook) -> None:
        """SocketHost.show."""
        watch.show(hook)
        watch.endpoint.waiter = watch
        hook.notify(0)

    def hide(self, watch: Watch, hook: Hook) -> None:
        """SocketHost.hide."""
        watch.hide(hook)

    def refresh(self, watch: Watch) -> None:
        """SocketHost.refresh."""
        for item in watch.hooks:
            hook: Hook = item
            hook.notify(0)

    # -- descriptors ---------------------------------------------------------------------------------------------

    def number(self, handle: Any) -> int:  # python
        """A number that is no descriptor of the kernel."""
        global _numbers
        _numbers += 1
        return _numbers


_numbers = FIRST_NUMBER - 1
