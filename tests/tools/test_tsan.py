"""tools/tsan.py: the program that it runs under ThreadSanitizer also runs with the ordinary build."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pystack
from tools import tsan

ROOT = Path(__file__).resolve().parents[2]


def load(where: Path) -> subprocess.CompletedProcess:
    """Run the program for the instrumented modules, with the modules of this directory."""
    names = [name.replace("/", ".") for name in tsan.modules()]
    command = [sys.executable, "-c", tsan.LOAD, str(where), "0", *names]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, env=env)


def test_the_load_runs():
    if not all(pystack.compiled().values()):
        pytest.skip("ThreadSanitizer is for compiled modules")
    done = load(ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "2 rounds"


def test_control_the_modules_are_those_of_the_directory(tmp_path):
    done = load(tmp_path)
    assert done.returncode == 1 and "AssertionError" in done.stderr


def test_the_modules_are_the_drivers():
    names = tsan.modules()
    assert "pystack/runtime/lock" in names and len(names) > 10
    assert all((ROOT / f"{name}.pxd").exists() for name in names)
