"""The effect of an idle time, or of an unused window, on cwnd (RFC 5681 section 4.1, RFC 7661)."""

from pystack_c.base.seqnum import seq_diff, seq_ge
from pystack_c.tcp import tell
from pystack_c.tcp.tcb import Tcb


def note_cwnd_use(tcb: Tcb, limited: bool) -> None:
    """Record how much of cwnd was used in this round trip (tcp_cwnd_validate).

    Only a window that was filled may grow (RFC 7661).
    """
    out = seq_diff(tcb.snd_nxt, tcb.snd_una)
    if seq_ge(tcb.snd_una, tcb.cwnd_round) or limited or (not tcb.cwnd_limited and out > tcb.max_out):
        tcb.cwnd_limited = limited
        tcb.max_out = out
        tcb.cwnd_round = tcb.snd_nxt


# The time in ns for which an unused window stays as it is (RFC 7661 4.4).
NON_VALIDATED = 300_000_000_000


def after_idle(tcb: Tcb) -> None:
    """Reduce cwnd after an idle time longer than the RTO, because it no longer reflects the path (RFC 5681 4.1)."""
    if not tcb.core.config.tcp_slow_start_after_idle or tcb.last_send == 0:
        return
    if tcb.snd_nxt == tcb.snd_una and tcb.core.now - tcb.last_send > tcb.rto and tcb.unsent() > 0:
        old = tcb.cwnd
        ssthresh = tcb.ssthresh
        idle = tcb.core.now - tcb.last_send
        tcb.cc.after_idle(tcb)
        how = tcb.core.config.tcp_idle_cwnd
        if how == 0:
            tell.cwnd(tcb, old, ssthresh, "the connection was idle for longer than the RTO", "RFC 5681 4.1")
        else:
            decay(tcb, old, idle, tcb.rto if how == 1 else NON_VALIDATED)
            why = "cwnd is halved for each RTO of idle time" if how == 1 else "cwnd is halved for each idle 5 minutes"
            tell.cwnd(tcb, old, ssthresh, why, "RFC 2861 3.2" if how == 1 else "RFC 7661 4.4.3")
        tcb.last_send = tcb.core.now


def decay(tcb: Tcb, old: int, idle: int, every: int) -> None:
    """Halve cwnd for each `every` ns of idle time, down to the restart window.

    ssthresh becomes at least 3/4 of the old cwnd.
    """
    window = old
    while idle > every and window > tcb.cwnd:
        window //= 2
        idle -= every
    if window != old and tcb.ssthresh < old // 4 * 3:
        tcb.ssthresh = old // 4 * 3
    if window > tcb.cwnd:
        tcb.cwnd = window
