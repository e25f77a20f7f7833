"""The write queue in chunks: the ends of records (MSG_EOR), and, with the setting `tcp_linux_queue`, Linux's queue.

Linux fills its queue with chunks of up to half the peer's window, and never joins them again. SO_SNDBUF limits the
chunks' bytes plus their overhead. A writer may write while there is any room, but the socket becomes writable only when
a third is free. Each send ends with PSH, and so does each piece that Linux's offload would cut. All of this changes
only where segments end, and not the data that arrives.
"""

from collections import deque
from typing import Any

from pystack_c.base.seqnum import seq_add, seq_diff, seq_gt
from pystack_c.tcp import quirks
from pystack_c.tcp.tcb import Tcb

MSG_EOR, MSG_MORE, MSG_ZEROCOPY = 0x80, 0x8000, 0x4000000
#: The overhead of a chunk in bytes on a 64-bit Linux: sk_buff, its head and its skb_shared_info.
OVERHEAD = 1280
#: The largest payload of an skb in bytes: 64 KiB less room for headers.
LARGEST = 65536 - 1 - 320
#: MAX_SKB_FRAGS, and the bytes in one fragment.
MOST_FRAGS, PAGE = 17, 4096
#: SOCK_MIN_SNDBUF, in bytes.
LEAST_SNDBUF = 4608
NO_LIMIT = 1 << 31
MILLISECOND = 1_000_000
#: Why PSH is set: the application's data ends here, so a retransmission repeats PSH (MARKED), or only a piece ends
#: (PIECE).
MARKED, PIECE = 1, 2


