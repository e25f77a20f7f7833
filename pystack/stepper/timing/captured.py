"""Where the time of a connection in a capture went: inferred from the frames alone, because no stack noted its decisions.

All times are those at the place of the capture. A frame of one host was sent because of the latest frame of the other host that can have reached it:
one that was captured at least the shortest round trip through the host before, and whose bytes it acknowledges. What a frame took longer than that
round trip is the time of the host: a program that worked, an acknowledgement that was delayed, a timer. Every span is marked as inferred.
"""

import pystack_c.const as C
from pystack.stepper.capture.packet import FIN, RST, SYN
from pystack.stepper.keys import ConnKey
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.index import Lookup
from pystack.stepper.timing.lost import TIMER
from pystack.stepper.timing.path import Path, PathError, Span
from pystack.stepper.timing.talk import AGAIN, CLIENT, SEARCHED, SERVER, CapturedTalk, TalkSegment, talk_of
from pystack.stepper.timing.tls import Handshakes
from pystack.trace import headers

MS = 1_000_000
#: an acknowledgement is delayed, and a timer has expired, if nothing arrived for so long before
PROMPT = 2 * MS
#: how many frames before a repeated segment may hold the report for which it was repeated
NEARBY = 64
#: a segment with fewer bytes is no full segment, whatever MSS the handshake named (RFC 9293 3.7.1)
SMALLEST_MSS = 536
THINKING = ("client thinking", "server thinking")


