"""Reads the frames of a pcapng or pcap file, with limits, so that a hostile file gives one clear error."""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pystack.stepper.sniff import PCAP, PCAPNG
from pystack.trace.errors import TraceError
from pystack.trace.format import TRUST
from pystack.trace.pcapng import PcapngReader

#: the most frames of one capture, and the most bytes of its file
MAX_FRAMES, MAX_SIZE = 1_000_000, 1 << 30
#: times are nanoseconds since 1970 in 63 bits
MAX_TIME = 1 << 63
#: the longest frame that a capture may hold (MAXIMUM_SNAPLEN of libpcap, with room for the largest offloaded frame)
MAX_FRAME = 1 << 20


class Raw(NamedTuple):
    """One frame of a file: `time` in ns, `link` is the LINKTYPE of its interface, `length` what it had on the wire."""

    time: int
    link: int
    data: bytes
    length: int
    iface: str


class CaptureReader:
    """Iterates over the frames of an open capture. `names` collects the names of addresses that the file contains, and
    `secrets` the key logs of TLS.

    Raises TraceError. With `partial`, a file that was cut off ends where it was cut.
    """

    def __init__(self, source: BinaryIO, name: str, *, partial: bool = False, trusted: bool = False, size: int = 0):
        self.source = source
        self.name = name
        self.partial = partial
        self.trusted = trusted
        self.names: dict[str, str] = {}
        self.secrets: list[bytes] = []
        self.position = 0
        self.complete = True
        if size > MAX_SIZE and not trusted:
            raise TraceError(f"{name}: {size} bytes; a capture may have {MAX_SIZE}; {TRUST}")

    def __iter__(self) -> Iterator[Raw]:
        head = self.source.read(4)
        self.source.seek(0)
        count = 0
        try:
            for raw in self._pcapng() if head == PCAPNG else self._pcap():
                count += 1
                if count > MAX_FRAMES and not self.trusted:
                    raise TraceError(f"{self.name}: more than {MAX_FRAMES} frames; {TRUST}")
                if not 0 <= raw.time < MAX_TIME:
                    raise TraceError(f"{self.name}: frame {count} has an impossible time")
                if len(raw.data) > MAX_FRAME:
                    raise TraceError(
                        f"{self.name}: frame {count} has {len(raw.data)} bytes, but the limit is {MAX_FRAME}"
                    )
                yield raw
        except TraceError as error:
            if not (self.partial and ": truncated" in str(error)):
                raise
            self.complete = False

    def _pcapng(self) -> Iterator[Raw]:
        reader = PcapngReader(self.source, self.name)
        reader.names, reader.secrets = self.names, self.secrets
        last = 0
        for frame in reader:
            self.position = reader.position
            # A simple packet block has no time (section 4.4 of the draft): it gets that of the frame before it.
            last = frame.time if frame.time >= 0 else last
            yield Raw(last, frame.interface.linktype, frame.data, frame.original_length, frame.interface.name)

    def _pcap(self) -> Iterator[Raw]:
        order, unit = PCAP[self._take(4, "the header")]
        _, _, _, _, _, link = struct.unpack(order + "HHiIII", self._take(20, "the header"))
        # The upper bits say whether a checksum follows each frame (draft-ietf-opsawg-pcap section 4).
        link &= 0xFFFF
        head = struct.Struct(order + "IIII")
        while True:
            raw = self.source.read(16)
            if not raw:
                return
            if len(raw) < 16:
                raise self._fail(f"truncated in a frame's header (16 bytes needed, {len(raw)} available)")
            self.position += 16
            seconds, part, captured, length = head.unpack(raw)
            if captured > MAX_FRAME:
                raise self._fail(f"impossible length {captured} of a frame")
            yield Raw(seconds * 1_000_000_000 + part * unit, link, self._take(captured, "a frame"), length, "")

    def _take(self, count: int, what: str) -> bytes:
        data = self.source.read(count)
        if len(data) < count:
            raise self._fail(f"truncated in {what} ({count} bytes needed, {len(data)} available)")
        self.position += count
        return data

    def _fail(self, what: str) -> TraceError:
        return TraceError(f"{self.name}: {what}, at byte {self.position}")
