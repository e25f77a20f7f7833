"""The benchmark: its arithmetic, and one real measurement of each kind of client."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.bench import queues, report, simulator
from tools.bench.picture import draw
from tools.bench.stacks import compile_ns3

ROOT = Path(__file__).resolve().parents[2]


def filled(tmp_path, mine, theirs):
    results = report.Results(tmp_path / "bench.json")
    for value in mine:
        results.add("pystack blocking", "connections", value)
    for value in theirs:
        results.add("kernel blocking", "connections", value)
    return results


@pytest.mark.parametrize(("mine", "ratio", "met"), [([90, 200, 110], 1.1, True), ([90, 95, 1000], 0.95, False)])
def test_ratio_of_medians_against_the_bar(tmp_path, mine, ratio, met):
    (one,) = filled(tmp_path, mine, [100, 100, 1]).verdicts()
    assert one["ratio"] == pytest.approx(ratio) and one["met"] == met and one["bar"] == 1.0


def test_the_best_peer_counts(tmp_path):
    results = report.Results(tmp_path / "bench.json")
    for stack, value in (("pystack compiled", 10), ("lwIP", 5), ("gVisor, TSO", 20)):
        results.add(stack, "UDP echo", value)
    (one,) = results.verdicts()
    assert (one["to"], one["ratio"]) == ("gVisor, TSO", 0.5)


def test_less_is_better_for_cpu(tmp_path):
    results = report.Results(tmp_path / "bench.json")
    results.add("pystack blocking", "bulk send, CPU", 0.3)
    results.add("gVisor, TSO", "bulk send, CPU", 0.9)
    (one,) = results.verdicts()
    assert one["met"] and one["ratio"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("answer", "ratio"), [({1: [10, 12, 50], 2: [30, 20, 24]}, 2.0), (None, None)])
def test_two_queues_against_one(tmp_path, monkeypatch, answer, ratio):
    def apart(seconds):
        if answer is None:
            raise RuntimeError("a server did not start")
        return answer

    monkeypatch.setattr(queues, "apart", apart)
    results = report.Results(tmp_path / "bench.json")
    queues.measure(results, quick=True)
    assert [(one["ratio"], one["bar"]) for one in results.verdicts()] == ([] if ratio is None else [(ratio, 1.5)])
    assert ("a server did not start" in results.table()) == (ratio is None)


def test_json_and_adding_to_it(tmp_path):
    filled(tmp_path, [1, 2, 3], [4]).write()
    whole = json.loads((tmp_path / "bench.json").read_text())
    row = whole["rows"][0]
    assert (row["stack"], row["work"], row["unit"]) == ("pystack blocking", "connections", "1/s")
    assert (row["median"], row["min"], row["max"]) == (2, 1, 3)
    again = report.Results(tmp_path / "bench.json", add=True)
    again.add("pystack blocking", "connections", 8)
    again.add("pystack blocking", "connections", 10)
    assert again.rows["pystack blocking", "connections"] == [8, 10]
    assert again.rows["kernel blocking", "connections"] == [4]


def test_table_names_what_is_missing(tmp_path):
    results = filled(tmp_path, [1], [2])
    results.fail("smoltcp", "all", "skipped: not here")
    text = results.table()
    assert "NOT MET" in text and "smoltcp: all: skipped: not here" in text


def test_picture_shows_each_ratio(tmp_path):
    svg = draw(filled(tmp_path, [1], [2]).verdicts())
    assert "connections: pystack blocking / kernel blocking" in svg and "0.50 (≥ 1)" in svg


def test_picture_of_a_work_that_costs_nothing():
    free = {"work": "CPU", "of": "pystack", "to": "%", "ratio": 0.0, "bar": 0.1, "at_most": True, "met": True}
    assert "0.00 (≤ 0.1)" in draw([free])


def test_simulated_transfer_counts_real_segments():
    seconds, processor, segments = simulator.transfer(1_000_000)
    # 685 segments of at most 1460 bytes, their acknowledgements, and the ends.
    assert seconds > 0 and processor > 0 and 685 < segments < 2000


def test_ns3_simulates_the_same_transfer(tmp_path):
    missing = compile_ns3(tmp_path / "ns3")
    if missing:
        pytest.skip(missing)
    assert simulator.ns3(1_000_000, tmp_path / "ns3") > 0
    done = subprocess.run([tmp_path / "ns3", "1000000"], capture_output=True, text=True, check=True)
    assert 685 < int(done.stdout.split()[0]) < 2000


def test_the_same_row_of_both_simulators(tmp_path, monkeypatch):
    monkeypatch.setattr(simulator, "transfer", lambda size, **settings: (1.0, 2.0, 1000))
    monkeypatch.setattr(simulator, "crowd", lambda hosts, size: 1.0)
    homes = simulator.homes
    monkeypatch.setattr(simulator, "homes", lambda nats, each, size, **settings: homes(2, 3, 10_000, **settings))
    monkeypatch.setattr(simulator, "compile_ns3", lambda target: "")
    monkeypatch.setattr(simulator, "ns3", lambda size, program: 100.0)
    results = report.Results(tmp_path / "bench.json")
    simulator.measure(results, quick=False)
    assert results.rows["simulator", "simulated segments"] == [500.0] * 3
    (one,) = (one for one in results.verdicts() if one["work"] == "simulated segments")
    assert (one["to"], one["ratio"], one["met"]) == ("ns-3", 5.0, True)
    for name in ("simulator", "simulator, offload"):
        assert results.rows[name, "1,000 hosts behind 10 NATs, 1 MB each"][0] > 0


@pytest.mark.kernel
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("cc"), reason="needs root and a C compiler")
def test_one_measurement_of_each_kind(tmp_path):
    from tools.bench.lab import Lab
    from tools.bench.stacks import compile_c, python
    from tools.bench.works import WORKS

    compile_c("clients/load.c", tmp_path / "load")
    rows = {}
    with Lab(python("pystack", "compiled"), False, tmp_path) as lab:
        for work in WORKS:
            if not work.once and not (work.name == "HTTP keep-alive" and not shutil.which("wrk")):
                rows.update(work.measure(lab, 0.1))
        with lab.idle(99, 200) as idle:
            assert idle.count == 200
        with pytest.raises(RuntimeError):
            lab.measure("rr", "10.77.0.2", 4, 0.1, 64)
    assert rows["bulk receive"] > 0.01 and rows["bulk receive, CPU"] > 0
    assert rows["connections"] > 10 and rows["UDP echo"] > 10 and rows["ping"] > 1


@pytest.mark.kernel
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("cc"), reason="needs root and a C compiler")
def test_command(tmp_path):
    path = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tools.bench", "--quick", "--seconds", "0.1", "--only", "kernel blocking"]
    command += ["--only", "UDP echo", "--only", "smoltcp", "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    whole = json.loads(path.read_text())
    assert [row["work"] for row in whole["rows"]] == ["UDP echo"]
    assert whole["skipped"][0]["stack"] == "smoltcp" and "smoltcp: all: skipped" in done.stdout
