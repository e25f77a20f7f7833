"""Conversations and what their two sides said: the bytes of TCP in order and once, or the datagrams of UDP."""

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pystack_c.const as C
from pystack.trace import headers

if TYPE_CHECKING:
    from pystack.stepper.timeline import Timeline

#: the most conversations of a list, and the most bytes and pieces of one that is followed
MOST_CONVERSATIONS, MOST_BYTES, MOST_PIECES = 2_000, 256 << 10, 4_000
#: how many bytes, and how many segments, that came too early are kept for each side
MOST_EARLY, MOST_EARLY_SEGMENTS = 1 << 20, 1_000
TCP, UDP = 6, 17


class Payload(NamedTuple):
    """What a frame carries for programs. `seq` is that of its first byte, and `syn` is true if it opens a connection."""

    source: str
    target: str
    protocol: str
    data: bytes
    seq: int
    syn: bool
    ident: int


class StreamTalk(NamedTuple):
    """A conversation: which end sent first, frames and bytes of data each way, ns from the start of the recording."""

    number: int
    protocol: str
    client: str
    server: str
    frames: list[int]
    data: list[int]
    start: int
    end: int
    #: the first frame (its index)
    first: int


class SaidPiece(NamedTuple):
    """Bytes that one side said: way 0 is from the client. `frame` is an index."""

    way: int
    frame: int
    data: bytes


def payload(data: bytes, link: int) -> Payload | None:
    """Return what an IP frame carries, or None. Fragments after the first one have no header of TCP or UDP, so there is nothing to return."""
    found = headers.find(data, link)
    if found is None or found.offset:
        return None
    at, end = found.at, min(found.end, len(data))
    if found.proto == TCP and end >= at + 20:
        start = at + (data[at + 12] >> 4) * 4
        seq, syn = int.from_bytes(data[at + 4 : at + 8], "big"), bool(data[at + 13] & C.SYN)
        name = "TCP"
    elif found.proto == UDP and end >= at + 8:
        start, seq, syn, name = at + 8, 0, False, "UDP"
    else:
        return None
    source = headers.end_text(found.source, int.from_bytes(data[at : at + 2], "big"))
    target = headers.end_text(found.target, int.from_bytes(data[at + 2 : at + 4], "big"))
    return Payload(source, target, name, data[start:end], (seq + syn) & 0xFFFFFFFF, syn, found.ident)


def conversations(timeline: "Timeline", first: int = 0, last: "int | None" = None) -> list[StreamTalk]:
    """Return the conversations of TCP and UDP in these frames, in the order in which they begin.

    A router sends a packet once more, as a frame of its own. Only the frames of the first sender of each way count.
    """
    known: dict[tuple[str, frozenset[str]], StreamTalk] = {}
    senders: dict[tuple[int, int], str] = {}
    for index in range(first, len(timeline.frames) if last is None else last):
        frame = timeline.frames[index]
        found = payload(frame.data, frame.link)
        if found is None:
            continue
        key = (found.protocol, frozenset((found.source, found.target)))
        time = frame.time - timeline.start
        talk = known.get(key)
        if talk is None:
            if len(known) >= MOST_CONVERSATIONS:
                continue
            talk = StreamTalk(len(known), found.protocol, found.source, found.target, [0, 0], [0, 0], time, time, index)
        way = int(found.source != talk.client)
        if senders.setdefault((talk.number, way), frame.host) == frame.host:
            talk.frames[way] += 1
            talk.data[way] += len(found.data)
        known[key] = talk._replace(end=time)
    return list(known.values())


