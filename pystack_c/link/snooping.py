"""IGMP snooping: a bridge sends a group only to the ports whose hosts want it, and to routers (RFC 4541 2.1).

The bridge reads the messages of hosts and routers that pass. It acts only while a querier asks the hosts again and again (as on Linux), because without
one the memberships would expire although hosts still want the groups. Names and defaults are those of `ip link ... type bridge mcast_...`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pystack_c.wire import vlan
from pystack_c.wire.checksum import checksum

if TYPE_CHECKING:
    from pystack_c.link.bridge import BridgePort

S = 1_000_000_000
#: RFC 3376 8.4 and 8.5 with the default values of a querier
MEMBERSHIP_INTERVAL, QUERIER_INTERVAL = 260 * S, 255 * S
#: RFC 3376 8.9: Last Member Query Count
LAST_MEMBER_COUNT = 2
#: the most pairs of group and port that are kept, and the most group records of one report that are read
MOST, MOST_RECORDS = 4096, 256
QUERY, V1_REPORT, V2_REPORT, V3_REPORT = 0x11, 0x12, 0x16, 0x22
_IPV4 = b"\x08\x00"
_IGMP = 2
#: types of a group record by which a host says that it wants nothing of a group, if there are no sources (RFC 3376 4.2.12)
_INCLUDES = (1, 3)
_BLOCK = 6
_NOBODY: dict[int, int] = {}

Choice = tuple["list[BridgePort] | None", str]


def _packet(frame: bytes) -> int:
    """The offset of the IPv4 packet to a group, or 0 if there is none, or not a whole one."""
    at = 18 if vlan.tci_of(frame) >= 0 else 14
    if frame[at - 2 : at] != _IPV4 or len(frame) < at + 20 or frame[at] >> 4 != 4 or frame[at + 16] >> 4 != 14:
        return 0
    header, total = (frame[at] & 15) * 4, frame[at + 2] << 8 | frame[at + 3]
    return at if 20 <= header <= total <= len(frame) - at else 0


class Snooping:
    """The memberships and the routers behind the ports of a bridge. A key has the VLAN, the group's 4 bytes, and the port's number."""

    def __init__(self) -> None:
        #: (VLAN, group) -> port number -> until when (ns) a host there wants the group
        self.groups: dict[tuple[int, bytes], dict[int, int]] = {}
        #: (VLAN, port number) -> until when a router is behind the port
        self.routers: dict[tuple[int, int], int] = {}
        #: VLAN -> until when a querier is present
        self.queriers: dict[int, int] = {}
        self.members = 0
        self.refused = 0

    def choose(self, port: "BridgePort", frame: bytes, vid: int, now: int, ports: "Sequence[BridgePort]") -> Choice:
        """Return the ports for a frame to a group, and why. None: it is flooded."""
        at = _packet(frame)
        if not at:
            return None, ""
        group = frame[at + 16 : at + 20]
        report = frame[at + 9] == _IGMP and self._igmp(port, frame, at, vid, now)
        if self.queriers.get(vid, -1) < now:
            return None, ""
        if report:
            chosen = [one for one in ports if self.routers.get((vid, one.number), -1) >= now]
            return chosen, "a report is for routers, and other members shall not hear it"
        if group[:3] == b"\xe0\0\0":
            return None, ""  # RFC 4541 2.1.2 (2): hosts do not report groups of one link
        wanted = self.groups.get((vid, group), _NOBODY)
        if wanted:
            self._expire(vid, group, wanted, now)
        # RFC 4541 2.1.2 (3): what nobody reported goes to routers only, as on Linux.
        chosen = [one for one in ports if one.number in wanted or self.routers.get((vid, one.number), -1) >= now]
        return chosen, "only members of the group and routers get it"

    def _expire(self, vid: int, group: bytes, wanted: dict[int, int], now: int) -> None:
        for number in [number for number, until in wanted.items() if until < now]:
            del wanted[number]
            self.members -= 1
        if not wanted:
            del self.groups[vid, group]

    def _igmp(self, port: "BridgePort", frame: bytes, at: int, vid: int, now: int) -> bool:
        """Read an IGMP message. Returns True for one that only routers may get: another member that heard it would not report.

        No host is silent because of a report of version 3, which goes to a group of the link and is flooded like the others there.
        """
        begin = at + (frame[at] & 15) * 4
        message = frame[begin : at + (frame[at + 2] << 8 | frame[at + 3])]
        if len(message) < 8 or checksum(message, 0, len(message), 0) != 0:
            return False
        kind, group = message[0], message[4:8]
        if kind == QUERY:
            self._query(port, frame[at + 12 : at + 16], message, vid, now)
        elif kind in (V1_REPORT, V2_REPORT):
            self._join(port, group, vid, now)
        elif kind == V3_REPORT:
            self._records(port, message, vid, now)
        return kind in (V1_REPORT, V2_REPORT)

    def _query(self, port: "BridgePort", source: bytes, message: bytes, vid: int, now: int) -> None:
        """A router asks. After a question for one group, only those who answer stay members (RFC 2236 3)."""
        if any(source):
            # RFC 4541 2.1.1: a query from 0.0.0.0 is a switch's, and there is no router behind that port.
            self.routers[vid, port.number] = now + QUERIER_INTERVAL
        self.queriers[vid] = now + QUERIER_INTERVAL
        group = message[4:8]
        wanted = self.groups.get((vid, group)) if any(group) else None
        if wanted is None:
            return
        code = message[1]
        tenths = code if code < 128 or len(message) < 12 else (code & 15 | 16) << ((code >> 4 & 7) + 3)
        until = now + tenths * S // 10 * LAST_MEMBER_COUNT
        if len(message) < 12 or message[10:12] == b"\0\0":
            for number in wanted:
                wanted[number] = min(wanted[number], until)

    def _records(self, port: "BridgePort", message: bytes, vid: int, now: int) -> None:
        """Read the records of a report of version 3. It stops at a record that is not whole."""
        at = 8
        for _ in range(min(message[6] << 8 | message[7], MOST_RECORDS)):
            if at + 8 > len(message):
                return
            kind, sources = message[at], message[at + 2] << 8 | message[at + 3]
            end = at + 8 + 4 * (sources + message[at + 1])
            if end > len(message):
                return
            if kind != _BLOCK and not (kind in _INCLUDES and sources == 0):
                self._join(port, message[at + 4 : at + 8], vid, now)
            at = end

    def _join(self, port: "BridgePort", group: bytes, vid: int, now: int) -> None:
        if group[0] >> 4 != 14 or group[:3] == b"\xe0\0\0":
            return
        wanted = self.groups.get((vid, group))
        if wanted is None or port.number not in wanted:
            if self.members >= MOST and not self._make_room(now):
                self.refused += 1
                return
            wanted = self.groups.setdefault((vid, group), {})
            self.members += 1
        wanted[port.number] = now + MEMBERSHIP_INTERVAL

    def _make_room(self, now: int) -> bool:
        """Remove the memberships that have expired from the group that was reported first. The work is bounded by its ports."""
        if not self.groups:
            return False
        (vid, group), wanted = next(iter(self.groups.items()))
        before = self.members
        self._expire(vid, group, wanted, now)
        return self.members < before

    def mdb_show(self, bridge: str, ports: "Sequence[BridgePort]", now: int) -> str:
        """The memberships as `bridge mdb show` prints them."""
        lines = []
        for (vid, group), wanted in self.groups.items():
            for number in [number for number, until in wanted.items() if until >= now]:
                address = ".".join(str(byte) for byte in group)
                tail = f" vid {vid}" if vid else ""
                lines.append(f"dev {bridge} port {ports[number].name} grp {address} temp{tail}")
        for (vid, number), until in self.routers.items():
            if until >= now:
                lines.append(f"router ports on {bridge}: {ports[number].name}{f' vid {vid}' if vid else ''}")
        return "".join(line + "\n" for line in lines)
