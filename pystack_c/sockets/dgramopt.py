"""The options of UDP, raw and ping sockets, beside those that all endpoints share (sockopt.py)."""

import errno
from typing import Any

from pystack_c.core import Core
from pystack_c.filter.cbpf import Program
from pystack_c.ip import options as ip_options
from pystack_c.sockets import multicast, sockopt
from pystack_c.sockets.datagram import DatagramSocket, route_for

SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER = 26, 27, 44


def setsockopt(core: Core, ep: DatagramSocket, level: int, name: int, value: Any) -> bool:
    """Set an option of a datagram socket. Returns False if the name is unknown."""
    if level == sockopt.SOL_SOCKET and name in (sockopt.SO_RCVBUF, sockopt.SO_SNDBUF):
        size = max(2048, min(2 * sockopt.as_int(value), 1 << 30))  # Linux doubles it
        if name == sockopt.SO_RCVBUF:
            ep.rcvbuf = size
        else:
            ep.sndbuf = size
        return True
    if level == sockopt.SOL_SOCKET and name in (SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER):
        _set_filter(ep, name, value)
        return True
    if level == sockopt.IPPROTO_IP and name in multicast.NAMES:
        multicast.set_option(core, ep, name, value)
        return True
    if level == sockopt.IPPROTO_IP and name == sockopt.IP_MTU_DISCOVER:
        mode = sockopt.as_int(value)
        if not 0 <= mode <= 5:
            raise OSError(errno.EINVAL, f"IP_MTU_DISCOVER {mode} is not in 0..5")
        ep.mtu_discover = mode
        return True
    if level == sockopt.IPPROTO_IP and name == sockopt.IP_RECVERR:
        ep.recverr = sockopt.as_int(value) != 0
        if not ep.recverr:
            ep.errqueue.clear()
        return True
    if level == sockopt.IPPROTO_IP and name == sockopt.IP_OPTIONS:
        ep.encap = ip_options.make(value)
        return True
    return sockopt.set_common(core, ep, level, name, value) is not None


def _set_filter(ep: DatagramSocket, name: int, value: Any) -> None:
    """Attach a filter (`value` is its array of struct sock_filter), remove it, or lock it (socket(7))."""
    if name == SO_LOCK_FILTER:
        lock = sockopt.as_int(value) != 0
        if ep.filter_locked and not lock:
            raise OSError(errno.EPERM, "the filter of the socket is locked")
        ep.filter_locked = lock
        return
    if ep.filter_locked:
        raise OSError(errno.EPERM, "the filter of the socket is locked")
    if name == SO_ATTACH_FILTER:
        if not isinstance(value, bytes):
            raise OSError(errno.EINVAL, "the option takes an array of BPF instructions")
        ep.filter = Program(value)
    elif ep.filter is None:
        raise OSError(errno.ENOENT, "the socket has no filter")
    else:
        ep.filter = None


def getsockopt(ep: DatagramSocket, level: int, name: int) -> Any:
    """Return the option's value, or None if the name is unknown."""
    if level == sockopt.SOL_SOCKET:
        if name == sockopt.SO_RCVBUF:
            return ep.rcvbuf
        if name == sockopt.SO_SNDBUF:
            return ep.sndbuf
        if name == SO_LOCK_FILTER:
            return int(ep.filter_locked)
    if level == sockopt.IPPROTO_IP:
        if name == sockopt.IP_MTU:
            if ep.raddr == 0:
                raise OSError(errno.ENOTCONN, "the socket is not connected")
            return route_for(ep.core, ep, ep.raddr).mtu
        if name == sockopt.IP_MTU_DISCOVER:
            return ep.mtu_discover
        if name == sockopt.IP_RECVERR:
            return int(ep.recverr)
        if name == sockopt.IP_OPTIONS:
            return b"" if ep.encap is None else ep.encap.asked
        if name in multicast.NAMES:
            return multicast.get_option(ep, name)
    return sockopt.get_common(ep, level, name)
