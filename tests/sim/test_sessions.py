"""Random sessions hold what sessions.py promises, and every one can be recorded and replayed.

More seeds by command: `python -m tools.sim_soak --sessions --seeds 5000`.
"""

import io

import pytest

import pystack_c.tcp.output
from pystack.trace.replay import replay
from tests.sim.scenario import Kept
from tests.sim.sessions import Sessions
from tools import sim_soak

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")
SEEDS = range(60 if COMPILED else 12)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_sessions(seed):
    sessions = Sessions(seed)
    sessions.run()
    assert sum(len(a.got) + len(b.got) for a, b in sessions.pairs) > 0


@pytest.mark.parametrize("seed", range(100, 106))
def test_recorded_sessions_are_the_same_and_replay(seed):
    captures = []
    for record in (None, Kept()):
        capture = Kept()
        sessions = Sessions(seed, 4, prepare=lambda net, out=record: None if out is None else net.record(out))
        sessions.net.capture(capture)
        sessions.run()
        sessions.net.close()
        captures.append(capture.kept)
    assert captures[0] == captures[1]
    counts = replay(io.BytesIO(record.kept))
    assert counts.frames > 20 and counts.calls > 50


def test_the_soak_tells_which_seed_failed(capsys, monkeypatch):
    assert sim_soak.main(["--seeds", "4", "--sessions", "--jobs", "1"]) == 0
    assert "0 failed" in capsys.readouterr().out
    # the control: one that cannot pass
    monkeypatch.setattr("tests.sim.sessions.LIMIT", 1)
    assert sim_soak.main(["--seeds", "4", "--sessions", "--jobs", "1"]) == 1
    out = capsys.readouterr().out
    assert "seed 3: SimError" in out and "4 failed" in out
