"""More runs whose path is known by construction: each shows one cause or reason that the runs in cases.py do not show, beside a control without it."""

from typing import Any

from pystack.sim.network import MS, Network
from pystack.sim.programs import datagram, sleep, spawn
from pystack.stepper.scenarios.base import finish, listener, pair, stream
from pystack.stepper.scenarios.link import chain
from tests.stepper.timing.cases import HANDSHAKE, HEADERS, MSS, PLAIN, QUICK, Program, S, case, talk, wire

D = 10 * MS
SOL_SOCKET, SO_SNDBUF, SO_MAX_PACING_RATE, TCP_NODELAY = 1, 7, 47, 1
BASE = {HANDSHAKE: 2 * D, PLAIN: 2 * D}
FIXED = {**QUICK, "tcp_congestion": "fixed", "tcp_rmem": 1 << 20, "tcp_wmem": 1 << 20}


def send_and_receive(net: Network, client: Program, server: Program) -> None:
    finish(net, spawn(net, server), spawn(net, client))


def ask(
    a: Any, size: int, then: Any = None, address: str = "10.0.0.2", options: tuple[tuple[int, int, int], ...] = ()
) -> Program:
    """A client that writes `size` bytes and reads one."""
    sock = stream(a)
    yield sock.connect(address, 80)
    for level, name, value in options:
        sock.setsockopt(level, name, value)
    if then is not None:
        then()
    yield sock.sendall(bytes(size))
    yield sock.recv_exactly(1)


def answer(b: Any, size: int) -> Program:
    """A server that reads `size` bytes and writes one."""
    waiting = listener(b)
    sock = yield waiting.accept()
    yield sock.recv_exactly(size)
    yield sock.sendall(b"a")


for busy in (True, False):

    @case(
        f"a listener whose queue is {'full until its program accepts at half a second' if busy else 'not full'}",
        {**BASE, ("RTO", "backlog"): S} if busy else BASE,
    )
    def _(net: Network, busy: bool = busy) -> None:
        a, b, c = net.host("a"), net.host("b"), net.host("c")
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=D)
        net.link(c, b, addrs=("10.0.1.1/24", "10.0.1.2/24"), delay=1 * MS)
        net.introduce()
        waiting = listener(b, backlog=0 if busy else 4)

        def server() -> Program:
            if busy:
                yield sleep(500 * MS)
            yield waiting.accept()
            sock = yield waiting.accept()
            yield sock.recv_exactly(1)
            yield sock.sendall(b"a")

        def other() -> Program:
            yield stream(c).connect("10.0.1.2", 80)

        asking = spawn(net, ask(a, 1))
        finish(net, asking, spawn(net, other()), spawn(net, server()))


@case("the SYN-ACK is lost, and the client's SYN is repeated", {**BASE, ("RTO", "SYN retransmission"): S})
def _(net: Network) -> None:
    a, b, link = pair(net, b={"tcp_synack_retries": 0}, delay=D)
    link.ba.drop(1)
    talk(net, a, b)


@case(
    "a question that is lost three times: the timeout doubles",
    {**BASE, ("RTO", "loss, retransmission timeout"): (1 + 2 + 4) * 220 * MS},
)
def _(net: Network) -> None:
    a, b, link = pair(net, a=QUICK, b=QUICK, delay=D)
    link.ab.drop(3, 4, 5)
    talk(net, a, b)


for shaped in (True, False):

    @case(
        f"{'a shaper' if shaped else 'no shaper'} in front of a link without a rate: 3 segments at 8 Mbit/s, the first of which the burst covers",
        {**BASE, ("shaping", ""): 2 * wire(HEADERS + MSS, 8_000_000)} if shaped else BASE,
    )
    def _(net: Network, shaped: bool = shaped) -> None:
        a, b, link = pair(net, a=QUICK, b=QUICK, delay=D)

        def shape() -> None:
            if shaped:
                # The bucket holds exactly one segment and the ACK of the handshake, which has left already.
                link.a.set_qdisc("tbf rate 8mbit burst 1514 limit 100kb")

        send_and_receive(net, ask(a, 3 * MSS, shape), answer(b, 3 * MSS))


