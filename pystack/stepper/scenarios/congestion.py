"""Scenarios about how much a sender may have in flight, and what a loss costs."""

from collections.abc import Callable, Generator
from typing import Any

from pystack.phy import match
from pystack.sim.network import MS, Network
from pystack.sim.programs import sleep, spawn, stream
from pystack.stepper.scenarios.base import B, connected, finish, listener, pair, pattern, scenario
from pystack.stepper.scenarios.loss import upload

SOL_TCP, TCP_NODELAY, TCP_CONGESTION = 6, 1, 13
#: the bytes of a full segment with timestamps
MSS = 1448


@scenario(
    "slow-start",
    "The window doubles in each round trip",
    "Why does an answer of 145 kB take five round trips on a link without a limit?",
    look='host == "b" and event.kind == "cwnd" and event.fields.old > 0',
    mechanism="slow-start",
    tries=(
        ("set=b:tcp_init_cwnd=40", "b began with a window of 40 segments"),
        ("fastopen=a", "a sent its request in the SYN"),
    ),
    pane="sequence",
)
def slow_start(net: Network) -> None:
    """Host a connects to b over a link with a round trip of 100 ms and asks for 100 segments. Host b begins with a window of 10 segments, and
    each acknowledged segment adds one. So it sends 10, 20, 40 and 30 segments, and the whole takes (1 + 4) round trips: one for
    the handshake, and four for 10 (2^4 - 1) = 150 segments or fewer. One segment more than 150 would cost another round trip. A larger
    initial window in a branch (set=b:tcp_init_cwnd=40) saves two round trips.
    """
    quick = {"tcp_quickack_segs": 1000}
    a, b, _ = pair(net, a={**quick, "tcp_rmem": 1 << 20}, b={**quick, "tcp_wmem": 1 << 20}, delay=50 * MS)
    waiting = listener(b)

    def serve() -> Generator[Any, Any, None]:
        sock = yield waiting.accept()
        yield sock.recv_exactly(4)
        yield sock.sendall(pattern(100 * MSS))

    def ask() -> Generator[Any, Any, None]:
        sock = stream(a)
        yield sock.connect(B, 80)
        yield sock.sendall(b"GET ")
        yield sock.recv_exactly(100 * MSS)

    finish(net, spawn(net, serve()), spawn(net, ask()))
    net.run(net.now + 200 * MS)


@scenario(
    "sack",
    "Two holes, reported at once",
    "How does the sender know which two segments are missing?",
    look='host == "a" and event.kind == "sack"',
    mechanism="sack",
    tries=(("set=b:tcp_sack=off", "b did not support SACK"),),
    pane="sequence",
)
def sack(net: Network) -> None:
    """Host a sends eight segments, and the network loses the second and the fourth of them. Each later segment makes b send an ACK for the
    data before the first hole, whose SACK blocks list what arrived beyond it, the newest block first. Host a retransmits both
    segments in one round trip. Without SACK (set=b:tcp_sack=off in a branch), a learns about the second hole only when the first one is filled, and
    needs one more round trip.
    """
    a, b, link = pair(net, a={"tcp_tlp": False}, b={"tcp_quickack_segs": 1000}, delay=20 * MS)
    client, server = connected(net, a, b)
    link.ab.drop(2, 4, match=match.is_data)
    upload(net, client, server, 8 * MSS)
    net.run(net.now + 100 * MS)


@scenario(
    "head-of-line",
    "One lost segment delays six streams",
    "Why are twelve messages late if only one was lost?",
    look='host == "b" and event.kind == "ooo"',
    mechanism="head-of-line",
)
def head_of_line(net: Network) -> None:
    """Host a sends a message of 1,000 bytes every 10 ms over one connection. The messages belong to six streams in turn. The network loses
    message 20. TCP delivers bytes in order, so the messages 21 to 32 wait in b's buffer, although they have arrived, until
    the retransmission of message 20 fills the gap: three more messages and a round trip until the third duplicate ACK is back, and half a round
    trip, 180 ms in all. All six streams wait for the one that lost a segment. The congestion window is fixed, so only the order delays anything.
    """
    settings = {"tcp_congestion": "fixed", "tcp_rack": False, "tcp_tlp": False}
    a, b, link = pair(net, a=settings, b=settings, delay=50 * MS)
    client, server = connected(net, a, b)
    client.setsockopt(SOL_TCP, TCP_NODELAY, 1)
    link.ab.drop(21, match=match.is_data)

    def write() -> Generator[Any, Any, None]:
        for number in range(40):
            yield client.sendall(number.to_bytes(4, "big") * 250)
            yield sleep(10 * MS)

    def read() -> Generator[Any, Any, None]:
        for _ in range(40):
            yield server.recv_exactly(1000)

    finish(net, spawn(net, write()), spawn(net, read()))
    net.run(net.now + 200 * MS)


@scenario(
    "ecn",
    "A router marks packets instead of dropping them",
    "Why does the sender slow down although nothing was lost?",
    look='host == "a" and event.kind == "ecn" and event.fields.action == "react"',
    mechanism="ecn",
    tries=(("set=a:tcp_ecn=0", "a did not offer ECN"),),
    pane="windows",
)
def ecn(net: Network) -> None:
    """Both hosts agree on ECN in their SYNs, and a uploads 400 kB over a link of 5 Mbit/s. The queue in front of the link (FQ-CoDel) becomes
    long. It sets the mark "congestion experienced" in the IP header of packets, and drops none of them. Host b echoes the mark in its ACKs
    (ECE) until a confirms with CWR that it has reduced its window. Nothing is retransmitted. In a branch with set=a:tcp_ecn=0 the same queue
    drops packets.
    """
    settings = {"tcp_ecn": 1}
    a, b, link = pair(
        net, a=settings, b=settings, delay=10 * MS, ab={"rate": 5_000_000, "qdisc": "fq_codel"}, ba={"rate": 5_000_000}
    )
    client, server = connected(net, a, b)
    upload(net, client, server, 400_000)
    net.run(net.now + 100 * MS)


@scenario(
    "bbr-vs-cubic",
    "Two algorithms on a link with random losses",
    "Why does BBR send on at the same rate after a loss, while CUBIC slows down?",
    look='event.kind == "hold" and event.fields.by == "pacing"',
    mechanism="pacing",
    pane="sequence",
)
def bbr_vs_cubic(net: Network) -> None:
    """Host a uploads 600 kB twice over a link of 10 Mbit/s with a round trip of 40 ms that loses every 40th data segment, although no queue is
    full. The first upload uses CUBIC, which takes each loss for congestion and shrinks its window. The second one uses BBR, which measures the rate
    at which data arrives, and paces its segments at that rate. A few losses do not change the measured rate, so it sends on. BBR needs
    much less time.
    """
    a, b, link = pair(net, delay=20 * MS, rate=10_000_000, queue=200)
    for port, name in ((80, "cubic"), (81, "bbr")):
        client, server = connected(net, a, b, port)
        client.setsockopt(SOL_TCP, TCP_CONGESTION, name)
        link.ab.drop_if(_every(40))
        upload(net, client, server, 600_000)
        net.run(net.now + 500 * MS)


def _every(count: int) -> Callable[[bytes], bool]:
    """Return a rule that matches each `count`-th full data segment."""
    seen = 0

    def rule(frame: bytes) -> bool:
        nonlocal seen
        seen += len(frame) > 1000
        return len(frame) > 1000 and seen % count == 0

    return rule
