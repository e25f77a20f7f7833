"""Delivery rate samples, and pacing (draft-ietf-ccwg-bbr, sections 4.1 and 5.6.2).

Each segment's record holds how much had been delivered when the segment was sent. Its ACK shows how much was delivered
since, and in which time. Pacing spreads segments over time instead of sending a whole window at once.
"""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_diff
from pystack_c.base.timer import Timer
from pystack_c.tcp.queues.sentseg import SentSegment
from pystack_c.tcp.tcb import Tcb

# The segments that a connection may send before pacing starts, with the setting tcp_pacing.
UNPACED = 10


class Rate:
    """The counters of one connection, and the last sample (the fields that begin with rs_)."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Give every field its initial value."""
        self.delivered = 0
        self.delivered_at = 0
        self.first_sent_at = 0
        self.app_limited = 0
        self.lost = 0
        self.rs_valid = False
        self.rs_prior_delivered = 0
        self.rs_prior_lost = 0
        self.rs_send_elapsed = 0
        self.rs_ack_elapsed = 0
        self.rs_app_limited = False
        self.rs_tx_in_flight = 0
        self.rs_rtt = -1
        self.rs_newly_acked = 0
        self.rs_newly_lost = 0
        self.rs_delivered = 0
        self.rs_rate = 0
        # The last usable sample (tcpi_delivery_rate).
        self.rate = 0
        self.rate_app_limited = False


def new_rate() -> Rate:
    """Return a new Rate. This is faster than a call of Rate()."""
    rate: Rate = Rate.__new__(Rate)
    rate.begin()
    return rate


def sent(tcb: Tcb, seg: SentSegment) -> None:
    """Record the state when a segment is about to be sent or retransmitted."""
    rate: Rate = tcb.rate
    now = tcb.core.now
    if tcb.rtxq.count == 0:
        rate.first_sent_at = now
        rate.delivered_at = now
    seg.delivered = rate.delivered
    seg.delivered_at = rate.delivered_at
    seg.first_sent_at = rate.first_sent_at
    seg.lost_before = rate.lost
    seg.app_limited = rate.app_limited != 0
    seg.tx_in_flight = tcb.in_flight() + seq_diff(seg.end, seg.seq)


def delivered(tcb: Tcb, seg: SentSegment, n: int) -> None:
    """Count `n` bytes of a segment that were newly acknowledged or SACKed."""
    rate: Rate = tcb.rate
    now = tcb.core.now
    rate.delivered += n
    rate.delivered_at = now
    rate.rs_newly_acked += n
    if not rate.rs_valid or seg.delivered >= rate.rs_prior_delivered:
        rate.rs_valid = True
        rate.rs_prior_delivered = seg.delivered
        rate.rs_prior_lost = seg.lost_before
        rate.rs_app_limited = seg.app_limited
        rate.rs_tx_in_flight = seg.tx_in_flight
        rate.rs_send_elapsed = seg.sent_at - seg.first_sent_at
        rate.rs_ack_elapsed = now - seg.delivered_at
        rate.rs_rtt = now - seg.sent_at if seg.retrans == 0 else -1
        rate.first_sent_at = seg.sent_at


def lost(tcb: Tcb, n: int) -> None:
    """Count `n` bytes that were marked as lost."""
    rate: Rate = tcb.rate
    rate.lost += n
    rate.rs_newly_lost += n


def finish_sample(tcb: Tcb) -> bool:
    """Compute the sample's rate in bytes per second after the whole ACK was counted. Return False if there is none."""
    rate: Rate = tcb.rate
    if rate.app_limited != 0 and rate.delivered > rate.app_limited:
        rate.app_limited = 0
    rate.rs_delivered = rate.delivered - rate.rs_prior_delivered
    interval = rate.rs_send_elapsed if rate.rs_send_elapsed > rate.rs_ack_elapsed else rate.rs_ack_elapsed
    rate.rs_rate = 0
    if not rate.rs_valid:
        return False
    if interval > 0 and (tcb.min_rtt < 0 or interval >= tcb.min_rtt):
        rate.rs_rate = rate.rs_delivered * C.NS_PER_S // interval
        if not rate.rs_app_limited or rate.rs_rate >= rate.rate:
            rate.rate = rate.rs_rate
            rate.rate_app_limited = rate.rs_app_limited
    return True


