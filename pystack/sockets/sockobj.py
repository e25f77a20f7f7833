"""The socket class of our `_socket`. It offers what CPython's C class offers, for AF_INET and AF_PACKET on a pystack stack.

The standard library's `class socket(_socket.socket)` (Lib/socket.py) is executed on top of it, see `pystack.socket`.
Any other family, and any descriptor that is not ours, gives a kernel socket of the standard library, if the stack's host allows it.
"""

import errno
import os
import socket as _std
import sys
import warnings
from abc import ABCMeta
from collections.abc import Iterable
from typing import Any

from pystack.sockets import cmsg as _cmsg
from pystack.sockets import current as _current
from pystack.sockets import resolve as _resolve
from pystack.sockets import sockopt as opt
from pystack.sockets.dgram import Datagrams
from pystack.sockets.handles import Description, Handle, error, lookup, token
from pystack.sockets.packets import AF_PACKET, Packets, class_for
from pystack.sockets.sockbase import SocketBase
from pystack.sockets.stream import Stream

AF_INET = int(_std.AF_INET)
SOCK_STREAM = int(_std.SOCK_STREAM)
SOCK_DGRAM = int(_std.SOCK_DGRAM)
SOCK_RAW = int(_std.SOCK_RAW)
#: the class of the kernel's sockets; `socket.socket` may be another one while a program is patched (pystack.patching)
_KernelSocket = _std.socket
_TYPE_FLAGS = int(_std.SOCK_NONBLOCK | _std.SOCK_CLOEXEC)


def _open(cls: type, family: int, kind: int, proto: int) -> Description:
    host = _current.host_for(cls)
    if family == AF_PACKET:
        return Packets(host, kind, proto)
    if kind == SOCK_STREAM and proto in (0, 6):
        return Stream(host)
    if kind == SOCK_DGRAM and proto in (0, 17):
        return Datagrams(host, kind, 17)
    if kind == SOCK_DGRAM and proto == 1:
        return Datagrams(host, kind, proto)
    if kind == SOCK_RAW:
        if proto == 0:
            raise error(errno.EPROTONOSUPPORT)
        return Datagrams(host, kind, proto)
    if kind in (SOCK_STREAM, SOCK_DGRAM):
        raise error(errno.EPROTONOSUPPORT)
    raise error(errno.ESOCKTNOSUPPORT)


#: families for the network that the stack serves in the kernel's place while a program is patched
_NETWORK = (int(_std.AF_INET6),)


def _refuse(host: Any, family: int) -> None:
    """Raise OSError(EAFNOSUPPORT) if the sockets of this address family must not silently be the kernel's."""
    if (host is not None and not host.kernel_sockets) or (_current.patched and family in _NETWORK):
        who = "pystack" if host is None else f"the stack {host.name!r}"
        name = getattr(family, "name", family)
        text = f"{who} has no sockets of address family {name}; it speaks IPv4 (AF_INET)"
        raise OSError(errno.EAFNOSUPPORT, text)


def _refuse_ssl(caller: Any) -> None:
    """Raise an error if ssl.SSLContext.wrap_socket asks: OpenSSL would read and write the descriptor, and wait for ever."""
    if caller.f_globals.get("__name__") == "ssl":
        text = "ssl.SSLContext.wrap_socket works on a socket of the stack inside `with pystack.patch():` (and under `pystack run`)"
        raise OSError(errno.EOPNOTSUPP, text)


def _c_int(value: int) -> int:
    if not -0x80000000 <= value <= 0x7FFFFFFF:
        raise OverflowError("Python int too large to convert to C int")
    return value


class _Kind(ABCMeta):
    """As the constructor of `socket` gives kernel sockets for other families, these are instances of it. So trio takes its own socketpair().

    It is a subclass of ABCMeta, so that a program's class may have an abstract base class beside `socket`.
    """

    def __instancecheck__(cls, instance: Any) -> bool:
        return type.__instancecheck__(cls, instance) or (
            "_kernel_too" in vars(cls) and isinstance(instance, _KernelSocket)
        )


