"""An attacker off the path: it names any source, and sees only what is sent to its own addresses."""

import struct
from collections.abc import Generator
from random import Random
from typing import Any

from pystack.sim.network import MS, S
from pystack.sim.programs import datagram
from pystack.testing.peer import build
from pystack.testing.segments import ACK, FIN, M32, PSH, RST, SYN, decode
from pystack_c.base.address import v4
from tests.attack.arena import (
    A_ADDR,
    B_ADDR,
    EVIL,
    GATE,
    UPSTREAM,
    Arena,
    Crowd,
    Exchange,
    MiniPeer,
    icmp_packet,
    keep,
    packet,
    udp_packet,
)  # fmt: skip

#: the attacker's own addresses
OWN = tuple(EVIL + n for n in range(8))


# -- Learn whether a sequence number is in the window (CVE-2016-5696) ------------------------------------------------------


def challenge_guesses(seed: int, trials: int, **settings: Any) -> int:
    """How often the attacker finds out, by challenge ACKs to its own connections, whether it has guessed the window of a's connection.

    It has 40 connections of its own. At the begin of a second it draws a challenge ACK on each, and counts; at the begin of another
    one it first sends ten forged RSTs for a's connection. If they are in the window they are challenged, and use up a shared budget.
    """
    arena = Arena(seed, **settings)
    rng = Random(seed)
    arena.serve(80, keep)
    crowd = Crowd(arena, *OWN)
    own = [crowd.add(MiniPeer(arena, 80, 5000 + n)) for n in range(40)]
    for peer in own:
        peer.open()
    arena.run(S)
    right = 0
    for trial in range(trials):
        secret = rng.random() < 0.5
        sock = arena.lab.spawn(arena.connect(80, 20000 + trial))
        before = _challenge(arena, own, [])
        seq = arena.b.stack.tcp.find(v4(B_ADDR), 80, v4(A_ADDR), 20000 + trial).rcv_nxt + (100 if secret else 1 << 31)
        forged = [build(A_ADDR, B_ADDR, 20000 + trial, 80, seq + n, 0, RST) for n in range(10)]
        after = _challenge(arena, own, forged)
        right += (before > after) == secret
        sock.value.abort()
    return right


