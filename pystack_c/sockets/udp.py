"""UDP (RFC 768, RFC 1122 section 4.1): sockets, demultiplexing, input and output."""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, is_multicast, loopback_for, normal, plain
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.ip import encap, icmpv4
from pystack_c.ip import output as ip_output
from pystack_c.ip.routing import route_flow
from pystack_c.packet import Packet, cut
from pystack_c.route import Dst, transport_sum
from pystack_c.sockets import datagram, dgramopt, multicast, ports, sockopt
from pystack_c.sockets.datagram import DatagramSocket
from pystack_c.sockets.ports import PortTable
from pystack_c.wire import udp as wire

SOCK_DGRAM = 2

_DROPS = ("", "udp-truncated", "udp-bad-length", "udp-bad-checksum")
_REASONS = (
    "",
    "the datagram is shorter than a UDP header",
    "the UDP length field does not match the packet",
    "the UDP checksum is wrong",
)


class UdpSocket(DatagramSocket):
    """One UDP socket."""

    def __init__(self, core: Any, ident: int) -> None:
        DatagramSocket.__init__(self, core, ident)
        self.no_check = False

    def subject(self) -> str:
        """Return a short name for events."""
        return f"udp {addr_text(self.laddr)}:{self.lport}-{addr_text(self.raddr)}:{self.rport}"


def udp_open(core: Core, now: int) -> UdpSocket:
    """Open a socket(AF_INET, SOCK_DGRAM)."""
    core.now = now
    if core.udp is None:
        core.udp = PortTable(True)
    ep = UdpSocket(core, core.new_ident())
    core.endpoints[ep.ident] = ep
    return ep


def bind(ep: UdpSocket, addr: int, port: int, now: int) -> None:
    """Bind the socket to a local address and port, as bind(2); see ports.bind."""
    core: Core = datagram.begin(ep, now)
    addr = normal(addr)
    ports.bind(core, ep, core.udp, addr, port)
    ep.wildcard = addr == 0


def connect(ep: UdpSocket, addr: int, port: int, now: int) -> None:
    """Set the peer; the socket then receives only its datagrams and ICMP errors about them.

    Address 0 with port 0 removes the peer.
    """
    core: Core = datagram.begin(ep, now)
    if not 0 <= port <= 65535:
        raise OSError(errno.EINVAL, f"port {port} is not in 0..65535")
    addr = normal(addr)
    datagram.disconnect(ep)
    if addr == 0 and port == 0:
        if not ep.bound:
            ports.release(ep, core.udp)
        return
    if addr == 0:  # as on Linux, this host
        addr = loopback_for(addr)
    dst: Dst = datagram.route_for(core, ep, addr, 0, port)
    if ep.lport == 0:
        ports.bind(core, ep, core.udp, ep.laddr, 0)
        ep.bound = False
    if ep.laddr == 0:
        ep.laddr = dst.src
    ep.raddr = addr
    ep.rport = port
    ep.dst = dst


def sendto(ep: UdpSocket, data: Any, addr: int, port: int, flags: int, now: int) -> int:
    """Send one datagram to addr:port, or (address 0) to the connected peer. Never blocks.

    Returns the number of bytes, and raises OSError as sendto(2).
    """
    core: Core = datagram.begin(ep, now)
    if ep.shut_wr:
        raise OSError(errno.EPIPE, "the socket was shut down for sending")
    if ep.so_error != 0:
        raise OSError(ep.take_error(), "an earlier datagram caused an ICMP error")
    if addr == 0 and port == 0:
        if ep.raddr == 0:
            raise OSError(errno.EDESTADDRREQ, "the socket is not connected, and no destination was given")
        addr = ep.raddr
        port = ep.rport
    elif addr == 0:  # Linux: this host
        addr = loopback_for(addr)
    else:
        addr = normal(addr)
    if port == 0:
        raise OSError(errno.EINVAL, "port 0 is not a valid destination port")
    if not 0 <= port <= 65535:
        raise OSError(errno.EINVAL, f"port {port} is not in 0..65535")
    payload = data if type(data) is bytes else bytes(data)
    if len(payload) > 0xFFFF:
        raise OSError(errno.EMSGSIZE, f"{len(payload)} bytes do not fit into a UDP datagram")
    dst: Dst = datagram.route_for(core, ep, addr, flags, port)
    most = 0xFFFF - C.UDP_HLEN - dst.overhead
    if len(payload) > most:
        datagram.too_long(ep, dst, addr)
        raise OSError(errno.EMSGSIZE, f"{len(payload)} bytes do not fit into a UDP datagram, which holds up to {most}")
    if ep.lport == 0:
        ports.bind(core, ep, core.udp, ep.laddr, 0)
        ep.bound = False
    error = _output(core, ep, dst, addr, port, payload)
    if error != 0:
        if error == errno.EMSGSIZE:
            datagram.too_long(ep, dst, addr)
        raise OSError(error, "the datagram cannot be sent")
    return len(payload)


