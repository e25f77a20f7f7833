"""The data that the peer has SACKed, as sorted ranges. Adjacent ranges are joined."""

from typing import Any

from pystack_c.base.seqnum import seq_diff, seq_le

#: The number of free places at the front of a list from which its items are moved up.
_TRIM_FROM = 8


class SackRange:
    """The SACKed data [left, right), which was sent in `pieces` segments."""

    def __init__(self, left: int, right: int, pieces: int) -> None:
        self.left = left
        self.right = right
        self.pieces = pieces


class SackRanges:
    """The ranges. Places before `first` are free, and `last` is the index of the range that last changed."""

    def __init__(self) -> None:
        self.ranges: list[Any] = []
        self.first = 0
        self.last = 0

    def __len__(self) -> int:
        return len(self.ranges) - self.first

    def find(self, seq: int) -> int:
        """Return the index of the range that holds `seq`, or of the first range after it."""
        low = self.first
        high = len(self.ranges)
        while low < high:
            mid = (low + high) >> 1
            found: SackRange = self.ranges[mid]
            if seq_le(found.right, seq):
                low = mid + 1
            else:
                high = mid
        return low

    def add(self, left: int, right: int, pieces: int) -> None:
        """Add [left, right), of which nothing was SACKed before."""
        i = self._before(left)
        after: SackRange = None  # type: ignore[assignment]
        if i + 1 < len(self.ranges):
            after = self.ranges[i + 1]
            if after.left != right:
                after = None  # type: ignore[assignment]
        before: SackRange = None  # type: ignore[assignment]
        if i >= self.first:
            before = self.ranges[i]
            if before.right != left:
                before = None  # type: ignore[assignment]
        if before is not None:
            before.right = right
            before.pieces += pieces
            if after is not None:
                before.right = after.right
                before.pieces += after.pieces
                del self.ranges[i + 1]
            self.last = i
            return
        if after is not None:
            after.left = left
            after.pieces += pieces
        else:
            self.ranges.insert(i + 1, SackRange(left, right, pieces))
        self.last = i + 1

    def _before(self, left: int) -> int:
        """Return the index of the last range that ends at `left` or below it, or `first` - 1 if there is none."""
        if self.first <= self.last < len(self.ranges):
            # A range usually grows at its end.
            found: SackRange = self.ranges[self.last]
            if found.right == left:
                return self.last
        return self.find(left) - 1

    def end(self, seq: int) -> int:
        """Return the end of the range that holds `seq`."""
        found: SackRange = self.ranges[self.find(seq)]
        return found.right

    def acked(self, seq: int) -> None:
        """Remove the ranges before `seq`, which are acknowledged."""
        n = len(self.ranges)
        i = self.first
        while i < n:
            found: SackRange = self.ranges[i]
            if not seq_le(found.right, seq):
                break
            self.ranges[i] = None
            i += 1
        self.first = i
        if i >= _TRIM_FROM and 2 * i >= n:
            del self.ranges[:i]
            self.last -= i
            self.first = 0

    def top(self) -> Any:
        """Return the last range, or None."""
        if self.first < len(self.ranges):
            return self.ranges[len(self.ranges) - 1]
        return None

    def below(self, thresh: int, limit: int) -> Any:
        """Return the highest range that has, with those above it, `thresh` segments or more than `limit` bytes.

        Return None if there is none.
        """
        above = 0
        pieces = 0
        i = len(self.ranges) - 1
        while i >= self.first:
            found: SackRange = self.ranges[i]
            above += seq_diff(found.right, found.left)
            pieces += found.pieces
            if above > limit or pieces >= thresh:
                return found
            i -= 1
        return None
