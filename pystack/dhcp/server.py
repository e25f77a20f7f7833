"""The DHCP server (RFC 2131 section 4.3): a machine that gives addresses of its subnets away for a time.

Its memory is bounded by the number of addresses in its pools, whatever arrives, and each message costs a constant number of steps. An
offer that the client does not take is free again after `OFFER_TIME`, so a flood of DISCOVERs with invented hardware addresses holds the
pool only while it lasts, and leases that clients have are never given to others.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from pystack.dhcp import message as m
from pystack.dhcp.actions import BROADCAST, Machine, S, SendMessage
from pystack.dhcp.message import DhcpMessage

#: how long an offer holds (ns), and how long a declined address is not offered
OFFER_TIME = 30 * S
DECLINE_TIME = 600 * S
#: the most addresses of all pools together
MOST_POOL = 65536
#: the longest client identifier (bytes) that a server remembers
LONGEST_KEY = 256
OFFERED, LEASED, DECLINED = "offered", "leased", "declined"


class Binding(NamedTuple):
    """An address that is not free: for whom, until when (ns), and why."""

    client: bytes
    until: int
    state: str


def number(address: "str | int") -> int:
    """An IPv4 address as a number of 32 bits. ValueError: it is none."""
    return int(ipaddress.IPv4Address(address))


def _identifier(mac: str) -> bytes:
    """The MAC address of an entry of `fixed`. ValueError if it is none."""
    try:
        return bytes.fromhex(mac.replace(":", ""))
    except ValueError:
        raise ValueError(f"fixed: {mac!r} is not a MAC address such as 02:00:00:00:00:01") from None


@dataclass
class Subnet:
    """One subnet: its addresses, and what its clients learn. Addresses are text, times are seconds.

    network   "10.0.0.0/24"
    pool      (first, last) of the addresses to give away; by default all of the network, up to 254, except the server's and the routers'
    routers, dns, domain, mtu, routes   options; `routes` maps a network to its router
    lease     the time of a lease, and the longest that a client can ask for
    fixed     MAC address "02:00:00:00:00:01" -> the address that this client alone gets
    options   further options: code -> bytes
    """

    network: str
    pool: "tuple[str, str] | None" = None
    routers: "str | Sequence[str]" = ()
    dns: "str | Sequence[str]" = ()
    domain: str = ""
    lease: int = 3600
    longest: int = 86400
    mtu: int = 0
    routes: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.net = ipaddress.IPv4Network(self.network)
        if not 10 <= self.lease < 0xFFFFFFFF or self.longest < self.lease:
            raise ValueError(
                f"lease={self.lease}: a lease lasts 10 s at least, and not longer than longest={self.longest}"
            )
        self.router_addrs = [
            number(each) for each in ([self.routers] if isinstance(self.routers, str) else self.routers)
        ]
        self.dns_addrs = [number(each) for each in ([self.dns] if isinstance(self.dns, str) else self.dns)]
        self.reserved = {_identifier(mac): number(addr) for mac, addr in self.fixed.items()}
        low, high = int(self.net.network_address) + 1, int(self.net.broadcast_address) - 1
        if self.pool is None:
            self.first, self.last = low, min(high, low + 253)
        else:
            self.first, self.last = (number(each) for each in self.pool)
        if not low <= self.first <= self.last <= high or self.last - self.first >= MOST_POOL:
            raise ValueError(
                f"pool={self.pool}: the addresses are not in {self.network}, or they are more than {MOST_POOL}"
            )
        for addr in self.reserved.values():
            if not low <= addr <= high:
                raise ValueError(f"fixed: {ipaddress.IPv4Address(addr)} is not in {self.network}")

    def has(self, addr: int) -> bool:
        """Whether an address belongs to the subnet."""
        return ipaddress.IPv4Address(addr) in self.net

    def parameters(self) -> dict[int, bytes]:
        """The options for its clients, in the order of their weight."""
        found = {m.SUBNET_MASK: m.addr_bytes(int(self.net.netmask))}
        if self.routes:
            # RFC 3442: a client that knows this option ignores the option router.
            routes = [(int(net.network_address), net.prefixlen, number(via)) for net, via in self._routes()]
            routes += [(0, 0, router) for router in self.router_addrs[:1]]
            found[m.ROUTES] = m.write_routes(routes)
        if self.router_addrs:
            found[m.ROUTER] = m.addr_bytes(*self.router_addrs)
        if self.dns_addrs:
            found[m.DNS] = m.addr_bytes(*self.dns_addrs)
        if self.domain:
            found[m.DOMAIN_NAME] = self.domain.encode()
        if self.mtu:
            found[m.MTU] = self.mtu.to_bytes(2, "big")
        found[m.BROADCAST_ADDR] = m.addr_bytes(int(self.net.broadcast_address))
        return {**found, **self.options}

    def _routes(self) -> "list[tuple[ipaddress.IPv4Network, str]]":
        return [(ipaddress.IPv4Network(net), via) for net, via in self.routes.items()]


class _Pool:
    """The addresses of one subnet: free ones in the order in which they were last used, and bindings."""

    def __init__(self, subnet: Subnet, own: set[int]):
        self.subnet = subnet
        kept = own | set(subnet.router_addrs) | set(subnet.reserved.values())
        self.free: OrderedDict[int, None] = OrderedDict()
        for addr in range(subnet.first, subnet.last + 1):
            if addr not in kept:
                self.free[addr] = None
        self.bindings: dict[int, Binding] = {}
        #: client -> its address, and the address -> the client that had it last
        self.clients: dict[bytes, int] = {}
        self.former: dict[int, bytes] = {}
        self.ends: list[tuple[int, int]] = []

    def expire(self, now: int) -> None:
        """Free the addresses whose time is over."""
        while self.ends and self.ends[0][0] <= now:
            until, addr = heappop(self.ends)
            binding = self.bindings.get(addr)
            if binding is not None and binding.until == until:
                self.unbind(addr)

    def bind(self, addr: int, client: bytes, until: int, state: str) -> None:
        """Hold an address for a client."""
        old = self.bindings.get(addr)
        if old is not None and self.clients.get(old.client) == addr:
            del self.clients[old.client]
        self.free.pop(addr, None)
        before = self.former.pop(addr, None)
        if before is not None and self.clients.get(before) == addr:
            del self.clients[before]
        mine = self.clients.get(client)
        if mine is not None and mine != addr and self.bindings.get(mine, Binding(b"", 0, "")).client == client:
            self.unbind(mine)
        self.bindings[addr] = Binding(client, until, state)
        self.clients[client] = addr
        heappush(self.ends, (until, addr))
        if len(self.ends) > 4 * len(self.bindings) + 64:  # most are of bindings that were extended
            self.ends = sorted((each.until, held) for held, each in self.bindings.items())

    def unbind(self, addr: int) -> None:
        """Free an address. Its client gets it again, as long as nobody else needs it."""
        binding = self.bindings.pop(addr)
        if addr in self.subnet.reserved.values():
            self.clients.pop(binding.client, None)
            return
        if binding.state == DECLINED:
            self.clients.pop(binding.client, None)
        else:
            self.former[addr] = binding.client
        self.free[addr] = None

    def choose(self, client: bytes, mac: bytes, wanted: int, relay: int = 0) -> int | None:
        """The address for a client (section 4.3.1): its own, its former one, the one that it asks for, or the one that is longest unused.

        The relay's own address, through which the request came, is not given away.
        """
        reserved = self.subnet.reserved.get(mac)
        if reserved is not None:
            return reserved
        mine = self.clients.get(client)
        if mine is not None and (mine in self.free or self.bindings[mine].client == client):
            return mine
        if wanted in self.free and wanted != relay:
            return wanted
        return next((addr for addr in self.free if addr != relay), None)


class Server(Machine):
    """A server with one address and any number of subnets: its own link's, and those behind relays."""

    def __init__(self, address: str, subnets: Sequence[Subnet], seed: object = 0, *, authoritative: bool = True):
        super().__init__(f"{seed}/dhcp-server")
        self.addr = number(address)
        #: whether it refuses addresses of clients that it does not know (section 4.3.2)
        self.authoritative = authoritative
        self.pools = [_Pool(subnet, {self.addr}) for subnet in subnets]
        if not subnets:
            raise ValueError("a DHCP server needs a subnet")

    def leases(self, now: int) -> dict[str, str]:
        """The leases: address -> the client's identification in hexadecimal digits."""
        found = {}
        for pool in self.pools:
            pool.expire(now)
            for addr, binding in sorted(pool.bindings.items()):
                if binding.state == LEASED:
                    found[str(ipaddress.IPv4Address(addr))] = binding.client[1:].hex()
        return found

    def message(self, data: bytes, src: int, now: int) -> None:
        """Machine.message: a datagram for port 67."""
        request = self.read(data)
        if request is None:
            return
        if request.op != m.BOOTREQUEST or not request.kind:
            self.drop("no-request", "the message is no request of a DHCP client", "RFC 2131 4.3")
            return
        if request.hlen == 0 and m.CLIENT_ID not in request.options or len(request.client_key()) > LONGEST_KEY:
            self.drop("no-client", "the message does not say which client sends it", "RFC 2131 4.2")
            return
        pool = self._pool(request)
        if pool is None:
            self.drop(
                "no-subnet", "the server has no addresses for the link from which the message came", "RFC 2131 4.3.1"
            )
            return
        pool.expire(now)
        self.note("dhcp.message", f"a client sends {request.name}", "RFC 2131 4.3", type=request.name)
        handlers = {
            m.DISCOVER: self._discover,
            m.REQUEST: self._request,
            m.DECLINE: self._decline,
            m.RELEASE: self._release,
            m.INFORM: self._inform,
        }
        handler = handlers.get(request.kind)
        if handler is None:
            self.drop("no-request", f"a client does not send {request.name}", "RFC 2131 4.3")
        else:
            handler(pool, request, now)

    def _pool(self, request: DhcpMessage) -> _Pool | None:
        """The pool of the link from which a request came: that of the relay's address, of the client's, or of the server's."""
        where = request.giaddr or request.ciaddr or self.addr
        for pool in self.pools:
            if pool.subnet.has(where):
                return pool
        if request.giaddr:
            return None
        # A client with an address of another link is on our own one now.
        return next((pool for pool in self.pools if pool.subnet.has(self.addr)), None)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _discover(self, pool: _Pool, request: DhcpMessage, now: int) -> None:
        """Section 4.3.1."""
        client, mac = request.client_key(), request.chaddr
        addr = pool.choose(client, mac, request.number(m.REQUESTED_ADDR) or 0, request.giaddr)
        if addr is None:
            self.drop("pool-exhausted", f"all addresses of {pool.subnet.network} are in use", "RFC 2131 4.3.1")
            return
        held = pool.bindings.get(addr)
        if held is not None and held.client != client:
            self.drop("pool-exhausted", "the address that is reserved for the client is in use", "RFC 2131 4.3.1")
            return
        if held is None or held.state != LEASED:
            pool.bind(addr, client, now + OFFER_TIME, OFFERED)
        self._answer(pool, request, m.OFFER, addr, self._time(pool, request))

    def _request(self, pool: _Pool, request: DhcpMessage, now: int) -> None:
        """Section 4.3.2: SELECTING has a server identifier, INIT-REBOOT a requested address, and RENEWING and REBINDING have `ciaddr`."""
        client = request.client_key()
        server, wanted = request.number(m.SERVER_ID), request.number(m.REQUESTED_ADDR)
        if server is not None and server != self.addr:
            mine = pool.clients.get(client)
            if mine is not None and mine in pool.bindings and pool.bindings[mine].state == OFFERED:
                pool.unbind(mine)
            self.drop("other-server", "the client chose another server, so the offer is free again", "RFC 2131 4.3.2")
            return
        addr = request.ciaddr or wanted
        if not addr:
            self.drop("no-address", "the REQUEST names no address", "RFC 2131 4.3.2")
            return
        binding = pool.bindings.get(addr)
        if binding is not None and binding.client == client and binding.state != DECLINED:
            self._grant(pool, request, addr, now)
            return
        if server is None and not self.authoritative:
            self.drop(
                "unknown-client", "the server does not know this lease, and it is not authoritative", "RFC 2131 4.3.2"
            )
            return
        # A client that renews a lease which the server has forgotten keeps it, if nobody else has it.
        again = server is None and (addr in pool.free or pool.subnet.reserved.get(request.chaddr) == addr)
        if again and binding is None and pool.choose(client, request.chaddr, addr, request.giaddr) == addr:
            self._grant(pool, request, addr, now)
            return
        self._refuse(
            request,
            "the address is not this client's" if pool.subnet.has(addr) else "the client is on another link now",
        )

    def _grant(self, pool: _Pool, request: DhcpMessage, addr: int, now: int) -> None:
        time = self._time(pool, request)
        pool.bind(addr, request.client_key(), now + time * S, LEASED)
        self._answer(pool, request, m.ACK, addr, time)

    def _decline(self, pool: _Pool, request: DhcpMessage, now: int) -> None:
        """Section 4.3.3. Only the client that was given the address can decline it."""
        addr, client = request.number(m.REQUESTED_ADDR) or 0, request.client_key()
        binding = pool.bindings.get(addr)
        if binding is None or binding.client != client or request.number(m.SERVER_ID) != self.addr:
            self.drop("unknown-client", "the client declines an address that it does not have", "RFC 2131 4.3.3")
            return
        pool.bind(addr, client, now + DECLINE_TIME, DECLINED)
        pool.clients.pop(client, None)

    def _release(self, pool: _Pool, request: DhcpMessage, now: int) -> None:
        """Section 4.3.4."""
        binding = pool.bindings.get(request.ciaddr)
        if binding is None or binding.client != request.client_key() or binding.state != LEASED:
            self.drop("unknown-client", "the client releases an address that it does not have", "RFC 2131 4.3.4")
            return
        pool.unbind(request.ciaddr)

    def _inform(self, pool: _Pool, request: DhcpMessage, now: int) -> None:
        """Section 4.3.5: the options, without an address and its times."""
        if request.ciaddr:
            self._answer(pool, request, m.ACK, 0, None)
        else:
            self.drop("no-address", "the INFORM names no address", "RFC 2131 4.3.5")

    # -- answers -----------------------------------------------------------------------------------------------------

    def _time(self, pool: _Pool, request: DhcpMessage) -> int:
        """The time of the lease (s): the one that the client asks for, up to the subnet's longest."""
        asked = request.number(m.LEASE_TIME)
        return pool.subnet.lease if asked is None else max(10, min(asked, pool.subnet.longest))

    def _answer(self, pool: _Pool, request: DhcpMessage, kind: int, addr: int, time: int | None) -> None:
        reply = self._reply(request, kind)
        reply.yiaddr = addr
        reply.ciaddr = request.ciaddr if kind == m.ACK else 0
        if time is not None:
            reply.options[m.LEASE_TIME] = time.to_bytes(4, "big")
            reply.options[m.T1] = (time // 2).to_bytes(4, "big")
            reply.options[m.T2] = (time * 7 // 8).to_bytes(4, "big")
        wanted = request.options.get(m.PARAMETERS)
        for code, value in pool.subnet.parameters().items():
            if wanted is None or code in wanted or code == m.SUBNET_MASK:
                reply.options[code] = value
        self._finish(request, reply, f"the server answers with {reply.name}", "RFC 2131 4.3.1")

    def _refuse(self, request: DhcpMessage, reason: str) -> None:
        reply = self._reply(request, m.NAK)
        reply.options[m.MESSAGE] = reason.encode()
        if request.giaddr:
            reply.flags |= m.BROADCAST_FLAG  # section 4.3.2: the client may have a wrong address
        self._finish(request, reply, reason, "RFC 2131 4.3.2")

    def _reply(self, request: DhcpMessage, kind: int) -> DhcpMessage:
        """A reply with what each has (table 3). RFC 6842: the client identifier is returned."""
        reply = DhcpMessage(
            m.BOOTREPLY,
            request.htype,
            request.hlen,
            0,
            request.xid,
            0,
            request.flags,
            giaddr=request.giaddr,
            chaddr=request.chaddr,
        )
        reply.options[m.MESSAGE_TYPE] = bytes((kind,))
        reply.options[m.SERVER_ID] = m.addr_bytes(self.addr)
        for code in (m.CLIENT_ID, m.AGENT):  # RFC 3046 section 2.2
            if code in request.options:
                reply.options[code] = request.options[code]
        return reply

    def _finish(self, request: DhcpMessage, reply: DhcpMessage, reason: str, rfc: str) -> None:
        """Send a reply to the place that section 4.1 names."""
        size = int.from_bytes(request.options.get(m.MAX_SIZE, b""), "big")
        data = m.write(reply, max(576, min(size, 1500)) - 28)
        self.note("dhcp.message", reason, rfc, type=reply.name)
        if request.giaddr:
            self.actions.append(SendMessage(data, self.addr, request.giaddr, m.SERVER_PORT, m.SERVER_PORT))
        elif reply.kind == m.NAK:
            self.actions.append(SendMessage(data, self.addr, BROADCAST, m.SERVER_PORT, m.CLIENT_PORT, link=True))
        elif request.ciaddr:
            self.actions.append(SendMessage(data, self.addr, request.ciaddr, m.SERVER_PORT, m.CLIENT_PORT))
        elif request.flags & m.BROADCAST_FLAG or request.hlen != 6 or request.htype != 1:
            self.actions.append(SendMessage(data, self.addr, BROADCAST, m.SERVER_PORT, m.CLIENT_PORT, link=True))
        else:
            mac = int.from_bytes(request.chaddr, "big")
            self.actions.append(
                SendMessage(data, self.addr, reply.yiaddr, m.SERVER_PORT, m.CLIENT_PORT, mac, link=True)
            )
