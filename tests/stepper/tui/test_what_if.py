"""What if: another run of the scenario, both side by side, and back to the first one."""

import pytest

from tests.stepper.tui.screen import watch


@pytest.mark.parametrize("size", [(80, 24), (140, 45)], ids=["80x24", "140x45"])
def test_the_lost_frame_arrives(size):
    async def story(person):
        await person.command("whatif deliver=8")
        text = person.text()
        assert "loss-fast-retransmit, if frame 8 had arrived" in text
        assert "1 lost, 1 retransmission " in f"{text} " and "0 lost, 0 retransmissions" in text
        await person.command("goto frame 8")
        (row,) = [line for line in person.lines() if " ~ " in line and "LOST" in line]
        assert row.count("5793:7241") == 2
        await person.press("x")
        assert person.lines()[0].strip().startswith("loss-fast-retransmit, if frame 8 had arrived")
        assert person.session.frame.fate == "delivered"
        await person.command('until event.kind == "retransmit"')
        assert person.session.failed  # there is none in this run
        await person.press("x", "1")
        await person.command('until event.kind == "retransmit"')
        assert not person.session.failed and "fast retransmission" in person.text()

    watch(story, size=size)


def test_at_the_cursor():
    async def story(person):
        await person.command("goto frame 4")
        await person.command("whatif nodelay=a")
        first, other = person.session.runs()
        assert not person.session.failed
        assert first.frames[5].time - first.start == 65_000_000  # Nagle and the delayed ACK
        assert other.frames[4].time - other.start < 65_000_000

    watch(story, "nagle")


def test_try_runs_what_the_scenario_suggests():
    """Wherever the cursor is: the same run as from the beginning."""

    async def story(person):
        await person.command("try")
        assert "1 what if a set TCP_NODELAY? (nodelay=a); 2 what if b set TCP_QUICKACK?" in person.session.message
        await person.command("goto frame 9")
        await person.command("try 1")
        assert not person.session.failed
        _, other = person.session.runs()
        assert other.name == "nagle, if a had set TCP_NODELAY"
        assert not any(str(entry.kind) == "tcp.hold" for entry in other.events)
        await person.command("try 9")
        assert person.session.failed and "there is no change '9' to try; there are 3" in person.session.message

    watch(story, "nagle")


def test_what_cannot_be_is_told_on_one_line():
    async def story(person):
        for line, words in (
            ("whatif", "whatif needs one or more of drop=FRAME"),
            ("whatif drop=9999", "there is no frame 9999"),
            ("whatif fly=1", "'fly=1' is not a change"),
            ("whatif nodelay=nobody", "there is no host 'nobody'"),
            ("swap", "there is no other run"),
            ("view compare", "there is no other run to compare with"),
        ):
            await person.command(line)
            assert person.session.failed and words in person.session.message and "\n" not in person.session.message
        person.session.scenario = None
        await person.command("whatif drop=5")
        assert "this is a recording" in person.session.message

    watch(story)


def test_a_value_leads_to_its_last_change_and_words_to_their_place():
    async def story(person):
        await person.command("goto event 400")
        await person.command("changed cwnd")
        at = person.session.cursor.position
        assert not person.session.failed and at < 400
        assert "cwnd" in person.session.timeline.diff(at)[person.session.conn]
        await person.command("changed nothing")
        assert person.session.failed and "no field 'nothing'" in person.session.message
        await person.command("first")
        await person.command("find fast retransmission")
        assert str(person.session.entry.kind) == "tcp.retransmit" and person.session.message.startswith(
            "event: a tcp.retransmit"
        )
        await person.command("find no such words")
        assert person.session.failed and "after this place" in person.session.message

    watch(story)
