"""Process the acknowledgement field of an acceptable segment (RFC 9293 section 3.10.7.4, fifth)."""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.link.neighbor import confirm
from pystack_c.packet import Packet
from pystack_c.tcp import marks, mtuprobe, tell
from pystack_c.tcp.congestion import chrono, rate
from pystack_c.tcp.ecn import ecn
from pystack_c.tcp.loss import rtt
from pystack_c.tcp.loss.marking import delivered, update_scoreboard
from pystack_c.tcp.loss.recovery import after_ack
from pystack_c.tcp.loss.rtt import backed_off
from pystack_c.tcp.queues import errqueue, memory
from pystack_c.tcp.rtotimer import set_rto_timer
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.tcb import Tcb


def process_ack(tcb: Tcb, pkt: Packet, opened: bool) -> None:
    """Process an ACK with SEG.ACK =< SND.NXT: free acknowledged data, update the window, and run loss recovery.

    `opened` is True if this segment has just acknowledged the SYN. It is no duplicate then, although data that was sent
    before it may be unacknowledged (Fast Open).
    """
    ack = pkt.ack
    una = tcb.snd_una
    tcb.probes = 0
    tcb.keep_probes = 0
    tcb.ack_dsack = False
    tcb.ack_orig = False
    tcb.ack_delivered = 0
    tcb.ack_reordered = False
    tcb.last_ack_recv = tcb.core.now
    if pkt.l4_end == pkt.data_off and not pkt.tcp_flags & (C.SYN | C.FIN):
        tcb.core.counters.TcpExtTCPPureAcks += 1
    before = tcb.delivered
    advanced = seq_gt(ack, una)
    acked = 0
    sample = -1
    records = tcb.rtxq.count
    if advanced:
        sample = clean_rtxq(tcb, ack)
        acked = seq_diff(ack, una)
        data_acked(tcb, ack)
        records = tcb.rtxq.count
        if tcb.mtup is not None:
            mtuprobe.acked(tcb)
    plain = pkt.sack is None or not tcb.sack_ok
    if not plain:
        update_scoreboard(tcb, pkt.sack)
    sacked = not plain and tcb.ack_delivered > 0
    window_changed = seq_ge(ack, una) and update_window(tcb, pkt)
    # RFC 5681 2: a duplicate ACK acknowledges nothing new, carries no data, and leaves the window as it was.
    duplicate = (
        ack == una
        and not opened
        and tcb.rtxq.count > 0
        and pkt.l4_end == pkt.data_off
        and not (pkt.tcp_flags & (C.SYN | C.FIN))
        and (not window_changed if plain else sacked)
    )
    if tcb.accecn is not None:
        ecn.feedback(tcb, pkt, tcb.delivered - before, advanced or tcb.ack_delivered > 0 or tcb.accecn.newer)
    elif tcb.ecn_ok and pkt.tcp_flags & C.ECE:
        tcb.delivered_ce += tcb.delivered - before
        tcb.core.counters.TcpExtTCPDeliveredCE += tcb.delivered - before
    if advanced or duplicate or sacked or tcb.ack_dsack:
        if advanced:
            measure(tcb, pkt, sample)
        after_ack(tcb, acked, duplicate, pkt.tsecr if pkt.opt_ts else 0, plain)
        if tcb.rate is not None:
            sample_rate(tcb)
        restart_rto(tcb, advanced)
    if tcb.rtxq.count != records:
        # A SACK block or loss recovery split a record.
        memory.settle(tcb)
    go_on(tcb)


def go_on(tcb: Tcb) -> None:
    """Send what an ACK lets go, or note that nothing is left to send."""
    if tcb.more and tcb.chunks is not None and tcb.chunks.linux:
        # On Linux, MSG_MORE holds data only until the next event that lets the connection send.
        tcb.more = False
    if tcb.unsent() > 0 or tcb.rtxq.lost_out > 0 or tcb.fin_pending or (tcb.no_space and tcb.chunks is not None):
        schedule(tcb)
    elif tcb.rtxq.count == 0:
        chrono.switch(tcb, C.CHRONO_IDLE)


