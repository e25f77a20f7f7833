"""What each scenario shows, by its closed form if there is one, and that the change which its story names makes the difference."""

import struct

import pytest

from pystack.sim.network import MS, S
from pystack.stepper import scenarios
from pystack.stepper.branch import branch
from pystack.stepper.changes import parse
from pystack.stepper.scenarios import applications
from pystack.stepper.scenarios.base import pattern
from pystack.stepper.timing import path

MSS = 1448


def run(name, *changes):
    scenario = scenarios.get(name)
    return branch(scenario, None, *(parse(change) for change in changes)) if changes else scenario.timeline()


def events(timeline, kind, host="", **fields):
    return [
        entry
        for entry in timeline.events
        if entry.kind == kind
        and (not host or entry.host == host)
        and all(entry.fields[name] == value for name, value in fields.items())
    ]


def data_sent(timeline, host):
    """The frames of a host that carry data: (time, length), relative to the start."""
    return [
        (entry.time - timeline.start, entry.fields["length"])
        for entry in events(timeline, "tcp.out", host)
        if entry.fields["length"]
    ]


def by_round(timeline, host, trip):
    """How many segments a host sent in each round trip, from its first data on."""
    sent = data_sent(timeline, host)
    found = {}
    for time, _ in sent:
        number = (time - sent[0][0]) // trip
        found[number] = found.get(number, 0) + 1
    return list(found.values())


@pytest.mark.parametrize("change, rounds", [((), [10, 20, 40, 30]), (("set=b:tcp_init_cwnd=40",), [40, 60])])
def test_slow_start_doubles_and_takes_one_round_trip_more_than_its_rounds(change, rounds):
    timeline = run("slow-start", *change)
    assert by_round(timeline, "b", 100 * MS) == rounds
    assert path(timeline).elapsed == (1 + len(rounds)) * 100 * MS


def test_accept_queue_keeps_backlog_plus_one_and_the_sixth_client_waits_for_its_next_syn():
    timeline = run("accept-queue")
    trip, asked = 10 * MS, events(timeline, "tcp.state", "a", new="SYN-SENT")
    made = {entry.conn: entry.time for entry in events(timeline, "tcp.state", "a", new="ESTABLISHED")}
    took = [made[entry.conn] - entry.time for entry in asked]
    assert took == [trip] * 5 + [S + trip]
    assert len(events(timeline, "drop", "b", name="tcp-accept-queue-full")) == 1


def test_udp_keeps_boundaries_and_the_refusal_comes_a_round_trip_later():
    timeline = run("udp")
    assert [entry.fields["length"] for entry in events(timeline, "udp.in", "b")] == [100, 200, 300, 100, 300]
    (error,) = events(timeline, "icmp.error", "a")
    sent = events(timeline, "udp.out", "a")[-1]
    assert error.time - sent.time == 20 * MS
    calls = [entry for entry in events(timeline, "call", "a", name="sendto") if entry.index > error.index]
    assert len(calls) == 1 and "Refused" in str(calls[0].fields["result"])


def test_routing_takes_the_longest_prefix_and_a_loop_ends_with_the_ttl():
    timeline = run("routing")
    chosen = [entry.fields["prefixlen"] for entry in events(timeline, "route", "a")]
    assert chosen[:4] == [24, 16, 8, 0]
    circling = [
        frame for frame in timeline.frames if {frame.host, frame.to} == {"r1", "r9"} and "10.7.7.7" in frame.summary
    ]
    assert len(circling) == 63
    assert len(events(timeline, "drop", name="forward-ttl")) == 1
    assert [entry.fields["type"] for entry in events(timeline, "icmp.in", "a") if entry.fields["type"] == 11] == [11]


