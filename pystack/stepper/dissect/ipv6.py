"""IPv6 (RFC 8200), its extension headers and their options, and its payload."""

from typing import NamedTuple

import pystack_c.const as C
from pystack.stepper.dissect import icmpv6, tcp, tunnels, udp
from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.ipv4 import DSCP, ECN
from pystack.stepper.dissect.tree import Node
from pystack.trace import headers
from pystack_c.wire import checksum

PROTOCOLS = {
    0: "hop-by-hop options", 4: "IPv4", 6: "TCP", 17: "UDP", 41: "IPv6", 43: "routing header", 44: "fragment header", 47: "GRE", 50: "ESP",
    51: "authentication header", 58: "ICMPv6", 59: "nothing", 60: "destination options", 132: "SCTP", 135: "mobility header",
}  # fmt: skip
OPTIONS = {0: "Pad1", 1: "PadN", 5: "Router alert", 0xC2: "Jumbo payload"}
ACTIONS = {
    0: "a host that does not know it skips it",
    1: "a host that does not know it drops the packet",
    2: "a host that does not know it drops the packet and reports it by ICMPv6",
    3: "a host that does not know it drops the packet, and reports it unless the destination is a group",
}
ALERTS = {0: "multicast listener discovery", 1: "RSVP", 2: "active networks"}
#: the most options of one header that become nodes
MOST_OPTIONS = 32

HEADER = t.c.Struct(
    t.field(4, "ipv6.version", "Version", str, lambda value: "IPv6" if value == 6 else "not IPv6"),
    t.group(
        "ipv6.tclass", "Traffic class",
        t.field(6, "ipv6.tclass.dscp", "DSCP", t.named(DSCP), "the treatment that the sender asks routers for (RFC 2474)"),
        t.field(2, "ipv6.tclass.ecn", "ECN", t.named(ECN, otherwise=""), "explicit congestion notification (RFC 3168 5)"),
        text=t.hexa(2),
    ),
    t.field(20, "ipv6.flow", "Flow label", t.hexa(5), "the same in all packets of a flow, so that routers need not look further (RFC 6437)"),
    t.field(16, "ipv6.plen", "Payload length", str, "all after this header, in bytes; extension headers count"),
    t.field(8, "ipv6.nxt", "Next header", t.named(PROTOCOLS), "what follows this header"),
    t.field(8, "ipv6.hlim", "Hop limit", str, lambda value: f"{value} more hop{'' if value == 1 else 's'}, then a router drops it (RFC 8200 3)"),
    t.field(128, "ipv6.src", "Source address", t.address6, lambda value: address_meaning(value)),
    t.field(128, "ipv6.dst", "Destination address", t.address6, lambda value: address_meaning(value)),
)  # fmt: skip


def _front(name: str, meaning: str) -> tuple[object, ...]:
    return (
        t.field(8, f"{name}.nxt", "Next header", t.named(PROTOCOLS), "what follows this header"),
        t.field(8, f"{name}.len", "Length", lambda value: f"{(value + 1) * 8} bytes ({value})", meaning),
    )


_UNITS = "in units of 8 bytes, the first one not counted"
OPTION_FRONT = {name: t.c.Struct(*_front(name, _UNITS)) for name in ("ipv6.hopopts", "ipv6.dstopts")}
ROUTING = t.c.Struct(
    *_front("ipv6.routing", _UNITS),
    t.field(8, "ipv6.routing.type", "Type", t.named({0: "source route", 2: "mobile IPv6", 3: "RPL", 4: "segment routing"})),
    t.field(8, "ipv6.routing.segleft", "Segments left", str, "the number of nodes that are still to be visited"),
)  # fmt: skip
FRAGMENT = t.c.Struct(
    t.field(8, "ipv6.fraghdr.nxt", "Next header", t.named(PROTOCOLS), "what follows this header in the first fragment"),
    t.field(8, "ipv6.fraghdr.reserved_octet", "Reserved", t.hexa(2), t.if_set("should be zero")),
    t.field(13, "ipv6.fraghdr.offset", "Offset", lambda value: f"{value * 8} bytes ({value})", "the place of this fragment in the packet, in units of 8 bytes"),
    t.field(2, "ipv6.fraghdr.reserved_bits", "Reserved bits", str, t.if_set("should be zero")),
    t.field(1, "ipv6.fraghdr.more", "More fragments", t.flag, t.if_set("not the last fragment", "the last fragment")),
    t.field(32, "ipv6.fraghdr.ident", "Identification", t.hexa(8), "the same in all fragments of a packet; only the source makes fragments (RFC 8200 4.5)"),
)  # fmt: skip
TYPE = t.group(
    "ipv6.opt.type", "Type",
    t.field(2, "ipv6.opt.type.action", "Action", t.named(ACTIONS)),
    t.field(1, "ipv6.opt.type.change", "May change", t.flag, t.if_set("routers may change its data")),
    t.field(5, "ipv6.opt.type.rest", "Low-order bits", t.hexa(2)),
    text=t.named(OPTIONS, 2),
)  # fmt: skip
OPTION = t.c.Struct(TYPE, t.field(8, "ipv6.opt.length", "Length", str, "of the data, in bytes"))


