"""The time limits of the HTTP service's clients, and the memory that their answers may use.

The rules and the settings are those of the services in the core (pystack_c/services/session.py,
docs/reference/limits.md), with the stack's clock. In addition, a request's body must arrive at `service_min_rate`, and
the next request within http.KEEP_ALIVE.
"""

from typing import Any

from pystack.services import http
from pystack.services.exchange import Exchange

NEVER = 1 << 62
#: under memory pressure, the time (ns) after which a connection that has its share tries again
RETRY = 100_000_000
#: the number of quarters of `service_stall_time` in a row that a client may miss
QUARTERS = 4
#: the bytes that may stay in a send buffer without being watched,
#: and those that may be written if nearly all memory is taken
LEAST = 4096
LITTLE = 1024
_KEEP_ALIVE = int(http.KEEP_ALIVE * 1e9)


class Pace:
    """The least that a client must do in each quarter of `service_stall_time`."""

    def __init__(self) -> None:
        self.at = NEVER
        self.goal = 0
        self.strikes = 0

    def begin(self, now: int, done: int, most: int, config: Any) -> None:
        """Begin a quarter, if none is under way, with `done` bytes so far and `most` bytes at the most."""
        quarter = config.service_stall_time // QUARTERS
        if self.at == NEVER and quarter:
            self.goal = min(most, done + max(1, config.service_min_rate * (quarter // 1_000_000) // 1000))
            self.at = now + quarter

    def missed(self, now: int, done: int, allowed: int) -> bool:
        """Return True if a quarter has ended and the client has now done too little in `allowed` quarters in a row."""
        if now < self.at:
            return False
        self.at = NEVER
        self.strikes = self.strikes + 1 if done < self.goal else 0
        return self.strikes >= allowed

    def end(self) -> None:
        """Note that the client has nothing to do."""
        self.at = NEVER
        self.strikes = 0


class Limits:
    """The deadlines of one connection. Times are in ns."""

    def __init__(self, exchange: Exchange, endpoint: Any, config: Any, now: int):
        self.exchange = exchange
        self.endpoint = endpoint
        self.config = config
        self.opened = now
        #: the time of the last bytes from the client, and the number of all its bytes
        self.heard = now
        self.taken = 0
        #: the number of the request whose head is incomplete, and the time by which it must be complete
        self.head = -1
        self.head_at = NEVER
        self.body = Pace()
        self.reader = Pace()
        #: the time by which the client must close its side, after ours is closed
        self.linger_at = NEVER

    def received(self, n: int, now: int) -> None:
        """Note that the client has sent n bytes."""
        self.taken += n
        self.heard = now

    def waits(self) -> int:
        """Return the number of bytes in the send buffer."""
        buffer = self.endpoint.sendbuf
        return int(buffer.tail - buffer.head)

    def next(self, now: int) -> int:
        """Return the earliest time at which the client may be late."""
        exchange, config = self.exchange, self.config
        at = self.opened + config.service_total_time if config.service_total_time else NEVER
        looks = exchange.wants()
        if looks and exchange.partial() and self.head != exchange.count and config.service_head_time:
            self.head = exchange.count
            self.head_at = now + config.service_head_time
        if looks and exchange.in_body():
            self.body.begin(now, self.taken, NEVER, config)
        else:
            self.body.end()
        buffer = self.endpoint.sendbuf
        if buffer.tail > buffer.head:
            self.reader.begin(now, buffer.head, NEVER if exchange.pending() else buffer.tail, config)
        else:
            self.reader.end()
            if looks and not exchange.partial() and not exchange.in_body():
                at = min(at, max(self.heard, self.endpoint.last_send) + _KEEP_ALIVE)
        return min(at, self.head_at, self.body.at, self.reader.at, max(self.linger_at, now + RETRY))

    def late(self, now: int, allowed: int) -> str:
        """Return why the client is late: total, head, body, stalled (`allowed` times), idle, or "" if it is in time."""
        exchange, config = self.exchange, self.config
        if config.service_total_time and now >= self.opened + config.service_total_time:
            return "total"
        if now >= self.head_at:
            self.head_at = NEVER
            if exchange.partial() and self.head == exchange.count:
                return "head"
        if self.body.missed(now, self.taken, QUARTERS):
            return "body"
        if self.reader.missed(now, self.endpoint.sendbuf.head, allowed):
            return "stalled"
        if self.waits() > 0:
            return ""
        if now >= self.linger_at:
            return "idle"
        rests = exchange.wants() and not exchange.partial() and not exchange.in_body()
        return "idle" if rests and now >= max(self.heard, self.endpoint.last_send) + _KEEP_ALIVE else ""


def share(endpoint: Any, stack: Any, peers: int, held: int) -> int:
    """Return the bytes that the connection may write under memory pressure.

    See StreamService.share in pystack_c/services/base.py.
    """
    config = stack.config
    free = config.tcp_mem_high - config.tcp_mem_high // 8 - stack.tcp_memory
    most = min(config.tcp_mem_low // max(1, held * peers), free // 4)
    if most < LEAST:
        most = LEAST if free > 0 else LITTLE
    left = most - int(endpoint.sendbuf.tail - endpoint.sendbuf.head)
    return left if left >= most // 3 else 0
