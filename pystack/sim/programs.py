"""Programs on simulated hosts: generators that wait in virtual time, with no threads.

    def client(host):
        sock = stream(host)
        yield sock.connect("10.0.0.2", 80)
        yield sock.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        answer = yield sock.recv(4096)
        yield sleep(10 * MS)
        sock.close()

    proc = spawn(net, client(host))
    net.run_until(proc.finished, limit=10 * S)

A program yields an `Op`, which is tried until it succeeds. (Ordinary programs, with asyncio or with calls that block, run by `Network.run`.)
"""

import errno
import importlib
import os
from collections.abc import Callable, Generator
from typing import Any

import pystack_c.const as C
from pystack.addresses import parse_addr
from pystack.sim.causes import after_a_time, go_on, step_of
from pystack.sim.nodes import SimHost
from pystack.sim.scheduler import Scheduler

SHUT_RD, SHUT_WR, SHUT_RDWR = 0, 1, 2
SOL_SOCKET, SO_ERROR, SO_REUSEADDR = 1, 4, 2


class Op:
    """An operation to wait for."""

    value: Any = None

    def poll(self) -> bool:
        """Try. Returns True once it is done, with the result in `value`. An OSError ends it, too."""
        raise NotImplementedError

    def park(self, resume: Callable[[], None]) -> None:
        """Call `resume` once when another try may succeed."""
        raise NotImplementedError


class _Sleep(Op):
    def __init__(self, delay: int):
        self.delay = delay
        self.net: Scheduler | None = None
        self.started = False
        self.done = False
        self.cause: Any = None

    def poll(self) -> bool:
        return self.done

    def park(self, resume: Callable[[], None]) -> None:
        if not self.started and self.net is not None:  # only once, also if something else wakes the program meanwhile
            self.started = True
            self.cause = step_of(self.net)
            self.net.after(self.delay, self._due, resume)

    def _due(self, resume: Callable[[], None]) -> None:
        self.done = True
        after_a_time(self.net, self.cause)
        resume()


def sleep(delay: int) -> Op:
    """Wait `delay` ns."""
    return _Sleep(delay)


Program = Generator[Any, Any, Any]


class Proc(Op):
    """A running program. Other programs may yield it, to wait for its result."""

    def __init__(self, net: Scheduler, program: Program):
        self.net = net
        self.program = program
        self.done = False
        self.error: BaseException | None = None
        self._op: Op | None = None
        self._resume: Callable[[], None] = self._wake
        self._pending = False
        self._joiners: list[Callable[[], None]] = []
        self._cause = step_of(net)
        net.after(0, self._begin)

    def _begin(self) -> None:
        go_on(self.net, self._cause)
        self._step(None, None)

    def finished(self) -> bool:
        """True once the program has ended. If it raised an exception, that is raised here."""
        if self.error is not None:
            raise self.error
        return self.done

    def poll(self) -> bool:
        """Op.poll: done once the program has ended."""
        return self.finished()

    def park(self, resume: Callable[[], None]) -> None:
        """Op.park."""
        self._joiners.append(resume)

    def _wake(self) -> None:
        if not self._pending:
            self._pending = True
            self._cause = step_of(self.net)
            self.net.after(0, self._retry)

    def _retry(self) -> None:
        self._pending = False
        op = self._op
        if op is None:
            return
        go_on(self.net, self._cause)
        try:
            if not op.poll():
                op.park(self._resume)
                return
        except (OSError, TypeError) as error:
            self._step(None, error)
            return
        self._step(op.value, None)

    def _step(self, value: Any, error: BaseException | None) -> None:
        """Run the program until it has to wait."""
        self._op = None
        while True:
            try:
                op = self.program.send(value) if error is None else self.program.throw(error)
            except StopIteration as stop:
                self._end(stop.value, None)
                return
            except BaseException as exc:
                self._end(None, exc)
                return
            if isinstance(op, _Sleep):
                op.net = self.net
            value, error = None, None
            try:
                if not op.poll():
                    self._op = op
                    op.park(self._resume)
                    return
                value = op.value
            except (OSError, TypeError) as exc:
                error = exc  # An argument of a wrong type is the program's mistake, so its own line must be in the traceback.
            except AttributeError as exc:
                error = exc if isinstance(op, Op) else TypeError(_no_operation(op))

    def _end(self, value: Any, error: BaseException | None) -> None:
        self.value, self.error, self.done = value, error, True
        for resume in self._joiners:
            resume()
        if error is not None and not self._joiners:
            raise error


