"""The record of one transmission: what was sent in one piece, and what happened to it since."""

from typing import Any

from pystack_c.base.seqnum import seq_diff, seq_le


class SentSegment:
    """Sequence space [seq, end) that was sent in one piece, and what happened to it since.

    gso   the segment size where a device cut the piece into several, or 0
    order   the count of this transmission among the connection's (see rack.sent_after)
    part   an edge of a SACK block cut it off the rest of its segment, which follows
    gone   it is not in the retransmission queue any more
    place, queued   in which lists of the scoreboard it is (see scoreboard.py)
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
        self.part = False
        self.gone = False
        self.place = 0
        self.queued = False
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

    def whole_pieces(self) -> int:
        """Segments of which the last byte is in it: of a segment that was cut, one part counts."""
        n = self.pieces()
        return n - 1 if self.part else n


def sent_segment(seq: int, end: int, sent_at: int) -> SentSegment:
    """A new record: SentSegment(...) without its cost."""
    seg: SentSegment = SentSegment.__new__(SentSegment)
    seg.fill(seq, end, sent_at)
    return seg


def covers(seg: SentSegment, left: int, right: int) -> bool:
    """True where [left, right) covers the whole record."""
    return seq_le(left, seg.seq) and seq_le(seg.end, right)


def find(segs: list[Any], first: int, seq: int, by_end: bool) -> int:
    """Index of the first record, from number `first` on, that ends (`by_end`) or begins after `seq`, in a list sorted so."""
    low = first
    high = len(segs)
    while low < high:
        mid = (low + high) >> 1
        seg: SentSegment = segs[mid]
        if seq_le(seg.end if by_end else seg.seq, seq):
            low = mid + 1
        else:
            high = mid
    return low
