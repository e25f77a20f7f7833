"""The frame of a middlebox: a node in the middle of a link that looks into packets. sim/boxes.py has the boxes.

A middlebox has neither a clock nor a scheduler. `process(way, frame, now)` returns what it sends, and in which direction. It is put in
front of the near end of a link: Link.middlebox in the simulator, FaultDevice in front of a live device.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack_c.base.rng import Rng
from pystack_c.wire import checksum

#: the ways through a box: away from the near end, and towards it
OUT, IN = 0, 1
WAYS = {"out": (OUT,), "in": (IN,), "both": (OUT, IN)}
_NAMES = ("out", "in")
#: what a box sends: (way, frame)
Sent = list[tuple[int, bytes]]
#: report(time, kind, subject, reason, rfc, fields): receives the events of a box
Report = Callable[[int, str, str, str, str, dict[str, Any]], None]
#: the times and counts of a box
_MOST = 1 << 62


class Transport:
    """A whole TCP segment or UDP datagram in a frame. All offsets are in the frame."""

    def __init__(self, frame: bytes, ip: int, l4: int, end: int, proto: int):
        self.frame = frame
        self.ip = ip
        self.l4 = l4
        self.end = end
        self.proto = proto
        self.src = frame[ip + 12 : ip + 16]
        self.dst = frame[ip + 16 : ip + 20]
        self.sport = _number(frame, l4)
        self.dport = _number(frame, l4 + 2)
        tcp = proto == C.IPPROTO_TCP
        self.data = l4 + ((frame[l4 + 12] >> 4) * 4 if tcp else 8)
        self.flags = frame[l4 + 13] if tcp else 0
        self.seq = int.from_bytes(frame[l4 + 4 : l4 + 8], "big") if tcp else 0
        self.ack = int.from_bytes(frame[l4 + 8 : l4 + 12], "big") if tcp else 0

    @property
    def length(self) -> int:
        """The bytes of payload."""
        return self.end - self.data

    def opens(self) -> bool:
        """Whether it is a SYN without ACK."""
        return self.flags & (C.SYN | C.ACK) == C.SYN

    def subject(self) -> str:
        """The connection, as the sender names it in events."""
        name = "tcp" if self.proto == C.IPPROTO_TCP else "udp"
        return f"{name} {_address(self.src)}:{self.sport}-{_address(self.dst)}:{self.dport}"

    def key(self) -> tuple[int, bytes, int, bytes, int]:
        """The connection, as seen from the sender."""
        return (self.proto, self.src, self.sport, self.dst, self.dport)

    def reverse(self) -> tuple[int, bytes, int, bytes, int]:
        """The connection, as seen from the receiver."""
        return (self.proto, self.dst, self.dport, self.src, self.sport)

    def options(self) -> list[tuple[int, int, int]]:
        """The TCP options as (kind, offset, length), up to the first one that is malformed."""
        found = []
        frame, at = self.frame, self.l4 + 20
        while self.proto == C.IPPROTO_TCP and at < self.data and frame[at] != 0:
            length = 1 if frame[at] == 1 else frame[at + 1] if at + 1 < self.data else 0
            if length < 1 or (frame[at] != 1 and length < 2) or at + length > self.data:
                break
            found.append((frame[at], at, length))
            at += length
        return found


def _number(frame: bytes, at: int) -> int:
    return (frame[at] << 8) | frame[at + 1]


def _address(address: bytes) -> str:
    return ".".join(str(byte) for byte in address)


def ip_end(frame: bytes, ip: int) -> int:
    """The end of the IPv4 packet that begins at `ip`, or 0 if there is none."""
    if len(frame) < ip + 20 or frame[ip] >> 4 != 4 or (ip and frame[ip - 2 : ip] != b"\x08\x00"):
        return 0
    end = ip + _number(frame, ip + 2)
    header = (frame[ip] & 15) * 4
    return end if header >= 20 and ip + header <= end <= len(frame) else 0


def segment_of(frame: bytes, ip: int) -> Transport | None:
    """The segment in a frame whose IPv4 packet begins at `ip`. None: there is none, or it is malformed or a fragment."""
    end = ip_end(frame, ip)
    if not end or _number(frame, ip + 6) & 0x3FFF:
        return None
    l4, proto = ip + (frame[ip] & 15) * 4, frame[ip + 9]
    if proto == C.IPPROTO_UDP:
        return Transport(frame, ip, l4, end, proto) if l4 + 8 <= end else None
    if proto != C.IPPROTO_TCP or l4 + 20 > end or not 20 <= (frame[l4 + 12] >> 4) * 4 <= end - l4:
        return None
    return Transport(frame, ip, l4, end, proto)


def mended(old: bytes, new: bytes, ip: int) -> bytes:
    """The frame `new`, with the checksums of `old` updated to its content (RFC 1624). A wrong checksum stays wrong.

    The IP header has its old length. The transport part may have another one.
    """
    out = bytearray(new)
    _update(
        out, ip + 10, _sum(old, ip, _header_end(old, ip), ip + 10), _sum(new, ip, _header_end(new, ip), ip + 10), old
    )
    proto = old[ip + 9]
    at = _header_end(old, ip) + (16 if proto == C.IPPROTO_TCP else 6)
    if proto in (C.IPPROTO_TCP, C.IPPROTO_UDP) and not _number(old, ip + 6) & 0x3FFF:
        if proto == C.IPPROTO_TCP or _number(old, at):
            _update(out, at, _transport_sum(old, ip, at), _transport_sum(new, ip, at), old)
    return bytes(out)


def _header_end(frame: bytes, ip: int) -> int:
    return ip + (frame[ip] & 15) * 4


def _sum(frame: bytes, begin: int, end: int, leave_out: int) -> int:
    """The one's complement sum of a part of a frame, without the checksum at `leave_out`."""
    data = frame[begin:leave_out] + b"\0\0" + frame[leave_out + 2 : end]
    return checksum.checksum(data, 0, len(data), 0) ^ 0xFFFF


