"""Scenarios in which a sender has to wait."""

from collections.abc import Generator
from typing import Any

from pystack.sim.network import MS, Network
from pystack.sim.programs import sleep, spawn
from pystack.stepper.scenarios.base import connected, finish, pair, pattern, scenario


@scenario(
    "zero-window",
    "The reader sleeps and the window closes",
    "Why did the sender stop here?",
    look='host == "a" and event.kind == "hold" and tcb.snd_wnd == 0',
    mechanism="zero-window",
    tries=(("set=b:tcp_rmem=65536", "the receive buffer of b was four times as large"),),
    pane="sequence",
)
def zero_window(net: Network) -> None:
    """Host a sends 40 kB to an application on b that reads nothing for two seconds. The buffer of b (16 kB) fills, its
    window closes to 0, and a must stop. Then a sends only window probes, at growing intervals. When the application
    reads, a window update opens the window and a continues.
    """
    a, b, _ = pair(net, b={"tcp_rmem": 16_384, "tcp_moderate_rcvbuf": False}, delay=10 * MS)
    client, server = connected(net, a, b)

    def put() -> Generator[Any, Any, None]:
        yield client.sendall(pattern(40_000))

    def take() -> Generator[Any, Any, None]:
        yield sleep(2000 * MS)
        yield server.recv_exactly(40_000)

    finish(net, spawn(net, put()), spawn(net, take()))
    net.run(net.now + 100 * MS)


@scenario(
    "nagle",
    "Write, write, read: 40 ms",
    "Why 40 ms?",
    look='host == "a" and event.kind == "hold"',
    mechanism="nagle",
    tries=(
        ("nodelay=a", "a set TCP_NODELAY"),
        ("quickack=b", "b set TCP_QUICKACK"),
        ("delay=1ms", "the way took only 1 ms"),
    ),
    pane="sequence",
)
def nagle(net: Network) -> None:
    """Host a writes 100 bytes, writes 100 more, and waits for the answer. Host b answers when it has all 200 bytes. Nagle's
    algorithm holds the second write until the first one is acknowledged, and b has no data to send, so it delays that
    ACK by 40 ms. Each exchange takes two round trips and 40 ms instead of one round trip. Set TCP_NODELAY in a branch
    to see the difference.
    """
    a, b, _ = pair(net, a={"tcp_quickack_segs": 0}, b={"tcp_quickack_segs": 0}, delay=5 * MS)
    client, server = connected(net, a, b)

    def ask() -> Generator[Any, Any, None]:
        for _ in range(3):
            yield client.sendall(bytes(100))
            yield client.sendall(bytes(100))
            yield client.recv_exactly(10)

    def answer() -> Generator[Any, Any, None]:
        for _ in range(3):
            yield server.recv_exactly(200)
            yield server.sendall(bytes(10))

    finish(net, spawn(net, ask()), spawn(net, answer()))
    net.run(net.now + 100 * MS)


@scenario(
    "delayed-ack",
    "A delayed acknowledgement",
    "Why does the ACK come 40 ms late?",
    look='host == "b" and event.kind == "ack" and event.fields.action == "delayed"',
    mechanism="delayed-ack",
    tries=(("quickack=b", "b set TCP_QUICKACK"),),
    pane="sequence",
)
def delayed_ack(net: Network) -> None:
    """Host a sends three times. First it sends a small segment. Host b has no data to send, so its ACK leaves alone when
    the delayed-ACK timer expires after 40 ms. Then a sends another small segment. The application on b answers after
    15 ms, and the data carries the ACK. At last a sends two full segments, and the second one forces an ACK at once.
    """
    a, b, _ = pair(net, a={"tcp_quickack_segs": 0}, b={"tcp_quickack_segs": 0}, delay=5 * MS)
    client, server = connected(net, a, b)

    def ask() -> Generator[Any, Any, None]:
        yield client.sendall(bytes(100))
        yield sleep(200 * MS)
        yield client.sendall(bytes(100))
        yield client.recv_exactly(10)
        yield sleep(200 * MS)
        yield client.sendall(bytes(2 * 1448))

    def answer() -> Generator[Any, Any, None]:
        yield server.recv_exactly(200)
        yield sleep(15 * MS)
        yield server.sendall(bytes(10))
        yield server.recv_exactly(2 * 1448)

    finish(net, spawn(net, ask()), spawn(net, answer()))
    net.run(net.now + 100 * MS)
