"""Segments that a capture has more than once, because it was made at several interfaces: such as at both ends of a link.

A copy looks like a retransmission. So TCP is inferred from the segments at one interface of each connection: the one at which
its first segment was captured.
"""

from pystack.stepper.capture.packet import SLL2, CapturedPacket
from pystack.stepper.capture.reader import Raw

#: how many segments of a connection are compared
COMPARED = 16
Ends = tuple[tuple[str, int], tuple[str, int]]


def place_of(raw: Raw) -> str:
    """Return where a frame was captured: its interface. In captures of all interfaces (`tcpdump -i any`), the header of each frame has the interface's number."""
    if raw.link == SLL2 and len(raw.data) >= 8:
        return f"interface {int.from_bytes(raw.data[4:8], 'big')}"
    return raw.iface


def ends_of(packet: CapturedPacket) -> tuple[Ends, int]:
    """Return the ends of the connection of a packet with a segment, in the same order for both directions, and the direction."""
    assert packet.segment is not None
    here, there = (packet.source, packet.segment.sport), (packet.target, packet.segment.dport)
    return ((here, there), 0) if here <= there else ((there, here), 1)


class CopiesAtInterfaces:
    """Collects at which interfaces the segments of each connection were captured. Nothing but a name is kept while there is one interface."""

    def __init__(self) -> None:
        self.ifaces: set[str] = set()
        #: ends -> the interface of the first segment
        self.first: dict[Ends, str] = {}
        #: ends -> interface -> 1 and 2: it had segments of the one and of the other direction
        self.ways: dict[Ends, dict[str, int]] = {}
        #: ends -> the first segments, and the interface of each
        self.segments: dict[Ends, dict[tuple[int, ...], str]] = {}
        #: the ends of connections of which a segment was captured at two interfaces
        self.twice: set[Ends] = set()

    def note(self, packet: CapturedPacket, iface: str) -> None:
        """Note a packet with a segment."""
        ends, way = ends_of(packet)
        self.first.setdefault(ends, iface)
        self.ifaces.add(iface)
        segment = packet.segment
        if len(self.ifaces) < 2 or segment is None:
            return
        ways = self.ways.setdefault(ends, {})
        ways[iface] = ways.get(iface, 0) | 1 << way
        if ends in self.twice:
            return
        known = self.segments.setdefault(ends, {})
        same = (way, segment.seq, segment.ack, segment.flags, segment.length, segment.window)
        if known.get(same, iface) != iface:
            self.twice.add(ends)
            del self.segments[ends]
        elif len(known) < COMPARED:
            known[same] = iface

    def homes(self) -> dict[Ends, str]:
        """Return the interface whose segments count, for each connection that has copies: both directions were captured at several interfaces."""
        found = {}
        for ends in self.twice:
            whole = [iface for iface, ways in self.ways[ends].items() if ways == 3]
            if len(whole) > 1:
                found[ends] = self.first[ends] if self.first[ends] in whole else whole[0]
        return found
