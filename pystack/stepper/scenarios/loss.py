"""Segments that get lost, and how the sender notices."""

from collections.abc import Generator
from typing import Any

from pystack.phy import match
from pystack.sim.network import MS, Network
from pystack.sim.programs import StreamSocket, spawn
from pystack.stepper.scenarios.base import connected, finish, pair, pattern, scenario

_SLOW: dict[str, Any] = {"rate": 10_000_000, "queue": 100}


def upload(net: Network, client: StreamSocket, server: StreamSocket, size: int) -> None:
    """The client sends `size` bytes, the server reads them all."""

    def put() -> Generator[Any, Any, None]:
        yield client.sendall(pattern(size))

    def take() -> Generator[Any, Any, None]:
        yield server.recv_exactly(size)

    finish(net, spawn(net, put()), spawn(net, take()))


@scenario(
    "loss-fast-retransmit",
    "One segment is lost, the ones behind it tell",
    "Why was this segment retransmitted?",
    look='event.kind == "retransmit"',
    mechanism="fast-retransmit",
)
def loss_fast_retransmit(net: Network) -> None:
    """a sends 60 kB; the network loses its fifth data segment. Those behind it arrive, and each makes b send an ACK that
    says in SACK blocks what it has. a sees the hole, sends that one segment again within a round trip, without waiting
    for a timer, and halves its window.
    """
    a, b, link = pair(net, delay=20 * MS, **_SLOW)
    client, server = connected(net, a, b)
    link.ab.drop(5, match=match.is_data)
    upload(net, client, server, 60_000)
    net.run(net.now + 200 * MS)


@scenario(
    "rto",
    "Everything is lost, only the timer helps",
    "Why did it take so long until this segment was sent again?",
    look='event.kind == "retransmit"',
    mechanism="rto",
)
def rto(net: Network) -> None:
    """a sends 3 kB, and then the line is down for a second: no ACK can tell of the loss. The retransmission timer is
    due, the first segment goes out again, the timeout doubles, and again. When the line is back, the next retransmission
    gets through; cwnd begins again at one segment. (Tail loss probes are off: see what they change with a branch.)
    """
    a, b, link = pair(net, a={"tcp_tlp": False}, delay=20 * MS)
    client, server = connected(net, a, b)
    link.down()
    net.after(1000 * MS, link.restore)
    upload(net, client, server, 3_000)
    net.run(net.now + 200 * MS)
