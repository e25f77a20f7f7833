"""Two real-time stacks on a cable of bad quality: what a device may do to a driver, chosen by a seed.

The cable is an AF_UNIX pair that keeps frames apart, read and written by the driver's own FrameIO, so that what the kernel does (a
full queue: EAGAIN) is real; on top of it, the faults of `Shaky`. Time may jump ahead, as for a process that was suspended.
"""

import hashlib
import os
import signal
import socket as kernel
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pystack_c.const as C
from pystack.phy.tapio import VNET_HDR_LEN, FrameIO
from pystack.running import socket_class
from pystack.runtime.realtime import RealtimeHost
from pystack_c.config import Config
from pystack_c.packet import Transmit
from pystack_c.stack import Stack

#: seconds of trouble, and how long everything may take afterwards
TROUBLE = 0.4
LIMIT = 90
SIZE = 60_000
PAIRS = 3


class Shaky:
    """One end of the cable, a phy.device.Device.

    Without faults (`direct`) the driver uses the FrameIO itself; with them each call is a chance of one:
    a wakeup for nothing (EAGAIN), no room (EAGAIN), a frame the kernel has no memory for (ENOBUFS: it is gone), a short
    frame, an empty one, garbage, and a link that is down for a while (EIO).
    """

    kind = C.LINK_IP
    mac = 0
    mtu = 1500
    tx_csum = False
    gso_max = 0

    def __init__(self, end: kernel.socket, rng: Random, name: str, direct: bool):
        self.name = name
        self.rng = rng
        self.end = end
        end.setblocking(False)
        end.setsockopt(kernel.SOL_SOCKET, kernel.SO_SNDBUF, rng.choice((4608, 20_000, 200_000)))
        self.io = FrameIO(end.fileno(), VNET_HDR_LEN + 70_000, True)
        if direct:
            self.frame_io = self.io
        self.trouble = True
        self.down_for = 0
        self.faults: dict[str, int] = {}

    def fault(self, name: str) -> None:
        """Count one."""
        self.faults[name] = self.faults.get(name, 0) + 1

    def fileno(self) -> int:
        """The cable's."""
        return self.end.fileno()

    def recv(self) -> "tuple[bytes, int, int, int] | None":
        """A frame, or a fault."""
        if self.trouble and self.rng.random() < 0.05:
            self.fault("nothing")
            return None
        frame = self.io.recv()
        if frame is None:
            return None
        if not self.trouble:
            return frame, self.io.offset, self.io.flags, self.io.gso_size
        if self.down_for > 0:
            self.down_for -= 1
            return b"\0" * 12, 10, 0, 0
        chance = self.rng.random()
        if chance < 0.02:
            self.fault("short")
            return frame[: self.rng.randrange(VNET_HDR_LEN, len(frame))], VNET_HDR_LEN, self.io.flags, 0
        if chance < 0.03:
            self.fault("garbage")
            return bytes(VNET_HDR_LEN) + self.rng.randbytes(self.rng.randrange(200)), VNET_HDR_LEN, 0, 0
        return frame, self.io.offset, self.io.flags, self.io.gso_size

    def send(self, tx: Transmit) -> bool:
        """Send, or a fault."""
        if self.trouble:
            if self.down_for > 0:
                self.down_for -= 1
                return True
            chance = self.rng.random()
            if chance < 0.03:
                self.fault("no room")
                return False
            if chance < 0.05:
                self.fault("no memory")
                return True
            if chance < 0.055:
                self.fault("down")
                self.down_for = self.rng.randrange(20)
        return self.refused(self.io.send(tx))

    def refused(self, code: int) -> bool:
        """As TapDevice.refused."""
        if code:
            self.fault(os.strerror(code))
        return code == 0

    def close(self) -> None:
        """Give the end back."""
        self.end.close()


