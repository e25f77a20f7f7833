"""Forty runs whose answer is known by construction, to the nanosecond, each with its control."""

import pytest

from pystack.stepper import scenarios
from pystack.stepper.timing import CAUSES, WHYS, path
from tests.stepper.timing.cases import CASES


def test_there_are_enough():
    assert len({case.name for case in CASES}) == len(CASES) >= 30


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_sums_are_the_known_ones(case):
    found = path(case.scenario().timeline())
    assert found.totals() == case.expected
    assert found.elapsed == sum(case.expected.values())
    for cause, why in found.totals():
        assert cause in CAUSES and why in WHYS


def test_after_a_timeout_the_other_lost_segments_waited_for_it_too():
    found = path(scenarios.get("rto").timeline()).totals()
    assert found["RTO", "loss, retransmission timeout"] == 1_680_000_000
    assert not any(why == "loss, fast retransmit" for _, why in found)


def test_a_forged_note_cannot_keep_the_walk_busy():
    timeline = scenarios.get("nagle").timeline()
    steps = timeline.ways.steps
    steps.update((number, step._replace(after=1 << 40)) for number, step in steps.items() if step.why == "ready")
    found = path(timeline)
    assert found.elapsed == sum(span.duration for span in found)
    assert "unknown" in {span.cause for span in found}
