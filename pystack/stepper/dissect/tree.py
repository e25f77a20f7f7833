"""What a dissection is: a tree of nodes, each with its place in the frame to the bit, and the hex view with one marked."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: the abbreviation of a node that says what is wrong (Wireshark's name for it)
MALFORMED = "_ws.malformed"


@dataclass(slots=True)
class Node:
    """A header, a field, or a part of one.

    abbrev       Wireshark's filter name, such as "tcp.flags.syn"
    offset_bits  from the frame's first bit; the most significant bit of a byte comes first, as RFCs draw it
    value        the bits as a number, or the bytes of a payload, a cookie and the like
    text         the value as people read it
    meaning      what it says, in words
    """

    name: str
    abbrev: str
    offset_bits: int
    width_bits: int
    value: int | bytes
    text: str = ""
    meaning: str = ""
    children: list["Node"] = field(default_factory=list)

    @property
    def offset(self) -> int:
        """The first byte that holds a bit of it."""
        return self.offset_bits // 8

    @property
    def end(self) -> int:
        """One past the last byte that holds a bit of it."""
        return -(-(self.offset_bits + self.width_bits) // 8)

    @property
    def size(self) -> int:
        """The number of bytes that hold it."""
        return self.end - self.offset

    @property
    def line(self) -> str:
        """Name and text in one line."""
        return f"{self.name}: {self.text}" if self.text else self.name

    @property
    def bits(self) -> str:
        """The place in the way of Wireshark: "..0. ...." for a part of a byte, "" for whole bytes."""
        if self.width_bits == 0 or (self.offset_bits % 8 == 0 and self.width_bits % 8 == 0):
            return ""
        assert isinstance(self.value, int)
        before = self.offset_bits % 8
        after = self.size * 8 - before - self.width_bits
        text = "." * before + f"{self.value:0{self.width_bits}b}" + "." * after
        return " ".join(text[n : n + 4] for n in range(0, len(text), 4))

    def walk(self) -> Iterator["Node"]:
        """Itself and all below, in the frame's order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; bytes as hex."""
        value = self.value.hex() if isinstance(self.value, bytes) else self.value
        return {
            "name": self.name, "abbrev": self.abbrev, "offset_bits": self.offset_bits, "width_bits": self.width_bits,
            "value": value, "text": self.text, "meaning": self.meaning, "bits": self.bits,
            "children": [child.to_dict() for child in self.children],
        }  # fmt: skip


@dataclass(slots=True)
class Tree:
    """A dissected frame: one node a protocol, from the outside in."""

    data: bytes
    layers: list[Node] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """All nodes."""
        for layer in self.layers:
            yield from layer.walk()

    def find(self, abbrev: str) -> Node | None:
        """The first node of this filter name."""
        return next((node for node in self.walk() if node.abbrev == abbrev), None)

    def find_all(self, abbrev: str) -> list[Node]:
        """All nodes of this filter name."""
        return [node for node in self.walk() if node.abbrev == abbrev]

    def at(self, byte: int) -> Node | None:
        """The smallest node that holds this byte."""
        holding = [node for node in self.walk() if node.offset <= byte < node.end]
        return min(holding, key=lambda node: node.width_bits, default=None)

    def errors(self) -> list[Node]:
        """The nodes that say what is wrong."""
        return self.find_all(MALFORMED)

    def lines(self) -> list[str]:
        """The tree as indented text."""
        found: list[str] = []
        for layer in self.layers:
            _lines(layer, 0, found)
        return found

    def to_list(self) -> list[dict[str, Any]]:
        """JSON-able."""
        return [layer.to_dict() for layer in self.layers]


def _lines(node: Node, depth: int, found: list[str]) -> None:
    place = f"{node.bits} = " if node.bits else ""
    meaning = f"  ({node.meaning})" if node.meaning else ""
    found.append("    " * depth + place + node.line + meaning)
    for child in node.children:
        _lines(child, depth + 1, found)


@dataclass(frozen=True, slots=True)
class Cell:
    """One byte of the hex view. `mark` has the bits of it that belong to the chosen field: 0 none, 255 all."""

    offset: int
    value: int
    mark: int

    @property
    def hex(self) -> str:
        """Two digits."""
        return f"{self.value:02x}"

    @property
    def char(self) -> str:
        """The character, or a dot."""
        return chr(self.value) if 32 <= self.value < 127 else "."


def hex_rows(data: bytes, node: Node | None = None, width: int = 16) -> list[list[Cell]]:
    """The bytes in rows of `width`, those of `node` marked to the bit."""
    first, last = (node.offset_bits, node.offset_bits + node.width_bits) if node is not None else (0, 0)
    return [
        [Cell(at, data[at], _mark(at * 8, first, last)) for at in range(row, min(row + width, len(data)))]
        for row in range(0, len(data), width)
    ]


def _mark(bit: int, first: int, last: int) -> int:
    before, after = max(first - bit, 0), max(bit + 8 - last, 0)
    if before + after >= 8:
        return 0
    return 0xFF >> before & 0xFF << after & 0xFF


def hex_text(data: bytes, node: Node | None = None, width: int = 16) -> str:
    """The same as text, the node's bytes in brackets: for terminals without colours, and for tests."""
    lines = []
    for row in hex_rows(data, node, width):
        text, was = "", False
        for cell in row:
            now = cell.mark != 0
            text += ("[" if now and not was else "]" if was and not now else " ") + cell.hex
            was = now
        text += "]" if was else " "
        lines.append(f"{row[0].offset:04x} {text:<{width * 3 + 1}}  " + "".join(cell.char for cell in row))
    return "\n".join(lines)
