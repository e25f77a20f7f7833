"""The names of CPython's C module `_socket`, on a pystack stack.

Names, constants and exceptions are those of the kernel's `_socket`, so that code can catch and compare
the standard library's. The functions that open, resolve or close are ours.
"""

import _socket as _kernel
import errno
from typing import Any

from pystack.sockets import addrinfo as _addrinfo
from pystack.sockets import cmsg as _cmsg
from pystack.sockets import current as _current
from pystack.sockets import resolve as _resolve
from pystack.sockets import sockopt as _opt
from pystack.sockets.sockobj import close as close
from pystack.sockets.sockobj import dup as dup
from pystack.sockets.sockobj import socket

for _name in dir(_kernel):
    if not _name.startswith("_") and _name not in globals():
        globals()[_name] = getattr(_kernel, _name)

# ip(7), udp(7) and socket(7) options that this Python does not name
for _name, _value in _opt.NAMES.items():
    globals().setdefault(_name, _value)

#: the stack speaks IPv4
has_ipv6 = False
SocketType = socket
CMSG_LEN = _cmsg.cmsg_len
CMSG_SPACE = _cmsg.cmsg_space

__all__ = [_name for _name in globals() if not _name.startswith("_")]


def getdefaulttimeout() -> float | None:
    """The timeout of new sockets."""
    return _current.default_timeout


def setdefaulttimeout(timeout: float | None, /) -> None:
    """Set the timeout of new sockets (of this module: the kernel's sockets have their own)."""
    _current.set_default_timeout(timeout)


def getaddrinfo(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[tuple[int, int, int, str, Any]]:
    """Addresses of a host and service, by the names that the stack knows."""
    return _addrinfo.getaddrinfo(_current.default_names(), host, port, int(family), int(type), proto, int(flags))


def getnameinfo(sockaddr: Any, flags: int, /) -> tuple[str, str]:
    """Host and service of an address."""
    return _addrinfo.getnameinfo(_current.default_names(), sockaddr, flags)


def gethostbyname(hostname: Any, /) -> str:
    """The (first) address of a name."""
    return _resolve.text(_resolve.resolve(_current.default_names(), hostname))


def gethostbyname_ex(hostname: Any, /) -> tuple[str, list[str], list[str]]:
    """Name, aliases and addresses of a name."""
    return tuple(_addrinfo.gethostbyname_ex(_current.default_names(), hostname))  # type: ignore[return-value]


def gethostbyaddr(host: Any, /) -> tuple[str, list[str], list[str]]:
    """Name, aliases and addresses of an address."""
    return tuple(_addrinfo.gethostbyaddr(_current.default_names(), host))  # type: ignore[return-value]


def gethostname() -> str:
    """The stack's name."""
    host = _current.default()
    return _kernel.gethostname() if host is None else host.name


def sethostname(name: Any, /) -> None:
    """Rename the stack (not the machine)."""
    host = _current.default()
    if host is None:
        raise OSError(errno.ENETDOWN, "no pystack stack is running here")
    host.name = _resolve.as_name(name)


__all__ += [
    "sethostname",
    "getaddrinfo",
    "getdefaulttimeout",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "gethostname",
    "getnameinfo",
    "setdefaulttimeout",
]
