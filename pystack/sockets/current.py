"""Which stack new sockets belong to, and the module-wide default timeout."""

import errno
from typing import Any

from pystack.runtime.realtime import RealtimeHost
from pystack.sockets.resolve import Names

default_timeout: float | None = None
_hosts: list[RealtimeHost] = []


def push(host: RealtimeHost) -> None:
    """Make `host` the stack of new sockets."""
    _hosts.append(host)


def drop(host: RealtimeHost) -> None:
    """The host ends; the one before it, if any, is the default again."""
    if host in _hosts:
        _hosts.remove(host)


def default() -> RealtimeHost | None:
    """The stack of new sockets, or None."""
    return _hosts[-1] if _hosts else None


def host_for(cls: type) -> RealtimeHost:
    """The stack for a new socket of class `cls`: its own `_pystack_host`, or the default."""
    host: RealtimeHost | None = getattr(cls, "_pystack_host", None) or default()
    if host is None:
        text = "no pystack stack is running here: call pystack.up(...) first"
        raise OSError(errno.ENETDOWN, text)
    return host


def names_of(host: Any) -> Names | None:
    """The names that the sockets of `host` know; None: only "localhost"."""
    return getattr(host, "names", None)


def default_names() -> Names | None:
    """The names that the sockets of the default stack know."""
    return names_of(default())


def check_timeout(value: Any) -> float | None:
    """A timeout as settimeout() takes it."""
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
