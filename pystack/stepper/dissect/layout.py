"""Headers as construct declarations, parsed bit by bit. Each field is reported with its place.

A header is a `construct.Struct` of `field(...)` and `group(...)`. `read` parses it and returns nodes. If the bytes end
inside the header, it raises `Truncated` with the nodes that are there.
"""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import construct as c
from construct.lib import bytes2bits

from pystack.stepper.dissect.tree import MALFORMED, Node
from pystack.trace.headers import address_text
from pystack_c.wire import checksum

Show = Callable[[int], str]
#: the headers of a quoted packet
QUOTED = ("ip", "ipv6", "tcp", "udp", "icmp", "icmpv6")


class Above(NamedTuple):
    """What a transport header needs to know about the packet around it."""

    pseudo: int  # the sum of the pseudo-header
    cut: bool  # not all of the packet is here, because an ICMP error quotes it or the capture was truncated
    fragment: bool  # the first of several fragments
    missing: int  # the number of its bytes that are not here
    #: dissects an IP packet that this one quotes: (data, base, end) -> its nodes, and where it ends
    quoted: "Callable[[bytes, int, int], tuple[list[Node], int]]"
    version: int = 4  # of IP
    depth: int = 0  # the number of tunnels that the packet is in

    @property
    def whole(self) -> bool:
        """True if everything that the checksum covers is here."""
        return not (self.cut or self.fragment)

    @property
    def why(self) -> str:
        """The reason why the checksum cannot be checked."""
        return "cannot be checked: " + (
            "the rest is in other fragments" if self.fragment else "the packet is not complete here"
        )


class Truncated(Exception):
    """The bytes end inside this header. `nodes` are the fields that are there."""

    def __init__(self, nodes: list[Node], missing: str):
        super().__init__(missing)
        self.nodes = nodes
        self.missing = missing


class Reader:
    """Collects the fields of one header while construct parses it."""

    def __init__(self, data: bytes, base: int, length: int):
        self.base = base * 8
        self.total = length * 8
        self.number = int.from_bytes(data[base : base + length], "big")
        self.open: list[list[Node]] = [[]]
        self.asked = ""

    def value(self, start: int, stop: int) -> int:
        """Return the bits from `start` to `stop` of the header as a number."""
        return self.number >> (self.total - stop) & ((1 << (stop - start)) - 1)


class BitsRead(c.Subconstruct):  # type: ignore[misc]
    """A construct that reports the place of its value to the reader."""

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
            # This also runs if the bytes end in the middle. Then only a group that has some of its fields is reported.
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
    """Declare a field of `width` bits (a number, or a function of the fields before it). `key` is its name in
    construct.
    """
    return (key or abbrev.replace(".", "_")) / BitsRead(c.BitsInteger(width), abbrev, name, text, meaning)


def group(abbrev: str, name: str, *fields: Any, text: Show = hex, meaning: str | Show = "") -> Any:
    """Declare fields that belong together as one."""
    return abbrev.replace(".", "_") / BitsRead(c.Struct(*fields), abbrev, name, text, meaning)


def read(struct: Any, data: bytes, base: int, end: int) -> list[Node]:
    """Parse a header at byte `base`. The bytes for it end at `end`. Truncated is raised if they end too early."""
    length = max(end - base, 0)
    reader = Reader(data, base, length)
    try:
        struct.parse_stream(io.BytesIO(bytes2bits(data[base:end])), reader=reader)
    except c.ConstructError:
        raise Truncated(reader.open[0], reader.asked) from None
    return reader.open[0]


def header(name: str, abbrev: str, nodes: list[Node], base: int, end: int, text: str = "") -> Node:
    """Return a protocol's own node around its fields."""
    return Node(name, abbrev, base * 8, (end - base) * 8, b"", text, "", nodes)


def raw(data: bytes, base: int, end: int, abbrev: str, name: str, meaning: str = "") -> Node:
    """Return a node for uninterpreted bytes, such as a payload or a cookie."""
    piece = data[base:end]
    return Node(name, abbrev, base * 8, len(piece) * 8, piece, preview(piece), meaning)


def wrong(what: str, base: int, end: int) -> Node:
    """Return a node that says what is wrong with the bytes from `base` to `end`."""
    return Node("Malformed", MALFORMED, base * 8, max(end - base, 0) * 8, b"", what)


def note(what: str, base: int, end: int) -> Node:
    """Return a node with a remark about a place that has no error."""
    return Node("Note", "", base * 8, max(end - base, 0) * 8, b"", what)


def ends_early(cut: Truncated, above: Above, base: int, end: int) -> Node:
    """Return the node for a transport header that is not complete. An ICMP error may quote as little as 8 bytes (RFC
    792).
    """
    at = cut.nodes[-1].end if cut.nodes else base
    missing = cut.missing.lower()
    if above.cut:
        return note(f"ends before the {missing}: the quote or the capture holds only the start of the packet", at, end)
    return wrong(f"the packet ends before the {missing} is complete", at, end)


def ip_ends_early(cut: Truncated, name: str, abbrev: str, base: int, end: int) -> Node:
    """Return the header of an IP packet that is not complete."""
    at = cut.nodes[-1].end if cut.nodes else base
    what = f"the packet ends before the {cut.missing[0].lower()}{cut.missing[1:]} is complete"
    return header(name, abbrev, [*cut.nodes, wrong(what, at, end)], base, end)


def call_quoted(nodes: list[Node]) -> None:
    """Mark the headers of a packet that an ICMP error quotes in their names."""
    for node in nodes:
        if node.abbrev in QUOTED:
            node.name = f"Quoted {node.name}"


def checksum_text(
    data: bytes, base: int, end: int, value: int, pseudo: int, over: str = "pseudo-header, header and data"
) -> str:
    """Say whether the checksum `value`, which is somewhere in these bytes, is right."""
    right = checksum.checksum(data, base, end, checksum.add(pseudo, value ^ 0xFFFF))
    if value == right or {value, right} == {0, 0xFFFF}:
        return f"correct, over {over} (RFC 1071)"
    if pseudo and value == pseudo:
        return "only the sum of the pseudo-header: the device adds the rest (checksum offload)"
    return f"WRONG: {right:#06x} would be correct, over {over} (RFC 1071)"


def preview(piece: bytes, room: int = 32) -> str:
    """Describe bytes in a few words: as text if they are text, else in hex."""
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
    """Show 0x and this many hex digits."""
    return lambda value: f"0x{value:0{digits}x}"


def address(value: int) -> str:
    """Show a dotted quad."""
    return ".".join(str(byte) for byte in value.to_bytes(4, "big"))


def address6(value: int) -> str:
    """Show an IPv6 address."""
    return address_text(value.to_bytes(16, "big"))


def mac(value: int) -> str:
    """Show a MAC address with colons."""
    return value.to_bytes(6, "big").hex(":")


def flag(value: int) -> str:
    """Show one bit."""
    return "set" if value else "not set"


def named(names: dict[int, str], digits: int = 0, otherwise: str = "unknown") -> Show:
    """Show a name from a table, and the number."""
    return lambda value: f"{names.get(value, otherwise)} ({hexa(digits)(value) if digits else value})"


def if_set(yes: str, no: str = "") -> Show:
    """Return the meaning of a bit for each of its values."""
    return lambda value: yes if value else no
