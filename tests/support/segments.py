"""TCP segments read from frames, independently of the stack's own codecs: what the tests look at."""

import struct
from dataclasses import dataclass, field

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
M32 = 0xFFFFFFFF
OUTBOUND = 2  # what a port's tap says of frames that its node sends


@dataclass(frozen=True)
class Segment:
    """One TCP segment as it is on the wire. `time` is when it was seen (ns), `options` maps kind to body."""

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
    options: dict = field(default_factory=dict)
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
        """All of these control bits are set."""
        return self.flags & flags == flags

    @property
    def end(self) -> int:
        """The sequence number after its last one."""
        return (self.seq + len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)) & M32

    @property
    def pure_ack(self) -> bool:
        """Nothing but an acknowledgement."""
        return self.flags & (SYN | FIN | RST | ACK) == ACK and not self.payload

    @property
    def sack(self) -> list[tuple[int, int]]:
        """The SACK blocks, in the order they stand."""
        body = self.options.get(5, b"")
        return [struct.unpack_from(">II", body, at) for at in range(0, len(body), 8)]

    @property
    def mss(self) -> int | None:
        """The MSS option."""
        return struct.unpack(">H", self.options[2])[0] if 2 in self.options else None

    @property
    def wscale(self) -> int | None:
        """The window scale option."""
        return self.options[3][0] if 3 in self.options else None

    @property
    def ts(self) -> tuple[int, int] | None:
        """TSval and TSecr."""
        return struct.unpack(">II", self.options[8]) if 8 in self.options else None

    def same(self) -> tuple:
        """Everything of the segment but its time and its IP ID."""
        head = (self.src, self.dst, self.sport, self.dport, self.seq, self.ack, self.flags, self.window, self.urg)
        return (*head, self.payload, tuple(sorted(self.options.items())))


def ones(data: bytes) -> int:
    """The one's complement sum (RFC 1071), folded."""
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def parse_options(data: bytes) -> dict:
    """TCP options by kind."""
    found, at = {}, 0
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
    """The address that the pseudo-header names: the last one of a source route that is not at its end yet."""
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] in (131, 137) and options[at + 2] <= options[at + 1]:
            end = at + options[at + 1]
            return options[end - 4 : end]
        at += 1 if options[at] == 1 else options[at + 1]
    return dst


def decode(packet: bytes, time: int = 0, check: bool = True) -> Segment | None:
    """A Segment from an IPv4 packet, or None where it is none. A wrong checksum is an error, unless check is off."""
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
    """The TCP segments that pass ports of a simulated network: `sent` as their host sent them, `got` as they arrived."""

    def __init__(self, *ports, check: bool = True):
        self.sent: dict[str, list[Segment]] = {}
        self.got: dict[str, list[Segment]] = {}
        self.check = check
        for port in ports:
            self.attach(port)

    def attach(self, port) -> None:
        """Watch one more port."""
        sent = self.sent.setdefault(port.node.name, [])
        got = self.got.setdefault(port.node.name, [])

        def tap(time: int, direction: int, frame: bytes) -> None:
            if frame[12:14] == b"\x08\x00":
                # (What arrives may have been damaged on the way: that is for the stack to find.)
                seg = decode(frame[14:], time, self.check and direction == OUTBOUND)
                if seg is not None:
                    (sent if direction == OUTBOUND else got).append(seg)

        port.taps.append(tap)

    def data(self, name: str) -> list[Segment]:
        """The segments with payload that a host sent."""
        return [seg for seg in self.sent[name] if seg.payload]

    def pure_acks(self, name: str) -> list[Segment]:
        """The bare ACKs that a host sent, without the handshake's third segment."""
        return [seg for seg in self.sent[name] if seg.pure_ack][1:]

    def resent(self, name: str) -> list[Segment]:
        """The segments with payload, SYN or FIN that a host sent again: those that bring nothing beyond what it sent before."""
        highest: dict[tuple, int] = {}
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
    """Segments by round: how many were sent in each `period` (ns) from the first one on, empty ones left out."""
    counts: dict[int, int] = {}
    for seg in segs:
        number = (seg.time - segs[0].time) // period
        counts[number] = counts.get(number, 0) + 1
    return list(counts.values())
