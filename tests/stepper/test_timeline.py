"""The timeline: its events, frames and states, and the cursor over them."""

import json

import pytest

from pystack.stepper import Cursor, scenarios
from pystack.stepper.timeline import Timeline


@pytest.fixture(scope="module")
def loss() -> Timeline:
    return scenarios.get("loss-fast-retransmit").timeline()


def test_frames_know_their_fate(loss):
    lost = [frame for frame in loss.frames if frame.fate != "delivered"]
    assert [(frame.number, frame.fate, frame.host, frame.to) for frame in lost] == [(8, "lost", "a", "b")]
    assert lost[0].arrival is None
    for frame in loss.frames:
        if frame.arrival is not None:
            assert frame.arrival - frame.time >= 20_000_000
            assert loss.events[frame.arrived].time == frame.arrival


def test_forwards_backwards_and_by_jumps_the_states_are_the_same(loss):
    count = len(loss.events)
    forwards = [json.dumps(loss.state(i)) for i in range(count)]
    backwards = [json.dumps(loss.state(i)) for i in reversed(range(count))][::-1]
    jumps = {i: json.dumps(loss.state(i)) for i in sorted(range(count), key=lambda i: i * 7919 % count)}
    assert forwards == backwards == [jumps[i] for i in range(count)]
    assert len(set(forwards)) > 100


def test_the_diff_is_what_the_state_changes(loss):
    for index in range(len(loss.events)):
        before, after = loss.state(index - 1), loss.state(index)
        diff = loss.diff(index)
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert changed == {key for key in diff if " arp " not in key}
        for key in changed & before.keys() & after.keys():
            assert diff[key] == {
                name: (before[key][name], after[key][name])
                for name in after[key]
                if before[key][name] != after[key][name]
            }


def test_to_json_is_json(loss):
    data = json.loads(json.dumps(loss.to_json(100, 120)))
    assert [entry["index"] for entry in data["events"]] == list(range(100, 120))
    assert data["state"]["tcp"] == json.loads(json.dumps(loss.state(99)))


def test_cursor_steps(loss):
    cursor = Cursor(loss)
    assert cursor.entry is None
    assert cursor.step() is not None and cursor.position == 0
    assert cursor.step(n=-1) is None and cursor.position == -1
    assert cursor.goto(frame=8).kind == "frame.out" and cursor.frame.number == 8
    assert cursor.step("frame").kind == "frame.out"
    assert cursor.step("frame", -1).index == loss.frames[7].event
    cursor.add_break('event.kind == "retransmit"')
    stop = cursor.run()
    assert stop is not None and stop.entry.kind == "tcp.retransmit"
    assert cursor.run() is None
    assert cursor.run(-1).entry.index == stop.entry.index
