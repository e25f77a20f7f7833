"""What a frame without a whole TCP segment says, in sentences: ARP, ICMP, neighbour discovery, fragments, and datagrams."""

from typing import TYPE_CHECKING

import pystack_c.const as C
from pystack.stepper.dissect import Tree, dissect
from pystack.stepper.explain import contents, datagrams
from pystack.stepper.explain.base import count_of
from pystack.stepper.pieces import completed
from pystack.trace import headers

if TYPE_CHECKING:
    from pystack.stepper.records import Frame

_ARP = {
    "ask": "ARP: {host} asks all hosts of the link who has {target}, because it needs the MAC address (RFC 826).",
    "confirm": "ARP: {host} asks {target} itself, by its known MAC address, whether it is still there (RFC 1122 2.3.2.1).",
    "probe": "ARP probe: a host wants to use the address {target}, and asks whether another one has it. Its own address is 0 in the question, so that nobody "
    "learns a wrong one (RFC 5227 2.1.1).",
    "announce": "ARP announcement: {host} says that its MAC address is {mac}, so that others correct their entries. Nobody asked (RFC 5227 2.3).",
    "answer": "ARP: {host} answers that its MAC address is {mac} (RFC 826).",
}
_ICMP = {
    0: "{host} answers a ping of {to}: the reply carries the data of the request back (RFC 792).",
    3: "{host} reports to {to} that a packet could not be delivered: {code} (RFC 792).",
    5: "The router {host} says to {to} that another router is nearer to the destination (RFC 792).",
    8: "{host} pings {to}: the request asks for a reply, which shows that {to} is there and how long the way takes (RFC 792).",
    11: "{host} reports to {to} that a packet was dropped: {code} (RFC 792).",
    12: "{host} reports to {to} that a field of a packet is wrong (RFC 792).",
}
_TOO_BIG = (
    "{host} reports to {to} that a packet is too large for the next link{mtu}, so the sender must make smaller ones"
)
_ICMPV6 = {
    1: "{host} reports to {to} that a packet could not be delivered: {code} (RFC 4443 3.1).",
    2: _TOO_BIG + " (RFC 8201).",
    3: "{host} reports to {to} that a packet was dropped: {code} (RFC 4443 3.3).",
    4: "{host} reports {code} in a packet to {to} (RFC 4443 3.4).",
    128: "{host} pings {to}: the request asks for a reply, which shows that {to} is there and how long the way takes (RFC 4443 4.1).",
    129: "{host} answers a ping of {to}: the reply carries the data of the request back (RFC 4443 4.2).",
    130: "A router asks which hosts of the link are members of groups (RFC 3810 5.1).",
    131: "{host} says that it is a member of the group {group} (RFC 2710 3).",
    132: "{host} says that it leaves the group {group} (RFC 2710 3).",
    133: "{host} asks the routers of the link to say that they are there, because it needs a prefix and a default router (RFC 4861 6.3.7).",
    135: "{host} asks for the MAC address of {target}. The question goes to the group of the hosts whose addresses end in the same 24 bits (RFC 4861 7.2.2).",
    136: "{host} says that {whose} is {mac}{because} (RFC 4861 7.2.4).",
    137: "A router says that packets to {destination} should go to {target}, which is nearer (RFC 4861 8).",
    143: "{host} tells the multicast routers of the link which groups it {groups} (RFC 3810 5.2).",
}
_PROBE = "A host asks whether another host of the link has {target} already. It wants to use this address itself, so it sends from ::, the address of nobody (RFC 4862 5.4)."
_CONFIRM = "{host} asks {target} itself, to find out whether its MAC address still holds (RFC 4861 7.3.3)."
#: the most groups and prefixes that a sentence names
MOST_NAMED = 4


