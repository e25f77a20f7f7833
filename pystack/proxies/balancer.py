"""Health checks for a balancer of connections (layer 4, `host.balance` in a simulated network), as a program on the balancer."""

import asyncio
from typing import Any

from pystack.proxies.check import HealthCheck
from pystack.proxies.upstream import Upstream, UpstreamGroup


class ServiceCheck:
    """A program that checks the servers of a service for ever, and marks them as up or down.

        balanced = lb.balance("192.0.2.10:80", ["10.0.0.2:80", "10.0.0.3:80"])
        net.run({client: program}, background={lb: ServiceCheck(balanced, HealthCheck("/health"))})

    A server that is added later is not checked.
    """

    def __init__(self, balanced: Any, check: HealthCheck):
        self.balanced = balanced
        self.check = check

    async def __call__(self) -> None:
        """Check until cancelled."""
        upstreams = []
        for server in self.balanced.servers():
            address, _, port = server.name.rpartition(":")
            upstreams.append(_Checked(self.balanced, server.name, address, int(port)))
        await asyncio.gather(self.check.watch(UpstreamGroup(upstreams)))


class _Checked(Upstream):
    """A server of the balancer, as health checks see it."""

    def __init__(self, balanced: Any, server: str, address: str, port: int):
        self._balanced: Any = None
        super().__init__(address, port, name=server)
        self._balanced = balanced

    @property
    def healthy(self) -> bool:
        """Whether it is up."""
        return self._up

    @healthy.setter
    def healthy(self, up: bool) -> None:
        self._up = up
        if self._balanced is not None:
            self._balanced.mark(self.name, up)