def next_sample(tcb: Tcb) -> None:
    """Reset the sample for the next ACK."""
    rate: Rate = tcb.rate
    rate.rs_valid = False
    rate.rs_newly_acked = 0
    rate.rs_newly_lost = 0
    rate.rs_rtt = -1


def note_app_limited(tcb: Tcb, in_flight: int) -> None:
    """Note that the application, and not cwnd, limits the sender, so that samples show too low a rate."""
    rate: Rate = tcb.rate
    rate.app_limited = rate.delivered + in_flight
    if rate.app_limited == 0:
        rate.app_limited = 1


def set_pacing(tcb: Tcb) -> None:
    """Set the pacing rate for an algorithm that sets none (Linux tcp_update_pacing_rate).

    The rate is slightly more than a window per round trip.
    """
    config = tcb.core.config
    if not config.tcp_pacing or tcb.own_recovery or tcb.srtt <= 0:
        return
    ratio = config.tcp_pacing_ss_ratio if tcb.cwnd < tcb.ssthresh // 2 else config.tcp_pacing_ca_ratio
    window = seq_diff(tcb.snd_nxt, tcb.snd_una)
    if window < tcb.cwnd:
        window = tcb.cwnd
    # The calculation is in microseconds, because the product would overflow otherwise.
    rtt = tcb.srtt // 1000 if tcb.srtt >= 1000 else 1
    tcb.pacing_rate = window * ratio // 100 * 1_000_000 // rtt


def pacing_limit(tcb: Tcb) -> int:
    """Return the pacing rate in force in bytes per second, or 0 without pacing."""
    rate = tcb.pacing_rate
    if tcb.max_pacing_rate > 0 and (rate == 0 or rate > tcb.max_pacing_rate):
        rate = tcb.max_pacing_rate
    return rate


def may_send_now(tcb: Tcb) -> bool:
    """Return True if pacing allows the next segment now. Otherwise, start the pacing timer."""
    if pacing_limit(tcb) == 0 or tcb.pace_at <= tcb.core.now:
        return True
    if tcb.pace_timer is None:
        tcb.pace_timer = Timer(tcb, C.TIMER_PACE)
    if tcb.pace_timer.deadline != tcb.pace_at:
        why = "pacing spreads the segments over time"
        tcb.core.set_timer(tcb.pace_timer, tcb.pace_at, why, "draft-ietf-ccwg-bbr 5.6.2")
    return False


def paced(tcb: Tcb, n: int) -> None:
    """Compute the time of the next segment after `n` bytes were sent."""
    limit = pacing_limit(tcb)
    if limit == 0:
        return
    if tcb.core.config.tcp_pacing and not tcb.own_recovery:
        # In Linux, the first segments of a connection are sent at once. A delay is made up by at most half of the wait.
        wait = n * C.NS_PER_S // limit
        late = tcb.core.now - tcb.pace_at
        if late > 0:
            tcb.pace_at = tcb.core.now
            wait -= late if late < wait // 2 else wait // 2
        if tcb.data_segs_out >= UNPACED:
            tcb.pace_at += wait
        return
    # A late timer is made up, by an eighth of a round trip and at most 5 ms. An idle time is not.
    slack = tcb.srtt // 8 if tcb.srtt < 40_000_000 else 5_000_000
    start = tcb.pace_at if tcb.pace_at > tcb.core.now - slack else tcb.core.now
    tcb.pace_at = start + n * C.NS_PER_S // limit


def quantum(tcb: Tcb, mss: int) -> int:
    """Return the largest group for a device at this rate in bytes: a millisecond, but at least two segments (5.6.3)."""
    limit = pacing_limit(tcb)
    if limit == 0:
        return 1 << 30
    n = limit // 1000
    return n if n > 2 * mss else 2 * mss
