"""Rules, tables and equal-cost next hops (pystack_c.ip.policy), and what a router answers by them."""

import collections
import errno

import pytest

from pystack import compiled, iproute
from pystack.sim.network import MS, Network
from pystack.sim.programs import datagram
from pystack.sockets import module
from pystack.trace.replay import Replay
from pystack_c.ip import routing
from pystack_c.route import Route, RouteTable
from tests import frames as f


class Star:
    """A router with four wires. Packets are asked about on eth0; every ethN has a neighbour 192.168.N.2."""

    def __init__(self, **settings):
        self.net = Network()
        self.router = self.net.host("r", ip_forward=True, **settings)
        self.wires = []
        for n in range(4):
            wire = self.net.wire(f"w{n}")
            self.net.link(self.router, wire, addrs=(f"192.168.{n}.1/24", None))
            for last in (2, 3):
                self.router.neighbor(f"192.168.{n}.{last}", 0x020000000100 + n, iface=f"eth{n}")
            self.wires.append(wire)

    def ask(self, dst, src="192.168.0.2", sport=1000, dport=9, ttl=64, into=0):
        """Send a datagram into an interface, and return what leaves: (interface, packet) of each frame."""
        mac = self.router.ports[into].iface.mac
        packet = f.ipv4(src, dst, 17, f.udp(src, sport, dst, dport, b"?"), ttl=ttl)
        self.wires[into].send(f.ether(packet, dst=mac))
        self.net.run(self.net.now + 5 * MS)
        found = [(n, got[1][14:]) for n, wire in enumerate(self.wires) for got in wire.got]
        for wire in self.wires:
            wire.got.clear()
        return found

    def leaves(self, dst, **how):
        """The interface by which a packet leaves."""
        ((where, packet),) = self.ask(dst, **how)
        assert packet[16:20] == f.bits(dst).to_bytes(4, "big"), "an ICMP error came back"
        return where


def errors(found):
    """The types and codes of the ICMP errors that came back on eth0."""
    return [(packet[20], packet[21]) for where, packet in found if where == 0 and packet[9] == 1]


def test_rules_choose_a_table_by_source_destination_and_interface():
    star = Star()
    for n, table in ((1, 101), (2, 102), (3, 103)):
        star.router.ip(f"route add default via 192.168.{n}.2 table {table}")
    star.router.ip("route add default via 192.168.1.2")
    star.router.ip("rule add from 172.16.0.0/16 table 102")
    star.router.ip("rule add to 10.3.0.0/16 table 103")
    star.router.ip("rule add iif eth1 to 10.4.0.0/16 table 102")
    assert star.leaves("10.9.0.1") == 1
    assert star.leaves("10.9.0.1", src="172.16.5.5") == 2
    assert star.leaves("10.3.0.1") == 3
    assert star.leaves("10.4.0.1", into=1, src="192.168.1.2") == 2 and star.leaves("10.4.0.1") == 1
    # The control: without the rules, the destination alone decides.
    star.router.ip("rule flush")
    star.router.ip("rule add table main")
    assert star.leaves("10.9.0.1", src="172.16.5.5") == star.leaves("10.3.0.1") == 1


def test_a_mark_of_a_socket_chooses_the_table_and_a_new_mark_the_next():
    star = Star()
    star.router.ip("route add default via 192.168.1.2")
    star.router.ip("route add default via 192.168.2.2 table 7")
    star.router.ip("rule add fwmark 0x10/0xf0 table 7")
    sock = datagram(star.router)
    where = []
    for mark in (None, 0x15, 0x20):
        if mark is not None:
            sock.setsockopt(module.SOL_SOCKET, 36, mark)
        sock.sendto(b"?", "10.0.0.1", 9)
        star.net.run(star.net.now + MS)
        where += [n for n, wire in enumerate(star.wires) if wire.got]
        for wire in star.wires:
            wire.got.clear()
    assert where == [1, 2, 1]


REFUSALS = [
    ("unreachable", errno.EHOSTUNREACH, [(3, 1)]),
    ("prohibit", errno.EACCES, [(3, 13)]),
    ("blackhole", errno.EINVAL, []),
    ("throw", errno.ENETUNREACH, [(3, 0)]),
]


@pytest.mark.parametrize("kind, number, answer", REFUSALS)
def test_a_route_that_refuses_has_an_errno_here_and_an_answer_for_others(kind, number, answer):
    star = Star()
    star.router.ip(f"route add {kind} 10.1.0.0/16")
    with pytest.raises(OSError) as caught:
        datagram(star.router).sendto(b"?", "10.1.0.1", 9)
    assert caught.value.errno == number
    assert errors(star.ask("10.1.0.1")) == answer
    assert star.router.counters.IpExtInNoRoutes == (1 if answer == [(3, 0)] else 0)


