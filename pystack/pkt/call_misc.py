"""Calls other than those that transfer data: close, shutdown, options, fcntl, ioctl, files and pipes."""

import errno
import struct
from typing import Any

from pystack.pkt.call_open import module, once
from pystack.pkt.call_stream import check_data, transmit
from pystack.pkt.calls import Attempt, Calls, Fd, Result
from pystack.pkt.errors import Difference, Failure, ScriptError, Unsupported
from pystack.pkt.model import Struct, Syscall, Word
from pystack_c.const import CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT_1, LAST_ACK
from pystack_c.sockets import udp
from pystack_c.tcp import sockopt as tcp_sockopt
from pystack_c.tcp import user as tcp

SOL_SOCKET, SOL_TCP = 1, 6
SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO, SO_SNDBUF = 13, 20, 21, 7
TCP_CONGESTION, TCP_INFO, TCP_FASTOPEN_KEY = 13, 11, 33
ERRNO_OPTION = 4


def call_close(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """close(fd): with SO_LINGER set it waits until the unsent data is sent."""
    fd = calls.fd(args)
    closed = [False]
    deadline = calls.host.now + fd.linger * 1_000_000_000

    def attempt() -> Result | None:
        if not closed[0]:
            closed[0] = True
            calls.fds.pop(fd.number, None)
            if fd.endpoint is not None:
                calls.host.call(module(fd).close, fd.endpoint)
        if fd.linger and not fd.nonblocking and calls.host.now < deadline:
            if fd.endpoint.state in (ESTABLISHED, FIN_WAIT_1, CLOSING, LAST_ACK, CLOSE_WAIT):
                return None
        return Result(0)

    if fd.linger:
        calls.timeout = (deadline, Result(0))
    return attempt


def call_shutdown(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """shutdown(fd, how)"""
    fd = calls.fd(args, kind="tcp udp")
    how = calls.number(args, 1)
    return lambda: Result(calls.host.call(module(fd).shutdown, fd.endpoint, how) or 0)


# -- options -----------------------------------------------------------------------------------------------------------


def options_of(fd: Fd) -> Any:
    """Return the module that has setsockopt and getsockopt for the socket."""
    return tcp_sockopt if fd.kind == "tcp" else udp


def call_setsockopt(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """setsockopt(fd, level, name, value, length)"""
    fd = calls.fd(args, kind="tcp udp")
    level, name, given = calls.number(args, 1), calls.number(args, 2), calls.arg(args, 3)
    value: Any
    if isinstance(given, bytes):
        value = given.rstrip(b"\0").decode("latin-1") if (level, name) == (SOL_TCP, TCP_CONGESTION) else given
    elif isinstance(given, Struct):
        value = _struct_value(calls, fd, level, name, given)
        if value is None:
            return once(value=0)
    else:
        if calls.is_null(args, 3) and not isinstance(given, list):
            return once(value=-1, code=errno.EFAULT)
        value = calls.value(given)
        if fd.kind == "udp":
            value = struct.pack("=I", value & 0xFFFFFFFF)
    return lambda: Result(calls.host.call(options_of(fd).setsockopt, fd.endpoint, level, name, value) or 0)


def _struct_value(calls: Calls, fd: Fd, level: int, name: int, given: Struct) -> Any:
    """Return the value of {onoff=1, linger=2}, or of a timeval for the socket timeouts."""
    if level == SOL_SOCKET and name == SO_LINGER:
        on, seconds = calls.value(given.fields.get("onoff", 0)), calls.value(given.fields.get("linger", 0))
        fd.linger = seconds if on else 0
        return (on, seconds)
    if level == SOL_SOCKET and name in (SO_RCVTIMEO, SO_SNDTIMEO):
        parts = [calls.value(v) for v in (given.items or list(given.fields.values()))]
        nanoseconds = parts[0] * 1_000_000_000 + (parts[1] if len(parts) > 1 else 0) * 1000
        setattr(fd, "rcvtimeo" if name == SO_RCVTIMEO else "sndtimeo", nanoseconds)
        return None
    raise Unsupported(calls.line, "this struct is not supported for setsockopt")


def call_getsockopt(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """getsockopt(fd, level, name, [value], [length]): the script gives the value and length that it expects."""
    fd = calls.fd(args, kind="tcp udp")
    level, name, given = calls.number(args, 1), calls.number(args, 2), calls.arg(args, 3)
    line = calls.line
    if (level, name) == (SOL_TCP, TCP_INFO):
        if given is not Ellipsis:
            raise Unsupported(line, "comparing a whole tcp_info is not supported: use %{ assert }%")
        return once(value=0)

    def attempt() -> Result:
        actual = calls.host.call(options_of(fd).getsockopt, fd.endpoint, level, name)
        return Result(0, 0, lambda: _check_option(calls, call, given, actual, line))

    return attempt


def _check_option(calls: Calls, call: Syscall, given: Any, actual: Any, line: int) -> None:
    if calls.value(call.result) != 0 or given is Ellipsis:
        return
    if isinstance(given, bytes):
        expected: Any = given.split(b"\0")[0].decode("latin-1")
        if isinstance(actual, bytes):
            actual = actual.split(b"\0")[0].decode("latin-1")
    elif isinstance(given, Struct):
        expected = tuple(calls.value(v) for v in given.fields.values())
    else:
        expected = calls.value(given)
        if isinstance(actual, bytes):
            actual = int.from_bytes(actual[:4], "little")
        elif isinstance(actual, int) and isinstance(expected, int):
            expected, actual = expected & 0xFFFFFFFF, actual & 0xFFFFFFFF
    if actual != expected:
        name = call.args[2].name if isinstance(call.args[2], Word) else str(call.args[2])
        difference = Difference(name, str(expected), str(actual))
        raise Failure(line, f"getsockopt: {difference}", str(expected), str(actual), [difference])


def call_fcntl(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """fcntl(fd, F_GETFL), fcntl(fd, F_SETFL, flags)"""
    fd = calls.fd(args)
    command = calls.number(args, 1)
    if command == 3:
        return once(value=fd.flags)
    if command == 4:
        fd.flags = 2 | calls.number(args, 2) & 0o4000
        return once(value=0)
    if command in (1, 2):  # F_GETFD, F_SETFD: FD_CLOEXEC
        if command == 2:
            fd.close_on_exec = calls.number(args, 2) & 1
            return once(value=0)
        return once(value=fd.close_on_exec)
    raise Unsupported(calls.line, f"fcntl command {command} is not supported")


def call_ioctl(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """ioctl(fd, SIOCINQ, [n]) and similar ones"""
    fd = calls.fd(args, kind="tcp udp")
    command = calls.number(args, 1)
    line = calls.line
    if command == 0x5421:  # FIONBIO
        fd.flags = fd.flags | 0o4000 if calls.number(args, 2) else fd.flags & ~0o4000
        return once(value=0)
    actual = _ioctl_value(calls, fd, command)

    def check() -> None:
        expected = calls.value(calls.arg(args, 2))
        if expected != actual:
            difference = Difference("value", str(expected), str(actual))
            raise Failure(line, f"ioctl: {difference}", str(expected), str(actual), [difference])

    return once(Result(0, 0, check if len(args) > 2 else None))


def _ioctl_value(calls: Calls, fd: Fd, command: int) -> int:
    own = getattr(tcp, "ioctl", None)
    if fd.kind == "tcp" and own is not None:
        return int(calls.host.call(own, fd.endpoint, command))
    tcb = fd.endpoint
    if fd.kind != "tcp":
        raise Unsupported(calls.line, "this ioctl of a datagram socket is not supported")
    if command == 0x541B:  # SIOCINQ, FIONREAD
        return int(tcb.recvbuf.used)
    if command == 0x5411:  # SIOCOUTQ: unacknowledged and unsent
        return int(tcb.sendbuf.tail - tcb.sendbuf.head)
    if command == 0x894B:  # SIOCOUTQNSD: unsent
        return int(tcb.unsent())
    if command == 0x8905:  # SIOCATMARK
        return int(calls.host.call(tcp.at_mark, tcb))
    raise Unsupported(calls.line, f"ioctl {command:#x} is not supported")


# -- files and pipes -----------------------------------------------------------------------------------------------------


def call_open(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """open("FILE", flags): only a file that an earlier `dd` made."""
    path = calls.arg(args, 0)
    size = calls.runner.shell.files.get(path.decode() if isinstance(path, bytes) else "")
    if size is None:
        raise Unsupported(calls.line, "opening files is not supported")
    number = calls.value(call.result)
    calls.open(Fd("file", number, size=size))
    return once(value=number)


def call_sendfile(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """sendfile(to, from, [offset], count)"""
    to, source = calls.fd(args, 0, "tcp"), calls.fd(args, 1, "file")
    offset = source.read if calls.is_null(args, 2) else calls.number(args, 2)
    size = max(0, min(calls.number(args, 3), source.size - offset))
    return transmit(calls, to, size, 0)


def call_pipe(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """pipe([read, write])"""
    ends = calls.arg(args, 0)
    if not isinstance(ends, list) or len(ends) != 2:
        raise ScriptError(calls.line, "pipe needs [read, write]")
    reader, writer = Fd("pipe", calls.value(ends[0])), Fd("pipe", calls.value(ends[1]))
    writer.peer = reader
    calls.open(reader)
    calls.open(writer)
    return once(value=0)


def call_splice(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """splice(from, NULL, to, NULL, count, flags): between a stream socket and a pipe."""
    source, to, size = calls.fd(args, 0, "tcp pipe"), calls.fd(args, 2, "tcp pipe"), calls.number(args, 4)
    if source.kind == "pipe":
        return transmit(calls, to, min(size, source.size), 0)

    def attempt() -> Result | None:
        data = calls.host.call(tcp.recv, source.endpoint, size, 0)
        if data is None and source.endpoint.urgent is not None and source.endpoint.urgent.mark_left == 0:
            # On Linux, splice does not go beyond urgent data.
            return Result(0)
        if data is None:
            return Result(-1, errno.EAGAIN) if source.nonblocking else None
        check_data(calls, source, data, 0)
        if to.peer is not None:
            to.peer.size += len(data)
        return Result(len(data))

    return attempt
