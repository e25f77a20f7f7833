"""Policy routing: the rules that choose a table of routes, and the choice among equal-cost next hops (RFC 1812 5.2.4.4 and 5.2.4.5).

Rules are tried in the order of their priority, as in Linux's `ip rule`. The table local, which is the first, is
core.local: a packet for an address of this host never reaches a rule. A host has a Policy only if it needs one, that is, if it
has a rule of its own, a route in another table than main, or a route with several next hops. Without one, the destination
alone decides, and nothing here runs.
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import v4_bits
from pystack_c.base.siphash import SipHash
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.route import NextHop, Route, RouteTable

#: the priorities of the rules for the tables main and default
MAIN_PRIORITY = 32766
DEFAULT_PRIORITY = 32767
#: the most rules, so that one lookup costs a bounded number of comparisons
RULES_MAX = 4096

#: the errno of a route that rejects packets, by its kind, as Linux has them
REFUSALS = {
    C.RT_UNREACHABLE: errno.EHOSTUNREACH,
    C.RT_PROHIBIT: errno.EACCES,
    C.RT_BLACKHOLE: errno.EINVAL,
    C.RT_THROW: errno.ENETUNREACH,
}
#: the errno of a rule that rejects packets, by its action
_RULE_REFUSALS = {
    C.RT_UNREACHABLE: errno.ENETUNREACH,
    C.RT_PROHIBIT: errno.EACCES,
    C.RT_BLACKHOLE: errno.EINVAL,
}


class RouteRule:
    """One rule: the packets that it matches, and its action.

    `action` is RULE_TABLE (look into `table`), RULE_GOTO (go on at the priority `target`), RULE_NOP, or RT_BLACKHOLE,
    RT_UNREACHABLE or RT_PROHIBIT. A mask of 0 matches everything. `iif` is the interface on which a packet arrived, the
    loopback interface for packets of this host; `oif` is the one that a socket is bound to. With `invert`, the rule holds if
    it does not match. A route whose prefix is not longer than `suppress` (-1: any) does not count.
    """

    def __init__(self, priority: int, action: int, table: int) -> None:
        self.priority = priority
        self.action = action
        self.table = table
        self.target = 0
        self.src = 0
        self.src_mask = 0
        self.src_length = 0
        self.dst = 0
        self.dst_mask = 0
        self.dst_length = 0
        self.mark = 0
        self.mask = 0
        self.iif: Iface | None = None
        self.oif: Iface | None = None
        self.invert = False
        self.suppress = -1

    def matches(self, flow: "RouteFlow", lo: Iface) -> bool:
        """Return True if the rule applies to a packet of the flow. `lo` is the loopback interface."""
        found = (
            (self.iif is None or self.iif is flow.iif or (self.iif is lo and flow.iif is None))
            and (self.oif is None or self.oif is flow.oif)
            and (flow.mark ^ self.mark) & self.mask == 0
            and (flow.src & self.src_mask) == self.src
            and (flow.dst & self.dst_mask) == self.dst
        )
        return found != self.invert

    def same(self, other: "RouteRule") -> bool:
        """Return True if the other rule matches the same packets at the same priority, with the same result."""
        return (
            self.priority == other.priority
            and self.action == other.action
            and self.table == other.table
            and self.target == other.target
            and self.src == other.src
            and self.src_length == other.src_length
            and self.dst == other.dst
            and self.dst_length == other.dst_length
            and self.mark == other.mark
            and self.mask == other.mask
            and self.iif is other.iif
            and self.oif is other.oif
            and self.invert == other.invert
            and self.suppress == other.suppress
        )


class RouteFlow:
    """The values of a packet by which rules and hashes choose. `iif` is None for a packet of this host, and `oif` is an interface that it must leave by."""

    def __init__(self) -> None:
        self.begin(0, 0, None, None, 0)

    def begin(self, dst: int, src: int, iif: Any, oif: Any, mark: int) -> None:
        """Describe a packet. The protocol and the ports are 0 until `ports` sets them."""
        self.dst = dst
        self.src = src
        self.iif = iif
        self.oif = oif
        self.mark = mark
        self.proto = 0
        self.sport = 0
        self.dport = 0

    def ports(self, proto: int, sport: int, dport: int) -> None:
        """Add the transport's part, which only fib_multipath_hash_policy 1 uses."""
        self.proto = proto
        self.sport = sport
        self.dport = dport


