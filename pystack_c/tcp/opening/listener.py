"""The two queues of a listener: half-open connections, and connections that are ready for accept()."""

from collections import deque
from typing import Any

from pystack_c.config import Config
from pystack_c.tcp.tcb import Tcb


class Listener:
    """The state of a listener. `backlog` is the argument of listen(). As in Linux, backlog + 1 connections may wait."""

    def __init__(self, backlog: int) -> None:
        self.backlog = backlog
        self.syn_queue: dict[Any, Any] = {}
        self.accept_queue: deque[Any] = deque()
        self.defer_accept = 0
        self.fastopen_pending = 0

    def accept_full(self) -> bool:
        """Return True if there is no room for another established connection."""
        return len(self.accept_queue) > self.backlog

    def syn_full(self, config: Config) -> bool:
        """Return True if there is no room for another half-open connection."""
        return len(self.syn_queue) >= config.tcp_max_syn_backlog

    def add_syn(self, tcb: Tcb) -> None:
        """Add a connection in SYN-RECEIVED."""
        self.syn_queue[tcb.ident] = tcb

    def to_accept(self, tcb: Tcb) -> None:
        """Move a connection that is ready for accept() to the accept queue."""
        self.syn_queue.pop(tcb.ident, None)
        self.accept_queue.append(tcb)

    def forget(self, tcb: Tcb) -> None:
        """Remove a half-open connection that has ended."""
        self.syn_queue.pop(tcb.ident, None)
