"""The receive buffer: bytes in order for the application, and the out-of-order queue behind them.

Pieces keep the received frame and their place in it, so the core copies nothing: `recv` makes the one
copy. Small pieces are joined, so that a flood of tiny segments cannot make memory many times the window.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.packet import cut
from pystack_c.seqnum import seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt

_JOIN_BELOW = 1024
_JOIN_UP_TO = 16384
#: Places free at the front of a list before what follows is moved up.
_TRIM_FROM = 8


class Piece:
    """Bytes [begin, end) of `data`; `seq` is the sequence number of the first (out-of-order queue only)."""

    def __init__(self, data: bytes, begin: int, end: int, seq: int) -> None:
        self.fill(data, begin, end, seq)

    def fill(self, data: bytes, begin: int, end: int, seq: int) -> None:
        """Give every field its value."""
        self.data = data
        self.begin = begin
        self.end = end
        self.seq = seq


def new_piece(data: bytes, begin: int, end: int, seq: int) -> Piece:
    """Piece(...) without its cost."""
    piece: Piece = Piece.__new__(Piece)
    piece.fill(data, begin, end, seq)
    return piece


class RecvBuf:
    """In-order pieces (`used` bytes) and out-of-order pieces (`ooo`, sorted, not overlapping)."""

    def __init__(self, size: int) -> None:
        self.begin(size)

    def begin(self, size: int) -> None:
        """Give every field its first value."""
        self.size = size
        self.used = 0
        self.pieces: list[Any] = []
        self.first = 0
        self.ooo: Any = None
        self.ooo_bytes = 0
        self.known: Any = None
        #: how many segments were joined to what waited before them, since that was counted
        self.joined = 0

    def put(self, data: bytes, begin: int, end: int) -> None:
        """Append in-order bytes."""
        n = end - begin
        self.used += n
        if n < _JOIN_BELOW and self.first < len(self.pieces):
            last: Piece = self.pieces[len(self.pieces) - 1]
            have = last.end - last.begin
            if have < _JOIN_BELOW or last.begin == 0:
                if have + n <= _JOIN_UP_TO:
                    last.data = cut(last.data, last.begin, last.end) + cut(data, begin, end)
                    last.begin = 0
                    last.end = have + n
                    self.joined += 1
                    return
        if 2 * n < len(data):
            # A part must not keep a whole frame, which may be many times its size (offload).
            data = cut(data, begin, end)
            begin = 0
            end = n
        self.pieces.append(new_piece(data, begin, end, 0))

    def get(self, n: int, peek: bool) -> bytes:
        """Up to `n` bytes in order; with `peek` they stay."""
        if self.used == 0 or n <= 0:
            return b""
        i = self.first
        piece: Piece = self.pieces[i]
        have = piece.end - piece.begin
        if have >= n or have == self.used:
            take = n if n < have else have
            result = cut(piece.data, piece.begin, piece.begin + take)
            if not peek:
                self._consume(take)
            return result
        if n > self.used:
            n = self.used
        result = self._gather(n)
        if not peek:
            self._consume(n)
        return result

    def _gather(self, n: int) -> bytes:
        """The first `n` bytes, which lie in several pieces: each copied once."""
        if C.COMPILED:
            return gather(self.pieces, self.first, n)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            parts = []
            i = self.first
            while n > 0:
                piece: Piece = self.pieces[i]
                have = piece.end - piece.begin
                take = n if n < have else have
                parts.append(cut(piece.data, piece.begin, piece.begin + take))
                n -= take
                i += 1
            return b"".join(parts)

    def drop(self, n: int) -> None:
        """Throw away the first `n` bytes, which must be there."""
        self._consume(n)

    def _consume(self, n: int) -> None:
        self.used -= n
        i = self.first
        while n > 0:
            piece: Piece = self.pieces[i]
            have = piece.end - piece.begin
            if n < have:
                piece.begin += n
                break
            n -= have
            self.pieces[i] = None
            i += 1
        self.first = i
        if i >= _TRIM_FROM and 2 * i >= len(self.pieces):
            del self.pieces[:i]
            self.first = 0

    def cut(self, offset: int) -> int:
        """Take the byte at `offset` out of the in-order bytes and return it."""
        # From the end: the byte came with the last segments, and a peer may send many of its kind.
        i = len(self.pieces) - 1
        piece: Piece = self.pieces[i]
        start = self.used - (piece.end - piece.begin)
        while start > offset:
            i -= 1
            piece = self.pieces[i]
            start -= piece.end - piece.begin
        at = piece.begin + offset - start
        value = piece.data[at]
        self.used -= 1
        if at == piece.begin:
            piece.begin += 1
        elif at == piece.end - 1:
            piece.end = at
        elif piece.end - piece.begin <= _JOIN_UP_TO:
            # (A piece for each byte between urgent ones would be many times the window.)
            piece.data = piece.data[piece.begin : at] + piece.data[at + 1 : piece.end]
            piece.end -= piece.begin + 1
            piece.begin = 0
        else:
            self.pieces.insert(i + 1, new_piece(piece.data, at + 1, piece.end, 0))
            piece.end = at
        if piece.begin == piece.end:
            del self.pieces[i]
            if self.first == len(self.pieces):
                self.pieces.clear()
                self.first = 0
        return value

    def insert(self, data: bytes, begin: int, end: int, seq: int) -> bool:
        """Keep an out-of-order piece (RFC 9293 SHLD-31). Bytes already kept win; False if nothing was new.

        `known` tells the first stretch of it that was here before, as D-SACK reports it (RFC 2883 4).
        """
        self.known = None
        if self.ooo is None:
            self.ooo = []
        right = seq_add(seq, end - begin)
        i = self._position(seq)
        if i > 0:
            before: Piece = self.ooo[i - 1]
            edge = seq_add(before.seq, before.end - before.begin)
            if seq_gt(edge, seq):
                if seq_ge(edge, right):
                    self.known = (seq, right)
                    return False
                self.known = (seq, edge)
                begin += seq_diff(edge, seq)
                seq = edge
        new = False
        while seq_lt(seq, right):
            if i < len(self.ooo):
                after: Piece = self.ooo[i]
                stop = after.seq if seq_lt(after.seq, right) else right
            else:
                after = None  # type: ignore[assignment]
                stop = right
            gap = seq_diff(stop, seq)
            if gap > 0:
                if 2 * gap < len(data):
                    self.ooo.insert(i, new_piece(cut(data, begin, begin + gap), 0, gap, seq))
                else:
                    self.ooo.insert(i, new_piece(data, begin, begin + gap, seq))
                self.ooo_bytes += gap
                new = True
                begin += gap
                seq = stop
                i += 1
            if after is None or seq_ge(seq, right):
                break
            skip = after.end - after.begin
            self._also_known(seq, seq_add(seq, skip), right)
            begin += skip
            seq = seq_add(seq, skip)
            i += 1
        return new

    def _also_known(self, left: int, edge: int, right: int) -> None:
        """[left, edge), as far as `right`, was here before: the first such stretch, and what adjoins it, is told."""
        if seq_gt(edge, right):
            edge = right
        if self.known is None:
            self.known = (left, edge)
        elif self.known[1] == left:
            self.known = (self.known[0], edge)

    def _position(self, seq: int) -> int:
        """Index of the first piece that starts after `seq`, or at it."""
        low = 0
        high = len(self.ooo)
        while low < high:
            mid = (low + high) >> 1
            piece: Piece = self.ooo[mid]
            if seq_lt(piece.seq, seq):
                low = mid + 1
            else:
                high = mid
        return low

    def pull(self, rcv_nxt: int) -> int:
        """Move what is now in order from the out-of-order queue; returns the new RCV.NXT."""
        self.known = None
        if self.ooo is None:
            return rcv_nxt
        count = 0
        for item in self.ooo:
            piece: Piece = item
            if seq_gt(piece.seq, rcv_nxt):
                break
            count += 1
            n = piece.end - piece.begin
            self.ooo_bytes -= n
            old = seq_diff(rcv_nxt, piece.seq)
            if old > 0:
                self._also_known(piece.seq, seq_add(piece.seq, n), rcv_nxt)
            if old < n:
                self.put(piece.data, piece.begin + old, piece.end)
                rcv_nxt = seq_add(rcv_nxt, n - old)
        if count:
            del self.ooo[:count]
        if not self.ooo:
            self.ooo = None
        return rcv_nxt

    def block_at(self, seq: int) -> tuple[Any, ...] | None:
        """The contiguous out-of-order block (left, right) that holds `seq`, or None."""
        if self.ooo is None:
            return None
        i = self._position(seq_add(seq, 1)) - 1
        if i < 0:
            return None
        piece: Piece = self.ooo[i]
        left = piece.seq
        right = seq_add(left, piece.end - piece.begin)
        if seq_le(right, seq):
            return None
        j = i + 1
        while j < len(self.ooo):
            piece = self.ooo[j]
            if piece.seq != right:
                break
            right = seq_add(right, piece.end - piece.begin)
            j += 1
        while i > 0:
            piece = self.ooo[i - 1]
            if seq_add(piece.seq, piece.end - piece.begin) != left:
                break
            left = piece.seq
            i -= 1
        return (left, right)

    def clear(self) -> None:
        """Forget everything (the connection is over)."""
        self.used = 0
        self.pieces = []
        self.first = 0
        self.ooo = None
        self.ooo_bytes = 0


def new_recvbuf(size: int) -> RecvBuf:
    """RecvBuf(size) without its cost."""
    buf: RecvBuf = RecvBuf.__new__(RecvBuf)
    buf.begin(size)
    return buf
