"""The records of datagram sockets: a received datagram or an error, a membership, the control messages of one datagram."""

from typing import Any

from pystack_c.iface import Iface
from pystack_c.packet import Packet


class Datagram:
    """One received datagram with its metadata, or one error.

    `stamp` is the time (ns) of its arrival on the stack's own clock.

    An error (recvfrom with MSG_ERRQUEUE) has an errno in `error`, the (type, code) of
    the message in `icmp`, and the quoted payload in `data`. `src` and `sport` are the
    destination of the quoted datagram, and `offender` is the sender of the error.
    `icmp` is () for an error of this host itself, such as a datagram that is too long.
    """

    def __init__(self, data: bytes, src: int, sport: int, dst: int, iface: Any, ttl: int, tos: int) -> None:
        self.fill(data, src, sport, dst, iface, ttl, tos)

    def fill(self, data: bytes, src: int, sport: int, dst: int, iface: Any, ttl: int, tos: int) -> None:
        """Give every field its initial value."""
        self.data = data
        self.src = src
        self.sport = sport
        self.dst = dst
        self.iface = iface
        self.ttl = ttl
        self.tos = tos
        self.error = 0
        self.icmp: tuple[int, ...] = (0, 0)
        self.offender = 0
        self.info = 0
        self.options = b""
        self.stamp = 0


def received(pkt: Packet, iface: Iface, data: bytes, sport: int, stamp: int) -> Datagram:
    """Create the Datagram of a packet without the cost of a Python-level constructor call."""
    dgram: Datagram = Datagram.__new__(Datagram)
    dgram.fill(data, pkt.src, sport, pkt.dst, iface, pkt.ttl, pkt.tos)
    dgram.stamp = stamp
    return dgram


class Membership:
    """A group that a socket joined on an interface, with the filter of its sources: only these, or (`exclude`) all but these."""

    def __init__(self, iface: Iface, group: int, addr: int, exclude: bool) -> None:
        self.iface = iface
        self.group = group
        #: the address by which the application named the interface, or 0
        self.addr = addr
        self.exclude = exclude
        #: True once there was a list of sources, even if it is empty again
        self.filtered = False
        self.sources: dict[int, bool] = {}


class Control:
    """The control messages of one sendmsg (ip(7)): they replace the socket's own values for that datagram."""

    def __init__(self) -> None:
        #: IP_PKTINFO: the interface, or None; whether it was there, and then the source address, which 0 leaves to the route
        self.iface: Iface | None = None
        self.has_src = False
        self.src = 0
        #: IP_TTL, or 0; IP_TOS, or -1
        self.ttl = 0
        self.tos = -1
        #: the socket's own encapsulation, while IP_RETOPTS replaces it
        self.encap: Any = None
