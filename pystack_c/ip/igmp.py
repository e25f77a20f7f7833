"""IGMP, the host's side: which groups this host wants, told to the routers of a link (RFC 3376, RFC 2236, RFC 1112 appendix I).

A Group is what all sockets together want of one group on one interface: only some sources, or all but some. A change is reported at once,
and again after a random time, in case the first report is lost. A query is answered after a random time.

A link with an older router is served in its version, for as long as its queries keep arriving (RFC 3376 7.2.1).
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_bytes, addr_text, from_bytes, v4
from pystack_c.base.timer import Timer, TimerOwner
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.ip import output as ip_output
from pystack_c.ip.routing import find_route
from pystack_c.packet import Packet
from pystack_c.wire.checksum import sum_any

S = 1_000_000_000
ALL_HOSTS, ALL_ROUTERS, ALL_IGMP_ROUTERS = v4(0xE0000001), v4(0xE0000002), v4(0xE0000016)
# message types (RFC 3376 4)
QUERY, V1_REPORT, V2_REPORT, V2_LEAVE, V3_REPORT = 0x11, 0x12, 0x16, 0x17, 0x22
NAMES = {
    QUERY: "query",
    V1_REPORT: "version 1 report",
    V2_REPORT: "version 2 report",
    V2_LEAVE: "leave",
    V3_REPORT: "version 3 report",
}
# types of a group record (RFC 3376 4.2.12)
IS_INCLUDE, IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE, ALLOW, BLOCK = range(1, 7)
#: RFC 3376 8.11, RFC 2236 8.10: Unsolicited Report Interval
UNSOLICITED_V3, UNSOLICITED_V2 = 1 * S, 10 * S
#: RFC 3376 8.12: Older Version Querier Present Timeout, with the default values of the Query Interval and Query Response Interval
OLDER_PRESENT = (2 * 125 + 10) * S
#: RFC 2113: the option that makes routers look at the packet
ROUTER_ALERT = b"\x94\x04\0\0"
#: the most sources of a query that are answered one by one; a query for more is answered for the whole group
MOST_ASKED = 64

Sources = dict[int, bool]


class Group(TimerOwner):
    """One group on one interface: the memberships of the sockets, what was reported, and what is still to report."""

    def __init__(self, core: Core, iface: Iface, addr: int) -> None:
        self.core = core
        self.iface = iface
        self.addr = addr
        #: memberships of sockets, each with `exclude` and `sources`
        self.members: list[Any] = []
        self.exclude = False
        self.sources: Sources = {}
        #: what a repetition of the last change says: record types and their sources
        self.changes: list[tuple[int, Sources]] = []
        self.repeats = 0
        #: the sources that a query asked about, or None for all
        self.asked: Sources | None = None
        #: RFC 2236 6: this host sent the last report that was heard, so it is the one that sends Leave
        self.last_reporter = False
        self.change_timer = Timer(self, C.T_IGMP_CHANGE)
        self.answer_timer = Timer(self, C.T_IGMP_ANSWER)

    def subject(self) -> str:
        """Return the name that events use."""
        return f"igmp {addr_text(self.addr)} {self.iface.name}"

    def on_timer(self, kind: int) -> None:
        """Repeat the report of a change, or answer a query."""
        if kind == C.T_IGMP_CHANGE:
            _send_change(self.core, self, "the report is repeated, in case the first one was lost", "RFC 3376 5.1")
        else:
            _answer(self.core, self)

    def wanted(self) -> tuple[bool, Sources]:
        """Return the filter that all sockets together need (RFC 3376 3.2): exclude these sources, or include only these."""
        excluding = [one for one in self.members if one.exclude]
        including: Sources = {}
        for one in self.members:
            if not one.exclude:
                including.update(one.sources)
        if not excluding:
            return False, including
        common = [source for source in excluding[0].sources if all(source in one.sources for one in excluding)]
        return True, {source: True for source in common if source not in including}


class IgmpLink(TimerOwner):
    """IGMP's state of one interface: which version its routers speak, and the answer to a general query."""

    def __init__(self, core: Core, iface: Iface) -> None:
        self.core = core
        self.iface = iface
        #: until when (ns) a router of version 1 or 2 counts as present
        self.v1_until = -1
        self.v2_until = -1
        #: groups that no socket wants any more, while the report of that is still to be repeated
        self.leaving: dict[int, Group] = {}
        self.timer = Timer(self, C.T_IGMP_ANSWER)

    def subject(self) -> str:
        """Return the name that events use."""
        return "igmp " + self.iface.name

    def version(self) -> int:
        """Return the version to speak on this link now."""
        if self.core.now < self.v1_until:
            return 1
        return 2 if self.core.now < self.v2_until else 3

    def on_timer(self, kind: int) -> None:
        """Answer a general query with the state of all groups."""
        records = [_record(IS_EXCLUDE if g.exclude else IS_INCLUDE, g.addr, g.sources) for g in _reported(self.iface)]
        _send_records(self.core, self.iface, records, "a router asked which groups this host wants", "RFC 3376 5.2")


