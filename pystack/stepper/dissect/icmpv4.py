"""ICMP (RFC 792): echo, timestamps, and errors with the packet that they quote."""

from typing import Any

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node

TYPES = {
    0: "echo reply", 3: "destination unreachable", 4: "source quench", 5: "redirect", 8: "echo request",
    9: "router advertisement", 10: "router solicitation", 11: "time exceeded", 12: "parameter problem",
    13: "timestamp request", 14: "timestamp reply", 17: "address mask request", 18: "address mask reply",
}  # fmt: skip
CODES = {
    3: {
        0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
        4: "fragmentation needed, but not allowed", 5: "source route failed", 6: "network unknown", 7: "host unknown",
        9: "network prohibited", 10: "host prohibited", 13: "prohibited by a filter",
    },
    5: {0: "for the network", 1: "for the host", 2: "for the type of service and network", 3: "for the type of service and host"},
    11: {0: "the TTL reached 0 on the way", 1: "the reassembly timer expired"},
    12: {0: "the pointer names the byte", 1: "an option is missing", 2: "bad length"},
}  # fmt: skip
MEANING = {
    0: "the answer to a ping (RFC 792)", 8: "a ping: asks for a reply (RFC 792)",
    3: "an error: the packet quoted below could not be delivered (RFC 792)",
    4: "deprecated (RFC 6633)", 5: "there is a better router (RFC 792)",
    11: "an error: the packet quoted below was dropped (RFC 792)",
    12: "an error: a field of the packet quoted below is wrong (RFC 792)",
}  # fmt: skip
ERRORS = (3, 4, 5, 11, 12)

_IDENT = (
    t.field(16, "icmp.ident", "Identifier", t.named({}, 4, ""), "identifies the ping that it belongs to"),
    t.field(16, "icmp.seq", "Sequence number", str, "counts the messages of the ping"),
)
_UNUSED = (t.field(32, "icmp.unused", "Unused", t.hexa(8), t.if_set("should be zero")),)
_MTU = (
    t.field(16, "icmp.unused", "Unused", t.hexa(4), t.if_set("should be zero")),
    t.field(16, "icmp.mtu", "MTU of the next hop", str, "the largest packet that fits through (RFC 1191 4)"),
)
_TIMES = tuple(
    t.field(32, f"icmp.{name}_timestamp", title, lambda value: f"{value} ms", "since midnight UT")
    for name, title in (("originate", "Originated"), ("receive", "Received"), ("transmit", "Transmitted"))
)
_BODY: dict[int, tuple[Any, ...]] = {
    0: _IDENT, 8: _IDENT, 3: _UNUSED, 4: _UNUSED, 11: _UNUSED, 13: _IDENT + _TIMES, 14: _IDENT + _TIMES,
    5: (t.field(32, "icmp.redir_gw", "Gateway", t.address, "the better router"),),
    12: (
        t.field(8, "icmp.pointer", "Pointer", str, "the index of the wrong byte in the quoted packet"),
        t.field(24, "icmp.unused", "Unused", t.hexa(6), t.if_set("should be zero")),
    ),
    17: (*_IDENT, t.field(32, "icmp.address_mask", "Address mask", t.address)),
    18: (*_IDENT, t.field(32, "icmp.address_mask", "Address mask", t.address)),
}  # fmt: skip


def _struct(kind: int, code: int) -> Any:
    codes = t.named(CODES.get(kind, {}), otherwise="" if kind not in CODES else "unknown")
    body = _MTU if (kind, code) == (3, 4) else _BODY.get(kind, ())
    return t.c.Struct(
        t.field(8, "icmp.type", "Type", t.named(TYPES), MEANING.get(kind, "")),
        t.field(8, "icmp.code", "Code", codes if kind in CODES else str),
        t.field(16, "icmp.checksum", "Checksum", t.hexa(4)),
        *body,
    )


def dissect(data: bytes, base: int, end: int, above: t.Above) -> list[Node]:
    """Dissect the message at `base`, and below it the packet that an error quotes."""
    kind, code = (data[base] if base < end else 0), (data[base + 1] if base + 1 < end else 0)
    struct = _struct(kind, code)
    size = int(struct.sizeof()) // 8
    try:
        nodes = t.read(struct, data, base, min(base + size, end))
    except t.Truncated as cut:
        return [t.header("ICMP", "icmp", [*cut.nodes, t.ends_early(cut, above, base, end)], base, end)]
    field = int(nodes[2].value)  # type: ignore[arg-type]
    nodes[2].meaning = t.checksum_text(data, base, end, field, 0, "the message") if above.whole else above.why
    at = base + size
    text = TYPES.get(kind, f"type {kind}") + (f": {nodes[1].text}" if kind in CODES else "")
    if kind in ERRORS and at < end:
        quote, used = above.quoted(data, at, end)
        t.call_quoted(quote)
        nodes += quote
        at = used
    if at < end:
        nodes.append(
            t.raw(data, at, end, "data.data", "Data", "the reply carries the same data" if kind in (0, 8) else "")
        )
    return [t.header("ICMP", "icmp", nodes, base, end, text)]
