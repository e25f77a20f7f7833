"""Live stepping: the real stack stops at each frame, and its clock stops meanwhile (`pystack up --step`).

    gate = StepGate()
    running = up(..., gate=gate)
    print(gate.wait(0, 10).text())  # the first frame
    gate.command("n 3")             # let three frames pass; see HELP

The gate is at the device. A frame that arrives waits before the stack sees it, and an outgoing frame waits before the
device gets it. The thread that carries the frame waits while it holds the host's lock, so nothing else happens in the
stack. The clock stands still, so no timer expires and no round trip gets longer. If the next frame is already in the
device, the clock stands still until that frame has passed, too. The clock runs only while the stack waits for a frame
to arrive.

The peer lives in real time, and does what it would do anyway: a kernel retransmits a SYN after one second.
"""

import select
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from pystack.phy.device import Device
from pystack.phy.wrapper import Wrapper
from pystack.runtime import forked
from pystack.stepper.expr import Expression, ExpressionError
from pystack.stepper.scope import Missing
from pystack.trace.annotate import describe
from pystack.trace.summary import Summarizer
from pystack_c.packet import Transmit
from pystack_c.probe import Event, Probe

HELP = """Enter or s: the next frame; n N: let N frames pass; c: run to a breakpoint; b EXPR: set a breakpoint, such as
b tcb.cwnd < 5000, b kind == "tcp.retransmit" or b frame.length > 1000; b: list them, d N: delete one; p: show again; q: end"""
FOREVER = 1 << 62
#: events that are left out of a frame's story
UNTOLD = ("frame.in", "frame.out")


class HeldClock:
    """A monotonic clock (ns) that can be stopped. Time does not pass while it is stopped, and it does not catch up
    later.
    """

    def __init__(self, source: Callable[[], int] = monotonic_ns):
        self.source = source
        # One tuple, so that a reader in another thread sees both or neither: when the clock was stopped (or None), and
        # how far it is behind its source.
        self._state: tuple[int | None, int] = (None, 0)

    def __call__(self) -> int:
        """Return the time (ns)."""
        since, behind = self._state
        return (self.source() if since is None else since) - behind

    @property
    def behind(self) -> int:
        """Return how far the clock is behind its source (ns), counting only the stops that are over."""
        return self._state[1]

    def stop(self) -> None:
        """Stop the clock."""
        since, behind = self._state
        if since is None:
            self._state = (self.source(), behind)

    def go(self) -> None:
        """Let the clock run again from where it stopped."""
        since, behind = self._state
        if since is not None:
            self._state = (None, behind + self.source() - since)


class Held:
    """A frame at the gate, and what the stack decided since the previous frame."""

    def __init__(self, number: int, direction: str, iface: str, time: int, length: int, summary: str):
        self.number = number
        self.direction = direction
        self.iface = iface
        self.time = time
        self.length = length
        self.summary = summary
        self.story: list[str] = []
        self.changes: dict[str, list[str]] = {}
        self.hits: list[str] = []
        self.stopped = False

    def line(self) -> str:
        """The frame in one line."""
        arrow = "<" if self.direction == "in" else ">"
        return f"frame {self.number} {self.iface} {arrow} {self.summary}"

    def text(self) -> str:
        """Return the description as several lines of text for a terminal."""
        lines = [f"{self.line()}   at {self.time / 1e9:.6f} s of the stack's clock, which stands still"]
        lines += [f"  breakpoint: {text}" for text in self.hits]
        lines += [f"  {text}" for text in self.story]
        for subject, changed in self.changes.items():
            lines.append(f"  {subject}")
            lines += [f"    {text}" for text in changed]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the same in a form that JSON can hold."""
        return {**vars(self), "text": self.text()}


class _Scope:
    """What the names of an expression mean at a live event (the part of scope.Scope that expressions use)."""

    def __init__(self, stack: Any, event: Event | None, frame: "Held | None"):
        self.stack = stack
        self._event = event
        self._frame = frame

    def event(self) -> Any:
        """The event; if a frame is checked, the last event before it."""
        if self._event is None:
            raise Missing("no event yet")
        return self._event

    def conn(self) -> str:
        """The subject of the event's connection."""
        event = self._event
        return event.subject if event is not None and event.subject.startswith("tcp ") else ""

    def tcb(self, field: str) -> Any:
        """Return a field of the event's connection."""
        event = self._event
        block = None if event is None else self.stack.endpoints.get(event.endpoint)
        if block is None or not hasattr(block, "snd_una"):
            raise Missing("no connection")
        shown = block.snapshot()
        if field in shown:
            return shown[field]
        try:
            return getattr(block, field)
        except AttributeError:
            raise Missing(field) from None

    def of_host(self, host: str, field: str) -> Any:
        """Return a field of the event's connection, because there is only one host here."""
        return self.tcb(field)

    def frame(self) -> Any:
        """The frame at the gate."""
        if self._frame is None:
            raise Missing("no frame")
        return self._frame

    def time(self) -> float:
        """The stack's time in seconds."""
        return float(self.event().time) / 1e9


