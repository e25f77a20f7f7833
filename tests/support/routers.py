"""The same router twice: a kernel namespace with two TUN devices, and a stack with two interfaces. Both get the same packets.

The kernel gets each packet first. Where a translation chooses a port at random, the stack begins its search at the port that the
kernel has chosen (`Follower`). So both must choose the same port, and no two connections share a port in only one of the routers.

`Pair` is a packet in the form that each router saw it: the forms of what a router's own error quotes may differ. The functions below
make the next packet from an earlier one, so that each router's peers answer what that router has sent.
"""

import math
import random
import select
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pystack_c.const as C
from pystack.addresses import parse_addr
from pystack.kernel.netns import Namespace
from pystack.phy.tap import TapDevice
from pystack_c.base.rng import Rng
from pystack_c.config import Config
from pystack_c.filter import conntrack_tcp, hooks
from pystack_c.filter.flow import PROTOCOLS
from pystack_c.stack import Stack
from tests import frames as f

INSIDE, OUTSIDE = 0, 1
ADDRESSES = ("10.0.0.1/24", "192.0.2.1/24")
#: the kernel shows what its connection tracking says in the DSCP of each packet that leaves
RULES = """
table ip seen {
  chain out {
    type filter hook postrouting priority mangle; policy accept;
    ct state new ip dscp set 1
    ct state established ip dscp set 2
    ct state related ip dscp set 3
    ct state invalid ip dscp set 4
    ct state untracked ip dscp set 5
  }
  chain in { type filter hook input priority filter; policy drop; }
}
"""
STATES = {C.CT_NEW: 1, C.CT_ESTABLISHED: 2, C.CT_RELATED: 3, C.CT_INVALID: 4, C.CT_UNTRACKED: 5}
#: how long the kernel gets for a packet that the stack has sent, and for one that it has not. The kernel forwards a packet
#: before the write to the TUN device returns, so these are only precautions.
PATIENCE, DOUBT = 2.0, 0.002
#: of a stack's random numbers
SEED = 7


class Out(NamedTuple):
    """A packet that a router sent: by which interface, what tracking said about it (1 to 5), and its bytes with DSCP 0."""

    iface: int
    state: int
    packet: bytes


class Pair(NamedTuple):
    """A packet at one side of the routers, as the kernel saw it and as the stack saw it."""

    side: int
    kernel: bytes
    stack: bytes


def fixed(packet: bytes) -> bytes:
    """The packet with a correct checksum in its IP header."""
    hlen = (packet[0] & 15) * 4
    head = packet[:10] + b"\0\0" + packet[12:hlen]
    return head[:10] + struct.pack(">H", f.ones(head) ^ 0xFFFF) + head[12:] + packet[hlen:]


def plain(packet: bytes) -> bytes:
    """The packet with DSCP 0, and the checksum for that. A wrong checksum stays wrong."""
    right = f.ones(packet[: (packet[0] & 15) * 4]) == 0xFFFF
    packet = packet[:1] + bytes([packet[1] & 3]) + packet[2:]
    return fixed(packet) if right else packet


class KernelRouter:
    """A namespace that forwards between two TUN devices, with an nftables ruleset."""

    def __init__(self, space: Namespace, devices: list[TapDevice]):
        self.space = space
        self.devices = devices

    def nft(self, rules: str) -> None:
        """Load rules with the real nft."""
        self.space.run(["nft", "-f", "-"], input=rules, text=True, check=True, timeout=20, capture_output=True)

    def send(self, side: int, packet: bytes, patience: float) -> list[Out]:
        """Give the router a packet, and return what it sends for it. It has `patience` seconds for the first packet."""
        self.devices[side].frame_io.send(_transmit(packet))
        return self.receive(patience)

    def receive(self, patience: float) -> list[Out]:
        """Return what the router sends. It has `patience` seconds for the first packet."""
        found: list[Out] = []
        deadline = time.monotonic() + patience
        while True:
            left = 0.0 if found else max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select(self.devices, [], [], left)
            if not ready:
                return found
            for iface, device in enumerate(self.devices):
                while (got := device.recv()) is not None:
                    frame, offset, _, _ = got
                    data = bytes(frame[offset:])
                    if data[0] >> 4 == 4:
                        found.append(self.shown(iface, data))

    def shown(self, iface: int, data: bytes) -> Out:
        """The packet, with what the rules wrote into it."""
        return Out(iface, data[1] >> 2, plain(data))

    def listing(self) -> str:
        """What `conntrack -L` prints."""
        done = self.space.run(["conntrack", "-L", "-o", "extended"], text=True, capture_output=True, timeout=20)
        return done.stdout

    def table(self) -> dict[str, int]:
        """The tracked connections, and the seconds that each has left."""
        return dict(describe_line(line) for line in self.listing().splitlines())