class Policy:
    """The rules and tables of a host. The tables are by number, and `flow` describes the packet that is being routed."""

    def __init__(self, main: Any, key: bytes) -> None:
        self.tables: dict[int, RouteTable] = {C.RT_TABLE_MAIN: main}
        self.rules: list[RouteRule] = [
            RouteRule(MAIN_PRIORITY, C.RULE_TABLE, C.RT_TABLE_MAIN),
            RouteRule(DEFAULT_PRIORITY, C.RULE_TABLE, C.RT_TABLE_DEFAULT),
        ]
        self.flow = RouteFlow()
        self.siphash = SipHash(key)
        #: the path of each next hop to each address, which all flows along it share (ip.routing)
        self.paths: dict[Any, Any] = {}

    def table(self, number: int) -> RouteTable:
        """Return a table, and create it if there is none."""
        found = self.tables.get(number)
        if found is None:
            found = RouteTable()
            self.tables[number] = found
        return found

    def add(self, rule: RouteRule) -> None:
        """Add a rule behind those with the same priority."""
        at = 0
        while at < len(self.rules) and self.rules[at].priority <= rule.priority:
            at += 1
        self.rules.insert(at, rule)

    def next_priority(self) -> int:
        """Return the priority of a rule that has none: one less than the first rule's behind the table local, as on Linux."""
        if not self.rules:
            return 0
        first: RouteRule = self.rules[0]
        return max(0, first.priority - 1)


def enable(core: Core) -> Any:
    """Return the policy of the host, which begins with Linux's rules."""
    if core.policy is None:
        words = [core.rng.u32().to_bytes(4, "big") for _ in range(4)]
        core.policy = Policy(core.routes, b"".join(words))
    return core.policy


def select(core: Core, flow: RouteFlow, onlink: bool) -> Any:
    """Return the Route for a packet, or None with the errno in core.route_error.

    A table without a route, and a route of the kind RT_THROW, pass the packet to the next rule.
    """
    policy: Policy = core.policy
    lo: Iface = core.lo
    skip = -1
    for rule in policy.rules:
        if rule.priority < skip or not rule.matches(flow, lo):
            continue
        if rule.action == C.RULE_NOP:
            continue
        if rule.action == C.RULE_GOTO:
            skip = rule.target
            continue
        if rule.action != C.RULE_TABLE:
            core.route_error = _RULE_REFUSALS[rule.action]
            return None
        table: RouteTable | None = policy.tables.get(rule.table)
        if table is None:
            continue
        route: Route = table.lookup(flow.dst, flow.oif, onlink)
        if route is None or route.kind == C.RT_THROW:
            continue
        if rule.suppress >= 0 and route.kind == C.RT_UNICAST and route.prefixlen <= rule.suppress:
            continue
        return route
    core.route_error = errno.ENETUNREACH
    return None


def next_hop(core: Core, route: Route, flow: Any) -> Any:
    """Return the NextHop of a flow: always the same one while the hops that are up stay the same.

    Each hop gets a range of the hash that is as wide as its weight. With `oif`, the first hop through that interface.
    """
    total = 0
    for hop in route.hops:
        if hop.iface.up:
            if flow.oif is not None and hop.iface is flow.oif:
                return hop
            total += hop.weight
    left = flow_hash(core, flow) % total if total > 0 else 0
    chosen: NextHop = route.hops[0]
    for hop in route.hops:
        if hop.iface.up:
            chosen = hop
            if left < hop.weight:
                break
            left -= hop.weight
    return chosen


def flow_hash(core: Core, flow: RouteFlow) -> int:
    """Return a hash of the flow in 0..2**31-1: of its addresses, and with fib_multipath_hash_policy 1 of its ports, too.

    The key is secret, so that nobody can choose addresses that overload one path.
    """
    policy: Policy = core.policy
    hashed = policy.siphash
    hashed.begin()
    low = v4_bits(flow.src)
    hashed.word(low << 32 | v4_bits(flow.dst))
    length = 8
    if core.config.fib_multipath_hash_policy == 1:
        low = flow.proto
        hashed.word(low << 32 | flow.sport << 16 | flow.dport)
        length = 16
    return hashed.end(0, length) & 0x7FFFFFFF
