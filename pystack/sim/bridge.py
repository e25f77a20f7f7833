"""A bridge in a simulated network: pystack_c.link.bridge with links at its ports. Made by `Network.bridge`."""

from collections.abc import Sequence
from string import hexdigits
from typing import TYPE_CHECKING, Any

from pystack.phy.segmenter import segments
from pystack.sim import whole
from pystack.sim.nodes import Node, SimHost, SimPort, Switch
from pystack_c.link.bridge import BridgePort, MacRelay
from pystack_c.packet import Transmit

if TYPE_CHECKING:
    from pystack.sim.network import Network
    from pystack.sim.vxlan import VxlanPort


class Bridge(Switch):
    """A learning bridge with ageing, static entries, flooding rules, VLANs, snooping and a guard against loops.

    The options are those of pystack_c.link.bridge.MacRelay. Ports have the names port0, port1, ... in the order of the links. All methods take
    the name of a port, or the node at the other end of its link.
    """

    def __init__(self, net: "Network", name: str, **options: Any):
        self.net = net
        self.name = name
        self.ports: list[SimPort] = []
        self.relay = MacRelay(name, **options)
        self.fdb = self.relay.fdb
        self._by_port: dict[SimPort, BridgePort] = {}
        self._told: list[tuple[int, str, str, str, str, dict[str, Any]]] = []
        self._tell = net.box_report(name)

    @property
    def flooded(self) -> int:  # type: ignore[override]
        """The number of frames that were flooded."""
        return self.relay.flooded

    @property
    def drops(self) -> dict[str, int]:
        """The number of frames that were dropped, by reason."""
        return dict(self.relay.drops)

    def attach(self, mtu: int, kind: int) -> SimPort:
        """A new port."""
        name = f"port{len(self.ports)}"
        port = SimPort(self.net, self, name, kind)
        self._by_port[port] = self.relay.add_port(name)
        self.ports.append(port)
        return port

    def vxlan(self, host: SimHost, vni: int, remotes: Sequence[str] = (), **options: Any) -> "VxlanPort":
        """Join the bridge to those of other VTEPs: a new port, whose frames are in UDP datagrams of `host` (RFC 7348).

        `remotes` are the addresses to which unknown and group addresses are flooded: VTEPs, or a multicast group. Options: `local` (the
        address of this VTEP), `port` (4789), `name` (vxlanVNI), and `learning`, `tags`, `ageing` and `limit` of pystack_c.link.vxlan.Vtep.
        """
        from pystack.sim import vxlan

        port = vxlan.make(self, host, vni, remotes, options)
        self._by_port[port] = self.relay.add_port(port.name)
        self.ports.append(port)
        return port

    def port(self, which: "str | Node") -> BridgePort:
        """A port, by its name or by the node at the other end. KeyError if there is none."""
        for port in self.ports:
            if port.name == which or (port.peer is not None and port.peer.node is which):
                return self._by_port[port]
        raise KeyError(f"{self.name} has no port {which!r}; it has {', '.join(port.name for port in self.ports)}")

    def deliver(self, port: SimPort, frame: bytes) -> None:
        """Forward a frame that arrived at a port."""
        net = self.net
        watched = net.recorder is not None or net.frame_probe is not None
        self.relay.report = self._note if watched else None
        sent = self.relay.receive(self._by_port[port], frame, net.now)
        if watched:
            self._explain(port, frame, sent)
        for out, data in sent:
            self.ports[out.number].send(data)

    def deliver_raw(self, port: SimPort, raw: bytes) -> None:
        """Forward a frame of a kernel host, as the frames of the wire, because VLAN tags may change and each frame counts."""
        for frame in whole.cut(raw):
            self.deliver(port, frame)

    def deliver_whole(self, port: SimPort, tx: Transmit) -> None:
        """The same for a frame that no card has cut or completed (see SimPort.send_whole)."""
        for frame in segments(tx):
            self.deliver(port, frame)

    def _note(self, *event: Any) -> None:
        self._told.append(event)

    def _explain(self, port: SimPort, frame: bytes, sent: "list[tuple[BridgePort, bytes]]") -> None:
        """Report the frame, the decisions about it, and the frames that leave."""
        now = self.net.now
        told, self._told = self._told, []
        self._tell(now, "frame.in", port.name, "", "", {"iface": port.name, "frame": frame})
        for event in told:
            self._tell(*event)
        for number, (out, data) in enumerate(sent):
            if number and told:
                # Each frame that leaves has the decision about it in front of it, as those of a stack have.
                self._tell(*told[-1])
            self._tell(now, "frame.out", out.name, "", "", {"iface": out.name, "frame": data, "gso_size": 0})

    # -- set-up --------------------------------------------------------------------------------------------------------

    def access(self, which: "str | Node", vid: int) -> None:
        """Make a port a member of one VLAN, for a host that knows no tags."""
        self.port(which).access(vid)

    def trunk(self, which: "str | Node", *vids: int, native: int | None = None) -> None:
        """Make a port carry these VLANs with tags, and the VLAN `native` without (None: frames without a tag are dropped)."""
        self.port(which).trunk(*vids, native=native)

    def vlan_add(self, which: "str | Node", vid: int, *, pvid: bool = False, untagged: bool = False) -> None:
        """`bridge vlan add dev PORT vid VID [pvid] [untagged]`"""
        self.port(which).vlan_add(vid, pvid=pvid, untagged=untagged)

    def vlan_del(self, which: "str | Node", vid: int) -> None:
        """`bridge vlan del dev PORT vid VID`"""
        self.port(which).vlan_del(vid)

    def fdb_add(self, mac: str, which: "str | Node", vid: int = 0) -> None:
        """Add a static entry, which neither learning nor ageing changes: `bridge fdb add MAC dev PORT master static sticky`.

        ValueError for a group address: frames to groups are flooded, or go where their members are.
        """
        self.fdb.set_static(_mac(mac), self.port(which), vid)

    def fdb_del(self, mac: str, vid: int = 0) -> None:
        """Remove an entry. KeyError if there is none."""
        if not self.fdb.remove(_mac(mac), vid):
            raise KeyError(f"{self.name} has no entry for {mac}")

    def disable(self, which: "str | Node") -> None:
        """Take a port out of service: it neither receives nor sends."""
        self.relay.disable(self.port(which))

    def enable(self, which: "str | Node") -> None:
        """End `disable`."""
        self.relay.enable(self.port(which))

    # -- looking -------------------------------------------------------------------------------------------------------

    def fdb_show(self) -> str:
        """The table of addresses as `bridge fdb show` prints it."""
        return self.relay.fdb_show(self.net.now)

    def vlan_show(self) -> str:
        """The VLANs of the ports as `bridge vlan show` prints them."""
        return self.relay.vlan_show()

    def mdb_show(self) -> str:
        """The groups that snooping knows, as `bridge mdb show` prints them."""
        snooping = self.relay.snooping
        return "" if snooping is None else snooping.mdb_show(self.name, self.relay.ports, self.net.now)

    def __repr__(self) -> str:
        return f"<Bridge {self.name}>"


def _mac(text: str) -> bytes:
    """The 6 bytes of an address such as "02:00:00:00:00:01". ValueError for another text."""
    parts = text.split(":")
    if len(parts) != 6 or not all(1 <= len(part) <= 2 and set(part) <= set(hexdigits) for part in parts):
        raise ValueError(f"{text[:40]!r} is not a MAC address such as 02:00:00:00:00:01")
    return bytes(int(part, 16) for part in parts)
