"""Loss recovery: what an ACK shows about losses, and the phases that follow from it.

This module and rack mark the lost segments. retransmit.retransmit_lost sends them again, limited only by cwnd and the
pipe. With SACK, marking follows RACK (RFC 8985), or RFC 6675 if RACK is off. Without SACK, it follows NewReno
(RFC 6582).
"""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_diff, seq_ge, seq_gt
from pystack_c.tcp import mtuprobe, tell
from pystack_c.tcp.congestion.base import SIGNAL_LOSS, SIGNAL_RTO
from pystack_c.tcp.loss import rack, undo
from pystack_c.tcp.loss.marking import lose_head, mark_holes, mark_losses
from pystack_c.tcp.loss.prr import reduce_rate
from pystack_c.tcp.snapshot import PHASES
from pystack_c.tcp.tcb import Tcb


def after_ack(tcb: Tcb, acked: int, duplicate: bool, tsecr: int, plain: bool) -> None:
    """Process the effects of an ACK on recovery and cwnd (RFC 5681 3.2, RFC 6582 3.2, RFC 6675 5, RFC 8985).

    `acked` is the number of bytes newly acknowledged, `tsecr` the echoed timestamp or 0, and `plain` is true without
    SACK blocks.
    """
    _take_back(tcb, acked, tsecr)
    if rack.probe_answered(tcb, tcb.snd_una, tcb.ack_dsack, duplicate and plain):
        old = tcb.cwnd
        ssthresh = tcb.ssthresh
        tcb.core.counters.TcpExtTCPLossProbeRecovery += 1
        tcb.cc.cong_signal(tcb, SIGNAL_LOSS)
        tell.cwnd(tcb, old, ssthresh, "the tail loss probe repaired a loss", "RFC 8985 7.4.2")
    if acked > 0:
        _new_data_acked(tcb, acked)
    elif duplicate:
        tcb.dupacks += 1
        if not tcb.sack_ok and duplicate_counts(tcb):
            # Each duplicate ACK means that one more segment left the network.
            out = seq_diff(tcb.snd_nxt, tcb.snd_una)
            if tcb.reno_sacked + tcb.mss + max(tcb.rtxq.lost_out, tcb.mss) > out:
                # There are more duplicate ACKs than segments that can cause them, so the path reorders or duplicates
                # packets.
                tcb.core.counters.TcpExtTCPRenoReorder += 1
                tcb.reord_seen += 1
            tcb.reno_sacked = min(tcb.reno_sacked + tcb.mss, out)
    if tcb.rtxq.count == 0:
        if tcb.ca_state == C.CA_CWR:
            end_cwr(tcb, "all outstanding data is acknowledged, so no ACK is left by which to reduce the window")
        return
    if acked == 0 and tcb.ack_delivered > 0:
        grow_by_sack(tcb)
    lost = tcb.rtxq.lost_out
    find_losses(tcb)
    if tcb.ca_state == C.CA_RECOVERY and tcb.sack_ok and tcb.core.config.tcp_prr and not tcb.own_recovery:
        reduce_rate(tcb, tcb.ack_delivered, acked > 0 and tcb.rtxq.lost_out <= lost)
    elif tcb.ca_state == C.CA_CWR:
        first = tcb.prr_flight == 0
        if first:
            # RFC 9937 6.1: RecoverFS is the data in flight before this ACK. The ACK that reports congestion is not a
            # SafeACK.
            tcb.prr_flight = max(tcb.in_flight() + tcb.ack_delivered, 1)
        reduce_rate(tcb, tcb.ack_delivered, acked > 0 and not first and tcb.rtxq.lost_out <= lost)


def duplicate_counts(tcb: Tcb) -> bool:
    """Return True if this duplicate ACK without SACK lets another segment leave.

    It does not in Tahoe's slow start, which retransmits everything.
    """
    config = tcb.core.config
    if not config.tcp_limited_transmit and tcb.dupacks < config.tcp_reordering:
        return False
    return tcb.ca_state != C.CA_LOSS or tcb.cc.fast_recovery  # type: ignore[no-any-return]


def overdue(tcb: Tcb) -> None:
    """Mark losses, because the reordering timer expired (RFC 8985 6.2).

    If this starts a recovery, PRR applies from its first segment (RFC 9937 6.1).
    """
    phase = tcb.ca_state
    tcb.ack_delivered = 0
    find_losses(tcb)
    if tcb.ca_state == C.CA_RECOVERY and phase != C.CA_RECOVERY and tcb.core.config.tcp_prr and not tcb.own_recovery:
        # At least one segment was delivered, and set the timer.
        reduce_rate(tcb, tcb.mss, False)


