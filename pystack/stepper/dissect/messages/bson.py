"""BSON (bsonspec.org) as fields with their places. The package of that name gives values without places, so it is not used here."""

import struct
from datetime import UTC, datetime, timedelta

from pystack.stepper.dissect.messages.base import quoted, words
from pystack.stepper.dissect.tree import Node

TYPES = {
    0x01: "Double", 0x02: "String", 0x03: "Document", 0x04: "Array", 0x05: "Binary", 0x06: "Undefined",
    0x07: "ObjectID", 0x08: "Boolean", 0x09: "Datetime", 0x0A: "Null", 0x0B: "Regular expression", 0x0C: "DBPointer",
    0x0D: "JavaScript code", 0x0E: "Symbol", 0x0F: "JavaScript code with scope", 0x10: "Int32", 0x11: "Timestamp",
    0x12: "Int64", 0x13: "Decimal128", 0x7F: "Max key", 0xFF: "Min key",
}  # fmt: skip
#: the bytes of values of a fixed size, and Wireshark's name of the value
FIXED = {
    0x01: (8, "double"), 0x06: (0, ""), 0x07: (12, "objectid"), 0x08: (1, "bool"), 0x09: (8, "int64"), 0x0A: (0, ""),
    0x10: (4, "int"), 0x11: (8, "int64"), 0x12: (8, "int64"), 0x13: (16, "decimal128"), 0x7F: (0, ""), 0xFF: (0, ""),
}  # fmt: skip
STRINGS = (0x02, 0x0D, 0x0E)
#: how deep documents are followed, and how many elements of one message become fields
DEEPEST, MOST_ELEMENTS = 10, 60


class Damaged(Exception):
    """The bytes are no BSON."""