def _transmit(packet: bytes) -> Any:
    from pystack_c.packet import Transmit

    return Transmit(None, packet)


class Follower(Rng):
    """A stack's random numbers, except that it begins its search for a free port at the one that the kernel has chosen.

    `lowest` is the lowest port of the rule for TCP that leaves by the outer interface. A rule without ports chooses from 1024 on.
    """

    def __init__(self, stack: Stack):
        super().__init__(SEED)
        self.stack = stack
        self.lowest = 1024
        self.start: int | None = None
        self.entries: list[Any] | None = None
        stack.rng = self

    def follow(self, theirs: list[Out]) -> None:
        """Prepare the next packet of the stack, for which the kernel has sent this."""
        self.start = self.entries = None
        if theirs and (ports := ports_of(theirs[0].packet)):
            proto = transport(theirs[0].packet)[1]
            outer = proto == C.IPPROTO_TCP and theirs[0].iface == OUTSIDE
            low = 0 if proto == C.IPPROTO_ICMP else self.lowest if outer else 1024
            self.start = (ports[0] - low) % 65536

    def below(self, n: int) -> int:
        # Nothing but the choice of a port asks for a number of this size.
        if n != 65536:
            return super().below(n)
        self.entries = self.stack.conntrack.all()
        return super().below(n) if self.start is None else self.start

    def check(self, packet: bytes, theirs: list[Out]) -> None:
        """Raise AssertionError if the stack chose a port at random, although the kernel kept one.

        The kernel keeps the port of the packet if it can, or else the one that the newest connection of the same source has.
        It chooses one of these at random only if another connection had it, has ended, and gave it up.
        """
        if self.entries is None or not theirs or later_fragment(packet):
            return
        proto, (source, _), (outside, peer) = transport(packet)[1], flow(packet), flow(theirs[0].packet)
        kept = [source[1]]
        for entry in self.entries:
            if entry.original.proto == proto:
                back, front = flow_of(entry.reply)
                if (back, front) == (peer, outside):
                    return
                if flow_of(entry.original)[0] == source and front[0] == outside[0]:
                    kept[1:] = [front[1]]
        assert outside[1] not in kept, ("the stack has not kept a port that the kernel kept", kept)


class StackRouter:
    """A stack that forwards between two interfaces, in the kernel's time."""

    def __init__(self, **settings: Any):
        self.stack = Stack(SEED, Config(ip_forward=True, icmp_ratelimit=0, send_redirects=False, **settings), "router")
        self.choice = Follower(self.stack)
        self.ifaces = []
        for name, address in zip(("in0", "out0"), ADDRESSES, strict=True):
            iface = self.stack.add_iface(name, C.LINK_IP)
            addr, length = address.split("/")
            self.stack.add_addr(iface, parse_addr(addr), int(length))
            self.ifaces.append(iface)
        self.stack.track()
        self.state = 0
        hooks.attach(self.stack, hooks.POSTROUTING, self._note, -150)
        hooks.attach(self.stack, hooks.INPUT, self._refuse, 0)

    def _note(self, core: Any, place: int, iface: Any, packet: Any) -> int:
        self.state = STATES[core.conntrack.state]
        return hooks.ACCEPT

    def _refuse(self, core: Any, place: int, iface: Any, packet: Any) -> int:
        return hooks.DROP

    def send(self, side: int, packet: bytes) -> list[Out]:
        """Give the router a packet, and return what it sends for it."""
        now = time.monotonic_ns()
        self.stack.handle_timeout(now)
        self.stack.receive(self.ifaces[side], packet, now)
        found = []
        while (tx := self.stack.poll_transmit(now)) is not None:
            found.append(Out(self.ifaces.index(tx.iface), self.state, plain(tx.to_bytes())))
        return found

    def table(self) -> dict[str, int]:
        """The tracked connections, and the seconds that each has left."""
        now = time.monotonic_ns()
        self.stack.handle_timeout(now)
        return dict(describe_entry(entry, now) for entry in self.stack.conntrack.all())


