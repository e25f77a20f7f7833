"""The common part of the services: threads that take turns at accepting and serving.

Every thread of a stream service accepts a connection, serves it to its end, and
then accepts again. One more thread starts whenever no thread is in accept(). So
the thread that accepted a short connection also serves it, without a hand-over.
"""

import errno
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

from pystack.addresses import parse_addr
from pystack.runtime import forked
from pystack.runtime.realtime import RealtimeHost
from pystack_c.services import serve

log = logging.getLogger("pystack.services")

#: the most threads that wait in accept() at the same time
SPARE = 4
#: the most connections at the same time; a client may have as many as are still free
MAX_CONNECTIONS = 4096


class ThreadService:
    """A socket and the service that runs on it."""

    protocol = "tcp"

    def __init__(self, name: str, sock: Any, address: tuple[str, int]):
        self.name = name
        self.sock = sock
        self.address = address
        self.closing = False

    def start(self) -> None:
        """Bind the socket, and serve."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop the service."""
        self.closing = True
        self.sock.close()

    def __str__(self) -> str:
        return f"{self.name} on {self.address[0] or '*'}:{self.address[1]}/{self.protocol}"

    def __repr__(self) -> str:
        return f"<service {self}>"


class CoreService(ThreadService):
    """A service that runs inside the core, without a thread or a socket (see pystack_c.services)."""

    def __init__(self, name: str, host: RealtimeHost, address: tuple[str, int], protocol: str):
        super().__init__(name, None, address)
        self.host = host
        self.protocol = protocol
        self.endpoint: Any = None

    def start(self) -> None:
        """Bind, and serve."""
        addr = parse_addr(self.address[0]) if self.address[0] else 0
        fn = serve.stream if self.protocol == "tcp" else serve.datagram
        self.endpoint = self.host.call(fn, self.host.stack, self.name, addr, self.address[1])

    def close(self) -> None:
        """Stop the service, and reset its open connections."""
        self.closing = True
        endpoint, self.endpoint = self.endpoint, None
        if endpoint is not None and self.host.failure is None:
            try:
                self.host.call(serve.stop, endpoint)
            except OSError as exc:
                log.debug("%s: %s", self.name, exc)


class ThreadStreamService(ThreadService):
    """A TCP service. It calls `serve(conn)` for each connection, which returns when it is done.

    One call on the connection may take `service_idle_time`, and all of them together `service_total_time`
    (pystack_c/settings/service.py).
    """

    def __init__(self, name: str, sock: Any, address: tuple[str, int], serve: Callable[[Any], None]):
        super().__init__(name, sock, address)
        self.serve = serve
        self.host: Any = sock._open_description().host
        self._lock: Any
        forked.renewed(self, "_lock", threading.Lock)
        self._waiting = 0
        self._threads = 0
        #: connection -> (its client, the time in ns when it began), the oldest first
        self._conns: dict[Any, tuple[str, int]] = {}
        self._reaper: threading.Thread | None = None
        self._end_reaper = threading.Event()

    def start(self) -> None:
        """Listen, and start the first thread."""
        self.sock.setsockopt(1, 2, 1)  # SO_REUSEADDR
        self.sock.setsockopt(1, 10, 1)  # SO_OOBINLINE (RFC 6093 6); connections inherit it from their listener
        self.sock.bind(self.address)
        self.sock.listen(1024)
        self._spawn()

    def close(self) -> None:
        """Stop the service. It accepts no new connections, and shuts down those that are open."""
        super().close()
        self._end_reaper.set()
        with self._lock:
            conns = list(self._conns)
        for conn in conns:
            self._cut(conn)

    def _spawn(self) -> None:
        with self._lock:
            self._threads += 1
            self._waiting += 1
        threading.Thread(target=self._run, name=f"pystack-{self.name}", daemon=True).start()

    def _run(self) -> None:
        while True:
            accepted = self._accept()
            with self._lock:
                self._waiting -= 1
                if accepted is None:
                    self._threads -= 1
                    return
                conn, client = accepted
                # As in the core, a client may have as many connections as are still free.
                held = sum(client == other for other, _ in self._conns.values())
                admitted = held < MAX_CONNECTIONS - len(self._conns)
                if admitted:
                    self._conns[conn] = client, self.host.clock()
                more = admitted and self._waiting == 0 and self._threads < MAX_CONNECTIONS
            if more:
                self._spawn()
            if admitted:
                self._serve_connection(conn)
            self._end(conn)
            with self._lock:
                if self._waiting >= SPARE:
                    self._threads -= 1
                    return
                self._waiting += 1

    def _serve_connection(self, conn: Any) -> None:
        self._watch()
        try:
            limit = self.host.stack.config.service_idle_time
            conn.settimeout(limit / 1e9 if limit else None)
            self.serve(conn)
        except OSError as exc:
            log.debug("%s: %s", self.name, exc)
        except Exception:
            log.exception("%s failed", self.name)

    def _accept(self) -> Any:
        while not self.closing:
            try:
                conn, peer = self.sock.accept()
                return conn, peer[0]
            except OSError as exc:
                if self.closing or exc.errno in (errno.EBADF, errno.ENETDOWN, errno.EINVAL):
                    return None
                log.debug("%s: accept: %s", self.name, exc)
        return None

    def _watch(self) -> None:
        """Make sure that a thread checks how long connections last."""
        with self._lock:
            if self._reaper is None and self.host.stack.config.service_total_time:
                self._reaper = threading.Thread(target=self._reap, name=f"pystack-{self.name}-reaper", daemon=True)
                self._reaper.start()

    def _reap(self) -> None:
        """Shut down the connections that last too long, until none is left."""
        wait = 0
        while not self._end_reaper.wait(wait / 1e9):
            limit = self.host.stack.config.service_total_time
            now = self.host.clock()
            with self._lock:
                late = [conn for conn, (_, since) in self._conns.items() if now >= since + limit]
                if not self._conns:
                    self._reaper = None
                    return
                wait = max(1_000_000, min(since for _, since in self._conns.values()) + limit - now)
            for conn in late:
                self._cut(conn)
                wait = 1_000_000_000

    @staticmethod
    def _cut(conn: Any) -> None:
        """Make the thread that serves the connection fail."""
        try:
            conn.shutdown(2)
        except OSError:
            pass

    def _end(self, conn: Any) -> None:
        with self._lock:
            self._conns.pop(conn, None)
        try:
            conn.close()
        except OSError:
            pass


