"""The packet filter in nftables' terms: loading, verdicts, bounds, events. The kernel is the oracle in tests/kernel/test_nft_oracle.py."""

import io
import json
import socket
from typing import Any

import pytest

import pystack_c.const as C
from pystack.sim.network import MS, Network
from pystack.trace.replay import replay
from pystack_c.filter import hooks
from pystack_c.filter.nft.errors import NftError
from pystack_c.filter.nft.numgen import jhash
from pystack_c.ingress import queued
from tests.support.natbox import IN, OUT, Box, S, echo, ends, sums_right, tcp, udp

A, A2, B = "10.0.0.2", "10.0.0.3", "192.0.2.2"
ROUTER = "192.0.2.1"
SYN, ACK, RST = C.SYN, C.ACK, C.RST
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
MARK = {"meta": {"key": "mark"}}


class Kept(io.BytesIO):
    """A file that keeps its bytes after close()."""

    kept = b""

    def close(self) -> None:
        self.kept = self.getvalue()


def table(name: str = "t", family: str = "ip") -> dict[str, Any]:
    return {"add": {"table": {"family": family, "name": name}}}


def chain(name: str, hook: str = "", prio: int = 0, policy: str = "accept", kind: str = "filter") -> dict[str, Any]:
    base = {"type": kind, "hook": hook, "prio": prio, "policy": policy} if hook else {}
    return {"add": {"chain": {"family": "ip", "table": "t", "name": name, **base}}}


def rule(name: str, *expr: Any) -> dict[str, Any]:
    return {"add": {"rule": {"family": "ip", "table": "t", "chain": name, "expr": list(expr)}}}


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


COUNTER = {"counter": None}
DROP = {"drop": None}
ACCEPT = {"accept": None}


def box(*commands: Any, hook: str = "forward", policy: str = "accept", **settings: Any) -> Box:
    """A router with table t, base chain base, and what the commands add."""
    made = Box(**settings)
    load(made, table(), chain("base", hook, policy=policy), *commands)
    return made


def load(made: Box, *commands: Any) -> None:
    made.stack.now = made.now
    made.stack.nft(json.dumps({"nftables": list(commands)}))


def refused(made: Box, *commands: Any) -> NftError:
    """The error of commands that are refused. They have changed nothing."""
    before = [] if made.stack.nftables is None else made.stack.nftables.dump()
    with pytest.raises(NftError) as caught:
        load(made, *commands)
    assert made.stack.nftables.dump() == before
    return caught.value


def counters(made: Box) -> list[int]:
    """The packets of all anonymous counters, in the order of the rules."""
    rules = [item["rule"] for item in made.stack.nftables.dump() if "rule" in item]
    return [one["counter"]["packets"] for item in rules for one in item["expr"] if "counter" in one]


def test_a_rule_drops_and_the_reason_names_its_handle():
    made = box(rule("base", match(DPORT, 23), DROP))
    assert made.one(IN, tcp(A, 1000, B, 80, SYN)) == (A, 1000, B, 80)
    assert made.send(IN, tcp(A, 1000, B, 23, SYN)) == []
    assert made.stack.counters.drops["nft-drop"] == 1
    [event] = made.kinds("drop")
    assert event.reason == "the rule with handle 2 in chain base of table ip t says drop"
    assert event.subject == f"tcp {A}:1000-{B}:23"


def test_the_policy_drops_what_no_rule_accepts():
    made = box(rule("base", match(DPORT, 80), ACCEPT), policy="drop")
    assert made.one(IN, tcp(A, 1000, B, 80, SYN)) == (A, 1000, B, 80)
    assert made.send(IN, tcp(A, 1000, B, 81, SYN)) == []
    assert made.stack.counters.drops["nft-policy"] == 1
    assert "policy of chain base" in made.kinds("drop")[0].reason


