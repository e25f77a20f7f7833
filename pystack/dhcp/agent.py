"""The driver of a DHCP machine: its sockets on a host, and what a lease changes there.

The machine's own host is any SocketHost. `Agent` does the work, and a subclass decides when it runs: `LiveAgent` in a thread, and
`pystack.sim.dhcp.SimAgent` in virtual time. A client without an address reads and writes packets by packet sockets. As soon as it has one, UDP
is enough, and the packet socket is closed, because it would cost something for each packet.
"""

import ipaddress
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pystack import dns as _dns
from pystack.dhcp import packets as p
from pystack.dhcp.actions import BROADCAST, Action, Configure, Deconfigure, Machine, Note, SendArp, SendMessage
from pystack.dhcp.client import Client
from pystack.dhcp.lease import Lease
from pystack.dhcp.message import SERVER_PORT
from pystack.dhcp.server import Server, Subnet, number
from pystack.runtime.notes import note
from pystack.runtime.waiting import Hook, Watch
from pystack_c.base.address import addr_text, v4, v4_bits
from pystack_c.sockets import packets, udp

_SOCK_DGRAM = packets.SOCK_DGRAM
#: datagrams and packets that one run takes from each socket, so that a flood cannot keep the agent from its timers
BATCH = 64
#: events that are kept for the user (`Agent.notes`)
NOTES = 256
_ALL = b"\xff" * 6


class _Ready(Hook):
    """Wakes an agent when one of its sockets is readable."""

    def __init__(self, agent: "Agent"):
        self.rising = True
        self.agent = agent

    def notify(self, bits: int) -> None:
        """Hook.notify."""
        self.agent.wake()


class _Socket:
    """An endpoint of the host that wakes the agent."""

    def __init__(self, agent: "Agent", endpoint: Any, module: Any):
        self.host = agent.host
        self.endpoint = endpoint
        self.module = module
        self.watch = Watch(endpoint)
        self.hook = _Ready(agent)
        self.host.show(self.watch, self.hook)

    def take(self) -> Any:
        """The next datagram, or None. An error of an earlier datagram is dropped."""
        try:
            return self.host.call(self.module.recvfrom, self.endpoint, 0)
        except OSError:
            return None

    def close(self) -> None:
        """Close the endpoint."""
        self.host.hide(self.watch, self.hook)
        self.host.call(self.module.close, self.endpoint)


#: host -> (its stack, port -> the agents that read this port, of which the first has the socket)
_listening: "weakref.WeakKeyDictionary[Any, tuple[Any, dict[int, list[Agent]]]]" = weakref.WeakKeyDictionary()


