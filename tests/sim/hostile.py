"""A megabyte each way over a link that does everything wrong: the heart of test_hostile_network and of the soak."""

import hashlib
from collections.abc import Callable
from typing import Any

from pystack.sim.channel import Channel
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import Proc, StreamSocket, spawn, stream

SIZE = 1_000_000
#: virtual time within which the transfer must be through
LIMIT = 7200 * S
IMPAIRMENTS: dict[str, Any] = {
    "loss": 0.10,
    "reorder": 0.10,
    "reorder_delay": 15 * MS,
    "duplicate": 0.05,
    "corrupt": 0.02,
    "jitter": MS,
}


def pattern(seed: int, who: str, size: int) -> bytes:
    """`size` bytes that tell where they belong."""
    return hashlib.shake_128(f"{seed}/{who}".encode()).digest(size)


def talk(sock: StreamSocket, net: Network, mine: bytes, close_first: bool):
    """Send `mine` while receiving: the program of both ends. Returns what came."""

    def sender():
        yield sock.sendall(mine)
        sock.shutdown()

    sending = spawn(net, sender())
    data = yield sock.recv_all()
    yield sending
    sock.close()
    return data


class Transfer:
    """Two hosts, one hostile link, data both ways."""

    def __init__(
        self,
        seed: int,
        size: int = SIZE,
        impairments: "dict[str, Any] | None" = None,
        prepare: "Callable[[Network], object]" = lambda net: None,
        **settings: Any,
    ):
        self.net = net = Network(seed)
        prepare(net)
        self.a, self.b = net.host("a", **settings), net.host("b", **settings)
        chosen = IMPAIRMENTS if impairments is None else impairments
        self.link = net.link(self.a, self.b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=10 * MS, **chosen)
        # A flipped bit in an ARP packet (it has no checksum) would send everything elsewhere: not TCP's matter.
        net.introduce()
        self.from_a, self.from_b = pattern(seed, "a", size), pattern(seed, "b", size)
        self.server = spawn(net, self._server())
        self.client: Proc = spawn(net, self._client())

    def _server(self):
        listener = stream(self.b)
        listener.bind("", 80)
        listener.listen()
        sock = yield listener.accept()
        listener.close()
        return (yield from talk(sock, self.net, self.from_b, False))

    def _client(self):
        sock = stream(self.a)
        yield sock.connect("10.0.0.2", 80)
        return (yield from talk(sock, self.net, self.from_a, True))

    def run(self) -> int:
        """Run to the end and check it all; returns the virtual time the transfer took."""
        net = self.net
        took = net.run_until(lambda: self.server.finished() and self.client.finished(), LIMIT)
        assert self.server.value == self.from_a, "the server got other bytes than the client sent"
        assert self.client.value == self.from_b, "the client got other bytes than the server sent"
        net.run_until_idle()
        for host in (self.a, self.b):
            left = self.leftovers(host)
            assert not left, f"{host.name} still has {left}"
        return took

    @staticmethod
    def leftovers(host: Any) -> dict[str, Any]:
        """What should be gone once all is over: timers, endpoints, queues."""
        stack = host.stack
        kept = {
            "timers": len(stack.timers),
            "endpoints": len(stack.endpoints),
            "deadline": stack.poll_timeout() or 0,
            "txq": len(stack.txq),
            "output_queue": len(stack.output_queue),
        }
        return {name: count for name, count in kept.items() if count}

    def channels(self) -> "tuple[Channel, Channel]":
        """Both directions."""
        return self.link.ab, self.link.ba
