"""The socket options that all endpoints share, with Linux's numbers. The protocols add their own.

Values are ints, or bytes as setsockopt(2) takes them. `set_common` and `get_common` return None for a name that they do
not know, so that the protocol can look for the option and raise ENOPROTOOPT.
"""

import errno
import struct
from typing import Any

from pystack_c.core import Core
from pystack_c.endpoint import Endpoint

SOL_SOCKET = 1
SO_DEBUG = 1
SO_REUSEADDR = 2
SO_TYPE = 3
SO_ERROR = 4
SO_DONTROUTE = 5
SO_BROADCAST = 6
SO_SNDBUF = 7
SO_RCVBUF = 8
SO_KEEPALIVE = 9
SO_OOBINLINE = 10
SO_NO_CHECK = 11
SO_PRIORITY = 12
SO_LINGER = 13
SO_REUSEPORT = 15
SO_RCVTIMEO = 20
SO_SNDTIMEO = 21
SO_BINDTODEVICE = 25
SO_TIMESTAMP = 29
SO_ACCEPTCONN = 30
SO_MARK = 36
SO_PROTOCOL = 38
SO_DOMAIN = 39

#: options that only store a value and return it
REMEMBERED = (SO_DEBUG, SO_PRIORITY, SO_TIMESTAMP, SO_MARK)

IPPROTO_IP = 0
IP_TOS = 1
IP_TTL = 2
IP_HDRINCL = 3
IP_OPTIONS = 4
IP_PKTINFO = 8
IP_MTU_DISCOVER = 10
IP_RECVERR = 11
IP_RECVTTL = 12
IP_RECVTOS = 13
IP_MTU = 14
IP_MULTICAST_IF = 32
IP_MULTICAST_TTL = 33
IP_MULTICAST_LOOP = 34
IP_ADD_MEMBERSHIP = 35
IP_DROP_MEMBERSHIP = 36

AF_INET = 2


def check_width(value: Any, bits: int = 32) -> None:
    """Raise EINVAL if a number, or one in a tuple, has more than `bits` bits, which setsockopt(2) cannot carry."""
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int) and not -(1 << (bits - 1)) <= number < 1 << bits:
            raise OSError(errno.EINVAL, f"the option takes a number of {bits} bits, not {number}")


def as_int(value: Any) -> int:
    """Return the int in an option value, as C reads it. Raises EINVAL if there is none."""
    if isinstance(value, int):
        check_width(value)
        return value if value < 1 << 31 else value - (1 << 32)
    if len(value) >= 4:
        return struct.unpack_from("=i", value)[0]
    if len(value) == 1:
        return value[0]
    raise OSError(errno.EINVAL, "the option takes an int, or bytes that hold one")


def set_common(core: Core, ep: Endpoint, level: int, name: int, value: Any) -> Any:
    """Set an option of the socket or IP level. Returns 0, or None if the option is not known here."""
    if level == SOL_SOCKET:
        return _set_socket(core, ep, name, value)
    if level == IPPROTO_IP:
        return _set_ip(ep, name, value)
    return None


def _set_socket(core: Core, ep: Endpoint, name: int, value: Any) -> Any:
    if name == SO_REUSEADDR:
        ep.reuseaddr = as_int(value) != 0
    elif name == SO_REUSEPORT:
        ep.reuseport = as_int(value) != 0
    elif name == SO_BROADCAST:
        ep.broadcast = as_int(value) != 0
    elif name == SO_DONTROUTE:
        ep.dontroute = as_int(value) != 0
    elif name == SO_BINDTODEVICE:
        _bind_device(core, ep, value)
    elif name in REMEMBERED:
        if name == SO_MARK:
            _mark(core, ep, as_int(value) & 0xFFFFFFFF)
        remember(ep, (SOL_SOCKET, name), as_int(value))
    else:
        return None
    return 0


def _set_ip(ep: Endpoint, name: int, value: Any) -> Any:
    number = 0 if name == IP_ADD_MEMBERSHIP else as_int(value)
    if name == IP_TTL:
        # As on Linux, -1 restores the default.
        if number != -1 and not 1 <= number <= 255:
            raise OSError(errno.EINVAL, f"TTL {number} is not in 1..255")
        ep.ttl = ep.core.config.ip_default_ttl if number == -1 else number
    elif name == IP_TOS:
        ep.tos = number & 0xFF
    elif name in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVERR):
        remember(ep, (IPPROTO_IP, name), 1 if number else 0)
    elif name == IP_MTU_DISCOVER:
        if not 0 <= number <= 5:
            raise OSError(errno.EINVAL, f"IP_MTU_DISCOVER {number} is not in 0..5")
        remember(ep, (IPPROTO_IP, name), number)
    else:
        return None
    return 0


def _mark(core: Core, ep: Endpoint, mark: int) -> None:
    """Set the mark by which rules choose a table of routes. The next packet gets a new decision, as on Linux."""
    if mark != ep.mark:
        ep.mark = mark
        if core.policy is not None:
            core.route_epoch += 1


def remember(ep: Endpoint, key: tuple[Any, ...], value: Any) -> None:
    """Store an option that getsockopt returns later, or that a rare path reads."""
    if ep.options is None:
        ep.options = {}
    ep.options[key] = value


def recall(ep: Endpoint, key: tuple[Any, ...], default: Any) -> Any:
    """Return the value that `remember` stored, or the default."""
    if ep.options is None:
        return default
    return ep.options.get(key, default)


def _bind_device(core: Core, ep: Endpoint, value: Any) -> None:
    name = value.rstrip(b"\0").decode("ascii", "replace") if isinstance(value, bytes | bytearray) else str(value)
    if not name:
        ep.bound_iface = None
        return
    for iface in core.ifaces:
        if iface.name == name:
            ep.bound_iface = iface
            return
    raise OSError(errno.ENODEV, f"there is no interface {name!r}")


def get_common(ep: Endpoint, level: int, name: int) -> Any:
    """Return the value of a common option (int or bytes), or None if the option is not known here."""
    if level == SOL_SOCKET:
        return _get_socket(ep, name)
    if level == IPPROTO_IP:
        return _get_ip(ep, name)
    return None


def _get_socket(ep: Endpoint, name: int) -> Any:
    if name == SO_REUSEADDR:
        return int(ep.reuseaddr)
    if name == SO_REUSEPORT:
        return int(ep.reuseport)
    if name == SO_BROADCAST:
        return int(ep.broadcast)
    if name == SO_DONTROUTE:
        return int(ep.dontroute)
    if name == SO_ERROR:
        return ep.take_error()
    if name == SO_ACCEPTCONN:
        return int(ep.listening())
    if name == SO_DOMAIN:
        return AF_INET
    if name == SO_BINDTODEVICE:
        return b"" if ep.bound_iface is None else ep.bound_iface.name.encode() + b"\0"
    if name in REMEMBERED:
        return recall(ep, (SOL_SOCKET, name), 0)
    return None


def _get_ip(ep: Endpoint, name: int) -> Any:
    if name == IP_TTL:
        return ep.ttl
    if name == IP_TOS:
        return ep.tos
    if name in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVERR, IP_MTU_DISCOVER):
        return recall(ep, (IPPROTO_IP, name), 0)
    return None


def bad_option() -> OSError:
    """Return the error for an unknown option."""
    return OSError(errno.ENOPROTOOPT, "no such option")