class Jumping:
    """CLOCK_MONOTONIC, and leaps ahead."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.monotonic_ns() + self.ahead


class Lab:
    """The two stacks, and what is done to them."""

    def __init__(self, seed: int):
        self.rng = Random(seed)
        ends = kernel.socketpair(kernel.AF_UNIX, kernel.SOCK_SEQPACKET)
        direct = self.rng.random() < 0.3
        self.raw = [kernel.socket(fileno=os.dup(end.fileno())) for end in ends]
        self.devices = [Shaky(end, Random(self.rng.random()), f"cable{i}", direct) for i, end in enumerate(ends)]
        self.clocks = [Jumping(), Jumping()]
        self.hosts = []
        settings = {
            "tcp_rto_min": 5_000_000,
            "tcp_rto_initial": 20_000_000,
            "tcp_rto_max": 200_000_000,
            # (R2 is a time, and time leaps.)
            "tcp_syn_retries": 100,
            "tcp_synack_retries": 100,
            "tcp_retries2": 10_000,
        }
        for i in range(2):
            stack = Stack(seed + i, Config().update(settings), f"shaky{i}")
            host = RealtimeHost(stack, None, self.clocks[i])
            iface = host.attach(self.devices[i])
            host.setup("add_addr", iface, 0x0A000001 + i, 24)
            host.set_busy_poll(self.rng.choice((0, 200)))
            host.start()
            self.hosts.append(host)
        self.problems: list[str] = []
        self.stop = threading.Event()

    def socket(self, i: int, *args: Any) -> Any:
        """A socket of one of the two."""
        return socket_class(self.hosts[i])(*args)

    def close(self) -> None:
        """End it all."""
        for host in self.hosts:
            host.close()
        for end in self.raw:
            end.close()

    def guarded(self, work: Any, *args: Any) -> threading.Thread:
        """A thread whose exceptions are problems."""

        def body() -> None:
            try:
                work(*args)
            except Exception as exc:
                self.problems.append(f"{work.__name__} {args[-1:]}: {type(exc).__name__} {exc}")

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        return thread

    def trouble(self) -> None:
        """Until it is enough: frames from nowhere, leaps of time, readers of the tables, descriptors that come and go."""
        rng = Random(self.rng.random())
        end = time.monotonic() + TROUBLE
        while time.monotonic() < end:
            choice = rng.randrange(4)
            try:
                if choice == 0:
                    self.raw[rng.randrange(2)].send(rng.randbytes(rng.randrange(1, 40)), kernel.MSG_DONTWAIT)
                elif choice == 1:
                    self.clocks[rng.randrange(2)].ahead += rng.choice((1_000, 10_000_000, 3_000_000_000))
                elif choice == 2:
                    self.hosts[rng.randrange(2)].inspect(lambda stack: len(stack.endpoints))
            except BlockingIOError:
                pass
            time.sleep(0.002)
        for device in self.devices:
            device.trouble = False


def talk(lab: Lab, end: Any, data: bytes, style: int) -> None:
    """Send `data` and receive as much of the other's, both at once; the digest comes last."""
    rng = Random(style)

    def send() -> None:
        at = 0
        while at < len(data):
            n = rng.randrange(1, 9000)
            end.sendall(data[at : at + n])
            at += n
        end.sendall(hashlib.sha256(data).digest())

    sender = lab.guarded(send)
    got = bytearray()
    while len(got) < len(data) + 32:
        if style % 3 == 0:
            twin = end.dup()
            twin.fileno()
            piece = twin.recv(5000)
            twin.close()
        else:
            piece = end.recv(5000)
        if not piece:
            raise EOFError(f"after {len(got)} bytes")
        got += piece
    if hashlib.sha256(got[:-32]).digest() != got[-32:]:
        raise ValueError("the bytes are others")
    sender.join(LIMIT)


def play(seed: int) -> list[str]:
    """One round: what went wrong. Call it in the main thread: a timer's signals interrupt it all the time."""
    lab = Lab(seed)
    deadline = time.monotonic() + LIMIT
    ends = []
    threads = []
    server = lab.socket(0)
    server.settimeout(LIMIT)
    with interrupts(lab.rng.choice((0, 0.002))):
        server.bind(("10.0.0.1", 7))
        server.listen(10)
        for i in range(PAIRS):
            client = lab.socket(1)
            client.settimeout(LIMIT)
            client.connect(("10.0.0.1", 7))
            conn, _ = server.accept()
            client.settimeout(None)  # (timeouts are the stack's, whose time leaps)
            ends += [client, conn]
            for j, end in enumerate((client, conn)):
                threads.append(lab.guarded(talk, lab, end, lab.rng.randbytes(SIZE), 2 * i + j))
        troubled = lab.guarded(lab.trouble)
        for thread in (troubled, *threads):
            thread.join(max(0.1, deadline - time.monotonic()))
            if thread.is_alive():
                lab.problems.append("a thread hangs")
                break
    for host in lab.hosts:
        if host.failure is not None:
            lab.problems.append(f"{host.name} stopped: {host.failure!r}")
        elif not _free(host.lock):
            lab.problems.append(f"{host.name}: its lock was not given back")
    for end in (*ends, server):
        end.close()
    lab.close()
    return lab.problems


def _free(lock: Any) -> bool:
    """Whether the lock can be had, sooner or later."""
    for _ in range(500):
        if lock.try_acquire():
            lock.release()
            return True
        time.sleep(0.01)
    return False


@contextmanager
def interrupts(period: float) -> Iterator[None]:
    """EINTR for the main thread, again and again."""
    old = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, period, period)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
