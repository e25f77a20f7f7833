"""A typical wrong answer: each loss is treated as a timeout (as in the stack of 1988)."""

from pystack.labs.lab_11_congestion.solution import on_ack

__all__ = ["on_ack", "on_loss"]


def on_loss(cwnd, mss, timeout):
    """Return the new window and the new ssthresh."""
    return mss, max(cwnd / 2, 2 * mss)
