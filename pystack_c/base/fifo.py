"""A queue without allocations: a list used as a ring. What the layers hand to each other goes through these."""

from collections.abc import Iterator
from typing import Any


class Fifo:
    """First in, first out. `count` is how many wait; callers look at it before `popleft`."""

    def __init__(self) -> None:
        self.slots: list[Any] = [None] * 8
        self.head = 0
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return iter([self.slots[(self.head + i) % len(self.slots)] for i in range(self.count)])

    def append(self, item: Any) -> None:
        """Add to the end."""
        size = len(self.slots)
        if self.count == size:
            self.slots = self.slots[self.head :] + self.slots[: self.head] + [None] * size
            self.head = 0
            size += size
        # (The size is a power of two.)
        self.slots[(self.head + self.count) & (size - 1)] = item
        self.count += 1

    def first(self) -> Any:
        """The first one, which stays; there must be one."""
        return self.slots[self.head]

    def clear(self) -> None:
        """Forget all that wait."""
        self.slots = [None] * 8
        self.head = 0
        self.count = 0

    def popleft(self) -> Any:
        """Take the first one out; there must be one."""
        item = self.slots[self.head]
        self.slots[self.head] = None
        self.head = (self.head + 1) & (len(self.slots) - 1)
        self.count -= 1
        return item
