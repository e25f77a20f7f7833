"""Lab 11, wrong: after a timeout, slow start goes on up to the old window."""


def on_ack(cwnd, ssthresh, acked, mss):
    """Return the new window."""
    if cwnd < ssthresh:
        return cwnd + acked
    return cwnd + mss * acked / cwnd


def on_loss(cwnd, mss, timeout):
    """Return the new window and the new ssthresh."""
    half = max(cwnd / 2, 2 * mss)
    return (mss, cwnd) if timeout else (half, half)
