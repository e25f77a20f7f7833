"""The real-time driver: the threads that wait for a stack serve its devices themselves.

Five classes form a host. Each of them adds one thing, and can be read without those below it in this list:

    Host          host.py        every way into a stack, with an optional recorder
    SocketHost    sockethost.py  the calls that sockets make; hosts in virtual time implement them too (pystack.sim)
    CallingHost   calling.py     one lock around the calls; sends frames to devices; wakes threads that wait for an event
    ServingHost   serving.py     threads that wait, and the leader among them, which polls the devices
    RealtimeHost  here           setup, start, inspection and end; descriptors; fork

Programs use RealtimeHost only. The first four are compiled,
because they run for every frame and call. This one is plain Python.
"""

import errno
import os
import threading
import weakref
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pystack_c.const as C
from pystack.phy.device import Device
from pystack.runtime import forked
from pystack.runtime.calling import Port
from pystack.runtime.closings import Closings
from pystack.runtime.host import Host, RecorderProtocol
from pystack.runtime.serving import ServingHost
from pystack.runtime.sleep import poke
from pystack_c.tcp import user as tcp

if TYPE_CHECKING:
    from pystack.sockets.resolve import Names

_CONNECTED = (C.SYN_RECEIVED, C.ESTABLISHED, C.FIN_WAIT_1, C.FIN_WAIT_2, C.CLOSE_WAIT, C.CLOSING, C.LAST_ACK)