def find_losses(tcb: Tcb) -> None:
    """Mark losses by the rules in force, and enter recovery if there are any."""
    if rack.in_use(tcb):
        rack.detect_loss(tcb)
    elif tcb.sack_ok and tcb.rtxq.sacked_out > 0:
        mark_losses(tcb)
        if tcb.rtxq.lost_out > 0 and tcb.unsent() <= 0:
            mark_holes(tcb)
    if tcb.ca_state >= C.CA_RECOVERY:
        return
    if tcb.rtxq.lost_out > 0 or (tcb.dupacks >= tcb.core.config.tcp_reordering and not rack.in_use(tcb)):
        if tcb.mtup is not None and mtuprobe.alone_is_lost(tcb):
            mtuprobe.failed(tcb)
            set_phase(tcb, C.CA_LOSS, "an MTU probe was larger than the path MTU", "RFC 4821 7.6.2")
            return
        if tcb.cc.fast_recovery:
            enter_recovery(tcb)
        else:
            start_over(tcb)
    elif (tcb.dupacks > 0 or tcb.rtxq.sacked_out > 0) and tcb.ca_state != C.CA_CWR:
        set_phase(tcb, C.CA_DISORDER, "a segment is missing or late (duplicate ACKs or SACK)", "RFC 5681 3.2")


def _take_back(tcb: Tcb, acked: int, tsecr: int) -> None:
    """Undo the last response to a loss if D-SACK, Eifel or F-RTO shows that it was spurious (see undo.py)."""
    config = tcb.core.config
    if tcb.ack_dsack:
        rack.dsack_seen(tcb)
        if undo.dsack_arrived(tcb) and config.tcp_undo:
            undo.undo(tcb, "every retransmission was a duplicate, so nothing was lost", "RFC 3708 3")
    if tcb.ca_state != C.CA_RECOVERY and tcb.ca_state != C.CA_LOSS:
        return
    if acked > 0 and config.tcp_undo and undo.eifel(tcb, tsecr):
        undo.undo(tcb, "the echoed timestamp is older than the retransmission, so the original arrived", "RFC 3522 3.2")
    elif tcb.frto and tcb.ca_state == C.CA_LOSS:
        if tcb.ack_orig and config.tcp_undo:
            tcb.core.counters.TcpExtTCPSpuriousRTOs += 1
            undo.undo(tcb, "data sent before the timeout is acknowledged, so the timeout was spurious", "RFC 5682 3.1")
        elif acked > 0 and seq_ge(tcb.snd_una, tcb.frto_end):
            tcb.frto = False


def _new_data_acked(tcb: Tcb, acked: int) -> None:
    tcb.dupacks = 0
    if tcb.ca_state == C.CA_RECOVERY:
        if seq_ge(tcb.snd_una, tcb.recover):
            leave_recovery(tcb)
        else:
            partial_ack(tcb, acked)
        return
    if tcb.ca_state == C.CA_CWR:
        if seq_gt(tcb.snd_una, tcb.recover):
            end_cwr(tcb, "data sent after the congestion mark is acknowledged")
        return
    fresh = _grows_by(tcb, acked)
    tcb.reno_sacked = 0
    if tcb.ca_state == C.CA_LOSS and seq_ge(tcb.snd_una, tcb.recover):
        tcb.frto = False
        rack.recovery_ended(tcb)
        set_phase(tcb, C.CA_OPEN, "all data that was outstanding at the timeout is acknowledged", "RFC 5681 3.1")
    elif tcb.ca_state == C.CA_DISORDER and tcb.rtxq.sacked_out == 0:
        set_phase(tcb, C.CA_OPEN, "the missing segments arrived late", "RFC 5681 3.2")
    if tcb.may_grow() or tcb.ca_state == C.CA_LOSS:
        old = tcb.cwnd
        ssthresh = tcb.ssthresh
        tcb.cc.ack_received(tcb, fresh)
        slow = old < ssthresh
        tell.cwnd(tcb, old, ssthresh, "slow start" if slow else "congestion avoidance", "RFC 5681 3.1")