def test_reject_answers_with_a_reset_or_an_icmp_error():
    reset = {"reject": {"type": "tcp reset"}}
    made = box(rule("base", match({"meta": {"key": "l4proto"}}, "tcp"), reset), rule("base", {"reject": None}))
    [(side, answer)] = made.send(IN, tcp(A, 1000, B, 80, SYN, 7))
    assert side == IN and ends(answer) == (B, 80, A, 1000) and sums_right(answer)
    assert answer[33] == RST | ACK and int.from_bytes(answer[28:32], "big") == 8
    [(side, answer)] = made.send(IN, udp(A, 1000, B, 53))
    assert side == IN and ends(answer)[::2] == ("10.0.0.1", A) and answer[20:22] == b"\3\3"
    # The error quotes the packet as the router would have sent it on.
    assert answer[28 + 8] == 63 and sums_right(answer)
    assert made.stack.counters.drops["nft-reject"] == 2
    # A reset gets no answer, and neither does a segment with a wrong checksum.
    assert made.send(IN, tcp(A, 1000, B, 80, RST)) == []
    wrong = tcp(A, 1000, B, 80, SYN)
    assert made.send(IN, wrong[:36] + bytes([wrong[36] ^ 1]) + wrong[37:]) == []


def test_no_chain_at_postrouting_rejects_or_jumps_to_a_chain_that_does():
    made = box(chain("post", "postrouting"), chain("one"), rule("one", {"reject": None}))
    for expr in ({"reject": None}, {"jump": {"target": "one"}}):
        error = refused(made, rule("post", ACCEPT), rule("post", expr))
        assert "reject is impossible in chain post" in error.message
        # The rule with the reject itself may be one of an earlier load.
        assert error.path == (("nftables", 1, "add", "rule") if "reject" in expr else ("nftables",))


def test_a_packet_of_our_own_is_rejected_to_our_own_socket():
    from pystack_c.sockets import udp as udp_socket

    made = box(
        rule("base", match({"payload": {"protocol": "udp", "field": "dport"}}, 53), {"reject": None}), hook="output"
    )
    made.stack.now = made.now
    ep = udp_socket.udp_open(made.stack, made.now)
    from tests import frames as f

    udp_socket.connect(ep, f.addr(B), 53, made.now)
    with pytest.raises(PermissionError):
        udp_socket.sendto(ep, b"x", 0, 0, 0, made.now)
    made.drain()
    with pytest.raises(ConnectionRefusedError):
        udp_socket.recvfrom(ep, 0, made.now)


@pytest.mark.parametrize(("number", "code"), [(0, 0), (1, 3), (2, 1), (3, 13)])
def test_a_number_of_icmpx_is_one_of_its_own(number, code):
    made = box(rule("base", {"reject": {"type": "icmpx", "expr": number}}))
    [(_, answer)] = made.send(IN, udp(A, 1000, B, 53))
    assert answer[20:22] == bytes((3, code))
    assert "not an integer in 0..3" in refused(made, rule("base", {"reject": {"type": "icmpx", "expr": 4}})).message


def test_jump_returns_and_goto_does_not():
    made = box(
        chain("one"),
        rule("one", COUNTER),
        rule("base", match(DPORT, 1), {"jump": {"target": "one"}}),
        rule("base", match(DPORT, 2), {"goto": {"target": "one"}}),
        rule("base", COUNTER),
    )
    for port in (1, 2, 3):
        made.one(IN, tcp(A, 1000, B, port, SYN))
    assert counters(made) == [2, 2] or counters(made) == [2, 2][::-1]


def test_jumps_in_a_circle_and_jumps_too_deep_are_refused():
    made = box(chain("a"), chain("b"), rule("a", {"jump": {"target": "b"}}))
    assert "circle" in refused(made, rule("b", {"jump": {"target": "a"}})).message
    deep = [chain(f"c{i}") for i in range(20)]
    jumps = [rule(f"c{i}", {"jump": {"target": f"c{i + 1}"}}) for i in range(19)]
    assert "deep" in refused(made, *deep, *jumps, rule("base", {"jump": {"target": "c0"}})).message
    load(made, *deep, *jumps[5:], rule("base", {"jump": {"target": "c5"}}))


def test_a_load_is_all_or_nothing():
    made = box(rule("base", COUNTER))
    error = refused(made, chain("new"), rule("base", DROP), rule("nowhere", DROP))
    assert error.path == ("nftables", 2, "add", "rule", "chain")
    assert str(error) == "nftables[2].add.rule.chain: there is no chain 'nowhere' in the table"
    made.one(IN, tcp(A, 1000, B, 80, SYN))


