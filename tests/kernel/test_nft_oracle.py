"""The packet filter beside the kernel's: the same rulesets, the same packets, and everything is compared.

Each ruleset is loaded into a namespace by the real nft, and what `nft -j list ruleset` prints there into a stack. Seeded packets go
through both. Every packet that leaves must be the same, and at the end every counter, quota and element of the two rulesets.
"""

import re
import struct
import subprocess
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

import pystack_c.const as C
from tests.kernel.nft_rulesets import SPECIAL, SPECIAL_CHANGES, SlowTraffic
from tests.kernel.test_nat_oracle import Traffic, why_not
from tests.support import routers as r
from tests.support.filters import Filters, filters
from tests.support.routers import Pair

PACKETS = 400

_why = why_not()
pytestmark = pytest.mark.skipif(bool(_why), reason=_why or "the kernel is there")


class FilterTraffic(Traffic):
    """Packets with all kinds of headers: DSCP, ECN, TTL, lengths, flags, options, ICMP types."""

    def fresh(self) -> Pair:
        """The first packet of a connection, or something like it."""
        rng = self.rng
        pair = super().fresh()
        packet = bytearray(pair.kernel)
        if rng.random() < 0.4:
            packet[1] = rng.choice((0, 0x20, 0xB8, 0x03, 0x02, 0x48))
        if rng.random() < 0.2 and packet[8] == 64:
            packet[8] = rng.choice((2, 3, 5, 10, 128, 255))
        if packet[9] == 6 and rng.random() < 0.3:
            packet[33] = rng.choice((C.SYN, C.SYN | C.ACK, C.FIN | C.ACK, C.RST, 0xFF, 0, C.SYN | C.FIN, 0x18, 0xC2))
        if packet[9] == 17 and rng.random() < 0.5:
            packet += rng.choice((b"x", b"y" * 100, b"z" * 900))
            packet[24:26] = struct.pack(">H", len(packet) - 20)
        packet[2:4] = struct.pack(">H", len(packet))
        done = r.seal(packet)
        return Pair(pair.side, done, done)


def rules(body: str, before: str = "", family: str = "ip", hook: str = "forward", priority: str = "0") -> str:
    """A table with one base chain."""
    lines = "\n".join(line.strip() for line in body.strip().splitlines())
    return f"""table {family} t {{
{before}
chain base {{
type filter hook {hook} priority {priority}; policy accept;
{lines}
}}
}}
"""


