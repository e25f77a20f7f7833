"""What TCP did, inferred from the segments of a capture alone: retransmissions, reordering, windows, probes, bytes in flight.

The rules are those that the Wireshark User's Guide documents in its chapter "TCP Analysis", applied in the order of the frames. Numbers are
unwrapped: they continue beyond 2**32.
"""

import heapq
from typing import Any, NamedTuple

from pystack.stepper.capture.packet import ACK, FIN, RST, SYN, CapturedSegment

MS = 1_000_000
#: a retransmission this soon after the last of two duplicate ACKs is a fast one
FAST = 20 * MS
#: before a round trip is known, a segment this soon after the highest one is out of order
REORDERED = 3 * MS
#: how many segments without an acknowledgement are remembered for one direction
UNACKED = 10_000
#: how many of them are searched for the bytes of a repeated segment, so that the work for one frame is bounded
SEARCHED = 2_000

#: name of a finding -> its words; the names are those of tshark's tcp.analysis.* fields
FINDINGS = {
    "retransmission": "retransmission",
    "fast_retransmission": "fast retransmission",
    "spurious_retransmission": "spurious retransmission",
    "out_of_order": "out of order",
    "duplicate_ack": "duplicate ACK",
    "lost_segment": "a segment before it was not captured",
    "ack_lost_segment": "acknowledges data that was not captured",
    "zero_window": "zero window",
    "zero_window_probe": "zero-window probe",
    "zero_window_probe_ack": "answer to a zero-window probe",
    "window_update": "window update",
    "window_full": "fills the window",
    "keep_alive": "keep-alive",
    "keep_alive_ack": "answer to a keep-alive",
    "reused_ports": "ports used again",
}


#: what a segment does to its connection: a RST refuses it, gives its opening up, ends it before it was open, ends it, or comes after both FINs;
#: an ACK completes the handshake, or acknowledges a FIN; the first segment of a connection whose SYN was not captured is in its middle
PHASES = ("refused", "given-up", "half-open", "open", "over", "completes", "acks-fin", "middle")


class Inference(NamedTuple):
    """The inferences for one segment.

    findings   names of FINDINGS; facts: the values that decided, for `--why`
    seq, ack   relative to the first sequence numbers that were seen
    in_flight  bytes of this direction without an acknowledgement after it, or -1 if that is not known
    rtt        the round trip that its acknowledgement completes, from the data to the ACK, in ns, or -1
    phase      what the segment does to the connection, for `--why`: a word of PHASES, or ""
    room       the window in bytes, or -1 if its scale is not known
    """

    findings: tuple[str, ...]
    facts: dict[str, Any]
    seq: int
    ack: int
    in_flight: int
    rtt: int
    acked: int  # index of the frame whose data the ACK completes, or -1
    phase: str = ""
    room: int = -1


