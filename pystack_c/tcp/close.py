"""The ends of a connection: TIME-WAIT, errors, and giving back what it held."""

import errno

import pystack_c.const as C
from pystack_c.tcp import errqueue
from pystack_c.tcp.segment import reset_connection
from pystack_c.tcp.state import set_state
from pystack_c.tcp.tcb import Tcb
from pystack_c.timer import Timer


def stop_timers(tcb: Tcb) -> None:
    """Cancel all timers of the connection."""
    timers = tcb.core.timers
    timers.cancel(tcb.rto_timer)
    timers.cancel(tcb.delack_timer)
    timers.cancel(tcb.reorder_timer)
    timers.cancel(tcb.pace_timer)
    timers.cancel(tcb.wait_timer)
    timers.cancel(tcb.keep_timer)


def enter_time_wait(tcb: Tcb, why: str, rfc: str) -> None:
    """RFC 9293 3.6.1, MUST-13: linger 2 MSL; the buffers are not needed any more."""
    core = tcb.core
    set_state(tcb, C.TIME_WAIT, why, rfc)
    core.counters.TcpExtTW += 1
    stop_timers(tcb)
    tcb.rtxq.clear()
    tcb.sendbuf.clear()
    if core.tcp.count_time_wait(tcb):
        start_wait(tcb, C.TIMER_TIME_WAIT, core.config.tcp_time_wait)
        return
    core.counters.TcpExtTCPTimeWaitOverflow += 1
    finish(tcb, "too many connections in TIME-WAIT", "Linux tcp_max_tw_buckets")


def start_wait(tcb: Tcb, kind: int, wait: int) -> None:
    """(Re)start the timer of TIME-WAIT or FIN-WAIT-2."""
    if tcb.wait_timer is None:
        tcb.wait_timer = Timer(tcb, kind)
    tcb.wait_timer.kind = kind
    deadline = tcb.core.now + wait
    tcb.core.timers.arm(tcb.wait_timer, deadline)
    if tcb.core.probe is not None:
        name = "time-wait" if kind == C.TIMER_TIME_WAIT else "fin-wait-2"
        fields = {"timer": name, "deadline": deadline}
        tcb.core.emit("timer.set", tcb.subject(), tcb.ident, f"{wait / 1e9:g} s", "RFC 9293 3.6.1", fields)


def finish(tcb: Tcb, why: str, rfc: str) -> None:
    """The connection is over: CLOSED, out of the tables, no timer, no unacknowledged data."""
    core = tcb.core
    set_state(tcb, C.CLOSED, why, rfc)
    stop_timers(tcb)
    tcb.rtxq.clear()
    tcb.sendbuf.clear()
    if tcb.errqueue is not None:
        errqueue.over(tcb)
    core.tcp.unregister(tcb)
    if tcb.parent is not None:
        tcb.parent.listener.forget(tcb)
        if tcb.fastopen:
            tcb.parent.listener.fastopen_pending -= 1
        else:
            tcb.detached = True
        tcb.parent = None
    if tcb.detached:
        tcb.recvbuf.clear()
        core.tcp.release(tcb)
    else:
        tcb.wake(C.EV_IN | C.EV_OUT | C.EV_HUP | C.EV_RDHUP)


def fail_connection(tcb: Tcb, error: int, why: str, rfc: str) -> None:
    """The connection is over by an error that the application must see (ECONNRESET, ETIMEDOUT ...)."""
    tcb.so_error = error
    tcb.was_reset = True
    tcb.shut_rd = True
    tcb.shut_wr = True
    tcb.recvbuf.ooo = None
    tcb.recvbuf.ooo_bytes = 0
    tcb.wake(C.EV_ERR)
    finish(tcb, why, rfc)


def abort_connection(tcb: Tcb, error: int, why: str, rfc: str) -> None:
    """Send RST where the peer knows of the connection, and fail it."""
    state = tcb.state
    if state in (C.SYN_RECEIVED, C.ESTABLISHED, C.FIN_WAIT_1, C.FIN_WAIT_2, C.CLOSE_WAIT, C.CLOSING, C.LAST_ACK):
        reset_connection(tcb, why, rfc)
    fail_connection(tcb, error, why, rfc)


def timed_out(tcb: Tcb, why: str, rfc: str) -> None:
    """R2, the user timeout or keep-alive gave up: ETIMEDOUT, or the soft error that ICMP left (SHLD-25)."""
    tcb.core.counters.TcpExtTCPAbortOnTimeout += 1
    error = tcb.soft_error if tcb.soft_error else errno.ETIMEDOUT
    if tcb.state == C.SYN_SENT or tcb.state == C.SYN_RECEIVED:
        tcb.core.counters.TcpAttemptFails += 1
        fail_connection(tcb, error, why, rfc)
    else:
        abort_connection(tcb, error, why, rfc)