def sentences(frame: "Frame") -> tuple[str, list[str]]:
    """Return the mechanism of a frame, and sentences about what it says."""
    piece = _fragment(frame)
    if piece:
        return "fragment", [piece, *_put_together(frame)]
    said = datagrams.tunnel(frame) or _datagram(frame)
    if said:
        return {"DNS": "dns", "DHC": "dhcp"}.get(said[:3], "told"), [said]
    tree = dissect(frame.data, frame.link, frame.length)
    top = next((layer.abbrev for layer in tree.layers if layer.abbrev in ("arp", "icmp", "icmpv6")), "")
    if top == "arp":
        words = _ARP.get(_arp(frame, tree), "")
        values = {"target": _text(tree, "arp.dst.proto_ipv4"), "mac": _text(tree, "arp.src.hw_mac")}
        return "arp", [words.format(host=frame.host, **values)] if all(values.values()) else []
    if top == "icmp":
        return "icmp", _icmp(frame, tree)
    return ("icmp", _icmpv6(frame, tree)) if top else ("told", [])


def _number(tree: Tree, name: str) -> int:
    node = tree.find(name)
    return node.value if node is not None and isinstance(node.value, int) else -1


def _text(tree: Tree, name: str) -> str:
    node = tree.find(name)
    return node.text if node is not None else ""


def _arp(frame: "Frame", tree: Tree) -> str:
    """Return what an ARP message is for, a key of _ARP."""
    if _number(tree, "arp.opcode") == 2:
        return "answer" if frame.data[:6] != b"\xff" * 6 else "announce"
    source, target = _number(tree, "arp.src.proto_ipv4"), _number(tree, "arp.dst.proto_ipv4")
    if source == 0:
        return "probe"
    if source == target:
        return "announce"
    return "ask" if frame.data[:6] == b"\xff" * 6 else "confirm"


def _datagram(frame: "Frame") -> str:
    """Say what a UDP datagram carries, or how many bytes to which port."""
    found = headers.find(frame.data, frame.link, frame.length)
    if found is None or found.proto != C.IPPROTO_UDP or found.offset or len(frame.data) < found.at + 8:
        return ""
    said = contents.carries(frame._timeline, frame)
    if said.startswith(("DNS", "DHCP", "mDNS", "LLMNR")):
        return said
    port = int.from_bytes(frame.data[found.at + 2 : found.at + 4], "big")
    size = count_of(max(found.end - found.at - 8, 0))
    return f"{frame.host} sends {size} in a datagram to port {port} of {frame.to}. UDP has no connection, and nobody acknowledges it (RFC 768). {said}".rstrip()


def _fragment(frame: "Frame") -> str:
    found = headers.find(frame.data, frame.link, frame.length)
    if found is None or not (found.offset or found.more):
        return ""
    size = max(found.end - found.at, 0)
    which = "a fragment" if found.more else "the last fragment"
    ident = f"{found.ident} ({found.ident:#x})" if found.version == 4 else f"{found.ident:#x}"
    text = f"{frame.host} sends {which} of the packet with the identification {ident} to {frame.to}: its bytes {found.offset} to {found.offset + size - 1}."
    if not found.offset:
        return f"{text} It is the first fragment, and the only one with the header of the layer above."
    return f"{text} Only the first fragment has the header of the layer above, so ports cannot be seen here."


def _put_together(frame: "Frame") -> list[str]:
    """Say what the packet carries that a fragment completes."""
    whole = completed(frame)
    if whole is None:
        return []
    named = ", ".join(str(index + 1) for index in whole.frames)
    said = datagrams.of_datagram(whole.data) if whole.packet.proto == C.IPPROTO_UDP else ""
    return [f"Now all fragments are here (frames {named}), and the packet has {len(whole.data)} bytes above IP.", said]


def _icmp(frame: "Frame", tree: Tree) -> list[str]:
    kind = _number(tree, "icmp.type")
    words = _TOO_BIG + " (RFC 1191)." if tree.find("icmp.mtu") is not None else _ICMP.get(kind, "")
    values = {"mtu": _mtu(tree, "icmp.mtu"), "code": _code(tree, "icmp.code"), "host": frame.host, "to": frame.to}
    found = [words.format(**values)] if words else []
    return found + _quoted(tree, "ip.src", "ip.dst") if kind in (3, 11, 12) else found


def _code(tree: Tree, name: str) -> str:
    return _text(tree, name).partition(" (")[0]


def _mtu(tree: Tree, name: str) -> str:
    size = _number(tree, name)
    return f", which takes {size} bytes" if size > 0 else ""


