"""A router beside the kernel's: by the same routes and rules, every packet leaves by the same interface, or with the same error.

Each test has a kernel namespace and a stack with three TUN interfaces. Thousands of seeded packets go through both.
"""

import random
import time

import pytest

import pystack_c.const as C
from pystack import iproute
from pystack.addresses import parse_addr
from pystack.kernel.netns import Namespace
from pystack.nft import as_program
from pystack.phy.tap import TapDevice
from pystack_c.config import Config
from pystack_c.stack import Stack
from tests import frames as f
from tests.kernel.test_route_oracle import why_not
from tests.support import routers as r
from tests.support.routes import IFACES, routes, rules

_why = why_not()
pytestmark = pytest.mark.skipif(bool(_why), reason=_why or "the kernel is there")

PACKETS = 1200


class StackRouter:
    """A stack that forwards, in the kernel's time, with the part of a host that iproute uses."""

    def __init__(self, **settings):
        self.stack = Stack(7, Config(ip_forward=True, icmp_ratelimit=0, **settings), "router")
        self.ifaces = []
        for n in range(IFACES):
            iface = self.stack.add_iface(f"eth{n}", C.LINK_IP)
            self.stack.add_addr(iface, parse_addr(f"192.168.{n}.1"), 24)
            self.ifaces.append(iface)

    def setup(self, name, *args):
        return getattr(self.stack, name)(*args)

    def send(self, side, packet):
        now = time.monotonic_ns()
        self.stack.receive(self.ifaces[side], packet, now)
        found = []
        while (tx := self.stack.poll_transmit(now)) is not None:
            found.append(r.Out(self.ifaces.index(tx.iface), 0, r.plain(tx.to_bytes())))
        return found


class World:
    """Both routers, for a `with` statement."""

    def __init__(self, redirects=False, **settings):
        self.space = Namespace.new()
        self.space.quiet()
        self.devices = [
            TapDevice(f"eth{n}", mode="tun", netns=self.space, offload=False, address=f"192.168.{n}.1/24")
            for n in range(IFACES)
        ]
        names = ["all", "default", *(f"eth{n}" for n in range(IFACES))]
        values = ["net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0"]
        # Not only the limit 0 of the rate (see SYSCTLS of tests/support/filters.py).
        values += ["net.ipv4.icmp_ratemask=0", "net.ipv4.icmp_msgs_per_sec=100000", "net.ipv4.icmp_msgs_burst=100000"]
        values += [f"net.ipv4.conf.{name}.rp_filter=0" for name in names]
        values += [f"net.ipv4.conf.{name}.send_redirects={int(redirects)}" for name in names]
        self.space.run(["sysctl", "-qw", *values], check=True, capture_output=True, timeout=20)
        self.kernel = r.KernelRouter(self.space, self.devices)
        self.stack = StackRouter(send_redirects=redirects, **settings)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for device in self.devices:
            device.close()
        self.space.close()

    def ip(self, commands):
        """Give commands to both, of which some may be refused by both."""
        text = "\n".join(commands) + "\n"
        self.space.run(["ip", "-force", "-batch", "-"], input=text, text=True, capture_output=True, timeout=60)
        for command in commands:
            try:
                iproute.run(self.stack, command.split())
            except iproute.IpError:
                pass

    def nft(self, rules):
        """Load rules of the packet filter into both."""
        self.kernel.nft(rules)
        as_program(rules, []).run(self.stack.stack.nft)

    def send(self, side, packet):
        """Send a packet to both, and compare. Returns what left."""
        ours = self.stack.send(side, packet)
        theirs = self.kernel.send(side, packet, r.PATIENCE if ours else r.DOUBT)
        assert len(ours) == len(theirs), (packet.hex(), theirs, ours)
        # The kernel sends a redirect before the packet, and the stack sends it afterwards.
        ours.sort(key=lambda out: out.packet[9:10] != b"\x01")
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.iface == other.iface, (packet.hex(), other, mine)
            if mine.packet[9] == 1 and mine.packet[20] == C.ICMP_REDIRECT:
                assert redirect(mine.packet) == redirect(other.packet), (packet.hex(), other, mine)
            else:
                r.compare(other.packet, mine.packet)
        return ours


