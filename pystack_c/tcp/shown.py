"""All values of a connection that a stepper shows, read at once. A stepper reads them at each event, so this module is compiled."""

from typing import Any

from pystack_c.probe import TIMER_NAMES
from pystack_c.tcp.snapshot import PHASES, STATE_NAMES


def shown(tcb: Any) -> tuple[Any, ...]:
    """Return the values of pystack.stepper.snapshot.FIELDS, in that order. Times are ns, sizes are bytes.

    Reading them changes nothing, so a probe may do it in the middle of the core's work.
    """
    sendbuf = tcb.sendbuf
    recvbuf = tcb.recvbuf
    rtxq = tcb.rtxq
    listener = tcb.listener
    timers: list[Any] = []
    _running(timers, tcb.rto_timer)
    _running(timers, tcb.delack_timer)
    _running(timers, tcb.reorder_timer)
    _running(timers, tcb.wait_timer)
    _running(timers, tcb.keep_timer)
    _running(timers, tcb.pace_timer)
    return (
        STATE_NAMES[tcb.state], PHASES[tcb.ca_state], tcb.rcv_wnd(), tcb.in_flight(), max(0, tcb.unsent()),
        sendbuf.tail - sendbuf.head, recvbuf.used, recvbuf.ooo_bytes, rtxq.sacked_out, rtxq.lost_out, rtxq.retrans_out,
        0 if listener is None else len(listener.syn_queue), 0 if listener is None else len(listener.accept_queue),
        tuple(timers),
        tcb.snd_una, tcb.snd_nxt, tcb.snd_wnd, tcb.snd_wl1, tcb.snd_wl2, tcb.max_window, tcb.iss, tcb.irs,
        tcb.rcv_nxt, tcb.rcv_adv, tcb.snd_wscale, tcb.rcv_wscale, tcb.mss, tcb.peer_mss, tcb.rcv_mss, tcb.path_mtu,
        tcb.sack_ok, tcb.ts_ok, tcb.ts_recent, tcb.ecn_ok, tcb.ecn_echo, tcb.srtt, tcb.rttvar, tcb.rto, tcb.min_rtt,
        tcb.backoff, tcb.retries, tcb.cwnd, tcb.ssthresh, tcb.recover, tcb.dupacks, tcb.tlp_out, tcb.undo_possible,
        tcb.probes, tcb.prior_cwnd, tcb.congestion, tcb.pacing_rate, tcb.delivered, tcb.fin_pending, tcb.fin_sent,
        tcb.fin_received, tcb.shut_rd, tcb.shut_wr, tcb.ack_now, tcb.quickack, tcb.nodelay, tcb.cork, tcb.fastopen,
        tcb.syn_data, tcb.total_retrans, tcb.bytes_sent, tcb.bytes_acked, tcb.bytes_received, tcb.so_error,
    )  # fmt: skip


def _running(timers: list[Any], timer: Any) -> None:
    """Add the name and the deadline of a timer that runs."""
    if timer is not None and timer.deadline >= 0:
        timers.append((TIMER_NAMES[timer.kind], timer.deadline))
