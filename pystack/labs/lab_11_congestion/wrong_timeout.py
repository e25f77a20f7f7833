"""A typical wrong answer: a timeout is treated as any loss."""

from pystack.labs.lab_11_congestion.solution import on_ack

__all__ = ["on_ack", "on_loss"]


def on_loss(cwnd, mss, timeout):
    """Return the new window and the new ssthresh."""
    half = max(cwnd / 2, 2 * mss)
    return half, half