def redirect(packet):
    """What must be the same of a redirect. The kernel quotes the packet with its TTL already decremented."""
    return packet[8:10] + packet[12:22] + packet[24:36] + packet[37:38] + packet[40:56]


def some_packet(rng):
    """A packet from anywhere on the three links: (interface, bytes).

    The kernel sends one source at most five errors about missing routes at once, so there are many sources.
    Packets that may expire have sources of their own.
    """
    side = rng.randrange(IFACES)
    ttl = rng.choice((1, 2, 64, 64, 64, 255))
    last = rng.randrange(2, 250)
    src = rng.choice((f"192.168.{side}.{last}", f"172.16.{rng.randrange(4)}.{last}", f"10.{rng.randrange(4)}.1.{last}"))
    if ttl == 1:
        src = f"172.20.{rng.randrange(250)}.{last}"
    dst = f"10.{rng.randrange(5)}.{rng.randrange(4)}.{rng.choice((1, 2, 63, 65, 129, 200, 201, 254))}"
    if rng.random() < 0.1:
        dst = rng.choice(("8.8.8.8", f"192.168.{rng.randrange(IFACES)}.77", "172.31.0.1"))
    data = rng.randbytes(rng.choice((0, 1, 8, 40, 700)))
    if rng.random() < 0.5:
        payload = f.udp(src, rng.randrange(1, 65536), dst, rng.randrange(1, 65536), data)
        return side, r.make(src, dst, 17, payload, ident=rng.randrange(65536), ttl=ttl)
    return side, r.make(src, dst, 1, f.icmp(8, 0, rng.randbytes(4), data), ident=rng.randrange(65536), ttl=ttl)


def one_world(seed):
    """Compare every packet for one seed, and the counters at the end. Returns the kinds of packets that left."""
    rng = random.Random(seed)
    kinds = set()
    with World() as world:
        # One route that is always there for each answer.
        sure = [
            f"route add {kind} 10.{n}.2.0/24 table 5" for n, kind in enumerate(("throw", "unreachable", "prohibit"))
        ]
        world.ip([*routes(rng, 80), *rules(rng, 12), *sure, "rule add pref 1 table 5"])
        for _ in range(PACKETS):
            for out in world.send(*some_packet(rng)):
                error = out.packet[9] == 1 and out.packet[20] in (3, 11)
                kinds.add((out.packet[20], out.packet[21]) if error else out.iface)
        counters = world.stack.stack.counters
        kernel = {}
        for file, head in (("snmp", "Ip:"), ("netstat", "IpExt:")):
            done = world.space.run(["cat", f"/proc/net/{file}"], text=True, capture_output=True, timeout=20)
            names, values = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith(head)]
            kernel |= dict(zip(names, map(int, values), strict=True))
        assert (counters.IpForwDatagrams, counters.IpExtInNoRoutes) == (kernel["ForwDatagrams"], kernel["InNoRoutes"])
    return kinds


def test_every_packet_and_every_error_is_as_the_kernels():
    kinds = set()
    for seed in range(3):
        kinds |= one_world(seed)
    # The three interfaces; net, host and prohibited unreachable; and the TTL.
    assert kinds >= {0, 1, 2, (3, 0), (3, 1), (3, 13), (11, 0)}


def redirects(world):
    """How many redirects both sent in 1.5 s, or None if the machine was so busy that only one of them had to send the next one."""
    packet = r.make("192.168.0.5", "10.1.0.1", 17, f.udp("192.168.0.5", 1, "10.1.0.1", 2, b"?"))
    sent, due, end = 0, (0.0, 0.0), time.monotonic() + 1.5
    while (before := time.monotonic()) < end:
        # The kernel's clock has ticks, so do not ask close to the moment when the next one is due.
        if due[0] < before < due[1]:
            time.sleep(0.002)
            continue
        try:
            found = world.send(0, packet)
        except AssertionError:
            if before < due[1] and time.monotonic() > due[0]:
                return None
            raise
        assert [out.packet[9] for out in found if out.packet[9] == 17] == [17]
        if len(found) == 2:
            sent += 1
            due = before + 0.02 * 2**sent - 0.012, time.monotonic() + 0.02 * 2**sent + 0.012
        time.sleep(0.01)
    return sent


