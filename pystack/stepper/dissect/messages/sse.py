"""Server-sent events (the HTML standard, section 9.2): events in the body of an answer, whose pieces end anywhere."""

from collections import deque
from typing import NamedTuple

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.messages.base import KEPT, MOST_FIELDS, StreamMessage, quoted, words
from pystack.stepper.dissect.tree import Node

NAMES = ("event", "data", "id", "retry")
#: Wireshark shows such a body as lines of text, and has no names for the fields
PROTOCOL = "data-text-lines"


class _Line(NamedTuple):
    """A line of an event: its places in the stream, with its end, and its text without it."""

    start: int
    end: int
    text: bytes


class EventStream:
    """The events of one body. Chunks may lie between its bytes, so each byte's place in the stream is kept."""

    def __init__(self, way: int):
        self.way = way
        self.held = bytearray()
        self.spans: deque[tuple[int, int]] = deque()  # (place in the body, place in the stream), for each piece
        self.base = 0  # the place in the body of the first byte that is held
        self.seen = 0  # where to look for the next end of a line, from the first byte that is held
        self.lines: list[_Line] = []
        self.size = 0
        self.first = True
        self.skipping = False

    def take(self, data: bytes, place: int) -> list[StreamMessage]:
        """Take a piece of the body, which begins at this place in the stream. Return the events that it completes."""
        self.spans.append((self.base + len(self.held), place))
        self.held += data
        found: list[StreamMessage] = []
        while True:
            line = self._line()
            if line is None:
                break
            if not line.text:
                if self.lines:
                    found.append(self._event(line.end))
                self.lines, self.size = [], 0
            elif self.size + len(line.text) <= KEPT:
                self.lines.append(line)
                self.size += len(line.text) + 1
        if len(self.held) > KEPT:  # a line without an end is not kept
            self._drop(len(self.held))
            self.seen = 0
            self.skipping = True
        return found

    def _line(self) -> "_Line | None":
        """Take the next line. It ends with CR LF, LF or CR."""
        held = self.held
        stop = next((at for at in range(self.seen, len(held)) if held[at] in b"\r\n"), -1)
        if stop < 0 or (held[stop] == 13 and stop + 1 == len(held)):
            self.seen = max(stop, 0) if stop >= 0 else len(held)
            return None
        end = stop + (2 if held[stop : stop + 2] == b"\r\n" else 1)
        text = bytes(held[:stop])
        if self.first and text.startswith(b"\xef\xbb\xbf"):
            text = text[3:]
        self.first = False
        line = _Line(self._place(0), self._place(end - 1) + 1, b"(too long)" if self.skipping else text)
        self.skipping = False
        self._drop(end)
        self.seen = 0
        return line

    def _place(self, at: int) -> int:
        """Return the place in the stream of a byte that is held."""
        body = self.base + at
        first, place = next(span for span in reversed(self.spans) if span[0] <= body)
        return place + body - first

    def _drop(self, size: int) -> None:
        del self.held[:size]
        self.base += size
        while len(self.spans) > 1 and self.spans[1][0] <= self.base:
            self.spans.popleft()

    def _event(self, end: int) -> StreamMessage:
        start = self.lines[0].start
        nodes: list[Node] = []
        values: dict[str, list[bytes]] = {name: [] for name in NAMES}
        comments = 0
        for line in self.lines:
            name, colon, value = line.text.partition(b":")
            value = value.removeprefix(b" ")
            known = name.decode("latin-1") if name.decode("latin-1") in NAMES else ""
            comments += not name
            if known:
                values[known].append(value)
            if len(nodes) < MOST_FIELDS:
                meaning = "" if known else "a comment" if not name else "ignored, because no such field exists"
                place, width = (line.start - start) * 8, (line.end - line.start) * 8
                nodes.append(Node(known or words(name) or "Comment", "", place, width, value, words(value), meaning))
        last = self.lines[-1].end
        nodes.append(Node("End of the event", "", (last - start) * 8, (end - last) * 8, b"", "", "an empty line"))
        return StreamMessage(PROTOCOL, "SSE", _text(values, comments, nodes), nodes, start, end, self.way)


def _text(values: dict[str, list[bytes]], comments: int, nodes: list[Node]) -> str:
    """Return an event in a few words. Without data, nothing is delivered to the page's program."""
    data = b"\n".join(values["data"])
    parts = ["event" + (f" {words(values['event'][-1], 40)}" if values["event"] else "")]
    if values["id"] and values["id"][-1]:
        parts.append(f"id {words(values['id'][-1], 40)}")
    if values["retry"]:
        value = values["retry"][-1]
        parts.append(f"retry {words(value, 20)}" + (" ms" if value.isdigit() else ", which is no number"))
        if not value.isdigit():
            nodes.append(t.note("retry has digits only, so this line is ignored", nodes[-1].end, nodes[-1].end))
    if values["data"]:
        return ", ".join(parts) + f": {quoted(data)}"
    if comments and not any(values.values()):
        return "comment"
    return ", ".join(parts) + ", without data"
