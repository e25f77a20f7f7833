"""Proportional rate reduction (RFC 9937): how much to send while the window falls to ssthresh."""

from pystack_c.tcp import tell
from pystack_c.tcp.tcb import Tcb


def reduce_rate(tcb: Tcb, newly: int, safe: bool) -> None:
    """Set cwnd so that the sender sends in proportion to the delivered data, and cwnd ends at ssthresh (RFC 9937 6.2).

    `newly` is the number of bytes that this ACK delivers. `safe` is true if the ACK advances SND.UNA and shows no
    further loss (SafeACK). With tcp_prr_safe, an ACK that delivers nothing changes nothing.
    """
    if newly <= 0 and tcb.core.config.tcp_prr_safe:
        return
    old = tcb.cwnd
    tcb.prr_delivered += newly
    pipe = tcb.in_flight()
    if pipe > tcb.ssthresh:
        # Proportional part: ceil(prr_delivered * ssthresh / RecoverFS) - prr_out.
        quota = (tcb.prr_delivered * tcb.ssthresh + tcb.prr_flight - 1) // tcb.prr_flight - tcb.prr_out
    else:
        # PRR-CRB: at or below ssthresh, send as much as was delivered. PRR-SSRB adds one segment, which RFC 9937 allows
        # only if it is safe, and RFC 6937 always.
        limit = tcb.prr_delivered - tcb.prr_out
        if limit < newly:
            limit = newly
        if safe or not tcb.core.config.tcp_prr_safe:
            limit += tcb.mss
        quota = tcb.ssthresh - pipe
        if quota > limit:
            quota = limit
    if quota < 0:
        quota = 0
    if tcb.prr_out == 0 and quota < tcb.mss and tcb.core.config.tcp_prr_safe:
        # Force the fast retransmission with which recovery begins. (The RFC writes "SndCnt is 0", and Linux counts whole
        # segments: less than one lets nothing leave.)
        quota = tcb.mss
    tcb.cwnd = pipe + quota
    if tcb.cwnd < tcb.mss:
        tcb.cwnd = tcb.mss
    tell.cwnd(tcb, old, tcb.ssthresh, "recovery sends in proportion to the delivered data", "RFC 9937 6.2")