#: the number of hops by which the TTL of an answer is below that of its datagram: see DatagramService in
#: pystack_c/services/base.py
TTL_STEP = 8


class ThreadDatagramService(ThreadService):
    """A UDP service. `answer(data)` returns the datagram to send back, or None.

    The rules that keep services from answering each other forever are those of DatagramService in
    pystack_c/services/base.py.
    """

    protocol = "udp"

    def __init__(self, name: str, sock: Any, address: tuple[str, int], answer: Callable[[bytes], bytes | None]):
        super().__init__(name, sock, address)
        self.answer = answer
        self.host: Any = sock._open_description().host
        self.ttl = 0
        #: the number of datagrams that the service examined
        self.seen = 0

    def start(self) -> None:
        """Bind the socket, and start the thread."""
        self.sock.setsockopt(0, 12, 1)  # IP_RECVTTL
        self.sock.setsockopt(0, 8, 1)  # IP_PKTINFO
        self.sock.bind(self.address)
        threading.Thread(target=self._run, name=f"pystack-{self.name}-udp", daemon=True).start()

    def _run(self) -> None:
        while not self.closing:
            try:
                data, told, _, peer = self.sock.recvmsg(65535, 128)
                reply = self.answer(data)
                if reply is None or not self._answers(peer[1], {kind: value for _, kind, value in told}):
                    continue
                self.sock.sendto(reply, peer)
            except OSError as exc:
                if self.closing or exc.errno in (errno.EBADF, errno.ENETDOWN):
                    return
                log.debug("%s: %s", self.name, exc)

    def _answers(self, port: int, told: dict[int, bytes]) -> bool:
        """Return True if a datagram from this port may be answered, and set the socket's TTL for the answer."""
        self.seen += 1
        ttl = min(int.from_bytes(told[2], sys.byteorder), self.host.stack.config.ip_default_ttl) - TTL_STEP  # IP_TTL
        to_group = told[8][4:8] != told[8][8:12]  # IP_PKTINFO: our address, and the destination of the datagram
        if ttl <= 0 or to_group or port < 1024 or port == self.address[1] or self.seen % (1 << 20) == 0:
            return False
        if self.host.inspect(_has_service, port):
            return False
        if ttl != self.ttl:
            self.ttl = ttl
            self.sock.setsockopt(0, 2, ttl)  # IP_TTL
        return True


def _has_service(stack: Any, port: int) -> bool:
    """Return True if a service of the core has the UDP port."""
    return any(ep.service is not None for ep in stack.udp.buckets.get(port, {}).values())
