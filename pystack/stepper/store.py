"""Long lists in little memory: rows packed in blocks and unpacked on demand, and states as keyframes and deltas."""

import marshal
import zlib
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, count
from operator import ne
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

#: events per block
BLOCK = 512
#: how many unpacked blocks are kept
KEPT = 24


class Packed(Sequence[T], Generic[T]):
    """A list of plain tuples. `make(index, tuple)` turns a tuple into an object on access.

    Whole blocks are marshalled and deflated. The rows of the last blocks stay unpacked while the list grows.
    """

    def __init__(self, make: Callable[[int, tuple[Any, ...]], T], block: int = BLOCK):
        self.make = make
        self.block = block
        self.blocks: list[bytes] = []
        self.tail: list[list[Any]] = []
        self.total = 0
        self.cache: OrderedDict[int, list[Any]] = OrderedDict()
        #: the block that was read last, and its number
        self.newest: tuple[int, list[Any]] = (-1, [])

    def append(self, row: list[Any]) -> None:
        """Add a row. It may still be changed until `pack` takes it."""
        self.tail.append(row)
        self.total += 1

    def pack(self, upto: int) -> None:
        """Pack whole blocks among the rows below `upto`, which are final."""
        start = len(self.blocks) * self.block
        while upto - start >= self.block:
            rows = tuple(tuple(row) for row in self.tail[: self.block])
            self.blocks.append(zlib.compress(marshal.dumps(rows), 1))
            del self.tail[: self.block]
            start += self.block

    def size(self) -> int:
        """Return the number of bytes of the packed blocks."""
        return sum(map(len, self.blocks))

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> "list[T]": ...
    def __getitem__(self, index: "int | slice") -> "T | list[T]":
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(f"no item {index}")
        number, at = divmod(index, self.block)
        if number >= len(self.blocks):
            return self.make(index, tuple(self.tail[index - len(self.blocks) * self.block]))
        rows = self._rows(number)
        row = rows[at]
        if type(row) is tuple:
            row = rows[at] = self.make(index, row)
        made: T = row
        return made

    def raw(self, index: int) -> "tuple[Any, ...] | T":
        """Return the plain tuple, or the object if it was made already. This is quick if many rows are read."""
        number, at = divmod(index, self.block)
        if number >= len(self.blocks):
            return tuple(self.tail[index - len(self.blocks) * self.block])
        row: tuple[Any, ...] | T = self._rows(number)[at]
        return row

    def each(self) -> "Iterator[tuple[Any, ...]]":
        """Yield all plain tuples in order. This is the quickest way to read them all, and it leaves the unpacked blocks alone."""
        for block in self.blocks:
            yield from marshal.loads(zlib.decompress(block))
        for row in self.tail:
            yield tuple(row)

    def __iter__(self) -> Iterator[T]:
        for index in range(len(self)):
            yield self[index]

    def _rows(self, number: int) -> list[Any]:
        if number == self.newest[0]:
            return self.newest[1]
        rows = self.cache.get(number)
        if rows is None:
            rows = self.cache[number] = list(marshal.loads(zlib.decompress(self.blocks[number])))
            if len(self.cache) > KEPT:
                self.cache.popitem(last=False)
        else:
            self.cache.move_to_end(number)
        self.newest = number, rows
        return rows


#: the position of states that were never read
NOWHERE = 1 << 62
#: what happened to an object: None (it is gone), (True, values) (it is new), (False, [place, value, place, value, ...])
Delta = tuple[int, "tuple[bool, list[Any]] | None"]
Snapshot = dict[int, list[Any]]
#: (object, its values before (None: there was none), or [place, old value, ...])
Undo = tuple[int, "list[Any] | None", "list[Any] | None"]


