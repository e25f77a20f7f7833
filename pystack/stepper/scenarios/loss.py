"""Scenarios with lost segments, and how the sender detects the loss."""

from collections.abc import Generator
from typing import Any

from pystack.phy import match
from pystack.sim.network import MS, Network
from pystack.sim.programs import StreamSocket, spawn
from pystack.stepper.scenarios.base import connected, finish, pair, pattern, scenario

_SLOW: dict[str, Any] = {"rate": 10_000_000, "queue": 100}


def upload(net: Network, client: StreamSocket, server: StreamSocket, size: int) -> None:
    """The client sends `size` bytes, and the server reads them all."""

    def put() -> Generator[Any, Any, None]:
        yield client.sendall(pattern(size))

    def take() -> Generator[Any, Any, None]:
        yield server.recv_exactly(size)

    finish(net, spawn(net, put()), spawn(net, take()))


@scenario(
    "loss-fast-retransmit",
    "One segment is lost, and later segments reveal it",
    "Why was this segment retransmitted?",
    look='event.kind == "retransmit"',
    mechanism="fast-retransmit",
    tries=(
        ("deliver=8", "no segment was lost"),
        ("set=b:tcp_sack=off", "b did not send SACK blocks"),
        ("congestion=a:bbr", "a used BBR"),
    ),
    pane="sequence",
)
def loss_fast_retransmit(net: Network) -> None:
    """Host a sends 60 kB, and the network loses its fifth data segment. The later segments arrive, and b answers each of
    them with an ACK whose SACK blocks list the received data. Host a sees the hole and retransmits that one segment
    within a round trip, without waiting for a timer. It also halves its congestion window.
    """
    a, b, link = pair(net, delay=20 * MS, **_SLOW)
    client, server = connected(net, a, b)
    link.ab.drop(5, match=match.is_data)
    upload(net, client, server, 60_000)
    net.run(net.now + 200 * MS)


@scenario(
    "rto",
    "Everything is lost, and only the timer helps",
    "Why did it take so long until this segment was retransmitted?",
    look='event.kind == "retransmit"',
    mechanism="rto",
    tries=(("set=a:tcp_tlp=on", "a sent tail loss probes"),),
    pane="windows",
)
def rto(net: Network) -> None:
    """Host a sends 3 kB, and then the link is down for a second, so no ACK can reveal the loss. The retransmission timer
    expires, a retransmits the first segment, and the timeout doubles. This repeats until the link is up and a
    retransmission arrives. The congestion window begins again at one segment. Tail loss probes are off in this
    scenario; a branch shows what they change.
    """
    a, b, link = pair(net, a={"tcp_tlp": False}, delay=20 * MS)
    client, server = connected(net, a, b)
    link.down()
    net.after(1000 * MS, link.restore)
    upload(net, client, server, 3_000)
    net.run(net.now + 200 * MS)
