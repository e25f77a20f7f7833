"""Decisions in which Linux or FreeBSD differ from the RFCs, if a profile selects them (pystack_c/settings/quirks.py).

The modules of TCP follow the RFCs, and call these functions at the few places where a quirk changes a decision. With
the default settings, each function gives the RFC's answer. A quirk of a path that runs for every segment is at the end
of the module of that path, under the heading "quirks". No other code reads a quirk's setting: `tools/core_lint.py`
checks that.
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_ge, seq_le, seq_lt
from pystack_c.core import Core
from pystack_c.packet import Packet
from pystack_c.tcp.queues.rtxq import RtxQueue
from pystack_c.tcp.tcb import Tcb
from pystack_c.wire.tcp import segment_len

# -- ICMP errors -----------------------------------------------------------------------------------------------------


def icmp_problem(core: Core, problem: int, hard: bool) -> int:
    """Return the errno of an ICMP error. For FreeBSD, each error that ends an opening means ECONNREFUSED."""
    if core.config.tcp_icmp_refused and (hard or core.config.tcp_icmp_opening):
        return errno.ECONNREFUSED
    return problem


def icmp_ends_opening(core: Core, kind: int, code: int, hard: bool) -> bool:
    """Return True if an ICMP error ends a connection that is opening. A hard error does (SHLD-26).

    For Linux, every error does. For FreeBSD, time exceeded does, too, and its sysctl icmp_may_rst turns the rule off.
    """
    config = core.config
    if not config.tcp_icmp_may_rst:
        return False
    if config.tcp_icmp_refused and kind == C.ICMP_TIME_EXCEEDED and code == 0:
        return True
    return hard or config.tcp_icmp_opening


def fast_open_is_opening(tcb: Tcb) -> bool:
    """Return True if the connection counts as opening: for Linux, a Fast Open connection does until it is accepted."""
    return tcb.state == C.SYN_RECEIVED and tcb.fastopen and tcb.core.config.tcp_icmp_opening


def icmp_ends_child(tcb: Tcb, kind: int, code: int) -> bool:
    """Return True if an ICMP error ends a connection that waits in SYN-RECEIVED, as on Linux (tcp_req_err)."""
    if tcb.state != C.SYN_RECEIVED or not tcb.passive or not tcb.core.config.tcp_icmp_opening:
        return False
    return kind != C.ICMP_UNREACHABLE or code <= 1


# -- opening and closing ---------------------------------------------------------------------------------------------


def keeps_alive(core: Core) -> bool:
    """Keep-alives are off until the application asks for them (MUST-25). For FreeBSD, they may be on for all connections."""
    return core.config.tcp_always_keepalive


def first_window(tcb: Tcb) -> int:
    """Return the window that a connection announces first, or 0 for the whole buffer. For Linux, data makes it grow."""
    return tcb.core.config.tcp_window_start


def announces_path_mtu(tcb: Tcb) -> bool:
    """The MSS to announce is what the link can receive (MUST-67). For Linux, the path MTU counts."""
    return tcb.core.config.tcp_advmss_pmtu


def drops_options(tcb: Tcb) -> bool:
    """For FreeBSD, a SYN that was retransmitted often offers only an MSS."""
    return tcb.retries > 2 and tcb.core.config.tcp_syn_drop_options


def opening_time(tcb: Tcb) -> int:
    """Return how long an opening may take, whatever the number of retransmissions (FreeBSD's TCP_KEEPINIT), or 0."""
    return tcb.keepinit if tcb.keepinit > 0 else tcb.core.config.tcp_keepinit


def acks_crossed(tcb: Tcb) -> bool:
    """For Linux, a SYN,ACK that crossed its own is acknowledged at once. RFC 9293 3.5, figure 7 needs no such ACK."""
    return tcb.core.config.tcp_crossed_ack


def drops_syn_fin(core: Core) -> bool:
    """For FreeBSD (drop_synfin), a segment with SYN and FIN belongs to no connection."""
    return core.config.tcp_drop_synfin > 1


def syn_opens(core: Core, flags: int) -> bool:
    """Return True if a segment with these flags opens a connection: a SYN does (RFC 9293 3.10.7.2).

    Linux and others ignore a SYN with FIN.
    """
    return flags & C.SYN != 0 and not (flags & C.FIN != 0 and core.config.tcp_drop_synfin > 0)


def listener_resets(core: Core, flags: int) -> bool:
    """Return True if a listener answers an ACK with a RST (RFC 9293 3.10.7.2). FreeBSD does not answer a SYN-ACK."""
    return core.config.tcp_listen_reset or not flags & C.SYN


def foreign_stamp(tcb: Tcb, pkt: Packet, latest: int) -> bool:
    """Return True if a SYN-ACK echoes a timestamp that we never sent.

    Linux does not accept it as an answer to the SYN.
    """
    if not tcb.core.config.tcp_syn_ts_check or pkt.tcp_flags & C.RST or not pkt.opt_ts or pkt.tsecr == 0:
        return False
    return not (seq_le(tcb.syn_stamp, pkt.tsecr) and seq_le(pkt.tsecr, latest))


def keep_crossed_text(tcb: Tcb, pkt: Packet) -> None:
    """Keep the text and FIN of a SYN that crosses ours until the connection is established (RFC 9293 3.10.7.3).

    FreeBSD keeps only the text, and Linux keeps nothing.
    """
    keep = tcb.core.config.tcp_crossed_text
    if keep & 1 and pkt.l4_end > pkt.data_off or keep & 2 and pkt.tcp_flags & C.FIN:
        end = pkt.l4_end if keep & 1 else pkt.data_off
        tcb.syn_text = pkt.frame[pkt.data_off : min(end, pkt.data_off + tcb.recvbuf.size)]
        if keep & 2 and pkt.tcp_flags & C.FIN and pkt.data_off + len(tcb.syn_text) == pkt.l4_end:
            tcb.fin_expected = True
            tcb.fin_expected_seq = seq_add(tcb.rcv_nxt, len(tcb.syn_text))


def round_buffer(tcb: Tcb) -> None:
    """Round the size of the receive buffer up to whole segments, as FreeBSD does."""
    if tcb.core.config.tcp_round_buffers:
        # FreeBSD does not subtract the timestamps here.
        size = tcb.mss + 12 if tcb.ts_ok else tcb.mss
        tcb.recvbuf.size = (tcb.recvbuf.size + size - 1) // size * size


def answers_in_time_wait(tcb: Tcb, flags: int) -> bool:
    """For FreeBSD, TIME-WAIT has rules of its own for all segments but a RST and a SYN,ACK."""
    return tcb.core.config.tcp_tw_answer and not flags & C.RST and (flags & C.ACK == 0 or flags & C.SYN == 0)


def repeats_fin(tcb: Tcb) -> bool:
    """For FreeBSD, the ACK of a FIN that crossed its own carries that FIN again."""
    return tcb.core.config.tcp_closing_fin


def fin_may_wait(tcb: Tcb) -> bool:
    """Return True if the ACK of a FIN may be delayed, as on Linux after data arrived.

    An answer of the application, or its FIN, may carry the ACK.
    """
    return tcb.core.config.tcp_delack_fin and tcb.state == C.ESTABLISHED and tcb.data_segs_in > 0


# -- segments on an open connection ----------------------------------------------------------------------------------


def any_reset_counts(tcb: Tcb) -> bool:
    """Return True if a RST anywhere in the window counts, as before RFC 5961 (FreeBSD insecure_rst)."""
    return tcb.core.config.tcp_insecure_rst


def syn_resets(tcb: Tcb) -> bool:
    """Return True if a SYN in the window resets the connection, as before RFC 5961 (FreeBSD insecure_syn)."""
    return tcb.core.config.tcp_insecure_syn and tcb.state != C.TIME_WAIT


def reset_is_error(tcb: Tcb) -> bool:
    """For FreeBSD, a RST means ECONNRESET in every state."""
    return tcb.core.config.tcp_reset_error and tcb.state != C.TIME_WAIT


def reset_owner(core: Core, port: int) -> Any:
    """Return the socket that is bound to a port, if a RST carries its TOS and its TTL (FreeBSD), and otherwise None."""
    owner = None
    if core.config.tcp_reset_bound:
        for item in core.tcp.buckets.get(port, {}).values():
            owner = item
    return owner


def ignores_unsent(tcb: Tcb) -> bool:
    """RFC 5961 5.2 answers an ACK of data that was never sent. For Linux, an open connection drops it in silence."""
    return not tcb.core.config.tcp_ack_unsent and (tcb.state == C.ESTABLISHED or tcb.state == C.CLOSE_WAIT)


def old_duplicate_counts(tcb: Tcb, pkt: Packet) -> bool:
    """For Linux and FreeBSD, the ACK of an old duplicate counts if its text ends at RCV.NXT."""
    if not tcb.core.config.tcp_old_ack or seq_add(pkt.seq, segment_len(pkt)) != tcb.rcv_nxt or pkt.seq == tcb.rcv_nxt:
        return False
    if pkt.tcp_flags & (C.SYN | C.RST) or not pkt.tcp_flags & C.ACK:
        return False
    return seq_lt(tcb.snd_una, pkt.ack) and seq_le(pkt.ack, tcb.snd_nxt)


# -- losses and congestion -------------------------------------------------------------------------------------------


def leaves_whole(tcb: Tcb, q: RtxQueue) -> bool:
    """Return True if a SACK block counts only for segments that it covers completely.

    This is always so for Linux, and otherwise after too many records were split.
    """
    return tcb.core.config.tcp_sack_whole or q.cuts >= tcb.core.config.tcp_sack_maxholes


def probes_largest(tcb: Tcb) -> bool:
    """The first probe of the path MTU has the largest size (RFC 4821 7.3). For Linux, it has the middle one."""
    return tcb.core.config.tcp_mtu_probe_largest


def probe_takes_rto(tcb: Tcb) -> bool:
    """Return True if a loss probe replaces an RTO that is due before it, as on Linux (RFC 8985 7.2)."""
    return tcb.core.config.tcp_tlp_at_rto


def spreads_response(tcb: Tcb) -> bool:
    """Return True if PRR spreads the response to a congestion mark over a round trip, as in Linux's state CWR."""
    config = tcb.core.config
    return config.tcp_prr_ecn and config.tcp_prr and tcb.sack_ok and not tcb.own_recovery


def cubic_base(tcb: Tcb, flight: int) -> int:
    """Return what CUBIC reduces: the flight size, or cwnd for Linux (RFC 9438 4.6 allows both)."""
    return tcb.cwnd if tcb.core.config.tcp_ssthresh_cwnd else flight


def cubic_as_linux(tcb: Tcb) -> bool:
    """CUBIC works in Linux's whole steps (congestion/cubic_linux.py)."""
    return tcb.core.config.tcp_cubic_linux


# -- ECN -------------------------------------------------------------------------------------------------------------


def ecn_retries(tcb: Tcb) -> int:
    """Return how many retransmissions of a SYN still ask for ECN: none (RFC 3168 6.1.1.1), or FreeBSD's number."""
    return tcb.core.config.tcp_ecn_retries


def crossed_keeps_ecn(tcb: Tcb) -> bool:
    """For Linux, a second SYN,ACK of a simultaneous open still has accurate ECN."""
    return not tcb.passive and tcb.core.config.tcp_accecn_linux


def tells_marks(tcb: Tcb) -> bool:
    """Every segment reports the marks in its ACE field. For Linux, none does in TIME-WAIT."""
    return tcb.state != C.TIME_WAIT or not tcb.core.config.tcp_accecn_linux


def option_on_all(tcb: Tcb) -> bool:
    """For Linux, retransmissions carry the AccECN option, too (RFC 9768 3.2.3.2.2 advises against it)."""
    return tcb.core.config.tcp_accecn_linux


def option_before_sack(tcb: Tcb) -> bool:
    """For Linux, the AccECN option comes before SACK and takes what room it needs, and ECT(1) comes first in it."""
    return tcb.core.config.tcp_accecn_linux


def all_are_capable(tcb: Tcb) -> bool:
    """ECT is on new data (RFC 3168 6.1.5). For Linux with AccECN, it is on every packet."""
    return tcb.core.config.tcp_accecn_linux


def late_marks_count(tcb: Tcb, pkt: Packet) -> bool:
    """For Linux, the marks of an old segment count if it ends at the last ACK or after it."""
    if not tcb.core.config.tcp_accecn_linux:
        return False
    return seq_ge(seq_add(pkt.seq, pkt.l4_end - pkt.data_off), tcb.last_ack_sent)


# -- buffers ---------------------------------------------------------------------------------------------------------


def linux_queue(tcb: Tcb) -> bool:
    """The write queue is kept in chunks as in Linux, and SO_SNDBUF counts what they cost (queues/chunks.py)."""
    return tcb.core.config.tcp_linux_queue


def least_group(tcb: Tcb) -> int:
    """Return the smallest number of segments for which Linux's offload builds a piece."""
    return tcb.core.config.tcp_min_tso_segs


def buffer_reads(tcb: Tcb, size: int) -> int:
    """Return the value that SO_RCVBUF and SO_SNDBUF report: twice the size (Linux), or the size itself (FreeBSD)."""
    return 2 * size if tcb.core.config.tcp_tell_double else size