def test_redirects_and_their_rate_are_as_the_kernels():
    sent = None
    while sent is None:
        with World(redirects=True) as world:
            world.ip(["route add 10.1.0.0/16 via 192.168.0.9", "route add 10.2.0.0/16 via 192.168.1.9"])
            sent = redirects(world)
            if sent is not None:
                assert 3 <= sent <= 9
                controls(world)


def controls(world):
    """A sender that is not on the link, a way out by another interface, and a neighbour as the destination."""
    for side, src, dst, count in (
        (0, "172.16.0.1", "10.1.0.1", 1),
        (0, "192.168.0.6", "10.2.0.1", 1),
        (1, "192.168.0.6", "10.1.0.1", 1),
        (0, "192.168.0.6", "192.168.0.77", 2),
    ):
        assert len(world.send(side, r.make(src, dst, 17, f.udp(src, 1, dst, 2, b"?")))) == count


MARKS = """
table ip t {
    chain pre {
        type filter hook prerouting priority mangle;
        udp dport 1000-1999 meta mark set 1
        udp dport 2000-2999 meta mark set 2
        udp dport 3000-3999 meta mark set 3
        ct mark 2 meta mark set ct mark
        ct state new udp sport 7 ct mark set 2
    }
    chain out {
        type route hook output priority mangle;
        icmp type echo-reply ip daddr 10.1.0.0/16 meta mark set 1
        icmp type echo-reply ip daddr 10.2.0.0/16 meta mark set 2
        icmp type echo-reply ip daddr 10.3.0.0/16 meta mark set 0
        icmp type echo-reply ip daddr 10.4.0.0/16 ip dscp set 8
    }
    chain late {
        type filter hook output priority filter;
        icmp type echo-reply ip daddr 10.5.0.0/16 meta mark set 2
    }
}
"""


def anonymous(packet):
    """A packet without its identification, which is random, and without the checksum over it."""
    return packet[:4] + packet[6:10] + packet[12:]


def test_marks_of_the_packet_filter_choose_the_route_as_in_the_kernel():
    """At PREROUTING for forwarded packets; at OUTPUT for the router's own, but only in a chain of the type route."""
    rng = random.Random(5)
    forwarded, answered = {}, {}
    with World() as world:
        world.ip(["route add default via 192.168.0.9"])
        world.ip([f"route add default via 192.168.{n}.9 table {n}" for n in (1, 2)])
        world.ip([f"rule add fwmark {n} table {n}" for n in (1, 2)])
        world.nft(MARKS)
        for _ in range(300):
            src, dst = f"192.168.0.{rng.randrange(2, 9)}", f"10.9.0.{rng.randrange(1, 9)}"
            sport, dport = rng.choice((7, 8)), rng.randrange(4) * 1000 + 5 + rng.randrange(3)
            (out,) = world.send(0, r.make(src, dst, 17, f.udp(src, sport, dst, dport, b"?")))
            forwarded.setdefault(dport // 1000 if sport == 8 else -1, set()).add(out.iface)
        for _ in range(100):
            net, side = rng.randrange(1, 7), rng.randrange(IFACES)
            src = f"10.{net}.0.{rng.randrange(2, 200)}"
            echo = r.make(src, f"192.168.{side}.1", 1, f.icmp(8, 0, rng.randbytes(4), b"ping"))
            (ours,), (theirs,) = world.stack.send(side, echo), world.kernel.send(side, echo, r.PATIENCE)
            assert ours.iface == theirs.iface and anonymous(ours.packet) == anonymous(theirs.packet)
            answered.setdefault(net, set()).add(ours.iface)
    assert forwarded.pop(-1) == {0, 1, 2}  # by the mark of the connection, from its second packet on
    assert forwarded == {0: {0}, 1: {1}, 2: {2}, 3: {0}}
    assert answered == {1: {1}, 2: {2}, 3: {0}, 4: {0}, 5: {0}, 6: {0}}