def describe_line(line: str) -> tuple[str, int]:
    """A line of `conntrack -L -o extended`, reduced to what both routers have, and its timeout."""
    words = line.split()
    proto = words[2]
    timeout = int(words[4])
    rest = words[5:]
    state = rest.pop(0) if proto == "tcp" else ""
    fields = [word for word in rest if word.startswith(("src=", "dst=", "sport=", "dport=", "type=", "code=", "id="))]
    flags = [word for word in rest if word in ("[UNREPLIED]", "[ASSURED]")]
    proto = {"unknown": words[3]}.get(proto, proto)
    return " ".join([proto, state, *fields, *flags]), timeout


def describe_entry(entry: Any, now: int) -> tuple[str, int]:
    """An entry in the same form."""
    half = entry.original
    proto = PROTOCOLS.get(half.proto, str(half.proto))
    fields = []
    for way in (entry.original, entry.reply):
        fields += [f"src={_text(way.src)}", f"dst={_text(way.dst)}"]
        if half.proto == C.IPPROTO_ICMP:
            fields += [f"type={way.dport >> 8}", f"code={way.dport & 255}", f"id={way.sport}"]
        elif half.proto in (C.IPPROTO_TCP, C.IPPROTO_UDP):
            fields += [f"sport={way.sport}", f"dport={way.dport}"]
    flags = []
    if not entry.status & C.IPS_SEEN_REPLY:
        flags.append("[UNREPLIED]")
    if entry.status & C.IPS_ASSURED:
        flags.append("[ASSURED]")
    state = conntrack_tcp.STATES[entry.tcp.state] if entry.tcp is not None else ""
    return " ".join([proto, state, *fields, *flags]), (entry.timer.deadline - now) // 1_000_000_000


def _host(data: bytes) -> str:
    return ".".join(map(str, data))


def _text(addr: int) -> str:
    return ".".join(str((addr >> shift) & 255) for shift in (24, 16, 8, 0))


def joined(outs: list[Out]) -> list[Out]:
    """The packets with consecutive fragments put together again."""
    found: list[Out] = []
    for out in outs:
        field = struct.unpack(">H", out.packet[6:8])[0]
        at = (out.packet[0] & 15) * 4
        if found and field & 0x1FFF and field & 0x1FFF == (len(found[-1].packet) - at) // 8:
            whole = bytearray(found[-1].packet + out.packet[at:])
            whole[2:4] = struct.pack(">H", len(whole))
            whole[6:8] = struct.pack(">H", field & 0x2000)
            found[-1] = Out(out.iface, out.state, fixed(bytes(whole)))
        else:
            found.append(out)
    return found


