"""What shows the frames of a network: captures, and probes that see each frame with the decisions of the stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

import pystack_c.const as C
from pystack.sim.nodes import SimPort
from pystack.sim.path import Tap
from pystack.trace.annotate import FrameProbe, FrameRecord
from pystack.trace.hosts import HostsCapture
from pystack.trace.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter
from pystack_c.probe import Event

if TYPE_CHECKING:
    from pystack.sim.network import Network


class Captures:
    """The part of a Network that shows its frames."""

    def capture(self, out: str | BinaryIO, *ports: SimPort) -> PcapngWriter:
        """Write what passes these ports (all ports of all hosts, if none is named) to a pcapng file.

        A port of the sender shows the frames as they were sent. A port of the receiver shows them as they arrived."""
        writer = PcapngWriter.open(out) if isinstance(out, str) else PcapngWriter(out)
        net = cast("Network", self)
        chosen = ports or [port for host in net.all_hosts() for port in host.ports]
        for port in chosen:
            linktype = LINKTYPE_ETHERNET if port.kind == C.LINK_ETHERNET else LINKTYPE_RAW
            number = writer.interface(f"{port.node.name}:{port.name}", linktype)
            port.taps.append(_capture_tap(writer, number))
        net._writers.append(writer)
        return writer

    def watch(self, sink: Callable[[FrameRecord], None]) -> FrameProbe:
        """Give each frame of each host to `sink`, with what the stack decided and why (see trace.annotate)."""
        net = cast("Network", self)
        net.frame_probe = _TrueTimes(net, sink)
        for host in net.hosts.values():
            host.stack.probe = net.frame_probe
        return net.frame_probe

    def annotated_capture(self, out: str | BinaryIO, *ports: SimPort) -> PcapngWriter:
        """A capture of these ports (of all hosts, if none is named), with the names of the hosts, and comments that say what the stacks decided, drops included."""
        writer = PcapngWriter.open(out) if isinstance(out, str) else PcapngWriter(out)
        net = cast("Network", self)
        kernels = {
            address: host.name
            for host in net.kernels.values()
            for address in host.addresses()
            if not address.startswith("127.")
        }
        frames = HostsCapture(
            writer, lambda: [host.stack for host in net.hosts.values()], kernels, lambda sink: _of_ports(sink, ports)
        )
        self.watch(frames)
        net._ordered.append(frames)
        net._writers.append(writer)
        return writer


class _TrueTimes(FrameProbe):
    """A FrameProbe of all hosts: its events have the network's times, although a host's own clock may be wrong."""

    def __init__(self, net: Network, sink: Callable[[FrameRecord], None]):
        super().__init__(sink)
        self.net = net

    def event(self, event: Event) -> None:
        """See FrameProbe."""
        event.time = self.net.now
        super().event(event)


def _of_ports(sink: Callable[[FrameRecord], None], ports: Sequence[SimPort]) -> Callable[[FrameRecord], None]:
    """Return a sink that passes on the frames of these ports, or all if there are none."""
    chosen = {(port.node.name, port.name) for port in ports}
    return lambda record: sink(record) if not chosen or (record.host, record.iface) in chosen else None


def _capture_tap(writer: PcapngWriter, number: int) -> Tap:
    def tap(time: int, direction: int, frame: bytes) -> None:
        writer.packet(number, time, frame, direction)

    return tap
