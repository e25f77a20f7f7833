"""Plots: the numbers in them are the run's, and the files show them."""

import struct

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.stepper import Timeline, scenarios
from pystack.stepper.plot import arrows, data
from pystack.stepper.plot.figures import KINDS, draw, frame_range, svg
from pystack.stepper.plot.ladder import broken, gaps, ladder, spread
from tests.stepper.dissect import wires

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def loss():
    return scenarios.get("loss-fast-retransmit").timeline()


@pytest.fixture(scope="module")
def clean():
    return scenarios.get("http-get").timeline()


def sender(timeline):
    return data.find_connection(timeline, None)


def test_the_sequence_has_the_loss_and_its_repair(loss):
    seq = data.sequence(loss, sender(loss))
    lost = [s for s in seq.segments if s.lost]
    again = [s for s in seq.segments if s.kind == data.RETRANSMISSION]
    assert len(lost) == len(again) == 1
    assert (lost[0].low, lost[0].high) == (again[0].low, again[0].high)
    assert loss.frames[lost[0].frame].fate == "lost" and loss.events[again[0].event].kind == "tcp.out"
    # SACK blocks lie above the hole; in the end everything is acknowledged
    assert seq.sacks and all(low >= lost[0].high for _, low, _, _ in seq.sacks)
    assert seq.acked.values[-1] == max(s.high for s in seq.segments)
    assert seq.acked.values == sorted(seq.acked.values)
    assert all(seq.edge.at(s.time) >= s.high for s in seq.segments[1:])


def test_the_sequence_of_a_run_without_loss_has_none(clean):
    seq = data.sequence(clean, sender(clean))
    assert seq.segments and not seq.sacks
    assert not any(s.lost or s.kind == data.RETRANSMISSION for s in seq.segments)


def test_sequence_numbers_go_on_past_the_wrap():
    unwrap = data.Unwrap(0xFFFFFF00)
    assert [unwrap(seq) for seq in (0xFFFFFF00, 0xFFFFFFFF, 0x10, 0x80000000, 0xFFFFFFF0, 0x100)] == [
        0, 0xFF, 0x110, 0x80000100, 0x1000000F0, 0x100000200,
    ]  # fmt: skip
    assert unwrap(0xF0) == 0x1000001F0  # a step back stays a step back


def test_throughput_adds_up(loss):
    key = sender(loss)
    flow, seq = data.throughput(loss, key), data.sequence(loss, key)
    new = sum(s.high - s.low for s in seq.segments if s.kind != data.RETRANSMISSION)
    assert sum(flow.first) == new == seq.acked.values[-1] == sum(flow.acked)
    assert sum(flow.again) == sum(s.high - s.low for s in seq.segments) - new > 0


def test_the_rows_of_a_ladder(loss):
    rungs = ladder(loss)
    rows = [row for row in rungs.departs + rungs.arrives if row >= 0] + [mark.row for mark in rungs.marks if mark.own]
    assert sorted(rows) == list(range(len(rungs.times))) and rungs.times == sorted(rungs.times)
    assert [loss.frames[i].fate for i, row in enumerate(rungs.arrives) if row < 0] == ["lost"]
    assert all(a > d for a, d in zip(rungs.arrives, rungs.departs) if a >= 0)


def test_the_two_syns_of_a_simultaneous_open_cross():
    rungs = ladder(scenarios.get("simultaneous-open").timeline())
    assert rungs.sender[0] != rungs.sender[1]
    assert max(rungs.departs[:2]) < min(rungs.arrives[:2])


def test_a_timer_and_a_listener_are_where_and_what_they_are():
    """The end of TIME-WAIT is a row of its own at its own time, and a listener's end is not the connection's."""
    timeline = scenarios.get("time-wait").timeline()
    rungs = ladder(timeline)
    timer = next(mark for mark in rungs.marks if mark.text == "◷ time-wait")
    assert timer.own and rungs.times[timer.row] == timeline.events[timer.event].time - timeline.start > 60e9
    closed = [(rungs.lines[mark.line], mark.text) for mark in rungs.marks if mark.text.endswith("CLOSED")]
    assert closed == [("b", "listener CLOSED"), ("b", "CLOSED"), ("a", "CLOSED")]
    for mark in rungs.marks:
        assert rungs.times[mark.row] == timeline.events[mark.event].time - timeline.start, mark
        assert rungs.lines[mark.line] == timeline.events[mark.event].host


