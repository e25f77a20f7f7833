"""ICMPv6 (RFC 4443), neighbour discovery (RFC 4861) and multicast listener discovery (RFC 3810)."""

from typing import Any

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node

TYPES = {
    1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 128: "echo request",
    129: "echo reply", 130: "multicast listener query", 131: "multicast listener report", 132: "multicast listener done",
    133: "router solicitation", 134: "router advertisement", 135: "neighbour solicitation", 136: "neighbour advertisement",
    137: "redirect", 143: "multicast listener report, version 2",
}  # fmt: skip
CODES = {
    1: {
        0: "no route", 1: "prohibited by a filter", 2: "beyond the scope of the source address", 3: "address unreachable",
        4: "port unreachable", 5: "prohibited for the source address", 6: "a route that rejects",
    },
    3: {0: "the hop limit reached 0 on the way", 1: "the reassembly timer expired"},
    4: {0: "a wrong field", 1: "a next header that is not known", 2: "an option that is not known"},
}  # fmt: skip
MEANING = {
    1: "an error: the packet quoted below could not be delivered (RFC 4443 3.1)",
    2: "an error: the packet quoted below does not fit through the next link (RFC 4443 3.2)",
    3: "an error: the packet quoted below was dropped (RFC 4443 3.3)",
    4: "an error: a field of the packet quoted below is wrong (RFC 4443 3.4)",
    128: "a ping: asks for a reply (RFC 4443 4.1)", 129: "the answer to a ping (RFC 4443 4.2)",
    130: "a router asks which groups have members on the link (RFC 3810 5.1)",
    131: "a host is a member of a group (RFC 2710 3)", 132: "a host is no longer a member of a group (RFC 2710 3)",
    133: "a host asks all routers of the link to answer (RFC 4861 4.1)",
    134: "a router says that it is there, and what holds on the link (RFC 4861 4.2)",
    135: "asks for the MAC address of a neighbour (RFC 4861 4.3)",
    136: "says which MAC address belongs to an address (RFC 4861 4.4)",
    137: "there is a better first hop (RFC 4861 4.5)", 143: "a host says which groups it is a member of (RFC 3810 5.2)",
}  # fmt: skip
ERRORS = (1, 2, 3, 4)
RECORDS = {1: "is include", 2: "is exclude", 3: "changes to include", 4: "changes to exclude", 5: "allows", 6: "blocks"}
OPTIONS = {1: "source link-layer address", 2: "target link-layer address", 3: "prefix", 4: "redirected packet", 5: "MTU", 14: "nonce",
           24: "route", 25: "DNS servers", 31: "DNS search list"}  # fmt: skip
#: the most options, and the most records of a report, that become nodes
MOST = 32
_FOREVER = 0xFFFFFFFF


def _seconds(value: int) -> str:
    return "for ever" if value == _FOREVER else f"{value} s"


