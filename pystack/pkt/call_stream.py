"""Calls that read and write."""

import errno
from typing import Any

from pystack.pkt import call_errqueue as errors
from pystack.pkt.call_open import connect_result, once
from pystack.pkt.calls import Attempt, Calls, Fd, Result
from pystack.pkt.errors import Failure, ScriptError, Unsupported
from pystack.pkt.model import Struct, Syscall
from pystack.pkt.wire import pattern
from pystack_c.sockets import udp
from pystack_c.tcp import sockopt
from pystack_c.tcp import user as tcp
from pystack_c.tcp.queues.errqueue import MSG_PART, end_send

MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT, MSG_WAITALL = 1, 2, 0x20, 0x40, 0x100
MSG_ERRQUEUE, MSG_FASTOPEN = 0x2000, 0x20000000
#: the largest buffer that a script may use
LARGEST = 1 << 26


# -- reading -----------------------------------------------------------------------------------------------------------


def receive(calls: Calls, fd: Fd, size: int, flags: int, null: bool = False) -> Attempt:
    """Make recv or a similar call."""
    if flags & MSG_ERRQUEUE:
        raise Unsupported(calls.line, "MSG_ERRQUEUE is supported with recvmsg only")
    size = min(size, LARGEST)
    if fd.kind == "udp":
        return _receive_datagram(calls, fd, size, flags)
    gathered = [0]

    def attempt() -> Result | None:
        if null and fd.endpoint.recvbuf.used:
            return Result(-1, errno.EFAULT)
        data = calls.host.call(tcp.recv, fd.endpoint, size - gathered[0], flags & (MSG_OOB | MSG_PEEK))
        if data is None:
            if not gathered[0]:
                return Result(-1, errno.EAGAIN) if fd.nonblocking or flags & MSG_DONTWAIT else None
            return None
        check_data(calls, fd, data, flags)
        gathered[0] += len(data)
        if flags & MSG_WAITALL and data and gathered[0] < size and not flags & MSG_PEEK and not fd.nonblocking:
            return attempt()
        return Result(gathered[0])

    return attempt


def check_data(calls: Calls, fd: Fd, data: bytes, flags: int) -> None:
    """Check that the data is the test pattern, from the current reading position."""
    if flags & MSG_OOB:
        fd.unordered = True
        return
    if not fd.unordered and data != pattern(fd.read, len(data)) and not fd.endpoint.oobinline:
        if fd.endpoint.rcv_up == fd.endpoint.irs + 1:
            at = next(i for i in range(len(data)) if data[i] != pattern(fd.read, len(data))[i])
            raise Failure(calls.line, f"byte {fd.read + at} of the stream differs from the byte that was sent")
        fd.unordered = True
    if not flags & MSG_PEEK:
        fd.read += len(data)


def _receive_datagram(calls: Calls, fd: Fd, size: int, flags: int) -> Attempt:
    def attempt() -> Result | None:
        datagram = calls.host.call(udp.recvfrom, fd.endpoint, flags & MSG_PEEK)
        if datagram is None:
            return Result(-1, errno.EAGAIN) if fd.nonblocking or flags & MSG_DONTWAIT else None
        data = bytes(datagram.data)
        if data != pattern(0, len(data)):
            raise Failure(calls.line, "the datagram differs from the one that was sent")
        return Result(len(data) if flags & MSG_TRUNC else min(size, len(data)))

    return attempt


