"""The scoreboard: what is SACKed, lost, and sent again, in lists that make an ACK cost what it newly says (RFC 6675, RFC 8985).

There is one from the first loss on until no segment is missing any more. The records themselves stay in the retransmission queue;
these lists point to them, and a record that is in a list and does not belong there any more is passed over when it is met.
"""

from typing import Any

from pystack_c.base.seqnum import seq_lt
from pystack_c.tcp.loss.sackranges import SackRanges
from pystack_c.tcp.loss.seglists import SegHeap, SegList
from pystack_c.tcp.queues.sentseg import SentSegment

#: SentSegment.place: in none of the lists, `late`, `again`, `overdue`, `beyond`
_NOWHERE, _LATE, _AGAIN, _OVERDUE, _BEYOND = 0, 1, 2, 3, 4
#: so many retransmissions are listed before those that are not in flight any more are looked for
_CROWD = 64


class Scoreboard:
    """The lists, and how far each walk over the records got.

    sacks   what is SACKed
    waiting   what is lost and was not sent again since
    late   what was sent once, is in flight, and before something that was delivered: RACK's candidates, in the order of sending
    again   retransmissions in flight, in the order of sending; `overdue`: those of them sent before something that was delivered
    beyond   such ones above what was never sent again, which RACK does not look at yet
    edge, whole, counted   sequence numbers: records below were put into `late`, were sent again, were marked by RFC 6675's rules
    """

    def __init__(self, seq: int) -> None:
        self.sacks = SackRanges()
        self.waiting = SegHeap()
        self.begin(seq)

    def begin(self, seq: int) -> None:
        """The walks begin anew at `seq`, and nothing was sent again."""
        self.late = SegList()
        self.again = SegList()
        self.overdue = SegList()
        self.beyond = SegHeap()
        self.edge = seq
        self.whole = seq
        self.counted = seq
        self.crowd = _CROWD

    def acked(self, seg: SentSegment) -> None:
        """A record leaves the queue."""
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
        """It waits to be sent again."""
        if not seg.queued:
            seg.queued = True
            self.waiting.push(seg)

    def next_lost(self) -> Any:
        """The first record that is lost and was not sent again since, or None."""
        while True:
            seg: SentSegment = self.waiting.top()
            if seg is None or (seg.lost and not seg.in_flight_again and not seg.gone):
                return seg
            self.waiting.pop()
            seg.queued = False

    def none_lost(self) -> None:
        """Nothing waits to be sent again."""
        if len(self.waiting.items) == 0:
            return
        for item in self.waiting.items:
            seg: SentSegment = item
            seg.queued = False
        self.waiting = SegHeap()

    def leave(self, seg: SentSegment) -> None:
        """It is about to be sent again: its place in the order of sending gets free, but stays sorted."""
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
        """It was sent again just now."""
        if len(self.again.items) > self.crowd:
            self._thin_out()
        self.again.append(seg)
        seg.place = _AGAIN

    def _thin_out(self) -> None:
        """Take what is not in flight any more out of `again`."""
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
        """`rest` was cut off `seg`: it goes where that is."""
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
        """The first of `late` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.late.front()
            if seg is None or fresh(seg):
                return seg
            self.late.pop_front()
            if seg.place == _LATE:
                seg.place = _NOWHERE

    def last_late(self) -> Any:
        """The last of `late` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.late.back()
            if seg is None or fresh(seg):
                return seg
            self.late.pop_back()
            if seg.place == _LATE:
                seg.place = _NOWHERE

    def first_again(self) -> Any:
        """The first of `again` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.again.front()
            if seg is None or out_again(seg):
                return seg
            self.again.pop_front()
            if seg.place == _AGAIN:
                seg.place = _NOWHERE

    def first_overdue(self) -> Any:
        """The first of `overdue` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.overdue.front()
            if seg is None or out_again(seg):
                return seg
            self.overdue.pop_front()
            if seg.place == _OVERDUE:
                seg.place = _NOWHERE

    def last_overdue(self) -> Any:
        """The last of `overdue` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.overdue.back()
            if seg is None or out_again(seg):
                return seg
            self.overdue.pop_back()
            if seg.place == _OVERDUE:
                seg.place = _NOWHERE

    def first_beyond(self) -> Any:
        """The lowest of `beyond` that is still in flight, or None."""
        while True:
            seg: SentSegment = self.beyond.top()
            if seg is None or (seg.place == _BEYOND and out_again(seg)):
                return seg
            self.beyond.pop()

    def becomes_late(self, seg: SentSegment) -> None:
        """Something sent after this original was delivered."""
        self.late.append(seg)
        seg.place = _LATE

    def becomes_overdue(self, seg: SentSegment, near: bool) -> None:
        """Something sent after `seg`, the first of `again`, was delivered; `near`: RACK looks at it."""
        self.again.pop_front()
        if near:
            self.overdue.append(seg)
            seg.place = _OVERDUE
        else:
            self.beyond.push(seg)
            seg.place = _BEYOND

    def comes_near(self, seg: SentSegment) -> None:
        """RACK looks at `seg`, the top of `beyond`, from now on."""
        self.beyond.pop()
        self.overdue.insert(self.overdue.by_time(seg.order, seg.end), seg)
        seg.place = _OVERDUE

    def take_late(self, seg: SentSegment) -> None:
        """The first of `late` is lost."""
        self.late.pop_front()
        seg.place = _NOWHERE

    def take_overdue(self, seg: SentSegment) -> None:
        """The first of `overdue` is lost."""
        self.overdue.pop_front()
        seg.place = _NOWHERE

    def calm(self) -> bool:
        """Nothing is missing: forget what is not needed. True if nothing is left at all."""
        if self.late.first < len(self.late.items):
            for item in self.late.items[self.late.first :]:
                seg: SentSegment = item
                if seg.place == _LATE:
                    seg.place = _NOWHERE
            self.late = SegList()
        self.none_lost()
        return self.first_again() is None and self.first_overdue() is None and self.first_beyond() is None

    def rebuild(self, segs: list[Any], seq: int) -> None:
        """Marks were taken back: the walks begin anew at `seq`, the first of the records `segs`."""
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
    """Was it sent once, and is it believed to be in the network?"""
    return not seg.sacked and not seg.lost and seg.retrans == 0 and not seg.gone


def out_again(seg: SentSegment) -> bool:
    """Is it, sent again, believed to be in the network?"""
    return not seg.sacked and (not seg.lost or seg.in_flight_again) and not seg.gone