class _GateProbe(Probe):
    """Collects the story, and checks the breakpoints at each event."""

    def __init__(self, gate: "StepGate"):
        self.gate = gate

    def event(self, event: Event) -> None:
        """Called under the host's lock."""
        gate = self.gate
        if gate.inner is not None:
            gate.inner.event(event)
        gate.last = event
        if event.kind not in UNTOLD:
            text = describe(event) or event.kind
            gate.story.append(f"{event.kind} {event.subject}: {text}")
        gate.look(event, None)


class GateDevice(Wrapper):
    """The device wrapper that holds the frames."""

    def __init__(self, device: Device, gate: "StepGate"):
        super().__init__(device)
        self.gate = gate
        self.summarizer = Summarizer(device.kind)
        self.paused = False
        self._poll = select.poll()
        if device.fileno() >= 0:
            self._poll.register(device.fileno(), select.POLLIN)

    def waits(self) -> bool:
        """Return whether the next frame is there already."""
        return self.device.fileno() >= 0 and bool(self._poll.poll(0))

    def recv(self) -> tuple[bytes, int, int, int] | None:
        """Return the next frame once it may pass. The stack answers one frame before it gets the next."""
        if self.paused:
            self.paused = False
            return None
        got = self.device.recv()
        if got is not None:
            self.paused = True
            frame = bytes(got[0][got[1] :])
            self.gate.arrived("in", self.name, len(frame), self.summarizer.line(frame))
        self.gate.passes(got is not None and self.waits())
        return got

    def send(self, tx: Transmit) -> bool:
        """Send the frame once it may pass."""
        frame = bytes(tx.to_bytes())
        self.gate.arrived("out", self.name, len(frame), self.summarizer.line(frame))
        sent = self.device.send(tx)
        self.gate.passes(self.waits())  # A kernel has often answered by now.
        return sent


