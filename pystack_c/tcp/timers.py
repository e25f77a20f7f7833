"""Process the expiry of a connection's timer (RFC 9293 sections 3.8.3, 3.8.4 and 3.8.6.1; RFC 6298 section 5)."""

import errno

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add
from pystack_c.base.timer import Timer
from pystack_c.tcp import mtuprobe, quirks, tell
from pystack_c.tcp.close import finish, timed_out
from pystack_c.tcp.loss.rack import note_probe
from pystack_c.tcp.loss.recovery import overdue, timeout
from pystack_c.tcp.loss.retransmit import tail_loss_probe
from pystack_c.tcp.loss.rtt import backed_off
from pystack_c.tcp.mss import have_route
from pystack_c.tcp.opening import fastopen
from pystack_c.tcp.output import send_new, waiting
from pystack_c.tcp.queues import memory
from pystack_c.tcp.rtotimer import set_persist_timer, set_rto_alone, set_rto_timer
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.segment import send_segment
from pystack_c.tcp.tables import TcpTables
from pystack_c.tcp.tcb import Tcb


def fire(tcb: Tcb, kind: int) -> None:
    """Process the expiry of a timer of the given kind (`C.TIMER_*`)."""
    if kind == C.TIMER_RTO:
        retransmission(tcb)
    elif kind == C.TIMER_PERSIST:
        persist(tcb)
    elif kind == C.TIMER_TLP:
        loss_probe(tcb)
    elif kind == C.TIMER_PACE:
        schedule(tcb)
    elif kind == C.TIMER_REORDER:
        overdue(tcb)
        schedule(tcb)
    elif kind == C.TIMER_DELACK:
        delayed_ack(tcb)
    elif kind == C.TIMER_KEEPALIVE:
        keepalive(tcb)
    elif kind == C.TIMER_TIME_WAIT:
        finish(tcb, "2 MSL have passed", "RFC 9293 3.6.1")
    elif kind == C.TIMER_FIN_WAIT_2:
        finish(tcb, "the peer did not close its side in time", "Linux tcp_fin_timeout")


class TcpLayer(TcpTables):
    """The TCP of one host: its tables, and the processing of its timers."""

    def on_timer(self, tcb: Tcb, kind: int) -> None:
        """Process the expiry of a connection's timer."""
        fire(tcb, kind)


def give_up_after(tcb: Tcb) -> int:
    """Return R2 as a number of retransmissions for the connection's state (MUST-20 to MUST-23)."""
    config = tcb.core.config
    if tcb.state == C.SYN_SENT:
        return tcb.syn_retries
    if tcb.state == C.SYN_RECEIVED:
        return config.tcp_synack_retries
    if tcb.detached and config.tcp_orphan_retries < config.tcp_retries2:
        return config.tcp_orphan_retries
    return config.tcp_retries2


def time_limit(tcb: Tcb) -> int:
    """Return the user timeout in ns, or 0 if there is none (TCP_USER_TIMEOUT, RFC 5482).

    While the connection opens, FreeBSD's TCP_KEEPINIT applies if it is shorter.
    """
    limit = tcb.user_timeout
    opening = quirks.opening_time(tcb)
    if opening > 0 and tcb.syn_out() and (limit == 0 or opening < limit):
        limit = opening
    return limit


def user_timeout_over(tcb: Tcb) -> bool:
    """Return True if data or a SYN has been unacknowledged for the user timeout."""
    limit = time_limit(tcb)
    return limit > 0 and tcb.retry_start >= 0 and tcb.core.now - tcb.retry_start >= limit


def window_shrunk(tcb: Tcb) -> bool:
    """Return True if the peer closed its window over data in flight, but still answers (SHLD-17).

    This is no reason to give up the connection.
    """
    return tcb.snd_wnd == 0 and not tcb.syn_out() and tcb.core.now - tcb.last_recv < tcb.core.config.tcp_rto_max


