"""Received bytes, which stay in the frames that brought them, and runs of such bytes out of order."""

from typing import Any

from pystack_c.base.seqnum import seq_add
from pystack_c.packet import cut

#: A piece smaller than this (in bytes) is joined to another.
_JOIN_BELOW = 1024
#: Joining small pieces makes no piece larger than this (in bytes).
_JOIN_UP_TO = 16384


class Piece:
    """The bytes [begin, end) of `data`."""

    def __init__(self, data: bytes, begin: int, end: int) -> None:
        self.fill(data, begin, end)

    def fill(self, data: bytes, begin: int, end: int) -> None:
        """Give every field its value."""
        self.data = data
        self.begin = begin
        self.end = end


def new_piece(data: bytes, begin: int, end: int) -> Piece:
    """Return a new piece. This is faster than a call of Piece(...)."""
    piece: Piece = Piece.__new__(Piece)
    piece.fill(data, begin, end)
    return piece


def keep(data: bytes, begin: int, end: int) -> Piece:
    """Return a piece for storage, with a copy of the bytes if they are less than half of the frame.

    A small piece must not keep a whole frame in memory, which can be many times its size with offload.
    """
    if 2 * (end - begin) < len(data):
        return new_piece(cut(data, begin, end), 0, end - begin)
    return new_piece(data, begin, end)


def join(last: Piece, data: bytes, begin: int, end: int) -> bool:
    """Append a few bytes to `last`, unless that requires a large copy. Return False if they need their own piece."""
    n = end - begin
    have = last.end - last.begin
    if n >= _JOIN_BELOW or (have >= _JOIN_BELOW and last.begin != 0) or have + n > _JOIN_UP_TO:
        return False
    last.data = cut(last.data, last.begin, last.end) + cut(data, begin, end)
    last.begin = 0
    last.end = have + n
    return True


class Run:
    """Contiguous pieces.

    `seq` is the sequence number of the first byte, and `right` that of the byte after the last.
    """

    def __init__(self, seq: int, piece: Piece) -> None:
        self.seq = seq
        self.right = seq_add(seq, piece.end - piece.begin)
        self.pieces: list[Any] = [piece]

    def put_behind(self, data: bytes, begin: int, end: int) -> bool:
        """Add bytes that begin at `right`. Return True if they form a new piece."""
        self.right = seq_add(self.right, end - begin)
        if join(self.pieces[len(self.pieces) - 1], data, begin, end):
            return False
        self.pieces.append(keep(data, begin, end))
        return True

    def put_before(self, data: bytes, begin: int, end: int) -> bool:
        """Add bytes that end at `seq`. Return True if they form a new piece."""
        n = end - begin
        self.seq = seq_add(self.seq, -n)
        first: Piece = self.pieces[0]
        have = first.end - first.begin
        if n < _JOIN_BELOW and have < _JOIN_BELOW:
            first.data = cut(data, begin, end) + cut(first.data, first.begin, first.end)
            first.begin = 0
            first.end = have + n
            return False
        self.pieces.insert(0, keep(data, begin, end))
        return True

    def take(self, after: "Run") -> None:
        """Append the run `after`, which begins where this one ends."""
        self.right = after.right
        if len(after.pieces) > len(self.pieces):
            after.pieces[:0] = self.pieces
            self.pieces = after.pieces
        else:
            self.pieces.extend(after.pieces)
