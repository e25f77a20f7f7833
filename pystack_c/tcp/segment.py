"""Making one segment: window, options, checksum, and down to IP (RFC 9293 section 3.1)."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_diff, seq_gt
from pystack_c.ip import encap
from pystack_c.ip.output import output
from pystack_c.route import transport_sum
from pystack_c.tcp.ecn import accecn
from pystack_c.tcp.mss import fragmenting, path_mtu
from pystack_c.tcp.optionroom import accecn_option, blocks_beside, most_blocks
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timestamps import ts_now
from pystack_c.tcp.window import select_window
from pystack_c.wire.checksum import sum_any, sum_scratch
from pystack_c.wire.tcp import write_sack, write_tcp, write_timestamps


def ecn_flags(tcb: Tcb, flags: int, length: int, sacks: bool) -> int:
    """AE, CWR and ECE of a segment without SYN, in the mode that was agreed on."""
    if tcb.accecn:
        if tcb.acc_answer >= 0 and length == 0 and not sacks and not flags & C.FIN:
            # RFC 9768 3.2.2.1: how the SYN-ACK arrived; on a pure ACK only.
            flags |= tcb.acc_answer << 6
            tcb.acc_answer = -1
        elif tcb.state != C.TIME_WAIT or not tcb.core.config.tcp_accecn_linux:
            flags |= accecn.ace(tcb)
        tcb.acc_unacked_ce = 0
        return flags
    # RFC 3168 6.1.3, and 6.1.2: CWR goes with new data.
    if tcb.ecn_echo:
        flags |= C.ECE
    if flags & C.ECT and tcb.ecn_cwr:
        flags |= C.CWR
        tcb.ecn_cwr = False
    return flags


def send_segment(tcb: Tcb, seq: int, flags: int, offset: int, length: int, gso_size: int, reason: str, rfc: str) -> int:
    """Send one segment with `length` bytes of the stream from `offset`. Returns 0 or an errno of IP."""
    core = tcb.core
    scratch = core.scratch
    hlen = 20
    if tcb.ts_ok:
        write_timestamps(scratch, C.L4_OFF + hlen, ts_now(tcb), tcb.ts_recent)
        hlen += 12
    chosen = -1
    if tcb.accecn and (length == 0 or flags & C.ECT or core.config.tcp_accecn_linux):
        # (Not on a retransmission: it may have been the option that was not let through, RFC 9768 3.2.3.2.2.)
        chosen = accecn_option(tcb, length > 0)
        tcb.acc_opt_due = 0 if length > 0 else tcb.acc_opt_due & accecn.FIRST_DATA
    count = 0
    if tcb.sack_ok and (tcb.sacks is not None or tcb.dsack is not None):
        blocks = list(tcb.sacks) if tcb.sacks is not None else []
        if tcb.dsack is not None:
            # RFC 2883 4: the duplicate comes first, and once.
            blocks.insert(0, tcb.dsack)
            tcb.dsack = None
        count = most_blocks(tcb, length > 0)
        if len(blocks) < count:
            count = len(blocks)
        if chosen >= 0:
            count = blocks_beside(tcb, count, chosen)
            if core.config.tcp_accecn_linux:
                hlen += accecn.write(tcb, scratch, C.L4_OFF + hlen, chosen)
                chosen = -2
        if count > 0:
            hlen += write_sack(scratch, C.L4_OFF + hlen, blocks, count)
    if chosen >= 0:
        hlen += accecn.write(tcb, scratch, C.L4_OFF + hlen, chosen)
    window = select_window(tcb)
    tos = tcb.tos
    if tcb.ecn_ok or tcb.accecn:
        # RFC 3168 6.1.2, 6.1.5: new data is ECN-capable, retransmissions and bare ACKs are not.
        if (flags & C.ECT or (tcb.accecn and core.config.tcp_accecn_linux)) and not tcb.acc_no_ect:
            tos |= 2
        flags = ecn_flags(tcb, flags, length, count > 0)
        tcb.acc_opt_last = chosen != -1
    flags &= ~C.ECT
    urg = urgent_pointer(tcb, seq)
    if urg > 0:
        flags |= C.URG
    write_tcp(scratch, C.L4_OFF, tcb.lport, tcb.rport, seq, tcb.rcv_nxt, hlen, flags, window, urg)
    payload = tcb.sendbuf.peek(offset, length) if length > 0 else None
    if core.probe is not None:
        fields = {"seq": seq, "ack": tcb.rcv_nxt, "flags": flags, "length": length, "window": window << tcb.rcv_wscale}
        core.emit("tcp.out", tcb.subject(), tcb.ident, reason, rfc, fields)
    # What the device will cut counts as the segments that it makes.
    pieces = 1 if gso_size == 0 else (length + gso_size - 1) // gso_size
    ack_was_sent(tcb, pieces)
    count_sent(tcb, length, pieces)
    return hand_to_ip(tcb, hlen, payload, length, gso_size, tos)


def urgent_pointer(tcb: Tcb, seq: int) -> int:
    """The urgent pointer of a segment at `seq`, or 0. It names the byte after the urgent data (RFC 9293 3.8.5, MUST-62)."""
    if not (seq_gt(tcb.snd_up, tcb.snd_una) and seq_gt(tcb.snd_up, seq)):
        return 0
    ahead = seq_diff(tcb.snd_up, seq)
    return ahead if ahead < 0xFFFF else 0xFFFF


def count_sent(tcb: Tcb, length: int, pieces: int) -> None:
    """`pieces` segments leave with `length` bytes of data in all."""
    tcb.syn_window = False
    tcb.segs_out += pieces
    if length > 0:
        tcb.data_segs_out += pieces
        tcb.bytes_sent += length
    tcb.core.counters.TcpOutSegs += pieces - 1


def ack_was_sent(tcb: Tcb, count: int) -> None:
    """Every segment with ACK serves as the acknowledgement: nothing is owed any more. `count` of them were sent."""
    tcb.ack_now = False
    tcb.ack_reason = ""
    tcb.last_ack_sent = tcb.rcv_nxt
    tcb.quickack = tcb.quickack - count if tcb.quickack > count else 0
    tcb.core.stop_timer(tcb.delack_timer, "a segment carries the ACK", "RFC 9293 3.8.6.3")


def hand_to_ip(tcb: Tcb, hlen: int, payload: Any, length: int, gso_size: int, tos: int) -> int:
    """Checksum (whole, or the pseudo-header's part where the device does the rest), and down."""
    core = tcb.core
    route = tcb.route
    acc = transport_sum(route, tcb.laddr, tcb.raddr, C.IPPROTO_TCP, hlen + length)
    csum_offset = 0
    if (
        route.iface.tx_csum
        and tcb.encap is None
        and hlen + length + route.overhead <= (path_mtu(tcb) if gso_size == 0 else 0xFFFF)
    ):
        csum_offset = 16
    else:
        acc = sum_scratch(core.scratch, C.L4_OFF, C.L4_OFF + hlen, acc)
        if payload is not None:
            acc = sum_any(payload, acc)
        acc ^= 0xFFFF
    core.scratch[C.L4_OFF + 16] = (acc >> 8) & 0xFF
    core.scratch[C.L4_OFF + 17] = acc & 0xFF
    core.counters.TcpOutSegs += 1
    out = core.out
    out.begin(route, tcb.laddr, tcb.raddr, C.IPPROTO_TCP)
    out.ttl = tcb.ttl
    out.tos = tos
    out.df = fragmenting(tcb)
    out.l4_len = hlen
    out.payload = payload
    out.gso_size = gso_size
    out.csum_offset = csum_offset
    if tcb.encap is None:
        error = output(core, out)
    else:
        # RFC 9293 3.9.2.1: along the source route, with each segment.
        error = encap.output(core, tcb.encap, out)
    if error:
        tcb.soft_error = error
    return error
