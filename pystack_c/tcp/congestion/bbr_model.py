"""BBR's model of the path: its bandwidth, its round-trip time, and its capacity (draft-ietf-ccwg-bbr, section 5.5).

The names are those of the draft, or Linux's if those are shorter (bw_lo is BBR.bw_shortterm, inflight_hi is
BBR.inflight_longterm). Section numbers are those of draft-ietf-ccwg-bbr-06. Bandwidths are in bytes per second, volumes
in bytes, and times in nanoseconds.
"""

from pystack_c.tcp.congestion.base import CongestionControl
from pystack_c.tcp.congestion.rate import Rate
from pystack_c.tcp.congestion.reno import initial_window
from pystack_c.tcp.tcb import Tcb

S = 1_000_000_000
MS = 1_000_000

STARTUP, DRAIN, PROBE_BW_DOWN, PROBE_BW_CRUISE, PROBE_BW_REFILL, PROBE_BW_UP, PROBE_RTT = range(7)

# Constants of sections 2.4 to 2.6.
LOSS_THRESH = 0.02
BETA = 0.7
HEADROOM = 0.15
PROBE_RTT_INTERVAL = 5 * S
# A deviation from the draft: at least this many round trips lie between two ProbeRTTs. The window of min_rtt is two
# intervals, which is the draft's 10 s.
PROBE_RTT_ROUNDS = 20
MIN_RTT_FILTER = 2
EXTRA_ACKED_ROUNDS = 5
INFINITE = 1 << 60


