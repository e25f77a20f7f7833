"""Proxies and load balancers: asyncio programs that run on simulated hosts, on a live stack, and on the sockets of the machine.

    from pystack.proxies import HttpProxy, Upstream
    net.run({client: program}, background={proxy: HttpProxy(("", 80), [Upstream("10.0.2.2", 80)])})

They need the extra `proxy`: h11 reads and writes HTTP/1.1, and h2 reads and writes HTTP/2.
"""

try:
    import h2  # noqa: F401
    import h11  # noqa: F401
except ImportError as error:
    raise ImportError("proxies need h11 and h2: pip install 'pystack[proxy]'", name=error.name) from None

from pystack.proxies.check import HealthCheck
from pystack.proxies.forward import ForwardProxy
from pystack.proxies.http import HttpProxy
from pystack.proxies.relay import TcpRelay
from pystack.proxies.settings import ProxySettings
from pystack.proxies.socks import SocksProxy
from pystack.proxies.upstream import Upstream, UpstreamGroup

__all__ = [
    "ForwardProxy",
    "HealthCheck",
    "HttpProxy",
    "ProxySettings",
    "SocksProxy",
    "TcpRelay",
    "Upstream",
    "UpstreamGroup",
]
