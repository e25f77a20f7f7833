"""`fib`: what the routing table says about an address of the packet (Linux nft_fib_ipv4)."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import is_broadcast, is_multicast, is_this_network
from pystack_c.filter.nft.exprs import Expr
from pystack_c.filter.nft.view import View
from pystack_c.iface import Iface, LocalAddr
from pystack_c.route import NextHop, Route

# Fib.result
OIF, TYPE, PRESENT = range(3)
# Linux's types of addresses (RTN_*)
UNICAST, LOCAL, BROADCAST, MULTICAST = 1, 2, 3, 5


class Fib(Expr):
    """Look up the source or the destination (`source`). `mark`, `iif` and `oif` say what else decides.

    The result is the name of the interface by which packets to the address leave ("" without one), whether there is such an
    interface (1 or 0), or the type of the address.
    """

    def __init__(self, helper: Any, result: int, source: bool, mark: bool, iif: bool, oif: bool) -> None:
        #: finds routes (pystack_c.ip.refusal)
        self.helper = helper
        self.result = result
        self.source = source
        self.mark = mark
        self.iif = iif
        self.oif = oif

    def value(self, view: View) -> Any:
        """Return the result."""
        if self.result == 1:
            return self._type(view)
        found: Iface | None = self._out(view)
        if self.result == 2:
            return 0 if found is None else 1
        return "" if found is None else found.name

    def _type(self, view: View) -> int:
        """Return the type of the address (Linux inet_dev_addr_type), which only this host's own addresses decide."""
        addr = view.src if self.source else view.dst
        if is_this_network(addr) or is_broadcast(addr):
            return 3
        if is_multicast(addr):
            return 5
        iface: Iface | None = view.iif if self.iif else view.oif if self.oif else None
        mine: LocalAddr | None = view.core.local_addr(addr)
        if mine is not None:
            return 2 if iface is None or iface is mine.iface else 1
        for item in view.core.ifaces:
            other: Iface = item
            if iface is not None and iface is not other:
                continue
            for own in other.addrs:
                mine = own
                if mine.broadcast == addr:
                    return 3
        return 1

    def _out(self, view: View) -> Any:
        """Return the interface by which packets to the address leave, or None."""
        core = view.core
        if view.place != C.HOOK_FORWARD and view.iif.kind == C.LINK_LOOPBACK:
            return view.iif
        if is_this_network(view.src) and is_broadcast(view.dst):
            return view.iif
        addr = view.src if self.source else view.dst
        if core.local_addr(addr) is not None:
            # The table has no way out for this host's own addresses, so a packet that claims to come from one has none, too.
            return None
        other = view.dst if self.source else view.src
        if is_multicast(other) or is_broadcast(other) or is_this_network(other):
            other = 0
        # Linux looks up the way back of a forwarded packet as if it had arrived where the packet leaves.
        into: Iface | None = view.oif if view.place == C.HOOK_FORWARD and self.source and self.iif else None
        route: Route | None = self.helper.route(addr, other, into, view.mark if self.mark else 0)
        if route is None or route.kind != C.RT_UNICAST:
            return None
        if not self.iif:
            if route.hops is None:
                return route.iface
            hop: NextHop = route.hops[0]
            return hop.iface
        if route.hops is None:
            return view.iif if route.iface is view.iif else None
        for item in route.hops:
            hop = item
            if hop.iface is view.iif:
                return view.iif
        return None
