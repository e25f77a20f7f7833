"""The network of the lab: a host of containers, a router, and a client outside."""

from typing import Any

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import spawn, stream

HOST, CLIENT = "192.0.2.10", "198.51.100.7"
INBOUND, IPV4 = 1, b"\x08\x00"


class Docker:
    """c1 (.2) and c2 (.3) on docker0 of a host, a router, and a client outside. `arrived` has (source, TTL) of TCP, by host."""

    def __init__(self, masquerade: bool = True):
        self.net = net = Network(seed=26)
        self.docker = net.container_host("docker", masquerade=masquerade)
        self.c1, self.c2 = self.docker.container("c1"), self.docker.container("c2")
        self.router, self.client = net.router("internet"), net.host("client")
        net.link(self.docker, self.router, addrs=(f"{HOST}/24", "192.0.2.1/24"), delay=MS)
        net.link(self.client, self.router, addrs=(f"{CLIENT}/24", "198.51.100.1/24"), delay=10 * MS)
        self.docker.route("default", via="192.0.2.1")
        self.client.route("default", via="198.51.100.1")
        self.arrived: dict[str, list[tuple[str, int]]] = {}
        for host in (self.c1, self.c2, self.client):
            host.port().taps.append(self._tap(host.name))

    def _tap(self, name: str) -> Any:
        packets = self.arrived.setdefault(name, [])

        def tap(time: int, direction: int, frame: bytes) -> None:
            if direction == INBOUND and frame[12:14] == IPV4 and frame[23] == 6:
                packets.append((".".join(map(str, frame[26:30])), frame[22]))

        return tap

    def serve(self, host: Any, port: int = 80, address: str = "") -> list[str]:
        """Answer connections with "hello". Returns the list of the addresses of those that connect."""
        peers: list[str] = []
        sock = stream(host)
        sock.bind(address, port)
        sock.listen()

        def answer():
            while True:
                found = yield sock.accept()
                peers.append(".".join(str(byte) for byte in found.endpoint.raddr.to_bytes(16, "big")[12:]))
                yield found.sendall(b"hello")
                found.close()

        spawn(self.net, answer())
        return peers

    def ask(self, host: Any, address: str, port: int = 80) -> Any:
        """Connect. Returns what was received, or the errno. After 3 s, that is ETIMEDOUT."""

        def program():
            sock = stream(host)
            try:
                yield sock.within(sock.connect(address, port), 3 * S)
                return (yield sock.within(sock.recv_all(), 3 * S))
            except OSError as error:
                return error.errno
            finally:
                sock.close()

        proc = spawn(self.net, program())
        self.net.run_until(proc.finished, limit=self.net.now + 20 * S)
        return proc.value
