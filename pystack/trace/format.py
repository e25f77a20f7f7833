"""The file format of recordings: a stream of records in compressed, checksummed chunks.

    file    = magic "PYSTACKT", version (1 byte), chunk*
    chunk   = length (4 bytes), CRC-32 of the rest (4 bytes), deflated records   (big-endian)
    record  = kind (1 byte), fields

Chunks hold whole records, so whatever is left of a file after a crash can be read up to the last whole chunk.
A file may come from anybody. Chunks are expanded piece by piece, a record may hold so many bytes and so many values, and all
records together so many bytes (`limit`), however small the file is: reading needs memory for one record.
The last record of a finished file is END. Numbers are LEB128; times are differences to the record before.
What the records mean is written at `RECORDS`; recorder.py writes them, replay.py reads them.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from pystack.trace.errors import TraceError

MAGIC = b"PYSTACKT"
VERSION = 1
CHUNK = 1 << 18
MAX_CHUNK = 1 << 26
#: bytes that are expanded at a time
PIECE = 1 << 16
#: values in one record (a few hundred settings are the most there are)
MAX_VALUES = 1 << 16
#: bytes that all records of a file may have together, where the reader is not told otherwise
LIMIT = 1 << 30
#: what a message about a limit ends with
TRUST = "if you trust where it comes from, --trusted (trusted=True) takes it without limits"
#: longest frame that a device can have: IPv4's 64 KiB behind an Ethernet header, rounded up
MAX_FRAME = 1 << 17
#: numbers of fields have 64 bits; those in values (a call's arguments) may have a few more
FIELD_BITS, VALUE_BITS = 64, 512

# kind -> (name, fields); field types: n number, z signed number, t time, s text, b bytes, v value
META, HOST, FUNCTION, SETUP, RECEIVE, TIMEOUT, CALL, RESULT, ERROR, TRANSMIT, DRAINED, DEADLINE, END = range(1, 14)
RECORDS: dict[int, tuple[str, str]] = {
    META: ("meta", "v"),  # dict: who made the recording of what
    HOST: ("host", "ssv"),  # name, seed, configuration: the next host number
    FUNCTION: ("function", "s"),  # module:name: the next function number
    SETUP: ("setup", "ntsv"),  # host, time, method of the stack, arguments
    RECEIVE: ("receive", "ntnnnb"),  # host, time, interface, flags, gso_size, frame
    TIMEOUT: ("timeout", "nt"),  # host, time
    CALL: ("call", "ntnnv"),  # host, time, function, endpoint (0: the stack), arguments
    RESULT: ("result", "nv"),  # host, how the last call ended
    ERROR: ("error", "nsz"),  # host, exception's name, errno
    TRANSMIT: ("transmit", "ntnnnnbnb"),  # host, time, iface, gso, csum_start, csum_offset, header, payload len, hash
    DRAINED: ("drained", "nt"),  # host, time: poll_transmit gave None
    DEADLINE: ("deadline", "nv"),  # host, what poll_timeout gives: ns from the last time on, or None
    END: ("end", "n"),  # records before this one
}


#: nanoseconds of 64 bits, signed
_TIMES = 1 << 63


class Record(NamedTuple):
    """One record: its number in the file (from 1), its kind, its fields."""

    number: int
    kind: int
    fields: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The kind's name."""
        return RECORDS[self.kind][0]


class EndpointRef(NamedTuple):
    """In a value: the endpoint of that number."""

    ident: int


class IfaceRef(NamedTuple):
    """In a value: the interface of that index."""

    number: int


class StackRef(NamedTuple):
    """In a value: the stack itself."""


class Digest(NamedTuple):
    """In a result: something long, by its length and hash."""

    length: int
    digest: bytes


class Other(NamedTuple):
    """In a result: an object that has no form of its own here, by the name of its type."""

    type: str


# -- numbers and values --------------------------------------------------------------------------------------------


