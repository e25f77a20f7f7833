"""ICMP output: echo replies, and errors by the rules of RFC 1122 section 3.2.2 and RFC 1812 section 4.3.2."""

from errno import EPERM
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, is_group, is_loopback
from pystack_c.core import Core
from pystack_c.counters import Counters
from pystack_c.iface import Iface
from pystack_c.ip import encap
from pystack_c.ip import options as ip_options
from pystack_c.packet import Packet
from pystack_c.route import Dst
from pystack_c.wire import icmpv4 as wire

#: An error message quotes as much of the packet as fits into a datagram of this many bytes (RFC 1812 4.3.2.3).
ERROR_SIZE = 576

# the counters of messages sent, by type
_OUT = {
    C.ICMP_ECHO_REPLY: "IcmpOutEchoReps",
    C.ICMP_UNREACHABLE: "IcmpOutDestUnreachs",
    C.ICMP_TIME_EXCEEDED: "IcmpOutTimeExcds",
    C.ICMP_PARAMETER_PROBLEM: "IcmpOutParmProbs",
    C.ICMP_ECHO: "IcmpOutEchos",
    C.ICMP_SOURCE_QUENCH: "IcmpOutSrcQuenchs",
    C.ICMP_REDIRECT: "IcmpOutRedirects",
    13: "IcmpOutTimestamps",
    14: "IcmpOutTimestampReps",
    17: "IcmpOutAddrMasks",
    18: "IcmpOutAddrMaskReps",
}

# the counters of messages that this host receives but does not use
# (RFC 6918 deprecates them, RFC 1122 3.2.2.8 makes them optional)
_IN = {
    C.ICMP_SOURCE_QUENCH: "IcmpInSrcQuenchs",
    13: "IcmpInTimestamps",
    14: "IcmpInTimestampReps",
    17: "IcmpInAddrMasks",
    18: "IcmpInAddrMaskReps",
}


def is_error(icmp_type: int) -> bool:
    """Return True for messages that report errors (RFC 1122 3.2.2). No error may be sent about an error."""
    return icmp_type in (
        C.ICMP_UNREACHABLE,
        C.ICMP_SOURCE_QUENCH,
        C.ICMP_REDIRECT,
        C.ICMP_TIME_EXCEEDED,
        C.ICMP_PARAMETER_PROBLEM,
    )


def count_out(core: Core, icmp_type: int) -> None:
    """Count a message that is sent."""
    core.counters.IcmpOutMsgs += 1
    _count(core.counters, "Out", icmp_type, _OUT)


def count_in(core: Core, icmp_type: int) -> None:
    """Count a valid message that arrived. A type that this host uses has its own counter in the code that uses it."""
    _count(core.counters, "In", icmp_type, _IN)


def _count(counters: Counters, way: str, icmp_type: int, names: dict[int, str]) -> None:
    counters.message(way, icmp_type)
    name = names.get(icmp_type)
    if name is not None:
        setattr(counters, name, getattr(counters, name) + 1)


def send(
    core: Core,
    src: int,
    daddr: int,
    icmp_type: int,
    code: int,
    rest: int,
    payload: Any,
    ttl: int,
    tos: int,
    why: str,
    rfc: str,
    options: Any = None,
) -> int:
    """Send one message, with `options` (an IpOptions or None).

    If `src` is 0, use the route's. Returns 0 or an errno.
    """
    dst: Dst = encap.route_to(core, options, daddr, src, None)
    if dst is None:
        return core.route_error
    if src == 0:
        src = dst.src
    count_out(core, icmp_type)
    if core.probe is not None:
        core.emit("icmp.out", "icmp " + addr_text(daddr), 0, why, rfc, {"type": icmp_type, "code": code})
    wire.write(core.scratch, C.L4_OFF, icmp_type, code, rest, payload)
    out = core.out
    out.begin(dst, src, daddr, C.IPPROTO_ICMP)
    out.ttl = ttl
    out.tos = tos
    out.l4_len = 8
    out.payload = payload
    return encap.output(core, options, out)