def sample_rate(tcb: Tcb) -> None:
    """End a delivery-rate sample at this ACK, and update the path model and the pacing rate from it."""
    if rate.finish_sample(tcb):
        old = tcb.cwnd
        ssthresh = tcb.ssthresh
        tcb.cc.sample(tcb)
        tell.cwnd(tcb, old, ssthresh, "the model of the path changed", "draft-ietf-ccwg-bbr 5.6")
    rate.next_sample(tcb)
    rate.set_pacing(tcb)


def clean_rtxq(tcb: Tcb, ack: int) -> int:
    """Remove acknowledged records. Return a round-trip sample in ns that satisfies Karn's rule (RFC 6298 3), or -1."""
    q = tcb.rtxq
    now = tcb.core.now
    sample = -1
    retransmitted = False
    seg = q.head()
    while seg is not None and seq_lt(seg.seq, ack):
        if seq_gt(seg.end, ack):
            if seg.gso == 0:
                break
            # This is an offloaded group. Treat its segments as if they had been sent one by one.
            q.split(q.first, ack)
        if seg.retrans > 0:
            retransmitted = True
        if not seg.sacked:
            if seg.retrans == 0 and sample < 0:
                sample = now - seg.sent_at
            delivered(tcb, seg)
        q.pop_head()
        seg = q.head()
    if seg is not None and seq_lt(seg.seq, ack):
        # The ACK covers part of a segment: the segment was split for a retransmission, or the peer acknowledges parts.
        if seg.retrans > 0:
            retransmitted = True
        elif sample < 0 and not seg.sacked:
            sample = now - seg.sent_at
        if not seg.sacked:
            n = seq_diff(ack, seg.seq)
            tcb.ack_delivered += n
            if tcb.rate is not None:
                rate.delivered(tcb, seg, n)
        q.trim_head(ack)
    return -1 if retransmitted else sample


def data_acked(tcb: Tcb, ack: int) -> None:
    """Advance SND.UNA, free the acknowledged bytes of the send buffer, and wake a waiting writer.

    SYN and FIN take sequence numbers, but no bytes of the buffer.
    """
    before = seq_diff(ack, tcb.snd_una)
    if tcb.syn_out():
        before -= 1
    if tcb.fin_sent and seq_gt(ack, tcb.fin_seq):
        before -= 1
    far = (ack ^ tcb.snd_una) >> C.MARK_SHIFT
    tcb.snd_una = ack
    if far != 0:
        marks.sent(tcb)
    if tcb.core.probe is not None:
        n = before if before > 0 else 0
        tell.received(tcb, "tcp.acked", ack, n, "the peer acknowledged all data up to here", "RFC 9293 3.4")
    if tcb.route is not None and tcb.route.neigh is not None:
        # RFC 4861 7.3.1, RFC 1122 2.3.2.1 (4): forward progress confirms that the next hop is reachable.
        confirm(tcb.route.neigh)
    if seq_lt(tcb.snd_up, ack):
        tcb.snd_up = ack
    tcb.retries = 0
    tcb.retry_start = -1 if tcb.rtxq.count == 0 else tcb.core.now
    if before <= 0:
        memory.settle(tcb)
        return
    tcb.bytes_acked += before
    buf = tcb.sendbuf
    full = tcb.no_space or tcb.send_space() == 0
    config = tcb.core.config
    if (
        not tcb.sndbuf_fixed
        and config.tcp_moderate_sndbuf
        and not _linux_queue(tcb)
        and not tcb.core.tcp_pressure
        and tcb.sndbuf_size < 2 * tcb.cwnd
    ):
        # Leave room for the data in flight, and for as much again to be sent while it is in flight.
        tcb.sndbuf_size = min(2 * tcb.cwnd, max(config.tcp_wmem_max, tcb.sndbuf_size))
    buf.ack(buf.head + before)
    memory.settle(tcb)
    if tcb.errqueue is not None:
        errqueue.acked(tcb, buf.head)
    if tcb.chunks is not None:
        tcb.chunks.acked(buf.head)
        if tcb.chunks.linux:
            # The next output checks for free space after it has sent, as Linux does.
            full = False
    if full and tcb.send_space() > 0:
        tcb.no_space = False
        tcb.wake(C.EV_OUT)


