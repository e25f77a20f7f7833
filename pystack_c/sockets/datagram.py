"""The common part of UDP and raw sockets: a bounded queue of received datagrams, routes, errors, closing."""

import errno
from collections import deque
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import is_group, is_loopback, is_multicast, normal
from pystack_c.base.fifo import Fifo
from pystack_c.core import Core
from pystack_c.endpoint import Endpoint
from pystack_c.filter import cbpf
from pystack_c.iface import Iface
from pystack_c.ip import encap
from pystack_c.ip import options as ip_options
from pystack_c.ip.pmtu import expire_mtu, lower_mtu
from pystack_c.ip.routing import find_route, route_endpoint, route_output
from pystack_c.packet import Packet
from pystack_c.route import Dst
from pystack_c.sockets.record import Control, Datagram, Membership, received

#: the bytes that a queued datagram is charged besides its data, so that empty ones are bounded, too
_OVERHEAD = 256
#: the records that wait in an error queue
_ERRORS_MAX = 64


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
        self.mcast_all = True
        self.mcast_iface: Iface | None = None
        #: the source address of multicasts that IP_MULTICAST_IF named, or 0
        self.mcast_src = 0
        #: the filter.cbpf.Program of SO_ATTACH_FILTER, or None; whether it may no longer be changed (SO_LOCK_FILTER)
        self.filter: Any = None
        self.filter_locked = False
        #: the control messages of the sendmsg that is being served
        self.control: Control | None = None
        self.memberships: dict[tuple[int, int], Membership] = {}

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
        dgram = received(pkt, iface, data, sport, self.core.now)
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
        if is_multicast(laddr) and not self.allows(iface, laddr, raddr):
            return False
        return self.bound_iface is None or self.bound_iface is iface

    def kept(self, pkt: Packet, iface: Iface, start: int) -> int:
        """Run the socket's filter on pkt.frame[start:l4_end], and return where the part to keep ends, or -1 to drop the packet."""
        core: Core = self.core
        size = cbpf.run(self.filter, core, iface, pkt, start, pkt.l4_end)
        if size == 0:
            self.dropped += 1
            core.drop(
                "socket-filter", self.subject(), "the filter of the socket refused the packet", "Linux SO_ATTACH_FILTER"
            )
            return -1
        return start + size if size < pkt.l4_end - start else pkt.l4_end

    def allows(self, iface: Iface, group: int, src: int) -> bool:
        """Return True if the socket takes datagrams of that source to a group, by its own membership (RFC 3376 3.2).

        Without a membership of its own, it takes what the host is a member of, unless IP_MULTICAST_ALL is off.
        """
        found: Membership | None = self.memberships.get((iface.index, group))
        if found is None:
            return self.mcast_all
        return (src in found.sources) != found.exclude

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
            pkt: Packet = self.core.packet
            if local:
                # The message that Linux sends to itself would have these.
                record = Datagram(
                    quote, dst, dport, self.laddr, self.core.lo, self.core.config.ip_default_ttl, pkt.tos & 0x1E | 0xC0
                )
            else:
                record = Datagram(quote, dst, dport, self.laddr, None, pkt.ttl, pkt.tos)
            record.error = error
            record.icmp = (icmp_type, code)
            record.offender = offender
            record.info = info
            record.stamp = self.core.now
            if len(self.errqueue) < _ERRORS_MAX:
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
        return _take_error(ep)
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


def _take_error(ep: DatagramSocket) -> Any:
    """Return the next record of the error queue, or None.

    As on Linux, the pending error then is that of the next record. So a program that reads the queue until it is
    empty does not see the same error again in its next call.
    """
    if not ep.errqueue:
        return None
    record: Datagram = ep.errqueue.popleft()
    following: Datagram | None = ep.errqueue[0] if ep.errqueue else None
    if following is not None and following.icmp:
        ep.so_error = following.error
    elif record.icmp:
        ep.so_error = 0
    return record


def too_long(ep: DatagramSocket, dst: Dst, addr: int) -> None:
    """Add a record to the error queue about a datagram that must not be sent because of its size (IP_RECVERR in ip(7)).

    It contains the MTU that the datagram exceeded, and the connected peer's port. It is no pending error, because the call itself fails.
    """
    if not ep.recverr or len(ep.errqueue) >= _ERRORS_MAX:
        return
    record = Datagram(b"", addr, ep.rport, 0, None, 0, 0)
    record.error = errno.EMSGSIZE
    record.icmp = ()
    record.info = dst.iface.mtu if ep.mtu_discover >= 3 else dst.mtu
    record.stamp = ep.core.now
    ep.errqueue.append(record)
    ep.wake(C.EV_ERR)


