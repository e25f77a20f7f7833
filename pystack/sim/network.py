"""Networks in virtual time: many stacks in one process, joined by links and switches.

    net = Network(seed=1)
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, delay=5 * MS, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    net.run(until=10 * S)

Everything is decided by the seed and the program: one seed, one result, to the byte. No time passes while a host
works; times are exact integers of nanoseconds.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeAlias

import pystack_c.const as C
from pystack.addresses import parse_addr, parse_interface, parse_network
from pystack.phy.segmenter import segments
from pystack.runtime.host import Host
from pystack.sim.channel import Channel
from pystack.sim.scheduler import Scheduler, SimError
from pystack.trace.annotate import AnnotatedCapture, FrameProbe, FrameRecord
from pystack.trace.pcapng import INBOUND, LINKTYPE_ETHERNET, LINKTYPE_RAW, OUTBOUND, PcapngWriter
from pystack.trace.recorder import Recorder
from pystack_c.config import Config
from pystack_c.config import profile as config_profile
from pystack_c.link.fdb import ForwardingTable
from pystack_c.packet import Transmit

__all__ = ["MS", "S", "US", "Link", "Network", "SimPort", "SimError", "SimHost", "Switch", "Wire"]

US = 1_000
MS = 1_000_000
S = 1_000_000_000

#: tap(time, direction, frame): what passes a port, direction INBOUND or OUTBOUND as the node sees it
Tap = Callable[[int, int, bytes], None]
Node: TypeAlias = "SimHost | Switch | Wire"


class SimPort:
    """Where a link ends in a node: frames go out through `send`, frames that arrive go to the node's `deliver`."""

    def __init__(self, net: "Network", node: Node, name: str, kind: int):
        self.net = net
        self.node = node
        self.name = name
        self.kind = kind
        self.iface: Any = None
        self.out: Channel | None = None
        self.peer: SimPort | None = None
        self.taps: list[Tap] = []

    def send(self, frame: bytes) -> None:
        """Put a frame on the link, now."""
        net = self.net
        for tap in self.taps:
            tap(net.now, OUTBOUND, frame)
        if self.out is not None and self.peer is not None:
            for time, data in self.out.send(frame, net.now):
                net.at(time, self.peer.arrive, data)

    def arrive(self, frame: bytes) -> None:
        """A frame comes out of the link."""
        for tap in self.taps:
            tap(self.net.now, INBOUND, frame)
        self.node.deliver(self, frame)

    def __repr__(self) -> str:
        return f"<SimPort {self.node.name}:{self.name}>"


