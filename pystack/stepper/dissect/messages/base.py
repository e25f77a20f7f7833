"""What the protocols above TCP have in common: a message, its fields, and the bytes of one side of a connection."""

from dataclasses import dataclass, field
from typing import NamedTuple

from pystack.stepper.dissect.layout import note, preview, wrong
from pystack.stepper.dissect.tree import Node

#: how many bytes of a message most protocols need. The rest is counted only
KEPT = 64 << 10
#: the most fields that a message shows, and the most letters of a text in its line
MOST_FIELDS, MOST_LETTERS = 200, 80


class Bad(Exception):
    """The bytes of one side are not what the protocol requires, so its next message cannot be found."""


@dataclass(slots=True)
class StreamMessage:
    """A message of a program.

    protocol    Wireshark's name for its protocol, such as "http2"; title: the name for readers
    text        the message in a few words
    nodes       its fields; their places are counted from the first byte of the message
    start, end  its place among the bytes of its side of the connection
    way         0: from the client (the end that sent first); 1: from the server
    """

    protocol: str
    title: str
    text: str
    nodes: list[Node] = field(default_factory=list)
    start: int = 0
    end: int = 0
    way: int = 0
    #: the index of the frame in which the message could be read
    known: int = -1

    @property
    def line(self) -> str:
        """Return the message in one line."""
        return self.text if self.text.startswith(self.title) else f"{self.title} {self.text}"


class StreamPiece(NamedTuple):
    """The bytes of one message. `data` has the first ones of its `size` bytes; `start` is its place in the stream."""

    way: int
    data: bytes
    size: int
    start: int

    def message(self, protocol: str, title: str, text: str, nodes: list[Node]) -> StreamMessage:
        """Return the message that fills this piece."""
        if self.size > len(self.data):
            nodes.append(note(f"{self.size - len(self.data)} more bytes are not shown", len(self.data), len(self.data)))
        return StreamMessage(protocol, title, text, nodes, self.start, self.start + self.size, self.way)


class StreamParser:
    """One connection's protocol. `client` is the way of the end that acts as the client."""

    #: Wireshark's name for the protocol
    protocol = ""
    title = ""
    #: how many bytes of a message are kept
    kept = KEPT

    def __init__(self, client: int = 0):
        self.client = client
        #: the protocol that the connection goes on with, after an upgrade
        self.becomes: StreamParser | None = None

    def size(self, way: int, data: bytearray) -> int:
        """Return the size of the message that these bytes begin with, or 0 if more bytes are needed to know it."""
        raise NotImplementedError

    def read(self, piece: StreamPiece) -> list[StreamMessage]:
        """Return the messages of a piece that `size` has measured."""
        raise NotImplementedError


class FieldReader:
    """Collects the fields of a message from left to right. It never reads past the end."""

    def __init__(self, data: bytes, at: int = 0, end: int = -1):
        self.data = data
        self.at = at
        self.end = len(data) if end < 0 else min(end, len(data))
        self.nodes: list[Node] = []
        #: True if the bytes ended inside a field, or there were more fields than are shown
        self.short = False

    @property
    def left(self) -> int:
        """The number of bytes that are not read yet."""
        return self.end - self.at

    def _add(self, node: Node) -> None:
        if len(self.nodes) < MOST_FIELDS:
            self.nodes.append(node)
        elif len(self.nodes) == MOST_FIELDS:
            self.nodes.append(note("more fields are not shown", node.offset, self.end))

    def number(self, size: int, abbrev: str, name: str, meaning: str = "", signed: bool = False) -> int:
        """Read a number whose highest byte comes first. It is 0 if the bytes end before."""
        if self.left < size:
            self.cut(name)
            return 0
        piece = self.data[self.at : self.at + size]
        value = int.from_bytes(piece, "big")
        shown = int.from_bytes(piece, "big", signed=signed)
        self._add(Node(name, abbrev, self.at * 8, size * 8, value, str(shown), meaning))
        self.at += size
        return shown

    def little(self, size: int, abbrev: str, name: str, meaning: str = "", signed: bool = True) -> int:
        """Read a number whose lowest byte comes first."""
        if self.left < size:
            self.cut(name)
            return 0
        piece = self.data[self.at : self.at + size]
        value = int.from_bytes(piece, "little", signed=signed)
        self._add(Node(name, abbrev, self.at * 8, size * 8, piece, str(value), meaning))
        self.at += size
        return value

    def cstring(self, abbrev: str, name: str, meaning: str = "") -> str:
        """Read a text that ends with a zero byte."""
        stop = self.data.find(0, self.at, self.end)
        if stop < 0:
            self.cut(name)
            return ""
        text = words(self.data[self.at : stop])
        self._add(
            Node(name, abbrev, self.at * 8, (stop + 1 - self.at) * 8, self.data[self.at : stop + 1], text, meaning)
        )
        self.at = stop + 1
        return text

    def raw(self, size: int, abbrev: str, name: str, text: str = "", meaning: str = "") -> bytes:
        """Read bytes, as many as there are up to `size`."""
        size = max(min(size, self.left), 0)
        piece = self.data[self.at : self.at + size]
        self._add(Node(name, abbrev, self.at * 8, size * 8, piece, text or preview(piece), meaning))
        self.at += size
        return piece

    def group(self, name: str, abbrev: str, start: int, first: int, text: str = "") -> None:
        """Put the fields from the number `first` on into a node of their own, which begins at byte `start`."""
        children = self.nodes[first:]
        del self.nodes[first:]
        self._add(Node(name, abbrev, start * 8, (self.at - start) * 8, b"", text, "", children))

    def say(self, text: str) -> None:
        """Say in words what the fields read so far mean."""
        if self.nodes:
            self.nodes[-1].meaning = text

    def cut(self, name: str) -> None:
        """Note that the bytes end inside a field."""
        if not self.short:
            self.nodes.append(wrong(f"the message ends inside the field {name.lower()}", self.at, self.end))
        self.short = True
        self.at = self.end

    def rest(self, abbrev: str = "", name: str = "Data") -> None:
        """Add what is left as bytes."""
        if self.left:
            self.raw(self.left, abbrev, name)


def bits(data: bytes, at: int, first: int, width: int, abbrev: str, name: str, meaning: str = "") -> Node:
    """Return a node for a part of the byte `at`, beginning at its bit `first` (0 is the highest)."""
    value = data[at] >> (8 - first - width) & ((1 << width) - 1)
    text = str(value) if width > 1 else "set" if value else "not set"
    return Node(name, abbrev, at * 8 + first, width, value, text, meaning)


def words(piece: bytes, room: int = 200) -> str:
    """Return bytes as text in one line. What cannot be printed is a dot."""
    text = piece[: room * 4].decode("utf-8", "replace")
    shown = "".join(char if char.isprintable() and char != "\ufffd" else "·" for char in text[:room])
    return shown + ("..." if len(text) > room or len(piece) > room * 4 else "")


def quoted(piece: bytes) -> str:
    """Return bytes for a message's line: text in quotes, or their number."""
    if not piece:
        return '""'
    try:
        text = piece[:MOST_LETTERS].decode("utf-8", "ignore")
        piece.decode("utf-8")
    except UnicodeDecodeError:
        return size_text(len(piece))
    if not all(char.isprintable() or char in "\r\n\t" for char in text):
        return size_text(len(piece))
    text = "".join(char if char.isprintable() else " " for char in text)
    return f'"{text}{"..." if len(piece) > MOST_LETTERS else ""}"'


def size_text(size: int) -> str:
    """Return a number of bytes in words."""
    return f"{size} byte" + ("" if size == 1 else "s")