RULESETS = {
    "ports": rules("""
        tcp dport 8000 counter accept
        tcp dport { 8080, 5353 } counter drop
        udp dport 5000-6000 counter drop
        udp sport != 1024 counter
        th dport 8000 counter
        counter
    """),
    "flags": rules("""
        tcp flags syn counter
        tcp flags & (fin | syn) == fin | syn counter drop
        tcp flags syn / syn,ack counter
        tcp flags != syn / syn,ack counter
        tcp flags { syn, syn | ack, 0x0 } counter
        tcp flags == 0x0 counter drop
        tcp flags ! ack counter
        tcp flags & (ecn | cwr) != 0 counter
        tcp window < 1000 counter
        tcp sequence > 0x80000000 counter
        tcp doff 5 counter
    """),
    "network": rules("""
        ip saddr 10.0.0.0/30 counter
        ip daddr != 192.0.2.2 counter
        ip saddr & 0.0.0.3 == 2 counter
        ip ttl < 10 counter drop
        ip dscp cs1 counter
        ip dscp { ef, af21 } counter
        ip ecn ce counter drop
        ip length 0-60 counter
        ip id 7 counter
        ip frag-off & 0x1fff != 0 counter
        ip frag-off & 0x2000 != 0 counter
        ip protocol icmp counter
        ip version 4 ip hdrlength 5 counter
        @nh,64,8 63 counter
        @th,16,16 8000 counter
        ip saddr < 10.0.0.4 counter
        ip saddr 10.0.0.3-192.0.2.2 counter
    """),
    "icmp": rules("""
        icmp type echo-request counter
        icmp type { echo-reply, timestamp-request, time-exceeded } counter
        icmp type destination-unreachable icmp code port-unreachable counter drop
        icmp id 1 counter
        icmp sequence 1 counter
        icmp mtu > 1000 counter
        icmp code != 0 counter
    """),
    "meta": rules(
        """
        iifname in0 oifname out0 counter
        iifname "in*" counter
        oifname != "out0" counter
        iif in0 counter
        oif out0 counter
        meta l4proto { tcp, icmp } counter
        meta l4proto != 17 counter
        meta length > 100 counter
        meta pkttype host counter
        meta nfproto ipv4 counter
        meta protocol ip counter
        meta mark set 7
        meta mark 7 counter
        meta mark set mark and 0x3 or 0x100
        meta mark 0x103 counter
        meta mark & 0xff != 3 counter
        meta mark set ip dscp
        meta mark set 0x5
    """,
        "chain last {\n type filter hook postrouting priority 10\n meta mark 5 iifname in0 oifname out0 counter\n}",
        "inet",
    ),
    "chains": rules(
        """
        tcp dport 8000 jump one
        tcp dport 8080 goto two
        counter
        ip saddr 10.0.0.3 jump one
        meta l4proto vmap { tcp : jump two, udp : drop, icmp : continue }
        counter
    """,
        """
        chain three {
        counter
        ip ttl 63 return
        counter
        }
        chain one {
        counter
        tcp sport 1024 return
        jump three
        tcp sport 30000 drop
        counter
        }
        chain two {
        counter jump three
        goto one
        counter
        }
    """,
    ),
    "priorities": rules("ip daddr 192.0.2.2 counter accept\n counter")
    + """table ip second {
        chain later {
        type filter hook forward priority 10; policy drop;
        tcp dport 8000 counter accept
        meta l4proto != tcp counter accept
        }
        chain earlier {
        type filter hook forward priority -10; policy accept;
        counter
        udp dport 5353 drop
        }
        chain same {
        type filter hook forward priority 0; policy accept;
        counter
        tcp dport 5353 drop
        }
        chain pre {
        type filter hook prerouting priority -150; policy accept;
        ip ttl 64 counter
        ip daddr 192.0.2.1 counter
        }
        chain post {
        type filter hook postrouting priority 50; policy accept;
        ip ttl 63 counter
        oifname in0 counter
        iifname in0 counter
        }
        chain out {
        type filter hook output priority 0; policy accept;
        counter
        icmp type time-exceeded counter drop
        }
        }
    """,
    "sets": rules(
        """
        ip saddr @hosts counter
        ip daddr @nets counter drop
        ip saddr . tcp dport @pairs counter
        ip daddr . udp dport @ranges counter
        ip saddr != @hosts counter
        tcp dport { 1-1023, 8000-8010, 9000 } counter
        ip saddr . tcp sport { 10.0.0.2 . 1024, 10.0.0.0/31 . 1-65535, 10.0.0.3-10.0.0.4 . 30000-40000 } counter
        tcp dport != { 8000, 8080 } counter
        meta mark set tcp dport map { 8000 : 1, 8080 : 2 }
        meta mark 2 counter
        ip saddr vmap @verdicts
        counter
        iifname . tcp dport { "in0" . 8000, "out0" . 8080 } counter
        iifname { "in0", "eth*" } counter
    """,
        """
        set hosts {
        type ipv4_addr
        counter
        elements = { 10.0.0.2, 10.0.0.3 }
        }
        set nets {
        type ipv4_addr
        flags interval
        auto-merge
        elements = { 192.0.2.3, 192.0.2.8/29, 198.51.100.1-198.51.100.77 }
        }
        set pairs {
        typeof ip saddr . tcp dport
        elements = { 10.0.0.2 . 8000, 10.0.0.3 . 8080 }
        }
        set ranges {
        type ipv4_addr . inet_service
        flags interval
        counter
        elements = { 192.0.2.0/24 . 5000-6000, 10.0.0.0/8 . 8000 }
        }
        map verdicts {
        type ipv4_addr : verdict
        flags interval
        elements = { 10.0.0.4 : drop, 192.0.2.2-192.0.2.3 : jump sub }
        }
        chain sub {
        counter
        tcp dport 8000 drop
        }
    """,
    ),
    "objects": rules(
        """
        tcp dport 8000 counter name web
        udp dport 8080 quota name few drop
        meta l4proto icmp limit name slow accept
        meta l4proto icmp counter drop
        tcp dport 8080 limit rate 5/hour burst 3 packets counter accept
        tcp dport 8080 limit rate over 1/day burst 4 packets counter drop
        udp dport 5353 quota until 500 bytes counter
        udp dport 5353 quota over 700 bytes counter drop
        udp dport 8000 limit rate 10 bytes/hour burst 400 bytes counter
    """,
        """
        counter web {
        packets 5 bytes 100
        }
        quota few {
        over 200 bytes
        }
        limit slow {
        rate 3/hour burst 6 packets
        }
    """,
    ),
    "state": rules("""
        ct state established,related counter accept
        ct state invalid counter drop
        ct state new counter
        ct state { new, untracked } tcp dport 8080 counter drop
        ct mark set 5
        ct mark 5 counter
        ct direction original counter
        ct status & snat == 0 counter
    """),
    "tuple": rules("""
        ct original ip saddr 10.0.0.2 counter
        ct reply ip saddr 10.0.0.2 counter
        ct original proto-dst 8000 counter
        ct reply proto-src { 8080, 5353 } counter
        ct original packets > 2 counter
        ct bytes > 500 counter
        ct state vmap { invalid : drop, established : accept }
        ct status seen-reply,assured counter
        ct status confirmed counter
        ct expiration > 1m counter
        ct mark set ct mark or 0x10
        ct mark and 0x10 == 0x10 counter
        ct mark set meta mark
        meta mark set ct mark
        ct l3proto ipv4 counter
        ct protocol tcp counter
    """),
    "reject": rules("""
        tcp dport 8000 reject with tcp reset
        tcp dport 8080 reject
        udp dport 5353 reject with icmp host-unreachable
        udp dport 8000 reject with icmp admin-prohibited
        meta l4proto icmp reject with icmp net-unreachable
        meta l4proto 253 reject
    """),
    "reject-tracked": rules(
        """
        ct state invalid counter reject
        tcp dport 8000 reject with tcp reset
        tcp dport 8080 reject with icmp net-unreachable
        udp dport 5353 reject
    """,
        "chain out {\n type filter hook output priority 0\n ct state related counter\n ct state new counter\n"
        " ct state invalid counter\n counter\n}",
    ),
    "reject-early": rules("tcp dport 8000 reject with tcp reset\n udp dport 5353 reject\n counter", hook="prerouting"),
    "options": rules("""
        tcp option maxseg size 1460 counter
        tcp option maxseg size < 1460 counter
        tcp option window exists counter
        tcp option sack-perm missing counter
        tcp option window count { 2, 7 } counter
        tcp option sack exists counter
        tcp flags syn tcp option maxseg size set 1300
        tcp flags syn tcp option maxseg size set 1400
        tcp option maxseg size 1300 counter
    """),
    "clamp": rules("tcp flags syn tcp option maxseg size set rt mtu\n tcp option maxseg size 1460 counter"),
    "mangle": rules(
        """
        ip dscp set cs3
        ip ttl set 40
        tcp dport 8080 tcp dport set 8000
        udp dport 5353 udp sport set 99
        icmp type echo-request icmp id set 9
        ip saddr 10.0.0.4 ip saddr set 10.0.0.44
        tcp window set 77
        ip ecn set ce
    """,
        "chain last {\n type filter hook postrouting priority 5\n tcp dport 8000 ip dscp set af11\n"
        " udp dport 8000 ip ttl set 9\n ip daddr 192.0.2.3 ip daddr set 192.0.2.4\n}",
    ),
    "mangle-early": rules(
        "ip dscp set ef\n ip ttl set 30\n tcp dport 5353 tcp dport set 8000\n ip daddr 192.0.2.3 ip daddr set 192.0.2.2",
        hook="prerouting",
        priority="-150",
    ),
    "numbers": rules("""
        meta mark set numgen inc mod 3
        meta mark 0 counter drop
        meta mark set numgen inc mod 4 offset 10
        meta mark 13 counter
        meta mark set jhash ip saddr mod 5 seed 0xdeadbeef
        meta mark 0 counter
        meta mark 1 counter
        meta mark 2 counter
        meta mark 3 counter
        meta mark set jhash ip saddr . tcp dport mod 3 seed 0x1234 offset 4
        meta mark 4 counter
        meta mark 5 counter
        meta mark set jhash ip saddr . ip daddr . ip protocol . th dport mod 7 seed 77
        meta mark < 3 counter drop
        jhash tcp dport mod 2 seed 9 vmap { 0 : accept, 1 : continue }
        counter
        numgen inc mod 5 vmap { 0-2 : continue, 3-4 : drop }
        counter
    """),
    "dynamic": rules(
        """
        tcp dport 8000 add @seen { ip saddr } counter
        udp dport 8000 update @seen { ip saddr timeout 10m } counter
        ip saddr @seen counter
        tcp dport 8080 add @metered { ip saddr limit rate 2/hour burst 2 packets } counter accept
        tcp dport 8080 counter drop
        udp dport 5353 update @counted { ip saddr . udp sport counter } counter
        icmp type echo-request delete @seen { ip saddr }
        tcp dport 5353 add @small { tcp sport } counter
        tcp dport 8000 update @ports { ip saddr : tcp sport } counter
    """,
        """
        set seen {
        type ipv4_addr
        size 100
        flags dynamic,timeout
        timeout 1h
        }
        set metered {
        type ipv4_addr
        size 100
        flags dynamic
        }
        set counted {
        type ipv4_addr . inet_service
        size 64
        flags dynamic
        }
        set small {
        type inet_service
        size 2
        flags dynamic
        }
        map ports {
        type ipv4_addr : inet_service
        size 100
        flags dynamic
        }
    """,
    ),
    "log": rules("""
        tcp dport 8000 log prefix "web " counter
        ct state new log prefix "new: " level info counter
        udp dport 5353 log counter drop
        counter
    """),
    "notrack": rules(
        """
        ct state untracked counter
        ct state new counter
        ct state invalid counter drop
    """,
        "chain raw {\n type filter hook prerouting priority raw\n tcp dport 8000 notrack\n udp sport 1024 notrack\n"
        " ct state new counter\n ct state invalid counter\n}",
    ),
}
NAT_RULESETS = {
    "masquerade": """table ip n {
        chain post {
        type nat hook postrouting priority srcnat; policy accept;
        counter
        oifname out0 meta l4proto != icmp counter masquerade
        oifname out0 ip saddr 10.0.0.2 counter snat to 198.51.100.9
        }
        chain again {
        type nat hook postrouting priority 200; policy accept;
        counter
        }
        }
    """,
    "map": """table ip n {
        map targets {
        type inet_service : ipv4_addr . inet_service
        elements = { 8080 : 10.0.0.3 . 8000 }
        }
        chain pre {
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr 192.0.2.1 udp dport 8000 counter dnat to numgen inc mod 2 map { 0 : 10.0.0.2, 1 : 10.0.0.3 }
        ip daddr 192.0.2.1 tcp dport 8000 counter dnat to jhash ip saddr mod 2 seed 5 map { 0 : 10.0.0.2, 1 : 10.0.0.4 }
        iifname out0 dnat ip to tcp dport map @targets
        counter
        }
        chain post {
        type nat hook postrouting priority srcnat; policy accept;
        oifname out0 masquerade
        }
        }
    """,
    "reject": """table ip n {
        chain pre {
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr 192.0.2.1 tcp dport 8080 counter dnat to 10.0.0.3:8000
        ip daddr 192.0.2.1 tcp dport 5353 drop
        }
        chain post {
        type nat hook postrouting priority srcnat; policy accept;
        oifname out0 masquerade
        }
        chain passing {
        type filter hook forward priority filter; policy accept;
        ct state established counter accept
        ct status dnat tcp dport 8000 counter reject with tcp reset
        udp dport 5353 counter reject
        }
        chain out {
        type filter hook output priority filter; policy accept;
        ct state related counter
        counter
        }
        }
    """,
}
ALL = {**RULESETS, **{f"nat-{name}": text for name, text in NAT_RULESETS.items()}}