def test_long_waits_are_gaps_and_to_scale_the_distance_is_the_time():
    times = [0, 0, 10, 20, 30, 10_000]
    assert gaps(times) == [0, 0, 0, 0, 0, 9970]
    rows = spread(times, False)
    assert [b - a for a, b in zip(rows, rows[1:])] == pytest.approx([1, 1, 1, 1, 2.6])
    times[-1] = 200
    scaled = spread(times, True)
    assert [y / scaled[-1] for y in scaled] == pytest.approx([time / 200 for time in times])
    assert gaps([0, 10, 20, 30]) == [0, 0, 0, 0]  # the control: nothing unusual


def test_to_scale_a_wait_that_leaves_no_room_is_broken_off():
    """The 60 s of TIME-WAIT would put all other rows into one place. The doubling of the RTO must stay to scale."""
    times = ladder(scenarios.get("time-wait").timeline()).times
    cut = broken(times)
    assert [gap for gap in cut if gap] == [60_000_000_000 - 10_000_000]
    rows = spread(times, True)
    place = times.index(260_000_000)
    assert (rows[place] - rows[0]) / (rows[cut.index(max(cut)) - 1] - rows[0]) == pytest.approx(260 / 280)
    assert not any(broken(ladder(scenarios.get("rto").timeline()).times))
    assert broken([5]) == [0] and broken([0, 0]) == [0, 0] and broken([0, 7]) == [0, 0]


def test_to_scale_the_words_are_those_of_a_frame():
    figure, _ = figure_of("time-wait", True)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert any(text.startswith("1  [S] seq 41078893") and text.endswith("(+2)") for text in words)
    assert "60 s later (not to scale)" in words


def figure_of(name, to_scale=False):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    timeline = scenarios.get(name).timeline()
    arrows.draw(figure, timeline, 0, min(len(timeline.frames), 30), to_scale)
    figure.canvas.draw()
    return figure, figure.canvas.get_renderer()


@pytest.mark.parametrize("to_scale", [False, True])
@pytest.mark.parametrize("name", ["pmtud", "zero-window", "traceroute", "time-wait"])
def test_no_arrow_crosses_a_label_and_nothing_is_cut_off(name, to_scale):
    from matplotlib.text import Annotation

    figure, renderer = figure_of(name, to_scale)
    axes = figure.axes[0]
    words = [text for text in axes.texts if not isinstance(text, Annotation) and text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in words]
    shafts = [text.arrow_patch.get_window_extent(renderer) for text in axes.texts if isinstance(text, Annotation)]
    assert len(words) >= 8 and len(shafts) >= 9
    for text, box in zip(words, boxes):
        assert not any(shaft.overlaps(box) for shaft in shafts), text.get_text()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, text.get_text()
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, text.get_text()
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i]), words[i].get_text()


def test_a_ladder_fits_on_a_page(tmp_path):
    figure, _ = figure_of("loss-fast-retransmit")
    assert figure.get_size_inches()[1] <= 16


def test_a_dropped_frame_is_not_drawn_as_a_lost_one():
    """The second FIN arrives and is dropped, the ACK before it is lost: a square and a cross."""
    figure, _ = figure_of("time-wait")
    marks = [line.get_marker() for line in figure.axes[0].lines]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert marks.count("x") == 1 and marks.count("s") == 1
    assert [text for text in texts if "LOST" in text] == ["7  [.] ack 2 win 2048 len 0  LOST  (a: recv, close)"]
    assert [text for text in texts if "dropped: tcp" in text] == [
        "8  again: [F.] seq 1 ack 2 win 2048 len 0  dropped: tcp-out-of-window"
    ]