class CaptureWalk:
    """A walk back from a segment of a capture. `time` is where it is, and `waits` are those that are open: (since, why, words)."""

    def __init__(self, talk: CapturedTalk, begin: int):
        self.talk = talk
        self.seen = talk.seen
        self.begin = begin
        self.time = begin
        self.tls = Handshakes(talk.timeline, talk.index)
        self.waits: list[tuple[int, str, str]] = []
        self.spans: list[Span] = []

    def run(self, place: int) -> list[Span]:
        """Walk, and return the spans in the order of time."""
        self.time = self.seen[place].time
        at = place
        while self.time > self.begin and at >= 0:
            before = self.step(at)
            if before >= at:
                break
            at = before
        self.span(self.begin, "unknown", self.seen[place], "the frame before it that would explain it was not captured")
        self.spans.reverse()
        return self.spans

    def span(self, start: int, cause: str, one: TalkSegment, text: str) -> None:
        """Add the spans from `start` to where the walk is. A wait that opened in between cuts them."""
        start = max(start, self.begin)
        while self.time > start:
            while self.waits and self.waits[-1][0] >= self.time:
                self.waits.pop()
            since, why, words = self.waits[-1] if self.waits else (start, "", "")
            cut = max(start, since)
            host = ConnKey.of(self.talk.keys[one.side]).host
            said = f"{text}; {words}" if why else text
            self.spans.append(Span(cut, self.time, cause, why, host, one.frame + 1, one.event, said, True))
            self.time = cut

    def wait(self, since: int, why: str, words: str) -> None:
        """A wait was open from `since` to where the walk is."""
        self.waits.append((since, why, words))

    # -- what let a segment go -----------------------------------------------------------------------------------------

    def step(self, at: int) -> int:
        """Go back from a segment to the one that let it go. Returns its place, or -1: there is none."""
        one = self.seen[at]
        if one.flags & SYN:
            return self.handshake(at, one)
        if any(name in AGAIN for name in one.found) or ("out_of_order" in one.found and one.length):
            return self.again(at, one)
        if "zero_window_probe" in one.found or "keep_alive" in one.found:
            # One byte that the other side does not have is repeated, and no probe.
            asked = self.answered(at)
            if one.length and asked >= 0 and self.seen[asked].ack < one.end and self.closed_by(at, 1 - one.side) < 0:
                return self.again(at, one)
            return self.probe(at, one)
        if one.length or one.flags & (FIN | RST):
            return self.data(at, one)
        return self.acknowledgement(at, one)

    def answered(self, at: int, data: bool = False) -> int:
        """Return the latest segment of the other side that can have reached the sender of one (and carries data), or -1."""
        one = self.seen[at]
        other = 1 - one.side
        due = one.time - self.talk.trips[one.side]
        chain = self.talk.data_before[other] if data else self.talk.before[other]
        any_number = one.ack < 0 or "duplicate_ack" in one.found
        place = chain[at]
        for _ in range(SEARCHED):
            if place < 0:
                return -1
            found = self.seen[place]
            if found.time <= due and (any_number or found.end <= one.ack):
                return place
            place = chain[place]
        return -1

    def across(self, at: int, place: int, cause: str, text: str) -> int:
        """Go from a segment to the one that it answers: first the time of its sender, then the round trip from the capture through it."""
        one, found = self.seen[at], self.seen[place]
        arrived = found.time + self.talk.trips[one.side]
        self.span(arrived, cause, one, text)
        host = ConnKey.of(self.talk.keys[one.side]).host
        trip = f"the shortest round trip from the capture through {host}, between frames {found.frame + 1} and {one.frame + 1}"
        self.span(found.time, "on the way", one, trip)
        return place

    def handshake(self, at: int, one: TalkSegment) -> int:
        """Go back from a SYN: a copy waited for its timer, and that of the server for the client's."""
        first = next(
            (place for place in range(at) if self.seen[place].side == one.side and self.seen[place].flags & SYN), -1
        )
        if first >= 0:
            before = self.talk.before[one.side][at]
            self.wait(
                self.seen[first].time,
                "SYN retransmission",
                f"frame {one.frame + 1} repeats frame {self.seen[first].frame + 1}",
            )
            self.span(self.seen[before].time, "RTO", one, "nobody answered the SYN until the timer expired")
            return before
        asked = self.answered(at)
        if asked < 0:
            return -1
        self.wait(self.seen[asked].time, "connection", f"frame {one.frame + 1} is part of the handshake")
        return self.across(
            at, asked, "peer", "the listener's host took time to answer, or the frames waited on their way"
        )

    def acknowledgement(self, at: int, one: TalkSegment) -> int:
        """Go back from a segment without data to what it acknowledges, or to what else opened the window."""
        asked = self.answered(at)
        if asked < 0:
            return -1
        host = ConnKey.of(self.talk.keys[one.side]).host
        late = one.time - self.seen[asked].time - self.talk.trips[one.side]
        closed = self.closed_by(at, one.side)
        if closed >= 0:
            self.wait(
                self.seen[closed].time,
                "reading late",
                f"frame {one.frame + 1} opens the window that frame {self.seen[closed].frame + 1} closed",
            )
            self.span(self.seen[closed].time, THINKING[one.side], one, f"the program on {host} did not read")
            return closed
        if "window_update" in one.found:
            return self.across(at, asked, THINKING[one.side], f"{host} opened its window when its program had read")
        if late >= PROMPT:
            return self.across(
                at, asked, "delayed ACK", f"{host} held the acknowledgement of frame {self.seen[asked].frame + 1} back"
            )
        return self.across(at, asked, "peer", f"{host} took time to acknowledge frame {self.seen[asked].frame + 1}")

    def closed_by(self, at: int, side: int) -> int:
        """Return the first segment of a side that said that its window is closed, if the one before this one says it, too; or -1."""
        found, place = -1, self.talk.before[side][at]
        for _ in range(SEARCHED):
            if place < 0 or "zero_window" not in self.seen[place].found:
                break
            found, place = place, self.talk.before[side][place]
        return found

    def probe(self, at: int, one: TalkSegment) -> int:
        """Go back from a probe of a closed window, or of an idle connection, to the last segment before it."""
        # A probe may repeat the last byte that was sent, as a keep-alive does.
        window = "zero_window_probe" in one.found or self.closed_by(at, 1 - one.side) >= 0
        why = "zero-window probe" if window else "keep-alive"
        before = max(self.talk.before[one.side][at], self.answered(at))
        if before < 0:
            return -1
        self.span(self.seen[before].time, why, one, f"the timer was running until frame {one.frame + 1}")
        return before

    def again(self, at: int, one: TalkSegment) -> int:
        """Go back from a repeated segment: a timer expired, or an acknowledgement let it go."""
        first, last = self.copies(at, one)
        asked = self.answered(at)
        fast = "fast_retransmission" in one.found
        late = one.time - self.seen[asked].time - self.talk.trips[one.side] if asked >= 0 else -1
        # RACK waits for a part of a round trip after an ACK of later data (RFC 8985 6.2), and a timer for more than a whole one.
        reordering = asked >= 0 and "duplicate_ack" in self.seen[asked].found and late < sum(self.talk.trips)
        by_timer = not fast and not reordering and (asked < 0 or late > PROMPT)
        if "out_of_order" in one.found and by_timer and first < 0:
            self.span(
                self.seen[at - 1].time,
                "on the way",
                one,
                "a frame of the network overtook it, or its first copy was lost",
            ) if at else None
            return at - 1
        # The last segment that was sent may be probed; what the timer repeats is the first that has no acknowledgement.
        acked = max((self.seen[place].ack for place in (asked,) if place >= 0), default=-1)
        tail = by_timer and one.seq > acked >= 0 and one.end >= self.talk.highest(at, one.side)
        why = (
            "loss, fast retransmit"
            if fast
            else "loss, tail probe"
            if tail
            else "loss, retransmission timeout"
            if by_timer
            else "loss"
        )
        if self.too_large(one, last):
            why = "path MTU"
        origin = first if first >= 0 else self.talk.before[one.side][at]
        if origin >= 0:
            copied = f"frame {one.frame + 1} repeats what frame {self.seen[origin].frame + 1} carried" if first >= 0 else (
                f"frame {one.frame + 1} carries bytes whose first copy was lost before it came here"
            )  # fmt: skip
            self.wait(self.seen[origin].time, why, copied)
        if not by_timer and asked >= 0:
            return self.across(
                at, asked, "reordering wait" if late > PROMPT else "peer", "the sender waited for more acknowledgements"
            )
        since = max(last if last >= 0 else origin, self.advanced(at, asked))
        if since < 0:
            return -1
        if why == "path MTU":
            self.span(self.seen[since].time, "on the way", one, "a router reported that the packet is too large")
            return since
        start = self.seen[since]
        name = "tail loss probe" if tail else "RTO"
        if start.side == one.side:
            self.span(
                start.time, name, one, f"nobody acknowledged the bytes of frame {one.frame + 1} until the timer expired"
            )
            return since
        return self.across(
            at, since, name, f"nobody acknowledged the bytes of frame {one.frame + 1} until the timer expired"
        )

    def too_large(self, one: TalkSegment, last: int) -> bool:
        """Return True if ICMP said, since the last copy of a segment, that it was too large (RFC 1191 4, RFC 8201 4)."""
        frames = self.talk.timeline.frames
        first = max(self.seen[last].frame if last >= 0 else one.frame, one.frame - NEARBY)
        return any(_needs_fragments(frames[number].data, frames[number].link) for number in range(first, one.frame))

    def copies(self, at: int, one: TalkSegment) -> tuple[int, int]:
        """Return the first and the last segment before one that carried its first byte, or -1, -1."""
        first = last = -1
        chain, place = self.talk.data_before[one.side], self.talk.data_before[one.side][at]
        for _ in range(SEARCHED):
            if place < 0:
                break
            found = self.seen[place]
            if found.seq <= one.seq < found.end:
                first, last = place, last if last >= 0 else place
            place = chain[place]
        return first, last

    def advanced(self, at: int, asked: int) -> int:
        """Return the latest segment, up to the one that came last from the other side, that acknowledged something new: it started the timer again."""
        place, chain = asked, self.talk.before[1 - self.seen[at].side]
        for _ in range(SEARCHED):
            if place < 0:
                return -1
            before = chain[place]
            if before < 0 or self.seen[before].ack < self.seen[place].ack:
                return place
            place = before
        return -1

    def data(self, at: int, one: TalkSegment) -> int:
        """Go back from new data: to the data that it answers, to the acknowledgement that made room, or to the segment before it."""
        talk, host = self.talk, ConnKey.of(self.talk.keys[one.side]).host
        mine, theirs = talk.data_before[one.side][at], self.answered(at, data=True)
        trip = talk.trips[one.side]
        # It answers data that the sender's data before it did not acknowledge yet.
        if mine < 0 or (theirs >= 0 and self.seen[theirs].end > self.seen[mine].ack):
            asked = theirs if theirs >= 0 else self.answered(at)
            if asked < 0:
                return -1
            return self.worked(at, asked)
        asked = self.answered(at)
        before = self.seen[mine]
        if asked >= 0 and one.time - self.seen[asked].time - trip <= PROMPT:
            # The sender's last data before the other side's segment arrived: since then, it has waited.
            held, arrived = mine, self.seen[asked].time + trip
            while held >= 0 and self.seen[held].time >= arrived:
                held = talk.data_before[one.side][held]
            if held < 0 or self.seen[asked].length:
                return self.worked(at, asked)
            why = self.held_by(at, held, asked)
            if why == "congestion window" and not talk.flights[one.side].limited(at):
                return self.unhurried(at, mine)
            words = f"frame {one.frame + 1} waited until frame {self.seen[asked].frame + 1} came"
            self.wait(self.seen[held].time, why, words)
            return self.across(at, asked, "peer", f"{host} took time to send the next data")
        if "window_full" in one.found and one.length < talk.largest[one.side]:
            self.wait(before.time, "silly window", f"the window had no room for more than frame {one.frame + 1}")
            since = max(mine, asked, key=lambda place: self.seen[place].time)
            self.span(
                self.seen[since].time,
                "zero-window probe",
                one,
                "the sender waited for a larger window until its timer expired",
            )
            return since
        return self.unhurried(at, mine)

    def unhurried(self, at: int, mine: int) -> int:
        """Go back from data that no acknowledgement let go to the data before it: the program wrote it then, or it was on its way so long."""
        talk, one, before = self.talk, self.seen[at], self.seen[mine]
        host = ConnKey.of(talk.keys[one.side]).host
        gap = one.time - before.time
        words = f"frame {one.frame + 1} came so long after frame {before.frame + 1}"
        ran_out = talk.is_partial(before) or not talk.trips[one.side] or talk.flights[one.side].ran_out(at)
        if gap > PROMPT and self.repeated(at, before.time):
            ran_out = True
        if gap > PROMPT and ran_out:
            self.span(before.time, THINKING[one.side], one, words)
        elif gap <= max(PROMPT, sum(talk.trips)):
            self.span(before.time, "on the way", one, f"{words}: the rate of a link, or the pace of the sender")
        else:
            self.span(
                before.time, "peer", one, f"{words}: {host} had no more data, or frames were lost before they came here"
            )
        return mine

    def repeated(self, at: int, since: int) -> bool:
        """Add the time of the timer that sent new data again, if its first copy was lost before it came here. When that was sent cannot be seen."""
        one = self.seen[at]
        trip = self.talk.trips[one.side]
        if not one.length or not trip or one.time - since <= trip:
            return False
        copies = self.talk.lost[one.side].copies(at)
        if not copies or one.time - since < TIMER and "lost_segment" not in one.found:
            return False
        timer = (trip + TIMER) * (2 ** min(copies, 6) - 1)
        start = max(since, one.time - timer)
        host = ConnKey.of(self.talk.keys[one.side]).host
        words = f"{host} had sent the bytes of frame {one.frame + 1} before, and they were lost before they came here: its timer took about so long"
        self.wait(start, "loss, retransmission timeout", words)
        self.span(start, "RTO", one, words)
        return True

    def worked(self, at: int, asked: int) -> int:
        """Go back from data to what the program had to wait for before it wrote the data."""
        one, since = self.seen[at], self.seen[asked].time
        words = f"{ConnKey.of(self.talk.keys[one.side]).host} took so long until it sent frame {one.frame + 1}"
        self.repeated(at, since + self.talk.trips[one.side])
        if not (one.length and self.of_tls(one)):
            return self.across(at, asked, THINKING[one.side], words)
        if not any(opened < self.time for opened, _, _ in self.waits):
            self.wait(since, "TLS handshake", f"frame {one.frame + 1} carries a part of the handshake of TLS")
        return self.across(at, asked, "TLS computing", words)

    def held_by(self, at: int, mine: int, asked: int) -> str:
        """Return why new data waited for an acknowledgement."""
        before, answer, talk = self.seen[mine], self.seen[asked], self.talk
        if self.closed_by(asked, answer.side) >= 0:
            return "zero window"
        if "window_full" in before.found:
            return "receive window"
        full = max(talk.largest[before.side], SMALLEST_MSS)
        if self.seen[at].length < full and answer.ack >= before.end:
            return "Nagle"
        return "congestion window"

    def of_tls(self, one: TalkSegment) -> bool:
        """Return True if a segment carries bytes of a handshake of TLS, and no others."""
        return self.tls.of_bytes(
            self.talk.keys[one.side], self.talk.timeline.events[one.event].fields["seq"], one.length
        )


