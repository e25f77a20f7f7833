"""Rulesets of the filter's oracle (test_nft_oracle.py) that need packets of their own: `fib`, `ct count`, maps of objects, and the
checks that nft adds to a rule without being told.
"""

import struct
import time

from tests.kernel.test_nat_oracle import Traffic
from tests.support import routers as r
from tests.support.routers import Pair

#: sources and destinations about which the routing table has something to say: the router's own, broadcasts, groups, none, a black hole
SOURCES = (
    "10.0.0.1",
    "192.0.2.1",
    "192.0.2.2",
    "10.0.0.2",
    "203.0.113.9",
    "198.51.100.7",
    "224.0.0.5",
    "127.0.0.1",
    "0.0.0.0",
)
DESTINATIONS = (
    "10.0.0.1", "192.0.2.1", "10.0.0.255", "192.0.2.255", "192.0.2.2", "10.0.0.2", "198.51.100.7", "224.0.0.5",
    "255.255.255.255", "127.0.0.1",
)  # fmt: skip
HEADER = "table {family} t {{\n{before}\nchain base {{\ntype filter hook {hook} priority {priority}; policy accept;\n{lines}\n}}\n}}\n"


def rules(body: str, before: str = "", family: str = "ip", hook: str = "forward", priority: str = "0") -> str:
    """A table with one base chain."""
    lines = "\n".join(line.strip() for line in body.strip().splitlines())
    return HEADER.format(family=family, before=before, hook=hook, priority=priority, lines=lines)


class StrangeTraffic(Traffic):
    """Packets of which every third has a source or a destination that is no other host."""

    def fresh(self) -> Pair:
        """A new packet."""
        pair = super().fresh()
        packet = bytearray(pair.kernel)
        for at, some in ((12, SOURCES), (16, DESTINATIONS)):
            if self.rng.random() < 0.35:
                packet[at : at + 4] = bytes(int(part) for part in self.rng.choice(some).split("."))
        done = r.seal(packet)
        return Pair(pair.side, done, done)

    def step(self) -> None:
        """Send a new packet. A host answers none of them, because their addresses do not say where the answer goes."""
        self.world.send(self.fresh())


class SlowTraffic(Traffic):
    """Connections that come and go. The kernel notices only after two of its ticks that a packet's connection was dropped.

    The rulesets count only packets whose connection is not in the table yet. Linux 6.18 stops to look for connections that ended
    when it comes to the packet's own, so what it counts for a later packet depends on their order. Linux 6.19 mended that.
    """

    def step(self) -> None:
        """Send the next packet."""
        time.sleep(0.025)
        super().step()


class HeaderTraffic(Traffic):
    """Packets of many protocols, ICMP messages of all types, and headers that are cut off."""

    def fresh(self) -> Pair:
        """A new packet."""
        rng = self.rng
        pair = super().fresh()
        src, dst = (".".join(map(str, pair.kernel[at : at + 4])) for at in (12, 16))
        kind = rng.random()
        if kind < 0.3:
            which, code = rng.choice((0, 3, 3, 3, 4, 5, 8, 11, 12, 13, 14, 17, 18)), rng.choice((0, 0, 1, 4, 4, 13))
            rest = rng.choice((struct.pack(">HH", 1, 1), struct.pack(">HH", 0, 1400), bytes((10, 0, 0, 9)), bytes(4)))
            quoted = r.make(dst, src, 17, struct.pack(">HHHH", 5353, 1024, 8, 0))
            packet = r.make(src, dst, 1, struct.pack(">BBH", which, code, 0) + rest + quoted[: rng.choice((0, 28))])
        elif kind < 0.5:
            ports = struct.pack(">HH", rng.choice((1024, 30000)), rng.choice((8000, 8080, 5353)))
            packet = r.make(src, dst, rng.choice((132, 136, 33, 47, 50)), ports + bytes(rng.choice((0, 4, 12))))
        elif kind < 0.65:
            at, _ = r.transport(pair.kernel)
            packet = bytearray(pair.kernel[: at + rng.choice((0, 1, 2, 3, 4, 6, 8, 13, 16, 19))])
            packet[2:4] = struct.pack(">H", len(packet))
            packet = r.seal(packet)
        else:
            return pair
        return Pair(pair.side, bytes(packet), bytes(packet))