@pytest.mark.parametrize(
    "kind, number, answer",
    [
        ("unreachable", errno.ENETUNREACH, [(3, 0)]),
        ("prohibit", errno.EACCES, [(3, 13)]),
        ("blackhole", errno.EINVAL, []),
    ],
)
def test_a_rule_that_refuses(kind, number, answer):
    star = Star()
    star.router.ip("route add default via 192.168.1.2")
    star.router.ip(f"rule add to 10.1.0.0/16 {kind}")
    with pytest.raises(OSError) as caught:
        datagram(star.router).sendto(b"?", "10.1.0.1", 9)
    assert caught.value.errno == number
    assert errors(star.ask("10.1.0.1")) == answer
    assert star.leaves("10.2.0.1") == 1


def test_a_missing_route_is_reported_before_an_expired_ttl():
    star = Star()
    assert errors(star.ask("10.1.0.1", ttl=1)) == [(3, 0)]
    star.router.ip("route add default via 192.168.1.2")
    assert errors(star.ask("10.1.0.1", ttl=1)) == [(11, 0)]


def several(policy, weights=(1, 1, 1)):
    star = Star(fib_multipath_hash_policy=policy)
    hops = " ".join(f"nexthop via 192.168.{n + 1}.2 weight {weight}" for n, weight in enumerate(weights))
    star.router.ip(f"route add default {hops}")
    return star


@pytest.mark.parametrize("policy", [0, 1])
def test_one_flow_stays_on_one_path_and_the_policy_says_what_a_flow_is(policy):
    star = several(policy)
    by_port = {star.leaves("10.0.0.1", sport=port) for port in range(1000, 1040)}
    again = [star.leaves("10.0.0.1", sport=1000) for _ in range(5)]
    assert len(set(again)) == 1
    assert len(by_port) == (3 if policy else 1)
    assert len({star.leaves(f"10.0.0.{n}") for n in range(1, 40)}) == 3


def test_the_shares_follow_the_weights():
    star = several(0, (1, 2, 5))
    stack = star.router.stack
    count = collections.Counter()
    flows = 4000
    for n in range(flows):
        dst = routing.decide(
            stack, f.addr("10.0.0.0") + n, f.addr("192.168.0.2"), None, 0, stack.iface("eth0"), 17, 1, 2
        )
        count[dst.iface.name] += 1
    for name, weight in (("eth1", 1), ("eth2", 2), ("eth3", 5)):
        share = weight / 8
        # five standard deviations of a binomial distribution
        assert abs(count[name] - flows * share) < 5 * (flows * share * (1 - share)) ** 0.5


def test_flows_leave_a_path_that_is_down_and_come_back():
    star = several(0)
    before = {n: star.leaves(f"10.0.0.{n}") for n in range(1, 60)}
    star.router.setup("set_iface", star.router.ports[2].iface, False)
    after = {n: star.leaves(f"10.0.0.{n}") for n in range(1, 60)}
    assert set(before.values()) == {1, 2, 3} and set(after.values()) == {1, 3}
    star.router.setup("set_iface", star.router.ports[2].iface, True)
    star.router.neighbor("192.168.2.2", 0x020000000102, iface="eth2")
    assert {n: star.leaves(f"10.0.0.{n}") for n in range(1, 60)} == before


def test_a_bound_socket_takes_the_next_hop_of_its_interface():
    star = several(0)
    dst = routing.decide(star.router.stack, f.addr("10.0.0.1"), 0, star.router.stack.iface("eth2"), 0, None, 0, 0, 0)
    assert (dst.iface.name, dst.next_hop) == ("eth2", f.addr("192.168.2.2"))


def test_a_path_mtu_is_shared_by_the_flows_of_one_path():
    star = several(1)
    stack = star.router.stack
    first = {}
    for port in range(60):
        dst = routing.route_flow(stack, f.addr("10.0.0.1"), f.addr("192.168.0.1"), None, False, 0, None, 6, port, 80)
        assert first.setdefault(dst.iface.name, dst) is dst
    assert len(first) == 3 and len(stack.policy.paths) == 3


def test_the_caches_are_bounded():
    star = several(1)
    stack = star.router.stack
    for n in range(routing.DST_CACHE_MAX + 10):
        routing.route_flow(stack, f.addr("10.0.0.0") + n, 0, None, False, 0, None, 6, n % 60000, 80)
    assert len(stack.dst_cache) <= routing.DST_CACHE_MAX and len(stack.policy.paths) <= routing.DST_CACHE_MAX


class Counting(dict):
    """A dict that counts its lookups."""

    looked = 0

    def get(self, *args):
        Counting.looked += 1
        return super().get(*args)


@pytest.mark.parametrize("count", [10, 10_000])
def test_a_lookup_costs_one_access_for_each_length_however_many_routes_there_are(count):
    star = Star()
    table = RouteTable()
    iface = star.router.stack.iface("eth1")
    for n in range(count):
        length = (8, 16, 20, 24, 32)[n % 5]
        bits = (0x0A000000 + (n * 2654435761 & 0xFFFFFF)) & (0xFFFFFFFF << (32 - length))
        table.add(Route(f.core(bits), length, f.addr("192.168.1.2"), iface, 0, 0))
    assert len(table.lengths) == 5
    if not any(compiled().values()):
        table.by_length = [None if bucket is None else Counting(bucket) for bucket in table.by_length]
        Counting.looked = 0
        for n in range(100):
            table.lookup(f.addr("203.0.113.0") + n)
        assert Counting.looked == 500
    assert len(table.all()) == len({(r.dst, r.prefixlen) for r in table.all()})


