"""The oracles see what they are for: each breaks one thing by hand, and the check must say so."""

import pytest

import pystack_c.const as C
from pystack_c.base.address import v4
from tests.fuzz.test_bounds import established, rx, world
from tests.support import build, invariants
from tests.support.hostile import HOST, PEER
from tests.support.world import Failure, honest, peer_bytes


def busy():
    """A connection with data out, data waiting, data received in and out of order, a packet waiting for ARP, fragments."""
    made = world()
    tcb = established(made)
    made.apply(("accept", 1, 2))
    made.apply(("send", 2, 30000, 0))
    for at, n in ((0, 100), (200, 50), (300, 50)):
        seq = 1 + at
        rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, 5, HOST, 80, C.ACK, seq, tcb.snd_una, peer_bytes(seq, n))))
    made.apply(("call", "sendto", 3, b"x", 0x0A000009, 9, 0))
    rx(made, build.ipv4(PEER, HOST, 17, bytes(80), frag=0x2000))
    return made, tcb


def spoil(thing, name, change):
    setattr(thing, name, change(getattr(thing, name)))


BREAKS = {
    "sacked_out": lambda s, t: spoil(t.rtxq, "sacked_out", lambda n: n + 1),
    "lost_out": lambda s, t: spoil(t.rtxq, "lost_out", lambda n: n + 1),
    "a record is missing": lambda s, t: t.rtxq.segs.pop(t.rtxq.first + 1),
    "records": lambda s, t: spoil(t.rtxq, "count", lambda n: n + 1),
    "SND.UNA": lambda s, t: spoil(t, "snd_una", lambda n: n - 1),
    "SND.NXT": lambda s, t: spoil(t, "snd_nxt", lambda n: n + 1),
    "RCV.NXT beyond the window": lambda s, t: spoil(t, "rcv_nxt", lambda n: t.rcv_adv + 1),
    "cwnd": lambda s, t: spoil(t, "cwnd", lambda n: t.mss - 1),
    "no retransmission timer": lambda s, t: s.timers.cancel(t.rto_timer),
    "send buffer": lambda s, t: spoil(t.sendbuf, "tail", lambda n: n + 1),
    "receive buffer": lambda s, t: spoil(t.recvbuf, "used", lambda n: n + 1),
    "out-of-order bytes": lambda s, t: spoil(t.recvbuf, "ooo_bytes", lambda n: n - 1),
    "out-of-order order": lambda s, t: t.recvbuf.ooo.reverse(),
    "state without FIN": lambda s, t: spoil(t, "state", lambda n: C.CLOSE_WAIT),
    "established count": lambda s, t: spoil(s.counters, "TcpCurrEstab", lambda n: n + 1),
    "TIME-WAIT count": lambda s, t: spoil(s.tcp, "time_wait", lambda n: n + 1),
    "table": lambda s, t: spoil(t, "rport", lambda n: n + 1),
    "heap": lambda s, t: spoil(s.timers.heap[0], "index", lambda n: n + 1),
    "a deadline in the past": lambda s, t: s.timers.arm(t.rto_timer, s.now),
    "reassembly": lambda s, t: spoil(s.reasm, "held", lambda n: n + 1),
    "neighbour without timer": lambda s, t: s.timers.cancel(s.ifaces[1].neighbors[v4(0x0A000009)].timer),
    "output left": lambda s, t: s.output_queue.append(t),
}


@pytest.mark.parametrize("name", BREAKS)
def test_check_sees(name):
    made, tcb = busy()
    invariants.check(made.stack)
    BREAKS[name](made.stack, tcb)
    with pytest.raises(AssertionError):
        invariants.check(made.stack)


@pytest.mark.parametrize("name", ["snd_una", "rcv_nxt", "rcv_adv"])
def test_watch_sees_what_moves_back(name):
    made, tcb = busy()
    made.watch.check()
    before = list(made.watch.marks[tcb.ident])
    before[made.watch.MARKS.index(name)] += 1
    made.watch.marks[tcb.ident] = tuple(before)
    with pytest.raises(AssertionError, match=f"{name} went back"):
        made.watch.check()


def test_a_frame_without_a_trace_is_seen(monkeypatch):
    made, _ = busy()
    monkeypatch.setattr(made, "_accounts", lambda *args: ())
    with pytest.raises(Failure, match="no trace"):
        rx(made, build.ipv4(PEER, HOST, 1, build.icmp(8, 0, 1)))


def test_wrong_bytes_read_are_seen():
    made, tcb = busy()
    tcb.recvbuf.pieces[0].data = bytes(200)
    with pytest.raises(Failure, match="not those that were sent"):
        made.apply(("recv", 2, 100, 0))


def test_wrong_bytes_sent_are_seen():
    made, tcb = busy()
    tcb.sendbuf.chunks[-1] = bytes(len(tcb.sendbuf.chunks[-1]))
    ack = build.tcp(PEER, 5, HOST, 80, C.ACK, tcb.rcv_nxt, tcb.snd_nxt)
    with pytest.raises(AssertionError, match="not what was written"):
        rx(made, build.ipv4(PEER, HOST, 6, ack))


@pytest.mark.parametrize(
    ("at", "what"), [(24, "IP header checksum"), (17, "IP header checksum"), (40, "checksum of protocol 1")]
)
def test_a_spoilt_frame_is_seen(at, what):
    made, _ = busy()
    frames = []
    check = made.outputs.frame
    made.outputs.frame = lambda tx, frame: frames.append((tx, frame))
    rx(made, build.ipv4(PEER, HOST, 1, build.icmp(8, 0, 1, b"abcdefgh")))
    [(tx, frame)] = frames
    check(tx, frame)
    with pytest.raises(AssertionError, match=what):
        check(tx, frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :])


def test_an_honest_frame_is_told_from_another():
    good = build.ipv4(PEER, HOST, 6, build.tcp(PEER, 5, HOST, 80, C.ACK, 77, 0, peer_bytes(77, 9)))
    assert honest(good, 0) and not honest(good[:-1] + bytes((good[-1] ^ 1,)), 0)