@pytest.mark.parametrize("name", ALL)
def test_every_verdict_header_and_counter_is_as_in_the_kernel(name):
    with filters(ALL[name]) as world:
        traffic = FilterTraffic(sum(name.encode()), world)
        for _ in range(PACKETS):
            traffic.step()
        world.compare_rulesets()
        assert world.forwarded > PACKETS // 20


def packets_of(traffic_of: type[Traffic]) -> int:
    """How many packets a test sends."""
    return PACKETS // 2 if traffic_of is SlowTraffic else PACKETS


@pytest.mark.parametrize("name", SPECIAL)
def test_what_needs_packets_of_its_own_is_as_in_the_kernel(name):
    text, traffic_of = SPECIAL[name]
    with filters(text) as world:
        traffic = traffic_of(sum(name.encode()), world)
        for _ in range(packets_of(traffic_of)):
            traffic.step()
        world.compare_rulesets()
        assert world.forwarded > packets_of(traffic_of) // 20


@pytest.mark.parametrize("name", SPECIAL_CHANGES)
def test_a_change_of_one_of_these_rules_is_noticed(name):
    text, traffic_of = SPECIAL[name]
    before, after = SPECIAL_CHANGES[name]

    def change(given: str) -> str:
        assert before in given, given
        return given.replace(before, after, 1)

    with filters(text, change) as world, pytest.raises(AssertionError):
        traffic = traffic_of(sum(name.encode()), world)
        for _ in range(packets_of(traffic_of)):
            traffic.step()
        compare_numbers(world)