def link_of(core: Core, iface: Iface) -> IgmpLink:
    """Return the state of an interface, and create it if necessary."""
    if iface.igmp is None:
        iface.igmp = IgmpLink(core, iface)
    found: IgmpLink = iface.igmp
    return found


def of_one_link(group: int) -> bool:
    """Return True for a group in 224.0.0.0/24, which is for protocols of one link, so that no router forwards it (RFC 5771 4)."""
    return group >> 8 == ALL_HOSTS >> 8


def _reported(iface: Iface) -> list[Group]:
    return [group for group in iface.groups.values() if group.addr != ALL_HOSTS]


def join(core: Core, iface: Iface, membership: Any) -> None:
    """Add a socket's membership."""
    group = iface.groups.get(membership.group)
    if group is None:
        # If the report that this host left is still to be repeated, the new report takes its place.
        group = link_of(core, iface).leaving.pop(membership.group, None)
        iface.groups[membership.group] = group = group or Group(core, iface, membership.group)
    group.members.append(membership)


def leave(core: Core, iface: Iface, membership: Any) -> None:
    """Remove a socket's membership, and report the change."""
    group: Group = iface.groups[membership.group]
    group.members.remove(membership)
    update(core, iface, membership.group)
    if not group.members:
        del iface.groups[membership.group]
        why = "this host left the group"
        core.cancel_timer(group.answer_timer, why, "RFC 3376 5.2")
        if group.change_timer.armed():
            link_of(core, iface).leaving[membership.group] = group


def update(core: Core, iface: Iface, addr: int) -> None:
    """Report what changed in what the sockets want of a group (RFC 3376 5.1). Nothing is reported about 224.0.0.1."""
    group: Group = iface.groups[addr]
    exclude, sources = group.wanted()
    before, old = group.exclude, group.sources
    group.exclude, group.sources = exclude, sources
    if addr == ALL_HOSTS or iface.kind == C.LINK_LOOPBACK or (before == exclude and old == sources):
        return
    if before != exclude:
        changes = [(TO_EXCLUDE if exclude else TO_INCLUDE, sources)]
    else:
        gone = {source: True for source in old if source not in sources}
        new = {source: True for source in sources if source not in old}
        changes = [(ALLOW, gone if exclude else new), (BLOCK, new if exclude else gone)]
        changes = _merged([one for one in changes if one[1]], group.changes if group.repeats > 0 else [])
    group.changes = changes
    group.repeats = max(1, core.config.igmp_qrv)
    _send_change(core, group, "this host wants other datagrams of the group than before", "RFC 3376 5.1")


def up(core: Core, iface: Iface) -> None:
    """Report all groups of an interface that is up again. A switch or router may have forgotten them meanwhile, or is another one."""
    for group in _reported(iface):
        if group.exclude or group.sources:
            group.changes = [(TO_EXCLUDE if group.exclude else TO_INCLUDE, group.sources)]
            group.repeats = max(1, core.config.igmp_qrv)
            _send_change(core, group, "the interface is up again", "RFC 3376 5.1")


def down(core: Core, iface: Iface) -> None:
    """Stop the reports while an interface is down, and forget the versions of its routers."""
    if iface.igmp is None:
        return
    why = "the interface went down"
    found = link_of(core, iface)
    for group in (*iface.groups.values(), *found.leaving.values()):
        core.cancel_timer(group.change_timer, why, "RFC 3376 5.1")
        core.cancel_timer(group.answer_timer, why, "RFC 3376 5.2")
        group.repeats, group.asked, group.last_reporter = 0, None, False
    found.leaving.clear()
    found.v1_until = found.v2_until = -1
    core.cancel_timer(found.timer, why, "RFC 3376 5.2")


