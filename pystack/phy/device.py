"""The interface of a device for a driver: a TAP, one end of a cable in a test, or a wrapper around another device."""

import os
from typing import NamedTuple, Protocol, runtime_checkable

from pystack.phy.tapio import FrameIO
from pystack_c.packet import Transmit


class Received(NamedTuple):
    """One frame from a device.

    frame     the bytes; the frame starts at `offset`
    flags     const.RX_* bits
    gso_size  if it is above 0, the frame has the headers once, and several segments of `gso_size` bytes of payload
    """

    frame: bytes
    offset: int = 0
    flags: int = 0
    gso_size: int = 0


@runtime_checkable
class Device(Protocol):
    """A network interface card, as a driver sees it. No call waits.

    name       the interface's name in the stack
    kind       const.LINK_ETHERNET, or const.LINK_IP for bare IP packets
    mac        the stack's own address on it, 48 bits (0 for LINK_IP)
    mtu        the size of the largest IP packet, in bytes
    tx_csum    whether the device completes checksums (Transmit.csum_start)
    gso_max    the most bytes of TCP payload that the device cuts into segments by itself; 0 if it cannot

    The driver reads these values once, when it attaches the device, and uses the same descriptor until it closes the
    device. An OSError from `recv` or `send` means that the device is gone, and stops the stack.
    """

    name: str
    kind: int
    mac: int
    mtu: int
    tx_csum: bool
    gso_max: int

    def fileno(self) -> int:
        """Return a descriptor that is readable while a frame waits, or -1.

        Without one, the driver calls `recv` at each wake-up.
        """

    def recv(self) -> "tuple[bytes, int, int, int] | None":
        """Return the next frame as (frame, offset, flags, gso_size), see Received, or None if no frame waits."""

    def send(self, tx: Transmit) -> bool:
        """Send one frame.

        False means that the device has no room. The driver then drops the frame and counts it in `tx_dropped`.

        The frame is not tried again, as with a network card whose queue is full.
        TCP notices the loss; other protocols do not. A frame that is dropped behind
        the device, or that the device rejects permanently, counts as sent (True).
        """

    def close(self) -> None:
        """Release the descriptor and all other resources. A second call does nothing."""


@runtime_checkable
class DescriptorDevice(Device, Protocol):
    """A device that consists of a descriptor, such as a TAP.

    The driver may call `frame_io` instead of `recv` and `send`.

    A wrapper must not pass on `frame_io`, because the driver would then bypass the wrapper.
    """

    frame_io: FrameIO

    def refused(self, code: int) -> bool:
        """Handle a frame that `frame_io.send` rejected with this errno.

        Returns False if the device has no room, as `send` does.

        Raises OSError if the error means that the device is gone.
        """


def random_mac() -> int:
    """Return a random locally administered MAC address."""
    return 0x020000000000 | int.from_bytes(os.urandom(5), "big")
