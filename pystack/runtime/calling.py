"""Calls into a stack under one lock, and what comes out of it: frames to the devices, news to those that wait."""

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack.phy.device import Device
from pystack.phy.tapio import FrameIO
from pystack.runtime.host import Host, RecorderProtocol
from pystack.runtime.lock import Gate, Lock, this_thread
from pystack.runtime.sleep import monotonic, poke
from pystack.runtime.waiting import Hook, Waiter, Watch
from pystack_c.iface import Iface
from pystack_c.packet import Transmit

#: frames read from one device before the stack is drained
_BATCH = 64
#: `sleep_until` of a leader that is awake, and of nobody
_AWAKE = -1


class Port:
    """A device that is served: `place` is its descriptor's in both sleepers, `io` what reads and writes it where it is a TAP."""

    def __init__(self, device: Device, iface: Iface, place: int) -> None:
        self.device: Any = device
        self.iface = iface
        self.place = place
        self.io: FrameIO | None = getattr(device, "frame_io", None)
        self.expected = _BATCH
        self.filled = 0

    def expect(self, count: int) -> None:
        """A read found nothing after `count` frames: expect as many next time."""
        self.expected = count if count > 1 else 1

    def expect_more(self) -> None:
        """There were as many as expected, or more: now and then try whether it is more."""
        self.filled += 1
        if self.filled & 7 == 0:
            self.expected = 4 * self.expected if self.expected < _BATCH // 4 else _BATCH