class States:
    """The values of any number of objects at any event: deltas for each event, and a keyframe at intervals.

    While the states are built, `put` and `remove` apply to the newest event. Afterwards `at(index)` returns all values
    as they were after that event. Moving forwards or backwards from the previous index costs the deltas in between. A
    jump costs the deltas since a keyframe.
    """

    def __init__(self) -> None:
        self.now: dict[int, tuple[Any, ...]] = {}
        self.key_at: list[int] = [-1]
        self.keys: list[dict[int, tuple[Any, ...]]] = [{}]
        self.deltas: Packed[tuple[Any, ...]] = Packed(lambda index, row: row)
        self.since = 0
        self._index = NOWHERE
        self._state: Snapshot = {}
        self._undo: deque[list[Undo]] = deque(maxlen=4 * BLOCK)

    def event(self) -> None:
        """Begin a new event."""
        deltas = self.deltas
        index = deltas.total
        if index % BLOCK == 0 and self.since >= max(BLOCK // 2, 4 * len(self.now)):
            self.key_at.append(index - 1)
            self.keys.append(dict(self.now))
            self.since = 0
        deltas.append([])
        if index % BLOCK == 0:
            deltas.pack(index)

    def put(self, number: int, values: tuple[Any, ...]) -> None:
        """Set the values that an object has now."""
        old = self.now.get(number)
        if old == values:
            return
        if old is None:
            delta: tuple[bool, list[Any]] = (True, list(values))
        else:
            places: list[Any] = []
            for place in compress(count(), map(ne, values, old)):
                places += (place, values[place])
            delta = (False, places)
        self.now[number] = values
        self._add(number, delta)

    def remove(self, number: int) -> None:
        """Note that an object is gone."""
        if self.now.pop(number, None) is not None:
            self._add(number, None)

    def _add(self, number: int, delta: "tuple[bool, list[Any]] | None") -> None:
        if not self.deltas:
            self.event()
        self.deltas.tail[-1].append((number, delta))
        self.since += 1

    def at(self, index: int) -> Snapshot:
        """Return all objects after event `index`; -1 is before the first. The result is valid until the next call."""
        if index >= len(self.deltas):
            raise IndexError(f"no event {index}")
        place = bisect_right(self.key_at, index) - 1
        start = self.key_at[place]
        if index < self._index and self._index - index <= len(self._undo):
            for _ in range(self._index - index):
                take_back(self._state, self._undo.pop())
        elif not (self._index <= index and index - self._index <= max(index - start, BLOCK)):
            self._state = {number: list(values) for number, values in self.keys[place].items()}
            self._undo.clear()
            self._index = start
        state = self._state
        for i in range(self._index + 1, index + 1):
            self._undo.append(apply(state, self.deltas[i]))
        self._index = index
        return state

    def forget(self) -> None:
        """Drop what is unpacked: the next state comes from a keyframe and from blocks that are unpacked again."""
        self._index, self._state = NOWHERE, {}
        self._undo.clear()
        self.deltas.cache.clear()

    def changes(self, index: int) -> "dict[int, dict[int, tuple[Any, Any]]]":
        """Return what event `index` changed: {object: {place: (before, after)}}. None stands for a value that did not
        exist.
        """
        deltas = self.deltas[index]
        if not deltas:
            return {}
        found: dict[int, dict[int, tuple[Any, Any]]] = {}
        before = {number: list(values) for number, values in self.at(index - 1).items() if _names(deltas, number)}
        after = self.at(index)
        for number in dict.fromkeys(number for number, _ in deltas):
            old, new = before.get(number), after.get(number)
            count = len(old if old is not None else new or ())
            pairs = ((None if old is None else old[p], None if new is None else new[p]) for p in range(count))
            found[number] = {p: pair for p, pair in enumerate(pairs) if pair[0] != pair[1]}
        return {number: fields for number, fields in found.items() if fields}


def _names(deltas: tuple[Delta, ...], number: int) -> bool:
    return any(number == other for other, _ in deltas)


def apply(state: Snapshot, deltas: "tuple[Delta, ...]") -> "list[Undo]":
    """Bring a state one event forward. Return what `take_back` needs to undo it."""
    undo: list[Undo] = []
    for number, delta in deltas:
        if delta is None:
            undo.append((number, state.pop(number, None), None))
        elif delta[0]:
            undo.append((number, state.get(number), None))
            state[number] = list(delta[1])
        else:
            values = state[number]
            changes = delta[1]
            old = list(changes)
            for at in range(0, len(changes), 2):
                old[at + 1] = values[changes[at]]
                values[changes[at]] = changes[at + 1]
            undo.append((number, None, old))
    return undo


def take_back(state: Snapshot, undo: "list[Undo]") -> None:
    """Undo `apply`."""
    for number, whole, changes in reversed(undo):
        if changes is not None:
            values = state[number]
            for at in range(0, len(changes), 2):
                values[changes[at]] = changes[at + 1]
        elif whole is None:
            state.pop(number, None)
        else:
            state[number] = whole
