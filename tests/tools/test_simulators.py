"""tools/bench/simulators.py measures pystack beside other simulators of asyncio, as far as they are installed."""

import json

import pytest

from tools.bench import simulators

pytest.importorskip("aiohttp")


@pytest.fixture
def small(monkeypatch):
    """Few requests."""
    works = {"echo": (False, 3, 20, 0.0), "echo, loss": (False, 3, 40, 0.05), "pages": (True, 2, 5, 0.0)}
    monkeypatch.setattr(simulators, "WORKS", works)


def test_the_program_runs_in_virtual_time_and_the_network_is_seen(small):
    found = simulators.measure_here("pystack", "echo")
    assert found["rate"] > 0 and found["slowest"] == pytest.approx(0.02)
    assert found["seen"].endswith("0 frames lost, 0 segments retransmitted")
    found = simulators.measure_here("pystack", "echo, loss")
    assert found["slowest"] > 0.1 and " 0 segments retransmitted" not in found["seen"]
    assert simulators.measure_here("pystack", "pages")["slowest"] == pytest.approx(0.06)


def test_the_table_says_what_is_missing_and_what_fails(monkeypatch, capsys):
    monkeypatch.setattr(simulators.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(simulators, "measure", lambda *args: {"error": "no streams"})
    assert simulators.main(["--only", "1 connection"]) == 0
    output = capsys.readouterr().out
    assert "simloop: skipped: it is not installed" in output and "pystack   fails: no streams" in output


def test_a_run_that_fails_gives_its_last_line(monkeypatch):
    assert "KeyError" in simulators.measure("pystack", "no such work", 1)["error"]


def test_the_command_prints_json(small, capsys):
    assert simulators.main(["--here", "pystack", "echo"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"rate", "slowest", "seen"}
