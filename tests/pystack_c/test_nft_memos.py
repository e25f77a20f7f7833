"""What a base chain remembers about a connection changes no verdict and no counter."""

import random

from tests.pystack_c.test_nft import ACCEPT, COUNTER, DPORT, DROP, SADDR, A, B, box, chain, counters, load, match, rule
from tests.support.natbox import IN, OUT, seal, tcp, udp

SYN, ACK = 2, 16
WHERE = {"family": "ip", "table": "t"}
STATE = {"ct": {"key": "state"}}
SPORT = {"payload": {"protocol": "udp", "field": "sport"}}
TTL = {"payload": {"protocol": "ip", "field": "ttl"}}
IIF = {"meta": {"key": "iifname"}}


def named(name, *elements, **more):
    return {"add": {"set": {**WHERE, "name": name, "type": "ipv4_addr", "elem": list(elements), **more}}}


def drops(made, packet, side=IN):
    return made.send(side, packet) == []


def established(made, port=1000):
    """A connection of which five packets have passed in each direction. A memo is made after three."""
    for _ in range(5):
        made.one(IN, udp(A, port, B, 53))
        made.one(OUT, udp(B, 53, A, port))


def memos(made):
    """How many memos hold now."""
    found = 0
    for entry in made.table.all():
        for half in (entry.original, entry.reply):
            memo = half.memo
            while memo is not None:
                found += memo.holds and memo.epoch == made.stack.nftables.packets.epoch
                memo = memo.following
    return found


def test_the_counters_go_on_and_a_load_ends_the_memory():
    blocked = named("blocked", "10.0.0.99")
    made = box(
        blocked,
        rule("base", match(SADDR, "@blocked"), DROP),
        rule("base", match(STATE, "established", "in"), COUNTER, ACCEPT),
    )
    established(made)
    assert memos(made) == 2 and counters(made) == [9]
    load(made, {"add": {"element": {**WHERE, "name": "blocked", "elem": [A]}}})
    assert memos(made) == 0
    assert drops(made, udp(A, 1000, B, 53))
    load(made, {"delete": {"element": {**WHERE, "name": "blocked", "elem": [A]}}})
    made.one(IN, udp(A, 1000, B, 53))
    load(made, {"insert": {"rule": {**WHERE, "chain": "base", "expr": [match(SPORT, 53), DROP]}}})
    assert drops(made, udp(B, 53, A, 1000), OUT)


def test_what_is_not_the_same_for_all_packets_is_not_remembered():
    for expr in (
        (match(TTL, 10, "<"), DROP),
        ({"limit": {"rate": 1, "per": "hour", "burst": 100}},),
        ({"mangle": {"key": {"meta": {"key": "mark"}}, "value": 5}},),
        (match({"numgen": {"mode": "inc", "mod": 2}}, 5), DROP),
        (match({"ct": {"key": "mark"}}, 5), DROP),
        (match({"meta": {"key": "length"}}, 5), DROP),
        ({"jump": {"target": "other"}},),
        (match(SADDR, "@timed"), DROP),
        (match(SADDR, "@counting"), COUNTER),
        ({"log": None},),
    ):
        made = box(
            chain("other"), rule("other", COUNTER), named("timed", {"elem": {"val": "10.0.0.9", "timeout": 9}}, flags="timeout"),
            named("counting", {"elem": {"val": A, "counter": None}}), rule("base", *expr), rule("base", COUNTER),
        )  # fmt: skip
        # The rule needs connection tracking.
        load(made, rule("other", match(STATE, "new", "in"), COUNTER))
        established(made)
        assert memos(made) == 0, expr


def test_a_set_that_packets_change_is_asked_each_time():
    add = {"set": {"op": "add", "elem": {"payload": {"protocol": "ip", "field": "daddr"}}, "set": "@seen"}}
    made = box(
        named("seen", flags="dynamic", size=9), rule("base", match(STATE, "invalid", "in"), DROP),
        rule("base", match(SADDR, "@seen"), DROP), chain("late", "postrouting"), rule("late", match(DPORT, 99), add),
    )  # fmt: skip
    established(made)
    made.one(OUT, tcp(B, 1, A, 99, SYN))
    assert drops(made, udp(A, 1000, B, 53))


def test_a_packet_that_another_chain_changed_or_that_comes_another_way_is_judged_anew():
    mangle = {"mangle": {"key": {"payload": {"protocol": "udp", "field": "dport"}}, "value": 99}}
    made = box(
        rule("base", match({"payload": {"protocol": "udp", "field": "dport"}}, 99), DROP),
        rule("base", match(IIF, "in0"), COUNTER, ACCEPT), rule("base", match(STATE, "new", "in"), COUNTER, ACCEPT),
        chain("early", "forward", -5), rule("early", match(TTL, 9), mangle),
    )  # fmt: skip
    established(made)
    assert memos(made) == 2
    changed = bytearray(udp(A, 1000, B, 53))
    changed[8] = 10
    assert drops(made, seal(changed))  # the TTL is 9 at FORWARD
    before = counters(made)
    made.send(
        OUT, udp(A, 1000, B, 53)
    )  # the source is on the other side, so the first rule with an interface does not match
    assert counters(made) == before


def test_verdicts_and_counters_are_those_of_a_filter_without_memory():
    rng = random.Random(3)
    commands = (
        named("some", A, "10.0.0.3"), chain("early", "prerouting", -150), rule("early", match(SADDR, "10.0.0.4"), COUNTER),
        rule("early", match(STATE, ["established", "related"], "in"), COUNTER),
        rule("base", match(SADDR, "@some"), COUNTER), rule("base", match(DPORT, {"range": [80, 90]}), COUNTER, ACCEPT),
        rule("base", match(STATE, "invalid", "in"), COUNTER, DROP), rule("base", match(SPORT, 1001), COUNTER, DROP),
        rule("base", {"vmap": {"key": SADDR, "data": {"set": [["10.0.0.4", DROP], ["10.0.0.3", ACCEPT]]}}}), rule("base", COUNTER),
    )  # fmt: skip
    one, two = box(*commands), box(*commands)
    passed = 0
    for _ in range(1500):
        host, port = f"10.0.0.{rng.randint(2, 5)}", rng.randint(1000, 1002)
        ends = (host, port, B, rng.choice((80, 81, 91)))
        side = IN if rng.random() < 0.6 else OUT
        if side == OUT:
            ends = (*ends[2:], *ends[:2])
        data = bytes(rng.randint(0, 50))
        flags = rng.choice((SYN, ACK, ACK, SYN | ACK, ACK | 1, 4))
        packet = (
            udp(*ends, data) if rng.random() < 0.5 else tcp(*ends, flags, rng.randint(0, 9), rng.randint(0, 9), data)
        )
        two.stack.nftables.packets.epoch += 1
        out = one.send(side, packet)
        assert out == two.send(side, packet)
        passed += len(out)
        one.now = two.now = one.now + rng.choice((1000, 10**9))
    assert memos(one) > 5 and memos(two) <= 2 and passed > 200
    assert counters(one) == counters(two)
