"""Retransmission of lost segments within cwnd, and the tail loss probe (RFC 6298, 6582, 6675, 8985)."""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff, seq_lt
from pystack_c.tcp import hold, mtuprobe
from pystack_c.tcp.congestion import rate
from pystack_c.tcp.loss import rack, undo
from pystack_c.tcp.opening.syn import send_syn
from pystack_c.tcp.optionroom import sack_option_len
from pystack_c.tcp.queues.sentseg import SentSegment
from pystack_c.tcp.segment import send_segment
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timestamps import ts_now


def retransmit_lost(tcb: Tcb) -> bool:
    """Retransmit lost segments as far as cwnd allows. The first segment of a recovery is always sent.

    Return True if fast recovery retransmitted the earliest segment. The retransmission timer then restarts, as
    RFC 6675 6 allows. Otherwise it could expire before RACK detects, a round trip later, that the retransmission was
    lost, too.
    """
    q = tcb.rtxq
    if q.lost_out == 0:
        return False
    head = False
    # Our own SACK blocks take room from the data, so a segment that was sent without them may not fit any more.
    mss = tcb.mss - sack_option_len(tcb)
    i = q.next_lost()
    while i >= 0:
        q.single(i)
        seg: SentSegment = q.segs[i]
        room = tcb.cwnd - tcb.in_flight()
        if seg.data_length() > mss:
            q.split(i, seq_add(seg.seq, mss))
        if room < seq_diff(seg.end, seg.seq) and tcb.in_flight() > 0 and not tcb.force_retransmit:
            if tcb.core.probe is not None:
                hold.lost_data(tcb, True)
            break
        if not tcb.force_retransmit and not rate.may_send_now(tcb):
            if tcb.core.probe is not None:
                hold.lost_data(tcb, False)
            break
        tcb.force_retransmit = False
        resend(tcb, seg, recovery_reason(tcb), recovery_rfc(tcb))
        if i == q.first and tcb.ca_state == C.CA_RECOVERY:
            head = True
        i = q.next_lost()
    return head


def resend(tcb: Tcb, seg: SentSegment, why: str, rfc: str) -> None:
    """Retransmit one segment, count it, and emit the event."""
    core = tcb.core
    n = seq_diff(seg.end, seg.seq)
    if core.probe is not None:
        core.emit("tcp.retransmit", tcb.subject(), tcb.ident, why, rfc, {"seq": seg.seq, "length": n})
    if tcb.mtup is not None:
        mtuprobe.inconclusive(tcb)
    core.counters.TcpRetransSegs += 1
    tcb.total_retrans += 1
    tcb.bytes_retrans += n
    if tcb.rate is not None:
        rate.sent(tcb, seg)
    rate.paced(tcb, n)
    tcb.rtxq.mark_retransmitted(seg, core.now)
    if seg.syn_fin == C.SYN:
        core.counters.TcpExtTCPSynRetrans += 1
        tcb.syn_why = ""
        sent_again(tcb, send_syn(tcb, why, rfc, 0))
        return
    undo.retransmitted(tcb, seg.end, ts_now(tcb))
    if tcb.ca_state == C.CA_LOSS:
        core.counters.TcpExtTCPSlowStartRetrans += 1
    elif tcb.ca_state == C.CA_RECOVERY:
        core.counters.TcpExtTCPFastRetrans += 1
        tcb.prr_out += n
    flags = C.ACK
    if seg.syn_fin == C.FIN:
        flags |= C.FIN
        n -= 1
    offset = tcb.sendbuf.head + seq_diff(seg.seq, tcb.snd_una)
    if n > 0 and (seg.push or offset + n == tcb.sendbuf.tail):
        flags |= C.PSH
    sent_again(tcb, send_segment(tcb, seg.seq, flags, offset, n, 0, why, rfc))


def sent_again(tcb: Tcb, error: int) -> None:
    """Correct the counters after a retransmission: tcpOutSegs excludes retransmitted segments (RFC 4022)."""
    counters = tcb.core.counters
    counters.TcpOutSegs -= 1
    if error:
        counters.TcpExtTCPRetransFail += 1


def _cut_anew(tcb: Tcb) -> bool:
    """Return True if segments are retransmitted because they were too large for the path, and not because a timer expired.

    A timeout saves the state that it changes, and a smaller MTU changes none (loss.undo).
    """
    return tcb.ca_state == C.CA_LOSS and tcb.retries == 0 and tcb.backoff == 0 and not tcb.undo_possible


def recovery_reason(tcb: Tcb) -> str:
    """Return the reason for a retransmission."""
    if tcb.core.probe is None:
        return ""
    if tcb.syn_why:
        return tcb.syn_why
    if tcb.state == C.SYN_SENT or tcb.state == C.SYN_RECEIVED:
        return f"retransmission {tcb.retries} of the SYN: no answer arrived within the RTO of {tcb.rto / 1e6:g} ms"
    if _cut_anew(tcb):
        return f"retransmission: the segment was too large for the path, and the MSS is {tcb.mss} now"
    if tcb.ca_state == C.CA_LOSS and tcb.retries == 0:
        return "retransmission: it was in flight when the RTO expired, so it counts as lost, too"
    if tcb.ca_state == C.CA_LOSS:
        text = f"retransmission: the RTO of {tcb.rto / 1e6:g} ms expired (SRTT {tcb.srtt / 1e6:g} ms)"
        return text if tcb.retries <= 1 else text + f"; this is try {tcb.retries}, and the timeout doubled each time"
    if rack.in_use(tcb):
        return "fast retransmission: a segment sent later was delivered (RACK)"
    if tcb.sack_ok:
        return "fast retransmission: SACK blocks show a hole"
    return f"fast retransmission: {tcb.dupacks} duplicate ACKs arrived"


def recovery_rfc(tcb: Tcb) -> str:
    """Return the RFC and section that require the retransmission."""
    if tcb.syn_why:
        return "Linux tcp_check_req" if tcb.passive else "RFC 9293 3.5"
    if _cut_anew(tcb):
        return "RFC 1191 6.4"
    if tcb.ca_state == C.CA_LOSS or tcb.state == C.SYN_SENT or tcb.state == C.SYN_RECEIVED:
        return "RFC 6298 5.4"
    if rack.in_use(tcb):
        return "RFC 8985 6.2"
    return "RFC 6675 5" if tcb.sack_ok else "RFC 6582 3.2"


def tail_loss_probe(tcb: Tcb) -> bool:
    """Send a tail loss probe (TLP_send_probe, RFC 8985 7.3).

    Return True if new data is to be the probe. The caller then sends it.
    """
    core = tcb.core
    q = tcb.rtxq
    i = rack.last_segment(q)
    if i < 0:
        return False
    core.counters.TcpExtTCPLossProbes += 1
    edge = seq_add(tcb.snd_una, tcb.snd_wnd)
    if tcb.unsent() > 0 and seq_lt(tcb.snd_nxt, edge):
        tcb.tlp_new = True
        return True
    seg: SentSegment = q.segs[i]
    size = seg.gso if seg.gso > 0 else tcb.mss
    if seg.data_length() > size:
        # This is the last segment of an offloaded group, as it was on the wire, or the end of a path MTU probe.
        whole = (seg.data_length() - 1) // size * size
        q.split(i, seq_add(seg.seq, whole))
        seg = q.segs[i + 1]
    resend(tcb, seg, "tail loss probe: the last segment is retransmitted before the RTO", "RFC 8985 7.3")
    rack.note_probe(tcb, True)
    return False
