"""A one-sided host: raw frames into a Stack, and everything that it says back, taken apart.

    peer = Peer()                                     # the stack is 10.0.0.1/24, the peer 10.0.0.2
    [reply] = peer.send(f.icmp(8, 0, b"\\0\\1\\0\\1", b"hi"), proto=1)
    assert reply.ip.ttl == 64 and reply.icmp.type == 0
    frames = peer.run(3.0)                            # fire timers, in order, for 3 s; each frame has its .time (ns)
    peer.call(udp.sendto, ep, b"hi", addr, 53, 0)     # a call with `now` added; returns its result, frames in peer.seen

The reader here is written with `struct`, apart from the stack's own codecs, so that it can be their oracle.
"""

import struct
from typing import Any, NamedTuple

import pystack_c.const as C
from pystack_c.config import Config
from pystack_c.probe import ListProbe
from pystack_c.stack import Stack
from tests import frames as f

S = 1_000_000_000
STACK_MAC = 0x0200000000AA
PEER_MAC = 0x0200000000BB


class Arp(NamedTuple):
    op: int
    sha: int
    spa: int
    tha: int
    tpa: int


class Ip(NamedTuple):
    hlen: int
    tos: int
    total: int
    ident: int
    df: bool
    mf: bool
    offset: int
    ttl: int
    proto: int
    csum_ok: bool
    src: int
    dst: int
    options: bytes


class Icmp(NamedTuple):
    type: int
    code: int
    csum_ok: bool
    rest: int
    data: bytes


class Udp(NamedTuple):
    sport: int
    dport: int
    length: int
    csum: int
    csum_ok: bool
    data: bytes


class Seen:
    """One frame that a stack sent, at `time`. What a frame is not is None."""

    def __init__(self, time: int, frame: bytes, iface: str, kind: int):
        self.time = time
        self.frame = frame
        self.iface = iface
        self.arp: Arp | None = None
        self.ip: Ip | None = None
        self.icmp: Icmp | None = None
        self.udp: Udp | None = None
        self.l4 = b""
        packet = frame
        if kind == C.LINK_ETHERNET:
            self.eth_dst = int.from_bytes(frame[0:6], "big")
            self.eth_src = int.from_bytes(frame[6:12], "big")
            self.eth_type = int.from_bytes(frame[12:14], "big")
            packet = frame[14:]
            if self.eth_type == 0x0806:
                op, sha, spa, tha, tpa = struct.unpack(">6xH6s4s6s4s", packet[:28])
                sha, spa, tha, tpa = (int.from_bytes(part, "big") for part in (sha, spa, tha, tpa))
                self.arp = Arp(op, sha, f.core(spa), tha, f.core(tpa))
                return
        self._ip(packet)

    def _ip(self, p: bytes) -> None:
        v, tos, total, ident, frag, ttl, proto, _csum, src, dst = struct.unpack(">BBHHHBBHII", p[:20])
        hlen = (v & 15) * 4
        self.packet = p
        self.ip = Ip(
            hlen, tos, total, ident, bool(frag & 0x4000), bool(frag & 0x2000), (frag & 0x1FFF) * 8, ttl, proto,
            f.ones(p[:hlen]) == 0xFFFF, f.core(src), f.core(dst), p[20:hlen],
        )  # fmt: skip
        self.l4 = p[hlen:total]
        if frag & 0x3FFF:
            return
        if proto == 1 and len(self.l4) >= 8:
            self.icmp = Icmp(
                self.l4[0], self.l4[1], f.ones(self.l4) == 0xFFFF, int.from_bytes(self.l4[4:8], "big"), self.l4[8:]
            )
        elif proto == 17 and len(self.l4) >= 8:
            sport, dport, length, csum = struct.unpack(">HHHH", self.l4[:8])
            pseudo = struct.pack(">IIBBH", src, dst, 0, 17, length)
            ok = csum == 0 or f.ones(pseudo + self.l4) == 0xFFFF
            self.udp = Udp(sport, dport, length, csum, ok, self.l4[8:])

    def __repr__(self) -> str:
        return f"<{self.time / S:.9f} {self.iface} {self.arp or self.icmp or self.udp or self.ip}>"


