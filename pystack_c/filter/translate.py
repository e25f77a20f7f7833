"""Applying a translation to packets: both forms in which a packet passes the hooks, and the packets that ICMP errors quote."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text
from pystack_c.core import Core
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.filter.flow import Half, Tracked
from pystack_c.packet import Outgoing, Packet
from pystack_c.wire import checksum, rewrite

# the bytes of an arrived packet that are copied before its tail: the transport header up to the checksum
_HEAD = 20
_LINUX = "Linux nf_nat"


def wanted(entry: Tracked, direction: int, source: bool) -> bool:
    """Return True if packets of this direction get another source (or destination).

    A translated source of the original direction is a translated destination of the other one.
    """
    bit = C.IPS_SRC_NAT if source == (direction == C.CT_ORIGINAL) else C.IPS_DST_NAT
    return (entry.status & bit) != 0


def translate(core: Core, entry: Tracked, direction: int, source: bool, packet: Any, arrived: bool) -> None:
    """Give a packet of a connection its new source or destination."""
    ct: Conntrack = core.conntrack
    target = ct.spare_half
    target.mirror(entry.half(1 - direction))
    addr = target.src if source else target.dst
    port = target.sport if source or target.proto == C.IPPROTO_ICMP else target.dport
    if arrived:
        pkt: Packet = packet
        before = pkt.src if source else pkt.dst
        was = _port(pkt.frame, pkt.l4_off, pkt.l4_end, pkt.proto, source)
        if addr != before or port != was:
            _arrived(pkt, source, before, addr, port)
    else:
        out: Outgoing = packet
        before = out.src if source else out.daddr
        was = _leaving(core, out, source, before, addr, port)
    if core.probe is not None and (addr != before or port != was):
        fields = {
            "what": "source" if source else "destination",
            "old": addr_text(before),
            "old_port": was,
            "new": addr_text(addr),
            "new_port": port,
        }
        core.emit("nat.packet", entry.subject(), 0, "the connection is translated", _LINUX, fields)


def _port(data: Any, at: int, end: int, proto: int, source: bool) -> int:
    """Return the port or identifier that a transport header has now, or 0."""
    p = data
    if proto == C.IPPROTO_ICMP:
        return (p[at + 4] << 8) | p[at + 5] if end - at >= 6 else 0
    if (proto != C.IPPROTO_TCP and proto != C.IPPROTO_UDP) or end - at < 4:
        return 0
    if not source:
        at += 2
    return (p[at] << 8) | p[at + 1]


def _arrived(pkt: Packet, source: bool, before: int, addr: int, port: int) -> None:
    """Translate a packet that arrived. Its frame is immutable, so it gets a new one."""
    cut = pkt.l4_off + _HEAD
    if cut > pkt.l4_end:
        cut = pkt.l4_end
    frame = pkt.frame
    q = bytearray(frame[:cut])
    rewrite.network(q, pkt.ip_off, source, addr)
    rewrite.transport(q, pkt.l4_off, cut, pkt.proto, source, before, addr, port, False)
    pkt.frame = bytes(q) + frame[cut:]
    if source:
        pkt.src = addr
    else:
        pkt.dst = addr


def _leaving(core: Core, out: Outgoing, source: bool, before: int, addr: int, port: int) -> int:
    """Translate a packet that leaves. The caller of the hook writes its network header. Returns the old port."""
    partial = out.csum_offset > 0
    if out.l4_len >= 8:
        q = core.scratch
        at = C.L4_OFF
        end = C.L4_OFF + out.l4_len
    elif out.payload is None:
        return 0
    else:
        q = out.payload if type(out.payload) is bytearray else bytearray(out.payload)
        out.payload = q
        at = 0
        end = len(q)
    was = _port(bytes(q[at : at + 8]), 0, end - at, out.proto, source)
    if addr == before and port == was:
        return was
    rewrite.transport(q, at, end, out.proto, source, before, addr, port, partial)
    if source:
        out.src = addr
    else:
        out.daddr = addr
    return was


def translate_error(core: Core, entry: Tracked, direction: int, source: bool, packet: Any, arrived: bool) -> int:
    """Translate an ICMP error: its own address, and the packet that it quotes (RFC 5508 4, REQ-4 and REQ-5). Returns a verdict.

    The quoted packet went the other way, so its destination changes with the source of the error.
    """
    if arrived:
        pkt: Packet = packet
        before = pkt.src if source else pkt.dst
        q = bytearray(pkt.frame[pkt.ip_off : pkt.l4_end])
        at = pkt.l4_off - pkt.ip_off
    else:
        out: Outgoing = packet
        before = out.src if source else out.daddr
        q = bytearray(core.scratch[C.L4_OFF : C.L4_OFF + out.l4_len])
        if out.payload is not None:
            q += out.payload
        at = 0
    if len(q) < at + 8:
        return C.NF_ACCEPT
    if q[at] == C.ICMP_REDIRECT and entry.status & (C.IPS_SRC_NAT | C.IPS_DST_NAT):
        why = "a redirect would show the hosts addresses that are translated here"
        core.drop("nat-redirect", entry.subject(), why, "RFC 5508 7")
        return C.NF_COUNTED
    if not wanted(entry, direction, source):
        return C.NF_ACCEPT
    if not _translate_quoted(core, entry.half(1 - direction), source, q, at):
        why = "the ICMP error quotes too little of the packet to translate it"
        core.drop("nat-short-quote", entry.subject(), why, "RFC 5508 4.2")
        return C.NF_COUNTED
    ct: Conntrack = core.conntrack
    target = ct.spare_half
    target.mirror(entry.half(1 - direction))
    addr = target.src if source else target.dst
    if arrived:
        rewrite.network(q, 0, source, addr)
        _replace(pkt, q, source, addr)
    else:
        core.scratch[C.L4_OFF : C.L4_OFF + out.l4_len] = q[: out.l4_len]
        if out.payload is not None:
            out.payload = q[out.l4_len :]
        if source:
            out.src = addr
        else:
            out.daddr = addr
    if core.probe is not None:
        what = "source" if source else "destination"
        fields = {"what": what, "old": addr_text(before), "old_port": 0, "new": addr_text(addr), "new_port": 0}
        why = "an ICMP error about the connection is translated, with the packet that it quotes"
        core.emit("nat.packet", entry.subject(), 0, why, "RFC 5508 4", fields)
    return C.NF_ACCEPT


def _translate_quoted(core: Core, inner: Half, source: bool, q: bytearray, at: int) -> bool:
    """Translate the packet that the ICMP error at q[at] quotes, and complete the checksum of the error.

    The quoted packet gets the addresses and ports that its sender knows (RFC 5508 4.2).
    """
    ct: Conntrack = core.conntrack
    quoted = ct.quoted
    end = len(q)
    if not rewrite.read(quoted, bytes(q), at + 8, end):
        return False
    # RFC 792: an error quotes at least 8 bytes of the transport header.
    if end - quoted.l4 < 8 and (quoted.proto == C.IPPROTO_TCP or quoted.proto == C.IPPROTO_UDP):
        return False
    addr = inner.dst if source else inner.src
    port = inner.dport if source and inner.proto != C.IPPROTO_ICMP else inner.sport
    before = quoted.dst if source else quoted.src
    rewrite.transport(q, quoted.l4, end, quoted.proto, not source, before, addr, port, False)
    rewrite.network(q, quoted.at, not source, addr)
    q[at + 2] = 0
    q[at + 3] = 0
    csum = checksum.sum_scratch(q, at, end, 0) ^ 0xFFFF
    q[at + 2] = csum >> 8
    q[at + 3] = csum & 0xFF
    return True


def _replace(pkt: Packet, q: bytearray, source: bool, addr: int) -> None:
    """Put a changed packet back into its frame."""
    pkt.frame = pkt.frame[: pkt.ip_off] + bytes(q) + pkt.frame[pkt.l4_end :]
    if source:
        pkt.src = addr
    else:
        pkt.dst = addr
