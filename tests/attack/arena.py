"""Where the attacks happen: two honest hosts, a and b, and the rest of the Internet, from which anything may come to b.

    a (10.0.0.1) ---- b (10.0.0.2, 10.9.0.1) ---- crowd: every other address

b takes packets for any of its addresses on any link (the weak model), so an attacker in the crowd may name any source, a's too.
"""

import struct
from collections.abc import Callable, Generator
from functools import lru_cache
from random import Random
from typing import Any

import pystack_c.const as C
from pystack.sim.network import MS, S
from pystack.sim.programs import StreamSocket, stream
from pystack.testing.lab import B, lab_net, pattern
from pystack.testing.peer import build
from pystack.testing.segments import ACK, FIN, M32, RST, SYN, Segment, decode, ones
from tests.support import invariants

A_ADDR, B_ADDR, GATE = 0x0A000001, 0x0A000002, 0x0A090001
#: the attacker's own addresses, and a server of the crowd that b trusts
EVIL, UPSTREAM = 0x0A090042, 0x0A090909


def packet(src: int, dst: int, proto: int, payload: bytes) -> bytes:
    """An IPv4 packet."""
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0, src, dst)
    return head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:] + payload


def udp_packet(src: int, sport: int, dst: int, dport: int, data: bytes = b"x") -> bytes:
    """A UDP datagram without checksum."""
    return packet(src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data)


def icmp_packet(src: int, dst: int, kind: int, code: int, rest: int, data: bytes) -> bytes:
    """An ICMP message."""
    body = struct.pack(">BBHI", kind, code, 0, rest) + data
    return packet(src, dst, 1, body[:2] + struct.pack(">H", ones(body) ^ 0xFFFF) + body[4:])


class Arena:
    """The network. `seen` is what reached the crowd: (time, packet)."""

    def __init__(self, seed: int = 1, **settings: Any):
        self.rng = Random(seed)
        self.lab = lab_net(10 * MS, seed=seed, profile="linux", server=settings, client=settings)
        self.net, self.a, self.b = self.lab.net, self.lab.a, self.lab.b
        self.crowd = self.net.wire("crowd")
        self.net.link(self.b, self.crowd, kind=C.LINK_IP, delay=MS)
        self.b.addr("10.9.0.1/24")
        self.b.route("default")
        self.seen: list[tuple[int, bytes]] = []
        self.hears: dict[int, Callable[[bytes], None]] = {}
        self.crowd.on_frame = self._arrived

    def _arrived(self, frame: bytes) -> None:
        self.crowd.got.clear()
        self.seen.append((self.net.now, frame))
        hears = self.hears.get(int.from_bytes(frame[16:20], "big"))
        if hears is not None:
            hears(frame)

    def run(self, duration: int) -> None:
        """Time passes."""
        self.net.run(until=self.net.now + duration)

    def of(self, *addrs: int) -> list[tuple[int, bytes]]:
        """What came to those addresses (all that an attacker off the path sees)."""
        return [(time, frame) for time, frame in self.seen if int.from_bytes(frame[16:20], "big") in addrs]

    def serve(self, port: int, handler: Callable[[StreamSocket], Generator]) -> StreamSocket:
        """b listens there; a program for each connection."""
        listener = self.lab.listener(port, backlog=4096)

        def accept() -> Generator:
            while True:
                self.lab.spawn(handler((yield listener.accept())))

        self.lab.spawn(accept())
        return listener

    def connect(self, port: int, sport: int = 0) -> Generator:
        """A connection from a (use with `yield from`)."""
        sock = stream(self.a)
        if sport:
            sock.bind("", sport)
        yield sock.connect(B, port)
        return sock


def keep(sock: StreamSocket) -> Generator:
    """A server that reads and says nothing."""
    try:
        while (yield sock.recv()):
            pass
    except OSError:
        pass
    sock.close()


_pattern = lru_cache(4)(pattern)


