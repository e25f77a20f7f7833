"""Serving a stack: calls into it, threads that wait for it, and the leader that polls its devices. See realtime.py.

A hand-over between threads costs more than the protocol does. So a thread that blocks in recv, accept or connect
becomes the *leader*: it polls the devices itself, runs the core, and returns as soon as its own endpoint is ready. Other
blocked threads are *followers*: each waits at a gate of its own. A background *caretaker* leads while nobody is in a call.

The rules, all under the one lock of the host:

1. `leader` is the waiter that polls the devices, the caretaker, or None (the lead is vacant).
2. A thread that must wait takes a vacant lead, and takes the caretaker's (kicking it out of its sleep); otherwise it follows.
3. A leader that is done leaves the lead vacant. It is back soon, as a rule, and a successor would cost a hand-over.
4. So the caretaker naps a few milliseconds at a time and takes the lead when nobody led in between. While
   one thread stays in the lead, the caretaker sleeps deeply, and is woken once when the lead is left.
5. Followers that one batch of frames fired wait in `fired`, and run one after the other, as the interpreter's lock would have it
   anyway: each opens the next one's gate as it goes to sleep. The last one finds the lead vacant, and leads.
6. A leader whose batch was for others leaves the lead to them, and follows: the thread that has the traffic should be the
   one that polls, or each of its frames costs a hand-over. Where they did not take it (the caretaker had to), leaders stay
   for the next _STAY batches, and all that are fired run at once.
7. The sleeping leader's deadline is in `sleep_until`; a call that arms an earlier timer, or that fires the leader's
   own endpoint (loopback, close), kicks it out of its sleep.

Nobody polls by time: with all threads waiting, the leader sleeps until a frame comes or a timer is due.
"""

import errno
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack.phy.device import Device
from pystack.phy.tapio import FrameIO
from pystack.runtime.host import Host, HostRecorder
from pystack.runtime.lock import Gate, Lock, this_thread
from pystack.runtime.sleep import Sleeper, calm, monotonic, poke
from pystack.runtime.waiting import Waiter, Watch
from pystack_c.iface import Iface
from pystack_c.packet import Transmit

log = logging.getLogger("pystack.runtime")

#: frames read from one device before the stack is drained
_BATCH = 64
#: batches for which leaders keep the lead, after those they left it to did not take it
_STAY = 64
#: nanoseconds between two looks of the caretaker whether somebody leads
_NAP = 2_000_000
_FOREVER = (1 << 63) - 1
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


