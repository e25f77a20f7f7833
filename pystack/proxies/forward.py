"""A forward proxy for HTTP: CONNECT (RFC 9110 section 9.3.6), and requests whose target is a whole URL."""

import base64
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from pystack.proxies.conn import ProxyConn, dial
from pystack.proxies.exchange import HttpExchange
from pystack.proxies.http1 import Http1Client
from pystack.proxies.message import ProxiedRequest, RefusedRequest
from pystack.proxies.relay import splice
from pystack.proxies.server import ProxyServer
from pystack.proxies.settings import ProxySettings
from pystack.proxies.upstream import Upstream, UpstreamGroup

#: how many servers are remembered, with their idle connections
_SERVERS = 64
#: (host, port) -> whether a client may go there
Allow = Callable[[str, int], bool]


class ForwardProxy(ProxyServer):
    """A proxy that clients name in their settings, over HTTP/1.1.

    allow   a function that says where clients may go; by default anywhere. A proxy that others reach should refuse the addresses of its
            own network.
    users   name -> password, if clients must name themselves (Basic, RFC 7617)
            See ProxyServer for the other arguments.
    """

    def __init__(
        self,
        listen: tuple[str, int],
        *,
        allow: Allow | None = None,
        users: Mapping[str, str] | None = None,
        settings: ProxySettings | None = None,
        tls: Any = None,
        accept_proxy: bool = False,
    ):
        super().__init__(listen, settings=settings, tls=tls, accept_proxy=accept_proxy)
        self.allow = allow or (lambda host, port: True)
        self.users = dict(users or {})
        self.refusals: dict[int, int] = {}
        self._groups: OrderedDict[tuple[str, int], UpstreamGroup] = OrderedDict()

    async def serve(self, conn: ProxyConn) -> None:
        """See the base class."""
        await Http1Client(conn, self.settings, self.handle, self.refused).run()

    def ended(self) -> None:
        """See the base class."""
        for group in self._groups.values():
            group.close()

    def refused(self, status: int) -> None:
        """Count a request that got an answer of the proxy itself."""
        self.refusals[status] = self.refusals.get(status, 0) + 1

    async def handle(self, request: ProxiedRequest, reply: Any, client: ProxyConn) -> None:
        """Serve one request."""
        if self.users and not self._known(request):
            refusal = RefusedRequest(407, "the proxy needs a name and a password")
            refusal.headers.append((b"proxy-authenticate", b'Basic realm="proxy"'))
            raise refusal
        if request.method == b"CONNECT":
            await self._tunnel(request, reply)
            return
        if not request.absolute or request.scheme != b"http":
            raise RefusedRequest(
                400, "the target of a request to a forward proxy is a URL with http, or the method is CONNECT"
            )
        host, port = authority(request.host, 80)
        self._check(host, port)
        await HttpExchange(self._group(host, port), self.settings, request, reply, client).run()

    def _check(self, host: str, port: int) -> None:
        if not self.allow(host, port):
            raise RefusedRequest(403, "the proxy does not go there")

    def _group(self, host: str, port: int) -> UpstreamGroup:
        group = self._groups.get((host, port))
        if group is None:
            group = UpstreamGroup([Upstream(host, port)], settings=self.settings)
            self._groups[host, port] = group
            if len(self._groups) > _SERVERS:
                self._groups.popitem(last=False)[1].close()
        self._groups.move_to_end((host, port))
        return group

    def _known(self, request: ProxiedRequest) -> bool:
        for value in request.get(b"proxy-authorization")[:1]:
            scheme, _, word = value.partition(b" ")
            if scheme.lower() != b"basic":
                return False
            try:
                name, colon, password = base64.b64decode(word.strip(), validate=True).partition(b":")
            except ValueError:
                return False
            wanted = self.users.get(name.decode("utf-8", "replace"))
            return bool(colon) and wanted is not None and hmac.compare_digest(wanted.encode(), password)
        return False

    async def _tunnel(self, request: ProxiedRequest, reply: Any) -> None:
        host, port = authority(request.target, 0)
        if not port:
            raise RefusedRequest(400, "the target of CONNECT is host:port")
        self._check(host, port)
        try:
            far = await dial((host, port), self.settings.connect_timeout)
        except TimeoutError:
            raise RefusedRequest(504, "the server did not accept the connection in time") from None
        except OSError as error:
            raise RefusedRequest(502, f"the server cannot be reached: {error.strerror or error}") from None
        try:
            near = await reply.connected()
        except BaseException:
            far.close()
            raise
        await splice(near, far, self.settings)


def authority(text: bytes, default: int) -> tuple[str, int]:
    """The host and port of "example.com:80" or "[::1]:80". RefusedRequest if they are not valid."""
    host, colon, port = text.decode("ascii", "replace").rpartition(":")
    if not colon or "]" in port:
        host, port = text.decode("ascii", "replace"), str(default)
    if not host or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise RefusedRequest(400, "the host and port are not valid")
    return host.removeprefix("[").removesuffix("]"), int(port)
