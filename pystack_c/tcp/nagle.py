"""May a segment that is not full go now? Nagle and silly window avoidance (RFC 9293 sections 3.7.4 and 3.8.6.2.1)."""

from pystack_c.base.seqnum import seq_gt
from pystack_c.tcp.tcb import Tcb


def small_follows(tcb: Tcb) -> bool:
    """A small segment at the end of all data would go at once behind the full ones: no rule of `may_send_small` holds it."""
    if tcb.chunks is not None or corked(tcb):
        return False
    return tcb.fin_pending or not nagle_holds(tcb)


def corked(tcb: Tcb) -> bool:
    """The application said that more will follow (TCP_CORK, MSG_MORE), and has not closed its side."""
    return (tcb.cork or tcb.more) and not tcb.shut_wr


def nagle_holds(tcb: Tcb) -> bool:
    """Nagle (3.7.4, RFC 896), for a small segment behind data that is not acknowledged; with `tcp_minshall`, behind a small one."""
    if tcb.nodelay:
        return False
    return not tcb.core.config.tcp_minshall or seq_gt(tcb.snd_sml, tcb.snd_una)


def may_send_small(tcb: Tcb, n: int, unsent: int, usable: int) -> bool:
    """RFC 9293 3.8.6.2.1, for a segment below the MSS: (2) all queued data, or (3) half of the largest window."""
    if tcb.push_now or (n == unsent and tcb.fin_pending):
        tcb.push_now = False
        return True
    if corked(tcb):
        return False
    if n < unsent and tcb.core.config.tcp_sws and not (n == usable and n * 2 >= tcb.max_window):
        return False
    # The bracketed condition: hold a small segment while data is unacknowledged.
    return tcb.snd_nxt == tcb.snd_una or not nagle_holds(tcb)
