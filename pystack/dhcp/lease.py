"""A lease: what a client learns from an ACK, and whether it can be right."""

from typing import NamedTuple

from pystack.dhcp import message as m
from pystack.dhcp.actions import S
from pystack.dhcp.message import DhcpMessage

#: leases are taken for 10 s at least, so that a server cannot make its clients renew all the time, and for about 136 years at most
SHORTEST_LEASE = 10
FOREVER = 0xFFFFFFFF
#: the most addresses of one option, and routes, that are used
MOST_ADDRESSES = 8
MOST_ROUTES = 32


class Lease(NamedTuple):
    """An address with what belongs to it. Times are in seconds from the request."""

    addr: int
    prefixlen: int
    server: int
    time: int
    t1: int
    t2: int
    routers: tuple[int, ...] = ()
    dns: tuple[int, ...] = ()
    domain: str = ""
    mtu: int = 0
    #: classless static routes (RFC 3442): network, prefix length, router (0: on the link)
    routes: tuple[tuple[int, int, int], ...] = ()

    def after(self, seconds: int, began: int) -> int | None:
        """The time (ns) at which `seconds` of a lease that began at `began` have passed, or None if it never ends."""
        return None if self.time == FOREVER else began + seconds * S


def usable(addr: int) -> bool:
    """Whether a host may have this address: unicast, and neither this network, loopback nor link-local."""
    return 0 < addr >> 24 < 224 and addr >> 24 != 127 and addr >> 16 != 0xA9FE


def prefix_length(mask: int | None, addr: int) -> int | None:
    """The length of a subnet mask; without one, that of the address's class (RFC 1122 section 3.3.6 knew no other). None: it has holes."""
    if mask is None:
        return 8 if addr >> 31 == 0 else 16 if addr >> 30 == 2 else 24
    ones = mask.bit_count()
    return ones if mask == (0xFFFFFFFF << (32 - ones)) & 0xFFFFFFFF and ones else None


def lease_of(message: DhcpMessage) -> "Lease | str":
    """The lease that an OFFER or ACK describes, or the reason why it is refused."""
    addr = message.yiaddr
    time, server = message.number(m.LEASE_TIME), message.number(m.SERVER_ID)
    length = prefix_length(message.number(m.SUBNET_MASK), addr)
    if not usable(addr):
        return "no host can have the offered address"
    if server is None or not usable(server):
        return "the server does not identify itself"
    if time is None or time < SHORTEST_LEASE:
        return f"there is no lease time, or one below {SHORTEST_LEASE} s"
    if length is None:
        return "the subnet mask has holes"
    if length < 31 and addr & ~(0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF in (0, (1 << (32 - length)) - 1):
        return "the offered address is the broadcast address of its subnet"
    t1, t2 = message.number(m.T1), message.number(m.T2)
    # RFC 2131 section 4.4.5: the defaults are 0.5 and 0.875 of the lease.
    t2 = t2 if t2 is not None and 0 < t2 < time else time * 7 // 8
    t1 = t1 if t1 is not None and 0 < t1 < t2 else min(time // 2, t2 - 1)
    mtu = message.options.get(m.MTU, b"")
    size = int.from_bytes(mtu, "big") if len(mtu) == 2 else 0
    routes = m.read_routes(message.options.get(m.ROUTES, b""))
    return Lease(
        addr, length, server, time, t1, t2,
        tuple(each for each in message.addresses(m.ROUTER) if usable(each))[:MOST_ADDRESSES],
        tuple(each for each in message.addresses(m.DNS) if 0 < each >> 24 < 224)[:MOST_ADDRESSES],
        message.text(m.DOMAIN_NAME), size if size >= 576 else 0, tuple(routes[:MOST_ROUTES]),
    )  # fmt: skip
