"""What a driver needs of a device, whatever is behind it: a TAP, a simulated link, a wrapper around another one."""

from typing import NamedTuple, Protocol

from pystack_c.packet import Transmit


class Received(NamedTuple):
    """One frame from a device: it starts at `offset` of `frame`; `flags` are const.RX_*; `gso_size` > 0 says that
    it is several segments of that size in one (they share the headers)."""

    frame: bytes
    offset: int = 0
    flags: int = 0
    gso_size: int = 0


class Device(Protocol):
    """A network interface card, to the driver. All calls return at once.

    kind       const.LINK_ETHERNET or LINK_IP (bare IP packets)
    mac        48 bit, the address the stack shall use on it (0 for LINK_IP)
    mtu        bytes of IP packet a frame may carry
    tx_csum    True where the device finishes checksums (Transmit.csum_start)
    gso_max    the most payload bytes it cuts into segments by itself; 0: it cannot
    """

    name: str
    kind: int
    mac: int
    mtu: int
    tx_csum: bool
    gso_max: int

    def fileno(self) -> int:
        """What to select() on, or -1 where there is no file behind the device."""

    def recv(self) -> "tuple[bytes, int, int, int] | None":
        """The next frame as (frame, offset, flags, gso_size) (see Received), or None where none waits."""

    def send(self, tx: Transmit) -> bool:
        """Send one frame. False: no room now; the driver keeps it and tries again once the device is writable."""

    def close(self) -> None:
        """Give everything back. A second call does nothing."""
