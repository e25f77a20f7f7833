"""On the path: what it sees it can spoil, but no more than that."""

import pytest

import pystack_c.tcp.output
from pystack.sim.network import S
from tests.attack.onpath import OnPath

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")
SEEDS = range(12 if COMPILED else 3)


@pytest.mark.parametrize("gentle", [False, True], ids=["rough", "gentle"])
@pytest.mark.parametrize("seed", SEEDS)
def test_once_it_has_left_the_two_hosts_fall_silent(seed, gentle):
    """And the connection beside the attacked one came through (OnPath.run). Two ends out of step retransmit, a few times a minute."""
    run = OnPath(seed, gentle=gentle)
    assert run.run() <= 60
    assert run.left == 0 or run.frames > 100


def test_control_without_a_limit_of_answers_they_talk_for_ever():
    """An ACK storm: each takes the other's ACK for out of step, and says so. Here as many in a second as else in a minute."""
    counts = [OnPath(seed, 8, gentle=True, tcp_invalid_ratelimit=0).run(4 * S, S, S) for seed in range(4)]
    assert max(counts) > 60, counts
