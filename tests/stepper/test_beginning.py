"""A large file is shown by its beginning while the rest is read: in the terminal and in the browser."""

import asyncio
import io
import threading

import pytest

from pystack.stepper import Timeline, scenarios
from pystack.stepper.beginning import beginning
from pystack.trace.errors import TraceError

SIZE = 200_000


@pytest.fixture(scope="module")
def recording():
    data = scenarios.get("bufferbloat").record()
    assert len(data) > 2 * SIZE
    return data


@pytest.fixture
def path(recording, tmp_path):
    found = tmp_path / "run.pytrace"
    found.write_bytes(recording)
    return found


def test_the_beginning_is_the_same_as_that_of_the_whole(recording):
    file = io.BytesIO(recording)
    part, whole = beginning(file, "run", size=SIZE), Timeline.of(recording, "run")
    assert file.tell() == 0 and not part.crash
    assert 100 < len(part.events) < len(whole.events) / 2 and len(part.frames) > 10
    for index in range(len(part.events)):
        one, other = part.events[index], whole.events[index]
        assert (one.time, one.host, str(one.kind), one.reason, one.frame) == (
            other.time,
            other.host,
            str(other.kind),
            other.reason,
            other.frame,
        )
        assert part.state(index) == whole.state(index)


def test_a_beginning_that_shows_nothing(recording):
    """The records are compressed in blocks, and the first one is longer than these bytes."""
    assert beginning(io.BytesIO(recording), "run", size=1000) is None
    assert beginning(io.BytesIO(b"hello\n" * 1000), "notes.txt") is None


def test_the_terminal_shows_the_rest_when_it_is_read(path):
    pytest.importorskip("textual")
    from pystack.stepper.tui import StepperApp, TerminalSession

    with open(path, "rb") as file:
        first = beginning(file, str(path), size=SIZE)
    whole = Timeline.load(str(path))
    go_on = threading.Event()

    def rest(progress):
        progress(30, 100)
        assert go_on.wait(30)
        return whole

    async def story():
        app = StepperApp(TerminalSession(first), rest)
        async with app.run_test(size=(140, 40)) as pilot:
            await until(pilot, lambda: "reading: 30 %" in str(app.query_one("#top").render()))
            for _ in range(6):
                await pilot.press("f")
            at = app.session.cursor.position
            assert app.session.frame is not None and at > 0
            go_on.set()
            await until(pilot, lambda: app.session.timeline is whole)
            assert app.session.cursor.position == at
            top = str(app.query_one("#top").render())
            assert f"frame {app.session.frame.number}/{len(whole.frames)}" in top and "reading" not in top
            await pilot.press("end")
            assert app.session.cursor.position == len(whole.events) - 1

    asyncio.run(story())


def test_the_terminal_says_what_is_wrong_with_the_rest(path):
    pytest.importorskip("textual")
    from pystack.stepper.tui import StepperApp, TerminalSession

    with open(path, "rb") as file:
        first = beginning(file, str(path), size=SIZE)

    def rest(progress):
        raise TraceError("run.pytrace: corrupted, at byte 40000")

    async def story():
        app = StepperApp(TerminalSession(first), rest)
        async with app.run_test(size=(140, 40)) as pilot:
            await until(pilot, lambda: app.session.failed)
            assert app.session.message == "only the beginning is shown: run.pytrace: corrupted, at byte 40000"
            assert app.session.timeline is first

    asyncio.run(story())


async def until(pilot, true):
    for _ in range(2000):
        if true():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never became true")


def test_the_page_shows_the_beginning_first(path, recording, monkeypatch):
    pytest.importorskip("starlette")
    from pystack.stepper.web import desk

    monkeypatch.setattr(desk, "BEGINNING", SIZE)
    go_on, shown = threading.Event(), threading.Event()
    load = desk.Opening._load

    def wait(self, file):
        shown.set()
        assert go_on.wait(30)
        return load(self, file)

    monkeypatch.setattr(desk.Opening, "_load", wait)
    opening = desk.Opening("run.pytrace", lambda: open(path, "rb"), False, False)
    found = desk.Desk(opening, str(path.parent))
    assert shown.wait(30)
    assert found.progress("", "")["shown"] and not found.progress("", "")["ready"]
    first = found.session("", "").overview("0")
    go_on.set()
    opening.thread.join(60)
    assert found.progress("", "")["ready"]
    whole = found.session("", "").overview("0")
    assert 10 < first["frames"] < whole["frames"] == len(Timeline.of(recording).frames)


def test_nobody_waits_any_more(path):
    """The newest six are kept; the reading of the others ends."""
    pytest.importorskip("starlette")
    from pystack.stepper.web import desk

    found = desk.Desk(None, str(path.parent))
    opening = desk.Opening("run.pytrace", lambda: open(path, "rb"), False, False)
    opening.thread.join(60)
    found.opened[("file", "run.pytrace")] = opening
    for name in scenarios.NAMES[: desk.MOST_OPEN]:
        found.session("scenario", name)
    assert opening.stopped and len(found.opened) == desk.MOST_OPEN
    with pytest.raises(desk.StoppedError):
        opening._progress(1, 2)
