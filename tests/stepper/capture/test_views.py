"""A capture in every face of the stepper: text, reasons, plots, connections, the terminal, the page; and what it cannot show."""

import re

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.stepper import Cursor, Timeline, scenarios
from pystack.stepper.capture.text import conversations
from pystack.stepper.capture.why import _MECHANISMS, _SENTENCES
from pystack.stepper.explain import MECHANISMS, why
from pystack.stepper.plot import data as plot
from pystack.stepper.plot.ladder import ladder as rows_of
from pystack.trace.errors import TraceError
from tests.stepper.capture import corpus
from tests.stepper.tui.screen import watch_session

LOSS = "loss-fast-retransmit"


@pytest.fixture(scope="module")
def run():
    return scenarios.get(LOSS).timeline()


@pytest.fixture(scope="module")
def data(run):
    return corpus.pcapng(corpus.seen_by(run, "a"))


@pytest.fixture
def timeline(data):
    return Timeline.of(data, "lan.pcapng")


@pytest.fixture
def path(data, tmp_path):
    file = tmp_path / "lan.pcapng"
    file.write_bytes(data)
    return str(file)


def said(*args, status=0):
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert result.exit_code == status, result.output
    return result.output


def test_frames_are_arrows_between_the_addresses(run, timeline):
    assert timeline.hosts == ["10.0.0.1", "10.0.0.2"] and timeline.inferred and timeline.complete
    ladder = rows_of(timeline)
    assert ladder.lines == timeline.hosts
    assert all(one < two for one, two in zip(ladder.departs, ladder.arrives))
    sent = [
        frame.host == "a"
        for _, _, frame in sorted(
            (f.time if f.host == "a" else f.arrival, f.index, f) for f in run.frames if f.host == "a" or f.arrival
        )
    ]
    assert [frame.host == "10.0.0.1" for frame in timeline.frames] == sent
    assert {frame.fate for frame in timeline.frames} == {"delivered"}


def test_every_frame_has_an_answer():
    seen = {}
    for _, data in (*corpus.of_forged(), *list(corpus.of_scenarios())[:14]):
        timeline = Timeline.of(data)
        for frame in timeline.frames:
            found = why(timeline, frame=frame.number)
            assert found.mechanism in MECHANISMS and found.sentences
            assert all(
                (one[0].isalnum() or one[0] == ":") and one.endswith(".") and "None" not in one and " -1" not in one
                for one in found.sentences
            ), found
            seen[found.mechanism] = str(found)
        for entry in timeline.events:
            if entry.kind == "tcp.inferred":
                assert str(why(timeline, event=entry.index)) in str(why(timeline, frame=entry.frame + 1))
    assert set(_MECHANISMS) == set(_SENTENCES)
    assert set(seen) >= set(_MECHANISMS.values()) | {"handshake", "ack", "data", "close", "reset"}


def test_why_the_segment_was_sent_again(timeline):
    cursor = Cursor(timeline)
    cursor.add_break("event.kind == 'inferred' and 'fast' in event.reason")
    stop = cursor.run()
    assert stop is not None
    text = str(why(timeline, event=cursor.position))
    assert re.fullmatch(
        r"It is a fast retransmission: 10.0.0.2 had sent 3 duplicate ACKs, the last one 0 ms before \(RFC 5681 section 3.2\).",
        text,
    )
    number = timeline.events[cursor.position].frame + 1
    assert "sends bytes 5793:7241 to 10.0.0.2" in str(why(timeline, frame=number))


def test_the_commands(path, tmp_path):
    lines = said("step", path, "--conversations").splitlines()
    assert re.match(r" +1 10.0.0.1:55993 > 10.0.0.2:80 +61448 +0 +79 ", lines[1]) and "40.118 ms" in lines[1]
    assert lines[2].strip() == "duplicate ACK 15, fast retransmission 1"
    assert "duplicate ACK 3 of that in frame" in said("step", path, "--text")
    assert "sends bytes 24617:26065" in said("step", path, "--why", "--at", "frame=25")
    assert "6 stops" not in said("step", path, "--break", "'duplicate' in event.reason")
    said("step", path, "--export", tmp_path / "page.html")
    for kind in ("sequence", "throughput", "rtt", "ladder", "waterfall"):
        said("plot", path, "--kind", kind, "-o", tmp_path / f"{kind}.svg")


@pytest.mark.parametrize(
    "command",
    [
        "step {} --verify",
        "step {} --what-if nodelay=a",
        "plot {} --kind cwnd -o x.svg",
    ],
)
def test_what_needs_a_recording(path, command):
    output = said(*command.format(path).split(), status=1)
    assert re.search(r"it is a capture, which contains no decisions of a stack; .* needs a recording", output)
    assert len(output.splitlines()) == 1


def test_a_recording_has_a_list_of_conversations_too(tmp_path):
    file = tmp_path / "run.pytrace"
    file.write_bytes(scenarios.get("http-get").record())
    assert "   1 TCP 10.0.0.1:" in said("step", file, "--conversations")
    file.write_bytes(scenarios.get("ping").record())
    assert "no conversation of TCP or UDP" in said("step", file, "--conversations")


def test_the_plots_have_the_recordings_numbers(run, timeline):
    """What is inferred at the sender equals what the sender's own events say."""
    ours, theirs = (plot.sequence(one, plot.find_connection(one, "55993-")) for one in (timeline, run))
    bars = [[(bar.time, bar.low, bar.high, bar.kind) for bar in one.segments] for one in (ours, theirs)]
    offset = bars[1][0][0] - bars[0][0][0]
    assert [(time + offset, *rest) for time, *rest in bars[0]] == bars[1]
    assert [value for value in ours.acked.values if value] == [value for value in theirs.acked.values if value]
    samples = plot.rtt(timeline, ours.key).samples
    assert len(samples) > 15 and all(40_000_000 <= sample <= 100_000_000 for _, sample, _ in samples)
    measured = plot.throughput(timeline, ours.key)
    assert (sum(measured.first), sum(measured.again)) == (60001, 1448)


def test_an_empty_list_of_connections():
    timeline = Timeline.of(corpus.pcapng(corpus.seen_by(scenarios.get("ping").timeline(), "a")))
    assert list(conversations(timeline))[-1].strip() == "no TCP connection in it"
    with pytest.raises(TraceError, match="needs a recording"):
        raise timeline.beyond("this")


def test_the_terminal(timeline):
    from pystack.stepper.tui.session import TerminalSession

    async def story(person):
        await person.command("goto frame 25")
        assert "10.0.0.1" in person.text()
        await person.press("2")
        assert "TCP: " in person.text()
        await person.press("3")
        assert "tcp.out" in person.text()
        await person.command('until event.kind == "inferred"')
        assert str(person.session.entry.kind) == "tcp.inferred"

    watch_session(story, TerminalSession(timeline), (140, 50))


def test_the_page(path, timeline):
    from tests.stepper.web.served import need_page, serving

    need_page()
    with serving(path) as server:
        found = server.json("api/0/overview")
        assert found["hosts"] == ["10.0.0.1", "10.0.0.2"] and found["frames"] == len(timeline.frames)
        for number in range(-(-found["events"] // found["eventChunk"])):
            assert server.json(f"api/0/events/{number}")["events"]
        assert server.json("api/0/frames/0")[3]["tree"]
