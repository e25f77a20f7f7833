"""Long lists in little memory: rows packed in blocks, whose columns are unpacked on demand."""

import marshal
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

#: events per block
BLOCK = 512
#: frames per block
FRAMES_BLOCK = 128
#: how many of a row's long bytes are beside its other values: the headers of Ethernet, IPv4 and TCP, without options of TCP
FRONT = 96
#: how many unpacked blocks are kept
KEPT = 24


def deflated(value: Any) -> bytes:
    """Return plain values as few bytes."""
    return zlib.compress(marshal.dumps(value), 1)


def inflated(data: bytes) -> Any:
    """Return the values that `deflated` packed."""
    return marshal.loads(zlib.decompress(data))


class Packed(Sequence[T], Generic[T]):
    """A list of plain tuples.

    Whole blocks are marshalled and deflated. The rows of the last blocks stay unpacked while the list grows.
    """

    def __init__(self, block: int = BLOCK):
        self.block = block
        self.blocks: list[Any] = []
        #: the rows that are not packed. It stays the same list, so the collector, which adds very many rows, appends to it itself
        self.tail: list[list[Any]] = []
        self.cache: OrderedDict[int, Any] = OrderedDict()
        #: the block that was read last, and its number
        self.newest: tuple[int, Any] = (-1, None)

    def append(self, row: list[Any]) -> None:
        """Add a row. It may still be changed until `pack` takes it."""
        self.tail.append(row)

    @property
    def total(self) -> int:
        """The number of rows."""
        return len(self.blocks) * self.block + len(self.tail)

    def pack(self, upto: int) -> None:
        """Pack whole blocks among the rows below `upto`, which are final."""
        start = len(self.blocks) * self.block
        while upto - start >= self.block:
            self.blocks.append(self._closed(self.tail[: self.block]))
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
        newest = self.newest
        if number == newest[0]:
            return newest[1]
        found = self.cache.get(number)
        if found is None:
            found = self.cache[number] = self._opened(self.blocks[number])
            if len(self.cache) > KEPT:
                self._dropped(self.cache.popitem(last=False)[1])
        else:
            self.cache.move_to_end(number)
        self.newest = number, found
        return found

    def forget(self) -> None:
        """Drop what is unpacked. It is unpacked again when somebody reads it."""
        for block in self.cache.values():
            self._dropped(block)
        self.cache.clear()
        self.newest = (-1, None)

    # -- what a block is ---------------------------------------------------------------------------------------------

    def _closed(self, rows: list[list[Any]]) -> Any:
        """Return rows as a packed block."""
        return deflated(tuple(map(tuple, rows)))

    def _opened(self, closed: Any) -> Any:
        """Return the block that `unpacked` gives."""
        return inflated(closed)

    def _dropped(self, block: Any) -> None:
        """An unpacked block is kept no longer."""

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
    """Return a column of dicts as a table for each set of keys, and for each row the number of its table and of its row there.

    Each table is marshalled by itself, so that only the ones that are read become objects.
    """
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
    packed = [marshal.dumps(tuple(map(packed_column, zip(*table)))) for table in tables.values()]
    return tuple(tables), tuple(packed), numbers.tobytes(), places.tobytes()


class Dicts:
    """An unpacked column of dicts."""

    __slots__ = ("_names", "_packed", "_numbers", "_places", "_tables")

    def __init__(self, packed: Any):
        self._names, self._packed, numbers, places = packed
        self._numbers, self._places = array("H", numbers), array("H", places)
        self._tables: dict[int, list[Sequence[Any]]] = {}

    def __getitem__(self, at: int) -> dict[str, Any]:
        number, place = self._numbers[at], self._places[at]
        return dict(zip(self._names[number], [column[place] for column in self._table(number)]))

    def _table(self, number: int) -> list[Sequence[Any]]:
        found = self._tables.get(number)
        if found is None:
            found = self._tables[number] = list(map(opened_column, marshal.loads(self._packed[number])))
        return found


