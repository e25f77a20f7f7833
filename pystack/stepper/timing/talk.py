"""One connection of a capture, as captured.py walks through it: its segments, the round trips on both sides of the capture, and its requests."""

from typing import NamedTuple

from pystack.stepper.capture.packet import ACK, FIN, SYN
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.echo import shortest
from pystack.stepper.timing.index import Lookup
from pystack.stepper.timing.inflight import flights
from pystack.stepper.timing.lost import LostCopies
from pystack.stepper.timing.path import PathError

#: a capture is at a host if the round trip through it is this part of the other one at most
NEAR = 20
#: how many frames are looked at for one step
SEARCHED = 2000
#: the bytes of a segment that its options take (timestamps), at most: the MSS does not count them
OPTIONS = 12
#: findings of a repeated segment
AGAIN = ("retransmission", "fast_retransmission", "spurious_retransmission")
CLIENT, SERVER = 0, 1


class TalkSegment(NamedTuple):
    """A segment of the connection: side (CLIENT or SERVER), numbers relative to the first ones, and the findings of the capture."""

    frame: int
    event: int
    time: int
    side: int
    flags: int
    seq: int
    end: int
    ack: int
    length: int
    found: tuple[str, ...]


class CapturedTurn(NamedTuple):
    """A request and its answer: the numbers of their first and last frames, when they were captured, and the request's first line."""

    first: int
    last: int
    begin: int
    end: int
    name: str


class CapturedTalk:
    """The segments of one connection, and the shortest round trips from the place of the capture through each side."""

    def __init__(self, timeline: Timeline, index: Lookup, conn: str):
        self.timeline = timeline
        self.index = index
        other = timeline.other_end(conn)
        found = sorted((at, key) for key in dict.fromkeys((conn, other)) if key for at in index.all("tcp.out", key))
        if not found:
            raise PathError(f"there is no TCP segment of {conn or 'a connection'} in the capture")
        self.keys = self._order(found, conn, other)
        #: bytes that were acknowledged and that the capture does not have, and the number of the first frame that shows it, or 0
        self.missed = self.first_missed = 0
        self.seen = [self._seen(at, self.keys.index(key)) for at, key in found]
        #: for each segment, the last one before it of each side, and the last one with data; or -1
        self.before: tuple[list[int], list[int]] = ([], [])
        self.data_before: tuple[list[int], list[int]] = ([], [])
        last, data = [-1, -1], [-1, -1]
        for place, one in enumerate(self.seen):
            for side in (CLIENT, SERVER):
                self.before[side].append(last[side])
                self.data_before[side].append(data[side])
            last[one.side] = place
            if one.length:
                data[one.side] = place
        self.largest = self._largest()
        self.trips = self._trips()
        self.flights = (flights(self, CLIENT), flights(self, SERVER))
        self.lost = (LostCopies(self, CLIENT), LostCopies(self, SERVER))

    def _order(self, found: list[tuple[int, str]], conn: str, other: str) -> list[str]:
        """Return the keys of the client and the server: the client sends the SYN, or else the first segment."""
        client = found[0][1]
        for at, key in found[:SEARCHED]:
            if self.timeline.events[at].fields["flags"] & (SYN | ACK) == SYN:
                client = key
                break
        return [client, other if client == conn else conn]

    def _seen(self, at: int, side: int) -> TalkSegment:
        entry = self.timeline.events[at]
        fields = entry.fields
        names = []
        while at + 1 < len(self.timeline.events) and self.timeline.kind(at + 1) == "tcp.inferred":
            at += 1
            finding = self.timeline.events[at].fields
            names.append(str(finding["name"]))
            if finding["name"] == "ack_lost_segment":
                self.missed += finding["beyond"]
                self.first_missed = self.first_missed or entry.frame + 1
        seq, length, flags = fields["relative_seq"], fields["length"], fields["flags"]
        end = seq + length + bool(flags & SYN) + bool(flags & FIN)
        ack = fields["relative_ack"] if flags & ACK else -1
        return TalkSegment(entry.frame, entry.index, entry.time, side, flags, seq, end, ack, length, tuple(names))

    def _largest(self) -> list[int]:
        """Return the length of a full segment of the client, and of the server.

        On a host whose device cuts large segments, or puts received ones together, a frame of the capture has many segments. Then the
        options of the SYNs say how long each is.
        """
        mss = [self.timeline.events[one.event].fields.get("mss", 0) for one in self.seen if one.flags & SYN]
        most = min((size for size in mss if size), default=0)
        if most > OPTIONS:
            most -= OPTIONS
        found = [max((one.length for one in self.seen if one.side == side), default=0) for side in (CLIENT, SERVER)]
        return [min(size, most) if most else size for size in found]

    def is_partial(self, one: TalkSegment) -> bool:
        """Return True if a segment, or the last one of those in a frame, is not full. Then the sender had no more data at that moment."""
        full = self.largest[one.side]
        return one.length < full or bool(one.length % full and one.length % (full + OPTIONS))

    def _trips(self) -> list[int]:
        """Return the shortest round trip through the client and through the server; 0 for the side at which the capture was made."""
        trips = []
        for side in (CLIENT, SERVER):
            key = self.keys[1 - side]
            samples = (
                [self.timeline.events[at].fields["sample"] for at in self.index.all("tcp.rtt", key)] if key else []
            )
            echo = shortest(self.timeline, ((one.time, one.frame, one.side != side) for one in self.seen))
            trips.append(min(samples + [echo] * (echo >= 0), default=0))
        return [0 if trip * NEAR <= trips[1 - side] else trip for side, trip in enumerate(trips)]

    def highest(self, at: int, side: int) -> int:
        """Return the end of all that a side had sent before a segment, as far as the last segments say."""
        found, place = 0, self.data_before[side][at]
        for _ in range(64):
            if place < 0:
                break
            found = max(found, self.seen[place].end)
            place = self.data_before[side][place]
        return found

    def place_of(self, event: int) -> int:
        """Return the place of the last segment up to an event, or -1."""
        frame = self.timeline.events[event].frame
        return next((place for place in range(len(self.seen) - 1, -1, -1) if self.seen[place].frame <= frame), -1)


