"""A network as text: its nodes, the links between them, addresses and routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pystack_c.const as C
from pystack.sim.channel import Channel
from pystack.sim.live import channel_text
from pystack.sim.network import Link, Network
from pystack.sim.nodes import Node, SimHost, SimPort
from pystack.sockets.resolve import text

#: what a drawing says about a node that is no simulated host
KINDS = {
    "KernelHost": "kernel host",
    "ContainerHost": "container host",
    "Bridge": "bridge",
    "Switch": "switch",
    "Wire": "wire",
}


def nodes_of(net: Network) -> list[Node]:
    """All nodes, the hosts first."""
    return [*net.hosts.values(), *net.kernels.values(), *net.switches.values(), *net.wires.values()]


def addresses_of(port: SimPort) -> list[str]:
    """The addresses of a port with their prefix lengths."""
    if hasattr(port.node, "interface_addresses"):
        return port.node.interface_addresses(port)
    return [] if port.iface is None else _addresses(port.iface)


def _addresses(iface: Any) -> list[str]:
    return [f"{text(local.addr)}/{local.prefixlen}" for local in iface.addrs]


def faults_of(link: Link, near: SimPort) -> str:
    """What a link does to frames, such as "delay 5ms", or an empty text. Frames go out at the port `near` and come back to it."""
    there, back = (_way(link.ab, link.a), _way(link.ba, link.b))[:: 1 if near is link.a else -1]
    faults = there if there == back else f"out: {there}; back: {back}"
    return "" if faults == "no fault" else faults


def draw(net: Network) -> str:
    """A block of lines for each node.

    client
      eth0  10.0.0.1/24    --- lan port0   delay 5ms, loss 1%
      route default via 10.0.0.254
    """
    links = {port: link for link in net.links.values() for port in (link.a, link.b)}
    blocks = []
    for node in nodes_of(net):
        kind = KINDS.get(type(node).__name__, "")
        lines = [f"{node.name}  ({kind})" if kind else node.name, *_ports(node.ports, links)]
        if isinstance(node, SimHost):
            for iface in node.vlans.values():
                lines.append(f"  {iface.name}  {', '.join(_addresses(iface))}".rstrip())
        lines += [f"  route {route}" for route in routes_of(node)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) or "an empty network"


def _ports(ports: list[SimPort], links: dict[SimPort, Link]) -> Iterator[str]:
    """One line for each port: its addresses, the other end, and what the link does to frames that go there and come back."""
    rows = []
    for port in ports:
        own = ", ".join(addresses_of(port))
        link, other = links.get(port), port.peer
        if link is None or other is None:
            rows.append((port.name, own, "", ""))
        else:
            rows.append((port.name, own, f"--- {other.node.name} {other.name}", faults_of(link, port)))
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        yield (
            "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)) + f"  {row[3]}"
        ).rstrip()


def _way(channel: Channel, port: SimPort) -> str:
    """What one direction of a link does to frames, and how they wait for it."""
    told = channel_text(channel)
    if port.qdisc is None:
        return told
    queue = f"{port.qdisc.kind} {port.qdisc.text()}".rstrip()
    return queue if told == "no fault" else f"{told}, {queue}"


def routes_of(node: Any) -> Iterator[str]:
    """The routes that the addresses do not imply."""
    if hasattr(node, "interface_addresses"):
        yield from node.routes()
    if not isinstance(node, SimHost):
        return
    host = node
    for route in host.stack.routes.all():
        if route.gateway == 0 and route.kind == C.RT_UNICAST:
            continue
        name = f"{text(route.dst)}/{route.prefixlen}" if route.prefixlen else "default"
        yield f"{name} via {text(route.gateway)}" if route.kind == C.RT_UNICAST else f"{name} refused"
