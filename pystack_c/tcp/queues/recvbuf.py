"""The receive buffer: bytes in order for the application, and the out-of-order queue behind them.

A piece keeps the received frame and a range in it, so the core copies nothing, and `recv` makes the only copy. Small
pieces are joined, so that a flood of tiny segments cannot need many times the memory of the window. Contiguous pieces
out of order form a run. There are as many runs as holes, and each run is one SACK block.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.packet import cut
from pystack_c.tcp.queues.pieces import Piece, Run, join, keep, new_piece

#: The number of free places at the front of a list from which its items are moved up.
_TRIM_FROM = 8
#: A byte is removed from a piece of up to this size (in bytes) by copying the piece.
_COPY_UP_TO = 16384


class RecvBuf:
    """In-order pieces (`used` bytes), and runs of out-of-order pieces (`ooo`, sorted, with a hole before each).

    `ooo_bytes` and `ooo_pieces` are the numbers of bytes and pieces in all runs.
    """

    def __init__(self, size: int) -> None:
        self.begin(size)

    def begin(self, size: int) -> None:
        """Give every field its initial value."""
        self.size = size
        self.used = 0
        self.pieces: list[Any] = []
        self.first = 0
        self.ooo: Any = None
        self.ooo_bytes = 0
        self.ooo_pieces = 0
        self.known: Any = None
        #: The number of segments joined to earlier ones since the caller last counted them.
        self.joined = 0

    def put(self, data: bytes, begin: int, end: int) -> None:
        """Append in-order bytes."""
        self.used += end - begin
        if self.first < len(self.pieces) and join(self.pieces[len(self.pieces) - 1], data, begin, end):
            self.joined += 1
            return
        self.pieces.append(keep(data, begin, end))

    def get(self, n: int, peek: bool) -> bytes:
        """Return up to `n` in-order bytes, and remove them unless `peek` is true."""
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
        """Return the first `n` bytes, which lie in several pieces. Each byte is copied once."""
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
        """Discard the first `n` bytes, which must be present."""
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
        """Remove the byte at `offset` from the in-order bytes, and return it."""
        # Search from the end: the byte arrived in the last segments, and a peer may send many urgent bytes.
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
        elif piece.end - piece.begin <= _COPY_UP_TO:
            # Copy the piece. A piece for each byte between urgent bytes would need many times the memory of the window.
            piece.data = piece.data[piece.begin : at] + piece.data[at + 1 : piece.end]
            piece.end -= piece.begin + 1
            piece.begin = 0
        else:
            self.pieces.insert(i + 1, new_piece(piece.data, at + 1, piece.end))
            piece.end = at
        if piece.begin == piece.end:
            del self.pieces[i]
            if self.first == len(self.pieces):
                self.pieces.clear()
                self.first = 0
        return value

    def insert(self, data: bytes, begin: int, end: int, seq: int) -> bool:
        """Store out-of-order data (RFC 9293 SHLD-31).

        Return False if none of it was new; stored bytes are not replaced.

        `known` becomes the first range of it that was stored before, which D-SACK reports (RFC 2883 4).
        """
        self.known = None
        if self.ooo is None:
            self.ooo = []
        right = seq_add(seq, end - begin)
        i = self._position(seq)
        before = self.ooo_bytes
        while seq_lt(seq, right):
            run: Run = None  # type: ignore[assignment]
            stop = right
            if i < len(self.ooo):
                run = self.ooo[i]
                if seq_ge(seq, run.seq):
                    # The data begins inside this run, or at its end.
                    self._also_known(seq, run.right, right)
                    if seq_gt(run.right, seq):
                        begin += seq_diff(run.right, seq)
                        seq = run.right
                    if seq_ge(seq, right):
                        break
                    n = self._grow(i, data, begin, seq, right)
                    begin += n
                    seq = seq_add(seq, n)
                    continue
                if seq_gt(run.seq, right):
                    run = None  # type: ignore[assignment]
                else:
                    stop = run.seq
            gap = seq_diff(stop, seq)
            if run is not None:
                self._count(gap, run.put_before(data, begin, begin + gap))
            else:
                self.ooo.insert(i, Run(seq, keep(data, begin, begin + gap)))
                self._count(gap, True)
            begin += gap
            seq = stop
        return self.ooo_bytes > before

    def _grow(self, i: int, data: bytes, begin: int, seq: int, right: int) -> int:
        """Append [seq, right) to run `i`, up to the next run, and join the two runs if they meet.

        Return the number of bytes appended.
        """
        run: Run = self.ooo[i]
        after: Run = None  # type: ignore[assignment]
        stop = right
        if i + 1 < len(self.ooo):
            after = self.ooo[i + 1]
            if seq_gt(after.seq, right):
                after = None  # type: ignore[assignment]
            else:
                stop = after.seq
        gap = seq_diff(stop, seq)
        self._count(gap, run.put_behind(data, begin, begin + gap))
        if after is not None:
            run.take(after)
            del self.ooo[i + 1]
        return gap

    def _count(self, n: int, piece: bool) -> None:
        """Count `n` new bytes, in a piece of their own or joined to another."""
        self.ooo_bytes += n
        if piece:
            self.ooo_pieces += 1
        else:
            self.joined += 1

    def touches(self, seq: int, right: int) -> bool:
        """Return True if [seq, right) overlaps or adjoins a run, so that it makes no new hole."""
        if self.ooo is None:
            return False
        i = self._position(seq)
        if i >= len(self.ooo):
            return False
        run: Run = self.ooo[i]
        return seq_le(run.seq, right)

    def _also_known(self, left: int, edge: int, right: int) -> None:
        """Note that [left, edge), up to `right`, was stored before.

        `known` holds the first such range, and any that adjoin it.
        """
        if seq_gt(edge, right):
            edge = right
        if seq_ge(left, edge):
            return
        if self.known is None:
            self.known = (left, edge)
        elif self.known[1] == left:
            self.known = (self.known[0], edge)

    def _position(self, seq: int) -> int:
        """Return the index of the first run that ends at `seq` or after it."""
        low = 0
        high = len(self.ooo)
        while low < high:
            mid = (low + high) >> 1
            run: Run = self.ooo[mid]
            if seq_lt(run.right, seq):
                low = mid + 1
            else:
                high = mid
        return low

    def pull(self, rcv_nxt: int) -> int:
        """Move the data that is in order now out of the out-of-order queue. Return the new RCV.NXT."""
        self.known = None
        if self.ooo is None:
            return rcv_nxt
        count = 0
        for item in self.ooo:
            run: Run = item
            if seq_gt(run.seq, rcv_nxt):
                break
            count += 1
            self._also_known(run.seq, run.right, rcv_nxt)
            old = seq_diff(rcv_nxt, run.seq)
            self.ooo_bytes -= seq_diff(run.right, run.seq)
            self.ooo_pieces -= len(run.pieces)
            if seq_gt(run.right, rcv_nxt):
                rcv_nxt = run.right
                self._move(run, old)
        if count:
            del self.ooo[:count]
        if not self.ooo:
            self.ooo = None
        return rcv_nxt

    def _move(self, run: Run, old: int) -> None:
        """Move a run that is in order now, without its first `old` bytes, which had arrived before."""
        for item in run.pieces:
            piece: Piece = item
            n = piece.end - piece.begin
            if old < n:
                self.put(piece.data, piece.begin + old, piece.end)
                old = 0
            else:
                old -= n

    def forget_ooo(self) -> None:
        """Discard the out-of-order data."""
        self.ooo = None
        self.ooo_bytes = 0
        self.ooo_pieces = 0
        self.known = None

    def block_at(self, seq: int) -> tuple[Any, ...] | None:
        """Return the run (left, right) that holds `seq`, or None."""
        if self.ooo is None:
            return None
        i = self._position(seq_add(seq, 1))
        if i >= len(self.ooo):
            return None
        run: Run = self.ooo[i]
        if seq_gt(run.seq, seq):
            return None
        return (run.seq, run.right)

    def clear(self) -> None:
        """Discard all data, because the connection has ended."""
        self.used = 0
        self.pieces = []
        self.first = 0
        self.forget_ooo()


def new_recvbuf(size: int) -> RecvBuf:
    """Return a new buffer of `size` bytes. This is faster than a call of RecvBuf(size)."""
    buf: RecvBuf = RecvBuf.__new__(RecvBuf)
    buf.begin(size)
    return buf
