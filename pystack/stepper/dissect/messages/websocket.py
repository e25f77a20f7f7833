"""WebSocket (RFC 6455): the frames after the upgrade, with compression by RFC 7692."""

import zlib
from typing import Any

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.messages.base import (
    KEPT,
    Bad,
    FieldReader,
    StreamMessage,
    StreamParser,
    StreamPiece,
    bits,
    quoted,
    size_text,
    words,
)
from pystack.stepper.dissect.tree import Node

NAMES = {0: "Continuation", 1: "Text", 2: "Binary", 8: "Close", 9: "Ping", 10: "Pong"}
CONTINUATION, TEXT, BINARY, CLOSE = 0, 1, 2, 8
#: RFC 6455 section 7.4.1
CODES = {
    1000: "normal closure", 1001: "going away", 1002: "protocol error", 1003: "unsupported data", 1007: "invalid data",
    1008: "policy violation", 1009: "message too big", 1010: "extension missing", 1011: "internal error",
    1012: "service restart", 1013: "try again later",
}  # fmt: skip
PAYLOADS = {8: "close", 9: "ping", 10: "pong"}
#: how much of a frame is decompressed
MOST_INFLATED = 4 << 20
#: what a compressed message must end with to be a whole block (RFC 7692 7.2.2)
TAIL = b"\0\0\xff\xff"