def test_keep_alive_gives_up_sixty_seconds_and_six_probes_after_the_last_answer():
    timeline = run("keep-alive")
    probes = [entry.time for entry in events(timeline, "tcp.probe", "a")]
    (answered,) = [entry.time for entry in events(timeline, "tcp.in", "a") if entry.time > probes[0]]
    unanswered = [time - answered for time in probes[1:]]
    assert unanswered == [(60 + 10 * number) * S for number in range(6)]
    (closed,) = events(timeline, "tcp.state", "a", new="CLOSED")
    assert closed.time - answered == 120 * S


def test_head_of_line_delays_thirteen_messages_of_six_streams():
    timeline = run("head-of-line")
    sent = [time for time, length in data_sent(timeline, "a") if length == 1000]
    sent = sorted(set(sent))[:40]
    arrived = []
    for entry in events(timeline, "tcp.data", "b"):
        arrived += [entry.time - timeline.start] * (entry.fields["length"] // 1000)
    first = [frame for frame in timeline.frames if frame.fate == "lost"]
    assert len(first) == 1
    writes = [
        entry.time - timeline.start
        for entry in events(timeline, "call", "a", name="send")
        if entry.fields["result"] == 1000
    ]
    assert len(writes) == len(arrived) == 40
    late = {number: end - begin for number, (begin, end) in enumerate(zip(writes, arrived)) if end - begin > 50 * MS}
    assert late == {number: (180 - 10 * (number - 20)) * MS for number in range(20, 33)}
    assert {number % 6 for number in late} == set(range(6))


def test_a_black_hole_costs_the_timeouts_before_the_search_and_without_the_search_nothing_arrives():
    timeline = run("pmtud-blackhole")
    (first, *_) = [time for time, length in data_sent(timeline, "a")]
    small = next(time for time, length in data_sent(timeline, "a") if length == 1024)
    assert small - first == 15 * 230 * MS
    assert not events(timeline, "icmp.in", "a")
    assert sum(entry.fields["length"] for entry in events(timeline, "tcp.data", "b")) == 30_000
    without = run("pmtud-blackhole", "set=a:tcp_mtu_probing=0")
    assert not events(without, "tcp.data", "b")


def test_sack_fills_two_holes_in_one_round_trip_and_without_it_they_take_two():
    trip = 40 * MS
    times = []
    for changes in ((), ("set=b:tcp_sack=off",)):
        timeline = run("sack", *changes)
        again = [entry.time for entry in events(timeline, "tcp.retransmit", "a")]
        times.append([time - again[0] for time in again])
        assert sum(entry.fields["length"] for entry in events(timeline, "tcp.data", "b")) == 8 * MSS
    assert times == [[0, 0], [0, trip]]


def test_ecn_slows_the_sender_without_a_loss_and_without_it_the_queue_drops():
    timeline = run("ecn")
    assert events(timeline, "tcp.ecn", "a", action="react") and events(timeline, "tcp.ecn", "b", action="echo")
    assert not events(timeline, "tcp.retransmit") and not [frame for frame in timeline.frames if frame.fate == "lost"]
    for cut in events(timeline, "tcp.ecn", "a", action="react"):
        assert any(
            entry.fields["new"] < entry.fields["old"]
            for entry in events(timeline, "tcp.cwnd", "a")
            if entry.time == cut.time
        )
    without = run("ecn", "set=a:tcp_ecn=0")
    assert events(without, "tcp.retransmit", "a") and not events(without, "tcp.ecn", action="react")


def test_bbr_is_not_slowed_by_random_losses_as_cubic_is():
    timeline = run("bbr-vs-cubic")
    took = []
    for port in (80, 81):
        received = [
            entry for entry in events(timeline, "tcp.data", "b") if entry.subject.startswith(f"tcp 10.0.0.2:{port}-")
        ]
        assert sum(entry.fields["length"] for entry in received) == 600_000
        took.append(received[-1].time - received[0].time)
    cubic, bbr = took
    assert bbr < cubic / 2
    least = 600_000 * 8 * S // 10_000_000
    assert least < bbr < 1.5 * least
    holds = events(timeline, "tcp.hold", "a", by="pacing")
    assert holds and {entry.conn for entry in holds} == {holds[0].conn}


def test_answers_of_http2_share_a_congestion_window_and_can_be_read():
    trip = 40 * MS
    for change, rounds in ((), 2), (("set=b:tcp_init_cwnd=40",), 1):
        timeline = run("http2", *change)
        last = [time for time, length in data_sent(timeline, "b") if length][-1]
        assert last == trip // 2 + rounds * trip
    config, connection = pytest.importorskip("h2.config"), pytest.importorskip("h2.connection")
    ends = [
        connection.H2Connection(config.H2Configuration(client_side=side, header_encoding="utf-8"))
        for side in (False, True)
    ]
    for end in ends:
        end.initiate_connection()
    for number in (1, 3, 5):
        ends[1].send_headers(
            number, [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "b")], True
        )
    numbers, size = (1, 3, 5), 8000
    asked = applications.PREFACE + applications.h2_frame(applications.SETTINGS, 0, 0)
    asked += b"".join(applications.h2_request(number, f"/{number}") for number in numbers)
    heads = [dict(event.headers) for event in ends[0].receive_data(asked) if type(event).__name__ == "RequestReceived"]
    assert [head[":path"] for head in heads] == ["/1", "/3", "/5"] and heads[0][":authority"] == "b"
    answered = applications.h2_frame(applications.SETTINGS, 0, 0) + applications.h2_answers(numbers, size, 2000)
    got = dict.fromkeys(numbers, b"")
    for event in ends[1].receive_data(answered):
        if type(event).__name__ == "DataReceived":
            got[event.stream_id] += event.data
    assert got == {number: pattern(size) for number in numbers}


