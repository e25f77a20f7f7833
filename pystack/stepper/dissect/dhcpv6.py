"""DHCPv6 (RFC 8415): the messages of clients, servers and relays, and the options that are common."""

from typing import Any

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node

TYPES = {
    1: "Solicit", 2: "Advertise", 3: "Request", 4: "Confirm", 5: "Renew", 6: "Rebind", 7: "Reply", 8: "Release", 9: "Decline",
    10: "Reconfigure", 11: "Information-request", 12: "Relay-forward", 13: "Relay-reply",
}  # fmt: skip
RELAYED = (12, 13)
OPTIONS = {
    1: "Client identifier", 2: "Server identifier", 3: "Addresses (IA_NA)", 4: "Temporary addresses (IA_TA)", 5: "Address", 6: "Requested options",
    7: "Preference", 8: "Elapsed time", 9: "Relayed message", 11: "Authentication", 13: "Status", 14: "Rapid commit", 15: "User class",
    16: "Vendor class", 17: "Vendor's options", 18: "Interface", 19: "Reconfigure message", 20: "Reconfigure accept", 23: "DNS servers",
    24: "Domains to search", 25: "Prefixes (IA_PD)", 26: "Prefix", 31: "SNTP servers", 32: "Refresh time", 39: "Client's name", 56: "NTP servers",
    82: "Longest time of a Solicit", 83: "Longest time of an Information-request",
}  # fmt: skip
CODES = {
    0: "success",
    1: "failure",
    2: "no addresses left",
    3: "no binding",
    4: "not on this link",
    5: "use multicast",
    6: "no prefixes left",
}
#: how many options of a message become nodes, and how deep they are inside each other
MOST_OPTIONS, MOST_NESTED = 64, 6
IA_NA, IA_TA, ADDRESS, REQUESTED, RELAY, STATUS, DNS, IA_PD, PREFIX = 3, 4, 5, 6, 9, 13, 23, 25, 26

TYPE = t.field(8, "dhcpv6.msgtype", "Message type", t.named(TYPES))
MESSAGE = t.c.Struct(TYPE, t.field(24, "dhcpv6.xid", "Transaction ID", t.hexa(6), "pairs an answer with its question"))
RELAY_MESSAGE = t.c.Struct(
    TYPE,
    t.field(8, "dhcpv6.hopcount", "Hop count", str, "the number of relays that passed it on"),
    t.field(128, "dhcpv6.linkaddr", "Link address", t.address6, "tells the server which link the client is on"),
    t.field(128, "dhcpv6.peeraddr", "Peer address", t.address6, "from where the relay got it"),
)
FRONT = t.c.Struct(
    t.field(16, "dhcpv6.option.type", "Option", t.named(OPTIONS)),
    t.field(16, "dhcpv6.option.length", "Length", str, "of its data, in bytes"),
)


def _seconds(value: int) -> str:
    return "for ever" if value == 0xFFFFFFFF else f"{value} s"


def _time(abbrev: str, name: str, meaning: str) -> object:
    return t.field(32, abbrev, name, _seconds, meaning)


_TIMES = (
    _time("dhcpv6.iaid.t1", "T1", "after which the client asks its server for more time"),
    _time("dhcpv6.iaid.t2", "T2", "after which it asks all servers"),
)
#: option -> its fixed fields; after them there are options
_FIXED = {
    IA_NA: t.c.Struct(
        t.field(32, "", "Identity", t.hexa(8), "of these addresses, chosen by the client", "iaid"), *_TIMES
    ),
    IA_TA: t.c.Struct(t.field(32, "", "Identity", t.hexa(8), "of these addresses, chosen by the client", "iaid")),
    IA_PD: t.c.Struct(
        t.field(32, "", "Identity", t.hexa(8), "of these prefixes, chosen by the client", "iaid"), *_TIMES
    ),
    ADDRESS: t.c.Struct(
        t.field(128, "dhcpv6.iaaddr.ip", "Address", t.address6),
        _time("dhcpv6.iaaddr.pref_lifetime", "Preferred lifetime", "for so long, new connections may use it"),
        _time("dhcpv6.iaaddr.valid_lifetime", "Valid lifetime", "for so long, the address is the client's"),
    ),
    PREFIX: t.c.Struct(
        _time("dhcpv6.iaprefix.pref_lifetime", "Preferred lifetime", ""),
        _time("dhcpv6.iaprefix.valid_lifetime", "Valid lifetime", "for so long, the prefix is the client's"),
        t.field(8, "dhcpv6.iaprefix.pref_len", "Prefix length", str, "in bits"),
        t.field(128, "dhcpv6.iaprefix.pref_addr", "Prefix", t.address6),
    ),
}
#: option -> its only field
_SINGLE = {
    7: t.c.Struct(
        t.field(8, "dhcpv6.option_preference", "Preference", str, "a client takes the server with the highest one")
    ),
    8: t.c.Struct(
        t.field(
            16, "dhcpv6.elapsed_time", "Elapsed time", lambda value: f"{value * 10} ms", "since the client first asked"
        )
    ),
}


