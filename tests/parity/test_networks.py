"""BBR and the others on random networks: both builds make the same recordings, and each replays the other's.

(More of them: `python -m tests.support.networks record DIRECTORY 0 120`, with and without PYSTACK_PURE=1.)
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pystack

pytestmark = pytest.mark.skipif(
    not all(pystack.compiled().values()), reason="the compiled run compares itself with the uncompiled core"
)
ROOT = Path(__file__).resolve().parents[2]
COUNT = 16


def run(pure, *args):
    """Start the command on one of the two builds."""
    env = {name: value for name, value in os.environ.items() if name != "PYSTACK_PURE"}
    if pure:
        env["PYSTACK_PURE"] = "1"
    command = [sys.executable, "-m", "tests.support.networks", *map(str, args)]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)


def both(*commands):
    """What two commands print that run at the same time, one on each build."""
    running = [run(pure, *command) for pure, command in zip((False, True), commands)]
    return [process.communicate(timeout=600)[0].splitlines() for process in running]


@pytest.mark.parametrize(("algorithm", "count"), [("bbr", COUNT), ("cubic", 4), ("reno", 4)])
def test_both_builds_decide_alike(tmp_path, algorithm, count):
    compiled, pure = tmp_path / "compiled", tmp_path / "pure"
    compiled.mkdir()
    pure.mkdir()
    here, there = both(*(("record", folder, 0, count, algorithm) for folder in (compiled, pure)))
    assert len(here) == count and here == there
    same = [f"{number} same" for number in range(count)]
    assert both(("replay", pure), ("replay", compiled)) == [same, same]
