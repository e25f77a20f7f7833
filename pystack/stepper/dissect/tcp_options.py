"""The options of a TCP header (RFC 9293 section 3.2 and the later ones)."""

from typing import Any

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node

#: kind -> (name, Wireshark's name of the option, meaning)
OPTIONS = {
    0: ("End of option list", "tcp.options.eol", "the rest is padding"),
    1: ("No operation", "tcp.options.nop", "pads the options to a whole word"),
    2: ("Maximum segment size", "tcp.options.mss", "the largest segment that this side accepts (RFC 9293 3.7.1)"),
    3: ("Window scale", "tcp.options.wscale", "this side's windows count in larger units (RFC 7323 2)"),
    4: ("SACK permitted", "tcp.options.sack_perm", "this side understands SACK (RFC 2018 2)"),
    5: ("SACK", "tcp.options.sack", "data that arrived after a hole (RFC 2018 3)"),
    8: ("Timestamps", "tcp.options.timestamp", "to measure round trips and to reject old segments (RFC 7323 3)"),
    19: ("MD5 signature", "tcp.options.md5", "RFC 2385; obsolete"),
    34: ("Fast Open", "tcp.options.tfo", "data on the SYN, with a cookie (RFC 7413)"),
    172: ("Accurate ECN, order 0", "tcp.options.acc_ecn", "counters of marked bytes (RFC 9768)"),
    174: ("Accurate ECN, order 1", "tcp.options.acc_ecn", "counters of marked bytes (RFC 9768)"),
    253: ("Experiment", "tcp.options.experimental", "RFC 6994"),
    254: ("Experiment", "tcp.options.experimental", "RFC 6994"),
}
EXPERIMENTS = {0xF989: "Fast Open"}

KIND = t.field(
    8, "tcp.option_kind", "Kind", lambda value: f"{OPTIONS[value][0] if value in OPTIONS else 'unknown'} ({value})"
)
LENGTH = t.field(8, "tcp.option_len", "Length", str, "of the whole option, in bytes")
_COUNTER = {"ee0b": "ECT(0) bytes", "eceb": "CE bytes", "ee1b": "ECT(1) bytes"}


def _counters(*order: str) -> tuple[Any, ...]:
    return tuple(t.field(24, f"tcp.options.acc_ecn.{name}", _COUNTER[name], str, "modulo 2^24") for name in order)


#: the fields of the options that have a fixed size
_FIXED: dict[int, tuple[Any, ...]] = {
    2: (t.field(16, "tcp.options.mss_val", "MSS", str, "bytes, without headers"),),
    3: (t.field(8, "tcp.options.wscale.shift", "Shift count", lambda n: f"{n} (times {1 << min(n, 14)})", "14 at most"),),
    4: (),
    8: (
        t.field(32, "tcp.options.timestamp.tsval", "Timestamp value", str, "the sender's clock"),
        t.field(32, "tcp.options.timestamp.tsecr", "Timestamp echo reply", str, "the other side's clock, echoed"),
    ),
}  # fmt: skip
_SIZE = {2: 4, 3: 3, 4: 2, 8: 10}
_ORDER = {172: ("ee0b", "eceb", "ee1b"), 174: ("ee1b", "eceb", "ee0b")}
SHORT = t.c.Struct(KIND)


def dissect(data: bytes, base: int, end: int, syn: bool) -> Node:
    """Dissect all options of a header, from `base` to `end`."""
    nodes = []
    at = base
    while at < end:
        node = _option(data, at, end, syn)
        nodes.append(node)
        at = node.end
        if data[node.offset] == 0 and at < end:
            nodes.append(t.raw(data, at, end, "", "Padding", "after the end of the option list"))
            break
    names = ", ".join(_short(node) for node in nodes)
    return Node(
        "Options", "tcp.options", base * 8, (end - base) * 8, data[base:end], names, f"{end - base} bytes", nodes
    )


def _short(node: Node) -> str:
    name = {"Maximum segment size": "MSS", "No operation": "NOP", "End of option list": "EOL"}.get(node.name, node.name)
    return f"{name} {node.text}" if node.text and node.name != "Padding" else name


