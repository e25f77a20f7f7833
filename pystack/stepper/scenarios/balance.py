"""Scenarios of load balancers: the same two backends behind a balancer of connections and behind a proxy for HTTP."""

import asyncio
from typing import Any

from pystack.sim.network import MS, Network, S, SimHost
from pystack.stepper.scenarios.base import scenario

SERVICE = "192.0.2.10"
GET = b"GET / HTTP/1.1\r\nHost: service\r\n\r\n"


def backends(net: Network) -> tuple[SimHost, SimHost, list[SimHost]]:
    """Return a client, a balancer, and two backends behind it."""
    client, lb = net.host("client"), net.balancer("lb")
    servers = [net.host("one"), net.host("two")]
    net.link(client, lb, delay=5 * MS, addrs=("192.0.2.1/24", f"{SERVICE}/24"))
    for number, server in enumerate(servers, 1):
        net.link(lb, server, delay=MS, addrs=(f"10.0.{number}.1/24", f"10.0.{number}.2/24"))
        server.route("default", via=f"10.0.{number}.1")
    net.introduce()
    return client, lb, servers


async def answer(reader: Any, writer: Any) -> None:
    """Answer the requests of one connection."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        writer.close()


async def serve() -> None:
    """A backend."""
    async with await asyncio.start_server(answer, "", 80) as listener:
        await listener.serve_forever()


async def fetch(requests: int) -> None:
    """Open a connection, and send requests on it, one after the other."""
    reader, writer = await asyncio.open_connection(SERVICE, 80)
    for _ in range(requests):
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\nok")
    writer.close()
    await asyncio.sleep(0.05)


@scenario(
    "load-balancer-l4",
    "Two connections, two backends",
    "When is a backend chosen, and why not for each request?",
    look='event.kind == "balance.choose"',
    mechanism="load-balancing",
)
def load_balancer_l4(net: Network) -> None:
    """The balancer has the service's address, and translates the destination of each connection to a backend. The first SYN
    chooses it. Connection tracking remembers the choice, so both requests of a connection go to the same backend. The
    segments keep the client's sequence numbers, and the client's round trip ends at the backend.
    """
    client, lb, servers = backends(net)
    lb.balance(f"{SERVICE}:80", ["10.0.1.2:80", "10.0.2.2:80"])

    async def program() -> None:
        await asyncio.sleep(0.01)
        for _ in range(2):
            await fetch(2)

    net.run({client: program}, background=dict.fromkeys(servers, serve), limit=net.now + 60 * S)


@scenario(
    "load-balancer-l7",
    "One connection, two requests, two backends",
    "Why are there three handshakes, although the client made one?",
    look='event.kind == "tcp.state" and host in ("one", "two") and event.fields.new == "ESTABLISHED"',
    mechanism="handshake",
)
def load_balancer_l7(net: Network) -> None:
    """The proxy ends the client's connection, reads its requests, and sends each to the next backend over a connection of its
    own. It keeps these connections for further requests. The sequence numbers on both sides have nothing to do with
    each other, and neither have the round trips.
    """
    from pystack.proxies import HttpProxy, Upstream

    client, lb, servers = backends(net)
    proxy = HttpProxy(("", 80), [Upstream("10.0.1.2", 80), Upstream("10.0.2.2", 80)])

    async def program() -> None:
        await asyncio.sleep(0.01)
        await fetch(3)

    background: dict[Any, Any] = dict.fromkeys(servers, serve)
    net.run({client: program}, background={**background, lb: proxy}, limit=net.now + 60 * S)
