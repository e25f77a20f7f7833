"""The nodes of a simulated network: hosts, switches and bare wires. The ports by which links join them are in sim/path.py."""

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pystack_c.const as C
from pystack import iproute
from pystack.addresses import parse_addr, parse_interface, parse_network
from pystack.sim import whole
from pystack.sim.clock import HostClock, check_offset, parts
from pystack.sim.dhcp import SimAgent, WithDhcp
from pystack.sim.multicasting import Multicasting
from pystack.sim.path import HostPath, SimPort
from pystack.sim.qdisc import Qdisc
from pystack.sim.translating import Translating
from pystack.sockets.resolve import text
from pystack_c.link.fdb import ForwardingTable
from pystack_c.link.loops import LoopGuard
from pystack_c.packet import Transmit
from pystack_c.tcp import user

if TYPE_CHECKING:
    from pystack.sim.kernelhost import KernelHost
    from pystack.sim.network import Network

#: the names of the calls that end a socket
_ENDS = ("close", "abort", "end_send")
Node: TypeAlias = "SimHost | KernelHost | Switch | Wire"


def find_port(host: "SimHost | KernelHost", name: str) -> SimPort:
    """A port of a host by name; without a name, the newest port. KeyError: there is none."""
    for port in host.ports:
        if port.name == name:
            return port
    if not host.ports:
        raise KeyError(f"{host.name} has no interface yet: a link to another node (net.link) makes one")
    if name:
        raise KeyError(f"{host.name} has no interface {name!r}; it has {', '.join(p.name for p in host.ports)}")
    return host.ports[-1]


