"""Random runs: the sums are exact, and holding a frame back moves the end only if the frame is on the path.

`make paths` does the same with 1,000 runs and 100 frames of a sample.
"""

import pytest

from pystack.stepper.timing import path
from pystack.stepper.timing.walk import Walk
from tests.stepper.timing.runs import check_sum, contradicts, disturbed, scenario
from tests.stepper.timing.wrong import WRONG

#: runs that contradict each wrong walk
WITNESSES = (0, 53)


@pytest.mark.parametrize("seed", range(12))
def test_the_sum_is_exact(seed):
    check_sum(path(scenario(seed).timeline()))


@pytest.mark.parametrize("seed", [0, 2, 5, 9])
def test_a_held_frame_moves_the_end_only_if_it_is_on_the_path(seed):
    measured = disturbed(seed, 6, ties=1)
    assert len(measured.held) == 6 and not measured.wrong and not measured.derived
    check_sum(measured.found)


@pytest.fixture(scope="module")
def measured():
    return [disturbed(seed, 20) for seed in WITNESSES]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_walk_is_noticed(monkeypatch, measured, name):
    """The control: its sums are exact, but held frames contradict it."""
    assert not any(contradicts(one.found, one) for one in measured)
    monkeypatch.setattr(Walk, name, WRONG[name])
    found = [path(one.timeline) for one in measured]
    for one in found:
        assert sum(span.duration for span in one) == one.elapsed
    assert any(contradicts(one, two) for one, two in zip(found, measured))
