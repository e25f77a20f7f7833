"""Networks in virtual time: many stacks in one process, joined by links and switches.

    net = Network(seed=1)
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, delay=5 * MS, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    net.run(until=10 * S)

The seed and the program decide everything: the same seed gives the same bytes. No time passes while a host works. Times are exact
integers of nanoseconds.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import pystack_c.const as C
from pystack.dhcp import ClientSettings
from pystack.dns import Servers, settings_of
from pystack.dns import use as use_dns
from pystack.sim.bridge import Bridge
from pystack.sim.captures import Captures
from pystack.sim.causes import Causes
from pystack.sim.channel import Channel
from pystack.sim.dhcp import SimAgent
from pystack.sim.dhcp import settings_of as client_settings
from pystack.sim.hub import Hub, Signal
from pystack.sim.link import Link
from pystack.sim.middlebox import Report
from pystack.sim.nodes import Node, SimHost, SimPort, Switch, Wire
from pystack.sim.profiles import link_profile
from pystack.sim.qdisc import Qdisc
from pystack.sim.qdisc import parse as parse_qdisc
from pystack.sim.scheduler import Scheduler, SimError
from pystack.sim.topology import Topology
from pystack.sockets.resolve import Names
from pystack.trace.annotate import FrameProbe
from pystack.trace.hosts import HostsCapture
from pystack.trace.pcapng import PcapngWriter
from pystack.trace.recorder import HostRecorder, Recorder
from pystack_c.config import Config
from pystack_c.config import profile as config_profile
from pystack_c.probe import Event

if TYPE_CHECKING:
    from pystack.sim.kernelhost import KernelHost
    from pystack.sim.realtime import RealTime

__all__ = ["MS", "S", "US", "Bridge", "Link", "Network", "SimPort", "SimError", "SimHost", "Switch", "Wire"]

AnyHost = TypeVar("AnyHost", bound=SimHost)
US = 1_000
MS = 1_000_000
S = 1_000_000_000
#: 1 January 2026, 00:00 UTC
EPOCH = 1_767_225_600 * S


class Network(Topology, Captures, Scheduler):
    """Hosts, switches and links in one virtual time. `seed` decides everything that is random.

    hosts  names that all hosts know, beside each other's: name -> address or addresses
    whole  all hosts have offload, and on links that only delay frames, a frame of up to 64 KB stays whole, as between virtual machines.
           The network then needs far less work, but a host acknowledges such a frame once, and not each second segment. A network
           behaves in the same way whether it is captured or not. A recording of it has no notes for `pystack time`
    """

    def __init__(
        self,
        seed: int = 1,
        stack_class: Callable[..., Any] | None = None,
        *,
        hosts: Mapping[str, str | Sequence[str]] | None = None,
        whole: bool = False,
    ):
        super().__init__()
        self.whole = whole
        self.seed = seed
        #: the time of day (ns since 1970) at which virtual time begins
        self.epoch = EPOCH
        self.hub = Hub(self)
        #: lets time pass as the real clock does, or None: virtual time (see `real_time`)
        self.driver: RealTime | None = None
        self.hosts: dict[str, SimHost] = {}
        self.kernels: dict[str, KernelHost] = {}
        self.names = Names(hosts, self.lookup, self.reverse)
        self.switches: dict[str, Switch] = {}
        self.wires: dict[str, Wire] = {}
        self.links: dict[str, Link] = {}
        #: the names of the middleboxes
        self.boxes: list[str] = []
        #: the number of faults that hold now, by their kind and the name of the link or host; all schedules count here, so that
        #: the faults of two of them may overlap
        self.faults: Counter[tuple[str, str]] = Counter()
        self.frame_probe: FrameProbe | None = None
        self.recorder: Recorder | None = None
        #: takes the notes of links
        self.links_recorder: HostRecorder | None = None
        self._stack_class = stack_class
        self._macs = 0
        self._writers: list[PcapngWriter] = []
        #: what puts the frames of annotated captures into their order
        self._ordered: list[HostsCapture] = []
        if _to_record:
            out, made = _to_record.pop()
            made.append(self.record(out))

    def next_mac(self) -> int:
        """The next locally administered MAC address."""
        self._macs += 1
        return 0x025059000000 | self._macs

    def derive(self, *what: object) -> int:
        """A 63 bit seed for one purpose, made from the network's."""
        text = "/".join(str(part) for part in (self.seed, *what))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

    def lookup(self, name: str) -> list[str]:
        """The addresses of a host by its name (empty: there is no such host). The sockets of all hosts resolve names with it."""
        lower = name.lower().rstrip(".")
        host = self.any_host(name) or self.any_host(lower)
        return [] if host is None else host.addresses()

    def reverse(self, address: str) -> str | None:
        """The name of the host that has an address, or None."""
        return next((host.name for host in self.all_hosts() if address in host.addresses()), None)

    def any_host(self, name: str) -> "SimHost | KernelHost | None":
        """The host of either kind with this name, or None."""
        return self.hosts.get(name) or self.kernels.get(name)

    def all_hosts(self) -> "list[SimHost | KernelHost]":
        """All hosts, those of pystack first."""
        return [*self.hosts.values(), *self.kernels.values()]

    # -- building ----------------------------------------------------------------------------------------------------

    def host(
        self,
        name: str,
        config: Config | None = None,
        *,
        profile: str = "linux",
        seed: int | None = None,
        offload: bool = False,
        dns: Servers | None = None,
        search: Sequence[str] = (),
        dhcp: bool | ClientSettings = False,
        **settings: Any,
    ) -> SimHost:
        """A host with a stack of its own. `settings` are single settings of the configuration by name.

        `dns` names the DNS servers that it asks for names which are no hosts of this network, and `search` the domains of short names
        (see pystack.dns.settings). With `dhcp`, its first interface asks a DHCP server for its address as soon as there is a link.
        """
        found = self._host(SimHost, name, config, profile, seed, offload, dns, search, settings)
        if dhcp:
            found.dhcp = client_settings(dhcp, name)
        return found

    def _host(
        self,
        kind: type[AnyHost],
        name: str,
        config: Config | None = None,
        profile: str = "linux",
        seed: int | None = None,
        offload: bool = False,
        dns: Servers | None = None,
        search: Sequence[str] = (),
        settings: "dict[str, Any] | None" = None,
    ) -> AnyHost:
        """A host of this class. See `host`."""
        if dns is None and search:
            raise ValueError("search domains are for DNS: name a server (dns=...), too")
        servers = None if dns is None else settings_of(dns, search)
        self._new_name(name)
        if config is None:
            config = config_profile(profile)
        elif not isinstance(config, Config):
            raise TypeError(
                f"the second argument of host() is a Config, not {config!r}; links give addresses: link(a, b, addrs=...)"
            )
        config.update(settings or {})
        seed = self.derive("host", name) if seed is None else seed
        host = kind(self, self.make_stack(seed, config, name), offload or self.whole)
        host.whole = self.whole
        if self.recorder is not None:
            host.recorder = self.recorder.host(name, seed, config)
            self.links_recorder = self.links_recorder or host.recorder
        if servers is not None:
            use_dns(host, servers)
        self.hosts[name] = host
        return host

    def router(self, name: str, **options: Any) -> SimHost:
        """A host that forwards packets between its interfaces. The options are those of `host`."""
        return self.host(name, **{"ip_forward": True, **options})

    def nat(self, name: str, **options: Any) -> SimHost:
        """A router that translates: what leaves by its first link gets the address of that interface as its source.

        home = net.nat("home")
        net.link(home, internet, addrs=("192.0.2.2/24", "192.0.2.1/24"))    # outside
        net.link(pc, home, addrs=("10.0.0.2/24", "10.0.0.1/24"))            # inside
        home.dnat("192.0.2.2:8080", "10.0.0.2:80")                          # a published port
        """
        found = self.router(name, **options)
        found.masquerades = True
        return found

    def dhcp_server(self, host: SimHost, *subnets: Any, **options: Any) -> SimAgent:
        """Let a host serve DHCP: see SimHost.dhcp_server."""
        return host.dhcp_server(*subnets, **options)

    def balancer(self, name: str, **options: Any) -> SimHost:
        """A router that spreads connections over servers.

        lb = net.balancer("lb")
        net.link(lb, clients, addrs=("192.0.2.10/24", None))
        net.link(lb, servers, addrs=("10.0.0.1/24", None))
        lb.balance("192.0.2.10:80", ["10.0.0.2:80", "10.0.0.3:80"], by="least-connections")
        """
        return self.router(name, **options)

    def make_stack(self, seed: int, config: Config, name: str) -> Any:
        """A stack that the network's probe watches."""
        stack = (self._stack_class or _stack_class())(seed, config, name)
        stack.probe = self.frame_probe
        return stack

    def make_channel(self, name: str, **settings: Any) -> Channel:
        """One direction of a link."""
        return Channel(self.seed, name, **settings)

    def switch(self, name: str) -> Switch:
        """A learning bridge without settings. `bridge` makes one with VLANs, ageing and the rest."""
        self._new_name(name)
        switch = self.switches[name] = Switch(self, name)
        return switch

    def bridge(self, name: str = "br0", ports: Sequence[Node] = (), **options: Any) -> Bridge:
        """A bridge with ageing, static entries, VLANs, snooping and a guard against loops (see sim/bridge.py), joined to these nodes.

        net.bridge("br0", ports=(a, b, c), vlan_filtering=True)
        """
        self._new_name(name)
        for node in ports:
            if not hasattr(node, "attach"):
                raise TypeError(f"{repr(node)[:40]} is not a node: `ports` has hosts, switches and the like, not names")
        bridge = Bridge(self, name, **options)
        self.switches[name] = bridge
        for node in ports:
            self.link(node, bridge)
        return bridge

    def wire(self, name: str) -> Wire:
        """The bare end of a link."""
        self._new_name(name)
        wire = self.wires[name] = Wire(self, name)
        return wire

    def new_box(self, name: str) -> str:
        """A name for a middlebox that no other node has."""
        while self._has(name):
            name += "'"
        self.boxes.append(name)
        return name

    def box_report(self, name: str) -> Report:
        """The function that receives the events of a middlebox, and passes them to the recording and to the probe."""
        recorder = None if self.recorder is None else self.recorder.middlebox(name)

        def report(time: int, kind: str, subject: str, reason: str, rfc: str, fields: dict[str, Any]) -> None:
            if recorder is not None:
                recorder.note(time, kind, subject, reason, rfc, fields)
            if self.frame_probe is not None:
                self.frame_probe.event(Event(kind, time, name, subject, 0, reason, rfc, fields))

        return report

    def _new_name(self, name: str) -> None:
        if self._has(name):
            raise ValueError(f"there is already a node named {name!r}")

    def _has(self, name: str) -> bool:
        return any(name in nodes for nodes in (self.hosts, self.kernels, self.switches, self.wires, self.boxes))

    def link(
        self,
        a: Node,
        b: Node,
        *,
        name: str = "",
        addrs: "tuple[str | None, str | None]" = (None, None),
        mtu: int = 1500,
        kind: int = C.LINK_ETHERNET,
        profile: str = "",
        ab: "dict[str, Any] | None" = None,
        ba: "dict[str, Any] | None" = None,
        **settings: Any,
    ) -> Link:
        """Join two nodes. `settings` (see Channel: delay, rate, queue, loss, ...) hold for both directions. `ab` and
        `ba` are settings of one direction. `addrs` are addresses such as "10.0.0.1/24" for the new interfaces. `profile` names settings that the others
        change: "lan", "dsl", "lte", "wifi", "satellite" or "bufferbloat" (see profiles.py), with the user at `a`. `qdisc` is a queueing
        discipline such as "fq_codel" or "bfifo limit 64kb" (see sim/qdisc) in front of the link; an object is for one direction (`ab`, `ba`)."""
        up_down: tuple[dict[str, Any], dict[str, Any]] = link_profile(profile) if profile else ({}, {})
        name = name or f"{a.name}-{b.name}"
        while name in self.links:
            name += "'"
        settings = {"mtu": mtu, "kind": kind, **settings}
        both = [{**up_down[0], **settings, **(ab or {})}, {**up_down[1], **settings, **(ba or {})}]
        qdiscs = [_qdisc(one.pop("qdisc", None)) for one in both]
        if qdiscs[0] is not None and qdiscs[0] is qdiscs[1]:
            raise ValueError(
                f"{qdiscs[0]!r} can be in one direction only: write it as a text, or in ab={{...}} or ba={{...}}"
            )
        channels = [self.make_channel(f"{name}/{way}", **one) for way, one in zip(("ab", "ba"), both, strict=True)]
        port_a, port_b = a.attach(mtu, kind), b.attach(mtu, kind)
        port_a.out, port_b.out = channels
        port_a.peer, port_b.peer = port_b, port_a
        link = self.links[name] = Link(self, name, port_a, port_b, *channels)
        for port, qdisc in zip((port_a, port_b), qdiscs, strict=True):
            if qdisc is not None:
                port.set_qdisc(qdisc)
        for node, address in ((a, addrs[0]), (b, addrs[1])):
            if address is not None and not isinstance(node, Switch | Wire):
                node.addr(address)
        return link

    def introduce(self) -> None:
        """Give every host permanent ARP entries for all hosts on its networks, so that there is no ARP traffic."""
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
            raise ValueError("call record() before the first host is made: a recording starts when the stacks start")
        self.recorder = Recorder(out, {"seed": self.seed, **meta})
        # A note about a link names a frame of the wire.
        self.causes = None if self.whole else Causes(self)
        return self.recorder

    # -- running programs --------------------------------------------------------------------------------------------

    def run(self, until: Any, **options: Any) -> Any:
        """Run until a time, or run programs.

        net.run(10 * S)                          do everything up to and including that time (Scheduler.run)
        net.run({a: server, b: client}, ...)     run programs on hosts until they have ended (sim.running.run has the options)
        """
        if isinstance(until, int):
            if self.driver is not None:
                self.driver.drive(Signal(), until)
            else:
                super().run(until)
            return None
        from pystack.sim import running

        return running.run(self, until, **options)

    def loop_factory(self, host: SimHost | str, schedule: object = None) -> Callable[[], Any]:
        """A loop factory for asyncio.Runner: a loop in virtual time, whose tasks belong to `host`, a host or its name."""
        from pystack.sim.running import SimLoop, find_host

        found = find_host(self, host)
        return lambda: SimLoop(self, schedule, found)

    def close(self) -> None:
        """Finish captures and the recording. Kill the programs on kernel hosts, and remove these hosts."""
        for host in self.kernels.values():
            host.close()
        if self.driver is not None:
            self.driver.close()
        if self.frame_probe is not None:
            self.frame_probe.flush()
        for frames in self._ordered:
            frames.flush()
        for writer in self._writers:
            writer.close()
        if self.recorder is not None:
            self.recorder.close()

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


#: the file of the next network's recording, and the list of the block's recorders, or nothing
_to_record: "list[tuple[str | BinaryIO, list[Recorder]]]" = []


@contextmanager
def recording(out: "str | BinaryIO | None") -> "Iterator[list[Recorder]]":
    """In the block, the next network that is made is recorded into this file, if one is given. Yields a list, in which its recorder will be."""
    made: list[Recorder] = []
    if out is not None:
        _to_record.append((out, made))
    try:
        yield made
    finally:
        _to_record.clear()


def _qdisc(given: Any) -> Qdisc | None:
    """A queueing discipline, of a text if it is one. ValueError or TypeError, before anything of the link exists."""
    found = parse_qdisc(given) if isinstance(given, str) else given
    if found is not None and not isinstance(found, Qdisc):
        raise TypeError(
            f"{given!r:.60} is no queueing discipline: write one of sim.qdisc, or a text such as 'fq_codel'"
        )
    return found


def _stack_class() -> Callable[..., Any]:
    from pystack_c.stack import Stack

    return Stack