def test_an_ack_leaves_before_the_slow_answer_of_mongodb_and_none_before_the_fast_one():
    timeline = run("mongodb")
    alone = [entry for entry in events(timeline, "tcp.out", "b") if not entry.fields["length"]][1:]  # after the SYN-ACK
    answers = [entry for entry in events(timeline, "tcp.out", "b") if entry.fields["length"]]
    questions = [entry for entry in events(timeline, "tcp.data", "b") if entry.fields["length"]]
    assert [alone[0].time - questions[0].time, answers[0].time - questions[0].time] == [40 * MS, 70 * MS]
    assert answers[1].time - questions[1].time == 5 * MS and not [
        entry for entry in alone if questions[1].time <= entry.time <= answers[1].time
    ]


def test_bson_and_op_msg_are_what_another_library_reads():
    bson = pytest.importorskip("bson")
    document = {"find": "stations", "limit": 3, "cursor": 1 << 40, "rows": [{"_id": 1}, {"_id": -2}], "ok": {}}
    message = applications.op_msg(7, 3, document)
    assert struct.unpack_from("<iiiiIB", message) == (len(message), 7, 3, applications.OP_MSG, 0, 0)
    assert bson.decode(message[21:]) == document


def test_three_events_arrive_in_one_segment_and_none_is_missing():
    timeline = run("sse")
    again = [entry.time for entry in events(timeline, "tcp.retransmit", "b")]
    assert [after - before for before, after in zip(again, again[1:])] == [440 * MS, 880 * MS]
    got = [entry for entry in events(timeline, "tcp.data", "a") if entry.time > S // 2]
    sizes = [entry.fields["length"] // 30 for entry in got]
    assert sizes == [1, 1, 1, 3, 1, 1] and sum(sizes) == applications.EVENTS
    assert got[3].time - got[2].time == 20 * MS
    segments = [
        frame.data for frame in timeline.frames if frame.host == "b" and frame.data.count(b"\nevent: price\n") == 3
    ]
    assert [data.count(b"id: %d\n" % number) for data in segments for number in (4, 5, 6)] == [1, 1, 1]