class StepGate:
    """Holds frames and lets them pass. Commands may come from any thread."""

    def __init__(self, clock: HeldClock | None = None):
        self.clock = HeldClock() if clock is None else clock
        self.inner: Any = None
        self.probe = _GateProbe(self)
        self.stack: Any = None
        self.story: deque[str] = deque(maxlen=500)
        self.last: Event | None = None
        self.hits: list[str] = []
        self.breakpoints: list[Expression] = []
        #: why a breakpoint could not be evaluated the last time
        self.errors: dict[Expression, str] = {}
        self.number = 0
        self.held: Held | None = None
        self.passed: deque[str] = deque(maxlen=20)
        self.ended = False
        self.quit = False
        self._left = 0  # how many frames may pass without a stop
        self._blocks: dict[str, dict[str, Any]] = {}
        self._change: Any
        forked.renewed(self, "_change", threading.Condition)

    def install(self, stack: Any, device: Device | None) -> Device | None:
        """Put the gate between a stack and its device. If the stack has a probe, that probe still gets every event."""
        self.stack = stack
        self.inner = stack.probe
        stack.probe = self.probe
        return None if device is None else GateDevice(device, self)

    # -- in the stack's thread, under the host's lock ------------------------------------------------------------------

    def look(self, event: Event | None, frame: Held | None) -> None:
        """Find the breakpoints that hit now."""
        for expression in self.breakpoints:
            if frame is not None and not expression.momentary:
                continue  # It refers only to the state, which was checked at each event.
            try:
                value = expression.value(_Scope(self.stack, event, frame))  # type: ignore[arg-type]
            except AttributeError:
                value = None  # a field that only recordings have
            except (ValueError, ArithmeticError, LookupError) as error:
                self.errors[expression] = f"{type(error).__name__}: {error}"
                continue
            if value:
                text = expression.text if event is None else f"{expression.text} at {event.kind}: {event.reason}"
                if len(self.hits) < 10:
                    self.hits.append(text)

    def arrived(self, direction: str, iface: str, length: int, summary: str) -> None:
        """Hold a frame that reached the gate, or let it pass. The clock stands still from here until `passes`."""
        if self.ended:
            return
        self.clock.stop()
        self.number += 1
        held = Held(self.number, direction, iface, self.clock(), length, summary)
        self.look(self.last, held)
        held.story, held.hits, held.changes = list(self.story), self.hits, self._changes()
        self.story.clear()
        self.hits = []
        with self._change:
            if self._left > 0 and not held.hits:
                self._left -= 1
                self.passed.append(held.line())
                self._change.notify_all()
                return
            self._left = 0
            held.stopped = True
            self.held = held
            self._change.notify_all()
            while self.held is held and not self.ended:
                self._change.wait()

    def passes(self, next_waits: bool) -> None:
        """Called when the frame has passed. The clock runs again, unless the next frame is already there and will be
        held.
        """
        if self.ended or self._left > 0 or not next_waits:
            self.clock.go()

    def _changes(self) -> dict[str, list[str]]:
        """Return what changed in the connections since the previous frame."""
        blocks = {tcb.subject(): tcb.snapshot() for tcb in self.stack.tcp.all()}
        changes: dict[str, list[str]] = {}
        for subject, block in blocks.items():
            before = self._blocks.get(subject)
            if before is None:
                changes[subject] = [f"new, {block['state']}"]
                continue
            changed = [f"{name} {before[name]} -> {block[name]}" for name in block if before[name] != block[name]]
            if changed:
                changes[subject] = changed
        for subject in self._blocks:
            if subject not in blocks:
                changes[subject] = ["gone"]
        self._blocks = blocks
        return changes

    # -- from any thread -----------------------------------------------------------------------------------------------

    def wait(self, after: int, timeout: float) -> Held | None:
        """Return the frame that is held once its number is above `after`, or None if there is none within `timeout`
        seconds.
        """
        with self._change:
            self._change.wait_for(lambda: self.ended or (self.held is not None and self.held.number > after), timeout)
            return self.held if self.held is not None and self.held.number > after else None

    def take_passed(self) -> list[str]:
        """Return, as lines, the last frames that passed without a stop. Each line is returned once."""
        with self._change:
            lines = list(self.passed)
            self.passed.clear()
            return lines

    def inspect(self, fn: Callable[[Any], Any]) -> tuple[bool, Any]:
        """Return (True, fn(stack)) while a frame is held, and otherwise (False, None).

        The stack is at rest while a frame is held, although its lock is taken.
        """
        with self._change:
            return (True, fn(self.stack)) if self.held is not None else (False, None)

    def command(self, text: str) -> str:
        """Carry out a command line. Return the answer, or "" if there is nothing to say."""
        word, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        if word in ("", "s", "step", "next"):
            return self._go(0)
        if word == "n":
            if not rest.isdecimal() or not 0 < int(rest) < FOREVER:
                return f"n needs a number of frames, not {rest!r}"
            return self._go(int(rest) - 1)
        if word in ("c", "continue"):
            return self._go(FOREVER)
        if word in ("b", "break"):
            return self._break(rest)
        if word in ("d", "delete"):
            return self._delete(rest)
        if word in ("p", "show"):
            with self._change:
                return "the stack is running, and no frame is held" if self.held is None else self.held.text()
        if word in ("q", "quit"):
            self.quit = True
            self.end()
            return ""
        return HELP

    def _go(self, left: int) -> str:
        with self._change:
            if self.held is None:
                self._left = left
                return "no frame is held, so this applies to the next one"
            self._left = left
            self.held = None
            self._change.notify_all()
        return ""

    def _break(self, text: str) -> str:
        if not text:
            listed = [
                f"{number} {one.text}" + (f"   failed with {self.errors[one]}" if one in self.errors else "")
                for number, one in enumerate(self.breakpoints, 1)
            ]
            return "\n".join(listed) or "no breakpoints"
        try:
            expression = Expression(text, [self.stack.name])
        except ExpressionError as error:
            return error.caret()
        self.breakpoints = [*self.breakpoints, expression]
        return f"breakpoint {len(self.breakpoints)}: {expression.text}"

    def _delete(self, text: str) -> str:
        if not text.isdecimal() or not 0 < int(text) <= len(self.breakpoints):
            return f"there is no breakpoint {text!r}"
        gone = self.breakpoints[int(text) - 1]
        self.breakpoints = [one for one in self.breakpoints if one is not gone]
        self.errors.pop(gone, None)
        return f"deleted: {gone.text}"

    def end(self) -> None:
        """Stop holding frames. A frame that is held goes on."""
        with self._change:
            self.ended = True
            self.held = None
            self._change.notify_all()
