"""Forwarding of multicasts on a simulated host: routes that are set by hand, and an IGMP proxy."""

from collections.abc import Sequence
from typing import Any

from pystack.addresses import parse_addr


class Multicasting:
    """Methods of SimHost. Interfaces are named, such as "eth0"."""

    setup: Any
    stack: Any
    _script: list[tuple[str, tuple[Any, ...]]]
    _iface: Any

    def mroute(self, group: str, iif: str, oifs: Sequence[str], source: str = "", ttl: int = 1) -> None:
        """Forward datagrams to a group that arrive on one interface to others. `ttl` is the threshold that their TTL must exceed.

        With `source`, the route is for datagrams from there only.
        """
        out = [self._iface(name) for name in oifs]
        self.setup("add_mroute", parse_addr(group), self._iface(iif), parse_addr(source) if source else 0, ttl, *out)
        self._script.append(("mroute", (group, iif, tuple(oifs), source, ttl)))

    def igmp_proxy(self, downstream: Sequence[str], upstream: str = "") -> None:
        """Ask the hosts of the interfaces `downstream` which groups they want (IGMPv3, with an election of the querier), and forward
        these groups between them. With `upstream`, the host joins the groups there, and forwards what its hosts send (RFC 4605)."""
        up = self._iface(upstream) if upstream else None
        self.setup("igmp_proxy", up, *(self._iface(name) for name in downstream))
        self._script.append(("igmp_proxy", (tuple(downstream), upstream)))

    def mroute_show(self) -> str:
        """The routes for multicasts, and the groups that hosts want, link by link."""
        router = self.stack.mrouter
        return "" if router is None else str(router.show())