def turns(talk: CapturedTalk) -> list[CapturedTurn]:
    """Return the requests of a connection: data of the client up to the last data of the server before the client sends more."""
    found: list[CapturedTurn] = []
    first = last = -1
    for place, one in enumerate(talk.seen):
        if not one.length or any(name in AGAIN for name in one.found):
            continue
        if one.side == CLIENT and (first < 0 or last >= 0):
            if first >= 0:
                found.append(_turn(talk, first, last))
            first, last = place, -1
        elif one.side == SERVER and first >= 0:
            last = place
    if first >= 0 and last >= 0:
        found.append(_turn(talk, first, last))
    return found


def unacknowledged(talk: CapturedTalk) -> tuple[int, int, int] | None:
    """Return the number of the first frame whose data was never acknowledged in the capture, that of its last retransmission, and how many
    retransmissions there are; None if the last data of both sides was acknowledged, or never retransmitted.
    """
    end = talk.seen[-SEARCHED:]  # what waits for its acknowledgement is near the end
    for side in (CLIENT, SERVER):
        acks = [one.ack for one in end if one.side != side and one.ack >= 0]
        if not acks:
            continue
        got = max(acks)
        lost = [one for one in end if one.side == side and one.length and one.end > got]
        again = [one for one in lost if any(name in AGAIN for name in one.found)]
        if again:
            return lost[0].frame + 1, again[-1].frame + 1, len(again)
    return None


def _turn(talk: CapturedTalk, first: int, last: int) -> CapturedTurn:
    one, two = talk.seen[first], talk.seen[last]
    data = talk.timeline.frames[one.frame].data[-one.length :][:200]
    line = data.partition(b"\r\n")[0]
    method, _, rest = line.partition(b" ")
    http = rest.endswith((b" HTTP/1.1", b" HTTP/1.0")) and method.isalpha() and method.isupper()
    name = line.decode("latin-1").rpartition(" ")[0] if http else ""
    return CapturedTurn(one.frame + 1, two.frame + 1, one.time, two.time, name)


def talk_of(timeline: Timeline, index: Lookup, conn: str) -> CapturedTalk:
    """Return the connection with this key, or the first one with data. PathError: there is none."""
    if not conn:
        chosen = [key for key in timeline.connections if index.all("tcp.out", key)]
        with_data = (
            key for key in chosen if any(timeline.events[at].fields["length"] for at in index.all("tcp.out", key))
        )
        conn = next(with_data, chosen[0] if chosen else "")
        if not conn:
            raise PathError("there is no TCP connection in the capture")
    return CapturedTalk(timeline, index, conn)
