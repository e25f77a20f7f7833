"""Congestion control: the interface, the algorithms that come with the stack, and `register` for one's own (docs/howto/congestion.md)."""

from pystack_c.tcp.congestion import bbr, cubic, reno
from pystack_c.tcp.congestion.base import SIGNAL_ECN, SIGNAL_LOSS, SIGNAL_RTO, CongestionControl, register

__all__ = ["ALGORITHMS", "SIGNAL_ECN", "SIGNAL_LOSS", "SIGNAL_RTO", "CongestionControl", "register"]

#: they register themselves
ALGORITHMS = (reno.Reno, reno.Tahoe, reno.Fixed, cubic.Cubic, bbr.Bbr)
