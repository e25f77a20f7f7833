"""Writes and reads pcapng files without a library (draft-ietf-opsawg-pcapng).

The writer's files suit Wireshark, tshark and tcpdump. They have one section, nanosecond timestamps, interface names,
the direction of each frame, comments with the stack's decisions, names of addresses, and TLS keys. The reader accepts any
pcapng file: it knows both byte orders, and skips unknown blocks.
"""

import ipaddress
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

from pystack.runtime import forked
from pystack.trace.errors import TraceError

# Block types (section 10.1)
SHB = 0x0A0D0D0A
IDB = 1
SPB = 3
NRB = 4
EPB = 6
DSB = 10
BLOCK_NAMES = {SHB: "SHB", IDB: "IDB", SPB: "SPB", NRB: "NRB", EPB: "EPB", DSB: "DSB"}

BYTE_ORDER_MAGIC = 0x1A2B3C4D
LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101
TLS_KEY_LOG = 0x544C534B

# Options (sections 3.5, 4.2, 4.3)
OPT_END = 0
OPT_COMMENT = 1
SHB_HARDWARE, SHB_OS, SHB_USERAPPL = 2, 3, 4
IF_NAME, IF_DESCRIPTION, IF_TSRESOL, IF_TSOFFSET = 2, 3, 9, 14
EPB_FLAGS = 2

INBOUND = 1
OUTBOUND = 2
MAX_BLOCK = 1 << 28
#: the most interfaces of a section, and the most names of addresses of a file
MAX_INTERFACES, MAX_NAMES = 1 << 16, 1 << 16
#: the largest value of the 16-bit length of an option
MAX_OPTION = 65535


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    value = value[:MAX_OPTION]
    return struct.pack("<HH", code, len(value)) + _pad(value)


def _text(text: str) -> bytes:
    """Return the text in UTF-8. If it does not fit into an option, it is cut between two characters."""
    raw = text.encode("utf-8", "replace")
    return raw if len(raw) <= MAX_OPTION else raw[:MAX_OPTION].decode("utf-8", "ignore").encode()


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return b"".join((struct.pack("<II", kind, length), body, struct.pack("<I", length)))


class PcapngWriter:
    """Writes frames to an open binary file.

    With `flush`, which is the default for a pipe, it writes each packet at once.
    """

    def __init__(self, out: BinaryIO, *, application: str = "pystack", flush: bool | None = None, comment: str = ""):
        self.out = out
        self.flush = not out.seekable() if flush is None else flush
        self.interfaces: list[str] = []
        self.packets = 0
        self.closed = False
        options = _option(OPT_COMMENT, _text(comment)) if comment else b""
        options += _option(SHB_USERAPPL, _text(application)) + _option(OPT_END, b"")
        # Section length -1 means that the length is not known while writing (section 4.1).
        self._write(_block(SHB, struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1) + options))

    @classmethod
    def open(cls, path: str, **kwargs: Any) -> "PcapngWriter":
        """Create the file at `path`, and return a writer whose close() closes the file. Raises OSError."""
        return cls(forked.parents(open(path, "wb")), **kwargs)

    def _write(self, block: bytes) -> None:
        self.out.write(block)
        if self.flush:
            self.out.flush()

    def interface(self, name: str, linktype: int = LINKTYPE_ETHERNET, description: str = "") -> int:
        """Declare an interface, and return its number for `packet`."""
        options = _option(IF_NAME, _text(name))
        if description:
            options += _option(IF_DESCRIPTION, _text(description))
        options += _option(IF_TSRESOL, b"\x09") + _option(OPT_END, b"")
        self._write(_block(IDB, struct.pack("<HHI", linktype, 0, 0) + options))
        self.interfaces.append(name)
        return len(self.interfaces) - 1

    def packet(
        self, interface: int, time: int, data: bytes, direction: int = 0, comments: Iterable[str] = (), flags: int = 0
    ) -> None:
        """Write one frame at `time` (ns).

        `direction` is INBOUND, OUTBOUND or 0. Each comment becomes an option of its own.
        """
        options = b"".join([_option(OPT_COMMENT, _text(comment)) for comment in comments if comment])
        flags |= direction
        if flags:
            options += _option(EPB_FLAGS, struct.pack("<I", flags))
        if options:
            options += _option(OPT_END, b"")
        length = len(data)
        head = struct.pack("<IIIII", interface, (time >> 32) & 0xFFFFFFFF, time & 0xFFFFFFFF, length, length)
        self._write(_block(EPB, b"".join((head, data, bytes(-length % 4), options))))
        self.packets += 1

    def secrets(self, keylog: bytes) -> None:
        """Write TLS session keys in NSS key log format (section 4.7).

        Wireshark decrypts the frames after them with these keys.
        """
        self._write(_block(DSB, struct.pack("<II", TLS_KEY_LOG, len(keylog)) + _pad(keylog)))

    def names(self, names: Mapping[str, str]) -> None:
        """Write the names of addresses (section 4.5). Wireshark shows them for the frames after them, if it resolves network addresses."""
        records = []
        for address, name in names.items():
            found = ipaddress.ip_address(address)
            value = (found.packed + _text(name) + b"\0")[:MAX_OPTION]
            records.append(struct.pack("<HH", 1 if found.version == 4 else 2, len(value)) + _pad(value))
        if records:
            self._write(_block(NRB, b"".join((*records, bytes(4)))))

    def close(self) -> None:
        """Flush and close the file. A second call does nothing."""
        if not self.closed:
            self.closed = True
            self.out.close()


