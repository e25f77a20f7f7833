"""A forward proxy by SOCKS version 5 (RFC 1928), with user names and passwords (RFC 1929). The only command is CONNECT."""

import asyncio
import errno
import hmac
import ipaddress
from collections.abc import Callable, Mapping
from typing import NoReturn

from pystack.proxies.conn import ProxyConn, dial
from pystack.proxies.relay import splice
from pystack.proxies.server import ProxyServer
from pystack.proxies.settings import ProxySettings

_NONE, _PASSWORD, _NO_METHOD = 0, 2, 255
_IPV4, _NAME, _IPV6 = 1, 3, 4
#: replies (RFC 1928 section 6)
GRANTED, FAILED, NOT_ALLOWED, NET_UNREACHABLE, HOST_UNREACHABLE, REFUSED, EXPIRED, NO_COMMAND, NO_TYPE = range(9)
_REPLIES = {errno.ENETUNREACH: NET_UNREACHABLE, errno.EHOSTUNREACH: HOST_UNREACHABLE, errno.ECONNREFUSED: REFUSED}


class SocksError(OSError):
    """What the client sends is not SOCKS 5, or is not allowed."""


class SocksProxy(ProxyServer):
    """A SOCKS 5 proxy.

    allow   a function (host, port) that says where clients may go; by default anywhere
    users   name -> password, if clients must name themselves
            See ProxyServer for the other arguments.
    """

    def __init__(
        self,
        listen: tuple[str, int],
        *,
        allow: Callable[[str, int], bool] | None = None,
        users: Mapping[str, str] | None = None,
        settings: ProxySettings | None = None,
        accept_proxy: bool = False,
    ):
        super().__init__(listen, settings=settings, accept_proxy=accept_proxy)
        self.allow = allow or (lambda host, port: True)
        self.users = dict(users or {})

    async def serve(self, conn: ProxyConn) -> None:
        """See the base class."""
        async with asyncio.timeout(self.settings.head_timeout):
            await self._authenticate(conn)
            host, port = await self._request(conn)
        if not self.allow(host, port):
            await self._refuse(conn, NOT_ALLOWED)
        try:
            far = await dial((host, port), self.settings.connect_timeout)
        except TimeoutError:
            await self._refuse(conn, EXPIRED if host[:1].isdigit() else HOST_UNREACHABLE)
        except OSError as error:
            await self._refuse(conn, _REPLIES.get(error.errno or 0, HOST_UNREACHABLE))
        try:
            await conn.send(reply(GRANTED, far.local))
        except BaseException:
            far.close()
            raise
        self.count(f"relay-{await splice(conn, far, self.settings)}")

    async def _authenticate(self, conn: ProxyConn) -> None:
        """Agree on a method (RFC 1928 section 3), and check the name and password (RFC 1929)."""
        version, count = await conn.exactly(2)
        if version != 5:
            raise SocksError(f"the version {version} is not 5")
        methods = await conn.exactly(count)
        wanted = _PASSWORD if self.users else _NONE
        if wanted not in methods:
            await conn.send(bytes((5, _NO_METHOD)))
            raise SocksError("the client offers no method that is allowed")
        await conn.send(bytes((5, wanted)))
        if wanted == _NONE:
            return
        version, size = await conn.exactly(2)
        name = await conn.exactly(size)
        password = await conn.exactly((await conn.exactly(1))[0])
        known = self.users.get(name.decode("utf-8", "replace"))
        if version != 1 or known is None or not hmac.compare_digest(known.encode(), password):
            await conn.send(b"\x01\x01")
            raise SocksError("the name or the password is wrong")
        await conn.send(b"\x01\x00")

    async def _request(self, conn: ProxyConn) -> tuple[str, int]:
        """The host and port of the request (RFC 1928 section 4)."""
        version, command, _, kind = await conn.exactly(4)
        if version != 5:
            raise SocksError(f"the version {version} is not 5")
        if kind == _IPV4:
            host = str(ipaddress.IPv4Address(await conn.exactly(4)))
        elif kind == _IPV6:
            host = str(ipaddress.IPv6Address(await conn.exactly(16)))
        elif kind == _NAME:
            host = (await conn.exactly((await conn.exactly(1))[0])).decode("ascii", "replace")
        else:
            await self._refuse(conn, NO_TYPE)
        port = int.from_bytes(await conn.exactly(2), "big")
        if command != 1:
            await self._refuse(conn, NO_COMMAND)
        if not host or not all(character.isalnum() or character in "-._:" for character in host):
            await self._refuse(conn, FAILED)
        return host, port

    async def _refuse(self, conn: ProxyConn, code: int) -> NoReturn:
        """Send a reply, and end the connection (RFC 1928 section 6)."""
        self.count(f"refused-{code}")
        await conn.send(reply(code, ("0.0.0.0", 0)))
        raise SocksError(f"the request was refused with {code}")


def reply(code: int, address: tuple[str, int]) -> bytes:
    """A reply with the address from which the proxy connected."""
    host = ipaddress.ip_address(address[0])
    kind = _IPV4 if host.version == 4 else _IPV6
    return bytes((5, code, 0, kind)) + host.packed + address[1].to_bytes(2, "big")
