"""The path of a frame in a simulated network: a host drains its stack, a port puts the frame on a link, and another port delivers it.

This is what the simulator does for each frame, so it is compiled. Everything that a host does more rarely is in sim/nodes.py.
"""

from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack.phy.segmenter import segments
from pystack.sim.channel import Channel
from pystack.sim.middlebox import IN, OUT, Middlebox, through
from pystack.sim.qdisc import Qdisc
from pystack.sim.qdisc.transmitter import Transmitter, put
from pystack.sim.scheduler import Scheduler, SimError
from pystack.sim.virtual import VirtualHost
from pystack.trace.pcapng import INBOUND, OUTBOUND
from pystack_c.iface import Iface
from pystack_c.packet import Transmit, new_transmit

#: tap(time, direction, frame): called for each frame that passes a port; direction is INBOUND or OUTBOUND as the node sees it
Tap = Callable[[int, int, bytes], None]


class SimPort:
    """The end of a link in a node. Frames go out through `send`, and frames that arrive go to the node's `deliver`."""

    def __init__(self, net: Scheduler, node: Any, name: str, kind: int):
        self.net = net
        self.node = node
        self.name = name
        self.kind = kind
        self.iface: Any = None
        #: what takes the frames
        self.out: Channel | None = None
        self.peer: SimPort | None = None
        self.taps: list[Tap] = []
        #: the middleboxes between this end of the link and its channels, the nearest first (see Link.middlebox)
        self.boxes: list[Middlebox] = []
        #: what gives frames to the channel, if there is a queueing discipline in front of it
        self.transmitter: Transmitter | None = None

    def send(self, frame: bytes) -> None:
        """Put a frame on the link, now."""
        if self.taps:
            self._show(OUTBOUND, frame)
        if self.boxes:
            self._pass(through(self.boxes, 0, OUT, frame, self.net.now), OUT)
        else:
            self._transmit(frame)

    def _transmit(self, frame: bytes) -> None:
        """Send a frame to the other end: through the queueing discipline, if there is one."""
        if self.transmitter is not None:
            self.transmitter.send(frame)
        else:
            self.put(frame)

    def put(self, frame: bytes) -> None:
        """Give a frame to the channel now, and let what comes out of it arrive."""
        net = self.net
        out = self.out
        peer = self.peer
        if out is None or peer is None:
            return
        if net.causes is not None:
            net.causes.send(self, frame)
            return
        for time, data in out.send(frame, net.now):
            net.follow(time, peer.arrive, (data,))

    def send_whole(self, tx: Transmit) -> None:
        """Put a frame on the link that no card has cut or completed yet: whole, if the link does nothing but delay it.

        Whether it stays whole depends on the network alone. Taps do not matter, and get the frames that a card would make of it.
        """
        net = self.net
        out = self.out
        peer = self.peer
        if out is None or peer is None:
            single = True  # a port of another kind
        else:
            single = bool(self.boxes or peer.boxes or self.transmitter is not None or net.causes is not None)
        if single or not out.send_whole(tx):  # type: ignore[union-attr]
            for frame in segments(tx):
                self.send(frame)
            return
        if self.taps:
            self._show_whole(OUTBOUND, tx)
        net.follow(net.now + out.delay, peer.arrive_whole, (_flat(tx),))  # type: ignore[union-attr]

    def arrive_whole(self, tx: Transmit) -> None:
        """Such a frame comes out of the link."""
        if self.taps:
            self._show_whole(INBOUND, tx)
        node = self.node  # object
        if isinstance(node, HostPath):
            host: HostPath = node
            host.deliver_whole(self, tx)
        elif hasattr(node, "deliver_whole"):
            node.deliver_whole(self, tx)
        else:
            for frame in segments(tx):
                node.deliver(self, frame)

    def _show_whole(self, direction: int, tx: Transmit) -> None:  # python
        for frame in segments(tx):
            self._show(direction, frame)

    @property
    def qdisc(self) -> Qdisc | None:
        """The queueing discipline in front of the link, or None."""
        return None if self.transmitter is None else self.transmitter.qdisc

    def set_qdisc(self, qdisc: "Qdisc | str | None") -> Qdisc | None:  # python
        """Put a queueing discipline (see sim/qdisc) in front of the link, in the place of the one there. Frames that wait in that are lost."""
        self.transmitter = None if qdisc is None else put(self, qdisc)
        return self.qdisc

    def arrive(self, frame: bytes) -> None:
        """A frame comes out of the link."""
        if self.boxes:
            self._pass(through(self.boxes, len(self.boxes) - 1, IN, frame, self.net.now), IN)
        else:
            self._deliver(frame)

    def _deliver(self, frame: bytes) -> None:
        if self.taps:
            self._show(INBOUND, frame)
        node = self.node  # object
        if isinstance(node, HostPath):
            host: HostPath = node
            host.deliver(self, frame)
        else:
            node.deliver(self, frame)

    def _show(self, direction: int, frame: bytes) -> None:  # python
        for tap in self.taps:
            tap(self.net.now, direction, frame)

    def _pass(self, sent: list[tuple[int, bytes]], way: int) -> None:  # python
        """Send on what comes out of the middleboxes. `way` is the one of the frame that went in."""
        for to, data in sent:
            if to == OUT:
                self._transmit(data)
            elif way == IN:
                self._deliver(data)
            else:
                self.net.after(0, self._deliver, data)  # the node is in the middle of sending

    def __repr__(self) -> str:
        return f"<SimPort {self.node.name}:{self.name}>"