class Interface(NamedTuple):
    """One interface of a capture."""

    linktype: int
    name: str
    units: int  # timestamp units per second
    offset: int = 0  # ns to add to the timestamps


class CapturedFrame(NamedTuple):
    """One frame of a capture. `time` is in nanoseconds, or -1 if the block has none; `number` counts from 1."""

    number: int
    time: int
    interface: Interface
    data: bytes
    original_length: int
    direction: int
    comments: list[str]


class PcapngReader:
    """Iterates over the frames of an open binary file.

    `secrets` collects the TLS keys so far, and `names` the names of addresses. Raises TraceError for a bad file.
    """

    def __init__(self, source: BinaryIO, name: str = "capture"):
        self.source = source
        self.name = name
        self.order = "<"
        self.position = 0
        self.frames = 0
        self.interfaces: list[Interface] = []
        self.secrets: list[bytes] = []
        self.names: dict[str, str] = {}

    def fail(self, what: str) -> TraceError:
        """Return the error with its position."""
        return TraceError(f"{self.name}: {what}, at byte {self.position}")

    def _take(self, count: int, what: str) -> bytes:
        data = self.source.read(count)
        if len(data) < count:
            raise self.fail(f"truncated in {what} ({count} bytes needed, {len(data)} available)")
        return data

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        while True:
            head = self.source.read(8)
            if not head:
                return
            if len(head) < 8:
                raise self.fail(f"truncated in a block header (8 bytes needed, {len(head)} available)")
            kind = struct.unpack(self.order + "I", head[:4])[0]
            if kind == SHB:
                magic = self._take(4, "SHB")
                self.order = "<" if struct.unpack("<I", magic)[0] == BYTE_ORDER_MAGIC else ">"
                if struct.unpack(self.order + "I", magic)[0] != BYTE_ORDER_MAGIC:
                    raise self.fail("bad byte-order magic, not a pcapng file")
                head += magic
            elif self.position == 0:
                raise self.fail("not a pcapng file")
            length = struct.unpack(self.order + "I", head[4:8])[0]
            name = BLOCK_NAMES.get(kind, f"block type {kind:#x}")
            if length % 4 or not 12 <= length <= MAX_BLOCK:
                raise self.fail(f"impossible length {length} of {name}")
            rest = self._take(length - len(head), name)
            if rest[-4:] != head[4:8]:
                raise self.fail(f"the two lengths of {name} differ")
            yield kind, head[8:] + rest[:-4]
            self.position += length

    def _options(self, data: bytes) -> list[tuple[int, bytes]]:
        found = []
        at = 0
        while at + 4 <= len(data):
            code, length = struct.unpack_from(self.order + "HH", data, at)
            if code == OPT_END:
                break
            if at + 4 + length > len(data):
                raise self.fail("an option is longer than its block")
            found.append((code, data[at + 4 : at + 4 + length]))
            at += 4 + length + (-length % 4)
        return found

    def _interface(self, body: bytes) -> None:
        if len(body) < 8:
            raise self.fail("IDB too short")
        if len(self.interfaces) >= MAX_INTERFACES:
            raise self.fail(f"more than {MAX_INTERFACES} interfaces")
        name, units, offset = "", 1_000_000, 0
        for code, value in self._options(body[8:]):
            if code == IF_NAME:
                name = value.decode("utf-8", "replace")
            elif code == IF_TSRESOL and value:
                units = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == IF_TSOFFSET and len(value) == 8:
                offset = struct.unpack(self.order + "q", value)[0] * 1_000_000_000
        self.interfaces.append(Interface(struct.unpack_from(self.order + "H", body)[0], name, units, offset))

    def _names(self, body: bytes) -> None:
        """Read the records of a name resolution block (section 4.5)."""
        for kind, value in self._options(body):
            size = 4 if kind == 1 else 16 if kind == 2 else 0
            name = value[size:].partition(b"\0")[0].decode("utf-8", "replace")
            if size and len(value) > size and name and len(self.names) < MAX_NAMES:
                self.names.setdefault(str(ipaddress.ip_address(value[:size])), name)

    def _enhanced(self, body: bytes) -> CapturedFrame:
        if len(body) < 20:
            raise self.fail("EPB too short")
        number, high, low, captured, original = struct.unpack_from(self.order + "IIIII", body)
        if number >= len(self.interfaces):
            raise self.fail(f"EPB of interface {number}, but there are {len(self.interfaces)}")
        if 20 + captured > len(body):
            raise self.fail("EPB's frame is longer than its block")
        interface = self.interfaces[number]
        direction, comments = 0, []
        for code, value in self._options(body[20 + captured + (-captured % 4) :]):
            if code == OPT_COMMENT:
                comments.append(value.decode("utf-8", "replace"))
            elif code == EPB_FLAGS and len(value) == 4:
                direction = struct.unpack(self.order + "I", value)[0] & 3
        time = ((high << 32) | low) * 1_000_000_000 // interface.units + interface.offset
        data = body[20 : 20 + captured]
        return CapturedFrame(self.frames, time, interface, data, original, direction, comments)

    def __iter__(self) -> Iterator[CapturedFrame]:
        for kind, body in self._blocks():
            if kind == SHB:
                self.interfaces = []
            elif kind == IDB:
                self._interface(body)
            elif kind == DSB and len(body) >= 8:
                length = struct.unpack_from(self.order + "I", body, 4)[0]
                self.secrets.append(body[8 : 8 + length])
            elif kind == NRB:
                self._names(body)
            elif kind == EPB:
                self.frames += 1
                yield self._enhanced(body)
            elif kind == SPB and len(body) >= 4 and self.interfaces:
                self.frames += 1
                original = struct.unpack_from(self.order + "I", body)[0]
                yield CapturedFrame(self.frames, -1, self.interfaces[0], body[4 : 4 + original], original, 0, [])


def read(path: str) -> Iterator[CapturedFrame]:
    """Yield all frames of a pcapng file. Raises TraceError, which says in one line what is wrong with it."""
    with open(path, "rb") as source:
        yield from PcapngReader(source, path)
