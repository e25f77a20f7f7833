"""A typical wrong answer: it counts acknowledgements, of which there is one for two segments."""

from pystack.labs.lab_11_congestion.solution import on_loss

__all__ = ["on_ack", "on_loss"]


def on_ack(cwnd, ssthresh, acked, mss):
    """Return the new window."""
    if cwnd < ssthresh:
        return cwnd + mss
    return cwnd + mss * mss / cwnd