class Block:
    """An unpacked block of PackedColumns. Columns, objects and rows are made when somebody asks for them.

    made  the objects that were made of rows, by their place in the block
    """

    __slots__ = ("made", "_closed", "_shape", "_columns", "_first")

    def __init__(self, closed: tuple[bytes, ...], shape: "Shape"):
        self.made: dict[int, Any] = {}
        self._closed = closed
        self._shape = shape
        self._columns: list[Any] = [None] * len(shape.group_of)
        self._first: list[Sequence[Any]] = []

    def column(self, place: int) -> Sequence[Any]:
        """Return a column. Its group is unpacked, if it is not yet."""
        found: Sequence[Any] | None = self._columns[place]
        if found is None:
            self._unpack(self._shape.group_of[place])
            found = self._columns[place]
        return found  # type: ignore[return-value]

    def _unpack(self, number: int) -> None:
        group = self._shape.groups[number]
        for place, packed in zip(group, inflated(self._closed[number])):
            self._columns[place] = Dicts(packed) if place == self._shape.dicts else opened_column(packed)

    def first(self, at: int) -> list[Any]:
        """Return the values of the first group of columns in the row at a place."""
        if not self._first:
            self._first = [self.column(place) for place in self._shape.groups[0]]
        return [column[at] for column in self._first]

    def row(self, at: int) -> tuple[Any, ...]:
        """Return the row at a place."""
        return tuple([self.column(place)[at] for place in range(len(self._columns))])


class LooseRow:
    """A row that is not packed yet, with the methods of a Block that has this row alone."""

    __slots__ = ("_row", "_shape")

    def __init__(self, row: list[Any], shape: "Shape"):
        self._row = row
        self._shape = shape

    def column(self, place: int) -> Sequence[Any]:
        """Return a column."""
        return (self._row[place],)

    def first(self, at: int) -> list[Any]:
        """Return the values of the first group of columns."""
        return [self._row[place] for place in self._shape.groups[0]]

    def row(self, at: int) -> tuple[Any, ...]:
        """Return the row."""
        return tuple(self._row)


class Shape:
    """Which columns of PackedColumns are packed together.

    groups    the places of the columns of each group. The first group begins with column 0
    group_of  place of a column -> the number of its group
    dicts     the column that holds dicts, or -1
    """

    def __init__(self, groups: Sequence[Sequence[int]], dicts: int):
        self.groups = [tuple(group) for group in groups]
        self.group_of = [number for _, number in sorted((at, n) for n, group in enumerate(groups) for at in group)]
        self.dicts = dicts


class PackedColumns(Packed[T]):
    """A Packed whose rows have the same columns. `make(index, block, at)` turns the row at a place of a block into an object on access.

    The columns of a block are packed in groups, and only the groups that are read are unpacked, to a few tuples and not to some for each row.

    groups  the places of the columns, group by group. The first group begins with column 0
    dicts   the column that holds dicts, or -1
    long    the column that holds long bytes, or -1. In a packed block, their first FRONT bytes are in the column, and `rest` gives the others
    """

    def __init__(
        self,
        make: "Callable[[int, Block | LooseRow, int], T]",
        groups: Sequence[Sequence[int]],
        block: int = BLOCK,
        *,
        dicts: int = -1,
        long: int = -1,
    ):
        super().__init__(block)
        self.make = make
        self.shape = Shape(groups, dicts)
        self.long = long
        self.rests: Packed[tuple[bytes]] = Packed(block)
        #: is given the index of the first row of each block, and its rows, before they are packed
        self.watch: Callable[[int, list[list[Any]]], None] | None = None

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
        return sum(sum(map(len, block)) for block in self.blocks) + self.rests.size()

    def rest(self, index: int) -> bytes:
        """Return the bytes of a row that are not in its column `long`."""
        return self.rests[index][0] if index < self.rests.total else b""

    def value(self, index: int, place: int) -> Any:
        """Return one value of a row."""
        number, at = divmod(index, self.block)
        if number < len(self.blocks):
            return self.unpacked(number).column(place)[at]
        return self.tail[index - len(self.blocks) * self.block][place]

    def _closed(self, rows: list[list[Any]]) -> Any:
        if self.watch is not None:
            self.watch(len(self.blocks) * self.block, rows)
        columns = list(zip(*rows, strict=True))
        dicts = self.shape.dicts
        return tuple(
            deflated(tuple([packed_dicts(columns[at]) if at == dicts else packed_column(columns[at]) for at in group]))
            for group in self.shape.groups
        )

    def _opened(self, closed: Any) -> "Block":
        return Block(closed, self.shape)

    def _dropped(self, block: Any) -> None:
        # Objects refer to their block. Without this, the two would wait for the garbage collector.
        block.made.clear()

    def __getitem__(self, index: Any) -> Any:
        # This is the way to most items: one that is packed, by its index.
        if type(index) is int and 0 <= index < len(self.blocks) * self.block:
            number, at = divmod(index, self.block)
            block = self.unpacked(number)
            made = block.made.get(at)
            if made is None:
                made = block.made[at] = self.make(index, block, at)
            return made
        return super().__getitem__(index)

    def _item(self, index: int) -> T:
        packed = len(self.blocks) * self.block
        if index < packed:
            return self[index]  # type: ignore[no-any-return]
        return self.make(index, LooseRow(self.tail[index - packed], self.shape), 0)
