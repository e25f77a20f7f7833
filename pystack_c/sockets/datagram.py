"""The common part of UDP and raw sockets: a bounded queue of received datagrams, errors, options, closing."""

import errno
from collections import deque
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import from_bytes, is_multicast
from pystack_c.base.fifo import Fifo
from pystack_c.core import Core
from pystack_c.endpoint import Endpoint
from pystack_c.iface import Iface
from pystack_c.ip import encap
from pystack_c.ip import options as ip_options
from pystack_c.ip.pmtu import expire_mtu, lower_mtu
from pystack_c.ip.routing import find_route, route_output
from pystack_c.packet import Packet
from pystack_c.route import Dst
from pystack_c.sockets import sockopt

#: the bytes that a queued datagram is charged besides its data, so that empty ones are bounded, too
_OVERHEAD = 256


class Datagram:
    """One received datagram with its metadata, or one error.

    An error (recvfrom with MSG_ERRQUEUE) has an errno in `error`, the (type, code) of
    the message in `icmp`, and the quoted payload in `data`. `src` and `sport` are the
    destination of the quoted datagram, and `offender` is the sender of the error.
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
        self.icmp = (0, 0)
        self.offender = 0
        self.info = 0
        self.options = b""


def received(pkt: Packet, iface: Iface, data: bytes, sport: int) -> Datagram:
    """Create the Datagram of a packet without the cost of a Python-level constructor call."""
    dgram: Datagram = Datagram.__new__(Datagram)
    dgram.fill(data, pkt.src, sport, pkt.dst, iface, pkt.ttl, pkt.tos)
    return dgram


class DatagramSocket(Endpoint):
    """The base class of UdpSocket and RawSocket. `raddr` is 0 while the socket is not connected."""

    def __init__(self, core: Any, ident: int) -> None:
        Endpoint.__init__(self, core, ident)
        self.queue = Fifo()
        self.queued_bytes = 0
        self.rcvbuf = core.config.udp_rmem
        self.sndbuf = core.config.udp_wmem
        self.errqueue: deque[Datagram] = deque()
        self.dst: Dst | None = None
        self.wildcard = True
        self.shut_rd = False
        self.shut_wr = False
        self.closed = False
        self.dropped = 0
        self.mtu_discover = 0
        self.recverr = False
        self.mcast_ttl = 1
        self.mcast_loop = True
        self.mcast_iface: Iface | None = None
        self.memberships: dict[tuple[int, int], Iface] = {}

    def snapshot(self) -> dict[str, Any]:  # inherited
        """Return the values that a learner looks at."""
        return {"queued": len(self.queue), "queued_bytes": self.queued_bytes, "error": self.so_error}

    def readiness(self) -> int:
        """Return the EV_* bits.

        The socket is readable with a datagram, an error or after shutdown, and always writable.
        """
        bits = C.EV_OUT
        if self.queue.count or self.shut_rd or self.so_error:
            bits |= C.EV_IN
        if self.so_error or self.errqueue:
            bits |= C.EV_ERR
        if self.shut_rd:
            bits |= C.EV_RDHUP
            if self.shut_wr:
                bits |= C.EV_HUP
        return bits

    def enqueue(self, pkt: Packet, iface: Iface, data: bytes, sport: int) -> bool:
        """Queue one datagram. Returns False if the queue is full; the caller counts the drop."""
        if self.queued_bytes + len(data) + _OVERHEAD > self.rcvbuf or self.shut_rd:
            self.dropped += 1
            return False
        dgram = received(pkt, iface, data, sport)
        if pkt.ip_options > 0:
            # RFC 1122 4.1.3.2: UDP passes received IP options to the application.
            dgram.options = ip_options.of_packet(pkt)
        self.queue.append(dgram)
        self.queued_bytes += len(data) + _OVERHEAD
        self.wake(C.EV_IN)
        return True

    def matches(self, iface: Iface, laddr: int, raddr: int) -> bool:
        """Return True if a packet to laddr from raddr on that interface is for this socket, apart from the ports."""
        if self.laddr != 0 and self.laddr != laddr:
            return False
        if self.raddr != 0 and self.raddr != raddr:
            return False
        return self.bound_iface is None or self.bound_iface is iface

    def hard_error(
        self,
        error: int,
        icmp_type: int,
        code: int,
        info: int,
        offender: int,
        dst: int,
        dport: int,
        quote: bytes,
        local: bool,
    ) -> None:
        """Report an ICMP error about one of our datagrams (RFC 1122 4.1.3.3: it MUST be passed on).

        A connected socket gets it as SO_ERROR. With IP_RECVERR, the error queue gets it with all details, and SO_ERROR
        is set in either case. `local` means that our own ARP failed; then an unconnected socket gets the error, too.
        """
        if self.recverr:
            record = Datagram(quote, dst, dport, self.laddr, None, 0, 0)
            record.error = error
            record.icmp = (icmp_type, code)
            record.offender = offender
            record.info = info
            if len(self.errqueue) < 64:
                self.errqueue.append(record)
        elif (self.raddr == 0 and not local) or icmp_type == C.ICMP_TIME_EXCEEDED:
            return
        if self.core.probe is not None:
            why = "the network could not deliver a datagram, which the next call on the socket reports"
            self.core.emit("icmp.error", self.subject(), self.ident, why, "RFC 1122 4.1.3.3", {"error": error})
        self.fail(error)


def begin(ep: DatagramSocket, now: int) -> Any:
    """An application call begins at this time. Return the core, or raise EBADF if the socket is closed."""
    if ep.closed:
        raise OSError(errno.EBADF, "the socket is closed")
    core: Core = ep.core
    core.now = now
    return core


def recvfrom(ep: DatagramSocket, flags: int, now: int) -> Any:
    """Return the next Datagram, or None. Raises the pending error as OSError.

    MSG_PEEK leaves the datagram in the queue. MSG_ERRQUEUE takes from the error queue.
    """
    begin(ep, now)
    if flags & C.MSG_ERRQUEUE:
        return ep.errqueue.popleft() if ep.errqueue else None
    if ep.so_error != 0:
        error = ep.take_error()
        raise OSError(error, "an earlier datagram caused an ICMP error")
    if not ep.queue.count:
        return Datagram(b"", 0, 0, 0, None, 0, 0) if ep.shut_rd else None
    if flags & C.MSG_PEEK:
        return ep.queue.first()
    dgram: Datagram = ep.queue.popleft()
    ep.queued_bytes -= len(dgram.data) + _OVERHEAD
    return dgram


def route_for(core: Core, ep: DatagramSocket, addr: int, flags: int = 0) -> Any:
    """Return the Dst for a datagram to `addr`, or raise the OSError of sendto(2).

    Of `flags`, only MSG_DONTROUTE matters.
    """
    cached: Dst | None = ep.dst
    once = flags & C.MSG_DONTROUTE != 0
    if not once and cached is not None and cached.epoch == core.route_epoch and addr == ep.raddr:
        if cached.mtu_until > 0:
            expire_mtu(core, cached)
        return cached
    iface = ep.bound_iface
    if is_multicast(addr) and ep.mcast_iface is not None:
        iface = ep.mcast_iface
    if ep.encap is None:
        dst: Dst = route_output(core, addr, ep.laddr, iface, once or ep.dontroute)
    else:
        dst = encap.route_to(core, ep.encap, addr, ep.laddr, iface, once or ep.dontroute)
    if dst is None:
        raise OSError(core.route_error, "there is no route to the destination")
    if dst.kind == C.DST_BROADCAST and not ep.broadcast:
        raise OSError(errno.EACCES, "the destination is a broadcast address, which needs SO_BROADCAST")
    if addr == ep.raddr and not once:
        ep.dst = dst
    return dst


def fragmenting(ep: DatagramSocket, dst: Dst, size: int) -> int:
    """Return Outgoing.df for a packet of `size` bytes, by IP_MTU_DISCOVER (ip(7)).

    Raises EMSGSIZE if it must not be sent.

    0: routers may fragment it. 1: DF if it fits, otherwise we fragment it. 2: DF. 3: DF, whatever the path MTU. 4 and 5
    guard against forged path MTUs: they use the link's MTU without DF, and with 5 we may fragment it.
    """
    mode = ep.mtu_discover
    if ep.encap is not None:
        size += ep.encap.length
    if mode == 0 or (mode == 1 and (size > dst.mtu or dst.mtu_locked)):
        return 0
    if mode <= 3:
        if dst.df_size < size <= (dst.mtu if mode < 3 else dst.iface.mtu):
            dst.df_size = size
        return C.DONT_FRAGMENT if mode < 3 else C.DONT_FRAGMENT | C.LINK_MTU
    if mode == 4 and size > dst.iface.mtu:
        raise OSError(errno.EMSGSIZE, f"{size} bytes are larger than the link's MTU of {dst.iface.mtu} bytes")
    return C.LINK_MTU


def path_mtu(core: Core, ep: DatagramSocket, addr: int, mtu: int) -> bool:
    """Apply a Fragmentation Needed error about a datagram to `addr` (RFC 1191 6.3).

    Returns False if the socket cannot have caused it.

    A datagram contains nothing that is hard to guess. So the stack checks whether such a socket really sent a datagram
    with DF that was larger. An error about a socket that lets routers fragment, which anyone can forge, must not affect
    the host's other traffic, such as TCP's (RFC 5927 7).
    """
    route: Dst = ep.dst if ep.raddr == addr and ep.dst is not None else find_route(core, addr)
    if not 1 <= ep.mtu_discover <= 3 or route is None or route.kind != C.DST_UNICAST or route.df_size <= mtu:
        return False
    lower_mtu(core, route, mtu)
    return True


def disconnect(ep: DatagramSocket) -> None:
    """Remove the peer, and the local address if connect chose it."""
    ep.raddr = 0
    ep.rport = 0
    ep.dst = None
    if ep.wildcard:
        ep.laddr = 0


def shutdown(ep: DatagramSocket, how: int, now: int) -> None:
    """Shut down one direction, as shutdown(2): 0 receiving, 1 sending, 2 both.

    Raises ENOTCONN if there is no peer, as on Linux.
    """
    begin(ep, now)
    if how not in (0, 1, 2):
        raise OSError(errno.EINVAL, f"how is 0, 1 or 2, not {how}")
    if how != 1:
        ep.shut_rd = True
    if how != 0:
        ep.shut_wr = True
    ep.wake(C.EV_IN | C.EV_OUT | C.EV_RDHUP)
    if ep.raddr == 0:
        raise OSError(errno.ENOTCONN, "the socket is not connected")


def setsockopt(core: Core, ep: DatagramSocket, level: int, name: int, value: Any) -> bool:
    """Set an option of a datagram socket. Returns False if the name is unknown."""
    if level == sockopt.SOL_SOCKET and name in (sockopt.SO_RCVBUF, sockopt.SO_SNDBUF):
        size = max(2048, min(2 * sockopt.as_int(value), 1 << 30))  # Linux doubles it
        if name == sockopt.SO_RCVBUF:
            ep.rcvbuf = size
        else:
            ep.sndbuf = size
        return True
    if level == sockopt.IPPROTO_IP and sockopt.IP_MULTICAST_IF <= name <= sockopt.IP_DROP_MEMBERSHIP:
        _set_multicast(core, ep, name, value)
        return True
    if level == sockopt.IPPROTO_IP and name == sockopt.IP_MTU_DISCOVER:
        mode = sockopt.as_int(value)
        if not 0 <= mode <= 5:
            raise OSError(errno.EINVAL, f"IP_MTU_DISCOVER {mode} is not in 0..5")
        ep.mtu_discover = mode
        return True
    if level == sockopt.IPPROTO_IP and name == sockopt.IP_RECVERR:
        ep.recverr = sockopt.as_int(value) != 0
        return True
    if level == sockopt.IPPROTO_IP and name == sockopt.IP_OPTIONS:
        ep.encap = ip_options.make(value)
        return True
    return sockopt.set_common(core, ep, level, name, value) is not None


def getsockopt(ep: DatagramSocket, level: int, name: int) -> Any:
    """Return the option's value, or None if the name is unknown."""
    if level == sockopt.SOL_SOCKET:
        if name == sockopt.SO_RCVBUF:
            return ep.rcvbuf
        if name == sockopt.SO_SNDBUF:
            return ep.sndbuf
    if level == sockopt.IPPROTO_IP:
        if name == sockopt.IP_MTU:
            if ep.raddr == 0:
                raise OSError(errno.ENOTCONN, "the socket is not connected")
            return route_for(ep.core, ep, ep.raddr).mtu
        if name == sockopt.IP_MTU_DISCOVER:
            return ep.mtu_discover
        if name == sockopt.IP_RECVERR:
            return int(ep.recverr)
        if name == sockopt.IP_OPTIONS:
            return b"" if ep.encap is None else ep.encap.asked
        if name == sockopt.IP_MULTICAST_TTL:
            return ep.mcast_ttl
        if name == sockopt.IP_MULTICAST_LOOP:
            return int(ep.mcast_loop)
    return sockopt.get_common(ep, level, name)