for late in (5 * MS, 0):

    @case(f"the last fragment of a datagram comes {late} ns after the others", {**BASE, ("jitter", "reassembly"): late})
    def _(net: Network, late: int = late) -> None:
        a, b, link = pair(net, a=QUICK, b=QUICK, delay=D)
        waiting, taker, other = listener(b), datagram(b), datagram(a)
        taker.bind("", 9)
        link.ab.hold(5, extra=late)

        def client() -> Program:
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            other.sendto(bytes(4000), "10.0.0.2", 9)
            yield sock.recv_exactly(1)

        def server() -> Program:
            sock = yield waiting.accept()
            yield taker.recvfrom()
            yield sock.sendall(b"a")

        send_and_receive(net, client(), server())


for mtu in (1400, 1500):

    @case(
        f"a link in the middle with an MTU of {mtu}: the report comes a round trip to the first router later",
        {HANDSHAKE: 30 * MS, PLAIN: 30 * MS, ("propagation", "path MTU"): 10 * MS if mtu < 1500 else 0},
    )
    def _(net: Network, mtu: int = mtu) -> None:
        nodes = chain(net, (1500, mtu, 1500))
        send_and_receive(net, ask(nodes[0], 2 * MSS, address="10.0.2.2"), answer(nodes[-1], 2 * MSS))


for dropping in (True, False):

    @case(
        f"a packet filter that {'drops the first SYN, until its rule is deleted' if dropping else 'accepts'}",
        {**BASE, ("RTO", "filter"): S} if dropping else BASE,
    )
    def _(net: Network, dropping: bool = dropping) -> None:
        a, b, _ = pair(net, delay=D)
        b.nft(
            "table ip t {\n chain c {\n type filter hook input priority 0; policy accept;\n"
            f"tcp dport {80 if dropping else 81} drop\n}}\n}}"
        )
        net.after(500 * MS, b.nft, "flush ruleset")
        talk(net, a, b)