@pytest.mark.parametrize(
    "expr, words",
    [
        ({"fib": None}, "'fib' is not supported"),
        (match({"meta": {"key": "skuid"}}, 1), "meta skuid is not supported"),
        (match({"payload": {"protocol": "ip6", "field": "saddr"}}, "::1"), "ip6 saddr is not supported"),
        (match(DPORT, 65536), "out of range"),
        (match(DPORT, "nonsense"), "no constant"),
        (match(SADDR, "1.2.3"), "no constant"),
        (match(SADDR, {"prefix": {"addr": "1.2.3.4", "len": 33}}), "prefix length 33"),
        (match(DPORT, {"range": [5, 4]}), "ends before"),
        (match(DPORT, 1, "~"), "no operator"),
        (match(SADDR, "@nothing"), "no set or map"),
        ({"match": {"op": "==", "left": DPORT, "right": 1, "extra": 2}}, "'extra' is not known"),
        ({"jump": {"target": "base"}}, "base chain"),
        ({"dnat": {"addr": "1.2.3.4"}}, "impossible in chain base"),
        ({"limit": {"rate": 0, "per": "second"}}, "not an integer"),
        ({"limit": "gone"}, "no limit 'gone'"),
        ({"reject": {"type": "icmpv6", "expr": "no-route"}}, "not supported"),
        ({"dup": {"addr": "1.2.3.4"}}, "'dup' is not supported"),
        ({"mangle": {"key": {"payload": {"protocol": "ip", "field": "version"}}, "value": 5}}, "cannot be set"),
        ({"log": {"snaplen": 5}}, "'snaplen' is not known"),
    ],
)
def test_what_is_not_known_is_an_error(expr, words):
    assert words in str(refused(box(), rule("base", expr)))


@pytest.mark.parametrize(
    "command, words",
    [
        ({"add": {"table": {"family": "arp", "name": "x"}}}, "'arp' is not supported"),
        ({"add": {"flowtable": {"family": "ip", "table": "t", "name": "x"}}}, "flowtable is not supported"),
        ({"reset": {"rules": {}}}, "not supported"),
        (chain("x", "ingress"), "impossible at 'ingress'"),
        (chain("x", "forward", kind="nat"), "impossible at 'forward'"),
        ({"create": {"table": {"family": "ip", "name": "t"}}}, "exists already"),
        ({"delete": {"chain": {"family": "ip", "table": "t", "name": "gone"}}}, "no chain 'gone'"),
        (
            {"add": {"set": {"family": "ip", "table": "t", "name": "s", "type": "ipv6_addr"}}},
            "'ipv6_addr' is not supported",
        ),
        ({"metainfo": {"json_schema_version": 2}}, "version 1"),
        ("text", "one name"),
    ],
)
def test_commands_that_are_not_known_are_errors(command, words):
    assert words in str(refused(box(), command))


@pytest.mark.parametrize("wrong", [[], {}, ["x"], None, 5])
@pytest.mark.parametrize(
    "command",
    [
        lambda x: {"add": {"table": {"family": x, "name": "u"}}},
        lambda x: {"delete": {"table": {"family": "ip", "name": x}}},
        lambda x: {"destroy": {"chain": {"family": "ip", "table": "t", "name": x}}},
        lambda x: {"flush": {"set": {"family": "ip", "table": "t", "name": x}}},
        lambda x: {"add": {"set": {"family": "ip", "table": "t", "name": "s", "type": "mark", "flags": [x]}}},
        lambda x: {"add": {"object": x}},
        lambda x: {"insert": {"elements": x}},
        lambda x: rule("base", match({"meta": {"key": x}}, 1)),
        lambda x: rule("base", match({"ct": {"key": x}}, 1)),
        lambda x: rule("base", match({"payload": {"protocol": x, "field": "dport"}}, 1)),
        lambda x: rule("base", match({"payload": {"protocol": "tcp", "field": x}}, 1)),
        lambda x: rule("base", match(DPORT, 1, x)),
        lambda x: rule("base", match({"meta": {"key": "iifname"}}, {"|": x})),
        lambda x: rule("base", {"limit": {"rate": 1, "per": x}}),
        lambda x: rule("base", {"quota": {"val": 1, "val_unit": x}}),
        lambda x: rule("base", {"jump": {"target": x}}),
        lambda x: rule("base", {"queue": {"flags": [x]}}),
    ],
)
def test_a_value_of_another_type_in_the_place_of_a_name_is_an_error(command, wrong):
    refused(box(), command(wrong))


