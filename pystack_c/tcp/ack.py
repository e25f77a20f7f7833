"""The acknowledgement field of an acceptable segment (RFC 9293 section 3.10.7.4, fifth)."""

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


def process_ack(tcb: Tcb, pkt: Packet) -> None:
    """SND.UNA =< SEG.ACK =< SND.NXT is known: take what is acknowledged, the window, and what follows for recovery."""
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
        # A SACK block, or loss recovery, cut a record.
        memory.settle(tcb)
    if tcb.more and tcb.chunks is not None and tcb.chunks.linux:
        # (Linux: MSG_MORE holds data until the next reason to send.)
        tcb.more = False
    if tcb.unsent() > 0 or tcb.rtxq.lost_out > 0 or tcb.fin_pending or (tcb.no_space and tcb.chunks is not None):
        schedule(tcb)
    elif tcb.rtxq.count == 0:
        chrono.switch(tcb, C.CHRONO_IDLE)


def sample_rate(tcb: Tcb) -> None:
    """The ACK ends a sample of the delivery rate, which may move the model of the path, and the pace."""
    if rate.finish_sample(tcb):
        old = tcb.cwnd
        ssthresh = tcb.ssthresh
        tcb.cc.sample(tcb)
        tell.cwnd(tcb, old, ssthresh, "the model of the path changed", "draft-ietf-ccwg-bbr 5.6")
    rate.next_sample(tcb)
    rate.set_pacing(tcb)


def clean_rtxq(tcb: Tcb, ack: int) -> int:
    """Take acknowledged records out. Returns a round-trip sample by Karn's rule (RFC 6298 3), or -1."""
    q = tcb.rtxq
    now = tcb.core.now
    sample = -1
    retransmitted = False
    seg = q.head()
    while seg is not None and seq_lt(seg.seq, ack):
        if seq_gt(seg.end, ack):
            if seg.gso == 0:
                break
            # An offloaded group: its segments are acknowledged as if sent one by one.
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
        # A part of one segment: it was cut for a retransmission, or the peer acknowledges oddly.
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
    """Move SND.UNA, free the send buffer (SYN and FIN are no bytes of it), wake the writer."""
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
        # RFC 4861 7.3.1, RFC 1122 2.3.2.1 (4): forward progress shows that the next hop is alive.
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
        # Room for what is in flight, and as much again while it is.
        tcb.sndbuf_size = min(2 * tcb.cwnd, max(config.tcp_wmem_max, tcb.sndbuf_size))
    buf.ack(buf.head + before)
    memory.settle(tcb)
    if tcb.errqueue is not None:
        errqueue.acked(tcb, buf.head)
    if tcb.chunks is not None:
        tcb.chunks.acked(buf.head)
        if _linux_queue(tcb):
            # (Whether there is room again is asked after sending, as in Linux.)
            full = False
    if full and tcb.send_space() > 0:
        tcb.no_space = False
        tcb.wake(C.EV_OUT)


def measure(tcb: Tcb, pkt: Packet, sample: int) -> None:
    """A round-trip time: from the record, or from the echoed timestamp where a retransmission made it ambiguous."""
    if sample >= 0:
        rtt.update(tcb, sample)
        return
    if tcb.ts_ok and pkt.opt_ts and pkt.tsecr != 0:
        # RFC 7323 4.1: TSecr names the transmission that is acknowledged.
        elapsed = (tcb.core.now // 1_000_000 + tcb.ts_offset - pkt.tsecr) & C.M32
        if elapsed < 0x7FFFFFFF:
            rtt.update(tcb, elapsed * 1_000_000)


def update_window(tcb: Tcb, pkt: Packet) -> bool:
    """SND.WND from a segment that is not older than the last one that set it (WL1, WL2). True where it changed."""
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
        # The window opened: the persist timer has done its work.
        timer = tcb.rto_timer
        if timer is not None and timer.deadline >= 0 and timer.kind == C.TIMER_PERSIST:
            tcb.core.cancel_timer(timer, "the peer opened its window", "RFC 9293 3.8.6.1")
            timeout = backed_off(tcb)
            tcb.backoff = 0
            tcb.probes = 0
            tell.rto(tcb, timeout, "the peer opened its window, so the backoff ends", "RFC 9293 3.8.6.1")
    return True


def restart_rto(tcb: Tcb, advanced: bool) -> None:
    """RFC 6298 5.2 and 5.3: off when nothing is out, from now on when something new was acknowledged."""
    timer = tcb.rto_timer
    if tcb.rtxq.count == 0:
        if timer is not None and timer.deadline >= 0 and timer.kind != C.TIMER_PERSIST:
            tcb.core.stop_timer(timer, "all data sent is acknowledged", "RFC 6298 5.2")
    elif advanced:
        if tcb.ca_state == C.CA_RECOVERY and not tcb.sack_ok:
            # RFC 6582 3.2 step 3: only the first partial ACK restarts it. A round trip for each hole, of hundreds, takes longer
            # than the slow start that follows the timeout (section 4: the Impatient variant).
            if tcb.partial_seen:
                return
            tcb.partial_seen = True
        set_rto_timer(tcb, tcb.core.now + backed_off(tcb))


# -- quirks ----------------------------------------------------------------------------------------------------------


def _linux_queue(tcb: Tcb) -> bool:
    """For Linux, the write queue has sizes of its own (queues/chunks.py)."""
    return tcb.core.config.tcp_linux_queue
