"""MongoDB's protocol (its manual, "MongoDB Wire Protocol"): OP_MSG, and the older OP_QUERY and OP_REPLY of the first hello."""

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.messages.base import (
    Bad,
    FieldReader,
    StreamMessage,
    StreamParser,
    StreamPiece,
    bits,
    size_text,
)
from pystack.stepper.dissect.messages.bson import TYPES, Damaged, Document, document_size

OP_REPLY, OP_QUERY, OP_COMPRESSED, OP_MSG = 1, 2004, 2012, 2013
NAMES = {
    OP_REPLY: "OP_REPLY", 2001: "OP_UPDATE", 2002: "OP_INSERT", OP_QUERY: "OP_QUERY", 2005: "OP_GET_MORE",
    2006: "OP_DELETE", 2007: "OP_KILL_CURSORS", OP_COMPRESSED: "OP_COMPRESSED", OP_MSG: "OP_MSG",
}  # fmt: skip
COMPRESSORS = {0: "noop", 1: "snappy", 2: "zlib", 3: "zstd"}
#: the header, and the largest message that a server takes (48,000,000 bytes)
HEAD, MOST = 16, 48_000_000
CHECKSUM, MORE_TO_COME, EXHAUST = 1, 2, 1 << 16
#: the most documents of a sequence that become fields
MOST_DOCUMENTS = 20


class Mongo(StreamParser):
    """A connection of MongoDB."""

    protocol, title = "mongo", "MongoDB"
    kept = 1 << 20  # an answer's documents are counted

    def size(self, way: int, data: bytearray) -> int:
        """Return the size of a message."""
        if len(data) < HEAD:
            return 0
        length, code = int.from_bytes(data[:4], "little"), int.from_bytes(data[12:16], "little")
        if code not in NAMES:
            raise Bad(f"no message has the opcode {code}")
        if not HEAD <= length <= MOST:
            raise Bad(f"a length of {length} bytes")
        return length

    def read(self, piece: StreamPiece) -> list[StreamMessage]:
        """Return the message of a piece."""
        fields = FieldReader(piece.data)
        fields.little(4, "mongo.message_length", "Message length", "with the header")
        number = fields.little(4, "mongo.request_id", "Request ID", signed=False)
        answers = fields.little(4, "mongo.response_to", "Response to", signed=False)
        code = fields.little(4, "mongo.opcode", "Opcode")
        fields.nodes[-1].text = f"{NAMES[code]} ({code})"
        whole = piece.size == len(piece.data)
        try:
            said = self._body(code, fields, whole)
        except Damaged as error:
            # only the beginning of a large message is kept, so its end is missing here
            said = "malformed" if whole else ""
            if whole:
                fields.nodes.append(t.wrong(str(error), fields.at, fields.end))
            fields.rest()
        if fields.short and whole:
            said = "malformed"
        which = f"answer to {answers}" if answers else f"request {number}"
        return [
            piece.message(
                self.protocol, self.title, f"{NAMES[code]} {which}" + (f": {said}" if said else ""), fields.nodes
            )
        ]

    def _body(self, code: int, fields: FieldReader, whole: bool) -> str:
        """Read what follows the header. Return what it says."""
        if code == OP_MSG:
            return self._msg(fields)
        if code == OP_QUERY:
            _flags(fields, "mongo.query.flags", "Query flags")
            name = fields.cstring("mongo.full_collection_name", "Full collection name")
            fields.little(4, "mongo.number_to_skip", "Number to skip")
            fields.little(4, "mongo.number_to_return", "Number to return")
            if fields.short:
                return ""
            query = _document(fields, "Query")
            if fields.left:
                _document(fields, "Returned fields")
            return f"{name} {_command(query)}".rstrip()
        if code == OP_REPLY:
            _flags(fields, "mongo.reply.flags", "Reply flags")
            fields.little(8, "mongo.cursor_id", "Cursor ID")
            fields.little(4, "mongo.starting_from", "Starting from")
            count = fields.little(4, "mongo.number_returned", "Number returned")
            first = None
            for _ in range(min(max(count, 0), MOST_DOCUMENTS)):
                if fields.short or not fields.left:
                    break
                found = _document(fields, "Document")
                first = first or found
            fields.rest("", "More documents")
            return _outcome(first) if first else f"{count} documents"
        if code == OP_COMPRESSED:
            original = fields.little(4, "mongo.compression.original_opcode", "Original opcode")
            if not fields.short:
                fields.nodes[-1].text = f"{NAMES.get(original, 'unknown')} ({original})"
            size = fields.little(4, "mongo.compression.original_size", "Uncompressed size")
            kind = fields.number(1, "mongo.compression.compressor", "Compressor")
            name = COMPRESSORS.get(kind, f"compressor {kind}")
            fields.say(name)
            fields.rest("mongo.compression.compressed_data", "Compressed data")
            return f"{NAMES.get(original, original)}, {size_text(size)}, compressed by {name}"
        fields.rest("mongo.unknown")
        return ""

    def _msg(self, fields: FieldReader) -> str:
        """Read OP_MSG: flags, sections, and a checksum."""
        at = fields.at
        flags = fields.little(4, "mongo.msg.flags", "Message flags", signed=False)
        if fields.short:
            return ""
        parts = [
            bits(fields.data, at, 7, 1, "mongo.msg.flags.checksumpresent", "Checksum present"),
            bits(fields.data, at, 6, 1, "mongo.msg.flags.moretocome", "More to come"),
            bits(fields.data, at + 2, 7, 1, "mongo.msg.flags.exhaustallowed", "Exhaust allowed"),
        ]
        fields.nodes[-1].children = sorted(parts, key=lambda part: part.offset_bits)
        fields.nodes[-1].text = f"{flags:#010x}"
        last = fields.end - (4 if flags & CHECKSUM else 0)
        body: Document | None = None
        sequences: list[str] = []
        while fields.at < last and len(fields.nodes) < MOST_DOCUMENTS:
            start, first = fields.at, len(fields.nodes)
            kind = fields.number(1, "mongo.msg.sections.section.kind", "Kind")
            if kind == 0:
                fields.say("one document")
                found = _document(fields, "Body", last)
                body = body or found
                text = "body"
            elif kind == 1:
                fields.say("a sequence of documents")
                text = _sequence(fields, last)
                sequences.append(text)
            else:
                raise Damaged(f"no section has the kind {kind}")
            fields.group("Section", "mongo.msg.sections.section", start, first, text)
        if flags & CHECKSUM:
            fields.at = last
            fields.little(4, "mongo.msg.checksum", "Checksum", "CRC-32C", signed=False)
        fields.rest("", "More sections")
        said = "" if body is None else _outcome(body) if "ok" in body.top else _command(body)
        return ", ".join(part for part in (said, *sequences) if part)