def test_text_that_is_no_json_is_an_error():
    made = Box()
    for text in ("{", "[" * 100000, '{"nftables": 5}', "7"):
        with pytest.raises(NftError):
            made.stack.nft(text)


def test_what_is_in_use_cannot_be_deleted():
    named = {"add": {"set": {"family": "ip", "table": "t", "name": "s", "type": "ipv4_addr", "elem": [A]}}}
    made = box(chain("one"), named, rule("base", match(SADDR, "@s"), {"jump": {"target": "one"}}))
    where = {"family": "ip", "table": "t"}
    assert "in use" in refused(made, {"delete": {"chain": {**where, "name": "one"}}}).message
    assert "in use" in refused(made, {"delete": {"set": {**where, "name": "s"}}}).message
    flush = {"flush": {"chain": {**where, "name": "base"}}}
    load(made, flush, {"delete": {"chain": {**where, "name": "one"}}}, {"delete": {"set": {**where, "name": "s"}}})


def test_rules_are_inserted_replaced_and_deleted_by_handle():
    made = box(rule("base", match(DPORT, 1), COUNTER), rule("base", match(DPORT, 2), COUNTER))
    where = {"family": "ip", "table": "t", "chain": "base"}
    load(made, {"insert": {"rule": {**where, "handle": 3, "expr": [match(DPORT, 3), COUNTER]}}})
    ports = [item["rule"]["expr"][0]["match"]["right"] for item in made.stack.nftables.dump() if "rule" in item]
    assert ports == [1, 3, 2]
    load(made, {"replace": {"rule": {**where, "handle": 2, "expr": [match(DPORT, 9), DROP]}}})
    load(made, {"delete": {"rule": {**where, "handle": 3}}})
    assert made.send(IN, tcp(A, 1000, B, 9, SYN)) == []
    assert made.one(IN, tcp(A, 1000, B, 2, SYN))
    assert len([item for item in made.stack.nftables.dump() if "rule" in item]) == 2


def test_flushing_everything_leaves_no_hooks_and_no_connection_tracking():
    made = box(rule("base", match({"ct": {"key": "state"}}, "new", "in"), COUNTER))
    assert made.stack.conntrack is not None
    load(made, {"flush": {"ruleset": None}})
    assert made.stack.conntrack is None and made.stack.hooks is None
    assert made.stack.nftables.dump() == []


def test_a_dynamic_set_is_bounded_and_its_elements_expire():
    named = {
        "set": {"family": "ip", "table": "t", "name": "s", "type": "inet_service", "size": 3, "flags": ["dynamic", "timeout"], "timeout": 10}
    }  # fmt: skip
    sport = {"payload": {"protocol": "tcp", "field": "sport"}}
    update = {"set": {"op": "update", "elem": sport, "set": "@s"}}
    made = box({"add": named}, rule("base", update, COUNTER))
    for port in (1, 2, 3, 4, 5):
        made.one(IN, tcp(A, port, B, 80, SYN))
    assert counters(made) == [3]
    [found] = [item["set"] for item in made.stack.nftables.dump() if "set" in item]
    assert [one["elem"]["val"] for one in found["elem"]] == [1, 2, 3]
    made.later(6)
    made.one(IN, tcp(A, 2, B, 80, SYN))
    made.later(5)
    # 1 and 3 have expired, and 2 was refreshed.
    for port in (6, 7, 8):
        made.one(IN, tcp(A, port, B, 80, SYN))
    [found] = [item["set"] for item in made.stack.nftables.dump() if "set" in item]
    assert [one["elem"]["val"] for one in found["elem"]] == [2, 6, 7]