class StreamSide:
    """The bytes of one direction: each once, and in order.

    The work for one frame does not grow with the number of segments that wait, because a capture can have many of both.
    """

    def __init__(self) -> None:
        self.next = -1  # the sequence number of the next byte
        self.begin = -1  # the one of the first byte, from the SYN
        self.place = 0  # how far the side is, in bytes. It does not wrap.
        self.early: dict[int, tuple[int, bytes]] = {}  # by the place of the first byte
        self.order: list[int] = []  # a heap of these places
        self.held = 0

    def take(self, found: Payload, frame: int) -> list[tuple[int, bytes]]:
        """Return what can be read now, with the frames that brought it."""
        if self.next < 0 or (found.syn and found.seq != self.begin):
            self.next, self.begin = found.seq, found.seq if found.syn else self.begin
            self.early, self.order, self.held = {}, [], 0
        ahead = ((found.seq - self.next + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        if ahead > 0:
            self._keep(self.place + ahead, found.data, frame)
            return []
        ready: list[tuple[int, bytes]] = []
        if len(found.data) > -ahead:
            self._read(ready, frame, found.data[-ahead:])
        while self.order and self.order[0] <= self.place:
            place = heapq.heappop(self.order)
            number, data = self.early.pop(place)
            self.held -= len(data)
            if self.place - place < len(data):
                self._read(ready, number, data[self.place - place :])
        return ready

    def _keep(self, place: int, data: bytes, frame: int) -> None:
        """Keep a segment that came too early. Of two that begin at the same place, the longer one stays."""
        known = len(self.early[place][1]) if place in self.early else 0
        if len(data) <= known or self.held + len(data) - known > MOST_EARLY:
            return
        if not known:
            if len(self.early) >= MOST_EARLY_SEGMENTS:
                return
            heapq.heappush(self.order, place)
        self.early[place] = (frame, data)
        self.held += len(data) - known

    def _read(self, ready: list[tuple[int, bytes]], frame: int, data: bytes) -> None:
        ready.append((frame, data))
        self.place += len(data)
        self.next = (self.next + len(data)) & 0xFFFFFFFF


def follow(timeline: "Timeline", talk: StreamTalk, last: "int | None" = None) -> tuple[list[SaidPiece], bool]:
    """Return what both sides of a conversation said, and whether it is more than is returned.

    Retransmissions and the copies of a frame on further links are left out.
    """
    sides = (StreamSide(), StreamSide())
    seen: dict[tuple[int, int, bytes], bool] = {}
    pieces: list[SaidPiece] = []
    total = 0
    for index in range(talk.first, len(timeline.frames) if last is None else last):
        frame = timeline.frames[index]
        found = payload(frame.data, frame.link)
        if (
            found is None
            or found.protocol != talk.protocol
            or {found.source, found.target} != {talk.client, talk.server}
        ):
            continue
        way = int(found.source != talk.client)
        if talk.protocol == "TCP":
            new = sides[way].take(found, index)
        else:
            # a router sends the same datagram once more
            key = (way, found.ident, found.data[:64])
            new = [] if key in seen else [(index, found.data)]
            seen[key] = True
        for number, data in new:
            if total + len(data) > MOST_BYTES or len(pieces) >= MOST_PIECES:
                return pieces, True
            total += len(data)
            pieces.append(SaidPiece(way, number, data))
    return pieces, False


def readable(data: bytes) -> str:
    """Return bytes as text: what is no text is a dot. Lines stay lines."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        return "".join(char if 32 <= ord(char) < 127 or char in "\r\n\t" else "·" for char in text)
    return "".join(char if char.isprintable() or char in "\r\n\t" else "·" for char in text)


def _text(timeline: "Timeline", frame: int, data: bytes) -> str:
    return readable(data)


def as_json(
    timeline: "Timeline",
    pieces: list[SaidPiece],
    cut: bool,
    shifts: tuple[int, int] = (0, 0),
    say: "Callable[[Timeline, int, bytes], str] | None" = None,
) -> dict[str, Any]:
    """Return what was said for the page. `shifts` are subtracted from the numbers of frames and events.

    `say` returns a piece as text; without it, its bytes are shown as they are.
    """
    rows = []
    for piece in pieces:
        frame = timeline.frames[piece.frame]
        rows.append(
            [
                piece.way,
                frame.number,
                frame.event - shifts[1],
                len(piece.data),
                (say or _text)(timeline, piece.frame, piece.data),
            ]
        )
    return {"pieces": rows, "cut": cut}