def _transport_sum(frame: bytes, ip: int, at: int) -> int:
    begin, end = _header_end(frame, ip), ip + _number(frame, ip + 2)
    length = (end - begin).to_bytes(2, "big")
    pseudo = frame[ip + 12 : ip + 20] + bytes((0, frame[ip + 9])) + length
    data = pseudo + frame[begin:at] + b"\0\0" + frame[at + 2 : end]
    return checksum.checksum(data, 0, len(data), 0) ^ 0xFFFF


def _update(out: bytearray, at: int, before: int, after: int, old: bytes) -> None:
    """RFC 1624: HC' = ~(~HC + ~m + m')"""
    total = (_number(old, at) ^ 0xFFFF) + (before ^ 0xFFFF) + after
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    out[at : at + 2] = (total ^ 0xFFFF).to_bytes(2, "big")


def reset(segment: Transport, back: bool) -> bytes:
    """A RST in the name of the receiver of a segment (`back`), or of its sender, with the numbers that the other side accepts."""
    frame, ip = segment.frame, segment.ip
    length = segment.length + bool(segment.flags & C.SYN) + bool(segment.flags & C.FIN)
    if not back:
        # The segment itself is lost, so its number is the one that the receiver expects (RFC 9293 3.5.3).
        seq, ack, flags = segment.seq, segment.ack, C.RST | (segment.flags & C.ACK)
    elif segment.flags & C.ACK:
        # RFC 9293 3.5.2: the RST takes its sequence number from the ACK field of the segment.
        seq, ack, flags = segment.ack, 0, C.RST
    else:
        seq, ack, flags = 0, (segment.seq + length) & 0xFFFFFFFF, C.RST | C.ACK
    ends = [(segment.src, segment.sport), (segment.dst, segment.dport)]
    (src, sport), (dst, dport) = ends[::-1] if back else ends
    tcp = sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + seq.to_bytes(4, "big") + ack.to_bytes(4, "big")
    tcp += bytes((0x50, flags, 0, 0, 0, 0, 0, 0))
    pseudo = src + dst + bytes((0, C.IPPROTO_TCP, 0, 20)) + tcp
    tcp = tcp[:16] + checksum.checksum(pseudo, 0, len(pseudo), 0).to_bytes(2, "big") + tcp[18:]
    header = bytes((0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, C.IPPROTO_TCP, 0, 0)) + src + dst
    header = header[:10] + checksum.checksum(header, 0, 20, 0).to_bytes(2, "big") + header[12:]
    ethernet = frame[:ip] if not back or not ip else frame[6:12] + frame[:6] + frame[12:ip]
    return ethernet + header + tcp


