"""The routing table: longest prefix match (RFC 1812 section 5.2.4.3), then the lowest metric.

There is one dict for each prefix length in use, and a lookup tries them from the longest to the shortest. It costs one
dict access for each prefix length, however many routes there are. One table holds both families. Its lengths count 128
bits, so that IPv4's /24 is 120 and one loop finds every route; `Route.prefixlen` is the length as people write it. No
IPv4 address matches a length below 96, such as that of ::/0.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_sum, is_v4, key, length_of, prefix_mask, prefix_of, v4_bits

#: the length in bytes of an IPv4 header without options (RFC 791 3.1)
IPV4_HLEN = 20
#: places in the caches of `slot`
SLOTS = 256


class NextHop:
    """One of the ways of a route with several: a gateway (0: the destination is on the link), and the weight of its share."""

    def __init__(self, gateway: int, iface: Any, weight: int) -> None:
        self.gateway = gateway
        self.iface = iface
        self.weight = weight


class Route:
    """One route.

    `gateway` 0 means that the destination is on the link. A `kind` such as RT_UNREACHABLE rejects packets. `hops` is None, or
    the list of NextHops among which flows are shared; `gateway` and `iface` are then those of the first.
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
        self.table = C.RT_TABLE_MAIN
        self.hops: Any = None


class Accepted:
    """The addresses of a packet that passed all checks at an interface, and the kind of its destination (ingress/ipv4.py).

    The result holds while `epoch` equals core.route_epoch.
    """

    def __init__(self) -> None:
        self.src = 0
        self.dst = 0
        self.iface: Any = None
        self.epoch = -1
        self.kind = 0


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
        #: the ones' complement sum of `src` and `addr`: what the pseudo-headers of TCP and UDP begin with
        self.pseudo = 0


def slot(src: int, dst: int) -> int:
    """Return the place of two addresses in a cache that keeps one result at each place.

    Addresses that share a place replace one another. Then each packet costs as much as without the cache, so nothing is
    won by choosing such addresses, and the multiplier need not be secret.
    """
    # below 2**38, so the product has less than 64 bits
    mixed = v4_bits(src)
    mixed = mixed * 37 + v4_bits(dst)
    mixed = mixed ^ (mixed >> 16)
    return (mixed * 40503) >> 8 & 0xFF


def link_mtu(dst: Dst) -> int:
    """Return the MTU of the first hop in bytes: the interface's, or less if the route says so."""
    mtu = dst.iface.mtu if dst.iface.mtu < 65535 else 65535
    if dst.route is not None and 0 < dst.route.mtu < mtu:
        mtu = dst.route.mtu
    return mtu


def transport_sum(dst: Dst, src: int, daddr: int, proto: int, length: int) -> int:
    """Return the sum of the pseudo-header of a packet to `daddr` along the route `dst` (wire.checksum.pseudo_sum)."""
    s = dst.pseudo if src == dst.src and daddr == dst.addr else addr_sum(src, daddr)
    s += proto + (length >> 16) + (length & 0xFFFF)
    s = (s & 0xFFFF) + (s >> 16)
    return (s & 0xFFFF) + (s >> 16)


class RouteTable:
    """All routes of a host."""

    def __init__(self) -> None:
        self.by_length: list[Any] = [None] * 129
        self.lengths: list[int] = []

    def has(self, dst: int, prefixlen: int, metric: int) -> bool:
        """Return True if there is a route with this prefix and this metric."""
        length = length_of(dst, prefixlen)
        bucket = self.by_length[length]
        if bucket is None:
            return False
        for route in bucket.get(key(prefix_of(dst, length)), []):
            if route.metric == metric:
                return True
        return False

    def add(self, route: Route) -> None:
        """Add a route. It replaces an older route with the same prefix and metric."""
        length = length_of(route.dst, route.prefixlen)
        prefix = key(prefix_of(route.dst, length))
        bucket = self.by_length[length]
        if bucket is None:
            bucket = {}
            self.by_length[length] = bucket
            self.lengths.append(length)
            self.lengths.sort(reverse=True)
        same = [r for r in bucket.get(prefix, []) if r.metric != route.metric]
        same.append(route)
        same.sort(key=_by_metric)
        bucket[prefix] = same

    def remove(self, dst: int, prefixlen: int, gateway: int = -1, iface: Any = None, metric: int = -1) -> bool:
        """Remove the routes of this prefix, only those of `gateway`, `iface` and `metric` if given.

        Returns True if there were any.
        """
        length = length_of(dst, prefixlen)
        prefix = key(prefix_of(dst, length))
        bucket = self.by_length[length]
        if bucket is None or prefix not in bucket:
            return False
        old = bucket[prefix]
        keep = [
            r
            for r in old
            if (gateway >= 0 and r.gateway != gateway)
            or (iface is not None and r.iface is not iface)
            or (metric >= 0 and r.metric != metric)
        ]
        if keep:
            bucket[prefix] = keep
        else:
            del bucket[prefix]
            if not bucket:
                self.by_length[length] = None
                self.lengths.remove(length)
        return len(keep) < len(old)

    def lookup(self, dst: int, iface: Any = None, onlink: bool = False) -> Any:
        """Return the route for an address, or None.

        With `iface`, only routes through that interface count. With `onlink`, routes through a gateway do not count.
        """
        least = 96 if is_v4(dst) else 0
        for length in self.lengths:
            if length < least:
                break
            bucket = self.by_length[length]
            found = bucket.get(key(dst & prefix_mask(length)))
            if found is None:
                continue
            for route in found:
                if onlink and route.gateway != 0:
                    continue
                if route.iface is None:
                    return route
                if route.hops is not None:
                    if any_up(route.hops, iface):
                        return route
                    continue
                if route.iface.up and (iface is None or route.iface is iface):
                    return route
        return None

    def all(self) -> list[Any]:
        """Return all routes for display, the longest prefixes first."""
        return [r for n in self.lengths for dst in sorted(self.by_length[n]) for r in self.by_length[n][dst]]


def any_up(hops: list[Any], iface: Any) -> bool:
    """Return True if a packet can leave by one of the hops, with `iface` by that interface."""
    for hop in hops:
        if hop.iface.up and (iface is None or hop.iface is iface):
            return True
    return False


def _by_metric(route: Route) -> int:
    return route.metric
