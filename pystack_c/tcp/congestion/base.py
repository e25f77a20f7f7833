"""The interface of congestion control; the hook names are those of FreeBSD's cc_algo.

A user's own algorithm subclasses CongestionControl, overrides the hooks, sets `tcb.cwnd` and
`tcb.ssthresh` (bytes), and registers under its name with `congestion.register`.
"""

from typing import Any

# What cong_signal tells.
SIGNAL_LOSS = 1  # fast retransmit: a loss found by duplicate ACKs or SACK
SIGNAL_RTO = 2  # the retransmission timer fired
SIGNAL_ECN = 3  # the peer echoes congestion marks


class CongestionControl:
    """One instance a connection. The base class is a fixed interface that leaves cwnd alone."""

    name = "none"

    def conn_init(self, tcb: Any) -> None:
        """The connection is established: set the initial window."""

    def ack_received(self, tcb: Any, acked: int) -> None:
        """`acked` new bytes were acknowledged outside of fast recovery."""

    def sample(self, tcb: Any) -> None:
        """After each ACK, with a delivery rate sample in `tcb.rate` (rate.py).

        An algorithm that also sets `tcb.own_recovery` does without PRR: cwnd is its own business during recovery.
        """

    def cong_signal(self, tcb: Any, signal: int) -> None:
        """Congestion: lower ssthresh and cwnd."""

    def post_recovery(self, tcb: Any) -> None:
        """Fast recovery is over."""

    def undone(self, tcb: Any) -> None:
        """The last congestion signal was wrong; cwnd and ssthresh are back (RFC 4015)."""

    def after_idle(self, tcb: Any) -> None:
        """Data is about to be sent after an idle time longer than RTO."""


REGISTRY: dict[Any, Any] = {}


def register(cls: Any) -> type:  # python
    """Make an algorithm available by its `name` (a class decorator)."""
    REGISTRY[cls.name] = cls
    return cls


def create(name: str) -> CongestionControl:  # python
    """A new instance by name; KeyError for an unknown one."""
    return REGISTRY[name]()