FIB = """
    fib saddr . iif oif missing counter
    fib saddr . iif oif exists counter
    fib saddr oif missing counter
    fib saddr oif 0 counter
    fib saddr oif in0 counter
    fib saddr oif != out0 counter
    fib saddr oifname "out0" counter
    fib saddr oifname "in*" counter
    fib daddr oif exists counter
    fib daddr . iif oif missing counter
    fib saddr . mark . iif oif missing counter
    fib daddr type local counter
    fib daddr type { broadcast, multicast } counter
    fib daddr type unicast counter
    fib saddr type local counter
    fib saddr type != unicast counter
    fib daddr . iif type local counter
    fib saddr . iif type broadcast counter
"""
TYPES = """
    fib daddr type local counter
    fib daddr . oif type local counter
    fib saddr type local counter
    fib saddr . oif type local counter
    fib daddr type unicast counter
"""
MAPS = """
counter one {
packets 5 bytes 100
}
counter two {
}
quota few {
over 900 bytes
}
quota many {
500 bytes
}
limit slow {
rate 3/hour burst 6 packets
}
map hosts {
type ipv4_addr : counter
elements = { 10.0.0.2 : "one", 10.0.0.3 : "two" }
}
map nets {
type ipv4_addr : counter
flags interval
elements = { 192.0.2.0/31 : "one", 192.0.2.3-192.0.2.9 : "two" }
}
map pairs {
typeof ip saddr . tcp dport : quota
elements = { 10.0.0.2 . 8000 : "few", 10.0.0.3 . 8080 : "many" }
}
map protocols {
type inet_proto : limit
elements = { icmp : "slow" }
}
"""
#: name -> (the rules, the kind of traffic)
SPECIAL = {
    "fib": (
        rules(FIB, f"chain late {{\ntype filter hook postrouting priority 10\n{TYPES}}}\n"
              f"chain own {{\ntype filter hook output priority 10\n{TYPES}}}\n"),
        StrangeTraffic,
    ),
    "fib-early": (
        rules(FIB + "fib daddr type vmap { broadcast : drop, multicast : drop }\nfib saddr . iif oif missing counter drop",
              hook="prerouting", priority="-150", family="inet"),
        StrangeTraffic,
    ),
    "maps": (
        rules("""
            counter name ip saddr map @hosts
            counter name ip daddr map @nets counter
            quota name ip saddr . tcp dport map @pairs counter drop
            limit name meta l4proto map @protocols counter accept
            meta l4proto icmp counter drop
            counter name udp dport map { 5353 : "one", 8000-8080 : "two" } counter
            counter name ip daddr map { 10.0.0.2 : "one", 10.0.0.4 : "two" } counter
        """, MAPS),
        Traffic,
    ),
    "count": (
        rules("""
            ct state invalid counter drop
            ct status & confirmed == 0 ct count over 4 counter drop
            ct status & confirmed == 0 tcp dport 8000 ct count 1 counter
            ct status & confirmed == 0 udp dport 8080 ct count over 1 counter reject
            counter
        """),
        SlowTraffic,
    ),
    "count-set": (
        rules("""
            ct status & confirmed == 0 add @each { ip saddr ct count over 2 } counter drop
            ct status & confirmed == 0 tcp dport 8080 add @ports { ip saddr . tcp sport ct count 1 } counter accept
            ct status & confirmed == 0 update @whole { ip daddr } counter
            counter
        """, "set each {\ntype ipv4_addr\nsize 100\nflags dynamic\n}\n"
             "set ports {\ntype ipv4_addr . inet_service\nsize 100\nflags dynamic\n}\n"
             "set whole {\ntype ipv4_addr\nsize 100\nflags dynamic\nct count over 3\n}"),
        SlowTraffic,
    ),
    "implied": (
        rules("""
            icmp type destination-unreachable counter
            icmp mtu 1400 counter
            icmp mtu != 1400 counter
            icmp mtu < 1000 counter
            icmp gateway 0x0a000009 counter
            icmp gateway != 0x0a000009 counter
            icmp id 1 counter
            icmp id != 1 counter
            icmp sequence { 1, 1400 } counter
            icmp type echo-request icmp id 1 counter
            icmp type { echo-reply, echo-request } icmp id != 7 counter
            icmp code 4 counter
            icmp code != 0 counter
            icmp checksum != 0 counter
            tcp dport != 8000 counter
            tcp sport > 0 counter
            udp dport != { 8000, 5353 } counter
            udp length < 100 counter
            th dport 8000 counter
            th sport != 1024 counter
            tcp flags != syn counter
            tcp doff > 4 counter
            tcp urgptr 0 counter
            tcp option maxseg missing counter
            ip saddr . tcp dport != { 10.0.0.2 . 8000 } counter
            ip protocol . th dport { tcp . 8000, udp . 5353, 132 . 8080 } counter
            tcp dport vmap { 1-7999 : drop, 8000 : continue }
            meta mark set tcp dport map { 8000 : 1, 8080 : 2 } counter
            meta mark set icmp id map { 1 : 3 } counter
            meta mark set jhash udp dport mod 4 seed 3 counter
            add @seen { tcp dport } counter
            @th,0,16 1024 counter
            @th,16,16 8000 counter
            meta l4proto { tcp, udp } th dport 8080 counter
            meta l4proto != icmp counter
            ip protocol 132 counter
        """, "set seen {\ntype inet_service\nsize 100\nflags dynamic\n}"),
        HeaderTraffic,
    ),
    "implied-inet": (
        rules("""
            ip saddr != 10.0.0.2 counter
            ip protocol != tcp counter
            ip ttl > 0 counter
            icmp id { 1, 2 } counter
            icmp mtu > 0 counter
            meta nfproto ipv4 counter
            ip saddr . meta l4proto { 10.0.0.2 . tcp, 10.0.0.3 . icmp } counter
            icmp type != echo-request counter
            meta mark set ip dscp counter
            icmp type echo-request icmp id set 9 counter
            tcp sport 1024 tcp dport set 8000 counter
            udp dport 8080 udp sport set 7 counter
        """, family="inet"),
        HeaderTraffic,
    ),
}  # fmt: skip
#: ruleset -> a change of its JSON that the comparison must notice
SPECIAL_CHANGES = {
    "fib": ('"flags": ["saddr", "iif"]', '"flags": ["daddr", "iif"]'),
    "fib-early": ('"right": "local"', '"right": "unicast"'),
    "maps": ('["10.0.0.3", "two"]', '["10.0.0.3", "one"]'),
    "count": ('"ct count": {"val": 4', '"ct count": {"val": 3'),
    "count-set": ('"ct count": {"val": 2', '"ct count": {"val": 1'),
    "implied": ('{"payload": {"protocol": "icmp", "field": "mtu"}}', '{"payload": {"base": "th", "offset": 48, "len": 16}}'),
    "implied-inet": ('{"payload": {"protocol": "icmp", "field": "mtu"}}', '{"payload": {"base": "th", "offset": 48, "len": 16}}'),
}  # fmt: skip
