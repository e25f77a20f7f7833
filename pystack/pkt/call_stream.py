"""Calls on sockets: opening, data, closing."""

import errno
from typing import Any

from pystack.pkt import match
from pystack.pkt.calls import Attempt, Calls, Fd, Result
from pystack.pkt.errors import Failure, ScriptError, Unsupported
from pystack.pkt.match import Conn
from pystack.pkt.model import Struct, Syscall
from pystack.pkt.wire import pattern
from pystack_c import udp
from pystack_c.const import CLOSED, IPPROTO_TCP, IPPROTO_UDP, SYN_RECEIVED, SYN_SENT
from pystack_c.tcp import sockopt as tcp_sockopt
from pystack_c.tcp import user as tcp

MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT, MSG_WAITALL = 1, 2, 0x20, 0x40, 0x100
MSG_ERRQUEUE, MSG_ZEROCOPY, MSG_FASTOPEN = 0x2000, 0x4000000, 0x20000000
#: the largest buffer that a script may ask for
LARGEST = 1 << 28


def once(result: "Result | None" = None, value: int = 0, code: int = 0) -> Attempt:
    """An attempt that ends at once."""
    done = result or Result(value, code)
    return lambda: done


def call_socket(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """socket(..., type, protocol)"""
    family = calls.arg(args, 0)
    if family is not Ellipsis and calls.value(family) != 2:
        raise Unsupported(calls.line, "sockets of other families than AF_INET are not supported")
    kind, proto = calls.number(args, 1), calls.number(args, 2)
    number = calls.value(call.result)
    if number in calls.fds:
        raise ScriptError(calls.line, f"file descriptor {number} is open already")
    flags = 2 | kind & 0o4000
    kind &= 0xF
    if kind == 1 and proto in (0, IPPROTO_TCP):
        endpoint = calls.host.call(tcp.tcp_open, calls.host.stack)
        fd = Fd("tcp", number, endpoint, Conn(proto=6, fd=number), flags)
    elif kind == 2 and proto in (0, IPPROTO_UDP):
        endpoint = calls.host.call(udp.udp_open, calls.host.stack)
        settings = calls.runner.settings
        conn = Conn(proto=17, fd=number, lport=settings.bind_port, rport=settings.connect_port)
        conn.lport = 0
        fd = Fd("udp", number, endpoint, conn, flags)
    else:
        raise Unsupported(calls.line, f"socket type {kind} with protocol {proto} is not supported")
    assert fd.conn is not None
    calls.open(fd)
    calls.runner.conn = fd.conn
    calls.runner.conns.append(fd.conn)
    return once(value=number)


def module(fd: Fd) -> Any:
    """The core's module of calls for a socket."""
    return tcp if fd.kind == "tcp" else udp


def call_bind(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """bind(fd, ..., ...): the local address and --bind_port, where no address is written."""
    fd = calls.fd(args, kind="tcp udp")
    addr, port = calls.sockaddr(args, 1) or (calls.host.local, calls.runner.settings.bind_port)

    def attempt() -> Result:
        calls.host.call(module(fd).bind, fd.endpoint, addr, port)
        if fd.conn is not None and fd.kind == "udp":
            fd.conn.lport = port
        return Result(0)

    return attempt


def call_listen(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """listen(fd, backlog)"""
    fd = calls.fd(args, kind="tcp")
    backlog = calls.number(args, 1)

    def attempt() -> Result:
        calls.host.call(tcp.listen, fd.endpoint, backlog)
        assert fd.conn is not None
        fd.conn.state = match.LISTENING
        return Result(0)

    return attempt


def call_accept(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """accept(fd, ..., ...)"""
    fd = calls.fd(args, kind="tcp")

    def attempt() -> Result | None:
        tcb = calls.host.call(tcp.accept, fd.endpoint)
        if tcb is None:
            return Result(-1, errno.EAGAIN) if fd.nonblocking else None
        number = calls.value(call.result)
        if number < 0:
            return Result(tcb.ident)
        conn = calls.accepted(tcb)
        child = Fd("tcp", number, tcb, conn)
        if call.name == "accept4" and len(args) > 3:
            child.flags |= calls.number(args, 3) & 0o4000
        if conn is not None:
            conn.fd = number
            conn.state = match.SYNACK_ACKED
        calls.open(child)
        return Result(number)

    return attempt


def call_connect(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """connect(fd, ..., ...): the remote address and --connect_port; AF_UNSPEC undoes it."""
    fd = calls.fd(args, kind="tcp udp")
    address = calls.arg(args, 1)
    settings = calls.runner.settings
    if address is not Ellipsis and not isinstance(address, Struct):
        return _disconnect(calls, fd)
    addr, port = calls.sockaddr(args, 1) or (calls.host.remote, settings.connect_port)
    begin_connect(calls, fd, port)
    if fd.kind == "udp":
        return lambda: Result(calls.host.call(udp.connect, fd.endpoint, addr, port) or 0)

    def attempt() -> Result | None:
        if not fd.connecting:
            calls.host.call(tcp.connect, fd.endpoint, addr, port)
            fd.connecting = True
        elif calls.pending is not None and fd.nonblocking and fd.endpoint.state == SYN_SENT:
            return Result(-1, errno.EALREADY)
        return connect_result(calls, fd)

    return attempt


def begin_connect(calls: Calls, fd: Fd, port: int) -> None:
    """The connection under test is about to be opened."""
    conn = fd.conn
    if conn is not None and conn.state == match.NEW:
        conn.state = match.CONNECTING
        conn.rport = port


def connect_result(calls: Calls, fd: Fd, waits: bool | None = None) -> Result | None:
    """How the attempt to connect stands."""
    state = fd.endpoint.state
    if fd.endpoint.fastopen_deferred:
        fd.connecting = False
        return Result(0)
    if state == SYN_SENT or (state == SYN_RECEIVED and not fd.endpoint.so_error):
        return None if (not fd.nonblocking if waits is None else waits) else Result(-1, errno.EINPROGRESS)
    fd.connecting = False
    code = int(calls.host.call(tcp_sockopt.getsockopt, fd.endpoint, 1, 4))
    if code == 0 and state == CLOSED:
        code = errno.ECONNABORTED
    return Result(-1, code) if code else Result(0)


def _disconnect(calls: Calls, fd: Fd) -> Attempt:
    undo = getattr(tcp, "disconnect", None)
    if undo is None:
        raise Unsupported(calls.line, "connect to AF_UNSPEC is not supported")

    def attempt() -> Result:
        calls.host.call(undo, fd.endpoint)
        fd.conn = Conn(proto=6, fd=fd.number)
        calls.runner.conns.append(fd.conn)
        calls.runner.conn = fd.conn
        fd.wrote = fd.read = 0
        fd.connecting = False
        return Result(0)

    return attempt


# -- reading -----------------------------------------------------------------------------------------------------------


def receive(calls: Calls, fd: Fd, size: int, flags: int, null: bool = False) -> Attempt:
    """recv and its kin."""
    if flags & MSG_ERRQUEUE:
        raise Unsupported(calls.line, "the error queue (MSG_ERRQUEUE) is not supported")
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
    """What is read is the test pattern from where reading stands."""
    if flags & MSG_OOB:
        fd.unordered = True
        return
    if not fd.unordered and data != pattern(fd.read, len(data)) and not fd.endpoint.oobinline:
        if fd.endpoint.rcv_up == fd.endpoint.irs + 1:
            at = next(i for i in range(len(data)) if data[i] != pattern(fd.read, len(data))[i])
            raise Failure(calls.line, f"byte {fd.read + at} of the stream is not the one that was sent")
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
            raise Failure(calls.line, "the datagram is not the one that was sent")
        return Result(len(data) if flags & MSG_TRUNC else min(size, len(data)))

    return attempt


def call_read(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """read, recv, recvfrom: (fd, ..., size[, flags])"""
    fd = calls.fd(args, kind="tcp udp")
    flags = calls.number(args, 3) if call.name != "read" else 0
    return receive(calls, fd, calls.number(args, 2), flags, calls.is_null(args, 1))


def iov_size(calls: Calls, vectors: Any) -> int:
    """Bytes in [{..., n}, {..., n}]."""
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
    inner = receive(calls, fd, iov_size(calls, message.fields.get("msg_iov")), calls.number(args, 2))
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
    """What recvmsg tells besides the data: TCP_INQ's count."""
    if fd.kind == "tcp" and fd.interests == "inq":
        tcb = fd.endpoint
        left = tcb.recvbuf.used
        return [(6, 36, left + (1 if tcb.fin_received and left == 0 else 0))]
    return []


# -- writing -----------------------------------------------------------------------------------------------------------


def transmit(calls: Calls, fd: Fd, size: int, flags: int, null: bool = False, to: Any = None) -> Attempt:
    """send and its kin: the test pattern from where writing stands."""
    if size > LARGEST:
        raise Unsupported(calls.line, "so large a write is not supported")
    if fd.kind == "udp":
        return _send_datagram(calls, fd, size, to)
    if flags & MSG_ZEROCOPY:
        raise Unsupported(calls.line, "MSG_ZEROCOPY is not supported")
    if null and size:
        return once(value=-1, code=errno.EFAULT)
    taken = [0]
    pass_on = flags & ~(MSG_DONTWAIT | 0x4000 | MSG_FASTOPEN)

    def attempt() -> Result | None:
        try:
            n = calls.host.call(tcp.send, fd.endpoint, pattern(fd.wrote, size - taken[0]), pass_on)
        except OSError:
            if taken[0]:
                return Result(taken[0])
            raise
        fd.wrote += n
        taken[0] += n
        if taken[0] == size:
            return Result(size)
        if fd.nonblocking or flags & MSG_DONTWAIT:
            return Result(taken[0]) if taken[0] else Result(-1, errno.EAGAIN)
        return None

    return attempt


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


def call_sendto(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """sendto(fd, ..., size, flags, ..., ...): on a fresh stream socket it may open the connection (RFC 7413)."""
    fd = calls.fd(args, kind="tcp udp")
    size, flags = calls.number(args, 2), calls.number(args, 3)
    to = calls.sockaddr(args, 4)
    if fd.kind == "tcp" and flags & MSG_FASTOPEN:
        return fast_open(calls, fd, size, flags, calls.is_null(args, 1), calls.arg(args, 4))
    if fd.kind == "tcp" and calls.runner.settings.implied_connect and fd.endpoint.state == CLOSED:
        return implied_connect(calls, fd, size, flags)
    return transmit(calls, fd, size, flags, calls.is_null(args, 1), to)


def implied_connect(calls: Calls, fd: Fd, size: int, flags: int) -> Attempt:
    """FreeBSD: sendto opens the connection by itself; with TCP_FASTOPEN set, the SYN may take the data along."""
    host, port = calls.host, calls.runner.settings.connect_port
    begin_connect(calls, fd, port)

    def attempt() -> Result:
        taken = 0
        if fd.endpoint.fastopen_qlen > 0 and calls.runner.config.tcp_fastopen & 1:
            taken = host.call(tcp.connect_fastopen, fd.endpoint, pattern(fd.wrote, size), host.remote, port)
        else:
            host.call(tcp.connect, fd.endpoint, host.remote, port)
        fd.wrote += taken
        if taken < size:
            calls.background.append(_quietly(transmit(calls, fd, size - taken, flags & ~MSG_DONTWAIT)))
        return Result(size)

    return attempt


def _quietly(attempt: Attempt) -> Attempt:
    """The same, done with where the connection fails: the error is for the next call."""

    def again() -> Result | None:
        try:
            return attempt()
        except OSError:
            return Result(0)

    return again


def fast_open(calls: Calls, fd: Fd, size: int, flags: int, null: bool, address: Any) -> Attempt:
    """sendto with MSG_FASTOPEN: the core's `connect_fastopen`, where it has one."""
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


def call_writev(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """writev(fd, [{..., n}], count)"""
    return transmit(calls, calls.fd(args, kind="tcp udp"), iov_size(calls, calls.arg(args, 1)), 0)


def call_sendmsg(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """sendmsg(fd, {msg_name(...)=..., msg_iov(n)=[...], msg_flags=0}, flags)"""
    fd = calls.fd(args, kind="tcp udp")
    message = calls.arg(args, 1)
    if not isinstance(message, Struct):
        raise ScriptError(calls.line, "sendmsg needs a msghdr")
    if message.fields.get("msg_control"):
        raise Unsupported(calls.line, "control messages of sendmsg are not supported")
    size, flags = iov_size(calls, message.fields.get("msg_iov")), calls.number(args, 2)
    if fd.kind == "tcp" and flags & MSG_FASTOPEN:
        return fast_open(calls, fd, size, flags, False, Ellipsis)
    return transmit(calls, fd, size, flags)