class SimHost(HostPath, Translating, WithDhcp, Multicasting):
    """A host in virtual time. Made by `Network.host`."""

    #: a kernel's socket in virtual time would depend on real time, and its bytes would be in no capture
    kernel_sockets = False

    def __init__(self, net: "Network", stack: Any, offload: bool = False):
        super().__init__(net, stack)
        self.names = net.names.of(self)
        self.offload = offload
        #: the first interface is the outside of an address translation
        self.masquerades = False
        #: the functions that decide about packets in the queues of the packet filter
        self._deciders: dict[int, Callable[[bytes], bool | bytes]] = {}
        self.agents: list[SimAgent] = []
        self.ports: list[SimPort] = []
        #: the interfaces for VLANs, by their names
        self.vlans: dict[str, Any] = {}
        #: how often it was switched on again, and the functions that are called then: they start its programs
        self.boots = 0
        self.on_boot: list[Callable[[SimHost], None]] = []
        self._off = False
        self._frozen = False
        self._script: list[tuple[str, tuple[Any, ...]]] = []  # the set-up that a boot repeats

    def deliver_raw(self, port: SimPort, raw: bytes) -> None:
        """Receive a frame that begins with a virtio-net header (see sim/whole.py)."""
        if not self.up:
            return
        self.receive(port.iface, raw, *whole.receive_arguments(raw))
        self.pump()

    def send_offloaded(self, port: SimPort, tx: Transmit) -> None:
        """Send a frame that a card would cut or complete. In real time, it stays whole on the way to a kernel host (see sim/whole.py)."""
        if self.net.driver is not None:
            whole.send(port, whole.of_transmit(tx))
        else:
            super().send_offloaded(port, tx)

    def call(self, fn: Callable[..., Any], target: Any, *args: Any) -> Any:
        """VirtualHost.call. A socket from before a boot belongs to a stack that is gone: it can only be closed."""
        if getattr(target, "core", self.stack) is not self.stack:
            if fn.__name__ in _ENDS:
                return fn(target, *args, self.clock())
            raise OSError(errno.ENETDOWN, f"the host {self.name!r} has rebooted since this socket was made")
        if self.net.causes is not None and self.recorder is not None:
            self.net.causes.called(self)
        return super().call(fn, target, *args)

    # -- set-up ------------------------------------------------------------------------------------------------------

    def attach(self, mtu: int, kind: int) -> SimPort:
        """A new port, with an interface eth0, eth1, ... of the stack behind it."""
        number = len(self.ports)
        port = SimPort(self.net, self, self.port_name(kind), kind)
        mac = self.net.next_mac() if kind == C.LINK_ETHERNET else 0
        self._add_iface(port, mac, mtu)
        self.ports.append(port)
        if self.masquerades and number == 0:
            self.masquerade(port.name)
        if self.dhcp is not None and number == 0:
            self.net.after(0, self.dhcp_client, port.name, self.dhcp)
        return port

    def port_name(self, kind: int) -> str:
        """The name of the next interface."""
        return f"eth{len(self.ports)}" if kind == C.LINK_ETHERNET else f"tun{len(self.ports)}"

    def _add_iface(self, port: SimPort, mac: int, mtu: int) -> None:
        offload = (True, 65226) if self.offload else (False, 0)
        port.iface = self.setup("add_iface", port.name, port.kind, mac, mtu, *offload)
        self._by_iface[port.iface.index] = port

    def vlan(self, vid: int, iface: str = "") -> str:
        """Add an interface for a VLAN of an interface (the newest one, if not named), and return its name, such as "eth0.10"."""
        port = self.port(iface)
        made = self.setup("add_vlan", port.iface, vid)
        self.vlans[made.name] = made
        self._script.append(("vlan", (vid, port.name)))
        name: str = made.name
        return name

    def _iface(self, name: str = "") -> Any:
        """An interface of the stack: that of a port or of a VLAN; without a name, that of the newest port."""
        return self.vlans[name] if name in self.vlans else self.port(name).iface

    def port(self, name: str = "") -> SimPort:
        """A port by name; without a name, the newest port."""
        return find_port(self, name)

    def addr(self, address: str, iface: str = "") -> None:
        """Give an interface (the newest one, if not named; "lo" is the loopback) an address such as "10.0.0.1/24"."""
        value, prefixlen = parse_interface(address)
        found = self.stack.lo if iface == "lo" else self._iface(iface)
        self.setup("add_addr", found, value, prefixlen)
        self._script.append(("addr", (address, found.name)))

    def addresses(self) -> list[str]:
        """The addresses of its interfaces, in the order in which they were given; without any, the loopback address."""
        ifaces = [*(port.iface for port in self.ports), *self.vlans.values()]
        found = [text(local.addr) for iface in ifaces for local in iface.addrs]
        return found or ["127.0.0.1"]

    def route(self, network: str, via: str = "", iface: str = "") -> None:
        """Add a route to `network`, "default" or such as "10.1.0.0/16", via a gateway or straight to an interface.

        FileExistsError if there is a route to this network already.
        """
        dst, prefixlen = parse_network(network)
        gateway = parse_addr(via) if via else 0
        found = self._iface(iface) if iface or not via else None
        self.setup("add_route", dst, prefixlen, gateway, found)
        self._script.append(("route", (network, via, "" if found is None else found.name)))

    def qdisc(self, discipline: "Qdisc | str | None", iface: str = "") -> Qdisc | None:
        """Put a queueing discipline in front of an interface: `tc qdisc replace dev IFACE root ...`. It stays there if the host boots."""
        return self.port(iface).set_qdisc(discipline)

    def ip(self, command: str) -> list[str]:
        """Run `ip route ...` or `ip rule ...` as on Linux, and return its lines: ip("rule add from 10.1.0.0/16 table 7")."""
        words = command.split()
        lines = iproute.run(self, words)
        if iproute.changes(words):
            self._script.append(("ip", (command,)))
        return lines

    def neighbor(self, address: str, mac: int, iface: str = "") -> None:
        """A permanent ARP entry."""
        found = self._iface(iface)
        self.setup("add_neighbor", found, parse_addr(address), mac)
        self._script.append(("neighbor", (address, mac, found.name)))

    def __repr__(self) -> str:
        return f"<SimHost {self.name}>"

    def crash(self) -> None:
        """Switch the power off: from now on nothing is received or sent, and no timer fires. This ends a `freeze`."""
        self.up = self._frozen = False
        self._off = True

    def boot(self) -> None:
        """Switch the power on, again: a new stack with the same settings, interfaces, addresses, routes and neighbors.

        Everything else is lost, connections and sockets included. Calls of the old sockets raise OSError(ENETDOWN) from now on, also those in
        which programs wait. `on_boot` starts new programs. The entries of `Network.introduce` are lost, too, and ARP finds them again.
        A host that was frozen while it was off stays frozen.
        """
        old = self.stack
        self.boots += 1
        seed = self.net.derive("host", self.name, "boot", self.boots)
        self.stack = self.net.make_stack(seed, old.config, self.name)
        if self.recorder is not None and self.net.recorder is not None:
            self.recorder = self.net.recorder.host(f"{self.name}-boot{self.boots}", seed, old.config)
        if self.names is not None and self.names.dns is not None:
            self.names.dns.forget()
        self._off = False
        if self.local is not None:
            self.local = HostClock(self.net.now, self.clock(), self.local.ppb, self.local.offset)
            self._tell_clock()
        self._wake_at = -1
        self._by_iface.clear()
        self.vlans.clear()
        self.up = not self._frozen
        for port in self.ports:
            self._add_iface(port, port.iface.mac, port.iface.mtu)
        script, self._script = self._script, []
        for name, args in script:
            getattr(self, name)(*args)
        self._end(old)
        for function in self.on_boot:
            function(self)

    def _end(self, old: Any) -> None:
        """Show the sockets of the stack before as ready, so that programs that wait for them go on, and get the error."""
        self.rebooted = True
        old.probe = None
        for endpoint in list(old.endpoints.values()):
            waiter = endpoint.waiter
            if endpoint.listening():
                user.close(endpoint, old.now)  # otherwise, it would be ready only for a connection
            endpoint.so_error = errno.ENETDOWN
            if waiter is not None:
                waiter.notify(C.EV_IN | C.EV_OUT | C.EV_ERR | C.EV_HUP)

    def freeze(self) -> None:
        """Stop answering, with all state kept: frames that come are lost, frames that its programs send, too, and no timer fires."""
        self.up = False
        self._frozen = True

    def thaw(self) -> None:
        """End `freeze`: the timers that are due fire now. A host that was switched off stays off."""
        self._frozen = False
        if self.up or self._off:
            return
        self.up = True
        self._wake_at = -1
        deadline = self.poll_timeout()
        if deadline is not None and deadline <= self.clock():
            self.handle_timeout()
        self.pump()

    def set_clock(self, ppm: float = 0, offset: int = 0) -> None:
        """From now on, the host's clock runs `ppm` parts in a million fast (negative: slow), and its time of day is `offset` ns ahead.

        The clock drives the timers and TCP timestamps of the stack, and `time` and the timeouts of the programs on the host. What it has
        gained until now stays, because a clock never goes back. Only the offset, which `time.time()` has, may change at once.
        """
        ppb, offset = parts(ppm), check_offset(offset)
        true = self.net.now
        self.local = HostClock(true, self.clock(), ppb, offset)
        self._tell_clock()
        self.pump()  # the deadlines of the timers are at other times now

    def _tell_clock(self) -> None:
        """Report the clock to the recording and to the probe."""
        clock = self.local
        fields = {"true": clock.began, "ppb": clock.ppb, "offset": clock.offset}
        way = f"runs {abs(clock.ppb) / 1000:g} ppm {'slow' if clock.ppb < 0 else 'fast'}" if clock.ppb else "keeps time"
        reason = f"the clock of the host {way}" + (
            f", and its time of day is {clock.offset / 1e9:+g} s off" if clock.offset else ""
        )
        now = clock.base
        if self.recorder is not None:
            self.recorder.note(now, "clock", self.name, reason, "", fields)  # type: ignore[attr-defined]
        if self.stack.probe is not None:
            self.stack.now = now
            self.stack.emit("clock", self.name, 0, reason, "", fields)

    @property
    def counters(self) -> Any:
        """The stack's counters."""
        return self.stack.counters


