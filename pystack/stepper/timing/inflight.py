"""How much of a side's data was in flight when each of its segments left: it tells a full congestion window from a program that had no more data.

A sender that waits for its congestion window has about as much in flight as ever before, and an acknowledgement lets as much go as it acknowledges, or
twice as much in slow start (RFC 5681 3.1). A program that writes now and then sends its data whatever has been acknowledged. (A short segment or the
flag PSH before a pause says nothing: stacks end each burst so.)
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pystack.stepper.timing.talk import CapturedTalk, TalkSegment

#: a window is full if this part of the most that was in flight is in flight: a sender may wait until a third of its window is free, to send large frames
FULL = (2, 3)
#: an acknowledgement lets at most this many times as much go as it acknowledges (slow start, RFC 5681 3.1), and the segments that were left over
GROWTH, LEFT_OVER = 2, 3
#: segments of a sender that leave within this time of each other leave together, in ns
TOGETHER = 1_000_000
#: an acknowledgement for which a segment waited came at most so long before it
PROMPT = 2_000_000


class Departure(NamedTuple):
    """The bytes that were in flight when a segment left its host: before the acknowledgement that came last, and the most since the last loss."""

    before: int
    most: int
    #: bytes that the acknowledgements since the sender's last group acknowledge, and bytes that left in this segment's group
    acked: int
    #: the bytes in flight just before the segment, the latest acknowledgement counted
    now: int
    group: int


class Departures:
    """The departures of one side, by place."""

    def __init__(self, departures: dict[int, Departure], released: list[int], full: int):
        self.departures = departures
        self.released = released
        self.full = full

    def limited(self, at: int) -> bool:
        """Return True if a segment can have waited for room in its sender's congestion window."""
        one = self.departures.get(at)
        if one is None:
            return True
        whole = one.before * FULL[1] >= one.most * FULL[0]
        return whole and self.released[one.group] <= GROWTH * one.acked + LEFT_OVER * self.full

    def ran_out(self, at: int) -> bool:
        """Return True if so little was in flight before a segment that its sender could have sent earlier."""
        one = self.departures.get(at)
        return one is not None and (one.now == 0 or one.before * FULL[1] < one.most * FULL[0])


def flights(talk: "CapturedTalk", side: int) -> Departures:
    """Return what was in flight when each new segment of a side left, in one pass over the connection."""
    seen, trip = talk.seen, talk.trips[side]
    answers = [one for one in seen if one.side != side and one.ack >= 0]
    departures: dict[int, Departure] = {}
    released: list[int] = []
    sent = most = 0
    now, recent = Acknowledged(answers), Acknowledged(answers)
    left, before, gained, last = 0, 0, 0, -TOGETHER
    for place, one in enumerate(seen):
        if one.side != side or not one.length:
            continue
        acked = now.at(one.time - trip)
        if one.end <= sent:
            # It is repeated: the window is smaller now.
            most = 0
            continue
        if acked > left or one.time - last > TOGETHER or not released:
            # An acknowledgement that came earlier let no data go.
            earlier = max(left, recent.at(one.time - trip - PROMPT))
            released.append(0)
            before, gained = sent - earlier, acked - earlier
        released[-1] += one.end - max(sent, one.seq)
        departures[place] = Departure(before, most, gained, sent - acked, len(released) - 1)
        sent, last, left = one.end, one.time, acked
        most = max(most, sent - acked)
    return Departures(departures, released, talk.largest[side])


class Acknowledged:
    """What one side had acknowledged at times that do not decrease."""

    def __init__(self, answers: list["TalkSegment"]):
        self.answers = answers
        self.next = 0
        self.most = 1

    def at(self, time: int) -> int:
        """Return the highest number that was acknowledged up to this time."""
        while self.next < len(self.answers) and self.answers[self.next].time <= time:
            self.most = max(self.most, self.answers[self.next].ack)
            self.next += 1
        return self.most
