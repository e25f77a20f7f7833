"""The HTTP service: one thread for all connections that wait for a request or get a short answer.

A request with a body, or a download, goes to a thread of its own, in which the connection blocks as long as that
takes; afterwards it comes back to the loop. So thousands of idle connections cost nothing but their memory.
"""

import errno
import logging
import threading
import time
from typing import Any

from pystack.runtime.poller import Poller
from pystack.services import http
from pystack.services.base import Service

log = logging.getLogger("pystack.services")

#: bodies and downloads under way at the same time; more are refused
MAX_THREADS = 256


class Connection:
    """One connection: what came and was not answered yet, and when it was last heard of."""

    __slots__ = ("heard", "reader", "sock")

    def __init__(self, sock: Any):
        self.sock = sock
        self.reader = http.Reader(sock)
        self.heard = time.monotonic()


class HttpService(Service):
    """HTTP at one address."""

    def __init__(self, name: str, sock: Any, address: tuple[str, int]):
        super().__init__(name, sock, address)
        self.poller: Poller | None = None
        self._conns: dict[Any, Connection] = {}
        self._threads = threading.Semaphore(MAX_THREADS)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, and start the loop."""
        self.sock.setsockopt(1, 2, 1)  # SO_REUSEADDR
        self.sock.bind(self.address)
        self.sock.listen(4096)
        self.sock.setblocking(False)
        self.poller = Poller(self.sock._open_description().host)
        self.poller.register(self.sock, None)
        self._thread = threading.Thread(target=self._run, args=(self.poller,), name="pystack-http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop: the listener and all connections are closed."""
        super().close()
        if self.poller is not None:
            self.poller.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)

    def _run(self, poller: Poller) -> None:
        looked = time.monotonic()
        try:
            while not self.closing:
                for conn in poller.poll(http.KEEP_ALIVE / 4 if self._conns else None):
                    if conn is None:
                        self._accept(poller)
                    else:
                        self._readable(poller, conn)
                if time.monotonic() - looked > http.KEEP_ALIVE / 4:
                    looked = time.monotonic()
                    self._forget_idle(looked)
        except OSError as exc:
            if exc.errno not in (errno.ENETDOWN, errno.EBADF):
                log.exception("http failed")
        finally:
            for conn in list(self._conns.values()):
                self._close(conn)

    def _accept(self, poller: Poller) -> None:
        while not self.closing:
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            conn = self._conns[sock] = Connection(sock)
            poller.register(sock, conn)

    def _readable(self, poller: Poller, conn: Connection) -> None:
        """Read what is there, and answer the requests in it that can be answered at once."""
        out = b""
        try:
            data = conn.sock.recv(65536)
            reader = conn.reader
            reader.buffer = reader.buffer + data if reader.buffer else data
            keep = bool(data)
            while keep and reader.buffer:
                before = reader.buffer
                head = reader.take_head()
                if head is None:
                    break
                request = http.parse_head(head)
                answer = http.quick(request)
                if answer is None:
                    reader.buffer = before
                    self._hand_over(poller, conn, out)
                    return
                out += answer
                keep = request.keep_alive
        except BlockingIOError:
            return
        except http.BadRequest as exc:
            out += http.refusal(exc)
            keep = False
        except OSError:
            self._close(conn)
            return
        conn.heard = time.monotonic()
        self._send(poller, conn, out, keep)

    def _send(self, poller: Poller, conn: Connection, out: bytes, keep: bool) -> None:
        try:
            if out and conn.sock.send(out) != len(out):
                # A peer that asks and does not read: not worth a thread.
                keep = False
        except OSError:
            keep = False
        if not keep:
            self._close(conn)

    def _hand_over(self, poller: Poller, conn: Connection, out: bytes) -> None:
        """The next request takes a while: a thread of its own."""
        poller.unregister(conn.sock)
        if not self._threads.acquire(blocking=False):
            self._close(conn)
            return
        threading.Thread(target=self._serve, args=(poller, conn, out), name="pystack-http-body", daemon=True).start()

    def _serve(self, poller: Poller, conn: Connection, out: bytes) -> None:
        try:
            conn.sock.settimeout(http.KEEP_ALIVE)
            if out:
                conn.sock.sendall(out)
            more = http.serve_one(conn.sock, conn.reader)
            # What came behind it is answered here, too: the loop only wakes up for new bytes.
            while more and conn.reader.buffer:
                more = http.serve_one(conn.sock, conn.reader)
            if more and not self.closing:
                conn.sock.setblocking(False)
                conn.heard = time.monotonic()
                poller.register(conn.sock, conn)
            else:
                self._close(conn)
        except OSError as exc:
            log.debug("http: %s", exc)
            self._close(conn)
        except Exception:
            log.exception("http failed")
            self._close(conn)
        finally:
            self._threads.release()

    def _forget_idle(self, now: float) -> None:
        for conn in list(self._conns.values()):
            if now - conn.heard > http.KEEP_ALIVE and conn.sock.gettimeout() == 0:
                self._close(conn)

    def _close(self, conn: Connection) -> None:
        self._conns.pop(conn.sock, None)
        if self.poller is not None:
            self.poller.unregister(conn.sock)
        try:
            conn.sock.close()
        except OSError:
            pass
