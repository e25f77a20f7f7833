"""Connection tracking and address translation beside the kernel's: the same packets through both, and everything is compared.

Each test loads rules into a namespace with the real nft, and the same rules into a stack. Thousands of seeded packets go through
both routers: connections with all control bits, wrong numbers and wrong checksums, datagrams, queries, ICMP errors, fragments.
Every packet that leaves must be the same, with the same verdict of the connection tracking, and so must the tables be at the end.
Where the kernel chooses a port at random, the stack begins its search for a free one there, and so must choose the same.
"""

import random
import shutil
import struct

import pytest

import pystack_c.const as C
from pystack.addresses import parse_addr
from pystack.kernel.netns import Namespace
from tests.support import routers as r
from tests.support.routers import INSIDE, OUTSIDE, Pair

PACKETS = 1500


def why_not() -> str:
    """Why the kernel cannot be the oracle here, or ""."""
    for command in ("nft", "conntrack"):
        if shutil.which(command) is None:
            return f"{command} is not installed"
    try:
        with Namespace.new() as space:
            rules = "table ip t { chain c { type nat hook postrouting priority 100; masquerade; }; }"
            done = space.run(["nft", rules], capture_output=True, text=True, timeout=20)
            return "" if done.returncode == 0 else f"the kernel has no NAT: {done.stderr.strip()}"
    except OSError as exc:
        return f"no namespace here: {exc}"


_why = why_not()
pytestmark = pytest.mark.skipif(bool(_why), reason=_why or "the kernel is there")

MASQUERADE = """table ip nat {
  chain post {
    type nat hook postrouting priority srcnat
    oifname out0 masquerade
  }
}"""
FORWARD = """table ip nat {
  chain pre {
    type nat hook prerouting priority dstnat
    ip daddr 192.0.2.1 tcp dport 8080 dnat to 10.0.0.9:8000
  }
  chain post {
    type nat hook postrouting priority srcnat
    masquerade
  }
}"""
RANGE = """table ip nat {
  chain post {
    type nat hook postrouting priority srcnat
    oifname out0 ip protocol tcp snat to 198.51.100.7:5000-5063
    oifname out0 ip protocol udp snat to 198.51.100.8
  }
}"""


#: So few that the sources share the ports, and all are sometimes taken.
NARROW = RANGE.replace("5000-5063", "5000-5007")


def masquerade(router: r.StackRouter) -> None:
    """Translate what leaves by out0 to its address."""
    router.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_MASQUERADE, iface=router.ifaces[OUTSIDE])


def forward(router: r.StackRouter) -> None:
    """A published port, from inside, too, and a masquerade on both sides."""
    server = parse_addr("10.0.0.9")
    mine = parse_addr("192.0.2.1")
    router.stack.add_nat(
        C.HOOK_PREROUTING,
        C.NAT_DNAT,
        server,
        server,
        8000,
        8000,
        proto=6,
        dst=mine,
        dst_length=32,
        match_low=8080,
        match_high=8080,
    )
    router.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_MASQUERADE)


def port_range(router: r.StackRouter, last: int = 5063) -> None:
    """A range of ports for TCP, another address for UDP."""
    tcp, udp = parse_addr("198.51.100.7"), parse_addr("198.51.100.8")
    out = router.ifaces[OUTSIDE]
    # What is not translated back goes nowhere.
    router.stack.add_route(parse_addr("198.51.100.0"), 24, kind=C.RT_BLACKHOLE)
    router.choice.lowest = 5000
    router.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_SNAT, tcp, tcp, 5000, last, iface=out, proto=6)
    router.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_SNAT, udp, udp, iface=out, proto=17)


def narrow(router: r.StackRouter) -> None:
    """The same with eight ports."""
    port_range(router, 5007)


def nothing(router: r.StackRouter) -> None:
    """Only connection tracking."""


SCENARIOS = {
    "track": ("", nothing),
    "masquerade": (MASQUERADE, masquerade),
    "forward": (FORWARD, forward),
    "range": (RANGE, port_range),
    "narrow": (NARROW, narrow),
}


