"""The two networks of the lab: a relay that copies between two connections, and a balancer that translates addresses."""

from collections.abc import Callable
from typing import Any

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import Program, spawn, stream
from pystack.testing.lab import pattern, sleep
from pystack.testing.segments import WireLog

R1, R2 = 20 * MS, 80 * MS
BUFFER, COPY = 65_536, 16_384
SOL_TCP, TCP_NODELAY = 6, 1
SERVICE = "10.0.1.2"


def network(balancer: bool = False) -> Network:
    """Build the network: client, a host in the middle, and server."""
    net = Network(1)
    config: dict[str, Any] = {"profile": "lab", "tcp_rmem": BUFFER, "tcp_wmem": BUFFER}
    client = net.host("client", **config)
    middle = net.balancer("middle", **config) if balancer else net.host("middle", **config)
    server = net.host("server", **config)
    net.link(client, middle, delay=R1 // 2, addrs=("10.0.1.1/24", f"{SERVICE}/24"))
    net.link(middle, server, delay=R2 // 2, addrs=("10.0.2.1/24", "10.0.2.2/24"))
    server.route("default", via="10.0.2.1")
    net.introduce()
    return net


class Path:
    """A connection from the client to the server by the middle. `client` and `server` are its ends, once it is open."""

    def __init__(self, relays: Callable[[Any, Any], list[Program]] | None, reads: bool):
        """`relays` makes the programs of the relay out of its two sockets. Without it, the middle translates addresses."""
        self.net = net = network(balancer=relays is None)
        hosts = net.hosts
        self.middle = hosts["middle"]
        self.log = WireLog(hosts["client"].port(), hosts["server"].port())
        self.client: Any = None
        self.server: Any = None
        back = self.listener(hosts["server"])

        def serve():
            self.server = yield back.accept()
            while reads:
                yield self.server.recv(65_536)

        def dial():
            sock = stream(hosts["client"])
            yield sock.connect(SERVICE, 80)
            self.client = sock

        def accept(front, relays):
            near = yield front.accept()
            far = stream(self.middle)
            far.setsockopt(SOL_TCP, TCP_NODELAY, 1)
            yield far.connect("10.0.2.2", 80)
            for program in relays(near, far):
                spawn(net, program)

        if relays is None:
            self.middle.balance(f"{SERVICE}:80", ["10.0.2.2:80"])
        else:
            spawn(net, accept(self.listener(self.middle), relays))
        spawn(net, serve())
        spawn(net, dial())
        net.run(until=S)

    def listener(self, host: Any) -> Any:
        """Return a listening socket."""
        sock = stream(host)
        sock.bind("", 80)
        sock.listen()
        return sock

    def write_until_blocked(self) -> int:
        """Return how many bytes the client's socket takes in 40 s."""
        taken = 0
        data = pattern(1 << 20)
        for _ in range(400):
            taken += self.client.call("send", data[taken : taken + 65_536], 0)
            self.net.run(until=self.net.now + 100 * MS)
        return taken

    def missing(self) -> int:
        """Return how many bytes are acknowledged to the client and not in the server's buffer."""
        return int(self.client.endpoint.bytes_acked - self.server.endpoint.recvbuf.used)


def copying(pause: int = 0) -> Callable[[Any, Any], list[Program]]:
    """Return a relay that copies from the client to the server, with a pause (ns) after each piece."""

    def copy(near, far):
        while data := (yield near.recv(COPY)):
            # It tries again by the clock. A socket is reported as writable only if a third of its buffer is free, as on Linux,
            # which would leave the count to chance.
            while near.host.up and (rest := data[far.call("send", data, 0) :]):
                data = rest
                yield sleep(50 * MS)
            if pause:
                yield sleep(pause)

    return lambda near, far: [copy(near, far)]