def _challenge(arena: Arena, own: list[MiniPeer], first: list[bytes]) -> int:
    """After `first`, at the begin of a second: how many of our own connections are challenged?"""
    arena.net.run(until=(arena.net.now // S + 2) * S)
    arena.seen.clear()
    for raw in first:
        arena.crowd.send(raw)
    for peer in own:
        peer.send(RST, seq=peer.seq + 10)
    arena.run(100 * MS)
    return len(arena.of(*OWN))


# -- Learn the port of a connected UDP socket (CVE-2020-25705, SAD DNS) ----------------------------------------------------


def port_guesses(seed: int, trials: int, **settings: Any) -> int:
    """How often the attacker finds out, by an ICMP error to itself, which of two ports b's socket to its upstream server has.

    Fifty forged datagrams of that server go to one of the two: if it is closed, each is answered by an error, and no shared budget is
    left for the error that the attacker draws itself.
    """
    arena = Arena(seed, **settings)
    rng = Random(seed)
    right = 0
    for trial in range(trials):
        secret = rng.random() < 0.5
        port = 20000 + 2 * trial
        sock = datagram(arena.b)
        sock.bind("", port if secret else port + 1)
        sock.connect("10.9.9.9", 53)
        arena.run(3 * S)
        arena.seen.clear()
        for _ in range(50):
            arena.crowd.send(udp_packet(UPSTREAM, 53, GATE, port))
        arena.crowd.send(udp_packet(EVIL, 1, GATE, 9))
        arena.run(100 * MS)
        answered = bool(arena.of(EVIL))
        right += answered == secret
        sock.close()
    return right


# -- Learn anything at all -------------------------------------------------------------------------------------------------


def forge(rng: Random, sport: int, dport: int = 8000) -> bytes:
    """A packet that pretends to belong to a's connection, or to concern it. The attacker knows the four numbers, no others."""
    kind = rng.randrange(10)
    seq, ack = rng.getrandbits(32), rng.getrandbits(32)
    if kind < 6:
        flags = rng.choice((SYN, RST, RST | ACK, ACK, ACK | PSH, ACK | FIN, SYN | ACK, 0, 0x3F))
        data = bytes(rng.randrange(100)) if flags & PSH else b""
        return build(A_ADDR, B_ADDR, sport, dport, seq, ack, flags, data=data, urg=rng.choice((0, 5)))
    quote = build(B_ADDR, A_ADDR, dport, sport, seq, ack, ACK, data=bytes(1400))
    if kind == 6:
        return icmp_packet(EVIL, B_ADDR, 3, 4, rng.choice((68, 552, 1000, 1400)), quote[:28])
    if kind == 7:
        return icmp_packet(EVIL, B_ADDR, rng.choice((3, 4, 5, 11, 12)), rng.randrange(14), 0, quote[:28])
    if kind == 8:
        udp = packet(B_ADDR, A_ADDR, 17, struct.pack(">HHHH", 53, rng.choice((9, sport)), 1480, 0) + bytes(1472))
        udp = udp[:6] + b"\x40" + udp[7:]
        return icmp_packet(EVIL, B_ADDR, 3, 4, rng.choice((68, 552)), udp[:28])
    return udp_packet(UPSTREAM, 53, GATE, rng.choice((53, 5353, 20000, 20001)))


def probe(rng: Random) -> bytes:
    """A packet of the attacker's own, whose answer it sees."""
    src = rng.choice(OWN)
    kind = rng.randrange(5)
    if kind == 0:
        return udp_packet(src, 1, GATE, rng.choice((9, 20000, 20001)))
    if kind == 1:
        return icmp_packet(src, GATE, 8, 0, 1, b"ping")
    if kind == 2:
        return build(src, GATE, rng.randrange(1024, 60000), rng.choice((80, 81, 8000)), rng.getrandbits(32), 0, SYN)
    return build(src, GATE, 5000, 80, rng.getrandbits(32), rng.getrandbits(32), rng.choice((ACK, RST, SYN, FIN | ACK)))


def view(seed: int, secret: int, **settings: Any) -> list[Any]:
    """All that the attacker sees of a run, but for numbers that are random anyhow (ISS, IP ID).

    `secret` decides what it wants to learn: a's port, what was transferred before, and the port that b's resolver uses.
    """
    arena = Arena(seed, **settings)
    rng = Random(seed)
    arena.serve(80, keep)
    exchange = Exchange(arena, 3000 + 50_000 * secret)
    exchange.start(40000 + secret)
    resolver = datagram(arena.b)
    resolver.bind("", 20000 + secret)
    resolver.connect("10.9.9.9", 53)
    arena.run(S)
    crowd = Crowd(arena, *OWN)
    own = crowd.add(MiniPeer(arena, 80, 5000, OWN[0]))
    own.open()
    arena.run(100 * MS)
    for _ in range(rng.randrange(20, 60)):
        for _ in range(rng.randrange(1, 8)):
            arena.crowd.send(forge(rng, rng.choice((40000, 40001))))
        for _ in range(rng.randrange(3)):
            arena.crowd.send(probe(rng))
        arena.run(rng.choice((0, MS, 50 * MS, 700 * MS, 2 * S)))
    arena.run(S)
    return [(time, summary(frame)) for time, frame in arena.of(*OWN)]


def summary(frame: bytes) -> Any:
    """A packet as the attacker reads it."""
    seg = decode(frame)
    if seg is not None:
        ack = seg.ack if not seg.has(SYN) else 0
        return seg.dst, seg.dport, seg.sport, seg.flags, len(seg), seg.window, ack and 1
    return int.from_bytes(frame[16:20], "big"), frame[9], frame[20], frame[21], len(frame)


# -- Reset, inject, stall --------------------------------------------------------------------------------------------------


def harass(seed: int, count: int = 400, knows: bool = False, **settings: Any) -> tuple[int, Arena]:
    """Forged packets during an exchange whose four numbers are known: (how long it took, the arena). `knows`: the numbers, too."""
    arena = Arena(seed, **settings)
    rng = Random(seed)
    exchange = Exchange(arena)
    exchange.start(40000)

    def tick() -> None:
        raw = forge(rng, 40000)
        if knows:
            server = arena.b.stack.tcp.find(v4(B_ADDR), 8000, v4(A_ADDR), 40000)
            if server is not None:
                raw = build(A_ADDR, B_ADDR, 40000, 8000, server.rcv_nxt, server.snd_una, RST)
        arena.crowd.send(raw)

    for n in range(count):
        arena.net.after(n * MS // 2, tick)
    arena.run(30 * S)
    return exchange.took(), arena


def flood(seed: int, count: int = 3000, **settings: Any) -> Arena:
    """SYNs, ACKs, fragments and datagrams from all over the Internet, as fast as they come."""
    arena = Arena(seed, **settings)
    rng = Random(seed)
    arena.serve(80, keep)

    def tick() -> None:
        src = 0x0B000000 + rng.randrange(0x50000000)
        kind = rng.randrange(4)
        if kind < 2:
            flags = (SYN, ACK)[kind]
            arena.crowd.send(
                build(src, GATE, rng.randrange(1, 65536), 80, rng.getrandbits(32), rng.getrandbits(32), flags)
            )
        elif kind == 2:
            arena.crowd.send(udp_packet(src, 1, GATE, rng.randrange(1, 65536), bytes(rng.randrange(500))))
        else:
            raw = packet(src, GATE, 17, bytes(8 * rng.randrange(1, 60)))
            head = raw[:6] + struct.pack(">H", 0x2000 | rng.randrange(4) * 7) + raw[8:10] + b"\0\0" + raw[12:20]
            arena.crowd.send(packet_with(head, raw[20:]))

    for n in range(count):
        arena.net.after(n * MS // 5, tick)
    arena.run(count * MS // 5 + 100 * MS)
    return arena


def packet_with(head: bytes, payload: bytes) -> bytes:
    """The packet with its header's checksum."""
    from pystack.testing.segments import ones

    return head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:] + payload


__all__ = ["M32", "Generator", "challenge_guesses", "flood", "harass", "port_guesses", "view"]
