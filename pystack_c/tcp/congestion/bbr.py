"""BBR version 3 (draft-ietf-ccwg-bbr): a model of the path, bandwidth and round-trip time, instead of losses alone.

The names are the draft's; section numbers in the comments are of draft-ietf-ccwg-bbr-02. Bandwidths are bytes a second.
"""

from typing import Any

from pystack_c.tcp.congestion.base import SIGNAL_RTO, CongestionControl, register
from pystack_c.tcp.congestion.reno import initial_window
from pystack_c.tcp.rate import Rate
from pystack_c.tcp.tcb import Tcb

S = 1_000_000_000
MS = 1_000_000

STARTUP, DRAIN, PROBE_BW_DOWN, PROBE_BW_CRUISE, PROBE_BW_REFILL, PROBE_BW_UP, PROBE_RTT = range(7)
STATE_NAMES = ("startup", "drain", "down", "cruise", "refill", "up", "probe-rtt")

# 2.4 to 2.6
STARTUP_GAIN = 2.77
DRAIN_GAIN = 0.5
CWND_GAIN = 2.0
UP_CWND_GAIN = 2.25
PROBE_RTT_GAIN = 0.5
PACING_MARGIN = 0.99
LOSS_THRESH = 0.02
BETA = 0.7
HEADROOM = 0.15
MIN_RTT_FILTER = 10 * S
PROBE_RTT_INTERVAL = 5 * S
PROBE_RTT_DURATION = 200 * MS
FULL_BW_COUNT = 3
FULL_LOSS_COUNT = 6
INFINITE = 1 << 60


