"""CUBIC in Linux's arithmetic, for scripts that count its segments: whole segments, ticks of a millisecond, credits.

Against RFC 9438, which cubic.py follows: the target lies the least delay ahead instead of a smoothed round trip, before the first
loss cwnd grows by 5 % a round trip at least, and slow start ends by delay at once (before RFC 9406).
"""

from pystack_c.base.seqnum import seq_gt
from pystack_c.tcp.tcb import Tcb

MS = 1_000_000
#: slow start is watched from so many segments on, and a round's time counts after so many samples
LOW_WINDOW = 16
MIN_SAMPLES = 8
MIN_RISE, MAX_RISE = 4 * MS, 16 * MS
#: C in 1 / 2**40 segments a tick of 1 / 1024 s, cubed
SCALE = 410
#: what Reno gains: a segment for each 15 / 8 windows acknowledged
FRIENDLY = 15
#: no more than a segment for each two acknowledged, and before the first loss not less than one for twenty
FASTEST, FIRST = 2, 20


class LinuxCubic:
    """One connection's."""

    def __init__(self) -> None:
        self.found = False
        self.round_end: int | None = None
        self.round_min = -1
        self.samples = 0
        self.delay_min = 0
        self.epoch = -1
        self.origin = 0
        self.k = 0
        self.reno_acked = 0
        self.reno = 0
        self.count = 0
        self.credit = 0
        self.last_cwnd = 0
        self.last_tick = -1
        self.updated = 0
        self.busy = 0

    def rtt(self, t: Tcb) -> None:
        """cubictcp_acked: the least delay, and in slow start the watch over it."""
        delay = t.last_rtt
        if delay < 0:
            return
        if self.delay_min == 0 or delay < self.delay_min:
            self.delay_min = max(delay, 1)
        if not self.found and t.cwnd < t.ssthresh and t.cwnd >= LOW_WINDOW * t.mss:
            self._watch(t, delay)

    def _watch(self, t: Tcb, delay: int) -> None:
        """hystart_update: a round's least delay, of nine, is an eighth above the least of all."""
        if self.round_end is None or seq_gt(t.snd_una, self.round_end):
            self.round_end = t.snd_nxt
            self.round_min = -1
            self.samples = 0
        if self.round_min < 0 or delay < self.round_min:
            self.round_min = delay
        if self.samples < MIN_SAMPLES:
            self.samples += 1
            return
        if self.round_min > self.delay_min + min(max(self.delay_min // 8, MIN_RISE), MAX_RISE):
            self.found = True
            t.ssthresh = t.cwnd
            t.core.counters.TcpExtTCPHystartDelayDetect += 1
            t.core.counters.TcpExtTCPHystartDelayCwnd += t.cwnd // t.mss

    def avoid(self, t: Tcb, acked: int, w_max: float) -> None:
        """bictcp_update and tcp_cong_avoid_ai, for `acked` bytes above ssthresh."""
        cwnd, segments = t.cwnd // t.mss, acked // t.mss
        # (CA_EVENT_TX_START: time without anything in flight does not count.)
        busy = t.chrono_busy + t.chrono_rwnd + t.chrono_sndbuf + (t.core.now - t.chrono_at if t.chrono else 0)
        if self.epoch >= 0:
            self.epoch += (t.core.now - self.updated - (busy - self.busy)) // MS
        self.updated, self.busy = t.core.now, busy
        self._update(t, cwnd, segments, int(w_max))
        if self.credit >= self.count:
            self.credit = 0
            cwnd += 1
        self.credit += segments
        if self.credit >= self.count:
            more = self.credit // self.count
            self.credit -= more * self.count
            cwnd += more
        t.cwnd = cwnd * t.mss

    def _update(self, t: Tcb, cwnd: int, segments: int, w_max: int) -> None:
        tick = t.core.now // MS
        self.reno_acked += segments
        if self.last_cwnd == cwnd and tick - self.last_tick <= 31:
            return
        if self.epoch < 0 or tick != self.last_tick:
            self.last_cwnd = cwnd
            self.last_tick = tick
            if self.epoch < 0:
                self._begin(tick, cwnd, segments, w_max)
            self._cubic(tick, cwnd, w_max)
        window = max(cwnd * FRIENDLY // 8, 1)
        while self.reno_acked > window:
            self.reno_acked -= window
            self.reno += 1
        if self.reno > cwnd:
            self.count = min(self.count, cwnd // (self.reno - cwnd))
        self.count = max(self.count, FASTEST)

    def _begin(self, tick: int, cwnd: int, segments: int, w_max: int) -> None:
        self.epoch = tick
        self.reno_acked = segments
        self.reno = cwnd
        self.k = 0
        self.origin = cwnd
        if w_max > cwnd:
            self.k = int(((w_max - cwnd) * (1 << 40) / SCALE) ** (1.0 / 3.0))
            self.origin = w_max

    def _cubic(self, tick: int, cwnd: int, w_max: int) -> None:
        """How many segments, acknowledged, are worth one more of cwnd."""
        time = (tick - self.epoch + self.delay_min // MS) * 1024 // 1000
        away = abs(time - self.k)
        delta = SCALE * away * away * away >> 40
        target = self.origin - delta if time < self.k else self.origin + delta
        self.count = cwnd // (target - cwnd) if target > cwnd else 100 * cwnd
        if w_max == 0 and self.count > FIRST:
            self.count = FIRST

    def reset(self, forget: bool) -> None:
        """The epoch begins anew; after a timeout (bictcp_reset) nothing is known any more."""
        self.epoch = -1
        self.credit = 0
        if forget:
            self.__init__()  # type: ignore[misc]
