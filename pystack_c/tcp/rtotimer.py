"""The timer for retransmission, loss probe and persist (RFC 6298 section 5, RFC 8985 section 7.2)."""

import pystack_c.const as C
from pystack_c.base.timer import new_timer
from pystack_c.tcp import quirks
from pystack_c.tcp.loss.rack import probe_timeout
from pystack_c.tcp.loss.rtt import backed_off
from pystack_c.tcp.tcb import Tcb


def set_rto_timer(tcb: Tcb, deadline: int) -> None:
    """Start the retransmission timer, or the loss probe timer in its place if that expires earlier (RFC 8985 7.2)."""
    core = tcb.core
    tcb.rto_deadline = deadline
    pto = probe_timeout(tcb)
    if pto > 0 and core.now + pto >= deadline:
        # The RTO comes first.
        pto = deadline - core.now if quirks.probe_takes_rto(tcb) else 0
    if pto > 0:
        take_rto_timer(tcb, C.TIMER_TLP)
        why = "" if core.probe is None else f"the probe timeout (PTO) is {pto / 1e6:g} ms"
        core.set_timer(tcb.rto_timer, core.now + pto, why, "RFC 8985 7.2")
        return
    set_rto_alone(tcb, deadline)


def set_rto_alone(tcb: Tcb, deadline: int) -> None:
    """Start the retransmission timer, even if a loss probe could expire earlier."""
    core = tcb.core
    tcb.rto_deadline = deadline
    take_rto_timer(tcb, C.TIMER_RTO)
    why = "" if core.probe is None else explain_rto(tcb, deadline - core.now)
    core.set_timer(tcb.rto_timer, deadline, why, "RFC 6298 5.1")


def take_rto_timer(tcb: Tcb, kind: int) -> None:
    """Set the timer's kind, and report if this replaces a running timer of another kind.

    Retransmission, loss probe and persist share one timer, because only one of them runs at a time.
    """
    timer = tcb.rto_timer
    if timer is None:
        tcb.rto_timer = new_timer(tcb, kind)
        return
    if timer.kind != kind and timer.deadline >= 0 and tcb.core.probe is not None:
        tcb.core.cancel_timer(timer, "another timer replaces it", "RFC 8985 7.2")
    timer.kind = kind


def explain_rto(tcb: Tcb, left: int) -> str:
    """Explain the duration of the retransmission timer."""
    text = f"the RTO is {tcb.rto / 1e6:g} ms"
    if tcb.srtt > 0:
        text += f" with an SRTT of {tcb.srtt / 1e6:g} ms"
    if tcb.backoff > 0:
        text += f", doubled {tcb.backoff} time{'s' if tcb.backoff > 1 else ''}"
    if tcb.state == C.SYN_RECEIVED:
        text = "our SYN,ACK waits for its ACK, and " + text
    elif tcb.state == C.SYN_SENT:
        text = "our SYN waits for its answer, and " + text
    if tcb.user_timeout > 0 and left < backed_off(tcb):
        text += ", cut short by the user timeout (RFC 5482)"
    return text


def arm_retransmit(tcb: Tcb, sent_now: bool) -> None:
    """Start the timer that output requires.

    Data in flight needs the retransmission timer (RFC 6298 5.1). If nothing is in flight but data waits, the persist
    timer runs (RFC 9293 3.8.6.1).
    """
    timer = tcb.rto_timer
    armed = timer is not None and timer.deadline >= 0
    if tcb.rtxq.count > 0:
        if not armed or timer.kind == C.TIMER_PERSIST:
            set_rto_timer(tcb, tcb.core.now + backed_off(tcb))
        elif sent_now and probe_timeout(tcb) > 0:
            # RFC 8985 7.2: new data postpones the probe, but never the RTO.
            set_rto_timer(tcb, tcb.rto_deadline)
        elif timer.kind == C.TIMER_TLP and probe_timeout(tcb) == 0:
            # RFC 8985 7.2: there is no probe during loss recovery, so only the RTO remains.
            set_rto_timer(tcb, tcb.rto_deadline)
        return
    if tcb.state == C.CLOSED:
        return
    if tcb.unsent() > 0 and not armed and (tcb.core.config.tcp_persist or tcb.snd_wnd > 0):
        set_persist_timer(tcb)


def set_persist_timer(tcb: Tcb) -> None:
    """Start the persist timer for one RTO, doubled with each expiry (SHLD-29, SHLD-30)."""
    core = tcb.core
    wait = backed_off(tcb)
    if wait > core.config.tcp_persist_max:
        wait = core.config.tcp_persist_max
    if (tcb.cork or tcb.more) and tcb.snd_wnd > 0:
        wait = 200_000_000
    take_rto_timer(tcb, C.TIMER_PERSIST)
    core.set_timer(tcb.rto_timer, core.now + wait, "data waits while nothing is in flight", "RFC 9293 3.8.6.1")
