"""The messages of programs in a recording: each frame's, with the frame's fields, and all in the order in which they can be read.

A message belongs to the frame that has its last byte, as in Wireshark. Frames are read in order, and only as far as a
view has asked, so the beginning of a long recording is shown at once. The memory and the work have limits, which are below.
"""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from pystack.stepper.dissect import Node, Tree
from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.application import PROTOCOLS
from pystack.stepper.dissect.messages import CHOICES, StreamMessage, TalkReader
from pystack.stepper.dissect.messages.ciphers import Keys, read_keys
from pystack.stepper.explain import datagrams
from pystack.stepper.pieces import moved, tree_of
from pystack.stepper.streams import MOST_CONVERSATIONS, Payload, StreamSide, payload, readable

if TYPE_CHECKING:
    from pystack.stepper.records import Frame
    from pystack.stepper.timeline import Timeline

#: how many frames are looked at, and how many fields all messages have together
MOST_FRAMES, MOST_NODES = 50_000, 300_000
#: how many bytes the values of these fields have together. A few compressed bytes can become many.
MOST_VALUES = 128 << 20
#: these limits are looked at after so many bytes of a segment
SLICE = 8 << 10
#: a frame's bytes may be readable only after later frames, because earlier bytes are missing; after how many at most
LATER = 200
#: how many messages of one frame are shown, and how many of them beside its arrow
MOST_SHOWN, MOST_BESIDE = 50, 3
#: protocols that the dissection of a single segment knows, so a stream adds only what goes beyond a segment
PLAIN = ("", "http", "tls")


class _Flow:
    """One direction of a connection."""

    def __init__(self) -> None:
        self.side = StreamSide()
        self.total = 0  # bytes that could be read so far
        self.ends: list[int] = []  # where each piece ends, and the frame that brought it
        self.frames: list[int] = []
        self.messages: list[StreamMessage] = []
        self.message_ends: list[int] = []


class _Connection:
    def __init__(self, client: str, ports: tuple[int, int], chosen: str, keys: Keys):
        self.client = client
        self.talk = TalkReader(ports, chosen, keys)
        self.flows = (_Flow(), _Flow())
        self.begins: list[int] = [-1, -1]  # the sequence numbers after the SYNs


class _Place(NamedTuple):
    """The payload of a frame: its flow, its place in the stream, its size, and the protocol at that time."""

    flow: _Flow
    start: int
    size: int
    protocol: str


class SaidMessage(NamedTuple):
    """A message in a recording: the index of the frame with its last byte, its two ends, and itself."""

    frame: int
    source: str
    target: str
    message: StreamMessage


