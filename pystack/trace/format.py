"""The file format of recordings: a stream of records in compressed, checksummed chunks.

    file    = magic "PYSTACKT", version (1 byte), chunk*
    chunk   = length (4 bytes), CRC-32 of the rest (4 bytes), deflated records   (big-endian)
    record  = kind (1 byte), fields

A chunk holds whole records, so after a crash the file can be read up to its last complete chunk. The reader does not
trust the file: it expands chunks piece by piece, and it limits the bytes and values of a record and the bytes of all
records (`limit`), so reading needs memory for one record only. The last record of a finished file is END. Numbers are
LEB128. Times are differences to the time of the previous record. `RECORDS` lists the records; recorder.py writes them,
replay.py reads them, and values.py defines the forms of values.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from pystack.trace.cursor import BadData, ShortData, ValueCursor
from pystack.trace.errors import TraceError
from pystack.trace.values import MAX_CHUNK, MAX_FRAME

MAGIC = b"PYSTACKT"
VERSION = 1
CHUNK = 1 << 18
#: the bytes that are expanded at a time
PIECE = 1 << 16
#: the most bytes that all records of a file may have together, by default
LIMIT = 1 << 30
#: the end of every message about a limit
TRUST = "if you trust its origin, --trusted (trusted=True) removes the limits"

# kind -> (name, fields); field types: n number, z signed number, t time, s text, b bytes, v value
META, HOST, FUNCTION, SETUP, RECEIVE, TIMEOUT, CALL, RESULT, ERROR, TRANSMIT, DRAINED, DEADLINE, END, NOTE = range(
    1, 15
)
RECORDS: dict[int, tuple[str, str]] = {
    META: ("meta", "v"),  # dict: the program that made the recording, and what it recorded
    HOST: (
        "host",
        "ssv",
    ),  # name, seed, configuration; it gets the next host number. A middlebox has an empty configuration
    FUNCTION: ("function", "s"),  # the name; it gets the next function number
    SETUP: ("setup", "ntsv"),  # host, time, method of the stack, arguments
    RECEIVE: ("receive", "ntnnnb"),  # host, time, interface, flags, gso_size, frame
    TIMEOUT: ("timeout", "nt"),  # host, time
    CALL: ("call", "ntnnv"),  # host, time, function, endpoint (0: the stack), arguments
    RESULT: ("result", "nv"),  # host, how the last call ended
    ERROR: ("error", "nsz"),  # host, exception's name, errno
    TRANSMIT: ("transmit", "ntnnnnbnb"),  # host, time, iface, gso, csum_start, csum_offset, header, payload len, hash
    DRAINED: ("drained", "nt"),  # host, time: poll_transmit returned None
    DEADLINE: ("deadline", "nv"),  # host, the result of poll_timeout in ns after the last time, or None
    END: ("end", "n"),  # the number of records before this one
    NOTE: (
        "note",
        "ntssssv",
    ),  # host, time, kind, subject, reason, RFC, fields: an event that no stack reports (HostRecorder.note)
}


class Record(NamedTuple):
    """One record: its number in the file (from 1), its kind, and its fields."""

    number: int
    kind: int
    fields: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The name of the kind."""
        return RECORDS[self.kind][0]


class ChunkWriter:
    """Collects records, and writes them in chunks."""

    def __init__(self, out: BinaryIO, level: int = 1):
        self.out = out
        self.level = level
        self.buffer = bytearray()
        self.records = 0
        out.write(MAGIC + bytes((VERSION,)))

    def end_record(self) -> None:
        """Note that `buffer` now ends with a whole record."""
        self.records += 1
        if len(self.buffer) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write the collected records as a chunk. After that, a crash cannot lose them."""
        if self.buffer:
            data = zlib.compress(bytes(self.buffer), self.level)
            self.out.write(struct.pack(">II", len(data), zlib.crc32(data)) + data)
            self.buffer.clear()
        self.out.flush()


class RecordReader:
    """Iterates over the records of an open recording.

    Raises TraceError, which says in one line what is wrong, and where.

    A recording that was cut off yields its complete chunks, and then the error. With
    `partial`, it ends without an error. All records together may have `limit` bytes
    after they were expanded. None means no limit, which is for a source that you trust.
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
        """Yield a chunk's expanded data piece by piece, each with a flag whether there is more."""
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
                raise self._fail(f"corrupted: a chunk expands to more than {MAX_CHUNK} bytes")
            if self.limit is not None and self.expanded > self.limit:
                raise self._fail(f"it expands to more than the limit of {self.limit} bytes; {TRUST}")
            yield piece, not expand.eof
        if expand.unused_data:
            raise self._fail("corrupted: a chunk contains data after its end")

    def _record(self, cursor: ValueCursor) -> Record:
        cursor.begin()
        kind = cursor.byte()
        if kind not in RECORDS:
            raise BadData(f"an unknown kind of record ({kind})")
        fields = cursor.fields(RECORDS[kind][1], self.time)
        if kind == TRANSMIT and fields[7] > MAX_FRAME:
            raise BadData(f"a frame of {fields[7]} bytes, but at most {MAX_FRAME} are allowed")
        self.time = cursor.time
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
            raise self._fail("truncated: the recording has no end because its writer was interrupted")

    def _records(self, chunk: bytes) -> Iterator[Record]:
        parts: list[bytes] = []
        size = wanted = 0
        for piece, more in self._pieces(chunk):
            parts.append(piece)
            size += len(piece)
            if more and size < wanted:
                continue
            cursor = ValueCursor(b"".join(parts), more)
            yield from self._whole(cursor)
            parts = [cursor.data[cursor.at :]]
            size = len(parts[0])
            # Parse an incomplete record again only when there is twice as much data, so the work stays linear.
            wanted = 2 * size

    def _whole(self, cursor: ValueCursor) -> Iterator[Record]:
        """Yield the complete records. The cursor stays at the first byte of an incomplete one."""
        while cursor.at < cursor.end:
            begin = cursor.at
            if self.complete:
                raise self._fail("corrupted: data follows the end of the recording")
            try:
                record = self._record(cursor)
            except ShortData:
                cursor.at = begin
                return
            except BadData as bad:
                raise self._fail(f"corrupted: {bad}") from None
            if record.kind == END:
                self.complete = True
                if record.fields[0] != self.records - 1:
                    raise self._fail(f"corrupted: {self.records - 1} records, but it says {record.fields[0]}")
            else:
                yield record