class _Chain(NamedTuple):
    """What the extension headers say: the protocol after them and where it begins, and the place of a fragment."""

    proto: int
    at: int
    offset: int
    more: bool
    target: bytes  # the last destination, if a routing header names it
    problem: str


def address_meaning(value: int) -> str:
    """Return the kind of an address (RFC 4291 2.4)."""
    if value <= 1:
        return "this host itself" if value else "unspecified: the host has no address yet"
    if value >> 120 == 0xFF:
        scope = {1: "this host", 2: "this link", 5: "this site", 14: "everywhere"}.get(value >> 112 & 15, "")
        known = {0xFF02 << 112 | 1: "all hosts", 0xFF02 << 112 | 2: "all routers"}.get(value, "a multicast group")
        if value >> 24 == 0xFF02 << 88 | 0x1FF:
            known = "the group of the hosts whose addresses end in these 24 bits"
        return known + (f" on {scope}" if scope and scope != "everywhere" else "")
    if value >> 118 == 0x3FA:
        return "link-local: of one link only"
    return "unique local: not routed in the Internet" if value >> 121 == 0x7E else ""


def dissect(data: bytes, base: int, end: int, cut: bool = False, depth: int = 0) -> tuple[list[Node], int]:
    """Dissect the packet at `base`. Return its nodes, and where it ends.

    `cut` says that only the start of the packet is there, as in an ICMPv6 error that quotes it. `depth` is the number of tunnels around it.
    """
    try:
        nodes = t.read(HEADER, data, base, min(base + 40, end))
    except t.Truncated as short:
        return [t.ip_ends_early(short, "IPv6", "ipv6", base, end)], end
    version, length, text = int(nodes[0].value), int(nodes[3].value), f"{nodes[6].text} > {nodes[7].text}"  # type: ignore[arg-type]
    if version != 6:
        what = f"version {version} is not 6 (RFC 8200 3)"
        return [t.header("IPv6", "ipv6", [*nodes, t.wrong(what, base + 40, end)], base, base + 40, text)], end
    whole = base + 40 + length if length else end
    stop = min(whole, end)
    if whole > end and not cut:
        nodes.append(t.wrong(f"a payload length of {length}, but only {end - base - 40} bytes are there", base, base))
    chain = _extensions(data, base, stop, nodes)
    if chain.problem:
        if not cut and whole <= end:
            nodes.append(t.wrong(chain.problem, chain.at, stop))
        return [t.header("IPv6", "ipv6", nodes, base, chain.at, text)], stop
    top = t.header("IPv6", "ipv6", nodes, base, chain.at, text)
    return [top, *_payload(data, base, stop, whole, chain, cut or whole > end, depth)], stop


def quoted(data: bytes, base: int, end: int) -> tuple[list[Node], int]:
    """Dissect the start of a packet that an ICMPv6 error quotes."""
    return dissect(data, base, end, cut=True)


def _extensions(data: bytes, base: int, end: int, nodes: list[Node]) -> _Chain:
    """Add a node for each extension header."""
    proto, at, offset, more, target = data[base + 6], base + 40, 0, False, data[base + 24 : base + 40]
    for _ in range(headers.MOST_EXTENSIONS):
        if proto not in headers.EXTENSIONS or offset:
            break
        name = PROTOCOLS[proto]
        stop = at + headers.extension_size(proto, data[at + 1]) if at + 2 <= end else end + 1
        if stop > end:
            return _Chain(proto, at, offset, more, target, f"the packet ends before the {name} is complete")
        nodes.append(_extension(data, at, stop, proto))
        if proto == headers.FRAGMENT:
            place = int.from_bytes(data[at + 2 : at + 4], "big")
            offset, more = place & 0xFFF8, bool(place & 1)
        elif proto == headers.ROUTING and data[at + 3] and stop >= at + 24:
            # The checksum is over the last destination (RFC 8200 8.1). In segment routing, it is the first of the list (RFC 8754 2).
            target = data[at + 8 : at + 24] if data[at + 2] == 4 else data[stop - 16 : stop]
        proto, at = data[at], stop
    return _Chain(proto, at, offset, more, target, "")


