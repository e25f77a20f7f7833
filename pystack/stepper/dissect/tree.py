"""The result of a dissection: a tree of nodes, each with its exact place in bits, and the hex view with one node
marked.
"""

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
    text         the value in the usual notation
    meaning      the meaning of the value, in words
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
        """The first byte that holds one of its bits."""
        return self.offset_bits // 8

    @property
    def end(self) -> int:
        """One past the last byte that holds one of its bits."""
        return -(-(self.offset_bits + self.width_bits) // 8)

    @property
    def size(self) -> int:
        """The number of bytes that hold it."""
        return self.end - self.offset

    @property
    def line(self) -> str:
        """Return name and text in one line."""
        return f"{self.name}: {self.text}" if self.text else self.name

    @property
    def bits(self) -> str:
        """The place as Wireshark shows it: "..0. ...." for a part of a byte, "" for whole bytes."""
        if self.width_bits == 0 or (self.offset_bits % 8 == 0 and self.width_bits % 8 == 0):
            return ""
        assert isinstance(self.value, int)
        before = self.offset_bits % 8
        after = self.size * 8 - before - self.width_bits
        text = "." * before + f"{self.value:0{self.width_bits}b}" + "." * after
        return " ".join(text[n : n + 4] for n in range(0, len(text), 4))

    def walk(self) -> Iterator["Node"]:
        """Yield the node and all nodes below it, in the frame's order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def to_dict(self) -> dict[str, Any]:
        """Return a dict fit for JSON, with bytes as hex."""
        value = self.value.hex() if isinstance(self.value, bytes) else self.value
        return {
            "name": self.name, "abbrev": self.abbrev, "offset_bits": self.offset_bits, "width_bits": self.width_bits,
            "value": value, "text": self.text, "meaning": self.meaning, "bits": self.bits,
            "children": [child.to_dict() for child in self.children],
        }  # fmt: skip


@dataclass(slots=True)
class Tree:
    """A dissected frame: one node per protocol, from the outside in."""

    data: bytes
    layers: list[Node] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """Yield all nodes."""
        for layer in self.layers:
            yield from layer.walk()

    def find(self, abbrev: str) -> Node | None:
        """Return the first node with this filter name, or None."""
        return next((node for node in self.walk() if node.abbrev == abbrev), None)

    def find_all(self, abbrev: str) -> list[Node]:
        """Return all nodes with this filter name."""
        return [node for node in self.walk() if node.abbrev == abbrev]

    def at(self, byte: int) -> Node | None:
        """Return the smallest node that holds this byte, or None."""
        holding = [node for node in self.walk() if node.offset <= byte < node.end]
        return min(holding, key=lambda node: node.width_bits, default=None)

    def errors(self) -> list[Node]:
        """Return the nodes that say what is wrong."""
        return self.find_all(MALFORMED)

    def lines(self) -> list[str]:
        """Return the tree as indented text."""
        found: list[str] = []
        for layer in self.layers:
            _lines(layer, 0, found)
        return found

    def to_list(self) -> list[dict[str, Any]]:
        """Return a list fit for JSON."""
        return [layer.to_dict() for layer in self.layers]


def _lines(node: Node, depth: int, found: list[str]) -> None:
    place = f"{node.bits} = " if node.bits else ""
    meaning = f"  ({node.meaning})" if node.meaning else ""
    found.append("    " * depth + place + node.line + meaning)
    for child in node.children:
        _lines(child, depth + 1, found)


@dataclass(frozen=True, slots=True)
class Cell:
    """One byte of the hex view. `mark` has the bits that belong to the chosen field: 0 for none, 255 for all."""

    offset: int
    value: int
    mark: int

    @property
    def hex(self) -> str:
        """Two hex digits."""
        return f"{self.value:02x}"

    @property
    def char(self) -> str:
        """The character, or a dot if it cannot be printed."""
        return chr(self.value) if 32 <= self.value < 127 else "."


def hex_rows(data: bytes, node: Node | None = None, width: int = 16) -> list[list[Cell]]:
    """Return the bytes in rows of `width`, with those of `node` marked to the bit."""
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
    """Return the same as text, with the node's bytes in brackets: for terminals without colours, and for tests."""
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
