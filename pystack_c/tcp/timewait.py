"""Process segments for a connection in TIME-WAIT (RFC 6191, RFC 9293 section 3.10.7.4)."""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_gt
from pystack_c.packet import Packet
from pystack_c.tcp import quirks
from pystack_c.tcp.data import fin_again
from pystack_c.tcp.delack import ack_now
from pystack_c.tcp.opening.listen import listen_state
from pystack_c.tcp.tcb import Tcb


def time_wait(tcb: Tcb, pkt: Packet) -> bool:
    """Process a segment in TIME-WAIT before the sequence number check. Return True if nothing more is to be done."""
    flags = pkt.tcp_flags
    if flags & C.SYN and not flags & (C.RST | C.ACK) and reopen(tcb, pkt):
        return True
    if quirks.answers_in_time_wait(tcb, flags):
        time_wait_answer(tcb, pkt)
        return True
    return False


def reopen(tcb: Tcb, pkt: Packet) -> bool:
    """Let a new SYN reopen a connection in TIME-WAIT, if it cannot be an old duplicate (MAY-2, RFC 6191).

    The new connection starts beyond all sequence numbers sent before (see `start_sequence`). If none opens, TIME-WAIT
    continues. Return True if a listener processed the SYN.
    """
    if not quirks.syn_opens(tcb.core, pkt.tcp_flags):
        return False
    newer = seq_gt(pkt.seq, tcb.rcv_nxt)
    if tcb.ts_ok and pkt.opt_ts:
        newer = seq_gt(pkt.tsval, tcb.ts_recent) or (pkt.tsval == tcb.ts_recent and newer)
    if not newer:
        return False
    listener = tcb.core.tcp.listener_for(pkt)
    if listener is None:
        return False
    listen_state(listener, pkt, tcb)
    return True


# -- quirks ----------------------------------------------------------------------------------------------------------


def time_wait_answer(tcb: Tcb, pkt: Packet) -> None:
    """Answer a segment in TIME-WAIT as FreeBSD does.

    A segment without ACK gets no answer. All others are acknowledged, except a plain duplicate of the last ACK.
    """
    flags = pkt.tcp_flags
    if not flags & C.ACK:
        tcb.core.drop("tcp-no-ack", tcb.subject(), "the segment has no ACK bit", "FreeBSD tcp_twcheck")
    elif flags & C.FIN:
        fin_again(tcb)
    elif pkt.l4_end > pkt.data_off or pkt.seq != tcb.rcv_nxt or pkt.ack != tcb.snd_nxt:
        ack_now(tcb, "the segment is outside the window, so an ACK reports the window", "FreeBSD tcp_twcheck")
