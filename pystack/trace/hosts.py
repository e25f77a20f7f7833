"""Captures of several hosts: the frames in the order of their times, with the names of the hosts, and reasons and drops as comments.

Networks, `pystack replay --write`, labs and the pytest plugin all write their captures with this sink.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, BinaryIO

import pystack_c.const as C
from pystack.trace.annotate import AnnotatedCapture, FrameProbe, FrameRecord
from pystack.trace.ordered import OrderedFrames
from pystack.trace.pcapng import MAX_NAMES, PcapngWriter
from pystack_c.base.address import addr_text

Sink = Callable[[FrameRecord], None]

#: what a hostile recording can make of names: addresses of one host, characters of its name, and addresses that are looked at in all
MOST_ADDRESSES, LONGEST_NAME, MOST_LOOKS = 1024, 255, 1 << 20


class HostsCapture:
    """A sink that writes FrameRecords of several hosts to a pcapng file. Call `flush` at the end.

    stacks    returns the stacks of the hosts; the number of hosts may grow
    names     addresses and names of other hosts, such as those of the kernel
    through   returns a sink before the file, which may pass on only some frames (annotate.only)

    The name of an address is written before the first frame that follows it. So the programs that read a capture only once know
    it, and a host that gets its address by DHCP has its name, too.
    """

    def __init__(
        self,
        writer: PcapngWriter,
        stacks: Callable[[], Iterable[Any]],
        names: Mapping[str, str] | None = None,
        through: Callable[[Sink], Sink] | None = None,
    ):
        self.writer = writer
        self.names = dict(names or {})
        self._written = 0
        self._looks = MOST_LOOKS
        self._list = stacks
        self._stacks: dict[str, Any] = {}
        self._epochs: dict[str, int] = {}
        self._capture = AnnotatedCapture(writer, hosts=True)
        self._ordered = OrderedFrames(self._write)
        self._sink: Sink = self._ordered if through is None else through(self._ordered)

    def __call__(self, record: FrameRecord) -> None:
        """Take one record."""
        name = record.host
        if name not in self._stacks:
            self._stacks[name] = None  # a box has no stack, and no addresses
            self._stacks.update((stack.name, stack) for stack in self._list())
            for one in self._stacks:
                self._look(one)
        else:
            self._look(name)
        self._sink(record)

    def _look(self, name: str) -> None:
        """Learn the addresses of a host, if they may have changed."""
        stack = self._stacks[name]
        if (
            stack is None
            or self._epochs.get(name) == stack.route_epoch
            or self._looks < 0
            or len(self.names) >= MAX_NAMES
        ):
            return
        self._epochs[name] = stack.route_epoch
        addresses = (own.addr for iface in stack.ifaces if iface.kind != C.LINK_LOOPBACK for own in iface.addrs)
        for address in islice(addresses, MOST_ADDRESSES):
            self.names.setdefault(addr_text(address), name[:LONGEST_NAME])
            self._looks -= 1

    def _write(self, record: FrameRecord) -> None:
        if len(self.names) > self._written:
            self.writer.names(dict(islice(self.names.items(), self._written, None)))
            self._written = len(self.names)
        self._capture(record)

    def flush(self) -> None:
        """Write all records that wait."""
        self._ordered.flush()


def write_capture(recording: "str | BinaryIO", path: str, name: str = "") -> None:
    """Replay a trusted recording, and write a capture of all its hosts. `name` is for error messages."""
    from pystack.trace.replay import Replay

    writer = PcapngWriter.open(path)
    try:
        frames = HostsCapture(writer, lambda: [host.stack for host in replay.hosts])
        probe = FrameProbe(frames)
        replay = Replay(recording, probe=probe, name=name, trusted=True)
        try:
            replay.run()
        finally:
            probe.flush()
            frames.flush()
    finally:
        writer.close()
