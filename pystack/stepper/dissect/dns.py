"""DNS (RFC 1035 section 4): the header, the question and the records."""

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node

TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 41: "OPT", 43: "DS",
    46: "RRSIG", 48: "DNSKEY", 64: "SVCB", 65: "HTTPS", 255: "ANY",
}  # fmt: skip
CLASSES = {1: "IN", 3: "CH", 255: "ANY"}
CODES = {0: "no error", 1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused"}
OPCODES = {0: "query", 4: "notify", 5: "update"}
#: what names and records of one message may cost
MOST_RECORDS, MOST_LABELS = 64, 128
OPT = 41
TRUNCATED = 0x0200

#: the names of the three protocols that have these messages
TITLES = {"dns": "DNS", "mdns": "mDNS", "llmnr": "LLMNR"}
#: mDNS uses the highest bit of the class (RFC 6762 5.4 and 10.2)
TOP = 0x8000

_BEFORE = (
    t.field(1, "dns.flags.response", "Response", t.flag, t.if_set("an answer", "a question")),
    t.field(4, "dns.flags.opcode", "Opcode", t.named(OPCODES)),
)
_CODE = t.field(4, "dns.flags.rcode", "Reply code", t.named(CODES))
_TRUNCATED = t.field(1, "dns.flags.truncated", "Truncated", t.flag, t.if_set("there is more: ask again over TCP"))
FLAGS = t.group(
    "dns.flags", "Flags", *_BEFORE,
    t.field(1, "dns.flags.authoritative", "Authoritative", t.flag, t.if_set("from a server that is responsible for the name")),
    _TRUNCATED,
    t.field(1, "dns.flags.recdesired", "Recursion desired", t.flag, t.if_set("the server should ask others")),
    t.field(1, "dns.flags.recavail", "Recursion available", t.flag, t.if_set("the server does ask others")),
    t.field(1, "dns.flags.z", "Reserved", t.flag),
    t.field(1, "dns.flags.authenticated", "Authentic data", t.flag, t.if_set("the server has checked the signatures")),
    t.field(1, "dns.flags.checkdisable", "Checking disabled", t.flag, t.if_set("signatures need no check")),
    _CODE,
    text=t.hexa(4),
)  # fmt: skip
LLMNR_FLAGS = t.group(
    "dns.flags", "Flags", *_BEFORE,
    t.field(1, "dns.flags.conflict", "Conflict", t.flag, t.if_set("several hosts have the name (RFC 4795 4.2)")),
    _TRUNCATED,
    t.field(1, "dns.flags.tentative", "Tentative", t.flag, t.if_set("the host has not yet made sure that the name is its own")),
    t.field(4, "", "Reserved", str, key="reserved"),
    _CODE,
    text=t.hexa(4),
)  # fmt: skip


def _header(flags: object) -> object:
    return t.c.Struct(
        t.field(16, "dns.id", "Transaction ID", t.hexa(4), "pairs an answer with its question"),
        flags,
        t.field(16, "dns.count.queries", "Questions", str),
        t.field(16, "dns.count.answers", "Answer records", str),
        t.field(16, "dns.count.auth_rr", "Authority records", str),
        t.field(16, "dns.count.add_rr", "Additional records", str),
    )


HEADERS = {"dns": _header(FLAGS), "mdns": _header(FLAGS), "llmnr": _header(LLMNR_FLAGS)}


def dissect(data: bytes, base: int, end: int, over_tcp: bool, kind: str = "dns") -> list[Node]:
    """Dissect a message. Over TCP, its length precedes it (RFC 1035 4.2.2). `kind` is one of TITLES."""
    before: list[Node] = []
    start = base
    if over_tcp:
        length = int.from_bytes(data[base : base + 2], "big")
        before.append(Node("Length", "dns.length", base * 8, 16, length, str(length), "of the message, in bytes"))
        base += 2
        if base + length > end or length < 12:
            before.append(t.note("the message is in several segments", base, end))
            return [t.header("DNS", "dns", before, start, end, "a part of a message")]
    try:
        nodes = t.read(HEADERS[kind], data, base, min(base + 12, end))
    except t.Truncated:
        return []
    counts = [int(node.value) for node in nodes[2:6]]  # type: ignore[arg-type]
    flags = int(nodes[1].value)  # type: ignore[arg-type]
    at, left = base + 12, MOST_RECORDS
    question, found = "", []
    for section, title in enumerate(("Question", "Answer", "Authority", "Additional")):
        for _ in range(counts[section]):
            if at >= end or left == 0:
                break
            left -= 1
            record = _record(data, base, at, end, title, section == 0, kind)
            if record is None:
                nodes.append(t.wrong(f"the message ends inside a record ({title.lower()})", at, end))
                left = 0
                break
            nodes.append(record)
            at = record.end
            if section == 0 and not question:
                question = record.text
            elif section == 1:
                found.append(record.text.partition(": ")[2])
    if at < end and left:
        nodes.append(t.raw(data, at, end, "", "After the message"))
    return [t.header(TITLES[kind], kind, [*before, *nodes], start, end, _summary(flags, question, found, counts))]


def _summary(flags: int, question: str, found: list[str], counts: list[int]) -> str:
    if not flags & 0x8000:
        return f"question: {question}"
    if not question and found:
        return f"says: {', '.join(found)}"  # mDNS repeats no question
    code = flags & 15
    if code:
        return f"answer to {question}: {CODES.get(code, f'error {code}')}"
    if flags & TRUNCATED:
        return f"answer to {question}: truncated, ask again over TCP"
    if found:
        return f"answer to {question}: {', '.join(found)}"
    return f"answer to {question}: {'a referral' if counts[2] else 'no records'}"


def name_at(data: bytes, base: int, at: int, end: int) -> tuple[str, int] | None:
    """Return a name and where it ends, or None if it is not well formed. Pointers may only lead backwards, so they end."""
    labels: list[str] = []
    after = -1
    limit = at
    for _ in range(MOST_LABELS):
        if at >= end:
            return None
        size = data[at]
        if size == 0:
            return ".".join(labels) or "<Root>", at + 1 if after < 0 else after
        if size >= 0xC0:
            if at + 2 > end:
                return None
            after = at + 2 if after < 0 else after
            at = base + ((size & 0x3F) << 8 | data[at + 1])
            if at >= limit:
                return None
            limit = at
            continue
        if size > 63 or at + 1 + size > end:
            return None
        labels.append("".join(chr(byte) if 33 <= byte < 127 else "·" for byte in data[at + 1 : at + 1 + size]))
        at += 1 + size
    return None


def _class(place: int, klass: int, front: str, protocol: str) -> list[Node]:
    """Return the class of a record; in mDNS, its highest bit is a flag."""
    if protocol != "mdns":
        return [Node("Class", f"{front}.class", place * 8, 16, klass, CLASSES.get(klass, str(klass)))]
    name, title, meaning = (
        ("dns.qry.qu", "Unicast", "the answer may go to the asking host alone")
        if front == "dns.qry"
        else ("dns.resp.cache_flush", "Cache flush", "these records replace those that are known")
    )
    top, rest = klass >> 15, klass & ~TOP
    flag = Node(title, name, place * 8, 1, top, t.flag(top), meaning if top else "")
    return [flag, Node("Class", f"{front}.class", place * 8 + 1, 15, rest, CLASSES.get(rest, str(rest)))]


def _record(data: bytes, base: int, at: int, end: int, title: str, is_question: bool, protocol: str) -> Node | None:
    named = name_at(data, base, at, end)
    if named is None:
        return None
    name, place = named
    kind = "dns.qry" if is_question else "dns.resp"
    if place + (4 if is_question else 10) > end:
        return None
    number, klass = (int.from_bytes(data[place + n : place + n + 2], "big") for n in (0, 2))
    shown = TYPES.get(number, str(number))
    nodes = [
        Node("Name", f"{kind}.name", at * 8, (place - at) * 8, data[at:place], name),
        Node("Type", f"{kind}.type", place * 8, 16, number, f"{shown} ({number})"),
    ]
    if is_question:
        nodes += _class(place + 2, klass, kind, protocol)
        return Node(title, "", at * 8, (place + 4 - at) * 8, b"", f"{name} {shown}", "", nodes)
    ttl, length = (
        int.from_bytes(data[place + 4 : place + 8], "big"),
        int.from_bytes(data[place + 8 : place + 10], "big"),
    )
    stop = place + 10 + length
    if stop > end:
        return None
    if number == OPT:
        nodes.append(Node("UDP payload size", "dns.rr.udp_payload_size", place * 8 + 16, 16, klass, str(klass)))
        nodes.append(Node("Extended flags", "", place * 8 + 32, 32, ttl, f"0x{ttl:08x}"))
    else:
        nodes += _class(place + 2, klass, kind, protocol)
        nodes.append(
            Node("Time to live", "dns.resp.ttl", place * 8 + 32, 32, ttl, f"{ttl} s", "how long it may be kept")
        )
    nodes.append(Node("Length", "dns.resp.len", place * 8 + 64, 16, length, str(length)))
    value = _value(data, base, place + 10, stop, number)
    if length:
        nodes.append(value)
    text = value.text if length else "no data"
    return Node(title, "", at * 8, (stop - at) * 8, b"", f"{name} {shown}: {text}", "", nodes)


def _value(data: bytes, base: int, at: int, end: int, kind: int) -> Node:
    abbrev = {2: "dns.ns", 5: "dns.cname", 12: "dns.ptr.domain_name"}.get(kind)
    if (kind, end - at) in ((1, 4), (28, 16)):
        value = int.from_bytes(data[at:end], "big")
        name, text = ("dns.a", t.address(value)) if kind == 1 else ("dns.aaaa", t.address6(value))
        return Node("Address", name, at * 8, (end - at) * 8, value, text)
    if abbrev is not None:
        named = name_at(data, base, at, end)
        if named is not None and named[1] == end:
            return Node("Target", abbrev, at * 8, (end - at) * 8, data[at:end], named[0])
    return t.raw(data, at, end, "", "Data")