class SimHost(Host):
    """A host in virtual time. Made by `Network.host`."""

    def __init__(self, net: "Network", stack: Any, offload: bool = False):
        super().__init__(stack)
        self.net = net
        self.offload = offload
        self.ports: list[SimPort] = []
        self._by_iface: dict[Any, SimPort] = {}
        self._wake_at = -1  # the earliest timer event in the scheduler that is still good
        self._draining = False
        self.up = True

    # -- the clock and the loop --------------------------------------------------------------------------------------

    def clock(self) -> int:
        """Virtual time."""
        return self.net.now

    def pump(self) -> None:
        """Take everything the stack has to say."""
        if self._draining:  # a device or tap called back: the loop below goes on anyway
            return
        self._draining = True
        try:
            poll_transmit = self.poll_transmit
            while (tx := poll_transmit()) is not None:
                self._send(tx)
            poll_event = self.stack.poll_event
            while (endpoint := poll_event()) is not None:
                waiter = endpoint.waiter
                if waiter is not None:
                    waiter.wake(endpoint.take_pending())  # schedules, and calls nothing back at once
            deadline = self.poll_timeout()
        finally:
            self._draining = False
        if deadline is not None and (self._wake_at < 0 or deadline < self._wake_at):
            self._wake_at = deadline
            self.net.at(deadline, self._timer, deadline)
        if self.net.frame_probe is not None:
            self.net.frame_probe.flush()

    def _send(self, tx: Transmit) -> None:
        port = self._by_iface.get(tx.iface.index)
        if port is None or not self.up:
            return
        if tx.gso_size or tx.csum_start:
            for frame in segments(tx):
                port.send(frame)
        else:
            port.send(tx.to_bytes())

    def _timer(self, set_for: int) -> None:
        if set_for != self._wake_at:
            return  # an earlier one was set since, and did the work
        self._wake_at = -1
        deadline = self.poll_timeout()
        if not self.up or deadline is None:
            return
        if deadline <= self.net.now:
            self.handle_timeout()
        self.pump()
        if 0 <= self._wake_at <= self.net.now:
            # The invariant of the seam, without which a driver would turn for ever.
            raise SimError(f"{self.name} fired its timers at {self.net.now}, but its next deadline is {self._wake_at}")

    def deliver(self, port: SimPort, frame: bytes) -> None:
        """A frame arrives at a port: one receive, then everything that follows from it."""
        if not self.up:
            return
        self.receive(port.iface, frame)
        self.pump()

    def poll_transmit(self) -> Transmit | None:
        """The next frame to send, or None."""
        now = self.net.now
        tx: Transmit | None = self.stack.poll_transmit(now)
        if self.recorder is not None:
            self.recorder.transmit(now, tx)
        return tx

    # -- set-up ------------------------------------------------------------------------------------------------------

    def attach(self, mtu: int, kind: int) -> SimPort:
        """A new port, with an interface eth0, eth1, ... of the stack behind it."""
        number = len(self.ports)
        port = SimPort(self.net, self, f"eth{number}" if kind == C.LINK_ETHERNET else f"tun{number}", kind)
        mac = self.net.next_mac() if kind == C.LINK_ETHERNET else 0
        offload = (True, 65226) if self.offload else (False, 0)
        port.iface = self.setup("add_iface", port.name, kind, mac, mtu, *offload)
        self.ports.append(port)
        self._by_iface[port.iface.index] = port
        return port

    def port(self, name: str = "") -> SimPort:
        """A port by name; without one, the last that was made."""
        for port in self.ports:
            if port.name == name:
                return port
        if name or not self.ports:
            raise KeyError(f"{self.name} has no interface {name!r}; it has {', '.join(p.name for p in self.ports)}")
        return self.ports[-1]

    def addr(self, address: str, iface: str = "") -> None:
        """Give an interface (the newest one, if not named) an address such as "10.0.0.1/24"."""
        value, prefixlen = parse_interface(address)
        self.setup("add_addr", self.port(iface).iface, value, prefixlen)

    def route(self, network: str, via: str = "", iface: str = "") -> None:
        """A route: `network` is "default" or such as "10.1.0.0/16"; via a gateway, or straight to an interface."""
        dst, prefixlen = parse_network(network)
        gateway = parse_addr(via) if via else 0
        out = self.port(iface).iface if iface or not via else None
        self.setup("add_route", dst, prefixlen, gateway, out)

    def neighbor(self, address: str, mac: int, iface: str = "") -> None:
        """A permanent ARP entry."""
        self.setup("add_neighbor", self.port(iface).iface, parse_addr(address), mac)

    def crash(self) -> None:
        """Power off: nothing is received, sent or timed any more."""
        self.up = False

    @property
    def counters(self) -> Any:
        """The stack's counters."""
        return self.stack.counters


