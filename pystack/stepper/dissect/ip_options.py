"""The options of an IPv4 header (RFC 791 section 3.1, RFC 2113)."""

from collections.abc import Callable

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node

#: type -> (name, Wireshark's name of the option, meaning)
OPTIONS = {
    0: ("End of option list", "ip.options.eol", "the rest is padding"),
    1: ("No operation", "ip.options.nop", "pads the options to a whole word"),
    7: ("Record route", "ip.options.record_route", "each router writes its address"),
    68: ("Timestamp", "ip.options.timestamp", "each router writes when the packet passed"),
    130: ("Security", "ip.options.security", "RFC 1108; obsolete"),
    131: ("Loose source route", "ip.options.route", "over these routers, among others; refused by most (RFC 7126)"),
    136: ("Stream identifier", "ip.options.sid", "for SATNET; obsolete"),
    137: (
        "Strict source route",
        "ip.options.source_route",
        "over these routers and no others; refused by most (RFC 7126)",
    ),
    148: ("Router alert", "ip.options.routeralert", "each router on the way examines the packet (RFC 2113)"),
}
CLASSES = {0: "control", 2: "debugging and measurement"}
TS_FLAGS = {0: "times only", 1: "addresses and times", 3: "times of the given addresses"}

TYPE = t.group(
    "ip.opt.type", "Type",
    t.field(1, "ip.opt.type.copy", "Copied", t.flag, t.if_set("is in each fragment", "is in the first fragment only")),
    t.field(2, "ip.opt.type.class", "Class", t.named(CLASSES)),
    t.field(5, "ip.opt.type.number", "Number", str),
    text=str,
)  # fmt: skip
LEN = t.field(8, "ip.opt.len", "Length", str, "of the whole option, in bytes")
SINGLE = t.c.Struct(TYPE)
PLAIN = t.c.Struct(TYPE, LEN)
ROUTE = t.c.Struct(
    TYPE, LEN, t.field(8, "ip.opt.ptr", "Pointer", str, "the place for the next address, counted from 1")
)
TIMES = t.c.Struct(
    TYPE,
    LEN,
    t.field(8, "ip.opt.ptr", "Pointer", str, "the place for the next entry, counted from 1"),
    t.field(4, "ip.opt.overflow", "Overflow", str, "the number of routers that found no room"),
    t.field(4, "ip.opt.flag", "Flag", t.named(TS_FLAGS)),
)
ALERT = t.c.Struct(TYPE, LEN, t.field(16, "ip.opt.ra", "Router alert", str, "0: routers must examine the packet"))


def dissect(data: bytes, base: int, end: int) -> Node:
    """Dissect all options of a header, from `base` to `end`."""
    nodes = []
    at = base
    while at < end:
        node = _option(data, at, end)
        nodes.append(node)
        at = node.end
        if data[node.offset] == 0 and at < end:
            nodes.append(t.raw(data, at, end, "", "Padding", "after the end of the option list"))
            break
    return Node("Options", "", base * 8, (end - base) * 8, data[base:end], f"{end - base} bytes", "", nodes)


def _option(data: bytes, at: int, end: int) -> Node:
    kind = data[at]
    name, abbrev, meaning = OPTIONS.get(kind, (f"Option {kind}", "", "unknown"))
    stop = at + 1
    if kind > 1:
        length = data[at + 1] if at + 1 < end else 0
        if length < 2 or at + length > end:
            why = f"a length of {length} does not fit into the {end - at} bytes that are left (RFC 1122 3.2.1.8)"
            fields = _read(PLAIN, data, at, end)
            return Node(
                name, abbrev, at * 8, (end - at) * 8, data[at:end], "", meaning, [*fields, t.wrong(why, at, end)]
            )
        stop = at + length
    fields = _PARTS.get(kind, _plain)(data, at, stop)
    texts = [node.text for node in fields if node.abbrev in _SHOWN]
    return Node(name, abbrev, at * 8, (stop - at) * 8, data[at:stop], ", ".join(texts), meaning, fields)


def _read(struct: t.c.Struct, data: bytes, at: int, stop: int) -> list[Node]:
    try:
        return t.read(struct, data, at, min(stop, at + struct_size(struct)))
    except t.Truncated as cut:
        return [*cut.nodes, t.wrong(f"the option ends before its {cut.missing.lower()}", stop, stop)]


def struct_size(struct: t.c.Struct) -> int:
    """Return the size of a fixed header in bytes."""
    return int(struct.sizeof()) // 8


def _plain(data: bytes, at: int, stop: int) -> list[Node]:
    nodes = _read(PLAIN, data, at, stop)
    return nodes if stop == at + 2 else [*nodes, t.raw(data, at + 2, stop, "", "Data")]


def _single(data: bytes, at: int, stop: int) -> list[Node]:
    return _read(SINGLE, data, at, stop)


def _alert(data: bytes, at: int, stop: int) -> list[Node]:
    """Dissect a router alert, which always has 4 bytes (RFC 2113 2.1)."""
    nodes = _read(ALERT, data, at, stop)
    if stop > at + 4:
        nodes.append(t.wrong(f"a length of {stop - at} is wrong for this option", at + 4, stop))
    return nodes


def _route(data: bytes, at: int, stop: int) -> list[Node]:
    """Dissect a route. The packet has visited the addresses before the pointer, and will visit the others."""
    nodes = _read(ROUTE, data, at, stop)
    following = at + int(data[at + 2]) - 1 if stop > at + 2 else stop
    whole = range(at + 3, stop - 3, 4)
    for place in whole:
        if place < following:
            abbrev, name = "ip.rec_rt", "Recorded"
        elif data[at] == 7:
            abbrev, name = "ip.empty_rt", "Empty"
        elif place == whole[-1]:
            abbrev, name = "ip.dst", "Destination"
        else:
            abbrev, name = "ip.src_rt", "Still to visit"
        nodes.append(_number(data, place, abbrev, name, t.address))
    return _rest(nodes, data, max(at + 3, whole[-1] + 4 if whole else 0), stop)


def _times(data: bytes, at: int, stop: int) -> list[Node]:
    nodes = _read(TIMES, data, at, stop)
    place = at + 4
    size = 8 if stop > at + 3 and data[at + 3] & 15 in (1, 3) else 4
    while place + size <= stop:
        if size == 8:
            nodes.append(_number(data, place, "ip.opt.time_stamp_addr", "Address", t.address))
        nodes.append(_number(data, place + size - 4, "ip.opt.time_stamp", "Time", lambda value: f"{value} ms"))
        place += size
    return _rest(nodes, data, place, stop)


def _rest(nodes: list[Node], data: bytes, at: int, stop: int) -> list[Node]:
    if at < stop:
        nodes.append(t.wrong("the rest is too short for an entry", at, stop))
    return nodes


def _number(data: bytes, at: int, abbrev: str, name: str, text: t.Show) -> Node:
    value = int.from_bytes(data[at : at + 4], "big")
    return Node(name, abbrev, at * 8, 32, value, text(value))


_SHOWN = ("ip.rec_rt", "ip.src_rt", "ip.dst", "ip.opt.time_stamp")
_PARTS: dict[int, Callable[[bytes, int, int], list[Node]]] = {
    0: _single, 1: _single, 7: _route, 131: _route, 137: _route, 68: _times, 148: _alert,
}  # fmt: skip
