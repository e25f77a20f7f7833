"""Delayed acknowledgments (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2).

This module decides whether an ACK is due at once, and how long it may wait otherwise.
"""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_diff
from pystack_c.base.timer import new_timer
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.tcb import Tcb

# An application counts as answering for this time (ns) after it last sent data.
ANSWERING = 1_000_000_000


def ack_now(tcb: Tcb, why: str, rfc: str) -> None:
    """Mark an ACK as due at the next poll. Several such ACKs merge into one (MUST-58, MUST-59)."""
    tcb.ack_now = True
    if tcb.core.probe is not None:
        tcb.ack_reason = why
        tcb.core.emit("tcp.ack", tcb.subject(), tcb.ident, why, rfc, {"action": "now"})
    schedule(tcb)


def answering(tcb: Tcb) -> bool:
    """Return True if the application sends data of its own, which can carry the ACK."""
    return tcb.last_send > 0 and tcb.core.now - tcb.last_send < ANSWERING


def ack_policy(tcb: Tcb) -> None:
    """Delay the ACK for a short time, unless two full-sized segments are unacknowledged (SHLD-18, SHLD-19, MUST-40)."""
    core = tcb.core
    if seq_diff(tcb.rcv_nxt, tcb.last_ack_sent) >= core.config.tcp_delack_segs * tcb.rcv_mss:
        why = "" if core.probe is None else f"{core.config.tcp_delack_segs} full-sized segments are unacknowledged"
        ack_now(tcb, why, "RFC 9293 3.8.6.3")
        return
    if tcb.quickack > 0:
        ack_now(tcb, "the connection is in its quick-ACK phase", "Linux tcp(7) TCP_QUICKACK")
        return
    if _second_segment(tcb):
        ack_now(tcb, "a second segment arrived while an ACK was delayed", "FreeBSD tcp_input")
        return
    delay_ack(tcb)


def delay_ack(tcb: Tcb) -> None:
    """Start the delayed-ACK timer, unless it is running."""
    core = tcb.core
    timer = tcb.delack_timer
    if timer is None:
        timer = new_timer(tcb, C.TIMER_DELACK)
        tcb.delack_timer = timer
    if timer.deadline < 0:
        deadline = core.now + core.config.tcp_delack_time
        if core.probe is not None:
            why = "the ACK waits for data that can carry it, or for a second segment"
            core.emit("tcp.ack", tcb.subject(), tcb.ident, why, "RFC 9293 3.8.6.3", {"action": "delayed"})
        core.set_timer(timer, deadline, "the ACK may be delayed until then at most", "RFC 9293 3.8.6.3")


# -- quirks ----------------------------------------------------------------------------------------------------------


def _second_segment(tcb: Tcb) -> bool:
    """Return True if FreeBSD would send the ACK: a second segment of any size arrived (tcp_delack_any_size)."""
    timer = tcb.delack_timer
    return tcb.core.config.tcp_delack_any_size and timer is not None and timer.deadline >= 0
