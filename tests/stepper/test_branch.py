"""What if: a scenario run on with a change, the same to the byte up to it, and both runs side by side."""

import pytest

from pystack.sim.network import MS, Network
from pystack.stepper import Cursor, Timeline, branch, changes, scenarios
from pystack.stepper.branch import ChangeError, compare, diverges, figures
from pystack.stepper.scenarios.base import _Kept, pair
from pystack.stepper.scenarios.link import datagram
from pystack.stepper.timing import path


@pytest.fixture(scope="module")
def runs():
    return {
        name: scenarios.get(name).timeline() for name in ("nagle", "loss-fast-retransmit", "rto", "delayed-ack", "ping")
    }


def other(name, runs, *texts, at=None):
    cursor = None
    if at is not None:
        cursor = Cursor(runs[name])
        cursor.goto(**at)
    return branch.branch(scenarios.get(name), cursor, *(changes.parse(text) for text in texts))


def test_no_change_no_difference(runs):
    """The control of all the others: what a branch sees is not what the branching does."""
    for name, timeline in runs.items():
        again = branch.branch(scenarios.get(name), Cursor(timeline))
        assert diverges(timeline, again) == -1
        assert all(row.same for row in compare(timeline, again))


def test_nodelay_takes_the_40_ms_away(runs):
    with_it = other("nagle", runs, "nodelay=a")
    assert figures(runs["nagle"])["last data"] == 0.190 and figures(with_it)["last data"] == 0.040
    assert not any(entry.kind == "tcp.hold" for entry in with_it.events)


def test_a_branch_is_the_same_up_to_the_cursor(runs):
    for frame in (3, 6, 9):
        cursor = Cursor(runs["nagle"])
        cursor.goto(frame=frame)
        with_it = branch.branch(scenarios.get("nagle"), cursor, branch.NoDelay("a"))
        at = diverges(runs["nagle"], with_it)
        assert at > cursor.position
        assert with_it.events[at].fields.get("name") == "setsockopt"
        assert with_it.events[at].time == cursor.time


def test_one_write_and_fast_open_change_the_calls_of_a_program():
    """Each saves exactly what the closed form says: the wait for the ACK, and a round trip."""
    for name, change, before, after in (("nagle", "onewrite=a", 195, 45), ("http-get", "fastopen=a", 40, 20)):
        scenario = scenarios.get(name)
        original = scenario.timeline()
        found = path(branch.branch(scenario, None, changes.parse(change), original=original))
        assert (path(original).elapsed, found.elapsed) == (before * MS, after * MS)


def test_a_connection_is_kept_if_the_program_has_the_choice():
    """The client and the shop of the POST have it. The runs are the variants, whose times the page about the POST has."""
    scenario = scenarios.get("post")
    original = scenario.timeline()
    for change, name in (("keepalive=client", "post:keep-alive"), ("keepalive=shop", "post:pool")):
        made = changes.parse(change)
        found = branch.branch(scenario, None, made, original=original)
        assert [frame.data for frame in found.frames] == [frame.data for frame in scenarios.get(name).timeline().frames]
    assert changes.parse("keepalive=client").since == 0


@pytest.mark.parametrize("name, host", [("post", "proxy"), ("nagle", "a")])
def test_a_program_without_that_choice_keeps_nothing(name, host):
    with pytest.raises(ChangeError, match=f"the program on {host} has no choice"):
        branch.branch(scenarios.get(name), None, changes.parse(f"keepalive={host}"))
    with pytest.raises(ChangeError, match="there is no host 'nobody'"):
        branch.branch(scenarios.get(name), None, changes.parse("keepalive=nobody"))


def test_a_change_with_which_the_programs_do_not_end_is_refused():
    """The server of this scenario waits for a connection, and with Fast Open none begins before the client writes."""
    with pytest.raises(ChangeError, match="do not end if a had sent its request in the SYN"):
        branch.branch(scenarios.get("nagle"), None, changes.parse("fastopen=a"))


@pytest.mark.parametrize("number", [5, 8, 20, 40])
def test_drop_this_frame(runs, number):
    original = runs["loss-fast-retransmit"]
    with_it = other("loss-fast-retransmit", runs, f"drop={number}")
    before, after = original.frames[number - 1], with_it.frames[number - 1]
    assert (before.data, before.time) == (after.data, after.time)
    assert after.fate == "lost"
    assert diverges(original, with_it) >= before.event or number == 8
    if number != 8:
        assert diverges(original, with_it) == original.frames[number - 1].arrived


def test_a_frame_that_had_arrived(runs):
    with_it = other("loss-fast-retransmit", runs, "deliver=8")
    assert with_it.frames[7].fate == "delivered"
    arrivals = [frame.arrival for frame in with_it.frames[3:13]]
    assert arrivals == sorted(arrivals), "it had its turn on the wire, and overtakes nothing"
    numbers = figures(with_it)
    assert (numbers["lost"], numbers["retransmissions"]) == (0, 0)
    assert figures(runs["loss-fast-retransmit"])["retransmissions"] == 1


def test_held_and_repeated(runs):
    late = other("ping", runs, "hold=3:30ms")
    assert late.frames[2].arrival - runs["ping"].frames[2].arrival == 30_000_000
    twice = other("ping", runs, "repeat=3")
    assert len(twice.frames[2].copies) == 1 and not runs["ping"].frames[2].copies


