"""Scenarios of connections that wait for a program, and of one whose other side is gone."""

from collections.abc import Generator
from typing import Any

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import sleep, spawn, stream
from pystack.stepper.scenarios.base import B, connected, finish, listener, pair, scenario

SOL_SOCKET, SO_KEEPALIVE = 1, 9
SOL_TCP, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT = 6, 4, 5, 6


@scenario(
    "accept-queue",
    "A server that does not accept",
    "Why does the sixth client wait a second, although the server runs?",
    look='host == "b" and event.kind == "drop"',
    mechanism="backlog",
)
def accept_queue(net: Network) -> None:
    """A server on b listens with a backlog of 4 and accepts nothing. Six clients connect, one every 20 ms. Five connections are made, because
    the queue takes one more than the backlog. The SYN of the sixth client is dropped in silence. At 500 ms the server accepts one connection,
    which leaves a place in the queue, but nobody tells the client. It connects only when it retransmits its SYN after a second.
    """
    a, b, _ = pair(net, delay=5 * MS)
    waiting = listener(b, backlog=4)

    def serve() -> Generator[Any, Any, None]:
        yield sleep(500 * MS)
        yield waiting.accept()

    def dial(number: int) -> Generator[Any, Any, None]:
        yield sleep(number * 20 * MS)
        yield stream(a).connect(B, 80)

    finish(net, spawn(net, serve()), *(spawn(net, dial(number)) for number in range(6)))
    net.run(net.now + 100 * MS)


@scenario(
    "keep-alive",
    "Nobody is there any more",
    "How does an idle connection learn that the other host is gone?",
    look='host == "a" and event.kind == "probe"',
    mechanism="keep-alive",
)
def keep_alive(net: Network) -> None:
    """Hosts a and b exchange a message, and a has switched on keep-alive: a probe after 60 s of silence, then every 10 s, six times at most. The
    first probe is answered, so the silence begins anew. Then the cable is pulled. Host a has nothing to send, so without probes it would never
    notice. Six probes stay unanswered, and 60 + 6 * 10 = 120 s after the last answer, the program gets ETIMEDOUT.
    """
    a, b, link = pair(net, delay=10 * MS)
    client, server = connected(net, a, b)
    client.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    for name, value in ((TCP_KEEPIDLE, 60), (TCP_KEEPINTVL, 10), (TCP_KEEPCNT, 6)):
        client.setsockopt(SOL_TCP, name, value)

    def ask() -> Generator[Any, Any, None]:
        yield client.sendall(b"hello")
        try:
            yield client.recv()
        except TimeoutError:
            client.close()

    def answer() -> Generator[Any, Any, None]:
        yield server.recv_exactly(5)

    net.after(100 * S, link.down)
    finish(net, spawn(net, ask()), spawn(net, answer()))
    net.run(net.now + 1 * S)
