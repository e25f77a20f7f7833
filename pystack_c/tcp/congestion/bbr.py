"""BBR version 3 (draft-ietf-ccwg-bbr): congestion control by a model of the path's bandwidth and round-trip time.

The model is in bbr_model.py. This module has the states that probe the path, and sets the pacing rate and cwnd. Section
numbers are those of draft-ietf-ccwg-bbr-06.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.tcp.congestion.base import SIGNAL_LOSS, SIGNAL_RTO, register
from pystack_c.tcp.congestion.bbr_model import (
    BETA,
    DRAIN,
    INFINITE,
    MS,
    PROBE_BW_CRUISE,
    PROBE_BW_DOWN,
    PROBE_BW_REFILL,
    PROBE_BW_UP,
    PROBE_RTT,
    STARTUP,
    BbrModel,
    S,
)
from pystack_c.tcp.congestion.rate import Rate, note_app_limited
from pystack_c.tcp.congestion.reno import initial_window
from pystack_c.tcp.queues.sentseg import SentSegment
from pystack_c.tcp.tcb import Tcb

STATE_NAMES = ("startup", "drain", "down", "cruise", "refill", "up", "probe-rtt")

# The phase of a bandwidth probe that the ACKs reflect (5.3.3.9): none, its start, its feedback, and its last round.
ACKS_INIT, ACKS_REFILLING, ACKS_STARTING, ACKS_FEEDBACK, ACKS_STOPPING = range(5)

# Constants of sections 2.4 to 2.6.
STARTUP_GAIN = 2.77
DRAIN_GAIN = 0.5
DOWN_GAIN = 0.9
UP_GAIN = 1.25
CWND_GAIN = 2.0
UP_CWND_GAIN = 2.25
PROBE_RTT_GAIN = 0.5
PACING_MARGIN = 0.99
PROBE_RTT_DURATION = 200 * MS
FULL_BW_COUNT = 3
FULL_LOSS_COUNT = 6


class Bbr(BbrModel):
    """The BBR state of one connection."""

    name = "bbr"

    def __init__(self) -> None:
        BbrModel.__init__(self)
        self.pacing_gain = STARTUP_GAIN
        self.cwnd_gain = CWND_GAIN
        self.ack_phase = ACKS_INIT
        # Detection of a full pipe (5.3.1.2).
        self.full_bw = 0
        self.full_bw_count = 0
        self.full_bw_now = False
        self.lost_ranges = 0
        self.lost_end = 0
        self.drain_round = 0
        # ProbeRTT (5.3.4).
        self.probe_rtt_done_at = 0
        self.probe_rtt_round_done = False
        self.idle_restart = False
        # The window before it was reduced (5.6.4.4).
        self.prior_cwnd = 0
        self.recovering = False
        # Bandwidth probes (5.3.3).
        self.cycle_at = 0
        self.probe_wait = 2 * S
        self.probe_up_acks = 0
        self.probe_up_count = INFINITE
        self.probe_up_rounds = 0
        self.probe_samples = False
        self.too_high = False
        self.cautious = False

    def conn_init(self, tcb: Tcb) -> None:
        """Set the initial window, start the model, and set the first pacing rate (5.2.1, 5.6.2)."""
        t: Tcb = tcb
        t.cwnd = initial_window(t)
        t.own_recovery = True
        self.start_model(t)
        rtt = t.srtt if t.srtt > 0 else MS
        t.pacing_rate = int(STARTUP_GAIN * t.cwnd * (1e9 / rtt))

    def sample(self, tcb: Tcb) -> None:
        """Update the model, the state machine, and the controls after an ACK (5.2.3, UpdateOnACK)."""
        t: Tcb = tcb
        rs: Rate = t.rate
        self.latest_signals(rs)
        self.update_max_bw(rs)
        self._startup_losses(t, rs)
        self.lower_bounds(t, rs)
        self.update_aggregation(t, rs)
        self._full_bw(rs)
        self._startup(t, rs)
        if self.full_bw_reached:
            self._cycle(t, rs)
        self.update_min_rtt(t, rs)
        self._probe_rtt(t, rs)
        self.advance_signals(rs)
        self.bw = min(self.max_bw(), self.bw_lo)
        self._pace(t, self.pacing_gain)
        self._window(t, rs)

    # Startup and Drain.

    def _reset_full_bw(self) -> None:
        self.full_bw = 0
        self.full_bw_count = 0
        self.full_bw_now = False

    def _full_bw(self, rs: Rate) -> None:
        """Detect a full pipe: three rounds without 25 % more bandwidth (5.3.1.2)."""
        if self.full_bw_now or not self.round_start or rs.rs_app_limited:
            return
        if rs.rs_rate >= self.full_bw + self.full_bw // 4:
            self._reset_full_bw()
            self.full_bw = rs.rs_rate
            return
        self.full_bw_count += 1
        if self.full_bw_count >= FULL_BW_COUNT:
            self.full_bw_now = True
            self.full_bw_reached = True

    def _startup_losses(self, t: Tcb, rs: Rate) -> None:
        """End Startup if a round loses six separate ranges of sequence numbers, and too much in total (5.3.1.3)."""
        if not self.loss_round_start:
            return
        if self.state == STARTUP and not self.full_bw_reached and self.lost_ranges >= FULL_LOSS_COUNT:
            if self.too_much(t, rs.lost - rs.rs_prior_lost, rs.rs_tx_in_flight):
                self.undo_state = STARTUP
                self.full_bw_reached = True
                self.inflight_hi = max(self.bdp(t, self.max_bw(), 1.0), self.inflight_latest)
        self.lost_ranges = 0

    def _startup(self, t: Tcb, rs: Rate) -> None:
        """Leave Startup or Drain if it is complete (5.3.1.1 CheckStartupDone, 5.3.2 CheckDrainDone)."""
        if self.state == STARTUP and self.full_bw_reached:
            self._enter(DRAIN, DRAIN_GAIN, CWND_GAIN)
            self.drain_round = self.rounds
        if self.state == DRAIN:
            full = self.budget(t, self.bdp(t, self.max_bw(), 1.0))
            if t.in_flight() <= full or self.rounds > self.drain_round + 3:
                self._start_down(t, rs)

    def _enter(self, state: int, pacing_gain: float, cwnd_gain: float) -> None:
        self.state = state
        self.pacing_gain = pacing_gain
        self.cwnd_gain = cwnd_gain

    # ProbeBW (5.3.3.9).

    def _start_down(self, t: Tcb, rs: Rate) -> None:
        """Enter ProbeBW_DOWN: leave room for other flows, and drain the queue that the probe made (5.3.3.1)."""
        self.reset_signals()
        self.probe_up_count = INFINITE
        # 5.3.3.8: the next probe starts after 2 to 3 s, or after as many rounds as Reno would need.
        self.probe_wait = 2 * S + t.core.rng.below(1000) * MS
        self.rounds_since_probe = t.core.rng.below(2)
        self.cycle_at = t.core.now
        self.ack_phase = ACKS_STOPPING
        self.start_round(rs)
        self._enter(PROBE_BW_DOWN, DOWN_GAIN, CWND_GAIN)

    def _start_refill(self, rs: Rate) -> None:
        """Enter ProbeBW_REFILL (5.3.3.3)."""
        self.reset_bounds()
        self.probe_up_rounds = 0
        self.probe_up_acks = 0
        self.cautious = False
        self.ack_phase = ACKS_REFILLING
        self.start_round(rs)
        self._enter(PROBE_BW_REFILL, 1.0, CWND_GAIN)

    def _start_up(self, t: Tcb, rs: Rate) -> None:
        """Enter ProbeBW_UP (5.3.3.5)."""
        self.probe_samples = True
        self.ack_phase = ACKS_STARTING
        self.start_round(rs)
        self.cycle_at = t.core.now
        self._reset_full_bw()
        self.full_bw = rs.rs_rate
        self._raise_slope(t)
        self._enter(PROBE_BW_UP, UP_GAIN, UP_CWND_GAIN)

    def _cycle(self, t: Tcb, rs: Rate) -> None:
        """Select the next phase of ProbeBW (5.3.3.9, UpdateProbeBWCyclePhase)."""
        if self._long_term(t, rs):
            return
        state = self.state
        flight = t.in_flight()
        if state == PROBE_BW_DOWN or state == PROBE_BW_CRUISE:
            if self._time_to_probe(t):
                self._start_refill(rs)
            elif state == PROBE_BW_DOWN and flight <= self.with_headroom(t):
                if flight <= self.budget(t, self.bdp(t, self.max_bw(), 1.0)):
                    self._enter(PROBE_BW_CRUISE, 1.0, CWND_GAIN)
        elif state == PROBE_BW_REFILL:
            if self.round_start:
                self._start_up(t, rs)
        elif state == PROBE_BW_UP and self._time_to_go_down(t, rs):
            self.too_high = False
            self._start_down(t, rs)

    def _long_term(self, t: Tcb, rs: Rate) -> bool:
        """Update the bandwidth filter and inflight_hi (5.3.3.9, AdaptLongTermModel).

        Return True if this selected the state.
        """
        if self.round_start and self.ack_phase == ACKS_STARTING:
            self.ack_phase = ACKS_FEEDBACK
        probing_bw = PROBE_BW_DOWN <= self.state <= PROBE_BW_UP
        if self.round_start and self.ack_phase == ACKS_STOPPING:
            self.probe_samples = False
            self.ack_phase = ACKS_INIT
            if probing_bw and not rs.rs_app_limited:
                self.advance_max_bw()
            if probing_bw and self.cautious and not self.too_high:
                # 5.3.3.6: the cautious probe succeeded.
                self._start_refill(rs)
                return True
        if self._excessive(t, rs.lost - rs.rs_prior_lost, rs.rs_tx_in_flight):
            if self.probe_samples:
                self._inflight_too_high(t, rs.rs_tx_in_flight, rs.rs_app_limited)
        elif self.inflight_hi != INFINITE:
            self.inflight_hi = max(self.inflight_hi, rs.rs_tx_in_flight)
            if self.state == PROBE_BW_UP:
                self._probe_upward(t, rs)
        return False

    def _time_to_go_down(self, t: Tcb, rs: Rate) -> bool:
        """Return True if ProbeBW_UP is to end (5.3.3.7).

        It ends if more data in flight brings no more bandwidth, or, after a probe that lost too much, if its level is
        reached again (5.3.3.6).
        """
        if self.too_high and t.in_flight() >= self.inflight_hi:
            self.cautious = True
            return True
        if t.cwnd_limited and t.cwnd >= self.inflight_hi:
            # The bound limits the bandwidth, so it is unknown how much more the path carries.
            self._reset_full_bw()
            self.full_bw = rs.rs_rate
            return False
        return self.full_bw_now

    def _probe_upward(self, t: Tcb, rs: Rate) -> None:
        """Raise inflight_hi while cwnd fills it (5.3.3.9, ProbeInflightLongtermUpward)."""
        if not t.cwnd_limited or t.cwnd < self.inflight_hi:
            return
        self.probe_up_acks += rs.rs_newly_acked
        if self.probe_up_acks >= self.probe_up_count:
            steps = self.probe_up_acks // self.probe_up_count
            self.probe_up_acks -= steps * self.probe_up_count
            self.inflight_hi += steps * t.mss
        if self.round_start:
            self._raise_slope(t)

    def _raise_slope(self, t: Tcb) -> None:
        """Double the slope of inflight_hi: 1, 2, 4, 8 segments per round, and so on (5.3.3.5)."""
        growth = 1 << self.probe_up_rounds
        self.probe_up_rounds = min(self.probe_up_rounds + 1, 30)
        self.probe_up_count = max(t.cwnd // growth, t.mss)

    def _time_to_probe(self, t: Tcb) -> bool:
        """Return True if a bandwidth probe is due (5.3.3.8)."""
        if t.core.now > self.cycle_at + self.probe_wait:
            return True
        return self.rounds_since_probe >= min(max(self.target(t) // t.mss, 1), 63)

    # Losses.

    def _excessive(self, t: Tcb, lost: int, in_flight: int) -> bool:
        """Return True if the losses are too high (5.5.10.2, IsInflightTooHigh).

        If the path has lost too much for several rounds, a single loss is enough, as in the draft.
        """
        return self.too_much(t, lost, in_flight) or (lost > 0 and self.lossy(t))

    def segment_lost(self, tcb: Tcb, seg: Any) -> None:
        """Check whether too much was in flight when a lost segment was sent (5.5.10.2, HandleLostPacket)."""
        t: Tcb = tcb
        gone: SentSegment = seg
        rs: Rate = t.rate
        self.note_loss(t, gone.length())
        # 5.3.1.3 counts ranges. One ACK can reveal many of them, and many ACKs can reveal parts of the same range.
        if self.lost_ranges == 0 or gone.seq != self.lost_end:
            self.lost_ranges += 1
        self.lost_end = gone.end
        if not self.probe_samples:
            return
        lost = rs.lost - gone.lost_before
        if self._excessive(t, lost, gone.tx_in_flight):
            # InflightAtLoss: without groups of segments, the level is that before this segment.
            self._inflight_too_high(t, gone.tx_in_flight - min(lost, gone.tx_in_flight, t.mss), gone.app_limited)

    def _inflight_too_high(self, t: Tcb, in_flight: int, app_limited: bool) -> None:
        """Set the long-term bound after a probe that lost too much (5.5.10.2, HandleInflightTooHigh)."""
        self.too_high = True
        self.probe_samples = False
        if not app_limited:
            self.inflight_hi = max(in_flight, int(self.target(t) * BETA))
        if self.state == PROBE_BW_UP:
            self.undo_state = PROBE_BW_UP
            self._start_down(t, t.rate)

    # ProbeRTT.

    def _probe_rtt(self, t: Tcb, rs: Rate) -> None:
        """Perform ProbeRTT (5.3.4.3, CheckProbeRTT).

        For 200 ms and a round, half a BDP is in flight, so that the queue drains and a sample shows the true round-trip
        time.
        """
        if self.state != PROBE_RTT and self.probe_rtt_expired and not self.idle_restart:
            self._enter(PROBE_RTT, 1.0, PROBE_RTT_GAIN)
            self._save_cwnd(t)
            self.probe_rtt_done_at = 0
            self.ack_phase = ACKS_STOPPING
            self.start_round(rs)
        if self.state == PROBE_RTT:
            # Data sent now reveals nothing about the bandwidth.
            note_app_limited(t, t.in_flight())
            if self.probe_rtt_done_at == 0:
                if t.in_flight() <= self._probe_rtt_window(t):
                    self.probe_rtt_done_at = t.core.now + PROBE_RTT_DURATION
                    self.probe_rtt_round_done = False
                    self.start_round(rs)
            elif self.round_start or self.probe_rtt_round_done:
                self.probe_rtt_round_done = True
                self._probe_rtt_done(t, rs)
        if rs.rs_delivered > 0:
            self.idle_restart = False

    def _probe_rtt_done(self, t: Tcb, rs: Rate) -> None:
        """Leave ProbeRTT if it is complete (5.3.4.3 CheckProbeRTTDone, 5.3.4.4)."""
        if self.probe_rtt_done_at == 0 or t.core.now <= self.probe_rtt_done_at:
            return
        self.probe_rtt_min_at = t.core.now
        t.cwnd = max(t.cwnd, self.prior_cwnd)
        self.reset_bounds()
        if self.full_bw_reached:
            self._start_down(t, rs)
            self._enter(PROBE_BW_CRUISE, 1.0, CWND_GAIN)
        else:
            self._enter(STARTUP, STARTUP_GAIN, CWND_GAIN)

    def _probe_rtt_window(self, t: Tcb) -> int:
        return max(self.bdp(t, self.bw, PROBE_RTT_GAIN), 4 * t.mss)

    # The controls.

    def _pace(self, t: Tcb, gain: float) -> None:
        """Set the pacing rate (5.6.2)."""
        if self.bw == 0:
            return
        rate = int(gain * self.bw * PACING_MARGIN)
        if self.full_bw_reached or rate > t.pacing_rate:
            t.pacing_rate = max(rate, 1)

    def _window(self, t: Tcb, rs: Rate) -> None:
        """Move cwnd towards max_inflight, within the bounds of the model (5.6.4.6)."""
        if t.ca_state != C.CA_RECOVERY and t.ca_state != C.CA_LOSS:
            self.saved = False
            if self.recovering:
                # 5.6.4.4: recovery has ended.
                self.recovering = False
                t.cwnd = max(t.cwnd, self.prior_cwnd)
        most = self.bdp(t, self.bw, self.cwnd_gain) + max(self.extra_acked, self.extra_acked_before)
        most = self.budget(t, most)
        if self.full_bw_reached:
            t.cwnd = min(t.cwnd + rs.rs_newly_acked, most)
        elif t.cwnd < most or rs.delivered < initial_window(t):
            t.cwnd += rs.rs_newly_acked
        t.cwnd = max(t.cwnd, 4 * t.mss)
        # 5.6.4.7 (BoundCwndForModel).
        cap = INFINITE
        if self.state == PROBE_RTT:
            cap = min(self._probe_rtt_window(t), self.with_headroom(t))
        elif self.state == PROBE_BW_CRUISE:
            cap = self.with_headroom(t)
        elif PROBE_BW_DOWN <= self.state <= PROBE_BW_UP:
            cap = self.inflight_hi
        cap = max(min(cap, self.inflight_lo), 4 * t.mss)
        t.cwnd = min(t.cwnd, cap)

    def _save_cwnd(self, t: Tcb) -> None:
        """Save the last window that neither recovery nor ProbeRTT had reduced (5.6.4.4, SaveCwnd)."""
        if not self.recovering and self.state != PROBE_RTT:
            self.prior_cwnd = 0
        self.prior_cwnd = max(self.prior_cwnd, t.cwnd)

    def cong_signal(self, tcb: Tcb, signal: int) -> None:
        """Save the state at a loss.

        Only a timeout changes cwnd at once; other losses act through the model (5.6.4.4).
        """
        t: Tcb = tcb
        if signal != SIGNAL_RTO and signal != SIGNAL_LOSS:
            return
        self._save_cwnd(t)
        self.save_bounds(t.rate.lost)
        self.recovering = True
        if signal == SIGNAL_RTO:
            t.cwnd = t.mss

    def undone(self, tcb: Tcb) -> None:
        """Restore the state, because nothing was lost (5.5.11.2)."""
        t: Tcb = tcb
        t.cwnd = max(t.cwnd, self.prior_cwnd)
        self.recovering = False
        self._reset_full_bw()
        self.restore_bounds(t)
        if self.undo_state == STARTUP and self.state != STARTUP:
            self.full_bw_reached = False
            if self.state != PROBE_RTT:
                self._enter(STARTUP, STARTUP_GAIN, CWND_GAIN)
        elif self.undo_state == PROBE_BW_UP and self.state != PROBE_BW_UP and self.state != PROBE_RTT:
            self._start_refill(t.rate)
        self.undo_state = -1

    def after_idle(self, tcb: Tcb) -> None:
        """Pace at the estimated bandwidth after an idle time, with an unchanged window (5.4.1)."""
        t: Tcb = tcb
        self.idle_restart = True
        self.extra_start = t.core.now
        if PROBE_BW_DOWN <= self.state <= PROBE_BW_UP:
            self._pace(t, 1.0)
        elif self.state == PROBE_RTT:
            self._probe_rtt_done(t, t.rate)


register(Bbr)
