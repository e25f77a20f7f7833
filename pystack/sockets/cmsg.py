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
from pystack_c.base.address import addr_bytes, from_bytes
from pystack_c.ip import options as ip_options
from pystack_c.link.neighbor import source_for

SOCK_STREAM = _resolve.SOCK_STREAM
AF_INET, SOCK_DGRAM, SOCK_RAW = 2, 2, 3
SOL_SOCKET, SCM_RIGHTS, SCM_CREDENTIALS, SCM_TIMESTAMPING, IP_RECVERR, TCP_INQ = 1, 1, 2, 37, 11, 36
IPPROTO_UDP = 17
ORIGIN_LOCAL, ORIGIN_ICMP = 1, 2
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


def check_ancillary(ancdata: Iterable[Any]) -> list[tuple[int, int, bytes]]:
    """Return the control messages of sendmsg() as (level, type, data). The errors for other objects are CPython's."""
    try:
        items = list(ancdata)
    except TypeError:
        raise TypeError("sendmsg() argument 2 must be an iterable") from None
    messages = []
    for item in items:
        if not isinstance(item, (tuple, list)) or len(item) != 3:
            raise TypeError("[sendmsg() ancillary data items] must be sequence, with 3 items")
        level, kind, data = item
        if not isinstance(level, int) or not isinstance(kind, int):
            raise TypeError("an integer is required for level and type of a control message")
        raw = bytes(memoryview(data).cast("B"))
        cmsg_space(len(raw))
        messages.append((int(level), int(kind), raw))
    return messages


def _bad(text: str) -> OSError:
    return OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: {text}")


def _check_socket_level(kind: int) -> None:
    """Check a message of level SOL_SOCKET. Like Linux, sockets for the network ignore those of UNIX sockets."""
    if kind not in (SCM_RIGHTS, SCM_CREDENTIALS):
        raise _bad(f"the stack knows no control message of level SOL_SOCKET and type {kind}")


def check_stream(messages: list[tuple[int, int, bytes]]) -> None:
    """Check the control messages of a stream. Like Linux, it ignores all levels but SOL_SOCKET."""
    for level, kind, _ in messages:
        if level == SOL_SOCKET:
            _check_socket_level(kind)


def control_of(messages: list[tuple[int, int, bytes]], proto: int) -> tuple[Any, ...]:
    """Return (interface, source, TTL, TOS, IP options) for `sendmsg` of the core, with None for what no message says.

    Linux checks the length of each message, and EINVAL is its answer to one that it does not know. It ignores other levels.
    """
    index = source = ttl = tos = options = None
    for level, kind, data in messages:
        if level == SOL_SOCKET:
            _check_socket_level(kind)
        elif level == proto == IPPROTO_UDP:
            raise _bad(f"the stack knows no control message of level IPPROTO_UDP and type {kind}")
        elif level != opt.IPPROTO_IP:
            continue
        elif kind == opt.IP_PKTINFO and len(data) == 12:
            index = int.from_bytes(data[:4], "little", signed=True)
            source = from_bytes(data[4:8])
        elif kind == opt.IP_TTL and len(data) == 4 and 1 <= int.from_bytes(data, "little", signed=True) <= 255:
            ttl = data[0]
        elif kind == opt.IP_TOS and len(data) in (1, 4) and int.from_bytes(data, "little") <= 255:
            tos = data[0]
        elif kind == opt.IP_RETOPTS:
            options = data[: ip_options.MOST]
        else:
            raise _bad(f"the control message of level IPPROTO_IP, type {kind} and {len(data)} bytes is not valid")
    return index, source, ttl, tos, options


def recvmsg(
    description: Any, bufsize: int, ancbufsize: int, flags: int, timeout: float | None
) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
    """recvmsg(2)."""
    if description.type == SOCK_STREAM and flags & MSG_ERRQUEUE:
        told = description.recv_error()
        messages, cut = _fit(list(_told(description.host, told)), ancbufsize)
        source = (_resolve.text(told.dst), told.dport) if told.origin == ORIGIN_ICMP else None
        return (
            told.payload[:bufsize],
            messages,
            MSG_ERRQUEUE | cut | (MSG_TRUNC if told.length > bufsize else 0),
            source,
        )
    if description.type == SOCK_STREAM:
        data = description.recv(bufsize, flags, timeout)
        if not description.getsockopt(opt.IPPROTO_TCP, TCP_INQ):
            return data, [], 0, None
        # tcp(7): the number of bytes that are left to be read.
        messages, cut = _fit([(opt.IPPROTO_TCP, TCP_INQ, struct.pack("=i", description.unread()))], ancbufsize)
        return data, messages, cut, None
    got = description.recvfrom(flags, timeout)
    msg_flags = MSG_TRUNC if len(got.data) > bufsize else 0
    if flags & MSG_ERRQUEUE:
        found = _error_messages(description, got)
        msg_flags |= MSG_ERRQUEUE
    else:
        found = itertools.chain(_timestamp(description, got), _messages(description, got))
    messages, cut = _fit(list(found), ancbufsize)
    address = (_resolve.text(got.src), got.sport)
    return got.data[:bufsize], messages, msg_flags | cut, address


