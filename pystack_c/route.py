"""The routing table: longest prefix match (RFC 1812 section 5.2.4.3), then the lowest metric.

There is one dict for each prefix length in use, and a lookup tries them from the longest to the shortest. It costs one
dict access for each prefix length, however many routes there are.
"""

from typing import Any

import pystack_c.const as C

#: the length in bytes of an IPv4 header without options (RFC 791 3.1)
IPV4_HLEN = 20


class Route:
    """One route.

    `gateway` 0 means that the destination is on the link. A `kind` such as RT_UNREACHABLE rejects packets.
    """

    def __init__(
        self, dst: int, prefixlen: int, gateway: int, iface: Any, metric: int, src: int, kind: int = C.RT_UNICAST
    ) -> None:
        self.dst = dst
        self.prefixlen = prefixlen
        self.gateway = gateway
        self.iface = iface
        self.metric = metric
        self.src = src
        self.kind = kind
        # Linux's metrics of a route (0: none): the largest packet, the MSS to announce, the initial window in segments
        self.mtu = 0
        self.advmss = 0
        self.initcwnd = 0


class Dst:
    """The path of packets to one address, as ip.routing found it.

    Connections keep it while `epoch` equals core.route_epoch.

    `addr` is that address. `kind` is DST_UNICAST, DST_BROADCAST, DST_MULTICAST or DST_LOCAL. `neigh` is the neighbour
    entry of `next_hop`, once it is known. `src` is the source address to use if the caller has none, and `ident` the
    next IP ID. `mtu` is the path MTU in bytes; if an ICMP error reported it, it is valid until `mtu_until` (ns).
    `mtu_locked` means that the error reported less than the setting min_pmtu, so routers must fragment. `df_size` is
    the size of the largest datagram that a socket other than TCP's sent with DF.
    """

    def __init__(self, iface: Any, next_hop: int, src: int, mtu: int, kind: int, epoch: int) -> None:
        self.iface = iface
        self.addr = next_hop
        self.next_hop = next_hop
        self.src = src
        self.mtu = mtu
        self.mtu_until = 0
        self.mtu_locked = False
        self.df_size = 0
        self.kind = kind
        self.epoch = epoch
        self.ident = 0
        self.neigh: Any = None
        self.route: Route | None = None
        #: the length in bytes of each packet's network header, without options
        self.overhead = IPV4_HLEN


def link_mtu(dst: Dst) -> int:
    """Return the MTU of the first hop in bytes: the interface's, or less if the route says so."""
    mtu = dst.iface.mtu if dst.iface.mtu < 65535 else 65535
    if dst.route is not None and 0 < dst.route.mtu < mtu:
        mtu = dst.route.mtu
    return mtu


def netmask(prefixlen: int) -> int:
    """Return the mask of a prefix length."""
    if prefixlen == 0:
        return 0
    return (C.M32 << (32 - prefixlen)) & C.M32


class RouteTable:
    """All routes of a host."""

    def __init__(self) -> None:
        self.by_length: list[Any] = [None] * 33
        self.lengths: list[int] = []

    def has(self, dst: int, prefixlen: int, metric: int) -> bool:
        """Return True if there is a route with this prefix and this metric."""
        bucket = self.by_length[prefixlen]
        if bucket is None:
            return False
        for route in bucket.get(dst, []):
            if route.metric == metric:
                return True
        return False

    def add(self, route: Route) -> None:
        """Add a route. It replaces an older route with the same prefix and metric."""
        bucket = self.by_length[route.prefixlen]
        if bucket is None:
            bucket = {}
            self.by_length[route.prefixlen] = bucket
            self.lengths.append(route.prefixlen)
            self.lengths.sort(reverse=True)
        same = [r for r in bucket.get(route.dst, []) if r.metric != route.metric]
        same.append(route)
        same.sort(key=_by_metric)
        bucket[route.dst] = same

    def remove(self, dst: int, prefixlen: int, gateway: int = -1, iface: Any = None) -> bool:
        """Remove the routes of this prefix, only those of `gateway` and `iface` if given.

        Returns True if there were any.
        """
        bucket = self.by_length[prefixlen]
        if bucket is None or dst not in bucket:
            return False
        old = bucket[dst]
        keep = [
            r for r in old if (gateway >= 0 and r.gateway != gateway) or (iface is not None and r.iface is not iface)
        ]
        if keep:
            bucket[dst] = keep
        else:
            del bucket[dst]
            if not bucket:
                self.by_length[prefixlen] = None
                self.lengths.remove(prefixlen)
        return len(keep) < len(old)

    def lookup(self, dst: int, iface: Any = None, onlink: bool = False) -> Any:
        """Return the route for an address, or None.

        With `iface`, only routes through that interface count. With `onlink`, routes through a gateway do not count.
        """
        for length in self.lengths:
            bucket = self.by_length[length]
            key = dst & netmask(length)
            found = bucket.get(key)
            if found is None:
                continue
            for route in found:
                if onlink and route.gateway != 0:
                    continue
                if route.iface is None:
                    return route
                if route.iface.up and (iface is None or route.iface is iface):
                    return route
        return None

    def all(self) -> list[Any]:
        """Return all routes for display, the longest prefixes first."""
        return [r for n in self.lengths for dst in sorted(self.by_length[n]) for r in self.by_length[n][dst]]


def _by_metric(route: Route) -> int:
    return route.metric
