"""The real-time driver: one stack over TAP devices, served by the very threads that wait for it.

A hand-over between threads costs more than the protocol does. So a thread that blocks in recv, accept or connect
becomes the *leader*: it polls the devices itself, runs the core, and returns as soon as its own endpoint is ready. Other
blocked threads are *followers*: each waits on a lock of its own, which whoever runs the core releases
when `poll_event` gives the follower's endpoint. A background *caretaker* thread leads while nobody is in a call.

The rules, all under the one lock of the host:

1. `_leader` is the waiter that polls the devices, the caretaker, or None (the lead is vacant).
2. A thread that must wait takes a vacant lead, and takes the caretaker's (kicking it out of its epoll); otherwise it follows.
3. A leader that is done leaves the lead vacant. It is back soon, as a rule, and a successor would cost a hand-over.
4. So the caretaker naps a few milliseconds at a time and takes the lead when nobody led in between. While
   one thread stays in the lead, the caretaker sleeps deeply, and is woken once when the lead is left.
5. A leader that served others several times and never itself leaves the lead to them, and follows: the thread that
   has the traffic should be the one in epoll, or each of its frames costs a hand-over.
6. The sleeping leader's deadline is in `_sleep_until`; a call that arms an earlier timer, or that fires the leader's
   own endpoint (loopback, close), kicks it out of its epoll.

Nobody polls by time: with all threads waiting, the leader is in epoll until a frame comes or a timer is due.
"""

import errno
import logging
import os
import select
import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

import pystack_c.const as C
from pystack._build import is_extension
from pystack.phy.device import Device
from pystack.runtime.host import Host, HostRecorder
from pystack.runtime.waiting import Waiter, Watch
from pystack_c.tcp import user as tcp

log = logging.getLogger("pystack.runtime")

#: frames read from one device before the stack is drained
BATCH = 64
#: times that a leader serves others, and not itself, before it leaves the lead to them
OTHERS = 4
#: seconds between two looks of the caretaker whether somebody leads
NAP = 0.002

_CONNECTED = (C.SYN_RECEIVED, C.ESTABLISHED, C.FIN_WAIT_1, C.FIN_WAIT_2, C.CLOSE_WAIT, C.CLOSING, C.LAST_ACK)
FOREVER = (1 << 63) - 1
#: whether the core runs compiled
_COMPILED = is_extension(tcp)
_AWAKE = -1