def sendmsg(ep: UdpSocket, data: Any, addr: int, port: int, flags: int, control: tuple[Any, ...], now: int) -> int:
    """Send one datagram as `sendto` does, with the values of its control messages (`datagram.begin_control`)."""
    datagram.begin(ep, now)
    datagram.begin_control(ep, control)
    try:
        return sendto(ep, data, addr, port, flags, now)
    finally:
        datagram.end_control(ep)


def _output(core: Core, ep: UdpSocket, dst: Dst, addr: int, port: int, payload: bytes) -> int:
    src = ep.laddr
    if src == 0 or ep.control is not None or is_multicast(src):
        src = datagram.source_of(ep, dst)
    ttl = ep.mcast_ttl if dst.kind == C.DST_MULTICAST else ep.ttl
    tos = ep.tos
    if ep.control is not None:
        if ep.control.ttl != 0:
            ttl = ep.control.ttl
        if ep.control.tos >= 0:
            tos = ep.control.tos
    size = dst.overhead + C.UDP_HLEN + len(payload)
    df = datagram.fragmenting(ep, dst, size)
    # A datagram that will be fragmented needs its checksum first, because the device sees only the fragments.
    partial = dst.iface.tx_csum and not ep.no_check and size <= dst.mtu and ep.encap is None
    if core.probe is not None:
        subject = f"udp {addr_text(src)}:{ep.lport}-{addr_text(addr)}:{port}"
        core.emit("udp.out", subject, ep.ident, "the application sent a datagram", "RFC 768", {"length": len(payload)})
    acc = transport_sum(dst, src, addr, C.IPPROTO_UDP, C.UDP_HLEN + len(payload))
    wire.write(core.scratch, C.L4_OFF, acc, ep.lport, port, payload, not ep.no_check, partial)
    out = core.out
    out.begin(dst, src, addr, C.IPPROTO_UDP)
    out.ttl = ttl
    out.tos = tos
    out.df = df
    out.l4_len = 8
    out.mark = ep.mark
    out.payload = payload
    if partial:
        out.csum_offset = 6
    if ttl == 0:
        # RFC 1122 3.2.1.7: a multicast with TTL 0 stays on this host.
        error = 0
        out.payload = None
    elif ep.encap is None:
        error = ip_output.output(core, out)
    else:
        error = encap.output(core, ep.encap, out)
    if error != 0:
        return error
    core.counters.UdpOutDatagrams += 1
    if dst.kind == C.DST_BROADCAST or (dst.kind == C.DST_MULTICAST and ep.mcast_loop):
        if dst.iface.kind == C.LINK_LOOPBACK and ttl > 0:
            return 0  # what was sent comes back anyway
        table: PortTable = core.udp
        if port in table.buckets and out.dst is not None:
            ip_output.loop_back(core, out, payload)
    return 0


def recvfrom(ep: UdpSocket, flags: int, now: int) -> Any:
    """Return the next Datagram, or None.

    MSG_PEEK leaves it in the queue; MSG_ERRQUEUE takes it from the error queue.
    """
    return datagram.recvfrom(ep, flags, now)


def shutdown(ep: UdpSocket, how: int, now: int) -> None:
    """Shut down one direction, as shutdown(2)."""
    datagram.shutdown(ep, how, now)