def _reserved(width: int = 32) -> Any:
    return t.field(width, "icmpv6.reserved", "Reserved", t.hexa(width // 4), t.if_set("should be zero"))


_IDENT = (
    t.field(16, "icmpv6.echo.identifier", "Identifier", t.named({}, 4, ""), "identifies the ping that it belongs to"),
    t.field(16, "icmpv6.echo.sequence_number", "Sequence number", str, "counts the messages of the ping"),
)
_GROUP = (
    t.field(16, "icmpv6.mld.maximum_response_delay", "Maximum response delay", lambda value: f"{value} ms"),
    _reserved(16),
    t.field(128, "icmpv6.mld.multicast_address", "Multicast address", t.address6, "the group"),
)
_BODY: dict[int, tuple[Any, ...]] = {
    1: (_reserved(),), 3: (_reserved(),), 133: (_reserved(),), 128: _IDENT, 129: _IDENT, 130: _GROUP, 131: _GROUP, 132: _GROUP,
    2: (t.field(32, "icmpv6.mtu", "MTU", str, "the largest packet that fits through the next link"),),
    4: (t.field(32, "icmpv6.pointer", "Pointer", str, "the index of the wrong byte in the quoted packet"),),
    134: (
        t.field(8, "icmpv6.nd.ra.cur_hop_limit", "Hop limit", str, "for the packets of hosts; 0: not said"),
        t.group(
            "icmpv6.nd.ra.flag", "Flags",
            t.field(1, "icmpv6.nd.ra.flag.m", "Managed addresses", t.flag, t.if_set("DHCPv6 gives addresses")),
            t.field(1, "icmpv6.nd.ra.flag.o", "Other settings", t.flag, t.if_set("DHCPv6 gives other settings")),
            t.field(1, "icmpv6.nd.ra.flag.h", "Home agent", t.flag),
            t.field(2, "icmpv6.nd.ra.flag.prf", "Preference", t.named({0: "medium", 1: "high", 3: "low"}, otherwise="reserved"), "of this router as the default router (RFC 4191 2.2)"),
            t.field(1, "icmpv6.nd.ra.flag.p", "Proxy", t.flag),
            t.field(2, "icmpv6.nd.ra.flag.rsv", "Reserved", str),
            text=t.hexa(2),
        ),
        t.field(16, "icmpv6.nd.ra.router_lifetime", "Router lifetime", _seconds, t.if_set("how long it is a default router", "it is no default router")),
        t.field(32, "icmpv6.nd.ra.reachable_time", "Reachable time", lambda value: f"{value} ms", t.if_set("how long a neighbour counts as reachable", "not said")),
        t.field(32, "icmpv6.nd.ra.retrans_timer", "Retransmission timer", lambda value: f"{value} ms", t.if_set("the time between solicitations", "not said")),
    ),
    135: (_reserved(), t.field(128, "icmpv6.nd.ns.target_address", "Target address", t.address6, "whose MAC address is asked for")),
    136: (
        t.group(
            "icmpv6.nd.na.flag", "Flags",
            t.field(1, "icmpv6.nd.na.flag.r", "Router", t.flag, t.if_set("the sender is a router", "the sender is no router")),
            t.field(1, "icmpv6.nd.na.flag.s", "Solicited", t.flag, t.if_set("it answers a question", "nobody asked")),
            t.field(1, "icmpv6.nd.na.flag.o", "Override", t.flag, t.if_set("it replaces a MAC address that is known")),
            t.field(29, "icmpv6.nd.na.flag.rsv", "Reserved", str),
            text=t.hexa(8),
        ),
        t.field(128, "icmpv6.nd.na.target_address", "Target address", t.address6, "whose MAC address this is"),
    ),
    137: (
        _reserved(),
        t.field(128, "icmpv6.nd.rd.target_address", "Target address", t.address6, "the better first hop"),
        t.field(128, "icmpv6.rd.na.destination_address", "Destination address", t.address6, "where packets go"),
    ),
    143: (_reserved(16), t.field(16, "icmpv6.mldr.nb_mcast_records", "Records", str)),
}  # fmt: skip
_OPTION = (
    t.field(8, "icmpv6.opt.type", "Type", t.named(OPTIONS)),
    t.field(8, "icmpv6.opt.length", "Length", lambda value: f"{value * 8} bytes ({value})", "in units of 8 bytes"),
)
_OPTION_BODY: dict[int, tuple[Any, ...]] = {
    1: (t.field(48, "icmpv6.opt.linkaddr", "Link-layer address", t.mac, "the sender's MAC address"),),
    2: (t.field(48, "icmpv6.opt.linkaddr", "Link-layer address", t.mac, "the target's MAC address"),),
    3: (
        t.field(8, "icmpv6.opt.prefix.length", "Prefix length", str, "in bits"),
        t.group(
            "icmpv6.opt.prefix.flag", "Flags",
            t.field(1, "icmpv6.opt.prefix.flag.l", "On-link", t.flag, t.if_set("its addresses are on this link")),
            t.field(1, "icmpv6.opt.prefix.flag.a", "Autonomous", t.flag, t.if_set("hosts make their addresses with it (RFC 4862)")),
            t.field(1, "icmpv6.opt.prefix.flag.r", "Router address", t.flag),
            t.field(5, "icmpv6.opt.prefix.flag.reserved", "Reserved", str),
            text=t.hexa(2),
        ),
        t.field(32, "icmpv6.opt.prefix.valid_lifetime", "Valid lifetime", _seconds),
        t.field(32, "icmpv6.opt.prefix.preferred_lifetime", "Preferred lifetime", _seconds),
        t.field(32, "", "Reserved", t.hexa(8), key="reserved"),
        t.field(128, "icmpv6.opt.prefix", "Prefix", t.address6),
    ),
    5: (t.field(16, "", "Reserved", t.hexa(4), key="reserved"), t.field(32, "icmpv6.opt.mtu", "MTU", str, "the largest packet on this link")),
    25: (t.field(16, "", "Reserved", t.hexa(4), key="reserved"), t.field(32, "icmpv6.opt.rdnss.lifetime", "Lifetime", _seconds)),
}  # fmt: skip
_RECORD = t.c.Struct(
    t.field(8, "icmpv6.mldr.mar.record_type", "Record type", t.named(RECORDS)),
    t.field(8, "icmpv6.mldr.mar.aux_data_len", "Auxiliary data", str, "in words of 4 bytes"),
    t.field(16, "icmpv6.mldr.mar.nb_sources", "Sources", str, "how many sources are listed"),
    t.field(128, "icmpv6.mldr.mar.multicast_address", "Multicast address", t.address6, "the group"),
)


def _struct(kind: int) -> Any:
    known = kind in CODES
    return t.c.Struct(
        t.field(8, "icmpv6.type", "Type", t.named(TYPES), MEANING.get(kind, "")),
        t.field(8, "icmpv6.code", "Code", t.named(CODES[kind]) if known else str),
        t.field(16, "icmpv6.checksum", "Checksum", t.hexa(4)),
        *_BODY.get(kind, ()),
    )


def dissect(data: bytes, base: int, end: int, above: t.Above) -> list[Node]:
    """Dissect the message at `base`, with its options, and below it the packet that an error quotes."""
    kind = data[base] if base < end else 0
    struct = _struct(kind)
    size = int(struct.sizeof()) // 8
    try:
        nodes = t.read(struct, data, base, min(base + size, end))
    except t.Truncated as cut:
        return [t.header("ICMPv6", "icmpv6", [*cut.nodes, t.ends_early(cut, above, base, end)], base, end)]
    field = int(nodes[2].value)  # type: ignore[arg-type]
    nodes[2].meaning = t.checksum_text(data, base, end, field, above.pseudo) if above.whole else above.why
    at = base + size
    text = TYPES.get(kind, f"type {kind}") + (f": {nodes[1].text}" if kind in CODES else "")
    if kind in (135, 136, 137):
        text += f": {nodes[-1 if kind < 137 else -2].text}"
    if kind in ERRORS and at < end:
        quote, used = above.quoted(data, at, end)
        t.call_quoted(quote)
        nodes += quote
        at = used
    elif 133 <= kind <= 137:
        more, at = _options(data, at, end, above)
        nodes += more
    elif kind == 143:
        more, at = _records(data, at, end, int(nodes[-1].value), above)  # type: ignore[arg-type]
        nodes += more
    elif kind == 130 and end - at >= 4:
        nodes.append(t.raw(data, at, end, "", "Query, version 2", "a flag, the interval and sources (RFC 3810 5.1)"))
        at = end
    if at < end:
        nodes.append(
            t.raw(data, at, end, "data.data", "Data", "the reply carries the same data" if kind in (128, 129) else "")
        )
    return [t.header("ICMPv6", "icmpv6", nodes, base, end, text)]


def _short(above: t.Above, what: str, at: int, end: int) -> Node:
    if above.whole:
        return t.wrong(f"the message ends before the {what} is complete", at, end)
    return t.note("only the start of the message is here", at, end)


def _options(data: bytes, at: int, end: int, above: t.Above) -> tuple[list[Node], int]:
    """Return a node for each option, and where they end."""
    nodes: list[Node] = []
    while at < end and len(nodes) < MOST:
        size = data[at + 1] * 8 if at + 2 <= end else 8
        if size == 0:
            return [*nodes, t.wrong("an option with a length of 0 (RFC 4861 4.6)", at, at + 2)], end
        if at + size > end:
            return [*nodes, _short(above, "option", at, end)], end
        nodes.append(_option(data, at, at + size))
        at += size
    return nodes, at


def _option(data: bytes, at: int, end: int) -> Node:
    kind = data[at]
    body = _OPTION_BODY.get(kind, ())
    struct = t.c.Struct(*_OPTION, *body)
    size = int(struct.sizeof()) // 8
    if size > end - at:  # an address of another size, such as on a link that is not Ethernet
        body, struct, size = (), t.c.Struct(*_OPTION), 2
    nodes = t.read(struct, data, at, at + size)
    text = OPTIONS.get(kind, str(kind))
    if kind == 3 and body:
        text = f"{text} {nodes[-1].text}/{nodes[2].text}"
    elif body:
        text = f"{text} {nodes[-1].text}"
    place = at + size
    while kind == 25 and body and place + 16 <= end:
        value = int.from_bytes(data[place : place + 16], "big")
        nodes.append(Node("DNS server", "icmpv6.opt.rdnss", place * 8, 128, value, t.address6(value)))
        place += 16
    if place < end:
        nodes.append(t.raw(data, place, end, "icmpv6.opt.nonce" if kind == 14 else "", "Data"))
    return t.header("Option", "icmpv6.opt", nodes, at, end, text)


def _records(data: bytes, at: int, end: int, count: int, above: t.Above) -> tuple[list[Node], int]:
    """Return a node for each record of a report, and where they end."""
    nodes: list[Node] = []
    for _ in range(min(count, MOST)):
        stop = at + 20
        if stop <= end:
            stop += int.from_bytes(data[at + 2 : at + 4], "big") * 16 + data[at + 1] * 4
        if stop > end:
            return [*nodes, _short(above, "record", at, end)], end
        inside = t.read(_RECORD, data, at, at + 20)
        if stop > at + 20:
            inside.append(t.raw(data, at + 20, stop, "", "Sources and auxiliary data"))
        name = RECORDS.get(data[at], f"type {data[at]}")
        nodes.append(t.header("Record", "icmpv6.mldr.mar", inside, at, stop, f"{name} {inside[3].text}"))
        at = stop
    return nodes, at