class RealtimeHost(Host):
    """Drives a stack over devices in real time. Every method may be called from any thread.

    >>> host = RealtimeHost(Stack(seed))
    >>> iface = host.attach(TapDevice("tap0", address="10.0.0.1/24"))
    >>> host.setup("add_addr", iface, 0x0A000002, 24)
    >>> host.start()
    """

    def __init__(self, stack: Any, recorder: HostRecorder | None = None, clock: Callable[[], int] | None = None):
        super().__init__(stack, recorder)
        # Reentrant: a signal handler may use the stack wherever it interrupted its thread.
        self._lock = threading.RLock()
        self._busy = False
        self._now = monotonic_ns if clock is None else clock
        self._local = threading.local()
        self._ports: dict[int, tuple[Device, Any]] = {}
        self._devices: dict[int, Device] = {}
        self._error: OSError | None = None
        self._waiting: dict[Waiter, Watch] = {}
        self._garbage: deque[tuple[Callable[..., Any], Any]] = deque()
        self._leader: Waiter | None = None
        self._caretaker = Waiter()
        self._thread: threading.Thread | None = None
        self._turns = 0
        self._told = False
        self._expected = BATCH
        self._filled = 0
        self._deep = False
        self._nap = threading.Lock()
        self._nap.acquire()
        self._sleep_until = _AWAKE
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._kick_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Two epolls over the same devices, so that kicking the caretaker wakes the caretaker, not its successor.
        self._epoll = select.epoll()
        self._care_epoll = select.epoll()
        self._epoll.register(self._wake_fd, select.EPOLLIN)
        self._care_epoll.register(self._wake_fd, select.EPOLLIN)
        self._care_epoll.register(self._kick_fd, select.EPOLLIN)
        #: what holds the frames of this host (stepping.Gate), or None
        self.gate: Any = None
        #: frames a device had no room for
        self.tx_dropped = 0
        #: `socket.socket` on this host, made when first asked for (pystack.stack.socket_class)
        self.socket_type: Any = None
        _hosts.add(self)

    # -- setting up --------------------------------------------------------------------------------------------

    def clock(self) -> int:
        """CLOCK_MONOTONIC, or the clock that was given."""
        return self._now()

    def attach(self, device: Device) -> Any:
        """Make `device` an interface of the stack and serve it. Returns the Iface."""
        iface = self.setup(
            "add_iface", device.name, device.kind, device.mac, device.mtu, device.tx_csum, device.gso_max
        )
        with self._lock:
            self._devices[iface.index] = device
            fd = device.fileno()
            self._ports[fd] = (device, iface)
            self._epoll.register(fd, select.EPOLLIN)
            self._care_epoll.register(fd, select.EPOLLIN)
        return iface

    def setup(self, name: str, *args: Any) -> Any:
        """Host.setup, under the lock."""
        with self._lock:
            self._check()
            return super().setup(name, *args)

    def start(self) -> None:
        """Start the caretaker: from now on the stack answers by itself."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._care, name=f"pystack-{self.name}", daemon=True)
            self._thread.start()

    def set_probe(self, probe: Any) -> None:
        """Set, change or (None) take away the stack's probe. It is called under the lock: it must not call back."""
        with self._lock:
            self.stack.probe = probe

    def inspect(self, fn: Callable[..., Any], *args: Any) -> Any:
        """fn(stack, *args) under the lock: to look at the core's tables, not to change them."""
        if self.gate is not None:
            # While a frame is held, its thread has the lock, and the stack is at rest.
            done, result = self.gate.inspect(lambda stack: fn(stack, *args))
            if done:
                return result
        with self._lock:
            return fn(self.stack, *args)

    # -- calls -------------------------------------------------------------------------------------------------

    def call(self, fn: Callable[..., Any], target: Any, *args: Any) -> Any:
        """`fn(target, *args, now)` under the lock, then everything the stack has to send is sent."""
        with self._lock:
            if self._error is not None:
                self._check()
            if self._in_order():
                return self._call_in_order(fn, target, args)
            now = self._now()
            try:
                result = fn(target, *args, now)
            except BaseException:
                self._drain(now)
                raise
            self._drain(now)
            return result

    def _in_order(self) -> bool:
        """Whether one thing must end before the next begins: a recorder or a probe listens, or the core is uncompiled.

        (Signal handlers run between two steps of Python, so never within a call of the compiled core.)
        """
        return not _COMPILED or self.recorder is not None or self.stack.probe is not None

    def _call_in_order(self, fn: Callable[..., Any], target: Any, args: tuple[Any, ...]) -> Any:
        """Host.call; a signal handler that interrupted another one gets an error, as from Python's own io."""
        if self._busy:
            raise RuntimeError(
                f"reentrant call of the stack {self.name!r}: a signal handler interrupted its own thread"
            )
        self._busy = True
        try:
            return super().call(fn, target, *args)
        finally:
            self._busy = False

    def pump(self) -> None:
        """Drain (for Host.call and Host.setup, which run under the lock)."""
        self._drain(self._now())

    def wait(self, watch: Watch, bits: int, deadline: int | None) -> bool:
        """Wait until the endpoint is ready for one of `bits` (EV_*). False: `deadline` (ns) passed first.

        Whoever waits may lead: see the head of this file. Signal handlers run, and what they raise comes out here.
        """
        me: Waiter | None = getattr(self._local, "waiter", None)
        if me is None:
            me = self._local.waiter = Waiter()
        elif me in self._waiting:
            # A signal handler waits, in the middle of a wait of its thread.
            outer, me = me, Waiter()
            me.outer = outer
        me.fired = False
        me.bits = bits
        timeout = None
        if deadline is not None and self._now is not monotonic_ns:
            # Callers count by the system's clock.
            deadline += self._now() - monotonic_ns()
        try:
            with self._lock:
                self._check()
                if watch.endpoint.readiness() & bits:
                    return True
                self._waiting[me] = watch
                watch.add(me)
                timeout = self._take_lead(me, deadline)
            while True:
                if timeout is not None:
                    self._lead(me, self._epoll, timeout, deadline)
                    if not me.parked:
                        break
                if deadline is None:
                    me.gate.acquire()
                elif not me.gate.acquire(timeout=_seconds(deadline - self._now())):
                    break
                with self._lock:
                    me.parked = False
                    if not me.promoted or me.fired:
                        break
                    # Not fired: somebody has to lead.
                    me.promoted = False
                    timeout = self._take_lead(me, deadline)
        finally:
            # Also after an exception out of a signal handler, wherever it struck.
            with self._lock:
                if self._waiting.pop(me, None) is not None:
                    watch.remove(me)
                if me.parked or me.promoted:
                    # Timed out or interrupted; if it was fired meanwhile, the gate is open: shut it.
                    me.parked = me.promoted = False
                    me.gate.acquire(blocking=False)
                if self._leader is me and me.outer in self._waiting:
                    # Back to what was interrupted: it has to look again.
                    self._leader = me.outer
                    self._kick()
                elif self._leader is me:
                    self._leave()
        if me.fired and self._error is not None:
            self._check()
        return me.fired

    def wake(self, watch: Watch) -> None:
        """Let all threads go that wait for this endpoint (somebody closed it)."""
        with self._lock:
            for waiter in watch.waiters:
                waiter.fire()
            self._kick_if_fired()
            if self._leader is None:
                # Who closes may have led, and not come back: a thread that ends with its connection.
                for waiter in self._waiting:
                    if waiter.parked and not waiter.fired:
                        waiter.promote()
                        break

    def show(self, watch: Watch, hook: Callable[[int], None]) -> None:
        """Call `hook` now, and whenever the endpoint's readiness changes."""
        with self._lock:
            watch.hooks = (*watch.hooks, hook)
            watch.endpoint.waiter = watch
            hook(0)
            self._kick_if_fired()

    def refresh(self, watch: Watch) -> None:
        """Call the watch's hooks: a call may have changed the endpoint's readiness without an event (recv took the last)."""
        with self._lock:
            for hook in watch.hooks:
                hook(0)
            self._kick_if_fired()

    def later(self, fn: Callable[..., Any], target: Any) -> None:
        """`call(fn, target)`, now or soon: for finalizers, which may run while this very thread has the lock."""
        if self._error is not None:
            return
        self._garbage.append((fn, target))
        if not self._lock._is_owned() and self._lock.acquire(blocking=False):  # type: ignore[attr-defined]
            try:
                self._drain(self._now())
            finally:
                self._lock.release()
        else:
            os.eventfd_write(self._wake_fd, 1)

    # -- leading -----------------------------------------------------------------------------------------------

    def _take_lead(self, me: Waiter, deadline: int | None) -> float | None:
        """Take the lead if it is to be had, and return how long to sleep; or get ready to follow, and return None."""
        if self._leader is not None and self._leader is not me.outer:
            if self._leader is not self._caretaker:
                me.parked = True
                return None
            os.eventfd_write(self._kick_fd, 1)
        self._leader = me
        self._turns += 1
        return self._arm(deadline)

    def _kick(self) -> None:
        """Get the leader out of its epoll: it was fired, or has to look at the timers again."""
        self._sleep_until = _AWAKE
        os.eventfd_write(self._wake_fd, 1)

    def _kick_if_fired(self) -> None:
        if self._leader is not None and self._leader.fired and self._sleep_until >= 0:
            self._kick()

    def _leave(self) -> None:
        """Leave the lead vacant; the caretaker will look."""
        self._leader = None
        self._sleep_until = _AWAKE
        if self._deep:
            self._deep = False
            self._nap.release()

    def _lead(self, me: Waiter, epoll: select.epoll, timeout: float, deadline: int | None) -> None:
        """Serve the devices and the timers until `me` is fired, the deadline passes, or the lead is another's.

        `me.parked` says afterwards that it has to follow from now on.
        """
        others = 0
        while True:
            ready = epoll.poll(timeout)
            with self._lock:
                if self._leader is not me:
                    return
                self._told = False
                now = self._serve(ready)
                if me.fired or (deadline is not None and now >= deadline):
                    return
                if self._told and me is not self._caretaker:
                    others += 1
                    if others == OTHERS:
                        self._leave()
                        me.parked = True
                        return
                timeout = self._arm(deadline)

    def _arm(self, deadline: int | None) -> float:
        """How long the leader may sleep, in seconds (-1: for ever); from here on calls kick it for earlier timers."""
        until = self.stack.poll_timeout()
        if until is None or (deadline is not None and deadline < until):
            until = deadline
        if self._garbage:
            return 0.0
        if until is None:
            self._sleep_until = FOREVER
            return -1.0
        self._sleep_until = until
        return _seconds(until - self._now())

    def _serve(self, ready: list[tuple[int, int]]) -> int:
        """Read what the devices have, fire what is due, drain. Returns `now`."""
        self._sleep_until = _AWAKE
        now = self._now()
        self._busy = self._in_order()
        try:
            for fd, _ in ready:
                port = self._ports.get(fd)
                if port is None:
                    _clear(fd)
                else:
                    self._read(port[0], port[1], now)
            due = self.stack.poll_timeout()
            if due is not None:
                now = self._now()
                if due <= now:
                    self.handle_timeout()
        except Exception as exc:
            self._fail(exc)
        finally:
            self._drain(now)
            self._busy = False
        return now

    def _read(self, device: Device, iface: Any, now: int) -> None:
        """Up to BATCH frames into the stack; the acknowledgements for all of them are made afterwards, once.

        About as many as last time are expected, for a read that finds nothing costs as much as a frame: now and then more.
        """
        recorded = self.recorder is not None
        receive = self.stack.receive
        for count in range(self._expected):
            got = device.recv()
            if got is None:
                self._expected = max(1, count)
                return
            frame, offset, flags, gso_size = got
            if recorded:
                self.receive(iface, frame, offset, flags, gso_size)
            else:
                receive(iface, frame, now, offset, flags, gso_size)
        self._filled += 1
        if self._filled % 8 == 0:
            self._expected = min(BATCH, 4 * self._expected)

    def _drain(self, now: int) -> None:
        """Send what the stack wants to send, wake whom it concerns, and see to it that its next timer will be served."""
        try:
            while self._garbage:
                fn, target = self._garbage.popleft()
                if self.recorder is not None:
                    self.recorder.call(now, fn, target, ())
                fn(target, now)
                if self.recorder is not None:
                    self.recorder.result(None, None)
            stack = self.stack
            if self.recorder is None:
                tx = stack.poll_transmit(now)
                while tx is not None:
                    if not self._devices[tx.iface.index].send(tx):
                        self.tx_dropped += 1
                    tx = stack.poll_transmit(now)
            else:
                tx = self.poll_transmit()
                while tx is not None:
                    if not self._devices[tx.iface.index].send(tx):
                        self.tx_dropped += 1
                    tx = self.poll_transmit()
            endpoint = stack.poll_event()
            while endpoint is not None:
                bits = endpoint.take_pending()
                if endpoint.waiter is not None:
                    endpoint.waiter.notify(bits)
                    self._told = True
                endpoint = stack.poll_event()
            if self._sleep_until >= 0:
                due = stack.poll_timeout()
                leader = self._leader
                if (due is not None and due < self._sleep_until) or (leader is not None and leader.fired):
                    self._kick()
        except Exception as exc:
            self._fail(exc)

    def _care(self) -> None:
        """The caretaker: leads while nobody is in a call."""
        me = self._caretaker
        seen = self._turns
        while True:
            timeout = None
            with self._lock:
                if self._error is not None:
                    if self._leader is me:
                        self._leader = None
                    return
                if self._leader is me or (self._leader is None and self._turns == seen):
                    self._leader = me
                    timeout = self._arm(None)
                elif self._leader is not None and self._turns == seen:
                    self._deep = True
                seen = self._turns
                deep = self._deep
            if timeout is not None:
                self._lead(me, self._care_epoll, timeout, None)
            elif deep:
                self._nap.acquire()
                seen = self._turns
                self._nap.acquire(timeout=NAP)
            else:
                self._nap.acquire(timeout=NAP)

    # -- the end -----------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise what stopped the stack, if anything did."""
        error = self._error
        if error is not None:
            raise OSError(error.errno, error.strerror) from error.__cause__

    def _fail(self, exc: BaseException) -> None:
        """The core or a device failed: say so, and let nobody wait for it any more. Under the lock."""
        if self._error is None:
            log.critical("the stack %s stopped: %r", self.name, exc, exc_info=exc)
            error = OSError(errno.ENETDOWN, f"the stack {self.name!r} stopped: {type(exc).__name__}: {exc}")
            error.__cause__ = exc
            self._stop(error)

    def _stop(self, error: OSError) -> None:
        self._error = error
        for waiter in self._waiting:
            waiter.fire()
        self._caretaker.fired = True
        os.eventfd_write(self._wake_fd, 1)
        os.eventfd_write(self._kick_fd, 1)
        if self._deep:
            self._deep = False
            self._nap.release()

    @property
    def failure(self) -> BaseException | None:
        """What stopped the stack by itself, or None."""
        return None if self._error is None else self._error.__cause__

    def close(self) -> None:
        """Stop: threads in a call get OSError(ENETDOWN), open connections are reset, the devices are closed.

        A second call does nothing.
        """
        with self._lock:
            if self._epoll.closed:
                return
            if self._error is None:
                self._stop(OSError(errno.ENETDOWN, f"the stack {self.name!r} is closed"))
                self._reset_connections()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
        # The leader was fired and kicked: it is out of its epoll before the descriptors go.
        limit = monotonic_ns() + 2_000_000_000
        pause = threading.Event()
        while self._leader is not None and monotonic_ns() < limit:
            pause.wait(0.001)
        with self._lock:
            for device in self._devices.values():
                device.close()
            self._epoll.close()
            self._care_epoll.close()
            os.close(self._wake_fd)
            os.close(self._kick_fd)
            self._garbage.clear()
            self._wake_fd = self._kick_fd = -1

    def _reset_connections(self) -> None:
        """Tell the peers of connections that are still open, as a kernel does when a program ends."""
        try:
            for endpoint in list(self.stack.endpoints.values()):
                if getattr(endpoint, "state", C.CLOSED) in _CONNECTED:
                    super().call(tcp.abort, endpoint)
        except Exception:
            log.exception("the stack %s could not reset its connections", self.name)

    def __enter__(self) -> "RealtimeHost":  # noqa: PYI034
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _seconds(left: int) -> float:
    """`left` ns in seconds, within what epoll_wait takes."""
    return min(max(0.0, left / 1e9), 1e6)


def _clear(fd: int) -> None:
    """Take an eventfd back to zero."""
    try:
        os.eventfd_read(fd)
    except BlockingIOError:
        pass


_hosts: "weakref.WeakSet[RealtimeHost]" = weakref.WeakSet()


def _after_fork() -> None:
    # A child has the descriptors but not the threads, and two stacks must not serve one device.
    for host in _hosts:
        host._lock = threading.RLock()
        host._busy = False
        host._thread = None
        host._leader = None
        host._error = OSError(errno.ENETDOWN, f"the stack {host.name!r} belongs to the parent process")


os.register_at_fork(after_in_child=_after_fork)
