"""The HTTP service: one thread for all connections, none of which can block another one.

Each connection has an `Exchange`, which answers, and `Limits`, which detect a client that is late. Data that cannot be
sent at once waits until the stack has room for it, and the thread serves other connections meanwhile. A client in
excess of the limit gets 503.
"""

import errno
import heapq
import logging
import threading
from typing import Any

from pystack.runtime.poller import READ, WRITE, Poller
from pystack.services import http
from pystack.services.base import ThreadService
from pystack.services.exchange import OVER, Exchange
from pystack.services.limits import LEAST, NEVER, QUARTERS, RETRY, Limits, share

log = logging.getLogger("pystack.services")

#: the most connections at the same time; a client may have as many as are still free
MAX_CONNECTIONS = 16384
#: the most refused clients that get an answer at the same time; further ones are only closed
MAX_REFUSED = 1024
#: the time (ns) in which a client must close after we closed our side; data that it sends meanwhile is discarded
LINGER = 5_000_000_000
#: the interval (ns) of checks whether a client has taken the data that was left when it closed its side
DRAIN = 1_000_000_000
#: the most bytes that one connection sends before it is the turn of the next one
TURN = 1 << 20
#: the value of SO_LINGER for a reset
_RESET = b"\1\0\0\0\0\0\0\0"


class HttpConnection:
    """One connection."""

    def __init__(self, sock: Any, peer: int, now: int, config: Any):
        self.sock = sock
        self.endpoint: Any = sock._open_description().endpoint
        self.peer = peer
        self.exchange: Any = Exchange()
        self.limits: Any = Limits(self.exchange, self.endpoint, config, now)
        #: the events of interest now: READ, WRITE
        self.events = READ
        #: whether our side is closed, and whether the client's is
        self.shut = False
        self.ended = False
        self.closed = False
        #: True if it counts as one of the refused connections
        self.refused = False
        #: the time (ns) of its earliest entry in the queue of deadlines
        self.due = NEVER


