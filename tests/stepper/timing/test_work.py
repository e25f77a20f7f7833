"""The work for an answer grows in proportion to the recording. The test counts lines of Python and unpacked groups of columns, not time."""

import sys
from types import FrameType
from typing import Any

import pytest

from pystack.stepper import store
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing import index, path
from tools.bench import where

#: the frames of the small recording, and how much longer the other one is
FRAMES, TIMES = 600, 5
#: a long recording may take so much more work for each frame than a short one
MORE = 1.3


class Work:
    """Counts, inside a `with`, the lines that run and the groups of columns that are unpacked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.lines = self.groups = 0
        self.monkeypatch = monkeypatch

    def __enter__(self) -> "Work":
        inflated = store.inflated

        def counted(data: Any) -> Any:
            self.groups += 1
            return inflated(data)

        self.monkeypatch.setattr(store, "inflated", counted)
        self.before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)
        self.monkeypatch.undo()

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            self.lines += 1
        return self._trace


@pytest.fixture(scope="module", params=[where.upload, where.requests])
def timelines(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    found = []
    for frames in (FRAMES, FRAMES * TIMES):
        file = str(folder / f"{frames}.pytrace")
        request.param(file, frames)
        found.append(Timeline.load(file))
    return found


def work(timeline, monkeypatch, conn=""):
    """Return what an answer takes: the lines of Python, and the groups of columns that it unpacks."""
    fresh(timeline)
    with Work(monkeypatch) as done:
        found = path(timeline, conn)
    assert sum(span.duration for span in found) == found.elapsed
    return done


def fresh(timeline):
    """Forget the blocks that were unpacked before."""
    for table in (timeline.events, timeline.frames, timeline.frames.rests, timeline.ways.passages):
        table.forget()


def test_the_lines_that_run_grow_in_proportion(timelines, monkeypatch):
    small, large = (work(timeline, monkeypatch).lines / len(timeline.frames) for timeline in timelines)
    assert large < MORE * small


def test_a_request_at_the_end_takes_no_more_work(timelines, monkeypatch):
    small, large = (
        work(timeline, monkeypatch, timeline.connections[-1]).lines / len(timeline.frames) for timeline in timelines
    )
    assert large < MORE * small


def test_a_group_of_columns_is_unpacked_twice_at_most(timelines, monkeypatch):
    """The walk goes back to some blocks. Of the bytes behind headers, only the first ones of a connection are read: they may be TLS."""
    for timeline in timelines:
        tables = timeline.events, timeline.frames, timeline.ways.passages
        groups = sum(len(table.blocks) * len(table.shape.groups) for table in tables)
        assert len(timeline.events.blocks) <= work(timeline, monkeypatch).groups <= 2 * groups
        assert set(timeline.frames.rests.cache) <= {0}


@pytest.mark.parametrize("timelines", [where.requests], indirect=True)
def test_control_a_search_through_everything_does_not_go_unnoticed(timelines, monkeypatch):
    def last(self, kind, conn, before):
        found = -1
        for at in self.kinds.get((kind, conn), []):
            if at < before:
                found = at
        return found

    amounts = []
    for timeline in timelines:
        monkeypatch.setattr(index.Lookup, "last", last)
        amounts.append(work(timeline, monkeypatch).lines / len(timeline.frames))
    assert amounts[1] > MORE * amounts[0]
