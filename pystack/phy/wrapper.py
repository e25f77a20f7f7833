"""The base class of the devices that stand in front of another device."""

from pystack.phy.device import Device
from pystack_c.packet import Transmit


class Wrapper:
    """A device that passes everything on to the device behind it. Subclasses look at the frames, or change them."""

    def __init__(self, device: Device):
        self.device = device
        self.name = device.name
        self.kind = device.kind
        self.mac = device.mac
        self.mtu = device.mtu
        self.tx_csum = device.tx_csum
        self.gso_max = device.gso_max

    def fileno(self) -> int:
        """The descriptor of the device behind."""
        return self.device.fileno()

    def recv(self) -> tuple[bytes, int, int, int] | None:
        """The next frame of the device behind, or None."""
        return self.device.recv()

    def send(self, tx: Transmit) -> bool:
        """Give the frame to the device behind; False if that one has no room."""
        return self.device.send(tx)

    def close(self) -> None:
        """Close the device behind."""
        self.device.close()
