"""Reno (RFC 5681) with Appropriate Byte Counting (RFC 3465)."""

from pystack_c.base.seqnum import seq_diff
from pystack_c.tcp.congestion.base import SIGNAL_ECN, SIGNAL_RTO, CongestionControl, register
from pystack_c.tcp.tcb import Tcb


def initial_window(tcb: Tcb) -> int:
    """Return the initial window in bytes.

    It is min(10 * MSS, max(2 * MSS, 14600)) in RFC 6928. Here it is the configured number of segments.
    """
    route = None if tcb.route is None else tcb.route.route
    if route is not None and route.initcwnd > 0:
        return route.initcwnd * tcb.mss
    return tcb.core.config.tcp_init_cwnd * tcb.mss


def flight_size(tcb: Tcb) -> int:
    """Return FlightSize (RFC 5681 2) in bytes, but no more than cwnd.

    This excludes SACKed data in a long recovery, and the segments of limited transmit (RFC 5681 3.2 (2)).
    """
    flight = seq_diff(tcb.snd_nxt, tcb.snd_una)
    return flight if flight < tcb.cwnd else tcb.cwnd


class Reno(CongestionControl):
    """Slow start, congestion avoidance, and multiplicative decrease by half."""

    name = "reno"

    def __init__(self) -> None:
        self.bytes_acked = 0

    def conn_init(self, tcb: Tcb) -> None:
        """Set the initial window (RFC 5681 3.1)."""
        t: Tcb = tcb
        t.cwnd = initial_window(t)

    def ack_received(self, tcb: Tcb, acked: int) -> None:
        """Grow cwnd by RFC 5681 3.1, equations 2 and 3, with the byte counting of RFC 3465 2.1 and 2.2."""
        t: Tcb = tcb
        mss = t.mss
        abc_l = t.core.config.tcp_abc_l
        if t.cwnd < t.ssthresh:
            grow = acked if acked < abc_l * mss else abc_l * mss
            if abc_l == 0:
                grow = mss
            if t.cwnd + grow > t.ssthresh:
                # The part of the ACK beyond ssthresh counts for congestion avoidance.
                self.bytes_acked += t.cwnd + grow - t.ssthresh
                t.cwnd = t.ssthresh
            else:
                t.cwnd += grow
                return
        else:
            self.bytes_acked += acked
        if self.bytes_acked >= t.cwnd:
            self.bytes_acked -= t.cwnd
            t.cwnd += mss

    def cong_signal(self, tcb: Tcb, signal: int) -> None:
        """Set ssthresh = max(FlightSize / 2, 2 * SMSS) (RFC 5681 equation 4)."""
        t: Tcb = tcb
        # Use full segments: a fraction of a segment could never be sent or acknowledged, so a round would not fill the
        # window.
        half = flight_size(t) // (2 * t.mss) * t.mss
        t.ssthresh = half if half > 2 * t.mss else 2 * t.mss
        t.cwnd = t.mss if signal == SIGNAL_RTO else t.ssthresh
        self.bytes_acked = 0

    def post_recovery(self, tcb: Tcb) -> None:
        """Set cwnd to ssthresh (RFC 6582 3.2 step 3, option 2). The scoreboard keeps bursts small."""
        t: Tcb = tcb
        t.cwnd = t.ssthresh
        self.bytes_acked = 0

    def after_idle(self, tcb: Tcb) -> None:
        """Set cwnd = min(IW, cwnd) (RFC 5681 4.1)."""
        t: Tcb = tcb
        window = initial_window(t)
        if window < t.cwnd:
            t.cwnd = window


register(Reno)


class Tahoe(Reno):
    """Reno's ancestor (1988), for comparison: every loss leads back to slow start from one segment."""

    name = "tahoe"
    fast_recovery = False

    def cong_signal(self, tcb: Tcb, signal: int) -> None:
        """Set ssthresh by RFC 5681 equation 4, and cwnd to the loss window (section 3.1).

        ECN is younger than Tahoe. After a mark, cwnd is halved, as in Reno.
        """
        t: Tcb = tcb
        Reno.cong_signal(self, t, signal)
        if signal != SIGNAL_ECN:
            t.cwnd = t.mss


register(Tahoe)


class Fixed(CongestionControl):
    """A window that never changes, for teaching: `fixed` (1000 segments) or `fixed(n)`."""

    name = "fixed"
    keeps_window = False

    def __init__(self) -> None:
        self.segments = 1000

    def argument(self, n: int) -> None:
        """Set the window to `n` segments."""
        self.segments = n

    def conn_init(self, tcb: Tcb) -> None:
        """Set the window, which then stays as it is."""
        t: Tcb = tcb
        t.cwnd = self.segments * t.mss
        t.ssthresh = t.cwnd


register(Fixed)
