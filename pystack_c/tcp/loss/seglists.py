"""Lists of sent segments that the scoreboard accesses only at their ends, so that an access is cheap."""

from typing import Any

from pystack_c.base.seqnum import seq_gt, seq_le, seq_lt
from pystack_c.tcp.queues.sentseg import SentSegment, find

#: The number of free places at the front of a list from which its items are moved up.
_TRIM_FROM = 8


class SegList:
    """A list of records, sorted by sequence number or by the time of the last transmission.

    Places before `first` are free.
    """

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.first = 0

    def __len__(self) -> int:
        return len(self.items) - self.first

    def append(self, seg: SentSegment) -> None:
        """Append a record."""
        self.items.append(seg)

    def front(self) -> Any:
        """Return the first record, or None."""
        if self.first < len(self.items):
            return self.items[self.first]
        return None

    def back(self) -> Any:
        """Return the last record, or None."""
        if self.first < len(self.items):
            return self.items[len(self.items) - 1]
        return None

    def pop_front(self) -> None:
        """Remove the first record, which must be present."""
        self.items[self.first] = None
        self.first += 1
        if self.first >= _TRIM_FROM and 2 * self.first >= len(self.items):
            del self.items[: self.first]
            self.first = 0

    def pop_back(self) -> None:
        """Remove the last record, which must be present."""
        self.items.pop()

    def by_seq(self, seq: int) -> int:
        """Return the index of the first record that begins after `seq`, in a list sorted by sequence number."""
        return find(self.items, self.first, seq, False)

    def by_time(self, order: int, end: int) -> int:
        """Return the index of the first record that was sent at (`order`, `end`) or later.

        The list must be in the order of transmission (see rack.sent_after).
        """
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
        """Insert a record at index `i`."""
        self.items.insert(i, seg)


class SegHeap:
    """A binary heap of records, with the lowest sequence number on top."""

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
        """Return the record with the lowest sequence number, or None."""
        if len(self.items) == 0:
            return None
        return self.items[0]

    def pop(self) -> None:
        """Remove the record on top, which must be present."""
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
