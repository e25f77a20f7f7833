"""Urgent data: the pointer, the byte and the mark (RFC 9293 section 3.8.5, RFC 6093)."""

import errno

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff, seq_gt
from pystack_c.packet import Packet
from pystack_c.tcp import tell
from pystack_c.tcp.errors import error
from pystack_c.tcp.queues import memory
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.urgstate import Urgent


def recv_urgent(tcb: Tcb, flags: int) -> bytes:
    """Return the urgent byte (MSG_OOB), with Linux's errors.

    Raise OSError with EINVAL if there is none, or with EAGAIN if it has not arrived yet.
    """
    urg: Urgent = tcb.urgent
    if tcb.oobinline or urg is None or urg.state == C.OOB_NONE or urg.state == C.OOB_READ:
        raise error(errno.EINVAL)
    if urg.state == C.OOB_EXPECTED:
        raise error(errno.EAGAIN)
    data = bytes((urg.byte,))
    if not flags & C.MSG_PEEK:
        urg.state = C.OOB_READ
        urg.seen = False
    return data


def up_to_mark(tcb: Tcb, n: int) -> int:
    """Return how many of `n` bytes one read takes. It never crosses the mark. (Called if there is urgent data.)"""
    left = tcb.urgent.mark_left
    return left if 0 < left < n else n  # type: ignore[no-any-return]


def pass_mark(tcb: Tcb, n: int) -> None:
    """Update the distance to the mark after the application has read `n` bytes. (Called if there is urgent data.)"""
    urg: Urgent = tcb.urgent
    if urg.mark_left < 0:
        return
    if urg.mark_left == 0:
        # The application reads beyond the mark, so the urgent data is no longer pending.
        urg.mark_left = -1
        urg.seen = False
        if urg.state == C.OOB_READ:
            urg.state = C.OOB_NONE
        return
    urg.mark_left -= n


def urgent(tcb: Tcb, pkt: Packet) -> None:
    """Set RCV.UP = max(RCV.UP, SEG.UP), and notify the application (RFC 9293 3.10.7.4, sixth; MUST-32).

    The urgent pointer points to the byte after the urgent data (MUST-62).
    """
    up = seq_add(pkt.seq, pkt.urg)
    if seq_gt(up, tcb.rcv_up) and seq_gt(up, tcb.rcv_nxt):
        tcb.rcv_up = up
        if tcb.urgent is None:
            tcb.urgent = Urgent()
        tcb.urgent.seen = True
        tcb.urgent.state = C.OOB_EXPECTED
        tell.received(tcb, "tcp.urgent", up, 0, "the peer's urgent data ends there", "RFC 9293 3.8.5")
        tcb.wake(C.EV_PRI)


def urgent_byte(tcb: Tcb) -> None:
    """Set the mark at the last urgent byte, which has arrived.

    The byte is removed from the stream unless SO_OOBINLINE is set (RFC 6093 3.1).
    """
    urg: Urgent = tcb.urgent
    buf = tcb.recvbuf
    place = buf.used - seq_diff(tcb.rcv_nxt, tcb.rcv_up) - 1
    urg.state = C.OOB_HERE
    if place < 0:
        return
    if tcb.oobinline:
        urg.state = C.OOB_NONE
    else:
        urg.byte = buf.cut(place)
        memory.settle(tcb)
    urg.mark_left = place
    tcb.wake(C.EV_PRI)
