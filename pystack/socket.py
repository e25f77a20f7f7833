"""`from pystack import socket`: the standard library's socket module, on a pystack stack.

This module executes the code of Lib/socket.py with our `_socket` in the place of the C module. So makefile, create_connection, sendfile and
all others, with their names, defaults and exceptions, are the standard library's.
"""

import builtins as _builtins
import enum as _enum
import importlib.util as _util
import io as _io
import os as _os
import socket as _std
import sys as _sys
from types import ModuleType as _ModuleType
from typing import Any as _Any

from pystack.sockets import module as _ours
from pystack.sockets.handles import in_loop as _in_loop
from pystack.sockets.sockbase import ASYNCIO as _ASYNCIO


def _import(name: str, globals: _Any = None, locals: _Any = None, fromlist: _Any = (), level: int = 0) -> _ModuleType:
    if name == "_socket" and level == 0:
        return _ours
    return _builtins.__import__(name, globals, locals, fromlist, level)


def _execute() -> None:
    """Run Lib/socket.py in this module, then share the enumerations with the module `socket`."""
    spec = _util.find_spec("socket")
    code = spec.loader.get_code("socket")  # type: ignore[union-attr]
    space = _sys.modules[__name__].__dict__
    doc = __doc__
    space["__builtins__"] = {**vars(_builtins), "__import__": _import}
    exec(code, space)  # noqa: S102 (the standard library's own module)
    space["__doc__"] = doc
    # AF_INET is the same object in both modules, so isinstance and identity work between them.
    for name, value in vars(_std).items():
        if isinstance(value, _enum.Enum) or (isinstance(value, type) and issubclass(value, _enum.Enum)):
            space[name] = value
    # A program that catches the standard library's catches ours.
    space["_GiveupOnSendfile"] = _std._GiveupOnSendfile  # type: ignore[attr-defined]


_execute()


def _sendfile_from_disk(self: _Any, file: _Any, offset: int = 0, count: int | None = None) -> int:
    """Do what os.sendfile does for a kernel socket. The file's position does not matter until the end."""
    give_up = globals()["_GiveupOnSendfile"]
    self._check_sendfile_params(file, offset, count)
    try:
        fileno = file.fileno()
    except (AttributeError, _io.UnsupportedOperation) as exc:
        raise give_up(exc) from None
    try:
        size = _os.fstat(fileno).st_size
    except OSError as exc:
        raise give_up(exc) from None
    if self.gettimeout() == 0:
        raise ValueError("non-blocking sockets are not supported")
    left = size - offset if count is None else min(count, size - offset)
    sent = 0
    try:
        while sent < left:
            data = _os.pread(fileno, min(left - sent, 1 << 18), offset + sent)
            if not data:
                break
            self.sendall(data)
            sent += len(data)
    finally:
        if sent and hasattr(file, "seek"):
            file.seek(offset + sent)
    return sent


def _needs_descriptors(handle: _Any, caller: _Any) -> bool:
    """Whether asyncio accepts, on its own loop, which asks for the number of each new connection."""
    description = handle.description
    return caller.f_globals.get("__name__") == _ASYNCIO and description is not None and not _in_loop(description)


def _check_room() -> None:
    """Raise OSError(EMFILE) if the process can have no descriptor for one more socket. The connection then stays in the backlog."""
    for fd in _os.pipe():
        _os.close(fd)


def _accept(self: _Any) -> tuple[_Any, _Any]:
    """Wait for an incoming connection. Returns a new socket object for it, and the (host, port) of its other end."""
    handle = self._handle
    if handle is not None and handle.number >= 0 and _needs_descriptors(handle, _sys._getframe(1)):
        _check_room()
    made, peer = self._accept_as(_class)
    # As Lib/socket.py's __init__ does. (A new socket has the default timeout there, too, and not its listener's.)
    made._io_refs = 0
    made._closed = False
    return made, peer


def _dup(self: _Any) -> _Any:
    """Return a second socket object for the same socket."""
    # Lib/socket.py's takes two numbers for it, and each would be a descriptor of the kernel.
    made = self.__class__(self.family, self.type, self.proto, fileno=self._duplicate())
    made.settimeout(self.gettimeout())
    return made


class _Shown:
    """A socket to __repr__ of Lib/socket.py, whose call of fileno() makes no descriptor of the kernel."""

    def __init__(self, sock: _Any):
        self.fileno = sock._known_number
        self.sock = sock

    @property
    def __class__(self) -> _Any:
        return type(self.sock)

    def __getattr__(self, name: str) -> _Any:
        return getattr(self.sock, name)


def _repr(self: _Any) -> _Any:
    return _repr_of_library(_Shown(self))


_accept.__name__ = "accept"
_accept.__qualname__ = "socket.accept"
_class = globals()["socket"]
_repr_of_library = _class.__repr__
_class.accept = _accept
_class.dup = _dup
_class.__repr__ = _repr
_class._kernel_too = True
_class._sendfile_use_sendfile = _sendfile_from_disk