class Messages:
    """The messages of a timeline. `chosen` has a protocol of CHOICES for ports, as "Decode as" in Wireshark."""

    def __init__(self, timeline: "Timeline", chosen: dict[int, str] | None = None):
        # The caller may keep this object as long as the timeline, so it must not keep the timeline.
        self.chosen = chosen or {}
        self.keys = read_keys(timeline.secrets)
        self.most = min(len(timeline.frames), MOST_FRAMES)
        self.done = 0
        self.nodes = self.values = 0
        self.places: dict[int, _Place] = {}
        self.open: dict[frozenset[str], _Connection] = {}
        self.connections: list[tuple[_Connection, str]] = []
        self.lock = threading.Lock()

    def advance(self, timeline: "Timeline", stop: int) -> None:
        """Look at the frames before the one with the index `stop`."""
        with self.lock:
            while self.done < min(stop, self.most):
                self._take(timeline.frames[self.done])
                self.done += 1

    def _take(self, frame: "Frame") -> None:
        found = payload(frame.data, frame.link)
        if found is None or found.protocol != "TCP":
            return
        connection = self._connection(found)
        if connection is None:
            return
        way = int(found.source != connection.client)
        if len(frame.data) < frame.length:  # a part of the bytes was not captured
            connection.talk.stop()
        flow = connection.flows[way]
        if found.syn and flow.side.next >= 0:  # a SYN that is retransmitted begins nothing new
            found = found._replace(syn=False)
        for number, data in flow.side.take(found, frame.index):
            flow.total += len(data)
            flow.ends.append(flow.total)
            flow.frames.append(number)
            for at in range(0, len(data), SLICE):
                if self.full:
                    connection.talk.stop()
                for message in connection.talk.take(way, data[at : at + SLICE]):
                    message.known = frame.index
                    self._count(message)
                    owner = connection.flows[message.way]
                    owner.messages.append(message)
                    owner.message_ends.append(message.end)
        if found.data:
            away = (found.seq - flow.side.next + 0x80000000 & 0xFFFFFFFF) - 0x80000000
            self.places[frame.index] = _Place(flow, flow.total + away, len(found.data), connection.talk.protocol)

    def _count(self, message: StreamMessage) -> None:
        """Count the fields of a message, and the bytes of their values. Two fields may have the same bytes."""
        self.nodes += 1
        seen: dict[int, int] = {}
        for top in message.nodes:
            for node in top.walk():
                self.nodes += 1
                if isinstance(node.value, bytes):
                    seen[id(node.value)] = len(node.value)
        self.values += sum(seen.values())

    @property
    def full(self) -> bool:
        """True if no further messages are kept."""
        return self.nodes >= MOST_NODES or self.values >= MOST_VALUES

    def _connection(self, found: Payload) -> _Connection | None:
        """Return the connection of a segment. A SYN with a new number begins another one between the same ends."""
        ends = frozenset((found.source, found.target))
        known = self.open.get(ends)
        if known is not None and found.syn:
            way = int(found.source != known.client)
            if known.begins[way] not in (-1, found.seq):
                known = None
            else:
                known.begins[way] = found.seq
        if known is None:
            if len(self.connections) >= MOST_CONVERSATIONS:
                self.open.pop(ends, None)
                return None
            ports = (int(found.source.rpartition(":")[2]), int(found.target.rpartition(":")[2]))
            chosen = next((self.chosen[port] for port in reversed(ports) if port in self.chosen), "")
            known = self.open[ends] = _Connection(found.source, ports, chosen, self.keys)
            self.connections.append((known, found.target))
            if found.syn:
                known.begins[0] = found.seq
        return known

    def of(self, timeline: "Timeline", index: int) -> list[StreamMessage]:
        """Return the messages whose last byte is in a frame. A copy of the frame on another link has the same ones."""
        self.advance(timeline, index + 1 + LATER)
        place = self.places.get(index)
        if place is None:
            return []
        first = bisect_right(place.flow.message_ends, place.start)
        last = bisect_right(place.flow.message_ends, place.start + place.size)
        return [one for one in place.flow.messages[first:last] if one.known <= index + LATER][:MOST_SHOWN]

    def place(self, index: int) -> "_Place | None":
        """Return the place of a frame's payload in its stream, if it has any, after `of`."""
        return self.places.get(index)

    def all(self, timeline: "Timeline") -> list[SaidMessage]:
        """Return the messages of all frames, in the order of the frames with their last bytes."""
        self.advance(timeline, self.most)
        found: list[SaidMessage] = []
        for connection, server in self.connections:
            for way, flow in enumerate(connection.flows):
                ends = (connection.client, server) if way == 0 else (server, connection.client)
                for message in flow.messages:
                    at = bisect_left(flow.ends, message.end)
                    if at < len(flow.frames):
                        found.append(SaidMessage(flow.frames[at], *ends, message))
        return sorted(found, key=lambda said: said.frame)

    @property
    def why_not_all(self) -> str:
        """The reason why there may be more messages than these, or ""."""
        if self.full:
            return "there are more messages than are kept"
        if self.done >= MOST_FRAMES:
            return f"only the first {MOST_FRAMES} frames are looked at"
        known = [connection for connection, _ in self.connections if connection.talk.parser is not None]
        holes = sum(any(flow.side.early for flow in connection.flows) for connection in known)
        whose = "one connection" if holes == 1 else f"{holes} connections"
        return f"bytes of {whose} are missing, and the messages after them cannot be found" if holes else ""


_known: "WeakKeyDictionary[Timeline, Messages]" = WeakKeyDictionary()


def messages_of(timeline: "Timeline") -> Messages:
    """Return the messages of a timeline, which are found when they are asked for."""
    found = _known.get(timeline)
    if found is None:
        found = _known[timeline] = Messages(timeline)
    return found


def decode_as(timeline: "Timeline", texts: tuple[str, ...]) -> None:
    """Choose protocols for ports, such as "8080=http2". ValueError says what is wrong with a text."""
    chosen = {}
    for text in texts:
        port, _, name = text.partition("=")
        if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65_536) or name not in CHOICES:
            raise ValueError(f"{text!r} is not PORT=PROTOCOL, with a protocol of {', '.join(CHOICES)}")
        chosen[int(port)] = name
    if chosen:
        _known[timeline] = Messages(timeline, chosen)