class Routers:
    """Both routers. `send` compares what they do, and remembers the packets for answers."""

    def __init__(self, kernel: KernelRouter, stack: StackRouter, exact: bool):
        self.kernel = kernel
        self.exact = exact
        self.stack = stack
        self.sent: list[Pair] = []
        self.received: list[Pair] = []
        self.count = 0
        self.forwarded = 0
        self.states: dict[int, int] = {}
        self.log: list[tuple[int, Pair, list[Pair]]] = []
        self.began = time.monotonic()
        #: the longest time that one packet took in both, in seconds
        self.slowest = 0.0

    def send(self, pair: Pair) -> list[Pair]:
        """Send a packet to both. Raises AssertionError if they differ. Returns what came out, and remembers it."""
        self.count += 1
        began = time.monotonic()
        theirs, ours = both(self.kernel, self.stack, pair)
        self.slowest = max(self.slowest, time.monotonic() - began)
        try:
            return self._compare(pair, theirs, ours)
        except AssertionError as exc:
            exc.add_note(self.story(pair, ours, theirs))
            raise

    def _compare(self, pair: Pair, theirs: list[Out], ours: list[Out]) -> list[Pair]:
        text = f"packet {self.count} at side {pair.side}: {pair.kernel.hex()} {pair.stack.hex()}"
        self.stack.choice.check(pair.stack, theirs)
        if not self.exact:
            # A router that translates has to look at the whole transport header, and the kernel then cuts otherwise.
            ours, theirs = joined(ours), joined(theirs)
        assert len(ours) == len(theirs), (text, theirs, ours, dict(self.stack.stack.counters.drops.items()))
        self.sent.append(pair)
        out = []
        for mine, other in zip(ours, theirs, strict=True):
            assert (mine.iface, mine.state) == (other.iface, other.state), (text, other, mine)
            compare(other.packet, mine.packet)
            self.forwarded += 1
            self.states[mine.state] = self.states.get(mine.state, 0) + 1
            out.append(Pair(mine.iface, other.packet, mine.packet))
        self.received += out
        self.log.append((self.count, pair, out))
        return out

    def compare_tables(self) -> int:
        """Compare all tracked connections. Returns their number."""
        before = self.stack.table()
        theirs = self.kernel.table()
        ours = self.stack.table()
        # Both began to count at almost the same moment. The shortest timeouts are 10 s, and all others differ by at least that.
        error = 1 + math.ceil(self.slowest)
        lasting = [{line for line, left in table.items() if left > error} for table in (theirs, ours)]
        missing = lasting[0] - before.keys(), lasting[1] - theirs.keys()
        assert not any(missing), missing
        wrong = {
            line: (left, before[line], ours.get(line))
            for line, left in theirs.items()
            if line in before and not ours.get(line, 0) - error <= left <= before[line] + error
        }
        assert not wrong, (error, wrong)
        return len(ours)

    def story(self, pair: Pair, ours: list[Out], theirs: list[Out]) -> str:
        """What explains a difference: the history of the addresses and ports of a packet, and the kernel's table."""
        names = set(ends(pair.stack)).union(*(ends(out.packet) for out in ours + theirs))
        age = time.monotonic() - self.began
        lines = [f"The test has run for {age:.1f} s, the longest packet took {self.slowest:.3f} s."]
        for count, given, outs in self.log:
            if names & set(ends(given.stack)).union(*(ends(out.stack) for out in outs)):
                lines.append(f"{count} at side {given.side}: {summary(given.stack)}")
                lines += [f"    -> side {out.side}: {summary(out.stack)}" for out in outs]
        lines.append(f"{self.count} at side {pair.side}: {summary(pair.stack)}")
        lines += [f"    -> kernel {out.iface}: {summary(out.packet)}" for out in theirs]
        lines += [f"    -> stack {out.iface}: {summary(out.packet)}" for out in ours]
        return "\n".join([*lines, "The kernel's table:", self.kernel.listing()])


def both(kernel: KernelRouter, stack: Any, pair: Pair) -> tuple[list[Out], list[Out]]:
    """Give a packet to both. Returns what they send: the kernel, and the stack."""
    theirs = kernel.send(pair.side, pair.kernel, DOUBT)
    stack.choice.follow(theirs)
    ours = stack.send(pair.side, pair.stack)
    if ours and not theirs:
        theirs = kernel.receive(PATIENCE)
        assert not theirs or stack.choice.entries is None, (
            "the kernel was late, and the stack could not follow its choice"
        )
    return theirs, ours


