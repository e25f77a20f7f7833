"""Serving a stack: the threads that wait for it, and the leader among them, which polls the devices. See realtime.py.

A hand-over between threads costs more than the protocol does. So a thread that blocks in recv, accept or connect
becomes the *leader*: it polls the devices itself, runs the core, and returns as soon as its own endpoint is ready.
Other blocked threads are *followers*: each waits at its own gate. A background thread, the *caretaker*, leads while no
thread is in a call.

The rules, all under the one lock of the host:

1. `leader` is the waiter that polls the devices, the caretaker, or None (the lead is vacant).
2. A thread that must wait takes a vacant lead, or takes the caretaker's lead and wakes it; otherwise it follows.
3. A leader that has finished leaves the lead vacant. It usually comes back soon, and a successor would cost a hand-over.
4. Therefore the caretaker naps for a few milliseconds at a time and takes the lead if no thread led in the meantime.
   While one thread stays in the lead, the caretaker sleeps
   deeply, and it is woken once when that thread leaves the lead.
5. Followers that were fired by one batch of frames wait in `fired` and run one after the other, as the interpreter's
   lock would make them do anyway: each opens the gate of the next when
   it goes to sleep. The last one finds the lead vacant and leads.
6. A leader whose batch was for others leaves the lead to them and follows, because the thread that has the traffic
   should poll; otherwise each of its frames costs a hand-over. If the others did not take the lead (the caretaker had
   to), leaders keep it for the next _STAY batches, and all fired threads run at once.
7. The sleeping leader's deadline is in `sleep_until`. A call that arms an earlier timer, or that fires the leader's
   own endpoint (loopback, close), wakes the leader.

No thread polls by time: if all threads wait, the leader sleeps until a frame arrives or a timer is due.
"""

import os
from collections import deque
from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack.runtime.calling import CallingHost, Port
from pystack.runtime.host import RecorderProtocol
from pystack.runtime.lock import Gate, this_thread
from pystack.runtime.sleep import Sleeper, calm, monotonic, poke
from pystack.runtime.waiting import Waiter, Watch

#: batches for which leaders keep the lead after other threads did not take it
_STAY = 64
#: nanoseconds between two checks of the caretaker whether a thread leads
_NAP = 2_000_000
#: nanoseconds between two polls by an event loop that is always busy
_LOOK = 50_000
_FOREVER = (1 << 63) - 1
#: the value of `sleep_until` while the leader is awake or there is no leader
_AWAKE = -1


