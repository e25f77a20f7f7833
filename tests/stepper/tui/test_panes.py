"""Each view of the terminal stepper shows what the timeline has."""

import re
from types import SimpleNamespace

from pystack.stepper import scenarios
from pystack.stepper.tui import ladder, rows
from pystack.stepper.tui.commands import Commands
from pystack.stepper.tui.scale import FLIGHT, distance, line_time
from pystack.stepper.tui.session import TerminalSession
from tests.stepper.tui.screen import watch


def test_the_field_tree_and_the_bytes():
    async def story(person):
        await person.command("goto frame 4")
        await person.press("2")
        text = person.text()
        assert "TCP: " in text and "Source port" in text and "10.0.0.1 > 10.0.0.2" in text
        await person.command("field tcp.seq")
        node = person.session.node
        assert (node.abbrev, node.offset, node.size) == ("tcp.seq", 38, 4)
        assert "tcp.seq: bytes 38-41" in person.text()
        spans = person.app.query_one("#hex").render().spans
        marked = "".join(person.pane("hex")[span.start : span.end] for span in spans if "reverse" in str(span.style))
        assert node.value.to_bytes(4, "big").hex() in marked.replace(" ", "")
        # The same field stays chosen in the next frame; its other value is shown.
        before = node.value
        await person.press("f")
        assert person.session.node.abbrev == "tcp.seq" and person.session.node.value != before

    watch(story)


def test_a_field_is_chosen_with_the_arrow_keys():
    async def story(person):
        await person.command("goto frame 4")
        await person.press("2", "down", "down", "down", "down")
        assert person.session.field[0] == "tcp.srcport"
        assert "tcp.srcport: bytes 34-35" in person.text()
        assert "Source port: the sender's end of the connection" in person.text()

    watch(story)


def test_events_and_timers():
    async def story(person):
        await person.command('until event.kind == "retransmit"')
        await person.press("3")
        lines = person.lines()
        (here,) = [line for line in lines if line.startswith(" >")]
        assert "tcp.retransmit" in here
        assert any("236.573 ms retransmission a:" in line for line in lines)
        await person.press("down")
        assert str(person.session.entry.kind) == "tcp.out"

    watch(story)


def test_everything_at_once_where_there_is_room():
    async def story(person):
        await person.command('until event.kind == "retransmit"')
        text = person.text()
        assert person.app.query_one("#ladder").border_title.split(" (")[0] == "Ladder"
        for part in ("Ladder", "Events", "Frame 33", "TCP: ", "ESTABLISHED", "Timers", "Why", "fast retransmission"):
            assert part in text
        await person.pilot.resize_terminal(80, 24)
        await person.pilot.pause()
        assert "Events" not in person.text() and "Ladder" in person.text()

    watch(story, size=(140, 45))


def test_a_ladder_of_four_hosts():
    async def story(person):
        lines = person.lines()
        heading = next(line for line in lines if "r1" in line)
        assert heading.split()[2:] == ["a", "r1", "r2", "b"]
        await person.press("f", "f", "y")
        assert "the TTL has expired [RFC 1812 5.3.1]" in person.text()
        await person.press("y")
        assert any("─>!" in line for line in person.lines())

    watch(story, "traceroute")


def test_a_ladder_has_lines_for_timers_calls_and_waits():
    async def story(person):
        await person.command("last")
        lines = person.lines()
        timer = next(n for n, line in enumerate(lines) if "◷ time-wait, CLOSED" in line)
        assert lines[timer].split()[:3] == [">", "60.270000", "●"]  # its own time, and the cursor is there
        assert "60 s later" in lines[timer - 1]
        assert not any("later" in line and "210 ms" not in line for line in lines[: timer - 1])
        shown = [line.plain for line in ladder.lines(person.session, 140, 60)[0]]
        assert any("ESTABLISHED, accept, close, listener CLOSED ●" in line for line in shown)

    watch(story, "time-wait")


def test_the_ladder_to_scale():
    """A wait has lines in proportion to its time, one that is too long is broken off, and rows of one moment have a line each."""

    async def story(person):
        await person.command("goto frame 5")
        await person.press("m")
        assert "Ladder, to scale: a line is 5 ms" in person.text()
        lines = [line.split("│ ")[0] for line in person.lines()]
        marked = [(n, line) for n, line in enumerate(lines) if re.match(r"[ >]+(\d+ +)?\d+\.\d{6} ", line)]
        times = {}
        for n, line in marked:
            times.setdefault(float(re.search(r"\d+\.\d{6}", line)[0]), []).append(n)
        assert len(times) > 5
        for (before, above), (time, below) in zip(times.items(), list(times.items())[1:]):
            if time - before < 0.045:
                assert below[0] - above[-1] == max(1, round((time - before) / 0.005)), (before, time)
        cut = [n for n, line in enumerate(lines) if "210 ms later (not to scale)" in line]
        assert cut == [times[0.05][-1] + 1] == [times[0.26][0] - 1]
        assert any(line.strip().startswith("·") for line in lines)
        # a click finds its frame, and an empty line is no frame
        row = next(n for n, line in marked if line.split()[0] == "8")
        await person.pilot.click("#ladder", offset=(20, row - 1))
        assert person.session.frame.number == 8
        await person.press("m")
        assert "to scale" not in person.app.query_one("#ladder").border_title and "not to scale" not in person.text()

    watch(story, "time-wait", size=(80, 60))


