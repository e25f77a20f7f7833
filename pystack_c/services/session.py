"""How long the client of a service may take: one timer for each connection (docs/reference/limits.md).

Three things can be late. A *head*: a request that has begun is not whole after `service_head_time`. A *reader*: of what is
sent to it, the client takes less than `service_min_rate` bytes a second for `service_stall_time`; this is measured in quarters
of that time, and under memory pressure one quarter is enough for a client that holds more than its share. An *idle* client:
nothing moves for `service_idle_time`. No connection lasts longer than `service_total_time`.

The timer is set for the earliest of these. Requests and answers do not touch it: when it fires, the connection's own
variables show what happened meanwhile. It is moved forward only when a request stays incomplete or an answer has to wait.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.timer import Timer, TimerOwner, new_timer
from pystack_c.tcp.tcb import Tcb

#: quarters of `service_stall_time` in a row in which the client took too little
_QUARTERS = 4
RULE = "docs/reference/limits.md"
#: name of a counter in `drops` -> why
REASONS = {
    "service-idle": "nothing moved on the connection for service_idle_time",
    "service-head": "the request was not complete after service_head_time",
    "service-stalled": "the client acknowledged less than service_min_rate",
    "service-total": "the connection lasted for service_total_time",
}


class Session(TimerOwner):
    """One connection of a service, and its deadlines. -1 is none."""

    def __init__(self, service: Any, tcb: Tcb, now: int) -> None:
        self.service = service
        self.tcb = tcb
        self.core = tcb.core
        self.ident = tcb.ident
        self.peer = tcb.raddr
        self.opened = now
        #: the service has closed the connection, and much of what it wrote is still to be sent
        self.draining = False
        #: the stream offset up to which the client has to acknowledge by `goal_at`
        self.goal = -1
        self.goal_at = -1
        self.strikes = 0
        #: the number of the first byte of the request that is not whole yet, and by when it has to be
        self.head = -1
        self.head_at = -1
        #: in so many of its bytes the end of that request was not found
        self.searched = 0
        self.timer: Timer | None = new_timer(self, C.T_SERVICE)
        self.arm(now)

    def subject(self) -> str:  # inherited
        """The connection's text for events."""
        return self.tcb.subject()

    def waits(self) -> int:
        """Bytes that were written and that the client has not acknowledged."""
        return self.tcb.sendbuf.tail - self.tcb.sendbuf.head

    def blocked(self, now: int) -> None:
        """There is more to write, and no room: from now on the client has to take something."""
        if self.goal < 0:
            self.arm(now)

    def begun(self, now: int) -> None:
        """A request has begun and is not whole."""
        limit = self.core.config.service_head_time
        head = self.tcb.bytes_received - self.tcb.recvbuf.used
        if limit == 0 or head == self.head:
            return
        self.head = head
        self.head_at = now + limit
        self.arm(now)

    def on_timer(self, kind: int) -> None:  # inherited
        """One of the deadlines has come, or would have come had nothing happened meanwhile."""
        self.look(self.core.now)

    def look(self, now: int) -> None:
        """End the connection if the client is late."""
        if self.tcb.state == C.CLOSED or self.tcb.state == C.TIME_WAIT or (self.draining and self.waits() == 0):
            self.service.forget(self)
            return
        name = self.overdue(now)
        if name:
            self.service.expire(self, name, now)
        else:
            self.arm(now)

    def overdue(self, now: int) -> str:
        """The deadline that the client has missed, by its name in REASONS, or ""."""
        config = self.core.config
        if config.service_total_time > 0 and now >= self.opened + config.service_total_time:
            return "service-total"
        if self.head_at >= 0 and now >= self.head_at:
            # (A head that has become whole was read, and another one begins at another byte.)
            if self.head == self.tcb.bytes_received - self.tcb.recvbuf.used and self.tcb.recvbuf.used > 0:
                return "service-head"
            self.head_at = -1
        if self.goal >= 0 and now >= self.goal_at:
            if self.tcb.sendbuf.head >= self.goal:
                self.strikes = 0
            else:
                self.strikes += 1
                if self.strikes >= _QUARTERS or (self.core.tcp_pressure and self.service.greedy(self.peer)):
                    return "service-stalled"
            self.goal = -1
        if self.waits() > 0 or config.service_idle_time == 0 or now < self.quiet() + config.service_idle_time:
            return ""
        return "service-idle"

    def quiet(self) -> int:
        """Since when there has been no data, in either direction."""
        at = self.opened
        if self.tcb.last_data_recv > at:
            at = self.tcb.last_data_recv
        if self.tcb.last_send > at:
            at = self.tcb.last_send
        return at

    def arm(self, now: int) -> None:
        """Set the timer for the earliest deadline."""
        config = self.core.config
        at = -1
        if config.service_total_time > 0:
            at = self.opened + config.service_total_time
        if self.head_at >= 0 and (at < 0 or self.head_at < at):
            at = self.head_at
        if self.waits() > 0:
            self.demand(now)
            if self.goal >= 0 and (at < 0 or self.goal_at < at):
                at = self.goal_at
        elif config.service_idle_time > 0:
            self.strikes = 0
            idle = self.quiet() + config.service_idle_time
            if at < 0 or idle < at:
                at = idle
        if at < 0:
            self.core.cancel_timer(self.timer, "no time limit applies now", RULE)
            return
        if at <= now:
            at = now + 1
        if self.timer is not None and self.timer.deadline != at:
            self.core.set_timer(self.timer, at, "this is the earliest time limit of the client", RULE)

    def demand(self, now: int) -> None:
        """Begin a quarter of `service_stall_time`, in which the client has to take its share, or all that there is."""
        config = self.core.config
        quarter = config.service_stall_time // _QUARTERS
        if self.goal >= 0 or quarter == 0:
            return
        buf = self.tcb.sendbuf
        self.goal = buf.head + config.service_min_rate * (quarter // C.NS_PER_MS) // 1000
        if self.goal <= buf.head:
            self.goal = buf.head + 1
        if self.goal > buf.tail:
            self.goal = buf.tail
        self.goal_at = now + quarter

    def over(self) -> None:
        """The connection is no longer the service's."""
        self.core.cancel_timer(self.timer, "the connection is over", RULE)
        # A timer knows its owner: without this the two would stay until the garbage collector looks for cycles.
        self.timer = None
