"""First in, first out, with a limit: what arrives at a full queue is dropped (tc-bfifo(8))."""

from collections import deque
from typing import Any

from pystack.sim.qdisc.base import MTU, TXQUEUELEN, Qdisc, whole


class Pfifo(Qdisc):
    """`pfifo`: the limit counts packets. The default is the queue length of a device, 1,000 packets."""

    kind = "pfifo"

    def __init__(self, limit: int = TXQUEUELEN) -> None:
        super().__init__()
        self.limit = whole("limit", limit)
        self._queue: deque[bytes] = deque()

    def full(self, frame: bytes) -> bool:
        """Whether there is no room for a frame."""
        return self.qlen >= self.limit

    def enqueue(self, frame: bytes, now: int, **fields: Any) -> bool:
        """See Qdisc. `fields` are further fields of the event of a drop."""
        if self.full(frame):
            self.drop(frame, now, "overlimit", "the queue is full", "RFC 7567 2", **fields)
            return False
        self._queue.append(frame)
        self.qlen += 1
        self.backlog += len(frame)
        return True

    def dequeue(self, now: int) -> bytes | None:
        """See Qdisc."""
        if not self.qlen:
            return None
        frame = self._queue.popleft()
        self.qlen -= 1
        self.backlog -= len(frame)
        return self.sent(frame)

    def peek(self) -> int:
        """The length of the next frame, or -1."""
        return len(self._queue[0]) if self._queue else -1

    def text(self) -> str:
        """See Qdisc."""
        return f"limit {self.limit}p"


class Bfifo(Pfifo):
    """`bfifo`: the limit counts bytes. The default is 1,000 frames of 1,514 bytes."""

    kind = "bfifo"

    def __init__(self, limit: int = TXQUEUELEN * MTU) -> None:
        super().__init__(limit)

    def full(self, frame: bytes) -> bool:
        """See Pfifo."""
        return self.backlog + len(frame) > self.limit

    def text(self) -> str:
        """See Qdisc."""
        return f"limit {self.limit}b"
