"""A queue without allocations: a list used as a ring. The layers hand their work to each other through such queues."""

from collections.abc import Iterator
from typing import Any


class Fifo:
    """A first-in, first-out queue. `count` is the number of items; check it before you call `popleft` or `first`."""

    def __init__(self) -> None:
        self.slots: list[Any] = [None] * 8
        self.head = 0
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return iter([self.slots[(self.head + i) % len(self.slots)] for i in range(self.count)])

    def append(self, item: Any) -> None:
        """Add an item at the end."""
        size = len(self.slots)
        if self.count == size:
            self.slots = self.slots[self.head :] + self.slots[: self.head] + [None] * size
            self.head = 0
            size += size
        # The mask works because the size is a power of two.
        self.slots[(self.head + self.count) & (size - 1)] = item
        self.count += 1

    def first(self) -> Any:
        """Return the first item and leave it in the queue, which must not be empty."""
        return self.slots[self.head]

    def clear(self) -> None:
        """Remove all items."""
        self.slots = [None] * 8
        self.head = 0
        self.count = 0

    def popleft(self) -> Any:
        """Remove and return the first item of the queue, which must not be empty."""
        item = self.slots[self.head]
        self.slots[self.head] = None
        self.head = (self.head + 1) & (len(self.slots) - 1)
        self.count -= 1
        return item