class Agent:
    """A machine on an interface of a host. `port` is the machine's UDP port. Agents of one host share the socket of a port."""

    def __init__(self, host: Any, iface: Any, machine: Machine, port: int):
        self.host = host
        self.iface = iface
        self.machine = machine
        self.port = port
        #: the last events, newest last: those that the probe receives, too
        self.notes: deque[Note] = deque(maxlen=NOTES)
        #: called after each change of the lease, with the lease or None
        self.on_lease: list[Callable[[Any], None]] = []
        self.lease: Any = None
        self._routes: list[tuple[int, int, int]] = []
        self._dns: Any = None
        self._udp: _Socket | None = None
        #: datagrams for the machine, with the address of the sender
        self._inbox: deque[tuple[bytes, int]] = deque(maxlen=4 * BATCH)
        self._ip: _Socket | None = None
        self._arp: _Socket | None = None

    def wake(self) -> None:
        """Run soon."""
        raise NotImplementedError

    # -- one run -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the sockets and start the machine."""
        host = self.host
        found = self._sharing()
        if found:
            self._udp = found[0]._udp
        else:
            self._udp = _Socket(self, host.call(udp.udp_open, host.stack), udp)
            host.call(udp.bind, self._udp.endpoint, 0, self.port)
        found.append(self)
        if isinstance(self.machine, Client):
            self._listen(self.machine)
        else:
            self._ip = self._packets(0)  # to send with, only
        self.machine.start(host.clock())

    def _sharing(self) -> "list[Agent]":
        """The agents of the host that read this port. After a boot, there are none."""
        stack, ports = _listening.get(self.host, (None, {}))
        if stack is not self.host.stack:
            ports = {}
            _listening[self.host] = self.host.stack, ports
        return ports.setdefault(self.port, [])

    def inform(self, addr: str) -> None:
        """Ask for the options alone, with an address that the host has already (RFC 2131 section 3.4). See Client.informed."""
        assert isinstance(self.machine, Client)
        self.machine.inform(number(addr), self.host.clock())
        self.wake()

    def _packets(self, proto: int) -> _Socket:
        host = self.host
        endpoint = host.call(packets.packet_open, host.stack, _SOCK_DGRAM, proto)
        host.call(packets.bind, endpoint, self.iface.index, proto)
        return _Socket(self, endpoint, packets)

    def run(self) -> int | None:
        """Take what has arrived, fire the timer, do what the machine wants. Returns the next deadline (ns of the host) or None."""
        more = self._read()
        machine = self.machine
        if machine.deadline is not None and machine.deadline <= self.host.clock():
            machine.timeout(self.host.clock())
        for _ in range(BATCH):
            actions = machine.take()
            for action in actions:
                self._do(action)
            if not actions:
                break
        if isinstance(machine, Client):
            self._listen(machine)
        return self.host.clock() if more else machine.deadline

    def end(self) -> None:
        """Close the sockets. The lease stays as it is."""
        found = self._sharing()
        if self in found:
            found.remove(self)
        if found and self._udp is not None:
            self._udp.hook.agent = found[0]  # another agent reads on
            self._udp = None
        for each in (self._udp, self._ip, self._arp):
            if each is not None:
                each.close()
        self._udp = self._ip = self._arp = None

    def _listen(self, client: Client) -> None:
        """Read packets only as long as the client has no address, because messages come as packets and it must notice conflicts."""
        if client.lease is None:
            self._ip = self._ip or self._packets(p.ETH_P_IP)
            self._arp = self._arp or self._packets(p.ETH_P_ARP)
            return
        for each in (self._ip, self._arp):
            if each is not None:
                each.close()
        self._ip = self._arp = None

    def _read(self) -> bool:
        """Pass what has arrived to the machine. Returns whether more may be there."""
        now = self.host.clock()
        client = isinstance(self.machine, Client)
        raw = client and self._ip is not None
        sources: list[tuple[_Socket | None, Callable[[Any, int], None]]] = []
        if self._sharing()[:1] == [self]:
            sources.append((self._udp, self._share))
        if client:  # a server and a relay have the packet socket to send with, only
            sources += [(self._ip, self._take_ip), (self._arp, self._take_arp)]
        more = False
        for source, take in sources:
            if source is None:
                continue
            for _ in range(BATCH):
                got = source.take()
                if got is None:
                    break
                take(got, now)
            else:
                more = True
        while self._inbox:
            data, src = self._inbox.popleft()
            if not raw:  # otherwise it came as a packet, too
                self.machine.message(data, src, now)
        return more

    def _share(self, got: Any, now: int) -> None:
        """Put a datagram into the inboxes of the agents for which it is."""
        sharing = self._sharing()
        for agent in sharing:
            if agent._ours(got, len(sharing) == 1):
                agent._inbox.append((got.data, v4_bits(got.src)))
                if agent is not self:
                    agent.wake()

    def _take_ip(self, got: Any, now: int) -> None:
        found = p.read_udp(got.data)
        if found is not None and found.dport == self.port and found.sport != self.port:
            self.machine.message(found.data, found.src, now)

    def _take_arp(self, got: Any, now: int) -> None:
        packet = p.read_arp(got.data)
        if packet is not None and packet.mac != self.iface.mac:
            self.machine.arp(packet.sender, packet.mac, packet.target, now)

    def _ours(self, got: Any, alone: bool) -> bool:
        """Whether a datagram is for this machine: a broadcast on its interface, or sent to its address, by whatever interface."""
        dst = v4_bits(got.dst)
        if dst == BROADCAST:
            return got.iface is self.iface
        return (
            alone
            or dst == getattr(self.machine, "addr", 0)
            or (got.iface is self.iface and isinstance(self.machine, Client))
        )

    # -- what the machine wants --------------------------------------------------------------------------------------

    def _do(self, action: Action) -> None:
        if isinstance(action, Note):
            self._report(action)
        elif isinstance(action, Configure):
            self._configure(action.lease)
        elif isinstance(action, Deconfigure):
            self._deconfigure()
        else:
            try:
                self._send(action)
            except OSError as error:
                self._drop("not-sent", f"the message cannot be sent: {error.strerror}")

    def _send(self, action: SendMessage | SendArp) -> None:
        host, index = self.host, self.iface.index
        if isinstance(action, SendArp):
            source = self._arp or self._ip or self._packets(0)
            data = p.write_arp(self.iface.mac, action.sender, action.target)
            host.call(packets.sendto, source.endpoint, data, index, p.ETH_P_ARP, _ALL, 0)
        elif action.link:
            source = self._ip or self._packets(0)
            data = p.write_udp(action.src, action.dst, action.sport, action.dport, action.data)
            mac = _ALL if action.mac is None else action.mac.to_bytes(6, "big")
            host.call(packets.sendto, source.endpoint, data, index, p.ETH_P_IP, mac, 0)
        else:
            assert self._udp is not None
            host.call(udp.sendto, self._udp.endpoint, action.data, v4(action.dst), action.dport, 0)
            return
        if source is not self._ip and source is not self._arp:
            source.close()

    def _drop(self, name: str, reason: str, rfc: str = "") -> None:
        """Report that something is ignored, and why."""
        self._report(Note("dhcp.drop", reason, rfc, {"name": name}))

    def _report(self, found: Note) -> None:
        """Pass an event to the recording and to the probe, and count a drop."""
        self.notes.append(found)
        kind, fields = found.kind, found.fields
        if kind == "dhcp.drop":
            kind, fields = "drop", {"name": f"dhcp-{fields['name']}"}
        note(self.host, kind, f"dhcp {self.iface.name}", found.reason, found.rfc, fields)

    def _configure(self, lease: Any) -> None:
        host, iface, old = self.host, self.iface, self.lease
        self.lease = lease
        if old is None:
            host.setup("add_addr", iface, v4(lease.addr), lease.prefixlen)
            # RFC 3442: with classless routes, the option router does not count.
            routes = list(lease.routes) or [(0, 0, router) for router in lease.routers[:1]]
            for network, length, router in routes:
                try:
                    host.setup("add_route", v4(network), length, v4(router), iface)
                except (ValueError, OSError) as error:
                    self._drop("bad-route", f"a route of the lease cannot be used: {error}", "RFC 3442")
                else:
                    self._routes.append((network, length, router))
            self._use_dns(lease)
        for function in self.on_lease:
            function(lease)

    def _deconfigure(self) -> None:
        host, iface, lease = self.host, self.iface, self.lease
        if lease is None:
            return
        self.lease = None
        for network, length, router in self._routes:
            host.setup("del_route", v4(network), length, v4(router), iface)
        self._routes.clear()
        try:
            host.setup("del_addr", iface, v4(lease.addr))
        except ValueError:
            pass  # the user has removed it
        names = host.names
        if self._dns is not None and names is not None and names.dns is self._dns:
            names.dns = None
        for function in self.on_lease:
            function(None)

    def _use_dns(self, lease: Any) -> None:
        """Use the DNS servers of the lease, if the user has named none and dnspython is installed."""
        host = self.host
        if not lease.dns or host.names is None or host.names.dns is not None:
            return
        try:
            servers = tuple((addr_text(v4(addr)), 53) for addr in lease.dns[:3])
            _dns.use(host, _dns.DnsSettings(servers, search=_search(lease)))
        except (_dns.DnsMissing, ValueError) as error:
            self._drop("no-dns", f"the DNS servers of the lease are not used: {error}")
        else:
            self._dns = host.names.dns


