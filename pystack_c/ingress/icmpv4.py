"""ICMP input: the stack answers echo requests, and passes errors to the socket that they concern (RFC 1122 3.2.2)."""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, from_bytes
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.ip import icmpv4, reassembly, redirect
from pystack_c.ip import options as ip_options
from pystack_c.ip.routing import find_route
from pystack_c.packet import Packet
from pystack_c.route import Dst
from pystack_c.sockets import raw, udp
from pystack_c.tcp import icmp as tcp_icmp
from pystack_c.tcp import tunnel
from pystack_c.wire import icmpv4 as wire

# The errno of each code of Destination Unreachable (RFC 1122 3.2.2.1, RFC 1812 5.2.7.1), as Linux maps them.
_UNREACHABLE = (
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENOPROTOOPT,
    errno.ECONNREFUSED,
    errno.EMSGSIZE,
    errno.EOPNOTSUPP,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.ENONET,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.EHOSTUNREACH,
    errno.EHOSTUNREACH,
    errno.EHOSTUNREACH,
)

# Next-hop MTUs in bytes to try if a router does not report one (RFC 1191 section 7.1)
_PLATEAUS = (65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68)


def error_of(icmp_type: int, code: int) -> int:
    """Return the errno that reports an ICMP error to an application."""
    if icmp_type == C.ICMP_UNREACHABLE:
        return _UNREACHABLE[code] if code < 16 else errno.EHOSTUNREACH
    if icmp_type == C.ICMP_PARAMETER_PROBLEM:
        return errno.EPROTO
    return errno.EHOSTUNREACH


def input(core: Core, iface: Iface, pkt: Packet, taken: bool) -> None:
    """Process an ICMP message for this host. `taken` means that a raw socket already has a copy."""
    core.counters.IcmpInMsgs += 1
    code = wire.parse(pkt)
    if code < 0:
        core.counters.IcmpInErrors += 1
        if code == -1:
            core.drop("icmp-truncated", "icmp " + addr_text(pkt.src), "the message is shorter than 8 bytes", "RFC 792")
        else:
            core.counters.IcmpInCsumErrors += 1
            core.drop("icmp-bad-checksum", "icmp " + addr_text(pkt.src), "the ICMP checksum is wrong", "RFC 792")
        return
    icmpv4.count_in(core, pkt.icmp_type)
    if core.probe is not None:
        fields = {"type": pkt.icmp_type, "code": pkt.icmp_code}
        core.emit("icmp.in", "icmp " + addr_text(pkt.src), 0, "an ICMP message arrived", "RFC 1122 3.2.2", fields)
    if pkt.icmp_type == C.ICMP_ECHO:
        core.counters.IcmpInEchos += 1
        icmpv4.echo_reply(core, pkt)
    elif pkt.icmp_type == C.ICMP_ECHO_REPLY:
        core.counters.IcmpInEchoReps += 1
        if not raw.deliver_reply(core, iface, pkt) and not taken:
            core.drop(
                "icmp-unwanted", "icmp " + addr_text(pkt.src), "no socket waits for this echo reply", "RFC 1122 3.2.2.6"
            )
    elif pkt.icmp_type == C.ICMP_REDIRECT:
        core.counters.IcmpInRedirects += 1
        _redirect(core, iface, pkt)
    elif pkt.icmp_type == C.ICMP_SOURCE_QUENCH:
        core.drop("icmp-source-quench", "icmp " + addr_text(pkt.src), "source quench is obsolete", "RFC 6633 3")
    elif icmpv4.is_error(pkt.icmp_type):
        _error(core, iface, pkt)
    elif not taken:
        # RFC 1122 3.2.2: an ICMP message of unknown type MUST be silently discarded.
        core.drop("icmp-unknown-type", "icmp " + addr_text(pkt.src), "the ICMP type is not known", "RFC 1122 3.2.2")


def _redirect(core: Core, iface: Iface, pkt: Packet) -> None:
    """Change the first hop as a gateway asks, if the settings allow it and a socket sent the quoted packet (RFC 1122 3.2.2.2)."""
    quote = pkt.frame[pkt.data_off : pkt.l4_end]
    hlen = _quoted_header(quote)
    dst: Dst | None = None
    why = ""
    if hlen == 0 or pkt.icmp_code > 3:
        why = "the quoted packet is truncated or not IPv4"
    elif core.config.accept_redirects:
        dst = _path_of(core, iface, quote, hlen)
        if dst is None:
            why = "no socket sent the quoted packet"
    if why == "":
        why = redirect.refused(core, iface, pkt, dst)
    if why == "":
        redirect.accept(core, iface, pkt, dst)
    else:
        core.drop("icmp-redirect", "icmp " + addr_text(pkt.src), why, "RFC 1122 3.2.2.2")


def _quoted_header(quote: bytes) -> int:
    """Return the length of the quoted packet's header, or 0 if the packet is not IPv4, or not followed by 8 bytes of its payload."""
    hlen = (quote[0] & 15) * 4 if len(quote) >= 20 else 0
    if hlen < 20 or quote[0] >> 4 != 4 or len(quote) < hlen + 8:
        return 0
    return hlen