class Switch:
    """A learning bridge: forwards at once, floods what it does not know (IEEE 802.1D 7.7, 7.8)."""

    def __init__(self, net: "Network", name: str):
        self.net = net
        self.name = name
        self.ports: list[SimPort] = []
        #: addresses never age here: a run may last for days of virtual time
        self.fdb = ForwardingTable(ageing=0, limit=1 << 20)
        self.flooded = 0

    def attach(self, mtu: int, kind: int) -> SimPort:
        """A new port."""
        port = SimPort(self.net, self, f"port{len(self.ports)}", kind)
        self.ports.append(port)
        return port

    def deliver(self, port: SimPort, frame: bytes) -> None:
        """Learn where the sender is; send the frame where its receiver is, or everywhere else."""
        if len(frame) < C.ETH_HLEN:
            return
        dst, src = frame[:6], frame[6:12]
        self.fdb.learn(src, port, self.net.now)
        out = self.fdb.lookup(dst, self.net.now)
        if out is port:
            return
        if out is not None:
            out.send(frame)
            return
        self.flooded += 1
        for other in self.ports:
            if other is not port:
                other.send(frame)


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


class Link:
    """Two channels between two ports. `link.ab` goes from the first to the second, `link.ba` back."""

    def __init__(self, name: str, a: SimPort, b: SimPort, ab: Channel, ba: Channel):
        self.name = name
        self.a = a
        self.b = b
        self.ab = ab
        self.ba = ba

    def channels(self) -> Iterator[Channel]:
        """Both directions."""
        yield self.ab
        yield self.ba

    def set(self, **settings: object) -> None:
        """Change settings of both directions (see Channel)."""
        for channel in self.channels():
            channel.set(**settings)

    def down(self) -> None:
        """Lose everything from now on (what is on the way still arrives)."""
        self.set(up=False)

    def restore(self) -> None:
        """The end of `down`."""
        self.set(up=True)