def partial_ack(tcb: Tcb, acked: int) -> None:
    """Process a partial ACK (RFC 6582 3.2 step 3): the next hole is at the new SND.UNA."""
    if tcb.sack_ok:
        return
    tcb.reno_sacked = max(0, tcb.reno_sacked - max(0, acked - tcb.mss))
    lose_head(tcb)
    tcb.force_retransmit = True


def end_cwr(tcb: Tcb, why: str) -> None:
    """End the response to a congestion mark (Linux tcp_end_cwnd_reduction)."""
    old = tcb.cwnd
    tcb.cwnd = tcb.ssthresh
    tell.cwnd(tcb, old, tcb.ssthresh, why, "RFC 9937 6.4")
    set_phase(tcb, C.CA_OPEN, why, "RFC 3168 6.1.2")


def enter_recovery(tcb: Tcb) -> None:
    """Enter fast recovery with a fast retransmit."""
    counters = tcb.core.counters
    old = tcb.cwnd
    ssthresh = tcb.ssthresh
    undo.save(tcb, True)
    if tcb.ca_state != C.CA_CWR:
        tcb.cc.cong_signal(tcb, SIGNAL_LOSS)
        tell.cwnd(tcb, old, ssthresh, "a segment was lost", "RFC 5681 3.2")
        tcb.prr_delivered = 0
        tcb.prr_out = 0
        tcb.prr_flight = 0
    # In CWR, the response to a mark in this window is in progress, and RFC 3168 6.1.2 allows one response per window.
    if tcb.prr_flight == 0:
        tcb.prr_flight = max(seq_diff(tcb.snd_nxt, tcb.snd_una), 1)
        if tcb.core.config.tcp_prr_safe and tcb.sack_ok:
            # RecoverFS (RFC 9937 6.1): what was outstanding before this ACK, without what earlier ones SACKed, because
            # prr_delivered will not count those bytes. RFC 6937 counted them.
            tcb.prr_flight = max(tcb.prr_flight - tcb.rtxq.sacked_out + tcb.ack_delivered, 1)
    tcb.recover = tcb.snd_nxt
    tcb.partial_seen = False
    if tcb.sack_ok:
        counters.TcpExtTCPSackRecovery += 1
        if tcb.rtxq.lost_out == 0:
            lose_head(tcb)
    else:
        counters.TcpExtTCPRenoRecovery += 1
        # RFC 5681 3.2 (3): each duplicate ACK so far stands for a segment that has left the network.
        left = tcb.dupacks * tcb.mss
        if tcb.reno_sacked < left:
            tcb.reno_sacked = left
        lose_head(tcb)
    tcb.force_retransmit = True
    why = "SACK blocks show a loss" if tcb.sack_ok else f"{tcb.dupacks} duplicate ACKs arrived"
    set_phase(tcb, C.CA_RECOVERY, why, "RFC 6675 5" if tcb.sack_ok else "RFC 6582 3.2")


def leave_recovery(tcb: Tcb) -> None:
    """Leave recovery: all data that was outstanding at the loss is acknowledged."""
    old = tcb.cwnd
    ssthresh = tcb.ssthresh
    tcb.reno_sacked = 0
    rack.recovery_ended(tcb)
    tcb.cc.post_recovery(tcb)
    tell.cwnd(tcb, old, ssthresh, "fast recovery is over", "RFC 6582 3.2")
    set_phase(tcb, C.CA_OPEN, "all data that was outstanding at the loss is acknowledged", "RFC 6582 3.2")


def set_phase(tcb: Tcb, phase: int, why: str, rfc: str) -> None:
    """Change the phase of recovery, and emit the event."""
    if phase == C.CA_DISORDER and tcb.ca_state == phase:
        return
    if phase != C.CA_LOSS:
        tcb.rto_ended()
    tcb.ca_state = phase
    if tcb.core.probe is not None:
        fields = {"phase": PHASES[phase], "recover": tcb.recover}
        tcb.core.emit("tcp.recovery", tcb.subject(), tcb.ident, why, rfc, fields)


