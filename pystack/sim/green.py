"""Programs in greenlets: code that blocks, in virtual time. A wait parks the program, and the hub resumes it.

greenlet switches stacks and the current context (contextvars). What else belongs to a thread, asyncio's running loop and the hooks of
asynchronous generators, is exchanged here at each switch.
"""

import sys
from asyncio import events
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from pystack.sim.causes import after_a_time, go_on, step_of
from pystack.sim.scheduler import SimError
from pystack.sockets import current

if TYPE_CHECKING:
    from pystack.sim.hub import Hub

try:
    import greenlet as _greenlet
except ImportError:  # the extra `sim`
    _greenlet = None  # type: ignore[assignment]


#: what is raised in a program to end it
Exit: type[BaseException] = GeneratorExit if _greenlet is None else _greenlet.GreenletExit


def available() -> bool:
    """Whether greenlet is installed."""
    return _greenlet is not None


class Green:
    """A program in a greenlet. To those that wait for its end (`join`) it is a wait with many waiters.

    number   not 0; the thread number that the program sees
    waiting  what it waits for now, or None
    result, error  how it ended
    """

    def __init__(
        self, hub: "Hub", host: Any, fn: Callable[..., Any], args: tuple[Any, ...], name: str, context: Context | None
    ):
        if _greenlet is None:
            raise SimError("programs that block need greenlet in virtual time: pip install 'pystack[sim]'")
        self.hub = hub
        self.host = host
        self.fn = fn
        self.args = args
        self.number = hub.serial()
        self.name = name or getattr(fn, "__qualname__", repr(fn))
        #: the threading.Thread that it appears as (sim/threads.py)
        self.thread: Any = None
        self.waiting: Any = None
        self.deadline: int | None = None
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.ended: list[Callable[[], None]] = []
        self._timer_at = -1
        #: the steps (sim/causes.py) that began the wait, and that woke the program
        self._parked: Any = None
        self._cause = step_of(hub.net)
        self._state: Any = (None, (None, None))
        context = Context() if context is None else context
        context.run(current.bind, host)
        self.greenlet = _greenlet.greenlet(self._run)
        self.greenlet.gr_context = context
        hub.programs.append(self)
        hub.net.after(0, self._begin)

    def _run(self) -> None:
        try:
            self.result = self.fn(*self.args)
        except _greenlet.GreenletExit:
            pass
        except BaseException as exc:
            self.error = exc
        self.done = True
        self.hub.programs.remove(self)
        for call in self.ended:
            call()
        if isinstance(self.error, KeyboardInterrupt) and not self.hub.ending:
            raise self.error  # in the code that steps the network: nobody may look at how a thread ended

    def _begin(self) -> None:
        go_on(self.hub.net, self._cause)
        self.switch()

    def switch(self) -> None:
        """Run the program until it waits. Only the code that steps the network calls this."""
        if not self.done:  # it may have been ended before it began
            self._enter(self.greenlet.switch)

    def kill(self) -> None:
        """End the program where it waits."""
        if self.greenlet:
            self._enter(self.greenlet.throw)
        elif not self.done:
            self.done = True  # it has not begun
            self.hub.programs.remove(self)

    def _enter(self, switch: Callable[[], Any]) -> None:
        hub = self.hub
        before = hub.running
        outer = _exchange(self._state)
        hub.running = self
        self.greenlet.parent = _greenlet.getcurrent()
        try:
            switch()
        finally:
            hub.running = before
            self._state = _exchange(outer)

    # -- waiting -------------------------------------------------------------------------------------------------

    def park(self, waiting: Any, deadline: int | None) -> bool:
        """Hub.park for the program itself. A deadline that has come still lets all others run that are due now."""
        hub = self.hub
        if hub.ending:
            raise _greenlet.GreenletExit
        if waiting.fired:
            return True
        self.waiting = waiting
        self.deadline = deadline
        self._parked = step_of(hub.net)
        waiting.resume = self._wake
        if deadline is not None:
            self._arm(max(deadline, hub.net.now))
        try:
            self.greenlet.parent.switch()
        finally:
            self.waiting = None
            waiting.resume = None
        return bool(waiting.fired)

    def _wake(self) -> None:
        self.hub.net.after(0, self._go_on, self.waiting, step_of(self.hub.net))

    def _go_on(self, waiting: Any, step: Any) -> None:
        if self.waiting is waiting:
            go_on(self.hub.net, step)
            self.switch()

    def _arm(self, deadline: int) -> None:
        """Set one timer for all waits: an earlier one that is set already looks again."""
        if self._timer_at < 0 or deadline < self._timer_at:
            self._timer_at = deadline
            self.hub.net.at(deadline, self._timer, deadline)

    def _timer(self, set_for: int) -> None:
        if set_for != self._timer_at:
            return
        self._timer_at = -1
        if self.waiting is None or self.deadline is None:
            return
        if self.deadline <= self.hub.net.now:
            after_a_time(self.hub.net, self._parked)
            self.switch()
        else:
            self._arm(self.deadline)


def _exchange(state: Any) -> Any:
    """Put the state of asyncio that belongs to a thread in place, and return what was there."""
    loop, hooks = state
    before = (events._get_running_loop(), tuple(sys.get_asyncgen_hooks()))
    events._set_running_loop(loop)
    sys.set_asyncgen_hooks(*hooks)
    return before
