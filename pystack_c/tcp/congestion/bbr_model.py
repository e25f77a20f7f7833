"""What BBR believes of the path: its bandwidth, its round-trip time, and how much it can hold (draft-ietf-ccwg-bbr, section 5.5).

The names are the draft's, or Linux's where those are shorter (bw_lo is BBR.bw_shortterm, inflight_hi is BBR.inflight_longterm);
section numbers are of draft-ietf-ccwg-bbr-06. Bandwidths are bytes a second, volumes bytes, times nanoseconds.
"""

from pystack_c.tcp.congestion.base import CongestionControl
from pystack_c.tcp.congestion.rate import Rate
from pystack_c.tcp.congestion.reno import initial_window
from pystack_c.tcp.tcb import Tcb

S = 1_000_000_000
MS = 1_000_000

STARTUP, DRAIN, PROBE_BW_DOWN, PROBE_BW_CRUISE, PROBE_BW_REFILL, PROBE_BW_UP, PROBE_RTT = range(7)

# 2.4 to 2.6
LOSS_THRESH = 0.02
BETA = 0.7
HEADROOM = 0.15
PROBE_RTT_INTERVAL = 5 * S
# ours: at least so many round trips between two ProbeRTTs; and min_rtt's window is two intervals, which is the draft's 10 s
PROBE_RTT_ROUNDS = 20
MIN_RTT_FILTER = 2
EXTRA_ACKED_ROUNDS = 5
INFINITE = 1 << 60


