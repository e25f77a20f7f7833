"""What must hold of a stack after every event, whatever came over the wire.

`check(stack)` looks at one moment: call it after draining (poll_transmit until None). `Watch(stack)` remembers the moment
before too, and so sees what must never move back. Both raise AssertionError with the endpoint's name and its numbers.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import conn_key
from pystack_c.base.seqnum import seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.ip.routing import DST_CACHE_MAX
from pystack_c.tcp.queues import memory
from pystack_c.tcp.queues.share import LARGE
from pystack_c.tcp.snapshot import STATE_NAMES

SYNCHRONIZED = (
    C.ESTABLISHED, C.FIN_WAIT_1, C.FIN_WAIT_2, C.CLOSE_WAIT, C.LAST_ACK, C.CLOSING, C.TIME_WAIT
)  # fmt: skip
SENDING = (C.ESTABLISHED, C.CLOSE_WAIT, C.FIN_WAIT_1, C.CLOSING, C.LAST_ACK)
PEER_CLOSED = (C.CLOSE_WAIT, C.LAST_ACK, C.CLOSING, C.TIME_WAIT)


def check(stack: Any) -> None:
    """Every invariant of a drained stack."""
    check_queues(stack)
    check_timers(stack)
    check_neighbors(stack)
    check_reassembly(stack)
    check_tables(stack)
    for tcb in all_tcbs(stack):
        check_tcb(stack, tcb)


def all_tcbs(stack: Any) -> list[Any]:
    """All connections and stream sockets, those included that no table names any more but an application holds."""
    found = {tcb.ident: tcb for tcb in stack.tcp.all()}
    for ident, endpoint in stack.endpoints.items():
        if hasattr(endpoint, "snd_una"):
            found[ident] = endpoint
    return [found[ident] for ident in sorted(found)]


def check_queues(stack: Any) -> None:
    """After draining nothing is left to do at once, and the next deadline lies ahead."""
    for name in ("txq", "loopq", "output_queue", "error_queue"):
        assert not getattr(stack, name), f"{name} is not empty after draining"
    deadline = stack.poll_timeout()
    assert deadline is None or deadline > stack.now, f"after draining, the deadline {deadline} is not after {stack.now}"
    assert len(stack.dst_cache) <= DST_CACHE_MAX
    for iface in stack.ifaces:
        assert iface.tx_frames >= 0 and iface.rx_frames >= 0


def check_timers(stack: Any) -> None:
    """The heap is a heap, each timer knows its place in it, and none is kept that is not set, but for those of connections."""
    heap = stack.timers.heap
    for i, timer in enumerate(heap):
        assert timer.index == i, "a timer does not know its place"
        stopped = timer.deadline < 0
        if stopped:
            # (rto_timer and delack_timer of a connection are set again and again.)
            assert getattr(timer.owner, "registered", False), "a timer in the heap that is not set"
        assert stopped or timer.key <= timer.deadline, "a timer's key is later than its deadline"
        if i:
            parent = heap[(i - 1) >> 1]
            assert (parent.key, parent.key_order) <= (timer.key, timer.key_order), "the heap is out of order"


def check_neighbors(stack: Any) -> None:
    """The tables are bounded, and an entry waits for something exactly while its timer runs."""
    config = stack.config
    for iface in stack.ifaces:
        assert len(iface.neighbors) <= config.neigh_max_entries, "the neighbour table is too large"
        for addr, entry in iface.neighbors.items():
            assert entry.addr == addr and entry.iface is iface
            waiting = entry.state in (C.NUD_INCOMPLETE, C.NUD_DELAY, C.NUD_PROBE)
            assert (entry.timer.deadline >= 0) == waiting, f"state {entry.state}, timer {entry.timer.deadline}"
            queue = entry.queue
            if queue is not None:
                assert entry.state == C.NUD_INCOMPLETE, f"packets wait in state {entry.state}"
                assert len(queue) <= config.neigh_queue_len, "too many packets wait for an address"
            if entry.state in (C.NUD_REACHABLE, C.NUD_STALE, C.NUD_DELAY, C.NUD_PROBE, C.NUD_PERMANENT):
                assert entry.header[:6] == entry.mac.to_bytes(6, "big"), (
                    f"state {entry.state}: header {entry.header.hex()}"
                )


def check_reassembly(stack: Any) -> None:
    """The bytes held are counted right, and bounded; each datagram's pieces are in order, apart, and have a timer."""
    reasm = stack.reasm
    if reasm is None:
        return
    config = stack.config
    total = 0
    for key, frags in reasm.table.items():
        assert frags.key == key
        assert frags.timer.deadline >= 0, "a reassembly without a timer"
        total += frags.held
        edge = 0
        covered = 0
        for piece in frags.pieces:
            assert edge <= piece.start < piece.end <= 65535, "fragments overlap"
            assert len(piece.data) == piece.end - piece.start
            edge = piece.end
            covered += piece.end - piece.start
        assert len(frags.pieces) <= config.ipfrag_max_fragments
        assert covered == frags.covered or frags.poisoned
        assert frags.total < 0 or frags.poisoned or edge <= frags.total
        assert frags.held >= covered, "held bytes are counted too low"
    assert total == reasm.held, f"reassembly holds {total} bytes and says {reasm.held}"
    assert total <= config.ipfrag_high_thresh + 65535 * 2, "reassembly holds too much"


