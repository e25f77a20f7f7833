"""Off the path: what is not sent to you tells you nothing, and what you forge does nothing."""

import pytest

import pystack_c.tcp.output
from pystack_c.base.address import v4
from tests.attack import offpath
from tests.attack.arena import Arena, Exchange, S, bounded

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")
SEEDS = range(12 if COMPILED else 3)
TRIALS = 100
#: of 100 guesses by coin, fewer than 35 or more than 65 are right once in 500 times
GUESSING = range(35, 66)


@pytest.mark.parametrize("settings", [{}, {"tcp_challenge_ack_limit": 20}], ids=["default", "with a bound for all"])
def test_challenge_acks_do_not_tell_where_a_window_is(settings):
    """CVE-2016-5696, run 100 times: no better than guessing."""
    assert offpath.challenge_guesses(1, TRIALS, **settings) in GUESSING


def test_control_an_exact_budget_of_challenge_acks_tells_it():
    """(Of a budget of one, half to one and a half is one: exact, as it was for every budget.)"""
    assert offpath.challenge_guesses(1, TRIALS, tcp_challenge_ack_limit=1) >= 95


def test_icmp_errors_do_not_tell_which_port_a_connected_socket_has():
    """CVE-2020-25705, run 100 times: no better than guessing."""
    assert offpath.port_guesses(1, TRIALS) in GUESSING


def test_control_an_exact_budget_of_icmp_errors_tells_it():
    assert offpath.port_guesses(1, TRIALS, icmp_ratelimit=1, icmp_peer_interval=0) >= 95


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_it_sees_depends_on_what_it_wants_to_know(seed):
    """The same packets in two worlds that differ in a's port, its sequence numbers and the resolver's port: the same answers."""
    one, other = offpath.view(seed, 0), offpath.view(seed, 1)
    assert len(one) > 5 and one == other


def test_control_with_exact_shared_budgets_what_it_sees_differs():
    settings = {"tcp_challenge_ack_limit": 1, "icmp_ratelimit": 1, "icmp_peer_interval": 0}
    assert any(offpath.view(seed, 0, **settings) != offpath.view(seed, 1, **settings) for seed in range(3))


@pytest.mark.parametrize("seed", SEEDS)
def test_forged_packets_neither_reset_nor_inject_nor_stall(seed):
    """The worst is one lost SYN: a forged one may come before it. (RFC 5681 3.1: then the window begins with one segment.)"""
    arena = Arena(seed)
    arena.lab.link.ab.drop(1)
    exchange = Exchange(arena)
    exchange.start(40000)
    arena.run(30 * S)
    took, attacked = offpath.harass(seed)
    assert took <= exchange.took()
    assert attacked.b.stack.dst_cache[v4(0x0A000001)].mtu == 1500
    bounded(attacked)


def test_control_whoever_knows_the_numbers_resets_it():
    with pytest.raises(AssertionError, match="the honest connection failed"):
        offpath.harass(1, knows=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flood_from_everywhere_stays_within_bounds_and_is_not_amplified(seed):
    arena = offpath.flood(seed)
    bounded(arena)
    stack = arena.b.stack
    assert len(stack.endpoints) <= stack.config.tcp_max_syn_backlog + 2
    assert len(stack.icmp_peers.by_addr) <= 1024
    # At most one answer to each packet, and the half-open connections' SYN-ACKs once or twice more by their timers.
    assert len(arena.seen) <= 3000 + 2 * stack.config.tcp_max_syn_backlog
    assert sum(len(frame) for _, frame in arena.seen) <= 3000 * 120 + 2 * 60 * stack.config.tcp_max_syn_backlog


def test_control_of_the_bound_on_half_open_connections():
    stack = offpath.flood(1, tcp_max_syn_backlog=1 << 20, tcp_syncookies=0).b.stack
    assert len(stack.endpoints) > 600