class CallingHost(Host):
    """A Host with a lock and devices. ServingHost adds the threads that wait."""

    def __init__(self, stack: Any, recorder: RecorderProtocol | None = None, clock: Callable[[], int] | None = None):
        super().__init__(stack, recorder)
        self.lock = Lock()
        #: a clock that was given, or None: CLOCK_MONOTONIC
        self.source: Callable[[], int] | None = clock
        self.busy = False
        self.error: OSError | None = None
        #: the thread that ends the process, or 0 (see `check`)
        self.leaver = 0
        self.ports: list[Port] = []
        self.by_index: dict[int, Port] = {}
        #: what finalizers left: calls, and (None, descriptor)
        self.garbage: deque[tuple[Any, Any]] = deque()
        #: who polls the devices now (see serving.py), until when it sleeps, and what wakes it
        self.leader: Waiter | None = None
        self.caretaker = Waiter()
        self.sleep_until = _AWAKE
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.kick_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        #: frames a device had no room for
        self.tx_dropped = 0

    def clock(self) -> int:  # python
        """CLOCK_MONOTONIC, or the clock that was given."""
        return self.time()

    def time(self) -> int:
        """`clock`, for the compiled."""
        return monotonic() if self.source is None else self.source()

    # -- calls --------------------------------------------------------------------------------------------------

    def begin(self) -> int:
        """Begin a call into the core: take the lock, which `end` gives back. Returns `now` for a direct call of the core.

        -1 means that the call has to be made by `call`, which serves recorders, probes and the uncompiled core, and which raises
        the error of a stack that has stopped.
        """
        self.lock.acquire()
        if self.error is not None or self._in_order():
            return -1
        return self.time()

    def end(self, now: int) -> None:
        """End the call that `begin` began: after a direct call, send everything the stack has to send; release the lock."""
        try:
            if now >= 0:
                self.drain(now, None)
        finally:
            self.lock.release()

    def call(self, fn: Callable[..., Any], target: Any, *args: Any) -> Any:  # python
        """`fn(target, *args, now)` under the lock, then everything the stack has to send is sent."""
        self.lock.acquire()
        try:
            if self.error is not None:
                self.check()
            if self._in_order():
                return self._call_in_order(fn, target, args)
            now = self.time()  # object
            try:
                return fn(target, *args, now)
            finally:
                self.drain(now, None)
        finally:
            self.lock.release()

    def _in_order(self) -> bool:
        """Whether one thing must end before the next begins: a recorder or a probe listens, or the core is uncompiled.

        (Signal handlers run between two steps of Python, so never within a call of the compiled core.)
        """
        return not C.COMPILED or self.recorder is not None or self.stack.probe is not None

    def _call_in_order(self, fn: Callable[..., Any], target: Any, args: tuple[Any, ...]) -> Any:  # python
        """Host.call; a signal handler that interrupted another one gets an error, as from Python's own io."""
        if self.busy:
            raise RuntimeError(
                f"reentrant call of the stack {self.name!r}: a signal handler interrupted its own thread"
            )
        self.busy = True
        try:
            return Host.call(self, fn, target, *args)
        finally:
            self.busy = False

    def pump(self) -> None:  # python
        """Drain (for Host.call and Host.setup, which run under the lock)."""
        self.drain(self.time(), None)

    def later(self, fn: Callable[..., Any], target: Any) -> None:
        """`call(fn, target)`, now or soon: for finalizers, which may run while this very thread has the lock."""
        if self.error is not None:
            return
        self.garbage.append((fn, target))
        if not self.lock.mine() and self.lock.try_acquire():
            try:
                self.drain(self.time(), None)
            finally:
                self.lock.release()
        else:
            poke(self.wake_fd)
            poke(self.kick_fd)

    def abandon(self, handle: Any) -> None:
        """`handle.bury()` under the lock, now or soon: for finalizers, which may not wait for a lock, whatever their thread has."""
        self.garbage.append((None, handle))
        if not self.lock.mine() and self.lock.try_acquire():
            try:
                if self.error is None:
                    self.drain(self.time(), None)
                else:
                    self._collect(0)
            finally:
                self.lock.release()
        elif self.error is None:
            poke(self.wake_fd)
            poke(self.kick_fd)

    # -- what goes in -------------------------------------------------------------------------------------------

    def _read(self, port: Port, now: int) -> None:
        """Frames into the stack; the acknowledgements for all of them are made afterwards, once.

        About as many as last time are expected, for a read that finds nothing costs as much as a frame: now and then more.
        """
        io: Any = port.io
        for count in range(port.expected):
            frame = io.recv()
            if frame is None:
                port.expect(count)
                return
            self.stack.receive(port.iface, frame, now, io.offset, io.flags, io.gso_size)
        port.expect_more()

    def _read_any(self, port: Port, now: int) -> None:
        """The same from any device, and for a recorder."""
        for count in range(port.expected):
            got = port.device.recv()
            if got is None:
                port.expect(count)
                return
            frame, offset, flags, gso_size = got
            if self.recorder is not None:
                self.receive(port.iface, frame, offset, flags, gso_size)
            else:
                self.stack.receive(port.iface, frame, now, offset, flags, gso_size)
        port.expect_more()

    # -- what comes out -----------------------------------------------------------------------------------------

    def drain(self, now: int, later: "deque[Waiter] | None") -> None:
        """Send what the stack wants to send, fire whom it concerns, and see to it that its next timer will be served.

        Gates are opened at once, or the waiters put into `later`.
        """
        try:
            if self.garbage:
                self._collect(now)
            tx = self._next_frame(now)
            while tx is not None:
                self._send(tx)
                tx = self._next_frame(now)
            endpoint = self.stack.poll_event()
            while endpoint is not None:
                pending = endpoint.take_pending()
                if endpoint.waiter is not None:
                    watch: Watch = endpoint.waiter
                    watch.notify(pending, later)
                endpoint = self.stack.poll_event()
            if self.sleep_until >= 0:
                due = self.stack.timers.next_deadline()
                if (due >= 0 and due < self.sleep_until) or (self.leader is not None and self.leader.fired):
                    self.kick()
        except Exception as exc:
            self.fail(exc)

    def _next_frame(self, now: int) -> Transmit | None:
        """The next frame to send, told to the recorder if there is one."""
        if self.recorder is not None:
            return self.poll_transmit()
        return self.stack.poll_transmit(now)  # type: ignore[no-any-return]

    def _send(self, tx: Transmit) -> None:
        """One frame to its device."""
        iface: Iface = tx.iface
        port: Port = self.by_index[iface.index]
        if port.io is None:
            if not port.device.send(tx):
                self.tx_dropped += 1
            return
        code = port.io.send(tx)
        if code != 0 and not port.device.refused(code):
            self.tx_dropped += 1

    def _collect(self, now: int) -> None:
        """Make the calls that finalizers asked for (`later`), and close the descriptors that they left (`abandon`)."""
        while self.garbage:
            fn, target = self.garbage.popleft()
            if fn is None:
                target.bury()
                continue
            if self.error is not None:
                continue
            if self.recorder is not None:
                self.recorder.call(now, fn, target, ())
            fn(target, now)
            if self.recorder is not None:
                self.recorder.result(None, None)

    def kick(self) -> None:
        """Get the leader out of its sleep: it was fired, or has to look at the timers again."""
        self.sleep_until = _AWAKE
        poke(self.kick_fd if self.leader is self.caretaker else self.wake_fd)

    def kick_if_fired(self) -> None:
        """The leader itself was fired by a call."""
        if self.leader is not None and self.leader.fired and self.sleep_until >= 0:
            self.kick()

    # -- hooks --------------------------------------------------------------------------------------------------

    def show(self, watch: Watch, hook: Hook) -> None:
        """Notify `hook` now, and whenever the endpoint's readiness changes."""
        self.lock.acquire()
        try:
            watch.show(hook)
            watch.endpoint.waiter = watch
            hook.notify(0)
            self.kick_if_fired()
        finally:
            self.lock.release()

    def hide(self, watch: Watch, hook: Hook) -> None:
        """Notify `hook` no more."""
        self.lock.acquire()
        try:
            watch.hide(hook)
        finally:
            self.lock.release()

    def watch_descriptor(self, handle: Any) -> None:  # python
        """A socket has got a number (RealtimeHost)."""
        raise NotImplementedError

    def forget_descriptor(self, handle: Any) -> None:  # python
        """It gives it back."""
        raise NotImplementedError

    def refresh(self, watch: Watch) -> None:
        """Notify the watch's hooks: a call may have changed the endpoint's readiness without an event (recv took the last)."""
        self.lock.acquire()
        try:
            for item in watch.hooks:
                hook: Hook = item
                hook.notify(0)
            self.kick_if_fired()
        finally:
            self.lock.release()

    # -- the end ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise what stopped the stack, if anything did.

        While the interpreter ends, only the thread that ends it hears of that: any other one, a daemon that waits in accept() as a
        rule, waits on without the lock until the process is over, as it would in a call of the kernel.
        """
        error = self.error
        if error is not None:
            if self.leaver != 0 and self.leaver != this_thread():
                while self.lock.mine():
                    self.lock.release()
                while True:
                    Gate().wait(-1, None)
            raise OSError(error.errno, error.strerror) from error.__cause__

    def fail(self, exc: BaseException) -> None:
        """The core or a device failed: say so, and let nobody wait for it any more. Under the lock."""
        if self.error is None:
            import logging  # slow to import, and seldom needed

            log = logging.getLogger("pystack.runtime")  # object
            log.critical("the stack %s stopped: %r", self.name, exc, exc_info=exc)
            error = OSError(errno.ENETDOWN, f"the stack {self.name!r} stopped: {type(exc).__name__}: {exc}")
            error.__cause__ = exc
            self.stop(error)

    def stop(self, error: OSError) -> None:
        """From now on every call raises `error`. Under the lock."""
        self.error = error
        poke(self.wake_fd)
        poke(self.kick_fd)
