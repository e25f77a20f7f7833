"""The write queue in chunks: where one must end (MSG_EOR), and, by the setting `tcp_linux_queue`, as Linux keeps it.

Linux fills its queue with chunks of up to half the peer's window that are never joined again. SO_SNDBUF counts what each costs
besides its bytes; a writer gets in while there is any room, and is told so when a third is free. Each send marks its end with
PSH, and so does each piece that its offload would cut. None of this changes what arrives; it changes where segments end.
"""

from collections import deque
from typing import Any

from pystack_c.base.seqnum import seq_add, seq_diff, seq_gt
from pystack_c.tcp import quirks
from pystack_c.tcp.tcb import Tcb

MSG_EOR, MSG_MORE, MSG_ZEROCOPY = 0x80, 0x8000, 0x4000000
#: what a chunk costs besides its payload, on a 64-bit Linux: sk_buff, its head and its skb_shared_info
OVERHEAD = 1280
#: of an skb's largest size, 64 KiB, this much is for headers
LARGEST = 65536 - 1 - 320
#: MAX_SKB_FRAGS, and what one of them holds
MOST_FRAGS, PAGE = 17, 4096
#: SOCK_MIN_SNDBUF
LEAST_SNDBUF = 4608
NO_LIMIT = 1 << 31
MILLISECOND = 1_000_000
#: PSH because the application's data ends here, which a retransmission repeats; or only because a piece ends
MARKED, PIECE = 1, 2