class ServingHost(CallingHost):
    """A host that the threads that use it also serve. RealtimeHost adds setup, start and end."""

    def __init__(self, stack: Any, recorder: RecorderProtocol | None = None, clock: Callable[[], int] | None = None):
        super().__init__(stack, recorder, clock)
        #: the Waiter of each thread by the thread's number; a later thread with the same number uses it again
        self.waiters: dict[int, Waiter] = {}
        self.waiting: dict[Waiter, Watch] = {}
        self.fired: deque[Waiter] = deque()
        self.turns = 0
        self.stay = 0
        self.deep = False
        self.nap = Gate()
        # Two sleepers over the same devices, so that kicking the caretaker wakes the caretaker, not its successor.
        self.sleeper = Sleeper()
        self.care_sleeper = Sleeper()
        self.sleepers = [self.sleeper, self.care_sleeper]
        for sleeper, fd in ((self.sleeper, self.wake_fd), (self.care_sleeper, self.kick_fd)):  # object
            sleeper.add(fd)
            sleeper.add(-1)

    # -- waiting ------------------------------------------------------------------------------------------------

    def wait(self, watch: Watch, bits: int, deadline: int | None) -> bool:
        """Wait until the endpoint is ready for one of `bits` (EV_*). Returns False if `deadline` (ns) passed first.

        The thread may lead while it waits, as the head of this file
        explains. Signal handlers run, and their exceptions leave this call.
        """
        limit = -1 if deadline is None else deadline
        me = self._me()
        me.bits = bits
        self._await(me, watch, limit)
        if self.error is not None and (me.fired or self.leaver != 0):
            self.check()
        return me.fired

    def await_loop(self, me: Waiter, watch: Watch, limit: int) -> None:
        """Poll the devices once for an event loop, then wait for an event, a kernel descriptor, or `limit` (ns)."""
        me.outside = False
        self._await(me, watch, limit)

    def _await(self, me: Waiter, watch: Watch, limit: int) -> None:
        sleeper = self.sleeper if me.leading is None else me.leading
        me.fired = False
        try:
            if self._begin_wait(me, watch, limit):
                me.fired = True
                return
            while True:
                if not me.parked:
                    self.lead(me, sleeper, limit)
                    if not me.parked:
                        break
                passed = me.park()
                if self._back(me, passed, limit):
                    break
        finally:
            # This also runs after an exception in a signal handler, wherever it occurred.
            self._end_wait(me, watch)

    def _me(self) -> Waiter:
        """Return this thread's Waiter, or a new one for a signal handler that waits while its thread already waits."""
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
        """Begin to wait. True means that the endpoint is ready already; otherwise `me` leads or is parked."""
        self.lock.acquire()
        try:
            if self.error is not None:
                self.check()
            if watch.readiness() & me.bits:
                if me.event_fd < 0 or monotonic() - me.looked < _LOOK:
                    return True
                # Even an event loop that is always busy has to poll the devices now and then.
                me.fired = True
                limit = 0
            if me.event_fd >= 0:
                me.looked = monotonic()
            self.waiting[me] = watch
            watch.add(me)
            self._take_lead(me, limit)
            return False
        finally:
            self.lock.release()

    def _back(self, me: Waiter, passed: bool, limit: int) -> bool:
        """Return from the gate: True if the wait is over; otherwise `me` leads or is parked again."""
        self.lock.acquire()
        try:
            me.unpark(passed)
            if me.fired or me.outside or (not passed and limit >= 0 and self.time() >= limit):
                return True
            # The thread was promoted because a thread has to lead.
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
                # The wait was interrupted. If the waiter was fired meanwhile, its gate is open or about to open.
                me.unpark(False)
            me.promoted = False
            if self.leader is me:
                if me.outer is not None and me.outer in self.waiting:
                    # Return to the interrupted wait, which has to check again.
                    self.leader = me.outer
                    self.kick()
                else:
                    self.leave()
        finally:
            self.lock.release()

    def loop_waiter(self, fd: int) -> Waiter:
        """Make a Waiter for an event loop.

        `fd` (of an epoll) is readable while one of the kernel's descriptors is ready.
        """
        me = Waiter()
        me.event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        me.bits = C.EV_IN
        me.leading = Sleeper()
        me.following = Sleeper()
        self.lock.acquire()
        try:
            me.leading.add(self.wake_fd)
            me.leading.add(fd)
            me.following.add(me.event_fd)
            me.following.add(fd)
            for port in self.ports:
                if port.place >= 0:
                    me.leading.add(port.device.fileno())
            me.leading.busy_poll = self.sleeper.busy_poll
            self.sleepers.append(me.leading)
        finally:
            self.lock.release()
        return me

    def end_loop(self, me: Waiter) -> None:
        """Remove the Waiter of an event loop that is closed."""
        self.lock.acquire()
        try:
            if me.leading in self.sleepers:
                self.sleepers.remove(me.leading)
                os.close(me.event_fd)
                me.event_fd = -1
        finally:
            self.lock.release()

    def wake(self, watch: Watch) -> None:
        """Release all threads that wait for this endpoint, for example because it was closed."""
        self.lock.acquire()
        try:
            for waiter in watch.waiters():
                waiter.fire()
            self.kick_if_fired()
            if self.leader is None:
                # The thread that closed the endpoint may have led and may never come back, if it ends with its connection. The thread
                # that began to wait last leads: it was the last that had something to do, so the next frame is probably for it, too.
                for waiter in reversed(self.waiting):
                    if waiter.parked and not waiter.fired:
                        waiter.promote()
                        break
        finally:
            self.lock.release()

    # -- leading ------------------------------------------------------------------------------------------------

    def _take_lead(self, me: Waiter, limit: int) -> None:
        """Take the lead if it is free, otherwise be parked.

        Sets `me.timeout` and `me.opens` for the sleep that follows.
        """
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
        """Return the gate of the next fired follower that still waits at it, or None. The caller must open the gate."""
        while self.fired:
            waiter: Waiter = self.fired.popleft()
            if waiter.fired and waiter.parked and not waiter.opened:
                if waiter.event_fd < 0:
                    waiter.opened = True
                    return waiter.gate
                waiter.let_go()
        return None

    def open_all(self) -> None:
        """Release all waiters that were fired."""
        while self.fired:
            waiter: Waiter = self.fired.popleft()
            if waiter.fired:
                waiter.let_go()

    def leave(self) -> None:
        """Leave the lead vacant; the caretaker will check for that."""
        self.leader = None
        self.sleep_until = _AWAKE
        if self.deep:
            self.deep = False
            self.nap.open()

    def lead(self, me: Waiter, sleeper: Sleeper, limit: int) -> None:
        """Serve the devices and the timers until `me` is fired, `limit` (ns) passes, or another thread has the lead.

        Afterwards `me.parked` is True if the thread has to follow from now on.
        """
        while True:
            sleeper.sleep(me.timeout, me.opens)
            me.opens = None
            self.lock.acquire()
            try:
                if self.leader is not me:
                    return
                me.outside = sleeper.ready(1)
                now = self.serve(sleeper)
                if me.fired or me.outside or (limit >= 0 and now >= limit):
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
        """Return how long the leader may sleep, in ns (-1: forever).

        From now on, a call with an earlier timer wakes it.
        """
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
        """Read the devices, fire the timers that are due, and drain. Returns `now`."""
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

    # -- the caretaker ------------------------------------------------------------------------------------------

    def care(self) -> None:
        """Run the caretaker, which leads while no thread is in a call. Returns when the host is stopped."""
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
        """Decide whether the caretaker has to lead. It last saw `seen` turns of the lead."""
        me = self.caretaker
        if self.turns == seen:
            if self.leader is None:
                self.leader = me
                if self.waiting:
                    # A thread waits, but the thread that had the lead, or to which it was left, did not come back.
                    self.stay = _STAY
                    self.open_all()
            elif self.leader is not me:
                self.deep = True
        if self.leader is not me:
            return False
        me.timeout = self.arm(-1)
        return True

    def stop(self, error: OSError) -> None:
        """Make every call raise `error` from now on, and release all threads that wait. Under the lock."""
        CallingHost.stop(self, error)
        if self.leaver == 0:
            for waiter in self.waiting:
                waiter.fire()
        self.caretaker.fired = True
        if self.deep:
            self.deep = False
            self.nap.open()