def _iface_of(core: Core, addr: int) -> Any:
    """Return the interface that has this address, or for 0 the first that is not loopback.

    Raises ENODEV if there is none.
    """
    for iface in core.ifaces:
        if addr == 0 and iface.kind != C.LINK_LOOPBACK:
            return iface
        for own in iface.addrs:
            if own.addr == addr:
                return iface
    raise OSError(errno.ENODEV, "no interface has that address")


def _set_multicast(core: Core, ep: DatagramSocket, name: int, value: Any) -> None:
    """Set IP_MULTICAST_* or group membership. Membership is local: the stack does not send IGMP (RFC 1112 level 1)."""
    if name == sockopt.IP_MULTICAST_TTL:
        ttl = sockopt.as_int(value)
        if not -1 <= ttl <= 255:
            raise OSError(errno.EINVAL, f"TTL {ttl} is not in 0..255 (or -1 for the default)")
        ep.mcast_ttl = 1 if ttl == -1 else ttl
    elif name == sockopt.IP_MULTICAST_LOOP:
        ep.mcast_loop = sockopt.as_int(value) != 0
    elif name == sockopt.IP_MULTICAST_IF:
        at = 0 if len(value) < 8 else 4  # struct in_addr, or the address in struct ip_mreq(n)
        ep.mcast_iface = _iface_of(core, from_bytes(bytes(value[at : at + 4])))
    else:
        if len(value) < 8:
            raise OSError(errno.EINVAL, f"struct ip_mreq has 8 bytes, not {len(value)}")
        group = from_bytes(bytes(value[0:4]))
        if not is_multicast(group):
            raise OSError(errno.EINVAL, "the address is not a multicast address")
        iface = _iface_of(core, from_bytes(bytes(value[4:8])))
        _membership(ep, iface, group, name == sockopt.IP_ADD_MEMBERSHIP)


def _membership(ep: DatagramSocket, iface: Iface, group: int, join: bool) -> None:
    key = (iface.index, group)
    if join:
        if key in ep.memberships:
            raise OSError(errno.EADDRINUSE, "the socket is already a member of the group on that interface")
        ep.memberships[key] = iface
        iface.groups[group] = iface.groups.get(group, 0) + 1
        return
    if key not in ep.memberships:
        raise OSError(errno.EADDRNOTAVAIL, "the socket is not a member of the group on that interface")
    del ep.memberships[key]
    iface.groups[group] -= 1
    if iface.groups[group] == 0:
        del iface.groups[group]


def cleanup(ep: DatagramSocket) -> None:
    """Release everything that a closed socket held."""
    ep.closed = True
    for key in list(ep.memberships):
        _membership(ep, ep.memberships[key], key[1], False)
    ep.queue.clear()
    ep.errqueue.clear()
    ep.queued_bytes = 0
    ep.dst = None
    ep.core.endpoints.pop(ep.ident, None)
    ep.wake(C.EV_HUP | C.EV_IN | C.EV_OUT)