def tree(frame: "Frame") -> Tree:
    """Return the dissection of a frame, with the messages that end in it."""
    whole = tree_of(frame)
    timeline = frame._timeline
    messages = messages_of(timeline)
    found = messages.of(timeline, frame.index)
    place = messages.place(frame.index)
    carried = whole.find("tcp.payload")
    if place is None or carried is None:
        return whole
    plain = place.protocol in PLAIN and all(message.protocol in (*PLAIN, "data-text-lines") for message in found)
    if not plain and place.protocol != "tls":
        whole.layers = [layer for layer in whole.layers if layer.abbrev not in PROTOCOLS]
    known = [layer.abbrev for layer in whole.layers]
    for message in found:
        if not (message.protocol == "http" and "http" in known):
            whole.layers.append(_layer(message, place, carried))
    return whole


def _layer(message: StreamMessage, place: _Place, carried: Node) -> Node:
    """Return a message as a layer of the frame."""
    shift = (carried.offset + message.start - place.start) * 8
    first, last = carried.offset_bits, carried.offset_bits + carried.width_bits
    nodes = [moved(node, shift, first, last) for node in message.nodes]
    if message.start < place.start:
        size = message.end - message.start
        earlier = place.start - message.start
        nodes.insert(
            0, t.note(f"the first {earlier} of its {size} bytes are in earlier frames", carried.offset, carried.offset)
        )
    start = max(shift, first)
    width = max(min(shift + (message.end - message.start) * 8, last) - start, 0)
    return Node(message.title, message.protocol, start, width, b"", message.text, "", nodes)


def beside_lines(frame: "Frame") -> list[str]:
    """Return what a frame's messages say. The heads of HTTP/1.1 are readable in the frame's summary."""
    timeline = frame._timeline
    found = [one.line for one in messages_of(timeline).of(timeline, frame.index) if one.protocol != "http"]
    datagram = datagrams.brief(frame)
    return found or ([datagram] if datagram else [])


def beside(frame: "Frame") -> str:
    """Return what a frame's messages say in few words, for its arrow, or ""."""
    found = beside_lines(frame)
    text = "; ".join(found[:MOST_BESIDE])
    return text + (f"; and {len(found) - MOST_BESIDE} more" if len(found) > MOST_BESIDE else "")


def spoken(timeline: "Timeline", index: int, data: bytes) -> str:
    """Return what a piece of a conversation says: the messages that end in its frame, or the bytes as text if that is readable."""
    messages = messages_of(timeline)
    found = [one.line for one in messages.of(timeline, index) if one.protocol not in ("http", "data-text-lines")]
    place = messages.place(index)
    if found:
        return "\n".join(found)
    if place is not None and place.protocol not in PLAIN:
        return f"({len(data)} bytes of a message that ends in a later frame)"
    return readable(data)


def fields_of(frame: "Frame") -> list[str]:
    """Return the fields of the messages that end in a frame, as indented lines."""
    timeline = frame._timeline
    found = messages_of(timeline).of(timeline, frame.index)
    text: list[str] = []
    for message in found:
        layer = Node(message.title, message.protocol, 0, 0, b"", message.text, "", message.nodes)
        text += Tree(b"", [layer]).lines()
    return text or [f"no message ends in frame {frame.number}"]


def lines(timeline: "Timeline") -> Iterator[str]:
    """Yield a line for each message: its frame, its time, its ends, and what it says."""
    messages = messages_of(timeline)
    found = messages.all(timeline)
    for said in found:
        frame = timeline.frames[said.frame]
        ends = f"{said.source} > {said.target}"
        yield f"{frame.number:>5} {(frame.time - timeline.start) / 1e9:.6f} {ends:43} {said.message.line}"
    if not found:
        yield "no messages of HTTP, WebSocket, PostgreSQL or MongoDB in it that can be read (TLS hides what it carries, "
        yield "unless the capture has the keys: SSLKEYLOGFILE=keys makes curl and browsers write them, and `editcap --inject-secrets tls,keys` puts them in)"
    if messages.why_not_all:
        yield f"({messages.why_not_all})"
