"""The seam between core and driver: a host, its interfaces, and a driver's calls (docs/explanation/architecture.md).

receive(iface, frame, now)    handle_timeout(now)    application calls    poll_transmit / poll_event / poll_timeout
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import loopback_for, most_prefixlen, normal
from pystack_c.base.timer import Timer
from pystack_c.core import LINK_RFC
from pystack_c.endpoint import Endpoint
from pystack_c.filter import conntrack, nat
from pystack_c.filter.nat_rules import NatRule, Range
from pystack_c.filter.nft.ruleset import Ruleset
from pystack_c.iface import Iface, LocalAddr
from pystack_c.ingress import icmpv4 as icmp_input
from pystack_c.ingress import ipv4 as ip_input
from pystack_c.ip import direct, igmp, mforward
from pystack_c.ip.refusal import Refusal
from pystack_c.ip.tables import Tables
from pystack_c.link import arp, neighbor
from pystack_c.packet import Packet, Transmit
from pystack_c.probe import TIMERS
from pystack_c.route import Route
from pystack_c.services.base import Service
from pystack_c.tcp.output import tcp_output
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timers import TcpLayer
from pystack_c.wire import ethernet, vlan


class Stack(Tables):
    """A Core with the layers in order on top. A driver owns one of these."""

    def __init__(self, seed: int, config: Any = None, name: str = "host") -> None:
        Tables.__init__(self, seed, config, name)
        self.resolver = arp.Arp()
        self.tcp = TcpLayer(self)
        #: the services of a load balancer by (address, port, protocol)
        self.services: dict[tuple[int, int, int], Any] = {}
        self.lo = self.add_iface("lo", C.LINK_LOOPBACK, 0, 65536, True, 65535)
        self.add_addr(self.lo, loopback_for(0), 8)

    # Configuration

    def add_iface(
        self,
        name: str,
        kind: int = C.LINK_ETHERNET,
        mac: int = 0,
        mtu: int = 1500,
        tx_csum: bool = False,
        gso_max: int = 0,
    ) -> Any:
        """Add an interface, which is up, and return it.

        `tx_csum` says whether its device completes checksums, and `gso_max` is the largest GSO packet in bytes that it
        takes. Raises ValueError if the MTU is below 68 or the name is in use.
        """
        if mtu < 68:
            raise ValueError(f"MTU {mtu} is below 68, the smallest MTU of an IPv4 link (RFC 791 section 3.2)")
        for other in self.ifaces:
            if other.name == name:
                raise ValueError(f"there is already an interface {name!r}")
        iface = Iface(len(self.ifaces) + 1, name, kind, mac, mtu)
        iface.tx_csum = tx_csum
        iface.gso_max = gso_max
        self.ifaces.append(iface)
        return iface

    def add_vlan(self, parent: Iface, vid: int, name: str = "") -> Any:
        """Add an interface for one VLAN of an Ethernet interface, and return it: `ip link add link eth0 name eth0.10 type vlan id 10`.

        Its frames leave and arrive by `parent` with the VLAN's tag. Raises ValueError if that is not possible.
        """
        vlan.check_vid(vid)
        if parent.kind != C.LINK_ETHERNET or parent.vid != 0:
            raise ValueError("an interface for a VLAN needs an Ethernet interface without a VLAN of its own")
        if parent.vlans is not None and vid in parent.vlans:
            raise ValueError(f"{parent.name} has already an interface for VLAN {vid}")
        made = self.add_iface(name or f"{parent.name}.{vid}", parent.kind, parent.mac, parent.mtu)
        made.vid = vid
        made.parent = parent
        if parent.vlans is None:
            parent.vlans = {}
        parent.vlans[vid] = made
        return made

    def iface(self, name: str) -> Any:
        """Return the interface of that name. Raises KeyError if there is none."""
        for found in self.ifaces:
            if found.name == name:
                return found
        raise KeyError(name)

    def add_addr(self, iface: Iface, addr: int, prefixlen: int) -> LocalAddr:
        """Give an interface an address, and add the route to its subnet. This does not announce it; see arp.announce.

        Raises ValueError if the prefix length is out of range or the host already has the address.
        """
        addr = self._checked(addr, prefixlen)
        if addr in self.local:
            raise ValueError("this host already has the address")
        own = LocalAddr(addr, prefixlen, iface)
        # The route of a subnet prefers the subnet's first address as a source.
        first = True
        for item in iface.addrs:
            other: LocalAddr = item
            if other.mask == own.mask and (other.addr ^ addr) & own.mask == 0:
                first = False
        iface.addrs.append(own)
        self.local[addr] = own
        if prefixlen < most_prefixlen(addr) and first:
            self.routes.add(Route(addr & own.mask, prefixlen, 0, iface, 0, addr))
        self._routes_changed()
        return own

    def del_addr(self, iface: Iface, addr: int) -> None:
        """Remove an address and its connected route.

        If another address of the interface has the same subnet, its route stays.

        Raises ValueError if the interface does not have the address.
        """
        addr = normal(addr)
        own: LocalAddr | None = self.local.get(addr)
        if own is None or own.iface is not iface:
            raise ValueError("the interface does not have that address")
        iface.addrs.remove(own)
        del self.local[addr]
        if self.nat is not None:
            nat.address_gone(self, iface, addr)
        self.routes.remove(addr & own.mask, own.prefixlen, 0, iface)
        for other in iface.addrs:
            if other.prefixlen < most_prefixlen(other.addr):
                self.routes.add(Route(other.addr & other.mask, other.prefixlen, 0, iface, 0, other.addr))
        self._routes_changed()

    def set_iface(self, iface: Iface, up: bool) -> None:
        """Set an interface up or down, and remove its neighbour entries. The groups of an interface that comes up are reported again."""
        changed = iface.up != up
        iface.up = up
        if iface.vlans is not None:
            # As on Linux, the interfaces for VLANs go down and up with the one below them.
            for child in iface.vlans.values():
                self.set_iface(child, up)
        for entry in list(iface.neighbors.values()):
            neighbor.remove(self, entry)
        if self.nat is not None and not up:
            nat.address_gone(self, iface, 0)
        if not up and self.raw is not None and self.raw.packets is not None:
            self.raw.packets.down(iface)
        self._routes_changed()
        if changed and up:
            igmp.up(self, iface)
        elif changed:
            igmp.down(self, iface)
        if changed and self.mrouter is not None:
            self.mrouter.changed(iface)

    def add_mroute(self, group: int, iface: Iface, source: int, ttl: int, *out: Iface) -> None:  # python
        """Forward the datagrams to a group that arrive on `iface`, from `source` (0: from all), to the interfaces `out`.

        `ttl` is the threshold: a datagram needs a larger TTL to be forwarded (RFC 1812 5.2.1.3, mrouted). Raises ValueError for
        values that cannot be, or if there are too many routes.
        """
        if self.mrouter is None:
            self.mrouter = mforward.MulticastRouter(self)
        self.mrouter.add(self._checked(group, 0), iface, self._checked(source, 0), ttl, list(out))

    def del_mroute(self, group: int, source: int = 0) -> bool:  # python
        """Remove a route of add_mroute. Returns False if there is none."""
        return self.mrouter is not None and self.mrouter.remove(normal(group), normal(source))

    def igmp_proxy(self, upstream: Iface | None, *downstream: Iface) -> None:  # python
        """Be the multicast router of some interfaces: ask their hosts for groups, and forward groups between them and `upstream`.

        The router joins the groups upstream that its hosts want (RFC 4605). Without `upstream`, it forwards only between `downstream`.
        """
        if self.mrouter is None:
            self.mrouter = mforward.MulticastRouter(self)
        self.mrouter.proxy(upstream, list(downstream))

    def add_neighbor(self, iface: Iface, addr: int, mac: int) -> Any:
        """Add a permanent neighbour entry, and return it."""
        return neighbor.set_permanent(self, iface, self._checked(addr, 0), mac)

    def track(self, on: bool = True) -> None:
        """Switch connection tracking on or off. Without it, there is no address translation either."""
        if on:
            conntrack.enable(self)
        else:
            nat.disable(self)
            conntrack.disable(self)

    def add_nat(
        self,
        place: int,
        action: int,
        low: int = 0,
        high: int = 0,
        port_low: int = 0,
        port_high: int = 0,
        fully_random: bool = False,
        iface: Iface | None = None,
        proto: int = 0,
        src: int = 0,
        src_length: int = 0,
        dst: int = 0,
        dst_length: int = 0,
        match_low: int = 0,
        match_high: int = 65535,
    ) -> None:
        """Append a rule of address translation (filter.nat), and switch the translation on.

        `place` is HOOK_* and `action` NAT_*. The new address is from `low` to `high` and the new port from `port_low` to
        `port_high`; 0 keeps them. The rest is what the first packet of a connection must match: the interface (the one on
        which it arrived, or by which it leaves), protocol, prefixes of source and destination, and destination ports.
        Raises ValueError if a value is out of range, or the action is impossible at the place.
        """
        if not 0 <= port_low <= port_high <= 65535 or not 0 <= match_low <= match_high <= 65535:
            raise ValueError("a range of ports must lie in 0..65535, and its first port must not be after its last")
        low, high = self._checked(low, 0), self._checked(high, 0)
        if high < low:
            raise ValueError("the last address of the range is before the first")
        rule = NatRule(action, Range(low, high, port_low, port_high, fully_random))
        rule.iface = iface
        rule.proto = proto
        rule.src, rule.src_mask = self._prefix(src, src_length)
        rule.dst, rule.dst_mask = self._prefix(dst, dst_length)
        rule.port_low = match_low
        rule.port_high = match_high
        nat.add_rule(self, place, rule)

    def nft(self, text: str) -> None:
        """Change the packet filter by commands in nft's JSON (libnftables-json(5)): `{"nftables": [...]}`, or the list alone.

        Raises filter.nft.errors.NftError, and changes nothing, if one of the commands is wrong or not supported.
        """
        if self.nftables is None:
            self.nftables = Ruleset(self, Refusal(self))
        self.nftables.load_text(text)

    def add_service(self, addr: int, port: int, proto: int, kind: str, direct_return: bool = False) -> None:
        """Balance the connections to an address and port (filter.balance). `kind` is a way to choose (filter.scheduling).

        Raises ValueError if there is such a service already, or no such way.
        """
        direct.add_service(self, self._checked(addr, 0), port, proto, kind, direct_return)

    def set_server(
        self, addr: int, port: int, proto: int, server: int, server_port: int, weight: int = 1, up: bool = True
    ) -> None:
        """Add a server to a service, or change the weight and state of one. Raises ValueError if there is no such service."""
        self.service(addr, port, proto).put(self._checked(server, 0), server_port, weight, up)

    def del_server(self, addr: int, port: int, proto: int, server: int, server_port: int) -> None:
        """Remove a server from a service; its connections remain. Raises ValueError if it is not there."""
        self.service(addr, port, proto).take(self._checked(server, 0), server_port)

    def service(self, addr: int, port: int, proto: int) -> Any:
        """Return the VirtualService with an address, port and protocol. Raises ValueError if there is none."""
        found = self.services.get((self._checked(addr, 0), port, proto))
        if found is None:
            raise ValueError("there is no service with this address and port")
        return found

    # Input

    def receive(self, iface: Iface, frame: bytes, now: int, offset: int = 0, flags: int = 0, gso_size: int = 0) -> None:
        """Process a frame that arrived on `iface`. It begins at `offset` of the immutable `frame`."""
        self.now = now
        self._input(iface, frame, offset, flags, gso_size)

    def _input(self, iface: Iface, frame: bytes, offset: int, flags: int, gso_size: int) -> None:
        pkt: Packet = self.packet
        pkt.frame = frame
        pkt.end = len(frame)
        pkt.flags = flags
        pkt.gso_size = gso_size
        pkt.l2_off = offset
        pkt.mark = 0
        iface.rx_frames += 1
        iface.rx_bytes += pkt.end - offset
        if self.probe is not None:
            fields = {"iface": iface.name, "frame": frame[offset:]}
            self.emit("frame.in", iface.name, 0, "the frame arrived on the interface", LINK_RFC[iface.kind], fields)
        if not iface.up:
            self.drop("iface-down", iface.name, "the interface is down", "RFC 1122 2.4")
            return
        if self.raw is not None and self.raw.packets is not None:
            self.raw.packets.received(self, iface, frame, offset)
        if iface.kind != C.LINK_ETHERNET:
            pkt.ip_off = offset
            pkt.l2_group = False
            ip_input.input(self, iface, pkt)
            return
        code = ethernet.parse(pkt)
        if code < 0:
            if code == -1:
                self.drop("eth-truncated", iface.name, "the frame is shorter than an Ethernet header", "RFC 894")
            else:
                self.drop("eth-802.3", iface.name, "the frame has an 802.3 length, not a type", "RFC 1122 2.3.3")
        elif pkt.eth_dst != iface.mac and not pkt.l2_group:
            self.drop("eth-other-host", iface.name, "the frame is addressed to another MAC address", "RFC 1122 2.4")
        elif pkt.eth_type == C.ETH_P_IP:
            ip_input.input(self, iface, pkt)
        elif pkt.eth_type == C.ETH_P_ARP:
            arp.input(self, iface, pkt)
        elif pkt.eth_type == C.ETH_P_8021Q:
            self._tagged(iface, pkt, flags, gso_size)
        else:
            self.drop("eth-unknown-type", iface.name, "the frame carries neither IPv4 nor ARP", "RFC 1122 2.3.3")

    def _tagged(self, iface: Iface, pkt: Packet, flags: int, gso_size: int) -> None:
        """Receive a frame with the tag of a VLAN on the interface for that VLAN.

        A tag with VLAN 0 has only a priority, so the frame belongs to the interface itself (IEEE 802.1Q 6.9.1).
        """
        frame = pkt.frame[pkt.l2_off :]
        if len(frame) < C.ETH_HLEN + vlan.TAG_LEN:
            self.drop("eth-truncated", iface.name, "the frame ends within the tag of its VLAN", "IEEE 802.1Q 9.3")
            return
        vid = vlan.tci_of(frame) & vlan.VID_MASK
        found: Iface | None = iface
        if vid != 0 and iface.vlans is not None:
            found = iface.vlans.get(vid)
        elif vid != 0 or iface.vid != 0:
            found = None
        if found is None:
            self.drop("eth-no-vlan", iface.name, f"the host has no interface for VLAN {vid}", "IEEE 802.1Q 8.6.2")
            return
        self._input(found, vlan.pop(frame), 0, flags, gso_size)

    def handle_timeout(self, now: int) -> None:
        """Fire every timer that is due at `now`, ordered by deadline, then by the order of arming."""
        self.now = now
        while True:
            timer: Timer = self.timers.pop_due(now)
            if timer is None:
                return
            if self.probe is not None:
                _, why, rfc = TIMERS[timer.kind]
                self.tell_timer("timer.fired", timer, why, rfc)
            timer.owner.on_timer(timer.kind)

    # Output

    def poll_transmit(self, now: int) -> Any:
        """Return the next frame to send, or None. Poll until None after every input, timeout and call."""
        self.now = now
        while True:
            if self.txq.count:
                return self.txq.popleft()
            if self.loopq.count:
                self._loop(self.loopq.popleft())
            elif not (self.service_queue.count or self.output_queue.count or self.error_queue.count):
                return None
            else:
                self._produce()

    def _loop(self, item: Any) -> None:
        """Receive a frame that lo sent, or a copy of our own broadcast on the interface that sent it."""
        if type(item) is tuple:
            iface, packet = item
            if self.probe is not None:
                fields = {"iface": "lo", "frame": packet}
                self.emit("frame.in", "lo", 0, "this host receives a copy of its own packet", "RFC 1112 6.1", fields)
            ip_input.looped(self, iface, packet)
            return
        tx: Transmit = item
        self._input(self.lo, tx.to_bytes(), 0, C.RX_CSUM_OK, tx.gso_size)

    def _produce(self) -> None:
        """Let one layer that has something to send make frames of it."""
        if self.service_queue.count:
            # Services run before TCP makes segments, so that an answer carries the acknowledgement of its request.
            ep: Endpoint = self.service_queue.popleft()
            ep.queued = False
            ep.pending = 0
            service: Service = ep.service
            if service is not None:
                service.serve(ep, self.now)
        elif self.output_queue.count:
            tcb: Tcb = self.output_queue.popleft()
            tcb.output_queued = False
            tcp_output(tcb)
        elif self.error_queue.count:
            iface, icmp_type, code, packet = self.error_queue.popleft()
            icmp_input.process_failure(self, iface, icmp_type, code, packet)

    def poll_event(self) -> Any:
        """Return the next endpoint that has news for its waiter, or None."""
        if not self.events.count:
            return None
        ep: Endpoint = self.events.popleft()
        ep.queued = False
        return ep

    def poll_timeout(self) -> Any:
        """Return the next deadline in nanoseconds, or None."""
        deadline = self.timers.next_deadline()
        return None if deadline < 0 else deadline
