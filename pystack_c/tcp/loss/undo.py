"""Undo a congestion response that was spurious (RFC 3522, RFC 4015, RFC 3708, RFC 5682).

The state that recovery changes is saved when recovery begins. Three signs show that nothing was lost: D-SACK blocks
report every retransmission as a duplicate, an echoed timestamp is older than the first retransmission (Eifel), or the
originals are acknowledged after a timeout (F-RTO).
"""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.tcp import tell
from pystack_c.tcp.loss.rtt import backed_off
from pystack_c.tcp.tcb import Tcb


def save(tcb: Tcb, fresh: bool) -> None:
    """Save the state that a recovery is about to change. One that begins inside another saves nothing."""
    if tcb.undo_possible and not fresh:
        return
    tcb.undo_possible = True
    tcb.undo_retrans = 0
    tcb.undo_stamp = 0
    tcb.undo_marker = tcb.snd_una
    tcb.prior_cwnd = tcb.cwnd
    tcb.prior_ssthresh = tcb.ssthresh


def forget(tcb: Tcb) -> None:
    """Discard the saved state, because the loss was real or the recovery has ended."""
    tcb.undo_possible = False


def retransmitted(tcb: Tcb, end: int, tsval: int) -> None:
    """Count a retransmission that ends at `end`. `tsval` is its timestamp."""
    if tcb.undo_possible:
        tcb.undo_retrans += 1
        if tcb.undo_retrans == 1:
            tcb.undo_stamp = tsval
            tcb.undo_end = end


def dsack_arrived(tcb: Tcb) -> bool:
    """Count a retransmission that was a duplicate (RFC 3708). Return True if all of them were."""
    if not tcb.undo_possible or tcb.undo_retrans <= 0:
        return False
    if seq_le(tcb.dsack_end, tcb.undo_marker):
        # The D-SACK is about data from before this recovery.
        return False
    tcb.undo_retrans -= 1
    return tcb.undo_retrans == 0


def eifel(tcb: Tcb, tsecr: int) -> bool:
    """Return True if the ACK of the first retransmission echoes a timestamp older than it (RFC 3522 3.2)."""
    if not tcb.undo_possible or not tcb.ts_ok or tcb.undo_retrans <= 0 or tsecr == 0:
        return False
    return seq_ge(tcb.snd_una, tcb.undo_end) and seq_lt(tsecr, tcb.undo_stamp)


def undo(tcb: Tcb, why: str, rfc: str) -> None:
    """Restore cwnd and ssthresh, and remove the loss marks (RFC 4015 3.4)."""
    counters = tcb.core.counters
    if tcb.ca_state == C.CA_LOSS:
        counters.TcpExtTCPLossUndo += 1
    elif tcb.undo_retrans == 0:
        counters.TcpExtTCPDSACKUndo += 1
    elif seq_gt(tcb.recover, tcb.snd_una):
        counters.TcpExtTCPPartialUndo += 1
        if tcb.rtxq.sacked_out > 0:
            # The timestamp shows that an original was overtaken, which the scoreboard could not detect.
            counters.TcpExtTCPTSReorder += 1
            tcb.reord_seen += 1
    else:
        counters.TcpExtTCPFullUndo += 1
    if tcb.rtxq.lost_out > 0 or tcb.rtxq.retrans_out > 0:
        tcb.rtxq.nothing_lost()
    tcb.ca_state = C.CA_OPEN
    core = tcb.core
    if core.probe is not None:
        core.emit("tcp.recovery", tcb.subject(), tcb.ident, why, rfc, {"phase": "undone", "recover": tcb.recover})
    old = tcb.cwnd
    ssthresh = tcb.ssthresh
    if tcb.prior_cwnd > tcb.cwnd:
        tcb.cwnd = tcb.prior_cwnd
    if tcb.prior_ssthresh > tcb.ssthresh:
        tcb.ssthresh = tcb.prior_ssthresh
    tcb.cc.undone(tcb)
    tell.cwnd(tcb, old, ssthresh, why, rfc)
    tcb.undo_possible = False
    tcb.frto = False
    timeout = backed_off(tcb)
    tcb.backoff = 0
    tcb.rto_ended()
    tell.rto(tcb, timeout, why, rfc)