def test_another_congestion_control(runs):
    with_it = other("loss-fast-retransmit", runs, "congestion=a:cubic")
    lost = [entry for entry in with_it.events if entry.kind == "tcp.cwnd" and entry.fields["new"] < entry.fields["old"]]
    assert lost[0].fields["ssthresh"] == pytest.approx(lost[0].fields["old"] * 0.7, rel=0.1)
    key = next(key for key in with_it.connections if key.startswith("a "))
    assert with_it.tcb(lost[0].index, key)["congestion"] == "cubic"


def test_another_delay(runs):
    with_it = other("delayed-ack", runs, "delay=50ms", at={"frame": 5})
    chosen = with_it.frames[8]
    assert chosen.arrival - chosen.time == 50_000_000
    assert with_it.frames[3].arrival - with_it.frames[3].time == 5_000_000


def test_a_setting_from_the_beginning(runs):
    with_it = other("rto", runs, "set=a:tcp_tlp=on")
    assert any(entry.fields.get("timer") == "loss-probe" for entry in with_it.events)
    assert not any(entry.fields.get("timer") == "loss-probe" for entry in runs["rto"].events)


def test_two_changes_at_once(runs):
    with_it = other("nagle", runs, "nodelay=a", "delay=10ms")
    assert "TCP_NODELAY and all links had delay 10 ms" in with_it.name


def test_side_by_side(runs):
    with_it = other("nagle", runs, "nodelay=a")
    rows = compare(runs["nagle"], with_it)
    assert [row.left for row in rows if row.left] == list(runs["nagle"].frames) or len(rows) >= len(
        runs["nagle"].frames
    )
    left = [row.left.number for row in rows if row.left is not None]
    right = [row.right.number for row in rows if row.right is not None]
    assert left == list(range(1, 17)) and right == list(range(1, 14))
    assert [row.same for row in rows[:4]] == [True] * 4 and not all(row.same for row in rows)
    paired = [row for row in rows if row.left and row.right]
    assert all((row.left.host, row.left.to) == (row.right.host, row.right.to) for row in paired)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("rto", "drop=99", "there is no frame 99; there are 14"),
        ("rto", "drop=x", "should have the form drop=FRAME"),
        ("rto", "foo=1", "is not a change; there are drop=FRAME"),
        (
            "rto",
            "congestion=a:none",
            "a had used none: there is no such congestion control; there are .*bbr, cubic, .*reno",
        ),
        ("rto", "nodelay=z", "there is no host 'z'; there are a, b"),
        ("ping", "nodelay=a", "a has no connection in this scenario"),
        ("rto", "delay=nowhere:1ms", "there is no link 'nowhere'; there are a-b"),
        ("rto", "set=a:tcp_nothing=1", "there is no setting named 'tcp_nothing'"),
        ("rto", "set=a:tcp_sack=maybe", "should have the form"),
        ("syn-flood", "drop=1", "frame 1 does not come from a recorded host"),
    ],
)
def test_what_cannot_be_changed_says_why(name, text, says):
    with pytest.raises(ChangeError, match=says) as caught:
        branch.branch(scenarios.get(name), None, changes.parse(text))
    assert "\n" not in str(caught.value)


def test_a_packet_more_makes_no_difference_of_those_after_it():
    """a sends an echo request more in one run: the numbers of all later packets are others, and nothing else is."""
    out = []
    for more in (False, True):
        kept = _Kept()
        with Network(1) as net:
            net.record(kept)
            a, b, _ = pair(net, delay=MS)
            sender, reader = datagram(a), datagram(b)
            reader.bind("", 9)
            sender.sendto(b"first", "10.0.0.2", 9)
            net.run(10 * MS)
            if more:
                datagram(a).sendto(b"one more", "10.0.0.2", 9)
            net.run(20 * MS)
            sender.sendto(b"last", "10.0.0.2", 9)
            net.run(30 * MS)
        out.append(Timeline.of(kept.kept))
    plain, longer = out
    assert plain.frames[-1].data != longer.frames[-1].data and plain.frames[-1].summary == longer.frames[-1].summary
    rows = compare(plain, longer)
    assert [(row.left is not None, row.right is not None, row.same) for row in rows] == [
        (True, True, True),
        (False, True, False),  # control: what is not in the other one is different
        (True, True, True),
    ]


@pytest.mark.parametrize("number", ["9" * 400, "9" * 16, "0." * 2 + "1", "9" * 400 + ".5"])
def test_a_duration_that_is_no_time_is_an_error_with_the_form(number):
    for text in (f"delay={number}s", f"delay=link:{number}ns", f"hold=7:{number}ms"):
        with pytest.raises(changes.ChangeError, match="should have the form"):
            changes.parse(text)
    assert changes.duration("999999999999999.5s") > 0


def test_no_option_of_a_connection_that_waits_to_be_accepted(runs):
    """No program has it, so a replay could not repeat the call."""
    established = next(
        entry.index
        for entry in runs["nagle"].events
        if entry.kind == "tcp.state" and entry.host == "b" and entry.fields["new"] == "ESTABLISHED"
    )
    with pytest.raises(ChangeError, match="b has no connection at that place"):
        other("nagle", runs, "quickack=b", at={"event": established})
    with_it = other("nagle", runs, "quickack=b")  # control: it has one when accept() has returned
    assert figures(with_it)["last data"] < figures(runs["nagle"])["last data"]
