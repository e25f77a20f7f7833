"""Mark the segments that arrived and those that are lost, without RACK: SACK blocks, RFC 6675, NewReno."""

from typing import Any

from pystack_c.base.seqnum import seq_add, seq_diff, seq_ge, seq_le, seq_lt
from pystack_c.tcp import quirks, tell
from pystack_c.tcp.congestion import rate
from pystack_c.tcp.loss import rack
from pystack_c.tcp.loss.sackranges import SackRange
from pystack_c.tcp.loss.scoreboard import Scoreboard, fresh
from pystack_c.tcp.queues.rtxq import RtxQueue
from pystack_c.tcp.queues.sentseg import SentSegment, covers
from pystack_c.tcp.tcb import Tcb


def update_scoreboard(tcb: Tcb, blocks: list[Any]) -> int:
    """Mark the records that SACK blocks cover (RFC 6675 Update()). Return the number of bytes newly SACKed."""
    q = tcb.rtxq
    before = q.sacked_out
    note_dsack(tcb, blocks)
    for left, right in blocks:
        if seq_le(right, tcb.snd_una):
            continue
        if not (seq_lt(left, right) and seq_ge(left, tcb.snd_una) and seq_le(right, tcb.snd_nxt)):
            tcb.core.counters.TcpExtTCPSACKDiscard += 1
            tcb.core.drop("tcp-bad-sack", tcb.subject(), "a SACK block is outside the data that was sent", "RFC 2018 4")
            continue
        _mark_block(tcb, q, left, right)
    if q.sacked_out != before and tcb.core.probe is not None:
        fields = {"blocks": list(blocks)}
        why = f"{q.sacked_out - before} more bytes are SACKed"
        tcb.core.emit("tcp.sack", tcb.subject(), tcb.ident, why, "RFC 2018 4", fields)
    return q.sacked_out - before