def _no_operation(what: Any) -> str:
    """Say what is wrong with something that a program yields, and that is no `Op`."""
    if isinstance(what, Generator):
        return "`yield` waits for an operation, and this is another program: write `yield from`"
    return f"`yield` waits for an operation, and this is {'None' if what is None else f'a {type(what).__name__}'}"


def spawn(net: Scheduler, program: Program) -> Proc:
    """Start a program, now."""
    return Proc(net, program)


class Timeout(Op):
    """Another Op, with ETIMEDOUT after `delay` ns."""

    def __init__(self, net: Scheduler, op: Op, delay: int):
        self.net = net
        self.op = op
        self.deadline = net.now + delay
        self.armed = False
        self.cause: Any = None

    def poll(self) -> bool:
        """Try the other Op."""
        if self.op.poll():
            self.value = self.op.value
            return True
        if self.net.now >= self.deadline:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        return False

    def park(self, resume: Callable[[], None]) -> None:
        """Wait for the other Op or for the time."""
        self.op.park(resume)
        if not self.armed:
            self.armed = True
            self.cause = step_of(self.net)
            self.net.at(self.deadline, self._due, resume)

    def _due(self, resume: Callable[[], None]) -> None:
        after_a_time(self.net, self.cause)
        resume()


class _Try(Op):
    """A call that returns None while it would block."""

    def __init__(self, sock: "SimSocket", attempt: Callable[[], Any]):
        self.sock = sock
        self.attempt = attempt

    def poll(self) -> bool:
        self.value = self.attempt()
        return self.value is not None

    def park(self, resume: Callable[[], None]) -> None:
        self.sock.waiting.append(resume)


class SimSocket:
    """The common part of stream and datagram sockets: an endpoint of the core, and the programs that wait for it."""

    def __init__(self, host: SimHost, endpoint: Any, calls: "dict[str, Callable[..., Any]]"):
        self.host = host
        self.endpoint = endpoint
        self.calls = calls
        self.waiting: list[Callable[[], None]] = []
        endpoint.waiter = self

    def notify(self, bits: int) -> None:
        """React to an event of the core: the scheduler lets the programs that wait try again."""
        waiting, self.waiting = self.waiting, []
        for resume in waiting:
            resume()

    def call(self, name: str, *args: Any) -> Any:
        """An application call by name, at once."""
        return self.host.call(self.calls[name], self.endpoint, *args)

    def bind(self, addr: str, port: int) -> None:
        """Bind it to a local address and port ("" and 0: any)."""
        self.call("bind", parse_addr(addr) if addr else 0, port)

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        """Set an option."""
        self.call("setsockopt", level, name, value)

    def getsockopt(self, level: int, name: int) -> Any:
        """Read an option."""
        return self.call("getsockopt", level, name)

    def close(self) -> None:
        """Close it. Data in the send buffer is still sent."""
        self.call("close")

    def within(self, op: Op, delay: int) -> Op:
        """`op`, with TimeoutError after `delay` ns."""
        return Timeout(self.host.net, op, delay)