def test_a_packet_adds_an_element_to_a_map_and_another_reads_it():
    named = {
        "family": "ip",
        "table": "t",
        "name": "m",
        "type": "ipv4_addr",
        "map": "inet_service",
        "flags": ["dynamic"],
        "size": 9,
    }
    sport = {"payload": {"protocol": "tcp", "field": "sport"}}
    add = {"map": {"op": "add", "elem": SADDR, "data": sport, "map": "@m"}}
    made = box(
        {"add": {"map": named}},
        rule("base", match({"map": {"key": SADDR, "data": "@m"}}, 7), COUNTER),
        rule("base", add),
    )
    for host, port in ((A, 7), (A, 8), (A2, 5), (A2, 7)):
        made.one(IN, tcp(host, port, B, 80, SYN))
    [found] = [item["map"] for item in made.stack.nftables.dump() if "map" in item]
    assert found["elem"] == [[A, 7], [A2, 5]] and counters(made) == [1]


def test_a_flood_of_additions_and_deletions_does_not_grow_a_set():
    named = {
        "set": {"family": "ip", "table": "t", "name": "s", "type": "inet_service", "size": 4, "flags": ["dynamic", "timeout"], "timeout": 1000}
    }  # fmt: skip
    sport = {"payload": {"protocol": "tcp", "field": "sport"}}
    add = {"set": {"op": "add", "elem": sport, "set": "@s"}}
    delete = {"set": {"op": "delete", "elem": sport, "set": "@s"}}
    made = box({"add": named}, rule("base", add, delete), probe=False)
    for port in range(1, 1000):
        made.send(IN, tcp(A, port, B, 80, SYN))
    live = made.stack.nftables.tables[("ip", "t")].sets["s"].live
    assert len(live.elements) == 0 and len(live.heap) < 100


def test_limits_refill_with_time():
    made = box(rule("base", {"limit": {"rate": 2, "per": "second", "burst": 2}}, ACCEPT), rule("base", DROP))
    passed = [len(made.send(IN, udp(A, 1, B, 2))) for _ in range(4)]
    assert passed == [1, 1, 0, 0]
    made.later(0.5)
    assert [len(made.send(IN, udp(A, 1, B, 2))) for _ in range(2)] == [1, 0]


def test_a_trace_shows_each_rule_and_the_verdict():
    made = box(
        chain("one"),
        rule("base", match(DPORT, 23), {"mangle": {"key": {"meta": {"key": "nftrace"}}, "value": 1}}),
        rule("base", match(DPORT, 99), DROP),
        rule("base", {"jump": {"target": "one"}}),
        rule("one", COUNTER),
        policy="drop",
    )
    made.send(IN, tcp(A, 1000, B, 23, SYN))
    steps = [
        (event.fields["chain"], event.fields["handle"], event.fields["verdict"]) for event in made.kinds("nft.trace")
    ]
    assert steps == [
        ("base", 3, "continue"),
        ("base", 5, "jump one"),
        ("one", 6, "continue"),
        ("one", 0, "continue"),
        ("base", 0, "drop"),
    ]
    # A packet that is not traced leaves no events.
    made.send(IN, tcp(A, 1000, B, 24, SYN))
    assert len(made.kinds("nft.trace")) == 5


def test_log_keeps_a_bounded_number_of_lines():
    made = box(rule("base", {"log": {"prefix": "seen ", "level": "info"}}))
    for _ in range(1100):
        made.send(IN, udp(A, 5, B, 53))
    lines = made.stack.nftables.log()
    assert len(lines) == 1000
    assert lines[0] == {
        "time": S,
        "prefix": "seen ",
        "level": "info",
        "place": "forward",
        "packet": f"udp {A}:5-{B}:53",
    }
    assert len(made.kinds("nft.log")) == 1100


