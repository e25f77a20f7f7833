"""Plots: the numbers in them are the run's, and the files show them."""

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.stepper import scenarios
from pystack.stepper.plot import data
from pystack.stepper.plot.figures import KINDS, draw, frame_range

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
    ladder = data.ladder(loss)
    rows = sorted(row for row in ladder.departs + ladder.arrives if row >= 0)
    assert rows == list(range(len(ladder.times))) and ladder.times == sorted(ladder.times)
    assert [loss.frames[i].fate for i, row in enumerate(ladder.arrives) if row < 0] == ["lost"]
    assert all(a > d for a, d in zip(ladder.arrives, ladder.departs) if a >= 0)


def test_the_two_syns_of_a_simultaneous_open_cross():
    ladder = data.ladder(scenarios.get("simultaneous-open").timeline())
    assert ladder.sender[0] != ladder.sender[1]
    assert max(ladder.departs[:2]) < min(ladder.arrives[:2])


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
    assert frame_range(loss, "") == (0, 60) and frame_range(loss, "3-5") == (2, 5) and frame_range(loss, "7") == (6, 7)
    for bad in ("x", "0-3", "5-3", f"1-{count + 1}"):
        with pytest.raises(ValueError, match="frames"):
            frame_range(loss, bad)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["arp", "-o", "x.png"], "Error: arp: no TCP connection in it"),
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


def test_the_command_draws(tmp_path):
    path = tmp_path / "ladder.png"
    result = CliRunner().invoke(cli, ["plot", "handshake", "--kind", "ladder", "-o", str(path)])
    assert result.exit_code == 0, result.output
    assert path.stat().st_size > 5000 and path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
