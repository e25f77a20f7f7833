"""The table of networks: its arithmetic, and a reduced run."""

import re
from pathlib import Path

import pytest

import pystack_c.tcp.output
from pystack.sim.channel import Channel
from tools import networks, networks_page, networks_paths
from tools.networks_paths import MS, Case, Result, S

ROOT = Path(__file__).resolve().parents[2]
COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")


def result(used, repeated=0.0, shares=(1,)):
    return Result(used, repeated, shares, 0, 1.0, (used,) * 9)


def test_what_a_path_holds():
    case = Case("clean", 10_000_000, 100 * MS, queue=0.25)
    assert case.bdp() == pytest.approx(82.56, abs=0.01)
    assert (case.frames_in_queue(), Case("clean", 64_000, 1 * MS).frames_in_queue()) == (21, 10)
    assert case.useful() == 1448 / 1514
    begin, end = networks_paths.times(case, 50_000)
    assert end // 9 * 3 == begin and end == pytest.approx(30 * S, rel=1e-6)
    # As long as the frames last, but thirty round trips.
    assert networks_paths.times(case, 10_000)[1] == pytest.approx(10_000 * 1514 * 8 * 100, rel=1e-6)
    assert networks_paths.times(case, 10)[1] == pytest.approx(3 * S, rel=1e-6)


def test_a_policer_lets_its_rate_through_and_a_burst():
    channel = Channel(rate=100_000_000)
    networks_paths.police(channel, 10_000_000, 15_000)
    frames = [channel.send(bytes(1000), number * 100_000) for number in range(10_000)]  # 80 Mbit/s for a second
    assert sum(map(len, frames)) == pytest.approx(1250 + 15 * 7 / 8, abs=2)
    assert all(frames[:15]) and set(channel.stats.drops) == {"policed"}
    calm = Channel(rate=100_000_000)
    networks_paths.police(calm, 10_000_000, 15_000)
    assert all(calm.send(bytes(1000), number * 800_000) for number in range(1000))


def test_aggregation_keeps_frames_until_the_next_step():
    channel = Channel(delay=MS)
    networks_paths.aggregate(channel, 5 * MS)
    assert [channel.send(b"x", now * MS)[0][0] // MS for now in (0, 3, 4, 5)] == [5, 5, 5, 10]


def test_jains_index():
    assert networks_paths.jain((3, 3, 3)) == 1.0
    assert networks_paths.jain((1, 0, 0, 0)) == 0.25


def test_renos_sawtooth():
    """In closed form, and as Reno has it."""
    assert networks_page.sawtooth(0.25) == pytest.approx(0.893, abs=0.001)
    assert networks_page.sawtooth(1.0) == 1.0
    case = Case("clean", 1_000_000_000, 500_000, queue=0.25)  # 41 frames; half of them and of the queue is rounded down
    assert networks.run(case, "reno", 20_000).used == pytest.approx(networks_page.sawtooth(0.25), abs=0.03)


def test_a_low_figure_on_a_clean_path_needs_a_word(monkeypatch):
    case = Case("clean", 10_000_000, 100 * MS, queue=0.25)
    text, missing = networks.page([(case, "reno", result(0.91)), (case, "bbr", result(0.894))])
    assert len(missing) == 1 and "bbr" in missing[0] and "reno" not in missing[0]
    monkeypatch.setitem(networks_page.WORDS, (10_000_000, 100 * MS, 0.25, "bbr"), "Because.")
    text, missing = networks.page([(case, "reno", result(0.91)), (case, "bbr", result(0.894))])
    assert missing == [] and "0.89 [1]" in text and "\n1. Because.\n" in text


def test_the_page_is_what_the_tool_writes():
    """Each clean path, trouble and race has its row, and each figure below 0.9 on a clean path its word."""
    text = (ROOT / "docs" / "explanation" / "networks.md").read_text()
    clean, rest = text.split("\n## Troubles\n")
    rows = re.findall(r"^\| [0-9.]+ [kMG]?bit/s \|.*$", clean, re.M)
    assert len(rows) == len(networks_paths.CLEAN)
    words = re.findall(r"^\d+\. (.+)$", clean, re.M)
    for row in rows:
        for cell in row.split(" | ")[5:]:
            used = float(re.match(r"[0-9.]+", cell)[0])
            note = re.search(r"\[(\d+)\]", cell)
            assert (note is not None) == (used < networks_page.LOW), row
            assert note is None or words[int(note[1]) - 1]
    for name in [*networks_paths.TROUBLES, *networks_paths.POLICERS, *networks_paths.CHANGES]:
        assert f"| {name} |" in rest
    assert rest.count("\n| ") == 3 + len(networks.troubled(False)) + len(networks.races(False))


def test_a_reduced_run():
    """A few paths, a few frames; the whole of --quick where it takes seconds only."""
    jobs = networks.jobs(True, 5_000 if COMPILED else 500)
    chosen = jobs if COMPILED else [job for job in jobs if job[0].rate == 64_000 or job[0].flows]
    found = [(case, algorithm, networks.run(case, algorithm, frames)) for case, algorithm, frames in chosen]
    for case, algorithm, seen in found:
        if case.name == "clean" and case.rate != 40_000_000_000:
            assert 0.9 < seen.used < 1.2, (case, algorithm)
        assert seen.used > 0 and len(seen.ninths) == 9
    text, _ = networks.page(found)
    assert "## Several connections" in text
    first = chosen[0]
    assert networks.run(*first) == found[0][2]  # one seed, one result
