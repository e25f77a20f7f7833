"""LABS 34: one seed, one result, to the byte, whatever process computes it and on whichever build."""

import hashlib
import os
import subprocess
import sys

from tests.sim import scenario


def sha_in_a_process(seed: int, **environment: str) -> str:
    env = {**os.environ, "PYTHONHASHSEED": "random", **environment}
    command = [sys.executable, "-m", "tests.sim.scenario", str(seed)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, check=True).stdout.strip()


def test_three_processes_one_sha_and_another_seed_another():
    here = scenario.run(5)
    assert len(here) > 20_000
    expected = hashlib.sha256(here).hexdigest()
    assert [sha_in_a_process(5) for _ in range(3)] == [expected] * 3
    assert sha_in_a_process(6) != expected


def test_the_uncompiled_core_gives_the_same_bytes():
    assert sha_in_a_process(5, PYSTACK_PURE="1") == hashlib.sha256(scenario.run(5)).hexdigest()
