"""System calls: file descriptors, the results of calls, and blocking in virtual time.

A call becomes an `Attempt`: a function that does as much as it can now and returns a `Result`, or None if a blocking
socket would wait. The runner calls it again whenever something has happened.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pystack import symbols
from pystack.pkt import match, model
from pystack.pkt.errors import Difference, Failure, ScriptError, Unsupported
from pystack.pkt.match import Conn
from pystack.pkt.model import Either, Invocation, ScriptEvent, Syscall, Word
from pystack_c.tcp import sockopt as tcp_sockopt


@dataclass
class Result:
    """The result of a call. `check` compares what the call wrote into its arguments."""

    value: int
    errno: int = 0
    check: "Callable[[], None] | None" = None


Attempt = Callable[[], "Result | None"]
#: a system call: makes an Attempt from its arguments and its line of the script
Handler = Callable[["Calls", list[Any], Syscall], Attempt]


@dataclass
class Fd:
    """An open file descriptor."""

    kind: str
    number: int
    #: the core's endpoint, for sockets
    endpoint: Any = None
    conn: Conn | None = None
    flags: int = 2
    close_on_exec: int = 0
    #: how far the test pattern has been written and read
    wrote: int = 0
    read: int = 0
    connecting: bool = False
    #: urgent data and the like: the data that is read is not compared
    unordered: bool = False
    linger: int = 0
    rcvtimeo: int = 0
    sndtimeo: int = 0
    #: files and pipes: the number of bytes in them; epoll: its interests
    size: int = 0
    interests: Any = None
    peer: "Fd | None" = None

    @property
    def nonblocking(self) -> bool:
        """True if O_NONBLOCK is set."""
        return bool(self.flags & 0o4000)


@dataclass
class Pending:
    """A call that waits."""

    attempt: Attempt
    call: Syscall
    line: int
    end: int
    tolerance: int
    #: when it times out (ns), and the result then
    deadline: int | None
    on_timeout: Result | None


class Calls:
    """The file descriptors of one run, and the call that waits."""

    def __init__(self, runner: Any, table: "Mapping[str, Handler]", wakes: "Callable[[Calls], None]"):
        self.runner = runner
        #: the handler of each system call, by name (calltable.TABLE)
        self.table = table
        #: collects the wake-ups that poll and epoll wait for (call_poll.gather_wakes)
        self.wakes = wakes
        self.host = runner.host
        self.fds: dict[int, Fd] = {}
        self.pending: Pending | None = None
        self.line = 0
        #: set by a call that waits with a timeout of its own: (deadline, the result then)
        self.timeout: tuple[int, Result] | None = None
        #: the waiting call will write as soon as the connection is open, so its data precedes a bare ACK
        self.writes_soon = False
        #: data that was written before the connection is open, and is sent then (FreeBSD's implied connect)
        self.background: list[Attempt] = []

    # -- running a call ----------------------------------------------------------------------------------------------

    def start(self, call: Syscall, event: ScriptEvent, end: int) -> None:
        """Make the call. `end` is the time at which it returns according to the script, or -1 if it returns at once."""
        self.line = event.line
        self.timeout = None
        self.writes_soon = False
        handler = self.table.get(call.name)
        if handler is None:
            raise Unsupported(event.line, f"the system call {call.name} is not supported")
        attempt = handler(self, call.args, call)
        deadline, on_timeout = self.timeout if self.timeout is not None else (None, None)
        self.pending = Pending(attempt, call, event.line, end, self.runner.tolerance, deadline, on_timeout)
        self.poll()
        if self.pending is not None and end < 0:
            if deadline is None:
                raise Failure(event.line, f"{call.name} blocks; the script says that it returns at once")
            self.runner.advance(deadline)

    def poll(self) -> None:
        """Try the waiting call again, because something has happened."""
        self.wakes(self)
        self.background = [attempt for attempt in self.background if attempt() is None]
        pending = self.pending
        if pending is None:
            return
        try:
            result = pending.attempt()
        except OSError as error:
            result = Result(-1, error.errno or 0)
        if result is None:
            if pending.deadline is None or self.host.now < pending.deadline:
                return
            result = pending.on_timeout
            assert result is not None
        self.pending = None
        self.writes_soon = False
        self._verify(pending, result)

    def deadline(self) -> int | None:
        """Return the time at which the waiting call times out, or None."""
        return self.pending.deadline if self.pending is not None else None

    def finish(self) -> None:
        """Wait for the call that blocks, as long as the script says."""
        pending = self.pending
        if pending is None:
            return
        limit = max(pending.end, self.host.now) + 2_000_000_000
        while self.pending is not None and self.runner.step(limit):
            pass
        if self.pending is not None:
            raise Failure(pending.line, f"{pending.call.name} still blocks")

    def _verify(self, pending: Pending, result: Result) -> None:
        try:
            self._verify_result(pending, result)
        except Failure as failure:
            if "syscall" not in self.runner.settings.non_fatal:
                raise
            self.runner.notes.append(f"line {pending.line}: {failure.message} (not fatal)")

    def _verify_result(self, pending: Pending, result: Result) -> None:
        call = pending.call
        expected = call.result
        wanted = self.value(expected) if expected is not Ellipsis else result.value
        actual = str(result.value)
        if result.value < 0 and result.errno:
            actual += f" {symbols.errno_name(result.errno)}"
        text = str(wanted) + (f" {call.errno}" if call.errno else "")
        same = result.value == wanted or call.name in FD_CALLS and wanted >= 0 and result.value >= 0
        if same and call.errno and wanted < 0:
            same = result.errno == self._errno(call.errno, pending.line)
        if not same:
            fatal = "syscall" not in self.runner.settings.non_fatal
            if fatal and result.errno == 92 and call.name in ("setsockopt", "getsockopt") and wanted == 0:
                raise Unsupported(pending.line, f"the socket option {_option_text(call)} is not supported")
            difference = Difference("result", text, actual)
            raise Failure(pending.line, f"{call.name}: {difference}", text, actual, [difference])
        if pending.end >= 0 and abs(self.host.now - pending.end) > pending.tolerance:
            wanted_time, actual_time = self.runner.seconds(pending.end), self.runner.seconds(self.host.now)
            difference = Difference("time of return", f"{wanted_time:.6f} s", f"{actual_time:.6f} s")
            raise Failure(pending.line, f"{call.name}: {difference}", text, actual, [difference])
        if result.check is not None:
            result.check()

    def _errno(self, name: str, line: int) -> int:
        code = symbols.value_of(name)
        if code is None:
            raise ScriptError(line, f"unknown errno {name}")
        return code

    # -- arguments ---------------------------------------------------------------------------------------------------

    def value(self, expr: Any) -> int:
        """Return the value of an expression as a number."""
        if isinstance(expr, bool | int):
            return int(expr)
        if isinstance(expr, Word):
            number = symbols.value_of(expr.name)
            if number is None:
                raise Unsupported(self.line, f"the name {expr.name} is unknown")
            return number
        if isinstance(expr, Either):
            total = 0
            for part in expr.parts:
                total |= self.value(part)
            return total
        if isinstance(expr, list) and len(expr) == 1:
            return self.value(expr[0])
        if isinstance(expr, Invocation) and expr.name in ("htons", "htonl", "ntohs", "ntohl"):
            return self.value(expr.args[0])
        raise ScriptError(self.line, "expected a number here")

    def arg(self, args: list[Any], index: int) -> Any:
        """Return one argument."""
        if index >= len(args):
            raise ScriptError(self.line, f"the call needs more than {len(args)} arguments")
        return args[index]

    def number(self, args: list[Any], index: int) -> int:
        """Return one argument as a number."""
        return self.value(self.arg(args, index))

    def is_null(self, args: list[Any], index: int) -> bool:
        """Return True if the argument, which should be a buffer, is NULL."""
        arg = self.arg(args, index)
        return arg is not Ellipsis and not isinstance(arg, bytes | model.Struct | list) and self.value(arg) == 0

    def fd(self, args: list[Any], index: int = 0, kind: str = "") -> Fd:
        """Return an argument that is an open file descriptor; OSError(EBADF) if it is not open.

        `kind` lists the accepted kinds.
        """
        number = self.number(args, index)
        found = self.fds.get(number)
        if found is None:
            raise ScriptError(self.line, f"there is no file descriptor {number}")
        if kind and found.kind not in kind.split():
            raise ScriptError(self.line, f"file descriptor {number} is a {found.kind}")
        return found

    def sockaddr(self, args: list[Any], index: int) -> "tuple[int, int] | None":
        """Return an address given as a struct, or None for `...`."""
        arg = self.arg(args, index)
        if not isinstance(arg, model.Struct) or not arg.fields:
            return None
        port = self.value(arg.fields.get("sin_port", 0))
        inside = arg.fields.get("sin_addr", 0)
        if isinstance(inside, Invocation) and inside.args and isinstance(inside.args[0], bytes):
            from ipaddress import AddressValueError, IPv4Address

            try:
                return int(IPv4Address(inside.args[0].decode())), port
            except AddressValueError:
                raise Unsupported(self.line, "IPv6 is not supported") from None
        return self.value(inside), port

    # -- for other modules ---------------------------------------------------------------------------------------------

    def open(self, fd: Fd) -> None:
        """Add the new file descriptor that a call returned."""
        self.fds[fd.number] = fd

    def endpoint(self, number: int) -> Any:
        """Return the core's endpoint behind a file descriptor, or None."""
        fd = self.fds.get(number)
        return fd.endpoint if fd is not None else None

    def open_endpoints(self) -> dict[int, tuple[Any, int]]:
        """Return ident -> (Tcb, file descriptor) of the open TCP sockets."""
        return {fd.endpoint.ident: (fd.endpoint, n) for n, fd in self.fds.items() if fd.kind == "tcp"}

    def tcp_info(self, tcb: Any) -> dict[str, Any]:
        """Return tcp_info of a connection."""
        info: dict[str, Any] = self.host.call(tcp_sockopt.tcp_info, tcb)
        # SO_MEMINFO, as far as this stack has such values
        info["SK_MEMINFO_RCVBUF"], info["SK_MEMINFO_SNDBUF"] = tcb.recvbuf.size, tcb.sndbuf_size
        return info

    def accepted(self, tcb: Any) -> "Conn | None":
        """Return the script's connection to which a Tcb from accept() belongs."""
        for conn in self.runner.conns:
            if conn.rport == tcb.rport and conn.state in (match.SYNACK_SENT, match.SYNACK_ACKED, match.SYN_RECEIVED):
                return conn  # type: ignore[no-any-return]
        return None


#: calls that return a file descriptor; the number in the script may differ from the system's
FD_CALLS = ("socket", "accept", "accept4", "open", "epoll_create", "epoll_create1")


def _option_text(call: Syscall) -> str:
    names = [arg.name if isinstance(arg, Word) else str(arg) for arg in call.args[1:3]]
    return " ".join(names)
