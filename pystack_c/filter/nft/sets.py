"""Sets and maps: a lookup costs the same for one element and for thousands of them (Linux nft_set_hash, nft_set_rbtree, nft_set_pipapo).

Exact keys are in a dictionary. Intervals are in a sorted list. Concatenations of intervals use bit vectors: the bounds of a field
divide its numbers into pieces, and each piece knows, as bits of one number, which elements cover it. The AND over all
fields leaves the elements that match (T. V. Lakshman and D. Stiliadis, "High-Speed Policy-based Packet Forwarding", 1998).
"""

from bisect import bisect_right
from heapq import heapify, heappop, heappush
from typing import Any

from pystack_c.filter.nft.exprs import Expr
from pystack_c.filter.nft.view import View

#: the most elements of a set whose ruleset names no size
SIZE_MAX = 65536
#: the most elements of a set with intervals in a concatenation, whose memory grows with the square of their number
CROSSING_MAX = 2048


class Element:
    """An element: a key, or an interval from `key` to `last`. `expires` is a time in ns, or -1. `data` belongs to a map."""

    def __init__(self, key: Any, last: Any, data: Any = None) -> None:
        self.key = key
        self.last = last
        self.data = data
        self.timeout = 0
        self.expires = -1
        self.statements: Any = None
        self.comment: Any = None


class NftSet:
    """A set or a map. `fields` is the number of parts of a key. `timeout` in ns is for new elements, and 0 means for ever."""

    def __init__(self, name: str, interval: bool, fields: int) -> None:
        self.name = name
        self.interval = interval
        self.fields = fields
        self.timeout = 0
        self.size = SIZE_MAX
        #: (key, last) -> Element for intervals, key -> Element otherwise
        self.elements: dict[Any, Element] = {}
        self.starts: list[Any] = []
        #: the keys are numbers of at most 32 bits, so `packed` has the starts of the intervals, 4 bytes each
        self.narrow = False
        self.packed = b""
        self.sorted: list[Element] = []
        self.bounds: list[list[Any]] = []
        self.masks: list[list[int]] = []
        self.fresh = True
        #: (time, number, key): when to look whether an element has expired
        self.heap: list[tuple[int, int, Any]] = []
        self.armed = 0

    def find(self, key: Any, now: int) -> Any:
        """Return the Element that a key is in, or None."""
        if not self.interval:
            found: Element | None = self.elements.get(key)
        elif self.fields == 1:
            found = self._among(key)
        else:
            found = self._crossing(key)
        if found is None or (found.expires >= 0 and found.expires <= now):
            return None
        return found

    def _among(self, key: Any) -> Any:
        if not self.fresh:
            self.arrange()
        at = self._search(key) if self.narrow else bisect_right(self.starts, key) - 1
        if at < 0:
            return None
        found: Element = self.sorted[at]
        return found if key <= found.last else None

    def _search(self, key: int) -> int:
        """Return the place of the last interval that begins at `key` or before, or -1."""
        p = self.packed
        low = 0
        high = len(self.packed) >> 2
        while low < high:
            middle = (low + high) >> 1
            at = middle * 4
            number = (p[at] << 24) | (p[at + 1] << 16) | (p[at + 2] << 8) | p[at + 3]
            if key < number:
                high = middle
            else:
                low = middle + 1
        return low - 1

    def _crossing(self, key: tuple[Any, ...]) -> Any:
        if not self.fresh:
            self.arrange()
        mask: Any = -1
        for i in range(self.fields):
            part = key[i]
            at = bisect_right(self.bounds[i], part) - 1
            if at < 0:
                return None
            mask = mask & self.masks[i][at]
            if mask == 0:
                return None
        return self.sorted[(mask & -mask).bit_length() - 1]

    def arrange(self) -> None:
        """Sort the intervals after a change."""
        self.fresh = True
        self.sorted = sorted(self.elements.values(), key=_first)
        if self.fields > 1:
            self._arrange_crossing()
            return
        self.starts = []
        for element in self.sorted:
            self.starts.append(element.key)
        if self.narrow:
            self.packed = b"".join([key.to_bytes(4, "big") for key in self.starts])

    def _arrange_crossing(self) -> None:
        self.bounds = []
        self.masks = []
        order = self.sorted
        for i in range(self.fields):
            points = []
            for element in order:
                low, high = element.key[i], element.last[i]
                points.append(low)
                points.append(high + "\0" if type(high) is str else high + 1)
            points = sorted(dict.fromkeys(points))
            masks = [0] * len(points)
            for at in range(len(order)):
                element = order[at]
                high = element.last[i]
                first = bisect_right(points, element.key[i]) - 1
                last = bisect_right(points, high) - 1
                while first <= last:
                    masks[first] |= 1 << at
                    first += 1
            self.bounds.append(points)
            self.masks.append(masks)

    def put(self, element: Element) -> None:
        """Add an element. The caller has looked for conflicts."""
        if self.interval:
            self.elements[(element.key, element.last)] = element
            self.fresh = False
        else:
            self.elements[element.key] = element

    def remove(self, key: Any) -> None:
        """Remove an element by its key in `elements`."""
        self.elements.pop(key, None)
        self.fresh = not self.interval

    def arm(self, element: Element, now: int) -> None:
        """Let an element with a timeout live from now on. Each element is in the heap once."""
        if element.timeout <= 0:
            return
        was = element.expires  # object
        element.expires = now + element.timeout
        if was < 0:
            self.armed += 1
            heappush(self.heap, (element.expires, self.armed, element))
            if len(self.heap) > 2 * self.size + 64:
                # Elements that were deleted are still in the heap. Each rebuilding follows `size` additions.
                self.heap = [item for item in self.heap if self._lives(item[2])]
                heapify(self.heap)

    def _lives(self, element: Element) -> bool:
        place = (element.key, element.last) if self.interval else element.key  # object
        return self.elements.get(place) is element

    def expire(self, now: int) -> None:
        """Remove the elements whose time is over."""
        while self.heap:
            item = self.heap[0]
            if item[0] > now:
                return
            heappop(self.heap)
            element: Element = item[2]
            if not self._lives(element):
                continue
            due = element.expires
            if due > now:
                self.armed += 1
                heappush(self.heap, (due, self.armed, element))
            else:
                self.remove((element.key, element.last) if self.interval else element.key)

    def obtain(self, key: Any, now: int) -> Any:
        """Return the element with this key, or a new one. None: the set is full."""
        element: Element | None = self.elements.get(key)
        if element is not None:
            if element.expires < 0 or element.expires > now:
                return element
            self.remove(key)
        if len(self.elements) >= self.size:
            self.expire(now)
            if len(self.elements) >= self.size:
                return None
        element = Element(key, key)
        self.elements[key] = element
        return element

    def all(self, now: int) -> list[Element]:
        """Return the elements that are alive, sorted."""
        self.expire(now)
        return sorted(self.elements.values(), key=_first)


class MapLookup(Expr):
    """The data that a map has for a key."""

    def __init__(self, key: Expr, table: NftSet) -> None:
        self.key = key
        self.table = table

    def value(self, view: View) -> Any:  # inherited
        """Return the data, or None."""
        key = self.key.value(view)  # object
        if key is None:
            return None
        found: Element | None = self.table.find(key, view.core.now)
        return None if found is None else found.data


def _first(element: Element) -> Any:
    return element.key