def call_read(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """read, recv, recvfrom: (fd, ..., size[, flags])"""
    fd = calls.fd(args, kind="tcp udp")
    flags = calls.number(args, 3) if call.name != "read" else 0
    return receive(calls, fd, calls.number(args, 2), flags, calls.is_null(args, 1))


def iov_sizes(calls: Calls, vectors: Any) -> list[int]:
    """Return the number of bytes of each of [{..., n}, {..., n}]."""
    return [iov_size(calls, [vector]) for vector in vectors] if isinstance(vectors, list) else []


def iov_size(calls: Calls, vectors: Any) -> int:
    """Return the number of bytes in [{..., n}, {..., n}]."""
    total = 0
    for vector in vectors if isinstance(vectors, list) else []:
        if isinstance(vector, Struct) and vector.items:
            total += calls.value(vector.items[-1])
        elif isinstance(vector, Struct) and "iov_len" in vector.fields:
            total += calls.value(vector.fields["iov_len"])
    return total


def call_readv(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """readv(fd, [{..., n}], count)"""
    return receive(calls, calls.fd(args, kind="tcp udp"), iov_size(calls, calls.arg(args, 1)), 0)


def call_recvmsg(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """recvmsg(fd, {msg_name(...)=..., msg_iov(n)=[...], msg_flags=..., msg_control=[...]}, flags)"""
    fd = calls.fd(args, kind="tcp udp")
    message = calls.arg(args, 1)
    if not isinstance(message, Struct):
        raise ScriptError(calls.line, "recvmsg needs a msghdr")
    size, flags = iov_size(calls, message.fields.get("msg_iov")), calls.number(args, 2)
    if flags & MSG_ERRQUEUE:
        return errors.receive(calls, fd, message, size)
    inner = receive(calls, fd, size, flags)
    wanted = message.fields.get("msg_control", [])

    def check() -> None:
        actual = control_messages(calls, fd)
        expected = [_cmsg(calls, c) for c in wanted]
        if actual != expected:
            raise Failure(calls.line, f"msg_control: expected {expected}, actual {actual}", str(expected), str(actual))

    def attempt() -> Result | None:
        result = inner()
        if result is not None and result.value >= 0:
            result.check = check
        return result

    return attempt


def _cmsg(calls: Calls, cmsg: Any) -> tuple[int, int, int]:
    fields = cmsg.fields if isinstance(cmsg, Struct) else {}
    data = fields.get("cmsg_data")
    if isinstance(data, Struct):
        raise Unsupported(calls.line, "this control message is not supported")
    return calls.value(fields.get("cmsg_level", 0)), calls.value(fields.get("cmsg_type", 0)), calls.value(data)


def control_messages(calls: Calls, fd: Fd) -> list[tuple[int, int, int]]:
    """Return the control messages of recvmsg: TCP_INQ's count."""
    if fd.kind != "tcp" or not calls.host.call(sockopt.getsockopt, fd.endpoint, sockopt.SOL_TCP, sockopt.TCP_INQ):
        return []
    return [(sockopt.SOL_TCP, sockopt.TCP_INQ, calls.host.call(tcp.unread, fd.endpoint))]


# -- writing -----------------------------------------------------------------------------------------------------------


def transmit(
    calls: Calls, fd: Fd, size: int, flags: int, null: bool = False, to: Any = None, parts: "list[int] | None" = None
) -> Attempt:
    """Make send or a similar call: it sends the test pattern from the current writing position.

    `parts` is one send of several pieces of memory.
    """
    if size > LARGEST:
        raise Unsupported(calls.line, "a write of that size is not supported")
    if fd.kind == "udp":
        return _send_datagram(calls, fd, size, to)
    if null and size:
        return once(value=-1, code=errno.EFAULT)
    taken, waiting = [0], [False]
    opening = [fd.endpoint.tfo is not None and fd.endpoint.tfo.deferred]
    calls.writes_soon = calls.writes_soon or opening[0]
    waits = not fd.nonblocking and not flags & MSG_DONTWAIT
    part = MSG_PART if (waits or parts) and fd.endpoint.errqueue is not None else 0
    pass_on = flags & ~(MSG_DONTWAIT | 0x4000 | MSG_FASTOPEN)

    def attempt() -> Result | None:
        result = proceed()
        if part and result is not None:
            calls.host.call(end_send, fd.endpoint)
        return result

    def proceed() -> Result | None:
        if opening[0] and taken[0]:
            # TCP_FASTOPEN_CONNECT: a blocking write waits for the handshake.
            done = connect_result(calls, fd, waits)
            if done is None or done.value < 0:
                return done
            opening[0] = False
            if taken[0] == size:
                return Result(size)
        if waiting[0] and fd.endpoint.no_space and fd.endpoint.chunks is not None:
            # Linux wakes a writer only when a third of the buffer is free.
            return None
        try:
            n = _put(calls, fd, size - taken[0], pass_on | part, parts)
        except OSError:
            if taken[0]:
                return Result(taken[0])
            raise
        fd.wrote += n
        taken[0] += n
        if opening[0] and not n and not waits:
            # TCP_FASTOPEN_CONNECT: the SYN carries no data, so this was a connect that goes on.
            fd.connecting = True
            return Result(-1, errno.EINPROGRESS)
        if opening[0] and waits and n:
            return proceed()
        if taken[0] == size:
            return Result(size)
        if fd.nonblocking or flags & MSG_DONTWAIT:
            return Result(taken[0]) if taken[0] else Result(-1, errno.EAGAIN)
        waiting[0] = True
        return None

    return attempt


def _put(calls: Calls, fd: Fd, size: int, flags: int, parts: "list[int] | None") -> int:
    """Give bytes to the stack and return how many it took.

    Several pieces of memory are given one by one, before anything is sent.
    """
    if not parts or len(parts) == 1 or size != sum(parts):
        return int(calls.host.call(tcp.send, fd.endpoint, pattern(fd.wrote, size), flags))
    taken, was = 0, calls.host.held
    calls.host.held = True
    for part in parts:
        n = calls.host.call(tcp.send, fd.endpoint, pattern(fd.wrote + taken, part), flags)
        taken += n
        if n < part:
            break
    calls.host.held = was
    calls.host.pump()
    return taken


def _send_datagram(calls: Calls, fd: Fd, size: int, to: Any) -> Attempt:
    settings = calls.runner.settings
    addr, port = to if to is not None else (0, 0)
    if to is None and fd.endpoint.raddr == 0:
        addr, port = calls.host.remote, settings.connect_port
    assert fd.conn is not None
    fd.conn.rport = port or fd.conn.rport
    return lambda: Result(calls.host.call(udp.sendto, fd.endpoint, pattern(0, size), addr, port, 0))


def call_write(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """write, send: (fd, ..., size[, flags])"""
    fd = calls.fd(args, kind="tcp udp")
    flags = calls.number(args, 3) if call.name == "send" else 0
    return transmit(calls, fd, calls.number(args, 2), flags, calls.is_null(args, 1))


def call_writev(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """writev(fd, [{..., n}], count)"""
    return transmit(calls, calls.fd(args, kind="tcp udp"), iov_size(calls, calls.arg(args, 1)), 0)
