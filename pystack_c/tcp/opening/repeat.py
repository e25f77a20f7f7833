"""The SYN of a half-open connection that comes again."""

from pystack_c.tcp.challenge import ack_skipped, bad_ack_too_soon
from pystack_c.tcp.rtotimer import set_rto_timer
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timers import give_up_after


def syn_again(tcb: Tcb) -> None:
    """The peer's SYN once more: our SYN-ACK was lost; send it again, but not more often than tcp_invalid_ratelimit (as Linux does).

    The timer stays as it is: else whoever repeats a SYN (a forged one, too) would keep the half-open connection for as long as it likes.
    Only where it is about to give up, the answer to this SYN-ACK gets one RTO to arrive, once.
    """
    core = tcb.core
    if bad_ack_too_soon(tcb):
        core.drop(
            "tcp-syn-again", tcb.subject(), "a retransmitted SYN was answered a moment ago", "Linux tcp_check_req"
        )
        ack_skipped(tcb, False)
        return
    tcb.last_bad_ack = core.now
    q = tcb.rtxq
    head = q.head()
    if head is not None:
        q.mark_lost(head)
        tcb.force_retransmit = True
        tcb.syn_why = "the peer retransmitted its SYN, so our SYN,ACK is retransmitted"
        last = tcb.retries == give_up_after(tcb) and tcb.rto_timer is not None
        if last and tcb.rto_timer.deadline < core.now + tcb.rto:
            tcb.retries += 1
            set_rto_timer(tcb, core.now + tcb.rto)
        schedule(tcb)
