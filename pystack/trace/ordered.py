"""Puts the frames of several hosts into the order of their times, for captures.

A FrameProbe passes on a record when the next one of its host begins, so the records of two hosts come out of order. Programs that read
captures expect times that do not go backwards.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from pystack.trace.annotate import FrameRecord


class OrderedFrames:
    """A sink that passes on the records in the order of their times. At most `most` records wait; then the earliest one goes on. Call `flush` at the end."""

    def __init__(self, sink: Callable[[FrameRecord], None], most: int = 1024):
        self.sink = sink
        self.most = most
        self.count = 0
        self.waiting: list[tuple[int, int, FrameRecord]] = []

    def __call__(self, record: FrameRecord) -> None:
        """Take one record. Those without a frame are in no capture."""
        if not record.frame:
            return
        self.count += 1
        heappush(self.waiting, (record.time, self.count, record))
        if len(self.waiting) > self.most:
            self.sink(heappop(self.waiting)[2])

    def flush(self) -> None:
        """Pass on all records that wait."""
        while self.waiting:
            self.sink(heappop(self.waiting)[2])
