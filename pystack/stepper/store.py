"""Long lists in little memory: rows packed in blocks and unpacked on demand, and states as keyframes and deltas."""

import marshal
import zlib
from array import array
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, count
from operator import ne
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

#: events per block
BLOCK = 512
#: how many of a row's long bytes are beside its other values: the headers of Ethernet, IPv4 and TCP, without options of TCP
FRONT = 96
#: how many unpacked blocks are kept
KEPT = 24


class Packed(Sequence[T], Generic[T]):
    """A list of plain tuples.

    Whole blocks are marshalled and deflated. The rows of the last blocks stay unpacked while the list grows.
    """

    def __init__(self, block: int = BLOCK):
        self.block = block
        self.blocks: list[bytes] = []
        self.tail: list[list[Any]] = []
        self.total = 0
        self.cache: OrderedDict[int, Any] = OrderedDict()
        #: the block that was read last, and its number
        self.newest: tuple[int, Any] = (-1, None)

    def append(self, row: list[Any]) -> None:
        """Add a row. It may still be changed until `pack` takes it."""
        self.tail.append(row)
        self.total += 1

    def pack(self, upto: int) -> None:
        """Pack whole blocks among the rows below `upto`, which are final."""
        start = len(self.blocks) * self.block
        while upto - start >= self.block:
            self.blocks.append(zlib.compress(marshal.dumps(self._flat(self.tail[: self.block])), 1))
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
        return self._item(index)

    def __iter__(self) -> Iterator[T]:
        for index in range(len(self)):
            yield self[index]

    def unpacked(self, number: int) -> Any:
        """Return a packed block, unpacked. The last ones are kept."""
        if number == self.newest[0]:
            return self.newest[1]
        found = self.cache.get(number)
        if found is None:
            found = self.cache[number] = self._opened(marshal.loads(zlib.decompress(self.blocks[number])))
            if len(self.cache) > KEPT:
                self.cache.popitem(last=False)
        else:
            self.cache.move_to_end(number)
        self.newest = number, found
        return found

    # -- what a block is ---------------------------------------------------------------------------------------------

    def _flat(self, rows: list[list[Any]]) -> Any:
        """Return rows in the form in which they are marshalled."""
        return tuple(map(tuple, rows))

    def _opened(self, flat: Any) -> Any:
        """Return the block that `unpacked` gives."""
        return flat

    def _item(self, index: int) -> T:
        number, at = divmod(index, self.block)
        if number < len(self.blocks):
            row: T = self.unpacked(number)[at]
            return row
        return tuple(self.tail[index - len(self.blocks) * self.block])  # type: ignore[return-value]


class Words(Sequence[str]):
    """A column of texts, most of which come again and again: each one once, and a number for each row."""

    __slots__ = ("known", "numbers")

    def __init__(self, known: tuple[str, ...], numbers: bytes):
        self.known = known
        self.numbers = array("H", numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, at: Any) -> Any:
        return self.known[self.numbers[at]]

    def __iter__(self) -> Iterator[str]:
        return map(self.known.__getitem__, self.numbers)


def packed_column(column: Sequence[Any]) -> Any:
    """Return a column in the form in which it is marshalled: numbers as bytes and texts as Words, so that only what is read becomes an object."""
    types = set(map(type, column))
    if types == {int}:
        for code in "iq":
            try:
                return code, array(code, column).tobytes()
            except OverflowError:
                pass
    elif types == {str}:
        known: dict[str, int] = {}
        numbers = array("H", [known.setdefault(text, len(known)) for text in column])
        return "s", tuple(known), numbers.tobytes()
    return "t", tuple(column)


def opened_column(packed: Any) -> Sequence[Any]:
    """Return the column that `packed_column` packed."""
    if packed[0] == "s":
        return Words(packed[1], packed[2])
    return packed[1] if packed[0] == "t" else array(packed[0], packed[1])  # type: ignore[no-any-return]


def packed_dicts(column: Sequence[dict[str, Any]]) -> Any:
    """Return a column of dicts as a table for each set of keys, and for each row the number of its table and of its row there."""
    tables: dict[tuple[str, ...], list[Any]] = {}
    kinds: dict[tuple[str, ...], int] = {}
    numbers, places = array("H"), array("H")
    for fields in column:
        names = tuple(fields)
        table = tables.get(names)
        if table is None:
            table = tables[names] = []
            kinds[names] = len(kinds)
        numbers.append(kinds[names])
        places.append(len(table))
        table.append(fields.values())
    packed = [(names, tuple(map(packed_column, zip(*table)))) for names, table in tables.items()]
    return tuple(packed), numbers.tobytes(), places.tobytes()


