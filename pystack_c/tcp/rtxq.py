"""The retransmission queue: one record for every segment sent and not yet acknowledged."""

from typing import Any

from pystack_c.seqnum import seq_add, seq_diff, seq_le

#: Places free at the front of a list before what follows is moved up.
_TRIM_FROM = 8


class SentSegment:
    """Sequence space [seq, end) that was sent in one piece, and what happened to it since.

    gso   the segment size where a device cut the piece into several, or 0
    order   the count of this transmission among the connection's (see rack.sent_after)
    """

    def __init__(self, seq: int, end: int, sent_at: int) -> None:
        self.fill(seq, end, sent_at)

    def fill(self, seq: int, end: int, sent_at: int) -> None:
        """Give every field its first value."""
        self.seq = seq
        self.end = end
        self.sent_at = sent_at
        self.sacked = False
        self.lost = False
        self.in_flight_again = False
        self.retrans = 0
        self.syn_fin = 0
        self.gso = 0
        self.order = 0
        self.push = False
        # for delivery rate samples (rate.py)
        self.delivered = 0
        self.delivered_at = 0
        self.first_sent_at = 0
        self.lost_before = 0
        self.tx_in_flight = 0
        self.app_limited = False

    def length(self) -> int:
        """Sequence numbers covered."""
        return seq_diff(self.end, self.seq)

    def data_length(self) -> int:
        """Bytes of data covered: SYN and FIN are no data."""
        n = seq_diff(self.end, self.seq)
        return n - 1 if self.syn_fin != 0 else n

    def pieces(self) -> int:
        """Segments on the wire."""
        if self.gso == 0:
            return 1
        return (self.data_length() + self.gso - 1) // self.gso  # not 0: that was looked at


def sent_segment(seq: int, end: int, sent_at: int) -> SentSegment:
    """A new record: SentSegment(...) without its cost."""
    seg: SentSegment = SentSegment.__new__(SentSegment)
    seg.fill(seq, end, sent_at)
    return seg


class RtxQueue:
    """Records in sequence order, with the sums that say how much of them is where.

    count   how many records there are
    sacked_out, lost_out, retrans_out   bytes SACKed, marked lost, and retransmitted and still out
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
        self.transmissions = 0

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
        self.forget(seg)
        self.segs[self.first] = None
        self.first += 1
        self.count -= 1
        if self.first >= _TRIM_FROM and 2 * self.first >= len(self.segs):
            del self.segs[: self.first]
            self.first = 0

    def forget(self, seg: SentSegment) -> None:
        """Take a record's bytes out of the sums."""
        self._take_out(seg, seq_diff(seg.end, seg.seq))

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
        seg.seq = seq

    def split(self, i: int, seq: int) -> None:
        """Cut record `i` in two at `seq`, inside it."""
        seg: SentSegment = self.segs[i]
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
        seg.syn_fin = 0
        seg.push = False
        self.segs.insert(i + 1, rest)
        self.count += 1

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
            else:
                self.segs.append(seg)
                self.count += 1
            last = self.segs[len(self.segs) - 1] if mine else None
            while last is not None and last.data_length() > mss:
                self.split(len(self.segs) - 1, seq_add(last.seq, mss))
                last = self.segs[len(self.segs) - 1]

    def find(self, seq: int) -> int:
        """Index of the record that holds `seq`, or of the first after it."""
        low = self.first
        high = len(self.segs)
        while low < high:
            mid = (low + high) >> 1
            seg: SentSegment = self.segs[mid]
            if seq_le(seg.end, seq):
                low = mid + 1
            else:
                high = mid
        return low

    def mark_sacked(self, seg: SentSegment) -> None:
        """The peer has it: not lost, not in flight."""
        n = seq_diff(seg.end, seg.seq)
        seg.sacked = True
        self.sacked_out += n
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

    def mark_retransmitted(self, seg: SentSegment, now: int) -> None:
        """A copy of it is in flight again."""
        seg.retrans += 1
        seg.sent_at = now
        self.transmissions += 1
        seg.order = self.transmissions
        if not seg.in_flight_again:
            seg.in_flight_again = True
            self.retrans_out += seq_diff(seg.end, seg.seq)

    def next_lost(self, i: int) -> int:
        """Index of the first record from `i` on that is lost and not yet sent again, or -1."""
        n = len(self.segs)
        if i < self.first:
            i = self.first
        if self.lost_out == 0:
            return -1
        while i < n:
            seg: SentSegment = self.segs[i]
            if seg.lost and not seg.in_flight_again:
                return i
            i += 1
        return -1

    def clear(self) -> None:
        """The connection is over."""
        del self.segs[:]
        self.first = 0
        self.count = 0
        self.sacked_out = 0
        self.lost_out = 0
        self.retrans_out = 0


def new_rtxq() -> RtxQueue:
    """RtxQueue() without its cost."""
    q: RtxQueue = RtxQueue.__new__(RtxQueue)
    q.begin()
    return q


def covers(seg: SentSegment, left: int, right: int) -> bool:
    """True where [left, right) covers the whole record."""
    return seq_le(left, seg.seq) and seq_le(seg.end, right)
