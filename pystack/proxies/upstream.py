"""The servers behind a proxy: which of them is chosen, and the connections to them that are kept."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence

from pystack.proxies import proxyheader
from pystack.proxies.conn import ProxyConn, dial
from pystack.proxies.origin2 import Http2Connection, Http2Upstream
from pystack.proxies.settings import ProxySettings
from pystack_c.base.siphash import siphash
from pystack_c.filter import scheduling

#: the key of the hash of a client; fixed, so that several proxies send a client to the same server
_KEY = b"pystack-proxies\0"


class NoUpstream(Exception):
    """No server can take the request: all are down, or the connections to them are all in use for too long."""


class Upstream:
    """One server.

    weight   its share of the clients; 0 takes no new ones, and keeps those that it has (draining)
    tls      a context of the client side, if it speaks TLS; `tls_name` is the name in its certificate, by default the host
    proxy    the version of the PROXY header that it wants at the start of a connection, 1 or 2; 0 for none
    http2    an HTTP proxy speaks HTTP/2 to it: with `tls` if it chooses h2 by ALPN (otherwise HTTP/1.1), without `tls` in any case
             (prior knowledge, RFC 9113 section 3.3)
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        weight: int = 1,
        name: str = "",
        tls: ssl.SSLContext | None = None,
        tls_name: str = "",
        proxy: int = 0,
        http2: bool = False,
    ):
        if proxy not in (0, 1, 2):
            raise ValueError(f"proxy={proxy!r}: the versions of the PROXY protocol are 1 and 2")
        if weight < 0 or weight > 65535:
            raise ValueError(f"weight={weight!r} is not in 0..65535")
        if http2 and proxy:
            raise ValueError("a connection of HTTP/2 carries requests of many clients, so no PROXY header can name one")
        if http2 and tls is not None:
            tls.set_alpn_protocols(["h2", "http/1.1"])
        self.host = host
        self.port = port
        self.weight = weight
        self.name = name or f"{host}:{port}"
        self.tls = tls
        self.tls_name = tls_name or host
        self.proxy = proxy
        self.http2 = http2
        #: False while health checks fail
        self.healthy = True
        #: connections that are in use, and all that were opened
        self.active = 0
        self.opened = 0
        #: how often it failed in a row, and until when (the loop's time) it gets nothing because of that
        self.fails = 0
        self.out_until = 0.0
        #: connections that are idle, with the time since when, the newest last
        self.idle: deque[tuple[float, ProxyConn]] = deque()
        self.waiting: deque[asyncio.Future[None]] = deque()
        #: the connections of HTTP/2, which serve many requests at the same time, and whether one more is being opened
        self.shared: list[Http2Connection] = []
        self.opening: asyncio.Task[None] | None = None

    async def greet(self, conn: ProxyConn, client: ProxyConn | None) -> None:
        """Begin a new connection to it with the PROXY header and TLS that it wants. `client` is whom it serves; None: the proxy itself."""
        if self.proxy:
            ends = (("", 0), ("", 0)) if client is None else (client.peer, client.local)
            await conn.send(proxyheader.build(self.proxy, *ends))
        if self.tls is not None:
            await conn.start_tls(self.tls, False, self.tls_name)

    def drain(self) -> None:
        """Take no new clients. Those that are there stay."""
        self.weight = 0

    def __repr__(self) -> str:
        return f"<Upstream {self.name}>"


