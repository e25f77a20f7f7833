"""Setting up the routes of a host: its tables, and the rules that choose one.

`Tables` is the part of a Stack (stack.py) that has these calls. A driver makes them by Host.setup, so that recordings
contain them.
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import is_group, length_of, most_prefixlen, normal, prefix_mask, prefix_of
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.ip import policy
from pystack_c.ip.policy import RouteRule
from pystack_c.ip.routing import route_flow
from pystack_c.route import Dst, NextHop, Route, RouteTable


class Tables(Core):
    """A Core with tables of routes."""

    def __init__(self, seed: int, config: Any = None, name: str = "host") -> None:
        Core.__init__(self, seed, config, name)
        self.routes = RouteTable()

    def add_route(
        self,
        dst: int,
        prefixlen: int,
        gateway: int = 0,
        iface: Iface | None = None,
        metric: int = 0,
        src: int = 0,
        kind: int = C.RT_UNICAST,
        mtu: int = 0,
        advmss: int = 0,
        initcwnd: int = 0,
        replace: bool = False,
        table: int = C.RT_TABLE_MAIN,
        hops: tuple[Any, ...] = (),
    ) -> Any:
        """Add a route and return it. Without `iface`, it uses the interface that the gateway is on.

        A `kind` such as RT_UNREACHABLE rejects packets. `mtu`, `advmss` and `initcwnd` have their meaning in Linux's
        `ip route`: the largest packet for this route in bytes, the MSS to announce to its destinations, and the initial
        window in segments. Raises ValueError if a value is out of range, or the gateway is not on a link of this host.

        `table` is the number of the table; rules (`add_rule`) choose one. `hops` are several ways with equal costs, among which
        flows are shared: tuples of gateway, interface (or None) and weight, instead of `gateway` and `iface`.

        A second route with the same prefix and metric raises FileExistsError (EEXIST), as `ip route add` does, unless
        `replace` is true (`ip route replace`).
        """
        dst = self._checked(dst, prefixlen)
        gateway = self._checked(gateway, 0)
        src = self._checked(src, 0)
        if dst != 0 and dst != prefix_of(dst, length_of(dst, prefixlen)):
            raise ValueError("the destination has bits set beyond its prefix")
        several = [self._hop(*hop) for hop in hops]
        if several:
            gateway, iface = several[0].gateway, several[0].iface
        if kind == C.RT_UNICAST and iface is None:
            iface = self._hop(gateway, None, 1).iface
        routes = self._table(table, bool(hops))
        if not replace and routes.has(dst, prefixlen, metric):
            raise FileExistsError(errno.EEXIST, "there is a route with this prefix and metric already")
        route = Route(dst, prefixlen, gateway, iface, metric, src, kind)
        _set_metrics(route, mtu, advmss, initcwnd)
        route.table = table
        if several:
            route.hops = several
        routes.add(route)
        self._routes_changed()
        return route

    def _hop(self, gateway: int, iface: Iface | None = None, weight: int = 1) -> NextHop:
        """Return a next hop. Raises ValueError if it is not on a link of this host, or the weight is not in 1..256."""
        gateway = self._checked(gateway, 0)
        if not 1 <= weight <= 256:
            raise ValueError("the weight of a next hop must lie in 1..256")
        if iface is None:
            via = self.routes.lookup(gateway)
            if gateway == 0 or via is None or via.gateway != 0:
                raise ValueError("the gateway is not on a link of this host")
            iface = via.iface
        return NextHop(gateway, iface, weight)

    def _table(self, number: int, several: bool = False) -> RouteTable:
        """Return a table of routes. Every table but main needs a policy, and so does a route with several next hops."""
        if not 1 <= number <= C.M32:
            raise ValueError("the number of a table of routes must lie in 1..4294967295")
        if number == C.RT_TABLE_MAIN and not several:
            return self.routes
        found: RouteTable = policy.enable(self).table(number)
        return found

    def del_route(
        self,
        dst: int,
        prefixlen: int,
        gateway: int = -1,
        iface: Iface | None = None,
        table: int = C.RT_TABLE_MAIN,
        metric: int = -1,
    ) -> bool:
        """Remove routes, as RouteTable.remove does. -1 means any gateway or metric. Returns False if there were none."""
        routes = self._table(table)
        found = routes.remove(normal(dst), prefixlen, gateway if gateway < 0 else normal(gateway), iface, metric)
        self._routes_changed()
        return found

    def add_rule(
        self,
        priority: int = -1,
        table: int = 0,
        action: int = C.RULE_TABLE,
        src: int = 0,
        src_length: int = 0,
        dst: int = 0,
        dst_length: int = 0,
        mark: int = 0,
        mask: int = 0,
        iif: Iface | None = None,
        oif: Iface | None = None,
        invert: bool = False,
        suppress: int = -1,
        target: int = 0,
    ) -> int:
        """Add a rule that chooses a table of routes (ip.policy.RouteRule), and return its priority.

        Without a priority it comes before all others, as with Linux's `ip rule add`. Raises FileExistsError if there is the
        same rule already, and ValueError if a value is out of range.
        """
        rules = policy.enable(self)
        rule = self._rule(priority, table, action, src, src_length, dst, dst_length, mark, mask, iif, oif, invert)
        rule.suppress = suppress
        rule.target = target
        if priority < 0:
            rule.priority = rules.next_priority()
        if action == C.RULE_GOTO and target <= rule.priority:
            raise ValueError("a rule can only go on at a greater priority than its own")
        if len(rules.rules) >= policy.RULES_MAX:
            raise ValueError(f"there are {policy.RULES_MAX} rules already")
        for other in rules.rules:
            if other.same(rule):
                raise FileExistsError(errno.EEXIST, "there is this rule already")
        rules.add(rule)
        self._routes_changed()
        return rule.priority

    def del_rule(
        self,
        priority: int = -1,
        table: int = 0,
        action: int = C.RULE_TABLE,
        src: int = 0,
        src_length: int = 0,
        dst: int = 0,
        dst_length: int = 0,
        mark: int = 0,
        mask: int = 0,
        iif: Iface | None = None,
        oif: Iface | None = None,
        invert: bool = False,
    ) -> None:
        """Remove the first rule that has the given values. Raises FileNotFoundError if there is none."""
        rules = policy.enable(self)
        like = self._rule(priority, table, action, src, src_length, dst, dst_length, mark, mask, iif, oif, invert)
        for rule in rules.rules:
            if (
                (priority < 0 or rule.priority == priority)
                and (table == 0 or rule.table == table)
                and (action == C.RULE_TABLE or rule.action == action)
                and (src_length == 0 or (rule.src, rule.src_length) == (like.src, src_length))
                and (dst_length == 0 or (rule.dst, rule.dst_length) == (like.dst, dst_length))
                and (mask == 0 or (rule.mark, rule.mask) == (mark, mask))
                and (iif is None or rule.iif is iif)
                and (oif is None or rule.oif is oif)
                and (not invert or rule.invert)
            ):
                rules.rules.remove(rule)
                self._routes_changed()
                return
        raise FileNotFoundError(errno.ENOENT, "there is no such rule")

    def _rule(
        self,
        priority: int,
        table: int,
        action: int,
        src: int,
        src_length: int,
        dst: int,
        dst_length: int,
        mark: int,
        mask: int,
        iif: Iface | None,
        oif: Iface | None,
        invert: bool,
    ) -> RouteRule:
        if not -1 <= priority <= C.M32 or not 0 <= table <= C.M32 or not 0 <= mark <= C.M32 or not 0 <= mask <= C.M32:
            raise ValueError("priority, table, mark and mask of a rule are numbers of 32 bits")
        if action not in (C.RULE_TABLE, C.RULE_GOTO, C.RULE_NOP, C.RT_BLACKHOLE, C.RT_UNREACHABLE, C.RT_PROHIBIT):
            raise ValueError(f"{action} is not the action of a rule")
        rule = RouteRule(priority, action, table)
        rule.src, rule.src_mask = self._prefix(src, src_length)
        rule.src_length = src_length
        rule.dst, rule.dst_mask = self._prefix(dst, dst_length)
        rule.dst_length = dst_length
        rule.mark = mark
        rule.mask = mask
        rule.iif = iif
        rule.oif = oif
        rule.invert = invert
        return rule

    def proxies(self, iface: Iface, addr: int, src: int) -> bool:
        """Return True if a router must answer for the address: its packets leave by another interface (RFC 1027, Linux proxy_arp)."""
        if not self.config.proxy_arp or not self.config.ip_forward or is_group(addr):
            return False
        dst: Dst = route_flow(self, addr, src, None, False, 0, iface, 0, 0, 0)
        return dst is not None and dst.kind == C.DST_UNICAST and dst.iface is not iface

    def _prefix(self, addr: int, prefixlen: int) -> tuple[int, int]:
        """Return a prefix and its mask of 128 bits. A length of 0 matches every address."""
        if prefixlen == 0:
            return 0, 0
        addr = self._checked(addr, prefixlen)
        mask = prefix_mask(length_of(addr, prefixlen))
        return addr & mask, mask

    def _checked(self, addr: int, prefixlen: int) -> int:
        """Return an address as the core stores it. Raises ValueError for a family that it lacks, or a prefix that is too long."""
        addr = normal(addr)
        if not self.speaks(addr):
            raise ValueError("the address is not an IPv4 address")
        if not 0 <= prefixlen <= most_prefixlen(addr):
            raise ValueError(f"prefix length {prefixlen} is not in 0..{most_prefixlen(addr)}")
        return addr

    def _routes_changed(self) -> None:
        self.route_epoch += 1
        self.dst_cache.clear()
        self.redirects = None
        if self.policy is not None:
            self.policy.paths.clear()


def _set_metrics(route: Route, mtu: int, advmss: int, initcwnd: int) -> None:
    """Set Linux's metrics of a route. Raises ValueError if one is out of range."""
    if not (mtu == 0 or mtu >= 68) or advmss < 0 or initcwnd < 0:
        raise ValueError("mtu must be 0 or at least 68, and advmss and initcwnd must not be negative")
    route.mtu = mtu
    route.advmss = advmss
    route.initcwnd = initcwnd