class Middlebox:
    """The base class: subclasses override `handle`, and explain what they change or drop by `note` and `drop`.

    kind    its name in texts ("nat-timeout")
    ways    the ways that it looks at: "out" (away from the near end), "in" or "both"
    name    its name in events, which the link gives it
    stats   how often it did what
    """

    kind = "middlebox"

    def __init__(self, ways: str = "both") -> None:
        if ways not in WAYS:
            raise ValueError(f"ways={ways!r:.40}: write out, in or both")
        self.ways = ways
        self.name = self.kind
        self.stats: Counter[str] = Counter()
        self.rng = Rng(0)
        self._header = C.ETH_HLEN
        self._report: Report | None = None
        self._notes: list[tuple[str, str, str, dict[str, Any]]] = []
        self._used = False

    def begin(self, name: str, seed: object, kind: int, report: Report | None) -> None:
        """Put it in its place, which may happen once: its state belongs to one link. `kind` is the kind of link (const.LINK_*)."""
        self.check_new()
        self._used = True
        self.name = name
        self.rng = Rng(f"{seed}/{name}")
        self._header = C.ETH_HLEN if kind == C.LINK_ETHERNET else 0
        self._report = report

    def check_new(self) -> None:
        """ValueError if it has been in a link already."""
        if self._used:
            raise ValueError(f"this {self.kind} has been in a link already: make a new one for each link")

    def process(self, way: int, frame: bytes, now: int) -> Sent:
        """Take a frame that goes `way` (OUT or IN). Returns the frames that the box sends, and their ways."""
        if way not in WAYS[self.ways] or not ip_end(frame, self._header):
            return [(way, frame)]
        sent = self.handle(way, frame, now)
        if self._notes:
            self._tell(way, frame, now, sent)
        return sent

    def handle(self, way: int, frame: bytes, now: int) -> Sent:
        """Decide about an IPv4 packet."""
        raise NotImplementedError

    def segment(self, frame: bytes) -> Transport | None:
        """The TCP segment or UDP datagram in a frame, or None."""
        return segment_of(frame, self._header)

    def note(self, action: str, reason: str, rfc: str = "", **fields: Any) -> None:
        """Explain a frame that is changed or made: why, with the source of the behaviour."""
        self.stats[action] += 1
        self._notes.append(("box", reason, rfc, {"action": action, **fields}))

    def drop(self, name: str, reason: str, rfc: str = "") -> Sent:
        """Explain why the frame is dropped. Returns what is sent then: nothing."""
        self.stats[name] += 1
        self._notes.append(("drop", reason, rfc, {"name": f"box-{name}"}))
        return []

    def _tell(self, way: int, frame: bytes, now: int, sent: Sent) -> None:
        """Report the frame, the decisions about it, and the frames that the box sends instead."""
        notes, self._notes = self._notes, []
        if self._report is None:
            return
        segment = self.segment(frame)
        subject = segment.subject() if segment is not None else "ip"
        self._report(now, "frame.in", _NAMES[1 - way], "", "", {"iface": _NAMES[1 - way], "frame": frame})
        # Each frame that the box sends has the decisions in front of it, as those of a stack have.
        for to, data in sent or [(way, b"")]:
            for kind, reason, rfc, told in notes:
                self._report(now, kind, subject, reason, rfc, told)
            if sent:
                fields = {"iface": _NAMES[to], "frame": data, "gso_size": 0}
                self._report(now, "frame.out", _NAMES[to], "", "", fields)

    def text(self) -> str:
        """Its kind and settings, such as "nat-timeout idle=30s"."""
        return self.kind

    def __repr__(self) -> str:
        return f"<{self.text()}>"


def check_whole(name: str, value: object, least: int, most: int = _MOST) -> int:
    """The value of a setting, which is an int. ValueError if it is not in least..most."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}={str(value)[:40]}: write an int from {least} to {'2**62' if most == _MOST else most}")
    return value


def check_probability(name: str, value: object) -> float:
    """The value of a setting, which is a probability. ValueError if it is not."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"{name}={str(value)[:40]}: write a probability from 0 to 1")
    return float(value)


def through(boxes: list[Middlebox], index: int, way: int, frame: bytes, now: int) -> Sent:
    """Send a frame through boxes, from the one with this index on. Returns what comes out at both ends: (OUT or IN, frame).

    The first box is the nearest one. A box may send back, through the boxes between it and the end.
    """
    if not 0 <= index < len(boxes):
        return [(way, frame)]
    found: Sent = []
    for to, data in boxes[index].process(way, frame, now):
        found += through(boxes, index + 1 if to == OUT else index - 1, to, data, now)
    return found