def _flags(fields: FieldReader, abbrev: str, name: str) -> None:
    fields.little(4, abbrev, name, signed=False)


def _document(fields: FieldReader, name: str, end: int = -1) -> Document:
    found = Document(fields.data, fields.at, fields.end if end < 0 else end)
    found.node.name = name
    fields.nodes.append(found.node)
    fields.at = found.end
    return found


def _sequence(fields: FieldReader, last: int) -> str:
    """Read a section with a sequence of documents."""
    start = fields.at
    size = fields.little(4, "mongo.msg.sections.section.size", "Size")
    stop = start + size
    if fields.short or not 5 <= size or stop > last:
        raise Damaged(f"a section of {size} bytes does not fit")
    end, fields.end = fields.end, stop
    try:
        name = fields.cstring("mongo.msg.sections.section.doc_sequence_id", "Sequence ID")
        count = 0
        while fields.left and count < MOST_DOCUMENTS:
            _document(fields, "Document")
            count += 1
        at = fields.at
        while at < stop:
            at += document_size(fields.data, at, stop)
            count += 1
        fields.rest("", "More documents")
    finally:
        fields.end = end
    return f"{count} in {name}"


def _command(body: Document) -> str:
    """Return a command in a few words: its name, what it is for, and the database."""
    if not body.top:
        return "an empty document"
    name, value = next(iter(body.top.items()))
    database = body.top.get("$db", "").strip('"')
    kept = value if value.startswith('"') else body.top.get("collection", "")
    return f"{name} {kept}".rstrip() + (f" in {database}" if database else "")


def _outcome(body: Document) -> str:
    """Return an answer in a few words."""
    if body.top.get("ok") in ("0", "0.0", "false"):
        return f"error {body.top.get('code', '')} {body.top.get('errmsg', '')}".rstrip()
    for batch in ("cursor.firstBatch", "cursor.nextBatch"):
        if body.paths.get(batch):
            count = (
                body.paths[batch].rpartition(", ")[2].replace("element", "document").replace("empty", "no documents")
            )
            more = (
                "" if body.paths.get("cursor.id") in ("0", None) else f", the cursor {body.paths['cursor.id']} has more"
            )
            return f"ok, {count}{more}"
    if "writeErrors" in body.top:
        return f"ok, with {body.top['writeErrors'].rpartition(', ')[2].replace('element', 'write error')}"
    return f"ok, n {body.top['n']}" if "n" in body.top else "ok"


def plausible(data: bytes | bytearray) -> bool | None:
    """Return True if bytes begin with a message, False if they do not, and None if there are too few of them."""
    if len(data) < HEAD:
        return None
    length, code = int.from_bytes(data[:4], "little"), int.from_bytes(data[12:16], "little")
    if code not in (OP_QUERY, OP_MSG, OP_COMPRESSED) or not HEAD + 9 <= length <= MOST:
        return False
    if len(data) < HEAD + 10:
        return None
    flags = int.from_bytes(data[16:20], "little")
    if code == OP_QUERY:
        stop = data.find(0, 20, 300)
        if stop < 0:
            return None if len(data) < 300 else False
        name = bytes(data[20:stop])
        return flags & ~0xFE == 0 and name.isascii() and name.decode("ascii").isprintable() and b"." in name[1:]
    if code == OP_COMPRESSED:
        return int.from_bytes(data[16:20], "little") in NAMES and data[24] in COMPRESSORS
    if flags & 0xFFFC or data[20] > 1:
        return False
    size = int.from_bytes(data[21:25], "little")
    return 5 <= size <= length - 21 and (data[20] == 1 or data[25] in TYPES or size == 5)
