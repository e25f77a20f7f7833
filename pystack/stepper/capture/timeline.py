"""A capture as a Timeline: hosts are the addresses, each frame is an arrow between them, and TCP is inferred."""

import os
from array import array
from typing import Any, BinaryIO, NamedTuple

from pystack.stepper.capture.copies import CopiesAtInterfaces, Ends, ends_of, place_of
from pystack.stepper.capture.packet import ACK, SYN, CapturedPacket, parse
from pystack.stepper.capture.reader import CaptureReader, Raw
from pystack.stepper.capture.tcp import FINDINGS, Conversation, Inference
from pystack.stepper.flight import Flights
from pystack.stepper.records import Frame
from pystack.stepper.states import States
from pystack.stepper.timeline import Progress, Timeline
from pystack.stepper.ways import Ways
from pystack.trace.errors import TraceError
from pystack.trace.format import TRUST
from pystack.trace.summary import Summarizer

#: the most columns of a ladder; frames of further addresses are drawn at the column OTHERS
MAX_HOSTS = 64
OTHERS = "(others)"
#: the most connections whose TCP is inferred
MAX_CONNECTIONS = 65_536
#: bytes of frames that are kept; of later frames only the beginning is kept
DATA_LIMIT, HEAD = 128 << 20, 160


class Talk(NamedTuple):
    """One connection of a capture: who opened it (or sent first), bytes each way, times in ns (-1: not seen)."""

    number: int
    client: str
    server: str
    frames: tuple[int, int]
    bytes: tuple[int, int]
    start: int
    duration: int
    handshake: int
    counts: dict[str, int]