def close(ep: UdpSocket, now: int) -> None:
    """Release the port and the queued datagrams. Closing the socket again does nothing."""
    if ep.closed:
        return
    ep.core.now = now
    ports.release(ep, ep.core.udp)
    if ep.memberships:
        multicast.leave_all(ep)
    datagram.cleanup(ep)


def setsockopt(ep: UdpSocket, level: int, name: int, value: Any, now: int) -> None:
    """Set an option, as setsockopt(2). Raises ENOPROTOOPT for an unknown option."""
    core: Core = datagram.begin(ep, now)
    if level == sockopt.SOL_SOCKET and name == sockopt.SO_NO_CHECK:
        ep.no_check = sockopt.as_int(value) != 0
    elif not dgramopt.setsockopt(core, ep, level, name, value):
        raise sockopt.bad_option()
    ep.dst = None


def getsockopt(ep: UdpSocket, level: int, name: int, now: int) -> Any:
    """Return an option's value (int or bytes), as getsockopt(2)."""
    datagram.begin(ep, now)
    if level == sockopt.SOL_SOCKET:
        if name == sockopt.SO_TYPE:
            return SOCK_DGRAM
        if name == sockopt.SO_PROTOCOL:
            return C.IPPROTO_UDP
        if name == sockopt.SO_NO_CHECK:
            return int(ep.no_check)
    value = dgramopt.getsockopt(ep, level, name)
    if value is None:
        raise sockopt.bad_option()
    return value


def lookup(core: Core, iface: Iface, laddr: int, lport: int, raddr: int, rport: int) -> Any:
    """Return the most specific socket for a datagram raddr:rport -> laddr:lport, the latest of equals, or None.

    Among equals with SO_REUSEPORT, a keyed hash of the peer's address and port and our address chooses, so that one
    peer stays with one socket.
    """
    table: PortTable = core.udp
    bucket = table.buckets.get(lport) if table is not None else None
    if bucket is None:
        return None
    if len(bucket) == 1:
        for item in bucket.values():
            only: UdpSocket = item
            return only if _score(only, iface, laddr, raddr, rport) >= 0 else None
    best = None
    best_score = -1
    shared = 0
    for item in bucket.values():
        ep: UdpSocket = item
        score = _score(ep, iface, laddr, raddr, rport)
        if score < 0 or score < best_score:
            continue
        shared = shared + 1 if score == best_score and ep.reuseport else 1
        best = ep
        best_score = score
    if shared > 1 and best is not None and best.reuseport:
        return _choose(core, bucket, iface, laddr, raddr, rport, best_score, shared)
    return best


def _score(ep: UdpSocket, iface: Iface, laddr: int, raddr: int, rport: int) -> int:
    """Return -1 if the socket does not accept the datagram, otherwise a score that grows with its restrictions."""
    if not ep.matches(iface, laddr, raddr):
        return -1
    if ep.rport != 0 and ep.rport != rport:
        return -1
    score = 0
    if ep.laddr != 0:
        score += 1
    if ep.raddr != 0:
        score += 2
    if ep.bound_iface is not None:
        score += 1
    return score


def _choose(
    core: Core, bucket: dict[Any, Any], iface: Iface, laddr: int, raddr: int, rport: int, score: int, count: int
) -> Any:
    key = b"reuseport%d,%d,%d" % (plain(laddr), plain(raddr), rport)
    index = core.rng.keyed_hash(key) % count
    for item in bucket.values():
        ep: UdpSocket = item
        if ep.reuseport and _score(ep, iface, laddr, raddr, rport) == score:
            if index == 0:
                return ep
            index -= 1
    return None


