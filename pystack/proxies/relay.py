"""A relay for TCP: the bytes of each client go to one of the upstreams, and back (layer 4).

A relay acknowledges bytes that no server has seen. What it holds of a connection is at most `buffer_size` bytes in each direction, beside
the buffers of the four sockets. Each direction ends for itself (half-close).
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from pystack.proxies import hello
from pystack.proxies.check import HealthCheck
from pystack.proxies.conn import ProxyConn
from pystack.proxies.server import ProxyServer
from pystack.proxies.settings import ProxySettings
from pystack.proxies.upstream import NoUpstream, Upstream, UpstreamGroup


class Activity:
    """When something last passed a pair of connections, in the loop's time."""

    def __init__(self) -> None:
        self.touch()

    def touch(self) -> None:
        """Something passed."""
        self.at = asyncio.get_running_loop().time()

    async def idle(self, seconds: float) -> None:
        """Return when nothing has passed for so long."""
        loop = asyncio.get_running_loop()
        while (left := self.at + seconds - loop.time()) > 0:
            await asyncio.sleep(left)


async def copy(source: ProxyConn, target: ProxyConn, size: int, activity: Activity) -> None:
    """Copy up to the end of the stream, and pass the end on."""
    while data := await source.recv(size):
        activity.touch()
        await target.send(data)
        activity.touch()
    await target.send_end()


async def splice(near: ProxyConn, far: ProxyConn, settings: ProxySettings) -> str:
    """Copy in both directions until both have ended. If one fails, both connections are reset. Returns how it ended."""
    activity = Activity()
    ways = [
        asyncio.ensure_future(copy(near, far, settings.buffer_size, activity)),
        asyncio.ensure_future(copy(far, near, settings.buffer_size, activity)),
    ]
    watch = asyncio.ensure_future(activity.idle(settings.tunnel_timeout))
    ended = ""
    try:
        while not ended and not all(way.done() for way in ways):
            pending = [task for task in (*ways, watch) if not task.done()]
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if any(way.done() and way.exception() is not None for way in ways):
                ended = "failed"
            elif watch.done():
                ended = "idle"
        return ended or "ended"
    finally:
        for task in (*ways, watch):
            task.cancel()
        complete = False
        try:
            results = await asyncio.gather(*ways, watch, return_exceptions=True)
            complete = not ended and not any(isinstance(result, BaseException) for result in results[:2])
        finally:
            for conn in (near, far):
                if complete:
                    conn.close()
                else:
                    conn.reset()


class TcpRelay(ProxyServer):
    """A relay between clients and upstreams, one connection of an upstream for each client.

    check   how to find out which upstreams are up
    names   upstream groups by the name that a client of TLS asks for (SNI), which is passed through; other clients go to `upstreams`
            See ProxyServer for the other arguments.
    """

    def __init__(
        self,
        listen: tuple[str, int],
        upstreams: "Sequence[Upstream] | UpstreamGroup",
        *,
        balance: str = "round-robin",
        settings: ProxySettings | None = None,
        tls: ssl.SSLContext | None = None,
        accept_proxy: bool = False,
        check: HealthCheck | None = None,
        names: Mapping[str, Sequence[Upstream]] | None = None,
    ):
        super().__init__(listen, settings=settings, tls=tls, accept_proxy=accept_proxy)
        self.group = group_of(upstreams, balance, self.settings)
        self.names = {name.lower(): group_of(found, balance, self.settings) for name, found in (names or {}).items()}
        if self.names and tls is not None:
            raise ValueError("names are passed through with their TLS: leave out tls=")
        self.check = check

    def groups(self) -> list[UpstreamGroup]:
        """All groups of upstreams."""
        return [self.group, *self.names.values()]

    def helpers(self) -> list[Any]:
        """See the base class."""
        return [] if self.check is None else [self.check.watch(group) for group in self.groups()]

    async def serve(self, conn: ProxyConn) -> None:
        """See the base class."""
        group = self.group
        if self.names:
            async with asyncio.timeout(self.settings.head_timeout):
                group = self.names.get(await hello.server_name(conn), group)
        far = await self.reach(group, conn)
        if far is None:
            conn.reset()
            return
        upstream, other = far
        try:
            self.count(f"relay-{await splice(conn, other, self.settings)}")
        finally:
            group.leave(upstream)

    async def reach(self, group: UpstreamGroup, conn: ProxyConn) -> tuple[Upstream, ProxyConn] | None:
        """A connection to an upstream, or None if none of those that may be tried can be reached."""
        tried: list[Upstream] = []
        while len(tried) <= self.settings.retries:
            try:
                upstream = group.choose(conn.peer, tried)
            except NoUpstream:
                break
            tried.append(upstream)
            upstream.active += 1
            try:
                far = await group.connect(upstream, conn)
            except OSError:
                group.leave(upstream)
                self.count("upstream-unreachable")
                continue
            except BaseException:
                group.leave(upstream)
                raise
            group.succeeded(upstream)
            return upstream, far
        self.count("no-upstream")
        return None


def group_of(upstreams: "Sequence[Upstream] | UpstreamGroup", balance: str, settings: ProxySettings) -> UpstreamGroup:
    """The group of some upstreams, if it is none yet."""
    return upstreams if isinstance(upstreams, UpstreamGroup) else UpstreamGroup(upstreams, balance, settings)
