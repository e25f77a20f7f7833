"""What holds a sender back."""

from collections.abc import Generator
from typing import Any

from pystack.sim.network import MS, Network
from pystack.sim.programs import sleep, spawn
from pystack.stepper.scenarios.base import connected, finish, pair, pattern, scenario


@scenario(
    "zero-window",
    "The reader sleeps, the window closes",
    "Why did the sender stop here?",
    look='host == "a" and event.kind == "hold" and tcb.snd_wnd == 0',
    mechanism="zero-window",
)
def zero_window(net: Network) -> None:
    """a sends 40 kB to an application on b that reads nothing for two seconds. b's buffer (16 kB) fills, its window
    closes to 0, and a must stop: only window probes go out, less and less often. When the application reads, a window
    update opens the window and a goes on.
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
)
def nagle(net: Network) -> None:
    """a writes 100 bytes, then 100 more, and waits for the answer; b answers when it has all 200. Nagle's algorithm holds
    the second write back until the first is acknowledged, and b, with nothing to send, delays that ACK by 40 ms. So each
    exchange takes two round trips and 40 ms instead of one round trip. Set TCP_NODELAY in a branch, and see.
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
    "The ACK that waits for company",
    "Why does the ACK come 40 ms late?",
    look='host == "b" and event.kind == "ack" and event.fields.action == "delayed"',
    mechanism="delayed-ack",
)
def delayed_ack(net: Network) -> None:
    """a sends three times. The first, a small segment, finds b with nothing to say: its ACK goes out alone, when the
    delayed-ACK timer is due after 40 ms. The second, as small, is answered by b's application after 15 ms: the ACK rides on
    the data. The third time it is two full segments: the second one forces an ACK at once.
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