def ip_packet(
    src: str | int = "10.0.0.2", dst: str | int = "10.0.0.1", proto: int = 17, payload: bytes = b"", *, version: int = 4,
    ihl: int | None = None, tos: int = 0, total: int | None = None, ident: int = 7, df: bool = False, mf: bool = False,
    offset: int = 0, ttl: int = 64, csum: int | None = None, options: bytes = b"",
) -> bytes:  # fmt: skip
    """An IPv4 packet with any header, right or wrong. `offset` in bytes."""
    options += bytes(-len(options) % 4)
    src = f.addr(src) if isinstance(src, str) else src
    dst = f.addr(dst) if isinstance(dst, str) else dst
    hlen = 20 + len(options)
    frag = (0x4000 if df else 0) | (0x2000 if mf else 0) | offset >> 3
    head = struct.pack(
        ">BBHHHBBHII", version << 4 | (hlen // 4 if ihl is None else ihl), tos,
        hlen + len(payload) if total is None else total, ident, frag, ttl, proto, 0, src & 0xFFFFFFFF, dst & 0xFFFFFFFF,
    ) + options  # fmt: skip
    field = f.ones(head) ^ 0xFFFF if csum is None else csum
    return head[:10] + struct.pack(">H", field) + head[12:] + payload


class Peer:
    """The other end of a Stack's only link. See the module."""

    def __init__(
        self, config: Config | None = None, seed: int = 1, addr: str = "10.0.0.1/24", me: str = "10.0.0.2",
        mtu: int = 1500, kind: int = C.LINK_ETHERNET, known: bool = True, **settings: Any,
    ):  # fmt: skip
        config = (config or Config()).update(settings)
        self.stack = Stack(seed, config, "stack")
        self.iface = self.stack.add_iface("eth0", kind, STACK_MAC, mtu)
        text, _, length = addr.partition("/")
        self.addr, self.me = f.addr(text), f.addr(me)
        self.stack.add_addr(self.iface, self.addr, int(length))
        self.now = 0
        self.probe = ListProbe()
        self.stack.probe = self.probe
        self.seen: list[Seen] = []
        if known and kind == C.LINK_ETHERNET:
            self.stack.add_neighbor(self.iface, self.me, PEER_MAC)

    # In

    def frame(self, frame: bytes, iface=None, flags: int = 0, offset: int = 0) -> list[Seen]:
        """A raw frame comes in; what the stack answers at once."""
        self.stack.receive(iface or self.iface, frame, self.now, offset, flags)
        return self.drain()

    def packet(self, packet: bytes, *, eth_dst: int = STACK_MAC, eth_src: int = PEER_MAC, iface=None) -> list[Seen]:
        """An IP packet in the right link header."""
        iface = iface or self.iface
        if iface.kind == C.LINK_ETHERNET:
            packet = f.ether(packet, 0x0800, eth_src, eth_dst)
        return self.frame(packet, iface)

    def send(self, payload: bytes, proto: int = 17, *, eth_dst: int = STACK_MAC, **header: Any) -> list[Seen]:
        """A transport payload in an IP packet from the peer to the stack; `header` as for ip_packet."""
        header.setdefault("src", self.me)
        header.setdefault("dst", self.addr)
        return self.packet(ip_packet(proto=proto, payload=payload, **header), eth_dst=eth_dst)

    def arp(
        self, op: int, sha: int, spa: str, tha: int, tpa: str, eth_dst: int | None = None, iface=None
    ) -> list[Seen]:
        """An ARP packet; a request is broadcast unless `eth_dst` says otherwise."""
        if eth_dst is None:
            eth_dst = 0xFFFFFFFFFFFF if op == 1 else STACK_MAC
        return self.frame(f.ether(f.arp(op, sha, spa, tha, tpa), 0x0806, sha, eth_dst), iface)

    def udp(
        self, sport: int, dport: int, data: bytes, src: str = "10.0.0.2", dst: str = "10.0.0.1", **kw: Any
    ) -> list[Seen]:
        """A UDP datagram with a right checksum."""
        return self.send(f.udp(src, sport, dst, dport, data), 17, src=src, dst=dst, **kw)

    def call(self, fn, *args: Any) -> Any:
        """An application call, with `now` added; frames are in `seen`."""
        try:
            return fn(*args, self.now)
        finally:
            self.drain()

    # Out

    def drain(self) -> list[Seen]:
        """All frames that the stack has now."""
        new = []
        while True:
            tx = self.stack.poll_transmit(self.now)
            if tx is None:
                break
            new.append(Seen(self.now, tx.to_bytes(), tx.iface.name, tx.iface.kind))
        self.seen += new
        return new

    def run(self, seconds: float) -> list[Seen]:
        """Time goes on: fire each timer at its deadline. The frames sent meanwhile."""
        until = self.now + round(seconds * S)
        frames = []
        for _ in range(100_000):
            deadline = self.stack.poll_timeout()
            if deadline is None or deadline > until:
                break
            self.now = max(self.now, deadline)
            self.stack.handle_timeout(self.now)
            frames += self.drain()
        else:
            raise AssertionError("timers without end")
        self.now = until
        return frames

    # What happened

    @property
    def drops(self) -> dict[str, int]:
        """Drops by name."""
        return dict(self.stack.counters.drops)

    def events(self, kind: str) -> list:
        """The probe's events of one kind."""
        return [event for event in self.probe.events if event.kind == kind]
