"""Scenarios of containers: a published port."""

from collections.abc import Generator
from typing import Any

from pystack.sim.network import MS, Network
from pystack.sim.programs import spawn, stream
from pystack.stepper.scenarios.base import finish, listener, scenario


@scenario(
    "docker-publish",
    "A published port of a container",
    "How does a connection to port 8080 of the host reach port 80 of the container?",
    look=(
        'event.kind == "nat.bind" and event.fields.kind == "dnat"',
        'event.kind == "nat.bind" and event.fields.kind == "snat"',
    ),
    mechanism="translation",
)
def docker_publish(net: Network) -> None:
    """A client outside connects to port 8080 of the host (192.0.2.10), which has published port 80 of the container c1 (172.17.0.2). The
    host translates the destination of the first packet, remembers the translation, and forwards the packet to the bridge. The
    container sees the client's own address. Its answers go to the host, because its default route does, and there their source becomes
    192.0.2.10:8080 again. Then c1 itself connects to the client. Its source is translated to the host's address (masquerade).
    """
    docker = net.container_host("docker")
    c1, client = docker.container("c1"), net.host("client")
    net.link(client, docker, addrs=("192.0.2.7/24", "192.0.2.10/24"), delay=5 * MS)
    docker.publish("8080:80", c1)
    web, other = listener(c1), listener(client)

    def serve(sock: Any) -> Generator[Any, Any, None]:
        found = yield sock.accept()
        yield found.sendall(b"hello")
        found.close()

    def ask(host: Any, address: str, port: int) -> Generator[Any, Any, None]:
        sock = stream(host)
        yield sock.connect(address, port)
        yield sock.recv_all()
        sock.close()

    finish(net, spawn(net, serve(web)), spawn(net, ask(client, "192.0.2.10", 8080)))
    finish(net, spawn(net, serve(other)), spawn(net, ask(c1, "192.0.2.7", 80)))
    net.run(net.now + 100 * MS)
