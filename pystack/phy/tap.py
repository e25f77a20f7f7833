"""TAP and TUN devices, which connect the stack with the Linux kernel (Documentation/networking/tuntap.rst).

A received frame is one `bytes` object. With offload, it begins with a virtio-net header of ten bytes, and the frame
proper starts at offset 10, so no copy is needed to remove the header. One writev sends a long frame from the virtio-net
header, the protocol headers and the payload, which are never joined. A short frame is joined first (see tapio.py).
"""

import errno
import fcntl
import os
import struct
from typing import Self

import pystack_c.const as C
from pystack.kernel import netns as ns
from pystack.phy.device import random_mac
from pystack.phy.tapio import VNET_HDR_LEN, FrameIO, keep_memory
from pystack_c.packet import Transmit

# linux/if_tun.h
TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
TUNSETOFFLOAD = 0x400454D0
TUNSETVNETHDRSZ = 0x400454D8
IFF_TUN = 0x0001
IFF_TAP = 0x0002
IFF_MULTI_QUEUE = 0x0100
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
TUN_F_CSUM = 0x01
TUN_F_TSO4 = 0x02
TUN_F_TSO_ECN = 0x08

#: how /dev/net/tun is opened
OPEN_FLAGS = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
#: the longest frame: Ethernet, a VLAN tag, and an IP packet of 65535 bytes
MAX_FRAME = 14 + 4 + 65535
#: the most bytes of TCP payload in one frame: an IP packet minus 60 bytes each for the headers of IP and TCP
GSO_MAX = 65535 - 120


class TapDevice:
    """A TAP (Ethernet) or TUN (bare IP) device, which is a `phy.device.DescriptorDevice`.

    name      the kernel's name of the device; the kernel chooses one if it is "" or contains %d
    mode      "tap" or "tun"
    netns     the namespace of the kernel's side: a `netns.Namespace`, or None for the current one
    offload   whether the kernel passes on and accepts frames of up to 64 KB with incomplete checksums
    address   the kernel side's own address, such as "10.0.0.1/24"; with an address, the device is also set up
    mtu       the MTU in bytes to set; None leaves it as it is
    mac       the stack's MAC address (not the kernel side's); None generates a locally administered one
    multi_queue  open one queue of several: each `TapDevice` of the same name, in any process, is another queue (with the same mac
              and offload). The kernel gives each flow to the queue that sent for it last, and a new flow to a queue by
              its hash; see docs/explanation/speed.md

    The kernel's errors are raised as OSError: PermissionError
    without CAP_NET_ADMIN, FileNotFoundError without /dev/net/tun.
    """

    def __init__(
        self,
        name: str = "tap%d",
        *,
        mode: str = "tap",
        netns: "ns.Namespace | None" = None,
        offload: bool = True,
        address: str | None = None,
        mtu: int | None = None,
        mac: int | None = None,
        multi_queue: bool = False,
    ):
        if mode not in ("tap", "tun"):
            raise ValueError(f"mode must be 'tap' or 'tun', not {mode!r}")
        self.mode = mode
        self.kind = C.LINK_ETHERNET if mode == "tap" else C.LINK_IP
        self.offload = offload
        self.netns = netns
        self.tx_csum = offload
        self.gso_max = GSO_MAX if offload else 0
        self.tx_dropped = 0
        self.tx_errors = 0
        #: `made`: the device did not exist before
        self._fd, self.name, self.made = ns.call(netns, _open, name, mode, offload, multi_queue)
        #: reads and writes the descriptor; the driver uses it directly
        self.frame_io = FrameIO(self._fd, 0, offload)
        if offload and not any(name.startswith("MALLOC_") for name in os.environ):
            keep_memory()
        try:
            if address is not None or mtu is not None:
                ns.configure(self.name, address=address, mtu=mtu, up=address is not None, netns=netns)
            self.mtu = ns.get_mtu(self.name, netns)
        except BaseException:
            self.close()
            raise
        if mac is None:
            mac = random_mac()
        self.mac = mac if mode == "tap" else 0
        self.frame_io.size = VNET_HDR_LEN + MAX_FRAME if offload else 14 + 4 + self.mtu

    def __repr__(self) -> str:
        return f"<{self.mode} {self.name} mtu {self.mtu} offload {'on' if self.offload else 'off'} fd {self._fd}>"

    def fileno(self) -> int:
        """Return the device's file descriptor, or -1 if it is closed."""
        return self._fd

    @property
    def rx_errors(self) -> int:
        """The number of received frames that were too short."""
        return self.frame_io.short

    def recv(self) -> tuple[bytes, int, int, int] | None:
        """Return the next frame as (frame, offset, flags, gso_size), or None if no frame waits."""
        io = self.frame_io
        frame = io.recv()
        return None if frame is None else (frame, io.offset, io.flags, io.gso_size)

    def send(self, tx: Transmit) -> bool:
        """Send one frame.

        Returns False if the device has no room. A frame that the kernel rejects permanently is counted and lost.
        """
        code = self.frame_io.send(tx)
        return code == 0 or self.refused(code)

    def refused(self, code: int) -> bool:
        """Handle a frame that the kernel rejected with this errno.

        Returns False if the device has no room, or True if the frame
        is counted here and lost. Raises OSError for any other error.
        """
        if code == errno.EAGAIN:
            return False
        if code == errno.ENOBUFS or code == errno.ENOMEM:
            self.tx_dropped += 1
        elif code in (errno.EIO, errno.EINVAL, errno.EMSGSIZE):
            # EIO: the kernel side is down, as if the cable was unplugged.
            # EINVAL: the kernel considers the frame malformed.
            self.tx_errors += 1
        else:
            raise OSError(code, os.strerror(code))
        return True

    def close(self) -> None:
        """Close the descriptor. The kernel then removes the device, unless it is persistent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self.frame_io.fd = -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _open(name: str, mode: str, offload: bool, multi_queue: bool) -> tuple[int, str, bool]:
    """Open /dev/net/tun in the current namespace, and attach to the device or create it.

    Returns (fd, the device's name, whether it was created).
    """
    made = not ns.exists(name)
    try:
        fd = os.open("/dev/net/tun", OPEN_FLAGS)
    except FileNotFoundError as exc:
        raise FileNotFoundError(exc.errno, "/dev/net/tun does not exist (try: modprobe tun)", "/dev/net/tun") from None
    return fd, attach(fd, name, mode, offload, multi_queue), made


def attach(fd: int, name: str, mode: str = "tap", offload: bool = True, multi_queue: bool = False) -> str:
    """Attach an open /dev/net/tun to a device of the namespace in which it was opened, or create the device. Returns the device's name.

    After an error, the descriptor is closed.
    """
    flags = (IFF_TAP if mode == "tap" else IFF_TUN) | IFF_NO_PI
    if offload:
        flags |= IFF_VNET_HDR
    if multi_queue:
        flags |= IFF_MULTI_QUEUE
    try:
        try:
            answer = fcntl.ioctl(fd, TUNSETIFF, ns.ifreq(name, struct.pack("=H", flags)))
        except PermissionError as exc:
            text = f"creating the device {name!r} needs CAP_NET_ADMIN in its namespace (run as root, or under unshare -Urn)"
            raise PermissionError(exc.errno, text) from None
        if offload:
            fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("=i", VNET_HDR_LEN))
            fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN)
    except BaseException:
        os.close(fd)
        raise
    return str(answer[:16].rstrip(b"\0").decode())