def test_a_conversation_has_a_colour():
    timeline = scenarios.get("firewall-reject-or-drop").timeline()
    flows = ladder(timeline).flows
    pairs = {}
    for frame, flow in zip(timeline.frames, flows):
        if "Flags" in frame.summary:
            ends = frozenset(frame.summary.removeprefix("IP ").partition(": ")[0].split(" > "))
            assert pairs.setdefault(ends, flow) == flow
    assert len(set(pairs.values())) == len(pairs) > 1


def test_the_timeout_in_the_plot_backs_off():
    timeline = scenarios.get("rto").timeline()
    rtt = data.rtt(timeline, sender(timeline))
    ms = 1_000_000
    assert [value // ms for value in rtt.rto.values] == [1000, 240, 480, 960, 1920, 240]
    assert [(time // ms, value // ms) for time, value in rtt.backoffs] == [(300, 480), (780, 960), (1740, 1920)]
    assert [rtt.rto.at(time) for time, _ in rtt.backoffs] == [value for _, value in rtt.backoffs]


def test_a_summary_is_cut_to_what_a_ladder_does_not_tell():
    line = "IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [S], seq 7, win 65535, options [mss 1460,sackOK], length 0"
    assert data.short(line) == "[S] seq 7 win 65535 len 0"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_and_drawn_alike(loss, tmp_path, kind):
    for name in ("one.svg", "two.svg"):
        draw(loss, kind, str(tmp_path / name), frames="1-12")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text() and "loss-fast-retransmit" in text


def test_the_picture_tells_of_a_loss_only_where_there_is_one(loss, clean, tmp_path):
    told = []
    for timeline in (loss, clean):
        draw(timeline, "sequence", str(tmp_path / "x.svg"))
        text = (tmp_path / "x.svg").read_text()
        told.append([word in text for word in (">retransmission<", ">lost<", ">SACK block<", ">R<", ">segment<")])
    assert told == [[True] * 5, [False] * 4 + [True]]


def test_frames_of_a_ladder(loss):
    count = len(loss.frames)
    assert frame_range(loss, "") == (0, 30) and frame_range(loss, "3-5") == (2, 5) and frame_range(loss, "7") == (6, 7)
    assert frame_range(loss, f"3-{count + 1}") == (2, count)  # there is no more
    for bad in ("x", "0-3", "5-3", f"{count + 1}-{count + 2}"):
        with pytest.raises(ValueError, match="frames"):
            frame_range(loss, bad)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["arp", "-o", "x.png"], "Error: arp: there is no TCP connection in it, so draw it with --kind ladder"),
        (["nothing", "-o", "x.png"], "Error: nothing: No such file"),
        (["arp", "-o", "x.bmp"], "must end in .png, .svg or .pdf"),
        (["handshake", "--connection", "10.9.9.9", "-o", "x.png"], "Error: no connection '10.9.9.9'; there are: a tcp"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(argv, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["plot", *argv])
    assert result.exit_code and told in result.output and "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["handshake", "arp"])
def test_the_command_draws(name, tmp_path):
    path = tmp_path / "ladder.png"
    argv = ["plot", name, "--kind", "ladder", "--frames", "1-12", "--to-scale", "-o", str(path)]
    result = CliRunner().invoke(cli, argv)
    assert result.exit_code == 0, result.output
    assert path.stat().st_size > 5000 and path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.filterwarnings("error")
def test_a_capture_whose_clock_stood_still_has_a_plot():
    """All round trips are 0 then, and an axis from 0 to 0 gives a warning in the terminal."""
    frames = wires.frames([(0, 0, b"GET / HTTP/1.1\r\n\r\n"), (0, 1, b"HTTP/1.1 204 No Content\r\n\r\n")], 80)
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    still = Timeline.of(head + b"".join(struct.pack("<IIII", 9, 0, len(one), len(one)) + one for one in frames))
    assert {sample[1] for sample in data.rtt(still, data.find_connection(still, None)).samples} == {0}
    assert "<svg" in svg(still, "rtt")
