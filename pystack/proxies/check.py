"""Health checks: which upstreams are up."""

import asyncio
import logging

from pystack.proxies.conn import ProxyConn, dial
from pystack.proxies.message import ProxiedRequest, RefusedRequest
from pystack.proxies.origin import BadResponse
from pystack.proxies.origin2 import Http2Connection
from pystack.proxies.settings import ProxySettings
from pystack.proxies.upstream import Upstream, UpstreamGroup

log = logging.getLogger("pystack.proxies")
#: the most bytes of an answer that are read
_MOST = 65_536


class HealthCheck:
    """Ask each upstream every `interval` seconds whether it is up.

    path       the path to GET, with an answer of 200 to 399 as success; "" only opens a connection
    timeout    the time in which the check must succeed
    rise, fall so many successes in a row bring an upstream back, and so many failures take it out
    """

    def __init__(self, path: str = "", *, interval: float = 2.0, timeout: float = 1.0, rise: int = 2, fall: int = 3):
        if path and not path.startswith("/"):
            raise ValueError(f"the path {path!r} must begin with /")
        if not interval > 0 or not timeout > 0 or rise < 1 or fall < 1:
            raise ValueError("interval and timeout must be above 0, and rise and fall at least 1")
        self.path = path
        self.interval = interval
        self.timeout = timeout
        self.rise = rise
        self.fall = fall

    async def watch(self, group: UpstreamGroup) -> None:
        """Check the upstreams of a group for ever."""
        await asyncio.gather(*(self._watch(upstream) for upstream in group.upstreams))

    async def _watch(self, upstream: Upstream) -> None:
        row = 0  # results in a row that differ from the state
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if await self.up(upstream) == upstream.healthy:
                row = 0
            else:
                row += 1
                if row >= (self.fall if upstream.healthy else self.rise):
                    upstream.healthy = not upstream.healthy
                    row = 0
                    log.info("%s is %s", upstream.name, "up" if upstream.healthy else "down")
            due += self.interval
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def up(self, upstream: Upstream) -> bool:
        """Check once."""
        conn = None
        try:
            async with asyncio.timeout(self.timeout):
                conn = await dial((upstream.host, upstream.port), self.timeout)
                await upstream.greet(conn, None)
                if not self.path:
                    return True
                if upstream.http2 and (conn.tls is None or conn.tls.selected_alpn_protocol() == "h2"):
                    return await self._up2(upstream, conn)
                ask = f"GET {self.path} HTTP/1.1\r\nHost: {upstream.host}\r\nConnection: close\r\n\r\n"
                await conn.send(ask.encode())
                line = b""
                while b"\n" not in line and len(line) < _MOST and (more := await conn.recv(1024)):
                    line += more
                words = line.split(b" ", 2)
                return words[0].startswith(b"HTTP/1.") and len(words) > 1 and words[1][:1] in (b"2", b"3")
        except OSError:
            return False
        finally:
            if conn is not None:
                conn.reset()

    async def _up2(self, upstream: Upstream, conn: ProxyConn) -> bool:
        """The same over HTTP/2."""
        over = Http2Connection(conn, ProxySettings())
        over.start()
        exchange = over.begin()
        request = ProxiedRequest(b"GET", self.path.encode(), [], b"2.0")
        try:
            await exchange.send(request, [(b"host", upstream.host.encode())])
            while (event := await exchange.event()).status_code < 200:
                pass
            return int(event.status_code) < 400
        except (BadResponse, RefusedRequest):
            return False
        finally:
            exchange.leave()
            over.close()