class StreamSocket(SimSocket):
    """A TCP connection or listener."""

    def listen(self, backlog: int = 128) -> None:
        """Accept connections from now on."""
        self.call("listen", backlog)

    def accept(self) -> Op:
        """The next connection, as a StreamSocket."""

        def attempt() -> "StreamSocket | None":
            tcb = self.call("accept")
            return None if tcb is None else StreamSocket(self.host, tcb, self.calls)

        return _Try(self, attempt)

    def connect(self, addr: str, port: int) -> Op:
        """Connect. An OSError has the reason if that fails."""
        started = False

        def attempt() -> bool | None:
            nonlocal started
            if not started:
                started = True
                self.call("connect", parse_addr(addr), port)
            ready = self.endpoint.readiness()
            if not ready & (C.EV_OUT | C.EV_ERR | C.EV_HUP):
                return None
            error = self.getsockopt(SOL_SOCKET, SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            return True

        return _Try(self, attempt)

    def sendall(self, data: bytes, flags: int = 0) -> Op:
        """Send all of it (with the `flags` of send()). Done once the last byte is in the send buffer; `value` is the number of bytes."""
        at = 0

        def attempt() -> int | None:
            nonlocal at
            while at < len(data):
                taken = self.call("send", data[at : at + 65536], flags)
                if not taken:
                    return None
                at += taken
            return len(data)

        return _Try(self, attempt)

    def recv(self, count: int = 65536) -> Op:
        """Up to `count` bytes; b"" at the end."""
        return _Try(self, lambda: self.call("recv", count, 0))

    def recv_exactly(self, count: int) -> Op:
        """`count` bytes, fewer only at the end of the stream."""
        parts: list[bytes] = []
        missing = count

        def attempt() -> bytes | None:
            nonlocal missing
            while missing:
                data = self.call("recv", missing, 0)
                if data is None:
                    return None
                if not data:
                    break
                parts.append(bytes(data))
                missing -= len(data)
            return b"".join(parts)

        return _Try(self, attempt)

    def recv_all(self) -> Op:
        """Everything up to the end of the stream."""
        return self.recv_exactly(1 << 62)

    def shutdown(self, how: int = SHUT_WR) -> None:
        """Close one direction or both."""
        self.call("shutdown", how)

    def abort(self) -> None:
        """Reset the connection."""
        self.call("abort")

    def info(self) -> dict[str, Any]:
        """TCP's own numbers."""
        info: dict[str, Any] = self.call("tcp_info")
        return info


class ProgramDatagrams(SimSocket):
    """A UDP or raw socket."""

    def connect(self, addr: str, port: int = 0) -> None:
        """Set the peer."""
        self.call("connect", parse_addr(addr), port)

    def sendto(self, data: bytes, addr: str = "", port: int = 0) -> int:
        """Send one datagram, at once (to the connected peer, without an address)."""
        sent: int = self.call("sendto", data, parse_addr(addr) if addr else 0, port, 0)
        return sent

    def recvfrom(self) -> Op:
        """The next datagram (data, addr, port, ...), as the core gives it."""
        return _Try(self, lambda: self.call("recvfrom", 0))


def _calls(*modules: str) -> dict[str, Callable[..., Any]]:
    """The application calls of these modules, by name."""
    found: dict[str, Callable[..., Any]] = {}
    for name in modules:
        module = importlib.import_module(name)
        found.update((key, value) for key, value in vars(module).items() if key in CALLS)
    return found


#: the names of application calls (docs/explanation/architecture.md)
CALLS = frozenset(
    "tcp_open udp_open raw_open bind listen accept connect send sendto recv recvfrom shutdown close abort "
    "setsockopt getsockopt tcp_info".split()
)


def stream(host: SimHost) -> StreamSocket:
    """A new TCP socket."""
    calls = _calls("pystack_c.tcp.user", "pystack_c.tcp.sockopt")
    return StreamSocket(host, host.call(calls["tcp_open"], host.stack), calls)


def datagram(host: SimHost) -> ProgramDatagrams:
    """A new UDP socket."""
    calls = _calls("pystack_c.sockets.udp")
    return ProgramDatagrams(host, host.call(calls["udp_open"], host.stack), calls)


def raw(host: SimHost, proto: int) -> ProgramDatagrams:
    """A new raw socket."""
    calls = _calls("pystack_c.sockets.raw")
    return ProgramDatagrams(host, host.call(calls["raw_open"], host.stack, proto), calls)