def echo_reply(core: Core, pkt: Packet) -> None:
    """Answer an echo request with the same identifier, sequence number and data (RFC 792, RFC 1122 3.2.2.6)."""
    if pkt.dst_kind != C.DST_UNICAST:
        if core.config.icmp_echo_ignore_broadcasts or pkt.dst_kind == C.DST_OTHER:
            core.drop(
                "icmp-echo-broadcast",
                "icmp " + addr_text(pkt.src),
                "this host does not answer a ping to a broadcast address",
                "RFC 1122 3.2.2.6",
            )
            return
    # RFC 1122 3.2.2.6: the source of the reply MUST be the specific-destination address, if there is one.
    src = pkt.dst if pkt.dst_kind == C.DST_UNICAST else 0
    options = None
    if pkt.ip_hlen > 20 and src != 0:
        # RFC 1122 3.2.2.6: the reply returns record route and timestamps with ours added, and reverses a source route.
        options = ip_options.reply(ip_options.of_packet(pkt), pkt.src)
    data = pkt.frame[pkt.data_off : pkt.l4_end]
    why = "an echo request for this host arrived"
    error = send(
        core,
        src,
        pkt.src,
        C.ICMP_ECHO_REPLY,
        0,
        pkt.icmp_rest,
        data,
        core.config.ip_default_ttl,
        pkt.tos,
        why,
        "RFC 1122 3.2.2.6",
        options,
    )
    if error != 0 and error != EPERM:
        # EPERM means that a hook refused the reply and counted it.
        core.drop("icmp-no-route", "icmp " + addr_text(pkt.src), "there is no route to the sender", "RFC 1122 3.2.2.6")


def may_send_error(core: Core, pkt: Packet, iface: Iface) -> bool:
    """Return False if RFC 1122 3.2.2 forbids an error about the packet `pkt`."""
    if pkt.dst_kind == C.DST_BROADCAST or pkt.dst_kind == C.DST_MULTICAST or pkt.l2_group:
        return False
    if pkt.frag_off != 0:
        return False
    # A source that does not define a single host: zero, loopback (from outside), broadcast, multicast or class E.
    if pkt.src == 0 or is_group(pkt.src):
        return False
    if is_loopback(pkt.src) and iface.kind != C.LINK_LOOPBACK:
        return False
    if pkt.proto == C.IPPROTO_ICMP:
        # Without its type octet, the message might be an error.
        if pkt.l4_end <= pkt.l4_off:
            return False
        p = pkt.frame
        if is_error(p[pkt.l4_off]):
            return False
    return True


def may_send_now(core: Core, addr: int, iface: Iface, icmp_type: int, code: int) -> bool:
    """Apply the rate limits of errors (RFC 1812 4.3.2.8), in Linux's order. The peer's own limit is first, so that one
    address can use only a small part of the total.

    As on Linux, Fragmentation Needed has no limit for its peer, because
    the path does not work without it, and loopback has no limits. Redirects have a limit of their own (ip/redirect.py).
    """
    config = core.config
    if iface.kind == C.LINK_LOOPBACK or config.icmp_ratelimit <= 0 or icmp_type == C.ICMP_REDIRECT:
        return True
    if icmp_type != C.ICMP_UNREACHABLE or code != C.ICMP_FRAG_NEEDED:
        if not core.icmp_peers.take(core.rng, core.now, addr, config.icmp_peer_interval, config.icmp_burst):
            core.counters.IcmpOutRateLimitHost += 1
            core.drop(
                "icmp-ratelimit", "icmp " + addr_text(addr), "ICMP errors to this host are limited", "RFC 1812 4.3.2.8"
            )
            return False
    if not core.icmp_budget.take(core.rng, core.now, config.icmp_ratelimit):
        core.counters.IcmpOutRateLimitGlobal += 1
        core.drop("icmp-ratelimit", "icmp " + addr_text(addr), "ICMP errors are limited", "RFC 1812 4.3.2.8")
        return False
    return True


def send_error(core: Core, pkt: Packet, iface: Iface, icmp_type: int, code: int, rest: int, why: str, rfc: str) -> None:
    """Send an ICMP error to the sender of `pkt`, if the rules allow it. The caller counts `pkt` itself."""
    if not may_send_error(core, pkt, iface):
        return
    if not may_send_now(core, pkt.src, iface, icmp_type, code):
        return
    # If the packet was sent to this host, the error comes from that address. Otherwise this is a router, whose error
    # comes from the address of the outgoing interface (RFC 1812 4.3.2.4).
    src = pkt.dst if core.local_addr(pkt.dst) is not None else 0
    send_quote(core, src, pkt, icmp_type, code, rest, why, rfc)


def send_quote(core: Core, src: int, pkt: Packet, icmp_type: int, code: int, rest: int, why: str, rfc: str) -> int:
    """Send an error that quotes `pkt` to its sender, from `src` (0: the route's). Returns 0 or an errno."""
    # RFC 1122 3.2.2: quote the header and at least 8 bytes; RFC 1812 4.3.2.3: as much as fits into 576 bytes.
    end = min(pkt.ip_off + pkt.total_len, pkt.ip_off + ERROR_SIZE - 28)
    quote = pkt.frame[pkt.ip_off : end]
    # RFC 1812 4.3.2.5: keep the TOS without the ECN bits, and set precedence 6 (internetwork control).
    tos = (pkt.tos & 0x1C) | 0xC0
    error = send(core, src, pkt.src, icmp_type, code, rest, quote, core.config.ip_default_ttl, tos, why, rfc)
    if error != 0:
        core.counters.IcmpOutErrors += 1
    return error
