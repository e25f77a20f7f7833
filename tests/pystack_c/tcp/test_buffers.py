"""The buffers and the retransmission queue against plain models."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pystack_c.base.seqnum import seq_add, seq_diff
from pystack_c.tcp.queues.recvbuf import RecvBuf
from pystack_c.tcp.queues.rtxq import RtxQueue
from pystack_c.tcp.queues.sendbuf import SendBuf
from pystack_c.tcp.queues.sentseg import SentSegment

TEXT = bytes(i * 7 & 255 for i in range(600))
STARTS = st.sampled_from([0, 1000, 2**32 - 1, 2**32 - 100, 2**31 - 50])


@settings(max_examples=300)
@given(STARTS, st.lists(st.tuples(st.integers(0, 590), st.integers(1, 60)), max_size=30))
def test_receive_buffer_keeps_every_byte_once(start, pieces):
    buf = RecvBuf(1 << 20)
    have: set[int] = set()
    nxt = 0
    for at, n in pieces:
        n = min(n, len(TEXT) - at)
        end = at + n
        if end <= nxt:
            continue
        begin = max(at, nxt)
        frame = b"head" + TEXT[at:end] + b"tail"
        first, last = 4 + begin - at, 4 + n
        if begin == nxt:
            buf.put(frame, first, last)
            nxt = seq_diff(buf.pull(seq_add(start, end)), start)
        else:
            new = buf.insert(frame, first, last, seq_add(start, begin))
            assert new == (not set(range(begin, end)) <= have)
        have |= set(range(begin, end))
        while nxt in have:
            raise AssertionError("pull() left something that was in order")
        have -= set(range(nxt))
        assert buf.ooo_bytes == len(have) and buf.used == nxt
        block = buf.block_at(seq_add(start, begin))
        if begin in have:
            left = right = begin
            while left - 1 in have:
                left -= 1
            while right in have:
                right += 1
            assert block == (seq_add(start, left), seq_add(start, right))
        else:
            assert block is None
    assert buf.get(1 << 20, True) == TEXT[:nxt]
    got = b""
    while buf.used:
        got += buf.get(7, False)
    assert got == TEXT[:nxt]


@settings(max_examples=200)
@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=8), st.lists(st.tuples(st.integers(1, 12000), st.booleans()))
)
def test_a_read_goes_on_over_the_ends_of_pieces(sizes, reads):
    """Segments of over 1 KiB stay pieces of their own."""
    buf, model = RecvBuf(1 << 20), b""
    for i, n in enumerate(sizes):
        data = bytes((i * 31 + k) & 255 for k in range(n))
        buf.put(b"head" + data + b"tail", 4, 4 + n)
        model += data
    for n, peek in reads:
        assert buf.get(n, peek) == model[:n]
        if not peek:
            model = model[n:]
        assert buf.used == len(model)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["append", "ack", "peek"]), st.integers(0, 9000), st.integers(0, 9000))))
def test_send_buffer_is_a_window_on_the_stream(steps):
    buf, model = SendBuf(), b""
    for action, a, b in steps:
        if action == "append":
            data = TEXT[: a % 500] * (1 + b % 20)
            buf.append(data)
            model += data
        elif action == "ack":
            buf.ack(min(buf.head + a, len(model)))
        elif len(model) > buf.head:
            at = buf.head + a % (len(model) - buf.head)
            n = 1 + b % (len(model) - at)
            assert bytes(buf.peek(at, n)) == model[at : at + n]
        assert buf.tail == len(model) and len(buf) == len(model) - buf.head


@settings(max_examples=300)
@given(
    STARTS,
    st.integers(1, 12),
    st.lists(
        st.tuples(st.sampled_from(["lost", "sacked", "again", "ack", "split", "recut", "single"]), st.integers(0, 11), st.integers(1, 99))
    ),
)  # fmt: skip
def test_sums_of_the_retransmission_queue(start, count, steps):
    q = RtxQueue()
    for n in range(count):
        seg = SentSegment(seq_add(start, n * 100), seq_add(start, n * 100 + 100), n)
        seg.gso = 50 if n % 3 == 0 else 0
        q.append(seg)
    end, una = seq_add(start, count * 100), start
    for action, which, amount in steps:
        if len(q) == 0:
            break
        i = q.first + which % len(q)
        seg = q.segs[i]
        if action == "lost" and not seg.sacked:
            q.mark_lost(seg)
        elif action == "sacked" and not seg.sacked:
            q.mark_sacked(seg)
        elif action == "again" and seg.lost and not seg.in_flight_again:
            q.mark_retransmitted(seg, 1)
        elif action == "ack":
            while len(q) and seq_diff(q.head().end, seq_add(una, amount)) <= 0:
                q.pop_head()
            una = seq_add(una, amount) if len(q) else end
            if len(q) and seq_diff(una, q.head().seq) > 0:
                q.trim_head(una)
        elif action == "split" and seg.length() > amount:
            q.split(i, seq_add(seg.seq, amount))
        elif action == "recut":
            q.recut(amount)
        elif action == "single":
            q.single(i)
        check(q, una, end, amount if action == "recut" else 0)


def check(q, una, end, cut):
    """The records cover [una, end) without gap or overlap, and the sums say what is marked."""
    segs = q.segs[q.first :]
    at = una
    for seg in segs:
        assert seg.seq == at and seg.length() > 0
        if cut and seg.lost and not seg.in_flight_again:
            assert seg.length() <= cut
        at = seg.end
    assert at == end or not segs
    assert q.sacked_out == sum(seg.length() for seg in segs if seg.sacked)
    assert q.lost_out == sum(seg.length() for seg in segs if seg.lost)
    assert q.retrans_out == sum(seg.length() for seg in segs if seg.in_flight_again)
    assert not any(seg.sacked and seg.lost for seg in segs)
    waiting = [i for i in range(q.first, len(q.segs)) if q.segs[i].lost and not q.segs[i].in_flight_again]
    assert q.next_lost() == (waiting[0] if waiting else -1)
