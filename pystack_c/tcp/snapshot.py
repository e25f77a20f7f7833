"""The outside view of a connection: the names of its states and phases, and the variables that a learner looks at."""

from typing import Any

import pystack_c.const as C
from pystack_c.probe import TIMER_NAMES

STATE_NAMES = {
    C.ESTABLISHED: "ESTABLISHED",
    C.SYN_SENT: "SYN-SENT",
    C.SYN_RECEIVED: "SYN-RECEIVED",
    C.FIN_WAIT_1: "FIN-WAIT-1",
    C.FIN_WAIT_2: "FIN-WAIT-2",
    C.TIME_WAIT: "TIME-WAIT",
    C.CLOSED: "CLOSED",
    C.CLOSE_WAIT: "CLOSE-WAIT",
    C.LAST_ACK: "LAST-ACK",
    C.LISTEN: "LISTEN",
    C.CLOSING: "CLOSING",
}

PHASES = {
    C.CA_OPEN: "open",
    C.CA_DISORDER: "disorder",
    C.CA_CWR: "cwr",
    C.CA_RECOVERY: "recovery",
    C.CA_LOSS: "loss",
}

# The fields in the snapshot of a TCB, which probe events and the stepper use.
SNAPSHOT = (
    "snd_una snd_nxt snd_wnd snd_wl1 snd_wl2 max_window iss rcv_nxt rcv_adv irs mss peer_mss rcv_mss snd_wscale "
    "rcv_wscale sack_ok ts_ok ts_recent srtt rttvar min_rtt rto backoff cwnd ssthresh dupacks retries probes "
    "fin_sent fin_received shut_rd shut_wr quickack nodelay total_retrans congestion"
).split()


def snapshot(tcb: Any) -> dict[str, Any]:
    """Return the variables that a learner examines, by their RFC names.

    `timers` has the deadlines of running timers.
    """
    result: dict[str, Any] = {"state": STATE_NAMES[tcb.state]}
    for name in SNAPSHOT:
        result[name] = getattr(tcb, name)
    result["rcv_wnd"] = tcb.rcv_wnd()
    result["in_flight"] = tcb.in_flight()
    result["sacked"] = tcb.rtxq.sacked_out
    result["lost"] = tcb.rtxq.lost_out
    result["retransmitted"] = tcb.rtxq.retrans_out
    result["phase"] = PHASES[tcb.ca_state]
    result["sendbuf"] = tcb.sendbuf.tail - tcb.sendbuf.head
    result["recvbuf"] = tcb.recvbuf.used
    result["ooo"] = tcb.recvbuf.ooo_bytes
    timers = {}
    for timer in (
        tcb.rto_timer,
        tcb.reorder_timer,
        tcb.pace_timer,
        tcb.delack_timer,
        tcb.wait_timer,
        tcb.keep_timer,
    ):
        if timer is not None and timer.deadline >= 0:
            timers[TIMER_NAMES[timer.kind]] = timer.deadline
    result["timers"] = timers
    return result
