"""The scenario post and its page: docs/explanation/anatomy-of-a-post.md has the numbers of the runs, and the path is the right one."""

import json

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.stepper import scenarios
from pystack.stepper.branch import Hold, branch
from pystack.stepper.scenarios import post
from pystack.stepper.timing import path
from tools import post_page

#: ns; so short that a frame which is held is not overtaken by the next one on a link of 1 Gbit/s
HELD = 100


@pytest.fixture(scope="module")
def scenario():
    return scenarios.get("post")


@pytest.fixture(scope="module")
def timeline(scenario):
    return scenario.timeline()


@pytest.fixture(scope="module")
def found(timeline):
    return path(timeline)


def test_the_pages_tables_are_those_of_the_runs():
    text = post_page.PAGE.read_text()
    assert post_page.filled(text) == text, "run tools/post_page.py"


def test_control_another_number_is_noticed(timeline):
    text = post_page.PAGE.read_text()
    for one in (post_page.stages(timeline), post_page.causes(timeline), post_page.layers(timeline)):
        assert one in text and one.replace("0", "1", 1) not in text


def test_what_the_page_says_of_the_path(timeline, found):
    totals = found.totals()
    assert "unknown" not in {cause for cause, _ in totals}
    assert next(iter(totals)) == ("delayed ACK", "Nagle")
    # four waits of the database, and one of the client
    waits = [span for span in found if span.cause == "delayed ACK"]
    assert [span.host for span in waits] == ["db"] * 4 + ["client"] and all(
        span.duration == 40_000_000 for span in waits
    )
    (lost,) = (frame for frame in timeline.frames if frame.fate == "lost")
    (again,) = (entry for entry in timeline.events if entry.kind == "tcp.retransmit")
    assert lost.host == "gateway" and "fast retransmission" in again.reason
    assert "login" not in {span.host for span in found}
    numbers = set(found.frames())
    assert not numbers & {frame.number for frame in timeline.frames if "login" in (frame.host, frame.to)}
    assert {"name lookup", "connection", "TLS handshake", "congestion window", "Nagle", "proxy buffer", "ARP"} <= {
        why for _, why in totals
    }
    assert [span.host for span in found if span.cause == "TLS computing"] == ["client", "proxy", "client"]


def test_a_held_frame_moves_the_end_only_if_it_is_on_the_path(scenario, timeline, found):
    """The proof (see tests/stepper/timing/runs.py), with every fourth frame of the path and some others."""
    on_path = found.frames()
    ties = found.ties
    others = [frame.number for frame in timeline.frames if frame.number not in on_path and frame.fate == "delivered"]
    chosen = on_path[::4]
    chosen += [number for number in others[::19] if number not in ties]
    wrong = []
    for number in chosen:
        change = path(branch(scenario, None, Hold(number, HELD)), found.conn, begin=0).elapsed - found.elapsed
        if change != (HELD if number in on_path else 0):
            wrong.append((number, change, number in on_path))
    assert len(chosen) >= 25 and wrong == []


@pytest.mark.parametrize("name", post.VARIANTS)
def test_a_variant_is_a_scenario_of_its_own(name):
    """`pystack time post:NAME` and `--against post:NAME` work, and the run is the same each time."""
    output = CliRunner().invoke(cli, ["time", f"post:{name}", "--json"], standalone_mode=False).output
    spans = json.loads(output)["spans"]
    assert spans and "unknown" not in {span["cause"] for span in spans}


def test_a_variant_beside_the_run():
    output = CliRunner().invoke(cli, ["time", "post", "--against", "post:one-write"], standalone_mode=False).output
    assert "-200.000 ms  delayed ACK (Nagle)" in output


def test_the_same_seed_gives_the_same_run(scenario):
    assert scenario.record() == scenario.record()
