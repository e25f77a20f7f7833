"""The base class of devices that wrap another device."""

from pystack.phy.device import Device
from pystack_c.packet import Transmit


class Wrapper:
    """A device that passes everything on to the wrapped device. Subclasses inspect or change the frames."""

    def __init__(self, device: Device):
        self.device = device
        self.name = device.name
        self.kind = device.kind
        self.mac = device.mac
        self.mtu = device.mtu
        self.tx_csum = device.tx_csum
        self.gso_max = device.gso_max

    def fileno(self) -> int:
        """Return the descriptor of the wrapped device."""
        return self.device.fileno()

    def recv(self) -> tuple[bytes, int, int, int] | None:
        """Return the next frame of the wrapped device, or None."""
        return self.device.recv()

    def send(self, tx: Transmit) -> bool:
        """Send the frame to the wrapped device. Returns False if that has no room."""
        return self.device.send(tx)

    def close(self) -> None:
        """Close the wrapped device."""
        self.device.close()
