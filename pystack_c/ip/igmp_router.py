"""IGMP, the routers' side on one link: the querier, its election, and which groups the hosts want (RFC 3376 6, RFC 2236 3).

The times have the names and default values of RFC 3376 section 8. A list of excluded sources is not kept: if a host wants all sources
but some, the router forwards all, which RFC 3376 6.3 allows to a router that does not know better, and the host filters.
"""

from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_bytes, addr_text, from_bytes, is_multicast
from pystack_c.base.timer import Timer, TimerOwner
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.ip import igmp
from pystack_c.packet import Packet

S = 1_000_000_000
QUERY_INTERVAL = 125 * S
QUERY_RESPONSE_INTERVAL = 10 * S
LAST_MEMBER_QUERY_INTERVAL = 1 * S
#: the most groups of a link, and sources of a group, that are kept; and the most group records of one report that are read
MOST_GROUPS, MOST_SOURCES, MOST_RECORDS = 1024, 64, 256


class Wanted(TimerOwner):
    """What the hosts of a link want of a group: all sources until `until` (if `exclude`), and single sources, each until its own time."""

    def __init__(self, link: "IgmpRouter", group: int) -> None:
        self.link = link
        self.group = group
        self.exclude = False
        self.until = -1
        self.sources: dict[int, int] = {}
        #: RFC 3376 7.3.2: until when a host of version 1 counts as present, because of which leaves are ignored
        self.v1_until = -1
        #: queries about the group that are still to be sent, when, and the sources that they name
        self.queries = 0
        self.query_at = -1
        self.asked: list[int] = []
        self.timer = Timer(self, C.T_IGMP_MEMBERS)

    def subject(self) -> str:
        """Return the name that events use."""
        return f"igmp {addr_text(self.group)} {self.link.iface.name}"

    def on_timer(self, kind: int) -> None:
        """Repeat a query, and forget what has expired."""
        self.link.expire(self)

    def text(self) -> str:
        """The filter in words."""
        if self.exclude:
            return "all sources"
        return "only " + " ".join(addr_text(source) for source in self.sources)