def input(core: Core, iface: Iface, pkt: Packet) -> None:
    """Process a UDP datagram for this host (RFC 1122 4.1.3)."""
    code = wire.parse(pkt)
    if code < 0:
        core.counters.UdpInErrors += 1
        if code == -3:
            core.counters.UdpInCsumErrors += 1
        core.drop(_DROPS[-code], "udp " + addr_text(pkt.src), _REASONS[-code], "RFC 768")
        return
    if pkt.dst_kind != C.DST_UNICAST:
        _deliver_all(core, iface, pkt)
        return
    ep: UdpSocket = lookup(core, iface, pkt.dst, pkt.dport, pkt.src, pkt.sport)
    if ep is not None:
        _deliver(core, iface, pkt, ep)
        return
    core.counters.UdpNoPorts += 1
    why = f"no socket is bound to port {pkt.dport}"
    core.drop("udp-no-port", "udp " + addr_text(pkt.src), why, "RFC 1122 4.1.3.1")
    # RFC 1122 4.1.3.1: if there is no pending LISTEN call, UDP SHOULD send an ICMP Port Unreachable message.
    icmpv4.send_error(core, pkt, iface, C.ICMP_UNREACHABLE, C.ICMP_PORT_UNREACH, 0, why, "RFC 1122 4.1.3.1")


def _deliver_all(core: Core, iface: Iface, pkt: Packet) -> None:
    """Deliver a copy of a broadcast or multicast to each socket that accepts it."""
    table: PortTable = core.udp
    bucket = table.buckets.get(pkt.dport) if table is not None else None
    count = 0
    if bucket is not None:
        for item in list(bucket.values()):
            ep: UdpSocket = item
            if _score(ep, iface, pkt.dst, pkt.src, pkt.sport) >= 0:
                _deliver(core, iface, pkt, ep)
                count += 1
    if count == 0:
        core.counters.UdpIgnoredMulti += 1
        core.drop(
            "udp-no-port",
            "udp " + addr_text(pkt.src),
            "no socket accepts this broadcast or multicast",
            "RFC 1122 4.1.3.1",
        )


def _deliver(core: Core, iface: Iface, pkt: Packet, ep: UdpSocket) -> None:
    end = pkt.l4_end
    if ep.filter is not None:
        # As on Linux, the filter sees the UDP header, too, and cannot cut it off.
        end = ep.kept(pkt, iface, pkt.l4_off)
        if end < 0:
            core.counters.UdpInErrors += 1
            return
        if end < pkt.data_off:
            end = pkt.data_off
    data = cut(pkt.frame, pkt.data_off, end)
    if not ep.enqueue(pkt, iface, data, pkt.sport):
        core.counters.UdpRcvbufErrors += 1
        core.counters.UdpInErrors += 1
        core.drop("udp-queue-full", ep.subject(), "the receive buffer is full", "RFC 768")
        return
    core.counters.UdpInDatagrams += 1
    if core.probe is not None:
        subject = f"udp {addr_text(pkt.src)}:{pkt.sport}-{addr_text(pkt.dst)}:{pkt.dport}"
        core.emit("udp.in", subject, ep.ident, "the socket has room for the datagram", "RFC 768", {"length": len(data)})


def path_of(core: Core, iface: Iface, src: int, dst: int, sport: int, dport: int) -> Any:
    """Return the path of datagrams from the socket that can have sent this one, or None."""
    ep: UdpSocket = lookup(core, iface, src, sport, dst, dport)
    if ep is None:
        return None
    if ep.dst is not None and ep.raddr == dst:
        return ep.dst
    return route_flow(core, dst, ep.laddr, ep.bound_iface, ep.dontroute, ep.mark, None, C.IPPROTO_UDP, sport, dport)


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
    sport: int,
    dport: int,
    quote: bytes,
    local: bool,
) -> bool:
    """Report an ICMP error that quotes a datagram src:sport -> dst:dport of ours.

    Returns False if no socket sent it.
    """
    ep: UdpSocket = lookup(core, iface, src, sport, dst, dport)
    if ep is None:
        return False
    if icmp_type == C.ICMP_UNREACHABLE and code == C.ICMP_FRAG_NEEDED and not datagram.path_mtu(core, ep, dst, info):
        why = "the socket sent no datagram with DF that was larger than that MTU, so the error cannot be genuine"
        core.drop("icmp-impossible-mtu", ep.subject(), why, "RFC 5927 7")
        return True
    ep.hard_error(error, icmp_type, code, info, offender, dst, dport, quote, local)
    return True
