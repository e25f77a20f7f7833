"""RACK-TLP: time-based loss detection, and a probe for the tail (RFC 8985).

A segment is lost if one sent later was delivered and a reordering window has passed (section 6.2). If no ACK for the
tail arrives, a probe precedes the retransmission timer (section 7). Both need SACK.
"""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_diff, seq_ge, seq_gt, seq_lt
from pystack_c.base.timer import Timer
from pystack_c.tcp import quirks, tell
from pystack_c.tcp.congestion import rate
from pystack_c.tcp.loss.sackranges import SackRange
from pystack_c.tcp.loss.scoreboard import Scoreboard, fresh
from pystack_c.tcp.loss.seglists import SegHeap
from pystack_c.tcp.queues.rtxq import RtxQueue
from pystack_c.tcp.queues.sentseg import SentSegment
from pystack_c.tcp.tcb import Tcb


def in_use(tcb: Tcb) -> bool:
    """Return True if RACK is in use. It needs SACK (RFC 8985 4)."""
    return tcb.sack_ok and tcb.core.config.tcp_rack


def sent_after(order1: int, end1: int, order2: int, end2: int) -> bool:
    """Return True if the first transmission was sent after the second (RFC 8985 6.2).

    The RFC compares times, and sequence numbers if the times are equal. In virtual time, much happens at one instant,
    so the stack compares the ordinal numbers of transmissions. Only the parts of one offloaded group share a number.
    """
    if order1 != order2:
        return order1 > order2
    return seq_gt(end1, end2)


def lose(tcb: Tcb, seg: SentSegment, why: str, rfc: str) -> None:
    """Mark one segment as lost, by the rule that `why` and `rfc` state."""
    count_lost(tcb, seg)
    n = seq_diff(seg.end, seg.seq)
    if tcb.core.probe is not None:
        tcb.core.emit("tcp.lost", tcb.subject(), tcb.ident, why, rfc, {"seq": seg.seq, "length": n})


def count_lost(tcb: Tcb, seg: SentSegment) -> None:
    """Count a lost segment in the retransmission queue, in the loss rate, and in congestion control."""
    newly = not seg.lost or seg.in_flight_again
    tcb.rtxq.mark_lost(seg)
    if newly and tcb.rate is not None:
        rate.lost(tcb, seq_diff(seg.end, seg.seq))
        tcb.cc.segment_lost(tcb, seg)


def delivered(tcb: Tcb, seg: SentSegment) -> None:
    """Perform RACK's steps 2 to 4 for one segment that was newly acknowledged or SACKed."""
    now = tcb.core.now
    # Step 3, detect reordering: an original arrived after a segment with higher sequence numbers.
    if not tcb.rack_started or seq_gt(seg.end, tcb.rack_fack):
        tcb.rack_fack = seg.end
    elif seq_lt(seg.end, tcb.rack_fack) and seg.retrans == 0:
        if not tcb.rack_reordering:
            tcb.rack_reordering = True
            why = "an original segment arrived after one that was sent later, so the path reorders"
            tell.received(tcb, "tcp.reordering", seg.seq, seq_diff(seg.end, seg.seq), why, "RFC 8985 6.2")
        note_reordering(tcb, seg)
    # Step 4: find the most recently sent segment that was delivered.
    rtt = now - seg.sent_at
    if seg.retrans > 0 and tcb.min_rtt >= 0 and rtt < tcb.min_rtt:
        # This is too early for the retransmission, so the original was delivered.
        return
    tcb.rack_rtt = rtt
    if not tcb.rack_started or sent_after(seg.order, seg.end, tcb.rack_order, tcb.rack_end):
        tcb.rack_order = seg.order
        tcb.rack_end = seg.end
    tcb.rack_started = True


def note_reordering(tcb: Tcb, seg: SentSegment) -> None:
    """Record how many segments late this one arrived (tcpi_reordering), and count the ACK once (tcpi_reord_seen)."""
    distance = (seq_diff(tcb.rack_fack, seg.seq) + tcb.mss - 1) // tcb.mss
    if distance > tcb.reordering:
        tcb.reordering = distance if distance < 300 else 300
    if not tcb.ack_reordered:
        tcb.ack_reordered = True
        tcb.reord_seen += 1
        tcb.core.counters.TcpExtTCPSACKReorder += 1


def dsack_seen(tcb: Tcb) -> None:
    """Step 5, first half: widen the reordering window after a D-SACK, once per round trip."""
    if tcb.rack_dsack_round and seq_ge(tcb.snd_una, tcb.rack_dsack_seq):
        tcb.rack_dsack_round = False
    if not tcb.rack_dsack_round:
        tcb.rack_dsack_round = True
        tcb.rack_dsack_seq = tcb.snd_nxt
        tcb.rack_mult += 1
        tcb.rack_persist = 16


