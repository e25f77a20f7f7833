"""Messages of six streams go over one connection of TCP, and over one of QUIC, and one packet is lost."""

import ssl
from functools import cache
from typing import Any

from pystack.labs.lab_19_connections.experiment import contexts
from pystack.labs.lab_44_quic.ends import PORT, QuicEnd, quic_pair
from pystack.labs.lab_44_quic.messages import SIZE, Taker, message
from pystack.labs.looks import LabLook
from pystack.labs.tls import SimTls
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_data, is_udp
from pystack.sim.programs import Program
from pystack.testing.lab import MS, Lab, S, lab_net, sleep

R = 100 * MS
COUNT, STREAMS = 60, 6
GAP, SHORT = 10 * MS, 2 * MS  # the time between two messages
LOST, LAST = 20, COUNT - 1  # numbers of messages
ACK_DELAY, MAX_ACK_DELAY, GRANULARITY = MS, 25 * MS, MS  # aioquic's, the greatest one, and that of its timers
START = 2 * S  # The messages begin when the connection is open, and its congestion window is large.
SOL_TCP, TCP_NODELAY = 6, 1


def network(**settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way. Nothing but order delays a message."""
    return lab_net(R // 2, tcp_congestion="fixed", **settings)


@cache
def over_tcp(lost: int = LOST) -> dict[int, int]:
    """Send the messages over TCP, and lose the packet with `lost`. Returns how long each took until the server's program had it (ns), by its number."""
    lab = network()
    client, server = lab.connected()
    client.setsockopt(SOL_TCP, TCP_NODELAY, 1)
    taker = Taker(lab)

    def read() -> Program:
        while True:
            taker.take(0, (yield server.recv(65_536)))

    def write() -> Program:
        for number in range(COUNT):
            taker.sent[number] = lab.net.now
            client.call("send", message(number), 0)
            yield sleep(GAP)

    lab.link.ab.drop(1, match=lambda frame: is_data(frame) and frame[54:58] == message(lost)[:4])
    lab.spawn(read())
    lab.run(write())
    lab.net.run(until=lab.net.now + 5 * S)
    assert len(taker.latency) == COUNT
    return taker.latency


@cache
def over_quic(lost: int = LOST, streams: int = STREAMS, gap: int = GAP, together: int = 1) -> dict[int, int]:
    """Send the messages over QUIC, `together` of them in each packet, and lose the packet with `lost` (no packet if there is no such message).

    Returns how long each message took until the server had it in its stream's order (ns), by its number.
    """
    lab = network()
    taker = Taker(lab, SIZE // together)
    client, _ = quic_pair(
        lab, lambda stream, data: taker.take(stream, data) if stream else None, lambda stream, data: None
    )
    client.on_ready = lambda: client.send(0, bytes(300_000))  # The window grows with what is acknowledged.
    lab.net.run(until=START)

    def write() -> Program:
        for first in range(0, COUNT, together):
            numbers = range(first, first + together)
            for number in numbers:
                taker.sent[number] = lab.net.now
                client.send(4 + 4 * (number % streams), message(number, SIZE // together))  # streams: 0, 4, 8, ...
            if lost in numbers:
                lab.link.ab.drop(1, match=is_udp)
            client.go_on()
            yield sleep(gap)

    lab.run(write())
    lab.net.run(until=lab.net.now + 5 * S)
    assert len(taker.latency) == COUNT
    return taker.latency


def late(latency: dict[int, int]) -> list[int]:
    """Return the numbers of the messages that took longer than half a round trip."""
    return sorted(number for number, time in latency.items() if time > R // 2)


def hit(latency: dict[int, int]) -> int:
    """Return how many streams had a late message."""
    return len({number % STREAMS for number in late(latency)})


def first_quic() -> int:
    """Return when a client that begins at 0 has the answer to its first request (ns)."""
    lab = network()
    times: list[int] = []
    ends: list[QuicEnd] = []

    def serve(stream: int, data: bytes) -> None:
        ends[1].send(stream, bytes(100), end=True)

    ends += quic_pair(lab, serve, lambda stream, data: times.append(lab.net.now))
    ends[0].on_ready = lambda: ends[0].send(0, bytes(100), end=True)
    lab.net.run(until=S)
    return times[0]


def first_tls() -> int:
    """Return the same for TCP with TLS 1.3 (ns)."""
    lab = network(tcp_nagle=False)
    server, client = contexts(ssl.TLSVersion.TLSv1_3)
    listener = lab.listener(PORT)

    def serve() -> Program:
        tls = SimTls((yield listener.accept()), server, True)
        yield from tls.handshake()
        yield from tls.exactly(100)
        yield from tls.do(tls.tls.write, bytes(100))

    def ask() -> Program:
        tls = SimTls((yield from lab.client(PORT)), client, False)
        yield from tls.handshake()
        yield from tls.do(tls.tls.write, bytes(100))
        assert len((yield from tls.exactly(100))) == 100
        return lab.net.now

    return int(lab.run(ask(), serve())[0])


TCP_TIME = R + R // 4 + R // 2
QUIC_TIME = (R + ACK_DELAY) * 9 // 8 + R // 2
ABOUT = 1_200_000  # ns; what QUIC measures as a round trip may have the 1 ms of an acknowledgement in it, or not
QUIC: dict[str, Any] = {"needs": "aioquic"}
VALUES = [
    LabValue("tcp first", "TCP with TLS 1.3: when does a new client have its first answer?", "R + R + R", 3 * R, needs="openssl"),
    LabValue("quic first", "QUIC: when?", "R + R", 2 * R, **QUIC),
    LabValue("tcp lost", "TCP: after which time is message 20 there?", "R + R / 4 + R / 2", TCP_TIME),
    LabValue("tcp late", "TCP: how many messages are late?", "1 + 12", 1 + (TCP_TIME - R // 2 - 1) // GAP, "messages"),
    LabValue("tcp hit", "TCP: in how many streams is one late?", "6", STREAMS, "streams"),
    LabValue("quic lost", "QUIC: after which time is message 20 there (within 1.2 ms)?", "9 / 8 * (R + 1 ms) + R / 2", QUIC_TIME, "ms", ABOUT, **QUIC),
    LabValue("quic late", "QUIC: how many messages are late?", "1 + 1", 1 + (QUIC_TIME - R // 2) // (STREAMS * GAP), "messages", **QUIC),
    LabValue("quic hit", "QUIC: in how many streams is one late?", "1", 1, "streams", **QUIC),
    LabValue("quic short", "QUIC, a message every 2 ms: after which time is message 20 there?", "3 * 2 ms + R + 1 ms + R / 2", 3 * SHORT + R + ACK_DELAY + R // 2, **QUIC),
    LabValue("quic pair", "QUIC, messages of two streams in each packet: in how many streams is one late?", "2", 2, "streams", **QUIC),
    LabValue("quic last", "QUIC: after which time is message 59 there, if it is the lost one (within 1.2 ms)?", "R + 1 ms + 25 ms + R / 2", R + GRANULARITY + MAX_ACK_DELAY + R // 2, "ms", ABOUT, **QUIC),
]  # fmt: skip


def measure(name: str) -> int:
    """Measure one of VALUES."""
    what = name.split()[1]
    if what == "first":
        return first_tls() if name.startswith("tcp") else first_quic()
    if what == "pair":
        return hit(over_quic(together=2))
    if what in ("short", "last"):
        return over_quic(gap=SHORT)[LOST] if what == "short" else over_quic(LAST)[LAST]
    found = over_tcp() if name.startswith("tcp") else over_quic()
    return {"lost": found[LOST], "late": len(late(found)), "hit": hit(found)}[what]


LONGEST = "The longest time that a message takes"
ALONE = 1 + (QUIC_TIME - R // 2) // GAP
CONTROLS = [
    LabControl("Nothing is lost: TCP", LabValue("tcp", LONGEST, "R / 2", R // 2)),
    LabControl("Nothing is lost: QUIC", LabValue("quic", LONGEST, "R / 2", R // 2, **QUIC)),
    LabControl("QUIC with all messages in one stream", LabValue("alone", "Late messages", "1 + 11", ALONE, "messages", **QUIC)),
]  # fmt: skip


def control(name: str) -> int:
    """Measure a control."""
    if name == "alone":
        return len(late(over_quic(streams=1)))
    return max((over_tcp(COUNT) if name == "tcp" else over_quic(COUNT)).values())


LOOKS = [
    LabLook("QUIC: a lost packet, and its data in a new one after 9/8 of a round trip", lambda: over_quic.__wrapped__(), "frame=422", "ladder", frames="418-446", needs="aioquic"),
    LabLook("TCP: one lost message makes twelve others wait", lambda: over_tcp.__wrapped__(), 'host == "b" and event.kind == "ooo"', "sequence", "a "),
]  # fmt: skip
