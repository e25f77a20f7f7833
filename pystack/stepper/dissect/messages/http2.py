"""HTTP/2 (RFC 9113): the preface, and the frames of both sides. The package hpack decodes headers (RFC 7541)."""

from typing import Any

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.messages.base import (
    Bad,
    FieldReader,
    StreamMessage,
    StreamParser,
    StreamPiece,
    bits,
    size_text,
    words,
)
from pystack.stepper.dissect.tree import Node

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
NAMES = {
    DATA: "DATA", HEADERS: "HEADERS", PRIORITY: "PRIORITY", RST_STREAM: "RST_STREAM", SETTINGS: "SETTINGS",
    PUSH_PROMISE: "PUSH_PROMISE", PING: "PING", GOAWAY: "GOAWAY", WINDOW_UPDATE: "WINDOW_UPDATE",
    CONTINUATION: "CONTINUATION", 10: "ALTSVC", 12: "ORIGIN", 16: "PRIORITY_UPDATE",
}  # fmt: skip
#: RFC 9113 section 7
ERRORS = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip
#: (filter name, name) of the settings (RFC 9113 6.5.2, RFC 8441, RFC 9218)
PARAMETERS = {
    1: ("header_table_size", "Header table size"), 2: ("enable_push", "Enable push"),
    3: ("max_concurrent_streams", "Max concurrent streams"), 4: ("initial_window_size", "Initial window size"),
    5: ("max_frame_size", "Max frame size"), 6: ("max_header_list_size", "Max header list size"),
    8: ("extended_connect", "Extended CONNECT"), 9: ("no_rfc7540_priorities", "No RFC 7540 priorities"),
}  # fmt: skip
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 0x20
#: the flags of each type of frame: (bit, abbreviation, name)
_END = (END_STREAM, "end_stream", "End stream")
_HEAD = (END_HEADERS, "eh", "End headers")
_PAD = (PADDED, "padded", "Padded")
FLAGS = {
    DATA: (_PAD, _END),
    HEADERS: ((WITH_PRIORITY, "priority", "Priority"), _PAD, _HEAD, _END),
    SETTINGS: ((ACK, "ack.settings", "ACK"),),
    PING: ((ACK, "ack.ping", "ACK"),),
    PUSH_PROMISE: (_PAD, _HEAD),
    CONTINUATION: (_HEAD,),
}
HEAD = 9  # the bytes before the payload of a frame (RFC 9113 4.1)
#: the payload that every receiver takes, and the sizes of the header table and of a header block that are followed
DEFAULT_FRAME, MOST_TABLE, MOST_BLOCK = 1 << 14, 64 << 10, 64 << 10
SMALL_TABLE = 4096
#: frames that belong to a stream, and those that belong to the connection
OF_STREAM = (DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION)
OF_CONNECTION = (SETTINGS, PING, GOAWAY)
INSTALL = "pip install pystack[dissect]"


