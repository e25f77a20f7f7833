"""The send buffer: what the application wrote and the peer has not acknowledged yet.

Bytes are addressed by their offset in the whole stream (64 bit), so nothing moves when the front is
acknowledged. Chunks are immutable `bytes`: a large write is kept as it came, small ones are joined.
"""

from typing import Any

JOIN_BELOW = 4096


class SendBuf:
    """Chunks of the stream from `head` (first unacknowledged byte) to `tail` (end of what was written)."""

    def __init__(self) -> None:
        self.head = 0
        self.tail = 0
        self.chunks: list[Any] = []
        self.starts: list[int] = []
        self.first = 0
        self.cursor = 0

    def __len__(self) -> int:
        return self.tail - self.head

    def append(self, data: bytes) -> None:
        """Add to the end."""
        n = len(data)
        if n == 0:
            return
        if self.first < len(self.chunks):
            last = self.chunks[len(self.chunks) - 1]
            if len(last) + n <= JOIN_BELOW:
                self.chunks[len(self.chunks) - 1] = last + data
                self.tail += n
                return
        self.chunks.append(data)
        self.starts.append(self.tail)
        self.tail += n

    def _find(self, offset: int) -> int:
        """Index of the chunk that holds the byte at `offset`; sending goes forward, so look from the cursor on."""
        i = self.cursor
        if i < self.first or i >= len(self.chunks) or self.starts[i] > offset:
            i = self.first
        while i + 1 < len(self.chunks) and self.starts[i + 1] <= offset:
            i += 1
        self.cursor = i
        return i

    def peek(self, offset: int, n: int) -> Any:
        """`n` bytes from `offset` on, all inside the buffer: bytes, or a view where a large piece lies in one chunk."""
        i = self._find(offset)
        chunk = self.chunks[i]
        begin = offset - self.starts[i]
        if begin + n <= len(chunk):
            if begin == 0 and n == len(chunk):
                return chunk
            if n > 16384:
                return memoryview(chunk)[begin : begin + n]
            return chunk[begin : begin + n]
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
        """Everything before `offset` is acknowledged: let it go."""
        if offset > self.tail:
            offset = self.tail
        self.head = offset
        i = self.first
        count = len(self.chunks)
        while i < count and self.starts[i] + len(self.chunks[i]) <= offset:
            self.chunks[i] = b""
            i += 1
        self.first = i
        if i == count:
            self.chunks.clear()
            self.starts.clear()
            self.first = 0
            self.cursor = 0
        elif i >= 64 and 2 * i >= count:
            del self.chunks[:i]
            del self.starts[:i]
            self.first = 0
            self.cursor = max(0, self.cursor - i)

    def clear(self) -> None:
        """Forget all data (the connection is over)."""
        self.head = self.tail
        self.chunks.clear()
        self.starts.clear()
        self.first = 0
        self.cursor = 0