def _option(data: bytes, at: int, end: int, syn: bool) -> Node:
    kind = data[at]
    name, abbrev, meaning = OPTIONS.get(
        kind, (f"Option {kind}", "tcp.options.unknown", "unknown, so it is skipped (RFC 9293 MUST-6)")
    )
    if kind < 2:
        return Node(name, abbrev, at * 8, 8, data[at : at + 1], "", meaning, t.read(SHORT, data, at, at + 1))
    length = data[at + 1] if at + 1 < end else 0
    if length < 2 or at + length > end:
        why = f"a length of {length} does not fit into the {end - at} bytes that are left (RFC 9293 MUST-7)"
        head = t.read(SHORT, data, at, at + 1) if at + 1 == end else t.read(t.c.Struct(KIND, LENGTH), data, at, at + 2)
        children = [*head, t.wrong(why, at, end)]
        return Node(name, abbrev, at * 8, (end - at) * 8, data[at:end], "", meaning, children)
    stop = at + length
    children, text = _content(data, at, stop, kind, syn)
    return Node(name, abbrev, at * 8, length * 8, data[at:stop], text, meaning, children)


def _content(data: bytes, at: int, stop: int, kind: int, syn: bool) -> tuple[list[Node], str]:
    """Return the fields of one option, and its value in a few words."""
    size = stop - at
    if kind in _FIXED and size == _SIZE[kind]:
        nodes = t.read(t.c.Struct(KIND, LENGTH, *_FIXED[kind]), data, at, stop)
        text = " / ".join(node.text for node in nodes[2:])
        if kind in (2, 3) and not syn:
            nodes.append(t.wrong("valid only on a SYN", at, stop))
        return nodes, text
    head = t.read(t.c.Struct(KIND, LENGTH), data, at, at + 2)
    if kind == 5 and size >= 10 and (size - 2) % 8 == 0:
        return _sack(data, at, stop)
    if kind == 34:
        return [
            *head,
            *_cookie(data, at + 2, stop),
        ], f"cookie {data[at + 2 : stop].hex()}" if size > 2 else "asks for a cookie"
    if kind in (253, 254) and size >= 4:
        return _experiment(data, at, stop)
    if kind in _ORDER and size in (2, 5, 8, 11):
        nodes = t.read(t.c.Struct(KIND, LENGTH, *_counters(*_ORDER[kind][: (size - 2) // 3])), data, at, stop)
        return nodes, ", ".join(f"{node.name} {node.text}" for node in nodes[2:])
    if kind in _FIXED or kind in (5, *_ORDER):
        return [*head, t.wrong(f"a length of {size} is wrong for this option", at + 1, stop)], ""
    if size > 2:
        name = {19: "tcp.options.md5.digest", 253: "", 254: ""}.get(kind, "tcp.options.unknown.payload")
        head.append(t.raw(data, at + 2, stop, name, "Digest" if kind == 19 else "Data"))
    return head, ""


def _sack(data: bytes, at: int, stop: int) -> tuple[list[Node], str]:
    blocks = (stop - at - 2) // 8
    edges: list[Any] = []
    for n in range(blocks):
        edges += (
            t.field(32, "tcp.options.sack_le", "Left edge", str, f"block {n + 1}: its first byte"),
            t.field(32, "tcp.options.sack_re", "Right edge", str, f"block {n + 1}: one past its last byte"),
        )
    nodes = t.read(t.c.Struct(KIND, LENGTH, *edges), data, at, stop)
    values = [node.text for node in nodes[2:]]
    return nodes, " ".join(f"{left}-{right}" for left, right in zip(values[::2], values[1::2]))


def _cookie(data: bytes, at: int, stop: int) -> list[Node]:
    if at == stop:
        return []
    return [t.raw(data, at, stop, "tcp.options.tfo.cookie", "Cookie", "proves that its address was used here before")]


def _experiment(data: bytes, at: int, stop: int) -> tuple[list[Node], str]:
    exid = t.field(16, "tcp.options.experimental.exid", "Experiment", t.named(EXPERIMENTS, 4), "RFC 6994 3")
    nodes = t.read(t.c.Struct(KIND, LENGTH, exid), data, at, at + 4)
    if nodes[2].value == 0xF989:
        return [*nodes, *_cookie(data, at + 4, stop)], "Fast Open, before RFC 7413"
    if stop > at + 4:
        nodes.append(t.raw(data, at + 4, stop, "tcp.options.experimental.data", "Data"))
    return nodes, nodes[2].text
