"""The scenarios in the order of the course, and the what-ifs that they suggest."""

import pytest

from pystack.stepper import branch, changes, scenarios
from pystack.stepper.scenarios import course
from pystack.stepper.scenarios.base import SCENARIOS, Scenario
from tests.stepper.test_command import run


def frames(timeline):
    return [(frame.time, frame.summary, frame.fate) for frame in timeline.frames]


def test_every_scenario_has_one_place():
    # (A name with a colon is a variant of a scenario, which the list does not repeat.)
    assert sorted(scenarios.NAMES) == sorted(name for name in SCENARIOS if ":" not in name)
    listed = [name for _, names in course.PARTS for name in names]
    assert len(set(listed)) == len(listed)


def test_a_scenario_that_the_course_does_not_list_comes_last():
    assert course.parts(["mine", "rto", "ping"]) == [
        ("IP packets, ICMP and fragments", ["ping"]),
        ("TCP: congestion control and loss", ["rto"]),
        ("More", ["mine"]),
    ]
    plain = Scenario("mine", lambda net: None, "", "", (), "")
    assert plain.tries == () and plain.pane == ""


def test_the_list_has_the_parts():
    said = run("--list")
    places = [said.index(f"{title}\n") for title, _ in scenarios.PARTS]
    assert places == sorted(places) and places[0] == 0


def test_why_ends_with_what_to_try():
    assert "What if a set TCP_NODELAY? pystack step nagle --what-if nodelay=a\n" in run("nagle", "--why")


@pytest.mark.parametrize("name", [name for name in scenarios.NAMES if scenarios.get(name).tries])
def test_each_try_makes_a_difference(name):
    scenario = scenarios.get(name)
    original = scenario.timeline()
    for one in scenario.tries:
        assert not one.text.endswith("?") and not one.text[0].isupper()
        other = branch.branch(scenario, None, *(changes.parse(text) for text in one.changes.split()))
        assert branch.diverges(original, other) >= 0, one
        assert frames(original) != frames(other), one
