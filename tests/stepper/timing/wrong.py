"""Deliberately wrong walks. Their sums are exact, too, so only a disturbance shows that they are wrong."""

from typing import Any

from pystack.stepper.records import Entry
from pystack.stepper.timing.walk import Walk
from pystack.stepper.ways import Passage

_step = Walk.step


def behind(self: Walk, passage: Passage, entry: Entry) -> Passage:
    """Go on at the sender of a frame that waited, and not behind the frames ahead of it."""
    self.span(passage.sent, "queueing", "", passage.frame + 1, entry.index, "")
    return passage


def step(self: Walk, at: int) -> int:
    """Go on at the input before the right one."""
    inputs = self.index.inputs[self.timeline.hosts.index(self.events[at].host)]
    earlier = [one for one in inputs if one < self.index.input_of(at)]
    return _step(self, earlier[-1] if earlier and at != self.last else at)


def timer(self: Walk, entry: Entry) -> int:
    """Go on at the last input before a timer expired, and not where it was set."""
    inputs = self.index.inputs[self.timeline.hosts.index(entry.host)]
    earlier = [one for one in inputs if self.events[one].time < entry.time]
    if not earlier:
        return -1
    self.span(self.events[earlier[-1]].time, "delayed ACK", entry.host, 0, entry.index, "")
    return earlier[-1]


def call(self: Walk, entry: Entry) -> int:
    """Go on at the last frame that came to the host before a program called, and not at what woke the program."""
    inputs = self.index.inputs[self.timeline.hosts.index(entry.host)]
    earlier = [one for one in inputs if one < entry.index and self.timeline.kind(one) == "frame.in"]
    if not earlier:
        return -1
    self.span(self.events[earlier[-1]].time, self.thinking(entry.host), entry.host, 0, entry.index, "")
    return earlier[-1]


#: name of the method of Walk -> what stands in for it
WRONG: dict[str, Any] = {"behind": behind, "step": step, "timer": timer, "call": call}