class ServingHost(Host):
    """A Host that is served by the threads that use it. RealtimeHost is the rest: setting up, starting and ending."""

    def __init__(self, stack: Any, recorder: HostRecorder | None = None, clock: Callable[[], int] | None = None):
        super().__init__(stack, recorder)
        self.lock = Lock()
        #: a clock that was given, or None: CLOCK_MONOTONIC
        self.source: Callable[[], int] | None = clock
        self.busy = False
        self.error: OSError | None = None
        self.ports: list[Port] = []
        self.by_index: dict[int, Port] = {}
        #: by thread; that of a thread that ended serves the next with its number
        self.waiters: dict[int, Waiter] = {}
        self.waiting: dict[Waiter, Watch] = {}
        self.garbage: deque[tuple[Callable[..., Any], Any]] = deque()
        self.fired: deque[Waiter] = deque()
        self.leader: Waiter | None = None
        self.caretaker = Waiter()
        self.turns = 0
        self.stay = 0
        self.deep = False
        self.nap = Gate()
        self.sleep_until = _AWAKE
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.kick_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Two sleepers over the same devices, so that kicking the caretaker wakes the caretaker, not its successor.
        self.sleeper = Sleeper()
        self.care_sleeper = Sleeper()
        self.sleeper.add(self.wake_fd)
        self.care_sleeper.add(self.kick_fd)
        #: frames a device had no room for
        self.tx_dropped = 0

    def clock(self) -> int:  # python
        """CLOCK_MONOTONIC, or the clock that was given."""
        return self.time()

    def time(self) -> int:
        """`clock`, for the compiled."""
        return monotonic() if self.source is None else self.source()

    # -- calls -------------------------------------------------------------------------------------------------

    def begin(self) -> int:
        """Begin a plain call into the core: take the lock. Returns `now`; `end(now)` must follow. -1: make it by `call`.

        What this saves is all that `call` does for recorders, probes and the uncompiled core.
        """
        self.lock.acquire()
        if self.error is not None or self.recorder is not None or self.stack.probe is not None or not C.COMPILED:
            self.lock.release()
            return -1
        return self.time()

    def end(self, now: int) -> None:
        """End what `begin` began: everything the stack has to send is sent, the lock given back."""
        try:
            self.drain(now, None)
        finally:
            self.lock.release()

    def call(self, fn: Callable[..., Any], target: Any, *args: Any) -> Any:  # python
        """`fn(target, *args, now)` under the lock, then everything the stack has to send is sent."""
        with self.lock:
            if self.error is not None:
                self.check()
            if self._in_order():
                return self._call_in_order(fn, target, args)
            now = self.time()  # object
            try:
                return fn(target, *args, now)
            finally:
                self.drain(now, None)

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

    # -- waiting -----------------------------------------------------------------------------------------------

    def wait(self, watch: Watch, bits: int, deadline: int | None) -> bool:
        """Wait until the endpoint is ready for one of `bits` (EV_*). False: `deadline` (ns) passed first.

        Whoever waits may lead: see the head of this file. Signal handlers run, and what they raise comes out here.
        """
        limit = -1
        if deadline is not None:
            limit = deadline
            if self.source is not None:
                # Callers count by the system's clock.
                limit += self.time() - monotonic()
        me = self._me()
        me.fired = False
        me.bits = bits
        try:
            if self._begin_wait(me, watch, limit):
                return True
            while True:
                if not me.parked:
                    self.lead(me, self.sleeper, limit)
                    if not me.parked:
                        break
                passed = me.gate.wait(me.timeout, me.opens)
                if self._back(me, passed, limit):
                    break
        finally:
            # Also after an exception out of a signal handler, wherever it struck.
            self._end_wait(me, watch)
        if me.fired and self.error is not None:
            self.check()
        return me.fired

    def _me(self) -> Waiter:
        """This thread's Waiter; one of its own for a signal handler that waits, in the middle of a wait of its thread."""
        ident = this_thread()
        me: Waiter | None = self.waiters.get(ident)
        if me is None:
            me = Waiter()
            self.waiters[ident] = me
        elif me in self.waiting:
            outer = me
            me = Waiter()
            me.outer = outer
        return me

    def _begin_wait(self, me: Waiter, watch: Watch, limit: int) -> bool:
        """True: there is nothing to wait for. Otherwise `me` leads, or is parked."""
        self.lock.acquire()
        try:
            if self.error is not None:
                self.check()
            if watch.readiness() & me.bits:
                return True
            self.waiting[me] = watch
            watch.add(me)
            self._take_lead(me, limit)
            return False
        finally:
            self.lock.release()

    def _back(self, me: Waiter, passed: bool, limit: int) -> bool:
        """Back from its gate: True where the wait is over. Otherwise `me` leads, or is parked again."""
        self.lock.acquire()
        try:
            me.unpark(passed)
            if me.fired or (not passed and limit >= 0 and self.time() >= limit):
                return True
            # Promoted: somebody has to lead.
            me.promoted = False
            self._take_lead(me, limit)
            return False
        finally:
            self.lock.release()

    def _end_wait(self, me: Waiter, watch: Watch) -> None:
        self.lock.acquire()
        try:
            if me in self.waiting:
                del self.waiting[me]
                watch.remove(me)
            if me.parked:
                # Interrupted; if it was fired meanwhile, the gate is open, or about to be.
                me.unpark(False)
            me.promoted = False
            if self.leader is me:
                if me.outer is not None and me.outer in self.waiting:
                    # Back to what was interrupted: it has to look again.
                    self.leader = me.outer
                    self.kick()
                else:
                    self.leave()
        finally:
            self.lock.release()

    def wake(self, watch: Watch) -> None:
        """Let all threads go that wait for this endpoint (somebody closed it)."""
        self.lock.acquire()
        try:
            for waiter in watch.waiters():
                waiter.fire()
            self.kick_if_fired()
            if self.leader is None:
                # Who closes may have led, and not come back: a thread that ends with its connection.
                for waiter in self.waiting:
                    if waiter.parked and not waiter.fired:
                        waiter.promote()
                        break
        finally:
            self.lock.release()

    def show(self, watch: Watch, hook: Callable[[int], None]) -> None:
        """Call `hook` now, and whenever the endpoint's readiness changes."""
        self.lock.acquire()
        try:
            watch.hooks = (*watch.hooks, hook)
            watch.endpoint.waiter = watch
            hook(0)
            self.kick_if_fired()
        finally:
            self.lock.release()

    def refresh(self, watch: Watch) -> None:
        """Call the watch's hooks: a call may have changed the endpoint's readiness without an event (recv took the last)."""
        self.lock.acquire()
        try:
            for hook in watch.hooks:
                hook(0)
            self.kick_if_fired()
        finally:
            self.lock.release()

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

    # -- leading -----------------------------------------------------------------------------------------------

    def _take_lead(self, me: Waiter, limit: int) -> None:
        """Take the lead if it is to be had; otherwise be parked. `me.timeout` and `me.opens` are for the sleep that follows."""
        if self.leader is None or self.leader is me.outer:
            me.opens = self.next_gate()
            me.parked = me.opens is not None
        else:
            me.parked = self.leader is not self.caretaker
            me.opens = self.next_gate()
            if not me.parked:
                poke(self.kick_fd)
        if me.parked:
            me.timeout = -1
            if limit >= 0:
                me.timeout = limit - self.time()
                if me.timeout < 0:
                    me.timeout = 0
            return
        self.leader = me
        self.turns += 1
        me.timeout = self.arm(limit)

    def next_gate(self) -> Gate | None:
        """The gate of the next follower that was fired and is still behind it: whoever asks must open it."""
        while self.fired:
            waiter: Waiter = self.fired.popleft()
            if waiter.fired and waiter.parked and not waiter.opened:
                waiter.opened = True
                return waiter.gate
        return None

    def open_all(self) -> None:
        """Let all go that were fired."""
        while self.fired:
            waiter: Waiter = self.fired.popleft()
            if waiter.fired:
                waiter.let_go()

    def kick(self) -> None:
        """Get the leader out of its sleep: it was fired, or has to look at the timers again."""
        self.sleep_until = _AWAKE
        poke(self.kick_fd if self.leader is self.caretaker else self.wake_fd)

    def kick_if_fired(self) -> None:
        """The leader itself was fired by a call."""
        if self.leader is not None and self.leader.fired and self.sleep_until >= 0:
            self.kick()

    def leave(self) -> None:
        """Leave the lead vacant; the caretaker will look."""
        self.leader = None
        self.sleep_until = _AWAKE
        if self.deep:
            self.deep = False
            self.nap.open()

    def lead(self, me: Waiter, sleeper: Sleeper, limit: int) -> None:
        """Serve the devices and the timers until `me` is fired, `limit` passes, or the lead is another's.

        `me.parked` says afterwards that it has to follow from now on.
        """
        while True:
            sleeper.sleep(me.timeout, me.opens)
            me.opens = None
            self.lock.acquire()
            try:
                if self.leader is not me:
                    return
                now = self.serve(sleeper)
                if me.fired or (limit >= 0 and now >= limit):
                    return
                if self.fired and me is not self.caretaker:
                    if self.stay == 0:
                        self.leave()
                        self._take_lead(me, limit)
                        if me.parked:
                            return
                        continue
                    self.stay -= 1
                self.open_all()
                me.timeout = self.arm(limit)
            finally:
                self.lock.release()

    def arm(self, limit: int) -> int:
        """How long the leader may sleep, in ns (-1: for ever); from here on calls kick it for earlier timers."""
        if self.garbage:
            return 0
        until = self.stack.timers.next_deadline()
        if until < 0 or (limit >= 0 and limit < until):
            until = limit
        if until < 0:
            self.sleep_until = _FOREVER
            return -1
        self.sleep_until = until
        left = until - self.time()
        return left if left > 0 else 0

    def serve(self, sleeper: Sleeper) -> int:
        """Read what the devices have, fire what is due, drain. Returns `now`."""
        self.sleep_until = _AWAKE
        now = self.time()
        self.busy = self._in_order()
        try:
            if sleeper.ready(0):
                calm(sleeper.fds[0])
            for item in self.ports:
                port: Port = item
                if port.place < 0 or sleeper.ready(port.place):
                    if port.io is not None and self.recorder is None:
                        self._read(port, now)
                    else:
                        self._read_any(port, now)
            due = self.stack.timers.next_deadline()
            if due >= 0:
                now = self.time()
                if due <= now and self.recorder is None:
                    self.stack.handle_timeout(now)
                elif due <= now:
                    self.handle_timeout()
        except Exception as exc:
            self.fail(exc)
        finally:
            self.drain(now, self.fired)
            self.busy = False
        return now

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

    # -- what comes out ----------------------------------------------------------------------------------------

    def drain(self, now: int, later: "deque[Waiter] | None") -> None:
        """Send what the stack wants to send, fire whom it concerns, and see to it that its next timer will be served.

        Gates are opened at once, or the waiters put into `later`.
        """
        try:
            if self.garbage:
                self._collect(now)
            if self.recorder is None:
                tx = self.stack.poll_transmit(now)
                while tx is not None:
                    self._send(tx)
                    tx = self.stack.poll_transmit(now)
            else:
                tx = self.poll_transmit()
                while tx is not None:
                    self._send(tx)
                    tx = self.poll_transmit()
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
        """Make the calls that finalizers asked for (`later`)."""
        while self.garbage:
            fn, target = self.garbage.popleft()
            if self.recorder is not None:
                self.recorder.call(now, fn, target, ())
            fn(target, now)
            if self.recorder is not None:
                self.recorder.result(None, None)

    # -- the caretaker -----------------------------------------------------------------------------------------

    def care(self) -> None:
        """The caretaker: leads while nobody is in a call. Returns when the host is stopped."""
        me = self.caretaker
        seen = self.turns
        while True:
            self.lock.acquire()
            try:
                if self.error is not None:
                    if self.leader is me:
                        self.leader = None
                    return
                leads = self._take_care(seen)
                seen = self.turns
                deep = self.deep
            finally:
                self.lock.release()
            if leads:
                self.lead(me, self.care_sleeper, -1)
            elif deep:
                self.nap.wait(-1, None)
                seen = self.turns
                self.nap.wait(_NAP, None)
            else:
                self.nap.wait(_NAP, None)

    def _take_care(self, seen: int) -> bool:
        """One look of the caretaker, which last saw this many turns: True where it has to lead."""
        me = self.caretaker
        if self.turns == seen:
            if self.leader is None:
                self.leader = me
                if self.waiting:
                    # Somebody waits, but who had the lead, or was left it, did not come back.
                    self.stay = _STAY
                    self.open_all()
            elif self.leader is not me:
                self.deep = True
        if self.leader is not me:
            return False
        me.timeout = self.arm(-1)
        return True

    # -- the end -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise what stopped the stack, if anything did."""
        error = self.error
        if error is not None:
            raise OSError(error.errno, error.strerror) from error.__cause__

    def fail(self, exc: BaseException) -> None:
        """The core or a device failed: say so, and let nobody wait for it any more. Under the lock."""
        if self.error is None:
            log.critical("the stack %s stopped: %r", self.name, exc, exc_info=exc)
            error = OSError(errno.ENETDOWN, f"the stack {self.name!r} stopped: {type(exc).__name__}: {exc}")
            error.__cause__ = exc
            self.stop(error)

    def stop(self, error: OSError) -> None:
        """From now on every call raises `error`. Under the lock."""
        self.error = error
        for waiter in self.waiting:
            waiter.fire()
        self.caretaker.fired = True
        poke(self.wake_fd)
        poke(self.kick_fd)
        if self.deep:
            self.deep = False
            self.nap.open()
