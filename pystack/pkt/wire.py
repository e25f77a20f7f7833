"""Packets as bytes: those that a script injects, and the parsed ones that the stack sent."""

import struct
from dataclasses import dataclass, field

from pystack.pkt import model
from pystack.pkt.model import TcpOption
from pystack.pkt.parse_packet import decode_options, encode_options

#: the payload of every stream and datagram; a byte depends on its place, so the tests notice data that has moved
_PATTERN = bytes(range(251)) * 1050


def pattern(position: int, length: int) -> bytes:
    """Return `length` bytes of the endless test pattern from `position` on."""
    start = position % 251
    if start + length <= len(_PATTERN):
        return _PATTERN[start : start + length]
    return (bytes(range(251)) * ((start + length) // 251 + 1))[start : start + length]


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ip_packet(src: int, dst: int, proto: int, payload: bytes, tos: int = 0, ttl: int = 255) -> bytes:
    """Return an IPv4 packet around a payload."""
    total = 20 + len(payload)
    header = struct.pack(">BBHHHBBHII", 0x45, tos, total, 0, 0x4000, ttl, proto, 0, src, dst)
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def transport(src: int, dst: int, proto: int, segment: bytes, at: int) -> bytes:
    """Return a TCP or UDP segment with its checksum, which is at byte `at`."""
    pseudo = struct.pack(">IIBBH", src, dst, 0, proto, len(segment))
    value = checksum(pseudo + segment)
    if proto == 17 and value == 0:
        value = 0xFFFF
    return segment[:at] + struct.pack(">H", value) + segment[at + 2 :]


@dataclass
class ScriptSegment:
    """One packet that the stack sent."""

    time: int
    src: int = 0
    dst: int = 0
    tos: int = 0
    ttl: int = 0
    proto: int = 0
    sport: int = 0
    dport: int = 0
    seq: int = 0
    ack: int = 0
    flags: int = 0
    window: int = 0
    urg: int = 0
    options: list[TcpOption] = field(default_factory=list)
    payload: bytes = b""
    icmp: tuple[int, int] = (0, 0)
    #: ports of the UDP datagram around a segment, or None
    udp: "tuple[int, int] | None" = None
    problem: str = ""

    def option(self, kind: int) -> TcpOption | None:
        """Return the option of that kind, or None."""
        for option in self.options:
            if option.kind == kind:
                return option
        return None


def build_tcp(spec: model.TcpSpec, seq: int, ack: int, options: list[TcpOption], ports: tuple[int, int]) -> bytes:
    """Return a TCP segment whose checksum is zero. The payload is not in it yet."""
    raw = encode_options(options)
    offset = (20 + len(raw)) // 4
    window = max(0, spec.window)
    flags = spec.flags
    head = struct.pack(">HHIIBBHHH", *ports, seq, ack, offset << 4 | flags >> 8 & 1, flags & 0xFF, window, 0, spec.urg)
    return head + raw


def parse_frame(frame: bytes, time: int, tunnel: int = 0) -> ScriptSegment:
    """Read a packet of the stack. `problem` says what is wrong with it. Datagrams from port `tunnel` carry segments."""
    seg = ScriptSegment(time)
    (seg.tos, total, seg.ttl, seg.proto, seg.src, seg.dst) = struct.unpack_from(">xBHxxxxBBxxII", frame)
    hlen = (frame[0] & 15) * 4
    if checksum(frame[:hlen]):
        seg.problem = "bad IP header checksum"
    if total != len(frame):
        seg.problem = f"IP total length {total} of {len(frame)} bytes"
    body = frame[hlen:total]
    if seg.proto == 6 and len(body) >= 20:
        _parse_tcp(seg, body)
    elif seg.proto == 17 and len(body) >= 8:
        seg.sport, seg.dport = struct.unpack_from(">HH", body)
        seg.payload = body[8:]
    elif seg.proto == 1 and len(body) >= 8:
        seg.icmp = (body[0], body[1])
        seg.payload = body[8:]
        if checksum(body):
            seg.problem = "bad ICMP checksum"
    if seg.proto in (6, 17):
        pseudo = struct.pack(">IIBBH", seg.src, seg.dst, 0, seg.proto, len(body))
        if checksum(pseudo + body):
            seg.problem = "bad checksum"
    if seg.proto == 17 and tunnel and seg.sport == tunnel and len(seg.payload) >= 20:
        seg.proto, seg.udp = 6, (seg.sport, seg.dport)
        if seg.payload[16:18] != b"\0\0" or body[6:8] == b"\0\0":
            seg.problem = "the datagram's checksum covers the segment, not its own"
        _parse_tcp(seg, seg.payload)
    return seg


def _parse_tcp(seg: ScriptSegment, body: bytes) -> None:
    (seg.sport, seg.dport, seg.seq, seg.ack, offset, flags, seg.window, seg.urg) = struct.unpack_from(
        ">HHIIBBHxxH", body
    )
    seg.flags = flags | (offset & 1) << 8
    header = (offset >> 4) * 4
    seg.options = decode_options(body[20:header])
    seg.payload = body[header:]
