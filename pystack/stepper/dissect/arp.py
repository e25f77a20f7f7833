"""ARP (RFC 826)."""

from typing import Any

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node

OPCODES = {1: "request", 2: "reply", 3: "RARP request", 4: "RARP reply", 8: "inverse request", 9: "inverse reply"}

_TARGET = "not known yet: the request asks for it"

FIXED = (
    t.field(16, "arp.hw.type", "Hardware type", t.named({1: "Ethernet"}), "the kind of link"),
    t.field(
        16,
        "arp.proto.type",
        "Protocol type",
        t.named({0x0800: "IPv4"}, 4),
        "the protocol whose addresses are asked for",
    ),
    t.field(8, "arp.hw.size", "Hardware size", str, "bytes of a link address", key="hln"),
    t.field(8, "arp.proto.size", "Protocol size", str, "bytes of a protocol address", key="pln"),
    t.field(16, "arp.opcode", "Opcode", t.named(OPCODES), "whether this is a request or a reply"),
)
HEAD = t.c.Struct(*FIXED)
ETHERNET_IPV4 = t.c.Struct(
    *FIXED,
    t.field(48, "arp.src.hw_mac", "Sender MAC address", t.mac, "the sender's address on the link"),
    t.field(32, "arp.src.proto_ipv4", "Sender IP address", t.address, "the sender; 0.0.0.0 in a probe (RFC 5227)"),
    t.field(
        48,
        "arp.dst.hw_mac",
        "Target MAC address",
        t.mac,
        lambda value: "the receiver of the message" if value else _TARGET,
    ),
    t.field(
        32,
        "arp.dst.proto_ipv4",
        "Target IP address",
        t.address,
        "the host whose MAC address is asked for, or the receiver of a reply",
    ),
)


def _other(hardware: int, protocol: int) -> Any:
    """Return the header for addresses of other sizes. An address of size 0 has no field."""
    sizes = (("src", "hw", hardware), ("src", "proto", protocol), ("dst", "hw", hardware), ("dst", "proto", protocol))
    names = {"src": "Sender", "dst": "Target", "hw": "hardware address", "proto": "protocol address"}
    rest = [
        t.field(size * 8, f"arp.{end}.{kind}", f"{names[end]} {names[kind]}", t.hexa(2 * size))
        for end, kind, size in sizes
        if size
    ]
    return t.c.Struct(*FIXED, *rest)


def dissect(data: bytes, base: int, end: int) -> tuple[list[Node], int]:
    """Dissect the packet at `base`. Return its nodes, and where it ends."""
    try:
        nodes = t.read(HEAD, data, base, min(base + 8, end))
        kind, protocol, hardware_size, protocol_size, opcode = (int(node.value) for node in nodes)  # type: ignore[arg-type]
        usual = (kind, protocol, hardware_size, protocol_size) == (1, 0x0800, 6, 4)
        struct = ETHERNET_IPV4 if usual else _other(hardware_size, protocol_size)
        stop = base + 8 + 2 * (hardware_size + protocol_size)
        nodes = t.read(struct, data, base, min(stop, end))
    except t.Truncated as cut:
        at = cut.nodes[-1].end if cut.nodes else base
        what = f"the packet ends before the {cut.missing} is complete"
        return [t.header("ARP", "arp", [*cut.nodes, t.wrong(what, at, end)], base, end)], end
    text = OPCODES.get(opcode, f"opcode {opcode}")
    if usual and opcode == 1:
        text = f"who has {nodes[8].text}? tell {nodes[6].text}"
    elif usual and opcode == 2:
        text = f"{nodes[6].text} is at {nodes[5].text}"
    return [t.header("ARP", "arp", nodes, base, stop, text)], stop
