"""The messages of MongoDB: OP_MSG with one document of BSON, as far as this lab needs them (bsonspec.org)."""

import struct
from typing import Any

OP_MSG = 2013
HEAD = struct.Struct("<iiii")  # the length of the whole message, its number, the number that it answers, the opcode


def bson(document: dict[str, Any]) -> bytes:
    """Return a document as BSON."""
    body = b"".join(_element(name, value) for name, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(name: str, value: Any) -> bytes:
    key = name.encode() + b"\0"
    if isinstance(value, float):
        return b"\x01" + key + struct.pack("<d", value)
    if isinstance(value, str):
        return b"\x02" + key + struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
    if isinstance(value, dict):
        return b"\x03" + key + bson(value)
    if isinstance(value, list):
        return b"\x04" + key + bson({str(place): part for place, part in enumerate(value)})
    if -(1 << 31) <= value < 1 << 31:
        return b"\x10" + key + struct.pack("<i", value)
    return b"\x12" + key + struct.pack("<q", value)


def read(data: bytes, at: int = 0) -> dict[str, Any]:
    """Read a document that begins at a place."""
    end = at + struct.unpack_from("<i", data, at)[0] - 1
    at += 4
    document = {}
    while at < end:
        kind = data[at]
        stop = data.index(b"\0", at)
        name, at = data[at + 1 : stop].decode(), stop + 1
        document[name], at = _value(kind, data, at)
    return document


def _value(kind: int, data: bytes, at: int) -> tuple[Any, int]:
    if kind in (0x01, 0x12):
        return struct.unpack_from("<d" if kind == 0x01 else "<q", data, at)[0], at + 8
    (number,) = struct.unpack_from("<i", data, at)
    if kind == 0x10:
        return number, at + 4
    if kind == 0x02:
        return data[at + 4 : at + 3 + number].decode(), at + 4 + number
    found = read(data, at)
    return (found if kind == 0x03 else list(found.values())), at + number


def message(document: dict[str, Any], number: int, answers: int = 0) -> bytes:
    """Return a message with a document: flags, and one section of the kind 0."""
    body = struct.pack("<IB", 0, 0) + bson(document)
    return HEAD.pack(HEAD.size + len(body), number, answers, OP_MSG) + body


def take(sock):
    """Receive a message (use with `yield from`). Returns its number and its document, or None at the end of the stream."""
    head = yield sock.recv_exactly(HEAD.size)
    if len(head) < HEAD.size:
        return None
    length, number, _, _ = HEAD.unpack(head)
    rest = yield sock.recv_exactly(length - HEAD.size)
    return number, read(rest, 5)
