"""The functions that take the place of the standard library's for code on a simulated host: clocks, sleep, random numbers, selectors, loops.

Each looks for the host to which the running code belongs (`here`). For code without one it is the original. Not replaced: `datetime.now`,
OpenSSL's generator, `time.process_time` and `time.thread_time`.
"""

import errno
import importlib
import os
import random
import select
import selectors
import socket
import subprocess
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from pystack import socket as _socket
from pystack.loops import loops_of
from pystack.patching import Replacement, group
from pystack.sim.loop import SimLoop
from pystack.sim.selector import Poll, SimSelector, here
from pystack.sim.selector import select as sim_select
from pystack.sim.virtual import VirtualHost

_S = 1_000_000_000


def either(original: Callable[..., Any], virtual: Callable[..., Any]) -> Callable[..., Any]:
    """`virtual(host, ...)` for code on a simulated host, and the original for all other code."""

    @wraps(original, updated=())
    def function(*args: Any, **kwargs: Any) -> Any:
        host = here()
        return original(*args, **kwargs) if host is None else virtual(host, *args, **kwargs)

    return function


# -- time ------------------------------------------------------------------------------------------------------


def _sleep(host: Any, seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    host.net.hub.sleep(host.span(round(seconds * _S)))


def _of_day(host: Any) -> float:
    return float(host.wall_time(host.clock()) / 1e9)


def _day_ns(host: Any) -> int:
    return int(host.wall_time(host.clock()))


def _with_seconds(original: Callable[..., Any]) -> Callable[..., Any]:
    """time.gmtime, localtime, ctime: without an argument, of the time of day."""
    return either(original, lambda host, seconds=None: original(_of_day(host) if seconds is None else seconds))


def _clock(original: Callable[..., Any], read: Callable[[Any], Any]) -> Callable[..., Any]:
    """A clock that notices code which reads it again and again until a time has come."""

    def virtual(host: Any) -> Any:
        host.net.hub.spin("reads the clock")
        return read(host)

    return either(original, virtual)


_TIME = {
    "time": _clock(time.time, _of_day),
    "time_ns": _clock(time.time_ns, _day_ns),
    "monotonic": _clock(time.monotonic, lambda host: host.clock() / 1e9),
    "monotonic_ns": _clock(time.monotonic_ns, lambda host: host.clock()),
    "perf_counter": _clock(time.perf_counter, lambda host: host.clock() / 1e9),
    "perf_counter_ns": _clock(time.perf_counter_ns, lambda host: host.clock()),
    "sleep": either(time.sleep, _sleep),
    "gmtime": _with_seconds(time.gmtime),
    "localtime": _with_seconds(time.localtime),
    "ctime": _with_seconds(time.ctime),
}
_strftime, _asctime, _clock_gettime_ns = time.strftime, time.asctime, time.clock_gettime_ns
_CLOCKS = {
    **dict.fromkeys(("CLOCK_REALTIME", "CLOCK_REALTIME_COARSE", "CLOCK_TAI"), _day_ns),
    **dict.fromkeys(
        ("CLOCK_MONOTONIC", "CLOCK_MONOTONIC_RAW", "CLOCK_MONOTONIC_COARSE", "CLOCK_BOOTTIME"),
        lambda host: host.clock(),
    ),
}
_READ_CLOCK: dict[int, Callable[[Any], int]] = {
    getattr(time, name): read for name, read in _CLOCKS.items() if hasattr(time, name)
}


def _gettime_ns(host: Any, clock: int) -> int:
    read = _READ_CLOCK.get(clock)
    return _clock_gettime_ns(clock) if read is None else int(read(host))


_TIME["clock_gettime_ns"] = either(time.clock_gettime_ns, _gettime_ns)
_TIME["clock_gettime"] = either(time.clock_gettime, lambda host, clock: _gettime_ns(host, clock) / 1e9)
_TIME["asctime"] = either(
    time.asctime, lambda host, when=None: _asctime(_TIME["localtime"]() if when is None else when)
)
_TIME["strftime"] = either(
    time.strftime, lambda host, form, when=None: _strftime(form, _TIME["localtime"]() if when is None else when)
)


@group("time")
def _time() -> list[Replacement]:
    return [("time", name, value) for name, value in _TIME.items()]


# -- random numbers ----------------------------------------------------------------------------------------------


def _urandom(host: Any, size: int) -> bytes:
    return bytes(host.net.hub.entropy().randbytes(size))


class Random(random.Random):
    """random.Random, whose generators without a seed are seeded by the network if they are made on a simulated host."""

    def __init__(self, x: Any = None):
        host = here()
        if x is None and host is not None:
            x = host.net.hub.entropy().getrandbits(64)
        super().__init__(x)

    def __new__(cls, x: Any = None) -> "Random":
        return super().__new__(cls, 0 if x is None else x)  # type: ignore[call-arg]


_RANDOM_URANDOM = either(os.urandom, _urandom)


@group("random")
def _random() -> list[Replacement]:
    return [("os", "urandom", _RANDOM_URANDOM), ("random", "Random", Random)]


# -- waiting for sockets -----------------------------------------------------------------------------------------


def _no_epoll(host: Any, *args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError("select.epoll is not available in virtual time: use the module selectors, or select.poll")


def _selector(original: Any) -> Callable[..., Any]:
    return either(original, lambda host: SimSelector(host.net, host))


_SELECTORS = {
    name: _selector(getattr(selectors, name))
    for name in ("DefaultSelector", "SelectSelector", "PollSelector", "EpollSelector")
    if hasattr(selectors, name)
}
_SELECT = {
    name: either(getattr(select, name), virtual)
    for name, virtual in (
        ("select", lambda host, *args: sim_select(*args)), ("poll", lambda host: Poll()), ("epoll", _no_epoll)
    )
    if hasattr(select, name)
}  # fmt: skip


def _pair(host: Any, family: Any = None, type: int = socket.SOCK_STREAM, proto: int = 0) -> tuple[Any, Any]:
    """socket.socketpair(): a connection over the host's loopback, for which selectors can wait in virtual time."""
    if type & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) != socket.SOCK_STREAM:
        raise OSError(errno.EOPNOTSUPP, "a socketpair of datagrams is not available in virtual time")
    with _socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        left = _socket.socket()
        left.connect(listener.getsockname())
        right, _ = listener.accept()
    for end in (left, right):
        end.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        end.setblocking(not type & socket.SOCK_NONBLOCK)
    return left, right


_PAIR = either(socket.socketpair, _pair)


@group("select")
def _select() -> list[Replacement]:
    found: list[Replacement] = [("selectors", name, value) for name, value in _SELECTORS.items()]
    # The same class under two names: both names have to lead to the same replacement.
    found[0] = ("selectors", "DefaultSelector", _SELECTORS[selectors.DefaultSelector.__name__])
    return [*found, ("socket", "socketpair", _PAIR), *(("select", name, value) for name, value in _SELECT.items())]


# -- processes ---------------------------------------------------------------------------------------------------


def _no_process(host: Any, *args: Any, **kwargs: Any) -> Any:
    """In the place of what starts a process."""
    raise OSError(errno.EOPNOTSUPP, f"the simulated host {host.name!r} has no processes: they would run in real time")


def _original(module: str, name: str) -> Any:
    """Return a function of a module, or None if this system has none. A browser has no processes."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


#: all of os, and the function by which subprocess and multiprocessing start a program, as far as this system has them
_STARTERS = {
    (module, name): either(original, _no_process)
    for module, name in (
        ("os", "fork"), ("os", "forkpty"), ("os", "system"), ("os", "posix_spawn"), ("os", "posix_spawnp"),
        ("os", "execv"), ("os", "execve"), ("_posixsubprocess", "fork_exec"),
    )
    if (original := _original(module, name)) is not None
}  # fmt: skip
_POPEN = either(subprocess.Popen.__init__, _no_process)


@group("processes")
def _processes() -> list[Replacement]:
    return [("subprocess:Popen", "__init__", _POPEN), *((*name, value) for name, value in _STARTERS.items())]


# -- event loops (pystack/loops.py) ------------------------------------------------------------------------------

loops_of(VirtualHost, lambda host: SimLoop(host.net, host=host))
