"""A typical wrong answer: slow start never ends."""

from pystack.labs.lab_11_congestion.solution import on_loss

__all__ = ["on_ack", "on_loss"]


def on_ack(cwnd, ssthresh, acked, mss):
    """Return the new window."""
    return cwnd + acked
