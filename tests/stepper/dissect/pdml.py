"""tshark's dissection, and the differences between it and ours, field by field."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pystack_c.const as C
from pystack.stepper.dissect import MALFORMED, Node, Tree
from pystack.trace import pcapng

#: what would make tshark show other things than the headers of one frame
PREFERENCES = (
    "tcp.relative_sequence_numbers:FALSE", "tcp.desegment_tcp_streams:FALSE", "tcp.analyze_sequence_numbers:FALSE",
    "ip.defragment:FALSE", "ipv6.defragment:FALSE", "ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE",
)  # fmt: skip
#: "0100 .... = Version: 4"
PATTERN = re.compile(r"^([01.]{4}(?: [01.]{1,4})*) = ")
LAYERS = {
    "ieee8021ad",
    "ip",
    "tcp",
    "udp",
    "icmp",
    "eth",
    "arp",
    "vlan",
    "ipv6",
    "icmpv6",
    "ipv6.hopopts",
    "ipv6.dstopts",
    "ipv6.routing",
    "ipv6.fraghdr",
    "gre",
    "vxlan",
    "dhcpv6",
    "mdns",
    "llmnr",
}
#: fields of which tshark marks more bytes than have their bits
WIDE = {
    "ipv6.tclass", "ipv6.tclass.dscp", "ipv6.tclass.ecn", "ipv6.fraghdr.offset", "ipv6.fraghdr.reserved_bits", "ipv6.fraghdr.more",
    "icmpv6.nd.na.flag.r", "icmpv6.nd.na.flag.s", "icmpv6.nd.na.flag.o", "icmpv6.nd.na.flag.rsv", "vlan.priority", "vlan.dei", "vlan.id", "ieee8021ad.id",
    *(f"gre.flags.{name}" for name in ("checksum", "routing", "key", "sequence_number", "strict_source_route", "recursion_control", "reserved", "version")),
}  # fmt: skip


class Field(NamedTuple):
    """One field as tshark tells it. `value` is None where it is shown without one (a protocol)."""

    name: str
    pos: int
    size: int
    value: str | None
    unmasked: bool
    show: str
    bits: str  # "0100....", or ""


def tshark(path: Path, samples) -> list[list[Field]]:
    """The fields of each sample, by way of a capture file at `path`."""
    with open(path, "wb") as out:
        writer = pcapng.PcapngWriter(out)
        links = {
            C.LINK_ETHERNET: writer.interface("eth0"),
            C.LINK_IP: writer.interface("tun0", pcapng.LINKTYPE_RAW),
        }
        for n, sample in enumerate(samples):
            writer.packet(links[sample.link], n * 1_000_000, sample.frame)
    command = ["tshark", "-r", str(path), "-T", "pdml", "-n"]
    for preference in PREFERENCES:
        command += ["-o", preference]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    packets = ElementTree.fromstring(done.stdout).findall("packet")
    assert len(packets) == len(samples)
    return [_fields(packet) for packet in packets]


def _fields(packet: ElementTree.Element) -> list[Field]:
    found = []
    for element in packet.iter():
        name, pos = element.get("name"), element.get("pos")
        if not name or pos is None or name in ("geninfo", "frame") or name.startswith("frame."):
            continue
        match = PATTERN.match(element.get("showname") or "")
        bits = match.group(1).replace(" ", "") if match else ""
        unmasked = element.get("unmaskedvalue") is not None
        show = element.get("show") or ""
        found.append(Field(name, int(pos), int(element.get("size", "0")), element.get("value"), unmasked, show, bits))
    return found


def known_names() -> set[str]:
    """All filter names of this tshark, protocols' and fields'."""
    done = subprocess.run(["tshark", "-G", "fields"], capture_output=True, text=True, timeout=60, check=True)
    return {line.split("\t")[2] for line in done.stdout.splitlines() if line[:2] in ("F\t", "P\t")}


def differences(tree: Tree, theirs: list[Field], ours_named: set[str], whole: bool = True) -> list[str]:
    """In words; nothing where both say the same. Of a frame that is cut, tshark may leave out what we show."""
    theirs = [_narrow(field) if field.name in WIDE and field.bits else field for field in theirs]
    by_place: dict[tuple[str, int], list[Field]] = defaultdict(list)
    for field in theirs:
        by_place[field.name, field.pos].append(field)
    found = []
    mine: set[tuple[str, int]] = set()
    for node in tree.walk():
        if not node.abbrev or node.abbrev == MALFORMED:
            continue
        name = node.abbrev
        if name == "ip.dst" and not by_place[name, node.offset] and by_place["ip.cur_rt", node.offset]:
            name = "ip.cur_rt"  # their name for it in a packet that is still under way on its source route
        time = by_place["icmp.data_time", node.offset]
        if name == "data.data" and time:
            # They take the first 8 or 16 bytes of a ping's data for the time; the rest is the same.
            node = _tail(node, time[0].size)
        mine.add((name, node.offset))
        candidates = by_place[name, node.offset]
        if not candidates:
            if whole:
                elsewhere = [field.pos for field in theirs if field.name == name]
                found.append(f"{name}: at byte {node.offset} here; tshark has it at {elsewhere or 'no place'}")
            continue
        problems = [_compare(node, field) for field in candidates]
        if all(problems):
            found.append(f"{name} at byte {node.offset}: {problems[0]}")
    for field in theirs:
        payload = field.name == "data.data" and {("tcp.payload", field.pos), ("udp.payload", field.pos)} & mine
        if field.name == "ip.version" and ("ipv6.version", field.pos) in mine:
            continue  # they show it with IPv6, too
        if field.name in ours_named and field.size and (field.name, field.pos) not in mine and not payload:
            found.append(f"{field.name}: tshark has it at byte {field.pos}, here it is not there")
    return found


def _narrow(field: Field) -> Field:
    """The same field without the bytes that have none of its bits."""
    first, last = (n // 8 for n in (len(field.bits) - len(field.bits.lstrip(".")), len(field.bits.rstrip(".")) - 1))
    return field._replace(pos=field.pos + first, size=last - first + 1, bits=field.bits[8 * first : 8 * last + 8])


def _tail(node: Node, skipped: int) -> Node:
    value = node.value[skipped:]
    return replace(
        node, offset_bits=node.offset_bits + 8 * skipped, width_bits=node.width_bits - 8 * skipped, value=value
    )


def _compare(node: Node, field: Field) -> str:
    """The first difference between a field of ours and one of theirs, or ""."""
    if node.abbrev in LAYERS and field.value is None:
        return "" if node.size == field.size else f"{node.size} bytes here, {field.size} in tshark"
    if node.size != field.size:
        return f"{node.size} bytes here, {field.size} in tshark"
    if isinstance(node.value, bytes):
        return "" if node.value.hex() == (field.value or "") else f"{node.value.hex()} here, {field.value} in tshark"
    if field.bits:
        return _compare_bits(node, field)
    if field.value is None or int(field.value, 16) != node.value:
        return f"value {node.value:#x} here, {field.value} in tshark"
    return ""


def _compare_bits(node: Node, field: Field) -> str:
    """tshark draws the bits against the end of the field's bytes."""
    digits = field.bits.strip(".")
    after = len(field.bits) - len(field.bits.rstrip("."))
    end = (field.pos + field.size) * 8 - after
    if field.name in ("tcp.flags.res", "tcp.flags.ae", "ieee8021ad.priority", "ieee8021ad.dei"):
        end += 8  # drawn as parts of two bytes, but their place is the first of them
    place = (node.offset_bits, node.width_bits)
    if place != (end - len(digits), len(digits)):
        return f"bits {place} here, {(end - len(digits), len(digits))} in tshark"
    return "" if node.value == int(digits, 2) else f"value {node.value:b} here, {digits} in tshark"