def test_route_get_changes_nothing():
    star = several(1)
    stack = star.router.stack
    state = dict(stack.dst_cache), dict(stack.policy.paths), stack.route_epoch
    lines = star.router.ip("route get 10.0.0.1 from 192.168.0.2 iif eth0 ipproto tcp sport 5 dport 6")
    assert lines[0].startswith("10.0.0.1 from 192.168.0.2 via 192.168.")
    assert state == (dict(stack.dst_cache), dict(stack.policy.paths), stack.route_epoch)


def test_what_the_commands_print_and_refuse():
    star = several(0, (1, 2, 5))
    router = star.router
    router.ip("route add 10.5.0.0/16 via 192.168.1.2 metric 7 mtu 1400")
    router.ip("route add blackhole 10.6.6.6 table 9")
    router.ip("rule add not from 10.0.0.0/8 fwmark 7 iif eth1 table 9 pref 5")
    assert router.ip("ip route show table 9") == ["blackhole 10.6.6.6"]
    assert router.ip("ip rule") == [
        "0:\tfrom all lookup local",
        "5:\tnot from 10.0.0.0/8 fwmark 0x7 iif eth1 lookup 9",
        "32766:\tfrom all lookup main",
        "32767:\tfrom all lookup default",
    ]
    shown = router.ip("route")
    assert shown[:4] == [
        "default",
        "\tnexthop via 192.168.1.2 dev eth1 weight 1",
        "\tnexthop via 192.168.2.2 dev eth2 weight 2",
        "\tnexthop via 192.168.3.2 dev eth3 weight 5",
    ]
    assert router.ip("ip -4 route ls") == router.ip("ip route list") == shown and router.ip("ru ls") == router.ip(
        "rule"
    )
    assert not iproute.changes(["route", "ls"])
    assert "10.5.0.0/16 via 192.168.1.2 dev eth1 metric 7 mtu 1400" in shown
    assert "192.168.0.0/24 dev eth0 scope link src 192.168.0.1" in shown
    for command, why in [
        ("route add 10.5.0.0/16 via 192.168.1.2 metric 7", "File exists"),
        ("route add 10.7.0.0/16 via 172.31.0.1", "not on a link"),
        ("route add 10.7.0.0/16", "No such device"),
        ("route add 10.7.0.1/16 via 192.168.1.2", "Invalid argument"),
        ("route del 10.8.0.0/16", "No such process"),
        ("route add 10.8.0.0/16 via here", "is not an IPv4 address"),
        ("route add 10.8.0.0/16 over 192.168.1.2", "'over' is not known"),
        ("route add 10.8.0.0/16 dev nowhere", 'Cannot find device "nowhere"'),
        ("rule del pref 77", "No such file"),
        ("rule add from", "ends where"),
        ("rule add pref 9 goto 5", "greater priority"),
        ("link show", "neither `route` nor `rule`"),
    ]:
        with pytest.raises(iproute.IpError, match=why):
            router.ip(command)


def test_a_recording_with_rules_and_several_next_hops_replays(tmp_path):
    out = str(tmp_path / "rules.pytrace")
    net = Network()
    net.record(out)
    host = net.host("h")
    wires = [net.wire(f"w{n}") for n in range(2)]
    for n, wire in enumerate(wires):
        net.link(host, wire, addrs=(f"192.168.{n}.1/24", None))
        host.neighbor(f"192.168.{n}.2", 0x020000000100 + n, iface=f"eth{n}")
    host.ip("route add default nexthop via 192.168.0.2 nexthop via 192.168.1.2 weight 3")
    host.ip("route add default via 192.168.1.2 table 9")
    host.ip("rule add from 192.168.0.0/24 fwmark 3 oif eth1 table 9")
    host.ip("rule del fwmark 3")
    host.ip("route del default table 9")
    sock = datagram(host)
    for n in range(20):
        sock.sendto(b"?", f"10.0.0.{n + 1}", 9)
    net.run(MS)
    net.close()
    assert {n for n, wire in enumerate(wires) if wire.got} == {0, 1}
    replay = Replay(out)
    replay.run()
    assert len(replay.hosts[0].stack.policy.rules) == 2


def test_a_host_that_boots_has_its_rules_again():
    star = Star()
    star.router.ip("route add default via 192.168.2.2 table 9")
    star.router.ip("rule add to 10.0.0.0/8 table 9")
    star.router.ip("route get 10.0.0.1")
    star.router.crash()
    star.router.boot()
    assert star.leaves("10.0.0.1") == 2
