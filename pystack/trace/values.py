"""Numbers and values in a recording: their forms, and writing them. cursor.py reads them."""

import struct
from typing import Any, NamedTuple

#: the most bytes to which a chunk may expand
MAX_CHUNK = 1 << 26
#: the longest frame of a device in bytes: IPv4's 64 KiB after an Ethernet header, rounded up
MAX_FRAME = 1 << 17
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
#: the tag of a reference in a recording -> its type
REF_TYPES = {number: made for made, number in _REFS.items()}
