"""Headers as construct declarations, parsed bit by bit, each field reported with the place that it came from.

A header is a `construct.Struct` of `field(...)` and `group(...)`; `read` parses it and gives nodes. What is cut off gives
the nodes that are there and `Truncated`.
"""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import construct as c
from construct.lib import bytes2bits

from pystack.stepper.dissect.tree import MALFORMED, Node
from pystack_c.wire import checksum

Show = Callable[[int], str]


class Above(NamedTuple):
    """What a transport header needs to know of the packet around it."""

    pseudo: int  # the sum of the pseudo-header
    cut: bool  # not all of the packet is here: a quote in an ICMP error, or a truncated capture
    fragment: bool  # the first of several fragments
    missing: int  # so many bytes of it are not here
    #: dissects an IP packet that this one quotes: (data, base, end) -> its nodes, and where it ends
    quoted: "Callable[[bytes, int, int], tuple[list[Node], int]]"

    @property
    def whole(self) -> bool:
        """All that the checksum covers is here."""
        return not (self.cut or self.fragment)

    @property
    def why(self) -> str:
        """Why the checksum cannot be checked."""
        return "cannot be checked: " + ("the rest is in other fragments" if self.fragment else "not all of it is here")


class Truncated(Exception):
    """The bytes end inside this header; `nodes` are the fields that are there."""

    def __init__(self, nodes: list[Node], missing: str):
        super().__init__(missing)
        self.nodes = nodes
        self.missing = missing


class Reader:
    """Takes down the fields of one header while construct parses it."""

    def __init__(self, data: bytes, base: int, length: int):
        self.base = base * 8
        self.total = length * 8
        self.number = int.from_bytes(data[base : base + length], "big")
        self.open: list[list[Node]] = [[]]
        self.asked = ""

    def value(self, start: int, stop: int) -> int:
        """The bits from `start` to `stop` of the header as a number."""
        return self.number >> (self.total - stop) & ((1 << (stop - start)) - 1)


class BitsRead(c.Subconstruct):  # type: ignore[misc]
    """A construct that tells the reader where its value stood."""

    def __init__(self, subcon: Any, abbrev: str, name: str, text: Show, meaning: str | Show):
        super().__init__(subcon)
        self.abbrev = abbrev
        self.title = name
        self.text = text
        self.meaning = meaning

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        reader: Reader = context._params.reader
        start = stream.tell()
        reader.asked = self.title
        reader.open.append([])
        try:
            return self.subcon._parsereport(stream, context, path)
        finally:
            # Also when the bytes end in the middle: then only a group of which some fields are there is told.
            children = reader.open.pop()
            stop = min(stream.tell(), reader.total)
            if children:
                stop = children[-1].offset_bits + children[-1].width_bits - reader.base
            if children or (
                stop > start and not isinstance(self.subcon, c.Struct) and self._whole(stop - start, context)
            ):
                reader.open[-1].append(self._node(reader, start, stop, children))

    def _whole(self, width: int, context: Any) -> bool:
        wanted = self.subcon.length
        return bool(width == (wanted(context) if callable(wanted) else wanted))

    def _node(self, reader: Reader, start: int, stop: int, children: list[Node]) -> Node:
        value = reader.value(start, stop)
        meaning = self.meaning if isinstance(self.meaning, str) else self.meaning(value)
        return Node(
            self.title, self.abbrev, reader.base + start, stop - start, value, self.text(value), meaning, children
        )


def field(
    width: Any, abbrev: str, name: str, text: Show = str, meaning: str | Show = "", key: str | None = None
) -> Any:
    """A field of `width` bits (a number, or a function of what was parsed before). `key` is its name in construct."""
    return (key or abbrev.replace(".", "_")) / BitsRead(c.BitsInteger(width), abbrev, name, text, meaning)


def group(abbrev: str, name: str, *fields: Any, text: Show = hex, meaning: str | Show = "") -> Any:
    """Fields that stand together as one."""
    return abbrev.replace(".", "_") / BitsRead(c.Struct(*fields), abbrev, name, text, meaning)


