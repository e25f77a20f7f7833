"""Bytes received, where they lie in the frames that brought them; and runs of them that are out of order."""

from typing import Any

from pystack_c.base.seqnum import seq_add
from pystack_c.packet import cut

#: smaller pieces than this are joined
_JOIN_BELOW = 1024
#: pieces do not get larger than this by joining small ones
_JOIN_UP_TO = 16384


class Piece:
    """Bytes [begin, end) of `data`."""

    def __init__(self, data: bytes, begin: int, end: int) -> None:
        self.fill(data, begin, end)

    def fill(self, data: bytes, begin: int, end: int) -> None:
        """Give every field its value."""
        self.data = data
        self.begin = begin
        self.end = end


def new_piece(data: bytes, begin: int, end: int) -> Piece:
    """Piece(...) without its cost."""
    piece: Piece = Piece.__new__(Piece)
    piece.fill(data, begin, end)
    return piece


def keep(data: bytes, begin: int, end: int) -> Piece:
    """A piece of a frame that is kept: a part must not keep a whole frame, which may be many times its size (offload)."""
    if 2 * (end - begin) < len(data):
        return new_piece(cut(data, begin, end), 0, end - begin)
    return new_piece(data, begin, end)


def join(last: Piece, data: bytes, begin: int, end: int) -> bool:
    """Put a few bytes behind those of `last`, if that makes no large copy. False if they need a piece of their own."""
    n = end - begin
    have = last.end - last.begin
    if n >= _JOIN_BELOW or (have >= _JOIN_BELOW and last.begin != 0) or have + n > _JOIN_UP_TO:
        return False
    last.data = cut(last.data, last.begin, last.end) + cut(data, begin, end)
    last.begin = 0
    last.end = have + n
    return True


class Run:
    """Pieces without a hole between them; `seq` is the sequence number of the first byte, `right` of the one after the last."""

    def __init__(self, seq: int, piece: Piece) -> None:
        self.seq = seq
        self.right = seq_add(seq, piece.end - piece.begin)
        self.pieces: list[Any] = [piece]

    def put_behind(self, data: bytes, begin: int, end: int) -> bool:
        """Bytes from `right` on. True if they are a piece of their own."""
        self.right = seq_add(self.right, end - begin)
        if join(self.pieces[len(self.pieces) - 1], data, begin, end):
            return False
        self.pieces.append(keep(data, begin, end))
        return True

    def put_before(self, data: bytes, begin: int, end: int) -> bool:
        """Bytes up to `seq`. True if they are a piece of their own."""
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
        """The run `after` begins where this one ends: it becomes a part of this one."""
        self.right = after.right
        if len(after.pieces) > len(self.pieces):
            after.pieces[:0] = self.pieces
            self.pieces = after.pieces
        else:
            self.pieces.extend(after.pieces)