def later_fragment(packet: bytes) -> bool:
    """Is the packet a fragment without the transport header?"""
    return bool(struct.unpack(">H", packet[6:8])[0] & 0x1FFF)


def flow(packet: bytes) -> tuple[tuple[str, int], ...]:
    """The source and the destination of a packet that is no later fragment: addresses with ports, or with the identifier."""
    ports = ports_of(packet)
    return (_host(packet[12:16]), ports[0]), (_host(packet[16:20]), ports[-1])


def flow_of(way: Any) -> tuple[tuple[str, int], ...]:
    """The same of one direction of a connection."""
    return (_text(way.src), way.sport), (_text(way.dst), way.sport if way.proto == C.IPPROTO_ICMP else way.dport)


def ends(packet: bytes) -> list[str]:
    """The source and the destination of a packet, or nothing if it has no ports."""
    at, proto = transport(packet)
    if proto not in (6, 17) or len(packet) < at + 4 or later_fragment(packet):
        return []
    return [f"{host}:{port}" for host, port in flow(packet)]


def summary(packet: bytes) -> str:
    """One line about a packet."""
    at, proto = transport(packet)
    names = ends(packet) or [_host(packet[12:16]), _host(packet[16:20])]
    text = f"{' > '.join(names)} protocol {proto}, {len(packet)} bytes, {'valid' if valid(packet) else 'invalid'}"
    if proto == 6 and len(packet) >= at + 16 and ends(packet):
        seq, ack, _, flags, window = struct.unpack(">IIBBH", packet[at + 4 : at + 16])
        text += f", flags {flags:#x} seq {seq} ack {ack} window {window}"
    return text


def transport(packet: bytes) -> tuple[int, int]:
    """The offset of the transport header, and the protocol."""
    return (packet[0] & 15) * 4, packet[9]


def valid(packet: bytes) -> bool:
    """Are the checksums of the IP header and of the transport right? A fragment has none of its own."""
    at, proto = transport(packet)
    if f.ones(packet[:at]) != 0xFFFF:
        return False
    if struct.unpack(">H", packet[6:8])[0] & 0x3FFF:
        return True
    data = packet[at:]
    if proto == 1:
        return f.ones(data) == 0xFFFF
    if proto not in (6, 17) or len(data) < 8 or (proto == 17 and data[6:8] == b"\0\0"):
        return True
    head = packet[12:20] + struct.pack(">HH", proto, len(data))
    return f.ones(head + data) == 0xFFFF


def mask(packet: bytes) -> bytes:
    """The packet without its checksums."""
    at, proto = transport(packet)
    data = bytearray(packet)
    data[10:12] = b"\0\0"
    if later_fragment(packet):
        return bytes(data)
    if proto in (6, 17):
        where = at + (16 if proto == 6 else 6)
        data[where : where + 2] = bytes(len(data[where : where + 2]))
    elif proto == 1:
        data[at + 2 : at + 4] = b"\0\0"
        if len(data) > at and data[at] in (3, 4, 5, 11, 12) and len(data) >= at + 28:
            data = data[: at + 8] + mask(bytes(data[at + 8 : at + 8 + 28 + 8]))
    return bytes(data)


def compare(theirs: bytes, ours: bytes) -> None:
    """Compare two packets that left."""
    assert valid(theirs) == valid(ours), (theirs.hex(), ours.hex())
    assert essence(theirs) == essence(ours), (theirs.hex(), ours.hex())


def essence(packet: bytes) -> bytes:
    """What must be the same. Of the routers' own errors (TTL 64), that is not the identification, nor the length of the quotation."""
    data = mask(packet)
    at, proto = transport(packet)
    if proto == 1 and len(packet) > at and packet[at] in (3, 11) and packet[8] == 64:
        return data[8:10] + data[12:20] + data[at : at + 2] + data[at + 8 + 12 : at + 36]
    return data