class Network(Scheduler):
    """Hosts, switches and links in one virtual time. `seed` decides everything that is random."""

    def __init__(self, seed: int = 1, stack_class: Callable[..., Any] | None = None):
        super().__init__()
        self.seed = seed
        self.hosts: dict[str, SimHost] = {}
        self.switches: dict[str, Switch] = {}
        self.wires: dict[str, Wire] = {}
        self.links: dict[str, Link] = {}
        self.frame_probe: FrameProbe | None = None
        self.recorder: Recorder | None = None
        self._stack_class = stack_class
        self._macs = 0
        self._writers: list[PcapngWriter] = []

    def next_mac(self) -> int:
        """The next locally administered MAC address."""
        self._macs += 1
        return 0x025059000000 | self._macs

    def derive(self, *what: object) -> int:
        """A 63 bit seed for one purpose, made from the network's."""
        text = "/".join(str(part) for part in (self.seed, *what))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

    # -- building ----------------------------------------------------------------------------------------------------

    def host(
        self,
        name: str,
        config: Config | None = None,
        *,
        profile: str = "linux",
        seed: int | None = None,
        offload: bool = False,
        **settings: Any,
    ) -> SimHost:
        """A host with a stack of its own. `settings` are single settings of the configuration by name."""
        self._new_name(name)
        if config is None:
            config = config_profile(profile)
        config.update(settings)
        make = self._stack_class or _stack_class()
        seed = self.derive("host", name) if seed is None else seed
        host = SimHost(self, make(seed, config, name), offload)
        if self.recorder is not None:
            host.recorder = self.recorder.host(name, seed, config)
        host.stack.probe = self.frame_probe
        self.hosts[name] = host
        return host

    def switch(self, name: str) -> Switch:
        """A learning bridge."""
        self._new_name(name)
        switch = self.switches[name] = Switch(self, name)
        return switch

    def wire(self, name: str) -> Wire:
        """The bare end of a link."""
        self._new_name(name)
        wire = self.wires[name] = Wire(self, name)
        return wire

    def _new_name(self, name: str) -> None:
        if name in self.hosts or name in self.switches or name in self.wires:
            raise ValueError(f"there is already a node named {name!r}")

    def link(
        self,
        a: Node,
        b: Node,
        *,
        name: str = "",
        addrs: "tuple[str | None, str | None]" = (None, None),
        mtu: int = 1500,
        kind: int = C.LINK_ETHERNET,
        ab: "dict[str, Any] | None" = None,
        ba: "dict[str, Any] | None" = None,
        **settings: Any,
    ) -> Link:
        """Join two nodes. `settings` (see Channel: delay, rate, queue, loss, ...) hold for both directions; `ab` and
        `ba` set one direction apart. `addrs` are addresses such as "10.0.0.1/24" for the new interfaces."""
        name = name or f"{a.name}-{b.name}"
        while name in self.links:
            name += "'"
        port_a, port_b = a.attach(mtu, kind), b.attach(mtu, kind)
        settings = {"mtu": mtu, "kind": kind, **settings}
        channels = [
            Channel(self.seed, f"{name}/{direction}", **{**settings, **(apart or {})})
            for direction, apart in (("ab", ab), ("ba", ba))
        ]
        port_a.out, port_b.out = channels
        port_a.peer, port_b.peer = port_b, port_a
        link = self.links[name] = Link(name, port_a, port_b, *channels)
        for node, address in ((a, addrs[0]), (b, addrs[1])):
            if address is not None and isinstance(node, SimHost):
                node.addr(address)
        return link

    def introduce(self) -> None:
        """Give every host permanent ARP entries for all hosts on its networks: no ARP traffic in between."""
        known: list[tuple[SimPort, int, int]] = []
        for host in self.hosts.values():
            for port in host.ports:
                known.extend((port, local.addr, local.mask) for local in port.iface.addrs)
        for port, addr, mask in known:
            for other, other_addr, _ in known:
                host_of = port.node
                if isinstance(host_of, SimHost) and other.node is not host_of and (addr ^ other_addr) & mask == 0:
                    host_of.setup("add_neighbor", port.iface, other_addr, other.iface.mac)

    def record(self, out: "str | BinaryIO", **meta: Any) -> Recorder:
        """Record everything that goes into the hosts, which are made after this call. See trace.replay."""
        if self.hosts:
            raise ValueError("record() comes before the first host: a recording begins with the stacks' beginnings")
        self.recorder = Recorder(out, {"seed": self.seed, **meta})
        return self.recorder

    # -- looking -----------------------------------------------------------------------------------------------------

    def capture(self, out: "str | BinaryIO", *ports: SimPort) -> PcapngWriter:
        """Write what passes these ports (all ports of all hosts, if none is named) to a pcapng file.

        A port of the sender has the frames as they were sent; one of the receiver, as they arrived."""
        writer = PcapngWriter.open(out) if isinstance(out, str) else PcapngWriter(out)
        chosen = ports or [port for host in self.hosts.values() for port in host.ports]
        for port in chosen:
            linktype = LINKTYPE_ETHERNET if port.kind == C.LINK_ETHERNET else LINKTYPE_RAW
            number = writer.interface(f"{port.node.name}:{port.name}", linktype)
            port.taps.append(_capture_tap(writer, number))
        self._writers.append(writer)
        return writer

    def watch(self, sink: Callable[[FrameRecord], None]) -> FrameProbe:
        """Give each frame of each host to `sink`, with what the stack decided and why (see trace.annotate)."""
        self.frame_probe = FrameProbe(sink)
        for host in self.hosts.values():
            host.stack.probe = self.frame_probe
        return self.frame_probe

    def annotated_capture(self, out: "str | BinaryIO") -> PcapngWriter:
        """A capture of all hosts whose comments say what the stacks decided, drops included."""
        writer = PcapngWriter.open(out) if isinstance(out, str) else PcapngWriter(out)
        self.watch(AnnotatedCapture(writer, hosts=True))
        self._writers.append(writer)
        return writer

    def close(self) -> None:
        """Finish captures and the recording."""
        if self.frame_probe is not None:
            self.frame_probe.flush()
        for writer in self._writers:
            writer.close()
        if self.recorder is not None:
            self.recorder.close()

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _capture_tap(writer: PcapngWriter, number: int) -> Tap:
    def tap(time: int, direction: int, frame: bytes) -> None:
        writer.packet(number, time, frame, direction)

    return tap


def _stack_class() -> Callable[..., Any]:
    from pystack_c.stack import Stack

    return Stack
