"""What all proxies have in common: a listener, a task for each client, and a bound on the clients."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from typing import Any

from pystack.proxies import proxyheader
from pystack.proxies.conn import ProxyConn
from pystack.proxies.settings import ProxySettings

log = logging.getLogger("pystack.proxies")
#: errors of accept() after which the listener is no use any more
_FATAL = (errno.EBADF, errno.EINVAL, errno.ENETDOWN, errno.ENOTSOCK)


class ProxyServer:
    """An asyncio program that accepts connections at an address and port, and serves them until it is cancelled or closed.

    listen         (address, port); "" is every address, and port 0 is any free one (see `address`)
    settings       limits and times
    tls            a context of the server side, if clients speak TLS
    accept_proxy   whether clients begin with a PROXY header, version 1 or 2, which is required then
    """

    def __init__(
        self,
        listen: tuple[str, int],
        *,
        settings: ProxySettings | None = None,
        tls: ssl.SSLContext | None = None,
        accept_proxy: bool = False,
    ):
        self.listen = listen
        self.settings = settings or ProxySettings()
        self.tls = tls
        self.accept_proxy = accept_proxy
        #: where it listens, once it does
        self.address: tuple[str, int] | None = None
        self.started: asyncio.Event | None = None
        #: how many clients were accepted and are served now, and what happened, by name
        self.accepted = 0
        self.clients = 0
        self.counts: dict[str, int] = {}
        self._listener: Any = None
        self._tasks: set[asyncio.Task[None]] = set()

    def count(self, what: str) -> None:
        """Count something that happened."""
        self.counts[what] = self.counts.get(what, 0) + 1

    async def __call__(self) -> None:
        """Serve until cancelled, or until `close`."""
        self._open()
        helpers = [asyncio.ensure_future(helper) for helper in self.helpers()]
        try:
            await self._accept()
        finally:
            for task in [*self._tasks, *helpers]:
                task.cancel()
            await asyncio.gather(*self._tasks, *helpers, return_exceptions=True)
            self.close()
            self.ended()

    def _open(self) -> None:
        family = socket.AF_INET6 if ":" in self.listen[0] else socket.AF_INET
        sock = self._listener = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(self.listen)
        sock.listen(self.settings.backlog)
        sock.setblocking(False)
        self.address = sock.getsockname()[:2]
        if self.started is not None:
            self.started.set()

    def helpers(self) -> list[Any]:
        """Coroutines that run beside the listener, such as health checks."""
        return []

    def ended(self) -> None:
        """Called when the server has ended."""

    def close(self) -> None:
        """Stop listening. The clients that are connected are served until the program ends."""
        if self._listener is not None:
            self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(self.settings.max_clients)
        while True:
            await room.acquire()
            try:
                sock, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                room.release()
                if error.errno in _FATAL:
                    return
                log.debug("accept: %s", error)
                await asyncio.sleep(0.05)  # such as EMFILE: others must end first
                continue
            self.accepted += 1
            self.clients += 1
            task = loop.create_task(self._guarded(sock), name="client")
            self._tasks.add(task)
            task.add_done_callback(lambda task, sock=sock: self._done(task, room, sock))  # type: ignore[misc]

    def _done(self, task: "asyncio.Task[None]", room: asyncio.Semaphore, sock: Any) -> None:
        sock.close()  # also if the task was cancelled before it began
        self._tasks.discard(task)
        self.clients -= 1
        room.release()

    async def _guarded(self, sock: Any) -> None:
        """Serve one client. An error ends only this client."""
        conn = None
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn = ProxyConn(sock)
            async with asyncio.timeout(self.settings.head_timeout):
                await self.greet(conn)
            await self.serve(conn)
        except EOFError:
            self.count("client-error")
        except OSError as error:
            self.count("client-timeout" if isinstance(error, TimeoutError) else "client-error")
            log.debug("%s: %s", conn and conn.peer, error)
            if conn is not None:
                conn.reset()  # what a client does not read must not stay in the socket's buffer
        except Exception:
            self.count("internal-error")
            log.exception("a client failed")
        finally:
            if conn is None:
                sock.close()
            else:
                conn.close()

    async def greet(self, conn: ProxyConn) -> None:
        """Read what comes before the protocol itself: a PROXY header, the handshake of TLS."""
        if self.accept_proxy:
            header = await proxyheader.read(conn)
            if header.source is not None and header.destination is not None:
                conn.peer, conn.local = header.source, header.destination
        if self.tls is not None:
            await conn.start_tls(self.tls, True)

    async def serve(self, conn: ProxyConn) -> None:
        """Serve one client. It is closed afterwards."""
        raise NotImplementedError


@contextlib.asynccontextmanager
async def running(*servers: ProxyServer) -> Any:
    """While the block runs, the servers run, too, and listen already. For tests and programs that do something else beside."""
    tasks = []
    for server in servers:
        server.started = asyncio.Event()
        tasks.append(asyncio.ensure_future(server()))
    try:
        for server, task in zip(servers, tasks):
            waiter = asyncio.ensure_future(server.started.wait())  # type: ignore[union-attr]
            await asyncio.wait([waiter, task], return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
            if task.done():
                task.result()
        yield servers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
