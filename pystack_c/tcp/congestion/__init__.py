"""Congestion control: the interface, the built-in algorithms, and `register` for your own.

See docs/howto/congestion.md.
"""

from pystack_c.tcp.congestion import bbr, cubic, reno
from pystack_c.tcp.congestion.base import SIGNAL_ECN, SIGNAL_LOSS, SIGNAL_RTO, CongestionControl, register

__all__ = ["ALGORITHMS", "SIGNAL_ECN", "SIGNAL_LOSS", "SIGNAL_RTO", "CongestionControl", "register"]

#: Each of these modules registers its algorithms.
ALGORITHMS = (reno.Reno, reno.Tahoe, reno.Fixed, cubic.Cubic, bbr.Bbr)