def begin_control(ep: DatagramSocket, asked: tuple[Any, ...]) -> None:
    """Give the next datagram of the socket control messages, until `end_control`.

    `asked` is (interface index, source address, TTL, TOS, IP options), with None for what was not given. The first two are
    IP_PKTINFO's. Raises ENODEV, EINVAL and ENETUNREACH as Linux does.
    """
    ifindex, src, ttl, tos, options = asked
    core: Core = ep.core
    control = Control()
    if ifindex is not None and ifindex != 0:
        if not 0 < ifindex <= len(core.ifaces):
            raise OSError(errno.ENODEV, f"there is no interface with the index {ifindex}")
        control.iface = core.ifaces[ifindex - 1]
    if src is not None:
        control.has_src = True
        control.src = normal(src)
        if is_group(control.src):
            raise OSError(errno.EINVAL, "the source address is a broadcast or multicast address")
        if control.src != 0 and core.local_addr(control.src) is None:
            raise OSError(errno.ENETUNREACH, "the source address is not an address of this host")
    if ttl is not None:
        control.ttl = ttl
    if tos is not None:
        control.tos = tos
    control.encap = ep.encap
    if options is not None:
        ep.encap = ip_options.make(options)
    ep.control = control


def end_control(ep: DatagramSocket) -> None:
    """The datagram with control messages has been sent, or refused."""
    if ep.control is not None:
        ep.encap = ep.control.encap
        ep.control = None


def source_of(ep: DatagramSocket, dst: Dst) -> int:
    """Return the source address of a datagram on this route."""
    if ep.control is not None and ep.control.has_src:
        src = ep.control.src
    else:
        src = ep.laddr
    if src != 0 and not is_multicast(src):
        return src
    if dst.kind == C.DST_MULTICAST and ep.mcast_src != 0:
        return ep.mcast_src
    return dst.src


def route_for(core: Core, ep: DatagramSocket, addr: int, flags: int = 0, port: int = 0) -> Any:
    """Return the Dst for a datagram to `addr`, or raise the OSError of sendto(2).

    Of `flags`, only MSG_DONTROUTE matters. `port` is the destination's, by which flows may be shared among next hops.
    """
    cached: Dst | None = ep.dst
    once = flags & C.MSG_DONTROUTE != 0 or ep.control is not None
    if not once and cached is not None and cached.epoch == core.route_epoch and addr == ep.raddr:
        if cached.mtu_until > 0:
            expire_mtu(core, cached)
        return cached
    iface = ep.bound_iface
    if ep.control is not None and ep.control.iface is not None:
        iface = ep.control.iface
    elif is_multicast(addr) and ep.mcast_iface is not None:
        iface = ep.mcast_iface
    onlink = flags & C.MSG_DONTROUTE != 0 or ep.dontroute
    if core.policy is not None and ep.encap is None:
        dst: Dst = route_endpoint(core, ep, addr, iface, onlink, C.IPPROTO_UDP, ep.rport if ep.rport != 0 else port)
    elif ep.encap is None:
        dst = route_output(core, addr, ep.laddr, iface, onlink)
    else:
        dst = encap.route_to(core, ep.encap, addr, ep.laddr, iface, onlink)
    if dst is None:
        raise OSError(core.route_error, "there is no route to the destination")
    if dst.kind == C.DST_BROADCAST and not ep.broadcast:
        raise OSError(errno.EACCES, "the destination is a broadcast address, which needs SO_BROADCAST")
    if dst.iface.kind != C.LINK_LOOPBACK and is_loopback(source_of(ep, dst)):
        raise OSError(errno.EINVAL, "a loopback address cannot be the source of a packet that leaves the host")
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


def cleanup(ep: DatagramSocket) -> None:
    """Release everything that a closed socket held."""
    ep.closed = True
    ep.queue.clear()
    ep.errqueue.clear()
    ep.queued_bytes = 0
    ep.dst = None
    ep.core.endpoints.pop(ep.ident, None)
    ep.wake(C.EV_HUP | C.EV_IN | C.EV_OUT)