class Chunk:
    """The stream offsets [start, end) of data that was written together."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.push = False
        self.eor = False
        #: The number of pages that MSG_ZEROCOPY pinned for the chunk.
        self.frags = 0


class Chunks:
    """The chunks from the first unacknowledged byte to the last byte written."""

    def __init__(self, tcb: Tcb, linux: bool) -> None:
        self.linux = linux
        self.queue: deque[Chunk] = deque()
        #: The ends of the pieces that are sent and not acknowledged, and the range of the last piece.
        self.pieces: deque[int] = deque()
        self.piece_start = 0
        self.piece_end = 0
        #: The stream offset up to which PSH was requested.
        self.pushed = tcb.sendbuf.tail
        if tcb.sendbuf.tail > tcb.sendbuf.head:
            self.queue.append(Chunk(tcb.sendbuf.head, tcb.sendbuf.tail))
            self.queue[0].push = True

    # -- writing -----------------------------------------------------------------------------------------------------

    def written(self, tcb: Tcb, n: int, flags: int) -> None:
        """Note that `n` bytes are added at the end of the send buffer. Without `linux`, only a record's end matters."""
        tail = tcb.sendbuf.tail
        last = self.queue[-1] if self.queue else None
        if last is None or last.eor:
            last = Chunk(tail, tail)
            self.queue.append(last)
        last.end = tail + n
        last.eor = flags & MSG_EOR != 0

    def admit(self, tcb: Tcb, n: int, flags: int) -> int:
        """Return how many of `n` bytes may be written now, and add them to the chunks, as tcp_sendmsg does.

        A new chunk may start while there is any room left.
        """
        goal = size_goal(tcb)
        pinned = flags & MSG_ZEROCOPY and tcb.errqueue is not None and tcb.errqueue.zerocopy
        tail = tcb.sendbuf.tail
        sent = tcb.send_offset()
        edge = sent
        taken = 0
        while taken < n:
            last = self.queue[-1] if self.queue else None
            room = 0
            if last is not None and last.end > edge and not last.eor:
                room = goal - (last.end - max(last.start, edge))
                if pinned and last.frags >= MOST_FRAGS:
                    # Each piece of the application's memory takes a fragment, and the chunk has no more of them.
                    last.push = True
                    self.pushed = tail
                    room = 0
            if last is None or room <= 0:
                if not self.has_room(tcb, tail, edge, 1):
                    break
                last = Chunk(tail, tail)
                self.queue.append(last)
                room = goal
            if taken == 0:
                last.push = False
            take = min(room, n - taken)
            last.end += take
            last.frags += -(-take // PAGE) if pinned else 0
            tail += take
            taken += take
            if taken < n and take == room:
                edge = self._chunk_is_full(tcb, last, tail, sent, edge)
        if taken == 0:
            return 0
        last = self.queue[-1]
        if taken < n or not flags & MSG_MORE or self._must_push(tcb, tail):
            last.push = True
            self.pushed = tail
        if taken == n and flags & MSG_EOR:
            last.eor = True
        return taken

    def _must_push(self, tcb: Tcb, tail: int) -> bool:
        """Return True if half of the largest window was written since the last PSH (Linux forced_push)."""
        return bool(tail > self.pushed + tcb.max_window // 2)

    def _chunk_is_full(self, tcb: Tcb, last: Chunk, tail: int, sent: int, edge: int) -> int:
        """Send a full chunk before the next one starts, if it is the first or a push is due.

        Return the stream offset up to which data is sent then.
        """
        if self._must_push(tcb, tail):
            last.push = True
            self.pushed = tail
        elif last.start > edge:
            return edge
        usable = seq_diff(seq_add(tcb.snd_una, tcb.snd_wnd), tcb.snd_nxt)
        budget = max(0, min(usable, tcb.cwnd - tcb.in_flight(), tail - sent))
        return sent + budget // tcb.mss * tcb.mss  # type: ignore[no-any-return]

    # -- room --------------------------------------------------------------------------------------------------------

    def charge(self, tcb: Tcb, tail: int, edge: int) -> int:
        """Return the bytes that SO_SNDBUF limits (Linux sk_wmem_queued).

        These are the bytes from the first unacknowledged one to `tail`, plus the overhead of their chunks.
        """
        unsent = sum(1 for chunk in self.queue if chunk.end > edge)
        pieces = len(self.pieces)
        sent = tcb.send_offset()
        if edge > sent:
            # Data that is sent while the application still writes is cut into pieces, and each piece has the same
            # overhead.
            size = tso_segments(tcb, tcb.mss) * tcb.mss
            for chunk in self.queue:
                n = min(chunk.end, edge) - max(chunk.start, sent)
                pieces += max(0, (n + size - 1) // size)
        return tail - tcb.sendbuf.head + OVERHEAD * (unsent + pieces)  # type: ignore[no-any-return]

    def has_room(self, tcb: Tcb, tail: int, edge: int, weight: int) -> bool:
        """Return True if the buffer has room and not too much is unsent (TCP_NOTSENT_LOWAT).

        Linux calls this sk_stream_memory_free.
        """
        lowat = tcb.notsent_lowat or tcb.core.config.tcp_notsent_lowat
        if 0 < lowat < NO_LIMIT and (tail - edge) * weight >= lowat:
            return False
        return self.charge(tcb, tail, edge) < tcb.sndbuf_size  # type: ignore[no-any-return]

    def space(self, tcb: Tcb) -> int:
        """Return the free bytes, or 0 if less than a third of the buffer is free (Linux sk_stream_is_writeable)."""
        tail, edge = tcb.sendbuf.tail, tcb.send_offset()
        used = self.charge(tcb, tail, edge)
        if tcb.sndbuf_size - used < used >> 1 or not self.has_room(tcb, tail, edge, 2):
            return 0
        return tcb.sndbuf_size - used  # type: ignore[no-any-return]

    def grow(self, tcb: Tcb) -> None:
        """Make room for two windows if a writer had to stop, but the network could take more (Linux tcp_new_space)."""
        config = tcb.core.config
        if tcb.sndbuf_fixed or not config.tcp_moderate_sndbuf or tcb.in_flight() >= tcb.cwnd:
            return
        each = 1
        while each < tcb.mss + 640:
            each *= 2
        segments = max(config.tcp_init_cwnd, tcb.cwnd // tcb.mss, config.tcp_reordering + 1)
        tcb.sndbuf_size = max(tcb.sndbuf_size, min(2 * segments * (each + 256), config.tcp_wmem_max))

    # -- sending -----------------------------------------------------------------------------------------------------

    def rest(self, tcb: Tcb, offset: int) -> int:
        """Return the number of bytes from `offset` to the end of its chunk. No segment extends beyond this end."""
        for chunk in self.queue:
            if chunk.end > offset:
                return (chunk.start if chunk.start > offset else chunk.end) - offset
        return tcb.sendbuf.tail - offset  # type: ignore[no-any-return]

    def sending(self, tcb: Tcb, offset: int, n: int, mss: int, limit: int) -> int:
        """Return MARKED or PIECE if the segment [offset, offset + n) needs PSH, otherwise 0.

        `limit` is the number of bytes that the windows admit.
        """
        end = offset + n
        whole = offset + self.rest(tcb, offset)
        if not self.linux:
            return MARKED if end == whole else 0
        if offset >= self.piece_end:
            size = min(whole - offset, limit, tso_segments(tcb, mss) * mss)
            if offset + size < whole or (size % mss and nagle_holds(tcb)):
                size = size // mss * mss
            self.piece_start, self.piece_end = offset, max(end, offset + size)
            self.pieces.append(self.piece_end)
        if end == whole and any(chunk.end == end and chunk.push for chunk in self.queue):
            return MARKED
        # Linux __tcp_transmit_skb: a piece that offload cuts into several segments ends with PSH.
        return PIECE if end >= self.piece_end and n < self.piece_end - self.piece_start else 0

    def within(self, offset: int) -> bool:
        """Return True if `offset` lies inside a piece that is partly sent. Linux paces whole pieces."""
        return self.linux and offset < self.piece_end

    def defers(self, tcb: Tcb, offset: int, mss: int, usable: int, room: int) -> bool:
        """Return True if it is better to wait for the next ACK and send a larger piece (Linux tcp_tso_should_defer).

        This is so only if the ACK is due very soon.
        """
        limit = min(usable, room)
        rest = self.rest(tcb, offset)
        now = tcb.core.now
        if not self.linux or offset < self.piece_end or rest <= mss or tcb.ca_state >= 3 or tcb.tlp_new:
            return False
        if now - tcb.last_send > MILLISECOND or limit >= tso_segments(tcb, mss) * mss:
            return False
        if limit >= rest and offset + rest < tcb.sendbuf.tail:
            return False
        head = tcb.rtxq.head()
        if limit >= min(tcb.snd_wnd, tcb.cwnd) // 3 or head is None:
            return False
        if head.sent_at + tcb.srtt - now > min(tcb.srtt // 2, MILLISECOND):
            return False
        return limit <= rest and not tcb.fin_pending

    def mark(self) -> None:
        """Set PSH on the last chunk, because a timer sends data that was held back (Linux tcp_write_wakeup)."""
        if self.queue:
            self.queue[-1].push = True

    def acked(self, head: int) -> None:
        """Remove the chunks and pieces before `head`, which are acknowledged."""
        while self.queue and self.queue[0].end <= head:
            self.queue.popleft()
        while self.pieces and self.pieces[0] <= head:
            self.pieces.popleft()


def size_goal(tcb: Tcb) -> int:
    """Return the maximum size of a chunk (Linux tcp_send_mss): whole segments, at most half of the largest window."""
    most = LARGEST
    if tcb.max_window > 0:
        most = min(most, tcb.max_window // 2 if tcb.max_window > 536 else tcb.max_window)
    return max(tcb.mss, most // tcb.mss * tcb.mss)  # type: ignore[no-any-return]


def tso_segments(tcb: Tcb, mss: int) -> int:
    """Return the segments in one piece: about a millisecond at the pacing rate, and more if the round trip is short.

    Linux calls this tcp_tso_autosize.
    """
    size = 65536
    if tcb.srtt >= 1000:
        gain = 200 if tcb.cwnd < tcb.ssthresh // 2 else 120
        size = (tcb.cwnd * gain // 100 * 1_000_000_000 // tcb.srtt) >> 10
        far = max(0, tcb.min_rtt) // 1000 >> 9
        size += 65536 >> far if far < 32 else 0
    return max(min(size, 65535) // mss, quirks.least_group(tcb))  # type: ignore[no-any-return]


def nagle_holds(tcb: Tcb) -> bool:
    """Return True if Nagle's algorithm holds the part of a chunk below the MSS (Linux tcp_nagle_check)."""
    if tcb.cork or tcb.more:
        return True
    if tcb.nodelay or tcb.snd_nxt == tcb.snd_una:
        return False
    return not tcb.core.config.tcp_minshall or seq_gt(tcb.snd_sml, tcb.snd_una)


def of(tcb: Tcb, flags: int) -> Any:
    """Return the chunks of a connection that is about to write, or None if it needs none.

    The setting `tcp_linux_queue` or MSG_EOR in `flags` creates them.
    """
    linux = quirks.linux_queue(tcb)
    if tcb.chunks is None and (linux or flags & MSG_EOR):
        tcb.chunks = Chunks(tcb, linux)
    return tcb.chunks


def check_space(tcb: Tcb) -> None:
    """Wake a writer that had to stop, if there is room again after an ACK or after sending."""
    chunks: Chunks = tcb.chunks
    chunks.grow(tcb)
    if chunks.space(tcb) > 0:
        tcb.no_space = False
        tcb.wake(4)
