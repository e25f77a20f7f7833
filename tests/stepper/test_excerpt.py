"""Some frames of a recording as a page: the numbers, states and words of the whole one."""

import pytest

from pystack.stepper import export, scenarios
from pystack.stepper.web import excerpt
from pystack.stepper.web.data import EVENT_CHUNK, Trace
from pystack.stepper.web.excerpt import Excerpt
from tests.stepper.test_command import run

SCENARIO = "loss-fast-retransmit"
FIRST, LAST = 8, 40


@pytest.fixture(scope="module")
def timeline():
    return scenarios.get(SCENARIO).timeline()


@pytest.fixture(scope="module")
def part(timeline):
    return Excerpt(timeline, scenarios.get(SCENARIO), FIRST, LAST)


@pytest.fixture(scope="module")
def contents(part):
    return export.contents(part)


def test_it_has_the_frames_and_all_that_they_caused(timeline, part, contents):
    frames = [frame for chunk in contents["frames"] for frame in chunk]
    assert [frame["number"] for frame in frames] == list(range(FIRST, part.end_frame + 1)) and part.end_frame >= LAST
    first, end = part.bounds()
    assert first == timeline.frames[FIRST - 2].event + 1
    assert end > max(timeline.effects(timeline.frames[number - 1].arrived)[-1] for number in (LAST - 1, LAST))
    assert timeline.frames[part.end_frame].event >= end  # and no frame that left meanwhile is missing
    for place, frame in enumerate(frames):
        whole = timeline.frames[frame["number"] - 1]
        assert (frame["index"], frame["hex"]) == (place, whole.data.hex())
        assert frame["event"] + first == whole.event
        assert frame["arrived"] in (whole.arrived - first, -1)


def test_events_states_and_words_are_those_of_the_whole(timeline, part, contents):
    first, end = part.bounds()
    entries = [entry for chunk in contents["events"] for entry in chunk["events"]]
    assert len(entries) == contents["overview"]["events"] == end - first > EVENT_CHUNK
    for index, entry in enumerate(entries):
        whole = timeline.events[index + first]
        assert (entry["index"], entry["time"], entry["reason"]) == (index, whole.time, whole.reason)
        assert entry["frame"] in (whole.frame - part.first_frame, -1)
    whole = Trace(timeline)
    for chunk in contents["events"]:
        assert chunk["base"] == timeline.state(chunk["first"] + first - 1) | timeline.arp(chunk["first"] + first - 1)
    assert contents["why"][5] == whole.why(first + 5)
    assert contents["overview"]["answers"] == [timeline_answer(timeline) - first]


def timeline_answer(timeline):
    (answer,) = scenarios.get(SCENARIO).answers(timeline)
    return answer


def test_every_step_stays_in_it_and_leads_where_it_leads_in_the_whole(timeline, part, contents):
    first, end = part.bounds()
    whole = export.contents(Trace(timeline))["steps"]
    for unit, (forwards, backwards) in contents["steps"].items():
        for steps, found in ((whole[unit][0], forwards), (whole[unit][1], backwards)):
            wanted = [min(max(steps[position + 1], first - 1), end - 1) - first for position in range(first - 1, end)]
            assert found == wanted


def test_the_ladder_and_the_plots_are_parts_of_the_whole(timeline, part, contents):
    first, end = part.bounds()
    whole = Trace(timeline)
    found, all_ = contents["overview"]["ladder"], whole.overview()["ladder"]
    assert [event + first for event in found["events"]] == [event for event in all_["events"] if first <= event < end]
    for place, row in enumerate(found["departs"]):
        assert found["events"][row] == part._event(all_["events"][all_["departs"][place + part.first_frame]])
    key = whole.connections[0]
    inside = [event - first for event in whole.plots(key)["segments"]["event"] if first <= event < end]
    assert contents["plots"][key]["segments"]["event"] == inside and len(inside) > 10
    times, values = contents["plots"][key]["lines"]["cwnd"]
    assert times[0] == timeline.events[first].time - timeline.start
    assert values[0] == timeline.tcb(first - 1, key)["cwnd"]


@pytest.mark.parametrize("text", ["", "3", "0-5", "5-3", "a-b", "1-2-3", "80-90", "-5", "1-" + "9" * 30])
def test_what_is_no_range_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match="frames") as refused:
        excerpt.parse(text, 79)
    assert "\n" not in str(refused.value)
    assert excerpt.parse("8-400", 79) == (8, 79)  # the control; a range beyond the last frame ends there


def test_a_recording_that_is_too_long_can_be_exported_in_part(timeline, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MOST_EVENTS", 500)
    with pytest.raises(
        ValueError, match="807 events; a page can hold 500: use --web, or choose frames, such as --frames 1-24"
    ):
        export.export(timeline, str(tmp_path / "page.html"))
    export.export(timeline, str(tmp_path / "page.html"), frames="1-24")
    assert (tmp_path / "page.html").stat().st_size > 50_000


def test_the_command(tmp_path):
    path = tmp_path / "page.html"
    assert "wrote" in run(SCENARIO, "--export", str(path), "--frames", "8-40")
    assert "frames 1-79" in run(SCENARIO, "--export", str(path), "--frames", "90-95", status=1)
    assert "--frames needs --export" in run(SCENARIO, "--frames", "8-40", status=2)