def _flat(tx: Transmit) -> Transmit:
    """The same frame in one piece: the payload may be a view of a buffer that the sender will use again."""
    if tx.payload is None:
        return tx
    made = new_transmit(tx.iface, tx.to_bytes(), None)
    made.gso_size = tx.gso_size
    made.csum_start = tx.csum_start
    made.csum_offset = tx.csum_offset
    return made


class HostPath(VirtualHost):
    """The loop of a simulated host: what it does after each frame, call and timer."""

    def __init__(self, net: Any, stack: Any):
        super().__init__(net, stack)
        #: whether it receives and sends; see SimHost.crash and SimHost.freeze
        self.up = True
        #: its card leaves the cutting to the links, on which frames stay whole if possible (Network, `whole`)
        self.whole = False
        self._by_iface: dict[int, SimPort] = {}
        self._wake_at = -1  # the time of the earliest timer event in the scheduler that is still valid
        self._draining = False

    def pump(self) -> None:
        """Send the frames of the stack, notify its waiters, and set its timer."""
        if self._draining:  # a tap or a program called back: the loop below goes on
            return
        self._draining = True
        stack = self.stack
        net: Scheduler = self.net
        try:
            tx = self.poll_transmit()
            while tx is not None:
                self._send(tx)
                tx = self.poll_transmit()
            causes = net.causes
            endpoint = stack.poll_event()
            while endpoint is not None:
                waiter = endpoint.waiter  # object
                if waiter is not None:
                    if causes is not None:
                        causes.ready(self)
                    waiter.notify(endpoint.take_pending())  # this schedules programs and runs none of them now
                endpoint = stack.poll_event()
            deadline = stack.poll_timeout()  # object
            if self.recorder is not None:
                self.recorder.deadline(deadline)
        finally:
            self._draining = False
        # A host that is off or frozen has no timers, and its deadline may have passed long ago. `thaw` and `boot` set the timer again.
        if self.up and deadline is not None:
            time = deadline if self.local is None else self.local.true(deadline)
            if self._wake_at < 0 or time < self._wake_at:
                self._wake_at = time
                net.add(time, self._timer, (time,))
        if stack.probe is not None and self.net.frame_probe is not None:
            self.net.frame_probe.flush()

    def poll_transmit(self) -> Transmit | None:
        """The next frame to send, or None."""
        net: Scheduler = self.net
        now = net.now if self.local is None else self.local.own(net.now)
        tx = self.stack.poll_transmit(now)
        if self.recorder is not None:
            self.recorder.transmit(now, tx)
        return tx

    def _send(self, tx: Transmit) -> None:
        port: SimPort | None = self._by_iface.get(tx.iface.index)
        if port is None or not self.up:
            return
        if tx.gso_size or tx.csum_start:
            if self.whole:
                port.send_whole(tx)
            else:
                self.send_offloaded(port, tx)
        else:
            port.send(tx.to_bytes())

    def send_offloaded(self, port: SimPort, tx: Transmit) -> None:  # python
        """Send a frame that a card would cut or complete (see SimHost)."""
        for frame in segments(tx):
            port.send(frame)

    def _timer(self, set_for: int) -> None:  # python
        if set_for != self._wake_at:
            return  # an earlier event was set since then, and did the work
        self._wake_at = -1
        deadline = self.poll_timeout()
        if not self.up or deadline is None:
            return
        if deadline <= self.clock():
            self.handle_timeout()
        self.pump()
        if 0 <= self._wake_at <= self.net.now:
            # Without this invariant of the seam, a driver would loop for ever.
            raise SimError(f"{self.name} fired its timers at {self.net.now}, but its next deadline is {self._wake_at}")

    def deliver(self, port: SimPort, frame: bytes) -> None:
        """Receive a frame that arrived at a port, and do everything that follows from it."""
        if not self.up:
            return
        if self.recorder is not None:
            self.receive(port.iface, frame)
        else:
            net: Scheduler = self.net
            now = net.now if self.local is None else self.local.own(net.now)
            iface: Iface = port.iface
            self.stack.receive(iface, frame, now)
        self.pump()

    def deliver_whole(self, port: SimPort, tx: Transmit) -> None:
        """The same for a frame that no card has cut or completed: see SimPort.send_whole."""
        if not self.up:
            return
        flags = C.RX_CSUM_OK if tx.csum_start > 0 else 0
        if self.recorder is not None:
            self.receive(port.iface, tx.header, 0, flags, tx.gso_size)
        else:
            net: Scheduler = self.net
            now = net.now if self.local is None else self.local.own(net.now)
            iface: Iface = port.iface
            self.stack.receive(iface, tx.header, now, 0, flags, tx.gso_size)
        self.pump()
