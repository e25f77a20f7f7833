"""Calls into a stack under one lock, and its output: frames for the devices, and events for the threads that wait."""

import errno
import os
from collections import deque
from collections.abc import Callable
from time import time_ns
from typing import Any

import pystack_c.const as C
from pystack.phy.device import Device
from pystack.phy.tapio import FrameIO
from pystack.runtime.host import Host, RecorderProtocol
from pystack.runtime.lock import Gate, this_thread
from pystack.runtime.sleep import monotonic, poke
from pystack.runtime.sockethost import LONGEST, SocketHost
from pystack.runtime.waiting import Hook, Waiter, Watch
from pystack_c.iface import Iface
from pystack_c.packet import Transmit

#: frames read from one device before the stack is drained
_BATCH = 64
#: the value of `sleep_until` while the leader is awake or there is no leader
_AWAKE = -1


class Port:
    """A device that the host serves.

    place     the position of its descriptor in both sleepers; -1: it has none
    io        the FrameIO of a phy.device.DescriptorDevice, which the driver uses directly, or None
    expected  the number of frames that the next read tries to get
    """

    def __init__(self, device: Device, iface: Iface, place: int) -> None:
        self.device: Any = device
        self.iface = iface
        self.place = place
        self.io: FrameIO | None = getattr(device, "frame_io", None)
        self.expected = _BATCH
        self.filled = 0

    def expect(self, count: int) -> None:
        """Note that a read found nothing after `count` frames. The next read expects as many."""
        self.expected = count if count > 1 else 1

    def expect_more(self) -> None:
        """Note that a read found all frames that it expected. Every eighth time, expect more."""
        self.filled += 1
        if self.filled & 7 == 0:
            self.expected = 4 * self.expected if self.expected < _BATCH // 4 else _BATCH


