"""Send resets: for segments without a connection, and for a connection that is aborted (RFC 9293 section 3.5.2)."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add
from pystack_c.ip import encap
from pystack_c.packet import Packet
from pystack_c.route import transport_sum
from pystack_c.tcp import quirks
from pystack_c.tcp.ecn import accecn
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timestamps import ts_now
from pystack_c.wire.checksum import sum_scratch
from pystack_c.wire.tcp import segment_len, write_tcp, write_timestamps


def send_reset(
    core: Any, src: int, dst: int, sport: int, dport: int, seq: int, ack: int, flags: int, reason: str, rfc: str
) -> None:
    """Send a RST that belongs to no connection, from (src, sport) of this host to (dst, dport)."""
    ttl, tos = core.config.ip_default_ttl, 0
    owner: Tcb = quirks.reset_owner(core, sport)
    if owner is not None:
        ttl = owner.ttl
        tos = owner.tos
    reset_segment(core, src, dst, sport, dport, seq, ack, 20, flags, ttl, tos, reason, rfc, core.tunnel)


def reset_segment(
    core: Any,
    src: int,
    dst: int,
    sport: int,
    dport: int,
    seq: int,
    ack: int,
    hlen: int,
    flags: int,
    ttl: int,
    tos: int,
    reason: str,
    rfc: str,
    options: Any,
) -> None:
    """Send a RST with a header of `hlen` bytes. Its TCP options are already in the scratch buffer.

    `options` is the encapsulation (IP options, or UDP), or None. Without a route, nothing is sent.
    """
    route = encap.route_to(core, options, dst, src, None)
    if route is None:
        return
    write_tcp(core.scratch, C.L4_OFF, sport, dport, seq, ack, hlen, flags, 0, 0)
    acc = transport_sum(route, src, dst, C.IPPROTO_TCP, hlen)
    acc = sum_scratch(core.scratch, C.L4_OFF, C.L4_OFF + hlen, acc) ^ 0xFFFF
    core.scratch[C.L4_OFF + 16] = (acc >> 8) & 0xFF
    core.scratch[C.L4_OFF + 17] = acc & 0xFF
    core.counters.TcpOutSegs += 1
    core.counters.TcpOutRsts += 1
    if core.probe is not None:
        fields = {"seq": seq, "ack": ack, "flags": flags, "length": 0, "window": 0}
        core.emit("tcp.out", f"tcp port {sport}", 0, reason, rfc, fields)
    out = core.out
    out.begin(route, src, dst, C.IPPROTO_TCP)
    out.ttl = ttl
    out.tos = tos
    out.df = C.DONT_FRAGMENT
    out.l4_len = hlen
    encap.output(core, options, out)


def reset_connection(tcb: Tcb, reason: str, rfc: str) -> None:
    """Send a RST with ACK at SND.NXT for an open connection, as ABORT requires (RFC 9293 3.10.5)."""
    core = tcb.core
    hlen = 20
    if tcb.ts_ok:
        # RFC 7323 3.2: a RST SHOULD carry timestamps.
        hlen += write_timestamps(core.scratch, C.L4_OFF + 20, ts_now(tcb), tcb.ts_recent)
    flags = C.RST | C.ACK
    if tcb.accecn is not None:
        flags |= accecn.ace(tcb)
    seq, ack = tcb.snd_nxt, tcb.rcv_nxt
    ttl, tos = tcb.ttl, tcb.tos
    reset_segment(
        core, tcb.laddr, tcb.raddr, tcb.lport, tcb.rport, seq, ack, hlen, flags, ttl, tos, reason, rfc, tcb.encap
    )


def refuse(core: Any, pkt: Packet, why: str, rfc: str) -> None:
    """Answer an unexpected segment with a RST (RFC 9293 3.5.2, groups 1 and 2)."""
    if pkt.tcp_flags & C.ACK:
        send_reset(core, pkt.dst, pkt.src, pkt.dport, pkt.sport, pkt.ack, 0, C.RST, why, rfc)
    else:
        ack = seq_add(pkt.seq, segment_len(pkt))
        send_reset(core, pkt.dst, pkt.src, pkt.dport, pkt.sport, 0, ack, C.RST | C.ACK, why, rfc)
