"""Calls of `os` and `fcntl` that concern a descriptor, for the numbers of simulated sockets, which are no descriptors of the kernel.

Servers make their listeners inheritable (hypercorn), and clients set FD_CLOEXEC (pymongo), although nothing ever inherits a simulated socket.
A simulated socket remembers whether it is inheritable. Calls that would change the socket itself raise an error. Functions that read and
write by the number, os.sendfile included, are in sockets/files.py.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from typing import Any

from pystack.patching import Replacement, group
from pystack.sim.virtual import VirtualHost
from pystack.sockets.handles import Handle, lookup

#: the inheritable sockets, by number
_inheritable: dict[int, Handle] = {}


def _simulated(fd: Any) -> Handle | None:
    """The handle of a simulated socket, by its number or by an object that has a `fileno` method."""
    if not isinstance(fd, int):
        fileno = getattr(fd, "fileno", None)
        fd = fileno() if callable(fileno) else -1
    handle = lookup(fd)
    if handle is None or handle.description is None or not isinstance(handle.description.host, VirtualHost):
        return None
    return handle


def _for_sockets(original: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    """`simulated(handle, ...)` for a simulated socket, and the original for all other descriptors."""

    def function(fd: Any, *args: Any) -> Any:
        handle = _simulated(fd)
        return original(fd, *args) if handle is None else simulated(handle, *args)

    function.__name__ = original.__name__
    return function


def _get_inheritable(handle: Handle) -> bool:
    return _inheritable.get(handle.number) is handle


def _set_inheritable(handle: Handle, inheritable: Any) -> None:
    for number, other in list(_inheritable.items()):
        if other.description is None:
            del _inheritable[number]
    if inheritable:
        _inheritable[handle.number] = handle
    else:
        _inheritable.pop(handle.number, None)


def _get_blocking(handle: Handle) -> bool:
    return handle.blocking


def _refused(handle: Handle, *args: Any) -> Any:
    raise OSError(errno.EOPNOTSUPP, "a simulated socket has no descriptor of the kernel: call its setblocking()")


def _fcntl(handle: Handle, command: int, argument: Any = 0) -> int:
    if command == fcntl.F_GETFD:
        return 0 if _get_inheritable(handle) else fcntl.FD_CLOEXEC
    if command == fcntl.F_SETFD:
        _set_inheritable(handle, not int(argument) & fcntl.FD_CLOEXEC)
        return 0
    if command == fcntl.F_GETFL:
        return os.O_RDWR | (0 if handle.blocking else os.O_NONBLOCK)
    return int(_refused(handle))


_OS = {
    "get_inheritable": _for_sockets(os.get_inheritable, _get_inheritable),
    "set_inheritable": _for_sockets(os.set_inheritable, _set_inheritable),
    "get_blocking": _for_sockets(os.get_blocking, _get_blocking),
    "set_blocking": _for_sockets(os.set_blocking, _refused),
}
_FCNTL = _for_sockets(fcntl.fcntl, _fcntl)


@group("descriptors")
def _descriptors() -> list[Replacement]:
    return [("fcntl", "fcntl", _FCNTL), *(("os", name, value) for name, value in _OS.items())]
