"""An attacker on the path: it sees each frame of one connection between a and b, and injects, but stops nothing.

It can end that connection, and put bytes into it: nothing in TCP prevents that. It must not be able to make the two hosts talk for ever
once it has left (an ACK storm), to hurt the connections beside it, or to exceed its share of memory.
"""

from collections.abc import Generator
from random import Random
from typing import Any

import pystack_c.const as C
from pystack.sim.network import MS, S
from pystack.sim.programs import StreamSocket, sleep, spawn
from pystack.testing.peer import build
from pystack.testing.segments import ACK, FIN, M32, PSH, RST, SYN, URG, Segment, decode
from tests.attack.arena import A_ADDR, B_ADDR, Arena, Exchange, bounded

#: the connection that it is after
SPORT, DPORT = 40000, 8000


class OnPath:
    """One run: `count` injections by what it sees. `gentle` ones (no RST, no FIN) leave both ends open, and out of step."""

    def __init__(self, seed: int, count: int = 100, gentle: bool = False, **settings: Any):
        self.arena = arena = Arena(seed, **settings)
        self.rng = Random(seed)
        self.left, self.gentle = count, gentle
        self.frames = 0
        self.latest: dict[int, Segment] = {}
        # (A way to a, as the crowd is one to b.)
        self.back = arena.net.wire("back")
        arena.net.link(arena.a, self.back, kind=C.LINK_IP, delay=MS)
        arena.serve(DPORT, self._chat)
        self.beside = Exchange(arena, 150_000, 8001)
        arena.b.port("eth0").taps.append(self._tap)

    def _chat(self, sock: StreamSocket) -> Generator:
        """Both ends: a few words now and then, so that the connection is at rest in between; then it stays open."""

        def listen() -> Generator:
            try:
                while (yield sock.recv()):
                    pass
            except OSError:
                pass

        spawn(self.arena.net, listen())
        try:
            for _ in range(30):
                yield sleep(self.rng.choice((100, 300, 1000)) * MS)
                yield sock.sendall(bytes(50))
        except OSError:
            sock.close()

    def _client(self) -> Generator:
        sock = yield from self.arena.connect(DPORT, SPORT)
        yield from self._chat(sock)

    def _tap(self, time: int, direction: int, frame: bytes) -> None:
        seg = decode(frame[14:], time) if frame[12:14] == b"\x08\0" else None
        if seg is None or {seg.sport, seg.dport} != {SPORT, DPORT}:
            return
        self.frames += 1
        self.latest[seg.src] = seg
        if self.left > 0 and len(self.latest) == 2 and self.rng.random() < 0.5:
            self.left -= 1
            self._inject()

    def _inject(self) -> None:
        """A segment that fits, or nearly, to one of them in the other's name."""
        rng = self.rng
        to_b = rng.random() < 0.5
        mine, theirs = (A_ADDR, B_ADDR) if to_b else (B_ADDR, A_ADDR)
        ports = (SPORT, DPORT) if to_b else (DPORT, SPORT)
        last, other = self.latest[mine], self.latest[theirs]
        flags = rng.choice((ACK, ACK | PSH, ACK | PSH, ACK | URG | PSH))
        if not self.gentle:
            flags = rng.choice((flags, flags, SYN, SYN | ACK, RST, RST | ACK, FIN | ACK, ACK | FIN | PSH))
        seq = last.end + rng.choice((0, 0, 0, 1, 100, 5000, -1, -100))
        ack = other.end + rng.choice((0, 0, 1, 1000, -1000, 1 << 30))
        data = rng.randbytes(rng.choice((1, 10, 500))) if flags & PSH else b""
        raw = build(mine, theirs, *ports, seq & M32, ack & M32, flags, data=data, urg=5 if flags & URG else 0)
        self.arena.net.after(0, lambda: (self.arena.crowd if to_b else self.back).send(raw))

    def run(self, chat: int = 30 * S, rest: int = 60 * S, last: int = 60 * S) -> int:
        """The chat and, beside it, an exchange that must come through; rest. The frames of the chat in the `last` while."""
        spawn(self.arena.net, self._client())
        self.beside.start()
        self.arena.run(chat)
        self.left = 0
        assert self.beside.took() <= 5 * S, "the connection beside it was held up"
        for host in (self.arena.a, self.arena.b):
            bounded_host(self.arena, host)
        self.arena.run(rest)
        before = self.frames
        self.arena.run(last)
        return self.frames - before


def bounded_host(arena: Arena, host: Any) -> None:
    """The bounds of one of the two."""
    both = arena.a, arena.b
    arena.b = host
    try:
        bounded(arena)
    finally:
        arena.a, arena.b = both
