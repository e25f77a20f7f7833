"""`ct count`, `fib`, maps of objects, and the hash table of sets that packets look up without making an object."""

import random

import pytest

from pystack.sim.network import Network
from pystack.sim.network import S as NS
from pystack.sim.programs import datagram
from pystack_c.filter.nft.sets import Element, NftSet
from tests.pystack_c.test_nft import COUNTER, DROP, SADDR, A, B, box, load, match, refused, rule
from tests.support.natbox import IN, OUT, tcp, udp

SYN, ACK, FIN, RST = 2, 16, 1, 4
WHERE = {"family": "ip", "table": "t"}
OVER = {"ct count": {"val": 2, "inv": True}}


def limit_of(made):
    """The `ct count` of the first rule."""
    [(_, table)] = made.stack.nftables.tables.items()
    return table.chains["base"].rules[0].statements[0]


def test_connections_beyond_the_limit_are_dropped_until_others_end():
    made = box(rule("base", OVER, DROP))
    for port in (1, 2):
        made.one(IN, tcp(A, port, B, 80, SYN, 9))
        made.one(OUT, tcp(B, 80, A, port, SYN | ACK, 100, 10))
        made.one(IN, tcp(A, port, B, 80, ACK, 10, 101))
    assert made.send(IN, tcp(A, 3, B, 80, SYN, 9)) == []
    assert made.send(IN, tcp(A, 3, B, 80, SYN, 9)) == []
    # A reset ends the first connection, whose entry stays in CLOSE for ten seconds.
    made.one(OUT, tcp(B, 80, A, 1, RST | ACK, 101, 10))
    assert made.table.count == 2 and limit_of(made).count == 1
    made.one(IN, tcp(A, 3, B, 80, SYN, 9))
    assert made.send(IN, tcp(A, 4, B, 80, SYN, 9)) == []
    # An entry that expires ends its connection, too.
    made.later(130)
    made.one(IN, tcp(A, 5, B, 80, SYN, 9))


def test_a_flood_leaves_nothing_in_a_count():
    made = box(rule("base", OVER, DROP), nf_conntrack_max=50, probe=False)
    for n in range(500):
        made.send(IN, udp(f"10.0.0.{2 + n % 250}", 1000 + n, B, 53))
    limit = limit_of(made)
    assert limit.count == 3 and len(limit.fresh) == 1  # two that passed, and the last one that did not
    made.later(60)
    made.one(IN, udp(A, 1, B, 53))
    assert limit.count == 1


def test_each_element_has_a_count_of_its_own():
    named = {"add": {"set": {**WHERE, "name": "s", "type": "ipv4_addr", "flags": "dynamic", "size": 9, "stmt": [OVER]}}}
    made = box(named, rule("base", {"set": {"op": "add", "elem": SADDR, "set": "@s", "stmt": [OVER]}}, DROP))
    passed = [len(made.send(IN, udp(f"10.0.0.{2 + n % 2}", n, B, 53))) for n in range(1, 9)]
    assert passed == [1, 1, 1, 1, 0, 0, 0, 0]
    shown = [
        one["elem"]["ct count"] for item in made.stack.nftables.dump() if "set" in item for one in item["set"]["elem"]
    ]
    assert shown == [{"val": 2, "inv": True}] * 2


def test_fib_is_refused_where_the_kernel_refuses_it():
    missing = match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False)
    local = match({"fib": {"result": "type", "flags": ["daddr", "oif"]}}, "local")
    made = box(hook="output")
    assert "fib saddr . iif oif is impossible in chain base" in refused(made, rule("base", missing, DROP)).message
    load(made, rule("base", local, DROP))
    made = box(hook="prerouting")
    assert "fib daddr . oif type is impossible in chain base" in refused(made, rule("base", local, DROP)).message
    for flags in (["saddr", "daddr"], ["mark"], ["saddr", "iif", "oif"], ["saddr", "oif"], ["tos"]):
        refused(made, rule("base", match({"fib": {"result": "oif", "flags": flags}}, False), DROP))


def test_a_packet_from_where_no_answer_would_go_is_dropped():
    made = box(
        rule("base", match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False), DROP), hook="prerouting"
    )
    made.one(IN, udp(A, 1, B, 53))
    assert made.send(IN, udp("192.0.2.77", 1, B, 53)) == []
    assert made.send(OUT, udp("203.0.113.1", 1, A, 53)) == []