def check_tables(stack: Any) -> None:
    """Connections are found under their own four numbers, listeners listen, queues are bounded, counts are right."""
    tables = stack.tcp
    time_wait = established = 0
    for laddr, of_addr in tables.conns.items():
        assert of_addr, "an empty table is kept"
        for key, tcb in of_addr.items():
            assert tcb.laddr == laddr and key == conn_key(tcb.raddr, tcb.rport, tcb.lport), tcb.subject()
            assert tcb.registered and tcb.state not in (C.CLOSED, C.LISTEN), f"{tcb.subject()} {STATE_NAMES[tcb.state]}"
            assert tcb.ident in tables.buckets.get(tcb.lport, {}), f"{tcb.subject()} does not hold its port"
            assert stack.endpoints.get(tcb.ident) is tcb, f"{tcb.subject()} has no number"
            time_wait += tcb.time_waiting
            established += tcb.state in (C.ESTABLISHED, C.CLOSE_WAIT)
    assert time_wait == tables.time_wait, f"{time_wait} in TIME-WAIT, counted {tables.time_wait}"
    assert time_wait <= stack.config.tcp_max_tw_buckets
    assert established == stack.counters.TcpCurrEstab, (
        f"{established} established, counted {stack.counters.TcpCurrEstab}"
    )
    check_memory(stack)
    for port, bucket in tables.buckets.items():
        assert bucket, f"port {port} is kept by nobody"
    for port, group in tables.listeners.items():
        assert group, "an empty group of listeners is kept"
        for tcb in group:
            assert tcb.lport == port
            check_listener(stack, tcb)


def held(tcb: Any) -> int:
    """Bytes that the buffers of a connection hold, with the records of segments in flight."""
    send, buf = tcb.sendbuf, tcb.recvbuf
    out_of_order = buf.ooo_bytes + memory.PIECE * buf.ooo_pieces
    return int(send.own() + memory.RECORD * len(tcb.rtxq) + buf.used + out_of_order)


def check_memory(stack: Any) -> None:
    """What all buffers hold is counted right, and bounded but for every connection's least share; orphans are counted."""
    tcbs = [e for e in stack.endpoints.values() if hasattr(e, "sendbuf")]
    for tcb in tcbs:
        assert tcb.charged == held(tcb), f"{tcb.subject()}: holds {held(tcb)}, charged {tcb.charged}"
    total = sum(tcb.charged for tcb in tcbs)
    assert total == stack.tcp_memory, f"{total} bytes in all buffers, counted {stack.tcp_memory}"
    assert (stack.tcp_peers is not None) == stack.tcp_pressure, "peers are counted under pressure"
    if stack.tcp_pressure:
        much = stack.config.tcp_mem_high // LARGE
        assert stack.tcp_large == sum(n > much for n in stack.tcp_peers.values()), "peers that hold much"
        assert all(n > 0 for n in stack.tcp_peers.values())
    least = len(tcbs) * (2 * memory.LEAST + (1 << 16))
    assert total <= stack.config.tcp_mem_high + least, f"{total} bytes in all buffers"
    orphans = sum(tcb.orphan for tcb in tcbs)
    assert orphans == stack.tcp_orphans <= stack.config.tcp_max_orphans, (
        f"{orphans} orphans, counted {stack.tcp_orphans}"
    )