class Exchange:
    """An honest transfer each way between a and b: it must arrive, whole, about as fast as without the attacker."""

    def __init__(self, arena: Arena, size: int = 200_000, port: int = 8000):
        self.arena, self.size = arena, size
        self.data = _pattern(size)
        self.got: list[bytes] = []
        self.errors: list[OSError] = []
        self.done = 0
        self.sport = 0
        arena.serve(port, self._side)
        self.port = port

    def start(self, sport: int = 0) -> None:
        """a connects."""
        self.started = self.arena.net.now
        self.arena.lab.spawn(self._client(sport))

    def _client(self, sport: int) -> Generator:
        try:
            sock = yield from self.arena.connect(self.port, sport)
        except OSError as error:
            self.errors.append(error)
            return
        self.sport = sock.endpoint.lport
        self.client = sock.endpoint
        yield from self._side(sock)

    def _side(self, sock: StreamSocket) -> Generator:
        def send() -> Generator:
            yield sock.sendall(self.data)

        try:
            sending = self.arena.lab.spawn(send())
            self.got.append((yield sock.recv_exactly(self.size)))
            yield sending
        except OSError as error:
            self.errors.append(error)
            return
        self.done = max(self.done, self.arena.net.now)
        sock.shutdown()
        sock.close()

    def took(self) -> int:
        """How long it took; an AssertionError if it did not get through whole."""
        assert not self.errors, f"the honest connection failed: {self.errors[0]}"
        assert len(self.got) == 2, "the honest connection is stalled"
        assert all(data == self.data for data in self.got), "the honest connection got other bytes"
        return self.done - self.started


class MiniPeer:
    """A TCP peer in the crowd that does just what it is told: it knows its numbers, and answers nothing by itself but the handshake."""

    def __init__(
        self, arena: Arena, port: int, sport: int, addr: int = EVIL, options: bytes = b"", window: int = 65535, iss: int = 1000
    ):  # fmt: skip
        self.arena, self.port, self.sport, self.addr, self.window = arena, port, sport, addr, window
        self.options = options
        self.iss, self.seq = iss, iss
        self.irs: int | None = None
        self.rcv_nxt = 0
        self.high = 0
        self.closed = False
        #: what a liar says that it has; -1: nothing yet
        self.told = -1
        self.got: list[Segment] = []
        self.on_segment: Callable[[Segment], None] = lambda seg: None

    def send(self, flags: int, seq: int | None = None, ack: int | None = None, **fields: Any) -> None:
        """A segment."""
        fields.setdefault("window", self.window)
        seq = self.seq if seq is None else seq
        ack = self.rcv_nxt if ack is None else ack
        raw = build(self.addr, GATE, self.sport, self.port, seq, ack if flags & ACK else 0, flags, **fields)
        self.arena.crowd.send(raw)

    def open(self) -> None:
        """The SYN."""
        self.send(SYN, options=self.options)

    def hear(self, seg: Segment) -> None:
        """A segment came."""
        self.got.append(seg)
        del self.got[:-50]
        if seg.flags & RST:
            self.closed = True
        if self.irs is None and seg.has(SYN | ACK):
            self.irs, self.rcv_nxt, self.high = seg.seq, seg.end, seg.end
            self.seq = (self.iss + 1) & M32
            self.send(ACK)
        elif self.irs is not None:
            if seg.seq == self.rcv_nxt:
                self.rcv_nxt = seg.end
            if (seg.end - self.high) & M32 < 1 << 31:
                self.high = seg.end
        self.on_segment(seg)


class Crowd:
    """The attacker's peers, by address and port."""

    def __init__(self, arena: Arena, *addrs: int):
        self.peers: dict[tuple[int, int], MiniPeer] = {}
        for addr in addrs:
            arena.hears[addr] = self._heard

    def add(self, peer: MiniPeer) -> MiniPeer:
        """One more."""
        self.peers[(peer.addr, peer.sport)] = peer
        return peer

    def _heard(self, frame: bytes) -> None:
        seg = decode(frame)
        if seg is not None:
            peer = self.peers.get((seg.dst, seg.dport))
            if peer is not None:
                peer.hear(seg)


def bounded(arena: Arena) -> None:
    """Whatever was done to b, it keeps its own bounds."""
    stack = arena.b.stack
    invariants.check(stack)
    config = stack.config
    count = len(invariants.all_tcbs(stack))
    assert len(stack.timers) <= 8 * (count + 2) + 2 * config.neigh_max_entries, "more timers than connections can have"
    assert stack.tcp_memory <= config.tcp_mem_high + 8192 * count, "more memory than all buffers may have"


__all__ = ["ACK", "FIN", "RST", "SYN", "MS", "S", "Arena", "Crowd", "Exchange", "MiniPeer", "bounded", "build", "keep"]