class Switch:
    """A learning bridge. It forwards at once, and floods frames to unknown addresses (IEEE 802.1D 7.7, 7.8).

    It drops a flooded frame that comes back at another port because of a loop of links, and counts it in `guard.returned`.
    """

    def __init__(self, net: "Network", name: str):
        self.net = net
        self.name = name
        self.ports: list[SimPort] = []
        #: addresses never age here, because a run may last for days of virtual time
        self.fdb = ForwardingTable(ageing=0, limit=1 << 20)
        self.flooded = 0
        self.guard = LoopGuard()

    def attach(self, mtu: int, kind: int) -> SimPort:
        """A new port."""
        port = SimPort(self.net, self, f"port{len(self.ports)}", kind)
        self.ports.append(port)
        return port

    def deliver(self, port: SimPort, frame: bytes) -> None:
        """Learn the port of the sender, and send the frame to the port of its receiver, or to all other ports."""
        if len(frame) < C.ETH_HLEN:
            return
        dst, src = frame[:6], frame[6:12]
        out = self.fdb.lookup(dst, self.net.now)
        if out is None and self.guard.returns(frame, port, self.net.now):
            return  # a loop of links, in which the frame would circulate for ever
        self.fdb.learn(src, port, self.net.now)
        if out is port or dst == src:
            return
        if out is not None:
            out.send(frame)
            return
        self.flooded += 1
        for other in self.ports:
            if other is not port:
                other.send(frame)

    def deliver_whole(self, port: SimPort, tx: Transmit) -> None:
        """The same for a frame that no card has cut or completed (see SimPort.send_whole)."""
        frame = tx.header
        out = self.fdb.lookup(frame[:6], self.net.now)
        if out is None and self.guard.returns(frame, port, self.net.now):
            return
        self.fdb.learn(frame[6:12], port, self.net.now)
        if out is port or frame[:6] == frame[6:12]:
            return
        self.flooded += out is None
        for other in self.ports if out is None else [out]:
            if other is not port:
                other.send_whole(tx)

    def deliver_raw(self, port: SimPort, raw: bytes) -> None:
        """The same for a frame that begins with a virtio-net header (see sim/whole.py)."""
        at = whole.VNET_HDR_LEN
        if len(raw) < at + C.ETH_HLEN:
            return
        self.fdb.learn(raw[at + 6 : at + 12], port, self.net.now)
        out = self.fdb.lookup(raw[at : at + 6], self.net.now)
        self.flooded += out is None
        for other in self.ports if out is None else [out]:
            if other is not port:
                whole.send(other, raw)


class Wire:
    """The bare end of a link, with no stack: for tests and tools that write and read frames themselves."""

    def __init__(self, net: "Network", name: str):
        self.net = net
        self.name = name
        self.ports: list[SimPort] = []
        self.got: list[tuple[int, bytes]] = []
        self.on_frame: Callable[[bytes], None] | None = None

    def attach(self, mtu: int, kind: int) -> SimPort:
        """A new port."""
        port = SimPort(self.net, self, f"port{len(self.ports)}", kind)
        self.ports.append(port)
        return port

    def deliver(self, port: SimPort, frame: bytes) -> None:
        """Keep a frame that arrived, with its time, and show it to `on_frame`."""
        self.got.append((self.net.now, frame))
        if self.on_frame is not None:
            self.on_frame(frame)

    def send(self, frame: bytes, port: int = -1) -> None:
        """Put a frame on the link, now."""
        self.ports[port].send(frame)