class BbrModel(CongestionControl):
    """The model of one connection's path. Bbr (bbr.py) acts on it."""

    def __init__(self) -> None:
        self.state = STARTUP
        self.full_bw_reached = False
        # 5.5.2, bandwidth: the maximum of this cycle and that of the previous one.
        self.bw_now = 0
        self.bw_last = 0
        self.bw_lo = INFINITE
        self.bw = 0
        # Volumes.
        self.inflight_hi = INFINITE
        self.inflight_lo = INFINITE
        self.bw_latest = 0
        self.inflight_latest = 0
        # Rounds (5.5.1).
        self.next_round_delivered = 0
        self.round_start = False
        self.rounds = 0
        self.rounds_since_probe = 0
        # Losses per round (5.5.10).
        self.loss_round_delivered = 0
        self.loss_round_start = False
        self.loss_in_round = False
        self.seen_delivered = 0
        self.seen_lost = 0
        self.late_delivered = 0
        self.late_lost = 0
        # The state before the losses, in case they prove spurious (5.5.11). `saved` is true if it belongs to the
        # current episode.
        self.saved = False
        self.undo_state = -1
        self.undo_lost = 0
        self.undo_bw_lo = INFINITE
        self.undo_inflight_lo = INFINITE
        self.undo_inflight_hi = INFINITE
        # min_rtt (5.5.7, 5.3.4).
        self.min_rtt = INFINITE
        self.min_rtt_at = 0
        self.probe_rtt_min = INFINITE
        self.probe_rtt_min_at = 0
        self.probe_rtt_expired = False
        # Aggregation (5.5.9): the maximum of this half of the window, and that of the previous half.
        self.extra_acked = 0
        self.extra_acked_before = 0
        self.extra_rounds = 0
        self.extra_start = 0
        self.extra_delivered = 0

    def start_model(self, t: Tcb) -> None:
        """Initialize the model (5.2.1)."""
        now = t.core.now
        self.min_rtt = t.srtt if t.srtt > 0 else INFINITE
        self.min_rtt_at = now
        self.probe_rtt_min_at = now
        self.extra_start = now

    # Rounds and bandwidth.

    def start_round(self, rs: Rate) -> None:
        """Start a round (5.5.1, StartRound)."""
        self.next_round_delivered = rs.delivered

    def latest_signals(self, rs: Rate) -> None:
        """Update the rounds (5.5.1) and the latest delivery signals (5.5.10.3)."""
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
        """Reset the latest delivery signals at the end of a loss round (5.5.10.3, AdvanceLatestDeliverySignals)."""
        if self.loss_round_start:
            self.bw_latest = rs.rs_rate
            self.inflight_latest = rs.rs_delivered

    def reset_signals(self) -> None:
        """Reset the congestion signals (5.5.10.3, ResetCongestionSignals)."""
        self.loss_in_round = False
        self.bw_latest = 0
        self.inflight_latest = 0

    def max_bw(self) -> int:
        """Return the maximum bandwidth in bytes per second (5.5.2)."""
        return max(self.bw_now, self.bw_last)

    def update_max_bw(self, rs: Rate) -> None:
        """Update the maximum bandwidth (5.5.5). A sample that the application limited counts only if it is higher."""
        if rs.rs_rate > 0 and (rs.rs_rate >= self.max_bw() or not rs.rs_app_limited):
            self.bw_now = max(self.bw_now, rs.rs_rate)

    def advance_max_bw(self) -> None:
        """Advance the bandwidth filter by one cycle (5.5.6).

        As in Linux, a cycle without a sample keeps the maximum.
        """
        if self.bw_now > 0:
            self.bw_last = self.bw_now
            self.bw_now = 0

    # Losses.

    def note_loss(self, t: Tcb, n: int) -> None:
        """Note a loss of `n` bytes (5.5.10.2, NoteLoss).

        The first loss of a round starts a separate loss round, so that a complete round is examined.
        """
        rs: Rate = t.rate
        if not self.loss_in_round:
            self.loss_round_delivered = rs.delivered
        self.save_bounds(rs.lost - n)
        self.loss_in_round = True

    def save_bounds(self, lost: int) -> None:
        """Save the state at the first loss of an episode (5.5.11.1, SaveStateUponLoss).

        `lost` bytes were lost before it.

        The episode has already lowered the bounds when later losses arrive, and an undo must not restore those bounds.
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
        """Restore the saved state (5.5.11.2).

        Losses that were counted are removed, because they would otherwise lower the bounds again at the next sample.
        """
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
        """Reset the short-term bounds (5.5.10.3, ResetShortTermModel)."""
        self.bw_lo = INFINITE
        self.inflight_lo = INFINITE

    def lower_bounds(self, t: Tcb, rs: Rate) -> None:
        """Lower the short-term bounds once per round with losses (5.5.10.3, AdaptLowerBoundsFromCongestion).

        In the draft, any loss in a round indicates that other flows have arrived. Then a link that loses one frame in a
        hundred by chance slows BBR down, round by round, to a fraction of the available bandwidth. Here, as in BBR's
        probes, the losses must exceed BBR.LossThresh: in this round, or, because few segments prove little, in about
        the last eight rounds.
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
        """Return True if more than BBR.LossThresh of the data was lost, and more than chance explains.

        All numbers are in bytes.

        If n segments are sent and one in fifty is lost at random, the number of losses is n / 50 with a deviation of
        its square root. So the limit is the expected number plus twice its root, and at least one segment. Otherwise a
        link that loses much less would exceed the threshold every few rounds, and each time give up bandwidth that no
        other flow takes.
        """
        if lost < 2 * t.mss:
            return False
        expected = LOSS_THRESH * sent / t.mss
        excess = float(lost) / t.mss - expected
        return excess > 0.0 and excess * excess > 4.0 * expected

    def lossy(self, t: Tcb) -> bool:
        """Return True if the path has lost too much for several rounds."""
        return self.too_much(t, self.late_lost, self.late_lost + self.late_delivered)

    # Round-trip time and aggregation.

    def update_min_rtt(self, t: Tcb, rs: Rate) -> None:
        """Update two windowed minima, over 10 s and 5 s, or longer on a long path (5.3.4.3, UpdateMinRTT).

        A ProbeRTT costs what the path carries in a round trip R: the sender pauses for R / 2 while the data in flight
        falls to half, and again a round trip later, when no ACKs arrive. It lasts 1.5 * R. In the draft, 5 s pass from
        the end of one ProbeRTT to the next, so it costs R / (5 s + 1.5 * R) of the path's capacity: 15 % at 1 s, and
        60 % at 30 s. If R is above 5 s, a ProbeRTT starts again before Startup can learn the bandwidth. The draft's
        interval is a minimum. An interval of at least 20 round trips limits the cost to 4.7 %, and changes nothing up
        to R = 250 ms.
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
        """Update how much more than bw * time aggregated ACKs delivered (5.5.9).

        The maximum is over the last five to ten rounds, or over one or two in Startup.
        """
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

    # Volumes.

    def bdp(self, t: Tcb, bw: int, gain: float) -> int:
        """Return gain * bandwidth * min_rtt, in bytes (5.6.4.2, BDPMultiple)."""
        if self.min_rtt == INFINITE:
            return initial_window(t)
        return int(gain * bw * (self.min_rtt / 1e9))

    def budget(self, t: Tcb, volume: int) -> int:
        """Return the volume with a minimum (5.6.4.2 QuantizationBudget, 5.5.8.1).

        The minimum is three groups of segments, and at least four segments. A probe gets two segments more.
        """
        volume = max(volume, 3 * max(min(t.pacing_rate // 1000, 65536), 2 * t.mss), 4 * t.mss)
        return volume + 2 * t.mss if self.state == PROBE_BW_UP else volume

    def target(self, t: Tcb) -> int:
        """Return the target for the data in flight, in bytes (5.3.3.8, TargetInflight)."""
        return min(self.bdp(t, self.bw, 1.0), t.cwnd)

    def with_headroom(self, t: Tcb) -> int:
        """Return inflight_hi less the headroom, in bytes (5.3.3.9, InflightWithHeadroom)."""
        if self.inflight_hi == INFINITE:
            return INFINITE
        return max(self.inflight_hi - max(t.mss, int(HEADROOM * self.inflight_hi)), 4 * t.mss)