class socket(SocketBase, metaclass=_Kind):
    """A socket of a pystack stack."""

    _kernel_too = True

    __slots__ = ()

    def __new__(cls, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None, **kwargs: Any) -> Any:
        if fileno is not None:
            handle = lookup(fileno)
            ours = handle is not None
            if handle is not None and handle.description is not None and handle.description.family == AF_PACKET:
                cls = class_for(cls)
        else:
            ours = family in (-1, AF_INET, AF_PACKET)
            if family == AF_PACKET:
                cls = class_for(cls)
        if ours:
            return super().__new__(cls)
        if fileno is None and family != _std.AF_UNIX:
            _refuse(_current.host_of(cls), family)
        made = _KernelSocket(family, type, proto, fileno)
        if fileno is None:
            made.settimeout(_current.default_timeout)
        return made

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None):
        self._handle: Handle | None = None
        if fileno is not None:
            handle = lookup(fileno)
            if handle is None or handle.description is None:
                raise error(errno.EBADF)
            description = handle.description
            self._timeout: float | None = _current.default_timeout
        else:
            kind = SOCK_STREAM if type == -1 else int(type)
            description = _open(self.__class__, family, kind & ~_TYPE_FLAGS, 0 if proto == -1 else proto)
            handle = Handle(description)
            self._timeout = 0.0 if kind & _std.SOCK_NONBLOCK else _current.default_timeout
        if fileno is not None:
            # As in CPython, the caller's arguments come before the descriptor's own values.
            self._family = description.family if family == -1 else family
            self._type = description.type if type == -1 else type
            self._proto = description.proto if proto == -1 else proto
        else:
            self._family = description.family
            self._type = description.type
            self._proto = max(proto, 0)
        self._handle = handle

    def _unclosed(self, _warn: Any = warnings.warn) -> None:
        handle = self._handle
        if handle is not None and handle.description is None:
            self._handle = None  # its number was closed, so nothing was left open
        elif handle is not None:
            # repr() would make a number if there is none yet, and another thread may have the lock now.
            if handle.number >= 0 or handle.alias >= 0:
                text = f"unclosed {self!r}"
            else:
                text = f"unclosed <socket family={self._family}, type={self._type}, proto={self._proto}>"
            _warn(text, ResourceWarning, source=self)
            self._handle = None
            handle.lost()

    def __repr__(self) -> str:
        return (
            f"<socket object, fd={self._known_number()}, family={self._family}, type={self._type}, proto={self._proto}>"
        )

    # -- the descriptor ----------------------------------------------------------------------------------------

    def _duplicate(self) -> Any:
        """A Token of a second handle on this socket."""
        return token(Handle(self._open_description()))

    def detach(self) -> int:
        """Give up the descriptor without closing it; returns its number."""
        handle = self._handle
        if handle is None:
            return -1
        fd = self.fileno()
        self._handle = None
        return fd

    # -- opening -----------------------------------------------------------------------------------------------

    def bind(self, address: Any, /) -> None:
        """Bind to a local (host, port)."""
        description = self._open_description()
        addr, port = _resolve.sockaddr(_current.names_of(description.host), address, "bind")
        description.bind(addr, port)

    def listen(self, backlog: int = 128, /) -> None:
        """Accept connections from now on."""
        description = self._open_description()
        if self._type != SOCK_STREAM:
            raise error(errno.EOPNOTSUPP)
        description.listen(max(0, _c_int(backlog)))

    def connect(self, address: Any, /) -> None:
        """Connect to (host, port)."""
        code = self._connect(address, "connect")
        if code:
            if code == errno.EAGAIN and self._timeout:
                raise TimeoutError("timed out")
            raise error(code)

    def connect_ex(self, address: Any, /) -> int:
        """As connect, but return the errno."""
        return self._connect(address, "connect_ex")

    def _connect(self, address: Any, caller: str) -> int:
        description = self._open_description()
        addr, port = _resolve.sockaddr(_current.names_of(description.host), address, caller)
        return int(description.connect(addr, port, self._timeout))

    def shutdown(self, how: int, /) -> None:
        """Shut down reading, writing or both."""
        self._open_description().shutdown(_c_int(how))

    # -- with control messages (without: sockets/sockbase.py) ----------------------------------------------------------

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        """Receive data and control messages."""
        if bufsize < 0:
            raise ValueError("negative buffer size in recvmsg()")
        _cmsg.check_size("recvmsg", ancbufsize)
        return _cmsg.recvmsg(self._open_description(), bufsize, ancbufsize, flags, self._timeout)

    def recvmsg_into(
        self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[Any], int, Any]:
        """recvmsg into buffers, one after the other."""
        views = _cmsg.writable_views(buffers)
        _cmsg.check_size("recvmsg_into", ancbufsize)
        size = sum(len(view) for view in views)
        data, ancillary, msg_flags, address = _cmsg.recvmsg(
            self._open_description(), size, ancbufsize, flags, self._timeout
        )
        _cmsg.scatter(data, views)
        return len(data), ancillary, msg_flags, address

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Any = None, /
    ) -> int:
        """Send the buffers in one piece, to `address` if one is given."""
        data = b"".join(_cmsg.readable(buffers))
        messages = _cmsg.check_ancillary(ancdata)
        if not isinstance(flags, int):
            raise TypeError(f"'{type(flags).__name__}' object cannot be interpreted as an integer")
        description = self._open_description()
        addr, port = 0, 0
        if address is not None:
            addr, port = _resolve.sockaddr(_current.names_of(description.host), address, "sendmsg")
        if messages and self._type != SOCK_STREAM:
            return int(description.sendmsg(data, addr, port, flags, _cmsg.control_of(messages, description.proto)))
        _cmsg.check_stream(messages)
        if address is None:
            return int(description.send(data, flags, self._timeout))
        if self._type == SOCK_STREAM:
            return int(description.send_to(data, addr, port, flags, self._timeout))
        return int(description.sendto(data, addr, port, flags, self._timeout))

    # -- options -----------------------------------------------------------------------------------------------

    def getsockopt(self, level: int, name: int, buflen: int = 0, /) -> Any:
        """The option as an int, or as bytes if a length is given."""
        if not 0 <= buflen <= 1024:
            raise OSError("getsockopt buflen out of range")
        value = opt.get_option(self._open_description(), level, name)
        if name == _std.SO_TYPE and level == _std.SOL_SOCKET:
            _refuse_ssl(sys._getframe(1))
        if buflen == 0:
            return opt.as_int(value)
        return opt.pack(level, name, value)[:buflen]


def close(fd: Any) -> None:
    """socket.close(fd)."""
    handle = lookup(fd)
    if handle is None:
        os.close(fd)
    else:
        handle.close()


def dup(fd: Any) -> int:
    """A second descriptor on the same socket."""
    handle = lookup(fd)
    if handle is None:
        return os.dup(fd)
    if handle.description is None:
        raise error(errno.EBADF)
    return Handle(handle.description).fileno()