def _needs_fragments(data: bytes, link: int) -> bool:
    """Return True for ICMP's report that a packet was too large: type 3, code 4, and type 2 of ICMPv6 (RFC 4443 3.2)."""
    found = headers.find(data, link)
    if found is None or found.offset:
        return False
    if found.proto == headers.ICMPV6:
        return data[found.at : found.at + 1] == b"\x02"
    return found.proto == C.IPPROTO_ICMP and data[found.at : found.at + 2] == b"\x03\x04"


def end_of(talk: CapturedTalk) -> int:
    """Return the last data of the server; without any, the acknowledgement of the last data of the client."""
    answers = [place for place, one in enumerate(talk.seen) if one.length and one.side == SERVER]
    if answers:
        return answers[-1]
    sent = max((one.end for one in talk.seen if one.length), default=-1)
    acked = (place for place, one in enumerate(talk.seen) if one.side == SERVER and one.ack >= sent >= 0)
    return next(acked, len(talk.seen) - 1)


def captured_path(timeline: Timeline, index: Lookup, conn: str, begin: int, end: int) -> Path:
    """Return the path between two events of a capture. Without them, from the first segment of a connection to the end of its last answer."""
    if not conn and end >= 0:
        conn = timeline.events[end].conn
    talk = talk_of(timeline, index, conn)
    last = end_of(talk) if end < 0 else talk.place_of(end)
    first = talk.seen[0].event if begin < 0 else begin
    start = timeline.events[first].time
    if last < 0 or talk.seen[last].time <= start:
        raise PathError("no time passes between these places of the connection")
    spans = CaptureWalk(talk, start).run(last)
    return Path(start, talk.seen[last].time, talk.keys[CLIENT], first, talk.seen[last].event, spans)
