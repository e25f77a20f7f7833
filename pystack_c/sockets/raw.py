"""Raw sockets (SOCK_RAW) for the IP packets of one protocol, and "ping sockets" (SOCK_DGRAM, IPPROTO_ICMP).

A raw socket receives a copy of each packet of its protocol that is for this host, with the IP header, before the
protocol sees it. The stack puts an IP header in front of the data that it sends, or, with IP_HDRINCL, the data contains
one. A ping socket sends echo requests with its port as the identifier, and receives the replies to them.
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, is_multicast, normal
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.ip import encap, icmpv4, whole
from pystack_c.ip import output as ip_output
from pystack_c.packet import Packet
from pystack_c.route import Dst
from pystack_c.sockets import datagram, dgramopt, multicast, ports, sockopt
from pystack_c.sockets.datagram import DatagramSocket
from pystack_c.sockets.ports import PortTable
from pystack_c.wire.checksum import sum_any

SOCK_DGRAM = 2
SOCK_RAW = 3
IPPROTO_RAW = 255
SOL_RAW = 255
ICMP_FILTER = 1


class RawSocket(DatagramSocket):
    """One raw or ping socket.

    `lport` is a ping socket's identifier. `icmp_filter` is a mask of the ICMP types to leave out.
    """

    def __init__(self, core: Any, ident: int, proto: int) -> None:
        DatagramSocket.__init__(self, core, ident)
        self.proto = proto
        self.ping = False
        self.hdrincl = proto == IPPROTO_RAW
        self.icmp_filter = 0

    def subject(self) -> str:
        """Return a short name for events."""
        return f"raw {self.proto} {addr_text(self.laddr)}-{addr_text(self.raddr)}"


class RawTable:
    """Raw sockets by protocol, and ping sockets by identifier."""

    def __init__(self) -> None:
        self.by_proto: dict[int, Any] = {}
        self.ping = PortTable()
        #: sockets.packets.PacketTable, or None while there is no packet socket
        self.packets: Any = None


def _open(core: Core, proto: int, now: int) -> RawSocket:
    core.now = now
    if core.raw is None:
        core.raw = RawTable()
    ep = RawSocket(core, core.new_ident(), proto)
    core.endpoints[ep.ident] = ep
    return ep


def raw_open(core: Core, proto: int, now: int) -> RawSocket:
    """Open a socket(AF_INET, SOCK_RAW, proto).

    IPPROTO_RAW can only send. Raises EPROTONOSUPPORT for a protocol out of range.
    """
    if not 0 < proto <= 255:
        raise OSError(errno.EPROTONOSUPPORT, f"protocol {proto} is not in 1..255")
    ep = _open(core, proto, now)
    if proto != IPPROTO_RAW:
        table: RawTable = core.raw
        bucket = table.by_proto.get(proto)
        if bucket is None:
            bucket = {}
            table.by_proto[proto] = bucket
        bucket[ep.ident] = ep
    return ep


def ping_open(core: Core, now: int) -> RawSocket:
    """Open a socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), for echo requests and their replies."""
    ep = _open(core, C.IPPROTO_ICMP, now)
    ep.ping = True
    return ep


def bind(ep: RawSocket, addr: int, port: int, now: int) -> None:
    """Restrict the socket to packets to this address, as bind(2). A ping socket's `port` is its identifier."""
    core: Core = datagram.begin(ep, now)
    addr = normal(addr)
    table: RawTable = core.raw
    if ep.ping:
        ports.bind(core, ep, table.ping, addr, port)
    else:
        if addr != 0 and core.local_addr(addr) is None and not is_multicast(addr):
            raise OSError(errno.EADDRNOTAVAIL, "the address is not an address of this host")
        ep.laddr = addr
    ep.wildcard = addr == 0


def connect(ep: RawSocket, addr: int, port: int, now: int) -> None:
    """Set the peer; the socket then receives only its packets.

    Address 0 removes the peer. A raw socket has no ports.
    """
    core: Core = datagram.begin(ep, now)
    addr = normal(addr)
    datagram.disconnect(ep)
    if addr == 0:
        return
    dst: Dst = datagram.route_for(core, ep, addr)
    if ep.laddr == 0:
        ep.laddr = dst.src
    ep.raddr = addr
    ep.dst = dst


