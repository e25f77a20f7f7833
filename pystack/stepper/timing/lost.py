"""Whether a segment that looks new is the copy of one that was lost before it came to the capture: its first copy was never seen.

Nothing in the segment itself says so: a retransmission has the bytes of its first copy, and a timestamp of its own. Two things around it do.

- The identification of IPv4 often counts the packets of a host to one destination, or of one connection. If it skips numbers just before the segment,
  packets of the host are missing: more than the bytes that are missing explain, so the others were copies.
- After a timeout, the congestion window is one segment (RFC 5681 3.1): the answer begins with one full segment, and two follow its acknowledgement.
"""

from typing import TYPE_CHECKING, NamedTuple

from pystack.stepper.capture.packet import SYN
from pystack.trace import headers

if TYPE_CHECKING:
    from pystack.stepper.timing.talk import CapturedTalk, TalkSegment

MS = 1_000_000
#: the shortest retransmission timer that is common, without the round trip
TIMER = 200 * MS
#: more packets than these are not missed at once: the counter was used for others
MOST_MISSED = 64
#: segments of a first flight (RFC 6928)
FIRST = 10
#: a counter counts the packets of this connection if this part of its steps is right
RIGHT = 0.8
#: a segment that an acknowledgement let go left at most so long after it came
PROMPT = 2 * MS


class Number(NamedTuple):
    """The identification of a segment's packet, and how many packets of its side are missing before it."""

    ident: int
    missing: int


class LostCopies:
    """The copies of one side that were lost before the capture."""

    def __init__(self, talk: "CapturedTalk", side: int):
        self.talk = talk
        self.side = side
        self.trip = talk.trips[side]
        self.full = max(talk.largest[side], 1)
        mine = [place for place, one in enumerate(talk.seen) if one.side == side] if self.trip else []
        self.missing = self._missing(mine)
        with_data = [place for place in mine if talk.seen[place].length]
        #: the next segment of the side with data, by place
        self.following = dict(zip(with_data, with_data[1:]))
        self.opened_again = sum(1 for place in mine if talk.seen[place].flags & SYN) > 1

    def _missing(self, mine: list[int]) -> dict[int, int]:
        """Return how many packets of the side are missing before each segment, if identifications say it."""
        found: dict[int, int] = {}
        right = steps = 0
        last, ident = -1, 0
        for place in mine:
            one = self.talk.seen[place]
            frame = self.talk.timeline.frames[one.frame]
            packet = headers.find(frame.data, frame.link)
            if packet is None or packet.version != 4 or one.flags & SYN:
                last = -1  # many hosts send a SYN with 0
                continue
            if last >= 0:
                before = self.talk.seen[last]
                # A frame of a device that puts segments together has the number of its first one.
                gap = (packet.ident - ident - max(-(-before.length // self.full), 1)) & 0xFFFF
                steps += 1
                right += gap == 0
                if 0 < gap <= MOST_MISSED:
                    found[place] = gap
            last, ident = place, packet.ident
        return found if right and right >= RIGHT * (steps - len(found)) and len(found) <= max(right, 2) else {}

    def copies(self, at: int) -> int:
        """Return how many copies of a new segment were lost before it, at least; 0: nothing says that one was."""
        one = self.talk.seen[at]
        hole = 0
        if "lost_segment" in one.found:
            before = max(self.talk.highest(at, self.side), 1)
            hole = -(-max(one.seq - before, 0) // self.full)
        missed = self.missing.get(at, 0)
        if missed > hole:
            # All that was sent at first was lost, and then this was repeated, perhaps more than once.
            return max(missed - self._first_flight(at), 0) + 1 if not hole else 1
        return 1 if not missed and not hole and self._begins_again(at, one) else 0

    def _first_flight(self, at: int) -> int:
        """Return how many segments the side had to send when it sent this one first."""
        place, end = at, self.talk.seen[at].seq
        while place >= 0 and end - self.talk.seen[at].seq < FIRST * self.full:
            one = self.talk.seen[place]
            if one.ack != self.talk.seen[at].ack:
                break  # it answers something else
            end = max(end, one.end)
            place = self.following.get(place, -1)
        return min(-(-(end - self.talk.seen[at].seq) // self.full), FIRST)

    def _begins_again(self, at: int, one: "TalkSegment") -> bool:
        """Return True if one full segment is followed, when it is acknowledged, by at most two, and the window of the sender was larger at first."""
        seen, next_one = self.talk.seen, self.following.get(at, -1)
        if one.length != self.full or next_one < 0 or self.opened_again or self.talk.is_partial(one):
            return False
        asked = self.talk.before[1 - self.side][next_one]
        while asked > at and seen[asked].time > seen[next_one].time - self.trip:
            asked = self.talk.before[1 - self.side][asked]
        if asked <= at or seen[asked].ack != one.end or seen[next_one].seq != one.end:
            return False
        let_go = seen[asked].time + self.trip
        if seen[next_one].time - let_go > PROMPT:
            return False
        count, place = 0, next_one
        while place >= 0 and seen[place].time - let_go <= PROMPT and count < 4:
            count += -(-seen[place].length // self.full)
            place = self.following.get(place, -1)
        return count == 2