def _extension(data: bytes, at: int, end: int, kind: int) -> Node:
    if kind == headers.FRAGMENT:
        nodes = t.read(FRAGMENT, data, at, end)
        last = "" if nodes[4].value else ", the last one"
        return t.header("Fragment header", "ipv6.fraghdr", nodes, at, end, f"at byte {int(nodes[2].value) * 8}{last}")  # type: ignore[arg-type]
    if kind in (headers.HOP_BY_HOP, headers.DESTINATION):
        hop = kind == headers.HOP_BY_HOP
        name = "ipv6.hopopts" if hop else "ipv6.dstopts"
        nodes = t.read(OPTION_FRONT[name], data, at, at + 2)
        nodes += _options(data, at + 2, end)
        return t.header("Hop-by-hop options" if hop else "Destination options", name, nodes, at, end)
    if kind == headers.ROUTING:
        nodes = t.read(ROUTING, data, at, at + 4)
        nodes.append(t.raw(data, at + 4, end, "", "Data"))
        return t.header("Routing header", "ipv6.routing", nodes, at, end, nodes[2].text)
    next_header = Node("Next header", "", at * 8, 8, data[at], t.named(PROTOCOLS)(data[at]))
    title = PROTOCOLS[kind].capitalize()
    return t.header(title, "", [next_header, t.raw(data, at + 1, end, "", "Data")], at, end)


def _options(data: bytes, at: int, end: int) -> list[Node]:
    """Return a node for each option."""
    nodes: list[Node] = []
    while at < end:
        if len(nodes) >= MOST_OPTIONS:
            return [*nodes, t.raw(data, at, end, "", "More options")]
        kind = data[at]
        if kind == 0:
            inside = t.read(t.c.Struct(TYPE), data, at, at + 1)
            nodes.append(t.header("Option", "ipv6.opt", inside, at, at + 1, "Pad1"))
            at += 1
            continue
        stop = at + 2 + data[at + 1] if at + 1 < end else end + 1
        if stop > end:
            return [*nodes, t.wrong("the header ends before the option is complete (RFC 8200 4.2)", at, end)]
        inside = t.read(OPTION, data, at, at + 2)
        if stop > at + 2:
            inside.append(_option_data(data, at + 2, stop, kind))
        nodes.append(t.header("Option", "ipv6.opt", inside, at, stop, OPTIONS.get(kind, f"{kind:#04x}")))
        at = stop
    return nodes


def _option_data(data: bytes, at: int, end: int, kind: int) -> Node:
    value = int.from_bytes(data[at:end], "big")
    if kind == 5 and end - at == 2:
        text = t.named(ALERTS)(value)
        return Node("Router alert", "ipv6.opt.router_alert", at * 8, 16, value, text, "routers look at it (RFC 2711)")
    if kind == 0xC2 and end - at == 4:
        return Node("Payload length", "ipv6.opt.jumbo", at * 8, 32, value, str(value), "in bytes (RFC 2675)")
    if kind == 1:
        return t.raw(data, at, end, "ipv6.opt.padn", "Padding")
    abbrev = "ipv6.opt.experimental" if kind & 0x1F == 0x1E else "ipv6.opt.unknown"  # RFC 4727 3.5
    return t.raw(data, at, end, "" if kind in OPTIONS else abbrev, "Data")


def pseudo_sum(source: bytes, target: bytes, proto: int, length: int) -> int:
    """Return the sum of the pseudo-header (RFC 8200 8.1)."""
    total = proto + (length & 0xFFFF) + (length >> 16)
    both = source + target
    for at in range(0, len(both), 2):
        total = checksum.add(total & 0xFFFF, (total >> 16) + int.from_bytes(both[at : at + 2], "big"))
    return total


def _payload(data: bytes, base: int, end: int, whole: int, chain: _Chain, cut: bool, depth: int) -> list[Node]:
    if end <= chain.at:
        return []
    if chain.offset:
        name = PROTOCOLS.get(chain.proto, "data")
        meaning = f"a fragment of a packet whose {name} header is in its first fragment"
        return [t.raw(data, chain.at, end, "data.data", "Fragment", meaning)]
    upper = UPPER.get(chain.proto)
    if upper is None:
        return [t.raw(data, chain.at, end, "data.data", "Data", "of an unknown protocol")]
    pseudo = pseudo_sum(data[base + 8 : base + 24], chain.target, chain.proto, end - chain.at)
    return upper(data, chain.at, end, t.Above(pseudo, cut, chain.more, whole - end, quoted, 6, depth))


UPPER = {
    headers.ICMPV6: icmpv6.dissect,
    C.IPPROTO_UDP: udp.dissect,
    C.IPPROTO_TCP: tcp.dissect,
    4: tunnels.ip_in_ip(headers.IPV4),
    41: tunnels.ip_in_ip(headers.IPV6),
    47: tunnels.gre,
}
tunnels.INNER[headers.IPV6] = dissect