def test_nat_chains_translate_and_come_after_other_rules():
    made = Box()
    load(
        made,
        table(),
        chain("pre", "prerouting", -100, kind="nat"),
        chain("post", "postrouting", 100, kind="nat"),
        rule("pre", match(DPORT, 8080), {"dnat": {"addr": A, "port": 80}}),
        rule("post", match({"meta": {"key": "oifname"}}, "out0"), {"masquerade": None}),
    )
    assert made.one(OUT, tcp(B, 1000, ROUTER, 8080, SYN)) == (B, 1000, A, 80)
    assert made.one(IN, tcp(A, 80, B, 1000, SYN | ACK, 5, 1)) == (ROUTER, 8080, B, 1000)
    assert made.one(IN, udp(A, 777, B, 53)) == (ROUTER, 777, B, 53)
    load(made, {"flush": {"ruleset": None}})
    assert made.stack.nat is None


def test_large_sets_cost_one_lookup():
    exact = [f"10.{i >> 8}.{i & 255}.1" for i in range(1000)]
    ranges = [{"range": [3 * i, 3 * i + 1]} for i in range(1000)]
    made = box(
        {"add": {"set": {"family": "ip", "table": "t", "name": "s", "type": "ipv4_addr", "elem": exact}}},
        {
            "add": {
                "set": {
                    "family": "ip",
                    "table": "t",
                    "name": "r",
                    "type": "inet_service",
                    "flags": "interval",
                    "elem": ranges,
                }
            }
        },
        rule("base", match(SADDR, "@s"), COUNTER),
        rule("base", match(DPORT, "@r"), COUNTER),
    )
    for port in range(6):
        made.one(IN, tcp("10.0.0.1" if port == 9 else A, 9, B, port, SYN))
    assert counters(made) == [0, 4]


def test_concatenated_intervals_are_found_with_bit_vectors():
    elements = [
        {"concat": [{"prefix": {"addr": f"10.0.{i}.0", "len": 24}}, {"range": [i, i + 10]}]} for i in range(100)
    ]  # fmt: skip
    named = {"family": "ip", "table": "t", "name": "s", "type": ["ipv4_addr", "inet_service"], "flags": ["interval"]}
    made = box({"add": {"set": {**named, "elem": elements}}})
    live = made.stack.nftables.tables[("ip", "t")].sets["s"].live
    first = 10 << 24
    for i in range(100):
        for port in range(i - 2, i + 14):
            found = live.find((first | i << 8 | 7, port), 0)
            assert (found is not None) == (i <= port <= i + 10)
    assert live.find((first - 1, 5), 0) is None


def test_overlapping_intervals_are_merged_or_refused():
    named = {"family": "ip", "table": "t", "name": "s", "type": "inet_service", "flags": ["interval"]}
    made = box({"add": {"set": {**named, "elem": [{"range": [1, 5]}]}}})
    element = {"family": "ip", "table": "t", "name": "s", "elem": [{"range": [4, 9]}]}
    assert "overlap" in refused(made, {"add": {"element": element}}).message
    load(made, {"add": {"set": {**named, "name": "m", "auto-merge": True, "elem": [{"range": [1, 5]}]}}})
    load(made, {"add": {"element": {**element, "name": "m"}}})
    [found] = [item["set"] for item in made.stack.nftables.dump() if "set" in item and item["set"]["name"] == "m"]
    assert found["elem"] == [{"range": [1, 9]}]
    load(made, {"delete": {"element": {**element, "name": "m", "elem": [3]}}})
    [found] = [item["set"] for item in made.stack.nftables.dump() if "set" in item and item["set"]["name"] == "m"]
    assert found["elem"] == [{"range": [1, 2]}, {"range": [4, 9]}]


def test_the_hash_is_jenkins_lookup3():
    # Known answers of lookup3's hashlittle() with initval 0, whose seed is the constant 0xdeadbeef + length + initval.
    assert jhash(b"", 0) == 0xDEADBEEF
    assert jhash(b"Four score and seven years ago", 0) == 0x17770551
    assert jhash(b"Four score and seven years ago", 1) == 0xCD628161


def test_marks_live_for_one_packet():
    made = box(
        chain("last", "postrouting", 5),
        rule("base", match(DPORT, 80), {"mangle": {"key": MARK, "value": 9}}),
        rule("last", match(MARK, 9), COUNTER),
        rule("last", match(MARK, 0), COUNTER),
    )
    made.one(IN, tcp(A, 1, B, 80, SYN))
    made.one(IN, tcp(A, 1, B, 81, SYN))
    made.one(IN, echo(A, B, 5))
    assert counters(made) == [1, 2]


