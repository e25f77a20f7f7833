"""sendmsg and recvmsg: scattered buffers and control messages (cmsg(3), ip(7))."""

import errno
import itertools
import os
import struct
from collections.abc import Iterable
from typing import Any

from pystack.runtime.sockethost import SocketHost
from pystack.sockets import resolve as _resolve
from pystack.sockets import sockopt as opt
from pystack.sockets.handles import MSG_CTRUNC, MSG_ERRQUEUE, MSG_TRUNC
from pystack_c.base.address import addr_bytes
from pystack_c.ip import options as ip_options

SOCK_STREAM = _resolve.SOCK_STREAM
SOL_SOCKET, SCM_TIMESTAMPING, IP_RECVERR, TCP_INQ = 1, 37, 11, 36
IOV_MAX = 1024
_HDR = 16
_ALIGN = 8


def cmsg_len(length: int) -> int:
    """CMSG_LEN."""
    if not 0 <= length <= 0x7FFFFFFF - _HDR:
        raise OverflowError("CMSG_LEN() argument out of range")
    return _HDR + length


def cmsg_space(length: int) -> int:
    """CMSG_SPACE."""
    if not 0 <= length <= 0x7FFFFFFF - _HDR - _ALIGN:
        raise OverflowError("CMSG_SPACE() argument out of range")
    return _HDR + (length + _ALIGN - 1) // _ALIGN * _ALIGN


def check_size(what: str, ancbufsize: int) -> None:
    """Check the size of a control buffer. The error is CPython's."""
    if not 0 <= ancbufsize <= 0x7FFFFFFF:
        raise ValueError(f"invalid ancillary data buffer length in {what}()")


def readable(buffers: Iterable[Any]) -> list[Any]:
    """The buffers of sendmsg()."""
    try:
        parts = [memoryview(buffer) for buffer in buffers]
    except TypeError as exc:
        raise TypeError(f"sendmsg() argument 1 must be an iterable of bytes-like objects: {exc}") from None
    if len(parts) > IOV_MAX:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    return [part if part.contiguous else part.tobytes() for part in parts]


def writable_views(buffers: Iterable[Any]) -> list[memoryview]:
    """The buffers of recvmsg_into()."""
    try:
        items = list(buffers)
    except TypeError:
        raise TypeError("recvmsg_into() argument 1 must be an iterable") from None
    views = [memoryview(item).cast("B") for item in items]
    if len(views) > IOV_MAX:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    for view, item in zip(views, items, strict=True):
        if view.readonly:
            text = f"recvmsg_into() argument 1 must be an iterable of single-segment read-write buffers, not {type(item).__name__}"
            raise TypeError(text)
    return views


def scatter(data: bytes, views: list[memoryview]) -> None:
    """Fill one buffer after the other."""
    offset = 0
    for view in views:
        piece = data[offset : offset + len(view)]
        view[: len(piece)] = piece
        offset += len(piece)
        if offset >= len(data):
            return


def check_ancillary(ancdata: Iterable[Any]) -> None:
    """Check the control messages of sendmsg(). None has a meaning for IPv4 here yet, so any is EINVAL."""
    try:
        items = list(ancdata)
    except TypeError:
        raise TypeError("sendmsg() argument 2 must be an iterable") from None
    for item in items:
        if not isinstance(item, (tuple, list)) or len(item) != 3:
            raise TypeError("[sendmsg() ancillary data items] must be sequence, with 3 items")
        level, kind, data = item
        if not isinstance(level, int) or not isinstance(kind, int):
            raise TypeError("an integer is required for level and type of a control message")
        cmsg_space(len(memoryview(data).cast("B")))
    if items:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def recvmsg(
    description: Any, bufsize: int, ancbufsize: int, flags: int, timeout: float | None
) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
    """recvmsg(2)."""
    if description.type == SOCK_STREAM and flags & MSG_ERRQUEUE:
        told = description.recv_error()
        messages, cut = _fit(list(_told(description.host, told)), ancbufsize)
        return b"", messages, MSG_ERRQUEUE | cut | (MSG_TRUNC if told.length > bufsize else 0), None
    if description.type == SOCK_STREAM:
        data = description.recv(bufsize, flags, timeout)
        if not description.getsockopt(opt.IPPROTO_TCP, TCP_INQ):
            return data, [], 0, None
        # tcp(7): the number of bytes that are left to be read.
        messages, cut = _fit([(opt.IPPROTO_TCP, TCP_INQ, struct.pack("=i", description.unread()))], ancbufsize)
        return data, messages, cut, None
    got = description.recvfrom(flags, timeout)
    msg_flags = MSG_TRUNC if len(got.data) > bufsize else 0
    messages, cut = _fit(list(_messages(description.cmsgs, got)), ancbufsize)
    address = (_resolve.text(got.src), got.sport)
    return got.data[:bufsize], messages, msg_flags | cut, address


def _told(host: SocketHost, told: Any) -> Iterable[tuple[int, int, bytes]]:
    """A record of a stream's error queue: scm_timestamping as a time of day, and sock_extended_err (linux/errqueue.h)."""
    if told.stamp >= 0:
        stamp = host.wall_time(told.stamp)
        yield SOL_SOCKET, SCM_TIMESTAMPING, struct.pack("@6l", stamp // 10**9, stamp % 10**9, 0, 0, 0, 0)
    told_of = (told.errno, told.origin, told.type, told.code, 0, told.info, told.data)
    yield opt.IPPROTO_IP, IP_RECVERR, struct.pack("=I4BII16x", *told_of)


def _messages(wanted: dict[int, int], got: Any) -> Iterable[tuple[int, int, bytes]]:
    """The control messages that the socket asked for, in the kernel's order."""
    if wanted.get(opt.IP_PKTINFO) and got.iface is not None:
        dst = addr_bytes(got.dst)
        yield opt.IPPROTO_IP, opt.IP_PKTINFO, struct.pack("=i", got.iface.index) + dst + dst
    if wanted.get(opt.IP_RECVTTL):
        yield opt.IPPROTO_IP, opt.IP_TTL, struct.pack("=i", got.ttl)
    if wanted.get(opt.IP_RECVTOS):
        yield opt.IPPROTO_IP, opt.IP_TOS, bytes((got.tos,))
    if wanted.get(opt.IP_RECVOPTS) and got.options:
        yield opt.IPPROTO_IP, opt.IP_RECVOPTS, got.options
    if wanted.get(opt.IP_RETOPTS) and got.options:
        # The value of IP_OPTIONS for an answer along the same way.
        back = ip_options.reply(got.options, got.src)
        if back is not None:
            yield opt.IPPROTO_IP, opt.IP_RETOPTS, back.asked


def _fit(messages: list[tuple[int, int, bytes]], space: int) -> tuple[list[tuple[int, int, bytes]], int]:
    """The messages that fit into the caller's control buffer. The last may be cut short; then the flag is MSG_CTRUNC."""
    out: list[tuple[int, int, bytes]] = []
    for level, kind, data in itertools.chain(messages):
        if space < cmsg_len(len(data)):
            if space > _HDR:
                out.append((level, kind, data[: space - _HDR]))
            return out, MSG_CTRUNC
        out.append((level, kind, data))
        space -= cmsg_space(len(data))
    return out, 0
