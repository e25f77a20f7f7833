"""`pystack time` on scenarios and recordings."""

import json
import re

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.sim.network import MS, Network
from pystack.sim.programs import sleep, spawn, stream
from pystack.stepper import scenarios
from pystack.stepper.scenarios.base import _Kept, finish, listener
from pystack.stepper.timing import CAUSES, WHYS, path
from pystack.stepper.timing.advice import tried
from pystack.stepper.timing.causes import GROUPS, group
from pystack.stepper.timing.path import Path, Span
from pystack.stepper.timing.text import ROWS, bar, ms, sums, waterfall


def run(*args, code=0):
    result = CliRunner().invoke(cli, ["time", *args], standalone_mode=False, catch_exceptions=True)
    if code:
        assert result.exception is not None
        return str(result.exception)
    assert result.exception is None, result.exception
    return result.output


def test_the_waterfall_of_a_scenario_and_its_sums():
    text = run("nagle")
    assert "195.000 ms" in text.splitlines()[0]
    assert "120.000 ms  61.5 %  delayed ACK (Nagle)" in text
    assert "195.000 ms 100.0 %  in all" in text


def test_json_has_every_span():
    found = json.loads(run("nagle", "--json"))
    assert found["elapsed"] == 195_000_000 == sum(span["end"] - span["start"] for span in found["spans"])
    assert {"start", "end", "cause", "why", "frame", "text"} <= set(found["spans"][0])
    assert {span["cause"] for span in found["spans"]} <= set(CAUSES)
    assert {span["why"] for span in found["spans"]} <= set(WHYS)


def test_advice_says_what_a_change_really_saves_and_what_saves_nothing():
    text = run("nagle", "--advice")
    assert "saves 150.000 ms (nodelay=a)" in text
    assert "saves nothing (nodelay=b)" in text
    assert "saves 150.000 ms (onewrite=a)" in text


@pytest.mark.parametrize("name", ["nagle", "slow-start", "zero-window", "http-get"])
def test_no_change_takes_more_from_the_spans_at_which_it_aims_than_they_have(name):
    """python -m tools.advice does the same with 200 pieces of advice."""
    scenario = scenarios.get(name)
    timeline = scenario.timeline()
    found = path(timeline)
    advice = tried(scenario, timeline, found)
    assert advice and advice[0].saved > 0
    for one in advice:
        assert 0 < one.at_most <= found.elapsed and one.gone <= one.at_most and one.saved < found.elapsed


def test_a_change_beside_the_run_without_it():
    text = run("nagle", "--what-if", "nodelay=a")
    assert "-120.000 ms  delayed ACK (Nagle)" in text
    assert "-150.000 ms  in all" in text


def test_the_causes_are_explained():
    text = run("--list-causes")
    for name, meaning in (CAUSES | WHYS).items():
        assert not name or re.search(rf"^  {re.escape(name)} +{re.escape(meaning)}$", text, re.M)


def test_the_first_connection_is_the_one_that_connected_first(tmp_path):
    """Not the first one of the first host."""
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        late, early, server = net.host("late"), net.host("early"), net.host("server")
        for number, host in enumerate((late, early)):
            net.link(host, server, addrs=(f"10.0.{number}.1/24", f"10.0.{number}.2/24"), delay=5 * MS)
        waiting = listener(server)

        def client(host, address, begins):
            yield sleep(begins)
            sock = stream(host)
            yield sock.connect(address, 80)
            yield sock.recv_exactly(1)

        def answer():
            for _ in range(2):
                sock = yield waiting.accept()
                yield sock.sendall(b"x")

        programs = (answer(), client(late, "10.0.0.2", 50 * MS), client(early, "10.0.1.2", 1 * MS))
        finish(net, *(spawn(net, program) for program in programs))
    (tmp_path / "run").write_bytes(out.kept)
    assert run(str(tmp_path / "run")).startswith("early tcp 10.0.1.1:")


def test_a_part_of_a_run():
    found = json.loads(run("nagle", "--from", "frame=4", "--to", "frame=5", "--json"))
    assert [span["cause"] for span in found["spans"]] == ["propagation", "delayed ACK", "propagation"]
    assert found["elapsed"] == 50_000_000
    assert run("nagle", "--from", "time=0.015", "--to", "time=0.065", "--json") == run(
        "nagle", "--from", "frame=4", "--to", "frame=5", "--json"
    )


def test_a_recording_and_another_one(tmp_path):
    for name in ("nagle", "delayed-ack"):
        (tmp_path / name).write_bytes(scenarios.get(name).record())
    text = run(str(tmp_path / "nagle"), "--against", str(tmp_path / "delayed-ack"))
    assert "240.000 ms" in text and "client thinking" in text


@pytest.mark.parametrize(
    "args, message",
    [
        (("nagle", "--conn", "7.7.7.7"), "no connection has '7.7.7.7' in its name; there are:"),
        (("nagle", "--from", "frame=4", "--to", "frame=3"), "comes before"),
        (("nagle", "--from", "frame=99"), "there are frames 1 to 16"),
        (("nagle", "--from", "yesterday"), "write frame=N, event=N or time=SECONDS"),
        (("nagle", "--to", "event=99999"), "there are events from 0 to"),
        (("nagle", "--from", "frame=4", "--advice"), "compare whole requests"),
        (("nagle", "--to", "frame=5", "--what-if", "nodelay=a"), "compare whole requests"),
        (("ping",), "say where the path begins and ends"),
        (("no-such-file",), "there is no such file or scenario"),
    ],
)
def test_errors_say_what_to_write(args, message):
    assert message in run(*args, code=1)


def test_times_have_all_their_digits_and_bars_cover_the_whole():
    assert ms(1) == "0.000001 ms" and ms(195_000_000) == "195.000 ms" and ms(-1_500_000) == "-1.500 ms"
    assert bar(0, 0, 8, 8, 4) == "████" and bar(0, 0, 4, 8, 4) == "██  "
    assert bar(0, 7, 8, 1000, 4) != "    "


def test_a_long_path_is_drawn_in_few_rows_and_summed_whole():
    spans = [Span(n, n + 1, "propagation" if n % 2 else "serialization", "", "a", n, n, "") for n in range(5000)]
    found = Path(0, 5000, "a", 0, 1, spans)
    lines = list(waterfall(found))
    assert len(lines) == ROWS + 1 and "shorter spans" in lines[-1]
    assert list(sums(found))[-1].split() == ["0.005", "ms", "100.0", "%", "in", "all"]


def test_every_cause_has_a_group_and_the_groups_have_only_causes():
    """Views draw causes by their groups; only these three are "other"."""
    grouped = [cause for _, causes in GROUPS.values() for cause in causes]
    assert len(grouped) == len(set(grouped)) and set(grouped) <= set(CAUSES)
    assert {cause for cause in CAUSES if group(cause) == "other"} == {"timer", "driver", "unknown"}
