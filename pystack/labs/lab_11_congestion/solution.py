"""Lab 11: Reno."""


def on_ack(cwnd, ssthresh, acked, mss):
    """Return the new window."""
    if cwnd < ssthresh:
        return cwnd + acked
    return cwnd + mss * acked / cwnd


def on_loss(cwnd, mss, timeout):
    """Return the new window and the new ssthresh."""
    half = max(cwnd / 2, 2 * mss)
    return (mss if timeout else half), half
