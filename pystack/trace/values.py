"""Numbers and values in a recording: writing them, and reading them from untrusted bytes."""

import struct
from typing import Any, NamedTuple

#: the most bytes to which a chunk may expand
MAX_CHUNK = 1 << 26
#: the most values in one record (a few hundred settings are the largest real record)
MAX_VALUES = 1 << 16
#: fields are numbers of 64 bits; numbers in values (a call's arguments) may have more
FIELD_BITS, VALUE_BITS = 64, 512


class EndpointRef(NamedTuple):
    """A reference to the endpoint with this number, in a value."""

    ident: int


class IfaceRef(NamedTuple):
    """A reference to the interface with this index, in a value."""

    number: int


class StackRef(NamedTuple):
    """A reference to the stack itself, in a value."""


class Digest(NamedTuple):
    """The length and hash of a long value, in a result."""

    length: int
    digest: bytes


class Other(NamedTuple):
    """The name of the type of any other object, in a result."""

    type: str


# -- numbers and values --------------------------------------------------------------------------------------------


def put_number(out: bytearray, value: int) -> None:
    """Append an unsigned number, seven bits in each byte."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def put_signed(out: bytearray, value: int) -> None:
    """Append a signed number in zigzag form."""
    put_number(out, value << 1 if value >= 0 else (-value << 1) - 1)


def put_bytes(out: bytearray, value: "bytes | bytearray | memoryview") -> None:
    """Append the length, then the bytes."""
    put_number(out, len(value))
    out += value


def put_value(out: bytearray, value: Any) -> None:
    """Append a value. Raises TypeError if it has no form in a recording."""
    if value is None:
        out.append(0)
    elif value is True or value is False:
        out.append(2 if value else 1)
    elif isinstance(value, int):
        out.append(3)
        put_signed(out, int(value))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        out.append(4)
        put_bytes(out, value)
    elif isinstance(value, str):
        out.append(5)
        put_bytes(out, value.encode("utf-8", "surrogateescape"))
    elif isinstance(value, float):
        out.append(6)
        out += struct.pack(">d", value)
    elif type(value) in _REFS:
        out.append(_REFS[type(value)])
        put_value(out, tuple(value))
    elif isinstance(value, (tuple, list)):
        out.append(7 if isinstance(value, tuple) else 8)
        put_number(out, len(value))
        for item in value:
            put_value(out, item)
    elif isinstance(value, dict):
        out.append(9)
        put_number(out, len(value))
        for key, item in value.items():
            put_value(out, key)
            put_value(out, item)
    else:
        raise TypeError(f"a recording cannot hold a {type(value).__name__}")


_REFS: dict[type, int] = {EndpointRef: 10, IfaceRef: 11, StackRef: 12, Digest: 13, Other: 14}
_REF_TYPES = {number: made for made, number in _REFS.items()}


class BadData(Exception):
    """The data does not have the form of a recording; the text says what is wrong."""


class ShortData(BadData):
    """The data ends within a record, and more of it may follow."""


class ValueCursor:
    """Reads the fields of records from the available bytes. `more` means that further bytes may follow."""

    def __init__(self, data: bytes, more: bool = False):
        self.data = data
        self.at = 0
        self.end = len(data)
        self.more = more
        self.values = 0

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
        self.at += 1
        return self.data[self.at - 1]

    def number(self, bits: int = FIELD_BITS) -> int:
        """Return an unsigned number. Raises BadData if it has more than `bits` bits."""
        data, at, end = self.data, self.at, self.end
        value = shift = 0
        while True:
            if at >= end:
                self.missing(1, "a record ends too early")
            byte = data[at]
            at += 1
            if byte < 0x80:
                break
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift >= bits:
                raise BadData("a number without an end")
        self.at = at
        if not shift:
            return byte
        value |= byte << shift
        if value >> bits:
            raise BadData(f"a number of more than {bits} bits")
        return value

    def signed(self, bits: int = FIELD_BITS) -> int:
        """Return a signed number (zigzag). Raises BadData if it has more than `bits` bits."""
        value = self.number(bits)
        return -((value + 1) >> 1) if value & 1 else value >> 1

    def bytes(self, most: int = MAX_CHUNK) -> bytes:
        """Return the bytes after their length. Raises BadData if there are more than `most`."""
        length = self.number()
        if length > most:
            raise BadData(f"{length} bytes, but at most {most} are allowed")
        begin = self.at
        if length > self.end - begin:
            self.missing(length, "bytes longer than their chunk")
        self.at = end = begin + length
        return self.data[begin:end]

    def text(self) -> str:
        """Return a string in UTF-8."""
        return self.bytes().decode("utf-8", "surrogateescape")

    def count(self) -> int:
        """Return how many values follow. Raises BadData if the record would have more than MAX_VALUES."""
        count = self.number()
        if count > MAX_VALUES:
            raise BadData(f"a list of {count} values, but a record may have at most {MAX_VALUES}")
        if count > self.end - self.at:
            self.missing(count, "a list longer than its chunk")
        return count

    def value(self, depth: int = 0) -> Any:
        """Return a value in the form of `put_value`.

        Raises BadData for a wrong form, too deep nesting, or too many parts.
        """
        if depth > 20:
            raise BadData("a value nested too deeply")
        self.values += 1
        if self.values > MAX_VALUES:
            raise BadData(f"a record of more than {MAX_VALUES} values")
        at = self.at
        if at >= self.end:
            self.missing(1, "a record ends too early")
        tag = self.data[at]
        self.at = at + 1
        if tag == 3:
            return self.signed(VALUE_BITS)
        if tag == 5:
            return self.text()
        if tag < 3:
            return (None, False, True)[tag]
        if tag == 4:
            return self.bytes()
        if tag == 6:
            raw = bytes(self.byte() for _ in range(8))
            return struct.unpack(">d", raw)[0]
        if tag in (7, 8):
            items = [self.value(depth + 1) for _ in range(self.count())]
            return tuple(items) if tag == 7 else items
        if tag == 9:
            pairs = [(self.value(depth + 1), self.value(depth + 1)) for _ in range(self.count())]
            try:
                return dict(pairs)
            except TypeError:
                raise BadData("a dict with an unhashable key") from None
        made = _REF_TYPES.get(tag)
        if made is None:
            raise BadData(f"an unknown kind of value ({tag})")
        parts = self.value(depth + 1)
        try:
            return made(*parts)
        except TypeError:
            raise BadData(f"a malformed {made.__name__}") from None


def decode_value(data: bytes) -> Any:
    """Decode one value. Raises ValueError if the data does not have the form of a value."""
    try:
        return ValueCursor(data).value()
    except BadData as bad:
        raise ValueError(str(bad)) from None