#: ruleset -> a change of its JSON that the comparison must notice
CHANGES = {
    "ports": ('"right": 8000', '"right": 8001'),
    "flags": ('["syn", "ack"]', '["syn", "fin"]'),
    "network": ('"len": 30', '"len": 31'),
    "icmp": ('"echo-request"', '"echo-reply"'),
    "chains": ('{"goto": {"target": "two"}}', '{"jump": {"target": "two"}}'),
    "priorities": ('"prio": 10, "policy": "drop"', '"prio": 10, "policy": "accept"'),
    "sets": ('["10.0.0.3", 8080]', '["10.0.0.3", 8000]'),
    "objects": ('"burst": 6', '"burst": 5'),
    "state": ('"right": "invalid"', '"right": "new"'),
    "reject": ('"host-unreachable"', '"net-unreachable"'),
    "clamp": ('{"rt": {"key": "mtu"}}', "1200"),
    "mangle": ('"cs3"', '"cs4"'),
    "numbers": ('"seed": 4660', '"seed": 4661'),
    "log": ('{"log": null}', '{"drop": null}'),
    "notrack": ('{"notrack": null}', '{"counter": null}'),
    "nat-map": ('"seed": 5', '"seed": 6'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_one_rule_is_noticed(name):
    before, after = CHANGES[name]

    def change(text: str) -> str:
        assert before in text, text
        return text.replace(before, after, 1)

    with filters(ALL[name], change) as world, pytest.raises(AssertionError):
        traffic = FilterTraffic(sum(name.encode()), world)
        for _ in range(PACKETS):
            traffic.step()
        compare_numbers(world)


def compare_numbers(world: Filters) -> None:
    """Compare the counters alone, because the rulesets themselves differ."""
    assert numbers(world.kernel.ruleset()) == numbers(world.stack.ruleset())


def numbers(given: Any) -> list[Any]:
    """All counters in a ruleset, in their order."""
    if isinstance(given, list):
        return [found for item in given for found in numbers(item)]
    if not isinstance(given, dict):
        return []
    if "packets" in given and "bytes" in given:
        return [(given["packets"], given["bytes"])]
    return [found for item in given.values() for found in numbers(item)]


# Random rulesets.

MATCHES = (
    "tcp dport {port}",
    "tcp sport != {port}",
    "udp dport {port}-{high}",
    "th dport {{ {port}, {high}-65535 }}",
    "tcp flags & (syn | ack) == syn",
    "tcp flags {{ syn, fin | ack, rst }}",
    "tcp flags ! rst",
    "ip saddr {addr}",
    "ip daddr != {addr}",
    "ip saddr {net}",
    "ip daddr {{ {addr}, {net} }}",
    "ip saddr . th dport {{ {addr} . {port}, {net} . {port}-{high} }}",
    "ip ttl < {small}",
    "ip ttl {{ 1-{small}, 63 }}",
    "ip dscp {{ cs0, ef }}",
    "ip length > {port}",
    "ip protocol {{ tcp, udp }}",
    "icmp type echo-request",
    "icmp type != {{ echo-reply, destination-unreachable }}",
    "meta l4proto != udp",
    "meta length 0-{small}0",
    "iifname in0",
    "oifname != out0",
    "meta mark {small}",
    "meta mark & 0x1 == 0",
    "ct state new",
    "ct state established,related",
    "ct state != invalid",
    "ct direction reply",
    "ct mark {small}",
    "ct original ip saddr {addr}",
    "tcp option maxseg size > 1000",
    "numgen inc mod {small} 0",
    "jhash ip saddr . ip daddr mod {small} seed {port} 0",
    "@set ip saddr",
)
ACTIONS = (
    "",
    "accept",
    "drop",
    "return",
    "jump {chain}",
    "goto {chain}",
    "reject",
    "reject with icmp host-prohibited",
    "meta mark set {small}",
    "ct mark set {small}",
    "meta mark set meta mark xor 0x3",
    "ip dscp set {dscp}",
    "meta mark set ip ttl map {{ 63 : {small}, 64 : 2 }}",
    "limit rate 1/hour burst {small} packets",
    "quota until {port} bytes",
    "th dport vmap {{ {port} : drop, 1{small} : jump {chain} }}",
    "update @seen {{ ip saddr counter }}",
)


@st.composite
def rulesets(draw: Any) -> str:
    """A table with two base chains and two others, with random rules."""
    pick = lambda *choices: draw(st.sampled_from(choices))  # noqa: E731

    def filled(template: str, chain: str) -> str:
        return template.format(
            port=pick(1024, 5353, 8000, 8080),
            high=pick(8080, 30000, 40000),
            addr=pick("10.0.0.2", "10.0.0.3", "192.0.2.2", "192.0.2.1"),
            net=pick("10.0.0.0/30", "192.0.2.0/31", "10.0.0.4-10.0.0.9"),
            small=pick(2, 3, 5, 9),
            dscp=pick("cs1", "af11", "ef"),
            chain=chain,
        )

    def rules_of(target: str) -> str:
        lines = []
        for _ in range(draw(st.integers(1, 5))):
            matches = draw(st.lists(st.sampled_from(MATCHES), max_size=2, unique=True))
            actions = ACTIONS if target else tuple(one for one in ACTIONS if "chain" not in one)
            words = [filled(one, target).replace("@set ip saddr", "ip saddr @hosts") for one in matches]
            lines.append(" ".join([*words, "counter", filled(pick(*actions), target)]))
        return "\n".join(lines)

    hook, second = pick("prerouting", "forward"), pick("forward", "postrouting")
    late = rules_of("")
    if second == "postrouting":
        late = re.sub(r"reject.*", "drop", late)
    return f"""table ip t {{
set hosts {{
type ipv4_addr
elements = {{ 10.0.0.2, 192.0.2.3 }}
}}
set seen {{
type ipv4_addr
size 100
flags dynamic
}}
chain two {{
{rules_of("")}
}}
chain one {{
{rules_of("two")}
}}
chain first {{
type filter hook {hook} priority {pick(-150, 0)}; policy {pick("accept", "accept", "drop")};
{rules_of("one")}
}}
chain second {{
type filter hook {second} priority {pick(-1, 1, 300)}; policy accept;
{late}
}}
}}
"""


#: an example takes seconds, so a failure is not made smaller
PHASES = (Phase.explicit, Phase.generate)


@settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
@given(text=rulesets(), seed=st.integers(1, 1000))
def test_random_rulesets_are_as_in_the_kernel(text, seed):
    try:
        with filters(text) as world:
            traffic = FilterTraffic(seed, world)
            for _ in range(120):
                traffic.step()
            world.compare_rulesets()
    except subprocess.CalledProcessError:
        # nft refuses rules such as "icmp type echo-request tcp dport 80".
        reject()
