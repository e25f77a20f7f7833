"""A timeline's states are right: three walks and a second replay agree, over 200 random runs on bad networks."""

import io
import random

import pytest

from pystack.sim.network import MS
from pystack.stepper import Timeline, scenarios
from pystack.stepper.verify import VerificationError, verify, walk
from tests.sim.hostile import Transfer

RUNS = 200
PARTS = 8


class Kept(io.BytesIO):
    def close(self) -> None:
        self.kept = self.getvalue()


def recording(seed: int) -> bytes:
    """A few kilobytes each way over a link and between settings that the seed chooses."""
    rnd = random.Random(seed)
    out = Kept()
    impairments = {
        "loss": rnd.choice((0, 0.05, 0.15, 0.3)),
        "reorder": rnd.choice((0, 0.1)),
        "reorder_delay": 15 * MS,
        "duplicate": rnd.choice((0, 0.1)),
        "corrupt": rnd.choice((0, 0.05)),
        "jitter": rnd.choice((0, MS)),
        "rate": rnd.choice((0, 1_000_000)),
    }
    settings = {
        "tcp_sack": rnd.random() < 0.7,
        "tcp_rack": rnd.random() < 0.7,
        "tcp_timestamps": rnd.random() < 0.7,
        "tcp_congestion": rnd.choice(("reno", "cubic", "bbr")),
        "tcp_ecn": rnd.choice((0, 1, 2)),
        "tcp_rmem": rnd.choice((4096, 65536)),
        "tcp_quickack_segs": rnd.choice((0, 16)),
        "offload": rnd.random() < 0.3,
    }
    size = rnd.choice((0, 1, 500, 3000, 9000, 9000, 25_000))
    run = Transfer(seed, size, impairments, lambda net: net.record(out), **settings)
    run.run()
    run.net.close()
    return out.kept


@pytest.mark.parametrize("part", range(PARTS))
def test_random_runs(part):
    digests = set()
    for seed in range(part, RUNS, PARTS):
        data = recording(seed)
        timeline = Timeline.of(data, f"seed {seed}")
        result = verify(timeline, data)
        assert result.events > 50 and result.values > 1000
        digests.add(result.digest)
    assert len(digests) == RUNS // PARTS


@pytest.mark.parametrize("name", scenarios.NAMES)
def test_scenarios(name):
    data = scenarios.get(name).record()
    result = verify(Timeline.of(data, name), data)
    assert result.digest == walk(Timeline.of(data, name))


# -- controls: what is wrong is found --------------------------------------------------------------------------------


@pytest.fixture
def made():
    data = scenarios.get("zero-window").record()
    return Timeline.of(data, "control"), data


def numbers_of(timeline):
    """All changes of a number that no later change at the same event covers, while they are unpacked."""
    found = []
    for row in timeline.states.deltas.tail:
        last = dict(row)
        found += [delta for delta in last.values() if delta and not delta[0] and type(delta[1][1]) is int]
    return found


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.99])
def test_control_one_wrong_delta(made, share):
    timeline, data = made
    found = numbers_of(timeline)
    changes = found[int(share * len(found))][1]
    changes[1] = 12345 if changes[1] != 12345 else 54321
    walk(timeline)  # it is the same wrong state each time: only the second replay can tell
    with pytest.raises(VerificationError, match=r"after event \d+, .* has .*, but the second replay"):
        verify(timeline, data)


def test_control_one_wrong_keyframe():
    made = (Timeline.of(recording(seed), "control") for seed in range(20))
    timeline = next(one for one in made if len(one.states.keys) > 1)
    key = timeline.states.keys[1]
    walk(timeline)
    number = max(key)
    key[number] = (*key[number][:10], 1, *key[number][11:])
    with pytest.raises(VerificationError, match="forwards again"):
        walk(timeline)


def test_control_going_back_that_forgets_something(made, monkeypatch):
    from pystack.stepper import states

    timeline, data = made
    taken = states.take_back

    def forgetful(state, undo):
        taken(state, undo[1:])

    monkeypatch.setattr(states, "take_back", forgetful)
    with pytest.raises(VerificationError, match="backwards"):
        walk(timeline)


def test_control_a_recording_of_something_else(made):
    timeline, _ = made
    with pytest.raises(VerificationError):
        verify(timeline, scenarios.get("zero-window").record(seed=2))
