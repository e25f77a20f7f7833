"""Round-trip time and retransmission timeout (RFC 6298)."""

from pystack_c.tcp.tcb import Tcb


def update(tcb: Tcb, sample: int) -> None:
    """Take one measurement (nanoseconds)."""
    config = tcb.core.config
    if sample < 0:
        return
    tcb.last_rtt = sample
    if tcb.min_rtt < 0 or sample < tcb.min_rtt:
        tcb.min_rtt = sample
    if tcb.srtt == 0:
        # (2.2) the first measurement R: SRTT = R, RTTVAR = R/2
        tcb.srtt = sample if sample > 0 else 1
        tcb.rttvar = sample // 2
    else:
        # (2.3) RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R'|, then SRTT = 7/8 SRTT + 1/8 R'
        delta = tcb.srtt - sample
        if delta < 0:
            delta = -delta
        tcb.rttvar = (3 * tcb.rttvar + delta) // 4
        tcb.srtt = (7 * tcb.srtt + sample) // 8
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
    # Karn: a backed-off timeout stays until a segment that was sent once is timed (RFC 6298 5.5, note in 5).
    tcb.backoff = 0
    if tcb.core.probe is not None:
        fields = {"sample": sample, "srtt": tcb.srtt, "rttvar": tcb.rttvar, "rto": tcb.rto}
        why = f"a round trip took {sample / 1e6:g} ms: SRTT {tcb.srtt / 1e6:g} ms, RTO {tcb.rto / 1e6:g} ms"
        tcb.core.emit("tcp.rtt", tcb.subject(), tcb.ident, why, "RFC 6298 2.3", fields)
