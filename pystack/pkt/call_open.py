"""Calls that open: socket, bind, listen, accept, connect."""

import errno
from typing import Any

from pystack.pkt import match
from pystack.pkt.calls import Attempt, Calls, Fd, Result
from pystack.pkt.errors import ScriptError, Unsupported
from pystack.pkt.match import Conn
from pystack.pkt.model import Struct, Syscall
from pystack_c.const import CLOSED, IPPROTO_TCP, IPPROTO_UDP, SYN_RECEIVED, SYN_SENT
from pystack_c.sockets import udp
from pystack_c.tcp import sockopt as tcp_sockopt
from pystack_c.tcp import user as tcp


def once(result: "Result | None" = None, value: int = 0, code: int = 0) -> Attempt:
    """Return an attempt that is complete at once."""
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
        raise ScriptError(calls.line, f"file descriptor {number} is already open")
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
    elif (kind, proto) in ((1, IPPROTO_UDP), (2, IPPROTO_TCP)):
        return once(value=-1, code=errno.EPROTONOSUPPORT)
    else:
        raise Unsupported(calls.line, f"socket type {kind} with protocol {proto} is not supported")
    assert fd.conn is not None
    calls.open(fd)
    calls.runner.conn = fd.conn
    calls.runner.conns.append(fd.conn)
    return once(value=number)


def module(fd: Fd) -> Any:
    """Return the core's module of calls for a socket."""
    return tcp if fd.kind == "tcp" else udp


def call_bind(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """bind(fd, ..., ...): binds to the local address and --bind_port unless the script gives an address."""
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
    """connect(fd, ..., ...): connects to the remote address and --connect_port; AF_UNSPEC undoes it."""
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
    """Note that the connection under test is about to be opened."""
    conn = fd.conn
    if conn is not None and conn.state == match.NEW:
        conn.state = match.CONNECTING
        conn.rport = port


def connect_result(calls: Calls, fd: Fd, waits: bool | None = None) -> Result | None:
    """Return the result of the attempt to connect, or None while it goes on."""
    state = fd.endpoint.state
    if fd.endpoint.tfo is not None and fd.endpoint.tfo.deferred:
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
