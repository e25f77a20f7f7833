"""Messages of six streams go over one connection, over six connections, and over UDP, and one of them is lost."""

from functools import cache
from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_data, is_udp
from pystack.sim.programs import datagram
from pystack.testing.lab import MS, B, Lab, S, lab_net, sleep

R = 100 * MS
COUNT, STREAMS, GAP = 60, 6, 10 * MS
LOST = 20  # the number of the message
SOL_TCP, TCP_NODELAY = 6, 1


def network() -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way. Nothing but order delays a message."""
    return lab_net(R // 2, tcp_congestion="fixed", tcp_rack=False, tcp_tlp=False)


def message(number: int) -> bytes:
    """Return a message of 1,000 bytes."""
    return number.to_bytes(4, "big") * 250


@cache
def over_tcp(connections: int, drop: bool = True) -> dict[int, int]:
    """Send the messages over TCP. Returns how long each took until the server's program had it (ns), by its number."""
    lab = network()
    pairs = [lab.connected(80 + number) for number in range(connections)]
    latency: dict[int, int] = {}
    sent: dict[int, int] = {}

    def read(server):
        while True:
            data = yield server.recv_exactly(1000)
            number = int.from_bytes(data[:4], "big")
            assert data == message(number)
            latency[number] = lab.net.now - sent[number]

    def write():
        for number in range(COUNT):
            sent[number] = lab.net.now
            pairs[number % connections][0].call("send", message(number), 0)
            yield sleep(GAP)

    for client, server in pairs:
        client.setsockopt(SOL_TCP, TCP_NODELAY, 1)
        lab.spawn(read(server))
    if drop:
        lab.link.ab.drop(1, match=lambda frame: is_data(frame) and frame[54:58] == message(LOST)[:4])
    lab.run(write())
    lab.net.run(until=lab.net.now + 5 * S)
    assert sorted(latency) == list(range(COUNT))
    return latency


def over_udp(drop: bool = True) -> dict[int, int]:
    """Send the messages over UDP. Returns how long each took that arrived (ns)."""
    lab = network()
    taker, sock = datagram(lab.b), datagram(lab.a)
    taker.bind("", 9)
    if drop:
        lab.link.ab.drop(LOST + 1, match=is_udp)
    latency: dict[int, int] = {}

    def read():
        while True:
            item = yield taker.recvfrom()
            number = int.from_bytes(item.data[:4], "big")
            latency[number] = lab.net.now - number * GAP

    def write():
        for number in range(COUNT):
            sock.sendto(message(number), B, 9)
            yield sleep(GAP)

    lab.spawn(read())
    lab.run(write())
    lab.net.run(until=lab.net.now + S)
    return latency


def late(latency: dict[int, int]) -> list[int]:
    """Return the numbers of the messages that took longer than half a round trip."""
    return sorted(number for number, time in latency.items() if time > R // 2)


def hit(latency: dict[int, int]) -> int:
    """Return how many streams had a late message."""
    return len({number % STREAMS for number in late(latency)})


#: the third duplicate ACK needs three more messages
DELAY = 3 * GAP + R + R // 2
VALUES = [
    LabValue("lost", "One connection: after which time is message 20 there?", "3 * 10 ms + R + R / 2", DELAY),
    LabValue("late", "One connection: how many messages are late?", "13", 13, "messages"),
    LabValue("hit", "One connection: in how many streams is one late?", "6", STREAMS, "streams"),
    LabValue("wait", "One connection: how long do messages 21, 22 and 32 take?", "180 - 10, 180 - 20, 180 - 120 ms",
             [DELAY - GAP, DELAY - 2 * GAP, DELAY - 12 * GAP]),
    LabValue("six hit", "Six connections: in how many streams is one late?", "1", 1, "streams"),
    LabValue("six lost", "Six connections: after which time is message 20 there?", "3 * 60 ms + R + R / 2", DELAY + 15 * GAP),
    LabValue("udp missing", "UDP: how many messages are missing?", "1", 1, "messages"),
    LabValue("udp late", "UDP: how many are late?", "0", 0, "messages"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name.startswith("udp"):
        found = over_udp()
        return COUNT - len(found) if name == "udp missing" else len(late(found))
    if name.startswith("six"):
        return hit(over_tcp(STREAMS)) if name == "six hit" else over_tcp(STREAMS)[LOST]
    found = over_tcp(1)
    if name == "wait":
        return [found[number] for number in (21, 22, 32)]
    return {"lost": found[LOST], "late": len(late(found)), "hit": hit(found)}[name]


CONTROLS = [
    LabControl(f"Nothing is lost: {words}", LabValue(name, "The longest time that a message takes", "R / 2", R // 2))
    for name, words in (("one", "one connection"), ("six", "six connections"), ("udp", "UDP"))
]


def control(name: str) -> int:
    """Measure a control."""
    if name == "udp":
        return max(over_udp(drop=False).values())
    return max(over_tcp(1 if name == "one" else STREAMS, drop=False).values())


LOOKS = [
    LabLook("One lost message makes twelve others wait", lambda: over_tcp.__wrapped__(1), 'host == "b" and event.kind == "ooo"', "sequence", "a "),
]  # fmt: skip