def recovery_ended(tcb: Tcb) -> None:
    """Step 5: reset the window's multiplier after 16 recoveries without a D-SACK."""
    tcb.rack_persist -= 1
    if tcb.rack_persist <= 0:
        tcb.rack_mult = 1
        tcb.rack_persist = 16


def reordering_window(tcb: Tcb) -> int:
    """Step 5, second half: return how late a segment may be, in ns (RACK_update_reo_wnd).

    While no reordering was seen, the window is 0 during a recovery, and if DupThresh segments are SACKed.
    """
    if not tcb.rack_reordering:
        if tcb.ca_state == C.CA_RECOVERY or tcb.ca_state == C.CA_LOSS:
            return 0
        if tcb.rtxq.sacked_segs >= tcb.core.config.tcp_reordering:
            return 0
    if tcb.min_rtt < 0:
        return 0
    window = tcb.rack_mult * tcb.min_rtt // 4
    return window if window < tcb.srtt else tcb.srtt


def detect_loss(tcb: Tcb) -> None:
    """Mark overdue segments as lost, and set the timer for the next ones (RACK_detect_loss)."""
    core = tcb.core
    q = tcb.rtxq
    if not tcb.rack_started or (q.sacked_out == 0 and q.retrans_out == 0 and q.lost_out == 0):
        q.calm()
        core.cancel_timer(tcb.reorder_timer, "no segment is missing any more", "RFC 8985 6.2")
        return
    window = reordering_window(tcb)
    why = "a segment sent later was delivered, and the reordering window has passed"
    if window == 0:
        why = "a segment sent later was delivered, and the path was never seen to reorder"
    look_at(tcb, q)
    lose_overdue(tcb, core.now - tcb.rack_rtt - window, why)
    wait = longest_wait(q.board, core.now - tcb.rack_rtt - window)
    if wait > 0:
        wait += _slack(tcb)
        if tcb.reorder_timer is None:
            tcb.reorder_timer = Timer(tcb, C.TIMER_REORDER)
        core.set_timer(tcb.reorder_timer, core.now + wait, "a segment still missing then is lost", "RFC 8985 6.2")
    else:
        core.cancel_timer(tcb.reorder_timer, "no outstanding segment was sent before a delivered one", "RFC 8985 6.2")


def look_at(tcb: Tcb, q: RtxQueue) -> None:
    """Find the segments that were sent before a delivered one, among those not found before."""
    board: Scoreboard = q.board
    seg: SentSegment
    # Segments that were sent once are already in the order of transmission.
    i = q.find(board.edge)
    n = len(q.segs)
    while i < n:
        seg = q.segs[i]
        if seq_ge(seg.seq, tcb.rack_fack):
            break
        if fresh(seg):
            if not sent_after(tcb.rack_order, tcb.rack_end, seg.order, seg.end):
                break
            board.becomes_late(seg)
        board.edge = seg.end
        i += 1
    seg = board.first_again()
    while seg is not None and sent_after(tcb.rack_order, tcb.rack_end, seg.order, seg.end):
        board.becomes_overdue(seg, is_near(tcb, q, seg))
        seg = board.first_again()
    seg = board.first_beyond()
    while seg is not None and is_near(tcb, q, seg):
        board.comes_near(seg)
        seg = board.first_beyond()


def is_near(tcb: Tcb, q: RtxQueue, seg: SentSegment) -> bool:
    """Return True if a retransmission precedes the first segment above RACK.fack that was sent only once."""
    if seq_lt(seg.seq, tcb.rack_fack):
        return True
    board: Scoreboard = q.board
    if seq_lt(board.whole, tcb.rack_fack):
        board.whole = tcb.rack_fack
    i = q.find(board.whole)
    while i < len(q.segs):
        other: SentSegment = q.segs[i]
        if other.retrans == 0:
            break
        board.whole = other.end
        i += 1
    return seq_lt(seg.seq, board.whole)