def retransmission(tcb: Tcb) -> None:
    """The retransmission timer expired (RFC 6298 5.4 to 5.6): retransmit the earliest segment, back off, restart the
    timer.
    """
    core = tcb.core
    if tcb.rtxq.count == 0:
        return
    core.counters.TcpExtTCPTimeouts += 1
    if (tcb.retries >= give_up_after(tcb) and not window_shrunk(tcb)) or user_timeout_over(tcb):
        timed_out(tcb, f"no answer arrived after {tcb.retries} retransmissions", "RFC 9293 3.8.3")
        return
    if tcb.retries == 0:
        tcb.rto_recoveries += 1
        if tcb.rto_stamp < 0:
            tcb.rto_stamp = core.now
    tcb.total_rto += 1
    tcb.retries += 1
    if tcb.retries == core.config.tcp_retries1:
        # R1 (MUST-20): let IP select the route again.
        tcb.route = None
    if tcb.retries == 1 and tcb.retry_start < 0:
        tcb.retry_start = core.now
    if tcb.syn_out():
        if tcb.tfo is not None and tcb.tfo.asked:
            fastopen.no_answer(tcb)
        head = tcb.rtxq.head()
        tcb.rtxq.mark_lost(head)
        tcb.force_retransmit = True
    else:
        timeout(tcb)
        mtuprobe.timed_out(tcb)
        memory.settle(tcb)
    old = backed_off(tcb)
    if tcb.state != C.SYN_SENT or tcb.retries > core.config.tcp_syn_linear_timeouts:
        tcb.backoff += 1
    new = backed_off(tcb)
    tell.rto(tcb, old, "the timeout doubles with each retransmission", "RFC 6298 5.5")
    deadline = core.now + new
    limit = time_limit(tcb)
    if limit > 0 and tcb.retry_start >= 0 and tcb.retry_start + limit < deadline:
        deadline = tcb.retry_start + limit
        if deadline <= core.now:
            deadline = core.now + 1
    set_rto_timer(tcb, deadline)
    schedule(tcb)


def loss_probe(tcb: Tcb) -> None:
    """The probe timer expired (RFC 8985 7.3): send new data or retransmit the last segment, then start the RTO.

    The RTO starts even if no probe could be sent. Without a route, one probe timeout of two round trips would otherwise
    follow another.
    """
    if tcb.rtxq.count == 0:
        return
    if have_route(tcb) and tail_loss_probe(tcb):
        send_new(tcb)
        tcb.tlp_new = False
        note_probe(tcb, False)
    memory.settle(tcb)
    set_rto_alone(tcb, tcb.core.now + backed_off(tcb))


def persist(tcb: Tcb) -> None:
    """The persist timer expired (RFC 9293 3.8.6.1): the window is closed or too small, and nothing is in flight.

    Send a window probe, and restart the timer with a doubled interval.
    """
    core = tcb.core
    if not waiting(tcb):
        return
    if not have_route(tcb) or tcb.syn_out():
        no_way(tcb)
        return
    if tcb.unsent() <= 0:
        # Only the FIN waited for a route.
        schedule(tcb)
        return
    if (tcb.cork or tcb.more) and tcb.snd_wnd > 0:
        tcb.more = False
        flush(tcb)
        return
    if tcb.probes >= give_up_after(tcb) or user_timeout_over(tcb):
        # MUST-37: an answered probe resets the count.
        timed_out(tcb, "the peer's window stayed closed", "RFC 9293 3.8.6.1")
        return
    if tcb.detached and tcb.backoff >= give_up_after(tcb):
        # MUST-37 does not protect a connection that the application has closed. The backoff ends when the window opens.
        timed_out(
            tcb, "the peer's window stayed closed, and the application has closed the connection", "RFC 9293 3.8.6.1"
        )
        return
    if tcb.snd_wnd > 0:
        # This is the override timeout of the sender's SWS avoidance (3.8.6.2.1, condition 4): send what fits.
        flush(tcb)
        return
    probe(tcb, "zero-window probe: it asks whether the peer's window is still closed", "RFC 9293 3.8.6.1")
    core.counters.TcpExtTCPWinProbe += 1
    old = backed_off(tcb)
    tcb.backoff += 1
    tell.rto(tcb, old, "the interval between probes doubles with each probe", "RFC 9293 3.8.6.1")
    if tcb.retry_start < 0:
        tcb.retry_start = core.now
    set_persist_timer(tcb)


