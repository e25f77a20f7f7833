"""A host sends datagrams: to a socket, to a closed port, too many for the link, and over a lossy link."""

import errno
from functools import cache
from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.programs import datagram
from pystack.testing.lab import MS, B, Lab, S, lab_net, pattern, sleep

R = 10 * MS
SIZES = [100, 200, 300]
RATE, QUEUE, FRAME = 10_000_000, 50, 1514  # bits a second, packets, bytes
SECONDS = 20
SENDS, LOSS = 1000, 0.1


def network(**link: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, link=link)


def receives() -> list[int]:
    """Send three datagrams. Returns the sizes of the receives."""
    lab = network()
    taker, sock = datagram(lab.b), datagram(lab.a)
    taker.bind("", 9)

    def take():
        found = []
        for _ in SIZES:
            found.append(len((yield taker.recvfrom()).data))
        return found

    for size in SIZES:
        sock.sendto(pattern(size), B, 9)
    (found,) = lab.run(take())
    return found


def stream_receives() -> list[int]:
    """Write the same over TCP. Returns the sizes of the first read, and of the next one."""
    lab = network()
    client, server = lab.connected()

    def put():
        for size in SIZES:
            yield client.sendall(pattern(size))
        client.shutdown()

    def take():
        yield sleep(S)
        return [len((yield server.recv(65536))), len((yield server.recv(65536)))]

    return lab.run(put(), take())[1]


def refused() -> int:
    """Send to a closed port. Returns the time (ns) at which the socket reports it, once."""
    lab = network()
    sock = datagram(lab.a)
    sock.connect(B, 9)
    sock.sendto(b"anybody?")

    def wait():
        try:
            yield sock.recvfrom()
        except OSError as error:
            assert error.errno == errno.ECONNREFUSED
            return lab.net.now

    (when,) = lab.run(wait())
    sock.sendto(b"anybody now?")  # the error is reported once, so this works
    return when


@cache
def flood(rate: int) -> dict[str, float]:
    """Offer datagrams at a rate (bits a second). Returns the share (%) that arrives, the longest wait (ns), and the sends that failed."""
    lab = network(ab={"rate": RATE, "queue": QUEUE})
    taker, sock = datagram(lab.b), datagram(lab.a)
    taker.bind("", 9)
    gap = FRAME * 8 * S // rate
    failed = 0
    got = 0

    def send():
        nonlocal failed
        for _ in range(SECONDS * S // gap):
            started = lab.net.now
            failed += sock.sendto(bytes(1472), B, 9) != 1472 or lab.net.now != started
            yield sleep(gap)
        yield sleep(S)

    def take():
        nonlocal got
        while True:
            yield taker.recvfrom()
            got += 1

    lab.spawn(take())
    lab.run(send())
    stats = lab.link.ab.stats
    assert got == stats.delivered == stats.frames - stats.dropped()
    return {"share": 100 * got / stats.frames, "wait": stats.wait_max, "failed": failed}


def tcp_rate() -> float:
    """Send with TCP over the same link. Returns the rate of the data (Mbit/s)."""
    lab = lab_net(0, link={"ab": {"rate": RATE, "queue": QUEUE}})
    client, server = lab.connected()
    size = 5_000_000
    return size * 8 * 1000 / lab.upload(pattern(size), client, server)


def arrive(loss: float = LOSS) -> int:
    """Send 1,000 datagrams over a lossy link. Returns how many arrive."""
    lab = network(ab={"loss": loss})
    for _ in range(SENDS):
        datagram(lab.a).sendto(b"x", B, 9)
    return int(lab.link.ab.stats.delivered)


VALUES = [
    LabValue("receives", "Sends of 100, 200, 300 bytes: which sizes do the receives have?", "as sent", SIZES, "bytes"),
    LabValue("refused", "When does the socket report a closed port?", "R", R),
    LabValue("share", "20 Mbit/s offered to 10 Mbit/s: which share arrives?", "10 / 20", 50, "%", 0.5),
    LabValue(
        "wait", "How long is the longest wait in the queue?", "50 * 1,514 * 8 / rate", QUEUE * FRAME * 8 * S // RATE
    ),
    LabValue("failed", "How many sends fail or wait?", "none", 0, "sends"),
    LabValue("arrive", "The link loses 10 %: how many of 1,000 arrive?", "900", 900, "datagrams", 28),
    LabValue("again", "By how many does a second run with the same seed differ?", "0", 0, "datagrams"),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name in ("share", "wait", "failed"):
        return flood(2 * RATE)[name]
    if name == "again":
        return abs(arrive() - arrive())
    return {"receives": receives, "refused": refused, "arrive": arrive}[name]()


CONTROLS = [
    LabControl("TCP instead of UDP", LabValue("stream", "Two reads", "100 + 200 + 300, end", [600, 0], "bytes")),
    LabControl(
        "TCP instead of UDP",
        LabValue("rate", "The rate of the data", "10 * 1460 / 1514", 10 * 1460 / 1514, "Mbit/s", 0.3),
    ),
    LabControl("5 Mbit/s offered to 10 Mbit/s", LabValue("half", "The share that arrives", "all", 100, "%")),
    LabControl("A link without loss", LabValue("lossless", "How many of 1,000 arrive?", "all", SENDS, "datagrams")),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "half":
        return flood(RATE // 2)["share"]
    return {"stream": stream_receives, "rate": tcp_rate, "lossless": lambda: arrive(0)}[name]()


LOOKS = [
    LabLook("A datagram to a closed port, and the error", refused, 'host == "a" and event.kind == "icmp.in"', "ladder"),
]  # fmt: skip
