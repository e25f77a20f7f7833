"""A SYN for a half-open connection: the first one again, or the answer to ours that crossed it (RFC 9293 section 3.5)."""

import errno

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add
from pystack_c.packet import Packet
from pystack_c.tcp import quirks
from pystack_c.tcp.challenge import ack_skipped, bad_ack_too_soon
from pystack_c.tcp.close import abort_connection
from pystack_c.tcp.delack import ack_now
from pystack_c.tcp.ecn import ecn
from pystack_c.tcp.rtotimer import set_rto_timer
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timers import give_up_after


def syn_received_syn(tcb: Tcb, pkt: Packet) -> bool:
    """A SYN at IRS in SYN-RECEIVED. True if the segment is done with."""
    if pkt.tcp_flags & (C.ACK | C.RST):
        crossed_syn_ack(tcb, pkt)
        return False
    if ecn.another_syn(tcb, pkt):
        syn_again(tcb)
    else:
        abort_connection(tcb, errno.ECONNABORTED, "two SYNs ask for different kinds of ECN", "RFC 9768 3.1.5")
    return True


def crossed_syn_ack(tcb: Tcb, pkt: Packet) -> None:
    """Simultaneous open, figure 8: the SYN of the SYN,ACK is known. The rest of the segment counts, so the SYN is taken off."""
    flags = pkt.tcp_flags & ~C.SYN
    if tcb.accecn is not None:
        # (Its flags are no ACE field, RFC 9768 3.2.2.)
        tcb.accecn.skip = True
        ecn.syn_ack_marks(tcb, pkt)
    else:
        # (Nor is its ECE an echo, RFC 3168 6.1.1.)
        flags &= ~(C.ECE | C.CWR)
    pkt.tcp_flags = flags
    pkt.seq = seq_add(pkt.seq, 1)
    if quirks.acks_crossed(tcb):
        _ack_crossed(tcb)


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


# -- quirks ----------------------------------------------------------------------------------------------------------


def _ack_crossed(tcb: Tcb) -> None:
    """Linux acknowledges the SYN,ACK that crossed its own, and tells a client with Fast Open that the SYN came twice."""
    if tcb.sack_ok and tcb.syn_data:
        tcb.dsack = (tcb.irs, tcb.rcv_nxt)
    ack_now(tcb, "the peer's SYN,ACK crossed ours", "Linux tcp_rcv_state_process")
