"""What the peer has SACKed, as ranges: sorted, apart from each other, and joined where they meet."""

from typing import Any

from pystack_c.base.seqnum import seq_diff, seq_le

#: Places free at the front of a list before what follows is moved up.
_TRIM_FROM = 8


class SackRange:
    """[left, right) is SACKed; it was sent in `pieces` segments."""

    def __init__(self, left: int, right: int, pieces: int) -> None:
        self.left = left
        self.right = right
        self.pieces = pieces


class SackRanges:
    """The ranges; places before `first` are free, `last` is the index of the range that changed last."""

    def __init__(self) -> None:
        self.ranges: list[Any] = []
        self.first = 0
        self.last = 0

    def __len__(self) -> int:
        return len(self.ranges) - self.first

    def find(self, seq: int) -> int:
        """Index of the range that holds `seq`, or of the first after it."""
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
        """[left, right) was SACKed, and nothing of it before."""
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
        """Index of the last range that ends at `left` or below it; `first` - 1 if there is none."""
        if self.first <= self.last < len(self.ranges):
            # (Most often a block grows at its end.)
            found: SackRange = self.ranges[self.last]
            if found.right == left:
                return self.last
        return self.find(left) - 1

    def end(self, seq: int) -> int:
        """Where the range that holds `seq` ends."""
        found: SackRange = self.ranges[self.find(seq)]
        return found.right

    def acked(self, seq: int) -> None:
        """Everything before `seq` is acknowledged: forget the ranges below it."""
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
        """The last range, or None."""
        if self.first < len(self.ranges):
            return self.ranges[len(self.ranges) - 1]
        return None

    def below(self, thresh: int, limit: int) -> Any:
        """The highest range that has `thresh` segments or more than `limit` bytes in it and above it; None if there is none."""
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
