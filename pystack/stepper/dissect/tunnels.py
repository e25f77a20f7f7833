"""Tunnels: IP in IP (RFC 2003, RFC 4213), GRE (RFC 2784, RFC 2890) and VXLAN (RFC 7348), and what they carry."""

from collections.abc import Callable

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node
from pystack.trace.headers import IPV4, IPV6
from pystack.trace.tunnels import BRIDGED, GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE, GRE_VERSION, MOST_NESTED, gre_size

#: ethertype -> dissects what a tunnel carries: (data, base, end, cut, depth) -> its nodes, and where it ends. The modules of these protocols enter themselves.
Inner = Callable[[bytes, int, int, bool, int], tuple[list[Node], int]]
INNER: dict[int, Inner] = {}
TYPES = {IPV4: "IPv4", IPV6: "IPv6", BRIDGED: "a frame of Ethernet", 0x880B: "PPP", 0x0806: "ARP"}

FLAGS = t.group(
    "gre.flags_and_version", "Flags and version",
    t.field(1, "gre.flags.checksum", "Checksum", t.flag, t.if_set("the header has one")),
    t.field(1, "gre.flags.routing", "Routing", t.flag, t.if_set("an old option that nobody uses")),
    t.field(1, "gre.flags.key", "Key", t.flag, t.if_set("the header has one: it tells tunnels apart (RFC 2890 2.1)")),
    t.field(1, "gre.flags.sequence_number", "Sequence number", t.flag, t.if_set("the header has one (RFC 2890 2.2)")),
    t.field(1, "gre.flags.strict_source_route", "Strict source route", t.flag),
    t.field(3, "gre.flags.recursion_control", "Recursion control", str),
    t.field(5, "gre.flags.reserved", "Reserved", str),
    t.field(3, "gre.flags.version", "Version", str, lambda value: "GRE" if value == 0 else "another protocol, such as PPTP" if value == 1 else ""),
    text=t.hexa(4),
)  # fmt: skip
PROTOCOL = t.field(16, "gre.proto", "Protocol", t.named(TYPES, 4), "what the tunnel carries")
VXLAN = t.c.Struct(
    t.field(16, "vxlan.flags", "Flags", t.hexa(4), lambda value: "the number of the network is valid" if value & 0x800 else ""),
    t.field(16, "vxlan.gbp", "Group policy", str),
    t.field(24, "vxlan.vni", "Network", str, "the virtual network that the frame belongs to (RFC 7348 5)"),
    t.field(8, "vxlan.reserved8", "Reserved", str),
)  # fmt: skip


def ip_in_ip(ethertype: int) -> Callable[[bytes, int, int, t.Above], list[Node]]:
    """Return the function that dissects a packet inside a packet."""

    def dissect(data: bytes, base: int, end: int, above: t.Above) -> list[Node]:
        return _carried(data, base, end, ethertype, above)

    return dissect


def gre(data: bytes, base: int, end: int, above: t.Above) -> list[Node]:
    """Dissect a header of GRE, and what follows it."""
    fields, flags = [FLAGS, PROTOCOL], int.from_bytes(data[base : min(base + 2, end)], "big")
    if flags & GRE_VERSION == 0:
        if flags & GRE_CHECKSUM:
            fields += [t.field(16, "gre.checksum", "Checksum", t.hexa(4)), t.field(16, "gre.offset", "Offset", str)]
        if flags & GRE_KEY:
            fields.append(t.field(32, "gre.key", "Key", t.hexa(8), "both ends of the tunnel know it"))
        if flags & GRE_SEQUENCE:
            fields.append(t.field(32, "gre.sequence_number", "Sequence number", str))
    size = gre_size(flags) if flags & GRE_VERSION == 0 else 4
    try:
        nodes = t.read(t.c.Struct(*fields), data, base, min(base + size, end))
    except t.Truncated as cut:
        return [t.header("GRE", "gre", [*cut.nodes, t.ends_early(cut, above, base, end)], base, end)]
    kind = int(nodes[1].value)  # type: ignore[arg-type]
    if flags & GRE_CHECKSUM and flags & GRE_VERSION == 0 and above.whole:
        nodes[2].meaning = t.checksum_text(data, base, end, int(nodes[2].value), 0, "header and data")  # type: ignore[arg-type]
    top = t.header("GRE", "gre", nodes, base, base + size, f"a tunnel that carries {TYPES.get(kind, f'{kind:#06x}')}")
    if flags & GRE_VERSION:
        kind = 0
    return [top, *_carried(data, base + size, end, kind, above)]


def vxlan(data: bytes, base: int, end: int, above: t.Above) -> list[Node]:
    """Dissect a header of VXLAN, and the frame that follows it."""
    try:
        nodes = t.read(VXLAN, data, base, min(base + 8, end))
    except t.Truncated:
        return []
    top = t.header("VXLAN", "vxlan", nodes, base, base + 8, f"a frame of the virtual network {nodes[2].value!r}")
    return [top, *_carried(data, base + 8, end, BRIDGED, above)]


def _carried(data: bytes, base: int, end: int, ethertype: int, above: t.Above) -> list[Node]:
    """Dissect what a tunnel carries, unless it is the last of many tunnels inside each other."""
    if base >= end:
        return []
    inner = INNER.get(ethertype)
    if inner is None or above.depth >= MOST_NESTED:
        why = "of an unknown protocol" if inner is None else f"in more than {MOST_NESTED} tunnels"
        return [t.raw(data, base, end, "data.data", "Data", why)]
    found, used = inner(data, base, end, above.cut or above.fragment, above.depth + 1)
    if used < end:
        found.append(t.raw(data, used, end, "data.data", "Trailer", "after the end of the packet"))
    return found