def put_number(out: bytearray, value: int) -> None:
    """An unsigned number, seven bits a byte."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def put_signed(out: bytearray, value: int) -> None:
    """A signed number, zigzag."""
    put_number(out, value << 1 if value >= 0 else (-value << 1) - 1)


def put_bytes(out: bytearray, value: "bytes | bytearray | memoryview") -> None:
    """Bytes behind their length."""
    put_number(out, len(value))
    out += value


def put_value(out: bytearray, value: Any) -> None:
    """Any value that has a form here; TypeError for others."""
    if value is None:
        out.append(0)
    elif value is True or value is False:
        out.append(2 if value else 1)
    elif isinstance(value, int):
        out.append(3)
        put_signed(out, int(value))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        out.append(4)
        put_bytes(out, value)
    elif isinstance(value, str):
        out.append(5)
        put_bytes(out, value.encode("utf-8", "surrogateescape"))
    elif isinstance(value, float):
        out.append(6)
        out += struct.pack(">d", value)
    elif type(value) in _REFS:
        out.append(_REFS[type(value)])
        put_value(out, tuple(value))
    elif isinstance(value, (tuple, list)):
        out.append(7 if isinstance(value, tuple) else 8)
        put_number(out, len(value))
        for item in value:
            put_value(out, item)
    elif isinstance(value, dict):
        out.append(9)
        put_number(out, len(value))
        for key, item in value.items():
            put_value(out, key)
            put_value(out, item)
    else:
        raise TypeError(f"a recording cannot hold a {type(value).__name__}")


_REFS: dict[type, int] = {EndpointRef: 10, IfaceRef: 11, StackRef: 12, Digest: 13, Other: 14}
_REF_TYPES = {number: made for made, number in _REFS.items()}


class _Bad(Exception):
    """What is wrong inside a chunk."""


class _Early(_Bad):
    """The data ends within a record: more of it may come."""


class _Cursor:
    """Reads the fields of records from the bytes that are there; `more` says that others follow."""

    def __init__(self, data: bytes, more: bool = False):
        self.data = data
        self.at = 0
        self.end = len(data)
        self.more = more
        self.values = 0

    def begin(self) -> None:
        """A record begins: it may have so many values."""
        self.values = 0

    def missing(self, length: int, what: str) -> None:
        """The data has no `length` bytes more: fine if others follow, and a chunk can have so many."""
        raise _Early(what) if self.more and length <= MAX_CHUNK else _Bad(what)

    def byte(self) -> int:
        if self.at >= self.end:
            self.missing(1, "a record ends too early")
        self.at += 1
        return self.data[self.at - 1]

    def number(self, bits: int = FIELD_BITS) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift >= bits:
                raise _Bad("an endless number")
        if value >> bits:
            raise _Bad(f"a number of more than {bits} bits")
        return value

    def signed(self, bits: int = FIELD_BITS) -> int:
        value = self.number(bits)
        return value >> 1 if not value & 1 else -((value + 1) >> 1)

    def bytes(self, most: int = MAX_CHUNK) -> bytes:
        length = self.number()
        if length > most:
            raise _Bad(f"{length} bytes where {most} are the most")
        if length > self.end - self.at:
            self.missing(length, "bytes longer than their chunk")
        self.at += length
        return self.data[self.at - length : self.at]

    def text(self) -> str:
        return self.bytes().decode("utf-8", "surrogateescape")

    def count(self) -> int:
        count = self.number()
        if count > MAX_VALUES:
            raise _Bad(f"a list of {count}: a record may have {MAX_VALUES} values")
        if count > self.end - self.at:
            self.missing(count, "a list longer than its chunk")
        return count

    def value(self, depth: int = 0) -> Any:
        if depth > 20:
            raise _Bad("a value nested too deep")
        self.values += 1
        if self.values > MAX_VALUES:
            raise _Bad(f"a record of more than {MAX_VALUES} values")
        tag = self.byte()
        if tag < 3:
            return (None, False, True)[tag]
        if tag == 3:
            return self.signed(VALUE_BITS)
        if tag == 4:
            return self.bytes()
        if tag == 5:
            return self.text()
        if tag == 6:
            raw = bytes(self.byte() for _ in range(8))
            return struct.unpack(">d", raw)[0]
        if tag in (7, 8):
            items = [self.value(depth + 1) for _ in range(self.count())]
            return tuple(items) if tag == 7 else items
        if tag == 9:
            pairs = [(self.value(depth + 1), self.value(depth + 1)) for _ in range(self.count())]
            try:
                return dict(pairs)
            except TypeError:
                raise _Bad("a dict with an unhashable key") from None
        made = _REF_TYPES.get(tag)
        if made is None:
            raise _Bad(f"an unknown kind of value ({tag})")
        parts = self.value(depth + 1)
        try:
            return made(*parts)
        except TypeError:
            raise _Bad(f"a malformed {made.__name__}") from None


# -- files ---------------------------------------------------------------------------------------------------------


class ChunkWriter:
    """Collects records and writes them in chunks."""

    def __init__(self, out: BinaryIO, level: int = 1):
        self.out = out
        self.level = level
        self.buffer = bytearray()
        self.records = 0
        out.write(MAGIC + bytes((VERSION,)))

    def end_record(self) -> None:
        """What was put into `buffer` is a whole record now."""
        self.records += 1
        if len(self.buffer) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what there is, as a chunk: after that, a crash cannot take it."""
        if self.buffer:
            data = zlib.compress(bytes(self.buffer), self.level)
            self.out.write(struct.pack(">II", len(data), zlib.crc32(data)) + data)
            self.buffer.clear()
        self.out.flush()