def test_a_map_chooses_the_counter_and_keeps_it_in_use():
    def object_map(data):
        return {"counter": {"map": {"key": SADDR, "data": data}}}

    one, two = ({"add": {"counter": {**WHERE, "name": name}}} for name in ("one", "two"))
    named = {"add": {"map": {**WHERE, "name": "m", "type": "ipv4_addr", "map": "counter", "elem": [[A, "one"]]}}}
    made = box(
        one, two, named, rule("base", object_map("@m"), COUNTER), rule("base", object_map({"set": [[B, "two"]]}))
    )
    made.one(IN, udp(A, 1, B, 53))
    made.one(OUT, udp(B, 1, A, 53))
    counts = {
        item["counter"]["name"]: item["counter"]["packets"] for item in made.stack.nftables.dump() if "counter" in item
    }
    assert counts == {"one": 1, "two": 1}
    for name in ("one", "two"):
        assert "in use" in refused(made, {"delete": {"counter": {**WHERE, "name": name}}}).message
    assert "no counter" in refused(made, {"add": {"element": {**WHERE, "name": "m", "elem": [[B, "three"]]}}}).message
    load(
        made,
        {"delete": {"element": {**WHERE, "name": "m", "elem": [[A, "one"]]}}},
        {"delete": {"counter": {**WHERE, "name": "one"}}},
    )
    quota = {"add": {"quota": {**WHERE, "name": "q", "bytes": 1}}}
    load(made, quota)
    assert "another kind" in refused(made, rule("base", {"quota": {"map": {"key": SADDR, "data": "@m"}}})).message


def filled(keys, sizes):
    """A set with these keys."""
    made = NftSet("s", False, len(sizes))
    made.sizes = sizes
    for key in keys:
        made.put(Element(key, key))
    return made


def test_a_number_is_found_if_and_only_if_its_key_is():
    rng = random.Random(1)
    for sizes, key in (((4,), lambda: rng.getrandbits(8)), ((4, 2), lambda: (rng.getrandbits(4), rng.getrandbits(4)))):
        for count in (0, 1, 3, 4, 5, 60, 200):
            made = filled([key() for _ in range(count)], sizes)
            for _ in range(2):
                assert made.picks()
                for _ in range(300):
                    wanted = key()
                    number = wanted if len(sizes) == 1 else wanted[0] << 16 | wanted[1]
                    assert made.pick(number, 0) is made.find(wanted, 0)
                # A change is seen at once.
                for one in list(made.elements)[::2]:
                    made.remove(one)
                made.put(Element(one := key(), one))


def test_an_element_that_expired_is_not_found_and_a_set_that_packets_change_has_no_table():
    made = filled([5], (4,))
    made.elements[5].expires = 100
    assert made.picks() and made.pick(5, 99) is made.elements[5] and made.pick(5, 100) is None
    made.changing = True
    assert not made.picks()


def test_fib_asks_the_table_that_the_mark_chooses():
    net = Network(seed=1)
    router, side = net.router("router"), net.host("side")
    net.link(router, net.host("one"), addrs=("10.0.0.1/24", "10.0.0.2/24"))
    net.link(router, net.host("two"), addrs=("192.0.2.1/24", "192.0.2.2/24"))
    net.link(router, side, addrs=("172.16.0.1/24", "172.16.0.2/24"))
    side.route("default", via="172.16.0.1")
    router.ip("route add 10.9.0.0/16 via 10.0.0.2")
    router.ip("route add 10.9.0.0/16 via 192.0.2.2 table 7")
    router.ip("rule add fwmark 7 table 7")
    pytest.importorskip("lark")
    router.nft("""
        table ip t {
            counter main { }
            counter marked { }
            counter both { }
            chain c {
                type filter hook prerouting priority mangle;
                udp dport 7 meta mark set 7
                fib daddr . mark oifname "eth0" counter name main
                fib daddr . mark oifname "eth1" counter name marked
                fib daddr oif "eth0" counter name both
            }
        }
    """)
    for port, times in ((7, 2), (8, 3)):
        for _ in range(times):
            datagram(side).sendto(b"x", "10.9.1.1", port)
    net.run(1 * NS)
    counts = {one["counter"]["name"]: one["counter"]["packets"] for one in router.ruleset() if "counter" in one}
    assert counts == {"main": 3, "marked": 2, "both": 5}