def _path_of(core: Core, iface: Iface, quote: bytes, hlen: int) -> Any:
    """Return the path on which a socket of this host sent the quoted packet, or None if no socket can have sent it."""
    src = from_bytes(quote[12:16])
    dst = from_bytes(quote[16:20])
    if hlen != 20 or core.local_addr(src) is None or ((quote[6] << 8) | quote[7]) & 0x1FFF:
        return None
    l4 = quote[hlen:]
    sport = (l4[0] << 8) | l4[1]
    dport = (l4[2] << 8) | l4[3]
    proto = quote[9]
    if proto == C.IPPROTO_TCP:
        return tcp_icmp.path_of(core, src, dst, sport, dport, int.from_bytes(l4[4:8], "big"))
    if proto == C.IPPROTO_UDP:
        return udp.path_of(core, iface, src, dst, sport, dport)
    if proto == C.IPPROTO_ICMP and core.raw is not None:
        # The protocol has no ports. As on Linux, a gateway that is the current first hop is believed.
        return find_route(core, dst, src)
    return None


def _error(core: Core, iface: Iface, pkt: Packet) -> None:
    """Process Destination Unreachable, Time Exceeded or Parameter Problem, and find the socket that it concerns."""
    if pkt.icmp_type == C.ICMP_UNREACHABLE:
        core.counters.IcmpInDestUnreachs += 1
    elif pkt.icmp_type == C.ICMP_TIME_EXCEEDED:
        core.counters.IcmpInTimeExcds += 1
    else:
        core.counters.IcmpInParmProbs += 1
    info = pkt.icmp_rest
    if pkt.icmp_type == C.ICMP_PARAMETER_PROBLEM:
        info = info >> 24
    quote = pkt.frame[pkt.data_off : pkt.l4_end]
    deliver_error(core, iface, pkt.icmp_type, pkt.icmp_code, info, pkt.src, quote, False)


def deliver_error(
    core: Core, iface: Iface, icmp_type: int, code: int, info: int, offender: int, quote: bytes, local: bool
) -> None:
    """Report an error to the socket that sent the quoted packet.

    `local` means that our own ARP failed, not that a router reported it.
    """
    subject = "icmp " + addr_text(offender)
    hlen = _quoted_header(quote)
    if hlen == 0:
        core.counters.IcmpInErrors += 1
        core.drop("icmp-bad-quote", subject, "the quoted packet is truncated or not IPv4", "RFC 1122 3.2.2")
        return
    src = from_bytes(quote[12:16])
    dst = from_bytes(quote[16:20])
    if hlen > 20:
        dst = ip_options.final_destination(quote[:hlen])
    if core.local_addr(src) is None:
        core.counters.IcmpInErrors += 1
        core.drop("icmp-foreign-quote", subject, "this host did not send the quoted packet", "RFC 1122 3.2.2")
        return
    if ((quote[6] << 8) | quote[7]) & 0x1FFF:
        core.drop("icmp-fragment-quote", subject, "the quoted fragment has no transport header", "RFC 1122 3.2.2")
        return
    if icmp_type == C.ICMP_UNREACHABLE and code == C.ICMP_FRAG_NEEDED:
        length = (quote[2] << 8) | quote[3]
        info = _next_hop_mtu(info, length)
        if quote[6] & 0x40 == 0 or length <= info:
            # RFC 1191 4: a router sends this error only about a
            # datagram with DF that is larger than the next hop's MTU.
            why = "a router could have forwarded the quoted packet, which has no DF flag or is not larger than that MTU"
            core.drop("icmp-impossible-mtu", subject, why, "RFC 1191 4")
            return
    elif icmp_type == C.ICMP_UNREACHABLE:
        info = 0
    proto = quote[9]
    error = error_of(icmp_type, code)
    l4 = quote[hlen:]
    sport = (l4[0] << 8) | l4[1]
    dport = (l4[2] << 8) | l4[3]
    found = raw.icmp_error(core, iface, error, icmp_type, code, info, offender, src, dst, proto, l4, local)
    if proto == C.IPPROTO_UDP:
        if sport != 0 and sport == core.config.tcp_udp_port:
            if tunnel.icmp_error(core, icmp_type, code, info, src, dst, dport, l4):
                return
        if udp.icmp_error(core, iface, error, icmp_type, code, info, offender, src, dst, sport, dport, l4[8:], local):
            found = True
    elif proto == C.IPPROTO_TCP:
        seq = int.from_bytes(l4[4:8], "big")
        if local:
            tcp_icmp.neighbor_failed(core, error, src, dst, sport, dport)
        else:
            tcp_icmp.icmp_error(core, icmp_type, code, info, src, dst, sport, dport, seq)
        return
    if not found:
        core.drop("icmp-no-socket", subject, "no socket sent the quoted packet", "RFC 1122 3.2.2")


def _next_hop_mtu(info: int, length: int) -> int:
    """Return the MTU in Fragmentation Needed.

    An old router's zero becomes the plateau below the quoted packet (RFC 1191 section 5).
    """
    mtu = info & 0xFFFF
    if mtu != 0:
        return mtu if mtu > 68 else 68
    for plateau in _PLATEAUS:
        if plateau < length:
            return plateau
    return 68


def process_failure(core: Core, iface: Iface, icmp_type: int, code: int, packet: bytes) -> None:
    """Report that ARP found no next hop for a packet: to our own socket, or to its sender (RFC 1812 5.2.7.1)."""
    pkt: Packet = core.packet
    if reassembly.load(pkt, packet) != 0 or pkt.frag_off != 0:
        return
    if core.local_addr(pkt.src) is not None:
        deliver_error(core, iface, icmp_type, code, 0, pkt.src, packet, True)
    else:
        why = "the neighbour did not answer ARP"
        icmpv4.send_error(core, pkt, iface, icmp_type, code, 0, why, "RFC 1812 5.2.7.1")
