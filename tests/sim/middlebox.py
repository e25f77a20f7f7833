"""The middle of a path: a link whose MTU may be smaller than its ends', that says so by ICMP, or lies by ICMP."""

import struct
from typing import Any

from pystack.sim.network import MS, Network, SimHost
from tests.frames import ones

ROUTER = 0x0A000063


class Middlebox:
    """Host a - link (the impairments are here) - this - host b."""

    def __init__(self, net: Network, a: SimHost, b: SimHost, mtu: int, tells: bool):
        self.net = net
        self.mtu = mtu
        self.tells = tells
        self.wires = {"a": net.wire("box-a"), "b": net.wire("box-b")}
        self.link = net.link(a, self.wires["a"], addrs=("10.0.0.1/24", None))
        self.other = net.link(self.wires["b"], b, addrs=(None, "10.0.0.2/24"))
        #: the last segment that came from each side
        self.last: dict[str, bytes] = {}
        self.too_big = 0
        #: segments with IP options that came by
        self.with_options = 0
        self.wires["a"].on_frame = lambda frame: self.pass_on("a", "b", frame)
        self.wires["b"].on_frame = lambda frame: self.pass_on("b", "a", frame)

    def pass_on(self, source: str, target: str, frame: bytes) -> None:
        """A frame from one side: to the other, or back as an ICMP error."""
        self.wires[source].got.clear()
        if frame[12:14] == b"\x08\x00" and len(frame) >= 54:
            if frame[23] == 6:
                self.last[source] = frame
                self.with_options += frame[14] != 0x45
            if len(frame) - 14 > self.mtu:
                if not frame[20] & 0x40:
                    self.cut(target, frame)
                    return
                self.too_big += 1
                if self.tells:
                    self.complain(source, frame, 3, 4, self.mtu)
                return
        self.wires[target].send(frame)

    def cut(self, target: str, frame: bytes) -> None:
        """In fragments, where DF does not forbid it (RFC 791 3.2)."""
        size = (frame[14] & 15) * 4
        head, body = frame[14 : 14 + size], frame[14 + size : 14 + int.from_bytes(frame[16:18], "big")]
        room = (self.mtu - size) & -8
        for at in range(0, len(body), room):
            piece = body[at : at + room]
            field = at >> 3 | (0x2000 if at + room < len(body) else 0)
            part = head[:2] + struct.pack(">H", size + len(piece)) + head[4:6] + struct.pack(">H", field) + head[8:10]
            part += b"\0\0" + head[12:]
            part = part[:10] + struct.pack(">H", ones(part) ^ 0xFFFF) + part[12:]
            self.wires[target].send(frame[:14] + part + piece)

    def complain(self, source: str, frame: bytes, kind: int, code: int, rest: int) -> None:
        """An ICMP error about a frame that came from `source`, back to there."""
        body = struct.pack(">BBHI", kind, code, 0, rest) + frame[14 : 14 + (frame[14] & 15) * 4 + 8]
        body = body[:2] + struct.pack(">H", ones(body) ^ 0xFFFF) + body[4:]
        head = struct.pack(">BBHHHBBHI4s", 0x45, 0, 20 + len(body), 1, 0, 64, 1, 0, ROUTER, frame[26:30])
        head = head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:]
        self.wires[source].send(frame[6:12] + frame[:6] + b"\x08\x00" + head + body)

    def happen(self, kind: str, value: Any) -> None:
        """An event of a scenario."""
        if kind == "mtu":
            self.mtu = value
        elif kind == "loss":
            self.link.set(loss=value)
        elif kind == "down":
            self.link.down()
            self.net.after(value * MS, self.link.restore)
        elif kind == "lie":
            icmp, code, rest, side, times = value
            if times > 1:
                self.net.after(300 * MS, self.happen, kind, [icmp, code, rest, side, times - 1])
            if side in self.last:
                self.complain(side, self.last[side], icmp, code, rest)