class CaptureTimeline(Timeline):
    """The timeline of a pcapng or pcap file. Each frame has its events, at the time of the capture:

    frame.out, tcp.out (its segment), tcp.inferred (a finding), tcp.rtt (an ACK completed a round trip), tcp.sack, frame.in.
    A copy of a segment at another interface (copies.py) has the first and the last of them, and `place` and `judged` in frame.out say where it was captured, and which place counts.
    """

    inferred = True

    def __init__(
        self,
        source: BinaryIO,
        name: str,
        *,
        partial: bool = False,
        progress: "Progress | None" = None,
        size: int = 0,
        trusted: bool = False,
    ):
        self._homes: dict[Ends, str] = {}
        self._homes = self._make(source, name, partial, progress, size, trusted).homes()
        if self._homes:
            source.seek(0)
            self._make(source, name, partial, progress, size, trusted)
        self._numbers = {key: number for number, key in enumerate(self._keys)}
        self.lanes = list(self.hosts)

    # -- making ------------------------------------------------------------------------------------------------------

    def _make(
        self, source: BinaryIO, name: str, partial: bool, progress: "Progress | None", size: int, trusted: bool
    ) -> CopiesAtInterfaces:
        """Read everything, from the beginning. Return at which interfaces the segments were."""
        self._begin(name)
        self.meta["title"] = os.path.basename(name)
        self.states = States()
        self.ways = Ways()
        self._flights = Flights(self.ways)
        self._places: dict[str, int] = {}
        self._servers: dict[tuple[str, int, int], int] = {}  # address and both ports -> the server's port
        self._ends: dict[tuple[str, int, str, int], int] = {}  # ends -> number of the conversation, from the first one
        self._talks: list[tuple[Conversation, tuple[str, int], tuple[str, int]]] = []
        self._progress_of: list[list[tuple[int, int, int, int]]] = []  # of each key: time, snd_una, snd_nxt, snd_wnd
        self._summarizer = Summarizer()
        self._data = 0
        copies = CopiesAtInterfaces()
        self._read(source, partial, progress, size, trusted, copies)
        return copies

    def _read(
        self,
        source: BinaryIO,
        partial: bool,
        progress: "Progress | None",
        size: int,
        trusted: bool,
        copies: CopiesAtInterfaces,
    ) -> None:
        reader = CaptureReader(source, self.name, partial=partial, trusted=trusted, size=size)
        self._reader = reader
        self.secrets = reader.secrets
        self.start = self.end = 0
        told = 0
        for raw in reader:
            packet = parse(raw.link, raw.data, raw.length, self.name)
            if not self.frames.total:
                self.start = self.end = raw.time
            if packet.segment is not None and not self._homes:
                copies.note(packet, place_of(raw))
            # Frames of several interfaces may be written out of order. A timeline's time does not go backwards.
            self.end = max(self.end, raw.time)
            self._take(packet, self.end, raw.length - len(raw.data) + len(packet.data), raw, trusted)
            self.frames.pack(self.frames.total - 1)
            self.events.pack(self.events.total - 16)
            if progress is not None and reader.position - told > 1 << 18:
                told = reader.position
                progress(told, size)
        self.gathered.finish()
        self.complete = reader.complete
        if not self.frames.total:
            raise TraceError(f"{self.name}: the capture contains no frames")

    def _take(self, packet: CapturedPacket, time: int, length: int, raw: Raw, trusted: bool) -> None:
        host, to = self._columns(packet)
        number = self.frames.total
        conns, result = (-1, -1), None
        iface = raw.iface
        fields: dict[str, Any] = {"iface": iface, "length": length}
        if packet.segment is not None:
            place, way = self._conversation(packet, time, host, to, trusted)
            conns = (2 * place + way, 2 * place + 1 - way)
            judged = self._homes.get(ends_of(packet)[0]) if self._homes else None
            if judged is None or judged == place_of(raw):
                result = self._talks[place][0].take(way, packet.segment, time, number)
            else:
                fields |= {"place": place_of(raw), "judged": judged}
        first = self._event(time, host, "frame.out", number, conns[0], fields)
        self.frame_events.append(first)
        why: tuple[int, ...] = ()
        if result is not None:
            why = self._tcp(packet, result, time, host, number, conns)
        last = self._event(time, to, "frame.in", number, conns[1], {"iface": iface, "length": length})
        data = packet.data
        if self._data + len(data) > DATA_LIMIT:
            data = data[:HEAD]
        self._data += len(data)
        summary = packet.summary or self._summarizer.line(packet.data, packet.kind)
        self.frames.append([time, host, iface, data, length, packet.kind, 0, summary, why, first, to, False, conns[0]])
        self._flights.arrival.append(time)
        self._flights.event.append(last)
        self._flights.receiver.append(to)

    def _tcp(
        self, packet: CapturedPacket, result: Inference, time: int, host: int, frame: int, conns: tuple[int, int]
    ) -> tuple[int, ...]:
        """Add the events of a segment. Return those that say what it is."""
        segment = packet.segment
        assert segment is not None
        fields: dict[str, Any] = {
            "seq": segment.seq, "ack": segment.ack, "flags": segment.flags & 0xFF, "length": segment.length,
            "window": segment.window, "relative_seq": result.seq, "relative_ack": result.ack,
            "bytes_in_flight": result.in_flight,
        }  # fmt: skip
        if segment.mss >= 0 and segment.flags & SYN:
            fields["mss"] = segment.mss
        if result.phase:
            fields["phase"] = result.phase
        if result.room >= 0:
            fields["room"] = result.room
        self._event(time, host, "tcp.out", frame, conns[0], fields, _says(segment.flags, segment.length, result))
        why = []
        for name in result.findings:
            reason = _words(name, result.facts)
            event = self._event(time, host, "tcp.inferred", frame, conns[0], {"name": name, **result.facts}, reason)
            why.append(event)
        if segment.sacks:
            blocks: dict[str, Any] = {"blocks": [list(block) for block in segment.sacks]}
            if segment.flags & ACK and (segment.ack - segment.sacks[0][1]) & 0xFFFFFFFF < 1 << 31:
                blocks["twice"] = True  # a D-SACK (RFC 2883)
            self._event(time, host, "tcp.sack", frame, conns[1], blocks, "reports what arrived beyond a hole")
        if result.rtt >= 0:
            reason = f"frame {result.acked + 1} is acknowledged after {result.rtt / 1e6:g} ms"
            rtt = {"sample": result.rtt, "frame": result.acked}
            event = self._event(time, host, "tcp.rtt", frame, conns[1], rtt, reason)
            self.rounds.setdefault(conns[1], array("q")).append(event)
        place, way = divmod(conns[0], 2)
        flows = self._talks[place][0].flows
        for key, flow, other in ((conns[0], flows[way], flows[1 - way]), (conns[1], flows[1 - way], flows[way])):
            una = other.ack if other.ack is not None else flow.base
            scale = 0 if other.first_ack else max(other.scale, 0)
            point = (una or 0, flow.next or 0, other.window << scale)
            points = self._progress_of[key]
            if not points or points[-1][1:] != point:
                points.append((time, *point))
        return tuple(why)

    def _event(
        self, time: int, host: int, kind: str, frame: int, conn: int, fields: dict[str, Any], reason: str = ""
    ) -> int:
        subject = self._keys[conn].partition(" ")[2] if conn >= 0 else ""
        self.states.event()
        self.events.append([time, host, kind, subject, 0, reason, "", fields, frame, frame, conn])
        return self.events.total - 1

    def _columns(self, packet: CapturedPacket) -> tuple[int, int]:
        """Return the columns of the sender and of the receiver.

        Both ends of a connection inside one host (127.0.0.1) have the same address, so the server has a column of its own, with
        its port in the name. The server is the side that the SYN asks, or else the one with the lower port.
        """
        segment = packet.segment
        if packet.source != packet.target or segment is None or segment.sport == segment.dport:
            return self._host(packet.source), self._host(packet.target)
        low, high = sorted((segment.sport, segment.dport))
        server = self._servers.get((packet.source, low, high), 0)
        if not server:
            server = low
            if segment.flags & SYN:
                server = segment.sport if segment.flags & ACK else segment.dport
            self._servers[packet.source, low, high] = server
        ports = [port if port == server else 0 for port in (segment.sport, segment.dport)]
        return self._host(packet.source, ports[0]), self._host(packet.target, ports[1])

    def _host(self, address: str, port: int = 0) -> int:
        place = self._places.get(_end((address, port)) if port else address)
        if place is not None:
            return place
        if len(self.hosts) >= MAX_HOSTS:
            if self.hosts[-1] != OTHERS:
                self.hosts.append(OTHERS)
            return MAX_HOSTS
        name = self._reader.names.get(address) or address
        if port:
            name, address = _end((name, port)), _end((address, port))
        if name in self.hosts or name == OTHERS:
            name = f"{name} ({address})"
        self._places[address] = len(self.hosts)
        self.hosts.append(name)
        return self._places[address]

    def _conversation(self, packet: CapturedPacket, time: int, host: int, to: int, trusted: bool) -> tuple[int, int]:
        """Return the number of the conversation of a packet, and its direction."""
        segment = packet.segment
        assert segment is not None
        here, there = (packet.source, segment.sport), (packet.target, segment.dport)
        way = 0
        number = self._ends.get(here + there)
        if number is None and here != there:
            number = self._ends.get(there + here)
            way = 0 if number is None else 1
        if number is not None and not self._talks[number][0].reused(way, segment):
            return number, way
        if len(self._talks) >= MAX_CONNECTIONS and not trusted:
            raise TraceError(f"{self.name}: more than {MAX_CONNECTIONS} connections; {TRUST}")
        talk = Conversation(time)
        if number is not None:
            talk.again = True
            self._ends.pop(there + here, None)
        self._ends[here + there] = len(self._talks)
        self._talks.append((talk, here, there))
        for at, one, other in ((host, here, there), (to, there, here)):
            key = f"{self.hosts[at]} tcp {_end(one)}-{_end(other)}"
            # Both ends have the same key if they are one socket, or share a column.
            if number is not None or key in self._keys[-1:]:
                key = f"{key} #{len(self._talks)}"
            self._keys.append(key)
            self._kinds.append("tcp")
            self._host_of.append(at)
            self._progress_of.append([])
        return len(self._talks) - 1, 0

    # -- what there is -----------------------------------------------------------------------------------------------

    def conversations(self) -> list[Talk]:
        """Return the connections, in the order in which they appeared."""
        found = []
        for number, (talk, here, there) in enumerate(self._talks, 1):
            one, two = talk.flows
            found.append(
                Talk(
                    number,
                    _end(here),
                    _end(there),
                    (one.segments, two.segments),
                    (one.bytes, two.bytes),
                    talk.start,
                    talk.end - talk.start,
                    talk.handshake,
                    dict(talk.counts),
                )  # fmt: skip
            )
        return found

    def counts(self) -> dict[str, int]:
        """Return how often each finding of FINDINGS was made in the whole capture."""
        total = dict.fromkeys(FINDINGS, 0)
        for talk, _, _ in self._talks:
            for name, count in talk.counts.items():
                total[name] += count
        return {name: count for name, count in total.items() if count}

    def effects(self, arrived: int) -> list[int]:
        """A capture does not say what a frame caused."""
        return []

    def missing(self, frame: Frame) -> str:
        """A capture does not say which of its frames arrived."""
        return "unknown"

    def series(self, key: str) -> list[tuple[int, dict[str, Any]]]:
        """Return what the frames say about the sender `key`: the acknowledged number, the highest one, the window."""
        return [
            (
                time,
                {
                    "snd_una": una & 0xFFFFFFFF, "snd_nxt": highest & 0xFFFFFFFF, "snd_wnd": window,
                    "snd_wnd_edge": (una + window) & 0xFFFFFFFF, "in_flight": max(highest - una, 0),
                },
            )
            for time, una, highest, window in self._progress_of[self._numbers[key]]
        ]  # fmt: skip


def _end(end: tuple[str, int]) -> str:
    address, port = end
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _says(flags: int, length: int, result: Inference) -> str:
    """Return a segment in relative numbers."""
    parts = [f"seq {result.seq}:{result.seq + length}" if length else f"seq {result.seq}"]
    if flags & ACK:
        parts.append(f"ack {result.ack}")
    if result.in_flight > 0:
        parts.append(f"{result.in_flight} bytes in flight")
    return ", ".join(parts)


def _words(name: str, facts: dict[str, Any]) -> str:
    text = FINDINGS[name]
    if name == "duplicate_ack":
        return f"{text} {facts['number']} of that in frame {facts['first'] + 1}"
    if name == "lost_segment":
        return f"{facts['missing']} bytes before it were not captured"
    return text
