"""CUBIC (RFC 9438) with HyStart++ in slow start (RFC 9406).

Windows are in bytes in the Tcb, and in segments (floats) in this module, as in the RFC's formulas.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_ge
from pystack_c.tcp import quirks
from pystack_c.tcp.congestion.base import SIGNAL_ECN, SIGNAL_RTO, CongestionControl, register
from pystack_c.tcp.congestion.cubic_linux import LinuxCubic
from pystack_c.tcp.congestion.reno import flight_size, initial_window
from pystack_c.tcp.tcb import Tcb

# Constants of RFC 9438 5.1, 4.6 and 4.3.
CUBIC_C = 0.4
BETA = 0.7
ALPHA = 3.0 * (1.0 - BETA) / (1.0 + BETA)

# Constants of RFC 9406 4.3, times in ns.
MIN_RTT_THRESH = 4_000_000
MAX_RTT_THRESH = 16_000_000
MIN_RTT_DIVISOR = 8
N_RTT_SAMPLE = 8
CSS_GROWTH_DIVISOR = 4
CSS_ROUNDS = 5


class Cubic(CongestionControl):
    """The CUBIC state of one connection."""

    name = "cubic"
    marks = ("round_end", "steps.round_end")

    def __init__(self) -> None:
        self.w_max = 0.0
        self.k = 0.0
        self.w_est = 0.0
        self.epoch = -1
        self.updated = 0
        self.cwnd_prior = 0.0
        # RFC 9438 4.9: the state before the last reduction, in case it was spurious.
        self.saved = False
        self.saved_w_max = 0.0
        self.saved_k = 0.0
        self.saved_w_est = 0.0
        self.saved_epoch = -1
        self.saved_cwnd_prior = 0.0
        self.saved_initial = True
        # HyStart++, only in the initial slow start (RFC 9406 4.3).
        self.initial = True
        self.round_end = 0
        self.round_started = False
        self.round_min = -1
        self.last_round_min = -1
        self.samples = 0
        self.css_baseline = -1
        self.css_rounds = 0
        #: Linux's arithmetic, if the setting selects it.
        self.steps: Any = None

    def conn_init(self, tcb: Tcb) -> None:
        """Set the initial window (RFC 6928)."""
        t: Tcb = tcb
        t.cwnd = initial_window(t)
        if quirks.cubic_as_linux(t):
            self.steps = LinuxCubic()

    def ack_received(self, tcb: Tcb, acked: int) -> None:
        """Grow cwnd: by slow start below ssthresh, and by the cubic function above it."""
        t: Tcb = tcb
        if self.steps is not None:
            self._as_linux(t, acked)
        elif t.cwnd < t.ssthresh:
            self._slow_start(t, acked)
        else:
            self._avoidance(t, acked)

    def _slow_start(self, t: Tcb, acked: int) -> None:
        """Perform slow start with HyStart++ (RFC 9406 4.2).

        If the round-trip time rises, cwnd grows more slowly, and then slow start ends. Later slow starts end at
        ssthresh.
        """
        limit = t.core.config.tcp_hystart_limit * t.mss
        grow = acked if acked < limit or limit == 0 else limit
        if self.initial:
            grow = self._watch(t, grow)
        t.cwnd += grow
        if t.cwnd > t.ssthresh:
            t.cwnd = t.ssthresh

    def _watch(self, t: Tcb, grow: int) -> int:
        """Return the part of `grow` that cwnd may grow by, in bytes (RFC 9406 4.2)."""
        self._round(t)
        if t.last_rtt >= 0:
            if self.round_min < 0 or t.last_rtt < self.round_min:
                self.round_min = t.last_rtt
            self.samples += 1
        if self.css_baseline >= 0:
            # This is conservative slow start. If the time falls below the baseline again, the rise was a transient.
            grow = grow // CSS_GROWTH_DIVISOR
            if self.samples >= N_RTT_SAMPLE and self.round_min < self.css_baseline:
                self.css_baseline = -1
        elif self.samples >= N_RTT_SAMPLE and self.last_round_min >= 0:
            thresh = self.last_round_min // MIN_RTT_DIVISOR
            thresh = min(max(thresh, MIN_RTT_THRESH), MAX_RTT_THRESH)
            if self.round_min >= self.last_round_min + thresh:
                self.css_baseline = self.round_min
                self.css_rounds = 0
        return grow

    def _as_linux(self, t: Tcb, acked: int) -> None:
        """Grow cwnd as Linux does (cubictcp_cong_avoid): slow start up to ssthresh, then CUBIC for the rest."""
        steps = self.steps
        steps.rtt(t)
        if t.cwnd < t.ssthresh:
            room = t.ssthresh - t.cwnd
            grow = acked if acked < room else room
            t.cwnd += grow
            acked -= grow
        if acked > 0 and t.cwnd_limited:
            steps.avoid(t, acked, self.w_max)

    def _round(self, t: Tcb) -> None:
        """Start a new round if all data in flight at the start of the last one is acknowledged."""
        if self.round_started and not seq_ge(t.snd_una, self.round_end):
            return
        self.round_started = True
        self.round_end = t.snd_nxt
        self.last_round_min = self.round_min
        self.round_min = -1
        self.samples = 0
        if self.css_baseline >= 0:
            self.css_rounds += 1
            if self.css_rounds >= CSS_ROUNDS:
                # RFC 9406 4.2: congestion avoidance starts after five rounds of conservative slow start.
                t.ssthresh = t.cwnd
                self.cwnd_prior = t.cwnd / float(t.mss)
                self.css_baseline = -1
                self.initial = False
                t.core.counters.TcpExtTCPHystartDelayDetect += 1
                t.core.counters.TcpExtTCPHystartDelayCwnd += t.cwnd // t.mss

    def _avoidance(self, t: Tcb, acked: int) -> None:
        """Perform congestion avoidance (RFC 9438 4.2 to 4.5)."""
        mss = float(t.mss)
        cwnd = t.cwnd / mss
        now = t.core.now
        if self.epoch < 0:
            self.epoch = now
            self.w_est = cwnd
            if self.w_max < cwnd:
                self.w_max = cwnd
                self.k = 0.0
            else:
                self.k = ((self.w_max - cwnd) / CUBIC_C) ** (1.0 / 3.0)
        elif now - self.updated > t.srtt:
            # RFC 9438 4.2: exclude the time in which cwnd was not updated because the application had nothing to send.
            self.epoch += now - self.updated - t.srtt
        self.updated = now
        segments = acked / mss
        elapsed = (now - self.epoch) / 1e9
        w_cubic = self._w(elapsed)
        # RFC 9438 4.3: the window that Reno would have. It grows as fast as Reno (alpha 1) above the window before the
        # last reduction.
        alpha = 1.0 if self.w_est >= self.cwnd_prior else ALPHA
        self.w_est += alpha * segments / cwnd
        if w_cubic < self.w_est:
            if self.w_est > cwnd:
                t.cwnd = int(self.w_est * mss)
            return
        # RFC 9438 4.4 and 4.5: approach the target for one round trip ahead, by at most half of cwnd.
        target = self._w(elapsed + t.srtt / 1e9)
        if target < cwnd:
            target = cwnd
        elif target > 1.5 * cwnd:
            target = 1.5 * cwnd
        t.cwnd += int((target - cwnd) / cwnd * segments * mss)

    def _w(self, elapsed: float) -> float:
        """Return W_cubic(t) = C * (t - K)^3 + W_max, in segments."""
        d = elapsed - self.k
        return CUBIC_C * d * d * d + self.w_max

    def cong_signal(self, tcb: Tcb, signal: int) -> None:
        """Reduce cwnd by multiplicative decrease, with fast convergence (RFC 9438 4.6 to 4.8)."""
        t: Tcb = tcb
        mss = float(t.mss)
        cwnd = t.cwnd / mss
        self._save(t, signal)
        self.cwnd_prior = cwnd
        self.initial = False
        if cwnd < self.w_max:
            self.w_max = cwnd * (1.0 + BETA) / 2.0
        else:
            self.w_max = cwnd
        self._anew()
        self.css_baseline = -1
        reduced = int(quirks.cubic_base(t, flight_size(t)) * BETA)
        t.ssthresh = reduced if reduced > 2 * t.mss else 2 * t.mss
        t.cwnd = t.mss if signal == SIGNAL_RTO else t.ssthresh
        if signal == SIGNAL_RTO:
            # RFC 9438 4.8: the next congestion avoidance starts with K = 0 and W_max = cwnd, like the first of a
            # connection.
            self.w_max = 0.0
            if self.steps is not None:
                self.steps.reset(True)

    def _save(self, t: Tcb, signal: int) -> None:
        """Save the state for an undo (RFC 9438 4.9) if undo.py has just saved cwnd.

        A timeout during a recovery belongs to the same episode.
        """
        if signal == SIGNAL_ECN or not t.undo_possible:
            self.saved = False
        elif t.undo_retrans == 0 and t.ca_state < C.CA_RECOVERY:
            self.saved = True
            self.saved_w_max = self.w_max
            self.saved_k = self.k
            self.saved_w_est = self.w_est
            self.saved_epoch = self.epoch
            self.saved_cwnd_prior = self.cwnd_prior
            self.saved_initial = self.initial

    def post_recovery(self, tcb: Tcb) -> None:
        """Set cwnd to ssthresh. A new epoch starts with the first ACK after recovery."""
        t: Tcb = tcb
        t.cwnd = t.ssthresh
        self._anew()

    def undone(self, tcb: Tcb) -> None:
        """Restore the state, so that cwnd continues on its former curve (RFC 9438 4.9.2).

        Linux restores only cwnd and ssthresh.
        """
        t: Tcb = tcb
        if self.saved and self.steps is None:
            self.w_max = self.saved_w_max
            self.k = self.saved_k
            self.w_est = self.saved_w_est
            self.epoch = self.saved_epoch
            self.cwnd_prior = self.saved_cwnd_prior
            self.initial = self.saved_initial
            # During the episode, the application did not lack data to send (4.2).
            self.updated = t.core.now
        self.saved = False

    def after_idle(self, tcb: Tcb) -> None:
        """Restart from the initial window. The idle time does not count for the epoch (RFC 9438 4.2)."""
        t: Tcb = tcb
        window = initial_window(t)
        if window < t.cwnd:
            t.cwnd = window
        self._anew()

    def _anew(self) -> None:
        """Let the next ACK start an epoch."""
        self.epoch = -1
        if self.steps is not None:
            self.steps.reset(False)


register(Cubic)
