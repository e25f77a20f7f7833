"""Held data: the event names all conditions that hold it back at once, and the spans name those that were satisfied together."""

import pytest

from pystack.sim.network import MS
from pystack.sim.programs import sleep, spawn
from pystack.stepper.explain import why
from pystack.stepper.scenarios.base import Scenario, connected, finish, pair
from pystack.stepper.timing import path
from tests.stepper.timing.cases import MSS, QUICK, talk

SOL_SOCKET, SO_MAX_PACING_RATE, TCP_NODELAY, TCP_CORK = 1, 47, 1, 3


def timeline_of(run):
    return Scenario("held", run, "", "", (), "").timeline()


def holds(timeline):
    return [entry for entry in timeline.events if entry.kind == "tcp.hold"]


def test_window_and_congestion_window_are_full_at_once_and_the_spans_name_both():
    """The receiver's buffer has room for ten segments, and so has the first congestion window. One ACK opens both."""

    def run(net):
        small = {**QUICK, "tcp_rmem": 10 * MSS, "tcp_moderate_rcvbuf": False}
        a, b, _ = pair(net, a=small, b=QUICK, delay=10 * MS)
        talk(net, a, b, answer=bytes(11 * MSS))

    timeline = timeline_of(run)
    first = holds(timeline)[0]
    assert first.fields == {"length": MSS, "by": "window, cwnd", "data": "new"}
    assert "the peer's window is full, and the congestion window is full" in first.reason
    said = str(why(timeline, event=first.index))
    assert "the window of a is full" in said and "at the same time: the congestion window is full" in said
    spans = [span for span in path(timeline) if span.why == "receive window"]
    assert sum(span.duration for span in spans) == 20 * MS
    assert all(span.also == ("congestion window",) for span in spans)


def test_only_the_condition_that_holds_is_named():
    """The control: a larger buffer leaves the congestion window alone, and larger windows leave nothing."""
    for segments, init, expected in ((100, 10, ["cwnd"]), (10, 40, ["window"]), (100, 40, [])):

        def run(net, segments=segments, init=init):
            small = {**QUICK, "tcp_rmem": segments * MSS, "tcp_moderate_rcvbuf": False}
            a, b, _ = pair(net, a=small, b={**QUICK, "tcp_init_cwnd": init}, delay=10 * MS)
            talk(net, a, b, answer=bytes(11 * MSS))

        timeline = timeline_of(run)
        assert sorted({entry.fields["by"] for entry in holds(timeline)[:1]}) == expected
        assert not any(span.also for span in path(timeline))


def test_cork_and_nagle_hold_the_same_segment():
    """While data is in flight, both rules hold a small segment. When the cork is out, Nagle's algorithm alone does."""

    def run(net):
        a, b, _ = pair(net, a=QUICK, b=QUICK, delay=10 * MS)
        client, server = connected(net, a, b)

        def put():
            yield client.sendall(bytes(100))
            client.setsockopt(6, TCP_CORK, 1)
            yield client.sendall(bytes(100))
            yield sleep(5 * MS)
            client.setsockopt(6, TCP_CORK, 0)

        def take():
            yield server.recv_exactly(200)

        finish(net, spawn(net, put()), spawn(net, take()))

    found = [entry.fields["by"] for entry in holds(timeline_of(run))]
    assert found[0] == "cork, nagle" and found[-1] == "nagle"


@pytest.mark.parametrize("lost", [False, True])
def test_pacing_is_reported_for_new_and_for_lost_data(lost):
    """A socket paces at 1,448,000 bytes per second, so its segments leave a millisecond apart."""

    def run(net):
        a, b, link = pair(net, a={**QUICK, "tcp_tlp": False}, b=QUICK, delay=10 * MS)
        client, server = connected(net, a, b)
        client.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 1000 * MSS)
        if lost:
            link.ab.drop(3, 4)

        def put():
            yield client.sendall(bytes(8 * MSS))

        def take():
            yield server.recv_exactly(8 * MSS)

        finish(net, spawn(net, put()), spawn(net, take()))

    timeline = timeline_of(run)
    found = {(entry.fields["by"], entry.fields["data"]) for entry in holds(timeline)}
    assert ("pacing", "new") in found and (("pacing", "lost") in found) == lost
    assert all("RFC" in entry.rfc or "draft" in entry.rfc for entry in holds(timeline))
    held = next(entry for entry in holds(timeline) if entry.fields["by"] == "pacing")
    assert why(timeline, event=held.index).mechanism == "pacing"
    if not lost:
        totals = path(timeline).totals()
        assert totals["pacing", "pacing"] == 7 * MS


def test_a_later_piece_of_a_group_waited_for_its_own_bytes():
    """The device cuts a group of segments. The path ends with its last piece, whose bytes were written later than those of the first."""

    def run(net):
        a, b, _ = pair(net, a={**QUICK, "offload": True}, b={**QUICK, "offload": True}, delay=10 * MS)
        client, server = connected(net, a, b)

        def put():
            yield client.sendall(bytes(100))
            yield client.sendall(bytes(MSS - 100))
            yield sleep(5 * MS)
            yield client.sendall(bytes(2 * MSS + 100))

        def take():
            yield server.recv_exactly(3 * MSS + 100)

        finish(net, spawn(net, put()), spawn(net, take()))

    timeline = timeline_of(run)
    (group,) = {frame.number for frame in timeline.frames if frame.gso_size}
    conn = next(key for key in timeline.connections if key.startswith("a tcp"))
    pieces = [
        entry.index
        for entry in timeline.events
        if entry.host == "b" and entry.kind == "tcp.data" and entry.frame == group - 1
    ]
    assert len(pieces) == 3 and timeline.frames[group - 1].copies
    whys = []
    for end in pieces:
        found = path(timeline, conn, end=end)
        assert sum(span.duration for span in found) == found.elapsed
        whys.append({span.why for span in found if span.cause == "client thinking"})
    # Nagle's algorithm held the first bytes since the second write. Nothing held those of the third one.
    assert whys == [{"Nagle"}, {""}, {""}]
