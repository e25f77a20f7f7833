"""tcp_info: the state of a connection, with the names, meanings and units of Linux's struct tcp_info.

Times are in microseconds, except last_* and total_rto_time, which are in milliseconds. Windows are in segments, and
rates are in bytes per second.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.tcp.congestion.rate import pacing_limit
from pystack_c.tcp.ecn.accstate import AccEcn
from pystack_c.tcp.mss import local_mss, path_mtu
from pystack_c.tcp.queues.sentseg import SentSegment
from pystack_c.tcp.snapshot import STATE_NAMES
from pystack_c.tcp.tcb import Tcb

USEC = 1_000
MSEC = 1_000_000
NO_LIMIT = 0xFFFFFFFFFFFFFFFF
INFINITE_SSTHRESH = 0x7FFFFFFF

# tcpi_options
TIMESTAMPS, SACK, WSCALE, ECN, ECN_SEEN, SYN_DATA, FASTOPEN_CHILD = 1, 2, 4, 8, 16, 32, 128


def tcp_info(tcb: Tcb, now: int) -> dict[str, Any]:
    """Return every field of struct tcp_info, and the state's name.

    The call changes only the core's time, which becomes `now`.
    """
    tcb.core.now = now
    told = {**_state(tcb), **_out(tcb), **_times(tcb, now), **_path(tcb), **_sums(tcb), **_limits(tcb, now)}
    return {**told, **_accurate_ecn(tcb)}


def _options(tcb: Tcb) -> int:
    bits = 0
    for flag, held in (
        (TIMESTAMPS, tcb.ts_ok),
        (SACK, tcb.sack_ok),
        (WSCALE, tcb.wscale_ok),
        (ECN, tcb.ecn_ok or tcb.accecn is not None),
        (ECN_SEEN, tcb.ecn_seen),
        (SYN_DATA, tcb.tfo is not None and tcb.tfo.data_acked),
        (FASTOPEN_CHILD, tcb.fastopen and tcb.passive),
    ):
        bits |= flag if held else 0
    return bits


def _state(tcb: Tcb) -> dict[str, Any]:
    return {
        "tcpi_state": tcb.state,
        "tcpi_state_name": STATE_NAMES[tcb.state],
        "tcpi_ca_state": tcb.ca_state,
        "tcpi_retransmits": tcb.retries,
        "tcpi_probes": tcb.probes,
        "tcpi_backoff": tcb.backoff,
        "tcpi_options": _options(tcb),
        "tcpi_snd_wscale": tcb.snd_wscale,
        "tcpi_rcv_wscale": tcb.rcv_wscale,
        "tcpi_delivery_rate_app_limited": int(tcb.rate is not None and tcb.rate.rate_app_limited),
        "tcpi_fastopen_client_fail": tcb.tfo.fail if tcb.tfo is not None else 0,
        "tcpi_rto": tcb.rto // USEC,
        "tcpi_ato": tcb.core.config.tcp_delack_time // USEC,
        "tcpi_snd_mss": tcb.mss,
        "tcpi_rcv_mss": tcb.rcv_mss,
    }


def _out(tcb: Tcb) -> dict[str, Any]:
    """Return the counts of outstanding segments. A listener reports its accept queue and its backlog instead."""
    unacked = sacked = lost = retrans = 0
    for item in tcb.rtxq.segs[tcb.rtxq.first :]:
        seg: SentSegment = item
        n = seg.pieces()
        unacked += n
        sacked += n if seg.sacked else 0
        lost += n if seg.lost else 0
        retrans += n if seg.in_flight_again else 0
    if not tcb.sack_ok:
        sacked = tcb.reno_sacked // max(tcb.mss, 1)
    if tcb.state == C.LISTEN:
        unacked, sacked = len(tcb.listener.accept_queue), tcb.listener.backlog
    return {
        "tcpi_unacked": unacked,
        "tcpi_sacked": sacked,
        "tcpi_lost": lost,
        "tcpi_retrans": retrans,
        "tcpi_fackets": 0,
    }


def _times(tcb: Tcb, now: int) -> dict[str, Any]:
    """Return how long ago each event happened, or 0 if it never did. Like Linux, omit the last ACK sent."""
    return {
        "tcpi_last_data_sent": (now - tcb.last_send) // MSEC if tcb.last_send else 0,
        "tcpi_last_ack_sent": 0,
        "tcpi_last_data_recv": (now - tcb.last_data_recv) // MSEC if tcb.last_data_recv else 0,
        "tcpi_last_ack_recv": (now - tcb.last_ack_recv) // MSEC if tcb.last_ack_recv else 0,
    }


def _path(tcb: Tcb) -> dict[str, Any]:
    mss = max(tcb.mss, 1)
    most = min(tcb.recvbuf.size, 0xFFFF << tcb.rcv_wscale)
    if tcb.window_clamp > 0:
        most = min(most, tcb.window_clamp)
    infinite = tcb.ssthresh >= tcb.core.config.tcp_init_ssthresh
    return {
        "tcpi_pmtu": _pmtu(tcb),
        "tcpi_rcv_ssthresh": most,
        "tcpi_rtt": tcb.srtt // USEC,
        "tcpi_rttvar": tcb.rttvar // USEC,
        "tcpi_snd_ssthresh": INFINITE_SSTHRESH if infinite else tcb.ssthresh // mss,
        "tcpi_snd_cwnd": tcb.cwnd // mss,
        # As on Linux, exclude the bytes that the timestamps option takes in every segment.
        "tcpi_advmss": local_mss(tcb) - (12 if tcb.ts_ok else 0) if tcb.route is not None else 0,
        "tcpi_reordering": tcb.reordering,
        "tcpi_rcv_rtt": tcb.rcv_rtt // USEC,
        "tcpi_rcv_space": tcb.rcv_space,
        "tcpi_total_retrans": tcb.total_retrans,
    }


def _pmtu(tcb: Tcb) -> int:
    """Return the path MTU in bytes, from the route or from the search (RFC 4821)."""
    if tcb.route is None:
        return 0
    return tcb.mtup.low if tcb.mtup is not None else path_mtu(tcb)


def _sums(tcb: Tcb) -> dict[str, Any]:
    """Return the counters of RFC 4898, and the rates. `delivered` counts segments, including the SYN."""
    return {
        "tcpi_pacing_rate": pacing_limit(tcb) or NO_LIMIT,
        "tcpi_max_pacing_rate": tcb.max_pacing_rate or NO_LIMIT,
        "tcpi_bytes_acked": tcb.bytes_acked,
        "tcpi_bytes_received": tcb.bytes_received,
        "tcpi_segs_out": tcb.segs_out,
        "tcpi_segs_in": tcb.segs_in,
        "tcpi_notsent_bytes": max(0, tcb.unsent()),
        "tcpi_min_rtt": tcb.min_rtt // USEC if tcb.min_rtt >= 0 else 0xFFFFFFFF,
        "tcpi_data_segs_in": tcb.data_segs_in,
        "tcpi_data_segs_out": tcb.data_segs_out,
        "tcpi_delivery_rate": tcb.rate.rate if tcb.rate is not None else 0,
        "tcpi_delivered": tcb.delivered,
        "tcpi_delivered_ce": tcb.delivered_ce,
        "tcpi_bytes_sent": tcb.bytes_sent,
        "tcpi_bytes_retrans": tcb.bytes_retrans,
        "tcpi_dsack_dups": tcb.dsack_dups,
        "tcpi_reord_seen": tcb.reord_seen,
        "tcpi_rcv_ooopack": tcb.rcv_ooopack,
        "tcpi_snd_wnd": tcb.snd_wnd,
        "tcpi_rcv_wnd": tcb.rcv_wnd(),
        "tcpi_rehash": 0,
    }


def _limits(tcb: Tcb, now: int) -> dict[str, Any]:
    """Return how long the sender was busy, how long the window or the buffer limited it, and the RTO totals."""
    times = [0, tcb.chrono_busy, tcb.chrono_rwnd, tcb.chrono_sndbuf]
    times[tcb.chrono] += now - tcb.chrono_at
    rto_time = tcb.rto_time + (now - tcb.rto_stamp if tcb.rto_stamp >= 0 else 0)
    return {
        "tcpi_busy_time": (times[C.CHRONO_BUSY] + times[C.CHRONO_RWND] + times[C.CHRONO_SNDBUF]) // USEC,
        "tcpi_rwnd_limited": times[C.CHRONO_RWND] // USEC,
        "tcpi_sndbuf_limited": times[C.CHRONO_SNDBUF] // USEC,
        "tcpi_total_rto": tcb.total_rto,
        "tcpi_total_rto_recoveries": tcb.rto_recoveries,
        "tcpi_total_rto_time": rto_time // MSEC,
    }


def _accurate_ecn(tcb: Tcb) -> dict[str, Any]:
    """Return the counters of RFC 9768 without their initial values, or zeros if accurate ECN was not negotiated."""
    names = "delivered_e1 delivered_e0 delivered_ce received_e1 received_e0 received_ce".split()
    acc = tcb.accecn if tcb.accecn is not None else AccEcn()
    counts = (acc.s_e1b - 1, acc.s_e0b - 1, acc.s_ceb, acc.r_e1b - 1, acc.r_e0b - 1, acc.r_ceb)
    told = {"tcpi_received_ce": acc.r_cep - 5}
    for name, value in zip(names, counts):
        told[f"tcpi_{name}_bytes"] = value & 0xFFFFFFFF
    told["tcpi_accecn_fail_mode"] = acc.fail
    told["tcpi_accecn_opt_seen"] = acc.opt_seen
    return told
