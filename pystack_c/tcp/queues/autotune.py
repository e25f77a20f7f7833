"""Receive-buffer autotuning: the buffer grows with the data that the application reads in a round trip."""

from pystack_c.tcp.tcb import Tcb


def tune_receive_buffer(tcb: Tcb, n: int) -> None:
    """Grow the receive buffer to twice the data that the application read in a round trip.

    Linux calls this dynamic right-sizing. `n` is the number of bytes just read.
    """
    tcb.rcv_copied += n
    # The SRTT of a side that only receives is that of the handshake. It does not include the queues that the data has
    # filled since.
    round_trip = tcb.rcv_rtt if tcb.rcv_rtt > 0 else tcb.srtt
    core = tcb.core
    if round_trip == 0 or core.now - tcb.rcv_space_at < round_trip:
        return
    config = core.config
    if tcb.rcv_copied > tcb.rcv_space:
        tcb.rcv_space = tcb.rcv_copied
    if config.tcp_moderate_rcvbuf and not tcb.rcvbuf_fixed and not core.tcp_pressure:
        space = 2 * tcb.rcv_copied + 16 * tcb.rcv_mss
        if space > tcb.recvbuf.size and tcb.recvbuf.size < config.tcp_rmem_max:
            tcb.recvbuf.size = min(space, config.tcp_rmem_max)
    tcb.rcv_copied = 0
    tcb.rcv_space_at = core.now