def sendto(ep: RawSocket, data: Any, addr: int, port: int, flags: int, now: int) -> int:
    """Send one packet to addr, or (0) to the connected peer.

    Returns the number of bytes; raises OSError as sendto(2).
    """
    core: Core = datagram.begin(ep, now)
    if ep.shut_wr:
        raise OSError(errno.EPIPE, "the socket was shut down for sending")
    if ep.so_error != 0:
        raise OSError(ep.take_error(), "an earlier packet caused an ICMP error")
    addr = normal(addr) if addr != 0 else ep.raddr
    if addr == 0:
        raise OSError(errno.EDESTADDRREQ, "the socket is not connected, and no destination was given")
    payload = data if type(data) is bytes else bytes(data)
    if len(payload) > 65535:
        raise OSError(errno.EMSGSIZE, f"{len(payload)} bytes do not fit into an IP packet")
    dst: Dst = datagram.route_for(core, ep, addr, flags)
    if ep.hdrincl:
        error = whole.send(core, dst, payload)
    else:
        if ep.ping:
            payload = _ping_message(core, ep, payload)
        src = datagram.source_of(ep, dst)
        ttl = ep.mcast_ttl if dst.kind == C.DST_MULTICAST else ep.ttl
        tos = ep.tos
        if ep.control is not None:
            if ep.control.ttl != 0:
                ttl = ep.control.ttl
            if ep.control.tos >= 0:
                tos = ep.control.tos
        df = datagram.fragmenting(ep, dst, len(payload) + dst.overhead)
        if ep.proto == C.IPPROTO_ICMP and len(payload) >= 2:
            icmpv4.count_out(core, payload[0])
            if core.probe is not None:
                fields = {"type": payload[0], "code": payload[1]}
                core.emit("icmp.out", "icmp " + addr_text(addr), ep.ident, "the application sent it", "RFC 792", fields)
        out = core.out
        out.begin(dst, src, addr, ep.proto)
        out.ttl = ttl
        out.tos = tos
        out.df = df
        out.mark = ep.mark
        out.payload = payload
        if ttl == 0:
            # RFC 1122 3.2.1.7: a multicast with TTL 0 stays on this host.
            error = 0
            out.payload = None
        else:
            error = encap.output(core, ep.encap, out)
        if error == 0 and dst.kind == C.DST_MULTICAST and ep.mcast_loop and out.dst is not None:
            if dst.iface.kind != C.LINK_LOOPBACK or ttl == 0:
                ip_output.loop_back(core, out, payload)
    if error != 0:
        if error == errno.EMSGSIZE:
            datagram.too_long(ep, dst, addr)
        raise OSError(error, "the packet cannot be sent")
    return len(payload)


def sendmsg(ep: RawSocket, data: Any, addr: int, port: int, flags: int, control: tuple[Any, ...], now: int) -> int:
    """Send one packet as `sendto` does, with the values of its control messages (`datagram.begin_control`)."""
    datagram.begin(ep, now)
    datagram.begin_control(ep, control)
    try:
        return sendto(ep, data, addr, port, flags, now)
    finally:
        datagram.end_control(ep)


def _ping_message(core: Core, ep: RawSocket, data: bytes) -> bytes:
    """Return an echo request with the socket's identifier and a correct checksum instead of the application's."""
    if len(data) < 8:
        raise OSError(errno.EINVAL, f"an ICMP message has at least 8 bytes, not {len(data)}")
    if data[0] != C.ICMP_ECHO or data[1] != 0:
        raise OSError(errno.EINVAL, "a ping socket sends only echo requests (type 8, code 0)")
    if ep.lport == 0:
        table: RawTable = core.raw
        ports.bind(core, ep, table.ping, ep.laddr, 0)
    message = b"\x08\x00\x00\x00" + ep.lport.to_bytes(2, "big") + data[6:]
    csum = sum_any(message, 0) ^ 0xFFFF
    return message[:2] + csum.to_bytes(2, "big") + message[4:]


def recvfrom(ep: RawSocket, flags: int, now: int) -> Any:
    """Return the next Datagram or None.

    A raw socket's `data` is the whole IP packet, a ping socket's is the ICMP message.
    """
    return datagram.recvfrom(ep, flags, now)


def shutdown(ep: RawSocket, how: int, now: int) -> None:
    """Shut down one direction, as shutdown(2)."""
    datagram.shutdown(ep, how, now)


def close(ep: RawSocket, now: int) -> None:
    """Close the socket. Closing it again does nothing."""
    if ep.closed:
        return
    ep.core.now = now
    table: RawTable = ep.core.raw
    if ep.ping:
        ports.release(ep, table.ping)
    else:
        bucket = table.by_proto.get(ep.proto)
        if bucket is not None:
            bucket.pop(ep.ident, None)
            if not bucket:
                del table.by_proto[ep.proto]
    if ep.memberships:
        multicast.leave_all(ep)
    datagram.cleanup(ep)


