"""A device with a bad link in front of it: the simulator's channels (delay, rate, loss, ...) in real time."""

import ctypes
import errno
import heapq
import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from pystack.phy.device import Device
from pystack.phy.wrapper import Wrapper
from pystack.sim.channel import Channel
from pystack.sim.live import LinkSettings, channel_text, directions, middleboxes
from pystack.sim.middlebox import IN, OUT, Middlebox, Report, through
from pystack_c.packet import Transmit
from pystack_c.probe import Event

_CLOCK_MONOTONIC = 1
#: the most bytes that one direction holds until their time comes: a link of 10 Gbit/s with a delay of 50 ms holds 62.5 MB
MOST_HELD = 64 << 20
#: the most frames that one call of `recv` takes from the device, so that a flood of frames that are lost or held does not keep the driver
BATCH = 64
#: the directions in `held`
_IN, _OUT = 0, 1
#: as in netem: without a bound, a queue in front of a slow link would grow for ever
QUEUE = 1000


class _Timer:
    """A timerfd(2), which is readable once a time of CLOCK_MONOTONIC has come."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def set(self, deadline: int) -> None:
        """Be readable from `deadline` (ns) on. 0 means never."""
        spec = (ctypes.c_long * 4)(0, 0, deadline // 10**9, deadline % 10**9)
        if self._libc.timerfd_settime(self.fd, 1, ctypes.byref(spec), None) < 0:  # 1: TFD_TIMER_ABSTIME
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        os.close(self.fd)


class FaultDevice(Wrapper):
    """Sends the stack's frames through `outbound`, and the frames that the device receives through `inbound`.

    The offload of the device must be off, because a link loses and delays the frames of the wire. If the device has no room when a
    frame's time comes, or if a direction holds MOST_HELD bytes, the frame is lost and counted in `overflow`. `clock` is a monotonic clock in ns.
    """

    def __init__(
        self, device: Device, *, inbound: Channel, outbound: Channel, clock: Callable[[], int] = time.monotonic_ns
    ):
        if device.gso_max or device.tx_csum:
            raise ValueError(f"{device.name}: a faulty link needs a device with offload switched off")
        super().__init__(device)
        self.inbound = inbound
        self.outbound = outbound
        self.clock = clock
        self.overflow = 0
        #: the bytes that each direction holds: [in, out]
        self.held = [0, 0]
        #: the middleboxes between the stack and the channels, the nearest first, and the host to whose probe and recording they report
        self.boxes: list[Middlebox] = []
        self.host: Any = None
        self._names: list[str] = []
        self._iface: Any = None
        #: frames for the stack that have passed the boxes
        self._ready: deque[bytes] = deque()
        self._order = 0
        self._arriving: list[tuple[int, int, bytes]] = []
        self._leaving: list[tuple[int, int, bytes, Any]] = []
        self._armed = 0
        self._timer: _Timer | None = None
        self._epoll: select.epoll | None = None
        if device.fileno() >= 0:
            # One descriptor for both: the frames of the device, and the times of frames that were held back.
            self._timer = _Timer()
            self._epoll = select.epoll()
            self._epoll.register(device.fileno(), select.EPOLLIN)
            self._epoll.register(self._timer.fd, select.EPOLLIN)

    def change(self, link: LinkSettings) -> None:
        """Change settings of the link, in both directions (see live.directions). A profile replaces only the settings that it names.

        A trace begins now. `middlebox` replaces all middleboxes; the new ones know no connections.
        """
        out, back = directions(link)
        boxes = middleboxes(link)
        trace = out.get("trace")
        if trace is not None:
            # The clock counts from the start of the machine, and is the same for both directions.
            out["trace"] = back["trace"] = trace.starting(self.clock() + trace.start)
        self.outbound.set(**out)
        self.inbound.set(**back)
        if boxes is not None:
            self.boxes = []
            for box in boxes:
                self.middlebox(box)

    def middlebox(self, box: Middlebox) -> Middlebox:
        """Put a middlebox behind those that are there."""
        box.check_new()
        name = f"{self.device.name}-{box.kind}"
        while name in self._names:
            name += "'"
        self._names.append(name)
        box.begin(name, self.outbound.seed, self.device.kind, self._reporter(name))
        self.boxes.append(box)
        return box

    def _reporter(self, name: str) -> Report:
        """The function that receives the events of a middlebox. It runs under the lock of the host, as all of a device does."""
        recorders: list[Any] = []

        def report(time: int, kind: str, subject: str, reason: str, rfc: str, fields: dict[str, Any]) -> None:
            host = self.host
            if host is None:
                return
            if host.recorder is not None:
                if not recorders:
                    recorders.append(host.recorder.recorder.middlebox(name))
                recorders[0].note(time, kind, subject, reason, rfc, fields)
            if host.stack.probe is not None:
                host.stack.probe.event(Event(kind, time, name, subject, 0, reason, rfc, fields))

        return report

    def link_text(self) -> str:
        """One line about the settings of both directions, and the middleboxes."""
        out, back = channel_text(self.outbound), channel_text(self.inbound)
        text = f"each way {out}" if out == back else f"out {out}; in {back}"
        return "; ".join([text, *(f"middlebox {box.text()}" for box in self.boxes)])

    def fileno(self) -> int:
        """Readable when a frame has come or the time of one that was held back."""
        return -1 if self._epoll is None else self._epoll.fileno()

    def deadline(self) -> int | None:
        """The time at which the next frame that is held back is due."""
        times = [heap[0][0] for heap in (self._arriving, self._leaving) if heap]
        if self._ready:
            times.append(self.clock())
        return min(times, default=None)

    def recv(self) -> tuple[bytes, int, int, int] | None:
        """The next frame whose time has come. Frames to send are sent if their time has come.

        None may also mean that BATCH frames were taken and more wait. The descriptor is still readable then.
        """
        now = self.clock()
        for _ in range(BATCH):
            got = self.device.recv()
            if got is None:
                break
            for at, data in self.inbound.send(got[0][got[1] :], now):
                if self._fits(_IN, data):
                    heapq.heappush(self._arriving, (at, self._order, data))
        while not self._ready and self._arriving and self._arriving[0][0] <= now:
            frame = heapq.heappop(self._arriving)[2]
            self.held[_IN] -= len(frame)
            if self.boxes:
                self._pass(through(self.boxes, len(self.boxes) - 1, IN, frame, now), now)
            else:
                self._ready.append(frame)
        self._send_due(now)
        found = self._ready.popleft() if self._ready else None
        self._arm()
        return None if found is None else (found, 0, 0, 0)

    def send(self, tx: Transmit) -> bool:
        """Put the frame on the link, which always takes it."""
        now = self.clock()
        self._iface = tx.iface
        self._pass(through(self.boxes, 0, OUT, bytes(tx.to_bytes()), now), now)
        self._send_due(now)
        self._arm()
        return True

    def _pass(self, sent: list[tuple[int, bytes]], now: int) -> None:
        """Send on what comes out of the middleboxes at both ends."""
        for way, frame in sent:
            if way == IN:
                self._ready.append(frame)
                continue
            for at, data in self.outbound.send(frame, now):
                if self._fits(_OUT, data):
                    heapq.heappush(self._leaving, (at, self._order, data, self._iface))

    def _fits(self, way: int, frame: bytes) -> bool:
        """Count a frame that is to be held. Returns False if it is lost, because this direction holds MOST_HELD bytes already."""
        if self.held[way] + len(frame) > MOST_HELD:
            self.overflow += 1
            return False
        self.held[way] += len(frame)
        self._order += 1
        return True

    def _send_due(self, now: int) -> None:
        while self._leaving and self._leaving[0][0] <= now:
            _, _, data, iface = heapq.heappop(self._leaving)
            self.held[_OUT] -= len(data)
            try:
                sent = self.device.send(Transmit(iface, data))
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                sent = False
            if not sent:
                self.overflow += 1

    def _arm(self) -> None:
        deadline = self.deadline() or 0
        if self._timer is not None and deadline != self._armed:
            self._armed = deadline
            self._timer.set(deadline)

    def close(self) -> None:
        """Close the device. Frames that were held back are lost."""
        if self._epoll is not None and self._timer is not None:
            self._epoll.close()
            self._timer.close()
            self._epoll = self._timer = None
        self.device.close()


def faulty(device: Device, link: LinkSettings, seed: int) -> FaultDevice:
    """The device with a link in front of it. `seed` decides which frames are lost."""
    channels = []
    for name, settings in zip(("out", "in"), directions(link), strict=True):
        bounded = "queue" in settings or "queue_bytes" in settings
        channels.append(Channel(seed, f"link/{name}", queue=None if bounded else QUEUE, kind=device.kind))
    faults = FaultDevice(device, outbound=channels[0], inbound=channels[1])
    faults.change(link)
    return faults