def _search(lease: Lease) -> tuple[str, ...]:
    return (lease.domain,) if lease.domain else ()


def server_for(iface: Any, subnets: Sequence[Subnet | str], seed: object, **options: Any) -> Server:
    """The server of an interface. Without subnets, it gives away the addresses of the interface's own network. ValueError: it has none.

    options  those of a Subnet that is given as text, such as lease=600, routers="10.0.0.1", dns="10.0.0.53"; and `authoritative`
    """
    if not iface.addrs:
        raise ValueError(f"the interface {iface.name} of a DHCP server needs an address")
    own = iface.addrs[0]
    authoritative = options.pop("authoritative", True)
    network = ipaddress.IPv4Interface(f"{addr_text(own.addr)}/{own.prefixlen}").network
    nets = [each if isinstance(each, Subnet) else Subnet(each, **options) for each in subnets or (str(network),)]
    return Server(addr_text(own.addr), nets, seed, authoritative=authoritative)


def serve(running: Any, *subnets: Subnet | str, **options: Any) -> "LiveAgent":
    """Serve DHCP with a live stack (`pystack.up`). `stop` of the result ends it. See `server_for`."""
    agent = LiveAgent(
        running.host, running.iface, server_for(running.iface, subnets, running.stack.seed, **options), SERVER_PORT
    )
    agent.start()
    return agent


class LiveAgent(Agent):
    """An agent in a thread of its own, for a host in real time."""

    def __init__(self, host: Any, iface: Any, machine: Machine, port: int):
        super().__init__(host, iface, machine, port)
        self._awake = threading.Event()
        self._leased = threading.Event()
        self._stopping = False
        self._release = False
        self.on_lease.append(lambda lease: self._leased.set() if lease is not None else self._leased.clear())
        self._thread = threading.Thread(target=self._loop, name=f"dhcp-{host.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, timeout: float) -> Any:
        """Wait for a lease, and return it. TimeoutError: there is none after `timeout` seconds."""
        if not self._leased.wait(timeout):
            raise TimeoutError(f"no DHCP server gave {self.iface.name} an address in {timeout:g} s")
        return self.lease

    def stop(self, release: bool = True) -> None:
        """End the thread. A client gives its address back, if `release` is true."""
        self._release, self._stopping = release, True
        self._awake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(5)

    def wake(self) -> None:
        """Agent.wake."""
        self._awake.set()

    def _loop(self) -> None:
        try:
            self.begin()
            while not self._stopping:
                deadline = self.run()
                wait = None if deadline is None else max(0, deadline - self.host.clock()) / 1e9
                self._awake.wait(wait)
                self._awake.clear()
            if self._release and isinstance(self.machine, Client):
                self.machine.release(self.host.clock())
                self.run()
            self.end()
        except OSError:
            if self.host.error is None:
                raise
