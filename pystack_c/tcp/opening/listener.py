"""A listener's two queues: half-open connections, and those ready for accept()."""

from collections import deque
from typing import Any

from pystack_c.config import Config
from pystack_c.tcp.tcb import Tcb


class Listener:
    """What a Tcb in LISTEN has besides. `backlog` is listen()'s argument: Linux lets backlog + 1 wait."""

    def __init__(self, backlog: int) -> None:
        self.backlog = backlog
        self.syn_queue: dict[Any, Any] = {}
        self.accept_queue: deque[Any] = deque()
        self.defer_accept = 0
        self.fastopen_pending = 0

    def accept_full(self) -> bool:
        """No room for another established connection."""
        return len(self.accept_queue) > self.backlog

    def syn_full(self, config: Config) -> bool:
        """No room for another half-open connection."""
        return len(self.syn_queue) >= config.tcp_max_syn_backlog

    def add_syn(self, tcb: Tcb) -> None:
        """A connection in SYN-RECEIVED."""
        self.syn_queue[tcb.ident] = tcb

    def to_accept(self, tcb: Tcb) -> None:
        """It is established: ready for accept()."""
        self.syn_queue.pop(tcb.ident, None)
        self.accept_queue.append(tcb)

    def forget(self, tcb: Tcb) -> None:
        """A half-open connection is over."""
        self.syn_queue.pop(tcb.ident, None)
