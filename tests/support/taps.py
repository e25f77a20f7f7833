"""TAPs in a namespace of the kernel, whose other ends a test holds: it writes frames and reads what the kernel sends."""

import contextlib
import fcntl
import os
import select
import struct
import time
from typing import Any

from pystack.kernel.netns import Namespace, configure
from pystack.sim.network import Network, Wire

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000


class Tap:
    """A TAP device that is up. `write` gives the kernel a frame, and `read` returns those that it sent."""

    def __init__(self, space: Namespace, name: str, address: str | None = None):
        self.name = name
        self.fd: int = space.call(_open, name)
        configure(name, address=address, up=True, netns=space)

    def write(self, frame: bytes) -> None:
        """The kernel receives a frame."""
        os.write(self.fd, frame)

    def read(self) -> list[bytes]:
        """What the kernel has sent, without waiting."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while len(found) < 1000:
                found.append(os.read(self.fd, 65536))
        return found

    def close(self) -> None:
        """Remove the device."""
        os.close(self.fd)


def _open(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def play(net: Network, joined: "dict[Tap, Wire]", seconds: float, done: Any = lambda: False) -> bool:
    """Run a simulated network in real time, with bare wires that end in TAPs. Returns what `done()` returned last.

    It ends when `done()` is true, and after `seconds` at the latest.
    """
    for tap, wire in joined.items():
        wire.on_frame = tap.write
    began, base = time.monotonic_ns(), net.now
    end = began + int(seconds * 1e9)
    poll = select.poll()
    for tap in joined:
        poll.register(tap.fd, select.POLLIN)
    while (now := time.monotonic_ns()) < end:
        net.run(base + now - began)
        if done():
            return True
        for tap, wire in joined.items():
            for frame in tap.read():
                wire.send(frame)
        net.run(base + time.monotonic_ns() - began)
        following = net.next_time()
        wait = (
            0.02 if following is None else min(0.02, max(0.0, (base + time.monotonic_ns() - began - following) / -1e9))
        )
        poll.poll(wait * 1000)
    return bool(done())
