"""Forwarding of multicasts: by routes that were set by hand, and as an IGMP proxy (RFC 1112, RFC 1812 5.2.1.3, RFC 4605).

A datagram is forwarded only if it arrived on the interface that its route names, so it cannot go in circles for ever. The groups of one link,
224.0.0.0/24, are never forwarded (RFC 5771 4). A router sends no ICMP error about a multicast (RFC 1122 3.2.2).
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, is_multicast
from pystack_c.core import Core
from pystack_c.filter.hooks import FORWARD, verdict_of
from pystack_c.iface import Iface
from pystack_c.ip import forward, igmp
from pystack_c.ip.igmp_router import IgmpRouter
from pystack_c.ip.routing import find_route
from pystack_c.packet import Packet

#: the most routes that are set by hand
MOST_ROUTES = 1024


class MulticastRoute:
    """A route of add_mroute: the interface at which datagrams arrive, and those by which they leave."""

    def __init__(self, iface: Iface, ttl: int, out: list[Iface]) -> None:
        self.iface = iface
        self.ttl = ttl
        self.out = out


class ProxyMembership:
    """What all links downstream together want of a group: a membership of the proxy's host side, upstream."""

    def __init__(self, iface: Iface, group: int) -> None:
        self.iface = iface
        self.group = group
        self.exclude = False
        self.sources: dict[int, bool] = {}