for size in (8, 24):

    @case(
        f"a send buffer of {size} segments, and 24 segments to write",
        {**BASE, ("propagation", "send buffer"): (24 // size - 1) * 2 * D},
    )
    def _(net: Network, size: int = size) -> None:
        a, b, _ = pair(net, a=FIXED, b=FIXED, delay=D)
        options = ((SOL_SOCKET, SO_SNDBUF, size * MSS), (6, TCP_NODELAY, 1))
        send_and_receive(net, ask(a, 24 * MSS, options=options), answer(b, 24 * MSS))


for buffers in (True, False):

    @case(
        f"a proxy that {'waits for 200 bytes' if buffers else 'passes on what it has'}: the second 100 bytes come 50 ms later",
        {
            # The proxy connects to the server when the client has connected.
            HANDSHAKE: 4 * D,
            ("propagation", ""): 3 * D if buffers else 4 * D,
            ("propagation", "proxy buffer"): D if buffers else 0,
            ("server thinking", "proxy buffer"): 40 * MS if buffers else 0,
            ("server thinking", ""): 10 * MS if buffers else 50 * MS,
        },
    )
    def _(net: Network, buffers: bool = buffers) -> None:
        a, proxy, b = net.host("a"), net.host("p"), net.host("b")
        net.link(a, proxy, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=D)
        net.link(proxy, b, addrs=("10.0.1.1/24", "10.0.1.2/24"), delay=D)
        net.introduce()
        front, back = listener(proxy), listener(b)

        def serve() -> Program:
            sock = yield back.accept()
            sock.setsockopt(6, TCP_NODELAY, 1)
            yield sock.recv_exactly(1)
            yield sock.sendall(bytes(100))
            yield sleep(50 * MS)
            yield sock.sendall(bytes(100))

        def relay() -> Program:
            sock, up = (yield front.accept()), stream(proxy)
            yield up.connect("10.0.1.2", 80)
            sock.setsockopt(6, TCP_NODELAY, 1)
            yield up.sendall((yield sock.recv_exactly(1)))
            if buffers:
                yield sock.sendall((yield up.recv_exactly(200)))
            else:
                for _ in range(2):
                    yield sock.sendall((yield up.recv_exactly(100)))

        def client() -> Program:
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            yield sock.sendall(b"q")
            yield sock.recv_exactly(200)

        finish(net, *(spawn(net, program) for program in (serve(), relay(), client())))


for down in (True, False):

    @case(
        f"a client that {'learns by keep-alive that another server is gone' if down else 'asks another server'} before it asks",
        {
            HANDSHAKE: 4 * D,
            PLAIN: 2 * D if down else 4 * D,
            ("keep-alive", ""): (10 + 3 * 5) * S if down else 0,
        },
    )
    def _(net: Network, down: bool = down) -> None:
        quick: dict[str, Any] = {**QUICK}
        a, b, c = (net.host(name, **quick) for name in "abc")
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=D)
        link = net.link(a, c, addrs=("10.0.1.1/24", "10.0.1.2/24"), delay=D)
        net.introduce()

        def client() -> Program:
            first, second = stream(a), stream(a)
            yield first.connect("10.0.0.2", 80)
            for level, name, value in ((1, 9, 1), (6, 4, 10), (6, 5, 5), (6, 6, 3)):
                second.setsockopt(level, name, value)
            yield second.connect("10.0.1.2", 80)
            if down:
                link.down()
                try:
                    yield second.recv()
                except TimeoutError:
                    pass
            else:
                yield second.sendall(b"q")
                yield second.recv_exactly(1)
            yield first.sendall(b"q")
            yield first.recv_exactly(1)

        serving = [spawn(net, answer(b, 1)), spawn(net, answer(c, 1))]
        finish(net, serving[0], spawn(net, client()))


for lost in (True, False):

    @case(
        f"the first of two segments is {'lost' if lost else 'not lost'}: RACK waits for a quarter of the round trip (RFC 8985 6.2)",
        {
            **BASE,
            ("propagation", "loss"): 2 * D if lost else 0,
            ("reordering wait", "loss"): 2 * D // 4 if lost else 0,
        },
    )
    def _(net: Network, lost: bool = lost) -> None:
        a, b, link = pair(net, a=QUICK, b=QUICK, delay=D)
        if lost:
            link.ab.drop(3)
        send_and_receive(net, ask(a, 2 * MSS), answer(b, 2 * MSS))


for paced in (1000 * MSS, 0):

    @case(
        f"8 segments at {paced} bytes per second (0: without pacing)",
        {**BASE, ("pacing", "pacing"): 7 * MS if paced else 0},
    )
    def _(net: Network, paced: int = paced) -> None:
        a, b, _ = pair(net, a=QUICK, b=QUICK, delay=D)
        options = ((SOL_SOCKET, SO_MAX_PACING_RATE, paced),) if paced else ()
        send_and_receive(net, ask(a, 8 * MSS, options=options), answer(b, 8 * MSS))


for looks in (True, False):

    @case(
        f"a client that {'looks up a name' if looks else 'knows the address'} between connecting and asking",
        {**BASE, ("propagation", "name lookup"): 2 * D if looks else 0},
    )
    def _(net: Network, looks: bool = looks) -> None:
        a, b, _ = pair(net, a=QUICK, b=QUICK, delay=D)
        resolver, stub = datagram(b), datagram(a)
        resolver.bind("", 53)

        def resolve() -> Program:
            asked = yield resolver.recvfrom()
            resolver.sendto(b"answer", "10.0.0.1", asked.sport)

        def client() -> Program:
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            if looks:
                stub.sendto(b"question", "10.0.0.2", 53)
                yield stub.recvfrom()
            yield sock.sendall(b"q")
            yield sock.recv_exactly(1)

        spawn(net, resolve())
        send_and_receive(net, client(), answer(b, 1))


for update in (False, True):

    @case(
        f"the window update {'arrives' if update else 'is lost, and a probe finds the window open (RFC 9293 3.8.6.1)'}",
        {
            HANDSHAKE: 2 * D,
            PLAIN: 2 * D,
            # Eight segments fill the buffer when they arrive, and their ACKs close the window.
            ("propagation", "receive window"): D if update else 2 * D,
            ("server thinking", "reading late"): 100 * MS if update else 0,
            ("zero-window probe", "zero window"): 0 if update else 220 * MS,
            ("propagation", "zero window"): D if update else 2 * D,
        },
    )
    def _(net: Network, update: bool = update) -> None:
        small = {**QUICK, "tcp_rmem": 8 * MSS, "tcp_moderate_rcvbuf": False}
        a, b, link = pair(net, a=FIXED, b=small, delay=D)
        waiting = listener(b)

        def server() -> Program:
            sock = yield waiting.accept()
            yield sleep(100 * MS)
            if not update:
                link.down()
                net.after(1, link.restore)
            yield sock.recv_exactly(9 * MSS)
            yield sock.sendall(b"a")

        send_and_receive(net, ask(a, 9 * MSS), server())
