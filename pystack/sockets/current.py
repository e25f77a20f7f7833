"""The stack to which new sockets belong, and the module-wide default timeout.

There are two places to name it. A host that is bound in the current context (`bound`) comes first: tasks, callbacks and programs in virtual
time inherit it, so many hosts live in one process. Otherwise it is the newest host of the whole process (`push`).
"""

import contextlib
import errno
from collections.abc import Iterator
from contextvars import Context, ContextVar
from typing import Any

from pystack.runtime.sockethost import SocketHost
from pystack.sockets.resolve import Names

default_timeout: float | None = None
_hosts: list[SocketHost] = []
#: how many uses of pystack.patching.live() there are now: while there is one, no socket for the network is silently the kernel's
patched = 0
_bound: ContextVar[SocketHost | None] = ContextVar("pystack_host", default=None)


def push(host: SocketHost) -> None:
    """Make `host` the stack of new sockets in the whole process."""
    _hosts.append(host)


def drop(host: SocketHost) -> None:
    """End `push`. The host before it, if there is one, is the default again."""
    for index in range(len(_hosts) - 1, -1, -1):
        if _hosts[index] is host:
            del _hosts[index]
            return


def bind(host: SocketHost | None) -> None:
    """Make `host` the stack of new sockets in the current context (contextvars) and in those that are copied from it."""
    _bound.set(host)


@contextlib.contextmanager
def bound(host: SocketHost) -> Iterator[SocketHost]:
    """`bind`, until the end of the block."""
    before = _bound.set(host)
    try:
        yield host
    finally:
        _bound.reset(before)


def bound_host(context: Context | None = None) -> SocketHost | None:
    """The host that is bound in a context (None: the current one), or None."""
    return _bound.get() if context is None else context.get(_bound)


def default() -> SocketHost | None:
    """The stack of new sockets, or None."""
    host = _bound.get()
    if host is None and _hosts:
        return _hosts[-1]
    return host


def host_of(cls: type) -> SocketHost | None:
    """The stack of the sockets of class `cls`, or None."""
    return getattr(cls, "_pystack_host", None) or default()


def host_for(cls: type) -> SocketHost:
    """The stack for a new socket of class `cls`: its own `_pystack_host`, or the default."""
    host = host_of(cls)
    if host is None:
        text = "no pystack stack is running here: call pystack.up(...) first"
        raise OSError(errno.ENETDOWN, text)
    return host


def names_of(host: Any) -> Names | None:
    """The names that the sockets of `host` know. None means only "localhost"."""
    return getattr(host, "names", None)


def default_names() -> Names | None:
    """The names that the sockets of the default stack know."""
    return names_of(default())


def check_timeout(value: Any) -> float | None:
    """The seconds of a timeout that settimeout() accepts."""
    if value is None:
        return None
    if not hasattr(value, "__float__") and not hasattr(value, "__index__"):
        raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as a timeout in seconds")
    seconds = float(value)
    if seconds != seconds:
        raise ValueError("Invalid value NaN (not a number)")
    if seconds < 0:
        raise ValueError("Timeout value out of range")
    if seconds > 9.2e9:
        raise OverflowError("timestamp out of range for platform time_t")
    return seconds


def set_default_timeout(value: Any) -> None:
    """socket.setdefaulttimeout()."""
    global default_timeout
    default_timeout = check_timeout(value)
