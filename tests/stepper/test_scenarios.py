"""What each scenario shows, by its closed form if there is one, and that the change which its story names makes the difference."""

import pytest

from pystack.sim.network import MS, S
from pystack.stepper import scenarios
from pystack.stepper.branch import branch
from pystack.stepper.changes import parse
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
