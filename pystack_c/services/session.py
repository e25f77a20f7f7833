"""Time limits for the clients of a service, with one timer for each connection (docs/reference/limits.md).

A client can be late in three ways. *Head*: a request that has begun is not complete after `service_head_time`.
*Reader*: for `service_stall_time`, the client takes less than `service_min_rate` bytes a second of the data that is
sent to it. The service measures this in quarters of that time, and under memory pressure one quarter is enough for a
client that has more than its share. *Idle*: nothing moves for `service_idle_time`. No connection lasts longer than
`service_total_time`.

The timer is set for the earliest of these deadlines. Requests and answers do not
change it, because when it expires, the connection's own variables show what happened
since. It moves forward only if a request stays incomplete or an answer has to wait.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.timer import Timer, TimerOwner, new_timer
from pystack_c.tcp.tcb import Tcb

#: the number of quarters of `service_stall_time` in a row in which the client took too little
_QUARTERS = 4
RULE = "docs/reference/limits.md"
#: the name of a counter in `drops` -> the reason
REASONS = {
    "service-idle": "nothing moved on the connection for service_idle_time",
    "service-head": "the request was not complete after service_head_time",
    "service-stalled": "the client acknowledged less than service_min_rate",
    "service-total": "the connection lasted for service_total_time",
}


class Session(TimerOwner):
    """One connection of a service, and its deadlines. Times are in ns, and -1 means none."""

    def __init__(self, service: Any, tcb: Tcb, now: int) -> None:
        self.service = service
        self.tcb = tcb
        self.core = tcb.core
        self.ident = tcb.ident
        self.peer = tcb.raddr
        self.opened = now
        #: True if the service closed the connection while much of its data was unsent
        self.draining = False
        #: the stream offset up to which the client must acknowledge by `goal_at`
        self.goal = -1
        self.goal_at = -1
        self.strikes = 0
        #: the number of the first byte of the incomplete request, and the time by which it must be complete
        self.head = -1
        self.head_at = -1
        #: in so many of its bytes the end of that request was not found
        self.searched = 0
        self.timer: Timer | None = new_timer(self, C.T_SERVICE)
        self.arm(now)

    def subject(self) -> str:  # inherited
        """Return the connection's name for events."""
        return self.tcb.subject()

    def waits(self) -> int:
        """Return the number of bytes that were written and that the client has not acknowledged."""
        return self.tcb.sendbuf.tail - self.tcb.sendbuf.head

    def blocked(self, now: int) -> None:
        """Note that there is more to write and no room. From now on the client must take some data."""
        if self.goal < 0:
            self.arm(now)

    def begun(self, now: int) -> None:
        """Note that a request has begun and is not complete."""
        limit = self.core.config.service_head_time
        head = self.tcb.bytes_received - self.tcb.recvbuf.used
        if limit == 0 or head == self.head:
            return
        self.head = head
        self.head_at = now + limit
        self.arm(now)

    def on_timer(self, kind: int) -> None:  # inherited
        """Check the deadlines. One of them has come, or would have come if nothing had happened since."""
        self.look(self.core.now)

    def look(self, now: int) -> None:
        """End the connection if the client is late, otherwise set the timer again."""
        if self.tcb.state == C.CLOSED or self.tcb.state == C.TIME_WAIT or (self.draining and self.waits() == 0):
            self.service.forget(self)
            return
        name = self.overdue(now)
        if name:
            self.service.expire(self, name, now)
        else:
            self.arm(now)

    def overdue(self, now: int) -> str:
        """Return the deadline that the client missed, by its name in REASONS, or ""."""
        config = self.core.config
        if config.service_total_time > 0 and now >= self.opened + config.service_total_time:
            return "service-total"
        if self.head_at >= 0 and now >= self.head_at:
            # A complete head was read already, and another one begins at another byte.
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
        """Return the time (ns) of the last data in either direction, or when the connection began."""
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
        """Begin a quarter of `service_stall_time`, in which the client must take its share, or all data."""
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
        """Stop watching the connection, which is no longer the service's."""
        self.core.cancel_timer(self.timer, "the connection is over", RULE)
        # A timer refers to its owner. Without this line both would live until the garbage collector looks for cycles.
        self.timer = None
