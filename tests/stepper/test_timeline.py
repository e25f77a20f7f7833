"""The timeline: its events, frames and states, and the cursor over them."""

import json

import pytest

from pystack.sim.network import MS, Network
from pystack.sim.programs import sleep, spawn, stream
from pystack.stepper import Cursor, scenarios
from pystack.stepper.scenarios.base import _Kept, connected, finish, listener, pair
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


def test_layers_and_round_trips(loss):
    cursor = Cursor(loss)
    cursor.goto(frame=20)
    here = cursor.entry
    there = cursor.step("layer")
    assert (there.layer, there.host) != (here.layer, here.host)
    assert all((entry.layer, entry.host) == (here.layer, here.host) for entry in loss.events[here.index : there.index])
    cursor.goto(frame=1)
    ends = []
    while (entry := cursor.step("rtt")) is not None:
        ends.append(entry)
    times = [entry.time for entry in ends]
    assert len(ends) >= 5 and all(entry.conn == ends[0].conn for entry in ends)
    assert all(
        after - before >= 40_000_000 for before, after in zip(times, times[1:])
    )  # no round is shorter than the path
    back = []
    while (entry := cursor.step("rtt", -1)) is not None:
        back.append(entry.index)
    assert back == [entry.index for entry in ends[:-1]][::-1] or back == [entry.index for entry in ends][::-1]


def test_to_a_time(loss):
    cursor = Cursor(loss)
    for time in (0, 20_059_200, 100_000_000, loss.end):
        entry = cursor.goto(time=loss.start + time)
        assert entry.time <= loss.start + time
        if entry.index + 1 < len(loss.events):
            assert loss.events[entry.index + 1].time > loss.start + time
    assert cursor.goto(time=loss.start - 1) is None and cursor.position == -1
    for wrong in ({"frame": 0}, {"frame": 10_000}, {"event": 100_000}, {}, {"frame": 1, "event": 1}):
        with pytest.raises(ValueError):
            cursor.goto(**wrong)
    with pytest.raises(ValueError, match="event, frame, layer, rtt"):
        cursor.step("day")


def test_each_rfc_has_a_link(loss):
    assert loss.link("RFC 6298 5.4") == "https://www.rfc-editor.org/rfc/rfc6298#section-5"  # rule (5.4) of section 5
    assert loss.link("RFC 7323") == "https://www.rfc-editor.org/rfc/rfc7323"
    assert loss.link("Linux tcp(7) TCP_CORK") == "https://man7.org/linux/man-pages/man7/tcp.7.html"
    assert loss.link("draft-ietf-ccwg-bbr 5.6.2") == (
        "https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.2"
    )
    assert loss.link("Linux tcp_check_req") == loss.link("") == ""


def test_the_series_is_the_states_changes(loss):
    key = next(key for key in loss.connections if key.startswith("a "))
    points = loss.series(key)
    assert [time for time, _ in points] == sorted({time for time, _ in points})
    last = {entry.time: entry.index for entry in loss.events}
    for time, point in points:
        state = loss.tcb(last[time], key)
        assert all(point[name] == state[name] for name in point if name != "snd_wnd_edge")


def test_arp_and_timers():
    timeline = scenarios.get("arp").timeline()
    cursor = Cursor(timeline)
    cursor.add_break('event.kind == "queued"')
    cursor.run()
    cursor.add_break('event.kind == "timer.set"')
    cursor.run()
    entry = cursor.arp()["a arp 10.0.0.2"]
    assert (entry["state"], entry["waiting"], entry["mac"]) == ("INCOMPLETE", 1, "")
    assert cursor.timers()["a arp 10.0.0.2"] == {"arp": 1_000_000_000}
    cursor.last()
    assert cursor.arp()["a arp 10.0.0.2"]["state"] == "REACHABLE"
    assert cursor.arp()["a arp 10.0.0.2"]["mac"] == "02:50:59:00:00:02"


def test_many_connections_do_not_make_a_step_slow():
    """Keyframes are as far apart as they are large: 400 connections at once cost a step little, and little memory."""
    import time

    from pystack.sim.network import MS, Network
    from pystack.sim.programs import spawn, stream
    from pystack.stepper.scenarios.base import _Kept, listener, pair

    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, _ = pair(net, delay=5 * MS)
        waiting = listener(b, backlog=1000)

        def serve():
            while True:
                yield (yield waiting.accept()).sendall(b"hello")

        def ask():
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            yield sock.recv_exactly(5)

        spawn(net, serve())
        for _ in range(400):
            spawn(net, ask())
        net.run(1000 * MS)
    timeline = Timeline.of(out.kept)
    assert len(timeline.connections) > 800 and len(timeline.events) > 10_000
    kept = sum(len(key) for key in timeline.states.keys)
    assert kept < len(timeline.events)
    cursor = Cursor(timeline)
    cursor.last()
    steps = []
    for _ in range(300):
        began = time.process_time()
        cursor.step(n=-7)
        cursor.diff()
        timeline.tcb(cursor.position, cursor.conn)
        steps.append(time.process_time() - began)
    assert sorted(steps)[150] < 0.05  # (a median, as machines stumble; what a step reads is bounded by `kept` above)


def test_a_drop_after_the_route_of_the_answer_is_the_frames():
    """A router looks up the route of its error before it drops the packet: the packet's fate is the drop all the same."""
    timeline = scenarios.get("traceroute").timeline()
    first = timeline.frames[0]
    assert first.fate == "dropped" and "forward-ttl" in first.drops[0]
    assert [frame.fate for frame in timeline.frames].count("dropped") == 2


def test_the_other_end_of_a_connection_whose_ports_were_used_before():
    """Two connections between the same ends: each has its own other end, and a listener has none."""
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, _ = pair(net, delay=MS)
        waiting = listener(b)

        def serve():
            for _ in range(2):
                sock = yield waiting.accept()
                yield sock.recv_all()
                sock.close()

        def ask():
            for _ in range(2):
                sock = stream(a)
                sock.bind("", 40000)
                yield sock.connect("10.0.0.2", 80)
                sock.close()
                yield sleep(70_000 * MS)  # TIME-WAIT lasts for 60 s

        finish(net, spawn(net, serve()), spawn(net, ask()))
    timeline = Timeline.of(out.kept)
    one, two = "a tcp 10.0.0.1:40000-10.0.0.2:80", "b tcp 10.0.0.2:80-10.0.0.1:40000"
    assert [key for key in timeline.connections if "40000" in key] == [one, two, f"{one} #2", f"{two} #2"]
    for end, other in ((one, two), (f"{one} #2", f"{two} #2")):
        assert timeline.other_end(end) == other and timeline.other_end(other) == end
    assert timeline.other_end("b tcp 10.0.0.2:80-0.0.0.0:0") == timeline.other_end("") == ""


def test_a_reset_connection_has_no_negative_bytes_to_send():
    """After a reset, the buffer is empty, although the connection sent bytes that were never acknowledged."""
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, _ = pair(net, delay=10 * MS)
        client, server = connected(net, a, b)

        def put():
            yield client.sendall(bytes(30_000))
            yield sleep(50 * MS)
            client.close()

        def refuse():
            yield sleep(5 * MS)
            server.abort()

        finish(net, spawn(net, put()), spawn(net, refuse()))
    timeline = Timeline.of(out.kept, "reset")
    states = [timeline.state(index) for index in range(len(timeline.events))]
    assert min(fields["unsent"] for state in states for fields in state.values()) == 0
    assert any(fields["state"] == "CLOSED" and fields["in_flight"] > 0 for state in states for fields in state.values())
