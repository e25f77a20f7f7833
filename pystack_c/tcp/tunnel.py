"""TCP in UDP as in FreeBSD (tcp(4), udp_tunneling_port), for paths that only UDP can pass.

A segment travels in a UDP datagram between this host's port (the setting tcp_udp_port; 0 means off) and the peer's
port. The peer's port belongs to the connection, so a segment from another port, or without UDP, does not belong to it.
The datagram must have a checksum, because this covers the segment, whose own checksum is zero.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.core import Core
from pystack_c.ip import output as ip_output
from pystack_c.ip.encap import Encap
from pystack_c.packet import Outgoing, Packet
from pystack_c.route import transport_sum
from pystack_c.tcp import icmp as tcp_icmp
from pystack_c.wire import udp as wire


class Tunnel(Encap):
    """The encapsulation (ip/encap.py) of a connection whose peer receives segments at the UDP port `port`."""

    #: The length of the UDP header in bytes.
    overhead = 8

    def __init__(self, port: int) -> None:
        self.port = port

    def send(self, core: Core, out: Outgoing) -> int:
        """Send the segment, whose header is in the scratch buffer, in a UDP datagram. Return 0 or an errno."""
        segment = bytearray(core.scratch[C.L4_OFF : C.L4_OFF + out.l4_len])
        segment[16:18] = b"\0\0"
        if out.payload is not None:
            segment += out.payload
        data = bytes(segment)
        acc = transport_sum(out.dst, out.src, out.daddr, C.IPPROTO_UDP, C.UDP_HLEN + len(data))
        wire.write(core.scratch, C.L4_OFF, acc, core.config.tcp_udp_port, self.port, data, True, False)
        out.proto = C.IPPROTO_UDP
        out.l4_len = 8
        out.payload = data
        return ip_output.output(core, out)


def port_of(way: Any) -> int:
    """Return the UDP port of an encapsulation (a Tunnel, IP options, or None), or 0."""
    return way.port if isinstance(way, Tunnel) else 0


def unwrap(core: Core, pkt: Packet) -> bool:
    """Return True if this UDP datagram carries a segment.

    The segment is then the packet's transport layer, and `core.tunnel` is its encapsulation.
    """
    start = pkt.l4_off
    frame = pkt.frame
    if pkt.l4_end - start < 8 or (frame[start + 2] << 8) | frame[start + 3] != core.config.tcp_udp_port:
        return False
    if wire.parse(pkt) < 0 or frame[start + 6] | frame[start + 7] == 0 or pkt.dst_kind != C.DST_UNICAST:
        # UDP counts invalid datagrams. Without a checksum in the datagram, nothing protects the segment.
        return False
    core.tunnel = Tunnel(pkt.sport)
    pkt.l4_off = start + 8
    pkt.flags |= C.RX_CSUM_OK
    return True


def icmp_error(core: Core, kind: int, code: int, info: int, src: int, dst: int, dport: int, quote: bytes) -> bool:
    """Process an ICMP error that quotes a datagram from our port to (dst, dport).

    Return True if the datagram carried a segment of a connection.
    """
    if core.tcp is None or len(quote) < 16:
        return False
    sport, rport = (quote[8] << 8) | quote[9], (quote[10] << 8) | quote[11]
    tcb = core.tcp.find(src, sport, dst, rport)
    if tcb is None or port_of(tcb.encap) != dport:
        return False
    tcp_icmp.icmp_error(core, kind, code, info, src, dst, sport, rport, int.from_bytes(quote[12:16], "big"))
    return True