def _quoted(tree: Tree, source: str, target: str) -> list[str]:
    """Say which packet an error is about: the second one in the tree."""
    sources, targets = tree.find_all(source), tree.find_all(target)
    if len(sources) < 2 or len(targets) < 2:
        return []
    ports = [node for name in ("tcp.dstport", "udp.dstport") for node in tree.find_all(name)]
    kind = {
        C.IPPROTO_TCP: "a TCP segment", C.IPPROTO_UDP: "a UDP datagram", C.IPPROTO_ICMP: "an ICMP message",
        headers.ICMPV6: "an ICMPv6 message",
    }  # fmt: skip
    protos = [node.value for name in ("ip.proto", "ipv6.nxt") for node in tree.find_all(name)]
    to = f"port {ports[-1].text.partition(' ')[0]} of {targets[1].text}" if ports else targets[1].text
    what = kind.get(protos[-1], "") if protos and isinstance(protos[-1], int) else ""
    return [f"The packet was {what or 'sent'} from {sources[1].text} to {to}."]


def _icmpv6(frame: "Frame", tree: Tree) -> list[str]:
    kind = _number(tree, "icmpv6.type")
    if kind == 134:
        return _router(frame, tree)
    words = _ICMPV6.get(kind, "")
    target = _text(tree, "icmpv6.nd.ns.target_address") or _text(tree, "icmpv6.nd.na.target_address")
    if kind == 135 and _number(tree, "ipv6.src") == 0:
        words = _PROBE
    elif kind == 135 and _number(tree, "ipv6.dst") >> 120 != 0xFF:
        words = _CONFIRM
    solicited = _number(tree, "icmpv6.nd.na.flag.s") == 1
    mac = _text(tree, "icmpv6.opt.linkaddr")
    values = {
        "host": frame.host, "to": frame.to, "target": target or _text(tree, "icmpv6.nd.rd.target_address"),
        "destination": _text(tree, "icmpv6.rd.na.destination_address"), "code": _code(tree, "icmpv6.code"),
        "mtu": _mtu(tree, "icmpv6.mtu"), "group": _text(tree, "icmpv6.mld.multicast_address"),
        "mac": mac or frame.data[6:12].hex(":"), "groups": _groups(tree),
        "whose": "its MAC address" if target == frame.host else f"the MAC address of {target}",
        "because": ", because it was asked" if solicited else ". Nobody asked",
    }  # fmt: skip
    found = [words.format(**values)] if words else []
    return found + _quoted(tree, "ipv6.src", "ipv6.dst") if kind in (1, 2, 3, 4) else found


def _groups(tree: Tree) -> str:
    """Say which groups a report joins or leaves. To include no source at all is to leave (RFC 3810 6.1)."""
    stays: list[str] = []
    leaves: list[str] = []
    for record in tree.find_all("icmpv6.mldr.mar"):
        kind, _, sources, group = (node for node in record.children[:4])
        (leaves if kind.value in (1, 3) and sources.value == 0 else stays).append(group.text)
    found = [f"{does} {_few(names)}" for does, names in (("is a member of:", stays), ("leaves:", leaves)) if names]
    return ", and ".join(found) or "is a member of"


def _few(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _router(frame: "Frame", tree: Tree) -> list[str]:
    """Explain the advertisement of a router."""
    life = _number(tree, "icmpv6.nd.ra.router_lifetime")
    found = [f"{frame.host} is a router of the link, and says what holds here (RFC 4861 6.2.3)."]
    found.append(f"It is a default router for {life} seconds." if life > 0 else "It is no default router.")
    lengths = tree.find_all("icmpv6.opt.prefix.length")
    prefixes = [
        f"{prefix.text}/{length.text}"
        for prefix, length in zip(tree.find_all("icmpv6.opt.prefix"), lengths, strict=False)
    ]
    if prefixes:
        autonomous = _number(tree, "icmpv6.opt.prefix.flag.a") == 1
        does = ", with which hosts make their own addresses (RFC 4862 5.5)" if autonomous else ""
        found.append(f"The prefix of the link is {_few(prefixes)}{does}.")
    if _number(tree, "icmpv6.nd.ra.flag.m") == 1:
        found.append("Hosts get their addresses by DHCPv6.")
    return found
