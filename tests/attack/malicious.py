"""A malicious peer: it opens connections and behaves as a peer may, or nearly, so as to cost b, or others, more than its share.

`Siege(seed)` is one run: a few peers with random manners, an honest exchange beside them, and the checks. See CHECKS.
"""

import sys
from collections.abc import Callable, Generator
from random import Random
from typing import Any

from pystack.sim.programs import StreamSocket, sleep, spawn
from pystack.testing.lab import pattern
from pystack.testing.peer import SACK_OK, build, mss_option, sack_option, ts_option, wscale_option
from pystack.testing.segments import ACK, FIN, M32, PSH, RST, SYN, URG, Segment
from pystack_c.base.address import v4_bits
from tests.attack.arena import EVIL, GATE, MS, Arena, Crowd, Exchange, MiniPeer, S, bounded, icmp_packet
from tests.support import invariants

#: bytes that b gives to each peer, and how long a run is
GIFT = 60_000
DURATION = 2 * S
PRESENT = pattern(GIFT)
ADDRS = tuple(EVIL + n for n in range(4))


def gift(sock: StreamSocket) -> Generator:
    """b's service: reads what comes, and sends GIFT bytes; it gives up after a while."""
    data = PRESENT[:GIFT]

    def send() -> Generator:
        try:
            yield sock.within(sock.sendall(data), 60 * S)
        except (OSError, TimeoutError):
            pass

    sending = spawn(sock.host.net, send())
    try:
        while (yield sock.within(sock.recv(), 60 * S)):
            yield sleep(MS)
        yield sending
    except (OSError, TimeoutError):
        sock.abort()
        return
    sock.close()


# -- Manners: each is called with the peer, its generator and the segment that came (or None: time passed) -------------------


