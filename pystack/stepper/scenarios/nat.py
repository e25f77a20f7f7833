"""Scenarios of address translation: two hosts behind one address, a published port, and that port reached from inside."""

from collections.abc import Generator
from typing import Any

from pystack.sim.network import MS, Network, SimHost
from pystack.sim.programs import datagram, sleep, spawn
from pystack.stepper.scenarios.base import finish, scenario
from pystack_c.base.address import addr_text

PUBLIC, SERVER = "203.0.113.1", "203.0.113.9"


def home(net: Network) -> tuple[list[SimHost], SimHost, SimHost]:
    """Return the inside hosts a and b, the NAT, and a server outside."""
    inside, nat, server = [net.host("a"), net.host("b")], net.nat("nat"), net.host("server")
    net.link(nat, server, delay=10 * MS, addrs=(f"{PUBLIC}/24", f"{SERVER}/24"))
    switch = net.switch("lan")
    net.link(nat, switch, addrs=("10.0.0.1/24", None))
    for number, host in enumerate(inside, 2):
        net.link(host, switch, delay=1 * MS, addrs=(f"10.0.0.{number}/24", None))
        host.route("default", via="10.0.0.1")
    net.introduce()
    return inside, nat, server


def echo(host: SimHost, port: int, count: int) -> Generator[Any, Any, None]:
    """Answer datagrams with their own data."""
    sock = datagram(host)
    sock.bind("0.0.0.0", port)
    for _ in range(count):
        got = yield sock.recvfrom()
        sock.sendto(got.data, addr_text(got.src), got.sport)


def ask(host: SimHost, addr: str, port: int, own: int = 40000) -> Generator[Any, Any, None]:
    """Send a datagram, and wait for the answer."""
    sock = datagram(host)
    sock.bind("0.0.0.0", own)
    sock.sendto(b"hello", addr, port)
    yield sock.recvfrom()
    sock.close()


@scenario(
    "nat",
    "Two hosts behind one address",
    "How does the router know to which host a reply belongs?",
    look=('event.kind == "nat.bind"', 'event.kind == "nat.bind" and event.fields.port != 40000'),
    mechanism="translation",
)
def nat(net: Network) -> None:
    """Hosts a and b have private addresses, and both send from port 40000 to the same server. The router replaces their
    addresses by its own. The first keeps its port. The port is taken for the second, which gets another one, so that a
    reply from the server says by its destination port to whom it belongs.
    """
    inside, _, server = home(net)
    serving = spawn(net, echo(server, 7, 2))

    def program() -> Generator[Any, Any, None]:
        for host in inside:
            yield from ask(host, SERVER, 7)
            yield sleep(10 * MS)

    finish(net, serving, spawn(net, program()))


@scenario(
    "port-forward",
    "A published port",
    "Why does the server inside see the stranger's address, and the stranger never the server's?",
    look='event.kind == "nat.packet" and host == "nat"',
    mechanism="translation",
)
def port_forward(net: Network) -> None:
    """The router publishes port 7 of host a as port 7000 of its own address. A datagram from outside gets a new destination,
    and keeps its source. The reply gets the router's address and port 7000 as its source, because the stranger accepts an
    answer only from the address that it asked. A datagram to a port that is not published reaches the router itself.
    """
    inside, router, outside = home(net)
    router.dnat(f"{PUBLIC}:7000", "10.0.0.2:7", proto="udp")
    serving = spawn(net, echo(inside[0], 7, 1))

    def program() -> Generator[Any, Any, None]:
        yield from ask(outside, PUBLIC, 7000)
        datagram(outside).sendto(b"hello", PUBLIC, 7001)
        yield sleep(50 * MS)

    finish(net, serving, spawn(net, program()))


@scenario(
    "hairpin",
    "A published port, reached from inside",
    "Why must the router translate the source, too?",
    look=(
        'event.kind == "nat.packet" and event.fields.what == "destination"',
        'event.kind == "nat.packet" and event.fields.what == "source"',
    ),
    mechanism="translation",
)
def hairpin(net: Network) -> None:
    """Host b is on the same link as host a, and knows only the router's address, at which a's port 7 is published. The router
    sends b's datagram back to the link from which it came, with a new destination. With a's reply straight to b, b would get
    an answer from an address that it did not ask. So the router replaces the source, too, and the reply comes back through it.
    """
    inside, router, _ = home(net)
    router.dnat(f"{PUBLIC}:7000", "10.0.0.2:7", proto="udp")
    router.masquerade("eth1")
    serving = spawn(net, echo(inside[0], 7, 1))
    finish(net, serving, spawn(net, ask(inside[1], PUBLIC, 7000)))
