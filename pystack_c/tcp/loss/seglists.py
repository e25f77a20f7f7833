"""Lists of sent segments that the scoreboard looks at from their ends, so that what lies between costs nothing."""

from typing import Any

from pystack_c.base.seqnum import seq_gt, seq_le, seq_lt
from pystack_c.tcp.queues.sentseg import SentSegment, find

#: Places free at the front of a list before what follows is moved up.
_TRIM_FROM = 8


class SegList:
    """A sorted list of records: by sequence numbers, or by the time of their last transmission. Places before `first` are free."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.first = 0

    def __len__(self) -> int:
        return len(self.items) - self.first

    def append(self, seg: SentSegment) -> None:
        """Put a record behind all others."""
        self.items.append(seg)

    def front(self) -> Any:
        """The first record, or None."""
        if self.first < len(self.items):
            return self.items[self.first]
        return None

    def back(self) -> Any:
        """The last record, or None."""
        if self.first < len(self.items):
            return self.items[len(self.items) - 1]
        return None

    def pop_front(self) -> None:
        """Take the first record out, which must be there."""
        self.items[self.first] = None
        self.first += 1
        if self.first >= _TRIM_FROM and 2 * self.first >= len(self.items):
            del self.items[: self.first]
            self.first = 0

    def pop_back(self) -> None:
        """Take the last record out, which must be there."""
        self.items.pop()

    def by_seq(self, seq: int) -> int:
        """Index of the first record that begins after `seq`, in a list sorted by sequence numbers."""
        return find(self.items, self.first, seq, False)

    def by_time(self, order: int, end: int) -> int:
        """Index of the first record that was sent at (`order`, `end`) or later, in a list sorted so (see rack.sent_after)."""
        low = self.first
        high = len(self.items)
        while low < high:
            mid = (low + high) >> 1
            seg: SentSegment = self.items[mid]
            if seg.order < order or (seg.order == order and seq_lt(seg.end, end)):
                low = mid + 1
            else:
                high = mid
        return low

    def insert(self, i: int, seg: SentSegment) -> None:
        """Put a record at index `i`."""
        self.items.insert(i, seg)


class SegHeap:
    """A binary heap of records: the one with the lowest sequence number is on top."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def __len__(self) -> int:
        return len(self.items)

    def push(self, seg: SentSegment) -> None:
        """Add a record."""
        items = self.items
        i = len(items)
        items.append(seg)
        while i > 0:
            up = (i - 1) >> 1
            above: SentSegment = items[up]
            if seq_le(above.seq, seg.seq):
                break
            items[i] = above
            i = up
        items[i] = seg

    def top(self) -> Any:
        """The record with the lowest sequence number, or None."""
        if len(self.items) == 0:
            return None
        return self.items[0]

    def pop(self) -> None:
        """Take the one on top out, which must be there."""
        items = self.items
        seg: SentSegment = items.pop()
        n = len(items)
        if n == 0:
            return
        i = 0
        while 2 * i + 1 < n:
            down = 2 * i + 1
            below: SentSegment = items[down]
            if down + 1 < n:
                other: SentSegment = items[down + 1]
                if seq_lt(other.seq, below.seq):
                    below = other
                    down += 1
            if not seq_gt(seg.seq, below.seq):
                break
            items[i] = below
            i = down
        items[i] = seg
