"""phy.device: the devices keep the protocol, and the driver does with them what the protocol says."""

import errno
import inspect
import io
import os
import time

import pytest

import pystack_c.const as C
from pystack.phy.device import DescriptorDevice, Device
from pystack.phy.segmenter import Segmenter
from pystack.phy.tap import TapDevice
from pystack.phy.tapio import FrameIO
from pystack.phy.wrapper import Wrapper
from pystack.runtime.realtime import RealtimeHost
from pystack.sim.channel import Channel
from pystack.sim.fault import FaultDevice
from pystack.stepper.live import GateDevice, StepGate
from pystack.trace.capture import PcapDevice
from pystack.trace.pcapng import PcapngWriter
from pystack.trace.tracer import TracerDevice
from pystack_c.sockets import udp
from pystack_c.stack import Stack
from tests import frames as f
from tests.phy.test_wrappers import Card
from tests.support.patience import PATIENCE

PEER = 0x0A000001


class Cable(Card):
    """A Card that the driver may read and write by its descriptor; `code` is the errno that each write gets."""

    kind = C.LINK_IP

    def __init__(self, code=0):
        super().__init__()
        self.frame_io = FrameIO(self.mine.fileno(), 70_000, False)
        self.codes = []
        if code:
            # A descriptor that refuses every write: the read end of a pipe (EBADF).
            self.pipe = os.pipe()
            self.frame_io.fd = self.pipe[0]

    def refused(self, code):
        self.codes.append(code)
        return len(self.codes) > 1

    def close(self):
        super().close()
        for fd in getattr(self, "pipe", ()):
            os.close(fd)


WRAPPERS = {
    "Wrapper": Wrapper,
    "Segmenter": Segmenter,
    "FaultDevice": lambda card: FaultDevice(card, inbound=Channel(), outbound=Channel()),
    "PcapDevice": lambda card: PcapDevice(card, PcapngWriter(io.BytesIO())),
    "TracerDevice": TracerDevice,
    "GateDevice": lambda card: GateDevice(card, StepGate()),
}


def subclasses(cls):
    found = {cls.__name__}
    for sub in cls.__subclasses__():
        found |= subclasses(sub)
    return found


def test_every_wrapper_is_tried_here():
    assert {name for name in subclasses(Wrapper) if not name.startswith("_")} == set(WRAPPERS)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_is_a_device(name):
    card = Cable()
    device = WRAPPERS[name](card)
    assert isinstance(card, DescriptorDevice)
    assert isinstance(device, Device)
    # Otherwise the driver would read and write past the wrapper.
    assert not isinstance(device, DescriptorDevice) and not hasattr(device, "frame_io")
    assert (device.name, device.kind, device.mac, device.mtu) == (card.name, card.kind, card.mac, card.mtu)
    assert device.recv() is None and device.fileno() >= 0
    device.close()
    device.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        card.mine.getsockname()


def test_the_protocol_refuses_what_is_no_device():
    class NoMtu(Wrapper):
        def __init__(self, device):
            super().__init__(device)
            del self.mtu

    card = Card()
    assert isinstance(card, Device) and not isinstance(card, DescriptorDevice)
    assert not isinstance(NoMtu(card), Device)
    assert not isinstance(FrameIO(-1, 0, False), Device)
    card.close()


@pytest.mark.parametrize("cls", [TapDevice, Wrapper, Segmenter, FaultDevice, PcapDevice, TracerDevice, GateDevice])
def test_methods_take_what_the_protocol_says(cls):
    names = ["fileno", "recv", "send", "close"]
    for name in [*names, "refused"] if cls is TapDevice else names:
        wanted = inspect.signature(getattr(DescriptorDevice, name))
        assert list(inspect.signature(getattr(cls, name)).parameters) == list(wanted.parameters), name


def send(host, count):
    """Send datagrams to the peer through the host's device."""
    sock = host.call(udp.udp_open, host.stack)
    for _ in range(count):
        host.call(udp.sendto, sock, b"data", PEER, 9, 0)


@pytest.fixture
def attach():
    """Makes a host with the device; the host is not started, so calls alone send."""
    hosts = []

    def make(device):
        host = RealtimeHost(Stack(1))
        hosts.append(host)
        iface = host.attach(device)
        host.setup("add_addr", iface, 0x0A000002, 24)
        return host

    yield make
    for host in hosts:
        host.close()


@pytest.mark.parametrize("cls", [Card, Wrapper])
def test_a_frame_without_room_is_dropped_and_counted(attach, cls):
    card = Card()
    card.kind = C.LINK_IP
    host = attach(card if cls is Card else cls(card))
    card.full = True
    send(host, 2)
    assert host.tx_dropped == 2
    card.full = False
    send(host, 1)
    # The dropped datagrams were not kept for now.
    assert len(card.far.recv(2000)) == 20 + 8 + 4
    with pytest.raises(BlockingIOError):
        card.far.recv(2000)
    assert host.tx_dropped == 2 and host.failure is None


def test_the_driver_uses_the_descriptor_and_asks_the_device_about_errors(attach):
    card = Cable(code=errno.EBADF)
    host = attach(card)
    send(host, 2)
    assert card.codes == [errno.EBADF, errno.EBADF]
    # Only the first answer was False (no room): the second frame is the device's to count.
    assert host.tx_dropped == 1


def test_an_error_of_the_device_stops_the_stack(attach):
    card = Card()
    card.kind = C.LINK_IP
    host = attach(card)
    card.send = lambda tx: (_ for _ in ()).throw(OSError(errno.ENODEV, "gone"))
    send(host, 1)
    assert isinstance(host.failure, OSError) and host.failure.errno == errno.ENODEV
    with pytest.raises(OSError, match="gone") as caught:
        send(host, 1)
    assert caught.value.errno == errno.ENETDOWN


def test_a_device_without_a_descriptor_is_read_at_each_wakeup(attach):
    card = Card(files=False)
    card.kind = C.LINK_IP
    host = attach(card)
    sock = host.call(udp.udp_open, host.stack)
    host.call(udp.bind, sock, 0, 9)
    host.start()
    card.far.send(f.ipv4("10.0.0.1", "10.0.0.2", 17, f.udp("10.0.0.1", 5, "10.0.0.2", 9, b"in")))
    limit = time.monotonic() + PATIENCE
    while (got := host.call(udp.recvfrom, sock, 0)) is None and time.monotonic() < limit:
        os.eventfd_write(host.kick_fd, 1)
        time.sleep(0.001)
    assert got is not None and got.data == b"in"
