"""Capture: a device that writes every frame that passes through it to a pcapng file or pipe."""

import time
from collections.abc import Callable

import pystack_c.const as C
from pystack.phy.device import Device
from pystack.phy.segmenter import finish_checksum
from pystack.phy.wrapper import Wrapper
from pystack.trace.pcapng import INBOUND, LINKTYPE_ETHERNET, LINKTYPE_RAW, OUTBOUND, PcapngWriter
from pystack_c.packet import Transmit


class PcapDevice(Wrapper):
    """Writes frames as they pass. Offloaded frames may be larger than the MTU; only their checksums are completed.

    Several devices may share the writer, and the code that made it closes it. If the writer fails (a full disk, a
    closed pipe), the capture ends, but the traffic continues. `error` is then the OSError.
    `matches(frame, kind of link)` says which frames to write; None means all (`pystack.bpf.matcher` makes one of an expression).
    """

    def __init__(
        self,
        device: Device,
        writer: PcapngWriter,
        clock: Callable[[], int] = time.time_ns,
        matches: Callable[[bytes, int], bool] | None = None,
    ):
        super().__init__(device)
        self.matches = matches
        self.writer = writer
        self.clock = clock
        self.error: OSError | None = None
        ethernet = device.kind == C.LINK_ETHERNET
        self.header = C.ETH_HLEN if ethernet else 0
        self.number = writer.interface(device.name, LINKTYPE_ETHERNET if ethernet else LINKTYPE_RAW)

    def recv(self) -> tuple[bytes, int, int, int] | None:
        """Return the next frame of the wrapped device, and write it."""
        got = self.device.recv()
        if got is not None and self.error is None:
            self._write(got[0][got[1] :] if got[1] else got[0], INBOUND)
        return got

    def send(self, tx: Transmit) -> bool:
        """Send a frame, and write it if it was sent."""
        sent = self.device.send(tx)
        if sent and self.error is None:
            self._write(bytes(tx.to_bytes()), OUTBOUND)
        return sent

    def _write(self, frame: bytes, direction: int) -> None:
        if self.matches is not None and not self.matches(frame, self.kind):
            return
        try:
            self.writer.packet(self.number, self.clock(), finish_checksum(frame, self.header), direction)
        except OSError as error:
            self.error = error