def setsockopt(ep: RawSocket, level: int, name: int, value: Any, now: int) -> None:
    """Set an option, as setsockopt(2): IP_HDRINCL, ICMP_FILTER (types to leave out) or a common option."""
    core: Core = datagram.begin(ep, now)
    if level == sockopt.IPPROTO_IP and name == sockopt.IP_HDRINCL and not ep.ping:
        ep.hdrincl = sockopt.as_int(value) != 0
    elif level == SOL_RAW and name == ICMP_FILTER and ep.proto == C.IPPROTO_ICMP:
        ep.icmp_filter = sockopt.as_int(value) & 0xFFFFFFFF
    elif not dgramopt.setsockopt(core, ep, level, name, value):
        raise sockopt.bad_option()
    ep.dst = None


def getsockopt(ep: RawSocket, level: int, name: int, now: int) -> Any:
    """Return an option's value (int or bytes), as getsockopt(2)."""
    datagram.begin(ep, now)
    if level == sockopt.SOL_SOCKET:
        if name == sockopt.SO_TYPE:
            return SOCK_DGRAM if ep.ping else SOCK_RAW
        if name == sockopt.SO_PROTOCOL:
            return ep.proto
    if level == sockopt.IPPROTO_IP and name == sockopt.IP_HDRINCL:
        return int(ep.hdrincl)
    value = dgramopt.getsockopt(ep, level, name)
    if value is None:
        raise sockopt.bad_option()
    return value


def deliver(core: Core, iface: Iface, pkt: Packet) -> bool:
    """Deliver a copy of the packet to each raw socket that accepts it. Returns True if there was one."""
    table: RawTable = core.raw
    bucket = table.by_proto.get(pkt.proto)
    if bucket is None:
        return False
    taken = False
    for item in list(bucket.values()):
        ep: RawSocket = item
        if not ep.matches(iface, pkt.dst, pkt.src):
            continue
        if ep.icmp_filter != 0 and pkt.l4_end > pkt.l4_off:
            kind = pkt.frame[pkt.l4_off]
            if kind < 32 and (ep.icmp_filter >> kind) & 1:
                continue
        taken = True
        _enqueue(core, iface, pkt, ep, pkt.ip_off)
    return taken


def _enqueue(core: Core, iface: Iface, pkt: Packet, ep: RawSocket, start: int) -> None:
    end = pkt.l4_end
    if ep.filter is not None:
        end = ep.kept(pkt, iface, start)
        if end < 0:
            return
    data = pkt.frame[start:end]
    if not ep.enqueue(pkt, iface, data, 0):
        core.drop("raw-queue-full", ep.subject(), "the receive buffer is full", "Linux raw(7)")
    elif core.probe is not None:
        core.emit(
            "raw.in", ep.subject(), ep.ident, "a raw or ping socket gets a copy", "Linux raw(7)", {"length": len(data)}
        )


def deliver_reply(core: Core, iface: Iface, pkt: Packet) -> bool:
    """Deliver an echo reply to the ping socket that sent the request. Returns True if there is one."""
    table: RawTable = core.raw
    if table is None:
        return False
    bucket = table.ping.buckets.get(pkt.icmp_rest >> 16)
    if bucket is None:
        return False
    for item in list(bucket.values()):
        ep: RawSocket = item
        if ep.matches(iface, pkt.dst, pkt.src):
            _enqueue(core, iface, pkt, ep, pkt.l4_off)
            return True
    return False


def icmp_error(
    core: Core,
    iface: Iface,
    error: int,
    icmp_type: int,
    code: int,
    info: int,
    offender: int,
    src: int,
    dst: int,
    proto: int,
    l4: bytes,
    local: bool,
) -> bool:
    """Report an ICMP error that quotes a packet src -> dst of ours with the transport bytes `l4`.

    Returns False if no socket sent it.

    `local` means that ARP failed, not that a router reported it; then unconnected sockets get the error, too.
    """
    table: RawTable = core.raw
    if table is None:
        return False
    found = False
    for item in list(table.by_proto.get(proto, {}).values()):
        ep: RawSocket = item
        if ep.matches(iface, src, dst):
            found = True
            _tell(ep, error, icmp_type, code, info, offender, dst, l4, local)
    if proto == C.IPPROTO_ICMP and len(l4) >= 8 and l4[0] == C.ICMP_ECHO:
        for item in list(table.ping.buckets.get((l4[4] << 8) | l4[5], {}).values()):
            ep = item
            if ep.matches(iface, src, dst):
                found = True
                _tell(ep, error, icmp_type, code, info, offender, dst, l4, local)
    return found


def _tell(
    ep: RawSocket, error: int, icmp_type: int, code: int, info: int, offender: int, dst: int, quote: bytes, local: bool
) -> None:
    ep.hard_error(error, icmp_type, code, info, offender, dst, 0, quote, local)
