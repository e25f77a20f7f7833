"""The story that the stepper is for: find the retransmission, read why, go back, stop at a breakpoint; at two sizes."""

import pytest

from tests.stepper.tui.screen import watch

SIZES = [(80, 24), (140, 45)]
sizes = pytest.mark.parametrize("size", SIZES, ids=["80x24", "140x45"])


@sizes
def test_the_retransmission_its_reason_and_back_again(size):
    async def story(person):
        assert "Why was this segment retransmitted?" in person.text()
        timeline = person.session.timeline
        first = timeline.frames[0]
        await person.press("f")
        assert person.session.frame.number == first.number and "frame 1/" in person.lines()[0]
        await person.command("goto frame 31")
        while not any(str(timeline.events[i].kind) == "tcp.retransmit" for i in person.session.frame.why):
            before, drawn = dict(person.session.tcb() or {}), person.pane("tcb")
            place = person.session.cursor.position
            await person.press("f")
            assert person.session.cursor.position > place
        assert str(person.session.entry.kind) == "frame.out"
        text = person.text()
        assert "fast retransmission" in text and "RFC 8985 6.2" in text
        assert "https://www.rfc-editor.org/rfc/rfc8985#section-6.2" in person.pane("why") or "(+" in text
        # What the step changed is told on top, and marked in its place.
        assert "*retransmitted 0 -> 1448" in person.pane("tcb")
        at_it = dict(person.session.tcb())
        await person.press("F")
        assert person.session.cursor.position == place
        assert person.session.tcb() == before != at_it
        assert "*retransmitted 1448 -> 0" in person.pane("tcb")  # backwards, it changes back
        await person.press("f", "F", "home", "end", "F", "g")
        await person.fill("frame 31")
        while person.session.cursor.position < place:
            await person.press("f")
        assert person.session.tcb() == before and person.pane("tcb") == drawn  # the same once more, forwards

    watch(story, size=size)


@sizes
def test_a_breakpoint_is_set_run_to_and_run_back_to(size):
    async def story(person):
        await person.press("b")
        await person.type('event.kind == "retransmit"')
        assert 'breakpoint 1: event.kind == "retransmit"' in person.text() and "1 stop" in person.lines()[0]
        await person.press("r")
        hit = person.session.cursor.position
        assert str(person.session.entry.kind) == "tcp.retransmit"
        assert "stopped at event" in person.text() and "fast retransmission" in person.text()
        await person.press("r")
        assert person.session.cursor.position == len(person.session.timeline.events) - 1  # there is only one
        assert "the end: nothing hit" in person.text()
        await person.press("R")
        assert person.session.cursor.position == hit
        await person.command("delete 1")
        assert "stop" not in person.lines()[0]

    watch(story, size=size)


@sizes
def test_watch_and_goto(size):
    async def story(person):
        await person.press("w")
        await person.fill("tcb.ssthresh")
        await person.press("r")
        assert str(person.session.entry.kind) == "tcp.cwnd" and "tcb.ssthresh: 1073741824 -> 10136" in person.text()
        assert "*ssthresh infinite -> 10136" in person.pane("tcb")
        await person.press("g")
        await person.fill("frame 8")
        assert person.session.frame.number == 8 and person.session.frame.fate == "lost"
        assert "LOST" in next(line for line in person.lines() if line.startswith(" >"))
        await person.command("goto time 0.0602")
        assert abs(person.session.cursor.time - person.session.timeline.start - 60_200_000) < 1_000_000

    watch(story, size=size)


@sizes
def test_a_learners_question_is_one_key_from_its_answer(size):
    async def story(person):
        assert "Why 40 ms? (a: the answer)" in person.text()
        await person.press("a")
        assert str(person.session.entry.kind) == "tcp.hold" and "Why 40 ms?" in person.lines()[-2]
        text = person.text()
        assert "Nagle's algorithm: 100 bytes are less than a full segment" in text and "It waited 50 ms" in text
        await person.press("y")
        assert "40 ms are b's delayed ACK" in person.text()

    watch(story, scenario="nagle", size=size)


def test_several_answers_one_after_the_other_and_none_of_a_recording():
    async def story(person):
        await person.press("a")
        assert "Refused: b answered the SYN with a RST" in person.text() and "the other 1" in person.session.message
        await person.press("a")
        assert "a RST with a valid sequence number arrived from b" in person.text()
        await person.press("a")
        assert "Refused: b answered" in person.text()
        person.session.scenario = None
        await person.press("a")
        assert person.session.failed and "this is a recording" in person.session.message

    watch(story, scenario="reset")


@sizes
def test_wrong_expressions_give_one_line(size):
    async def story(person):
        for line, words in (
            ("break tcb.foo < 2", "a connection has no field 'foo'"),
            ("break nothing > 1", "no name 'nothing'; there are event, tcb"),
            ("break 1 +", "not an expression"),
            ("break tcb.__class__", "_"),
            ("break", "an argument is missing, for example: break tcb.cwnd"),
            ("goto frame 9999", "there is no frame 9999; there are"),
            ("goto nowhere", "goto needs a place"),
            ("fly away", "no command 'fly'; there are break"),
            ("step mile", "a step is one of event, frame, layer, rtt"),
            ("delete 7", "there is no breakpoint '7'"),
        ):
            place = person.session.cursor.position
            await person.command(line)
            assert person.session.failed and "\n" not in person.session.message
            assert words in person.session.message
            assert words in person.text() and person.app.query_one("#message").has_class("failed")
            assert person.session.cursor.position == place and person.session.cursor.breakpoints == []
        await person.press("n")
        assert not person.app.query_one("#message").has_class("failed")

    watch(story, size=size)


@sizes
def test_the_keys_are_shown(size):
    async def story(person):
        last = person.lines()[-1]
        for key in ("n/p event", "f/F frame", "t/T rtt", "r/R run", "b break", "g goto", ": cmd", "1-5 view", "? help"):
            assert key in last
        await person.press("question_mark")
        assert "next, previous layer or host" in person.text()
        await person.press("escape")
        assert "next, previous layer or host" not in person.text()

    watch(story, size=size)
