"""Proportional rate reduction (RFC 6937, RFC 9937): how much is sent while the window falls to ssthresh."""

from pystack_c.tcp import tell
from pystack_c.tcp.tcb import Tcb


def reduce_rate(tcb: Tcb, newly: int, safe: bool) -> None:
    """RFC 6937 3: send in proportion to what is delivered (`newly`, by this ACK), so that cwnd ends at ssthresh.

    `safe`: the ACK moves SND.UNA and shows no further loss (SafeACK, RFC 9937 6.2).
    """
    old = tcb.cwnd
    tcb.prr_delivered += newly
    pipe = tcb.in_flight()
    if pipe > tcb.ssthresh:
        # Proportional part: ceil(prr_delivered * ssthresh / RecoverFS) - prr_out
        quota = (tcb.prr_delivered * tcb.ssthresh + tcb.prr_flight - 1) // tcb.prr_flight - tcb.prr_out
    else:
        # Below ssthresh: as much as was delivered, and one segment more (PRR-SSRB), by RFC 9937 only where that is safe.
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
        # The fast retransmission that recovery begins with.
        quota = tcb.mss
    tcb.cwnd = pipe + quota
    if tcb.cwnd < tcb.mss:
        tcb.cwnd = tcb.mss
    tell.cwnd(tcb, old, tcb.ssthresh, "recovery sends in proportion to the delivered data", "RFC 6937 3")
