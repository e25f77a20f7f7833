"""The records of TLS (RFC 8446 section 5.1), and of its handshake what is not encrypted."""

import hashlib

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node

TYPES = {20: "Change Cipher Spec", 21: "Alert", 22: "Handshake", 23: "Application Data"}
VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
MESSAGES = {
    1: "Client Hello", 2: "Server Hello", 4: "New Session Ticket", 8: "Encrypted Extensions", 11: "Certificate",
    12: "Server Key Exchange", 13: "Certificate Request", 14: "Server Hello Done", 15: "Certificate Verify",
    16: "Client Key Exchange", 20: "Finished",
}  # fmt: skip
LEVELS = {1: "warning", 2: "fatal"}
#: the longest record (RFC 8446 5.2), and the most records of one segment that become nodes
LONGEST, MOST_RECORDS = (1 << 14) + 2048, 64
HANDSHAKE, ALERT, APPLICATION_DATA, CLIENT_HELLO, SERVER_HELLO = 22, 21, 23, 1, 2
#: the random of a Server Hello that asks for another Client Hello (RFC 8446 4.1.3): the SHA-256 of "HelloRetryRequest"
RETRY = hashlib.sha256(b"HelloRetryRequest").digest()


def _record_meaning(value: int) -> str:
    return "of a record; TLS 1.3 writes 1.2 here (RFC 8446 5.1)"


RECORD = t.c.Struct(
    t.field(8, "tls.record.content_type", "Content type", t.named(TYPES)),
    t.field(16, "tls.record.version", "Version", t.named(VERSIONS, 4), _record_meaning),
    t.field(16, "tls.record.length", "Length", str, "of the record, in bytes"),
)


def dissect(data: bytes, base: int, end: int) -> list[Node]:
    """Dissect the records that begin in a segment."""
    nodes: list[Node] = []
    names: list[str] = []
    at = base
    while at < end and len(nodes) < MOST_RECORDS:
        if at + 5 > end or not (data[at] in TYPES and data[at + 1] == 3):
            what = (
                "the head of a record goes on in the next segment" if at + 5 > end else "the rest of an earlier record"
            )
            nodes.append(Node("Data", "", at * 8, (end - at) * 8, data[at:end], "", what))
            at = end
            break
        head = t.read(RECORD, data, at, at + 5)
        length = int(head[2].value)  # type: ignore[arg-type]
        stop = min(at + 5 + length, end)
        name, inside = _content(data, at + 5, stop, int(head[0].value), length)  # type: ignore[arg-type]
        if length > LONGEST:
            inside = [t.wrong(f"a length of {length}; a record has at most {LONGEST} bytes", at + 3, at + 5)]
        elif stop < at + 5 + length:
            inside.append(t.note(f"{at + 5 + length - stop} bytes of the record are in the next segments", stop, stop))
        names.append(name)
        meaning = "encrypted" if head[0].value == APPLICATION_DATA else ""
        nodes.append(Node("Record", "tls.record", at * 8, (stop - at) * 8, b"", name, meaning, [*head, *inside]))
        at = stop
    if at < end:
        nodes.append(t.raw(data, at, end, "", "More records"))
    return [t.header("TLS", "tls", nodes, base, end, ", ".join(names))]


def _content(data: bytes, at: int, end: int, kind: int, length: int) -> tuple[str, list[Node]]:
    if at >= end:
        return TYPES[kind], []
    if kind == ALERT and length == 2 and end - at == 2:
        level = LEVELS.get(data[at], str(data[at]))
        return f"Alert ({level} {data[at + 1]})", [
            Node("Level", "tls.alert_message.level", at * 8, 8, data[at], level),
            Node("Description", "tls.alert_message.desc", at * 8 + 8, 8, data[at + 1], str(data[at + 1])),
        ]
    if kind == HANDSHAKE and data[at] in MESSAGES and end - at >= 4:
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        if size + 4 <= length:
            name = MESSAGES[data[at]]
            if data[at] == SERVER_HELLO and data[at + 6 : at + 38] == RETRY:
                name = "Hello Retry Request"
            fields = [
                Node("Handshake type", "tls.handshake.type", at * 8, 8, data[at], f"{name} ({data[at]})"),
                Node("Length", "tls.handshake.length", at * 8 + 8, 24, size, str(size)),
            ]
            server = _server_name(data, at + 4, end) if data[at] == CLIENT_HELLO else None
            if server is not None:
                fields.append(server)
                name += f" for {server.text}"
            return name, fields
        return "Handshake (encrypted)", []
    return TYPES[kind] + (" (encrypted)" if kind == HANDSHAKE else ""), []


def _server_name(data: bytes, at: int, end: int) -> Node | None:
    """Return the name that a Client Hello asks for (RFC 6066 section 3), or None."""
    try:
        at += 34  # version and random
        at += 1 + data[at]  # session
        at += 2 + int.from_bytes(data[at : at + 2], "big")  # cipher suites
        at += 1 + data[at]  # compression methods
        stop = min(at + 2 + int.from_bytes(data[at : at + 2], "big"), end)
        at += 2
        while at + 4 <= stop:
            kind, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
            if kind == 0 and at + 9 <= stop:
                length = int.from_bytes(data[at + 7 : at + 9], "big")
                piece = data[at + 9 : min(at + 9 + length, stop)]
                text = "".join(chr(byte) if 33 <= byte < 127 else "·" for byte in piece)
                if len(piece) == length:
                    return Node(
                        "Server name", "tls.handshake.extensions_server_name", (at + 9) * 8, length * 8, piece, text
                    )
                return None
            at += 4 + size
    except IndexError:
        pass
    return None