def check_listener(stack: Any, tcb: Any) -> None:
    """The two queues of a listener."""
    assert tcb.state == C.LISTEN and tcb.listener is not None
    queue = tcb.listener
    assert len(queue.accept_queue) <= queue.backlog + 1 or queue.backlog < 1 << 16
    assert len(queue.syn_queue) <= stack.config.tcp_max_syn_backlog, "the SYN queue is full"
    for ident, child in queue.syn_queue.items():
        assert child.ident == ident and child.state == C.SYN_RECEIVED, f"{STATE_NAMES[child.state]} is not half-open"
        assert child.parent is tcb and child.registered
    for child in queue.accept_queue:
        early = child.fastopen and child.state == C.SYN_RECEIVED and child.parent is tcb
        assert early or child.parent is None, f"{child.subject()}: in the accept queue, and half-open"
        assert early or child.state not in (C.SYN_RECEIVED, C.SYN_SENT, C.LISTEN), STATE_NAMES[child.state]


def check_tcb(stack: Any, tcb: Any) -> None:
    """One control block."""
    who = f"{tcb.subject()} {STATE_NAMES[tcb.state]}"
    assert not tcb.output_queued, f"{who}: still queued for output"
    check_sendbuf(tcb, who)
    check_rtxq(tcb, who)
    check_recvbuf(tcb, who)
    timers = [t for t in (tcb.rto_timer, tcb.delack_timer, tcb.wait_timer, tcb.keep_timer) if t is not None]
    if tcb.state in (C.CLOSED, C.LISTEN):
        assert not any(t.deadline >= 0 for t in timers), f"{who}: a timer runs"
        assert len(tcb.rtxq) == 0 and len(tcb.sendbuf) == 0, f"{who}: unacknowledged data is kept"
        return
    assert tcb.registered, f"{who}: in no table"
    check_sequence(stack, tcb, who)
    check_closing(tcb, who)
    check_deadlines(stack, tcb, who)
    if tcb.cc is not None and tcb.state != C.TIME_WAIT:
        assert tcb.cwnd >= min(tcb.mss, tcb.peer_mss), f"{who}: cwnd {tcb.cwnd} below MSS {tcb.mss}"
        assert tcb.ssthresh >= 2, f"{who}: ssthresh {tcb.ssthresh}"
    assert 0 < tcb.rto <= max(stack.config.tcp_rto_max, 3 * stack.config.tcp_rto_initial), f"{who}: RTO {tcb.rto}"
    assert tcb.srtt >= 0 and tcb.rttvar >= 0 and tcb.backoff >= 0 and tcb.dupacks >= 0


def check_sequence(stack: Any, tcb: Any, who: str) -> None:
    """The send and receive variables are in their order (RFC 9293 section 3.3.1, figures 3 and 4)."""
    out = seq_diff(tcb.snd_nxt, tcb.snd_una)
    assert 0 <= out < 1 << 30, f"{who}: SND.UNA {tcb.snd_una} SND.NXT {tcb.snd_nxt}"
    assert seq_le(tcb.snd_una, tcb.snd_up) or tcb.snd_up == tcb.iss or seq_le(tcb.snd_up, tcb.snd_nxt), who
    if tcb.state == C.SYN_SENT:
        return
    assert seq_le(tcb.rcv_nxt, tcb.rcv_adv), f"{who}: RCV.NXT {tcb.rcv_nxt} beyond RCV.ADV {tcb.rcv_adv}"
    assert seq_diff(tcb.rcv_adv, tcb.rcv_nxt) <= 0xFFFF << 14, f"{who}: window too large"
    assert seq_le(tcb.last_ack_sent, tcb.rcv_nxt), f"{who}: acknowledged what never came"
    assert tcb.snd_wnd >= 0 and tcb.max_window >= tcb.snd_wnd, f"{who}: SND.WND {tcb.snd_wnd} MAX {tcb.max_window}"
    assert tcb.snd_wscale <= 14 and tcb.rcv_wscale <= 14
    assert tcb.mss >= 8, f"{who}: MSS {tcb.mss}"


