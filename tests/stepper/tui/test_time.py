"""Where the time of a request went, on the terminal: the waterfall, linked both ways with the cursor, and beside another run."""

import pytest

from pystack.stepper import changes, scenarios
from pystack.stepper.branch import branch
from pystack.stepper.timing import path
from pystack.stepper.timing.requests import event_of, span_at
from pystack.stepper.timing.text import ms, what
from pystack.stepper.tui import TerminalSession
from tests.stepper.tui.screen import watch, watch_session

sizes = pytest.mark.parametrize("size", [(80, 24), (140, 45)], ids=["80x24", "140x45"])


def rows(person):
    """The lines of the spans that are in sight."""
    pane = person.app.query_one("#time")
    return [line for line, place in zip(pane.render().plain.splitlines(), pane.places) if place >= 0]


@sizes
def test_the_waterfall_is_a_key_away_and_has_every_span(size):
    async def story(person):
        known = path(person.session.timeline)
        await person.press("s")
        assert "195.000 ms █ held back 61.5 % █ on its way 38.5 %" in person.text()
        seen = []
        for number in range(1, len(known.spans) + 1):
            await person.command(f"span {number}")
            (line,) = (line for line in rows(person) if line.startswith(">"))
            seen.append(line)
        for line, span in zip(seen, known.spans, strict=True):
            assert f" {ms(span.duration)} " in line and what(span) in line
        await person.command("span largest")
        assert person.session.cursor.position == event_of(person.session.timeline, known.spans[4])
        await person.press("1", "5")
        assert "Where the time went" in person.text()

    watch(story, "nagle", size)


@sizes
def test_a_span_leads_to_its_frame_and_an_event_to_its_span(size):
    async def story(person):
        timeline = person.session.timeline
        known = path(timeline)
        await person.press("s", "f")
        for at in range(1, 6):
            await person.press("down")
            span = known.spans[at]
            assert person.session.cursor.position == event_of(timeline, span)
            if span.frame:
                assert person.session.frame.number == span.frame
            text = person.pane("time").replace("\n", " ")
            assert f"{ms(span.duration)} {what(span)}, from {ms(span.start - known.begin)}" in text
        for position in range(0, len(timeline.events), 29):
            await person.command(f"goto event {position}")
            wanted = span_at(timeline, known.spans, position)
            marked = [line for line in rows(person) if line.startswith(">")]
            assert len(marked) == (wanted >= 0)
            assert not marked or f" {ms(known.spans[wanted].duration)} " in marked[0]
        # a click is a way, too
        await person.command("first")
        place = person.app.query_one("#time").places.index(3)
        await person.pilot.click("#time", offset=(20, place + 1))
        assert person.session.cursor.position == event_of(timeline, known.spans[3])

    watch(story, "nagle", size)


def test_the_request_is_chosen_by_a_command():
    async def story(person):
        timeline = person.session.timeline
        await person.command("time from frame=4 to frame=5")
        assert "50.000 ms" in person.lines()[2] and "from frame=4 to frame=5" in person.lines()[1]
        server = next(key for key in timeline.connections if key.startswith("b tcp 10.0.0.2:80-10"))
        await person.command(f"time {server}")
        assert ms(path(timeline, server).elapsed) in person.lines()[2]
        for line, words in (
            ("time nobody", "no connection has 'nobody' in its name"),
            ("time from noon", "write frame=N, event=N or time=SECONDS"),
            ("time to", "to needs a place"),
            ("span 99", "there are spans 1 to"),
            ("span x", "span needs a number"),
        ):
            await person.command(line)
            assert person.session.failed and words in person.session.message, line
        assert ms(path(timeline, server).elapsed) in person.lines()[2]  # the last good request stays

    watch(story, "nagle")


@sizes
def test_two_runs_stand_side_by_side_with_what_grew(size):
    async def story(person):
        before = path(person.session.timeline)
        after = path(branch(scenarios.get("nagle"), None, changes.parse("nodelay=a")))
        await person.command("whatif nodelay=a")
        await person.press("s", "f")
        text = person.text()
        assert f"{ms(before.elapsed)} → {ms(after.elapsed)}" in text
        assert "▼ -120.000 ms delayed ACK (Nagle): 120.000 ms here, 0.000 ms there" in text
        lines = rows(person)
        assert all("│" in line for line in lines) and ms(after.spans[0].duration) in lines[0].rpartition("│")[2]
        await person.press("x")
        assert f"{ms(after.elapsed)} → {ms(before.elapsed)}" in person.text()
        assert "▲ +120.000 ms delayed ACK (Nagle): 0.000 ms here, 120.000 ms there" in person.text()

    watch(story, "nagle", size)


def test_a_second_run_from_elsewhere():
    session = TerminalSession(scenarios.get("nagle").timeline())
    session.compare_with(scenarios.get("rto").timeline())

    async def story(person):
        await person.press("s", "f")
        assert "RTO (loss, retransmission timeout)" in person.text() and "▲" in person.text()

    watch_session(story, session)


def test_a_run_without_a_request_says_so():
    async def story(person):
        await person.press("s")
        assert "there is no TCP connection with data in it" in person.text()
        await person.press("down")
        assert person.session.failed

    watch(story, "ping")
