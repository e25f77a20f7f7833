"""The scoreboard: lists of SACKed, lost and retransmitted segments (RFC 6675, RFC 8985).

With these lists, the cost of an ACK depends only on the new information in it. A scoreboard exists from the first loss
until no segment is missing any more. The records themselves are in the retransmission queue, and the lists refer to
them. A list may contain a record that does not belong there any more. The functions skip such a record when they reach
it.
"""

from typing import Any

from pystack_c.base.seqnum import seq_lt
from pystack_c.tcp.loss.sackranges import SackRanges
from pystack_c.tcp.loss.seglists import SegHeap, SegList
from pystack_c.tcp.queues.sentseg import SentSegment

#: SentSegment.place: in no list, or in `late`, `again`, `overdue` or `beyond`.
_NOWHERE, _LATE, _AGAIN, _OVERDUE, _BEYOND = 0, 1, 2, 3, 4
#: The length of `again` from which records that are not in flight any more are removed.
_CROWD = 64


class Scoreboard:
    """The lists, and the end of each walk over the records.

    sacks     the SACKed ranges
    waiting   lost segments that were not retransmitted since
    late      segments in flight that were sent once, before one that was delivered: RACK's candidates, in the order of
              transmission
    again     retransmissions in flight, in the order of transmission
    overdue   retransmissions in flight that were sent before a segment that was delivered, in the same order
    beyond    further such retransmissions, above a segment that was sent only once: RACK does not examine them yet
    edge      records below this sequence number were put into `late`
    whole     records below this sequence number were retransmitted
    counted   records below this sequence number were marked by the rules of RFC 6675
    """

    def __init__(self, seq: int) -> None:
        self.sacks = SackRanges()
        self.waiting = SegHeap()
        self.begin(seq)

    def begin(self, seq: int) -> None:
        """Restart the walks at `seq`, without retransmissions."""
        self.late = SegList()
        self.again = SegList()
        self.overdue = SegList()
        self.beyond = SegHeap()
        self.edge = seq
        self.whole = seq
        self.counted = seq
        self.crowd = _CROWD

    def acked(self, seg: SentSegment) -> None:
        """Note that a record leaves the queue."""
        seg.gone = True
        if seg.sacked:
            self.sacks.acked(seg.end)
        if seq_lt(self.edge, seg.end):
            self.edge = seg.end
        if seq_lt(self.whole, seg.end):
            self.whole = seg.end
        if seq_lt(self.counted, seg.end):
            self.counted = seg.end

    def lost(self, seg: SentSegment) -> None:
        """Put a lost record on the list of those to retransmit."""
        if not seg.queued:
            seg.queued = True
            self.waiting.push(seg)

    def next_lost(self) -> Any:
        """Return the first record that is lost and was not retransmitted since, or None."""
        while True:
            seg: SentSegment = self.waiting.top()
            if seg is None or (seg.lost and not seg.in_flight_again and not seg.gone):
                return seg
            self.waiting.pop()
            seg.queued = False

    def none_lost(self) -> None:
        """Clear the list of records to retransmit."""
        if len(self.waiting.items) == 0:
            return
        for item in self.waiting.items:
            seg: SentSegment = item
            seg.queued = False
        self.waiting = SegHeap()

    def leave(self, seg: SentSegment) -> None:
        """Replace a record that is about to be retransmitted by a placeholder, so that its list stays sorted."""
        if seg.place == _AGAIN:
            line = self.again
        elif seg.place == _OVERDUE:
            line = self.overdue
        else:
            return
        i = line.by_time(seg.order, seg.end)
        if i < len(line.items) and line.items[i] is seg:
            stand_in = SentSegment(seg.seq, seg.end, seg.sent_at)
            stand_in.order = seg.order
            stand_in.gone = True
            line.items[i] = stand_in

    def sent_again(self, seg: SentSegment) -> None:
        """Append a record that was just retransmitted."""
        if len(self.again.items) > self.crowd:
            self._thin_out()
        self.again.append(seg)
        seg.place = _AGAIN

    def _thin_out(self) -> None:
        """Remove the records that are not in flight any more from `again`."""
        line = SegList()
        for item in self.again.items[self.again.first :]:
            seg: SentSegment = item
            if out_again(seg):
                line.append(seg)
            elif seg.place == _AGAIN:
                seg.place = _NOWHERE
        self.again = line
        self.crowd = 2 * len(line.items) + _CROWD

    def split(self, seg: SentSegment, rest: SentSegment) -> None:
        """Put `rest`, which was split off `seg`, into the same list."""
        if rest.lost and not rest.in_flight_again:
            self.lost(rest)
            return
        if seg.place == _LATE:
            self.late.insert(self.late.by_seq(seg.seq), rest)
        elif seg.place == _AGAIN:
            self.again.insert(self.again.by_time(rest.order, rest.end), rest)
        elif seg.place == _OVERDUE:
            self.overdue.insert(self.overdue.by_time(rest.order, rest.end), rest)
        elif seg.place == _BEYOND:
            self.beyond.push(rest)
        rest.place = seg.place

    def first_late(self) -> Any:
        """Return the first record of `late` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.late.front()
            if seg is None or fresh(seg):
                return seg
            self.late.pop_front()
            if seg.place == _LATE:
                seg.place = _NOWHERE

    def last_late(self) -> Any:
        """Return the last record of `late` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.late.back()
            if seg is None or fresh(seg):
                return seg
            self.late.pop_back()
            if seg.place == _LATE:
                seg.place = _NOWHERE

    def first_again(self) -> Any:
        """Return the first record of `again` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.again.front()
            if seg is None or out_again(seg):
                return seg
            self.again.pop_front()
            if seg.place == _AGAIN:
                seg.place = _NOWHERE

    def first_overdue(self) -> Any:
        """Return the first record of `overdue` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.overdue.front()
            if seg is None or out_again(seg):
                return seg
            self.overdue.pop_front()
            if seg.place == _OVERDUE:
                seg.place = _NOWHERE

    def last_overdue(self) -> Any:
        """Return the last record of `overdue` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.overdue.back()
            if seg is None or out_again(seg):
                return seg
            self.overdue.pop_back()
            if seg.place == _OVERDUE:
                seg.place = _NOWHERE

    def first_beyond(self) -> Any:
        """Return the lowest record of `beyond` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.beyond.top()
            if seg is None or (seg.place == _BEYOND and out_again(seg)):
                return seg
            self.beyond.pop()

    def becomes_late(self, seg: SentSegment) -> None:
        """Append a record to `late`, because a segment sent after it was delivered."""
        self.late.append(seg)
        seg.place = _LATE

    def becomes_overdue(self, seg: SentSegment, near: bool) -> None:
        """Move `seg`, the first record of `again`, because a segment sent after it was delivered.

        It moves to `overdue` if `near` is true, so that RACK examines it, and otherwise to `beyond`.
        """
        self.again.pop_front()
        if near:
            self.overdue.append(seg)
            seg.place = _OVERDUE
        else:
            self.beyond.push(seg)
            seg.place = _BEYOND

    def comes_near(self, seg: SentSegment) -> None:
        """Move `seg`, the top of `beyond`, to `overdue`, so that RACK examines it."""
        self.beyond.pop()
        self.overdue.insert(self.overdue.by_time(seg.order, seg.end), seg)
        seg.place = _OVERDUE

    def take_late(self, seg: SentSegment) -> None:
        """Remove the first record of `late`, which is lost."""
        self.late.pop_front()
        seg.place = _NOWHERE

    def take_overdue(self, seg: SentSegment) -> None:
        """Remove the first record of `overdue`, which is lost."""
        self.overdue.pop_front()
        seg.place = _NOWHERE

    def calm(self) -> bool:
        """Clear the lists that are not needed, because nothing is missing. Return True if all lists are empty."""
        if self.late.first < len(self.late.items):
            for item in self.late.items[self.late.first :]:
                seg: SentSegment = item
                if seg.place == _LATE:
                    seg.place = _NOWHERE
            self.late = SegList()
        self.none_lost()
        return self.first_again() is None and self.first_overdue() is None and self.first_beyond() is None

    def rebuild(self, segs: list[Any], seq: int) -> None:
        """Restart the walks at `seq`, the first of the records `segs`, after marks were removed."""
        self.begin(seq)
        found: list[Any] = []
        for i, item in enumerate(segs):
            seg: SentSegment = item
            seg.place = _NOWHERE
            if seg.retrans > 0 and out_again(seg):
                found.append((seg.order, i, seg))
        found.sort()
        for entry in found:
            self.sent_again(entry[2])


def fresh(seg: SentSegment) -> bool:
    """Return True if a segment was sent once and is believed to be in the network."""
    return not seg.sacked and not seg.lost and seg.retrans == 0 and not seg.gone


def out_again(seg: SentSegment) -> bool:
    """Return True if a retransmitted segment is believed to be in the network."""
    return not seg.sacked and (not seg.lost or seg.in_flight_again) and not seg.gone
