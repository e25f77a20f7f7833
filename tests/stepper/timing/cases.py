"""Runs whose critical path is known by construction: delays, rates, sizes and sleeps are chosen, and the sums follow from them."""

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from pystack.sim.network import MS, Network
from pystack.sim.programs import datagram, sleep, spawn
from pystack.stepper.scenarios.base import Scenario, finish, listener, pair, stream

Expected = dict[tuple[str, str], int]
Program = Generator[Any, Any, Any]
#: bytes of Ethernet, IP and TCP headers with timestamps; of a SYN
HEADERS, SYN = 66, 74
MSS = 1448
S = 1000 * MS
QUICK = {"tcp_quickack_segs": 1000}
SLOW = {"tcp_quickack_segs": 0}


class Case(NamedTuple):
    """A run, and what each (cause, why) must take in ns, to the nanosecond."""

    name: str
    run: Callable[[Network], None]
    expected: Expected

    def scenario(self) -> Scenario:
        return Scenario(self.name, self.run, "", "", (), "")


def talk(
    net: Network, a: Any, b: Any, *, ask: bytes = b"q", answer: bytes = b"a", client_thinks: int = 0, server_thinks: int = 0,
    parts: int = 1, options: tuple[tuple[int, int], ...] = (), address: str = "10.0.0.2", lets: Any = None,
) -> None:  # fmt: skip
    """A client on a asks a server on b, once. It writes its question in `parts` parts."""
    waiting = listener(b)

    def server() -> Program:
        sock = yield waiting.accept()
        yield sock.recv_exactly(len(ask))
        if server_thinks:
            yield sleep(server_thinks)
        yield sock.sendall(answer)

    def client() -> Program:
        sock = stream(a)
        for name, value in options:
            sock.setsockopt(6, name, value)
        yield sock.connect(address, 80)
        if client_thinks:
            yield sleep(client_thinks)
        if lets is not None:
            lets()
        size = -(-len(ask) // parts)
        for at in range(0, len(ask), size):
            yield sock.sendall(ask[at : at + size])
        yield sock.recv_exactly(len(answer))

    finish(net, spawn(net, server()), spawn(net, client()))


def wire(size: int, rate: int) -> int:
    """The ns that a frame takes at a rate that divides 8e9."""
    assert size * 8_000_000_000 % rate == 0
    return size * 8_000_000_000 // rate


CASES: list[Case] = []


def case(name: str, expected: Expected) -> Callable[[Callable[[Network], None]], None]:
    def add(run: Callable[[Network], None]) -> None:
        CASES.append(Case(name, run, {key: value for key, value in expected.items() if value}))

    return add


HANDSHAKE, PLAIN = ("propagation", "connection"), ("propagation", "")

for delay in (1 * MS, 7_654_321, 300 * MS):

    @case(f"request and answer, delay {delay}", {HANDSHAKE: 2 * delay, PLAIN: 2 * delay})
    def _(net: Network, delay: int = delay) -> None:
        a, b, _ = pair(net, delay=delay)
        talk(net, a, b)


for client, server in ((3 * MS, 0), (0, 5 * MS), (1_234_567, 7_654_321)):

    @case(
        f"thinking {client} and {server}",
        {HANDSHAKE: 20 * MS, PLAIN: 20 * MS, ("client thinking", ""): client, ("server thinking", ""): server},
    )
    def _(net: Network, client: int = client, server: int = server) -> None:
        a, b, _ = pair(net, delay=10 * MS)
        talk(net, a, b, client_thinks=client, server_thinks=server)


for rate in (1_000_000, 8_000_000, 64_000_000):

    @case(
        f"one segment each way at {rate} bit/s",
        {
            HANDSHAKE: 2 * MS,
            PLAIN: 2 * MS,
            ("serialization", "connection"): 2 * wire(SYN, rate),
            # the question waits behind the ACK of the handshake, and the answer behind that of the question
            ("queueing", ""): 2 * wire(HEADERS, rate),
            ("serialization", ""): wire(HEADERS + 500, rate) + wire(HEADERS + 1000, rate),
        },
    )
    def _(net: Network, rate: int = rate) -> None:
        a, b, _ = pair(net, a=QUICK, b=QUICK, delay=1 * MS, rate=rate)
        talk(net, a, b, ask=bytes(500), answer=bytes(1000))


for segments in (3, 10):
    rate = 8_000_000

    @case(
        f"an answer of {segments} segments at 8 Mbit/s",
        {
            HANDSHAKE: 40 * MS,
            PLAIN: 40 * MS,
            ("serialization", "connection"): 2 * wire(SYN, rate),
            ("queueing", ""): wire(HEADERS, rate) + (segments - 1) * wire(HEADERS + MSS, rate) + wire(HEADERS, rate),
            ("serialization", ""): wire(HEADERS + 1, rate) + wire(HEADERS + MSS, rate),
        },
    )
    def _(net: Network, segments: int = segments, rate: int = rate) -> None:
        a, b, _ = pair(net, a=QUICK, b=QUICK, delay=20 * MS, rate=rate)
        talk(net, a, b, answer=bytes(segments * MSS))


for hops in (1, 2, 3):

    @case(f"{hops} routers", {HANDSHAKE: 2 * (hops + 1) * 4 * MS, PLAIN: 2 * (hops + 1) * 4 * MS})
    def _(net: Network, hops: int = hops) -> None:
        nodes = [net.host("a"), *(net.router(f"r{number}") for number in range(hops)), net.host("b")]
        for number in range(hops + 1):
            net.link(
                nodes[number], nodes[number + 1], addrs=(f"10.{number}.0.1/24", f"10.{number}.0.2/24"), delay=4 * MS
            )
        for number in range(hops + 1):
            nodes[number].route("default", via=f"10.{number}.0.2") if number < hops else None
            for before in range(number):
                if number > before + 0 and number >= 1 and before < number - 1:
                    nodes[number].route(f"10.{before}.0.0/24", via=f"10.{number - 1}.0.1")
        nodes[-1].route("default", via=f"10.{hops}.0.1")
        net.introduce()
        talk(net, nodes[0], nodes[-1], address=f"10.{hops}.0.2")


for delay in (2 * MS, 9 * MS):

    @case(f"ARP, delay {delay}", {("propagation", "ARP"): 2 * delay, HANDSHAKE: 2 * delay, PLAIN: 2 * delay})
    def _(net: Network, delay: int = delay) -> None:
        a, b, _ = pair(net, arp=True, delay=delay)
        talk(net, a, b)


for delay in (5 * MS, 12 * MS):

    @case(
        f"Nagle and a delayed ACK, delay {delay}",
        {
            HANDSHAKE: 2 * delay,
            ("propagation", "Nagle"): 2 * delay,
            ("delayed ACK", "Nagle"): 40 * MS,
            PLAIN: 2 * delay,
        },
    )
    def _(net: Network, delay: int = delay) -> None:
        a, b, _ = pair(net, a=SLOW, b=SLOW, delay=delay)
        talk(net, a, b, ask=bytes(200), parts=2)


@case("Nagle without a delayed ACK", {HANDSHAKE: 10 * MS, ("propagation", "Nagle"): 10 * MS, PLAIN: 10 * MS})
def _(net: Network) -> None:
    a, b, _ = pair(net, a=QUICK, b=QUICK, delay=5 * MS)
    talk(net, a, b, ask=bytes(200), parts=2)


@case("TCP_NODELAY against Nagle", {HANDSHAKE: 10 * MS, PLAIN: 10 * MS})
def _(net: Network) -> None:
    a, b, _ = pair(net, a=SLOW, b=SLOW, delay=5 * MS)
    talk(net, a, b, ask=bytes(200), parts=2, options=((1, 1),))


for rounds, size in ((1, 20), (2, 50), (3, 100)):

    @case(
        f"slow start, {rounds} rounds more",
        {HANDSHAKE: 40 * MS, PLAIN: 20 * MS + 20 * MS, ("propagation", "congestion window"): rounds * 40 * MS},
    )
    def _(net: Network, size: int = size) -> None:
        a, b, _ = pair(net, a={**QUICK, "tcp_rmem": 1 << 22}, b={**QUICK, "tcp_wmem": 1 << 22}, delay=20 * MS)
        talk(net, a, b, answer=bytes(size * MSS))


for lost in (1, 2):

    @case(
        f"{lost} lost SYNs",
        {HANDSHAKE: 20 * MS, PLAIN: 20 * MS, ("RTO", "SYN retransmission"): (2**lost - 1) * S},
    )  # fmt: skip
    def _(net: Network, lost: int = lost) -> None:
        a, b, link = pair(net, delay=10 * MS)
        link.ab.drop(*range(1, lost + 1))
        talk(net, a, b)


@case(
    "the question is lost: the timeout is the round trip and 200 ms (RFC 6298 2.3 with Linux's least variance)",
    {HANDSHAKE: 20 * MS, ("RTO", "loss, retransmission timeout"): 20 * MS + 200 * MS, PLAIN: 20 * MS},
)
def _(net: Network) -> None:
    a, b, link = pair(net, a=QUICK, b=QUICK, delay=10 * MS)
    link.ab.drop(3)
    talk(net, a, b)


@case(
    "the end of the question is lost: a tail probe after two round trips (RFC 8985 7.2)",
    {
        HANDSHAKE: 20 * MS,
        ("propagation", "loss, tail probe"): 20 * MS,  # the first half, and its acknowledgement
        ("tail loss probe", "loss, tail probe"): 40 * MS,
        ("propagation", "loss, fast retransmit"): 20 * MS,  # the probe and its SACK, which shows the other loss
        PLAIN: 20 * MS,
    },
)
def _(net: Network) -> None:
    a, b, link = pair(net, a=QUICK, b=QUICK, delay=10 * MS)
    link.ab.drop(5, 6)
    talk(net, a, b, ask=bytes(4 * MSS))


@case(
    "eight segments fill the window, and the ACKs that close it are sent before the program reads",
    # The window is full from the eighth segment on. It is closed only at the moment at which it opens again.
    {HANDSHAKE: 20 * MS, ("propagation", "receive window"): 20 * MS, PLAIN: 20 * MS},
)
def _(net: Network) -> None:
    a, b, _ = pair(net, a={**QUICK, "tcp_rmem": 8 * MSS, "tcp_moderate_rcvbuf": False}, b=QUICK, delay=10 * MS)
    talk(net, a, b, answer=bytes(10 * MSS))


@case(
    # The ACK of the third segment shows that two were read, so it opens the window for the tenth one.
    "eight segments fill the window, and the program reads each one before the next one comes",
    {
        HANDSHAKE: 20 * MS, PLAIN: 20 * MS, ("propagation", "receive window"): 20 * MS,
        ("serialization", "connection"): 2 * wire(SYN, 8_000_000),
        ("queueing", ""): wire(HEADERS, 8_000_000),
        ("queueing", "receive window"): wire(HEADERS, 8_000_000) + 2 * wire(HEADERS + MSS, 8_000_000),
        ("serialization", "receive window"): wire(HEADERS + MSS, 8_000_000) + wire(HEADERS, 8_000_000),
        ("serialization", ""): wire(HEADERS + 1, 8_000_000) + wire(HEADERS + MSS, 8_000_000),
    },
)  # fmt: skip
def _(net: Network) -> None:
    small = {**QUICK, "tcp_rmem": 8 * MSS, "tcp_moderate_rcvbuf": False}
    a, b, _ = pair(net, a=small, b=QUICK, delay=10 * MS, rate=8_000_000)
    talk(net, a, b, answer=bytes(10 * MSS))


@case(
    "head of line: the last bytes are there, but a frame before them was lost",
    {
        HANDSHAKE: 20 * MS,
        PLAIN: 10 * MS,
        ("propagation", "loss, fast retransmit"): 20 * MS,
        ("propagation", "head of line"): 10 * MS,
    },
)
def _(net: Network) -> None:
    a, b, link = pair(net, a=QUICK, b=QUICK, delay=10 * MS)
    link.ba.drop(3)
    talk(net, a, b, answer=bytes(8 * MSS))


@case(
    "an ARP request is lost: it is repeated after a second (RFC 1122 2.3.2.1)",
    {("ARP retry", ""): S, ("propagation", "ARP"): 20 * MS, HANDSHAKE: 20 * MS, PLAIN: 20 * MS},
)
def _(net: Network) -> None:
    a, b, link = pair(net, arp=True, delay=10 * MS)
    link.ab.drop(1)
    talk(net, a, b)


@case(
    "a datagram is in front of the question",
    {
        HANDSHAKE: 20 * MS, PLAIN: 20 * MS, ("serialization", "connection"): 2 * wire(SYN, 8_000_000),
        ("serialization", ""): 2 * wire(HEADERS + 1, 8_000_000),
        ("queueing", ""): wire(HEADERS, 8_000_000) + wire(1042, 8_000_000), ("client thinking", ""): 1 * MS,
    },
)  # fmt: skip
def _(net: Network) -> None:
    a, b, _ = pair(net, a=QUICK, b=QUICK, delay=10 * MS, rate=8_000_000)
    other, sink = datagram(a), datagram(b)
    sink.bind("", 9)
    talk(net, a, b, client_thinks=1 * MS, lets=lambda: other.sendto(bytes(1000), "10.0.0.2", 9))


for late in (1, 250_000, 30 * MS):

    @case(f"a frame that is held for {late} ns", {HANDSHAKE: 20 * MS, PLAIN: 20 * MS, ("jitter", ""): late})
    def _(net: Network, late: int = late) -> None:
        a, b, link = pair(net, a=QUICK, b=QUICK, delay=10 * MS)
        link.ba.hold(2, 3, 4, extra=late)
        talk(net, a, b)


for pause in (50 * MS, 700 * MS):

    @case(
        f"a server that reads {pause} late",
        {HANDSHAKE: 20 * MS, PLAIN: 20 * MS, ("server thinking", "reading late"): pause},
    )
    def _(net: Network, pause: int = pause) -> None:
        a, b, _ = pair(net, a=QUICK, b=QUICK, delay=10 * MS)
        waiting = listener(b)

        def server() -> Program:
            sock = yield waiting.accept()
            yield sleep(pause)
            yield sock.recv_exactly(1)
            yield sock.sendall(b"a")

        def client() -> Program:
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            yield sleep(0)
            yield sock.sendall(b"q")
            yield sock.recv_exactly(1)

        finish(net, spawn(net, server()), spawn(net, client()))


@case(
    "two programs on a host: the one that sleeps is not the one that answers",
    {HANDSHAKE: 20 * MS, PLAIN: 20 * MS, ("server thinking", ""): 30 * MS},
)
def _(net: Network) -> None:
    a, b, _ = pair(net, a=QUICK, b=QUICK, delay=10 * MS)
    other = datagram(b)
    other.bind("", 99)

    def ticks() -> Program:
        for _ in range(40):
            yield sleep(1_700_000)
            other.sendto(bytes(10), "10.0.0.1", 9)

    spawn(net, ticks())
    talk(net, a, b, server_thinks=30 * MS)


@case(
    "TCP_CORK holds the last part until the cork is out",
    {HANDSHAKE: 20 * MS, PLAIN: 20 * MS, ("client thinking", "cork"): 60 * MS},
)
def _(net: Network) -> None:
    a, b, _ = pair(net, a=QUICK, b=QUICK, delay=10 * MS)
    waiting = listener(b)

    def server() -> Program:
        sock = yield waiting.accept()
        yield sock.recv_exactly(100)
        yield sock.sendall(b"a")

    def client() -> Program:
        sock = stream(a)
        yield sock.connect("10.0.0.2", 80)
        sock.setsockopt(6, 3, 1)
        yield sock.sendall(bytes(100))
        yield sleep(60 * MS)
        sock.setsockopt(6, 3, 0)
        yield sock.recv_exactly(1)

    finish(net, spawn(net, server()), spawn(net, client()))