class Direction:
    """One direction of a connection."""

    def __init__(self) -> None:
        self.base: int | None = None  # the number before the first byte
        self.next: int | None = None  # the highest end so far
        self.next_time = 0
        self.next_frame = -1
        self.contiguous: int | None = None  # the end of what was seen without a hole
        self.window = 0
        self.scale = -1  # -1: no SYN was seen, -2: it had no option
        self.first_ack = True
        self.ack: int | None = None  # the last ACK that this direction sent, in the other one's numbers
        self.ack_time = 0
        self.ack_frame = -1
        self.dupacks = 0
        self.findings: tuple[str, ...] = ()
        self.sacks: tuple[tuple[int, int], ...] = ()
        self.known = True  # bytes in flight can be computed
        self.ends: list[list[Any]] = []  # unacknowledged segments: [end, order, seq, time, frame, alive, again]
        self.begins: list[tuple[int, int, list[Any]]] = []
        self.beyond: list[tuple[int, int]] = []  # what was seen beyond a hole
        self.order = 0
        self.segments = self.bytes = 0
        self.fin: int | None = None  # the number after its FIN
        self.fin_acked = False

    def unwrap(self, number: int) -> int:
        """Return a sequence number of this direction without the wrap, as the one nearest to the highest seen."""
        near = self.base if self.next is None else self.next
        if near is None:
            return number
        delta = (number - near) & 0xFFFFFFFF
        return near + (delta - (1 << 32) if delta > 0x7FFFFFFF else delta)

    def relative(self, number: "int | None") -> int:
        """Return a number as its distance from the first one."""
        return 0 if self.base is None or number is None else number - self.base

    def sent(self, seq: int, end: int, time: int, frame: int, again: bool) -> None:
        """Remember a segment until it is acknowledged."""
        if len(self.ends) >= UNACKED:
            return
        self.order += 1
        entry = [end, self.order, seq, time, frame, True, again]
        heapq.heappush(self.ends, entry)
        heapq.heappush(self.begins, (seq, self.order, entry))

    def cover(self, seq: int, end: int) -> int:
        """Note that these bytes were seen: they extend what was seen without a hole, or wait beyond the hole.

        As in tshark, a segment that overlaps with what was seen before it extends nothing.
        Return how many of the bytes from seq to end were not among those that waited beyond the hole.
        """
        new, place = end - seq, seq
        if self.contiguous is None:
            self.contiguous = end
        elif seq == self.contiguous:
            self.contiguous = end
            while self.beyond and self.beyond[0][0] <= self.contiguous:
                begin, stop = heapq.heappop(self.beyond)
                new -= max(0, min(stop, end) - max(begin, place))
                place = max(place, stop)
                if begin == self.contiguous:
                    self.contiguous = stop
        elif seq > self.contiguous and end > seq and len(self.beyond) < UNACKED:
            heapq.heappush(self.beyond, (seq, end))
        return new

    def seen(self, seq: int, end: int) -> bool:
        """Return True if one segment that waits for its acknowledgement contains all of these bytes."""
        return any(entry[2] <= seq and end <= entry[0] for entry in self.ends[:SEARCHED])

    def acknowledged(self, ack: int, now: int) -> tuple[int, int]:
        """Forget what is acknowledged. Return the round trip of the segment that ends there, and its frame, or -1, -1."""
        rtt, frame, mixed = -1, -1, False
        while self.ends and self.ends[0][0] <= ack:
            entry = heapq.heappop(self.ends)
            entry[5] = False
            # A repeated segment gives no round trip, because the ACK may be for either copy (RFC 6298 section 3).
            mixed = mixed or entry[6] or (entry[0] == ack and frame >= 0)
            if entry[0] == ack:
                rtt, frame = now - entry[3], entry[4]
        return (-1, -1) if mixed else (rtt, frame)

    def in_flight(self, acked: "int | None") -> int:
        """Return the bytes from the first to the last one without an acknowledgement."""
        while self.begins and not self.begins[0][2][5]:
            heapq.heappop(self.begins)
        if not self.begins or self.next is None:
            return 0
        first = self.begins[0][0]
        if acked is not None and self.begins[0][2][0] > acked:
            first = max(first, acked)
        return self.next - first