def check_closing(tcb: Any, who: str) -> None:
    """States and the flags that say the same."""
    state = tcb.state
    assert tcb.fin_received == (state in PEER_CLOSED), f"{who}: FIN received {tcb.fin_received}"
    if state in (C.FIN_WAIT_1, C.FIN_WAIT_2, C.CLOSING, C.LAST_ACK):
        assert tcb.shut_wr and tcb.fin_pending, f"{who}: not shut down"
    if state in (C.FIN_WAIT_2, C.TIME_WAIT):
        assert tcb.fin_sent and tcb.snd_una == tcb.snd_nxt, f"{who}: our FIN is not acknowledged"
    if tcb.fin_sent:
        assert seq_add(tcb.fin_seq, 1) == tcb.snd_nxt, f"{who}: sent beyond our FIN"
        assert tcb.fin_pending
    # (Fast Open: the answer, and its FIN, need not wait for the third step.)
    early = state == C.SYN_RECEIVED and tcb.fastopen
    if state in (C.SYN_SENT, C.SYN_RECEIVED, C.ESTABLISHED, C.CLOSE_WAIT) and not early:
        assert not tcb.fin_sent, f"{who}: FIN sent"


def check_deadlines(stack: Any, tcb: Any, who: str) -> None:
    """Nothing waits for ever: whatever is under way has its timer."""
    rto = tcb.rto_timer is not None and tcb.rto_timer.deadline >= 0
    wait = tcb.wait_timer is not None and tcb.wait_timer.deadline >= 0
    state = tcb.state
    if len(tcb.rtxq) > 0:
        kinds = (C.TIMER_RTO, C.TIMER_TLP, C.TIMER_REORDER)
        assert rto and tcb.rto_timer.kind in kinds, f"{who}: data is out and no retransmission timer runs"
    elif rto and state != C.SYN_SENT:
        assert tcb.rto_timer.kind == C.TIMER_PERSIST, f"{who}: a retransmission timer for nothing"
    routed = tcb.route is not None and tcb.route.epoch == stack.route_epoch
    if not routed:
        return
    if state in SENDING and len(tcb.rtxq) == 0 and (tcb.unsent() > 0 or (tcb.fin_pending and not tcb.fin_sent)):
        assert rto or not stack.config.tcp_persist, f"{who}: {tcb.unsent()} bytes wait for ever"
    if state in (C.SYN_SENT, C.SYN_RECEIVED):
        assert len(tcb.rtxq) > 0, f"{who}: the SYN is not remembered"
    if state == C.TIME_WAIT or (state == C.FIN_WAIT_2 and tcb.detached):
        assert wait, f"{who}: stays for ever"
    assert not tcb.ack_now, f"{who}: an ACK is owed and not sent"
    if state in SYNCHRONIZED and tcb.rcv_nxt != tcb.last_ack_sent:
        delack = tcb.delack_timer is not None and tcb.delack_timer.deadline >= 0
        assert delack, f"{who}: RCV.NXT {tcb.rcv_nxt} is acknowledged to {tcb.last_ack_sent} only, and no timer runs"


def check_sendbuf(tcb: Any, who: str) -> None:
    """Chunks follow one another from the first unacknowledged byte to the end; what is out and what waits add up."""
    buf = tcb.sendbuf
    assert 0 <= buf.head <= buf.tail, f"{who}: send buffer {buf.head}..{buf.tail}"
    chunks = buf.chunks[buf.first :]
    assert all(chunk is None for chunk in buf.chunks[: buf.first]), f"{who}: acknowledged chunks are kept"
    if not chunks:
        assert buf.head == buf.tail, f"{who}: {buf.tail - buf.head} bytes are missing from the send buffer"
    else:
        assert buf.first_at <= buf.head < buf.first_at + len(chunks[0]), f"{who}: acknowledged bytes are kept"
        assert buf.first_at + sum(len(chunk) for chunk in chunks) == buf.tail, f"{who}: the send buffer's end"
        if buf.cursor >= buf.first:
            before = buf.chunks[buf.first : buf.cursor]
            assert buf.cursor_at == buf.first_at + sum(len(chunk) for chunk in before), f"{who}: the cursor's place"
    assert buf.head <= tcb.send_offset() <= buf.tail or tcb.state == C.CLOSED, (
        f"{who}: next to send {tcb.send_offset()} outside of {buf.head}..{buf.tail}"
    )
    if tcb.fin_sent and tcb.state != C.CLOSED:
        assert tcb.unsent() == 0, f"{who}: data after our FIN"


