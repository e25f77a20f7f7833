"""Sets and maps: a lookup costs the same for one element and for thousands of them (Linux nft_set_hash, nft_set_rbtree, nft_set_pipapo).

Exact keys are in a dictionary. If they are small and only commands change them, they are in a hash table of plain numbers, too, in
which a packet's key is looked up without making an object. Intervals are in a sorted list. Concatenations of intervals use bit vectors: the bounds of a field
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
_M64 = 0xFFFFFFFFFFFFFFFF
# 2**64 divided by the golden ratio: products with it have neighbouring numbers far apart (D. Knuth, TAOCP 6.4)
_SPREAD = 0x9E3779B97F4A7C15


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
        #: the key and `last` as single numbers, if the set is small
        self.number = 0
        self.last_number = 0


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
        #: the bytes of each part of a key, if `pick` can look the keys up as single numbers, or ()
        self.sizes: tuple[int, ...] = ()
        #: rules change the set, so it has no hash table
        self.changing = False
        #: what a lookup does can change without a load: rules change the set, or elements have timeouts or statements
        self.varies = False
        self.slots: list[Any] = []
        self.shift = 0
        self.sorted: list[Element] = []
        self.bounds: list[list[Any]] = []
        self.masks: list[list[int]] = []
        #: `sorted` and what belongs to it, or `slots`, are those of `elements`
        self.fresh = False
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

    def picks(self) -> bool:
        """Return True if `pick` works for this set now."""
        if self.changing or not self.sizes or (self.interval and self.fields > 1):
            return False
        if not self.fresh:
            self.arrange()
        return True

    def pick(self, number: int, now: int) -> Any:
        """Return the Element that a key is in, or None. The key is a number (Expr.number), and `picks` has said True."""
        if self.interval:
            at = self._search(number)
            if at < 0:
                return None
            found: Any = self.sorted[at]
            if number > found.last_number:
                return None
        else:
            at = ((number * _SPREAD) & _M64) >> self.shift
            found = self.slots[at]
            while found is not None and found.number != number:
                at = (at + 1) & (len(self.slots) - 1)
                found = self.slots[at]
            if found is None:
                return None
        return None if found.expires >= 0 and found.expires <= now else found

    def _index(self) -> None:
        """Put the elements with exact keys into the hash table, which is at most half full."""
        bits = 3
        while 1 << bits < 2 * len(self.elements) + 1:
            bits += 1
        self.shift = 64 - bits
        self.slots = [None] * (1 << bits)
        for element in self.elements.values():
            element.number = self._number_of(element.key)
            at = ((element.number * _SPREAD) & _M64) >> self.shift
            while self.slots[at] is not None:
                at = (at + 1) & ((1 << bits) - 1)
            self.slots[at] = element

    def _number_of(self, key: Any) -> int:
        """Return a key as one number, as Concat.number has it."""
        if self.fields == 1:
            return int(key)
        number = 0
        for part, size in zip(key, self.sizes):  # noqa: B905
            number = number << (8 * size) | part
        return number

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
        if not self.interval:
            if self.sizes:
                self._index()
            return
        self.sorted = sorted(self.elements.values(), key=_first)
        if self.fields > 1:
            self._arrange_crossing()
            return
        self.starts = []
        for element in self.sorted:
            self.starts.append(element.key)
        if self.narrow:
            for element in self.sorted:
                element.last_number = element.last
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
        if element.statements is not None or element.timeout > 0:
            self.varies = True
        if self.interval:
            self.elements[(element.key, element.last)] = element
        else:
            self.elements[element.key] = element
        self.fresh = False

    def remove(self, key: Any) -> None:
        """Remove an element by its key in `elements`."""
        self.elements.pop(key, None)
        self.fresh = False

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
        self.fresh = False
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
