"""Schedule output: a connection that may have something to send waits for the next `poll_transmit`."""

from pystack_c.tcp.tcb import Tcb


def schedule(tcb: Tcb) -> None:
    """Add the connection to the output queue, which poll_transmit processes."""
    if not tcb.output_queued:
        tcb.output_queued = True
        tcb.core.output_queue.append(tcb)
