"""Decisions in which Linux or FreeBSD differ from the RFCs, if a profile selects them (pystack_c/settings/quirks.py).

The modules of TCP follow the RFCs, and call these functions at the few places where a quirk changes a decision. With
the default settings, each function gives the RFC's answer. A quirk of a path that runs for every segment is at the end
of the module of that path.
"""

import errno

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_le
from pystack_c.core import Core
from pystack_c.packet import Packet
from pystack_c.tcp.queues.rtxq import RtxQueue
from pystack_c.tcp.tcb import Tcb

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


def fin_may_wait(tcb: Tcb) -> bool:
    """Return True if the ACK of a FIN may be delayed, as on Linux after data arrived.

    An answer of the application, or its FIN, may carry the ACK.
    """
    return tcb.core.config.tcp_delack_fin and tcb.state == C.ESTABLISHED and tcb.data_segs_in > 0


# -- losses and congestion -------------------------------------------------------------------------------------------


def leaves_whole(tcb: Tcb, q: RtxQueue) -> bool:
    """Return True if a SACK block counts only for segments that it covers completely.

    This is always so for Linux, and otherwise after too many records were split.
    """
    return tcb.core.config.tcp_sack_whole or q.cuts >= tcb.core.config.tcp_sack_maxholes


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