def read(struct: Any, data: bytes, base: int, end: int) -> list[Node]:
    """Parse a header at byte `base`; `end` is where the bytes for it end."""
    length = max(end - base, 0)
    reader = Reader(data, base, length)
    try:
        struct.parse_stream(io.BytesIO(bytes2bits(data[base:end])), reader=reader)
    except c.ConstructError:
        raise Truncated(reader.open[0], reader.asked) from None
    return reader.open[0]


def header(name: str, abbrev: str, nodes: list[Node], base: int, end: int, text: str = "") -> Node:
    """A protocol's own node around its fields."""
    return Node(name, abbrev, base * 8, (end - base) * 8, b"", text, "", nodes)


def raw(data: bytes, base: int, end: int, abbrev: str, name: str, meaning: str = "") -> Node:
    """Bytes as they are: a payload, a cookie."""
    piece = data[base:end]
    return Node(name, abbrev, base * 8, len(piece) * 8, piece, preview(piece), meaning)


def wrong(what: str, base: int, end: int) -> Node:
    """A node that says what is wrong with the bytes from `base` to `end`."""
    return Node("Malformed", MALFORMED, base * 8, max(end - base, 0) * 8, b"", what)


def note(what: str, base: int, end: int) -> Node:
    """A remark about a place, where nothing is wrong."""
    return Node("Note", "", base * 8, max(end - base, 0) * 8, b"", what)


def ends_early(cut: Truncated, above: Above, base: int, end: int) -> Node:
    """What to say where a transport header is not complete: an ICMP error may quote as little as 8 bytes (RFC 792)."""
    at = cut.nodes[-1].end if cut.nodes else base
    missing = cut.missing.lower()
    if above.cut:
        return note(f"ends before the {missing}: not all of the packet is quoted, or was captured", at, end)
    return wrong(f"the packet ends before the {missing} is complete", at, end)


def checksum_text(
    data: bytes, base: int, end: int, value: int, pseudo: int, over: str = "pseudo-header, header and data"
) -> str:
    """Whether the checksum `value`, which is somewhere in these bytes, is right."""
    right = checksum.checksum(data, base, end, checksum.add(pseudo, value ^ 0xFFFF))
    if value == right or {value, right} == {0, 0xFFFF}:
        return f"right, over {over} (RFC 1071)"
    if pseudo and value == pseudo:
        return "only the pseudo-header's sum: the device puts in the rest (checksum offload)"
    return f"WRONG: {right:#06x} would be right, over {over} (RFC 1071)"


def preview(piece: bytes, room: int = 32) -> str:
    """Bytes in a few words: as text where they are text, else in hex."""
    size = f"{len(piece)} byte" + ("" if len(piece) == 1 else "s")
    if not piece:
        return size
    start = piece[:room]
    dots = "..." if len(piece) > room else ""
    if all(32 <= byte < 127 or byte in b"\r\n\t" for byte in start):
        quoted = start.decode("ascii").encode("unicode_escape").decode("ascii")
        return f'{size} "{quoted}{dots}"'
    return f"{size} {start[: room // 2].hex()}" + ("..." if len(piece) > room // 2 else "")


# --- how values are shown -------------------------------------------------------------------------------------------


def hexa(digits: int) -> Show:
    """0x and this many digits."""
    return lambda value: f"0x{value:0{digits}x}"


def address(value: int) -> str:
    """A dotted quad."""
    return ".".join(str(byte) for byte in value.to_bytes(4, "big"))


def mac(value: int) -> str:
    """A MAC address with colons."""
    return value.to_bytes(6, "big").hex(":")


def flag(value: int) -> str:
    """One bit."""
    return "set" if value else "not set"


def named(names: dict[int, str], digits: int = 0, otherwise: str = "unknown") -> Show:
    """A name from a table, and the number."""
    return lambda value: f"{names.get(value, otherwise)} ({hexa(digits)(value) if digits else value})"


def if_set(yes: str, no: str = "") -> Show:
    """The meaning of a bit."""
    return lambda value: yes if value else no
