"""How a load balancer chooses: each way on its own, and Maglev's table by the numbers of its paper."""

from collections import Counter

import pytest

from pystack_c.base.siphash import siphash
from pystack_c.filter import scheduling


class Server:
    def __init__(self, name, weight=1, active=0):
        self.name, self.weight, self.active, self.up = name, weight, active, True

    def __repr__(self):
        return self.name


def servers(*weights):
    return [Server("abcdefgh"[i], weight) for i, weight in enumerate(weights)]


def chosen(kind, given, count, keys=None):
    """The names of the next choices."""
    found = [kind.choose(given, lambda server: server.up, keys[i] if keys else 0) for i in range(count)]
    return "".join(server.name for server in found)


def test_round_robin_leaves_out_servers_that_are_down_or_draining():
    given = servers(1, 1, 1)
    kind = scheduling.make("round-robin")
    assert chosen(kind, given, 4) == "abca"
    given[1].up = False
    assert chosen(kind, given, 3) == "cac"
    given[2].weight = 0
    assert chosen(kind, given, 2) == "aa"
    given[0].up = False
    assert kind.choose(given, lambda server: server.up, 0) is None


def test_weights_are_spread_evenly():
    kind = scheduling.make("weighted")
    assert chosen(kind, servers(5, 1, 1), 14) == "aabacaa" * 2
    # Control: the plain order does not look at the weights.
    assert chosen(scheduling.make("round-robin"), servers(5, 1, 1), 6) == "abcabc"


def test_least_connections_for_the_weight():
    given = servers(1, 1, 2)
    given[0].active, given[1].active, given[2].active = 2, 3, 5
    kind = scheduling.make("least-connections")
    assert chosen(kind, given, 1) == "a"
    given[0].active = 3
    assert chosen(kind, given, 1) == "c"
    given[2].active = 6
    assert chosen(kind, given, 4) in ("abca", "bcab", "cabc")  # equals take turns


def test_the_source_decides():
    kind = scheduling.make("source-hash")
    given = servers(1, 2)
    assert [chosen(kind, given, 1, [key]) for key in (0, 1, 2, 3)] == ["a", "b", "b", "a"]


def test_maglev_places_are_nearly_equal():
    """The paper, section 5.3: with a table of 100 places for each server, no server has more than about 1 % too many."""
    given = [Server(f"10.0.0.{n}:80") for n in range(40)]
    table = scheduling.Maglev(4093).populate(given)
    places = Counter(server.name for server in table)
    assert len(table) == 4093 and None not in table
    assert max(places.values()) - min(places.values()) <= 1  # each takes one place in each turn


def test_maglev_moves_few_places_when_a_server_goes():
    given = [Server(f"10.0.0.{n}:80") for n in range(10)]
    kind = scheduling.Maglev(4093)
    before = kind.populate(given)
    after = kind.populate(given[:-1])
    stayed = [b is a for b, a in zip(before, after) if b is not given[-1]]
    moved = stayed.count(False) / len(stayed)
    assert moved < 0.1
    # Control: the hash modulo the number of servers moves nearly all.
    source = scheduling.make("source-hash")
    keys = [siphash(b"0123456789abcdef", str(n).encode()) for n in range(1000)]
    both = [[source.choose(some, lambda server: True, key) for key in keys] for some in (given, given[:-1])]
    assert sum(b is not a for b, a in zip(*both)) / 1000 > 0.8


def test_maglev_does_not_depend_on_the_order_of_the_servers():
    given = [Server(f"10.0.0.{n}:80") for n in range(5)]
    kind = scheduling.Maglev(251)
    assert [server.name for server in kind.populate(given)] == [server.name for server in kind.populate(given[::-1])]


def test_maglev_weights():
    given = [Server("a:1", 3), Server("b:1", 1)]
    places = Counter(server.name for server in scheduling.Maglev(4093).populate(given))
    assert places["a:1"] == pytest.approx(3 * places["b:1"], abs=4)


def test_maglev_needs_a_prime():
    with pytest.raises(ValueError, match="prime"):
        scheduling.Maglev(4096)


def test_an_unknown_way():
    with pytest.raises(ValueError, match="the ways to balance are round-robin, weighted"):
        scheduling.make("random")