def optimistic(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Acknowledges what it has not got, and what was not sent."""
    ahead = rng.choice((0, 0, 1460, 14600, 100_000, 1 << 30))
    peer.send(ACK, ack=(peer.high + ahead) & M32)


def divide(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Many ACKs for each segment, a few bytes further each time."""
    if seg is None or not len(seg):
        return
    count = rng.choice((2, 10, 20))
    for n in range(1, count + 1):
        peer.send(ACK, ack=(seg.seq + n * len(seg) // count) & M32)


def shrink(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """The window closes, opens, moves left."""
    peer.window = rng.choice((0, 0, 1, 10, 500, 5000, 65535))
    peer.send(ACK)


def lies(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """SACK blocks of any kind: single bytes, overlapping, backward, of what is acknowledged or was never sent."""
    if peer.told < 0 or rng.random() < 0.03:
        peer.told = peer.rcv_nxt
    una = peer.told
    flight = max(1, min((peer.high - una) & M32, 60_000))
    blocks = []
    for _ in range(rng.randrange(1, 4)):
        left = una + rng.choice(
            (rng.randrange(flight), rng.randrange(flight), rng.randrange(flight) * 2, -1460, 1 << 20)
        )
        blocks.append((left, left + rng.choice((1, 1, 1, 1, 2, 100, 1460, 0, -5, 1 << 16))))
    peer.send(ACK, ack=(una - rng.choice((0, 0, 0, 1, 1460))) & M32, options=sack_option(*blocks))


def splits(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Acknowledges a third honestly, so that much is in flight; then single bytes by SACK, all over it, again and again."""
    start = ((peer.irs or 0) + 1) & M32
    if peer.told < 0:
        if (peer.rcv_nxt - start) & M32 < GIFT // 3:
            peer.send(ACK)
            return
        peer.told = peer.rcv_nxt
    flight = max(30, min((peer.high - peer.told) & M32, GIFT))
    for _ in range(4):
        blocks = [(left, left + 1) for left in (peer.told + 1 + rng.randrange(flight) for _ in range(3))]
        peer.send(ACK, ack=peer.told, options=sack_option(*blocks))


def reneges(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """SACKs everything, then says that it has nothing."""
    una = (peer.irs or 0) + 1
    if rng.random() < 0.5 and peer.high != una:
        peer.send(ACK, ack=una, options=sack_option((una + 1, peer.high)))
    else:
        peer.send(ACK, ack=una)


def duplicates(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Duplicate ACKs without end."""
    for _ in range(rng.choice((1, 4, 8))):
        peer.send(ACK, ack=((peer.irs or 0) + 1) & M32)


def slow(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Reads a byte now and then."""
    peer.window = rng.choice((0, 1, 2))
    if seg is None:
        peer.send(ACK)


def silent(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Says nothing any more."""


def pieces(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Small pieces all over the window, overlapping, each time with other bytes."""
    for _ in range(rng.choice((1, 4, 12))):
        at = peer.seq + rng.choice((1, 2, rng.randrange(1, 3000), rng.randrange(1, 60_000)))
        peer.send(ACK | PSH, seq=at & M32, data=rng.randbytes(rng.choice((1, 1, 2, 50, 1400))))


def flags(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Segments at odd places with odd flags."""
    f = rng.choice((SYN, SYN | ACK, RST, FIN, FIN | ACK, ACK | URG, ACK | PSH | FIN | URG, 0, 0x1FF, ACK | 0x1C0))
    at = peer.seq + rng.choice((0, 1, 100, -1, -100, 1 << 20, 1 << 31))
    if f & RST:
        at += 7  # (one that ends its own connection at once would end the fun)
    data = rng.randbytes(rng.choice((0, 0, 10)))
    peer.send(
        f,
        seq=at & M32,
        ack=(peer.high + rng.choice((0, 1, -1, 1 << 30))) & M32,
        urg=rng.choice((0, 1, 65535)),
        data=data,
    )


def honest_upload(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Sends data in order, in pieces of any size, and acknowledges all."""
    if seg is None or rng.random() < 0.3:
        data = rng.randbytes(rng.choice((1, 1, 10, 1000)))
        peer.send(ACK | PSH, data=data, ack=peer.high)
        peer.seq = (peer.seq + len(data)) & M32
    else:
        peer.send(ACK, ack=peer.high)


def stamps(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Timestamps that jump, and echoes of what was never sent."""
    peer.send(ACK, ack=peer.high, options=ts_option(rng.getrandbits(32), rng.getrandbits(32)))


def complains(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """ICMP errors about what it got."""
    quote = build(GATE, peer.addr, peer.port, peer.sport, peer.rcv_nxt, 0, ACK, data=bytes(1400))[:28]
    kind, code, rest = rng.choice(((3, 4, 68), (3, 4, 552), (3, 4, 1000), (3, 1, 0), (3, 3, 0), (11, 0, 0), (12, 0, 0)))
    peer.arena.crowd.send(icmp_packet(peer.addr, GATE, kind, code, rest, quote))
    peer.send(ACK)


def again(peer: MiniPeer, rng: Random, seg: Segment | None) -> None:
    """Its SYN, once more, and other SYNs."""
    peer.send(SYN, seq=peer.iss, options=peer.options)
    for _ in range(rng.choice((0, 1, 6))):
        raw = build(
            peer.addr, GATE, rng.randrange(1024, 60000), peer.port, rng.getrandbits(32), 0, SYN, options=peer.options
        )
        peer.arena.crowd.send(raw)


Manner = Callable[[MiniPeer, Random, "Segment | None"], None]
MANNERS: tuple[Manner, ...] = (
    optimistic, divide, shrink, lies, splits, reneges, duplicates, slow, silent, pieces, flags, honest_upload, stamps, complains, again,
)  # fmt: skip


# -- What it must not achieve ----------------------------------------------------------------------------------------------


def records_bounded(siege: "Siege") -> None:
    """The records of what is in flight: no more than segments of the smallest size that the peer may have, and a few."""
    for tcb in siege.victims():
        limit = 4 * (GIFT // max(tcb.mss, 1) + 1) + 100
        assert tcb.rtxq.count <= limit, f"{tcb.subject()}: {tcb.rtxq.count} records for {GIFT} bytes, MSS {tcb.mss}"


def growth_bounded(siege: "Siege") -> None:
    """ACK division and optimism: cwnd grows by what was really acknowledged at most (RFC 3465), and by what was sent."""
    for tcb in siege.victims():
        start = tcb.core.config.tcp_init_cwnd * max(tcb.mss, 1460)
        assert tcb.cwnd <= start + 2 * GIFT + 65536, f"{tcb.subject()}: cwnd {tcb.cwnd} for {GIFT} bytes"


def pieces_bounded(siege: "Siege") -> None:
    """What is kept out of order fits the buffer."""
    for tcb in siege.victims():
        assert tcb.recvbuf.used <= tcb.recvbuf.size + 65536, f"{tcb.subject()}: {tcb.recvbuf.used} bytes kept"


def others_kept(siege: "Siege") -> None:
    """No path MTU but the peers' own was lowered."""
    for addr, dst in siege.arena.b.stack.dst_cache.items():
        assert v4_bits(addr) in ADDRS or dst.mtu >= 1500, f"the path MTU to {addr:#x} is {dst.mtu}"


def work_bounded(siege: "Siege") -> None:
    """What b sends to the peers: their gifts (again as often as R2 allows), and an answer to what they send."""
    sent = sum(len(frame) for _, frame in siege.arena.seen)
    least = min((tcb.mss for tcb in siege.victims()), default=536)
    gifts = len(siege.peers) * GIFT * (1 + 40 / max(least, 48))
    assert sent <= 4 * gifts + 120 * siege.received, (
        f"{sent} bytes sent for {siege.received} packets and gifts of {gifts:.0f}"
    )


def bounds_kept(siege: "Siege") -> None:
    """Memory, timers, tables: see arena.bounded."""
    bounded(siege.arena)


#: the checks, by name; each looks at a siege and raises AssertionError
CHECKS: dict[str, Callable[["Siege"], None]] = {
    "bounds": bounds_kept,
    "records": records_bounded,
    "growth": growth_bounded,
    "pieces": pieces_bounded,
    "others": others_kept,
    "work": work_bounded,
}

#: those that are cheap, and concern what soon goes away again
OFTEN = (records_bounded, growth_bounded, pieces_bounded)

SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"tcp_congestion": "cubic"},
    {"tcp_congestion": "bbr"},
    {"tcp_sack": False, "tcp_rack": False},
    {"tcp_ecn": 3, "tcp_fastopen": 3},
    {"tcp_rmem": 20_000, "tcp_max_ooo": 64},
    {"tcp_max_syn_backlog": 8},
    {"tcp_sack_whole": True, "tcp_prr": False},
)


class Work:
    """Lines of the (uncompiled) core that each packet of the peers costs b, its answers included: `lines` has the sums by packet."""

    def __init__(self, arena: Arena):
        self.lines: list[int] = []
        self.count = 0
        self.deliver = arena.b.deliver
        self.port = arena.b.port("tun1")
        arena.b.deliver = self._deliver  # type: ignore[method-assign]

    def _deliver(self, port: Any, frame: bytes) -> None:
        if port is not self.port:
            self.deliver(port, frame)
            return
        self.count = 0
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            self.deliver(port, frame)
        finally:
            sys.settrace(before)
        self.lines.append(self.count)

    def _call(self, frame: Any, event: str, _arg: Any) -> Any:
        return self._line if "pystack_c" in frame.f_code.co_filename else None

    def _line(self, _frame: Any, event: str, _arg: Any) -> Any:
        self.count += event == "line"
        return self._line


class Siege:
    """One run. `checks` are looked at all the time, and at the end the honest exchange must have come through."""

    def __init__(
        self,
        seed: int,
        checks: "tuple[str, ...] | None" = None,
        manners: "tuple[Manner, ...]" = MANNERS,
        **settings: Any,
    ):
        self.seed = seed
        self.rng = rng = Random(seed)
        self.settings = {**rng.choice(SETTINGS), **settings}
        self.checks = [CHECKS[name] for name in (CHECKS if checks is None else checks)]
        self.arena = Arena(seed, **self.settings)
        self.arena.serve(80, gift)
        self.exchange = Exchange(self.arena, 40_000)
        self.crowd = Crowd(self.arena, *ADDRS)
        self.manners: dict[MiniPeer, list[Manner]] = {}
        self.budget = rng.choice((50, 150))
        self.peers = [self._peer(n, manners) for n in range(rng.randrange(1, 5))]
        self.received = 0
        send = self.arena.crowd.send

        def counting(raw: bytes) -> None:
            self.received += 1
            send(raw)

        self.arena.crowd.send = counting  # type: ignore[method-assign]

    def _peer(self, n: int, manners: "tuple[Manner, ...]") -> MiniPeer:
        """A peer with options and manners of its own."""
        rng = self.rng
        options = mss_option(rng.choice((1460, 1460, 536, 48, 1, 65535)))
        options += rng.choice((b"", SACK_OK, SACK_OK)) + rng.choice((b"", ts_option(rng.getrandbits(32))))
        options += rng.choice((b"", wscale_option(rng.choice((0, 7, 14)))))
        iss = rng.choice((1000, M32 - 5, rng.getrandbits(32)))
        window = rng.choice((65535, 65535, 3000))
        peer = self.crowd.add(MiniPeer(self.arena, 80, 5000 + n, rng.choice(ADDRS), options, window, iss))
        chosen = rng.sample(manners, min(len(manners), rng.choice((1, 1, 2, 3))))
        left = self.budget

        def act(seg: Segment | None) -> None:
            nonlocal left
            if peer.irs is None or peer.closed or left <= 0:
                return
            left -= 1
            self.rng.choice(chosen)(peer, rng, seg)

        peer.on_segment = act
        self.manners[peer] = chosen

        def tick() -> None:
            act(None)
            if left > 0 and self.arena.net.now < DURATION:
                self.arena.net.after(rng.choice((MS, 20 * MS, 100 * MS)), tick)

        self.arena.net.after(30 * MS, tick)
        return peer

    def victims(self) -> list[Any]:
        """b's connections with the peers."""
        return [tcb for tcb in invariants.all_tcbs(self.arena.b.stack) if v4_bits(tcb.raddr) in ADDRS]

    def describe(self) -> str:
        """The run, for who looks for a fault."""
        names = " ".join("+".join(m.__name__ for m in chosen) for chosen in self.manners.values())
        return f"seed {self.seed}: {names}; {self.settings}"

    def run(self) -> None:
        """All of it; an AssertionError says what the peers achieved."""
        self.exchange.start()
        for peer in self.peers:
            peer.open()
        step = 0
        while self.arena.net.now < DURATION:
            self.arena.run(20 * MS)
            step += 1
            for check in self.checks:
                if step % 5 == 0 or check in OFTEN:
                    check(self)
        self.arena.run(30 * S)
        for check in self.checks:
            check(self)
        took = self.exchange.took()
        # 40 KB at 10 ms each way, alone: well below a second.
        assert took <= 2 * S, f"the honest exchange took {took / S:.1f} s"
