"""The attacker: makes the next steps for a world from a random generator, looking at the stack's state to get deep.

`Hostile(world, rng).move()` gives a list of steps (see tests.support.world). It knows every sequence number, so that most of
its segments are acceptable, nearly acceptable, or wrong in one place.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import pystack_c.const as C
from pystack_c.config import FIELDS
from pystack_c.tcp.opening import fastopen
from tests.support import build
from tests.support.build import MAC_BCAST, MAC_HOST, MAC_PEER
from tests.support.calls import HOST, PEER, Calls, Step
from tests.support.invariants import all_tcbs
from tests.support.world import World, peer_bytes

M32 = 0xFFFFFFFF
S = 1_000_000_000
HOSTS = {"eth0": HOST, "eth1": 0x0A000101, "tun0": 0x0A000201}
PEERS = {"eth0": (PEER, PEER, PEER, 0x0A000003, 0x0A000004, 0x0A0000FE), "eth1": (0x0A000102,), "tun0": (0x0A000202,)}
ODD = (0, M32, 0x7F000001, 0xE0000001, 0xEF010203, 0x0A0000FF, 0x0A000000, 0x08080808, 0xF0000001, HOST, 0x0A000101)
GROUPS = (0xEF010203, 0xEF010204, 0xE8000001, 0xE0000001, 0xE0000002, 0xE0000016, 0xE0000005)
PORTS = (80, 80, 80, 81, 7, 53, 9999)

IP_OPTIONS = (
    b"\x07\x07\x04\0\0\0\0", b"\x44\x08\x05\0\0\0\0\0", b"\x83\x07\x04\x0a\0\0\x01", b"\x94\x04\0\0", b"\x07\0",
    b"\x07\xff\x04", b"\x80\x02", b"\x94\x05\0\0\0\x01", b"\1" * 40, b"\x88\x04\0\1" * 10,
)  # fmt: skip
#: settings that make small worlds: bounds are reached soon
TIGHT = {
    "neigh_max_entries": 8, "ipfrag_high_thresh": 20000, "ipfrag_max_fragments": 8, "tcp_max_syn_backlog": 4, "tcp_max_ooo": 6,
    "tcp_max_tw_buckets": 2, "udp_rmem": 4000, "tcp_rmem": 6000, "tcp_wmem": 20000, "port_max": 32771,
}  # fmt: skip
CONFIGS: tuple[dict[str, Any], ...] = (
    {},
    {},
    TIGHT,
    {"ip_forward": True, "tcp_timestamps": False, "tcp_congestion": "cubic"},
    {"tcp_rack": False, "tcp_tlp": False, "tcp_prr": False, "tcp_frto": False},
    {
        "tcp_congestion": "cubic",
        "tcp_ecn": 1,
        "tcp_keepalive_time": 5 * S,
        "tcp_keepalive_intvl": S,
        "tcp_keepalive_probes": 2,
    },
    {"tcp_congestion": "bbr", "tcp_ecn": 3},
    {"tcp_fastopen": 3, "tcp_syncookies": True, "tcp_congestion": "bbr", "tcp_max_syn_backlog": 2},
    {"tcp_sack": False, "tcp_rmem": 30000, "tcp_quickack_segs": 0, "tcp_ecn": 5},
    {"tcp_sack": False, "tcp_timestamps": False, "tcp_window_scaling": False, "tcp_nagle": False},
    {"tcp_wscale": 14, "tcp_rmem": 5000, "tcp_isn": 0xFFFFFF00},
    {"tcp_wscale": 3, "tcp_rmem": 20000, "tcp_isn": 0x7FFFFF00, "tcp_abort_on_overflow": True, "tcp_ecn": 3},
    {**TIGHT, "ip_forward": True, "tcp_wmem": 3000, "tcp_minshall": False, "tcp_limited_transmit": False},
)


def start(rng: Random, kinds: tuple[str, ...] = ("tcp", "udp", "raw")) -> dict[str, Any]:
    """A program with its world set up: three interfaces, a listener or two, a UDP and a raw socket."""
    offload = rng.random() < 0.4
    steps: list[Step] = [
        ("iface", "eth0", C.LINK_ETHERNET, MAC_HOST, 1500, offload, 65535 if offload else 0),
        ("iface", "eth1", C.LINK_ETHERNET, MAC_HOST + 0x100, 576, False, 0),
        ("iface", "tun0", C.LINK_IP, 0, 1400, False, 0),
        *(("setup", "add_addr", name, addr, 24) for name, addr in HOSTS.items()),
        ("setup", "add_neighbor", "eth0", PEER, MAC_PEER),
        ("setup", "add_route", 0, 0, PEER),
    ]
    if rng.random() < 0.25:
        steps += [("setup", "add_vlan", "eth0", 7), ("setup", "add_addr", "eth0.7", 0x0A000701, 24)]
    if rng.random() < 0.25:
        steps += [("setup", "igmp_proxy", rng.choice(("eth0", None)), "eth1", "tun0")]
        steps += [("setup", "add_mroute", GROUPS[0], "eth0", 0, 2, "eth1", "tun0")]
    if "tcp" in kinds:
        steps += [("open", "tcp", 1), ("call", "bind", 1, 0, 80), ("call", "listen", 1, rng.choice((0, 1, 5, 100)))]
        steps += [("open", "tcp", 2), ("call", "bind", 2, HOST, 81), ("call", "listen", 2, 3)]
    if "udp" in kinds:
        steps += [("open", "udp", 3), ("call", "bind", 3, 0, 53)]
    if "raw" in kinds:
        steps += [("open", "raw", 4, C.IPPROTO_ICMP), ("open", "ping", 5)]
    if rng.random() < 0.3:
        steps += [("call", "setsockopt", handle, 1, 9, 1) for handle in (1, 2)]
    if rng.random() < 0.3:
        steps += [("call", "setsockopt", 1, 6, 23, 5), ("call", "setsockopt", 2, 6, 9, 1)]
    if rng.random() < 0.7:
        steps += [("call", "setsockopt", handle, 1, 10, 1) for handle in (1, 2)]
    more = {"ip_forward": True} if rng.random() < 0.4 else {}
    config = {name: value for name, value in {**rng.choice(CONFIGS), **more}.items() if name in FIELDS}
    return {"seed": rng.randrange(1 << 16), "config": config, "probe": rng.random() < 0.3, "steps": steps}


class Hostile(Calls):
    """Makes moves. `frames` keeps what was sent lately, to be sent again, or changed."""

    def __init__(self, world: World, rng: Random):
        self.world = world
        self.stack = world.stack
        self.rng = rng
        self.frames: list[tuple[str, bytes]] = []
        self.next_handle = 100
        self.iss = 0

    def move(self) -> list[Step]:
        """The next steps."""
        names, weights = zip(*MOVES)
        name: Callable[[Hostile], list[Step]] = self.rng.choices(names, weights)[0]
        steps = name(self)
        for step in steps:
            if step[0] == "rx":
                self.frames.append((step[1], step[2]))
        del self.frames[:-20]
        return steps

    # Helpers

    def rx(self, iface: str, packet: bytes, group: bool = False, good_csum: bool = False, gso: int = 0) -> Step:
        """A packet as a frame on an interface."""
        frame = packet
        if iface != "tun0":
            mac = MAC_HOST + (0x100 if iface == "eth1" else 0)
            frame = build.ether(packet, 0x0800, MAC_PEER, MAC_BCAST if group else mac)
        return ("rx", iface, frame, C.RX_CSUM_OK if good_csum or gso else 0, gso)

    def near(self, *marks: int) -> int:
        """A number at, or next to, one of the marks."""
        mark = self.rng.choice(marks)
        return mark + self.rng.choice((0, 0, 0, 0, 1, -1, 2, 100, -100, 1460, 1 << 16, -(1 << 16), 1 << 31)) & M32

    def length(self) -> int:
        """A payload's length."""
        r = self.rng
        return r.choice((1, 2, 8, 100, 536, 1400, 1448, 1460, r.randrange(1460)))

    def place(self) -> tuple[str, int, int]:
        """An interface, the peer's address there, and ours."""
        name = self.rng.choices(("eth0", "eth1", "tun0"), (8, 1, 1))[0]
        return name, self.rng.choice(PEERS[name]), HOSTS[name]

    def any_tcb(self, *states: int) -> Any:
        """A connection, preferably."""
        found = [t for t in all_tcbs(self.stack) if t.state != C.CLOSED and (not states or t.state in states)]
        return self.rng.choice(found) if found else None

    # TCP

    def segment(self) -> list[Step]:
        """A segment for a connection that exists."""
        tcb = self.any_tcb()
        if tcb is None:
            return self.syn()
        if tcb.state == C.LISTEN:
            return self.syn(tcb.lport)
        if tcb.state == C.SYN_SENT:
            return self.answer_syn(tcb)
        return [self.shaped(tcb)]

    def shaped(self, tcb: Any) -> Step:
        """In the window, mostly; wrong in one place, sometimes."""
        r = self.rng
        wnd = tcb.rcv_wnd()
        seq = tcb.rcv_nxt
        if r.random() < 0.35:
            seq = self.near(tcb.rcv_nxt, tcb.rcv_nxt, tcb.rcv_adv, tcb.rcv_nxt + r.randrange(wnd + 1), tcb.irs)
        n = 0 if r.random() < 0.4 else min(self.length(), 65000)
        gso = 0
        if n and r.random() < 0.05:
            n = r.randrange(1, 40000)
            gso = 1448
        flags = C.ACK | (C.PSH if n and r.random() < 0.5 else 0) | self.odd_flags()
        ack = tcb.snd_nxt
        if r.random() < 0.5:
            edges = [tcb.snd_una, tcb.snd_nxt, *(s.end for s in tcb.rtxq.segs[tcb.rtxq.first :][:5])]
            ack = r.choice(edges) if r.random() < 0.8 else self.near(*edges, tcb.iss)
        return self.emit(tcb, flags & ~r.choice((0,) * 30 + (C.ACK,)), seq, ack, n, gso)

    def odd_flags(self) -> int:
        """Rarely more than ACK."""
        x = self.rng.random()
        if x < 0.04:
            return C.FIN
        if x < 0.08:
            return self.rng.choice(
                (C.RST, C.SYN, C.SYN, C.URG, C.ECE, C.CWR, C.FIN | C.SYN, 0x1FF, C.FIN | C.URG | C.PSH, 0x100)
            )
        return 0

    def emit(self, tcb: Any, flags: int, seq: int, ack: int, n: int, gso: int = 0) -> Step:
        """The segment with the options that fit the connection, or nearly."""
        r = self.rng
        options = b""
        if tcb.ts_ok != (r.random() < 0.03):
            ours = self.world.now // 1_000_000 + tcb.ts_offset - r.choice((0, 0, 1, 50, 10_000))
            tsval = tcb.ts_recent + r.choice((0, 0, 1, 10, 1000)) if r.random() < 0.95 else self.near(tcb.ts_recent)
            options += build.opt_ts(tsval, ours if r.random() < 0.95 else r.getrandbits(32))
        if len(tcb.rtxq) and r.random() < 0.4:
            options += build.opt_sack(*(self.block(tcb) for _ in range(r.randrange(1, 4 if not options else 3))))
        elif r.random() < 0.02:
            options += r.randbytes(r.randrange(12))
        window = r.choice((65535, 65535, 65535, 1000, 100, 1, 0, r.randrange(65536)))
        urg = r.choice((0, 1, n, 65535)) if flags & C.URG else 0
        payload = peer_bytes(seq + (flags >> 1 & 1), n)
        body = build.tcp(tcb.raddr, tcb.rport, tcb.laddr, tcb.lport, flags, seq, ack, payload, options, window, urg)
        packet = build.ipv4(tcb.raddr, tcb.laddr, 6, body, ident=r.getrandbits(16), tos=r.choice((0, 0, 0, 1, 2, 3)))
        return self.rx(self.way(tcb), packet, gso=gso)

    def block(self, tcb: Any) -> tuple[int, int]:
        """A SACK block: of whole records, mostly."""
        segs = tcb.rtxq.segs[tcb.rtxq.first :]
        i = self.rng.randrange(len(segs))
        j = min(len(segs) - 1, i + self.rng.randrange(3))
        if self.rng.random() < 0.85:
            return segs[i].seq, segs[j].end
        return self.near(segs[i].seq, tcb.snd_una), self.near(segs[j].end, tcb.snd_nxt)

    def way(self, tcb: Any) -> str:
        """The interface that a connection's peer is on."""
        return {0x0A0001: "eth1", 0x0A0002: "tun0"}.get(tcb.raddr >> 8 & 0xFFFFFF, "eth0")

    def syn(self, port: int | None = None) -> list[Step]:
        """A SYN, and most of the time the handshake's end, some data, and the application's accept."""
        r = self.rng
        name, peer, host = self.place()
        options = b""
        for option in (build.opt_mss(r.choice((1460, 1460, 536, 88, 1, 0, 65535))), build.opt_wscale(r.choice((0, 2, 7, 14, 15, 255))),
                       build.OPT_SACK_OK, build.opt_ts(r.getrandbits(32), 0)):  # fmt: skip
            if r.random() < 0.75:
                options += option
        if r.random() < 0.15:
            cookie = (
                fastopen.make_cookie(self.stack, b"", peer, host)
                if r.random() < 0.6
                else r.randbytes(r.choice((0, 4, 8, 17)))
            )
            options = (options + bytes((34, 2 + len(cookie))) + cookie)[:40]
        sport = r.choice((40000, 40001, 40002, r.randrange(1, 65536)))
        seq = r.choice((1000, 0x7FFFFFF0, 0xFFFFFFF0, r.getrandbits(32)))
        flags = (
            C.SYN
            if r.random() < 0.9
            else r.choice((C.SYN | C.FIN, C.SYN | C.ACK, C.SYN | C.RST, C.SYN | C.ECE | C.CWR, 0x1FF))
        )
        n = 0 if r.random() < 0.85 else self.length()
        dport = r.choice(PORTS) if port is None else port
        body = build.tcp(
            peer, sport, host, dport, flags, seq, 0, peer_bytes(seq + 1, n), options, r.choice((65535, 1000, 0))
        )
        return [self.rx(name, build.ipv4(peer, host, 6, body))]

    def establish(self) -> list[Step]:
        """Bring a half-open connection on: the right ACK; then somebody accepts."""
        tcb = self.any_tcb(C.SYN_RECEIVED)
        if tcb is None:
            return self.syn()
        self.next_handle += 1
        step = self.emit(tcb, C.ACK, tcb.rcv_nxt, tcb.snd_nxt, 0)
        return [step, ("accept", self.rng.choice((1, 1, 2)), self.next_handle)]

    def good_peer(self) -> list[Step]:
        """What an honest peer would do: acknowledge everything, send the next data."""
        tcb = self.any_tcb(*SYNCED)
        if tcb is None:
            return self.establish()
        n = self.rng.choice((0, 0, 100, 1448))
        flags = C.ACK | (C.FIN if self.rng.random() < 0.05 else 0)
        return [self.emit(tcb, flags, tcb.rcv_nxt, tcb.snd_nxt, min(n, tcb.rcv_wnd()))]

    def answer_syn(self, tcb: Any) -> list[Step]:
        """Our own SYN is answered: accepted, refused, crossed by the peer's SYN, or nonsense."""
        r = self.rng
        flags = r.choice((C.SYN | C.ACK,) * 6 + (C.SYN, C.SYN, C.RST | C.ACK, C.ACK, C.SYN | C.ACK | C.FIN, C.RST))
        seq = r.choice((5000, 0xFFFFFFFE, r.getrandbits(32)))
        ack = tcb.snd_nxt if r.random() < 0.85 else self.near(tcb.snd_nxt)
        options = build.opt_mss(r.choice((1460, 536, 0))) + r.choice((b"", build.OPT_SACK_OK))
        options += r.choice((b"", build.opt_wscale(r.choice((0, 7, 14, 200))))) + r.choice((b"", build.opt_ts(1, 0)))
        n = r.choice((0, 0, 0, 0, 10))
        body = build.tcp(tcb.raddr, tcb.rport, tcb.laddr, tcb.lport, flags, seq, ack, peer_bytes(seq + 1, n), options)
        return [self.rx(self.way(tcb), build.ipv4(tcb.raddr, tcb.laddr, 6, body))]

    # Time

    def time(self) -> list[Step]:
        """Time passes: a little, much, or up to the next timer."""
        r = self.rng
        ns = r.choice((0, 1000, 1_000_000, 40_000_000, 200_000_000, 1_000_000_000, 5_000_000_000, 70_000_000_000))
        deadline = self.stack.poll_timeout()
        if deadline is not None and r.random() < 0.5:
            ns = max(0, deadline - self.world.now + r.choice((0, 0, -1, 1)))
            return [("tick", ns)]
        return [(r.choice(("tick", "run")), ns)]

    # Below TCP

    def arp(self) -> list[Step]:
        """ARP: answers to what was asked, requests, claims, floods, nonsense."""
        r = self.rng
        x = r.random()
        if x < 0.4:
            asked = [
                a for a, e in self.world.ifaces["eth0"].neighbors.items() if e.state & (C.NUD_INCOMPLETE | C.NUD_PROBE)
            ]
            spa = r.choice(asked) if asked else 0x0A000003
            return [("rx", "eth0", build.arp(2, 0x020000000000 + (spa & 0xFFFF), spa, MAC_HOST, HOST, MAC_HOST), 0, 0)]
        if x < 0.55:
            first = r.getrandbits(16)
            return [
                ("rx", "eth0", build.arp(1, 0x020000010000 + first + i, 0x0A000000 + (first + i) % 256, 0, HOST), 0, 0)
                for i in range(r.choice((3, 12)))
            ]
        op = r.choice((1, 1, 2, 2, 0, 3, 65535))
        addrs = (*PEERS["eth0"], *ODD)
        sha = r.choice((MAC_PEER, MAC_HOST, 0, MAC_BCAST, 0x010000000001, 0x020000000003))
        frame = build.arp(
            op, sha, r.choice(addrs), r.choice((0, MAC_HOST)), r.choice(addrs), r.choice((MAC_BCAST, MAC_HOST))
        )
        return [("rx", "eth0", frame, 0, 0)]

    def icmp(self) -> list[Step]:
        """Echo requests, errors that quote what the stack sent, anything else."""
        r = self.rng
        name, peer, host = self.place()
        x = r.random()
        if x < 0.25:
            body = build.icmp(8, 0, r.getrandbits(32), bytes(r.choice((0, 1, 56, 1000, 1472))))
        elif x < 0.8 and self.world.sent:
            sent = r.choice(self.world.sent)
            quote = sent[1][0 if sent[0] == "tun0" else 14 :]
            quote = quote[: r.choice((0, 19, 20, 27, 28, 28, 40, 548))]
            if r.random() < 0.1 and quote:
                quote = self.flip(quote)
            kind, code = r.choice(
                ((3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 4), (3, 13), (11, 0), (11, 1), (12, 0), (4, 0), (5, 1))
            )
            body = build.icmp(kind, code, r.choice((0, 68, 576, 1300, 1499, 65535, 0x0A000003)), quote)
        else:
            body = build.icmp(
                r.choice((0, 3, 5, 8, 11, 12, 13, 17, 255)),
                r.getrandbits(8),
                r.getrandbits(32),
                r.randbytes(r.randrange(60)),
            )
        dst = host if r.random() < 0.9 else r.choice(ODD)
        return [self.rx(name, build.ipv4(peer, dst, 1, body, tos=r.choice((0, 0x10))), r.random() < 0.05)]

    def udp(self) -> list[Step]:
        """A datagram: to a socket, to nobody, to everybody, or one that lies."""
        r = self.rng
        name, peer, host = self.place()
        dst = host if r.random() < 0.8 else r.choice(ODD)
        length = None if r.random() < 0.9 else r.choice((0, 7, 8, 9, 65535))
        checksum = None if r.random() < 0.8 else r.choice((0, 1, 0xFFFF))
        n = r.choice((0, 1, 100, 1400))
        body = build.udp(peer, r.choice((1000, 0)), dst, r.choice((53, 53, 54, 7, 0)), bytes(n), length, checksum)
        return [self.rx(name, build.ipv4(peer, dst, 17, body), dst in (M32, 0x0A0000FF) or r.random() < 0.05)]

    def groups(self) -> list[Step]:
        """IGMP of hosts and routers, right or wrong in one place, or a datagram to a group."""
        r = self.rng
        name, peer, host = self.place()
        src = peer if r.random() < 0.9 else r.choice((*ODD, host - 1))
        group = r.choice(GROUPS)
        if r.random() < 0.4:
            body = build.udp(src, 9, group, r.choice((53, 9)), bytes(r.choice((0, 8, 900))))
            frag = r.choice((0, 0, 0x4000, 0x2000))
            packet = build.ipv4(src, group, 17, body, r.getrandbits(16), frag, r.choice((64, 8, 2, 1, 0)))
            return [self.rx(name, packet, True)]
        kind = r.choice((0x11, 0x11, 0x12, 0x16, 0x16, 0x17, 0x22, 0x22, 0x22, r.getrandbits(8)))
        rest = r.choice((0, group)).to_bytes(4, "big")
        if kind == 0x11 and r.random() < 0.6:
            count = r.choice((0, 0, 1, 3, 500))
            rest += (
                bytes((r.getrandbits(8), r.getrandbits(8))) + count.to_bytes(2, "big") + r.randbytes(4 * min(count, 3))
            )
        elif kind == 0x22:
            records = []
            for _ in range(r.choice((0, 1, 1, 2, 20))):
                count = r.choice((0, 0, 1, 3, 70))
                head = bytes((r.choice((1, 2, 3, 4, 5, 6, 6, 9)), r.choice((0, 0, 0, 1)))) + count.to_bytes(2, "big")
                records.append(
                    head + r.choice(GROUPS).to_bytes(4, "big") + r.randbytes(4 * min(count, r.choice((70, 70, 2))))
                )
            rest = (len(records) + r.choice((0, 0, 0, 1, 60000)) & 0xFFFFFFFF).to_bytes(4, "big") + b"".join(records)
        message = bytes((kind, r.choice((0, 1, 100, 200, 255)), 0, 0)) + rest
        if r.random() < 0.9:
            message = message[:2] + build.inverted(message).to_bytes(2, "big") + message[4:]
        if r.random() < 0.1:
            message = message[: r.randrange(len(message) + 1)]
        dst = r.choice((group, 0xE0000001, 0xE0000016, 0xE0000002, host))
        packet = build.ipv4(
            src, dst, 2, message, ttl=1 if r.random() < 0.9 else 2, options=r.choice((b"", b"\x94\x04\0\0"))
        )
        return [self.rx(name, packet, dst != host)]

    def tagged(self) -> list[Step]:
        """A frame with the tag of a VLAN: earlier ones, a ping, or one that ends too soon."""
        r = self.rng
        ping = build.ether(build.ipv4(0x0A000702, 0x0A000701, 1, build.icmp(8, 0, 1, b"abc")))
        asked = build.arp(1, MAC_PEER, 0x0A000702, 0, 0x0A000701)
        earlier = [frame for name, frame in self.frames if name == "eth0"]
        frame = r.choice((ping, ping, asked, *earlier[-3:]))
        tci = r.choice((7, 7, 7, 0xE007, 0, 0x6000, 8, 0xFFFF))
        frame = frame[:12] + b"\x81\0" + tci.to_bytes(2, "big") + frame[12:]
        if r.random() < 0.1:
            frame = frame[:12] + b"\x81\0\0\7" + frame[12:]
        if r.random() < 0.1:
            frame = frame[: r.randrange(14, 24)]
        return [("rx", "eth0", frame, 0, 0)]

    def fragments(self) -> list[Step]:
        """A datagram in pieces: whole, overlapping, doubled, too long, unfinished, in any order."""
        r = self.rng
        name, peer, host = self.place()
        size = r.choice((40, 200, 3000, 9000, 65000))
        proto, whole = r.choice((
            (17, build.udp(peer, 1000, host, r.choice((53, 7)), bytes(size))),
            (1, build.icmp(8, 0, 1, bytes(size))),
            (6, build.tcp(peer, 40000, host, 80, C.SYN, 1, 0, bytes(size % 1000))),
            (r.randrange(256), bytes(size)),
        ))  # fmt: skip
        step = r.choice((8, 16, 512, 1480)) if size < 3000 else 1480
        ident = r.choice((1, 2, r.getrandbits(16)))
        steps = []
        for at in range(0, len(whole), step):
            x = r.random()
            piece = whole[at : at + step]
            offset = at // 8
            more = at + step < len(whole)
            if x < 0.03:
                offset += r.choice((-1, 1, 8000))
            elif x < 0.06:
                piece = piece[: r.randrange(len(piece) + 1)]
            elif x < 0.08:
                more = not more
            elif x < 0.1:
                continue
            frag = (offset & 0x1FFF) | (0x2000 if more else 0)
            step_ = self.rx(name, build.ipv4(peer, host, proto, piece, ident, frag, tos=r.choice((0,) * 9 + (1, 3))))
            steps += [step_] * (2 if x > 0.97 else 1)
        if r.random() < 0.3:
            r.shuffle(steps)
        return steps

    def packet(self) -> list[Step]:
        """An IP packet of any protocol, with any options, to and from anybody."""
        r = self.rng
        name, peer, host = self.place()
        src = peer if r.random() < 0.7 else r.choice(ODD)
        dst = host if r.random() < 0.6 else r.choice((*ODD, 0x0A000102, 0x0A000102, 0x0A000202, 0x0A000003, 0x0B000001))
        options = b""
        if r.random() < 0.5:
            options = r.choice((*IP_OPTIONS, r.randbytes(r.randrange(41))))
        payload = r.choice(
            (
                b"",
                r.randbytes(8),
                bytes(1300),
                build.udp(src, 1, dst, 53, bytes(r.choice((1, 900)))),
                build.icmp(8, 0, 1, b"abc"),
            )
        )
        proto = r.choice((1, 6, 17, 2, 47, 255, 0))
        packet = build.ipv4(
            src,
            dst,
            proto,
            payload,
            r.getrandbits(16),
            r.choice((0, 0, 0, 0x4000, 0x8000)),
            r.choice((64, 1, 0, 2)),
            0,
            options,
        )
        return [self.rx(name, packet, r.random() < 0.05)]

    def through(self) -> list[Step]:
        """A packet for a network behind the host: to be forwarded, cut, or refused."""
        r = self.rng
        name, peer, _ = self.place()
        dst = r.choice((0x0A000102, 0x0A000202, 0x0A000005, 0x0B000001))
        size = r.choice((0, 8, 500, 600, 1400))
        proto, body = r.choice(((17, build.udp(peer, 9, dst, 9, bytes(size))), (99, bytes(size))))
        frag = r.choice((0, 0, 0, 0x4000, 0x2000, 0x2010, 0x10)) if size % 8 == 0 else 0
        option = r.choice(IP_OPTIONS) if r.random() < 0.5 else b""
        packet = build.ipv4(peer, dst, proto, body, r.getrandbits(16), frag, r.choice((64, 64, 2, 1)), 0, option)
        return [self.rx(name, packet, good_csum=r.random() < 0.2)]

    # Spoiling

    def mutated(self) -> list[Step]:
        """Frames of another move, or earlier ones, with something changed; checksums put right again, mostly."""
        r = self.rng
        if self.frames and r.random() < 0.5:
            name, frame = r.choice(self.frames)
        else:
            steps = [
                s
                for s in r.choice((self.segment, self.segment, self.syn, self.udp, self.icmp, self.packet))()
                if s[0] == "rx"
            ]
            if not steps:
                return []
            name, frame = steps[0][1], steps[0][2]
        at = 0 if name == "tun0" else 14
        x = r.random()
        if x < 0.2:
            frame = frame[: r.randrange(len(frame) + 1)]
        elif x < 0.3:
            frame += r.randbytes(r.randrange(1, 20))
        elif x < 0.5 and len(frame) > at + 40:
            # a header field of IP or TCP
            where = at + r.choice((0, 1, 2, 3, 6, 7, 8, 9, 32, 33, 34, 35, 38, 39))
            frame = frame[:where] + r.randbytes(1) + frame[where + 1 :]
        else:
            for _ in range(r.choice((1, 1, 2, 5))):
                frame = self.flip(frame)
        if r.random() < 0.75:
            frame = build.fixup(frame, at)
        return [("rx", name, frame, C.RX_CSUM_OK if r.random() < 0.1 else 0, 0)]

    def flip(self, data: bytes) -> bytes:
        """One bit the other way, in the headers mostly."""
        r = self.rng
        if not data:
            return data
        at = r.randrange(min(len(data), r.choice((60, 60, 1 << 16))))
        return data[:at] + bytes((data[at] ^ 1 << r.randrange(8),)) + data[at + 1 :]

    def again(self) -> list[Step]:
        """A frame that came before, or one of the stack's own, comes (back)."""
        r = self.rng
        if r.random() < 0.6 and self.frames:
            name, frame = r.choice(self.frames)
            return [("rx", name, frame, 0, 0)] * r.choice((1, 1, 3))
        if self.world.sent:
            sent = r.choice(self.world.sent)
            frame = sent[1]
            if sent[0] != "tun0" and r.random() < 0.7:
                frame = frame[6:12] + frame[:6] + frame[12:]
                frame = MAC_HOST.to_bytes(6, "big") + frame[6:]
            if r.random() < 0.4:
                # a land attack: both addresses, and both ports, the same
                at = 0 if sent[0] == "tun0" else 14
                frame = build.fixup(frame[: at + 12] + frame[at + 16 : at + 20] + frame[at + 16 :], at)
            return [("rx", sent[0], frame, 0, 0)]
        return []

    def garbage(self) -> list[Step]:
        """Bytes."""
        r = self.rng
        name = r.choice(("eth0", "tun0"))
        data = r.randbytes(r.choice((0, 1, 13, 14, 20, 34, 60, 100)))
        if name == "eth0" and r.random() < 0.5:
            data = (
                MAC_HOST.to_bytes(6, "big") + data[:6] + r.choice((b"\x08\0", b"\x08\6", b"\x86\xdd", b"\0\x10")) + data
            )
        elif r.random() < 0.5:
            data = b"\x45" + data[1:]
        return [("rx", name, data, 0, 0)]

    def routes(self) -> list[Step]:
        """The administrator changes something under the connections."""
        r = self.rng
        return [r.choice((
            ("setup", "del_route", 0, 0), ("setup", "add_route", 0, 0, PEER), ("setup", "add_route", 0, 0, 0x0A000003),
            ("setup", "del_addr", "eth1", 0x0A000101), ("setup", "add_addr", "eth1", 0x0A000101, 24),
            ("setup", "add_route", 0x0A000102, 32, 0, "eth0"), ("setup", "del_route", 0x0A000102, 32),
            ("setup", "add_neighbor", "eth0", PEER, MAC_PEER), ("setup", "set_iface", "eth1", False), ("setup", "set_iface", "eth1", True),
        ))]  # fmt: skip


SYNCED = (C.ESTABLISHED, C.CLOSE_WAIT, C.FIN_WAIT_1, C.FIN_WAIT_2, C.CLOSING, C.LAST_ACK)
MOVES: tuple[tuple[Callable[[Hostile], list[Step]], int], ...] = (
    (Hostile.segment, 30), (Hostile.good_peer, 12), (Hostile.establish, 8), (Hostile.syn, 3), (Hostile.application, 22),
    (Hostile.time, 9), (Hostile.mutated, 10), (Hostile.again, 3), (Hostile.icmp, 4), (Hostile.arp, 3), (Hostile.udp, 2),
    (Hostile.datagram_call, 3), (Hostile.raw_call, 2), (Hostile.fragments, 1), (Hostile.packet, 3), (Hostile.through, 3), (Hostile.garbage, 1), (Hostile.routes, 1),
    (Hostile.groups, 3), (Hostile.tagged, 1),
)  # fmt: skip
