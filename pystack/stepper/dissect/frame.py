"""The entry point of a dissection: the link's header, its payload, and the bytes left over at the end."""

from typing import Any

import pystack_c.const as C
from pystack.stepper.dissect import arp, ipv4, ipv6, tunnels
from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node, Tree
from pystack.trace.headers import IPV6, MOST_TAGS, VLAN
from pystack.trace.tunnels import BRIDGED

#: a frame without its checksum has at least this many bytes on the wire (IEEE 802.3 section 4.2.3.3)
MIN_FRAME = 60

ETHERTYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x8100: "VLAN tag", 0x86DD: "IPv6", 0x88A8: "VLAN tag", 0x88CC: "LLDP"}

_GROUP = 1 << 40
_LOCAL = 2 << 40


def _mac_meaning(value: int) -> str:
    if value == (1 << 48) - 1:
        return "broadcast: all stations on the link"
    kind = "a group of stations" if value & _GROUP else "one station"
    return kind + (", with a locally chosen address" if value & _LOCAL else ", with the manufacturer's address")


def _type_meaning(value: int) -> str:
    return "below 1536: a length of IEEE 802.3, not a type" if value < 0x600 else "the protocol of the payload"


ETHERNET = t.c.Struct(
    t.field(48, "eth.dst", "Destination", t.mac, _mac_meaning),
    t.field(48, "eth.src", "Source", t.mac, _mac_meaning),
    t.field(16, "eth.type", "Type", t.named(ETHERTYPES, 4), _type_meaning),
)


def _tag(name: str, after: str) -> Any:
    return t.c.Struct(
        t.field(3, f"{name}.priority", "Priority", str, "0: as usual; 1: the lowest; 7: the highest (IEEE 802.1Q)"),
        t.field(1, f"{name}.dei", "Drop eligible", t.flag, t.if_set("a switch that is full may drop it first")),
        t.field(12, f"{name}.id", "VLAN", str, "the virtual network that the frame belongs to"),
        t.field(16, after, "Type", t.named(ETHERTYPES, 4), _type_meaning),
    )


#: the tag of a provider (IEEE 802.1ad) has names of its own
TAGS = {"vlan": _tag("vlan", "vlan.etype"), "ieee8021ad": _tag("ieee8021ad", "ieee8021ah.etype")}
PROVIDER = 0x88A8


def dissect(data: bytes, link: int = C.LINK_ETHERNET, length: int = 0) -> Tree:
    """Return the fields of a frame. No content of the bytes makes it raise an exception.

    `link` is a const.LINK_*: Ethernet, or bare IP packets; with 0 the bytes have no known structure. `length` is the frame's length in bytes if only its
    beginning was kept, so that the missing bytes do not count as an error.
    """
    data = bytes(data)
    cut = length > len(data)
    if link == C.LINK_ETHERNET:
        return Tree(data, _ethernet(data, 0, len(data), cut, 0))
    if link == 0:
        return Tree(data, [t.raw(data, 0, len(data), "data.data", "Data", "of an unknown protocol")] if data else [])
    ip = ipv6 if data[:1] and data[0] >> 4 == 6 else ipv4
    layers, used = ip.dissect(data, 0, len(data), cut)
    if used < len(data):
        layers.append(t.raw(data, used, len(data), "data.data", "Trailer", "after the end of the packet"))
    return Tree(data, layers)


def _ethernet(data: bytes, base: int, end: int, cut: bool, depth: int) -> list[Node]:
    """Return the layers of the frame at `base`. `depth` is the number of tunnels around it."""
    try:
        nodes = t.read(ETHERNET, data, base, min(end, base + C.ETH_HLEN))
    except t.Truncated as short:
        what = f"the frame ends inside the Ethernet header, before the {short.missing.lower()} is complete"
        nodes = [*short.nodes, t.wrong(what, _end(short.nodes, base), end)]
        return [t.header("Ethernet", "eth", nodes, base, end)]
    top = t.header("Ethernet", "eth", nodes, base, base + C.ETH_HLEN, f"{nodes[1].text} > {nodes[0].text}")
    layers, kind, at = _tags(data, base + C.ETH_HLEN, end, int(nodes[2].value))  # type: ignore[arg-type]
    found: list[Node] = []
    used = at
    if kind == C.ETH_P_IP:
        found, used = ipv4.dissect(data, at, end, cut, depth)
    elif kind == IPV6:
        found, used = ipv6.dissect(data, at, end, cut, depth)
    elif kind == C.ETH_P_ARP:
        found, used = arp.dissect(data, at, end)
    elif end > at:
        found, used = [t.raw(data, at, end, "data.data", "Data", "of an unknown protocol")], end
    layers += found
    _trailer(data, base, end, used, top)
    return [top, *layers]


def _tags(data: bytes, at: int, end: int, kind: int) -> tuple[list[Node], int, int]:
    """Return a layer for each VLAN tag, the type of what follows them, and where it begins."""
    layers: list[Node] = []
    while kind in VLAN and len(layers) < MOST_TAGS:
        name = "ieee8021ad" if kind == PROVIDER else "vlan"
        try:
            nodes = t.read(TAGS[name], data, at, min(end, at + 4))
        except t.Truncated as short:
            what = "the frame ends inside the VLAN tag"
            nodes = [*short.nodes, t.wrong(what, _end(short.nodes, at), end)]
            return [*layers, t.header("VLAN tag", name, nodes, at, end)], 0, end
        layers.append(t.header("VLAN tag", name, nodes, at, at + 4, f"VLAN {nodes[2].text}"))
        kind, at = int(nodes[3].value), at + 4  # type: ignore[arg-type]
    return layers, kind, at


def _trailer(data: bytes, base: int, end: int, used: int, top: Node) -> None:
    """Add nodes for the bytes after the packet: padding up to the shortest frame, and anything else."""
    padded = max(used, min(end, base + MIN_FRAME))
    if used < padded:
        meaning = f"pads the frame to {MIN_FRAME} bytes (RFC 894)"
        top.children.append(t.raw(data, used, padded, "eth.padding", "Padding", meaning))
    if padded < end:
        top.children.append(t.raw(data, padded, end, "eth.trailer", "Trailer", "after the end of the packet"))


def _end(nodes: list[Node], base: int) -> int:
    return nodes[-1].end if nodes else base


def _in_tunnel(data: bytes, base: int, end: int, cut: bool, depth: int) -> tuple[list[Node], int]:
    return _ethernet(data, base, end, cut, depth), end


tunnels.INNER[BRIDGED] = _in_tunnel