class CallingHost(SocketHost):
    """A SocketHost with devices.

    ServingHost adds the threads that wait; see realtime.py for all classes of a host.
    """

    def __init__(self, stack: Any, recorder: RecorderProtocol | None = None, clock: Callable[[], int] | None = None):
        super().__init__(stack, recorder)
        #: the clock in ns that the caller gave, or None for CLOCK_MONOTONIC
        self.source: Callable[[], int] | None = clock
        self.busy = False
        #: the thread that ends the process, or 0 (see `check`)
        self.leaver = 0
        self.ports: list[Port] = []
        self.by_index: dict[int, Port] = {}
        #: the work that finalizers left: (function, endpoint), or (None, handle)
        self.garbage: deque[tuple[Any, Any]] = deque()
        #: the waiter that polls the devices (see serving.py), the
        #: time until which it sleeps, and the eventfds that wake it
        self.leader: Waiter | None = None
        self.caretaker = Waiter()
        self.sleep_until = _AWAKE
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.kick_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        #: frames that were dropped because a device had no room
        self.tx_dropped = 0

    def clock(self) -> int:  # python
        """Return the time in ns: CLOCK_MONOTONIC, or the clock that the caller gave."""
        return self.time()

    def time(self) -> int:
        """Return `clock` for compiled code."""
        return monotonic() if self.source is None else self.source()

    def wall_time(self, stamp: int) -> int:  # python
        """The time of day (ns since 1970) at which this host's clock showed `stamp`."""
        return stamp + time_ns() - self.time()

    def caller(self) -> int:
        """The number of the calling thread."""
        return this_thread()

    def deadline(self, seconds: float | None) -> int | None:
        """SocketHost.deadline, without a call of Python's."""
        return None if seconds is None else self.time() + int(min(seconds, LONGEST) * 1e9)

    # -- calls --------------------------------------------------------------------------------------------------

    def begin(self) -> int:
        """Begin a call into the core, and take the lock, which `end` releases.

        Returns `now` for a direct call of the core.

        -1 means that the caller must use `call`, which supports recorders, probes and the uncompiled core, and which
        raises the error of a stack that has stopped.
        """
        self.lock.acquire()
        if self.error is not None or self._in_order():
            return -1
        return self.time()

    def end(self, now: int) -> None:
        """End the call that `begin` began.

        After a direct call, send everything that the stack has to send; then release the lock.
        """
        try:
            if now >= 0:
                self.drain(now, None)
        finally:
            self.lock.release()

    def call(self, fn: Callable[..., Any], target: Any, *args: Any) -> Any:  # python
        """Call `fn(target, *args, now)` under the lock and return its result.

        Afterwards, send everything the stack has to send.
        """
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
        """Return True if a call must end before the next begins: with a recorder, a probe, or the uncompiled core.

        Signal handlers run between two steps of Python, so they never interrupt a call of the compiled core.
        """
        return not C.COMPILED or self.recorder is not None or self.stack.probe is not None

    def _call_in_order(self, fn: Callable[..., Any], target: Any, args: tuple[Any, ...]) -> Any:  # python
        """Make the call as Host.call does.

        A signal handler that interrupted another call gets RuntimeError, as from Python's own io.
        """
        if self.busy:
            raise RuntimeError(
                f"reentrant call of the stack {self.name!r}: a signal handler interrupted another call of its thread"
            )
        self.busy = True
        try:
            return Host.call(self, fn, target, *args)
        finally:
            self.busy = False

    def pump(self) -> None:  # python
        """Drain the stack, for Host.call and Host.setup, which run under the lock."""
        self.drain(self.time(), None)

    def later(self, fn: Callable[..., Any], target: Any) -> None:
        """Make the call `fn(target)` now or soon.

        Finalizers use it, because they may run while this thread already holds the lock.
        """
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
        """Call `handle.bury()` under the lock, now or soon.

        Finalizers use it, because they must not wait for a lock.
        """
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
        """Read frames into the stack. It makes the acknowledgements for all of them once, afterwards.

        A read that finds nothing costs as much as a frame, so the
        driver tries to read about as many frames as last time.
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
        """Read frames as `_read` does, from a device without a FrameIO, or with a recorder."""
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
        """Send the stack's frames, fire the waiters of its events, and let the leader wake up for its next timer.

        The gates of these waiters are opened at once. If `later` is given, the waiters are appended to it instead.
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
        """Return the next frame to send, or None, and report it to the recorder."""
        if self.recorder is not None:
            return self.poll_transmit()
        return self.stack.poll_transmit(now)  # type: ignore[no-any-return]

    def _send(self, tx: Transmit) -> None:
        """Send one frame to its device, or drop and count it if the device has no room."""
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
        """Make the calls that finalizers requested (`later`), and close the descriptors that they left (`abandon`)."""
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
        """Wake the leader, because it was fired or has to check the timers again."""
        self.sleep_until = _AWAKE
        poke(self.kick_fd if self.leader is self.caretaker else self.wake_fd)

    def kick_if_fired(self) -> None:
        """Wake the leader if a call fired it."""
        if self.leader is not None and self.leader.fired and self.sleep_until >= 0:
            self.kick()

    # -- hooks --------------------------------------------------------------------------------------------------

    def show(self, watch: Watch, hook: Hook) -> None:
        """Notify `hook` now and at each change of the endpoint's readiness."""
        self.lock.acquire()
        try:
            watch.show(hook)
            watch.endpoint.waiter = watch
            hook.notify(0)
            self.kick_if_fired()
        finally:
            self.lock.release()

    def hide(self, watch: Watch, hook: Hook) -> None:
        """Stop notifying `hook`."""
        self.lock.acquire()
        try:
            watch.hide(hook)
        finally:
            self.lock.release()

    def refresh(self, watch: Watch) -> None:
        """Notify the watch's hooks, because a call may have changed the readiness without an event, as recv does."""
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
        """Raise OSError(ENETDOWN) if the stack has stopped, with the reason as its cause.

        While the interpreter ends, only the thread that ends it gets the error. Any other thread, usually a daemon that
        waits in accept(), waits without the lock until the process is over, as it would in a call of the kernel.
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
        """Log that the core or a device failed, and stop the stack. Needs the lock."""
        if self.error is None:
            import logging  # slow to import, and seldom needed

            log = logging.getLogger("pystack.runtime")  # object
            if isinstance(exc, OSError):  # a device's; it says what happened, and our calls do not help
                gone = exc.errno in (errno.EBADFD, errno.ENODEV, errno.ENXIO)  # object
                log.critical("the stack %s stopped: %s", self.name, "its device was deleted" if gone else exc)
            else:
                log.critical("the stack %s stopped: %r", self.name, exc, exc_info=exc)
            error = OSError(errno.ENETDOWN, f"the stack {self.name!r} stopped: {type(exc).__name__}: {exc}")
            error.__cause__ = exc
            self.stop(error)

    def stop(self, error: OSError) -> None:
        """Make every call raise `error` from now on. Needs the lock."""
        self.error = error
        poke(self.wake_fd)
        poke(self.kick_fd)
