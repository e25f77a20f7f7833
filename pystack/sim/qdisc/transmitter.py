"""The sending side of a port with a queueing discipline: it gives the link the next frame when the wire is free."""

from typing import TYPE_CHECKING, Any

from pystack.sim.channel import Channel
from pystack.sim.qdisc import parse
from pystack.sim.qdisc.base import Qdisc

if TYPE_CHECKING:
    from pystack.sim.path import SimPort


class Transmitter:
    """It stands between a port and its channel. The queue of the channel itself stays empty, because frames come one by one."""

    def __init__(self, port: "SimPort", channel: Channel, qdisc: Qdisc):
        self.port = port
        self.channel = channel
        self.qdisc = qdisc
        self._wake_at = -1

    def send(self, frame: bytes) -> None:
        """Take a frame, and send what may be sent now."""
        self.qdisc.enqueue(frame, self.port.net.now)
        self._pull()

    def _pull(self) -> None:
        """Send what may be sent now, and set the time to go on."""
        net, channel, qdisc = self.port.net, self.channel, self.qdisc
        now = net.now
        while channel.free_at <= now:
            frame = qdisc.dequeue(now)
            if frame is None:
                # CoDel may have dropped all that was there.
                at = qdisc.ready(now)
                if at is not None:
                    self._wake(max(at, now + 1))
                return
            self.port.put(frame)
        if qdisc.qlen:
            self._wake(channel.free_at)

    def _wake(self, at: int) -> None:
        if self._wake_at <= self.port.net.now or at < self._wake_at:
            self._wake_at = at
            self.port.net.at(at, self._woken, at)

    def _woken(self, at: int) -> None:
        if at == self._wake_at:
            self._wake_at = -1
            self._pull()


def put(port: "SimPort", qdisc: "Qdisc | str") -> Transmitter:
    """The transmitter of a port, with a new discipline. ValueError if the port has no link, or the discipline is in one already."""
    if port.out is None:
        raise ValueError(f"{port!r} has no link yet")
    found = parse(qdisc) if isinstance(qdisc, str) else qdisc
    if not isinstance(found, Qdisc):
        raise TypeError(
            f"{qdisc!r:.60} is no queueing discipline: write one of sim.qdisc, or a text such as 'fq_codel'"
        )
    net: Any = port.net
    name = net.new_box(f"{port.node.name}:{port.name}")
    found.begin(name, net.seed, port.out.header, net.box_report(name))
    return Transmitter(port, port.out, found)