def _merged(new: list[tuple[int, Sources]], pending: list[tuple[int, Sources]]) -> list[tuple[int, Sources]]:
    """Return the records of a change, with those of the change before it that are still to be repeated."""
    if pending and pending[0][0] in (TO_INCLUDE, TO_EXCLUDE):
        # That record has the whole list, so its repetition has the new one.
        return [*pending[:1], *new]
    found: dict[int, Sources] = {ALLOW: {}, BLOCK: {}}
    for kind, sources in (*pending, *new):
        other = found[ALLOW + BLOCK - kind]
        for source in sources:
            other.pop(source, None)
            found[kind][source] = True
    return [(kind, sources) for kind, sources in found.items() if sources]


def _send_change(core: Core, group: Group, why: str, rfc: str) -> None:
    """Send a report of a change, and set the timer for its repetition."""
    version = link_of(core, group.iface).version()
    group.repeats -= 1
    interval = UNSOLICITED_V3 if version == 3 else UNSOLICITED_V2
    if version == 3:
        records = [_record(kind, group.addr, sources) for kind, sources in group.changes]
        _send_records(core, group.iface, records, why, rfc)
    elif group.members:
        _send_old(core, group, why)
    else:
        group.repeats = 0
        if version == 2 and group.last_reporter:
            # RFC 2236 3: this host may be the last member.
            send(
                core,
                group.iface,
                ALL_ROUTERS,
                V2_LEAVE,
                addr_bytes(group.addr),
                "this host left the group",
                "RFC 2236 3",
            )
    if group.repeats > 0:
        again = "the report is repeated after a random time"
        core.set_timer(group.change_timer, core.now + core.rng.below(interval) + 1, again, "RFC 3376 5.1")
        return
    core.cancel_timer(group.change_timer, "there is nothing to repeat", "RFC 3376 5.1")
    link_of(core, group.iface).leaving.pop(group.addr, None)


def _answer(core: Core, group: Group) -> None:
    """Answer a query about a group (RFC 3376 5.2), if this host is still a member."""
    asked, group.asked = group.asked, None
    why = "a router asked whether this host wants the group"
    if link_of(core, group.iface).version() < 3:
        _send_old(core, group, why)
        return
    kind, sources = IS_EXCLUDE if group.exclude else IS_INCLUDE, group.sources
    if asked is not None:
        # The sources among those asked about that this host wants
        kind = IS_INCLUDE
        sources = {source: True for source in asked if (source in group.sources) != group.exclude}
        if not sources:
            return
    _send_records(core, group.iface, [_record(kind, group.addr, sources)], why, "RFC 3376 5.2")


def _send_old(core: Core, group: Group, why: str) -> None:
    """Send a report of version 1 or 2, which all members of the group hear."""
    version = link_of(core, group.iface).version()
    group.last_reporter = True
    kind = V2_REPORT if version == 2 else V1_REPORT
    send(
        core, group.iface, group.addr, kind, addr_bytes(group.addr), why, "RFC 2236 3" if version == 2 else "RFC 1112 I"
    )


def _record(kind: int, addr: int, sources: Sources) -> bytes:
    """Return a group record (RFC 3376 4.2.4)."""
    return (
        bytes((kind, 0))
        + len(sources).to_bytes(2, "big")
        + addr_bytes(addr)
        + b"".join(addr_bytes(one) for one in sources)
    )


def _send_records(core: Core, iface: Iface, records: list[bytes], why: str, rfc: str) -> None:
    """Send group records, in as many reports as the MTU requires (RFC 3376 4.2.16)."""
    room = iface.mtu - 20 - len(ROUTER_ALERT) - 8
    body, count = b"", 0
    for record in records:
        if body and len(body) + len(record) > room:
            send(core, iface, ALL_IGMP_ROUTERS, V3_REPORT, count.to_bytes(4, "big") + body, why, rfc)
            body, count = b"", 0
        body += record
        count += 1
    if body:
        send(core, iface, ALL_IGMP_ROUTERS, V3_REPORT, count.to_bytes(4, "big") + body, why, rfc)


def send(core: Core, iface: Iface, to: int, kind: int, rest: bytes, why: str, rfc: str, code: int = 0) -> None:
    """Send a message with TTL 1 and the Router Alert option (RFC 3376 4). `rest` follows the checksum."""
    dst = find_route(core, to, 0, iface)
    if dst is None:
        return
    head = bytes((kind, code))
    checksum = sum_any(head + b"\0\0" + rest, 0) ^ 0xFFFF
    if core.probe is not None:
        fields = {"type": NAMES[kind], "group": to}
        core.emit("igmp.out", "igmp " + iface.name, 0, why, rfc, fields)
    out = core.out
    out.begin(dst, dst.src, to, C.IPPROTO_IGMP)
    out.ttl = 1
    out.tos = 0xC0
    out.df = C.DONT_FRAGMENT
    out.options = ROUTER_ALERT
    out.payload = head + checksum.to_bytes(2, "big") + rest
    ip_output.output(core, out)