def no_way(tcb: Tcb) -> None:
    """Retry after a segment could not be sent for lack of a route.

    The interval doubles, and the connection fails after R2.
    """
    if tcb.probes >= give_up_after(tcb) or user_timeout_over(tcb):
        timed_out(tcb, "there is no route to the peer any more", "RFC 9293 3.8.3")
        return
    tcb.probes += 1
    old = backed_off(tcb)
    tcb.backoff += 1
    tell.rto(tcb, old, "there is no route to the peer, so the time between tries doubles", "RFC 9293 3.8.3")
    schedule(tcb)


def flush(tcb: Tcb) -> None:
    """Send the waiting small segment now, in spite of Nagle's algorithm, TCP_CORK or SWS avoidance."""
    tcb.push_now = True
    if tcb.chunks is not None:
        tcb.chunks.mark()
    schedule(tcb)


def probe(tcb: Tcb, why: str, rfc: str) -> None:
    """Send a segment just below the window. The peer must answer it with an ACK that reports its window."""
    if not have_route(tcb):
        return
    tcb.probes += 1
    if tcb.core.probe is not None:
        tcb.core.emit("tcp.probe", tcb.subject(), tcb.ident, why, rfc, {"count": tcb.probes})
    send_segment(tcb, seq_add(tcb.snd_una, -1), C.ACK, 0, 0, 0, why, rfc)


def delayed_ack(tcb: Tcb) -> None:
    """The delayed-ACK timer expired: send the ACK (MUST-40)."""
    tcb.core.counters.TcpExtDelayedACKs += 1
    tcb.ack_now = True
    tcb.ack_reason = "the delayed-ACK timer expired"
    schedule(tcb)


def keepalive_arm(tcb: Tcb) -> None:
    """Start or restart the keep-alive timer for the idle time (MUST-24 to MUST-28), or cancel it if it is off."""
    core = tcb.core
    if not tcb.keepalive or tcb.state not in (C.ESTABLISHED, C.CLOSE_WAIT, C.FIN_WAIT_1, C.FIN_WAIT_2):
        core.cancel_timer(tcb.keep_timer, "keep-alive is off, or the connection is closing", "RFC 9293 3.8.4")
        return
    if tcb.keep_timer is None:
        tcb.keep_timer = Timer(tcb, C.TIMER_KEEPALIVE)
    at = max(tcb.last_recv + tcb.keepidle, core.now + 1)
    core.set_timer(tcb.keep_timer, at, "keep-alive probes the peer if nothing arrives until then", "RFC 9293 3.8.4")


def keepalive(tcb: Tcb) -> None:
    """The keep-alive timer expired (RFC 9293 3.8.4): probe the peer if the connection is idle.

    Nothing may be outstanding (MUST-26). The connection fails after `keepcnt` probes without an answer (MUST-29).
    """
    core = tcb.core
    if tcb.state not in (C.ESTABLISHED, C.CLOSE_WAIT, C.FIN_WAIT_1, C.FIN_WAIT_2):
        return
    idle = core.now - tcb.last_recv
    if tcb.rtxq.count > 0 or tcb.unsent() > 0:
        core.set_timer(tcb.keep_timer, core.now + tcb.keepidle, "outstanding data serves as a probe", "RFC 9293 3.8.4")
        return
    if idle < tcb.keepidle:
        tcb.keep_probes = 0
        at = tcb.last_recv + tcb.keepidle
        core.set_timer(tcb.keep_timer, at, "a segment arrived in the meantime", "RFC 9293 3.8.4")
        return
    over = tcb.keep_probes >= tcb.keepcnt
    if tcb.user_timeout > 0:
        over = tcb.keep_probes > 0 and idle >= tcb.user_timeout
    if over:
        tcb.so_error = errno.ETIMEDOUT
        timed_out(tcb, f"the peer did not answer {tcb.keep_probes} keep-alive probes", "RFC 9293 3.8.4")
        return
    tcb.keep_probes += 1
    core.counters.TcpExtTCPKeepAlive += 1
    # SHLD-12: the probe carries no data.
    probe(tcb, f"keep-alive probe {tcb.keep_probes} checks whether the peer is still there", "RFC 9293 3.8.4")
    core.set_timer(tcb.keep_timer, core.now + tcb.keepintvl, "the keep-alive answer is due then", "RFC 9293 3.8.4")