def lose_overdue(tcb: Tcb, limit: int, why: str) -> None:
    """Mark the overdue segments that were sent at time `limit` or before as lost, in the order of sequence numbers."""
    board: Scoreboard = tcb.rtxq.board
    again: SegHeap = None  # type: ignore[assignment]
    second: SentSegment = board.first_overdue()
    while second is not None and second.sent_at <= limit:
        if again is None:
            again = SegHeap()
        board.take_overdue(second)
        again.push(second)
        second = board.first_overdue()
    while True:
        seg: SentSegment = board.first_late()
        if seg is not None and seg.sent_at > limit:
            seg = None  # type: ignore[assignment]
        second = None if again is None else again.top()  # type: ignore[assignment]
        if seg is None and second is None:
            return
        if second is None or (seg is not None and seq_lt(seg.seq, second.seq)):
            board.take_late(seg)
        else:
            again.pop()
            seg = second
            tcb.core.counters.TcpExtTCPLostRetransmit += 1
        lose(tcb, seg, why, "RFC 8985 6.2")


def longest_wait(board: Scoreboard, limit: int) -> int:
    """Return the time in ns until the most recent of the overdue segments is lost."""
    wait = 0
    seg: SentSegment = board.last_late()
    if seg is not None:
        wait = seg.sent_at - limit
    seg = board.last_overdue()
    if seg is not None and seg.sent_at - limit > wait:
        wait = seg.sent_at - limit
    return wait


def mark_on_timeout(tcb: Tcb, everything: bool) -> None:
    """Mark losses on a retransmission timeout (RACK_mark_losses_on_RTO, RFC 8985 6.3).

    The earliest segment is lost, and each one sent at least a round trip ago; later ones may still arrive. Without
    RACK, or if `everything` is true, every segment without SACK is lost.
    """
    q = tcb.rtxq
    if not in_use(tcb) or not tcb.rack_started:
        everything = True
    limit = tcb.core.now - tcb.rack_rtt - reordering_window(tcb)
    i = q.first
    while i < len(q.segs):
        seg: SentSegment = q.segs[i]
        if not seg.sacked and (everything or i == q.first or seg.sent_at <= limit):
            count_lost(tcb, seg)
        i += 1


def probe_timeout(tcb: Tcb) -> int:
    """Return the probe timeout in ns (TLP_calc_PTO, RFC 8985 7.2), or 0 if no probe is due and the RTO applies."""
    if not tcb.sack_ok or not tcb.core.config.tcp_tlp or tcb.tlp_out:
        return 0
    if tcb.state == C.SYN_SENT or tcb.state == C.SYN_RECEIVED:
        return 0
    if tcb.ca_state != C.CA_OPEN and tcb.ca_state != C.CA_CWR:
        return 0
    if tcb.srtt == 0 or tcb.rtxq.sacked_out > 0 or tcb.backoff > 0:
        return 0
    pto = 2 * tcb.srtt
    if seq_diff(tcb.snd_nxt, tcb.snd_una) <= tcb.mss:
        pto += tcb.core.config.tcp_tlp_max_ack_delay
    else:
        pto += _slack(tcb)
    return pto if pto < tcb.rto or quirks.probe_takes_rto(tcb) else 0


def note_probe(tcb: Tcb, retransmission: bool) -> None:
    """Record that the probe was sent (RFC 8985 7.3)."""
    tcb.tlp_out = True
    tcb.tlp_is_retrans = retransmission
    tcb.tlp_end = tcb.snd_nxt


def probe_answered(tcb: Tcb, ack: int, dsack: bool, plain_duplicate: bool) -> bool:
    """Process an ACK while a probe is in flight (TLP_process_ack, RFC 8985 7.4.2).

    Return True if the probe repaired a loss that no other sign would have shown.
    """
    if not tcb.tlp_out or not seq_ge(ack, tcb.tlp_end):
        return False
    if not tcb.tlp_is_retrans:
        tcb.tlp_out = False
    elif dsack:
        # The receiver got both copies, so nothing was lost.
        tcb.tlp_out = False
    elif seq_gt(ack, tcb.tlp_end):
        tcb.tlp_out = False
        return True
    elif plain_duplicate:
        tcb.tlp_out = False
    # Otherwise it is the ACK of the probe, or of an original that was late. Wait for later ACKs.
    return False


def last_segment(q: RtxQueue) -> int:
    """Return the index of the segment in flight with the highest sequence numbers, or -1."""
    i = len(q.segs) - 1
    if i >= q.first:
        seg: SentSegment = q.segs[i]
        if seg.sacked:
            found: SackRange = q.board.sacks.top()
            i = q.find(found.left) - 1
    return i if i >= q.first else -1


# -- quirks ----------------------------------------------------------------------------------------------------------


def _slack(tcb: Tcb) -> int:
    """Return what Linux adds to the timers of loss probes and of reordering, which it cuts to clock ticks."""
    return tcb.core.config.tcp_timeout_slack