def ports_of(packet: bytes) -> list[int]:
    """The ports or the identifier of a packet."""
    at, proto = transport(packet)
    data = packet[at:]
    if proto in (6, 17):
        return list(struct.unpack(">HH", data[:4])) if len(data) >= 4 else []
    return list(struct.unpack(">H", data[4:6])) if proto == 1 and len(data) >= 8 else []


@contextmanager
def routers(rules: str, setup: Callable[[StackRouter], None], **settings: Any) -> Iterator[Routers]:
    """Both routers with the same rules: `rules` for nft, `setup` for the stack."""
    with Namespace.new() as space:
        space.quiet()
        devices = [
            TapDevice(name, mode="tun", netns=space, offload=False, address=address)
            for name, address in zip(("in0", "out0"), ADDRESSES, strict=True)
        ]
        try:
            for key, value in (
                ("net.ipv4.ip_forward", 1),
                ("net.ipv4.conf.all.rp_filter", 0),
                ("net.ipv4.conf.in0.rp_filter", 0),
                ("net.ipv4.conf.out0.rp_filter", 0),
                ("net.ipv4.conf.all.send_redirects", 0),
                ("net.ipv4.conf.in0.send_redirects", 0),
                ("net.ipv4.conf.out0.send_redirects", 0),
                ("net.ipv4.icmp_ratelimit", 0),
                ("net.ipv4.icmp_ratemask", 0),
                ("net.ipv4.icmp_msgs_per_sec", 100000),
                ("net.ipv4.icmp_msgs_burst", 100000),
            ):
                space.run(["sysctl", "-qw", f"{key}={value}"], check=False, capture_output=True, timeout=10)
            blackhole = ["ip", "route", "add", "blackhole", "198.51.100.0/24"]
            space.run(blackhole, check=True, capture_output=True, timeout=10)
            kernel = KernelRouter(space, devices)
            kernel.nft(RULES + rules)
            stack = StackRouter(**settings)
            setup(stack)
            yield Routers(kernel, stack, "type nat" not in rules)
        finally:
            for device in devices:
                device.close()


# Packets.


def seal(packet: bytearray) -> bytes:
    """Fill in all checksums of an IPv4 packet."""
    at, proto = transport(bytes(packet))
    where = {1: 2, 6: 16, 17: 6}.get(proto)
    if where is not None and len(packet) >= at + where + 2:
        packet[at + where : at + where + 2] = b"\0\0"
        data = bytes(packet[at:])
        head = b"" if proto == 1 else bytes(packet[12:20]) + struct.pack(">HH", proto, len(data))
        packet[at + where : at + where + 2] = struct.pack(">H", (f.ones(head + data) ^ 0xFFFF) or 0xFFFF)
    return fixed(bytes(packet))


def make(src: str, dst: str, proto: int, payload: bytes, ident: int = 7, ttl: int = 64) -> bytes:
    """An IPv4 packet with right checksums."""
    return seal(bytearray(f.ipv4(src, dst, proto, payload, ident=ident, ttl=ttl)))


def tcp_bytes(
    sport: int, dport: int, seq: int, ack: int, flags: int, window: int, options: bytes = b"", data: bytes = b""
) -> bytes:
    """A TCP segment without its checksum."""
    options += b"\1" * (-len(options) % 4)
    offset = (5 + len(options) // 4) << 4
    seq, ack = seq & 0xFFFFFFFF, ack & 0xFFFFFFFF
    return struct.pack(">HHIIBBHHH", sport, dport, seq, ack, offset, flags, window, 0, 0) + options + data


def syn_options(rng: random.Random) -> bytes:
    """The options of a SYN: MSS, and sometimes window scale and SACK."""
    options = b"\2\4\5\xb4"
    if rng.random() < 0.7:
        options += bytes([1, 3, 3, rng.choice((0, 2, 7, 14))])
    if rng.random() < 0.7:
        options += b"\1\1\4\2"
    return options


def run(command: list[str]) -> bool:
    """Is there such a command?"""
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except OSError:
        return False