def _error_messages(description: Any, got: Any) -> Iterable[tuple[int, int, bytes]]:
    """A record of the error queue of a datagram socket (IP_RECVERR in ip(7)): sock_extended_err, with the sender of the error behind it.

    The other control messages are about the packet that reported the error, so an error of this host has none.
    """
    yield from _timestamp(description, got)
    offender = bytes(16)
    kind = code = 0
    if got.icmp:
        kind, code = got.icmp
        offender = _sockaddr(got.offender)
        yield from _packet_messages(description.cmsgs, got)
    origin = ORIGIN_ICMP if got.icmp else ORIGIN_LOCAL
    yield opt.IPPROTO_IP, IP_RECVERR, struct.pack("=I4BII", got.error, origin, kind, code, 0, got.info, 0) + offender


def _timestamp(description: Any, got: Any) -> Iterable[tuple[int, int, bytes]]:
    """The time of day at which the datagram arrived (SO_TIMESTAMP, SO_TIMESTAMPNS in socket(7))."""
    name = description.timestamp
    if name:
        stamp = description.host.wall_time(got.stamp)
        nanos = name in (opt.SO_TIMESTAMPNS, opt.SO_TIMESTAMPNS_NEW)
        yield SOL_SOCKET, name, struct.pack("@2l", stamp // 10**9, stamp % 10**9 // (1 if nanos else 1000))


def _told(host: SocketHost, told: Any) -> Iterable[tuple[int, int, bytes]]:
    """A record of a stream's error queue: scm_timestamping as a time of day, and sock_extended_err (linux/errqueue.h)."""
    if told.stamp >= 0:
        stamp = host.wall_time(told.stamp)
        yield SOL_SOCKET, SCM_TIMESTAMPING, struct.pack("@6l", stamp // 10**9, stamp % 10**9, 0, 0, 0, 0)
    told_of = (told.errno, told.origin, told.type, told.code, 0, told.info, told.data)
    offender = _sockaddr(told.offender) if told.origin == ORIGIN_ICMP else bytes(16)
    yield opt.IPPROTO_IP, IP_RECVERR, struct.pack("=I4BII", *told_of) + offender


def _sockaddr(addr: int, port: int = 0) -> bytes:
    """A struct sockaddr_in."""
    return struct.pack("=H", AF_INET) + port.to_bytes(2, "big") + addr_bytes(addr) + bytes(8)


def _messages(description: Any, got: Any) -> Iterable[tuple[int, int, bytes]]:
    """The control messages about a datagram that the socket asked for, in the kernel's order."""
    wanted = description.cmsgs
    if not wanted:
        return
    if wanted.get(opt.IP_PKTINFO) and got.iface is not None:
        own = got.dst if description.host.stack.local_addr(got.dst) is not None else _own_address(got.iface, got.src)
        yield opt.IPPROTO_IP, opt.IP_PKTINFO, struct.pack("=i", got.iface.index) + addr_bytes(own) + addr_bytes(got.dst)
    yield from _packet_messages(wanted, got)
    if wanted.get(opt.IP_RECVOPTS) and got.options:
        yield opt.IPPROTO_IP, opt.IP_RECVOPTS, got.options
    if wanted.get(opt.IP_RETOPTS) and got.options:
        # The value of IP_OPTIONS for an answer along the same way.
        back = ip_options.reply(got.options, got.src)
        value = b"" if back is None else back.asked
        yield opt.IPPROTO_IP, opt.IP_RETOPTS, value + bytes(-len(value) & 3)
    if wanted.get(opt.IP_ORIGDSTADDR):
        yield opt.IPPROTO_IP, opt.IP_ORIGDSTADDR, _sockaddr(got.dst, _port(description, got))


def _packet_messages(wanted: dict[int, int], got: Any) -> Iterable[tuple[int, int, bytes]]:
    """TTL and TOS of a packet."""
    if wanted.get(opt.IP_RECVTTL):
        yield opt.IPPROTO_IP, opt.IP_TTL, struct.pack("=i", got.ttl)
    if wanted.get(opt.IP_RECVTOS):
        yield opt.IPPROTO_IP, opt.IP_TOS, bytes((got.tos,))


def _own_address(iface: Any, src: int) -> int:
    """The address with which this host would answer a broadcast or multicast (ipi_spec_dst), or 0."""
    return int(source_for(iface, src))


def _port(description: Any, got: Any) -> int:
    """The destination port. For a raw socket this is what is at its place in the packet, as Linux has it."""
    if description.proto == IPPROTO_UDP and description.type == SOCK_DGRAM:
        return int(description.endpoint.lport)
    start = (got.data[0] & 15) * 4 if description.type == SOCK_RAW else 0
    return int.from_bytes(got.data[start + 2 : start + 4], "big")


def _fit(messages: list[tuple[int, int, bytes]], space: int) -> tuple[list[tuple[int, int, bytes]], int]:
    """The messages that fit into the caller's control buffer. The last may be cut short; then the flag is MSG_CTRUNC."""
    out: list[tuple[int, int, bytes]] = []
    for level, kind, data in itertools.chain(messages):
        if space < cmsg_len(len(data)):
            if space >= _HDR:
                out.append((level, kind, data[: space - _HDR]))
            return out, MSG_CTRUNC
        out.append((level, kind, data))
        space -= cmsg_space(len(data))
    return out, 0
