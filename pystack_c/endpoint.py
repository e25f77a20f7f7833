"""The common part of every socket of the core: addresses, options, a pending error, and readiness."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.timer import TimerOwner
from pystack_c.iface import Iface


class Endpoint(TimerOwner):
    """The base class of Tcb (TCP), UdpSocket and RawSocket.

    `waiter` belongs to the driver. While it is not None, a change of readiness puts the endpoint into the stack's
    event queue (`Stack.poll_event`), with the EV_* bits of what happened in `pending`. `service` is the service that
    handles the endpoint inside the core instead, or None (pystack_c.services).
    """

    def __init__(self, core: Any, ident: int) -> None:
        self.begin(core, ident)

    def begin(self, core: Any, ident: int) -> None:
        """Give every field its initial value. Raises TypeError if `core` is None."""
        if core is None:
            raise TypeError("an endpoint needs a Core as its first argument")
        self.core = core
        self.ident = ident
        self.waiter = None
        self.service: Any = None
        self.pending = 0
        self.queued = False
        self.so_error = 0
        self.laddr = 0
        self.lport = 0
        self.raddr = 0
        self.rport = 0
        self.bound = False
        self.bound_iface: Iface | None = None
        self.ttl = self.core.config.ip_default_ttl
        self.tos = 0
        self.reuseaddr = False
        self.reuseport = False
        self.broadcast = False
        self.freebind = False
        self.dontroute = False
        #: SO_MARK
        self.mark = 0
        self.options: dict[Any, Any] | None = None
        #: an ip.encap.Encap, or None
        self.encap: Any = None
        self.shown: dict[str, Any] | None = None

    def subject(self) -> str:  # inherited
        """Return a short name for events."""
        return f"endpoint {self.ident}"

    def snapshot(self) -> dict[str, Any]:
        """Return the values that a learner looks at, for probes with `snapshots`. `shown` is the previous snapshot."""
        return {"error": self.so_error}

    def wake(self, bits: int) -> None:
        """Notify the service or the driver that something happened.

        The receiver then polls `readiness` for the level.
        """
        self.pending |= bits
        if self.queued:
            return
        if self.service is not None:
            self.queued = True
            self.core.service_queue.append(self)
        elif self.waiter is not None:
            self.queued = True
            self.core.events.append(self)

    def readiness(self) -> int:
        """Return the EV_* bits that poll(2) would report now."""
        raise NotImplementedError

    def listening(self) -> bool:
        """Return True for a TCP listener. Two sockets with SO_REUSEADDR may share a port, but not with a listener."""
        return False

    def take_pending(self) -> int:
        """Return and clear the EV_* bits since the last call.

        The driver calls it when poll_event returned this endpoint.
        """
        bits = self.pending
        self.pending = 0
        return bits

    def take_error(self) -> int:
        """Return the pending error (errno) and clear it, as SO_ERROR does."""
        error = self.so_error
        self.so_error = 0
        return error

    def fail(self, error: int) -> None:
        """Store an error (errno) for the next call, and notify the waiter."""
        self.so_error = error
        self.wake(C.EV_ERR | C.EV_IN | C.EV_OUT)