def timeout(tcb: Tcb) -> None:
    """Presume data without SACK lost, because the retransmission timer expired.

    The rules are in RFC 5681 3.1, RFC 6675 5.1 and RFC 8985 6.3.
    """
    q = tcb.rtxq
    old = tcb.cwnd
    ssthresh = tcb.ssthresh
    fresh = tcb.ca_state < C.CA_RECOVERY
    if tcb.retries <= 1:
        count_failure(tcb)
    undo.save(tcb, fresh)
    # RFC 5682 3.1 step 1: F-RTO does not start during a recovery. Without SACK, an old hole that fills looks the same.
    tcb.frto = fresh and tcb.sack_ok and tcb.core.config.tcp_frto
    tcb.frto_end = tcb.snd_nxt
    tcb.tlp_out = False
    if tcb.ca_state != C.CA_LOSS or seq_gt(tcb.snd_una, tcb.recover) or tcb.retries <= 1:
        # RFC 5681 3.1: only the first timeout of a segment lowers ssthresh.
        tcb.cc.cong_signal(tcb, SIGNAL_RTO)
    else:
        tcb.cwnd = tcb.mss
    tell.cwnd(tcb, old, ssthresh, "the retransmission timer expired, so cwnd falls to the loss window", "RFC 5681 3.1")
    head = q.head()
    everything = False
    if head is not None and head.sacked:
        # RFC 2018 8: the receiver discarded data that it had SACKed (reneging).
        tcb.core.counters.TcpExtTCPSACKReneging += 1
        q.nothing_sacked()
        everything = True
    all_lost(tcb, everything, "the retransmission timer expired", "RFC 6298 5.4")


def count_failure(tcb: Tcb) -> None:
    """Count, at the first timeout, the kind of recovery that failed."""
    counters = tcb.core.counters
    if tcb.ca_state == C.CA_RECOVERY:
        if tcb.sack_ok:
            counters.TcpExtTCPSackRecoveryFail += 1
        else:
            counters.TcpExtTCPRenoRecoveryFail += 1
    elif tcb.ca_state == C.CA_LOSS:
        counters.TcpExtTCPLossFailures += 1
    elif tcb.ca_state == C.CA_DISORDER or tcb.rtxq.sacked_out > 0:
        if tcb.sack_ok:
            counters.TcpExtTCPSackFailures += 1
        else:
            counters.TcpExtTCPRenoFailures += 1


def start_over(tcb: Tcb) -> None:
    """Start a fast retransmit and slow start, for an algorithm without fast recovery (Tahoe)."""
    old = tcb.cwnd
    ssthresh = tcb.ssthresh
    undo.save(tcb, True)
    tcb.frto = False
    tcb.cc.cong_signal(tcb, SIGNAL_LOSS)
    why = "SACK blocks show a loss" if tcb.sack_ok else f"{tcb.dupacks} duplicate ACKs arrived"
    why += ", and this algorithm answers with slow start instead of fast recovery"
    tell.cwnd(tcb, old, ssthresh, why, "RFC 5681 3.1")
    all_lost(tcb, True, why, "RFC 5681 3.1")


def all_lost(tcb: Tcb, everything: bool, why: str, rfc: str) -> None:
    """Presume the data without SACK lost, all of it or what RACK selects. Slow start retransmits it."""
    rack.mark_on_timeout(tcb, everything)
    tcb.reno_sacked = 0
    tcb.dupacks = 0
    tcb.recover = tcb.snd_nxt
    tcb.force_retransmit = True
    set_phase(tcb, C.CA_LOSS, why, rfc)


# -- quirks ----------------------------------------------------------------------------------------------------------


def grow_by_sack(tcb: Tcb) -> None:
    """Let SACKed data grow cwnd if the path reorders, as Linux does (tcp_may_raise_cwnd)."""
    if not tcb.core.config.tcp_grow_delivered:
        return
    if tcb.ca_state >= C.CA_CWR or tcb.reordering <= tcb.core.config.tcp_reordering or not tcb.may_grow():
        return
    old = tcb.cwnd
    ssthresh = tcb.ssthresh
    tcb.cc.ack_received(tcb, tcb.ack_delivered)
    tell.cwnd(tcb, old, ssthresh, "data arrived, although out of order", "Linux tcp_may_raise_cwnd")


def _grows_by(tcb: Tcb, acked: int) -> int:
    """Return how many bytes an ACK counts for the growth of cwnd.

    These are the bytes that it acknowledges, and for Linux those that it delivers (tcp_grow_delivered).
    """
    if not tcb.core.config.tcp_grow_delivered:
        return acked
    if tcb.sack_ok:
        return tcb.ack_delivered
    # Without SACK, each earlier duplicate ACK counted as one segment.
    return acked - tcb.reno_sacked if acked - tcb.reno_sacked > tcb.mss else tcb.mss