def test_the_key_m_shows_the_ladder():
    async def story(person):
        await person.press("3", "m")
        assert "Ladder, to scale" in person.text() and "Events" not in person.text()
        await person.command("scale")
        assert "to scale" not in person.app.query_one("#ladder").border_title

    watch(story)


def test_a_line_has_a_round_time_for_every_scenario():
    """A usual flight has some lines, and the ladder is not much longer than with a line for each frame."""
    for name in ("ping", "nagle", "rto", "bufferbloat", "keep-alive"):
        timeline = scenarios.get(name).timeline()
        unit = line_time(timeline)
        assert str(unit).rstrip("0") in ("1", "2", "5")
        flights = sorted(frame.arrival - frame.time for frame in timeline.frames if frame.arrival is not None)
        assert flights[len(flights) // 2] <= FLIGHT * unit
        total = sum(len(rows.around(timeline, n, 0, unit)) for n in range(0, len(timeline.frames), 7))
        assert total < 20 * (len(timeline.frames) // 7 + 1)
    assert [distance(wait, 10) for wait in (0, 4, 14, 15, 80, 84, 90, 10**12)] == [1, 1, 1, 2, 8, 8, 0, 0]


def test_nothing_is_to_scale_if_no_time_passes(monkeypatch):
    moment = SimpleNamespace(time=5, arrival=5)
    assert line_time(SimpleNamespace(frames=[])) == line_time(SimpleNamespace(frames=[moment, moment])) == 0
    monkeypatch.setattr("pystack.stepper.tui.session.line_time", lambda timeline: 0)
    session = TerminalSession(scenarios.get("ping").timeline())
    assert not Commands(session).execute("scale")
    assert "nothing to scale" in session.message and session.unit == 0


def test_conversations_have_styles():
    """Several connections differ in colour; a run with one has the colour of the text."""
    for name, several in (("firewall-reject-or-drop", True), ("http-get", False)):
        timeline = scenarios.get(name).timeline()
        session = TerminalSession(timeline)
        found = {ladder.style(session, frame) for frame in timeline.frames if "Flags" in frame.summary}
        assert len(found - {ladder.LOST, ladder.DROPPED, ladder.AGAIN}) > 1 if several else found == {""}


def test_the_ladder_of_a_long_run_reads_only_what_is_near(monkeypatch):
    timeline = scenarios.get("bufferbloat").timeline()
    monkeypatch.setattr(rows, "MOST", 500)
    asked = []
    kind = timeline.kind
    monkeypatch.setattr(timeline, "kind", lambda index: asked.append(index) or kind(index))
    found = rows.around(timeline, 300, 200)
    assert any(row.frame == 300 for row in found) and 0 < len(asked) <= 500


def test_zoom_and_the_whole_explanation():
    async def story(person):
        await person.command('until event.kind == "retransmit"')
        hidden = person.app.query_one("#why").lines(79, 7)[-1].plain
        assert hidden not in person.text() and "Why (+" in person.text()
        await person.press("y")
        assert hidden in person.text() and "Ladder" not in person.text()
        await person.press("y")
        assert "Ladder" in person.text()

    watch(story)


def test_the_other_connection():
    async def story(person):
        await person.command('until event.kind == "retransmit"')
        assert person.app.query_one("#tcb").border_title.startswith("a:")
        await person.press("c", "c", "c")
        assert person.app.query_one("#tcb").border_title.startswith("b:")
        assert person.session.tcb()["ooo"] == 7240
        await person.press("c")
        assert person.app.query_one("#tcb").border_title.startswith("a:")

    watch(story)


def test_the_command_line_remembers():
    async def story(person):
        await person.command("print tcb.cwnd")
        assert "tcb.cwnd = None" in person.text()  # before the first event there is none
        await person.command("goto event 100")
        await person.command("print event.index")
        assert "event.index = 100" in person.text()
        await person.press("colon", "up", "up", "enter")
        assert "goto event 100" == person.app.query_one("#command").history[-1]
        await person.press("colon", "escape", "n")
        assert person.session.cursor.position == 101

    watch(story)


def test_a_click_goes_there():
    async def story(person):
        lines = person.lines()
        row = next(n for n, line in enumerate(lines) if line.startswith("     5  "))
        await person.pilot.click("#ladder", offset=(20, row - 1))
        assert person.session.frame.number == 5

    watch(story)


def test_every_scenario_is_walked_through():
    """At the smallest size nothing raises, and no line is wider than the screen."""
    for name in scenarios.NAMES:

        async def story(person):
            for count, view in ((1, "frame"), (5, "events"), (10_000, "ladder")):
                person.app.action_step("frame", count)
                person.app.do(f"view {view}")
                await person.pilot.pause()
                assert all(len(line) <= 80 for line in person.lines())
                assert person.lines()[0].strip().startswith(person.session.timeline.name)

        watch(story, name)