class Traffic:
    """Seeded packets: new ones, answers to what left, continuations of what was sent, errors, fragments, nonsense."""

    def __init__(self, seed: int, world: r.Routers):
        self.rng = random.Random(seed)
        self.world = world

    def step(self) -> None:
        """Send the next packet, or the fragments of one."""
        kind = self.rng.random()
        recent = self.world.received[-12:]
        if kind < 0.2 or not recent:
            pair = self.fresh()
        elif kind < 0.62:
            pair = self.each(self.rng.choice(recent), self.answer)
        elif kind < 0.8:
            pair = self.each(self.rng.choice(self.world.sent[-12:]), self.again, turn=False)
        elif kind < 0.88:
            pair = self.each(self.rng.choice(recent), self.error)
        elif kind < 0.93:
            pair = self.each(self.rng.choice(self.world.sent[-12:]), self.broken, turn=False)
        else:
            for piece in self.pieces(
                self.fresh() if self.rng.random() < 0.5 else self.each(self.rng.choice(recent), self.answer)
            ):
                self.world.send(piece)
            return
        self.world.send(pair)

    def each(self, pair: Pair, change, turn: bool = True) -> Pair:
        """Apply the same random change to both forms of a packet."""
        state = self.rng.getstate()
        kernel = change(pair.kernel, pair.side)
        self.rng.setstate(state)
        return Pair(pair.side, kernel, change(pair.stack, pair.side))

    def fresh(self) -> Pair:
        """The first packet of a connection, or something like it."""
        rng = self.rng
        side = INSIDE if rng.random() < 0.7 else OUTSIDE
        inner, outer = f"10.0.0.{rng.randint(2, 4)}", f"192.0.2.{rng.randint(2, 3)}"
        if side == INSIDE:
            src, dst = inner, outer if rng.random() < 0.85 else "192.0.2.1"
        else:
            src, dst = outer, "192.0.2.1" if rng.random() < 0.7 else inner
        sport, dport = rng.choice((1024, 30000, 40000, 40001)), rng.choice((8000, 8080, 5353))
        kind = rng.random()
        ttl = 1 if rng.random() < 0.03 else 64
        if kind < 0.6:
            flags = (
                C.SYN
                if rng.random() < 0.85
                else rng.choice((C.ACK, C.SYN | C.ACK, C.FIN | C.ACK, C.RST, 0, C.SYN | C.FIN))
            )
            options = r.syn_options(rng) if flags & C.SYN else b""
            payload = r.tcp_bytes(
                sport, dport, rng.getrandbits(32), rng.getrandbits(32), flags, rng.choice((65535, 1000, 0)), options
            )
            packet = r.make(src, dst, 6, payload, ttl=ttl)
        elif kind < 0.8:
            packet = r.make(src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + 5, 0) + b"hello", ttl=ttl)
        elif kind < 0.95:
            # The kernel sends no error about a message that announces a router.
            which = 8 if rng.random() < 0.8 else rng.choice((0, 13, 15, 17, 9))
            packet = r.make(
                src,
                dst,
                1,
                struct.pack(">BBHHH", which, 0, 0, rng.choice((1, 2, 40000)), 1) + b"ping",
                ttl=64 if which == 9 else ttl,
            )
        else:
            packet = r.make(src, dst, 253, b"12345678", ttl=ttl)
        return Pair(side, packet, packet)

    def answer(self, packet: bytes, side: int) -> bytes:
        """What the receiver of a packet sends next."""
        rng = self.rng
        at, proto = r.transport(packet)
        data = bytearray(packet[:at])
        data[6:8] = b"\0\0"
        data[8] = 64
        data[12:16], data[16:20] = packet[16:20], packet[12:16]
        body = packet[at:]
        if proto == 6 and len(body) >= 20:
            sport, dport, seq, ack, offset, flags, window = struct.unpack(">HHIIBBH", body[:16])
            size = len(body) - (offset >> 4) * 4 + bool(flags & C.SYN) + bool(flags & C.FIN)
            reply = {C.SYN: C.SYN | C.ACK, C.SYN | C.ACK: C.ACK, C.FIN | C.ACK: rng.choice((C.ACK, C.FIN | C.ACK))}.get(
                flags & 0x17, C.ACK
            )
            chance = rng.random()
            if chance < 0.05:
                reply = rng.choice((C.RST, C.RST | C.ACK, C.FIN | C.ACK, C.SYN, C.SYN | C.ACK, C.ACK | C.PSH))
            elif chance < 0.2 and reply == C.ACK:
                reply = C.FIN | C.ACK
            mine = ack if flags & C.ACK else rng.getrandbits(32)
            jump = rng.choice((0,) * 12 + (1, -1, 1000, -1000, 70000, -70000, 1 << 20, -(1 << 20)))
            ahead = rng.choice((0,) * 12 + (1, -1, 1000, -1000, 70000, -70000, 1 << 20))
            text = rng.choice((b"", b"", b"x" * 100, b"y" * 1400))
            if reply & (C.SYN | C.RST):
                text = b""
            options = r.syn_options(rng) if reply & C.SYN else sack(rng, seq + size)
            fields = (dport, sport, mine + jump, seq + size + ahead, reply, rng.choice((65535, 1000, 0, 500)))
            return sealed(data + r.tcp_bytes(*fields, options, text))
        if proto == 17 and len(body) >= 8:
            return sealed(data + body[2:4] + body[0:2] + body[4:6] + b"\0\0" + body[8:])
        if proto == 1 and body and body[0] in (8, 13, 15, 17):
            kinds = {8: 0, 13: 14, 15: 16, 17: 18}
            return sealed(data + bytes([kinds[body[0]]]) + body[1:])
        return sealed(data + body)

    def again(self, packet: bytes, side: int) -> bytes:
        """The same packet again, or the next one of the same sender."""
        rng = self.rng
        at, proto = r.transport(packet)
        if fragment(packet) or proto != 6 or len(packet) < at + 20 or rng.random() < 0.4:
            return packet
        sport, dport, seq, ack, offset, flags, window = struct.unpack(">HHIIBBH", packet[at : at + 16])
        size = len(packet) - at - (offset >> 4) * 4 + bool(flags & C.SYN) + bool(flags & C.FIN)
        new = rng.choice((C.ACK, C.ACK, C.ACK | C.PSH, C.FIN | C.ACK, C.RST, C.RST | C.ACK, C.SYN))
        jump = rng.choice((0,) * 8 + (1, -1, 500, 70000, -70000))
        text = b"" if new & (C.RST | C.SYN) else rng.choice((b"", b"z" * 500))
        options = r.syn_options(rng) if new & C.SYN else b""
        return sealed(
            bytearray(packet[:at]) + r.tcp_bytes(sport, dport, seq + size + jump, ack, new, window, options, text)
        )

    def error(self, packet: bytes, side: int) -> bytes:
        """An ICMP error of the receiver, or of a router on its side, that quotes the packet."""
        rng = self.rng
        kind, code = rng.choice(((3, 1), (3, 3), (3, 4), (11, 0), (12, 0), (5, 1), (4, 0)))
        src = ".".join(map(str, packet[16:20])) if rng.random() < 0.6 else ("10.0.0.99", "192.0.2.99")[side]
        quoted = packet[: rng.choice((28, 48, 1000))]
        if rng.random() < 0.1:
            quoted = quoted[:12] + b"\x0a\0\0\x63" + quoted[16:]
        dst = ".".join(map(str, packet[12:16]))
        return r.make(src, dst, 1, struct.pack(">BBHI", kind, code, 0, 1400 if code == 4 else 0) + quoted)

    def broken(self, packet: bytes, side: int) -> bytes:
        """The packet with a wrong checksum, or cut short."""
        at, proto = r.transport(packet)
        if fragment(packet):
            return packet
        if self.rng.random() < 0.7 and len(packet) > at + 17:
            where = at + {6: 16, 17: 6, 1: 2}.get(proto, 0)
            return packet[:where] + bytes([packet[where] ^ 0x55]) + packet[where + 1 :]
        short = bytearray(packet[: at + self.rng.choice((0, 4, 7, 12))])
        short[2:4] = struct.pack(">H", len(short))
        return r.fixed(bytes(short))

    def pieces(self, pair: Pair) -> list[Pair]:
        """A packet as two fragments, sometimes in the wrong order, sometimes with an overlap."""
        rng = self.rng
        at = (pair.kernel[0] & 15) * 4
        length = len(pair.kernel) - at
        # The kernel cuts a TCP segment otherwise if its first fragment does not hold the whole header.
        least = 24 if pair.kernel[9] == 6 else 8
        if fragment(pair.kernel) or length < least + 16 or len(pair.kernel) != len(pair.stack):
            return [pair]
        cut = rng.randrange(least, length - 8, 8)
        overlap = 8 if rng.random() < 0.1 and cut > least else 0
        ident = rng.getrandbits(16)
        order = rng.random() < 0.3
        pieces = []
        for first, last, more in ((0, cut, True), (cut - overlap, length, False)):
            forms = []
            field = rng.choice((0, 0x4000)) | (0x2000 if more else 0) | first // 8
            for packet in (pair.kernel, pair.stack):
                head = bytearray(packet[:at])
                head[2:8] = struct.pack(">HHH", at + last - first, ident, field)
                forms.append(r.fixed(bytes(head) + packet[at + first : at + last]))
            pieces.append(Pair(pair.side, *forms))
        return pieces[::-1] if order else pieces