def test_what_a_chain_changes_at_postrouting_leaves_with_right_checksums():
    made = box(
        chain("last", "postrouting", 5),
        rule("last", {"mangle": {"key": {"payload": {"protocol": "ip", "field": "ttl"}}, "value": 33}}),
        rule("last", {"mangle": {"key": {"payload": {"protocol": "ip", "field": "dscp"}}, "value": "ef"}}),
        rule("last", {"mangle": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "value": 99}}),
        rule("last", {"mangle": {"key": {"payload": {"protocol": "ip", "field": "daddr"}}, "value": "192.0.2.77"}}),
    )
    [(side, out)] = made.send(IN, tcp(A, 1, B, 80, SYN))
    assert side == OUT and sums_right(out) and ends(out) == (A, 1, "192.0.2.77", 99)
    assert out[8] == 33 and out[1] == 46 << 2


def untracked(*expr: Any) -> Box:
    """A router that does not track segments to port 23. A chain counts packets that are not tracked, and another new ones."""
    return box(
        chain("raw", "prerouting", -300),
        rule("raw", match(DPORT, 23), {"notrack": None}, *expr),
        rule("base", match({"ct": {"key": "state"}}, "untracked", "in"), COUNTER),
        rule("base", match({"ct": {"key": "state"}}, "new", "in"), COUNTER),
    )


def test_notrack_is_for_one_packet_even_if_it_is_dropped():
    made = untracked(DROP)
    assert made.send(IN, tcp(A, 1000, B, 23, SYN)) == []
    made.one(IN, tcp(A, 1000, B, 80, SYN))
    assert counters(made) == [0, 1]


def test_a_packet_that_is_not_tracked_stays_so_in_a_queue():
    made = untracked({"queue": {"num": 3}})
    queued.listen(made.stack, 3, 0, made.now)
    assert made.send(IN, tcp(A, 1000, B, 23, SYN)) == []
    made.one(IN, tcp(A, 1000, B, 80, SYN))
    assert counters(made) == [0, 1]
    queued.verdict(made.stack, queued.take(made.stack, 3, made.now)[0], True, b"", made.now)
    assert len(made.drain()) == 1
    assert counters(made) == [1, 1]


def test_a_packet_behind_a_reset_that_another_rule_drops_is_not_related():
    from pystack_c.sockets import udp as udp_socket
    from tests import frames as f

    made = box(
        rule("base", match(DPORT, 23), {"reject": {"type": "tcp reset"}}),
        chain("raw", "output", -300),
        rule("raw", match({"meta": {"key": "l4proto"}}, "tcp"), DROP),
        chain("out", "output"),
        rule("out", match({"ct": {"key": "state"}}, "new", "in"), COUNTER),
        rule("out", match({"ct": {"key": "state"}}, "related", "in"), COUNTER),
    )
    assert made.send(IN, tcp(A, 1000, B, 23, SYN)) == []
    udp_socket.sendto(udp_socket.udp_open(made.stack, made.now), b"x", f.addr(B), 53, 0, made.now)
    assert len(made.drain()) == 1
    assert counters(made) == [1, 0]


def queueing(hook: str, *flags: str) -> Box:
    expr = {"queue": {"num": 3, "flags": list(flags)}}
    return box(
        rule("base", match(DPORT, 80), expr),
        rule("base", COUNTER),
        chain("later", hook, 5),
        rule("later", COUNTER),
        hook=hook,
    )


@pytest.mark.parametrize("hook", ["prerouting", "forward"])
def test_a_queued_packet_goes_on_at_the_next_chain_after_its_verdict(hook):
    made = queueing(hook)
    queued.listen(made.stack, 3, 0, made.now)
    received = made.stack.counters.IpInReceives
    assert made.send(IN, tcp(A, 1000, B, 80, SYN)) == []
    ident, packet, place, iface = queued.take(made.stack, 3, made.now)
    assert ends(packet) == (A, 1000, B, 80) and (place, iface) == (hooks.NAMES.index(hook), "in0")
    assert queued.take(made.stack, 3, made.now) is None
    assert counters(made) == [0, 0]
    queued.verdict(made.stack, ident, True, b"", made.now)
    [(side, out)] = made.drain()
    assert side == OUT and ends(out) == (A, 1000, B, 80) and sums_right(out)
    # The rules behind the queue are not asked, but the next base chain is.
    assert counters(made) == [0, 1]
    assert made.stack.counters.IpInReceives == received + 1
    with pytest.raises(FileNotFoundError):
        queued.verdict(made.stack, ident, True, b"", made.now)