class RecordReader:
    """Iterates over the records of an open recording. TraceError says in one line what is wrong, and where.

    A recording that was cut off gives all its whole chunks, then the error; with `partial`, it just ends.
    `limit`: the bytes that all records may have together once they are expanded (None: no limit, for a source that is trusted).
    """

    def __init__(self, source: BinaryIO, name: str = "recording", partial: bool = False, limit: int | None = LIMIT):
        self.source = source
        self.name = name
        self.partial = partial
        self.limit = limit
        self.expanded = 0
        self.position = 0
        self.length = 0
        self.records = 0
        self.time = 0
        self.complete = False
        head = source.read(len(MAGIC) + 1)
        if head[: len(MAGIC)] != MAGIC:
            if head and MAGIC.startswith(head):
                raise TraceError(f"{name}: truncated after {len(head)} bytes")
            raise TraceError(f"{name}: not a pystack recording")
        if len(head) <= len(MAGIC):
            raise TraceError(f"{name}: truncated after {len(head)} bytes")
        if head[-1] != VERSION:
            raise TraceError(f"{name}: format version {head[-1]}, but this pystack reads version {VERSION}")
        self.position = len(head)

    def _fail(self, what: str) -> TraceError:
        return TraceError(f"{self.name}: {what} (chunk at byte {self.position}, after record {self.records})")

    def _chunk(self) -> bytes | None:
        head = self.source.read(8)
        if not head:
            return None
        if len(head) < 8:
            raise self._fail(f"truncated: {len(head)} of 8 bytes of a chunk's head")
        length, crc = struct.unpack(">II", head)
        if length > MAX_CHUNK:
            raise self._fail(f"corrupted: impossible chunk length {length}")
        data = self.source.read(length)
        if len(data) < length:
            raise self._fail(f"truncated: {len(data)} of {length} bytes of a chunk")
        if zlib.crc32(data) != crc:
            raise self._fail("corrupted: wrong checksum")
        self.length = 8 + length
        return data

    def _pieces(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """A chunk expanded, a piece at a time, and whether there is more of it."""
        expand = zlib.decompressobj()
        total = 0
        while not expand.eof:
            try:
                piece = expand.decompress(data, PIECE)
            except zlib.error:
                raise self._fail("corrupted: cannot be decompressed") from None
            data = expand.unconsumed_tail
            if not piece and not data and not expand.eof:
                raise self._fail("corrupted: cannot be decompressed")
            total += len(piece)
            self.expanded += len(piece)
            if total > MAX_CHUNK:
                raise self._fail("corrupted: a chunk expands beyond all bounds")
            if self.limit is not None and self.expanded > self.limit:
                raise self._fail(f"it expands to more than the limit of {self.limit} bytes; {TRUST}")
            yield piece, not expand.eof
        if expand.unused_data:
            raise self._fail("corrupted: something follows within a chunk")

    def _record(self, cursor: _Cursor) -> Record:
        cursor.begin()
        kind = cursor.byte()
        if kind not in RECORDS:
            raise _Bad(f"an unknown kind of record ({kind})")
        fields: list[Any] = []
        time = self.time
        for code in RECORDS[kind][1]:
            if code == "n":
                fields.append(cursor.number())
            elif code == "t":
                time += cursor.signed()
                if not -_TIMES <= time < _TIMES:
                    raise _Bad("a time of more than 64 bits")
                fields.append(time)
            elif code == "b":
                fields.append(cursor.bytes(MAX_FRAME))
            elif code == "s":
                fields.append(cursor.text())
            elif code == "z":
                fields.append(cursor.signed())
            else:
                fields.append(cursor.value())
        if kind == TRANSMIT and fields[7] > MAX_FRAME:
            raise _Bad(f"a frame of {fields[7]} bytes where {MAX_FRAME} are the most")
        self.time = time
        self.records += 1
        return Record(self.records, kind, tuple(fields))

    def __iter__(self) -> Iterator[Record]:
        try:
            while (chunk := self._chunk()) is not None:
                yield from self._records(chunk)
                self.position += self.length
        except TraceError as error:
            if self.partial and ": truncated" in str(error):
                return
            raise
        if not self.complete and not self.partial:
            raise self._fail("truncated: the recording has no end; its writer was cut off")

    def _records(self, chunk: bytes) -> Iterator[Record]:
        parts: list[bytes] = []
        size = wanted = 0
        for piece, more in self._pieces(chunk):
            parts.append(piece)
            size += len(piece)
            if more and size < wanted:
                continue
            cursor = _Cursor(b"".join(parts), more)
            yield from self._whole(cursor)
            parts = [cursor.data[cursor.at :]]
            size = len(parts[0])
            # A record that is not whole is looked at again once there is twice as much of it: the work stays linear.
            wanted = 2 * size

    def _whole(self, cursor: _Cursor) -> Iterator[Record]:
        """The records that are whole in what is there; the cursor stays at the first byte of the one that is not."""
        while cursor.at < cursor.end:
            begin = cursor.at
            if self.complete:
                raise self._fail("corrupted: something follows the end of the recording")
            try:
                record = self._record(cursor)
            except _Early:
                cursor.at = begin
                return
            except _Bad as bad:
                raise self._fail(f"corrupted: {bad}") from None
            if record.kind == END:
                self.complete = True
                if record.fields[0] != self.records - 1:
                    raise self._fail(f"corrupted: {self.records - 1} records, but it says {record.fields[0]}")
            else:
                yield record


def decode_value(data: bytes) -> Any:
    """The value in its encoded form; ValueError where it is none."""
    try:
        return _Cursor(data).value()
    except _Bad as bad:
        raise ValueError(str(bad)) from None
