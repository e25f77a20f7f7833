"""A learning bridge: which ports a frame leaves by, and with which tag (IEEE 802.1D 7.7 and 7.8, IEEE 802.1Q 8.6).

A bridge has neither a clock nor a device: `receive(port, frame, now)` returns the frames that leave, with their ports. Names and
defaults are those of Linux (bridge(8), `ip link ... type bridge`).

With `vlan_filtering`, each port has a list of VLANs. A frame belongs to the VLAN of its tag, or to the port's PVID if it has none. A frame
of a VLAN that is not in the list goes neither in nor out. It leaves without a tag if the VLAN is `untagged` at the port.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from pystack_c.link import snooping
from pystack_c.link.fdb import AGEING_TIME, FULL, MAX_LEARNED, MOVED, NEW, ForwardingTable, key_of
from pystack_c.link.loops import LoopGuard
from pystack_c.wire import vlan

#: the states of a port: it forwards, or an operator or the guard against loops took it out of service
FORWARDING, DISABLED = "forwarding", "disabled"
#: IEEE 802.1D table 7-10: the addresses 01:80:c2:00:00:00 to 0f are for the protocols of one link
_RESERVED = b"\x01\x80\xc2\x00\x00"
_PAUSE = 1
_BROADCAST = b"\xff" * 6
_HEADER = 14

#: report(time, kind, subject, reason, rfc, fields): receives the events of a bridge
Report = Callable[[int, str, str, str, str, dict[str, Any]], None]
Sent = list[tuple["BridgePort", bytes]]


class BridgePort:
    """A port of a bridge, with the flags of `bridge link set`, and its VLANs.

    learning     whether addresses are learned from frames that arrive here
    flood        whether frames to unknown unicast addresses leave here; mcast_flood, bcast_flood: the same for groups and broadcasts
    hairpin      whether a frame may leave by the port at which it arrived
    isolated     no frame passes between two isolated ports
    vlans        VLAN -> whether its frames leave without a tag
    pvid         the VLAN of frames that arrive without a tag, or 0: they are dropped
    """

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.state = FORWARDING
        self.learning = self.flood = self.mcast_flood = self.bcast_flood = True
        self.hairpin = self.isolated = False
        self.vlans: dict[int, bool] = {1: True}
        self.pvid = 1
        self.rx_frames = self.tx_frames = 0

    def vlan_add(self, vid: int, *, pvid: bool = False, untagged: bool = False) -> None:
        """Become a member of a VLAN, as `bridge vlan add dev PORT vid VID [pvid] [untagged]` does."""
        self.vlans[vlan.check_vid(vid)] = untagged
        if pvid:
            self.pvid = vid
        elif self.pvid == vid:
            self.pvid = 0

    def vlan_del(self, vid: int) -> None:
        """Leave a VLAN. KeyError if the port is no member of it."""
        del self.vlans[vid]
        if self.pvid == vid:
            self.pvid = 0

    def access(self, vid: int) -> None:
        """Be an access port: a member of one VLAN, for a host that knows no tags."""
        self.vlans, self.pvid = {vlan.check_vid(vid): True}, vid

    def trunk(self, *vids: int, native: "int | None" = None) -> None:
        """Be a trunk port: frames of these VLANs have tags. Frames without a tag belong to the VLAN `native` (None: they are dropped)."""
        vlans = {vlan.check_vid(vid): False for vid in vids}
        if native is not None:
            vlans[vlan.check_vid(native)] = True
        self.vlans = vlans
        self.pvid = native or 0

    def __repr__(self) -> str:
        return f"<BridgePort {self.name}>"


class MacRelay:
    """The MAC relay entity of a bridge (IEEE 802.1Q 8.5), and its ports.

    vlan_filtering   whether tags and the lists of VLANs count. Without it, a tag is a part of the payload
    ageing_time      ns after which an address that was not seen is forgotten (0: never)
    fdb_max_learned  the most addresses in the table
    group_fwd_mask   bit N: frames to 01:80:c2:00:00:0N are forwarded, except for pause frames (N = 1)
    mcast_snooping   whether groups are only sent to the ports whose hosts want them (see link/snooping.py)
    loop_guard       whether a flooded frame that comes back at another port is dropped and reported (see link/loops.py)
    drops            the number of frames that were dropped, by the reason's name
    """

    def __init__(
        self,
        name: str = "br0",
        *,
        vlan_filtering: bool = False,
        ageing_time: int = AGEING_TIME,
        fdb_max_learned: int = MAX_LEARNED,
        group_fwd_mask: int = 0,
        mcast_snooping: bool = True,
        loop_guard: bool = True,
    ) -> None:
        self.name = name
        self.vlan_filtering = vlan_filtering
        self.group_fwd_mask = group_fwd_mask
        self.fdb = ForwardingTable(ageing_time, fdb_max_learned)
        self.guard = LoopGuard() if loop_guard else None
        self.snooping = snooping.Snooping() if mcast_snooping else None
        self.ports: list[BridgePort] = []
        self.drops: Counter[str] = Counter()
        self.flooded = 0
        #: set by a driver that wants events
        self.report: Report | None = None

    def add_port(self, name: str) -> BridgePort:
        """Add a port. ValueError if there is one of that name."""
        if any(port.name == name for port in self.ports):
            raise ValueError(f"{self.name} has already a port {name!r}")
        port = BridgePort(name, len(self.ports))
        self.ports.append(port)
        return port

    def disable(self, port: BridgePort) -> None:
        """Take a port out of service, and forget the addresses behind it."""
        port.state = DISABLED
        self.fdb.forget_port(port)

    def enable(self, port: BridgePort) -> None:
        """End `disable`."""
        port.state = FORWARDING

    # -- a frame arrives -----------------------------------------------------------------------------------------------

    def receive(self, port: BridgePort, frame: bytes, now: int) -> Sent:
        """Take a frame that arrived at a port. Returns the frames that leave, and their ports."""
        port.rx_frames += 1
        if len(frame) < _HEADER:
            return self._drop(port, now, "runt", "the frame is shorter than an Ethernet header", "IEEE 802.3 3.1")
        if port.state != FORWARDING:
            return self._drop(port, now, "port-disabled", "the port is not forwarding", "IEEE 802.1D 7.7.1")
        dst, src = frame[:6], frame[6:12]
        if src[0] & 1 or not any(src):
            return self._drop(port, now, "source", "the source is not a unicast address", "IEEE 802.3 3.2.3")
        if dst[:5] == _RESERVED and dst[5] == _PAUSE:
            return self._drop(port, now, "reserved", "a pause frame is for this link only", "IEEE 802.1D 7.12.6")
        vid, tci = 0, -1
        if self.vlan_filtering:
            tci = vlan.tci_of(frame)
            vid = max(tci, 0) & vlan.VID_MASK or port.pvid
            if vid not in port.vlans:
                # IEEE 802.1Q 8.6.2, ingress filtering
                why = f"the port is not a member of VLAN {vid}" if vid else "the port has no VLAN for untagged frames"
                return self._drop(port, now, "vlan-ingress", why, "IEEE 802.1Q 8.6.2")
        if self._returned(port, frame, dst, vid, now):
            why = "this bridge flooded the same frame, so there is a loop of links"
            self._tell(port, now, "loop", why, "IEEE 802.1D 17.1", src, vid)
            return self._drop(port, now, "loop", why, "IEEE 802.1D 17.1")
        if port.learning:
            self._learn(port, src, vid, now)
        if dst[:5] == _RESERVED and dst[5] < 16 and not self.group_fwd_mask >> dst[5] & 1 and dst[5] != 0:
            why = "the address is reserved for the protocols of one link"
            return self._drop(port, now, "reserved", why, "IEEE 802.1D 7.12.6")
        return self._leave(port, self._outgoing(port, frame, dst, vid, now), frame, vid, tci, now)

    def _returned(self, port: BridgePort, frame: bytes, dst: bytes, vid: int, now: int) -> bool:
        """Whether the frame would be flooded, and was already."""
        if self.guard is None or (not dst[0] & 1 and self.fdb.lookup(dst, now, vid) is not None):
            return False
        if vid:
            # The same frame may have its tag at one port and none at another.
            frame = vid.to_bytes(2, "big") + (vlan.pop(frame) if vlan.tci_of(frame) >= 0 else frame)
        return self.guard.returns(frame, port, now)

    def _learn(self, port: BridgePort, src: bytes, vid: int, now: int) -> None:
        """Learn the port of a source (IEEE 802.1D 7.8), and notice one that flaps."""
        found = self.fdb.learn(src, port, now, vid)
        if found == NEW:
            self._tell(port, now, "learn", "the source was not in the table", "IEEE 802.1D 7.8", src, vid)
        elif found == FULL:
            self._tell(
                port, now, "full", "the table is full, so the source is not learned", "IEEE 802.1D 7.8", src, vid
            )
        elif found == MOVED:
            self._tell(port, now, "move", "the source was behind another port", "IEEE 802.1D 7.8", src, vid)
            if self.guard is not None and self.guard.flaps(key_of(src, vid), now):
                why = "the source changes its port again and again: a loop of links, or two hosts with one address"
                self._tell(port, now, "flap", why, "IEEE 802.1D 17.1", src, vid)

    def _outgoing(self, port: BridgePort, frame: bytes, dst: bytes, vid: int, now: int) -> "list[BridgePort]":
        """The ports by which a frame may leave, before the rules of each port."""
        if not dst[0] & 1:
            known = self.fdb.lookup(dst, now, vid)
            if known is not None:
                if known is not port:
                    self._tell(
                        port, now, "forward", "the table has the port of the destination", "IEEE 802.1D 7.7", dst, vid
                    )
                return [known]
            self.flooded += 1
            self._tell(port, now, "flood", "the destination is not in the table", "IEEE 802.1D 7.7.2", dst, vid)
            return [other for other in self.ports if other.flood]
        if self.snooping is not None and dst != _BROADCAST:
            chosen, why = self.snooping.choose(port, frame, vid, now, self.ports)
            if chosen is not None:
                self._tell(port, now, "snoop", why, "RFC 4541 2.1", dst, vid)
                return chosen
        self.flooded += 1
        self._tell(port, now, "flood", "the destination is a group", "IEEE 802.1D 7.7.2", dst, vid)
        if dst == _BROADCAST:
            return [other for other in self.ports if other.bcast_flood]
        return [other for other in self.ports if other.mcast_flood]

    def _leave(self, port: BridgePort, ports: "list[BridgePort]", frame: bytes, vid: int, tci: int, now: int) -> Sent:
        """Apply the rules of each port by which the frame may leave. `tci` is that of its tag, or -1."""
        sent: Sent = []
        refused: list[tuple[str, str, str]] = []
        plain = tagged = frame
        if vid:
            plain = vlan.pop(frame) if tci >= 0 else frame
            priority = max(tci, 0) & ~vlan.VID_MASK
            tagged = frame if tci & vlan.VID_MASK == vid and tci >= 0 else vlan.push(plain, priority | vid)
        for other in ports:
            why = self._refusal(port, other, vid)
            if why is not None:
                refused.append(why)
                continue
            other.tx_frames += 1
            sent.append((other, plain if vid == 0 or other.vlans[vid] else tagged))
        if not sent:
            # A frame that one port refuses and another one sends is no drop.
            self._drop(
                port, now, *(refused[-1] if refused else ("no-port", "no port wants the frame", "IEEE 802.1D 7.7.2"))
            )
        return sent

    def _refusal(self, port: BridgePort, other: BridgePort, vid: int) -> tuple[str, str, str] | None:
        """The name, the reason and the source of a refusal to send a frame from one port by another, or None."""
        if other is port and not port.hairpin:
            return "same-port", "the destination is behind the port at which the frame arrived", "IEEE 802.1D 7.7.2"
        if other.state != FORWARDING:
            return "port-disabled", "the port of the destination is not forwarding", "IEEE 802.1D 7.7.1"
        if vid and vid not in other.vlans:
            return "vlan-egress", f"the port of the destination is not a member of VLAN {vid}", "IEEE 802.1Q 8.6.4"
        if port.isolated and other.isolated:
            return "isolated", "both ports are isolated", ""
        return None

    def _drop(self, port: BridgePort, now: int, name: str, why: str, rfc: str) -> Sent:
        """Count a drop and report it. Returns what is sent then: nothing."""
        self.drops[name] += 1
        if self.report is not None:
            self.report(now, "drop", port.name, why, rfc, {"name": "bridge-" + name})
        return []

    def _tell(self, port: BridgePort, now: int, action: str, why: str, rfc: str, mac: bytes, vid: int) -> None:
        if self.report is not None:
            fields = {"action": action, "mac": mac.hex(":"), "vlan": vid, "port": port.name}
            self.report(now, "bridge", port.name, why, rfc, fields)

    # -- looking -------------------------------------------------------------------------------------------------------

    def fdb_show(self, now: int) -> str:
        """The table of addresses as `bridge fdb show` prints it."""
        lines = []
        for mac, entry in self.fdb.current(now):
            vid = f" vlan {entry.vid}" if entry.vid else ""
            lines.append(
                f"{mac.hex(':')} dev {entry.port.name}{vid} master {self.name}{' static' if entry.static else ''}"
            )
        return "".join(line + "\n" for line in lines)

    def vlan_show(self) -> str:
        """The VLANs of each port as `bridge vlan show` prints them."""
        width = max([len("port"), *(len(port.name) for port in self.ports)]) + 2
        lines = [f"{'port':{width}}vlan-id"]
        for port in self.ports:
            name = port.name
            for vid, untagged in sorted(port.vlans.items()):
                words = [str(vid), *(["PVID"] if port.pvid == vid else []), *(["Egress Untagged"] if untagged else [])]
                lines.append(f"{name:{width}}{' '.join(words)}")
                name = ""
        return "".join(line + "\n" for line in lines)
