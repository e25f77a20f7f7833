"""A reverse proxy for HTTP/1.1 and HTTP/2 (layer 7): each request goes to one of the upstreams."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from pystack.proxies.check import HealthCheck
from pystack.proxies.conn import ProxyConn
from pystack.proxies.exchange import ClientGone, HttpExchange
from pystack.proxies.http1 import Http1Client
from pystack.proxies.message import ProxiedRequest, RefusedRequest, Replier
from pystack.proxies.relay import group_of
from pystack.proxies.server import ProxyServer
from pystack.proxies.settings import ProxySettings
from pystack.proxies.upstream import Upstream, UpstreamGroup

#: what every client of HTTP/2 sends first (RFC 9113 section 3.4)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class HttpProxy(ProxyServer):
    """A reverse proxy. Clients may use HTTP/1.1, and HTTP/2 over TLS (ALPN) or with prior knowledge.

    upstreams        servers of HTTP/1.1 or HTTP/2, or an UpstreamGroup
    balance          how to choose one, see UpstreamGroup
    check            how to find out which upstreams are up
    trust_forwarded  whether Forwarded and X-Forwarded-* of clients are kept and extended; by default they are removed, because a client
                     can write anything
                     See ProxyServer for the other arguments.
    """

    def __init__(
        self,
        listen: tuple[str, int],
        upstreams: "Sequence[Upstream] | UpstreamGroup" = (),
        *,
        balance: str = "round-robin",
        settings: ProxySettings | None = None,
        tls: ssl.SSLContext | None = None,
        accept_proxy: bool = False,
        check: HealthCheck | None = None,
        trust_forwarded: bool = False,
    ):
        super().__init__(listen, settings=settings, tls=tls, accept_proxy=accept_proxy)
        self.group = group_of(upstreams, balance, self.settings)
        self.check = check
        self.trust_forwarded = trust_forwarded
        #: requests that were begun, and those that were refused, by status
        self.requests = 0
        self.refusals: dict[int, int] = {}

    def helpers(self) -> list[Any]:
        """See the base class."""
        helpers = [self.group.expire()]
        if self.check is not None:
            helpers.append(self.check.watch(self.group))
        return helpers

    def ended(self) -> None:
        """See the base class."""
        self.group.close()

    async def serve(self, conn: ProxyConn) -> None:
        """See the base class."""
        if await self._speaks_http2(conn):
            from pystack.proxies.http2 import Http2Client

            await Http2Client(conn, self.settings, self.handle, self.refused).run()
        else:
            await Http1Client(conn, self.settings, self.handle, self.refused).run()

    async def _speaks_http2(self, conn: ProxyConn) -> bool:
        if conn.tls is not None:
            return conn.tls.selected_alpn_protocol() == "h2"
        data = b""
        try:
            async with asyncio.timeout(self.settings.head_timeout):
                while data != PREFACE and PREFACE.startswith(data):
                    more = await conn.recv(len(PREFACE) - len(data))
                    data += more
                    if not more:
                        break
        finally:
            conn.unread(data)
        return data == PREFACE

    def refused(self, status: int) -> None:
        """Count a request that got an answer of the proxy itself."""
        self.refusals[status] = self.refusals.get(status, 0) + 1

    async def handle(self, request: ProxiedRequest, reply: Replier, client: ProxyConn) -> None:
        """Serve one request. RefusedRequest if it gets an answer of the proxy itself."""
        self.requests += 1
        if request.method == b"CONNECT":
            raise RefusedRequest(405, "this is no forward proxy")
        try:
            await HttpExchange(self.group, self.settings, request, reply, client).run(self.trust_forwarded)
        except ClientGone:
            self.count("client-gone")
            raise


def server_context(certificate: str, key: str | None = None, http2: bool = True) -> ssl.SSLContext:
    """A context for clients of TLS, with HTTP/2 and HTTP/1.1 by ALPN. `certificate` and `key` are files in PEM format."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context
