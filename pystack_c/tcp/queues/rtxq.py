"""The retransmission queue: one record for every segment that was sent and is not acknowledged."""

from typing import Any

from pystack_c.base.seqnum import seq_add, seq_diff
from pystack_c.tcp.loss.sackranges import SackRanges
from pystack_c.tcp.loss.scoreboard import Scoreboard
from pystack_c.tcp.queues.sentseg import SentSegment, find, sent_segment

#: The number of free places at the front of a list from which its items are moved up.
_TRIM_FROM = 8


class RtxQueue:
    """Records in sequence order, with totals of their bytes in each condition.

    count                               the number of records
    sacked_out, lost_out, retrans_out   bytes SACKed, marked as lost, and retransmitted and in flight
    sacked_segs                         segments SACKed
    cuts                                records that an edge of a SACK block split inside a segment
    board                               the scoreboard, or None if nothing was missing recently
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Give every field its initial value."""
        self.segs: list[Any] = []
        self.first = 0
        self.count = 0
        self.sacked_out = 0
        self.lost_out = 0
        self.retrans_out = 0
        self.sacked_segs = 0
        self.cuts = 0
        self.transmissions = 0
        self.board: Any = None

    def __len__(self) -> int:
        return self.count

    def append(self, seg: SentSegment) -> None:
        """Append the record of a new segment."""
        self.transmissions += 1
        seg.order = self.transmissions
        self.segs.append(seg)
        self.count += 1

    def head(self) -> Any:
        """Return the oldest record, or None."""
        if self.count > 0:
            return self.segs[self.first]
        return None

    def pop_head(self) -> None:
        """Remove the oldest record, which is acknowledged."""
        seg: SentSegment = self.segs[self.first]
        self.segs[self.first] = None
        self.first += 1
        self.count -= 1
        if self.board is not None:
            self.forget(seg)
        if self.first >= _TRIM_FROM and 2 * self.first >= len(self.segs):
            del self.segs[: self.first]
            self.first = 0

    def missing(self) -> Scoreboard:
        """Return the scoreboard, and create it at the first loss."""
        if self.board is None:
            head: SentSegment = self.segs[self.first]
            self.board = Scoreboard(head.seq)
        return self.board  # type: ignore[no-any-return]

    def forget(self, seg: SentSegment) -> None:
        """Take a record that has left the queue out of the totals and the scoreboard."""
        board: Scoreboard = self.board
        self._take_out(seg, seq_diff(seg.end, seg.seq))
        if seg.sacked:
            self.sacked_segs -= seg.whole_pieces()
        if seg.part:
            self.cuts -= 1
        board.acked(seg)
        if self.count == 0:
            self.board = None

    def _take_out(self, seg: SentSegment, n: int) -> None:
        if seg.sacked:
            self.sacked_out -= n
        if seg.lost:
            self.lost_out -= n
        if seg.in_flight_again:
            self.retrans_out -= n

    def trim_head(self, seq: int) -> None:
        """Remove the part of the oldest record before `seq`, which is acknowledged. `seq` lies inside the record."""
        seg: SentSegment = self.segs[self.first]
        self._take_out(seg, seq_diff(seq, seg.seq))
        if seg.sacked:
            self.sacked_segs -= seg.whole_pieces()
        seg.seq = seq
        if seg.sacked:
            self.sacked_segs += seg.whole_pieces()

    def split(self, i: int, seq: int) -> None:
        """Split record `i` in two at `seq`, which lies inside it."""
        seg: SentSegment = self.segs[i]
        if seg.sacked:
            self.sacked_segs -= seg.whole_pieces()
        rest = sent_segment(seq, seg.end, seg.sent_at)
        rest.sacked = seg.sacked
        rest.lost = seg.lost
        rest.in_flight_again = seg.in_flight_again
        rest.retrans = seg.retrans
        rest.syn_fin = seg.syn_fin
        rest.gso = seg.gso
        rest.order = seg.order
        rest.push = seg.push
        rest.delivered = seg.delivered
        rest.delivered_at = seg.delivered_at
        rest.first_sent_at = seg.first_sent_at
        rest.lost_before = seg.lost_before
        rest.tx_in_flight = seg.tx_in_flight
        rest.app_limited = seg.app_limited
        seg.end = seq
        rest.part = seg.part
        seg.syn_fin = 0
        seg.push = False
        seg.part = False
        self.segs.insert(i + 1, rest)
        self.count += 1
        if seg.sacked:
            self.sacked_segs += seg.whole_pieces() + rest.whole_pieces()
        if self.board is not None:
            self.board.split(seg, rest)

    def cut(self, i: int, seq: int) -> None:
        """Split record `i` at `seq`, the edge of a SACK block, and count the split if it lies inside a segment."""
        seg: SentSegment = self.segs[i]
        n = seq_diff(seg.end, seg.seq)
        at = seq_diff(seq, seg.seq)
        size = seg.gso if seg.gso > 0 else n
        self.split(i, seq)
        if at % size != 0:
            seg.part = True
            self.cuts += 1

    def single(self, i: int) -> None:
        """Split the first segment, as it was on the wire, off record `i`.

        So offload does not affect retransmissions.
        """
        seg: SentSegment = self.segs[i]
        if seg.gso > 0 and seg.data_length() > seg.gso:
            self.split(i, seq_add(seg.seq, seg.gso))

    def recut(self, mss: int) -> None:
        """Divide the lost data into segments of `mss` bytes, across old boundaries, after the path MTU fell."""
        segs = self.segs[self.first :]
        self.segs = []
        self.first = 0
        self.count = 0
        last: Any = None
        for item in segs:
            seg: SentSegment = item
            mine = seg.lost and not seg.in_flight_again
            if mine and last is not None:
                last.end = seg.end
                last.syn_fin = seg.syn_fin
                last.push = seg.push
                last.retrans = max(last.retrans, seg.retrans)
                last.gso = 0
                if last.part:
                    self.cuts -= 1
                last.part = seg.part
                seg.gone = True
            else:
                self.segs.append(seg)
                self.count += 1
            last = self.segs[len(self.segs) - 1] if mine else None
            while last is not None and last.data_length() > mss:
                self.split(len(self.segs) - 1, seq_add(last.seq, mss))
                last = self.segs[len(self.segs) - 1]
        if self.board is not None:
            self._list_anew()

    def _list_anew(self) -> None:
        """Rebuild the scoreboard's lists after many records or marks have changed at once."""
        board: Scoreboard = self.board
        segs = self.segs[self.first :]
        if len(segs) == 0:
            return
        head: SentSegment = segs[0]
        board.rebuild(segs, head.seq)

    def find(self, seq: int) -> int:
        """Return the index of the record that holds `seq`, or of the first record after it."""
        return find(self.segs, self.first, seq, True)

    def mark_sacked(self, seg: SentSegment) -> None:
        """Mark a record as SACKed, so that it is neither lost nor in flight."""
        n = seq_diff(seg.end, seg.seq)
        seg.sacked = True
        self.sacked_out += n
        self.sacked_segs += seg.whole_pieces()
        self.missing().sacks.add(seg.seq, seg.end, seg.pieces())
        if seg.lost:
            seg.lost = False
            self.lost_out -= n
        if seg.in_flight_again:
            seg.in_flight_again = False
            self.retrans_out -= n

    def mark_lost(self, seg: SentSegment) -> None:
        """Mark a record as lost, with its retransmission, if there was one."""
        n = seq_diff(seg.end, seg.seq)
        if not seg.lost:
            seg.lost = True
            self.lost_out += n
        if seg.in_flight_again:
            seg.in_flight_again = False
            self.retrans_out -= n
        self.missing().lost(seg)

    def mark_retransmitted(self, seg: SentSegment, now: int) -> None:
        """Record that a copy of the record was sent and is in flight."""
        board = self.missing()
        board.leave(seg)
        seg.retrans += 1
        seg.sent_at = now
        self.transmissions += 1
        seg.order = self.transmissions
        if not seg.in_flight_again:
            seg.in_flight_again = True
            self.retrans_out += seq_diff(seg.end, seg.seq)
        board.sent_again(seg)

    def next_lost(self) -> int:
        """Return the index of the first record that is lost and was not retransmitted since, or -1."""
        if self.board is None:
            return -1
        board: Scoreboard = self.board
        if self.lost_out == 0:
            if len(board.waiting.items) > 0:
                board.none_lost()
            return -1
        seg: SentSegment = board.next_lost()
        if seg is None:
            return -1
        return self.find(seg.seq)

    def nothing_lost(self) -> None:
        """Remove all loss marks, because they were wrong (RFC 4015 3.3)."""
        for item in self.segs[self.first :]:
            seg: SentSegment = item
            seg.lost = False
            seg.in_flight_again = False
        self.lost_out = 0
        self.retrans_out = 0
        if self.board is not None:
            self._list_anew()

    def nothing_sacked(self) -> None:
        """Remove all SACK marks, because the peer discarded the data (RFC 2018 8)."""
        for item in self.segs[self.first :]:
            seg: SentSegment = item
            seg.sacked = False
        self.sacked_out = 0
        self.sacked_segs = 0
        if self.board is not None:
            self.board.sacks = SackRanges()
            self._list_anew()

    def calm(self) -> None:
        """Drop the scoreboard if nothing is missing or late."""
        if self.board is not None and self.board.calm() and self.cuts == 0:
            self.board = None

    def clear(self) -> None:
        """Remove all records, because the connection has ended."""
        del self.segs[:]
        self.first = 0
        self.count = 0
        self.sacked_out = 0
        self.lost_out = 0
        self.retrans_out = 0
        self.sacked_segs = 0
        self.cuts = 0
        self.board = None


def new_rtxq() -> RtxQueue:
    """Return a new queue. This is faster than a call of RtxQueue()."""
    q: RtxQueue = RtxQueue.__new__(RtxQueue)
    q.begin()
    return q