class Block:
    """An unpacked block of PackedColumns. Objects and rows are made when somebody asks for them.

    columns  the values of each column; the one with the dicts is missing
    made     the objects that were made of rows, by their place in the block
    """

    __slots__ = ("columns", "dicts", "made", "_tables", "_numbers", "_places", "_opened")

    def __init__(self, columns: list[Any], dicts: int):
        self.dicts = dicts
        self.made: dict[int, Any] = {}
        self.columns = [() if place == dicts else opened_column(column) for place, column in enumerate(columns)]
        if dicts >= 0:
            self._tables, numbers, places = columns[dicts]
            self._numbers, self._places = array("H", numbers), array("H", places)
            self._opened: dict[int, list[Sequence[Any]]] = {}

    def fields(self, at: int) -> dict[str, Any]:
        """Return the dict of the row at a place."""
        number, place = self._numbers[at], self._places[at]
        return dict(zip(self._tables[number][0], [column[place] for column in self._table(number)]))

    def field(self, at: int, name: str) -> Any:
        """Return one value of the dict of the row at a place."""
        number = self._numbers[at]
        return self._table(number)[self._tables[number][0].index(name)][self._places[at]]

    def _table(self, number: int) -> list[Sequence[Any]]:
        found = self._opened.get(number)
        if found is None:
            found = self._opened[number] = list(map(opened_column, self._tables[number][1]))
        return found

    def row(self, at: int) -> tuple[Any, ...]:
        """Return the row at a place."""
        return tuple(
            [self.fields(at) if place == self.dicts else column[at] for place, column in enumerate(self.columns)]
        )


class PackedColumns(Packed[T]):
    """A Packed whose rows have the same columns. `make(index, row)` turns a row into an object on access.

    A block is packed by columns. So it is unpacked to a few tuples, not to some for each row, and reading one value makes no row.

    dicts  the column that holds dicts, or -1
    long   the column that holds long bytes, or -1. In a packed block, their first FRONT bytes are in the column, and `rest` gives the others
    """

    def __init__(
        self, make: Callable[[int, tuple[Any, ...]], T], block: int = BLOCK, *, dicts: int = -1, long: int = -1
    ):
        super().__init__(block)
        self.make = make
        self.dicts = dicts
        self.long = long
        self.rests: Packed[tuple[bytes]] = Packed(block)

    def pack(self, upto: int) -> None:
        """See Packed."""
        if self.long >= 0:
            whole = upto // self.block * self.block - self.rests.total
            for row in self.tail[: max(whole, 0)]:
                self.rests.append([row[self.long][FRONT:]])
                row[self.long] = row[self.long][:FRONT]
            self.rests.pack(upto)
        super().pack(upto)

    def size(self) -> int:
        """Return the number of bytes of the packed blocks."""
        return super().size() + self.rests.size()

    def rest(self, index: int) -> bytes:
        """Return the bytes of a row that are not in its column `long`."""
        return self.rests[index][0] if index < self.rests.total else b""

    def value(self, index: int, place: int) -> Any:
        """Return one value of a row. `place` is not that of the dicts."""
        number, at = divmod(index, self.block)
        if number < len(self.blocks):
            return self.unpacked(number).columns[place][at]
        return self.tail[index - len(self.blocks) * self.block][place]

    def each_block(self) -> "Iterator[tuple[int, Block]]":
        """Yield the index of each block's first row, and the block. This reads everything most quickly, and leaves the unpacked blocks alone."""
        for number, block in enumerate(self.blocks):
            yield number * self.block, self._opened(marshal.loads(zlib.decompress(block)))
        done = len(self.blocks) * self.block
        # The rows of one record stay unpacked until its end, and they may be more than a block can number.
        for start in range(0, len(self.tail), self.block):
            yield done + start, self._opened(self._flat(self.tail[start : start + self.block]))

    def _flat(self, rows: list[list[Any]]) -> Any:
        columns = zip(*rows, strict=True)
        return [
            packed_dicts(column) if place == self.dicts else packed_column(column)
            for place, column in enumerate(columns)
        ]

    def _opened(self, flat: Any) -> "Block":
        return Block(flat, self.dicts)

    def _item(self, index: int) -> T:
        number, at = divmod(index, self.block)
        if number >= len(self.blocks):
            return self.make(index, tuple(self.tail[index - len(self.blocks) * self.block]))
        block = self.unpacked(number)
        made: T | None = block.made.get(at)
        if made is None:
            made = block.made[at] = self.make(index, block.row(at))
        return made


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
        self.deltas: Packed[tuple[Any, ...]] = Packed()
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
