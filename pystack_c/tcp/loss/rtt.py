"""Round-trip time and retransmission timeout (RFC 6298)."""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_lt
from pystack_c.packet import Packet
from pystack_c.tcp.tcb import Tcb


def update(tcb: Tcb, sample: int) -> None:
    """Update the estimate from one sample in ns. A negative sample is ignored."""
    config = tcb.core.config
    if sample < 0:
        return
    tcb.last_rtt = sample
    if tcb.min_rtt < 0 or sample <= tcb.min_rtt or tcb.core.now - tcb.min_rtt_at > config.tcp_min_rtt_wlen:
        # RFC 8985 6.2 step 1 recommends a windowed minimum, because a path can change.
        tcb.min_rtt = sample
        tcb.min_rtt_at = tcb.core.now
    if tcb.srtt == 0:
        # (2.2) the first measurement R: SRTT = R, RTTVAR = R/2
        tcb.srtt = sample if sample > 0 else 1
        tcb.rttvar = sample // 2
    else:
        # (2.3) RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R'|, then SRTT = 7/8 SRTT + 1/8 R'
        delta = tcb.srtt - sample
        if delta < 0:
            delta = -delta
        tcb.rttvar = (3 * tcb.rttvar + delta) >> 2
        tcb.srtt = (7 * tcb.srtt + sample) >> 3
        if tcb.srtt == 0:
            tcb.srtt = 1
    # (2.2, 2.3) RTO = SRTT + max(G, 4 * RTTVAR), (2.4, 2.5) within its bounds
    var = 4 * tcb.rttvar
    if var < config.tcp_rto_var_min:
        var = config.tcp_rto_var_min
    rto = tcb.srtt + var
    if rto < config.tcp_rto_min:
        rto = config.tcp_rto_min
    if rto > config.tcp_rto_max:
        rto = config.tcp_rto_max
    tcb.rto = rto
    # Karn: a backed-off timeout stays until a segment that was sent once is measured (RFC 6298 5.5, note in 5).
    tcb.backoff = 0
    if tcb.core.probe is not None:
        fields = {"sample": sample, "srtt": tcb.srtt, "rttvar": tcb.rttvar, "rto": tcb.rto}
        why = f"a round trip took {sample / 1e6:g} ms: SRTT {tcb.srtt / 1e6:g} ms, RTO {tcb.rto / 1e6:g} ms"
        tcb.core.emit("tcp.rtt", tcb.subject(), tcb.ident, why, "RFC 6298 2.3", fields)


def receiver_sample(tcb: Tcb, pkt: Packet) -> None:
    """Measure the round-trip time at a receiver of data, which sends little itself. Receive-buffer autotuning uses it.

    As on Linux, with timestamps, a sample ends when a full-sized segment echoes one of our timestamps for the first
    time. Without them, a sample is the time to fill the open window. A sender that the window does not limit makes it
    too long, so the minimum counts.
    """
    now = tcb.core.now
    if tcb.ts_ok:
        if pkt.opt_ts and pkt.tsecr != 0 and pkt.tsecr != tcb.rcv_rtt_echo and pkt.l4_end - pkt.data_off >= tcb.rcv_mss:
            tcb.rcv_rtt_echo = pkt.tsecr
            elapsed = (now // 1_000_000 + tcb.ts_offset - pkt.tsecr) & C.M32
            if elapsed < 0x7FFFFFFF:
                sample = elapsed * 1_000_000 if elapsed > 0 else 1_000_000
                tcb.rcv_rtt = sample if tcb.rcv_rtt == 0 else (7 * tcb.rcv_rtt + sample) >> 3
        return
    if tcb.rcv_rtt_at >= 0:
        if seq_lt(tcb.rcv_nxt, tcb.rcv_rtt_seq):
            return
        sample = now - tcb.rcv_rtt_at
        if sample > 0 and (tcb.rcv_rtt == 0 or sample < tcb.rcv_rtt):
            tcb.rcv_rtt = sample
    tcb.rcv_rtt_seq = seq_add(tcb.rcv_nxt, tcb.rcv_wnd())
    tcb.rcv_rtt_at = now


def backed_off(tcb: Tcb) -> int:
    """Return the RTO with exponential backoff in ns, within its upper bound (RFC 6298 5.5 and 2.5)."""
    rto_max = tcb.core.config.tcp_rto_max
    shift = tcb.backoff if tcb.backoff < 20 else 20
    rto = (tcb.rto << shift) + _slop(tcb)
    return rto if rto < rto_max else rto_max


# -- quirks ----------------------------------------------------------------------------------------------------------


def _slop(tcb: Tcb) -> int:
    """Return what FreeBSD adds to every timeout but the first one of a SYN (tcp_rto_slop), in ns."""
    slop = tcb.core.config.tcp_rto_slop
    return slop if slop > 0 and (tcb.backoff > 0 or not tcb.syn_out()) else 0