class _Headers:
    """Decodes the header blocks of one side. They depend on each other by the dynamic table (RFC 7541 2.2)."""

    def __init__(self) -> None:
        self.why = ""  # the reason why blocks cannot be decoded any more
        self.decoder: Any = None
        self.table = SMALL_TABLE
        try:
            from hpack import Decoder
        except ImportError:
            self.why = f"headers are compressed; the package hpack decodes them: {INSTALL}"
        else:
            self.decoder = Decoder(max_header_list_size=MOST_BLOCK)

    def allow(self, size: int) -> None:
        """Note the size that the receiver allows for the dynamic table. A smaller one applies only after its ACK, and
        the sender reports it in the block, so only a larger one counts here.
        """
        if self.decoder is not None and size > self.table:
            self.table = min(size, MOST_TABLE)
            self.decoder.max_allowed_table_size = self.table

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Return the headers of a block. Bad says why there are none."""
        if self.why:
            raise Bad(self.why)
        try:
            return [(bytes(name), bytes(value)) for name, value in self.decoder.decode(block, raw=True)]
        except Exception as error:  # the package documents HPACKError; its bugs must not stop the view either
            self.why = "an earlier header block was damaged, and the blocks after it depend on it"
            what = " ".join(str(error).split())[:100]
            raise Bad(f"the header block cannot be decoded: {what or type(error).__name__}") from None


class Http2(StreamParser):
    """A connection of HTTP/2 without TLS, from its preface on."""

    protocol, title = "http2", "HTTP/2"

    def __init__(self, client: int = 0, preface: bool = True):
        super().__init__(client)
        self.preface = preface  # the client's preface is still to come
        self.headers = (_Headers(), _Headers())
        self.most = [DEFAULT_FRAME, DEFAULT_FRAME]  # the largest payload that each side may send
        self.blocks: list[tuple[int, bytes] | None] = [None, None]  # the stream of an unfinished block, and its bytes

    def size(self, way: int, data: bytearray) -> int:
        """Return the size of a frame or of the preface."""
        if way == self.client and self.preface:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise Bad("the client's preface is missing (RFC 9113 3.4)")
            return len(PREFACE) if len(data) >= len(PREFACE) else 0
        if len(data) < HEAD:
            return 0
        length = int.from_bytes(data[:3], "big")
        if length > self.most[way]:
            raise Bad(f"a frame of {length} bytes; its receiver takes at most {self.most[way]} (RFC 9113 4.2)")
        return HEAD + length

    def read(self, piece: StreamPiece) -> list[StreamMessage]:
        """Return the message of a frame."""
        way, data = piece.way, piece.data
        if way == self.client and self.preface:
            self.preface = False
            magic = Node("Magic", "http2.magic", 0, len(data) * 8, data, "PRI * HTTP/2.0", "the client's preface")
            return [piece.message(self.protocol, self.title, "connection preface", [magic])]
        fields = FieldReader(data)
        fields.number(3, "http2.length", "Length", "of the payload, in bytes")
        kind = fields.number(1, "http2.type", "Type")
        fields.nodes[-1].text = f"{NAMES.get(kind, 'unknown')} ({kind})"
        flags = data[4]
        fields.nodes.append(_flags(data, kind))
        fields.nodes.append(bits(data, 5, 0, 1, "http2.r", "Reserved"))
        stream = int.from_bytes(data[5:9], "big") & 0x7FFFFFFF
        where = "the whole connection" if not stream else ""
        fields.nodes.append(Node("Stream identifier", "http2.streamid", 41, 31, stream, str(stream), where))
        fields.at = HEAD
        text = NAMES.get(kind, f"frame of the unknown type {kind}") + (f", stream {stream}" if stream else "")
        more = self._payload(way, kind, flags, stream, fields)
        if (kind in OF_STREAM) == (stream == 0) and (kind in OF_STREAM or kind in OF_CONNECTION):
            need = "a stream" if kind in OF_STREAM else "the connection"
            fields.nodes.append(t.wrong(f"a frame of this type belongs to {need} (RFC 9113 6)", 5, 9))
            more = "malformed"
        return [piece.message(self.protocol, self.title, text + (f": {more}" if more else ""), fields.nodes)]

    def _payload(self, way: int, kind: int, flags: int, stream: int, fields: FieldReader) -> str:
        """Read the payload. Return what it says, in a few words."""
        open_block = self.blocks[way]
        if open_block is not None and (kind != CONTINUATION or stream != open_block[0]):
            self.blocks[way] = None
            self.headers[way].why = self.headers[way].why or "an earlier header block was not finished"
        if kind == DATA:
            return self._data(flags, fields)
        if kind in (HEADERS, PUSH_PROMISE, CONTINUATION):
            return self._block(way, kind, flags, stream, fields)
        if kind == SETTINGS:
            return self._settings(way, flags, fields)
        if kind == GOAWAY and fields.left >= 8:
            _reserved(fields, "http2.goaway.r", "http2.goaway.last_stream_id", "Last stream")
            last = fields.nodes[-1].text
            code = _error(fields, "http2.goaway.error")
            if fields.left:
                fields.raw(fields.left, "http2.goaway.addata", "Additional debug data")
            return f"{code}, last stream {last}"
        sizes = {PRIORITY: 5, RST_STREAM: 4, WINDOW_UPDATE: 4, PING: 8, GOAWAY: 8}
        if kind in sizes and fields.left != sizes[kind]:
            fields.nodes.append(
                t.wrong(f"a payload of {fields.left} bytes; this type has {sizes[kind]} (RFC 9113 6)", 0, 3)
            )
            fields.rest("http2.unknown", "Payload")
            return "malformed"
        if kind == RST_STREAM:
            return _error(fields, "http2.rst_stream.error")
        if kind == WINDOW_UPDATE:
            _reserved(
                fields,
                "http2.window_update.r",
                "http2.window_update.window_size_increment",
                "Window size increment",
            )
            return f"{fields.nodes[-1].text} more bytes"
        if kind == PING:
            fields.raw(8, "http2.pong" if flags & ACK else "http2.ping", "Pong" if flags & ACK else "Ping")
            return "ACK" if flags & ACK else ""
        if kind == PRIORITY:
            _priority(fields)
            return ""
        fields.rest("http2.unknown", "Payload")
        return ""

    def _data(self, flags: int, fields: FieldReader) -> str:
        pad = _pad_length(flags, fields)
        size = fields.left + _missing(fields) - pad
        if size < 0:
            fields.nodes.append(t.wrong("more padding than payload (RFC 9113 6.1)", HEAD, HEAD + 1))
            fields.rest("http2.data.data")
            return "malformed"
        if size:
            fields.raw(size, "http2.data.data", "Data")
        if pad and fields.left:
            fields.raw(pad, "http2.data.padding", "Padding")
        return size_text(size) + (", end of the stream" if flags & END_STREAM else "")

    def _block(self, way: int, kind: int, flags: int, stream: int, fields: FieldReader) -> str:
        """Read a part of a header block. The block is decoded with its last part."""
        pad = _pad_length(flags, fields) if kind != CONTINUATION else 0
        if kind == HEADERS and flags & WITH_PRIORITY:
            _priority(fields)
        if kind == PUSH_PROMISE:
            _reserved(fields, "http2.push_promise.r", "http2.push_promise.promised_stream_id", "Promised stream")
        if fields.short or pad > fields.left:
            self.headers[way].why = self.headers[way].why or "an earlier header block was damaged"
            if not fields.short:
                fields.nodes.append(t.wrong("more padding than payload (RFC 9113 6.2)", HEAD, HEAD + 1))
            fields.rest("http2.headers", "Header block fragment")
            return "malformed"
        name = {HEADERS: "http2.headers", PUSH_PROMISE: "http2.push_promise.header"}
        start, end = fields.at, fields.end - pad
        fragment = fields.raw(end - start, name.get(kind, "http2.continuation.header"), "Header block fragment")
        shown = fields.nodes[-1]
        if pad:
            fields.raw(pad, "http2.headers.padding" if kind == HEADERS else "http2.push_promise.padding", "Padding")
        if kind == CONTINUATION:
            before = self.blocks[way]
            if before is None:
                fields.nodes.append(t.wrong("no header block goes on here (RFC 9113 6.10)", 3, 4))
                return "malformed"
            fragment = before[1] + fragment
        self.blocks[way] = None
        if len(fragment) > MOST_BLOCK or _missing(fields):
            self.headers[way].why = self.headers[way].why or f"a header block has more than {MOST_BLOCK} bytes"
        elif not flags & END_HEADERS:
            self.blocks[way] = (stream, fragment)
            return "the headers go on in a CONTINUATION"
        return self._decode(way, fragment, shown, fields)

    def _decode(self, way: int, block: bytes, shown: Node, fields: FieldReader) -> str:
        try:
            headers = self.headers[way].decode(block)
        except Bad as error:
            missing = self.headers[way].decoder is None
            node = t.note(str(error), shown.offset, shown.end)
            fields.nodes.append(node if missing else t.wrong(str(error), shown.offset, shown.end))
            return str(error) if missing else f"malformed: {error}"
        for name, value in headers[:100]:
            text = f"{words(name)}: {words(value)}"
            parts = [
                Node("Name", "http2.header.name", shown.offset_bits, shown.width_bits, name, words(name)),
                Node("Value", "http2.header.value", shown.offset_bits, shown.width_bits, value, words(value)),
            ]
            shown.children.append(
                Node("Header", "http2.header", shown.offset_bits, shown.width_bits, b"", text, "", parts)
            )
        return summary(headers)

    def _settings(self, way: int, flags: int, fields: FieldReader) -> str:
        if flags & ACK and not fields.left:
            return "ACK"
        if fields.left % 6 or flags & ACK:
            why = "an ACK has no settings" if flags & ACK else f"{fields.left} bytes are no whole number of settings"
            fields.nodes.append(t.wrong(f"{why} (RFC 9113 6.5)", HEAD, fields.end))
            fields.rest("http2.unknown", "Payload")
            return "malformed"
        said = []
        while fields.left and len(fields.nodes) < 40:
            start, first = fields.at, len(fields.nodes)
            kind = fields.number(2, "http2.settings.id", "Settings identifier")
            abbrev, name = PARAMETERS.get(kind, ("unknown", f"Setting {kind}"))
            value = fields.number(4, f"http2.settings.{abbrev}", name)
            self._apply(way, kind, value)
            fields.group("Settings", "http2.settings", start, first, f"{name} {value}")
            said.append(f"{abbrev if kind in PARAMETERS else kind} {value}")
        fields.rest("", "More settings")
        return ", ".join(said[:4]) + (f" and {len(said) - 4} more" if len(said) > 4 else "")

    def _apply(self, way: int, kind: int, value: int) -> None:
        """Apply a setting of one side to what the other side may send."""
        if kind == 1:
            self.headers[1 - way].allow(value)
        elif kind == 5 and DEFAULT_FRAME <= value < 1 << 24:
            self.most[1 - way] = max(value, self.most[1 - way])


def summary(headers: list[tuple[bytes, bytes]]) -> str:
    """Return headers in a few words: the request line, the status, or the number of trailers."""
    known = {name: words(value, 80) for name, value in reversed(headers) if name.startswith(b":")}
    if b":method" in known:
        return f"{known[b':method']} {known.get(b':path', known.get(b':authority', ''))}".rstrip()
    if b":status" in known:
        return known[b":status"]
    return f"trailers ({len(headers)})"


def _flags(data: bytes, kind: int) -> Node:
    """Return the flags of a frame, with the ones that its type has."""
    parts = [bits(data, 4, 7 - bit.bit_length() + 1, 1, f"http2.flags.{abbrev}", name)
             for bit, abbrev, name in FLAGS.get(kind, ())]  # fmt: skip
    names = ", ".join(part.name for part in parts if part.value)
    return Node(
        "Flags", "http2.flags", 32, 8, data[4], f"0x{data[4]:02x}" + (f" ({names})" if names else ""), "", parts
    )


def _missing(fields: FieldReader) -> int:
    """Return how many bytes of the frame are not kept, because it is very large (base.KEPT)."""
    return HEAD + int.from_bytes(fields.data[:3], "big") - len(fields.data)


def _pad_length(flags: int, fields: FieldReader) -> int:
    """Read the length of the padding, if there is one."""
    return fields.number(1, "http2.padding", "Pad length") if flags & PADDED else 0


def _reserved(fields: FieldReader, reserved: str, abbrev: str, name: str) -> None:
    """Read a reserved bit and a number of 31 bits."""
    if fields.left < 4:
        fields.cut(name)
        return
    value = int.from_bytes(fields.data[fields.at : fields.at + 4], "big") & 0x7FFFFFFF
    fields.nodes.append(bits(fields.data, fields.at, 0, 1, reserved, "Reserved"))
    fields.nodes.append(Node(name, abbrev, fields.at * 8 + 1, 31, value, str(value)))
    fields.at += 4


def _error(fields: FieldReader, abbrev: str) -> str:
    """Read an error code."""
    code = fields.number(4, abbrev, "Error")
    name = ERRORS[code] if code < len(ERRORS) else f"error {code}"
    fields.nodes[-1].text = f"{name} ({code})"
    return name


def _priority(fields: FieldReader) -> None:
    """Read the priority of RFC 7540, which RFC 9113 5.3.2 deprecates."""
    if fields.left < 5:
        fields.cut("priority")
        return
    at = fields.at
    fields.nodes.append(bits(fields.data, at, 0, 1, "http2.exclusive", "Exclusive"))
    other = int.from_bytes(fields.data[at : at + 4], "big") & 0x7FFFFFFF
    fields.nodes.append(Node("Stream dependency", "http2.stream_dependency", at * 8 + 1, 31, other, str(other)))
    fields.at += 4
    fields.number(1, "http2.headers.weight", "Weight")