class UpstreamGroup:
    """Servers that can do the same, and the way to choose one: round-robin, weighted, least-connections, source-hash or maglev."""

    def __init__(
        self, upstreams: Sequence[Upstream], balance: str = "round-robin", settings: ProxySettings | None = None
    ):
        self.upstreams = list(upstreams)
        names = [upstream.name for upstream in self.upstreams]
        if len(set(names)) != len(names):
            raise ValueError(f"two upstreams have the same name: {', '.join(sorted(names))}")
        self.scheduling = scheduling.make(balance)
        self.settings = settings or ProxySettings()

    def usable(self, upstream: Upstream) -> bool:
        """Whether an upstream is neither down nor out because of failures."""
        return upstream.healthy and upstream.out_until <= asyncio.get_running_loop().time()

    def choose(self, peer: tuple[str, int], tried: Sequence[Upstream] = ()) -> Upstream:
        """The server for a client, none of those that were tried for it before. NoUpstream if there is none."""
        by_port = self.scheduling.by_port
        key = siphash(_KEY, f"{peer[0]} {peer[1] if by_port else ''}".encode())
        untried: Callable[[Upstream], bool] = lambda upstream: self.usable(upstream) and upstream not in tried  # noqa: E731
        found: Upstream | None = self.scheduling.choose(self.upstreams, untried, key)
        if found is None:
            raise NoUpstream("no upstream is up")
        return found

    def failed(self, upstream: Upstream) -> None:
        """Count a failure. After `max_fails` in a row, the upstream is left out for `fail_time`."""
        upstream.fails += 1
        if 0 < self.settings.max_fails <= upstream.fails:
            upstream.out_until = asyncio.get_running_loop().time() + self.settings.fail_time
            upstream.fails = 0

    def succeeded(self, upstream: Upstream) -> None:
        """Forget earlier failures."""
        upstream.fails = 0

    # Connections.

    async def connect(self, upstream: Upstream, client: ProxyConn) -> ProxyConn:
        """A new connection to an upstream, with the PROXY header and TLS that it wants. OSError if that fails."""
        settings = self.settings
        try:
            conn = await dial((upstream.host, upstream.port), settings.connect_timeout)
            upstream.opened += 1
            try:
                async with asyncio.timeout(settings.connect_timeout):
                    await upstream.greet(conn, client)
            except BaseException:
                conn.close()
                raise
        except OSError:
            self.failed(upstream)
            raise
        return conn

    async def acquire(self, upstream: Upstream, client: ProxyConn) -> tuple[ProxyConn, bool]:
        """A connection to an upstream that is not in use, and whether it was used before. OSError, NoUpstream."""
        await self._enter(upstream)
        try:
            now = asyncio.get_running_loop().time()
            while upstream.idle:
                since, conn = upstream.idle.pop()
                # A connection that names one client in its PROXY header can serve no other one.
                if now - since <= self.settings.idle_timeout and not conn.stale():
                    return conn, True
                conn.close()
            return await self.connect(upstream, client), False
        except BaseException:
            self.leave(upstream)
            raise

    def release(self, upstream: Upstream, conn: ProxyConn, reusable: bool) -> None:
        """Give a connection back."""
        if reusable and not conn.closed and upstream.proxy == 0 and len(upstream.idle) < self.settings.max_idle:
            upstream.idle.append((asyncio.get_running_loop().time(), conn))
        else:
            conn.close()
        self.leave(upstream)

    # Connections of HTTP/2.

    async def begin(self, upstream: Upstream, client: ProxyConn) -> "tuple[Http2Upstream, bool] | None":
        """A place for a request on a connection of HTTP/2, and whether the connection was used before. OSError, NoUpstream.

        None: the upstream has chosen HTTP/1.1. While all connections are full, one more is opened, unless `max_upstream` forbids it. One task
        opens it for all requests that wait. So many requests at once do not open many connections.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.queue_timeout
        waited = False
        while upstream.http2:
            for over in upstream.shared:
                if over.free():
                    used = over.requests > 0
                    upstream.active += 1
                    return over.begin(), used
            most = self.settings.max_upstream
            unknown = any(not over.settled for over in upstream.shared)  # they may have room for more in a moment
            if upstream.opening is None and not unknown and not (most and len(upstream.shared) >= most):
                upstream.opening = loop.create_task(self._open(upstream, client))
                upstream.opening.add_done_callback(lambda task: task.cancelled() or task.exception())
            opening = upstream.opening
            await self._wait(upstream, deadline, waited)
            waited = True
            if opening is not None and opening.done() and not opening.cancelled() and (error := opening.exception()):
                raise error
        return None

    async def _wait(self, upstream: Upstream, deadline: float, first: bool) -> None:
        """Wait until it makes sense to look for a place again. A request that has waited before is the `first`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (upstream.waiting.appendleft if first else upstream.waiting.append)(future)
        try:
            async with asyncio.timeout_at(deadline):
                await future
        except BaseException as error:
            if future in upstream.waiting:
                upstream.waiting.remove(future)
            else:
                self._wake(upstream, 1)  # the place and the exception came at the same time
            if isinstance(error, TimeoutError):
                raise NoUpstream("all connections to the upstream are in use") from None
            raise

    async def _open(self, upstream: Upstream, client: ProxyConn) -> None:
        """Open a connection of HTTP/2. The requests that wait look for a place then. If it failed, all of them get the error."""
        more = 1 << 30
        try:
            conn = await self.connect(upstream, client)
            if conn.tls is not None and conn.tls.selected_alpn_protocol() != "h2":
                upstream.http2 = False
                upstream.idle.append((asyncio.get_running_loop().time(), conn))
                return
            over = Http2Connection(conn, self.settings, lambda: self._changed(upstream))
            upstream.shared.append(over)
            over.start()
            more = 1
        finally:
            upstream.opening = None
            asyncio.get_running_loop().call_soon(self._wake, upstream, more)

    def _changed(self, upstream: Upstream) -> None:
        """A connection of HTTP/2 may have room, or has ended."""
        before = len(upstream.shared)
        upstream.shared = [over for over in upstream.shared if not over.leaving]
        if upstream.waiting:
            self._wake(upstream, int(len(upstream.shared) < before))

    def _wake(self, upstream: Upstream, more: int) -> None:
        """Let as many requests look for a place as there is room for, and `more`: one of them may open a connection."""
        room = sum(over.free() for over in upstream.shared) + more
        while upstream.waiting and room > 0:
            future = upstream.waiting.popleft()
            if not future.done():
                future.set_result(None)
                room -= 1

    def end(self, upstream: Upstream, exchange: Http2Upstream) -> None:
        """Give a place on a connection of HTTP/2 back."""
        upstream.active -= 1
        exchange.leave()

    async def _enter(self, upstream: Upstream) -> None:
        """Wait until the upstream may have one more connection in use, the first that asked first."""
        most = self.settings.max_upstream
        if most and (upstream.active >= most or upstream.waiting):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            upstream.waiting.append(future)
            try:
                async with asyncio.timeout(self.settings.queue_timeout):
                    await future
            except BaseException as error:
                if future.done() and not future.cancelled():
                    self.leave(upstream)  # the place and the exception came at the same time
                else:
                    upstream.waiting.remove(future)
                if isinstance(error, TimeoutError):
                    raise NoUpstream("all connections to the upstream are in use") from None
                raise
            return  # `leave` has passed its place on
        upstream.active += 1

    def leave(self, upstream: Upstream) -> None:
        """End a use. The request that has waited longest gets the place."""
        while upstream.waiting:
            future = upstream.waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        upstream.active -= 1

    async def expire(self) -> None:
        """Close idle connections in time. A helper of the proxy, which runs for ever."""
        while True:
            await asyncio.sleep(max(self.settings.idle_timeout / 2, 0.01))
            now = asyncio.get_running_loop().time()
            for upstream in self.upstreams:
                while upstream.idle and now - upstream.idle[0][0] > self.settings.idle_timeout:
                    upstream.idle.popleft()[1].close()
                for over in list(upstream.shared):
                    if not over.streams and not over.reserved and now - over.quiet_since > self.settings.idle_timeout:
                        over.leaving = True
                        await over.end()

    def close(self) -> None:
        """Close all idle connections."""
        for upstream in self.upstreams:
            while upstream.idle:
                upstream.idle.popleft()[1].close()
            for over in list(upstream.shared):
                over.close()
