"""A host: one stack, and the only way by which anything reaches it.

Everything that enters the core goes through a method of `Host`, which adds `now` and reports to the recorder if there
is one, so every run can be replayed. Subclasses own a clock and a loop: `SimHost` (virtual time), `RealtimeHost`
(devices and threads) and `ReplayHost` (a recording).
"""

from collections.abc import Callable
from typing import Any, Protocol

from pystack_c.packet import Transmit
from pystack_c.probe import Event

#: the sections that describe the calls that a program can make
CALLS = {
    "pystack_c.tcp.user": "RFC 9293 3.9.1",
    "pystack_c.tcp.again": "RFC 9293 3.10.1",
    "pystack_c.tcp.sockopt": "RFC 9293 3.9.1",
    "pystack_c.sockets.udp": "RFC 1122 4.1.4",
    "pystack_c.sockets.raw": "Linux raw(7)",
    "pystack_c.sockets.packets": "Linux packet(7)",
    "pystack_c.link.acd": "RFC 5227 2.1",
    "pystack_c.ingress.queued": "Linux nfnetlink_queue",
}


def call_rfc(fn: Callable[..., Any]) -> str:  # python
    """Return the section that describes an application call, or "" if `fn` is not one of the core's calls."""
    return CALLS.get(getattr(fn, "__module__", ""), "")


class RecorderProtocol(Protocol):  # python
    """The calls by which a Host reports to its recorder (see trace.recorder). Times are in ns."""

    def setup(self, now: int, name: str, args: tuple[Any, ...]) -> None:
        """Note that the host has called a method that sets up the stack (interface, address, route)."""

    def receive(self, now: int, iface: Any, frame: bytes, offset: int, flags: int, gso_size: int) -> None:
        """Note that the host is about to give a frame to the stack."""

    def timeout(self, now: int) -> None:
        """Note that the host is about to fire the timers that are due."""

    def call(self, now: int, fn: Callable[..., Any], target: Any, args: tuple[Any, ...]) -> None:
        """Note that the host is about to make an application call."""

    def result(self, result: Any, error: BaseException | None) -> None:
        """Note that the application call returned `result` or raised `error`."""

    def transmit(self, now: int, tx: Transmit | None) -> None:
        """Note that poll_transmit returned `tx`."""

    def deadline(self, deadline: int | None) -> None:
        """Note that poll_timeout returned `deadline`."""


class Host:
    """A stack and its calls. It is not thread-safe, so a driver with threads takes its own lock around every method."""

    def __init__(self, stack: Any, recorder: RecorderProtocol | None = None):
        self.stack = stack
        self.name: str = stack.name
        self.recorder = recorder

    def clock(self) -> int:  # python
        """Return the time in nanoseconds. It never goes back."""
        raise NotImplementedError

    def pump(self) -> None:  # python
        """Drain the stack, or arrange that it is drained.

        The host calls this after each application call and set-up.
        """
        raise NotImplementedError

    # -- what goes in ------------------------------------------------------------------------------------------

    def setup(self, name: str, *args: Any) -> Any:  # python
        """Call a method that sets up the stack (`add_iface`, `add_addr`, `add_route`, ...) and record the call.

        A call that raises an exception has changed nothing, and is not recorded.
        """
        now = self.clock()
        self.stack.now = now
        result = getattr(self.stack, name)(*args)
        if self.recorder is not None:
            self.recorder.setup(now, name, args)
        self.pump()
        return result

    def receive(self, iface: Any, frame: bytes, offset: int = 0, flags: int = 0, gso_size: int = 0) -> None:  # python
        """Give the stack a frame. The caller drains the stack afterwards."""
        now = self.clock()
        if self.recorder is not None:
            self.recorder.receive(now, iface, frame, offset, flags, gso_size)
        self.stack.receive(iface, frame, now, offset, flags, gso_size)

    def handle_timeout(self) -> None:  # python
        """Fire the timers that are due. The caller drains the stack afterwards."""
        now = self.clock()
        if self.recorder is not None:
            self.recorder.timeout(now)
        self.stack.handle_timeout(now)

    def call(self, fn: Callable[..., Any], target: Any, *args: Any) -> Any:  # python
        """Call `fn(target, *args, now)`, record it, pump, and return its result.

        Every application call is made this way.

        `fn` is a public function of the core's user-call modules (see architecture.md). `target` is the endpoint,
        or the stack for functions that take the core first.
        """
        now = self.clock()
        event = None if self.stack.probe is None else self._tell_call(now, fn, target, args)
        recorder = self.recorder
        if recorder is None and event is None:
            try:
                return fn(target, *args, now)
            finally:
                self.pump()
        if recorder is not None:
            recorder.call(now, fn, target, args)
        result = None
        error = None
        try:
            result = fn(target, *args, now)
        except BaseException as exc:
            error = exc
            raise
        finally:
            if event is not None:
                self._tell_return(event, result if error is None else error)
            if recorder is not None:
                recorder.result(result, error)
            self.pump()
        return result

    def _tell_call(self, now: int, fn: Callable[..., Any], target: Any, args: tuple[Any, ...]) -> Event:  # python
        """Emit the `call` event. Its result is filled in later, so a probe that keeps events sees it."""
        ident = getattr(target, "ident", 0)
        subject = target.subject() if ident else self.name
        fields = {"name": fn.__name__, "args": args, "result": None}
        self.stack.now = now
        event: Event = self.stack.emit(
            "call", subject, ident, f"the application calls {fn.__name__}", call_rfc(fn), fields
        )
        return event

    def _tell_return(self, event: Event, result: Any) -> None:  # python
        """Emit the `return` event."""
        event.fields["result"] = result
        name = event.fields["name"]
        why = f"{name} raised {result}" if isinstance(result, BaseException) else f"{name} returned"
        if self.stack.probe is not None:
            fields = {"name": name, "result": result}
            self.stack.emit("return", event.subject, event.endpoint, why, event.rfc, fields)

    # -- what comes out ----------------------------------------------------------------------------------------

    def poll_transmit(self) -> Transmit | None:  # python
        """Return the next frame to send, or None. Poll until None after everything that entered the stack."""
        now = self.clock()
        tx: Transmit | None = self.stack.poll_transmit(now)
        if self.recorder is not None:
            self.recorder.transmit(now, tx)
        return tx

    def poll_event(self) -> Any:  # python
        """Return the next endpoint whose readiness changed, or None."""
        return self.stack.poll_event()

    def poll_timeout(self) -> int | None:  # python
        """Return the next deadline in ns, or None."""
        deadline: int | None = self.stack.poll_timeout()
        if self.recorder is not None:
            self.recorder.deadline(deadline)
        return deadline
