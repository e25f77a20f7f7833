"""The retransmission queue: one record for every segment sent and not yet acknowledged."""

from typing import Any

from pystack_c.base.seqnum import seq_add, seq_diff
from pystack_c.tcp.loss.sackranges import SackRanges
from pystack_c.tcp.loss.scoreboard import Scoreboard
from pystack_c.tcp.queues.sentseg import SentSegment, find, sent_segment

#: Places free at the front of a list before what follows is moved up.
_TRIM_FROM = 8


class RtxQueue:
    """Records in sequence order, with the sums that say how much of them is where.

    count   how many records there are
    sacked_out, lost_out, retrans_out   bytes SACKed, marked lost, and retransmitted and still out
    sacked_segs   segments SACKed
    cuts   records that an edge of a SACK block cut off the rest of their segments
    board   the scoreboard, or None where nothing was missing lately
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Give every field its first value."""
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
        """A new segment was sent."""
        self.transmissions += 1
        seg.order = self.transmissions
        self.segs.append(seg)
        self.count += 1

    def head(self) -> Any:
        """The oldest record, or None."""
        if self.count > 0:
            return self.segs[self.first]
        return None

    def pop_head(self) -> None:
        """The oldest record is acknowledged."""
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
        """The scoreboard, which begins with the first loss."""
        if self.board is None:
            head: SentSegment = self.segs[self.first]
            self.board = Scoreboard(head.seq)
        return self.board  # type: ignore[no-any-return]

    def forget(self, seg: SentSegment) -> None:
        """A record has left the queue: take it out of the sums and the scoreboard."""
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
        """The oldest record is acknowledged up to `seq`, inside it."""
        seg: SentSegment = self.segs[self.first]
        self._take_out(seg, seq_diff(seq, seg.seq))
        if seg.sacked:
            self.sacked_segs -= seg.whole_pieces()
        seg.seq = seq
        if seg.sacked:
            self.sacked_segs += seg.whole_pieces()

    def split(self, i: int, seq: int) -> None:
        """Cut record `i` in two at `seq`, inside it."""
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
        """An edge of a SACK block lies at `seq`, inside record `i`: cut it there; such records are counted."""
        seg: SentSegment = self.segs[i]
        n = seq_diff(seg.end, seg.seq)
        at = seq_diff(seq, seg.seq)
        size = seg.gso if seg.gso > 0 else n
        self.split(i, seq)
        if at % size != 0:
            seg.part = True
            self.cuts += 1

    def single(self, i: int) -> None:
        """Cut the first segment, as it was on the wire, off record `i`: what is sent again does not depend on offload."""
        seg: SentSegment = self.segs[i]
        if seg.gso > 0 and seg.data_length() > seg.gso:
            self.split(i, seq_add(seg.seq, seg.gso))

    def recut(self, mss: int) -> None:
        """The path carries less than it did: make what is lost into segments of `mss` bytes, across the old boundaries."""
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
        """Records or their marks changed all at once: make the scoreboard's lists of those in flight, and of those lost, again."""
        board: Scoreboard = self.board
        segs = self.segs[self.first :]
        if len(segs) == 0:
            return
        head: SentSegment = segs[0]
        board.rebuild(segs, head.seq)

    def find(self, seq: int) -> int:
        """Index of the record that holds `seq`, or of the first after it."""
        return find(self.segs, self.first, seq, True)

    def mark_sacked(self, seg: SentSegment) -> None:
        """The peer has it: not lost, not in flight."""
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
        """It left the network without arriving (and so did its retransmission, if there was one)."""
        n = seq_diff(seg.end, seg.seq)
        if not seg.lost:
            seg.lost = True
            self.lost_out += n
        if seg.in_flight_again:
            seg.in_flight_again = False
            self.retrans_out -= n
        self.missing().lost(seg)

    def mark_retransmitted(self, seg: SentSegment, now: int) -> None:
        """A copy of it is in flight again."""
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
        """Index of the first record that is lost and was not sent again since, or -1."""
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
        """All marks of losses were wrong (RFC 4015 3.2)."""
        for item in self.segs[self.first :]:
            seg: SentSegment = item
            seg.lost = False
            seg.in_flight_again = False
        self.lost_out = 0
        self.retrans_out = 0
        if self.board is not None:
            self._list_anew()

    def nothing_sacked(self) -> None:
        """The peer does not have what it SACKed (RFC 2018 8)."""
        for item in self.segs[self.first :]:
            seg: SentSegment = item
            seg.sacked = False
        self.sacked_out = 0
        self.sacked_segs = 0
        if self.board is not None:
            self.board.sacks = SackRanges()
            self._list_anew()

    def calm(self) -> None:
        """Nothing is missing, and nothing late."""
        if self.board is not None and self.board.calm() and self.cuts == 0:
            self.board = None

    def clear(self) -> None:
        """The connection is over."""
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
    """RtxQueue() without its cost."""
    q: RtxQueue = RtxQueue.__new__(RtxQueue)
    q.begin()
    return q
