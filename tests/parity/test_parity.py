"""The compiled and the uncompiled core do the same, to the byte: frames, results, events, counters, drops, control blocks, timers.

Each program runs here and in a process with the other build; after every step everything observable is compared.
"""

from random import Random

import pytest

import pystack
from tests.support import worker
from tests.support.hostile import Hostile, start
from tests.support.world import World
from tools import fuzz

pytestmark = pytest.mark.skipif(
    not all(pystack.compiled().values()), reason="the compiled run compares itself with the uncompiled core"
)


@pytest.fixture(scope="module")
def other():
    """The uncompiled core."""
    with worker.Worker(pure=True) as process:
        yield process


def test_over_there_runs_the_other_build(other):
    assert other.build() is False


@pytest.mark.parametrize("seed", range(24))
def test_rounds_of_the_fuzzer(other, seed):
    program, failure, _ = fuzz.make(seed)
    assert not failure, failure
    assert worker.compare({**program, "probe": True}, other) == ""


def test_a_connection_with_every_event(other):
    """Scripted: a listener, a peer that opens, sends, loses, closes; the probe on."""
    rng = Random(1)
    program = {**start(rng), "config": {}, "probe": True}
    world = World(program)
    for step in program["steps"]:
        world.apply(step)
    hostile = Hostile(world, rng)
    for i in range(60):
        move = hostile.good_peer() if i else hostile.syn(80)
        for step in [*move, ("send", 101, 3000, 0), ("run", 30_000_000 * (i % 9))]:
            program["steps"].append(step)
            world.apply(step)
    program["steps"] += [("call", "close", 101), ("run", 400_000_000_000)]
    assert worker.compare(program, other) == ""
    assert world.stack.counters.TcpPassiveOpens >= 1 and world.stack.counters.TcpOutSegs > 20


@pytest.mark.parametrize("path", fuzz.REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_failed(other, path):
    assert worker.compare(fuzz.load(path.read_text()), other) == ""


def test_a_difference_is_seen(other):
    """Control: another seed over there, and the first step that shows it is named."""

    class Skewed:
        def run(self, program, full=-1):
            return other.run({**program, "seed": program["seed"] + 1}, full)

    program, _, _ = fuzz.make(5)
    assert worker.compare(program, Skewed()).startswith("step ")