def test_the_application_may_refuse_a_queued_packet_or_put_another_in_its_place():
    made = queueing("forward")
    queued.listen(made.stack, 3, 0, made.now)
    made.send(IN, tcp(A, 1000, B, 80, SYN))
    queued.verdict(made.stack, queued.take(made.stack, 3, made.now)[0], False, b"", made.now)
    assert made.drain() == [] and made.stack.counters.drops["nft-queue-verdict"] == 1
    made.send(IN, tcp(A, 1000, B, 80, SYN))
    ident = queued.take(made.stack, 3, made.now)[0]
    with pytest.raises(OSError, match="no IPv4 packet"):
        queued.verdict(made.stack, ident, True, b"nonsense", made.now)
    queued.verdict(made.stack, ident, True, tcp(A, 1000, B, 81, SYN), made.now)
    [(_, out)] = made.drain()
    assert ends(out) == (A, 1000, B, 81)


def test_a_queue_is_bounded_and_without_a_listener_packets_drop_or_bypass_it():
    made = queueing("forward")
    assert made.send(IN, tcp(A, 1000, B, 80, SYN)) == []
    assert made.stack.counters.drops["nft-queue-closed"] == 1
    queued.listen(made.stack, 3, 2, made.now)
    for _ in range(3):
        made.send(IN, tcp(A, 1000, B, 80, SYN))
    assert made.stack.counters.drops["nft-queue-full"] == 1
    queued.listen(made.stack, 3, -1, made.now)
    assert queued.take(made.stack, 3, made.now) is None
    assert len(queueing("forward", "bypass").send(IN, tcp(A, 1000, B, 80, SYN))) == 1
    assert "queue is not supported" in refused(made, chain("out", "output"), rule("out", {"queue": None})).message


def test_a_function_decides_in_virtual_time_and_the_recording_replays():
    out = Kept()
    seen: list[bytes] = []
    got: list[bytes] = []

    def server() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 9))
            got.extend(sock.recv(100) for _ in range(2))

    def client() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for text in (b"1", b"2", b"3"):
                sock.sendto(text, ("192.0.2.2", 9))

    with Network(5) as net:
        net.record(out)
        a, router, b = net.host("a"), net.router("r"), net.host("b")
        net.link(a, router, addrs=("10.0.0.2/24", "10.0.0.1/24"), delay=MS)
        net.link(router, b, addrs=("192.0.2.1/24", "192.0.2.2/24"), delay=MS)
        a.route("0.0.0.0/0", "10.0.0.1")
        b.route("0.0.0.0/0", "192.0.2.1")
        router.nft([table(), chain("base", "forward"), rule("base", {"queue": {"num": 1}})])
        router.nft_queue(1, lambda packet: bool(seen.append(packet)) or packet[-1:] != b"2")
        net.run({b: server, a: client})
        assert [item["table"]["name"] for item in router.ruleset() if "table" in item] == ["t"]
    assert got == [b"1", b"3"]
    assert [packet[-1:] for packet in seen] == [b"1", b"2", b"3"]
    replay(io.BytesIO(out.kept))


def test_a_packet_for_the_router_itself_may_wait_in_a_queue():
    made = box(rule("base", {"queue": {"num": 0}}), hook="input")
    queued.listen(made.stack, 0, 0, made.now)
    assert made.send(IN, echo(A, "10.0.0.1", 5)) == []
    queued.verdict(made.stack, queued.take(made.stack, 0, made.now)[0], True, b"", made.now)
    [(side, answer)] = made.drain()
    assert side == IN and ends(answer) == ("10.0.0.1", 5, A, 0)
