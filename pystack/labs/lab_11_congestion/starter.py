"""Lab 11: write your own congestion control.

All numbers are bytes. `cwnd` is the congestion window, and `mss` is a full segment.

`on_ack` is called when `acked` new bytes are acknowledged, and returns the new window. Below
`ssthresh`, the window grows by what was acknowledged (slow start). From there on, it grows by
one segment in a round trip, so by mss * acked / cwnd (congestion avoidance).

`on_loss` is called when a segment was lost. It returns the new window and the new ssthresh. If
duplicate acknowledgements have shown the loss, both are half of the window, but at least two
segments. If it was a timeout, ssthresh is the same half, and the window is one segment.
"""


def on_ack(cwnd, ssthresh, acked, mss):
    """Return the new window."""
    return cwnd


def on_loss(cwnd, mss, timeout):
    """Return the new window and the new ssthresh."""
    return cwnd, cwnd
