"""A wire between two network cards in user space: the simulator's channels (delay, rate, loss, ...) in a process of its
own.

It replaces netem, which the kernel of CI does not have. Each end is a file descriptor that returns one frame per read:
a TAP (the kernel's TCP is on the other side), or one half of a `socketpair` (for a pystack stack, through PairDevice).
"""

import contextlib
import ctypes
import gc
import heapq
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack.kernel.netns import Namespace, configure
from pystack.phy.tap import TapDevice
from pystack.running import up
from pystack.sim.channel import Channel
from pystack_c.packet import Transmit

FRAME = 65600
#: how many frames are taken from one end before it is the other's turn
BATCH = 32


class PairDevice:
    """A network card on one half of a socketpair (a `phy.device.Device`). The other half is for a Wire."""

    def __init__(self, name: str = "pair0", mtu: int = 1500, mac: int = 0x0200000000AA):
        self.name = name
        self.kind = C.LINK_ETHERNET
        self.mac = mac
        self.mtu = mtu
        self.tx_csum = False
        self.gso_max = 0
        self.lost = 0
        self._sock, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for half in (self._sock, self.far):
            half.setblocking(False)
            half.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)

    def fileno(self) -> int:
        """Return the descriptor for select()."""
        return self._sock.fileno()

    def recv(self) -> tuple[bytes, int, int, int] | None:
        """Return the next frame."""
        try:
            return self._sock.recv(FRAME), 0, 0, 0
        except BlockingIOError:
            return None

    def send(self, tx: Transmit) -> bool:
        """Send one frame to the wire.

        The socket's own buffer is not part of the wire, so a frame for which it has no room is lost.
        """
        try:
            self._sock.send(bytes(tx.to_bytes()))
        except (BlockingIOError, ConnectionError):
            self.lost += 1
        return True

    def close(self) -> None:
        """Close both halves."""
        self._sock.close()
        self.far.close()


class KernelEnd:
    """A namespace with the kernel's TCP, behind a TAP. `fd` is the wire's side, and `socket()` makes sockets inside."""

    def __init__(self, address: str, mtu: int = 1500):
        self.space = Namespace.new()
        self.space.quiet()
        self.tap = TapDevice("w%d", netns=self.space, offload=False, address=address, mtu=mtu)
        configure(self.tap.name, up=True, netns=self.space)
        self.fd = self.tap.fileno()

    def socket(self) -> socket.socket:
        """Return a TCP socket of the kernel in the namespace."""
        made: socket.socket = self.space.call(socket.socket, socket.AF_INET, socket.SOCK_STREAM)
        return made

    def sysctl(self, name: str, value: object) -> None:
        """Set net.ipv4.`name` in the namespace."""
        self.space.call(_write, f"/proc/sys/net/ipv4/{name}", str(value))

    def close(self) -> None:
        """Remove the TAP and the namespace."""
        self.tap.close()
        self.space.close()


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


class Wire:
    """Carries frames between two descriptors, in a child process, until close()."""

    def __init__(self, left: int, right: int, ab: Channel, ba: Channel):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                # If the parent dies without closing the wire, PR_SET_PDEATHSIG ends this process, too.
                ctypes.CDLL(None).prctl(1, signal.SIGTERM)
                with contextlib.suppress(OSError):
                    os.nice(-10)
                gc.disable()
                carry(left, right, ab, ba)
            finally:
                os._exit(1)

    def close(self) -> None:
        """Stop the process."""
        if self.pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def carry(left: int, right: int, ab: Channel, ba: Channel, clock: Callable[[], int] = time.monotonic_ns) -> None:
    """Be the wire's loop: read frames from the ends, and deliver each one when its time has come."""
    due: list[tuple[int, int, int, bytes]] = []
    order = 0
    ends = ((left, right, ab), (right, left, ba))
    while True:
        wait = max(0, due[0][0] - clock()) / 1e9 if due else None
        select.select((left, right), (), (), wait)
        now = clock()
        for source, target, channel in ends:
            for _ in range(BATCH):
                try:
                    frame = os.read(source, FRAME)
                except BlockingIOError:
                    break
                for at, data in channel.send(frame, now):
                    order += 1
                    heapq.heappush(due, (at, order, target, data))
        now = clock()
        while due and due[0][0] <= now:
            _, _, target, data = heapq.heappop(due)
            # If there is no room, or the interface is down, the frame is lost, as on a wire.
            with contextlib.suppress(OSError):
                os.write(target, data)


def stack_end(address: str, device: PairDevice, **config: Any) -> Any:
    """Return a running stack on a PairDevice."""
    return up(address=address, gateway=None, device=device, config=config, default=False)