def measure(tcb: Tcb, pkt: Packet, sample: int) -> None:
    """Update the round-trip estimate from the sample, or, if it is ambiguous, from the echoed timestamp.

    The sample (ns) is ambiguous (-1) if a retransmission was acknowledged.
    """
    if sample >= 0:
        rtt.update(tcb, sample)
        return
    if tcb.ts_ok and pkt.opt_ts and pkt.tsecr != 0:
        # RFC 7323 4.1: TSecr identifies the transmission that is acknowledged.
        elapsed = (tcb.core.now // 1_000_000 + tcb.ts_offset - pkt.tsecr) & C.M32
        if elapsed < 0x7FFFFFFF:
            rtt.update(tcb, elapsed * 1_000_000)


def update_window(tcb: Tcb, pkt: Packet) -> bool:
    """Update SND.WND from a segment at least as new as the last update (SND.WL1, SND.WL2).

    Return True if it changed.
    """
    if not (seq_lt(tcb.snd_wl1, pkt.seq) or (tcb.snd_wl1 == pkt.seq and seq_le(tcb.snd_wl2, pkt.ack))):
        return False
    window = pkt.window << tcb.snd_wscale
    tcb.snd_wl1 = pkt.seq
    tcb.snd_wl2 = pkt.ack
    old = tcb.snd_wnd
    if window == old:
        return False
    tcb.snd_wnd = window
    if window > tcb.max_window:
        tcb.max_window = window
    if tcb.core.probe is not None:
        tell.window(tcb, old, f"the peer's window is {window} bytes now", "RFC 9293 3.10.7.4")
    if old == 0:
        # The window opened, so the persist timer is no longer needed.
        timer = tcb.rto_timer
        if timer is not None and timer.deadline >= 0 and timer.kind == C.TIMER_PERSIST:
            tcb.core.cancel_timer(timer, "the peer opened its window", "RFC 9293 3.8.6.1")
            timeout = backed_off(tcb)
            tcb.backoff = 0
            tcb.probes = 0
            tell.rto(tcb, timeout, "the peer opened its window, so the backoff ends", "RFC 9293 3.8.6.1")
    return True


def restart_rto(tcb: Tcb, advanced: bool) -> None:
    """Stop the timer if nothing is in flight (RFC 6298 5.2); restart it if the ACK advanced SND.UNA (5.3)."""
    timer = tcb.rto_timer
    if tcb.rtxq.count == 0:
        if timer is not None and timer.deadline >= 0 and timer.kind != C.TIMER_PERSIST:
            tcb.core.stop_timer(timer, "all data sent is acknowledged", "RFC 6298 5.2")
    elif advanced:
        if tcb.ca_state == C.CA_RECOVERY and not tcb.sack_ok:
            # RFC 6582 3.2 step 3: only the first partial ACK restarts the timer. With hundreds of holes, one round trip
            # for each hole takes longer than the slow start after a timeout (RFC 3782 section 4: the Impatient variant).
            if tcb.partial_seen:
                return
            tcb.partial_seen = True
        set_rto_timer(tcb, tcb.core.now + backed_off(tcb))


# -- quirks ----------------------------------------------------------------------------------------------------------


def _linux_queue(tcb: Tcb) -> bool:
    """For Linux, the write queue has sizes of its own (queues/chunks.py)."""
    return tcb.core.config.tcp_linux_queue