def check_rtxq(tcb: Any, who: str) -> None:
    """The records cover [SND.UNA, SND.NXT) without holes, and their count and the three sums are those of the records."""
    q = tcb.rtxq
    segs = q.segs[q.first :]
    assert q.count == len(segs), f"{who}: {q.count} records, there are {len(segs)}"
    sacked = lost = again = 0
    for i, seg in enumerate(segs):
        n = seq_diff(seg.end, seg.seq)
        assert n > 0, f"{who}: an empty record"
        if i:
            assert seg.seq == segs[i - 1].end, f"{who}: records are not contiguous"
        assert not (seg.sacked and seg.lost), f"{who}: a record is SACKed and lost"
        assert not seg.in_flight_again or seg.retrans > 0, f"{who}: out again, and never retransmitted"
        sacked += n * seg.sacked
        lost += n * seg.lost
        again += n * seg.in_flight_again
    assert (q.sacked_out, q.lost_out, q.retrans_out) == (sacked, lost, again), (
        f"{who}: sums {q.sacked_out} {q.lost_out} {q.retrans_out}, the records say {sacked} {lost} {again}"
    )
    check_scoreboard(q, segs, who)
    if segs:
        assert segs[0].seq == tcb.snd_una, f"{who}: the first record is at {segs[0].seq}, SND.UNA {tcb.snd_una}"
        assert segs[-1].end == tcb.snd_nxt, f"{who}: the last record ends at {segs[-1].end}, SND.NXT {tcb.snd_nxt}"
    elif tcb.state not in (C.CLOSED, C.LISTEN):
        assert tcb.snd_una == tcb.snd_nxt, f"{who}: data is out and not remembered"


def check_scoreboard(q: Any, segs: list[Any], who: str) -> None:
    """The scoreboard's lists have what the records say: what is SACKed, what waits to be sent again, what RACK must look at."""
    board = q.board
    assert q.cuts == sum(seg.part for seg in segs), f"{who}: {q.cuts} cuts counted"
    assert q.sacked_segs == sum(seg.whole_pieces() for seg in segs if seg.sacked), (
        f"{who}: {q.sacked_segs} segments SACKed"
    )
    if board is None:
        assert not any(seg.sacked or seg.lost or seg.retrans or seg.part or seg.place or seg.queued for seg in segs), (
            f"{who}: something is missing, and there is no scoreboard"
        )
        return
    ranges: list[list[int]] = []
    for seg in segs:
        if seg.sacked and ranges and ranges[-1][1] == seg.seq:
            ranges[-1][1] = seg.end
        elif seg.sacked:
            ranges.append([seg.seq, seg.end])
    found = [[item.left, item.right] for item in board.sacks.ranges[board.sacks.first :]]
    if found and segs and seq_lt(found[0][0], segs[0].seq):
        found[0][0] = segs[0].seq
    assert found == ranges, f"{who}: SACKed is {ranges}, the scoreboard says {found}"
    heap = board.waiting.items
    assert all(seq_le(heap[(i - 1) >> 1].seq, seg.seq) for i, seg in enumerate(heap) if i), f"{who}: the heap's order"
    listed = {id(seg) for seg in heap}
    late = board.late.items[board.late.first :]
    assert all(seq_lt(a.seq, b.seq) for a, b in zip(late, late[1:])), f"{who}: the order of `late`"
    again = [line.items[line.first :] for line in (board.again, board.overdue)]
    for line in again:
        keys = [(seg.order, seq_diff(seg.end, q.segs[q.first].seq)) for seg in line]
        assert keys == sorted(keys), f"{who}: the order of retransmissions"
    in_late, in_again = {id(seg) for seg in late}, {id(seg) for line in again for seg in line}
    in_again |= {id(seg) for seg in board.beyond.items}
    for seg in segs:
        assert seg.queued == (id(seg) in listed) and not seg.gone
        assert not seg.lost or seg.in_flight_again or seg.queued, f"{who}: what is lost is not in the heap"
        if seg.sacked or (seg.lost and not seg.in_flight_again):
            continue
        if seg.retrans > 0:
            assert seg.place > 1 and id(seg) in in_again, f"{who}: a retransmission is not listed"
        else:
            assert seq_ge(seg.seq, board.edge) or id(seg) in in_late, f"{who}: an original is not listed"


