"""Random runs: the sums are exact, and holding a frame back moves the end only if the frame is on the path.

`make paths` does the same with 1,000 runs and 100 frames of a sample.
"""

import pytest

from pystack.stepper.timing import path
from pystack.stepper.timing.walk import Walk
from tests.stepper.timing.runs import check_sum, disturbed, scenario


@pytest.mark.parametrize("seed", range(12))
def test_the_sum_is_exact(seed):
    check_sum(path(scenario(seed).timeline()))


@pytest.mark.parametrize("seed", [0, 3, 5, 9])
def test_a_held_frame_moves_the_end_only_if_it_is_on_the_path(seed):
    found, wrong, tried = disturbed(seed, 6)
    assert tried and not wrong
    check_sum(found)


def test_a_wrong_walk_is_noticed(monkeypatch):
    """The control: a walk that goes on at the sender of a frame that waited, and not behind the frames ahead of it, has exact sums, too."""

    def behind(self, passage, entry):
        self.span(passage.sent, "queueing", "", passage.frame + 1, entry.index, "")
        return passage

    monkeypatch.setattr(Walk, "behind", behind)
    found = [disturbed(seed, 8) for seed in (0, 3, 9)]
    for one, _, _ in found:
        check_sum(one)
    assert any(wrong for _, wrong, _ in found)


def test_a_walk_that_takes_another_input_is_noticed(monkeypatch):
    """The control: the input before the right one leads to exact sums, too."""
    original = Walk.step

    def step(self, at):
        inputs = self.index.inputs[self.timeline.hosts.index(self.events[at].host)]
        earlier = [one for one in inputs if one < self.index.input_of(at)]
        return original(self, earlier[-1] if earlier and at != self.last else at)

    monkeypatch.setattr(Walk, "step", step)
    found = [disturbed(seed, 8) for seed in (0, 3)]
    assert any(wrong for _, wrong, _ in found)