def dissect(data: bytes, base: int, end: int, depth: int = 0) -> list[Node]:
    """Dissect a message. A relay's message contains another one."""
    relay = end > base and data[base] in RELAYED
    try:
        nodes = t.read(RELAY_MESSAGE if relay else MESSAGE, data, base, min(base + (34 if relay else 4), end))
    except t.Truncated as short:
        at = short.nodes[-1].end if short.nodes else base
        wrong = t.wrong(f"the message ends before the {short.missing.lower()} is complete", at, end)
        return [t.header("DHCPv6", "dhcpv6", [*short.nodes, wrong], base, end)]
    kind = int(nodes[0].value)  # type: ignore[arg-type]
    nodes += _options(data, nodes[-1].end, end, [MOST_OPTIONS], depth)
    return [t.header("DHCPv6", "dhcpv6", nodes, base, end, TYPES.get(kind, f"message {kind}"))]


def _options(data: bytes, at: int, end: int, left: list[int], depth: int) -> list[Node]:
    """Return a node for each option. `left` has the number of options that may still become nodes."""
    found: list[Node] = []
    while at < end:
        if left[0] == 0 or depth > MOST_NESTED:
            return [*found, t.raw(data, at, end, "", "More options")]
        left[0] -= 1
        stop = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big") if at + 4 <= end else end + 1
        if stop > end:
            return [*found, t.wrong("the message ends before the option is complete (RFC 8415 21.1)", at, end)]
        nodes = t.read(FRONT, data, at, at + 4)
        kind = int(nodes[0].value)  # type: ignore[arg-type]
        nodes += _content(data, at + 4, stop, kind, left, depth)
        found.append(Node("Option", "", at * 8, (stop - at) * 8, b"", _text(nodes, kind), "", nodes))
        at = stop
    return found


def _text(nodes: list[Node], kind: int) -> str:
    name = OPTIONS.get(kind, str(kind))
    known = {"dhcpv6.iaaddr.ip", "dhcpv6.dns_server", "dhcpv6.status_code", "dhcpv6.iaprefix.pref_addr"}
    found = [node.text for node in nodes if node.abbrev in known]
    return f"{name}: {', '.join(found)}" if found else name


def _content(data: bytes, at: int, end: int, kind: int, left: list[int], depth: int) -> list[Node]:
    if at == end:
        return []
    fixed, single = _FIXED.get(kind), _SINGLE.get(kind)
    if fixed is not None and end - at >= _size(fixed):
        stop = at + _size(fixed)
        return [*t.read(fixed, data, at, stop), *_options(data, stop, end, left, depth + 1)]
    if single is not None and end - at == _size(single):
        return t.read(single, data, at, end)
    if kind == RELAY and depth < MOST_NESTED:
        return dissect(data, at, end, depth + 1)
    if kind == STATUS and end - at >= 2:
        code = int.from_bytes(data[at : at + 2], "big")
        node = Node("Status", "dhcpv6.status_code", at * 8, 16, code, f"{CODES.get(code, 'unknown')} ({code})")
        return [node, t.raw(data, at + 2, end, "", "Message")] if end > at + 2 else [node]
    if kind == REQUESTED and (end - at) % 2 == 0:
        return _numbers(data, at, end, left)
    if kind == DNS and (end - at) % 16 == 0:
        found = [_server(data, place) for place in range(at, min(end, at + 16 * MOST_OPTIONS), 16)]
        rest = at + 16 * len(found)
        return [*found, t.raw(data, rest, end, "", "More")] if rest < end else found
    return [t.raw(data, at, end, "", "Data")]


def _size(struct: Any) -> int:
    """Return the size of a struct in bytes."""
    return int(struct.sizeof()) // 8


def _server(data: bytes, at: int) -> Node:
    address = int.from_bytes(data[at : at + 16], "big")
    return Node("DNS server", "dhcpv6.dns_server", at * 8, 128, address, t.address6(address))


def _numbers(data: bytes, at: int, end: int, left: list[int]) -> list[Node]:
    found: list[Node] = []
    while at < end and left[0]:
        left[0] -= 1
        code = int.from_bytes(data[at : at + 2], "big")
        found.append(
            Node(
                "Requested", "dhcpv6.requested_option_code", at * 8, 16, code, f"{OPTIONS.get(code, 'option')} ({code})"
            )
        )
        at += 2
    return [*found, t.raw(data, at, end, "", "More")] if at < end else found