class MulticastRouter:
    """The routes for multicasts, and the routers' side of IGMP on the links downstream."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.routes: dict[tuple[int, int], MulticastRoute] = {}
        self.upstream: Iface | None = None
        #: by the index of the interface
        self.links: dict[int, IgmpRouter] = {}
        self.joined: dict[int, ProxyMembership] = {}

    # -- set-up --------------------------------------------------------------------------------------------------------

    def add(self, group: int, iface: Iface, source: int, ttl: int, out: list[Iface]) -> None:
        """See Stack.add_mroute."""
        if not is_multicast(group) or igmp.of_one_link(group):
            raise ValueError(f"{addr_text(group)} is not a group that can be forwarded")
        if not 0 < ttl < 256:
            raise ValueError(f"the TTL {ttl} is not in 1..255")
        if not out or iface in out:
            raise ValueError("a route needs interfaces, and not the one at which the datagrams arrive")
        if (source, group) not in self.routes and len(self.routes) >= MOST_ROUTES:
            raise ValueError(f"there are {MOST_ROUTES} routes for multicasts, the most that are possible")
        self.routes[source, group] = MulticastRoute(iface, ttl, out)

    def remove(self, group: int, source: int) -> bool:
        """See Stack.del_mroute."""
        return self.routes.pop((source, group), None) is not None

    def proxy(self, upstream: Iface | None, downstream: list[Iface]) -> None:
        """See Stack.igmp_proxy."""
        if not downstream or upstream in downstream or any(iface.index in self.links for iface in downstream):
            raise ValueError("an IGMP proxy needs interfaces downstream that are no others of it")
        if upstream is not None and self.upstream is not None and upstream is not self.upstream:
            raise ValueError("an IGMP proxy has one interface upstream (RFC 4605 3)")
        self.upstream = upstream or self.upstream
        for iface in downstream:
            router = self.links[iface.index] = IgmpRouter(self.core, iface, self.members_changed)
            router.start()

    def changed(self, iface: Iface) -> None:
        """An interface went down or came up."""
        router = self.links.get(iface.index)
        if router is not None and iface.up:
            router.start()
        elif router is not None:
            router.stop()

    # -- memberships ---------------------------------------------------------------------------------------------------

    def members_changed(self, group: int) -> None:
        """Join, change or leave a group upstream, as the links downstream want it together (RFC 4605 4.1)."""
        if self.upstream is None:
            return
        exclude, sources = False, {}
        for link in self.links.values():
            member = link.groups.get(group)
            if member is not None:
                exclude = exclude or member.exclude
                sources.update(dict.fromkeys(member.sources, True))
        known = self.joined.get(group)
        if not exclude and not sources:
            if known is not None:
                del self.joined[group]
                igmp.leave(self.core, self.upstream, known)
            return
        if known is None:
            known = self.joined[group] = ProxyMembership(self.upstream, group)
            igmp.join(self.core, self.upstream, known)
        # A list of excluded sources would need the filters of all hosts. Without one, the proxy gets more than it needs.
        known.exclude, known.sources = exclude, {} if exclude else sources
        igmp.update(self.core, self.upstream, group)

    # -- datagrams -----------------------------------------------------------------------------------------------------

    def input(self, iface: Iface, pkt: Packet) -> bool:
        """Take a datagram to a group that arrived. Returns True if this host itself does not receive it."""
        core = self.core
        link = self.links.get(iface.index)
        whole = not pkt.mf and pkt.frag_off == 0
        if pkt.proto == C.IPPROTO_IGMP and link is not None and whole:
            refused = link.input(pkt)
            if pkt.dst_kind != C.DST_OTHER:
                return False
            core.counters.IpInDelivers += 1
            if refused:
                core.drop("igmp-refused", "ip " + addr_text(pkt.src), refused, "RFC 3376 4")
            return True
        if not igmp.of_one_link(pkt.dst) and iface.kind != C.LINK_LOOPBACK:
            return self._forward(iface, pkt) and pkt.dst_kind == C.DST_OTHER
        return False

    def _forward(self, iface: Iface, pkt: Packet) -> bool:
        """Forward a datagram. Returns True if it was forwarded, or dropped with a reason."""
        route = self.routes.get((pkt.src, pkt.dst)) or self.routes.get((0, pkt.dst))
        threshold = 1
        if route is not None:
            if route.iface is not iface:
                why = "it did not arrive on the interface that its route names"
                return self._drop(pkt, "mforward-wrong-iface", why, "RFC 1812 5.2.1.3")
            chosen, threshold = route.out, route.ttl
        elif self.links and (iface is self.upstream or iface.index in self.links):
            chosen = self._wanted(iface, pkt)
        else:
            return False
        if not chosen:
            return False
        if pkt.src == 0:
            return self._drop(
                pkt, "forward-martian", "packets with this source must not be forwarded", "RFC 1812 5.3.7"
            )
        if pkt.ttl <= threshold:
            # RFC 1812 5.2.1.3: the router must not send an ICMP error about a multicast.
            return self._drop(pkt, "mforward-ttl", f"the TTL is not above {threshold}", "RFC 1812 5.2.1.3")
        if self.core.hooks is not None and verdict_of(self.core, FORWARD, iface, pkt) != C.NF_ACCEPT:
            return True
        if self.core.probe is not None:
            names = ", ".join(one.name for one in chosen)
            fields = {"ttl": pkt.ttl - 1, "ifaces": names}
            why = "the group is wanted there" if route is None else "a route for multicasts says so"
            self.core.emit(
                "ip.mforward", _subject(pkt), 0, why, "RFC 4605 4.2" if route is None else "RFC 1812 5.2.1.3", fields
            )
        for one in chosen:
            self._copy(iface, one, pkt)
        return True

    def _wanted(self, iface: Iface, pkt: Packet) -> list[Iface]:
        """The interfaces whose hosts want the datagram, and upstream if it comes from a host (RFC 4605 4.2)."""
        found = []
        if self.upstream is not None and iface is not self.upstream and self._from_host(iface, pkt.src):
            found.append(self.upstream)
        for link in self.links.values():
            if link.iface is not iface and link.iface.up and link.querier and link.wants(pkt.dst, pkt.src):
                found.append(link.iface)
        return found

    def _from_host(self, iface: Iface, source: int) -> bool:
        """Whether the source is a host of the link. A proxy forwards nothing upstream that came from there."""
        dst = find_route(self.core, source)
        return dst is not None and dst.iface is iface

    def _copy(self, iface: Iface, out: Iface, pkt: Packet) -> None:
        dst = find_route(self.core, pkt.dst, 0, out) if out.up else None
        if dst is None:
            self._drop(pkt, "mforward-no-iface", f"the interface {out.name} is down", "RFC 1812 5.2.1.3")
        elif pkt.df and pkt.total_len > dst.mtu:
            why = "the datagram is larger than the MTU of the next link, and DF is set"
            self._drop(pkt, "mforward-too-big", why, "RFC 1122 3.2.2")
        else:
            self.core.counters.IpForwDatagrams += 1
            forward.send_copy(self.core, iface, dst, pkt)

    def _drop(self, pkt: Packet, name: str, why: str, rfc: str) -> bool:
        self.core.drop(name, _subject(pkt), why, rfc)
        return True

    def show(self) -> str:
        """The routes as `ip mroute show` prints them, and the groups that hosts want."""
        lines = []
        for (source, group), route in self.routes.items():
            text = "0.0.0.0" if source == 0 else addr_text(source)
            lines.append(
                f"({text},{addr_text(group)}) Iif: {route.iface.name} Oifs: {' '.join(one.name for one in route.out)}"
            )
        for link in self.links.values():
            for group, member in link.groups.items():
                lines.append(f"{link.iface.name} {addr_text(group)} {member.text()}")
        return "".join(line + "\n" for line in lines)


def _subject(pkt: Any) -> str:
    return "ip " + addr_text(pkt.src) + "-" + addr_text(pkt.dst)