class WebSocket(StreamParser):
    """A connection of WebSocket. `extensions` is what the server has agreed to (Sec-WebSocket-Extensions)."""

    protocol, title = "websocket", "WebSocket"
    kept = 1 << 20  # later messages may refer to all of an earlier one

    def __init__(self, client: int = 0, extensions: str = ""):
        super().__init__(client)
        self.deflate = "permessage-deflate" in extensions.lower()
        # "no context takeover": each message is compressed for itself (RFC 7692 7.1.1)
        alone = [f"{who}_no_context_takeover" in extensions.lower() for who in ("client", "server")]
        self.alone = alone if client == 0 else alone[::-1]
        self.inflaters: list[Any] = [None, None]
        self.failed = [False, False]
        self.packed = [False, False]  # the message that goes on is compressed
        self.kinds = [BINARY, BINARY]  # the opcode of the message that goes on

    def size(self, way: int, data: bytearray) -> int:
        """Return the size of a frame."""
        if len(data) < 2:
            return 0
        opcode, masked, length = data[0] & 15, data[1] & 0x80, data[1] & 0x7F
        if opcode not in NAMES:
            raise Bad(f"the opcode {opcode} does not exist (RFC 6455 5.2)")
        if data[0] & (0x30 if self.deflate else 0x70):
            raise Bad("a reserved bit is set, and no extension uses it (RFC 6455 5.2)")
        if bool(masked) != (way == self.client):
            whose = "a frame of the client is not masked" if way == self.client else "a frame of the server is masked"
            raise Bad(f"{whose} (RFC 6455 5.1)")
        if opcode >= CLOSE and (length > 125 or not data[0] & 0x80):
            raise Bad("a control frame has at most 125 bytes and is never in parts (RFC 6455 5.5)")
        head = 2 + (2 if length == 126 else 8 if length == 127 else 0)
        if len(data) < head:
            return 0
        if length > 125:
            length = int.from_bytes(data[2:head], "big")
            if length >> 63:
                raise Bad("a length of more than 63 bits (RFC 6455 5.2)")
        return head + (4 if masked else 0) + length

    def read(self, piece: StreamPiece) -> list[StreamMessage]:
        """Return the message of a frame."""
        way, data = piece.way, piece.data
        fin, opcode, masked = data[0] >> 7, data[0] & 15, data[1] & 0x80
        fields = FieldReader(data)
        fields.nodes += [
            bits(data, 0, 0, 1, "websocket.fin", "Fin", "the last part of the message" if fin else "more parts follow"),
            bits(data, 0, 1, 3, "websocket.rsv", "Reserved"),
            bits(data, 0, 4, 4, "websocket.opcode", "Opcode"),
            bits(data, 1, 0, 1, "websocket.mask", "Mask"),
            bits(data, 1, 1, 7, "websocket.payload_length", "Payload length"),
        ]
        if self.deflate:
            fields.nodes[1].children = [bits(data, 0, 1, 1, "websocket.pmc", "Compressed", "by RFC 7692")]
        fields.nodes[2].text = f"{NAMES[opcode]} ({opcode})"
        fields.at = 2
        if data[1] & 0x7F == 126:
            fields.number(2, "websocket.payload_length_ext_16", "Extended payload length")
        elif data[1] & 0x7F == 127:
            fields.number(8, "websocket.payload_length_ext_64", "Extended payload length")
        key = fields.raw(4, "websocket.masking_key", "Masking key") if masked else b""
        sent = fields.data[fields.at :]
        plain = unmask(sent, key)
        if opcode in (TEXT, BINARY):
            self.packed[way], self.kinds[way] = self.deflate and bool(data[0] & 0x40), opcode
        kind = self.kinds[way] if opcode == CONTINUATION else opcode
        why = ""
        if opcode < CLOSE and self.packed[way]:
            plain, why = self._inflate(way, plain, bool(fin), piece.size > len(data))
        text = NAMES[opcode] + self._payload(fields, opcode, kind, sent, plain, why)
        if opcode < CLOSE and not fin:
            text += ", more parts follow"
        return [piece.message(self.protocol, self.title, text, fields.nodes)]

    def _payload(self, fields: FieldReader, opcode: int, kind: int, sent: bytes, plain: bytes, why: str) -> str:
        """Add the payload's fields. Return it in a few words."""
        at = fields.at
        place = (at * 8, len(sent) * 8)
        fields.at = fields.end
        if not sent:
            return ' ""' if opcode == TEXT else ": 0 bytes" if opcode == BINARY else ""
        parts: list[Node] = []
        fields.nodes.append(Node("Payload", "websocket.payload", *place, plain, t.preview(plain), why, parts))
        if opcode == CLOSE:
            if len(plain) < 2:
                parts.append(t.wrong("a code has two bytes (RFC 6455 5.5.1)", at, at + 1))
                return ": malformed"
            code = int.from_bytes(plain[:2], "big")
            shown = f"{code} ({CODES[code]})" if code in CODES else str(code)
            # The bytes in the frame are masked, so the value is the unmasked one, as bytes.
            parts.append(Node("Status code", "websocket.payload.close.status_code", at * 8, 16, plain[:2], shown))
            if plain[2:]:
                reason = words(plain[2:])
                parts.append(
                    Node("Reason", "websocket.payload.close.reason", at * 8 + 16, place[1] - 16, plain[2:], reason)
                )
                shown += f" {quoted(plain[2:])}"
            return f" {shown}"
        if why.startswith("cannot"):
            return f": {size_text(len(sent))}, compressed"
        if kind == TEXT and opcode < CLOSE:
            parts.append(Node("Text", "websocket.payload.text", *place, plain, words(plain)))
        elif opcode in PAYLOADS:
            parts.append(Node(NAMES[opcode], f"websocket.payload.{PAYLOADS[opcode]}", *place, plain, t.preview(plain)))
        return f" {quoted(plain)}" if kind == TEXT or opcode in PAYLOADS else f": {size_text(len(plain))}"

    def _inflate(self, way: int, data: bytes, fin: bool, cut: bool) -> tuple[bytes, str]:
        """Decompress a part of a message. A message depends on the earlier ones of its side."""
        if self.failed[way]:
            return data, "cannot be decompressed, because an earlier message could not be"
        if self.inflaters[way] is None:
            self.inflaters[way] = zlib.decompressobj(-15)
        inflater = self.inflaters[way]
        try:
            plain = inflater.decompress(data + (TAIL if fin else b""), KEPT)
            size = len(plain)
            while (
                inflater.unconsumed_tail and size < MOST_INFLATED
            ):  # the rest is not shown, but later ones refer to it
                size += len(inflater.decompress(inflater.unconsumed_tail, KEPT))
        except zlib.error:
            self.failed[way] = True
            return data, "cannot be decompressed: its bytes are damaged"
        if cut or inflater.unconsumed_tail:
            # The rest is not decompressed, so the messages that refer back to it cannot be read.
            self.failed[way] = not self.alone[way]
            self.inflaters[way] = None
        elif fin and self.alone[way]:
            self.inflaters[way] = None
        return plain, f"decompressed from {len(data)} bytes (RFC 7692)"


def unmask(data: bytes, key: bytes) -> bytes:
    """Remove the mask of a client's payload (RFC 6455 5.3)."""
    if not key or not data:
        return data
    whole = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(data), "big")
