"""The network of the lab: a home, its provider, and a server."""

from typing import Any

from pystack.sim.network import Network
from pystack.sim.programs import datagram, spawn
from pystack.testing.lab import MS

SERVER, PUBLIC = "198.51.100.2", "203.0.113.1"


class Home:
    """Hosts `a` and `b` behind `nat`, the ISP's router `isp`, and `server`. Without `translate`, the NAT is a plain router."""

    def __init__(self, translate: bool = True, **settings: Any):
        self.net = net = Network()
        self.inside = [net.host(name) for name in ("a", "b")]
        self.nat = net.nat("nat", **settings) if translate else net.router("nat", **settings)
        self.isp = net.router("isp")
        self.server = net.host("server")
        self.outer = net.link(self.nat, self.isp, addrs=(f"{PUBLIC}/24", "203.0.113.254/24"), delay=MS)
        switch = net.switch("lan")
        net.link(self.nat, switch, addrs=("10.0.0.1/24", None))
        for number, host in enumerate(self.inside):
            net.link(host, switch, addrs=(f"10.0.0.{number + 2}/24", None), delay=MS)
            host.route("default", via="10.0.0.1")
        net.link(self.isp, self.server, addrs=("198.51.100.1/24", f"{SERVER}/24"), delay=MS)
        self.nat.route("default", via="203.0.113.254")
        self.server.route("default", via="198.51.100.1")
        net.introduce()
        self.seen: list[tuple[int, int]] = []  # the senders that the server has seen

    def client(self, number: int = 0, port: int = 40000) -> Any:
        """Return a socket of an inside host."""
        sock = datagram(self.inside[number])
        sock.bind("0.0.0.0", port)
        return sock

    def serving(self, port: int = 7) -> Any:
        """Return a socket of the server, and note its senders."""
        sock = datagram(self.server)
        sock.bind("0.0.0.0", port)

        def serve():
            while True:
                got = yield sock.recvfrom()
                self.seen.append((got.src, got.sport))

        spawn(self.net, serve())
        return sock

    def run(self, time: int = 20 * MS) -> None:
        """Let time pass."""
        self.net.run(self.net.now + time)

    def arrived(self) -> int:
        """Return how many datagrams the inside hosts have got."""
        return sum(host.counters.UdpInDatagrams for host in self.inside)