class Conversation:
    """A connection: both directions, in the order in which their ends were seen."""

    def __init__(self, time: int) -> None:
        self.flows = (Direction(), Direction())
        self.start = self.end = time
        self.syn = self.last_syn = -1
        self.synack = -1
        self.handshake = -1  # time from the SYN to the ACK that completes it, in ns
        self.first_rtt = 0
        self.opener = 0  # the side that sent the SYN
        self.again = False  # another connection had the same ends before
        self.counts: dict[str, int] = {}

    def reused(self, way: int, segment: CapturedSegment) -> bool:
        """Return True if this SYN begins another connection between the same ends."""
        flow = self.flows[way]
        if segment.flags & (SYN | ACK) != SYN or flow.base is None:
            return False
        return flow.unwrap(segment.seq) != flow.base

    def take(self, way: int, segment: CapturedSegment, time: int, frame: int) -> Inference:
        """Take the next segment, which was sent by end `way`. Return what it means."""
        fwd, rev = self.flows[way], self.flows[1 - way]
        flags, length = segment.flags, segment.length
        self.end = time
        fwd.segments += 1
        fwd.bytes += length
        if fwd.base is None:
            fwd.base = segment.seq if flags & SYN else segment.seq - 1
        seq = fwd.unwrap(segment.seq)
        ack = None
        if flags & ACK:
            if rev.base is None:
                rev.base = segment.ack - 1
            ack = rev.unwrap(segment.ack)
            rev.known = True
        if flags & SYN:
            fwd.scale = segment.scale if segment.scale >= 0 else -2
        found, facts = self._findings(fwd, rev, segment, seq, ack)
        if self.again:
            found.append("reused_ports")
            self.again = False
        if ack != fwd.ack:
            fwd.ack_frame, fwd.dupacks = frame, 0
        if ack is not None and rev.contiguous is not None and ack > rev.contiguous:
            found.append("ack_lost_segment")
            facts["beyond"] = rev.cover(rev.contiguous, ack)
        self._again(fwd, rev, segment, seq, time, found, facts)
        opened = self.handshake >= 0
        rtt, acked = (-1, -1) if ack is None else rev.acknowledged(ack, time)
        self._note(fwd, rev, segment, seq, ack, time, frame, found)
        flight = -1
        if length and fwd.known:
            flight = fwd.in_flight(rev.ack) - _sacked(fwd, rev) - (1 if flags & (SYN | FIN) else 0)
        for name in found:
            self.counts[name] = self.counts.get(name, 0) + 1
        phase = self._phase(way, segment, seq, ack, opened)
        relative = fwd.relative(seq), rev.relative(ack)
        return Inference(tuple(found), facts, *relative, flight, rtt, acked, phase, _room(fwd, rev, segment))

    def _phase(self, way: int, segment: CapturedSegment, seq: int, ack: "int | None", opened: bool) -> str:
        """Return what the segment does to the connection, a word of PHASES."""
        fwd, rev = self.flows[way], self.flows[1 - way]
        if segment.flags & RST:
            if fwd.fin is not None and rev.fin is not None:
                return "over"
            if self.syn < 0 or self.handshake >= 0:
                return "open"
            if self.synack >= 0:
                return "half-open"
            return "given-up" if way == self.opener else "refused"
        if segment.flags & FIN:
            fwd.fin = seq + segment.length + 1
        if not opened and self.handshake >= 0:
            return "completes"
        if fwd.segments + rev.segments == 1 and not segment.flags & SYN:
            return "middle"
        if ack is not None and ack == rev.fin and not rev.fin_acked:
            rev.fin_acked = True
            return "acks-fin"
        return ""

    def _findings(
        self, fwd: Direction, rev: Direction, segment: CapturedSegment, seq: int, ack: "int | None"
    ) -> tuple[list[str], dict[str, Any]]:
        """Return what does not concern retransmissions."""
        found: list[str] = []
        facts: dict[str, Any] = {}
        flags, length, window = segment.flags, segment.length, segment.window
        plain = not flags & (SYN | FIN | RST)
        if length == 1 and seq == fwd.next and rev.window == 0:
            return ["zero_window_probe"], facts
        if window == 0 and plain:
            found.append("zero_window")
        if fwd.next is not None and seq > fwd.next and not flags & RST:
            found.append("lost_segment")
            facts["missing"] = seq - fwd.next
            fwd.known = False
        if length <= 1 and fwd.next is not None and seq == fwd.next - 1 and plain:
            found.append("keep_alive")
            facts["closed"] = rev.window == 0
        same = length == 0 and plain and seq == fwd.next and ack == fwd.ack
        # With a SACK block, an ACK with another window still reports a hole, so it counts as a duplicate.
        opened = length == 0 and plain and seq == fwd.next and window and not fwd.window and ack is not None
        if opened and "zero_window_probe" in rev.findings and fwd.ack is not None and ack == fwd.ack + 1:
            # The receiver took the byte of the probe, and opens the window.
            rev.next = rev.contiguous = ack
            same = True
        if same and window and window != fwd.window and not segment.sacks:
            found.append("window_update")
            facts["windows"] = (fwd.window << max(fwd.scale, 0), window << max(fwd.scale, 0))
        if length and plain and rev.scale != -1 and rev.ack is not None:
            room = rev.window << (0 if rev.first_ack or rev.scale == -2 else rev.scale)
            if seq + length == rev.ack + room:
                found.append("window_full")
                facts["window"] = room
        answered = rev.findings
        if same and window and window == fwd.window and "keep_alive" in answered:
            return [*found, "keep_alive_ack"], facts
        probed = "zero_window_probe" in answered and length == 0 and plain and window == 0 and fwd.window == 0
        if probed and seq == fwd.next and ack is not None and fwd.ack is not None and ack in (fwd.ack, fwd.ack + 1):
            if ack == fwd.ack + 1:
                # The receiver took the byte of the probe.
                rev.next = rev.contiguous = ack
            return [*found, "zero_window_probe_ack"], facts
        if same and window and (window == fwd.window or segment.sacks):
            fwd.dupacks += 1
            found.append("duplicate_ack")
            facts["number"], facts["first"] = fwd.dupacks, fwd.ack_frame
        return found, facts

    def _again(
        self,
        fwd: Direction,
        rev: Direction,
        segment: CapturedSegment,
        seq: int,
        time: int,
        found: list[str],
        facts: dict[str, Any],
    ) -> None:
        """Decide which kind of repetition a segment is that does not advance the sequence number."""
        length, flags = segment.length, segment.flags
        if fwd.next is None or not (length or flags & (SYN | FIN)) or "keep_alive" in found:
            return
        if length and rev.ack is not None and seq + length <= rev.ack:
            found.append("spurious_retransmission")
            facts["acked_by"] = rev.ack_frame
            return
        # A longer segment one byte below the highest number follows a probe of a zero window, and is new.
        if seq >= fwd.next or (length > 1 and seq == fwd.next - 1):
            return
        end = seq + length + (1 if flags & (SYN | FIN) else 0)
        since = time - rev.ack_time
        if since < FAST and rev.dupacks >= 2 and rev.ack is not None:
            # With SACK, the sender may repeat another segment than the first one that is missing.
            if rev.ack == seq or rev.sacks:
                found.append("fast_retransmission")
                facts["dupacks"], facts["since"] = rev.dupacks, since
                return
        since = time - fwd.next_time
        facts["since"], facts["highest"] = since, fwd.next_frame
        # A FIN that was acknowledged has arrived, so it is no late one.
        arrived = not length and flags & FIN and rev.ack is not None and end <= rev.ack
        if since < (self.first_rtt or REORDERED) and not arrived and not fwd.seen(seq, end):
            found.append("out_of_order")
            return
        found.append("retransmission")

    def _note(
        self, fwd: Direction, rev: Direction, segment: CapturedSegment, seq: int, ack: "int | None", time: int, frame: int,
        found: list[str],
    ) -> None:  # fmt: skip
        """Remember what the next segments are compared with."""
        flags = segment.flags
        end = seq + segment.length + (1 if flags & (SYN | FIN) else 0)
        again = fwd.next is not None and seq < fwd.next
        if end > seq:
            fwd.sent(seq, end, time, frame, again)
        if "zero_window_probe" not in found:
            if fwd.next is None or end > fwd.next:
                fwd.next, fwd.next_time, fwd.next_frame = end, time, frame
            fwd.cover(seq, end)
        self._handshake(fwd, rev, flags, time)
        if ack is not None and not flags & SYN:
            fwd.first_ack = False
        fwd.window, fwd.ack, fwd.ack_time, fwd.findings = segment.window, ack, time, tuple(found)
        fwd.sacks = segment.sacks

    def _handshake(self, fwd: Direction, rev: Direction, flags: int, time: int) -> None:
        if flags & SYN and not flags & ACK:
            self.opener = self.flows.index(fwd)
            self.syn, self.last_syn = time if self.syn < 0 else self.syn, time
        elif flags & SYN and flags & ACK:
            self.synack = time
        elif flags & ACK and self.handshake < 0 and self.syn >= 0 and self.synack >= 0 and not flags & RST:
            self.handshake, self.first_rtt = time - self.syn, time - self.last_syn


def _room(fwd: Direction, rev: Direction, segment: CapturedSegment) -> int:
    """Return the window of a segment in bytes, or -1: windows are scaled if both SYNs had the option (RFC 7323 2.2)."""
    if segment.flags & SYN or -2 in (fwd.scale, rev.scale):
        return segment.window
    return -1 if -1 in (fwd.scale, rev.scale) else segment.window << fwd.scale


def _sacked(fwd: Direction, rev: Direction) -> int:
    """Return the bytes that the last ACK reported as arrived beyond a hole. A block below the ACK is a D-SACK (RFC 2883)."""
    total = 0
    for left, right in rev.sacks:
        begin, end = fwd.unwrap(left), fwd.unwrap(right)
        if rev.ack is not None and rev.ack < begin < end:
            total += end - begin
    return total
