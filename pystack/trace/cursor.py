"""Reads the numbers and values of a recording from untrusted bytes. A long recording has millions of them, so this module is compiled."""

import struct
from typing import Any

from pystack.trace.values import FIELD_BITS, MAX_CHUNK, MAX_FRAME, MAX_VALUES, REF_TYPES, VALUE_BITS

#: the bound of times, which are signed 64-bit nanoseconds
_TIMES = 1 << 63


class BadData(Exception):  # python
    """The data does not have the form of a recording; the text says what is wrong."""


class ShortData(BadData):  # python
    """The data ends within a record, and more of it may follow."""


class ValueCursor:
    """Reads the fields of records from the available bytes. `more` means that further bytes may follow."""

    def __init__(self, data: bytes, more: bool = False):
        self.data = data
        self.at = 0
        self.end = len(data)
        self.more = more
        self.values = 0
        self.time = 0

    def begin(self) -> None:
        """Begin a record, and count its values from 0."""
        self.values = 0

    def missing(self, length: int, what: str) -> None:
        """Raise ShortData if less than `length` bytes are left but more can follow, otherwise BadData."""
        raise ShortData(what) if self.more and length <= MAX_CHUNK else BadData(what)

    def byte(self) -> int:
        """Return the next byte."""
        if self.at >= self.end:
            self.missing(1, "a record ends too early")
        data = self.data
        self.at += 1
        return data[self.at - 1]

    def number(self, bits: int = FIELD_BITS) -> int:
        """Return an unsigned number. Raises BadData if it has more than `bits` bits (64 or more)."""
        at = self.at
        if at < self.end:
            data = self.data
            if data[at] < 0x80:
                self.at = at + 1
                return data[at]
        return self._long(bits)

    def _long(self, bits: int) -> int:
        """Return a number. Its first eight bytes are put together in `low`, which has 64 bits when this is compiled."""
        data, at, end = self.data, self.at, self.end
        low = shift = 0
        value: Any = 0
        while True:
            if at >= end:
                self.missing(1, "a record ends too early")
            byte = data[at]
            at += 1
            part: Any = byte & 0x7F  # object
            if shift < 56:
                low |= (byte & 0x7F) << shift
            else:
                value |= part << shift
            if byte < 0x80:
                break
            shift += 7
            if shift >= bits:
                raise BadData("a number without an end")
        self.at = at
        if shift < 56:
            return low
        value |= low
        if value >> bits:
            raise BadData(f"a number of more than {bits} bits")
        return value  # type: ignore[no-any-return]

    def signed(self, bits: int = FIELD_BITS) -> int:
        """Return a signed number (zigzag). Raises BadData if it has more than `bits` bits."""
        value = self.number(bits)  # object
        return -((value + 1) >> 1) if value & 1 else value >> 1

    def octets(self, most: int = MAX_CHUNK) -> bytes:
        """Return the bytes after their length. Raises BadData if there are more than `most`."""
        length = self.number()  # object
        if length > most:
            raise BadData(f"{length} bytes, but at most {most} are allowed")
        begin = self.at
        if length > self.end - begin:
            self.missing(length, "bytes longer than their chunk")
        self.at = end = begin + length
        return self.data[begin:end]

    def text(self) -> str:
        """Return a string in UTF-8."""
        return self.octets().decode("utf-8", "surrogateescape")

    def count(self) -> int:
        """Return how many values follow. Raises BadData if the record would have more than MAX_VALUES."""
        count = self.number()  # object
        if count > MAX_VALUES:
            raise BadData(f"a list of {count} values, but a record may have at most {MAX_VALUES}")
        if count > self.end - self.at:
            self.missing(count, "a list longer than its chunk")
        return count

    def fields(self, codes: str, time: int) -> list[Any]:
        """Return the fields of a record, by the letters of format.RECORDS. `time` is the time of the record before it; `self.time` becomes its own."""
        found: list[Any] = []
        for code in codes:
            if code == "n":
                found.append(self.number())
            elif code == "t":
                time += self.signed()
                if not -_TIMES <= time < _TIMES:
                    raise BadData("a time of more than 64 bits")
                found.append(time)
            elif code == "s":
                found.append(self.text())
            elif code == "v":
                found.append(self.value())
            elif code == "b":
                found.append(self.octets(MAX_FRAME))
            else:
                found.append(self.signed())
        self.time = time
        return found

    def value(self, depth: int = 0) -> Any:
        """Return a value in the form of `values.put_value`.

        Raises BadData for a wrong form, too deep nesting, or too many parts.
        """
        if depth > 20:
            raise BadData("a value nested too deeply")
        self.values += 1
        if self.values > MAX_VALUES:
            raise BadData(f"a record of more than {MAX_VALUES} values")
        tag = self.byte()
        if tag == 3:
            return self.signed(VALUE_BITS)
        if tag == 5:
            return self.text()
        if tag < 3:
            return None if tag == 0 else tag == 2
        if tag == 4:
            return self.octets()
        if tag == 6:
            if self.end - self.at < 8:
                self.missing(1, "a record ends too early")
            self.at += 8
            return struct.unpack(">d", self.data[self.at - 8 : self.at])[0]
        if tag == 9:
            return self._dict(depth + 1)
        if tag == 7 or tag == 8:
            count = self.count()
            items = []
            for _ in range(count):
                items.append(self.value(depth + 1))
            return tuple(items) if tag == 7 else items
        made = REF_TYPES.get(tag)  # object
        if made is None:
            raise BadData(f"an unknown kind of value ({tag})")
        parts = self.value(depth + 1)  # object
        try:
            return made(*parts)
        except TypeError:
            raise BadData(f"a malformed {made.__name__}") from None

    def _dict(self, depth: int) -> dict[Any, Any]:
        """Return a dict, whose parts have this depth."""
        found = {}
        count = self.count()
        wrong = False
        for _ in range(count):
            key = self.value(depth)  # object
            item = self.value(depth)  # object
            try:
                found[key] = item
            except TypeError:
                wrong = True
        if wrong:
            raise BadData("a dict with an unhashable key")
        return found


def decode_value(data: bytes) -> Any:  # python
    """Decode one value. Raises ValueError if the data does not have the form of a value."""
    try:
        return ValueCursor(data).value()
    except BadData as bad:
        raise ValueError(str(bad)) from None