class Chunk:
    """Stream offsets [start, end) that were written together."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.push = False
        self.eor = False
        #: pages that MSG_ZEROCOPY pinned for it
        self.frags = 0


class Chunks:
    """The chunks from the first unacknowledged byte to the end of what was written."""

    def __init__(self, tcb: Tcb, linux: bool) -> None:
        self.linux = linux
        self.queue: deque[Chunk] = deque()
        #: ends of the pieces sent and not yet acknowledged, and the extent of the last
        self.pieces: deque[int] = deque()
        self.piece_start = 0
        self.piece_end = 0
        #: up to where PSH was asked for
        self.pushed = tcb.sendbuf.tail
        if tcb.sendbuf.tail > tcb.sendbuf.head:
            self.queue.append(Chunk(tcb.sendbuf.head, tcb.sendbuf.tail))
            self.queue[0].push = True

    # -- writing -----------------------------------------------------------------------------------------------------

    def written(self, tcb: Tcb, n: int, flags: int) -> None:
        """Note that `n` bytes are added to the end of the send buffer. Without `linux`, only their end matters."""
        tail = tcb.sendbuf.tail
        last = self.queue[-1] if self.queue else None
        if last is None or last.eor:
            last = Chunk(tail, tail)
            self.queue.append(last)
        last.end = tail + n
        last.eor = flags & MSG_EOR != 0

    def admit(self, tcb: Tcb, n: int, flags: int) -> int:
        """How many of `n` bytes may be written now, as tcp_sendmsg does it: in chunks, each if there is any room left."""
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
                    # Each piece of the application's memory is a fragment of its own, and there are no more.
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
        """forced_push: half of the largest window was written since the last PSH."""
        return bool(tail > self.pushed + tcb.max_window // 2)

    def _chunk_is_full(self, tcb: Tcb, last: Chunk, tail: int, sent: int, edge: int) -> int:
        """Send a full chunk before the next one begins, if it is the first or a push is due. Return how far that gets."""
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
        """sk_wmem_queued: the bytes from the first unacknowledged one to `tail`, with what their chunks cost besides."""
        unsent = sum(1 for chunk in self.queue if chunk.end > edge)
        pieces = len(self.pieces)
        sent = tcb.send_offset()
        if edge > sent:
            # What leaves while the writer still writes is cut into pieces, and each of them costs as much.
            size = tso_segments(tcb, tcb.mss) * tcb.mss
            for chunk in self.queue:
                n = min(chunk.end, edge) - max(chunk.start, sent)
                pieces += max(0, (n + size - 1) // size)
        return tail - tcb.sendbuf.head + OVERHEAD * (unsent + pieces)  # type: ignore[no-any-return]

    def has_room(self, tcb: Tcb, tail: int, edge: int, weight: int) -> bool:
        """sk_stream_memory_free: room in the buffer, and (TCP_NOTSENT_LOWAT) not too much that is not sent yet."""
        lowat = tcb.notsent_lowat or tcb.core.config.tcp_notsent_lowat
        if 0 < lowat < NO_LIMIT and (tail - edge) * weight >= lowat:
            return False
        return self.charge(tcb, tail, edge) < tcb.sndbuf_size  # type: ignore[no-any-return]

    def space(self, tcb: Tcb) -> int:
        """Bytes of room, or 0 if less than a third of the buffer is free (sk_stream_is_writeable)."""
        tail, edge = tcb.sendbuf.tail, tcb.send_offset()
        used = self.charge(tcb, tail, edge)
        if tcb.sndbuf_size - used < used >> 1 or not self.has_room(tcb, tail, edge, 2):
            return 0
        return tcb.sndbuf_size - used  # type: ignore[no-any-return]

    def grow(self, tcb: Tcb) -> None:
        """tcp_new_space: a writer had to stop though the network would take more: room for two windows."""
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
        """Bytes from `offset` to the end of its chunk: no segment goes beyond it."""
        for chunk in self.queue:
            if chunk.end > offset:
                return (chunk.start if chunk.start > offset else chunk.end) - offset
        return tcb.sendbuf.tail - offset  # type: ignore[no-any-return]

    def sending(self, tcb: Tcb, offset: int, n: int, mss: int, limit: int) -> int:
        """[offset, offset + n) is about to be sent, `limit` bytes might be: PSH or not (MARKED, PIECE, or 0)?"""
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
        # (__tcp_transmit_skb: what offload cuts into several ends with PSH.)
        return PIECE if end >= self.piece_end and n < self.piece_end - self.piece_start else 0

    def within(self, offset: int) -> bool:
        """Is `offset` inside a piece that is partly sent? (Linux paces whole pieces.)"""
        return self.linux and offset < self.piece_end

    def defers(self, tcb: Tcb, offset: int, mss: int, usable: int, room: int) -> bool:
        """tcp_tso_should_defer: is it better to wait for the next ACK and send a larger piece? Only if the ACK is due very soon."""
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
        """A timer sends the data that was held back, with PSH (tcp_write_wakeup)."""
        if self.queue:
            self.queue[-1].push = True

    def acked(self, head: int) -> None:
        """Everything before `head` is acknowledged."""
        while self.queue and self.queue[0].end <= head:
            self.queue.popleft()
        while self.pieces and self.pieces[0] <= head:
            self.pieces.popleft()


def size_goal(tcb: Tcb) -> int:
    """The most that one chunk holds (tcp_send_mss): whole segments, and no more than half the peer's largest window."""
    most = LARGEST
    if tcb.max_window > 0:
        most = min(most, tcb.max_window // 2 if tcb.max_window > 536 else tcb.max_window)
    return max(tcb.mss, most // tcb.mss * tcb.mss)  # type: ignore[no-any-return]


def tso_segments(tcb: Tcb, mss: int) -> int:
    """tcp_tso_autosize: about a millisecond's worth at the pacing rate, and more where the round trip is short."""
    size = 65536
    if tcb.srtt >= 1000:
        gain = 200 if tcb.cwnd < tcb.ssthresh // 2 else 120
        size = (tcb.cwnd * gain // 100 * 1_000_000_000 // tcb.srtt) >> 10
        far = max(0, tcb.min_rtt) // 1000 >> 9
        size += 65536 >> far if far < 32 else 0
    return max(min(size, 65535) // mss, quirks.least_group(tcb))  # type: ignore[no-any-return]


def nagle_holds(tcb: Tcb) -> bool:
    """tcp_nagle_check for the part of a chunk below the MSS."""
    if tcb.cork or tcb.more:
        return True
    if tcb.nodelay or tcb.snd_nxt == tcb.snd_una:
        return False
    return not tcb.core.config.tcp_minshall or seq_gt(tcb.snd_sml, tcb.snd_una)


def of(tcb: Tcb, flags: int) -> Any:
    """The chunks of a connection that is about to write, if the setting or MSG_EOR asks for them; else None."""
    linux = quirks.linux_queue(tcb)
    if tcb.chunks is None and (linux or flags & MSG_EOR):
        tcb.chunks = Chunks(tcb, linux)
    return tcb.chunks


def check_space(tcb: Tcb) -> None:
    """After an ACK, or after sending, wake a writer that had to stop if there is room again."""
    chunks: Chunks = tcb.chunks
    chunks.grow(tcb)
    if chunks.space(tcb) > 0:
        tcb.no_space = False
        tcb.wake(4)
