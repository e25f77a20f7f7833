"""What every socket of the core has: addresses, options, a pending error, and its readiness."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.timer import TimerOwner
from pystack_c.iface import Iface


class Endpoint(TimerOwner):
    """Base of Tcb (TCP), UdpSocket and RawSocket.

    `waiter` belongs to the driver: while it is not None, changes of readiness are put into the stack's
    event queue (`Stack.poll_event`), with what happened in `pending` (EV_* bits). `service` is who serves the endpoint
    inside the core instead, or None (pystack_c.services).
    """

    def __init__(self, core: Any, ident: int) -> None:
        self.begin(core, ident)

    def begin(self, core: Any, ident: int) -> None:
        """Give every field its first value."""
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
        self.options: dict[Any, Any] | None = None
        #: an ip.encap.Encap, or None
        self.encap: Any = None
        self.shown: dict[str, Any] | None = None

    def subject(self) -> str:  # inherited
        """A short text for events."""
        return f"endpoint {self.ident}"

    def snapshot(self) -> dict[str, Any]:
        """What a learner looks at, for probes with `snapshots`; `shown` is the last one that was taken."""
        return {"error": self.so_error}

    def wake(self, bits: int) -> None:
        """Tell the service, or the driver, that something happened (it polls `readiness` for the level)."""
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
        """EV_* bits as poll(2) would report them now."""
        raise NotImplementedError

    def listening(self) -> bool:
        """True for a TCP listener: two sockets with SO_REUSEADDR may share a port, but not with one of these."""
        return False

    def take_pending(self) -> int:
        """What happened since the last call (EV_* bits); the driver calls it when poll_event gave this endpoint."""
        bits = self.pending
        self.pending = 0
        return bits

    def take_error(self) -> int:
        """The pending error (errno), cleared by the call, as SO_ERROR does."""
        error = self.so_error
        self.so_error = 0
        return error

    def fail(self, error: int) -> None:
        """Leave an error for the next call."""
        self.so_error = error
        self.wake(C.EV_ERR | C.EV_IN | C.EV_OUT)