class HttpService(ThreadService):
    """HTTP at one address and port."""

    def __init__(self, name: str, sock: Any, address: tuple[str, int]):
        super().__init__(name, sock, address)
        self.host: Any = sock._open_description().host
        self.poller: Poller | None = None
        self._conns: dict[Any, HttpConnection] = {}
        self._peers: dict[int, int] = {}
        self._refused = 0
        self._deadlines: list[tuple[int, int, HttpConnection]] = []
        self._order = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, and start the loop."""
        self.sock.setsockopt(1, 2, 1)  # SO_REUSEADDR
        # Connections inherit these from their listener: TCP_NODELAY, and SO_OOBINLINE (RFC 6093 6).
        self.sock.setsockopt(6, 1, 1)
        self.sock.setsockopt(1, 10, 1)
        self.sock.bind(self.address)
        self.sock.listen(4096)
        self.sock.setblocking(False)
        self.poller = Poller(self.host)
        self.poller.register(self.sock, None)
        self._thread = threading.Thread(target=self._run, args=(self.poller,), name="pystack-http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the service, and close the listener and all connections."""
        super().close()
        if self.poller is not None:
            self.poller.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)

    # -- the loop ----------------------------------------------------------------------------------------------

    def _run(self, poller: Poller) -> None:
        try:
            while not self.closing:
                for conn in poller.poll(self._wait()):
                    if conn is None:
                        self._accept(poller)
                    elif not conn.closed:
                        self._guarded(self._ready, poller, conn)
                self._expire(poller)
        except OSError as exc:
            if exc.errno not in (errno.ENETDOWN, errno.EBADF):
                log.exception("http failed")
        finally:
            for conn in list(self._conns.values()):
                self._close(poller, conn)

    def _guarded(self, step: Any, poller: Poller, conn: HttpConnection) -> None:
        """Run one step. An error ends only the connection that it concerns."""
        try:
            step(poller, conn)
        except OSError as exc:
            log.debug("http: %s", exc)
            self._close(poller, conn)
        except Exception:
            log.exception("http failed")
            self._close(poller, conn)

    def _wait(self) -> float | None:
        """Return the number of seconds until the next deadline, or None."""
        if not self._deadlines:
            return None
        return max(0.0, (self._deadlines[0][0] - self.host.clock()) / 1e9)

    def _expire(self, poller: Poller) -> None:
        now = self.host.clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            conn = heapq.heappop(self._deadlines)[2]
            if not conn.closed:
                conn.due = NEVER
                self._guarded(self._due, poller, conn)

    def _remember(self, conn: HttpConnection, at: int) -> None:
        """Check the connection at the time `at` (ns) or earlier."""
        if at < conn.due:
            conn.due = at
            self._order += 1
            heapq.heappush(self._deadlines, (at, self._order, conn))

    # -- connections -------------------------------------------------------------------------------------------

    def _accept(self, poller: Poller) -> None:
        while not self.closing:
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                return
            except OSError as exc:
                if exc.errno in (errno.ENETDOWN, errno.EBADF, errno.EINVAL):
                    raise
                log.debug("http: accept: %s", exc)
                return
            try:
                self._admit(poller, sock)
            except OSError as exc:
                log.debug("http: %s", exc)
                sock.close()

    def _admit(self, poller: Poller, sock: Any) -> None:
        sock.setblocking(False)
        now = self.host.clock()
        conn = HttpConnection(sock, sock._open_description().endpoint.raddr, now, self.host.stack.config)
        held = self._peers.get(conn.peer, 0)
        if held >= MAX_CONNECTIONS - (len(self._conns) - self._refused):
            if self._refused >= MAX_REFUSED:
                sock.close()
                return
            conn.refused = True
            self._refused += 1
            conn.exchange.give_back(http.busy())
            conn.exchange.over()
        else:
            self._peers[conn.peer] = held + 1
        self._conns[sock] = conn
        poller.register(sock, conn)
        self._remember(conn, conn.limits.next(now))
        if conn.refused:
            self._guarded(self._ready, poller, conn)

    def _ready(self, poller: Poller, conn: HttpConnection) -> None:
        """Read and write as much as possible."""
        now = self.host.clock()
        if conn.events & READ and not conn.ended:
            self._read(conn, now)
        self._write(poller, conn, now)
        self._settle(poller, conn, now)

    def _read(self, conn: HttpConnection, now: int) -> None:
        """Read the client's bytes. If there are more, the poller reports the socket again."""
        try:
            data = conn.sock.recv(65536)
        except BlockingIOError:
            return
        conn.ended = not data
        if not conn.shut:
            conn.limits.received(len(data), now)
            conn.exchange.receive(data)

    def _write(self, poller: Poller, conn: HttpConnection, now: int) -> None:
        """Send until the stack has no room, or it is the turn of another connection."""
        exchange = conn.exchange
        sent = 0
        while exchange.pending() or exchange.input:
            if sent >= TURN:
                poller.again(conn.sock)
                return
            most = 65536
            if self.host.stack.tcp_pressure:
                most = share(conn.endpoint, self.host.stack, len(self._peers), self._peers.get(conn.peer, 1))
                if most <= 0:
                    self._remember(conn, now + RETRY)
                    return
            piece = exchange.take()
            if not piece:
                return
            try:
                took = conn.sock.send(piece[:most] if len(piece) > most else piece)
            except BlockingIOError:
                took = 0
            sent += took
            if took < len(piece):
                exchange.give_back(piece[took:])
                if took < most:
                    return

    def _settle(self, poller: Poller, conn: HttpConnection, now: int) -> None:
        """Close the connection, or decide which events to wait for."""
        exchange = conn.exchange
        over = exchange.state == OVER and not exchange.pending()
        if over and not conn.shut:
            conn.shut = True
            conn.limits.linger_at = now + LINGER
            conn.sock.shutdown(1)
        if conn.shut and conn.ended:
            # The stack sends the rest by itself, but if it is much, the client has to continue to take it.
            if conn.limits.waits() <= LEAST:
                self._close(poller, conn)
                return
            self._remember(conn, now + DRAIN)
        events = 0
        if not conn.ended and (conn.shut or exchange.wants()):
            events = READ
        if exchange.pending():
            events |= WRITE
        if events != conn.events:
            conn.events = events
            poller.watch(conn.sock, events)
        self._remember(conn, conn.limits.next(now))

    def _due(self, poller: Poller, conn: HttpConnection) -> None:
        """Handle a deadline, which may have moved meanwhile."""
        now = self.host.clock()
        greedy = self._peers.get(conn.peer, 0) * len(self._peers) >= len(self._conns)
        late = conn.limits.late(now, 1 if greedy and self.host.stack.tcp_pressure else QUARTERS)
        if late in ("head", "body"):
            conn.exchange.refuse(http.BadRequest(408, "the request was not complete in time"))
        elif late == "idle" and not conn.shut:
            conn.exchange.over()
        elif late == "idle":
            self._close(poller, conn)
            return
        elif late:
            conn.sock.setsockopt(1, 13, _RESET)  # SO_LINGER
            self._close(poller, conn)
            return
        self._write(poller, conn, now)
        self._settle(poller, conn, now)

    def _close(self, poller: Poller, conn: HttpConnection) -> None:
        if conn.closed:
            return
        conn.closed = True
        self._conns.pop(conn.sock, None)
        if conn.refused:
            self._refused -= 1
        else:
            held = self._peers.get(conn.peer, 0)
            if held > 1:
                self._peers[conn.peer] = held - 1
            else:
                self._peers.pop(conn.peer, None)
        poller.unregister(conn.sock)
        try:
            conn.sock.close()
        except OSError:
            pass
        # The queue of deadlines still refers to the connection. Release what it holds now, and bound the queue.
        conn.sock = conn.endpoint = conn.exchange = conn.limits = None
        if len(self._deadlines) > 64 + 4 * len(self._conns):
            self._deadlines = [item for item in self._deadlines if not item[2].closed]
            heapq.heapify(self._deadlines)