class IgmpRouter(TimerOwner):
    """The router's state on one link. `changed(group)` is called when what hosts want of a group has changed."""

    def __init__(self, core: Core, iface: Iface, changed: Callable[[int], None]) -> None:
        self.core = core
        self.iface = iface
        self.changed = changed
        self.groups: dict[int, Wanted] = {}
        self.refused = 0
        #: whether this router asks, and the address of the one that does if it is another one
        self.querier = True
        self.other = 0
        self.startup = 0
        self.timer = Timer(self, C.T_IGMP_QUERY)

    def subject(self) -> str:
        """Return the name that events use."""
        return "igmp " + self.iface.name

    # -- the times of RFC 3376 8 -----------------------------------------------------------------------------------------

    def robustness(self) -> int:
        """Robustness Variable (8.1)."""
        return max(1, self.core.config.igmp_qrv)

    def membership_interval(self) -> int:
        """Group Membership Interval (8.4)."""
        return self.robustness() * QUERY_INTERVAL + QUERY_RESPONSE_INTERVAL

    def other_present_interval(self) -> int:
        """Other Querier Present Interval (8.5)."""
        return self.robustness() * QUERY_INTERVAL + QUERY_RESPONSE_INTERVAL // 2

    def last_member_time(self) -> int:
        """Last Member Query Time (8.10)."""
        return self.robustness() * LAST_MEMBER_QUERY_INTERVAL

    # -- the querier -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin as the querier, with a few queries in quick succession (RFC 3376 6.6.2, 8.6, 8.7)."""
        self.querier, self.other = True, 0
        self.startup = self.robustness()
        self._ask("the router begins to ask which groups hosts want")

    def stop(self) -> None:
        """The interface went down: forget all memberships."""
        why = "the interface went down"
        self.core.cancel_timer(self.timer, why, "RFC 3376 6.6.2")
        for wanted in list(self.groups.values()):
            self._forget(wanted, why)

    def on_timer(self, kind: int) -> None:
        """Ask again, or take over from another querier that is silent."""
        if not self.querier:
            self._elect(True, 0, "the other querier is silent for its whole interval")
        self._ask("the hosts are asked again and again, because memberships expire")

    def _ask(self, why: str) -> None:
        """Send a general query, and set the time of the next one."""
        self._query(0, [], QUERY_RESPONSE_INTERVAL, why)
        self.startup -= 1
        wait = QUERY_INTERVAL // 4 if self.startup > 0 else QUERY_INTERVAL
        self.core.set_timer(self.timer, self.core.now + wait, "the next general query", "RFC 3376 8.2")

    def _query(self, group: int, sources: list[int], response: int, why: str) -> None:
        """Send a query about all groups (0), one, or some sources of one (RFC 3376 4.1)."""
        body = addr_bytes(group) if group else bytes(4)
        body += bytes((min(self.robustness(), 7), QUERY_INTERVAL // S)) + len(sources).to_bytes(2, "big")
        body += b"".join(addr_bytes(source) for source in sources)
        to = group or igmp.ALL_HOSTS
        igmp.send(self.core, self.iface, to, igmp.QUERY, body, why, "RFC 3376 6.1", response * 10 // S)

    def _elect(self, mine: bool, address: int, why: str) -> None:
        """Note who the querier is (RFC 3376 6.6.2)."""
        self.querier, self.other = mine, address
        if self.core.probe is not None:
            fields = {"querier": "this router" if mine else "another router", "address": address}
            self.core.emit("igmp.querier", self.subject(), 0, why, "RFC 3376 6.6.2", fields)

    # -- messages ----------------------------------------------------------------------------------------------------------

    def input(self, pkt: Packet) -> str:
        """Process a message of the link. Returns why it is ignored, or ""."""
        message = pkt.frame[pkt.l4_off : pkt.l4_end]
        why = igmp.unreadable(message)
        if why:
            return why
        if pkt.ttl != 1:
            return "the TTL of the message is not 1"
        kind, group = message[0], from_bytes(message[4:8])
        if self.core.probe is not None and kind in igmp.NAMES and pkt.dst_kind == C.DST_OTHER:
            fields = {"type": igmp.NAMES[kind], "group": group}
            self.core.emit("igmp.in", "igmp " + addr_text(pkt.src), 0, "an IGMP message arrived", "RFC 3376 4", fields)
        if kind == igmp.QUERY:
            self._other_query(pkt, message, group)
        elif not self._on_link(pkt.src):
            # RFC 3376 9.2: a report from another network is ignored. The source 0.0.0.0 is a host that has no address yet.
            return "the sender is not a host of the link"
        elif kind in (igmp.V1_REPORT, igmp.V2_REPORT):
            if kind == igmp.V1_REPORT and group in self.groups:
                self.groups[group].v1_until = self.core.now + self.membership_interval()
            self._record(igmp.IS_EXCLUDE, group, [])
        elif kind == igmp.V2_LEAVE:
            found = self.groups.get(group)
            if found is not None and self.core.now >= found.v1_until:
                self._record(igmp.TO_INCLUDE, group, [])
        elif kind == igmp.V3_REPORT:
            return self._report(message)
        else:
            return "the IGMP type is not known"
        return ""

    def _on_link(self, source: int) -> bool:
        return source == 0 or any((source ^ own.addr) & own.mask == 0 for own in self.iface.addrs)

    def _other_query(self, pkt: Packet, message: bytes, group: int) -> None:
        """Another router asks: the one with the lowest address is the querier (RFC 3376 6.6.2)."""
        own = self.iface.addrs[0].addr if self.iface.addrs else 0
        if pkt.src == 0 or own == 0 or pkt.src >= own or not self._on_link(pkt.src):
            return
        if self.querier or self.other != pkt.src:
            self._elect(False, pkt.src, "a router with a lower address asks")
        wait = self.core.now + self.other_present_interval()
        self.core.set_timer(self.timer, wait, "until then, the other querier counts as present", "RFC 3376 8.5")
        wanted = self.groups.get(group)
        if wanted is None or len(message) >= 12 and message[8] & 8:
            return
        # RFC 3376 6.6.1: the querier asks about one group, so its members must answer again.
        count = int.from_bytes(message[10:12], "big") if len(message) >= 12 else 0
        sources = [from_bytes(message[at : at + 4]) for at in range(12, min(len(message) - 3, 12 + 4 * count), 4)]
        self._lower(wanted, sources if count else None)

    def _report(self, message: bytes) -> str:
        """Read the records of a report of version 3."""
        at = 8
        for _ in range(min(int.from_bytes(message[6:8], "big"), MOST_RECORDS)):
            if at + 8 > len(message):
                return "the report is shorter than its records"
            kind, count = message[at], int.from_bytes(message[at + 2 : at + 4], "big")
            end = at + 8 + 4 * (count + message[at + 1])
            if end > len(message):
                return "the report is shorter than its records"
            sources = [from_bytes(message[one : one + 4]) for one in range(at + 8, at + 8 + 4 * count, 4)]
            self._record(kind, from_bytes(message[at + 4 : at + 8]), sources)
            at = end
        return ""

    def _record(self, kind: int, group: int, sources: list[int]) -> None:
        """What a host said about a group (RFC 3376 6.4)."""
        if not is_multicast(group) or igmp.of_one_link(group):
            return
        wanted = self.groups.get(group)
        wants = kind in (igmp.IS_EXCLUDE, igmp.TO_EXCLUDE) or (sources and kind != igmp.BLOCK)
        if wanted is None:
            if not wants:
                return
            if len(self.groups) >= MOST_GROUPS:
                self.refused += 1
                return
            wanted = self.groups[group] = Wanted(self, group)
        before = (wanted.exclude, list(wanted.sources))
        until = self.core.now + self.membership_interval()
        if kind in (igmp.IS_EXCLUDE, igmp.TO_EXCLUDE):
            wanted.exclude, wanted.until = True, until
            # All members have answered a query that was about the group as a whole.
            if not wanted.asked:
                wanted.queries = 0
        elif kind != igmp.BLOCK:
            for source in sources:
                if source in wanted.sources or len(wanted.sources) < MOST_SOURCES:
                    wanted.sources[source] = until
        self._tell(wanted, before, "a host reported it")
        if kind == igmp.TO_INCLUDE and wanted.exclude:
            self._ask_group(wanted, None)
        elif kind == igmp.TO_INCLUDE:
            self._ask_group(wanted, [source for source in wanted.sources if source not in sources])
        elif kind == igmp.BLOCK and not wanted.exclude:
            self._ask_group(wanted, [source for source in sources if source in wanted.sources])
        self._arm(wanted)

    # -- memberships that end ------------------------------------------------------------------------------------------------

    def _ask_group(self, wanted: Wanted, sources: "list[int] | None") -> None:
        """A host left: ask whether there are others (RFC 3376 6.4.2). None: about the group, else about some of its sources."""
        if not self.querier or (sources is not None and not sources):
            return
        self._lower(wanted, sources)
        wanted.asked = sources or []
        wanted.queries = self.robustness()
        self._send_group_query(wanted)

    def _send_group_query(self, wanted: Wanted) -> None:
        why = "a host left, so the others are asked whether they still want the group"
        self._query(wanted.group, wanted.asked, LAST_MEMBER_QUERY_INTERVAL, why)
        wanted.queries -= 1
        wanted.query_at = self.core.now + LAST_MEMBER_QUERY_INTERVAL

    def _lower(self, wanted: Wanted, sources: "list[int] | None") -> None:
        """Let the group, or some of its sources, expire soon unless a host answers."""
        soon = self.core.now + self.last_member_time()
        if sources is None:
            wanted.until = min(wanted.until, soon)
        for source in sources or []:
            if source in wanted.sources:
                wanted.sources[source] = min(wanted.sources[source], soon)
        self._arm(wanted)

    def _arm(self, wanted: Wanted) -> None:
        """Set the timer of a group to what happens next."""
        times = list(wanted.sources.values())
        if wanted.exclude:
            times.append(wanted.until)
        if wanted.queries > 0:
            times.append(wanted.query_at)
        if times and wanted.group in self.groups:
            self.core.set_timer(
                wanted.timer, min(times), "the membership expires unless a host reports it", "RFC 3376 8.4"
            )

    def expire(self, wanted: Wanted) -> None:
        """See Wanted.on_timer."""
        now = self.core.now
        before = (wanted.exclude, list(wanted.sources))
        if wanted.queries > 0 and now >= wanted.query_at:
            self._send_group_query(wanted)
        if wanted.exclude and now >= wanted.until:
            # RFC 3376 6.5: without hosts that want all sources, those remain that are wanted by name.
            wanted.exclude = False
        for source in [source for source, until in wanted.sources.items() if now >= until]:
            del wanted.sources[source]
        if not wanted.exclude and not wanted.sources:
            self._forget(wanted, "no host reported the group in time")
            return
        self._tell(wanted, before, "no host reported it in time")
        self._arm(wanted)

    def _forget(self, wanted: Wanted, why: str) -> None:
        before: tuple[bool, list[int]] = (True, [])
        wanted.exclude, wanted.sources = False, {}
        del self.groups[wanted.group]
        self.core.cancel_timer(wanted.timer, why, "RFC 3376 6.2")
        self._tell(wanted, before, why)

    def _tell(self, wanted: Wanted, before: Any, why: str) -> None:
        """Report a change to the probe and to the router."""
        if before == (wanted.exclude, list(wanted.sources)):
            return
        if self.core.probe is not None:
            fields = {"group": wanted.group, "exclude": wanted.exclude, "sources": list(wanted.sources)}
            self.core.emit("igmp.members", wanted.subject(), 0, why, "RFC 3376 6.2", fields)
        self.changed(wanted.group)

    def wants(self, group: int, source: int) -> bool:
        """Return True if a host wants datagrams of this source to the group (RFC 3376 6.3)."""
        found = self.groups.get(group)
        return found is not None and (found.exclude or source in found.sources)