def fragment(packet: bytes) -> bool:
    """Is the packet a fragment?"""
    return bool(struct.unpack(">H", packet[6:8])[0] & 0x3FFF)


def sack(rng: random.Random, ack: int) -> bytes:
    """Sometimes a SACK block."""
    if rng.random() < 0.9:
        return b""
    left = (ack + rng.choice((10, 1000, 100000))) & 0xFFFFFFFF
    return b"\1\1" + struct.pack(">BBII", 5, 10, left, (left + 100) & 0xFFFFFFFF)


def sealed(data: bytes | bytearray) -> bytes:
    """The packet with its length and checksums."""
    packet = bytearray(data)
    packet[2:4] = struct.pack(">H", len(packet))
    return r.seal(packet)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_packet_and_the_table_are_as_in_the_kernel(name, seed):
    rules, setup = SCENARIOS[name]
    with r.routers(rules, setup) as world:
        traffic = Traffic(seed, world)
        for _ in range(PACKETS):
            traffic.step()
        assert world.forwarded > PACKETS // 4
        # NEW, ESTABLISHED, RELATED and INVALID have all been compared.
        assert all(world.states.get(state, 0) > 10 for state in (1, 2, 3, 4)), world.states
        assert world.compare_tables() > 10


def four_ports(router: r.StackRouter) -> None:
    """Four ports for TCP."""
    addr = parse_addr("198.51.100.7")
    router.choice.lowest = 5000
    router.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_SNAT, addr, addr, 5000, 5003, iface=router.ifaces[OUTSIDE], proto=6)


