"""asyncio in virtual time: asyncio's own loop on a SimSelector, with a network's clock.

Transports, servers, streams and TLS are asyncio's. Tasks and callbacks inherit the host of the code that made them (contextvars), so the
programs of many hosts share one loop. What a loop cannot give in virtual time raises at once and says why.
"""

import asyncio
import errno
from collections.abc import Callable
from typing import Any

from pystack import socket as _socket
from pystack.loops import bind_task, sendfile
from pystack.sim import green
from pystack.sim.causes import after_a_time, go_on, step_of
from pystack.sim.scheduler import SimError
from pystack.sim.selector import SimSelector, here
from pystack.sim.session import session
from pystack.sockets import current
from pystack.sockets.handles import lookup
from pystack_c.base.rng import Rng

#: iterations of a loop in one instant of virtual time after which it is taken for one that never lets time pass
SPINS = 100_000


class SimTask(asyncio.Task):  # type: ignore[type-arg]
    """A task whose hash is its number in the network: sets of tasks have the same order in each run."""

    def __init__(self, coro: Any, *, loop: Any, **kwargs: Any):
        self.number = loop.net.hub.serial()
        self.host = current.bound_host(kwargs.get("context"))
        super().__init__(coro, loop=loop, **kwargs)

    def __hash__(self) -> int:
        return self.number


class SimFuture(asyncio.Future):  # type: ignore[type-arg]
    """A future whose hash is its number in the network."""

    def __init__(self, *, loop: Any):
        self.number = loop.net.hub.serial()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class Woken:
    """A callback of a loop whose network is recorded: it runs as part of the step (sim/causes.py) that made it."""

    def __init__(self, callback: Any, net: Any):
        self.callback = callback
        self.net = net
        self.step = step_of(net)

    def __call__(self, *args: Any) -> Any:
        """Run it. If time has passed, its step has waited for that time."""
        after_a_time(self.net, self.step)
        return self.callback(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.callback, name)


class Ready(Woken):
    """The callback for a socket: it runs as part of the step in which the socket became ready."""

    def __init__(self, callback: Any, loop: Any, fd: int):
        super().__init__(callback, loop.net)
        self.selector = loop._selector
        self.fd = fd

    def __call__(self, *args: Any) -> Any:
        """Run it."""
        go_on(self.net, self.selector.cause(self.fd))
        return self.callback(*args)


class SimLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time.

    schedule  a seed by which the order of ready tasks is shuffled, or None: asyncio's order
    host      the host of tasks that are made by code without one

    asyncio makes no promise about the order in which tasks run that are ready at once. Other callbacks keep their places.
    """

    def __init__(self, net: Any, schedule: object = None, host: Any = None):
        self.net = net
        self.host = host
        self._rng = None if schedule is None else Rng(f"{schedule}/schedule")
        self._spun_at = -1
        self._spins = 0
        self._signals: dict[int, Callable[..., Any]] = {}
        super().__init__(SimSelector(net, host))
        self._clock_resolution = 1e-9
        self.set_task_factory(_task)
        net.hub.loops.append(self)

    def run_forever(self) -> None:
        """See asyncio."""
        with session(self.net):
            super().run_forever()

    # -- time ----------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual time in seconds: on the clock of the loop's host, or, if hosts share the loop, of the host whose code runs."""
        host = self.host or here()
        return float((self.net.now if host is None else host.clock()) / 1e9)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """See asyncio. If hosts share the loop, it keeps the network's time, and `when` is on the clock of the host whose code runs."""
        host = None if self.host is not None else here()
        if host is not None and host.local is not None:
            when = host.true(round(when * 1e9)) / 1e9
        return super().call_at(when, self._woken(callback), *args, context=context)

    # -- why callbacks run, for recordings ---------------------------------------------------------------------------

    def _woken(self, callback: Any) -> Any:
        return callback if self.net.causes is None else Woken(callback, self.net)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """See asyncio."""
        return super().call_soon(self._woken(callback), *args, context=context)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """See asyncio."""
        return super().call_soon_threadsafe(self._woken(callback), *args, context=context)

    def _add_reader(self, fd: int, callback: Any, *args: Any) -> Any:
        found = callback if self.net.causes is None else Ready(callback, self, fd)
        return super()._add_reader(fd, found, *args)  # type: ignore[misc]

    def _add_writer(self, fd: int, callback: Any, *args: Any) -> Any:
        found = callback if self.net.causes is None else Ready(callback, self, fd)
        return super()._add_writer(fd, found, *args)  # type: ignore[misc]

    def _process_events(self, event_list: Any) -> None:
        if self.net.now != self._spun_at:
            self._spun_at = self.net.now
            self._spins = 0
        self._spins += 1
        if self._spins > SPINS:
            names = ", ".join(sorted({repr(task.get_name()) for task in self._ready_tasks()})) or "no task"
            raise SimError(
                f"{SPINS} iterations of the event loop at {self.time():.6f} s: time cannot pass while code never waits ({names})"
            )
        if self._rng is not None:
            self._shuffle(self._rng)
        super()._process_events(event_list)  # type: ignore[misc]

    def _ready_tasks(self) -> list[Any]:
        handles = list(self._ready)  # type: ignore[attr-defined]
        return [task for handle in handles if (task := _task_of(handle)) is not None]

    def _shuffle(self, rng: Rng) -> None:
        """Exchange the handles of ready tasks among their places (Fisher and Yates)."""
        handles = list(self._ready)  # type: ignore[attr-defined]
        places = [place for place, handle in enumerate(handles) if _task_of(handle) is not None]
        if len(places) < 2:
            return
        for last in range(len(places) - 1, 0, -1):
            other = rng.below(last + 1)
            here, there = places[last], places[other]
            handles[here], handles[there] = handles[there], handles[here]
        self._ready.clear()  # type: ignore[attr-defined]
        self._ready.extend(handles)  # type: ignore[attr-defined]

    # -- asyncio's pipe to itself, and signals -------------------------------------------------------------------

    def _make_self_pipe(self) -> None:
        """No descriptor of the kernel: `_write_to_self` ends the wait of the selector."""
        self._ssock = self._csock = None

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        self._selector.wake()  # type: ignore[attr-defined]

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """Keep the handler. No signal arrives in virtual time."""
        self._signals[sig] = callback

    def remove_signal_handler(self, sig: int) -> bool:
        """Forget a handler."""
        return self._signals.pop(sig, None) is not None

    def close(self) -> None:
        """See asyncio. Sockets that the loop still serves are closed, as a kernel closes those of a process that ends."""
        if not self.is_closed():
            # A transport that ended after it had sent its buffer has no loop any more, and its abort() would fail.
            transports = [one for one in self._transports.values() if one._loop is not None]  # type: ignore[attr-defined]
            for transport in transports:
                transport.abort()
            if transports:
                self.run_until_complete(asyncio.sleep(0))
            for interest in self._selector.interests():  # type: ignore[attr-defined]
                handle = lookup(interest.key.fd)
                if handle is not None:
                    handle.close()
            super().close()
            self.net.hub.loops.remove(self)

    # -- names and threads ---------------------------------------------------------------------------------------

    def create_future(self) -> Any:
        """See asyncio."""
        return SimFuture(loop=self)

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """socket.getaddrinfo, with the names of the network: at once, or by DNS in a program of its own, if the host has DNS servers."""
        return await self._resolve(_socket.getaddrinfo, host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        """socket.getnameinfo, in the same way."""
        return await self._resolve(_socket.getnameinfo, sockaddr, flags)

    async def _resolve(self, function: Callable[..., Any], *args: Any) -> Any:
        names = current.default_names()
        if names is None or names.dns is None:
            return function(*args)
        return await self.run_in_executor(None, function, *args)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """Run a function as a program of its own that may block; without greenlet, in place of a callback, and the loop waits for it."""
        self._check_closed()  # type: ignore[attr-defined]
        if type(executor).__name__ == "ProcessPoolExecutor":
            raise NotImplementedError("there are no other processes in virtual time")
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except BaseException as exc:
                if isinstance(exc, StopIteration):
                    exc = RuntimeError("StopIteration was raised in an executor")
                self._settle(future, None, exc)
            else:
                self._settle(future, result, None)

        if green.available() and here() is not None:
            self.net.hub.spawn(here(), work, name=f"executor of {getattr(func, '__name__', func)}")
        else:
            self.call_soon(work)
        return future

    def _settle(self, future: Any, result: Any, error: BaseException | None) -> None:
        """Give the future its result, from any program."""

        def settle() -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        if not self.is_closed():
            self.call_soon_threadsafe(settle)

    async def _sock_sendfile_native(self, sock: Any, file: Any, offset: int, count: int | None) -> int:
        return await sendfile(self, sock, file, offset, count)

    def _accept_connection(self, protocol_factory: Any, sock: Any, *args: Any, **kwargs: Any) -> None:
        """asyncio's. It would try again and again to accept on a host that has rebooted, so such a listener is closed."""
        try:
            super()._accept_connection(protocol_factory, sock, *args, **kwargs)  # type: ignore[misc]
        except OSError as exc:
            if exc.errno != errno.ENETDOWN:
                raise
            self._stop_serving(sock)  # type: ignore[attr-defined]
            self.call_exception_handler({"message": "a server has lost its listener", "exception": exc})

    # -- what virtual time cannot give ---------------------------------------------------------------------------

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        """Not in virtual time."""
        raise _absent("processes")

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        """Not in virtual time."""
        raise _absent("processes")

    async def create_unix_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Not in virtual time."""
        raise _absent("Unix sockets")

    async def create_unix_server(self, *args: Any, **kwargs: Any) -> Any:
        """Not in virtual time."""
        raise _absent("Unix sockets")

    async def connect_read_pipe(self, *args: Any, **kwargs: Any) -> Any:
        """Not in virtual time."""
        raise _absent("pipes")

    async def connect_write_pipe(self, *args: Any, **kwargs: Any) -> Any:
        """Not in virtual time."""
        raise _absent("pipes")


def _absent(what: str) -> OSError:
    return OSError(
        errno.EOPNOTSUPP,
        f"{what} are not available in virtual time: the kernel serves them in real time, in no repeatable order",
    )


def _task(loop: Any, coro: Any, **kwargs: Any) -> SimTask:
    """The task factory of a SimLoop."""
    if loop.host is not None:
        bind_task(loop.host, kwargs)
    return SimTask(coro, loop=loop, **kwargs)


def _task_of(handle: Any) -> Any:
    """The task whose next step a handle runs, or None."""
    found = getattr(handle._callback, "__self__", None)
    return found if isinstance(found, asyncio.Task) else None
