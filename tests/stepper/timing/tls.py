"""Handshakes of TLS over a link, as runs whose path is known by construction."""

from typing import Any

from pystack.sim.network import MS, Network
from pystack.sim.programs import sleep, spawn
from pystack.stepper.scenarios import tlsrecords
from pystack.stepper.scenarios.base import finish, listener, pair, stream
from tests.stepper.timing.cases import HANDSHAKE, PLAIN, QUICK, Program, case

TLS, NODELAY = ("propagation", "TLS handshake"), (6, 1, 1)
#: (time to compute, what is written after it), of client and server in turn
Steps = list[tuple[int, list[bytes]]]


def tls(net: Network, steps: Steps, delay: int = 10 * MS) -> None:
    """Client and server take turns: each step is (time to compute, bytes to write) of the side whose turn it is."""
    a, b, _ = pair(net, a=QUICK, b=QUICK, delay=delay)
    waiting = listener(b)

    def side(sock: Any, mine: int) -> Program:
        for number, (think, data) in enumerate(steps):
            if number % 2 == mine:
                if think:
                    yield sleep(think)
                for part in data:
                    yield sock.sendall(part)
            else:
                yield sock.recv_exactly(sum(map(len, data)))

    def server() -> Program:
        sock = yield waiting.accept()
        sock.setsockopt(*NODELAY)
        yield from side(sock, 1)

    def client() -> Program:
        sock = stream(a)
        sock.setsockopt(*NODELAY)
        yield sock.connect("10.0.0.2", 80)
        yield from side(sock, 0)

    finish(net, spawn(net, server()), spawn(net, client()))


def messages(client: int = 1 * MS, server: int = 2 * MS, check: int = 3 * MS) -> Steps:
    """The handshake of TLS 1.3, a question and an answer."""
    flights = tlsrecords.flights("shop.test")
    question, answer = tlsrecords.sealed(bytes(100)), tlsrecords.sealed(bytes(300))
    return [
        (client, [flights.hello]),
        (server, [flights.answer]),
        (check, [flights.finished, question]),
        (4 * MS, [answer]),
    ]


@case(
    "a handshake of TLS 1.3 is one round trip and the time to compute (RFC 8446 2)",
    {HANDSHAKE: 20 * MS, TLS: 20 * MS, ("TLS computing", ""): 6 * MS, ("server thinking", ""): 4 * MS, PLAIN: 20 * MS},
)
def _(net: Network) -> None:
    tls(net, messages())
