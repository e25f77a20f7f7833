"""States of many objects at any event, in little memory: keyframes and deltas.

`States.put` is called for each event while a recording is opened, so this module is compiled.
"""

from bisect import bisect_right
from collections import deque
from itertools import compress, count
from operator import ne
from typing import Any

import pystack_c.const as C
from pystack.stepper.store import BLOCK, Packed

#: the position of states that were never read
NOWHERE = 1 << 62
_BLOCK = BLOCK
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
        self.tail = self.deltas.tail
        self.total = 0
        self.since = 0
        self._index = NOWHERE
        self._state: Snapshot = {}
        self._undo: deque[list[Undo]] = deque(maxlen=4 * BLOCK)

    def event(self) -> None:
        """Begin a new event."""
        index = self.total
        if index % _BLOCK == 0 and self.since >= max(_BLOCK // 2, 4 * len(self.now)):
            self.key_at.append(index - 1)
            self.keys.append(dict(self.now))
            self.since = 0
        self.tail.append([])
        self.total = index + 1
        if index % _BLOCK == 0:
            self.deltas.pack(index)

    def put(self, number: int, values: tuple[Any, ...]) -> None:
        """Set the values that an object has now."""
        old = self.now.get(number)  # object
        if old is None:
            self.now[number] = values
            self._add(number, (True, list(values)))
            return
        places = _differences(old, values)
        if places:
            self.now[number] = values
            self._add(number, (False, places))

    def remove(self, number: int) -> None:
        """Note that an object is gone."""
        if self.now.pop(number, None) is not None:
            self._add(number, None)

    def _add(self, number: int, delta: "tuple[bool, list[Any]] | None") -> None:
        if not self.total:
            self.event()
        row: list[Any] = self.tail[len(self.tail) - 1]
        row.append((number, delta))
        self.since += 1

    def at(self, index: int) -> Snapshot:  # python
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

    def forget(self) -> None:  # python
        """Drop what is unpacked: the next state comes from a keyframe and from blocks that are unpacked again."""
        self._index, self._state = NOWHERE, {}
        self._undo.clear()
        self.deltas.forget()

    def changes(self, index: int) -> "dict[int, dict[int, tuple[Any, Any]]]":  # python
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


def _differences(old: tuple[Any, ...], new: tuple[Any, ...]) -> list[Any]:
    """Return the places at which two tuples differ, each with the new value."""
    places: list[Any] = []
    if C.COMPILED:
        for place in range(len(new)):
            value = new[place]  # object
            before = old[place]  # object
            if value is not before and value != before:
                places.append(place)
                places.append(value)
    elif old != new:
        for place in compress(count(), map(ne, new, old)):
            places += (place, new[place])
    return places


def _names(deltas: tuple[Delta, ...], number: int) -> bool:  # python
    return any(number == other for other, _ in deltas)


def apply(state: Snapshot, deltas: "tuple[Delta, ...]") -> "list[Undo]":  # python
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


def take_back(state: Snapshot, undo: "list[Undo]") -> None:  # python
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