class Bbr(CongestionControl):
    """One connection's model of its path."""

    name = "bbr"

    def __init__(self) -> None:
        self.state = STARTUP
        self.pacing_gain = STARTUP_GAIN
        self.cwnd_gain = CWND_GAIN
        # 2.9.1 bandwidth: the maximum of this and the last ProbeBW cycle
        self.bw_now = 0
        self.bw_last = 0
        self.bw_lo = INFINITE
        self.bw = 0
        # 2.9.2 volume
        self.inflight_hi = INFINITE
        self.inflight_lo = INFINITE
        self.bw_latest = 0
        self.inflight_latest = 0
        # rounds (5.5.1)
        self.next_round_delivered = 0
        self.round_start = False
        self.rounds = 0
        # loss in a round
        self.loss_round_delivered = 0
        self.lost_before_round = 0
        self.loss_events = 0
        self.after_probe_rtt = False
        # startup
        self.full_bw = 0
        self.full_bw_count = 0
        self.full_bw_reached = False
        # min_rtt (5.5.5, 5.3.4)
        self.min_rtt = INFINITE
        self.min_rtt_at = 0
        self.probe_rtt_min = INFINITE
        self.probe_rtt_min_at = 0
        self.probe_rtt_done_at = 0
        self.probe_rtt_round_done = False
        self.idle_restart = False
        self.prior_cwnd = 0
        # probing (5.3.3)
        self.cycle_at = 0
        self.rounds_since_probe = 0
        self.probe_wait = 2 * S
        self.probe_up_acks = 0
        self.probe_up_count = INFINITE
        self.probe_up_rounds = 0
        self.stop_rounds = 0
        self.sampling_up = False
        # conservation after a timeout
        self.conserve = False

    def conn_init(self, tcb: Any) -> None:
        """5.2.1."""
        t: Tcb = tcb
        t.cwnd = initial_window(t)
        t.own_recovery = True
        rtt = t.srtt if t.srtt > 0 else MS
        self.min_rtt = t.srtt if t.srtt > 0 else INFINITE
        self.min_rtt_at = t.core.now
        self.probe_rtt_min_at = t.core.now
        self.cycle_at = t.core.now
        t.pacing_rate = int(STARTUP_GAIN * t.cwnd * (1e9 / rtt))

    def sample(self, tcb: Any) -> None:
        """BBRUpdateOnACK (5.2.3): the model, the state machine, then the controls."""
        t: Tcb = tcb
        rs: Rate = t.rate
        self._latest(t, rs)
        self._congestion(t, rs)
        self._max_bandwidth(rs)
        self._startup(t, rs)
        self._probe_bw(t, rs)
        self._min_rtt(t, rs)
        self._probe_rtt(t, rs)
        self.bw = min(max(self.bw_now, self.bw_last), self.bw_lo)
        self._pace(t)
        self._window(t, rs)

    # The model

    def _latest(self, t: Tcb, rs: Rate) -> None:
        """5.5.1 rounds, 5.5.10 the latest delivery signals."""
        self.round_start = False
        if rs.rs_prior_delivered >= self.next_round_delivered:
            self.next_round_delivered = rs.delivered
            self.rounds += 1
            self.rounds_since_probe += 1
            self.round_start = True
            self.conserve = False
        self.bw_latest = max(self.bw_latest, rs.rs_rate)
        self.inflight_latest = max(self.inflight_latest, rs.rs_delivered)

    def _max_bandwidth(self, rs: Rate) -> None:
        """5.5.5: BBR.max_bw."""
        if rs.rs_rate > 0 and (rs.rs_rate >= max(self.bw_now, self.bw_last) or not rs.rs_app_limited):
            self.bw_now = max(self.bw_now, rs.rs_rate)

    def _congestion(self, t: Tcb, rs: Rate) -> None:
        """5.5.10.2 and 5.5.10.3: once a round with losses, the short-term bounds come down.

        The draft takes any loss in a round for a sign that others have come. Then a link that loses one frame in a hundred
        by chance slows BBR down round by round, to a fraction of what there is. Here, as in its probes, a round must lose
        more than BBR.LossThresh.
        """
        if rs.rs_newly_lost > 0:
            self.loss_events += 1
            self._inflight_too_high(t, rs)
        elif self.inflight_hi != INFINITE and rs.rs_tx_in_flight > self.inflight_hi and not self._excessive(t, rs):
            # 5.3.3.7 (BBRAdaptLongTermModel): more was in flight than the bound allows, and it went well.
            self.inflight_hi = rs.rs_tx_in_flight
        if rs.rs_prior_delivered < self.loss_round_delivered:
            return
        lost = rs.lost - self.lost_before_round
        much = self._too_much(t, lost, rs.delivered - self.loss_round_delivered + lost)
        self.loss_round_delivered = rs.delivered
        self.lost_before_round = rs.lost
        probing = self.state == STARTUP or self.state == PROBE_BW_REFILL or self.state == PROBE_BW_UP
        if much and not probing and not self.after_probe_rtt:
            if self.bw_lo == INFINITE:
                self.bw_lo = max(self.bw_now, self.bw_last)
            if self.inflight_lo == INFINITE:
                self.inflight_lo = t.cwnd
            self.bw_lo = max(self.bw_latest, int(BETA * self.bw_lo))
            self.inflight_lo = max(self.inflight_latest, int(BETA * self.inflight_lo))
        if self.state == STARTUP and not self.full_bw_reached and self.loss_events >= FULL_LOSS_COUNT:
            if self._excessive(t, rs):
                # 5.3.1.3: startup ends by loss.
                self.full_bw_reached = True
                self.inflight_hi = max(self._bdp(1.0), self.inflight_latest)
        self.loss_events = 0
        self.after_probe_rtt = False
        self.bw_latest = rs.rs_rate
        self.inflight_latest = rs.rs_delivered

    def _too_much(self, t: Tcb, lost: int, sent: int) -> bool:
        """More than BBR.LossThresh of what was sent was lost, and more than chance makes of that rate.

        Where n segments are sent and one in fifty is lost at random, n / 50 are lost give or take the root of it; so twice the
        root on top, and two segments at least, may be lost. Else a link that loses much less passes the threshold every few
        rounds, and each time leaves bandwidth that nobody else takes.
        """
        if lost <= 2 * t.mss:
            return False
        expected = LOSS_THRESH * sent / t.mss
        excess = lost / t.mss - expected
        return excess > 0.0 and excess * excess > 4.0 * expected

    def _excessive(self, t: Tcb, rs: Rate) -> bool:
        """5.5.10 (IsInflightTooHigh): too much was lost of what was in flight with the segment that is acknowledged now."""
        return self._too_much(t, rs.lost - rs.rs_prior_lost, rs.rs_tx_in_flight)

    def _inflight_too_high(self, t: Tcb, rs: Rate) -> None:
        """5.3.3.7 (BBRHandleInflightTooHigh): a probe that lost too much sets the long-term bound."""
        if not self.sampling_up or not self._excessive(t, rs):
            return
        self.sampling_up = False
        if not rs.rs_app_limited:
            self.inflight_hi = max(rs.rs_tx_in_flight, int(self._target() * BETA))
        if self.state == PROBE_BW_UP:
            self._start_down(t, rs)

    def _min_rtt(self, t: Tcb, rs: Rate) -> None:
        """5.3.4.3: two windowed minima, ten seconds and five."""
        now = t.core.now
        expired = now > self.probe_rtt_min_at + PROBE_RTT_INTERVAL
        if rs.rs_rtt >= 0 and (rs.rs_rtt < self.probe_rtt_min or expired):
            self.probe_rtt_min = rs.rs_rtt
            self.probe_rtt_min_at = now
        if self.probe_rtt_min < self.min_rtt or now > self.min_rtt_at + MIN_RTT_FILTER:
            self.min_rtt = self.probe_rtt_min
            self.min_rtt_at = self.probe_rtt_min_at
        if expired and self.state != PROBE_RTT and not self.idle_restart:
            self.prior_cwnd = t.cwnd
            self.probe_rtt_done_at = 0
            self._enter(PROBE_RTT, 1.0, PROBE_RTT_GAIN)
        if rs.rs_delivered > 0:
            self.idle_restart = False

    # The state machine

    def _enter(self, state: int, pacing_gain: float, cwnd_gain: float) -> None:
        self.state = state
        self.pacing_gain = pacing_gain
        self.cwnd_gain = cwnd_gain

    def _startup(self, t: Tcb, rs: Rate) -> None:
        """5.3.1.2 (three rounds without 25 % more) and 5.3.2."""
        if not self.full_bw_reached and self.round_start and not rs.rs_app_limited:
            top = max(self.bw_now, self.bw_last)
            if top >= self.full_bw + self.full_bw // 4:
                self.full_bw = top
                self.full_bw_count = 0
            else:
                self.full_bw_count += 1
                self.full_bw_reached = self.full_bw_count >= FULL_BW_COUNT
        if self.state == STARTUP and self.full_bw_reached:
            self._enter(DRAIN, DRAIN_GAIN, CWND_GAIN)
        if self.state == DRAIN and t.in_flight() <= self._bdp(1.0):
            self._start_down(t, rs)

    def _start_down(self, t: Tcb, rs: Rate) -> None:
        """5.3.3.1: leave room for others, and drain what the probe queued."""
        self._reset_bounds()
        self.probe_up_count = INFINITE
        # 5.3.3.4: the next probe after 2 to 3 s, or after as many rounds as Reno would need.
        self.probe_wait = 2 * S + t.core.rng.below(1000) * MS
        self.rounds_since_probe = t.core.rng.below(2)
        self.cycle_at = t.core.now
        self.next_round_delivered = rs.delivered
        self.bw_last = self.bw_now
        self.bw_now = 0
        self._enter(PROBE_BW_DOWN, 0.9, CWND_GAIN)

    def _reset_bounds(self) -> None:
        self.bw_lo = INFINITE
        self.inflight_lo = INFINITE

    def _probe_bw(self, t: Tcb, rs: Rate) -> None:
        """5.3.3.6 (BBRUpdateProbeBWCyclePhase)."""
        state = self.state
        if state < PROBE_BW_DOWN or state > PROBE_BW_UP:
            return
        flight = t.in_flight()
        if state == PROBE_BW_DOWN or state == PROBE_BW_CRUISE:
            if self.round_start:
                # 5.3.3.7 (ACKS_PROBE_STOPPING): what the probe sent is acknowledged by now.
                self.sampling_up = False
            if self._time_to_probe(t):
                self._reset_bounds()
                self.probe_up_rounds = 0
                self.next_round_delivered = rs.delivered
                self._enter(PROBE_BW_REFILL, 1.0, CWND_GAIN)
            elif state == PROBE_BW_DOWN and flight <= self._with_headroom(t) and flight <= self._bdp(1.0):
                self._enter(PROBE_BW_CRUISE, 1.0, CWND_GAIN)
        elif state == PROBE_BW_REFILL:
            if self.round_start:
                self.sampling_up = True
                self.cycle_at = t.core.now
                self.full_bw = max(self.bw_now, self.bw_last)
                self.stop_rounds = 0
                self._raise_slope(t)
                self._enter(PROBE_BW_UP, 1.25, UP_CWND_GAIN)
        else:
            self._probe_up(t, rs)

    def _probe_up(self, t: Tcb, rs: Rate) -> None:
        """5.3.3.6 and 5.3.3.7: up, until more in flight brings no more bandwidth, or too much is lost."""
        bounded = t.cwnd_limited and t.cwnd >= self.inflight_hi
        if bounded:
            self.probe_up_acks += rs.rs_newly_acked
            if self.probe_up_acks >= self.probe_up_count:
                steps = self.probe_up_acks // self.probe_up_count
                self.probe_up_acks -= steps * self.probe_up_count
                self.inflight_hi += steps * t.mss
            if self.round_start:
                self._raise_slope(t)
            # (BBRIsTimeToGoDown: the long-term bound limits the bandwidth, so its rest is not known yet.)
            self.stop_rounds = 0
            self.full_bw = rs.rs_rate
        elif self.round_start and not rs.rs_app_limited:
            if rs.rs_rate >= self.full_bw + self.full_bw // 4:
                self.full_bw = rs.rs_rate
                self.stop_rounds = 0
            else:
                self.stop_rounds += 1
        long_enough = t.core.now > self.cycle_at + self.min_rtt
        if (long_enough and t.in_flight() > self._bdp(1.25)) or self.stop_rounds >= FULL_BW_COUNT:
            self._start_down(t, rs)

    def _raise_slope(self, t: Tcb) -> None:
        """5.3.3.7: inflight_hi grows twice as fast each round."""
        growth = t.mss << min(self.probe_up_rounds, 30)
        self.probe_up_rounds += 1
        self.probe_up_count = max(t.cwnd * t.mss // growth, t.mss)

    def _time_to_probe(self, t: Tcb) -> bool:
        """5.3.3.4 and 5.3.3.5."""
        if t.core.now > self.cycle_at + self.probe_wait:
            return True
        reno_rounds = min(max(self._target() // t.mss, 1), 63)
        return self.rounds_since_probe >= reno_rounds

    def _probe_rtt(self, t: Tcb, rs: Rate) -> None:
        """5.3.4.4: for 200 ms and a round, half a BDP in flight, so that the queue shows the true round-trip time."""
        if self.state != PROBE_RTT:
            return
        now = t.core.now
        if self.probe_rtt_done_at == 0:
            if t.in_flight() <= self._probe_rtt_window(t):
                self.probe_rtt_done_at = now + PROBE_RTT_DURATION
                self.probe_rtt_round_done = False
                self.next_round_delivered = rs.delivered
            return
        if self.round_start:
            self.probe_rtt_round_done = True
        if self.probe_rtt_round_done and now > self.probe_rtt_done_at:
            self.probe_rtt_min_at = now
            t.cwnd = max(t.cwnd, self.prior_cwnd)
            # What is acknowledged in the round to come was sent at the probe's small rate: no measure for the bounds.
            self.after_probe_rtt = True
            self.loss_round_delivered = rs.delivered
            self.lost_before_round = rs.lost
            if self.full_bw_reached:
                self._start_down(t, rs)
                self._enter(PROBE_BW_CRUISE, 1.0, CWND_GAIN)
            else:
                self._enter(STARTUP, STARTUP_GAIN, CWND_GAIN)

    # The controls

    def _bdp(self, gain: float) -> int:
        """5.6.4.2: gain * bandwidth * min_rtt, in bytes."""
        if self.min_rtt == INFINITE:
            return INFINITE
        bw = min(max(self.bw_now, self.bw_last), self.bw_lo)
        return int(gain * bw * (self.min_rtt / 1e9))

    def _target(self) -> int:
        return self._bdp(1.0)

    def _with_headroom(self, t: Tcb) -> int:
        """5.5.6."""
        if self.inflight_hi == INFINITE:
            return INFINITE
        return max(self.inflight_hi - max(t.mss, int(HEADROOM * self.inflight_hi)), 4 * t.mss)

    def _probe_rtt_window(self, t: Tcb) -> int:
        return max(self._bdp(PROBE_RTT_GAIN), 4 * t.mss)

    def _pace(self, t: Tcb) -> None:
        """5.6.2."""
        if self.bw == 0:
            return
        rate = int(self.pacing_gain * self.bw * PACING_MARGIN)
        if self.full_bw_reached or rate > t.pacing_rate:
            t.pacing_rate = max(rate, 1)

    def _window(self, t: Tcb, rs: Rate) -> None:
        """5.6.4: towards max_inflight, within the model's bounds."""
        most = self._bdp(self.cwnd_gain)
        if most != INFINITE:
            # 5.6.4.2: what delayed and merged ACKs keep in flight besides.
            most += 3 * max(t.pacing_rate // 1000, 2 * t.mss)
        if self.conserve:
            t.cwnd = max(t.in_flight() + rs.rs_newly_acked, t.mss)
        elif self.full_bw_reached:
            t.cwnd = min(t.cwnd + rs.rs_newly_acked, most)
        elif t.cwnd < most or rs.delivered < initial_window(t):
            t.cwnd += rs.rs_newly_acked
        t.cwnd = max(t.cwnd, 4 * t.mss)
        if self.state == PROBE_RTT:
            t.cwnd = min(t.cwnd, self._probe_rtt_window(t))
            return
        # 5.6.4.7 BBRBoundCwndForModel
        cap = INFINITE
        if PROBE_BW_DOWN <= self.state <= PROBE_BW_UP and self.state != PROBE_BW_CRUISE:
            cap = self.inflight_hi
        elif self.state == PROBE_BW_CRUISE:
            cap = self._with_headroom(t)
        cap = max(min(cap, self.inflight_lo), 4 * t.mss)
        t.cwnd = min(t.cwnd, cap)

    def cong_signal(self, tcb: Any, signal: int) -> None:
        """5.6.4.4: only a timeout touches cwnd at once; losses work through the model."""
        t: Tcb = tcb
        if signal == SIGNAL_RTO:
            self.prior_cwnd = max(self.prior_cwnd, t.cwnd)
            t.cwnd = t.mss
            self.conserve = True

    def undone(self, tcb: Any) -> None:
        """The timeout was spurious."""
        t: Tcb = tcb
        t.cwnd = max(t.cwnd, self.prior_cwnd)
        self.conserve = False

    def after_idle(self, tcb: Any) -> None:
        """5.4.3: pace at the estimated bandwidth; the window stays."""
        self.idle_restart = True


register(Bbr)
