"""End a connection: TIME-WAIT, aborts and timeouts, and the release of its resources."""

import errno

import pystack_c.const as C
from pystack_c.base.timer import new_timer
from pystack_c.tcp import tell
from pystack_c.tcp.queues import errqueue, memory
from pystack_c.tcp.reset import reset_connection
from pystack_c.tcp.state import set_state
from pystack_c.tcp.tables import TcpTables
from pystack_c.tcp.tcb import Tcb


def stop_timers(tcb: Tcb, why: str, rfc: str) -> None:
    """Cancel all timers of the connection."""
    core = tcb.core
    core.cancel_timer(tcb.rto_timer, why, rfc)
    core.cancel_timer(tcb.delack_timer, why, rfc)
    core.cancel_timer(tcb.reorder_timer, why, rfc)
    core.cancel_timer(tcb.pace_timer, why, rfc)
    core.cancel_timer(tcb.wait_timer, why, rfc)
    core.cancel_timer(tcb.keep_timer, why, rfc)


def enter_time_wait(tcb: Tcb, why: str, rfc: str) -> None:
    """Enter TIME-WAIT for 2 MSL (RFC 9293 3.6.1, MUST-13), and free the buffers."""
    core = tcb.core
    set_state(tcb, C.TIME_WAIT, why, rfc)
    core.counters.TcpExtTW += 1
    stop_timers(tcb, why, rfc)
    tcb.rtxq.clear()
    tcb.sendbuf.clear()
    memory.settle(tcb)
    memory.adopted(tcb)
    slim(tcb)
    tables: TcpTables = core.tcp
    if tables.count_time_wait(tcb):
        start_wait(tcb, C.TIMER_TIME_WAIT, core.config.tcp_time_wait)
        return
    core.counters.TcpExtTCPTimeWaitOverflow += 1
    finish(tcb, "too many connections in TIME-WAIT", "Linux tcp_max_tw_buckets")


def await_fin(tcb: Tcb) -> bool:
    """Start the timer that bounds FIN-WAIT-2 after the application has closed its socket.

    Return False if TCP_LINGER2 is negative: the connection is then aborted at once (Linux tcp(7)).
    """
    if tcb.linger2 < 0:
        tcb.core.counters.TcpExtTCPAbortOnLinger += 1
        abort_connection(tcb, 0, "TCP_LINGER2 says not to wait for the peer's FIN", "Linux tcp(7) TCP_LINGER2")
        return False
    start_wait(tcb, C.TIMER_FIN_WAIT_2, tcb.linger2 if tcb.linger2 > 0 else tcb.core.config.tcp_fin_timeout)
    return True


def slim(tcb: Tcb) -> None:
    """Free what only a sender needs, because the connection now sends only ACKs.

    By default up to 65,536 blocks may be in TIME-WAIT.
    """
    tcb.cc = None
    tcb.rate = None
    tcb.mtup = None
    tcb.sacks = None
    tcb.syn_text = None
    tcb.rto_timer = None
    tcb.reorder_timer = None
    tcb.pace_timer = None
    tcb.delack_timer = None
    tcb.keep_timer = None


def start_wait(tcb: Tcb, kind: int, wait: int) -> None:
    """Start or restart the timer of TIME-WAIT or FIN-WAIT-2. `wait` is in ns."""
    core = tcb.core
    if tcb.wait_timer is None:
        tcb.wait_timer = new_timer(tcb, kind)
    elif tcb.wait_timer.kind != kind:
        core.cancel_timer(tcb.wait_timer, "the timer of the new state replaces it", "RFC 9293 3.6.1")
    tcb.wait_timer.kind = kind
    if kind == C.TIMER_TIME_WAIT:
        why, rfc = "old segments must expire, and the peer may retransmit its FIN (2 MSL)", "RFC 9293 3.6.1"
    else:
        why, rfc = "the application has closed, and the peer's FIN has not arrived", "Linux tcp_fin_timeout"
    core.set_timer(tcb.wait_timer, core.now + wait, why, rfc)


def finish(tcb: Tcb, why: str, rfc: str) -> None:
    """End the connection: enter CLOSED, leave the tables, stop the timers, and discard unacknowledged data."""
    core = tcb.core
    set_state(tcb, C.CLOSED, why, rfc)
    stop_timers(tcb, why, rfc)
    # A timer refers to its owner. Break this cycle, or the block stays until the garbage collector runs.
    tcb.rto_timer = tcb.delack_timer = tcb.reorder_timer = None
    tcb.pace_timer = tcb.wait_timer = tcb.keep_timer = None
    tcb.rtxq.clear()
    tcb.sendbuf.clear()
    if tcb.errqueue is not None:
        errqueue.over(tcb)
    tables: TcpTables = core.tcp
    tables.unregister(tcb)
    memory.adopted(tcb)
    if tcb.parent is not None:
        tcb.parent.listener.forget(tcb)
        tell.listen(tcb.parent, "syn", "a half-open connection ended", "RFC 9293 3.10.7.4")
        if tcb.fastopen:
            tcb.parent.listener.fastopen_pending -= 1
        else:
            tcb.detached = True
        tcb.parent = None
    if tcb.detached:
        tcb.recvbuf.clear()
        memory.settle(tcb)
        tables.release(tcb)
    else:
        memory.settle(tcb)
        tcb.wake(C.EV_IN | C.EV_OUT | C.EV_HUP | C.EV_RDHUP)


def fail_connection(tcb: Tcb, error: int, why: str, rfc: str) -> None:
    """End the connection with an errno for the application, such as ECONNRESET or ETIMEDOUT."""
    tcb.so_error = error
    tcb.was_reset = True
    tcb.shut_rd = True
    tcb.shut_wr = True
    tcb.recvbuf.forget_ooo()
    tcb.wake(C.EV_ERR)
    finish(tcb, why, rfc)


def abort_connection(tcb: Tcb, error: int, why: str, rfc: str) -> None:
    """Fail the connection, and send a RST if the peer may know about it."""
    state = tcb.state
    if state in (C.SYN_RECEIVED, C.ESTABLISHED, C.FIN_WAIT_1, C.FIN_WAIT_2, C.CLOSE_WAIT, C.CLOSING, C.LAST_ACK):
        reset_connection(tcb, why, rfc)
    fail_connection(tcb, error, why, rfc)


def timed_out(tcb: Tcb, why: str, rfc: str) -> None:
    """End the connection after R2, the user timeout or the keep-alive limit was reached.

    The error is ETIMEDOUT, or the soft error that ICMP reported (SHLD-25).
    """
    tcb.core.counters.TcpExtTCPAbortOnTimeout += 1
    error = tcb.soft_error if tcb.soft_error else errno.ETIMEDOUT
    if tcb.state == C.SYN_SENT or tcb.state == C.SYN_RECEIVED:
        tcb.core.counters.TcpAttemptFails += 1
        fail_connection(tcb, error, why, rfc)
    else:
        abort_connection(tcb, error, why, rfc)
