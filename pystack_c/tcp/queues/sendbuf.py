"""The send buffer: what the application wrote and the peer has not acknowledged yet.

Bytes are addressed by their offset in the whole stream (64 bit), so nothing moves when the front is
acknowledged. Chunks are immutable `bytes`: a large write is kept as it came, small ones are joined.
"""

from typing import Any

from pystack_c.packet import cut

_JOIN_BELOW = 4096
#: Places free at the front of a list before what follows is moved up.
_TRIM_FROM = 8


class SendBuf:
    """Chunks of the stream from `head` (first unacknowledged byte) to `tail` (end of what was written).

    `first` is the index of the first chunk that is still needed, `cursor` of the one sent from last; `first_at` and `cursor_at` are
    the offsets where these two begin. `constant` is None or a block that many connections send: its bytes in the buffer (`shared`)
    cost this connection nothing.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Give every field its first value."""
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
        """Add to the end."""
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
        """Bytes that this connection alone keeps: chunks are let go whole, and a block that many send is not its own."""
        if self.head == self.tail:
            return 0
        return self.tail - self.first_at - self.shared

    def _find(self, offset: int) -> int:
        """Index of the chunk that holds the byte at `offset`; sending goes forward, so look from the cursor on."""
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
        """`n` bytes from `offset` on, all inside the buffer: bytes, or a view where a large piece lies in one chunk."""
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
        """Everything before `offset` is acknowledged: let it go."""
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
        """Forget all data (the connection is over)."""
        self.head = self.tail
        del self.chunks[:]
        self.first = 0
        self.cursor = 0
        self.shared = 0


def new_sendbuf() -> SendBuf:
    """SendBuf() without its cost."""
    buf: SendBuf = SendBuf.__new__(SendBuf)
    buf.begin()
    return buf
