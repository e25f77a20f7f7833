"""The interface of congestion control. The names of the hooks are those of FreeBSD's cc_algo.

Your own algorithm subclasses CongestionControl, overrides the hooks, sets `tcb.cwnd` and `tcb.ssthresh` (ints, in
bytes), and registers under its name with `register` (docs/howto/congestion.md).
"""

import re
from typing import Any

from pystack_c.tcp.tcb import Tcb

# The signals that cong_signal reports.
SIGNAL_LOSS = 1  # fast retransmit: duplicate ACKs or SACK revealed a loss
SIGNAL_RTO = 2  # the retransmission timer expired
SIGNAL_ECN = 3  # the peer reported congestion marks


class CongestionControl:
    """The congestion control of one connection. The base class never changes cwnd."""

    #: The name for TCP_CONGESTION and for the setting tcp_congestion.
    name = "none"
    #: True if fast recovery follows a fast retransmit (RFC 5681 3.2). False if slow start follows, as after a timeout.
    fast_recovery = True
    #: True if the algorithm keeps the current window when it is chosen during a connection. False if it sets its own.
    keeps_window = True
    #: The attributes that hold our sequence numbers, such as the end of a round. tcp/marks.py keeps them comparable.
    marks = ()  # type: tuple[str, ...]

    def argument(self, n: int) -> None:
        """Take the number in `name(n)`. Raise ValueError if the algorithm takes no number."""
        raise ValueError(f"{self.name} does not take a number")

    def conn_init(self, tcb: Tcb) -> None:
        """Set the initial window, because the connection is established."""

    def ack_received(self, tcb: Tcb, acked: int) -> None:
        """Process `acked` new bytes that were acknowledged outside of fast recovery."""

    def sample(self, tcb: Tcb) -> None:
        """Process a delivery rate sample in `tcb.rate` (rate.py) after an ACK.

        An algorithm that sets `tcb.own_recovery` works without PRR, and controls cwnd during recovery by itself.
        """

    def cong_signal(self, tcb: Tcb, signal: int) -> None:
        """Lower ssthresh and cwnd, because of congestion. `signal` is one of SIGNAL_*."""

    def segment_lost(self, tcb: Tcb, seg: Any) -> None:
        """Note that `seg` was marked as lost (seg.seq, seg.end, seg.tx_in_flight).

        There is one call for each segment. A call of cong_signal reports the congestion itself.
        """

    def post_recovery(self, tcb: Tcb) -> None:
        """Adjust cwnd at the end of fast recovery."""

    def undone(self, tcb: Tcb) -> None:
        """Adjust the state after the last signal proved wrong. cwnd and ssthresh are already restored (RFC 4015)."""

    def after_idle(self, tcb: Tcb) -> None:
        """Adjust cwnd before data is sent after an idle time longer than the RTO."""


REGISTRY: dict[Any, Any] = {}
NAME = re.compile(r"[a-z][a-z0-9_-]{0,14}")
CALL = re.compile(r"([a-z][a-z0-9_-]{0,14})(?:\(([1-9][0-9]{0,6})\))?")


def register(cls: Any) -> type:  # python
    """Make an algorithm available under its `name` (a class decorator). It replaces one with the same name.

    Raise TypeError if `cls` is not a subclass of CongestionControl, or ValueError if the name is not a short lower-case
    word.
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
    """Return a new instance for `name` or `name(n)`. Raise ValueError, which lists the names, if there is none."""
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
    """Return True if `create` accepts the name."""
    try:
        create(name)
    except ValueError:
        return False
    return True
