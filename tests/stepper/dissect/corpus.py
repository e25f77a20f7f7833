"""Frames to dissect: what the stack sends in simulated networks, and frames built by hand for what it never sends."""

import random
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pystack_c.const as C
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, raw, sleep, spawn, stream
from pystack.testing.lab import A, B, lab_net, pattern
from pystack.testing.routed import RoutedChain, ping
from pystack_c.link import acd
from pystack_c.tcp import sockopt, user
from tests.support import build

A_ADDR, B_ADDR = 0x0A000001, 0x0A000002
TCP_FASTOPEN = 23


class Sample(NamedTuple):
    """A frame of the corpus. `whole`: tshark shows all that is in it; not where it is cut off or tshark does not know it."""

    name: str
    frame: bytes
    link: int = C.LINK_ETHERNET
    whole: bool = True


class Tap:
    """Collects the different frames that leave and reach ports."""

    def __init__(self, name, *ports):
        self.name = name
        self.frames = {}
        for port in ports:
            port.taps.append(lambda time, direction, frame: self.frames.setdefault(bytes(frame)))

    def samples(self, most=60) -> list[Sample]:
        """At most `most` of them, spread over the run; the first ten always."""
        frames = list(self.frames)
        step = max(len(frames) // most, 1)
        return [Sample(f"{self.name} {n}", frame) for n, frame in enumerate(frames) if n < 10 or n % step == 0]


def loss() -> list[Sample]:
    """A transfer with losses, repeats and marks: SACK, D-SACK, timestamps, window scale, ECN, PSH, FIN."""
    lab = lab_net(10 * MS, tcp_ecn=1, link={"rate": 20_000_000})
    tap = Tap("loss", lab.a.port(), lab.b.port())
    for number in (12, 14, 16, 30):
        lab.link.ab.drop(number)
    lab.link.ab.repeat(40)
    client, server = lab.connected()
    lab.upload(pattern(150_000), client, server)
    client.close()
    server.close()
    lab.net.run(lab.net.now + S)
    return tap.samples() + [sample for sample in tap.samples(10_000) if _has_sack(sample.frame)][:20]


def _has_sack(frame: bytes) -> bool:
    return len(frame) > 54 and b"\x01\x01\x05" in frame[54:74]


def bare() -> list[Sample]:
    """A connection without any option but MSS, reset by an abort; and one to a port where nobody listens."""
    settings = {"tcp_sack": False, "tcp_timestamps": False, "tcp_window_scaling": False}
    lab = lab_net(10 * MS, **settings)
    tap = Tap("bare", lab.a.port(), lab.b.port())
    client, server = lab.connected()
    lab.upload(pattern(3000), client, server)
    client.abort()

    def refused():
        sock = stream(lab.a)
        try:
            yield sock.connect(B, 81)
        except ConnectionRefusedError:
            return True

    assert lab.run(refused()) == [True]
    return tap.samples()


def fast_open() -> list[Sample]:
    """The cookie asked for, given and used; urgent data."""
    lab = lab_net(10 * MS, tcp_fastopen=3)
    tap = Tap("tfo", lab.a.port(), lab.b.port())
    listener = lab.b.call(user.tcp_open, lab.b.stack)
    lab.b.call(user.bind, listener, 0, 80)
    lab.b.call(sockopt.setsockopt, listener, 6, TCP_FASTOPEN, 5)
    lab.b.call(user.listen, listener, 5)
    for _ in range(2):
        sock = lab.a.call(user.tcp_open, lab.a.stack)
        lab.a.call(user.connect_fastopen, sock, b"q" * 100, B_ADDR, 80)
        lab.net.run(lab.net.now + S)
        lab.a.call(user.send, sock, b"urgent!", 1)
        lab.net.run(lab.net.now + S)
        lab.a.call(user.close, sock)
        lab.net.run(lab.net.now + S)
    return tap.samples()


def routed() -> list[Sample]:
    """Pings, a traceroute, a port nobody has, a datagram in fragments, a packet too big for a link."""
    chain = RoutedChain([{"delay": MS, "mtu": mtu} for mtu in (1500, 600, 1500)], arp=True)
    tap = Tap("routed", *(port for node in chain.nodes for port in node.ports))

    def program():
        for ttl in (1, 2, 64):
            yield spawn(chain.net, ping(chain.a, chain.addr, number=ttl, ttl=ttl))
        yield spawn(chain.net, ping(chain.a, chain.addr, number=9, size=1400, df=True))
        sock = datagram(chain.a)
        sock.sendto(b"nobody", chain.addr, 9)
        yield sleep(100 * MS)
        taker = datagram(chain.b)
        taker.bind("", 5000)
        sock = datagram(chain.a)
        sock.setsockopt(0, 10, 0)  # IP_MTU_DISCOVER: routers may cut it
        sock.sendto(pattern(4000), chain.addr, 5000)
        yield sleep(100 * MS)
        other = raw(chain.a, 200)
        other.sendto(b"a protocol that nobody has", chain.addr)
        yield sleep(100 * MS)

    proc = spawn(chain.net, program())
    chain.net.run_until(proc.finished, limit=100 * S)
    return tap.samples(200)


def link_layer() -> list[Sample]:
    """ARP: probes and announcements of address conflict detection, requests, replies."""
    net = Network()
    a, b = net.host("a"), net.host("b")
    net.link(a, b, addrs=(f"{A}/24", f"{B}/24"), delay=MS)
    tap = Tap("arp", a.port(), b.port())
    iface = a.stack.ifaces[-1]
    a.call(acd.start, a.stack, iface, 0x0A000009)
    net.run(20 * S)
    datagram(a).sendto(b"hello", B, 9)
    net.run(net.now + S)
    padded = [Sample(f"{sample.name}, padded", sample.frame.ljust(60, b"\0")) for sample in tap.samples()]
    return tap.samples() + padded


def offloaded() -> list[Sample]:
    """Segments of up to 64 KB, as an offloading device takes them: their checksums are half done."""
    lab = lab_net(MS, offload=True)
    tap = Tap("offload", lab.a.port(), lab.b.port())
    client, server = lab.connected()
    lab.upload(pattern(300_000), client, server)
    return tap.samples(10)


TCP_OPTIONS = {
    "unknown": bytes((77, 4, 1, 2)),
    "md5": bytes((19, 18, *range(16), 1, 1)),
    "accecn order 0": bytes((172, 11, *range(9), 1)),
    "accecn order 1": bytes((174, 11, *range(9), 1)),
    "accecn, two counters": bytes((172, 8, *range(6))),
    "accecn, one counter": bytes((174, 5, 9, 8, 7, 1, 1, 1)),
    "tfo, experimental": bytes((254, 12, 0xF9, 0x89, *b"cookie12")),
    "another experiment": bytes((253, 8, 0x12, 0x34, 5, 6, 7, 8)),
    "end of list": bytes((2, 4, 5, 180, 3, 3, 7, 0)),
    "four SACK blocks": bytes((1, 1, 5, 34, *range(32))),
}
IP_OPTIONS = {
    "record route": bytes((7, 11, 8, 10, 0, 0, 1, 0, 0, 0, 0, 1)),
    "record route, full": bytes((7, 11, 12, 10, 0, 0, 1, 10, 0, 0, 3, 0)),
    "timestamps": bytes((68, 12, 9, 0x20, 0, 0, 0, 1, 0, 0, 0, 0)),
    "timestamps with addresses": bytes((68, 12, 13, 0x11, 10, 0, 0, 3, 0, 0, 0, 4)),
    "prespecified timestamps": bytes((68, 12, 5, 0x03, 10, 0, 0, 3, 0, 0, 0, 4)),
    "loose source route": bytes((131, 11, 4, 10, 0, 0, 9, 10, 0, 0, 8, 1)),
    "strict source route, used up": bytes((137, 7, 8, 10, 0, 0, 9, 0)),
    "router alert": bytes((148, 4, 0, 0)),
    "unknown": bytes((158, 6, 1, 2, 3, 4, 1, 1)),
}


def by_hand() -> Iterator[Sample]:
    """Options and messages that the stack does not send, wrong checksums, other link and protocol types."""
    syn = {"flags": 0x02, "seq": 1, "ack": 0}
    for name, options in TCP_OPTIONS.items():
        segment = build.tcp(A_ADDR, 4000, B_ADDR, 80, **syn, options=options)
        yield Sample(f"tcp option {name}", build.ether(build.ipv4(A_ADDR, B_ADDR, 6, segment)))
    echo = build.icmp(8, 0, 0x12345678, b"ping")
    for name, options in IP_OPTIONS.items():
        packet = build.ipv4(A_ADDR, B_ADDR, 1, echo, options=options)
        yield Sample(f"ip option {name}", build.ether(packet), whole=name != "unknown")
    quote = build.ipv4(A_ADDR, B_ADDR, 6, build.tcp(A_ADDR, 4000, B_ADDR, 80, **syn))
    for kind, code, rest in (
        (5, 1, A_ADDR),
        (12, 0, 0x14000000),
        (3, 13, 0),
        (11, 1, 0),
        (4, 0, 0),
        (3, 4, 1400),
        (3, 0, 0),
    ):
        packet = build.ipv4(B_ADDR, A_ADDR, 1, build.icmp(kind, code, rest, quote[:28]))
        yield Sample(f"icmp {kind}/{code}", build.ether(packet), whole=kind != 4)
        yield Sample(f"icmp {kind}/{code} bare", packet, C.LINK_IP, whole=kind != 4)
    for kind in (13, 14):
        times = bytes(range(12))
        yield Sample(f"icmp {kind}", build.ether(build.ipv4(A_ADDR, B_ADDR, 1, build.icmp(kind, 0, 0x00020003, times))))
    good = build.tcp(A_ADDR, 4001, B_ADDR, 80, 0x18, 5, 6, b"data")
    yield Sample("bad tcp checksum", build.ether(build.ipv4(A_ADDR, B_ADDR, 6, good[:16] + b"\x12\x34" + good[18:])))
    yield Sample("bad ip checksum", build.ether(build.ipv4(A_ADDR, B_ADDR, 6, good, checksum=0x1234)))
    for name, field in (("right", None), ("no", 0), ("a wrong", 0x0102)):
        packet = build.ipv4(A_ADDR, B_ADDR, 17, build.udp(A_ADDR, 1, B_ADDR, 2, b"data", checksum=field))
        yield Sample(f"udp with {name} checksum", build.ether(packet))
    yield Sample("padded", build.ether(packet).ljust(60, b"\0"))
    yield Sample("a protocol not known", build.ether(build.ipv4(A_ADDR, B_ADDR, 253, b"payload")))
    yield Sample("tun", packet, C.LINK_IP)


def at_random(count: int = 40, seed: int = 1) -> Iterator[Sample]:
    """Every field of every header a random number: a bit read in the wrong place shows."""
    rng = random.Random(seed)

    def number(bits: int) -> int:
        return rng.getrandbits(bits)

    for n in range(count):
        src, dst = 0x0A000000 | number(24), 0x0A000000 | number(24)
        around = {"ident": number(16), "ttl": number(8), "tos": number(8), "frag": rng.choice((0, 0x4000, 0x8000))}
        macs = {"src": number(48) & ~(1 << 40), "dst": number(48)}
        options = b"\x01\x01\x08\x0a" + rng.randbytes(8) + b"\x01\x01\x05\x12" + rng.randbytes(16)
        segment = build.tcp(src, number(16), dst, number(16), number(9), number(32), number(32), b"", options,
                            number(16), number(16))  # fmt: skip
        yield Sample(f"random tcp {n}", build.ether(build.ipv4(src, dst, 6, segment, **around), **macs))
        message = build.icmp(rng.choice((0, 8)), 0, number(32), b"x" * 8)
        yield Sample(f"random icmp {n}", build.ether(build.ipv4(src, dst, 1, message, **around), **macs))
        around["frag"] = 0x2000 * number(1) | (1 + number(12))
        yield Sample(f"random fragment {n}", build.ether(build.ipv4(src, dst, 17, b"x" * 24, **around), **macs))
        addresses = (
            number(48).to_bytes(6, "big")
            + src.to_bytes(4, "big")
            + number(48).to_bytes(6, "big")
            + dst.to_bytes(4, "big")
        )
        packet = b"\0\1\x08\0\6\4\0" + bytes((rng.choice((1, 2)),)) + addresses
        yield Sample(f"random arp {n}", build.ether(packet, 0x0806, **macs))


@cache
def samples() -> tuple[Sample, ...]:
    """The whole frames."""
    parts = (loss(), bare(), fast_open(), routed(), link_layer(), offloaded(), by_hand(), at_random())
    return tuple(sample for part in parts for sample in part)


def truncated() -> list[Sample]:
    """A choice of the frames, cut at every byte up to the end of the headers."""
    chosen, seen = [], set()
    for sample in samples():
        kind = sample.name.rstrip("0123456789 ")
        if kind not in seen and sample.link == C.LINK_ETHERNET and not kind.startswith("random"):
            seen.add(kind)
            chosen.append(sample)
    return [
        Sample(f"{sample.name}, {size} bytes of it", sample.frame[:size], sample.link, whole=False)
        for sample in chosen
        for size in range(1, min(len(sample.frame), 100), 3)
    ]