def test_an_exhausted_range_drops_and_an_ended_connection_gives_up_its_port():
    def syn(sport: int, seq: int) -> list[Pair]:
        packet = r.make("10.0.0.2", "192.0.2.2", 6, r.tcp_bytes(sport, 8000, seq, 0, C.SYN, 1000))
        return world.send(Pair(INSIDE, packet, packet))

    rules = RANGE.replace("5000-5063", "5000-5003")
    with r.routers(rules, four_ports) as world:
        assert [len(syn(30000 + number, 1000)) for number in range(6)] == [1, 1, 1, 1, 0, 0]
        # One is refused with a RST, which ends it, and its port is free.
        [last] = syn(30003, 1000)
        traffic = Traffic(1, world)
        world.send(traffic.each(last, lambda packet, side: sealed_rst(packet)))
        assert len(syn(30004, 2000)) == 1
        assert world.compare_tables() == 4


def sealed_rst(packet: bytes) -> bytes:
    """The RST with which the receiver of a SYN refuses it."""
    sport, dport, seq = struct.unpack(">HHI", packet[20:28])
    head = bytearray(packet[:20])
    head[12:16], head[16:20] = packet[16:20], packet[12:16]
    return sealed(head + r.tcp_bytes(dport, sport, 0, seq + 1, C.RST | C.ACK, 0))


@pytest.mark.parametrize(
    "settings", [{"nf_conntrack_tcp_loose": False}, {"nf_conntrack_tcp_be_liberal": True}], ids=str
)
def test_settings_are_as_in_the_kernel(settings):
    with r.routers(MASQUERADE, masquerade, **settings) as world:
        for name, value in settings.items():
            command = ["sysctl", "-w", f"net.netfilter.{name}={int(value)}"]
            world.kernel.space.run(command, check=True, capture_output=True, timeout=10)
        traffic = Traffic(4, world)
        for _ in range(PACKETS):
            traffic.step()
        assert world.compare_tables() > 10
