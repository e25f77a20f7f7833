"""The record of one transmission: the data that was sent in one piece, and its condition."""

from typing import Any

from pystack_c.base.seqnum import seq_diff, seq_le


class SentSegment:
    """The sequence space [seq, end) that was sent in one piece, and its condition.

    gso             the segment size in bytes if a device cut the piece into several segments, or 0
    order           the ordinal number of this transmission in the connection (see rack.sent_after)
    part            an edge of a SACK block split it off its segment, the rest of which follows
    gone            it is no longer in the retransmission queue
    place, queued   the lists of the scoreboard that contain it (see scoreboard.py)
    """

    def __init__(self, seq: int, end: int, sent_at: int) -> None:
        self.fill(seq, end, sent_at)

    def fill(self, seq: int, end: int, sent_at: int) -> None:
        """Give every field its initial value."""
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
        # For delivery rate samples (rate.py).
        self.delivered = 0
        self.delivered_at = 0
        self.first_sent_at = 0
        self.lost_before = 0
        self.tx_in_flight = 0
        self.app_limited = False

    def length(self) -> int:
        """Return the number of sequence numbers that the record covers."""
        return seq_diff(self.end, self.seq)

    def data_length(self) -> int:
        """Return the number of data bytes that the record covers, without SYN and FIN."""
        n = seq_diff(self.end, self.seq)
        return n - 1 if self.syn_fin != 0 else n

    def pieces(self) -> int:
        """Return the number of segments on the wire."""
        if self.gso == 0:
            return 1
        return (self.data_length() + self.gso - 1) // self.gso  # not 0: checked above

    def whole_pieces(self) -> int:
        """Return the number of segments whose last byte is in the record. Only one part of a split segment counts."""
        n = self.pieces()
        return n - 1 if self.part else n


def sent_segment(seq: int, end: int, sent_at: int) -> SentSegment:
    """Return a new record. This is faster than a call of SentSegment(...)."""
    seg: SentSegment = SentSegment.__new__(SentSegment)
    seg.fill(seq, end, sent_at)
    return seg


def covers(seg: SentSegment, left: int, right: int) -> bool:
    """Return True if [left, right) covers the whole record."""
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
