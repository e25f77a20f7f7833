"""sendto and sendmsg. They may also open the connection, with data in the SYN (RFC 7413)."""

import errno
from typing import Any

from pystack.pkt.call_open import begin_connect, connect_result, once
from pystack.pkt.call_stream import MSG_DONTWAIT, MSG_FASTOPEN, iov_size, iov_sizes, transmit
from pystack.pkt.calls import Attempt, Calls, Fd, Result
from pystack.pkt.errors import ScriptError, Unsupported
from pystack.pkt.model import Struct, Syscall
from pystack.pkt.wire import pattern
from pystack_c.const import CLOSED, SYN_SENT
from pystack_c.tcp import user as tcp
from pystack_c.tcp.queues import errqueue


def call_sendto(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """sendto(fd, ..., size, flags, ..., ...): on a fresh stream socket it may open the connection (RFC 7413)."""
    fd = calls.fd(args, kind="tcp udp")
    size, flags = calls.number(args, 2), calls.number(args, 3)
    to = calls.sockaddr(args, 4)
    if fd.kind == "tcp" and flags & MSG_FASTOPEN and fd.endpoint.state in (CLOSED, SYN_SENT):
        return fast_open(calls, fd, size, flags, calls.is_null(args, 1), calls.arg(args, 4))
    if fd.kind == "tcp" and calls.runner.settings.implied_connect and fd.endpoint.state == CLOSED:
        return implied_connect(calls, fd, size, flags)
    return transmit(calls, fd, size, flags, calls.is_null(args, 1), to)


def implied_connect(calls: Calls, fd: Fd, size: int, flags: int) -> Attempt:
    """Make FreeBSD's sendto, which opens the connection itself. If TCP_FASTOPEN is set, the SYN may carry the data."""
    host, port = calls.host, calls.runner.settings.connect_port
    begin_connect(calls, fd, port)

    def attempt() -> Result:
        taken = 0
        tfo = fd.endpoint.tfo
        if tfo is not None and tfo.qlen > 0 and calls.runner.config.tcp_fastopen & 1:
            taken = host.call(tcp.connect_fastopen, fd.endpoint, pattern(fd.wrote, size), host.remote, port)
        else:
            host.call(tcp.connect, fd.endpoint, host.remote, port)
        fd.wrote += taken
        if taken < size:
            calls.background.append(_quietly(transmit(calls, fd, size - taken, flags & ~MSG_DONTWAIT)))
        return Result(size)

    return attempt


def _quietly(attempt: Attempt) -> Attempt:
    """Return an attempt that ends without an error if the connection fails, because the next call reports the error."""

    def again() -> Result | None:
        try:
            return attempt()
        except OSError:
            return Result(0)

    return again


def fast_open(calls: Calls, fd: Fd, size: int, flags: int, null: bool, address: Any) -> Attempt:
    """Make a sendto with MSG_FASTOPEN: the core's `connect_fastopen`."""
    opener = getattr(tcp, "connect_fastopen", None)
    if opener is None:
        raise Unsupported(calls.line, "TCP Fast Open is not supported")
    port = calls.runner.settings.connect_port
    if null and size:
        return once(value=-1, code=errno.EFAULT)
    if address is not Ellipsis and not isinstance(address, Struct):
        return once(value=-1, code=errno.EOPNOTSUPP)
    begin_connect(calls, fd, port)
    waits = not fd.nonblocking and not flags & MSG_DONTWAIT
    opened = [False]
    sent = [0]
    rest: list[Attempt] = []

    def attempt() -> Result | None:
        if not opened[0]:
            sent[0] = calls.host.call(opener, fd.endpoint, pattern(fd.wrote, size), calls.host.remote, port)
            opened[0] = fd.connecting = True
            more = errqueue.MSG_PART if waits and sent[0] < size else 0
            calls.host.call(errqueue.note, fd.endpoint, flags | more, sent[0])
            fd.wrote += sent[0]
            if not waits and sent[0]:
                fd.connecting = False
                return Result(sent[0])
        if fd.connecting:
            done = connect_result(calls, fd, waits)
            if done is None or done.value < 0:
                return done
        if sent[0] == size:
            return Result(size)
        if not rest:
            rest.append(transmit(calls, fd, size - sent[0], flags))
        result = rest[0]()
        if result is not None and result.value >= 0:
            result.value += sent[0]
        return result

    calls.writes_soon = True
    return attempt


def call_sendmsg(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """sendmsg(fd, {msg_name(...)=..., msg_iov(n)=[...], msg_flags=0}, flags)"""
    fd = calls.fd(args, kind="tcp udp")
    message = calls.arg(args, 1)
    if not isinstance(message, Struct):
        raise ScriptError(calls.line, "sendmsg needs a msghdr")
    if message.fields.get("msg_control"):
        raise Unsupported(calls.line, "control messages of sendmsg are not supported")
    size, flags = iov_size(calls, message.fields.get("msg_iov")), calls.number(args, 2)
    if fd.kind == "tcp" and flags & MSG_FASTOPEN and fd.endpoint.state in (CLOSED, SYN_SENT):
        return fast_open(calls, fd, size, flags, False, Ellipsis)
    parts = (
        iov_sizes(calls, message.fields.get("msg_iov")) if fd.kind == "tcp" and flags & errqueue.MSG_ZEROCOPY else None
    )
    return transmit(calls, fd, size, flags, parts=parts)
