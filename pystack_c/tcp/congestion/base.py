"""The interface of congestion control; the hook names are those of FreeBSD's cc_algo.

A user's own algorithm subclasses CongestionControl, overrides the hooks, sets `tcb.cwnd` and
`tcb.ssthresh` (ints, bytes), and registers under its name with `register` (docs/howto/congestion.md).
"""

import re
from typing import Any

from pystack_c.tcp.tcb import Tcb

# What cong_signal tells.
SIGNAL_LOSS = 1  # fast retransmit: a loss found by duplicate ACKs or SACK
SIGNAL_RTO = 2  # the retransmission timer expired
SIGNAL_ECN = 3  # the peer echoes congestion marks


class CongestionControl:
    """One instance a connection. The base class is a fixed interface that leaves cwnd alone."""

    #: what TCP_CONGESTION and the setting tcp_congestion call it
    name = "none"
    #: a fast retransmit is followed by fast recovery (RFC 5681 3.2); False: by slow start, as after a timeout
    fast_recovery = True
    #: chosen in mid-connection, it goes on with the window that is there; False: with its own
    keeps_window = True
    #: attributes that hold sequence numbers of ours (such as the end of a round): what they hold stays comparable (tcp/marks.py)
    marks = ()  # type: tuple[str, ...]

    def argument(self, n: int) -> None:
        """The number in `name(n)`. An algorithm that takes none refuses it (ValueError)."""
        raise ValueError(f"{self.name} does not take a number")

    def conn_init(self, tcb: Tcb) -> None:
        """The connection is established: set the initial window."""

    def ack_received(self, tcb: Tcb, acked: int) -> None:
        """`acked` new bytes were acknowledged outside of fast recovery."""

    def sample(self, tcb: Tcb) -> None:
        """After each ACK, with a delivery rate sample in `tcb.rate` (rate.py).

        An algorithm that also sets `tcb.own_recovery` does without PRR: cwnd is its own business during recovery.
        """

    def cong_signal(self, tcb: Tcb, signal: int) -> None:
        """Congestion: lower ssthresh and cwnd."""

    def segment_lost(self, tcb: Tcb, seg: Any) -> None:
        """`seg` was marked lost (seg.seq, seg.end, seg.tx_in_flight), one call each; what follows for cwnd, cong_signal says."""

    def post_recovery(self, tcb: Tcb) -> None:
        """Fast recovery is over."""

    def undone(self, tcb: Tcb) -> None:
        """The last congestion signal was wrong; cwnd and ssthresh are back (RFC 4015)."""

    def after_idle(self, tcb: Tcb) -> None:
        """Data is about to be sent after an idle time longer than RTO."""


REGISTRY: dict[Any, Any] = {}
NAME = re.compile(r"[a-z][a-z0-9_-]{0,14}")
CALL = re.compile(r"([a-z][a-z0-9_-]{0,14})(?:\(([1-9][0-9]{0,6})\))?")


def register(cls: Any) -> type:  # python
    """Make an algorithm available by its `name` (a class decorator); one of the same name takes its place.

    A TypeError where it is no subclass of CongestionControl, a ValueError where the name is not a short lower-case word.
    """
    if not (isinstance(cls, type) and issubclass(cls, CongestionControl)):
        raise TypeError(f"{cls!r} is not a subclass of CongestionControl")
    if not isinstance(cls.name, str) or NAME.fullmatch(cls.name) is None or cls.name == CongestionControl.name:
        raise ValueError(
            f"{cls.name!r} is not a valid name: use up to 15 of a-z, 0-9, - and _, and begin with a letter"
        )
    REGISTRY[cls.name] = cls
    return cls


def create(name: str) -> CongestionControl:
    """A new instance by `name` or `name(n)`; a ValueError, which lists what there is, where nothing is called that."""
    algorithms: dict[Any, Any] = REGISTRY
    plain = algorithms.get(name)
    if plain is not None:
        return plain()  # type: ignore[no-any-return]
    found = CALL.fullmatch(name)
    if found is None or found[1] not in REGISTRY:
        raise ValueError(f"no congestion control named {name!r}; there are {', '.join(sorted(REGISTRY))}")
    made: CongestionControl = REGISTRY[found[1]]()
    if found[2] is not None:
        made.argument(int(found[2]))
    return made


def known(name: str) -> bool:
    """Can `create` make it?"""
    try:
        create(name)
    except ValueError:
        return False
    return True