def note_dsack(tcb: Tcb, blocks: list[Any]) -> None:
    """Note a D-SACK: a first block below the cumulative ACK, or inside the second block (RFC 2883 5)."""
    left, right = blocks[0]
    below = seq_le(right, tcb.snd_una)
    inside = False
    if len(blocks) > 1:
        left2, right2 = blocks[1]
        inside = seq_ge(left, left2) and seq_le(right, right2)
    if not below and not inside:
        return
    counters = tcb.core.counters
    if below:
        counters.TcpExtTCPDSACKRecv += 1
    else:
        counters.TcpExtTCPDSACKOfoRecv += 1
    n = max(1, (seq_diff(right, left) + tcb.mss - 1) // tcb.mss)
    tcb.dsack_dups += n
    if tcb.dsack_dups > tcb.total_retrans:
        # There were fewer copies than that. The network duplicates packets, or the peer lies (RFC 3708 5 warns of
        # both).
        counters.TcpExtTCPDSACKIgnoredDubious += 1
        tell.received(tcb, "tcp.dsack", left, seq_diff(right, left), "the peer reports too many copies", "RFC 3708 5")
        return
    counters.TcpExtTCPDSACKRecvSegs += n
    if below and not tcb.undo_possible:
        counters.TcpExtTCPDSACKIgnoredNoUndo += 1
    elif below and seq_le(right, tcb.undo_marker):
        counters.TcpExtTCPDSACKIgnoredOld += 1
    tcb.ack_dsack = True
    tcb.dsack_end = right
    tell.received(tcb, "tcp.dsack", left, seq_diff(right, left), "the peer received this data twice", "RFC 2883 5")


def whole_segments(seg: SentSegment, edge: int, up: bool) -> int:
    """Return the edge of a SACK block, moved to the next boundary of a segment if it lies inside one.

    The edge moves up if `up` is true, otherwise down.
    """
    n = seq_diff(seg.end, seg.seq)
    at = seq_diff(edge, seg.seq)
    if at <= 0 or at >= n:
        return edge
    size = seg.gso if seg.gso > 0 else n
    at = (at + size - 1) // size * size if up else at // size * size
    return seq_add(seg.seq, at if at < n else n)


def _mark_block(tcb: Tcb, q: RtxQueue, left: int, right: int) -> None:
    i = q.find(left)
    while i < len(q.segs):
        seg: SentSegment = q.segs[i]
        if seq_ge(seg.seq, right):
            return
        if seg.sacked:
            # A long SACKed range may follow this record, so skip the whole range.
            edge = q.board.sacks.end(seg.seq)
            if seq_ge(edge, right):
                return
            i = q.find(edge)
            continue
        if not covers(seg, left, right):
            # A SACK block may cover part of a group that was sent in one piece (offload), so split the record.
            begin, end = left, right
            if quirks.leaves_whole(tcb, q):
                begin = whole_segments(seg, left, True)
                end = whole_segments(seg, right, False)
            if seq_le(end, begin) or seq_le(end, seg.seq) or seq_le(seg.end, begin):
                i += 1
                continue
            if seq_lt(seg.seq, begin):
                q.cut(i, begin)
                i += 1
                continue
            if seq_lt(end, seg.end):
                q.cut(i, end)
        q.mark_sacked(seg)
        delivered(tcb, seg)
        i += 1


def delivered(tcb: Tcb, seg: SentSegment) -> None:
    """Count a segment newly acknowledged or SACKed: for RACK, for this ACK's totals, and for the rate sample."""
    rack.delivered(tcb, seg)
    n = seq_diff(seg.end, seg.seq)
    pieces = seg.pieces()
    tcb.ack_delivered += n
    tcb.delivered += pieces
    tcb.core.counters.TcpExtTCPDelivered += pieces
    if seg.retrans == 0:
        tcb.ack_orig = True
    if tcb.rate is not None:
        rate.delivered(tcb, seg, n)


def mark_losses(tcb: Tcb) -> None:
    """Mark losses by RFC 6675 IsLost().

    A segment is lost if DupThresh segments, or more than (DupThresh - 1) * SMSS bytes, are SACKed above it.
    """
    thresh = tcb.core.config.tcp_reordering
    found: SackRange = tcb.rtxq.board.sacks.below(thresh, (thresh - 1) * tcb.mss)
    if found is not None:
        lose_below(tcb, found.left)


def mark_holes(tcb: Tcb) -> None:
    """Mark the holes for which IsLost() does not hold yet (RFC 6675 4, NextSeg() rule 3).

    Recovery does this if it has no new data to send.
    """
    found: SackRange = tcb.rtxq.board.sacks.top()
    lose_below(tcb, found.left)


def lose_below(tcb: Tcb, seq: int) -> None:
    """Mark the segments that were sent once as lost, from the end of the last walk up to `seq`."""
    q = tcb.rtxq
    board: Scoreboard = q.board
    if seq_le(seq, board.counted):
        return
    low = q.find(board.counted)
    board.counted = seq
    i = q.find(seq) - 1
    while i >= low:
        seg: SentSegment = q.segs[i]
        if fresh(seg):
            lose_by_count(tcb, seg)
        i -= 1


def lose_by_count(tcb: Tcb, seg: SentSegment) -> None:
    """Mark one segment as lost by RFC 6675 or RFC 6582, because enough later data arrived."""
    rack.lose(tcb, seg, "later data arrived, but this data did not", "RFC 6675 4" if tcb.sack_ok else "RFC 6582 3.2")


def lose_head(tcb: Tcb) -> None:
    """Mark the first unacknowledged segment as lost, at most one MSS of it (NewReno)."""
    q = tcb.rtxq
    if len(q) == 0:
        return
    q.single(q.first)
    seg: SentSegment = q.head()
    if seg.data_length() > tcb.mss:
        q.split(q.first, seq_add(seg.seq, tcb.mss))
    if not seg.lost or seg.in_flight_again:
        lose_by_count(tcb, seg)
