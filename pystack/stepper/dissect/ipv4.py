"""IPv4 (RFC 791), its options, and its payload."""

import pystack_c.const as C
from pystack.stepper.dissect import icmpv4, ip_options, tcp, tunnels, udp
from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node
from pystack.trace import headers
from pystack_c.wire import checksum

PROTOCOLS = {
    1: "ICMP",
    2: "IGMP",
    4: "IPv4 in IPv4",
    6: "TCP",
    17: "UDP",
    41: "IPv6",
    47: "GRE",
    50: "ESP",
    132: "SCTP",
}
ECN = {
    0: "Not-ECT: not capable of ECN",
    1: "ECT(1): capable of ECN",
    2: "ECT(0): capable of ECN",
    3: "CE: a router marked it because of congestion",
}
DSCP = {0: "default", 8: "CS1", 10: "AF11", 16: "CS2", 18: "AF21", 24: "CS3", 26: "AF31", 32: "CS4", 34: "AF41", 40: "CS5",
        46: "EF: expedited", 48: "CS6", 56: "CS7"}  # fmt: skip

HEADER = t.c.Struct(
    t.field(4, "ip.version", "Version", str, lambda value: "IPv4" if value == 4 else "not IPv4"),
    t.field(4, "ip.hdr_len", "Header length", lambda value: f"{value * 4} bytes ({value})", "in words of 4 bytes, options included"),
    t.group(
        "ip.dsfield", "Differentiated services field",
        t.field(6, "ip.dsfield.dscp", "DSCP", t.named(DSCP), "the treatment that the sender asks routers for (RFC 2474)"),
        t.field(2, "ip.dsfield.ecn", "ECN", t.named(ECN, otherwise=""), "explicit congestion notification (RFC 3168 5)"),
        text=t.hexa(2), meaning="formerly called type of service",
    ),
    t.field(16, "ip.len", "Total length", str, "header and data, in bytes"),
    t.field(16, "ip.id", "Identification", t.hexa(4), "the same in all fragments of a datagram (RFC 6864)"),
    t.group(
        "ip.flags", "Flags",
        t.field(1, "ip.flags.rb", "Reserved bit", t.flag, t.if_set("must be zero (RFC 791 3.1)")),
        t.field(1, "ip.flags.df", "Don't fragment", t.flag, t.if_set("routers must drop it rather than fragment it: path MTU discovery (RFC 1191)", "routers may fragment it")),
        t.field(1, "ip.flags.mf", "More fragments", t.flag, t.if_set("a fragment, and not the last one", "the last fragment, or a whole datagram")),
        text=t.hexa(1),
    ),
    t.field(13, "ip.frag_offset", "Fragment offset", lambda value: f"{value * 8} bytes ({value})", "the place of this fragment in the datagram, in units of 8 bytes"),
    t.field(8, "ip.ttl", "Time to live", str, lambda value: f"{value} more hop{'' if value == 1 else 's'}, then a router drops it (RFC 791 3.2)"),
    t.field(8, "ip.proto", "Protocol", t.named(PROTOCOLS), "the protocol of the payload"),
    t.field(16, "ip.checksum", "Header checksum", t.hexa(4)),
    t.field(32, "ip.src", "Source address", t.address, lambda value: _address_meaning(value)),
    t.field(32, "ip.dst", "Destination address", t.address, lambda value: _address_meaning(value)),
)  # fmt: skip

UPPER = {
    C.IPPROTO_ICMP: icmpv4.dissect,
    C.IPPROTO_UDP: udp.dissect,
    C.IPPROTO_TCP: tcp.dissect,
    4: tunnels.ip_in_ip(headers.IPV4),
    41: tunnels.ip_in_ip(headers.IPV6),
    47: tunnels.gre,
}


def _address_meaning(value: int) -> str:
    if value == 0:
        return "unspecified: the host has no address yet"
    if value == 0xFFFFFFFF:
        return "broadcast on this link"
    if value >> 28 == 14:
        return "a multicast group"
    if value >> 24 == 127:
        return "this host itself"
    return ""


def dissect(data: bytes, base: int, end: int, cut: bool = False, depth: int = 0) -> tuple[list[Node], int]:
    """Dissect the packet at `base`. Return its nodes, and where it ends.

    `cut` says that only the start of the packet is there, as in an ICMP error that quotes it. `depth` is the number of tunnels around it.
    """
    try:
        nodes = t.read(HEADER, data, base, min(base + 20, end))
    except t.Truncated as short:
        return [t.ip_ends_early(short, "IPv4", "ip", base, end)], end
    field = {node.abbrev: int(node.value) for top in nodes for node in top.walk()}  # type: ignore[arg-type]
    text = f"{t.address(field['ip.src'])} > {t.address(field['ip.dst'])}"
    problem, stop = _bounds(field, base, end, cut)
    if stop == base:
        stop = max(min(base + field["ip.hdr_len"] * 4, end), base + 20)
        return [t.header("IPv4", "ip", [*nodes, t.wrong(problem, base + 20, end)], base, stop, text)], end
    hlen = field["ip.hdr_len"] * 4
    checksum_node = next(node for node in nodes if node.abbrev == "ip.checksum")
    checksum_node.meaning = t.checksum_text(data, base, base + hlen, field["ip.checksum"], 0, "the header")
    if hlen > 20:
        nodes.append(ip_options.dissect(data, base + 20, base + hlen))
    if problem:
        nodes.append(t.wrong(problem, base, base))
    top = t.header("IPv4", "ip", nodes, base, base + hlen, text)
    return [top, *_payload(data, base + hlen, stop, field, cut or bool(problem), depth)], stop


def quoted(data: bytes, base: int, end: int) -> tuple[list[Node], int]:
    """Dissect the start of a packet that an ICMP error quotes."""
    return dissect(data, base, end, cut=True)


def _bounds(field: dict[str, int], base: int, end: int, cut: bool) -> tuple[str, int]:
    """Return what is wrong with the lengths, and where the packet ends; `base` if nothing after the header can be read."""
    hlen, total = field["ip.hdr_len"] * 4, field["ip.len"]
    if field["ip.version"] != 4:
        return f"version {field['ip.version']} is not 4 (RFC 1122 3.2.1.1)", base
    if hlen < 20:
        return f"a header of {hlen} bytes is shorter than 20 (RFC 791 3.1)", base
    if base + hlen > end:
        return f"a header of {hlen} bytes, but only {end - base} are there", base
    if total < hlen:
        return f"a total length of {total} is shorter than the header of {hlen}", base
    if base + total > end and not cut:
        return f"a total length of {total}, but only {end - base} bytes are there", end
    return "", min(base + total, end)


def _payload(data: bytes, base: int, end: int, field: dict[str, int], cut: bool, depth: int) -> list[Node]:
    if field["ip.frag_offset"]:
        name = PROTOCOLS.get(field["ip.proto"], "data")
        meaning = f"a fragment of a datagram whose {name} header is in its first fragment"
        return [t.raw(data, base, end, "data.data", "Fragment", meaning)] if end > base else []
    upper = UPPER.get(field["ip.proto"])
    if upper is None:
        return [t.raw(data, base, end, "data.data", "Data", "of an unknown protocol")] if end > base else []
    fragment = bool(field["ip.flags.mf"])
    pseudo = checksum.pseudo_sum(field["ip.src"], field["ip.dst"], field["ip.proto"], max(end - base, 0))
    missing = max(field["ip.len"] - field["ip.hdr_len"] * 4 - (end - base), 0)
    return upper(data, base, end, t.Above(pseudo, cut, fragment, missing, quoted, 4, depth))


tunnels.INNER[headers.IPV4] = dissect
