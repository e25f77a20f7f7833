"""Decide whether a small segment may be sent: Nagle and SWS avoidance (RFC 9293 sections 3.7.4 and 3.8.6.2.1)."""

from pystack_c.base.seqnum import seq_gt
from pystack_c.tcp.tcb import Tcb


def small_follows(tcb: Tcb) -> bool:
    """Return True if a small segment at the end of the data may follow the full-sized ones at once.

    This holds if no rule of `may_send_small` would hold it back.
    """
    if tcb.chunks is not None or corked(tcb):
        return False
    return tcb.fin_pending or not nagle_holds(tcb)


def corked(tcb: Tcb) -> bool:
    """Return True if the application announced more data (TCP_CORK, MSG_MORE) and has not closed its side."""
    return (tcb.cork or tcb.more) and not tcb.shut_wr


def nagle_holds(tcb: Tcb) -> bool:
    """Return True if Nagle's algorithm (3.7.4, RFC 896) holds a small segment while data is unacknowledged.

    With `tcp_minshall`, it does so only while a small segment is unacknowledged.
    """
    if tcb.nodelay:
        return False
    return not tcb.core.config.tcp_minshall or seq_gt(tcb.snd_sml, tcb.snd_una)


def may_send_small(tcb: Tcb, n: int, unsent: int, usable: int) -> bool:
    """Return True if a segment below the MSS may be sent (RFC 9293 3.8.6.2.1).

    Condition (2) is that it contains all queued data, and (3) that it is at least half of the largest window seen.
    """
    if tcb.push_now or (n == unsent and tcb.fin_pending):
        tcb.push_now = False
        return True
    if corked(tcb):
        return False
    if n < unsent and tcb.core.config.tcp_sws and not (n == usable and n * 2 >= tcb.max_window):
        return False
    # This is the condition in the RFC's brackets: hold a small segment while data is unacknowledged.
    return tcb.snd_nxt == tcb.snd_una or not nagle_holds(tcb)
