"""A queue without allocations: a list used as a ring. The layers hand their work to each other through such queues."""

from collections.abc import Iterator
from typing import Any

import pystack_c.const as C


class Fifo:
    """A first-in, first-out queue. `count` is the number of items; check it before you call `popleft` or `first`."""

    def __init__(self) -> None:
        self.slots: list[Any] = [None] * 8
        #: the number of slots, which is a power of two, minus 1
        self.mask = 7
        self.head = 0
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return iter([self.slots[(self.head + i) & self.mask] for i in range(self.count)])

    def append(self, item: Any) -> None:
        """Add an item at the end."""
        if self.count > self.mask:
            self._grow()
        at = (self.head + self.count) & self.mask
        if C.COMPILED:
            exchange(self.slots, at, item)  # type: ignore[name-defined] # noqa: F821
        else:
            self.slots[at] = item
        self.count += 1

    def _grow(self) -> None:
        """Double the room of the full queue."""
        self.slots = self.slots[self.head :] + self.slots[: self.head] + [None] * len(self.slots)
        self.head = 0
        self.mask = len(self.slots) - 1

    def first(self) -> Any:
        """Return the first item and leave it in the queue, which must not be empty."""
        return self.slots[self.head]

    def clear(self) -> None:
        """Remove all items."""
        self.slots = [None] * 8
        self.mask = 7
        self.head = 0
        self.count = 0

    def popleft(self) -> Any:
        """Remove and return the first item of the queue, which must not be empty."""
        at = self.head
        self.head = (at + 1) & self.mask
        self.count -= 1
        if C.COMPILED:
            return exchange(self.slots, at, None)  # type: ignore[name-defined] # noqa: F821
        item = self.slots[at]
        self.slots[at] = None
        return item
