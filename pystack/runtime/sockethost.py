"""A host that can carry sockets: the calls by which `pystack.sockets` uses a stack, whatever drives it.

A socket never looks at a clock, a lock or a thread of its own. It asks its host, so the same socket code serves a device in real time
(`CallingHost` and its subclasses) and a network in virtual time (`VirtualHost`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pystack.runtime.host import Host, RecorderProtocol
from pystack.runtime.lock import Lock
from pystack.runtime.waiting import Hook, Watch

if TYPE_CHECKING:
    from pystack.sockets.resolve import Names

#: seconds: a longer timeout is as good as none, because a clock of 64 bits counts nanoseconds for 292 years
LONGEST = 4e9


class SocketHost(Host):
    """A Host with what sockets need. The methods that raise NotImplementedError are the driver's.

    lock   guards the core and the descriptors; a driver with one thread never waits for it
    error  the OSError that every call raises once the stack has stopped, or None
    names  the names that this host's sockets know (pystack.sockets.resolve), or None: only "localhost"
    """

    #: whether a socket of another address family than AF_INET may be the kernel's
    kernel_sockets = True

    def __init__(self, stack: Any, recorder: RecorderProtocol | None = None):
        super().__init__(stack, recorder)
        self.lock = Lock()
        self.error: OSError | None = None
        self.names: Names | None = None

    # -- calls (Host.call is the way for all calls; these two are a faster way for the calls that carry data) ----

    def begin(self) -> int:
        """Begin a call into the core, which `end` ends. Returns `now` for a direct call, or -1: use `call`."""
        raise NotImplementedError

    def end(self, now: int) -> None:
        """End the call that `begin` began with the result `now`: send everything that the stack has to send."""
        raise NotImplementedError

    def later(self, fn: Callable[..., Any], target: Any) -> None:
        """Make the call `fn(target)` now or soon. Finalizers use it, because they must not wait for a lock."""
        raise NotImplementedError

    def abandon(self, handle: Any) -> None:
        """Call `handle.bury()` now or soon. Finalizers use it, because they must not wait for a lock."""
        raise NotImplementedError

    # -- waiting -------------------------------------------------------------------------------------------------

    def wait(self, watch: Watch, bits: int, deadline: int | None) -> bool:
        """Wait until the endpoint is ready for one of `bits` (EV_*). Returns False if `deadline` (ns, of this host) passed first."""
        raise NotImplementedError

    def wake(self, watch: Watch) -> None:
        """Release all callers of `wait` for this endpoint, for example because it was closed."""
        raise NotImplementedError

    def show(self, watch: Watch, hook: Hook) -> None:
        """Notify `hook` now and at each change of the endpoint's readiness."""
        raise NotImplementedError

    def hide(self, watch: Watch, hook: Hook) -> None:
        """Stop notifying `hook`."""
        raise NotImplementedError

    def refresh(self, watch: Watch) -> None:
        """Notify the watch's hooks, because a call may have changed the readiness without an event (recv took the last bytes)."""
        raise NotImplementedError

    def caller(self) -> int:
        """A number, not 0, that tells callers apart which may wait at the same time: threads, or programs in virtual time."""
        raise NotImplementedError

    def polled(self) -> None:  # python
        """Note that a socket that must not wait was not ready. In virtual time, code that only tries again lets no time pass."""

    # -- time ----------------------------------------------------------------------------------------------------

    def deadline(self, seconds: float | None) -> int | None:
        """The time on this host's clock, in ns, in so many seconds from now. None: for ever."""
        if seconds is None:
            return None
        return self.clock() + int(min(seconds, LONGEST) * 1e9)

    def wall_time(self, stamp: int) -> int:  # python
        """The time of day (ns since 1970) at which this host's clock showed `stamp`."""
        raise NotImplementedError

    # -- descriptors ---------------------------------------------------------------------------------------------

    def number(self, handle: Any) -> int:  # python
        """The number for a handle that needs one (`fileno`). -1: make a descriptor of the kernel, which shows the readiness."""
        return -1

    def check_owner(self) -> None:  # python
        """Raise OSError(ENETDOWN) in a child process, which has no descriptors of its parent's sockets."""

    def watch_descriptor(self, handle: Any) -> None:  # python
        """Watch the kernel's descriptor that a handle has received."""
        raise NotImplementedError

    def forget_descriptor(self, handle: Any) -> None:  # python
        """Stop watching the descriptor of a handle."""
        raise NotImplementedError
