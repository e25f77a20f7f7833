"""The send buffer: data that the application wrote and the peer has not acknowledged.

Bytes are addressed by their 64-bit offset in the whole stream, so an ACK moves no data. Chunks are immutable `bytes`. A
large write becomes a chunk without a copy, and small writes are joined.
"""

from typing import Any

from pystack_c.packet import cut

_JOIN_BELOW = 4096
#: The number of free places at the front of a list from which its items are moved up.
_TRIM_FROM = 8


class SendBuf:
    """Chunks of the stream from `head` (the first unacknowledged byte) to `tail` (the end of the written data).

    `first` is the index of the first chunk that is still needed, and `cursor` that of the chunk last sent from.
    `first_at` and `cursor_at` are the offsets where these two chunks begin. `constant` is None, or a block that many
    connections send. Its bytes in the buffer (`shared`) do not count as this connection's memory.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Give every field its initial value."""
        self.head = 0
        self.tail = 0
        self.chunks: list[Any] = []
        self.first = 0
        self.first_at = 0
        self.cursor = 0
        self.cursor_at = 0
        self.constant: Any = None
        self.shared = 0

    def __len__(self) -> int:
        return self.tail - self.head

    def append(self, data: bytes) -> None:
        """Append data."""
        n = len(data)
        if n == 0:
            return
        if self.first < len(self.chunks):
            last: bytes = self.chunks[len(self.chunks) - 1]
            if len(last) + n <= _JOIN_BELOW:
                self.chunks[len(self.chunks) - 1] = last + data
                self.tail += n
                return
        else:
            self.first_at = self.tail
        self.chunks.append(data)
        self.tail += n
        if data is self.constant:
            self.shared += n

    def own(self) -> int:
        """Return the bytes that only this connection keeps in memory.

        A chunk is freed as a whole, and a block that many connections send does not count.
        """
        if self.head == self.tail:
            return 0
        return self.tail - self.first_at - self.shared

    def _find(self, offset: int) -> int:
        """Return the index of the chunk that holds the byte at `offset`.

        Sending goes forward, so the search starts at the cursor.
        """
        i = self.cursor
        at = self.cursor_at
        if i <= self.first or at > offset:
            i = self.first
            at = self.first_at
        while i + 1 < len(self.chunks):
            chunk: bytes = self.chunks[i]
            if at + len(chunk) > offset:
                break
            at += len(chunk)
            i += 1
        self.cursor = i
        self.cursor_at = at
        return i

    def peek(self, offset: int, n: int) -> Any:
        """Return `n` bytes from `offset` on, which must be in the buffer.

        The result is bytes, or a view if a large range lies in one chunk.
        """
        i = self._find(offset)
        chunk: bytes = self.chunks[i]
        begin = offset - self.cursor_at
        if begin + n <= len(chunk):
            if begin == 0 and n == len(chunk):
                return chunk
            if n > 16384:
                return memoryview(chunk)[begin : begin + n]
            return cut(chunk, begin, begin + n)
        parts = [chunk[begin:]]
        left = n - (len(chunk) - begin)
        while left > 0:
            i += 1
            chunk = self.chunks[i]
            if len(chunk) > left:
                chunk = chunk[:left]
            parts.append(chunk)
            left -= len(chunk)
        return b"".join(parts)

    def ack(self, offset: int) -> None:
        """Free everything before `offset`, which is acknowledged."""
        if offset > self.tail:
            offset = self.tail
        self.head = offset
        i = self.first
        count = len(self.chunks)
        while i < count:
            chunk: bytes = self.chunks[i]
            if self.first_at + len(chunk) > offset:
                break
            self.first_at += len(chunk)
            if chunk is self.constant:
                self.shared -= len(chunk)
            self.chunks[i] = None
            i += 1
        self.first = i
        if i >= _TRIM_FROM and 2 * i >= count:
            del self.chunks[:i]
            self.first = 0
            self.cursor -= i

    def clear(self) -> None:
        """Discard all data, because the connection has ended."""
        self.head = self.tail
        del self.chunks[:]
        self.first = 0
        self.cursor = 0
        self.shared = 0


def new_sendbuf() -> SendBuf:
    """Return a new buffer. This is faster than a call of SendBuf()."""
    buf: SendBuf = SendBuf.__new__(SendBuf)
    buf.begin()
    return buf