class Document:
    """A document: its node, and the first elements of its top level by name, each with its value's text."""

    def __init__(self, data: bytes, at: int, end: int):
        """Read the document at byte `at`. Damaged is raised if it is none, or does not end before `end`."""
        self.data = data
        self.count = 0  # the elements that became fields
        self.top: dict[str, str] = {}
        self.paths: dict[str, str] = {}
        self.node = self._document(at, end, 0, "Document", "")
        self.end = self.node.end

    def _document(self, at: int, end: int, depth: int, name: str, path: str) -> Node:
        stop = at + document_size(self.data, at, end)
        length = Node("Document length", "mongo.document.length", at * 8, 32, self.data[at : at + 4], str(stop - at))
        node = Node(name, "mongo.document" if not depth else "", at * 8, (stop - at) * 8, b"", "", "", [length])
        if depth >= DEEPEST:
            node.text = "deeper documents are not shown"
            return node
        place, last, number = at + 4, stop - 1, 0
        if self.data[last] != 0:
            raise Damaged("a document does not end with a zero byte")
        while place < last:
            place = self._element(node, place, last, depth, path)
            number += 1
        node.text = "empty" if not number else f"{number} element" + ("s" if number > 1 else "")
        return node

    def _element(self, parent: Node, at: int, end: int, depth: int, path: str) -> int:
        data = self.data
        kind = data[at]
        stop = data.find(0, at + 1, end)
        if stop < 0 or kind not in TYPES:
            raise Damaged(
                "the name of an element does not end" if stop >= 0 else f"no element has the type {kind:#04x}"
            )
        name = words(data[at + 1 : stop])
        self.count += 1
        shown = self.count <= MOST_ELEMENTS
        parts = [
            Node("Type", "mongo.element.type", at * 8, 8, kind, f"{TYPES[kind]} ({kind:#04x})"),
            Node("Element", "mongo.element.name", (at + 1) * 8, (stop - at - 1) * 8, data[at + 1 : stop], name),
        ]
        full = f"{path}.{name}" if path else name
        if kind in (0x03, 0x04):
            size = document_size(data, stop + 1, end)
            last, text = stop + 1 + size, ""
            if shown:
                inner = self._document(stop + 1, end, depth + 1, "Value", full)
                parts.append(inner)
                text = f"{'array' if kind == 0x04 else 'document'}, {inner.text}"
        else:
            last, text = self._value(parts, kind, stop + 1, end)
        if last > end:
            raise Damaged(f"the value of {name} is longer than the document")
        if depth == 0 and len(self.top) < MOST_ELEMENTS:
            self.top.setdefault(name, text)
        if depth == 1 and len(self.paths) < MOST_ELEMENTS:
            self.paths.setdefault(full, text)
        if shown:
            parent.children.append(Node(name, "", at * 8, (last - at) * 8, b"", text, "", parts))
        return last

    def _value(self, parts: list[Node], kind: int, at: int, end: int) -> tuple[int, str]:
        """Add the parts of a value. Return where it ends, and its text."""
        data = self.data
        if kind in FIXED:
            size, name = FIXED[kind]
            if at + size > end:
                raise Damaged("a value is longer than its document")
            piece = data[at : at + size]
            text = _fixed(kind, piece)
            if size:
                parts.append(Node("Value", f"mongo.element.value.{name}", at * 8, size * 8, piece, text))
            return at + size, text
        if kind == 0x0B:
            middle = data.find(0, at, end)
            last = data.find(0, middle + 1, end) if middle >= 0 else -1
            if last < 0:
                raise Damaged("a regular expression does not end")
            for name, first, stop in (("pattern", at, middle + 1), ("options", middle + 1, last + 1)):
                text = words(data[first : stop - 1])
                abbrev = f"mongo.element.value.regex.{name}"
                parts.append(Node(name.capitalize(), abbrev, first * 8, (stop - first) * 8, data[first:stop], text))
            return last + 1, words(data[at:middle])
        if at + 4 > end:
            raise Damaged("a length is longer than its document")
        (length,) = struct.unpack_from("<i", data, at)
        parts.append(Node("Length", "mongo.element.value.length", at * 8, 32, data[at : at + 4], str(length)))
        size = 4 + length + {0x05: 1, 0x0C: 12, 0x0F: -4}.get(kind, 0)
        if length < (0 if kind == 0x05 else 5 if kind == 0x0F else 1) or at + size > end:
            raise Damaged(f"a value of {length} bytes is longer than its document")
        start = at + 4
        if kind in STRINGS:
            text = quoted(data[start : at + size - 1])
            whole = words(data[start : at + size - 1])
            parts.append(
                Node("Value", "mongo.element.value.string", start * 8, length * 8, data[start : at + size], whole)
            )
            return at + size, text
        if kind == 0x05:
            parts.append(Node("Subtype", "", start * 8, 8, data[start], str(data[start])))
            start += 1
        piece = data[start : at + size]
        if piece:
            parts.append(Node("Value", "mongo.element.value.bytes", start * 8, len(piece) * 8, piece, piece[:32].hex()))
        return at + size, f"{len(piece)} bytes"


def document_size(data: bytes, at: int, end: int) -> int:
    """Return the size of the document at byte `at`. Damaged is raised if it does not fit before `end`."""
    if at + 5 > end:
        raise Damaged("a document has at least 5 bytes")
    size = int.from_bytes(data[at : at + 4], "little")
    if size < 5 or at + size > end:
        raise Damaged(f"a document of {size} bytes does not fit")
    return size


def _fixed(kind: int, piece: bytes) -> str:
    """Return a value of a fixed size as text."""
    if kind == 0x01:
        return f"{struct.unpack('<d', piece)[0]!r}"
    if kind == 0x08:
        return "false" if piece == b"\0" else "true"
    if kind == 0x09:
        milliseconds = int.from_bytes(piece, "little", signed=True)
        try:
            return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).isoformat()
        except OverflowError:
            return str(milliseconds)
    if kind in (0x10, 0x12):
        return str(int.from_bytes(piece, "little", signed=True))
    if kind == 0x11:
        return f"{int.from_bytes(piece[4:], 'little')}, {int.from_bytes(piece[:4], 'little')}"
    return piece.hex() if piece else TYPES[kind].lower()
