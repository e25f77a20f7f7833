"""Build one segment: select the window, write the options and the checksum, and pass it to IP (RFC 9293 3.1)."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_diff, seq_gt
from pystack_c.ip import encap
from pystack_c.ip.output import output
from pystack_c.route import transport_sum
from pystack_c.tcp import quirks
from pystack_c.tcp.ecn import accecn
from pystack_c.tcp.mss import fragmenting, path_mtu
from pystack_c.tcp.optionroom import accecn_option, blocks_beside, most_blocks
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timestamps import ts_now
from pystack_c.tcp.window import select_window
from pystack_c.wire.checksum import sum_any, sum_scratch
from pystack_c.wire.tcp import write_sack, write_tcp, write_timestamps


def ecn_flags(tcb: Tcb, flags: int, length: int, sacks: bool) -> int:
    """Return `flags` with AE, CWR and ECE set for a segment without SYN, in the negotiated ECN mode."""
    if tcb.accecn is not None:
        if tcb.accecn.answer >= 0 and length == 0 and not sacks and not flags & C.FIN:
            # RFC 9768 3.2.2.1: report how the SYN-ACK arrived. Only a pure ACK may carry this.
            flags |= tcb.accecn.answer << 6
            tcb.accecn.answer = -1
        elif quirks.tells_marks(tcb):
            flags |= accecn.ace(tcb)
        tcb.accecn.unacked_ce = 0
        return flags
    # RFC 3168 6.1.3: ECE repeats until the peer answers with CWR. RFC 3168 6.1.2: CWR is set on new data.
    if tcb.ecn_echo:
        flags |= C.ECE
    if flags & C.ECT and tcb.ecn_cwr:
        flags |= C.CWR
        tcb.ecn_cwr = False
    return flags


def send_segment(tcb: Tcb, seq: int, flags: int, offset: int, length: int, gso_size: int, reason: str, rfc: str) -> int:
    """Send one segment with `length` bytes of the send buffer, which begin at stream position `offset`.

    `gso_size` is the payload of one segment in bytes if the device cuts the data, else 0. Return 0, or the errno from
    IP.
    """
    core = tcb.core
    scratch = core.scratch
    hlen = 20
    if tcb.ts_ok:
        write_timestamps(scratch, C.L4_OFF + hlen, ts_now(tcb), tcb.ts_recent)
        hlen += 12
    chosen = -1
    if tcb.accecn is not None and (length == 0 or flags & C.ECT or quirks.option_on_all(tcb)):
        # A retransmission has no option, because the original may have been dropped for its option
        # (RFC 9768 3.2.3.2.2).
        chosen = accecn_option(tcb, length > 0)
        tcb.accecn.opt_due = 0 if length > 0 else tcb.accecn.opt_due & accecn.FIRST_DATA
    count = 0
    if tcb.sack_ok and (tcb.sacks is not None or tcb.dsack is not None):
        blocks = list(tcb.sacks) if tcb.sacks is not None else []
        if tcb.dsack is not None:
            # RFC 2883 4: the D-SACK block comes first, and is reported once.
            blocks.insert(0, tcb.dsack)
            tcb.dsack = None
        count = most_blocks(tcb, length > 0)
        if len(blocks) < count:
            count = len(blocks)
        if chosen >= 0:
            count = blocks_beside(tcb, count, chosen)
            if quirks.option_before_sack(tcb):
                hlen += accecn.write(tcb, scratch, C.L4_OFF + hlen, chosen)
                chosen = -2
        if count > 0:
            hlen += write_sack(scratch, C.L4_OFF + hlen, blocks, count)
    if chosen >= 0:
        hlen += accecn.write(tcb, scratch, C.L4_OFF + hlen, chosen)
    window = select_window(tcb)
    tos = tcb.tos
    if tcb.ecn_ok or tcb.accecn is not None:
        # RFC 3168 6.1.2, 6.1.5: new data is ECN-capable; retransmissions and pure ACKs are not.
        if (flags & C.ECT or (tcb.accecn is not None and quirks.all_are_capable(tcb))) and _may_be_capable(tcb):
            tos |= 2
        flags = ecn_flags(tcb, flags, length, count > 0)
        if tcb.accecn is not None:
            tcb.accecn.opt_last = chosen != -1
    flags &= ~C.ECT
    urg = urgent_pointer(tcb, seq)
    if urg > 0:
        flags |= C.URG
    write_tcp(scratch, C.L4_OFF, tcb.lport, tcb.rport, seq, tcb.rcv_nxt, hlen, flags, window, urg)
    payload = tcb.sendbuf.peek(offset, length) if length > 0 else None
    if core.probe is not None:
        fields = {"seq": seq, "ack": tcb.rcv_nxt, "flags": flags, "length": length, "window": window << tcb.rcv_wscale}
        core.emit("tcp.out", tcb.subject(), tcb.ident, reason, rfc, fields)
    # Count an offloaded group as the segments that the device makes from it.
    pieces = 1 if gso_size == 0 else (length + gso_size - 1) // gso_size
    ack_was_sent(tcb, pieces)
    count_sent(tcb, length, pieces)
    return hand_to_ip(tcb, hlen, payload, length, gso_size, tos)


def _may_be_capable(tcb: Tcb) -> bool:
    """The path was not seen to garble the IP-ECN field (RFC 9768 3.2.2.3)."""
    return tcb.accecn is None or not tcb.accecn.no_ect


def urgent_pointer(tcb: Tcb, seq: int) -> int:
    """Return the urgent pointer for a segment at `seq`, or 0 if there is no urgent data ahead.

    It points to the byte after the urgent data (RFC 9293 3.8.5, MUST-62).
    """
    if not (seq_gt(tcb.snd_up, tcb.snd_una) and seq_gt(tcb.snd_up, seq)):
        return 0
    ahead = seq_diff(tcb.snd_up, seq)
    return ahead if ahead < 0xFFFF else 0xFFFF


def count_sent(tcb: Tcb, length: int, pieces: int) -> None:
    """Count `pieces` segments that carry `length` bytes of data in total."""
    tcb.syn_window = False
    tcb.segs_out += pieces
    if length > 0:
        tcb.data_segs_out += pieces
        tcb.bytes_sent += length
    tcb.core.counters.TcpOutSegs += pieces - 1


def ack_was_sent(tcb: Tcb, count: int) -> None:
    """Note that `count` segments with an ACK were sent, so that no ACK is pending any more."""
    tcb.ack_now = False
    tcb.ack_reason = ""
    tcb.last_ack_sent = tcb.rcv_nxt
    tcb.quickack = tcb.quickack - count if tcb.quickack > count else 0
    tcb.core.stop_timer(tcb.delack_timer, "a segment carries the ACK", "RFC 9293 3.8.6.3")


def hand_to_ip(tcb: Tcb, hlen: int, payload: Any, length: int, gso_size: int, tos: int) -> int:
    """Compute the checksum and pass the segment to IP. Return 0 or an errno.

    If the device completes the checksum, the field holds only the sum of the pseudo-header.
    """
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
    out.mark = tcb.mark
    if tcb.encap is None:
        error = output(core, out)
    else:
        # RFC 9293 3.9.2.1: every segment follows the source route.
        error = encap.output(core, tcb.encap, out)
    if error:
        tcb.soft_error = error
    return error
