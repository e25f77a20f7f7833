"""CUBIC in Linux's arithmetic, for scripts that count its segments: whole segments, ticks of 1 ms, and credits.

It differs from RFC 9438, which cubic.py follows. The target lies ahead by the minimum delay instead of the smoothed
round-trip time. Before the first loss, cwnd grows by at least 5 % per round trip. A rise of the delay ends slow start
at once, as before RFC 9406.
"""

from pystack_c.base.seqnum import seq_gt
from pystack_c.tcp.tcb import Tcb

MS = 1_000_000
#: Slow start is observed from this many segments on, and a round counts after this many samples.
LOW_WINDOW = 16
MIN_SAMPLES = 8
MIN_RISE, MAX_RISE = 4 * MS, 16 * MS
#: The constant C, in 1 / 2**40 segments per cube of a tick of 1 / 1024 s.
SCALE = 410
#: Reno's growth: one segment for each 15 / 8 windows acknowledged.
FRIENDLY = 15
#: The fastest growth is one segment for each two acknowledged. Before the first loss, the slowest is one for each 20.
FASTEST, FIRST = 2, 20


class LinuxCubic:
    """The state of one connection."""

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
        """Process a round-trip sample (cubictcp_acked): update the minimum delay, and observe it in slow start."""
        delay = t.last_rtt
        if delay < 0:
            return
        if self.delay_min == 0 or delay < self.delay_min:
            self.delay_min = max(delay, 1)
        if not self.found and t.cwnd < t.ssthresh and t.cwnd >= LOW_WINDOW * t.mss:
            self._watch(t, delay)

    def _watch(self, t: Tcb, delay: int) -> None:
        """End slow start if the delay has risen (hystart_update).

        The minimum of nine samples in a round must be an eighth above the overall minimum.
        """
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
        """Grow cwnd for `acked` bytes above ssthresh (bictcp_update, tcp_cong_avoid_ai)."""
        cwnd, segments = t.cwnd // t.mss, acked // t.mss
        # CA_EVENT_TX_START: time with nothing in flight does not count.
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
        """Set how many segments must be acknowledged until cwnd grows by one."""
        time = (tick - self.epoch + self.delay_min // MS) * 1024 // 1000
        away = abs(time - self.k)
        delta = SCALE * away * away * away >> 40
        target = self.origin - delta if time < self.k else self.origin + delta
        self.count = cwnd // (target - cwnd) if target > cwnd else 100 * cwnd
        if w_max == 0 and self.count > FIRST:
            self.count = FIRST

    def reset(self, forget: bool) -> None:
        """Start a new epoch. After a timeout (`forget`, bictcp_reset), discard all other state, too."""
        self.epoch = -1
        self.credit = 0
        if forget:
            self.__init__()  # type: ignore[misc]
