"""UDP (RFC 768)."""

from pystack.stepper.dissect import application
from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node
from pystack_c.wire import checksum

#: the services on the well-known ports
PORTS = {
    7: "echo", 9: "discard", 13: "daytime", 19: "chargen", 22: "ssh", 23: "telnet", 25: "smtp", 37: "time", 53: "dns",
    67: "dhcp server", 68: "dhcp client", 80: "http", 123: "ntp", 443: "https", 546: "dhcpv6 client", 547: "dhcpv6 server", 4789: "vxlan",
    5353: "mdns", 5355: "llmnr", 8080: "http",
}  # fmt: skip


def port(value: int) -> str:
    """Return a port, with its name if it has one."""
    return f"{value} ({PORTS[value]})" if value in PORTS else str(value)


HEADER = t.c.Struct(
    t.field(16, "udp.srcport", "Source port", port, "the port that answers are sent to"),
    t.field(16, "udp.dstport", "Destination port", port, "the port of the socket that receives it"),
    t.field(16, "udp.length", "Length", str, "header and data, in bytes"),
    t.field(16, "udp.checksum", "Checksum", t.hexa(4)),
)


def dissect(data: bytes, base: int, end: int, above: t.Above) -> list[Node]:
    """Dissect the datagram at `base`."""
    try:
        nodes = t.read(HEADER, data, base, min(base + 8, end))
    except t.Truncated as cut:
        return [t.header("UDP", "udp", [*cut.nodes, t.ends_early(cut, above, base, end)], base, end)]
    source, target, length, field = (int(node.value) for node in nodes)  # type: ignore[arg-type]
    stop = min(base + length, end)
    if length < 8:
        nodes.append(t.wrong(f"a length of {length} is shorter than the header (RFC 768)", base + 4, base + 6))
        stop = base + 8
    elif base + length > end and above.whole:
        nodes.append(t.wrong(f"a length of {length}, but the packet has {end - base} bytes", base + 4, base + 6))
    nodes[3].meaning = _checksum(data, base, length, end, field, above)
    if stop > base + 8:
        nodes.append(t.raw(data, base + 8, stop, "udp.payload", "Payload"))
    if length >= 8 and stop < end:
        nodes.append(t.raw(data, stop, end, "", "After the datagram", "the IP packet is longer than the datagram"))
    top = t.header("UDP", "udp", nodes, base, base + 8, f"{source} > {target}, {max(length - 8, 0)} bytes")
    known = (
        application.above_udp(data, base + 8, stop, (source, target), above) if above.whole and stop > base + 8 else []
    )
    return [top, *known]


def _checksum(data: bytes, base: int, length: int, end: int, field: int, above: t.Above) -> str:
    if field == 0:
        return (
            "not used by the sender (RFC 768)"
            if above.version == 4
            else "WRONG: UDP over IPv6 needs one (RFC 8200 8.1)"
        )
    if not above.whole or base + length > end:
        return above.why
    # The pseudo-header has the datagram's own length, which may differ from the packet's.
    pseudo = checksum.add(checksum.add(above.pseudo, (end - base) ^ 0xFFFF), length)
    return t.checksum_text(data, base, base + max(length, 8), field, pseudo)