# -- what routers and other hosts send --------------------------------------------------------------------------------------


def unreadable(message: bytes) -> str:
    """Return why neither a host nor a router can read a message, or ""."""
    if len(message) < 8:
        return "the message is shorter than 8 bytes"
    if sum_any(message, 0) != 0xFFFF:
        return "the IGMP checksum is wrong"
    return ""


def input(core: Core, iface: Iface, pkt: Packet) -> str:
    """Process an IGMP message for this host. Returns why it is dropped, or ""."""
    message = pkt.frame[pkt.l4_off : pkt.l4_end]
    why = unreadable(message)
    if why:
        return why
    kind = message[0]
    if core.probe is not None and kind in NAMES:
        fields = {"type": NAMES[kind], "group": from_bytes(message[4:8])}
        core.emit("igmp.in", "igmp " + addr_text(pkt.src), 0, "an IGMP message arrived", "RFC 3376 4", fields)
    if pkt.ttl != 1:
        # RFC 3376 4: a message with another TTL may come from another link.
        return "the TTL of the message is not 1"
    if kind == QUERY:
        return _query(core, iface, pkt, message)
    if kind in (V1_REPORT, V2_REPORT):
        group = iface.groups.get(from_bytes(message[4:8]))
        if group is not None and link_of(core, iface).version() < 3:
            # RFC 2236 3: the report of another member serves all of them.
            group.last_reporter = False
            core.cancel_timer(group.answer_timer, "another member of the group has answered", "RFC 2236 3")
        return ""
    return "" if kind in NAMES else "the IGMP type is not known"


def _query(core: Core, iface: Iface, pkt: Packet, message: bytes) -> str:
    """Set the timers for the answer to a query (RFC 3376 5.2)."""
    addr = from_bytes(message[4:8])
    link = link_of(core, iface)
    limit = _response_time(message[1])
    asked: Sources | None = None
    if len(message) < 12:
        if len(message) != 8:
            return "the query has the length of no version"
        until = core.now + OLDER_PRESENT
        if message[1] == 0:
            link.v1_until, limit = until, 10 * S
        else:
            link.v2_until, limit = until, message[1] * S // 10
    else:
        count = int.from_bytes(message[10:12], "big")
        if len(message) < 12 + 4 * count:
            return "the query is shorter than its sources"
        if 0 < count <= MOST_ASKED:
            asked = {from_bytes(message[at : at + 4]): True for at in range(12, 12 + 4 * count, 4)}
    if addr == 0 and pkt.dst != ALL_HOSTS:
        return "a general query was not sent to all hosts"
    why = "the query is answered after a random time"
    due = core.now + core.rng.below(limit + 1)
    if addr == 0 and link.version() == 3:
        if _reported(iface) and (not link.timer.armed() or due < link.timer.deadline):
            core.set_timer(link.timer, due, why, "RFC 3376 5.2")
        return ""
    if addr == 0:
        for group in _reported(iface):
            _answer_by(core, group, core.now + core.rng.below(limit + 1), None, why)
        return ""
    found = iface.groups.get(addr)
    if found is not None and addr != ALL_HOSTS and not (link.timer.armed() and link.timer.deadline <= due):
        _answer_by(core, found, due, asked, why)
    return ""


def _answer_by(core: Core, group: Group, due: int, asked: Sources | None, why: str) -> None:
    """Answer for the group at `due`, or earlier if an answer is already due earlier."""
    if group.answer_timer.armed():
        # RFC 3376 5.2: a pending answer for the whole group stays one, and the lists of sources are joined.
        if group.asked is not None:
            group.asked = (
                None if asked is None or len(group.asked) + len(asked) > MOST_ASKED else {**group.asked, **asked}
            )
        if group.answer_timer.deadline <= due:
            return
    else:
        group.asked = asked
    core.set_timer(group.answer_timer, due, why, "RFC 3376 5.2")


def _response_time(code: int) -> int:
    """Return the time of a Max Resp Code in ns (RFC 3376 4.1.1)."""
    tenths = code if code < 128 else (code & 15 | 16) << ((code >> 4 & 7) + 3)
    return tenths * S // 10
