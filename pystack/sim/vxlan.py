"""VXLAN in a simulated network: a port of a bridge whose other ends are the VTEPs of other bridges. Made by `Bridge.vxlan`."""

import errno
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pystack_c.const as C
from pystack.addresses import parse_addr
from pystack.sim.nodes import SimHost, SimPort
from pystack.sim.programs import ProgramDatagrams, datagram, spawn
from pystack.sockets.resolve import text
from pystack.trace.pcapng import OUTBOUND
from pystack_c.base.address import addr_bytes, is_multicast
from pystack_c.link.vxlan import PORT, Vtep, entropy

if TYPE_CHECKING:
    from pystack.sim.bridge import Bridge

_SOL_SOCKET, _SO_NO_CHECK, _IPPROTO_IP = 1, 11, 0
_IP_MTU_DISCOVER, _PMTUDISC_DO, _IP_MULTICAST_IF, _IP_MULTICAST_LOOP, _IP_ADD_MEMBERSHIP = 10, 2, 32, 34, 35
#: RFC 7348 5: source ports are taken from the dynamic ports
_FIRST_SOURCE = 49_152


class VxlanPort(SimPort):
    """The port. Frames leave in UDP datagrams of a host's stack, which must not be fragmented (RFC 7348 4.3).

    vtep   the tables and counters (see pystack_c.link.vxlan); a frame that the host cannot send counts as `too-big` or `unreachable`
    """

    def __init__(self, bridge: "Bridge", name: str, host: SimHost, vtep: Vtep, local: int, port: int):
        super().__init__(bridge.net, bridge, name, C.LINK_ETHERNET)
        self.host = host
        self.vtep = vtep
        self._local = local
        self._port = port
        self._sources: dict[int, ProgramDatagrams] = {}
        host.on_boot.append(self._open)
        self._open(host)

    def _open(self, host: SimHost) -> None:
        """Open the socket at which datagrams of other VTEPs arrive, and wait for them."""
        self._sources.clear()
        sock = datagram(host)
        sock.bind("", self._port)  # datagrams to a group have its address, not this host's
        for remote in self.vtep.remotes:
            if is_multicast(remote):
                interface = addr_bytes(self._local) if self._local else bytes(4)
                sock.setsockopt(_IPPROTO_IP, _IP_ADD_MEMBERSHIP, addr_bytes(remote) + interface)
        spawn(self.net, self._receive(sock))

    def _receive(self, sock: ProgramDatagrams) -> Generator[Any, Any, None]:
        while True:
            try:
                got = yield sock.recvfrom()
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                return  # the host has rebooted, and `_open` has made another socket
            frame, why = self.vtep.unwrap(bytes(got.data), int(got.src), self.net.now)
            if frame:
                self.arrive(frame)
            else:
                self._tell(why, "RFC 7348 4.1")

    def send(self, frame: bytes) -> None:
        """Send a frame through the tunnels."""
        net = self.net
        for tap in self.taps:
            tap(net.now, OUTBOUND, frame)
        receivers = self.vtep.receivers(frame, net.now)
        if not receivers:
            self._tell("no VTEP gets the frame", "RFC 7348 4.2")
        sock = self._source(entropy(frame))
        for remote in receivers:
            try:
                sock.sendto(self.vtep.header + frame, text(remote), self._port)
            except OSError as error:
                self.vtep.drops["too-big" if error.errno == errno.EMSGSIZE else "unreachable"] += 1
                self._tell(f"the host cannot send the datagram: {error.strerror}", "RFC 7348 4.3")

    def _source(self, number: int) -> ProgramDatagrams:
        """The socket with one of 64 source ports, so that flows are spread (RFC 7348 5)."""
        sock = self._sources.get(number)
        if sock is None:
            sock = self._sources[number] = datagram(self.host)
            address = text(self._local) if self._local else ""
            try:
                sock.bind(address, _FIRST_SOURCE + number)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                sock.bind(address, 0)  # a program of the host, or another tunnel, has the port
            # RFC 7348 5: the checksum should be 0, because the frame has its own.
            sock.setsockopt(_SOL_SOCKET, _SO_NO_CHECK, 1)
            sock.setsockopt(_IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DO)
            sock.setsockopt(_IPPROTO_IP, _IP_MULTICAST_LOOP, 0)
            if self._local:
                sock.setsockopt(_IPPROTO_IP, _IP_MULTICAST_IF, addr_bytes(self._local))
        return sock

    def _tell(self, why: str, rfc: str) -> None:
        relay = self.node.relay  # type: ignore[union-attr]
        if relay.report is not None:
            relay.report(self.net.now, "drop", self.name, why, rfc, {"name": "vxlan"})

    def fdb_show(self) -> str:
        """The VTEPs behind which hosts are, as `bridge fdb show dev vxlan0` prints them."""
        lines = [f"00:00:00:00:00:00 dev {self.name} dst {text(remote)} self permanent" for remote in self.vtep.remotes]
        for mac, entry in self.vtep.fdb.current(self.net.now):
            lines.append(
                f"{mac.hex(':')} dev {self.name} dst {text(entry.port)} self{' static' if entry.static else ''}"
            )
        return "".join(line + "\n" for line in lines)


def _tunnels(bridge: "Bridge") -> list[VxlanPort]:
    """The tunnels of all bridges of the network."""
    return [port for one in bridge.net.switches.values() for port in one.ports if isinstance(port, VxlanPort)]


def make(bridge: "Bridge", host: SimHost, vni: int, remotes: Any, options: dict[str, Any]) -> VxlanPort:
    """A port of a bridge (see Bridge.vxlan)."""
    local, port = options.pop("local", ""), options.pop("port", PORT)
    name = options.pop("name", "") or f"vxlan{vni}"
    taken = [one.name for one in _tunnels(bridge) if one.host is host and one._port == port]
    if taken:
        raise ValueError(
            f"the tunnel {taken[0]} of {host.name} has the UDP port {port}: give another port= to this one"
        )
    remotes = [remotes] if isinstance(remotes, str) else remotes
    vtep = Vtep(vni, tuple(parse_addr(remote) for remote in remotes), **options)
    return VxlanPort(bridge, name, host, vtep, parse_addr(local) if local else 0, port)