def check_recvbuf(tcb: Any, who: str) -> None:
    """In-order bytes add up; out-of-order pieces are sorted, apart, beyond RCV.NXT and inside the window; SACK tells of them."""
    buf = tcb.recvbuf
    pieces = buf.pieces[buf.first :]
    for piece in pieces:
        assert 0 <= piece.begin < piece.end <= len(piece.data), f"{who}: a bad piece"
    assert buf.used == sum(piece.end - piece.begin for piece in pieces), f"{who}: used {buf.used}"
    if buf.ooo is None:
        assert buf.ooo_bytes == buf.ooo_pieces == 0, f"{who}: {buf.ooo_bytes} bytes out of order in no piece"
    else:
        assert buf.ooo and len(buf.ooo) <= tcb.core.config.tcp_max_ooo, f"{who}: {len(buf.ooo)} runs"
        edge = tcb.rcv_nxt
        total = 0
        for run in buf.ooo:
            assert all(0 <= piece.begin < piece.end <= len(piece.data) for piece in run.pieces), f"{who}: a bad piece"
            assert seq_gt(run.seq, edge), f"{who}: runs overlap, or there is no hole between them"
            edge = run.right
            n = sum(piece.end - piece.begin for piece in run.pieces)
            assert n > 0 and seq_add(run.seq, n) == edge, f"{who}: the pieces of a run"
            total += n
        assert buf.ooo_pieces == sum(len(run.pieces) for run in buf.ooo), f"{who}: {buf.ooo_pieces} pieces counted"
        assert total == buf.ooo_bytes, f"{who}: {total} bytes out of order, counted {buf.ooo_bytes}"
        assert seq_le(edge, tcb.rcv_adv), f"{who}: kept beyond the window"
    if tcb.sacks is not None and tcb.state != C.CLOSED:
        assert 1 <= len(tcb.sacks) <= 4, f"{who}: SACK blocks {tcb.sacks}"
        for left, right in tcb.sacks:
            assert seq_lt(left, right) and seq_gt(left, tcb.rcv_nxt), f"{who}: SACK block {left}..{right}"
            assert buf.ooo is not None and seq_le(right, edge), f"{who}: SACK of what we do not have"


def idle(stack: Any) -> None:
    """After everything was closed and time has passed: no timer, no connection, no buffer is left."""
    assert len(stack.timers) == 0, f"timers left: {[(type(t.owner).__name__, t.kind) for t in stack.timers.heap]}"
    assert not stack.tcp.conns and not stack.tcp.listeners and not stack.tcp.buckets, "connections left"
    assert stack.tcp.time_wait == 0 and stack.counters.TcpCurrEstab == 0
    left = [f"{e.subject()} {getattr(e, 'state', '')}" for e in stack.endpoints.values()]
    assert not left, f"endpoints left: {left}"
    if stack.udp is not None:
        assert not stack.udp.buckets, "UDP ports left"
    if stack.reasm is not None:
        assert not stack.reasm.table and stack.reasm.held == 0, "fragments left"
    for iface in stack.ifaces:
        for entry in iface.neighbors.values():
            assert entry.queue is None, "packets wait for an address"


class Watch:
    """What must never move back, from one check to the next; and how much a receive buffer may ever hold."""

    MARKS = ("snd_una", "snd_nxt", "rcv_nxt", "rcv_adv")

    def __init__(self, stack: Any):
        self.stack = stack
        self.marks: dict[int, tuple[int, ...]] = {}
        self.sizes: dict[int, int] = {}

    def check(self) -> None:
        """All invariants, and those of motion."""
        check(self.stack)
        marks = {}
        for tcb in all_tcbs(self.stack):
            if tcb.state not in SYNCHRONIZED:
                continue
            now = tuple(getattr(tcb, name) for name in self.MARKS)
            before = self.marks.get(tcb.ident)
            if before is not None:
                for name, old, new in zip(self.MARKS, before, now):
                    assert seq_ge(new, old), f"{tcb.subject()}: {name} went back from {old} to {new}"
            marks[tcb.ident] = now
            buf = tcb.recvbuf
            size = max(self.sizes.get(tcb.ident, 0), buf.size, 0xFFFF if tcb.rcv_wscale else 0)
            self.sizes[tcb.ident] = size
            # (The window is shown in units of 2**RCV.WIND.SHIFT: at most one unit more than there is room.)
            most = size + (1 << tcb.rcv_wscale)
            assert buf.used + buf.ooo_bytes <= most, f"{tcb.subject()}: holds {buf.used}+{buf.ooo_bytes}, size {size}"
        self.marks = marks
