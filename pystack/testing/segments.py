"""TCP segments, read from frames without the stack's own codecs, so that a test does not trust what it tests."""

import struct
from dataclasses import dataclass, field
from typing import Any

from pystack.sim.nodes import SimPort

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
M32 = 0xFFFFFFFF
#: the direction of a frame that a port's node sends, as the port's taps get it
OUTBOUND = 2


@dataclass(frozen=True)
class Segment:
    """One TCP segment as it is on the wire. `time` is the time (ns) at which it was seen, and `options` maps kinds to bodies."""

    time: int
    src: int
    dst: int
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    urg: int
    payload: bytes
    options: dict[int, bytes] = field(default_factory=dict)
    ident: int = 0
    df: bool = False
    ttl: int = 0
    tos: int = 0
    ip_options: bytes = b""

    def __len__(self) -> int:
        return len(self.payload)

    def __bool__(self) -> bool:
        return True

    def has(self, flags: int) -> bool:
        """Return True if all of these control bits are set."""
        return self.flags & flags == flags

    @property
    def end(self) -> int:
        """The sequence number after the segment's last one."""
        return (self.seq + len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)) & M32

    @property
    def pure_ack(self) -> bool:
        """True if the segment is nothing but an acknowledgement."""
        return self.flags & (SYN | FIN | RST | ACK) == ACK and not self.payload

    @property
    def sack(self) -> list[tuple[int, int]]:
        """The SACK blocks, in their order on the wire."""
        body = self.options.get(5, b"")
        return [struct.unpack_from(">II", body, at) for at in range(0, len(body), 8)]

    @property
    def mss(self) -> int | None:
        """The value of the MSS option, or None."""
        return int.from_bytes(self.options[2], "big") if 2 in self.options else None

    @property
    def wscale(self) -> int | None:
        """The shift of the window scale option, or None."""
        return self.options[3][0] if 3 in self.options else None

    @property
    def ts(self) -> tuple[int, int] | None:
        """TSval and TSecr of the timestamps option, or None."""
        if 8 not in self.options:
            return None
        tsval, tsecr = struct.unpack(">II", self.options[8])
        return tsval, tsecr

    def same(self) -> tuple[Any, ...]:
        """Return everything of the segment except its time and its IP ID, to compare segments by."""
        head = (self.src, self.dst, self.sport, self.dport, self.seq, self.ack, self.flags, self.window, self.urg)
        return (*head, self.payload, tuple(sorted(self.options.items())))


def ones(data: bytes) -> int:
    """Return the folded ones' complement sum of the data (RFC 1071)."""
    if len(data) & 1:
        data += b"\0"
    # 65,536 leaves 1 over when it is divided by 65,535, so the whole number leaves the sum of its words. Both forms of zero leave 0.
    total = int.from_bytes(data)
    return total % 0xFFFF or (0xFFFF if total else 0)


def parse_options(data: bytes) -> dict[int, bytes]:
    """Return the TCP options by kind."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if data[at] == 0:
            assert not any(data[at:]), "bytes after the end of the options (MUST-69)"
            break
        if data[at] == 1:
            at += 1
            continue
        length = data[at + 1]
        found[data[at]] = data[at + 2 : at + length]
        at += length
    return found


def final_address(dst: bytes, options: bytes) -> bytes:
    """Return the pseudo-header's destination: the last address of a source route that is not at its end, otherwise `dst`."""
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] in (131, 137) and options[at + 2] <= options[at + 1]:
            end = at + options[at + 1]
            return options[end - 4 : end]
        at += 1 if options[at] == 1 else options[at + 1]
    return dst


def decode(packet: bytes, time: int = 0, check: bool = True) -> Segment | None:
    """Return the Segment in an IPv4 packet, or None if there is none.

    Raises AssertionError for a wrong checksum, unless `check` is off.
    """
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != 6 or packet[6] & 0x3F or packet[7]:
        return None
    total, ident, fragment = struct.unpack_from(">HHH", packet, 2)
    src, dst = struct.unpack_from(">II", packet, 12)
    hlen = (packet[0] & 15) * 4
    tcp = packet[hlen:total]
    if check:
        assert ones(packet[:hlen]) == 0xFFFF, "IPv4 header checksum"
        ends = packet[12:16] + final_address(packet[16:20], packet[20:hlen])
        assert ones(ends + struct.pack(">HH", 6, len(tcp)) + tcp) == 0xFFFF, "TCP checksum"
    sport, dport, seq, ack, offset, flags, window, _, urg = struct.unpack_from(">HHIIBBHHH", tcp)
    data = (offset >> 4) * 4
    flags |= (offset & 1) << 8  # AE (RFC 9768)
    options = parse_options(tcp[20:data])
    return Segment(
        time, src, dst, sport, dport, seq, ack, flags, window, urg, tcp[data:], options, ident, bool(fragment & 0x4000),
        packet[8], packet[1], packet[20:hlen],
    )  # fmt: skip


class WireLog:
    """The TCP segments at ports of a simulated network, by the names of hosts: `sent` by the host, and `got` by it."""

    def __init__(self, *ports: SimPort, check: bool = True):
        self.sent: dict[str, list[Segment]] = {}
        self.got: dict[str, list[Segment]] = {}
        self.check = check
        for port in ports:
            self.attach(port)

    def attach(self, port: SimPort) -> None:
        """Watch one more port."""
        sent = self.sent.setdefault(port.node.name, [])
        got = self.got.setdefault(port.node.name, [])

        def tap(time: int, direction: int, frame: bytes) -> None:
            if frame[12:14] == b"\x08\x00":
                # An arriving frame may have been damaged on the way, which the stack must notice.
                seg = decode(frame[14:], time, self.check and direction == OUTBOUND)
                if seg is not None:
                    (sent if direction == OUTBOUND else got).append(seg)

        port.taps.append(tap)

    def data(self, name: str) -> list[Segment]:
        """Return the segments with payload that a host sent."""
        return [seg for seg in self.sent[name] if seg.payload]

    def pure_acks(self, name: str) -> list[Segment]:
        """Return the pure ACKs that a host sent, without the third segment of the handshake."""
        return [seg for seg in self.sent[name] if seg.pure_ack][1:]

    def resent(self, name: str) -> list[Segment]:
        """Return the retransmissions of a host: segments with payload, SYN or FIN that end at or before an earlier one."""
        highest: dict[tuple[int, int, int], int] = {}
        again = []
        for seg in self.sent[name]:
            if seg.end == seg.seq or seg.flags & RST:
                continue
            flow = (seg.sport, seg.dst, seg.dport)
            top = highest.get(flow)
            if top is not None and (top - seg.end) & M32 < 0x80000000:
                again.append(seg)
            else:
                highest[flow] = seg.end
        return again


def rounds(segs: list[Segment], period: int = 1) -> list[int]:
    """Return the number of segments in each `period` (ns) since the first one, without the periods that have none."""
    counts: dict[int, int] = {}
    for seg in segs:
        number = (seg.time - segs[0].time) // period
        counts[number] = counts.get(number, 0) + 1
    return list(counts.values())
