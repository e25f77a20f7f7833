"""What the services have in common: threads that take turns at accepting and serving.

Every thread of a stream service accepts a connection and serves it to its end, then accepts again; one more thread
starts whenever none is left in accept(). So a short connection is served by the thread that took it, without a hand-over.
"""

import errno
import logging
import threading
from collections.abc import Callable
from typing import Any

from pystack.runtime import forked
from pystack.runtime.addresses import parse_addr
from pystack.runtime.realtime import RealtimeHost
from pystack_c.services import serve

log = logging.getLogger("pystack.services")

#: threads that may wait in accept() at the same time
SPARE = 4
#: connections served at the same time; more wait in the listen queue
MAX_CONNECTIONS = 4096
#: seconds without a byte after which a connection is dropped
IDLE = 300.0


class Service:
    """A socket that is being served."""

    protocol = "tcp"

    def __init__(self, name: str, sock: Any, address: tuple[str, int]):
        self.name = name
        self.sock = sock
        self.address = address
        self.closing = False

    def start(self) -> None:
        """Bind and serve."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop."""
        self.closing = True
        self.sock.close()

    def __str__(self) -> str:
        return f"{self.name} on {self.address[0] or '*'}:{self.address[1]}/{self.protocol}"

    def __repr__(self) -> str:
        return f"<service {self}>"


class CoreService(Service):
    """A service that runs inside the core: no thread, no socket (see pystack_c.services)."""

    def __init__(self, name: str, host: RealtimeHost, address: tuple[str, int], protocol: str):
        super().__init__(name, None, address)
        self.host = host
        self.protocol = protocol
        self.endpoint: Any = None

    def start(self) -> None:
        """Bind and serve."""
        addr = parse_addr(self.address[0]) if self.address[0] else 0
        fn = serve.stream if self.protocol == "tcp" else serve.datagram
        self.endpoint = self.host.call(fn, self.host.stack, self.name, addr, self.address[1])

    def close(self) -> None:
        """Stop: connections that are open are reset."""
        self.closing = True
        endpoint, self.endpoint = self.endpoint, None
        if endpoint is not None and self.host.failure is None:
            try:
                self.host.call(serve.stop, endpoint)
            except OSError as exc:
                log.debug("%s: %s", self.name, exc)


class StreamService(Service):
    """A TCP service: `serve(conn)` is called for each connection and returns when it is done."""

    def __init__(self, name: str, sock: Any, address: tuple[str, int], serve: Callable[[Any], None]):
        super().__init__(name, sock, address)
        self.serve = serve
        self.idle_timeout: float | None = IDLE
        self._lock: Any
        forked.renewed(self, "_lock", threading.Lock)
        self._waiting = 0
        self._threads = 0
        self._conns: set[Any] = set()

    def start(self) -> None:
        """Listen, and start the first thread."""
        self.sock.setsockopt(1, 2, 1)  # SO_REUSEADDR
        self.sock.bind(self.address)
        self.sock.listen(1024)
        self._spawn()

    def close(self) -> None:
        """Stop: no new connections, and those that are open are reset or closed."""
        super().close()
        with self._lock:
            conns = list(self._conns)
        for conn in conns:
            try:
                conn.shutdown(2)
            except OSError:
                continue

    def _spawn(self) -> None:
        with self._lock:
            self._threads += 1
            self._waiting += 1
        threading.Thread(target=self._run, name=f"pystack-{self.name}", daemon=True).start()

    def _run(self) -> None:
        while True:
            conn = self._accept()
            with self._lock:
                self._waiting -= 1
                more = conn is not None and self._waiting == 0 and self._threads < MAX_CONNECTIONS
                if conn is None:
                    self._threads -= 1
                    return
                self._conns.add(conn)
            if more:
                self._spawn()
            try:
                conn.settimeout(self.idle_timeout)
                self.serve(conn)
            except OSError as exc:
                log.debug("%s: %s", self.name, exc)
            except Exception:
                log.exception("%s failed", self.name)
            finally:
                self._end(conn)
            with self._lock:
                if self._waiting >= SPARE:
                    self._threads -= 1
                    return
                self._waiting += 1

    def _accept(self) -> Any:
        while not self.closing:
            try:
                return self.sock.accept()[0]
            except OSError as exc:
                if self.closing or exc.errno in (errno.EBADF, errno.ENETDOWN, errno.EINVAL):
                    return None
                log.debug("%s: accept: %s", self.name, exc)
        return None

    def _end(self, conn: Any) -> None:
        with self._lock:
            self._conns.discard(conn)
        try:
            conn.close()
        except OSError:
            pass


class DatagramService(Service):
    """A UDP service: `answer(data)` gives the datagram to send back, or None."""

    protocol = "udp"

    def __init__(self, name: str, sock: Any, address: tuple[str, int], answer: Callable[[bytes], bytes | None]):
        super().__init__(name, sock, address)
        self.answer = answer

    def start(self) -> None:
        """Bind, and start the thread."""
        self.sock.bind(self.address)
        threading.Thread(target=self._run, name=f"pystack-{self.name}-udp", daemon=True).start()

    def _run(self) -> None:
        while not self.closing:
            try:
                data, peer = self.sock.recvfrom(65535)
                # Two such services must not be set upon each other by a forged source port.
                if peer[1] < 1024 and peer[1] in (7, 9, 13, 19):
                    continue
                reply = self.answer(data)
                if reply is not None:
                    self.sock.sendto(reply, peer)
            except OSError as exc:
                if self.closing or exc.errno in (errno.EBADF, errno.ENETDOWN):
                    return
                log.debug("%s: %s", self.name, exc)
