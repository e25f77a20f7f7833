"""A device that prints one line for every frame that passes through it."""

import time
from collections.abc import Callable

from pystack.phy.device import Device
from pystack.phy.wrapper import Wrapper
from pystack.trace.summary import Summarizer
from pystack_c.packet import Transmit


class TracerDevice(Wrapper):
    """Passes lines such as "0.001200 tap0 < ARP, Request who-has ..." to `write`."""

    def __init__(
        self, device: Device, write: Callable[[str], object] = print, clock: Callable[[], int] = time.monotonic_ns
    ):
        super().__init__(device)
        self.write = write
        self.clock = clock
        self.begin = clock()
        self.summarizer = Summarizer(device.kind)

    def recv(self) -> tuple[bytes, int, int, int] | None:
        """Return the next frame of the wrapped device, and print it."""
        got = self.device.recv()
        if got is not None:
            self._print("<", got[0][got[1] :] if got[1] else got[0])
        return got

    def send(self, tx: Transmit) -> bool:
        """Send a frame, and print it if it was sent."""
        sent = self.device.send(tx)
        if sent:
            self._print(">", bytes(tx.to_bytes()))
        return sent

    def _print(self, arrow: str, frame: bytes) -> None:
        seconds = (self.clock() - self.begin) / 1e9
        self.write(f"{seconds:.6f} {self.name} {arrow} {self.summarizer.line(frame)}")
