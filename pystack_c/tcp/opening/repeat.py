"""Process a SYN for a half-open connection (RFC 9293 section 3.5).

It is a retransmission, or the SYN of a SYN-ACK in a simultaneous open.
"""

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
    """Process a SYN with sequence number IRS in SYN-RECEIVED.

    Return True if nothing more is to be done with the segment.
    """
    if pkt.tcp_flags & (C.ACK | C.RST):
        crossed_syn_ack(tcb, pkt)
        return False
    if ecn.another_syn(tcb, pkt):
        syn_again(tcb)
    else:
        abort_connection(tcb, errno.ECONNABORTED, "two SYNs request different kinds of ECN", "RFC 9768 3.1.5")
    return True


def crossed_syn_ack(tcb: Tcb, pkt: Packet) -> None:
    """Process the SYN-ACK of a simultaneous open (figure 7). Its SYN is known, so remove it and process the rest."""
    flags = pkt.tcp_flags & ~C.SYN
    if tcb.accecn is not None:
        # The SYN-ACK's flags are not an ACE field (RFC 9768 3.2.2).
        tcb.accecn.skip = True
        ecn.syn_ack_marks(tcb, pkt)
    else:
        # The SYN-ACK's ECE does not repeat a mark (RFC 3168 6.1.1).
        flags &= ~(C.ECE | C.CWR)
    pkt.tcp_flags = flags
    pkt.seq = seq_add(pkt.seq, 1)
    if quirks.acks_crossed(tcb):
        _ack_crossed(tcb)


def syn_again(tcb: Tcb) -> None:
    """Retransmit our SYN-ACK, which was lost, at most once per tcp_invalid_ratelimit, as in Linux.

    The timer does not restart. Otherwise a peer, or an attacker who forges its SYNs, could keep the half-open
    connection for as long as it likes by repeating the SYN. But if the timer is about to give up, the answer to this
    SYN-ACK gets one RTO to arrive, once.
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