class BbrModel(CongestionControl):
    """One connection's model of its path. Bbr (bbr.py) is what is done with it."""

    def __init__(self) -> None:
        self.state = STARTUP
        self.full_bw_reached = False
        # 5.5.2 bandwidth: the maximum of this cycle and the last
        self.bw_now = 0
        self.bw_last = 0
        self.bw_lo = INFINITE
        self.bw = 0
        # volume
        self.inflight_hi = INFINITE
        self.inflight_lo = INFINITE
        self.bw_latest = 0
        self.inflight_latest = 0
        # rounds (5.5.1)
        self.next_round_delivered = 0
        self.round_start = False
        self.rounds = 0
        self.rounds_since_probe = 0
        # losses, by round (5.5.10)
        self.loss_round_delivered = 0
        self.loss_round_start = False
        self.loss_in_round = False
        self.seen_delivered = 0
        self.seen_lost = 0
        self.late_delivered = 0
        self.late_lost = 0
        # what the losses changed, should they prove to be none (5.5.11); `saved`: it is kept for the episode that goes on now
        self.saved = False
        self.undo_state = -1
        self.undo_lost = 0
        self.undo_bw_lo = INFINITE
        self.undo_inflight_lo = INFINITE
        self.undo_inflight_hi = INFINITE
        # min_rtt (5.5.7, 5.3.4)
        self.min_rtt = INFINITE
        self.min_rtt_at = 0
        self.probe_rtt_min = INFINITE
        self.probe_rtt_min_at = 0
        self.probe_rtt_expired = False
        # aggregation (5.5.9): the most of this half of the window, and of the one before
        self.extra_acked = 0
        self.extra_acked_before = 0
        self.extra_rounds = 0
        self.extra_start = 0
        self.extra_delivered = 0

    def start_model(self, t: Tcb) -> None:
        """5.2.1, what is the model's."""
        now = t.core.now
        self.min_rtt = t.srtt if t.srtt > 0 else INFINITE
        self.min_rtt_at = now
        self.probe_rtt_min_at = now
        self.extra_start = now

    # Rounds and bandwidth

    def start_round(self, rs: Rate) -> None:
        """5.5.1 (StartRound)."""
        self.next_round_delivered = rs.delivered

    def latest_signals(self, rs: Rate) -> None:
        """5.5.1 rounds, 5.5.10.3 the latest delivery signals."""
        self.round_start = False
        if rs.rs_prior_delivered >= self.next_round_delivered:
            self.start_round(rs)
            self.rounds += 1
            self.rounds_since_probe += 1
            self.round_start = True
        self.loss_round_start = False
        self.bw_latest = max(self.bw_latest, rs.rs_rate)
        self.inflight_latest = max(self.inflight_latest, rs.rs_delivered)
        if rs.rs_prior_delivered >= self.loss_round_delivered:
            self.loss_round_delivered = rs.delivered
            self.loss_round_start = True

    def advance_signals(self, rs: Rate) -> None:
        """5.5.10.3 (AdvanceLatestDeliverySignals)."""
        if self.loss_round_start:
            self.bw_latest = rs.rs_rate
            self.inflight_latest = rs.rs_delivered

    def reset_signals(self) -> None:
        """5.5.10.3 (ResetCongestionSignals)."""
        self.loss_in_round = False
        self.bw_latest = 0
        self.inflight_latest = 0

    def max_bw(self) -> int:
        """5.5.2."""
        return max(self.bw_now, self.bw_last)

    def update_max_bw(self, rs: Rate) -> None:
        """5.5.5: a sample that the application limited counts only where it is above what is known."""
        if rs.rs_rate > 0 and (rs.rs_rate >= self.max_bw() or not rs.rs_app_limited):
            self.bw_now = max(self.bw_now, rs.rs_rate)

    def advance_max_bw(self) -> None:
        """5.5.6. (As Linux: a cycle without a sample takes nothing away.)"""
        if self.bw_now > 0:
            self.bw_last = self.bw_now
            self.bw_now = 0

    # Losses

    def note_loss(self, t: Tcb, n: int) -> None:
        """5.5.10.2 (NoteLoss), of `n` bytes: the first loss of a round begins a round of its own, so that a whole one is looked at."""
        rs: Rate = t.rate
        if not self.loss_in_round:
            self.loss_round_delivered = rs.delivered
        self.save_bounds(rs.lost - n)
        self.loss_in_round = True

    def save_bounds(self, lost: int) -> None:
        """5.5.11.1 (SaveStateUponLoss), at the first loss of an episode; `lost` bytes were lost before it.

        Later losses of the same episode find bounds that it has lowered already, and an undo must not restore those.
        """
        if self.saved:
            return
        self.saved = True
        self.undo_state = -1
        self.undo_lost = lost
        self.undo_bw_lo = self.bw_lo
        self.undo_inflight_lo = self.inflight_lo
        self.undo_inflight_hi = self.inflight_hi

    def restore_bounds(self, t: Tcb) -> None:
        """5.5.11.2. What was counted as lost was not: else the next sample would lower the bounds for it again."""
        rs: Rate = t.rate
        self.saved = False
        self.loss_in_round = False
        if rs.lost > self.undo_lost:
            rs.lost = self.undo_lost
        if self.seen_lost > rs.lost:
            self.late_lost = max(self.late_lost - (self.seen_lost - rs.lost), 0)
            self.seen_lost = rs.lost
        self.bw_lo = max(self.bw_lo, self.undo_bw_lo)
        self.inflight_lo = max(self.inflight_lo, self.undo_inflight_lo)
        self.inflight_hi = max(self.inflight_hi, self.undo_inflight_hi)

    def reset_bounds(self) -> None:
        """5.5.10.3 (ResetShortTermModel)."""
        self.bw_lo = INFINITE
        self.inflight_lo = INFINITE

    def lower_bounds(self, t: Tcb, rs: Rate) -> None:
        """5.5.10.3 (AdaptLowerBoundsFromCongestion): once a round with losses, the short-term bounds come down.

        The draft takes any loss in a round for a sign that others have come. Then a link that loses one frame in a hundred
        by chance slows BBR down round by round, to a fraction of what there is. Here, as in its probes, more must be lost
        than BBR.LossThresh: in this round, or, as few segments tell little, in about the last eight.
        """
        if not self.loss_round_start:
            return
        lost = rs.lost - self.seen_lost
        delivered = rs.delivered - self.seen_delivered
        self.seen_lost = rs.lost
        self.seen_delivered = rs.delivered
        self.late_lost += lost - self.late_lost // 8
        self.late_delivered += delivered - self.late_delivered // 8
        probing = self.state == STARTUP or self.state == PROBE_BW_REFILL or self.state == PROBE_BW_UP
        if self.loss_in_round and not probing:
            if self.too_much(t, lost, lost + delivered) or self.lossy(t):
                if self.bw_lo == INFINITE:
                    self.bw_lo = self.max_bw()
                if self.inflight_lo == INFINITE:
                    self.inflight_lo = t.cwnd
                self.bw_lo = max(self.bw_latest, int(BETA * self.bw_lo))
                self.inflight_lo = max(self.inflight_latest, int(BETA * self.inflight_lo))
        self.loss_in_round = False

    def too_much(self, t: Tcb, lost: int, sent: int) -> bool:
        """More than BBR.LossThresh of what was sent was lost, and more than chance makes of that rate.

        Where n segments are sent and one in fifty is lost at random, n / 50 are lost give or take the root of it; so twice the
        root on top, and one segment at least, may be lost. Else a link that loses much less passes the threshold every few
        rounds, and each time leaves bandwidth that nobody else takes.
        """
        if lost < 2 * t.mss:
            return False
        expected = LOSS_THRESH * sent / t.mss
        excess = float(lost) / t.mss - expected
        return excess > 0.0 and excess * excess > 4.0 * expected

    def lossy(self, t: Tcb) -> bool:
        """Has the path lost too much for some rounds?"""
        return self.too_much(t, self.late_lost, self.late_lost + self.late_delivered)

    # Round-trip time and aggregation

    def update_min_rtt(self, t: Tcb, rs: Rate) -> None:
        """5.3.4.3 (UpdateMinRTT): two windowed minima, ten seconds and five, or longer on a long path.

        A ProbeRTT costs what the path carries in a round trip R: nothing is sent while what is in flight falls to half, which
        takes R / 2, and nothing again a round trip later, when no ACKs come. It takes 1.5 * R. By the draft there are 5 s from the
        end of one to the next, so it takes R / (5 s + 1.5 * R) of a path: 15 % at 1 s, 60 % at 30 s, and where R is above 5 s it
        begins anew before Startup can learn the bandwidth. The draft's interval is a minimum: 20 round trips make that 4.7 %
        at most, and change nothing up to 250 ms.
        """
        now = t.core.now
        interval = PROBE_RTT_INTERVAL
        if self.min_rtt != INFINITE and PROBE_RTT_ROUNDS * self.min_rtt > interval:
            interval = PROBE_RTT_ROUNDS * self.min_rtt
        self.probe_rtt_expired = now > self.probe_rtt_min_at + interval
        if rs.rs_rtt >= 0 and (rs.rs_rtt < self.probe_rtt_min or self.probe_rtt_expired):
            self.probe_rtt_min = rs.rs_rtt
            self.probe_rtt_min_at = now
        if self.probe_rtt_min < self.min_rtt or now > self.min_rtt_at + MIN_RTT_FILTER * interval:
            self.min_rtt = self.probe_rtt_min
            self.min_rtt_at = self.probe_rtt_min_at

    def update_aggregation(self, t: Tcb, rs: Rate) -> None:
        """5.5.9: how much more than bw * time ACKs in groups brought, in the last five to ten rounds (one or two in Startup)."""
        if self.round_start:
            self.extra_rounds += 1
            if self.extra_rounds >= EXTRA_ACKED_ROUNDS or not self.full_bw_reached:
                self.extra_rounds = 0
                self.extra_acked_before = self.extra_acked
                self.extra_acked = 0
        now = t.core.now
        expected = int(self.bw * ((now - self.extra_start) / 1e9))
        if self.extra_delivered <= expected:
            self.extra_delivered = 0
            self.extra_start = now
            expected = 0
        self.extra_delivered += rs.rs_newly_acked
        self.extra_acked = max(self.extra_acked, min(self.extra_delivered - expected, t.cwnd))

    # Volumes

    def bdp(self, t: Tcb, bw: int, gain: float) -> int:
        """5.6.4.2 (BDPMultiple): gain * bandwidth * min_rtt."""
        if self.min_rtt == INFINITE:
            return initial_window(t)
        return int(gain * bw * (self.min_rtt / 1e9))

    def budget(self, t: Tcb, volume: int) -> int:
        """5.6.4.2 (QuantizationBudget), 5.5.8.1: three groups of segments, four segments, and a little more for a probe."""
        volume = max(volume, 3 * max(min(t.pacing_rate // 1000, 65536), 2 * t.mss), 4 * t.mss)
        return volume + 2 * t.mss if self.state == PROBE_BW_UP else volume

    def target(self, t: Tcb) -> int:
        """5.3.3.8 (TargetInflight)."""
        return min(self.bdp(t, self.bw, 1.0), t.cwnd)

    def with_headroom(self, t: Tcb) -> int:
        """5.3.3.9 (InflightWithHeadroom)."""
        if self.inflight_hi == INFINITE:
            return INFINITE
        return max(self.inflight_hi - max(t.mss, int(HEADROOM * self.inflight_hi)), 4 * t.mss)