class RealtimeHost(ServingHost):
    """Drives a stack over devices in real time. Every method may be called from any thread.

    >>> host = RealtimeHost(Stack(seed))
    >>> iface = host.attach(TapDevice("tap0", address="10.0.0.1/24"))
    >>> host.setup("add_addr", iface, 0x0A000002, 24)
    >>> host.start()
    """

    def __init__(
        self,
        stack: Any,
        recorder: RecorderProtocol | None = None,
        clock: Callable[[], int] | None = None,
        names: "Names | None" = None,
    ):
        super().__init__(stack, recorder, clock)
        self.names = names
        self._thread: threading.Thread | None = None
        self._closed = False
        #: whether this process is a child of the stack's process
        self._inherited = False
        #: the gate that holds the frames of this host (stepper.live.StepGate), or None
        self.gate: Any = None
        #: `socket.socket` on this host, made when it is first needed (pystack.running.socket_class)
        self.socket_type: Any = None
        #: the watcher of the descriptors that show the readiness of sockets, once there are any
        self.closings: Closings | None = None
        _hosts.add(self)

    # -- setting up --------------------------------------------------------------------------------------------

    def attach(self, device: Device) -> Any:
        """Make `device` an interface of the stack, and serve it. Returns the Iface. ValueError: another stack uses it."""
        check_free(device)
        iface = self.setup(
            "add_iface", device.name, device.kind, device.mac, device.mtu, device.tx_csum, device.gso_max
        )
        with self.lock:
            self.by_index[iface.index] = self._serve_too(device, iface)
        return iface

    def _serve_too(self, device: Any, iface: Any) -> Port:
        """Also read this device when its descriptor is readable. Needs the lock."""
        fd = device.fileno()
        place = -1
        if fd >= 0:
            place = self.sleeper.count
            for sleeper in self.sleepers:
                sleeper.add(fd)
        port = Port(device, iface, place)
        self.ports.append(port)
        # A thread that sleeps now does not watch the new descriptor yet, so wake it.
        poke(self.wake_fd)
        poke(self.kick_fd)
        return port

    def watch_descriptor(self, handle: Any) -> None:
        """Watch a socket's descriptor.

        If other code closes it, close the socket; if the stack stops, make it readable. Needs the lock.
        """
        if self.error is not None:
            return
        if self.closings is None:
            self.closings = Closings()
            self._serve_too(self.closings, None)
        self.closings.watch(handle)

    def check_owner(self) -> None:
        """Raise OSError(ENETDOWN) in a child process. (After another end of the stack, a descriptor shows that it has stopped.)"""
        if self._inherited:
            self.check()

    def forget_descriptor(self, handle: Any) -> None:
        """Stop watching the descriptor of a socket. Needs the lock."""
        if self.closings is not None:
            self.closings.forget(handle)

    def setup(self, name: str, *args: Any) -> Any:
        """Call Host.setup under the lock."""
        with self.lock:
            self.check()
            return super().setup(name, *args)

    def set_busy_poll(self, microseconds: int) -> None:
        """Poll the devices instead of sleeping while sleeps are shorter than this (see sleep.py). With 0, always sleep.

        Raises ValueError if the time is not in 0..1000000 microseconds.
        """
        if not 0 <= microseconds <= 1_000_000:
            raise ValueError(f"busy_poll must be in 0..1000000 microseconds, not {microseconds}")
        with self.lock:
            for sleeper in self.sleepers:
                sleeper.busy_poll = 1000 * microseconds

    def start(self) -> None:
        """Start the caretaker. From now on the stack answers by itself."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.care, name=f"pystack-{self.name}", daemon=True)
            self._thread.start()

    def set_probe(self, probe: Any) -> None:
        """Set, change or (None) remove the stack's probe. The probe runs under the lock and must not call the host."""
        with self.lock:
            self.stack.probe = probe

    def inspect(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call fn(stack, *args) under the lock and return its result.

        `fn` may read the core's tables but must not change them.
        """
        if self.gate is not None:
            # While a frame is held, its thread has the lock, and nothing else runs in the stack.
            done, result = self.gate.inspect(lambda stack: fn(stack, *args))
            if done:
                return result
        with self.lock:
            return fn(self.stack, *args)

    # -- the end -----------------------------------------------------------------------------------------------

    @property
    def failure(self) -> BaseException | None:
        """The exception that stopped the stack, or None."""
        return None if self.error is None else self.error.__cause__

    def stop(self, error: OSError) -> None:
        """Stop as ServingHost.stop does, and wake the threads that wait for the descriptor of a socket."""
        super().stop(error)
        if self.closings is not None and self.leaver == 0:
            self.closings.fall()

    def close(self, leaving: bool = False) -> None:
        """Stop the stack.

        Threads in a call get OSError(ENETDOWN), open connections are reset, and the devices are closed.

        `leaving` means that the interpreter ends and that threads in a call stay there. A second call does nothing.
        """
        with self.lock:
            if self._closed:
                return
            self._closed = True
            if leaving:
                self.leaver = threading.get_ident()
            if self.error is None:
                self.stop(OSError(errno.ENETDOWN, f"the stack {self.name!r} is closed"))
                self._reset_connections()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
        # The leader was fired and kicked. It must wake up before the descriptors are closed.
        if leaving:
            self.leader = None
        limit = monotonic_ns() + 2_000_000_000
        pause = threading.Event()
        while self.leader is not None and monotonic_ns() < limit:
            pause.wait(0.001)
        with self.lock:
            for port in self.ports:
                port.device.close()
            os.close(self.wake_fd)
            os.close(self.kick_fd)
            self._collect_rest()
            self.wake_fd = self.kick_fd = -1

    def belongs_to_parent(self) -> None:
        """In a child process, make every call raise OSError(ENETDOWN).

        The parent still uses the devices, so they are not touched.
        """
        self.lock.renew()
        self.busy = False
        self._thread = None
        self.leader = None
        self.sleep_until = -1
        self.deep = False
        self.waiters.clear()
        self.waiting.clear()
        self.fired.clear()
        self.garbage.clear()
        self.closings = None
        self.gate = None
        self._inherited = True
        self.error = OSError(errno.ENETDOWN, f"the stack {self.name!r} belongs to the parent process: {forked.ADVICE}")

    def _collect_rest(self) -> None:
        """Close the descriptors that finalizers left, because nothing drains the stack any more."""
        while self.garbage:
            fn, handle = self.garbage.popleft()
            if fn is None:
                handle.bury()

    def _reset_connections(self) -> None:
        """Reset the connections that are still open, as a kernel does when a program ends."""
        try:
            for endpoint in list(self.stack.endpoints.values()):
                if getattr(endpoint, "state", C.CLOSED) in _CONNECTED:
                    Host.call(self, tcp.abort, endpoint)
        except Exception:
            import logging  # slow to import, and seldom needed

            logging.getLogger("pystack.runtime").exception("the stack %s could not reset its connections", self.name)

    def __enter__(self) -> "RealtimeHost":  # noqa: PYI034
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def check_free(device: Any) -> None:
    """Raise ValueError if a stack already uses this device, or one that it wraps, because each would get a part of the frames."""
    wanted = _inner(device)
    for host in list(_hosts):
        for port in host.ports if host.error is None else ():
            if _inner(port.device) is wanted:
                raise ValueError(f"the stack {host.name!r} already uses the device {device.name}")


def _inner(device: Any) -> Any:
    """The device inside wrappers."""
    while (found := getattr(device, "device", None)) is not None:
        device = found
    return device


_hosts: "weakref.WeakSet[RealtimeHost]" = weakref.WeakSet()


def _after_fork() -> None:
    # A child inherits the descriptors but not the threads, and two stacks must not serve one device.
    for host in list(_hosts):
        host.belongs_to_parent()


os.register_at_fork(after_in_child=_after_fork)
