"""A router for tests of connection tracking and address translation: in0 is 10.0.0.1/24, out0 is 192.0.2.1/24, bare IP packets."""

import struct
from typing import Any

import pystack_c.const as C
from pystack_c.config import Config
from pystack_c.probe import ListProbe
from pystack_c.stack import Stack
from tests import frames as f

S = 1_000_000_000
IN, OUT = 0, 1


def seal(packet: bytes | bytearray) -> bytes:
    """Fill in the length and all checksums of an IPv4 packet."""
    data = bytearray(packet)
    at, proto = (data[0] & 15) * 4, data[9]
    data[2:4] = struct.pack(">H", len(data))
    where = {1: 2, 6: 16, 17: 6}.get(proto)
    if where is not None and len(data) >= at + where + 2:
        data[at + where : at + where + 2] = b"\0\0"
        body = bytes(data[at:])
        head = b"" if proto == 1 else bytes(data[12:20]) + struct.pack(">HH", proto, len(body))
        data[at + where : at + where + 2] = struct.pack(">H", (f.ones(head + body) ^ 0xFFFF) or 0xFFFF)
    data[10:12] = b"\0\0"
    data[10:12] = struct.pack(">H", f.ones(bytes(data[:at])) ^ 0xFFFF)
    return bytes(data)


def udp(src: str, sport: int, dst: str, dport: int, data: bytes = b"hello") -> bytes:
    """A UDP datagram in an IPv4 packet."""
    return seal(f.ipv4(src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data))


def tcp(
    src: str, sport: int, dst: str, dport: int, flags: int, seq: int = 0, ack: int = 0, data: bytes = b"", **more: Any
) -> bytes:
    """A TCP segment in an IPv4 packet; `more` are window, options, ttl."""
    options = more.get("options", b"")
    head = struct.pack(
        ">HHIIBBHHH",
        sport,
        dport,
        seq & 0xFFFFFFFF,
        ack & 0xFFFFFFFF,
        (5 + len(options) // 4) << 4,
        flags,
        more.get("window", 65535),
        0,
        0,
    )
    return seal(f.ipv4(src, dst, 6, head + options + data, ttl=more.get("ttl", 64)))


def echo(src: str, dst: str, ident: int, kind: int = 8) -> bytes:
    """An echo request or its reply."""
    return seal(f.ipv4(src, dst, 1, struct.pack(">BBHHH", kind, 0, 0, ident, 1) + b"ping"))


def error(src: str, dst: str, quoted: bytes, kind: int = 3, code: int = 3) -> bytes:
    """An ICMP error."""
    return seal(f.ipv4(src, dst, 1, struct.pack(">BBHI", kind, code, 0, 0) + quoted))


def ends(packet: bytes) -> tuple[str, int, str, int]:
    """Source address and port, destination address and port; of ICMP: the identifier, and type * 256 + code."""
    at, proto = (packet[0] & 15) * 4, packet[9]
    src, dst = (".".join(map(str, packet[i : i + 4])) for i in (12, 16))
    if proto == 1:
        return src, int.from_bytes(packet[at + 4 : at + 6], "big"), dst, packet[at] << 8 | packet[at + 1]
    return src, int.from_bytes(packet[at : at + 2], "big"), dst, int.from_bytes(packet[at + 2 : at + 4], "big")


def sums_right(packet: bytes) -> bool:
    """Are all checksums right?"""
    return seal(packet) == packet


class Box:
    """The router. `send` gives it a packet and returns [(interface, packet), ...] that it sends for it."""

    def __init__(self, *, probe: bool = True, **settings: Any):
        self.stack = Stack(7, Config(ip_forward=True, icmp_ratelimit=0, send_redirects=False, **settings), "box")
        self.probe = ListProbe()
        if probe:
            self.stack.probe = self.probe
        self.ifaces = []
        for name, address in (("in0", "10.0.0.1"), ("out0", "192.0.2.1")):
            iface = self.stack.add_iface(name, C.LINK_IP)
            self.stack.add_addr(iface, f.addr(address), 24)
            self.ifaces.append(iface)
        self.now = S

    def send(self, side: int, packet: bytes, flags: int = 0, gso_size: int = 0) -> list[tuple[int, bytes]]:
        """Receive a packet on an interface."""
        self.stack.receive(self.ifaces[side], packet, self.now, 0, flags, gso_size)
        return self.drain()

    def drain(self) -> list[tuple[int, bytes]]:
        """What the router sends now."""
        found = []
        while (tx := self.stack.poll_transmit(self.now)) is not None:
            found.append((self.ifaces.index(tx.iface), tx.to_bytes()))
        return found

    def one(self, side: int, packet: bytes) -> tuple[str, int, str, int]:
        """Receive a packet; the addresses and ports of the one packet that it becomes, whose checksums are right."""
        [(iface, out)] = self.send(side, packet)
        assert iface == 1 - side and sums_right(out), out.hex()
        return ends(out)

    def later(self, seconds: float) -> None:
        """Let time pass; the timers fire when they are due."""
        end = self.now + int(seconds * S)
        while (due := self.stack.poll_timeout()) is not None and due <= end:
            self.now = due
            self.stack.handle_timeout(due)
        self.now = end

    @property
    def table(self) -> Any:
        """The connection tracking."""
        return self.stack.conntrack

    def kinds(self, *kinds: str) -> list[Any]:
        """The events of these kinds."""
        return [event for event in self.probe.events if event.kind in kinds]

    @property
    def drops(self) -> dict[str, int]:
        """The drops by reason."""
        return dict(self.stack.counters.drops)
