"""The eleven states and the transitions between them (RFC 9293 section 3.3.2, figure 5)."""

import pystack_c.const as C
from pystack_c.tcp.snapshot import STATE_NAMES
from pystack_c.tcp.tcb import Tcb

# (old, new): the event that causes this transition. The figure in the documentation is drawn from this table.
TRANSITIONS = {
    (C.CLOSED, C.LISTEN): "passive OPEN",
    (C.CLOSED, C.SYN_SENT): "active OPEN: send SYN",
    (C.LISTEN, C.SYN_RECEIVED): "received SYN: send SYN,ACK",
    (C.LISTEN, C.CLOSED): "CLOSE",
    (C.LISTEN, C.SYN_SENT): "SEND: send SYN",
    (C.SYN_SENT, C.CLOSED): "CLOSE, RST, or no answer",
    (C.SYN_SENT, C.SYN_RECEIVED): "received SYN (simultaneous open): send SYN,ACK",
    (C.SYN_SENT, C.ESTABLISHED): "received SYN,ACK: send ACK",
    (C.SYN_RECEIVED, C.ESTABLISHED): "received the ACK of the SYN",
    (C.SYN_RECEIVED, C.CLOSED): "RST, or no answer (a passive open returns to LISTEN)",
    (C.ESTABLISHED, C.FIN_WAIT_1): "CLOSE: send FIN",
    (C.ESTABLISHED, C.CLOSE_WAIT): "received FIN: send ACK",
    (C.ESTABLISHED, C.CLOSED): "RST, ABORT or user timeout",
    (C.FIN_WAIT_1, C.FIN_WAIT_2): "received the ACK of the FIN",
    (C.FIN_WAIT_1, C.CLOSING): "received FIN (simultaneous close): send ACK",
    (C.FIN_WAIT_1, C.TIME_WAIT): "received FIN with the ACK of our FIN: send ACK",
    (C.FIN_WAIT_1, C.CLOSED): "RST, ABORT or user timeout",
    (C.FIN_WAIT_2, C.TIME_WAIT): "received FIN: send ACK",
    (C.FIN_WAIT_2, C.CLOSED): "RST, ABORT, or an orphan's timeout",
    (C.CLOSE_WAIT, C.LAST_ACK): "CLOSE: send FIN",
    (C.CLOSE_WAIT, C.CLOSED): "RST, ABORT or user timeout",
    (C.CLOSING, C.TIME_WAIT): "received the ACK of the FIN",
    (C.CLOSING, C.CLOSED): "RST, ABORT or user timeout",
    (C.LAST_ACK, C.CLOSED): "received the ACK of the FIN",
    (C.TIME_WAIT, C.CLOSED): "2 MSL have passed",
}


def set_state(tcb: Tcb, new: int, why: str, rfc: str) -> None:
    """Change the state, and emit an event with the TCB before and after the change."""
    old = tcb.state
    if old == new:
        return
    core = tcb.core
    if new == C.ESTABLISHED:
        core.counters.TcpCurrEstab += 1
    elif (old == C.ESTABLISHED and new != C.CLOSE_WAIT) or (old == C.CLOSE_WAIT):
        core.counters.TcpCurrEstab -= 1
    if new == C.CLOSED and (old == C.ESTABLISHED or old == C.CLOSE_WAIT):
        # RFC 4022 tcpEstabResets counts each reset, by either side and for any reason.
        core.counters.TcpEstabResets += 1
    if core.probe is None:
        tcb.state = new
        return
    before = tcb.snapshot()
    tcb.state = new
    fields = {"old": STATE_NAMES[old], "new": STATE_NAMES[new]}
    core.emit("tcp.state", tcb.subject(), tcb.ident, why, rfc, fields, before, tcb.snapshot())
