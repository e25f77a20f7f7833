"""Random networks x applications x options hold what properties.py promises, and a failure shrinks to what matters.

More seeds by command: `python -m tools.sim_soak --properties --seeds 20000`.
"""

import io
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

import pystack_c.tcp.output
from pystack.trace.replay import replay
from tests.sim import properties
from tests.sim.properties import Scenario, draw, failure, shrink
from tests.sim.scenario import Kept
from tools import mutate, sim_soak

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")
CHUNK = 100 if COMPILED else 8


@pytest.mark.parametrize("part", range(10))
def test_every_invariant_after_every_event(part):
    for seed in range(part * 1000, part * 1000 + CHUNK // 2):
        assert failure(seed, draw(seed)) == "", f"python -m tools.sim_soak --properties --first {seed} --seeds 1"


@pytest.mark.parametrize("part", range(10))
def test_streams_ends_and_leftovers(part):
    """Many more, with the invariants looked at now and then."""
    for seed in range(10_000 + part * 1000, 10_000 + part * 1000 + 2 * CHUNK):
        assert failure(seed, draw(seed), 50) == "", f"python -m tools.sim_soak --properties --first {seed} --seeds 1"


def test_what_the_seeds_are_made_of():
    """The control: all ingredients are drawn, much data moves, sequence numbers wrap in a large share of the runs."""
    runs = [Scenario(seed, draw(seed), 0) for seed in range(4 * CHUNK)]
    for run in runs:
        run.run()
    items = [item for run in runs for item in run.ingredients if item[0] != "flow"]
    kinds = {(item[0], item[2 if item[0] == "at" else 1]) for item in items}
    if COMPILED:
        assert {("net", name) for name in properties.NETWORK} <= kinds
        assert {(host, name) for host in "ab" for name in properties.SETTINGS} <= kinds
        assert {("at", kind) for kind in ("mtu", "down", "loss", "lie")} <= kinds
        wishes = [item[1] for run in runs for item in run.ingredients if item[0] == "flow"]
        sides = [wish[side] for wish in wishes for side in "ab"]
        for name in ("cork", "more", "oob", "lowat", "patience"):
            assert sum(bool(side[name]) for side in sides) > len(sides) // 30, name
        assert {wish["options"] for wish in wishes} == {"", *properties.OPTIONS}
        servers = [run.hosts["b"].stack.counters for run in runs]
        assert sum(one.TcpExtTCPFastOpenPassive for one in servers) >= 10  # data in SYNs, with a cookie
        assert sum(run.box.with_options for run in runs) > 100  # segments with source routes
    wrapped = sum(run.wraps() > 0 for run in runs)
    assert wrapped > len(runs) // 3
    assert sum(run.box.too_big > 0 for run in runs) > len(runs) // 20
    finished = [all(a.eof and b.eof for a, b in run.flows) for run in runs]
    assert sum(finished) > len(runs) // 4
    assert sum(len(p.got) for run in runs for pair in run.flows for p in pair) > 5000 * len(runs)


def test_a_run_is_recorded_and_replays():
    out = Kept()
    run = Scenario(7, draw(7), prepare=lambda net: net.record(out))
    run.run()
    run.net.close()
    assert replay(io.BytesIO(out.kept)).frames > 10


def test_a_failure_shrinks_to_what_matters(monkeypatch):
    """A network that must not have a lossy link: of all ingredients that one, and a flow, are left."""
    seed = next(
        seed for seed in range(100) if {"loss", "delay"} <= {item[1] for item in draw(seed) if item[0] == "net"}
    )
    real = Scenario.run

    def run(self):
        assert self.box.link.ab.loss == 0, "it is lossy"
        return real(self)

    monkeypatch.setattr(Scenario, "run", run)
    best, why = shrink(seed, draw(seed))
    assert why == "AssertionError: it is lossy"
    assert sorted(item[0] for item in best) == ["flow", "net"]
    assert all(flow["a"]["size"] == flow["b"]["size"] == 0 for kind, flow in (best[-1],))


@pytest.mark.slow
@pytest.mark.skipif(not COMPILED, reason="runs an uncompiled copy of its own: once is enough")
def test_a_bug_in_the_core_is_found_shrunk_and_replayed(tmp_path):
    """A FIN that overtook its data counts at once: some seed finds it; its command fails again, and is recorded."""
    where = mutate.copy_tree(tmp_path)
    path = where / "pystack_c" / "tcp" / "data.py"
    source = path.read_text()
    old = "            tcb.fin_expected_seq = seq\n"
    assert source.count(old) == 1
    env = {**os.environ, "PYSTACK_PURE": "1", "PYTHONPATH": str(where)}

    def run(*args):
        return subprocess.run(
            [sys.executable, "-m", *args], cwd=where, env=env, capture_output=True, text=True, timeout=100
        )

    soak = ["tools.sim_soak", "--properties", "--first", "30", "--seeds", "90", "--check", "20"]
    assert run(*soak).returncode == 0  # the control
    path.write_text(source.replace(old, "            tcb.fin_expected_seq = tcb.rcv_nxt\n"))
    found = run(*soak)
    assert found.returncode == 1
    told = re.search(
        r"(\d+) ingredients, shrunk to (\d+): .*\n  python (-m tools.sim_soak .*)\n  pystack step", found.stdout
    )
    assert told and int(told[2]) <= max(4, int(told[1]) // 2), found.stdout
    command = shlex.split(told[3])
    assert json.loads(command[command.index("--ingredients") + 1])
    again = run(*command[1:])
    assert again.returncode == 1 and "all is well" not in again.stdout
    replayed = run("pystack.cli", "replay", "x.trace")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_the_soak_tells_how_it_went(capsys):
    assert sim_soak.main(["--properties", "--seeds", "6", "--jobs", "1"]) == 0
    assert "6 seeds of properties" in capsys.readouterr().out
