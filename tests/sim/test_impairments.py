"""Loss in bursts, traces of rate and delay, and links by name."""

import pytest

from pystack.sim.channel import Channel
from pystack.sim.impairments import MAX_BYTES, Burst, LinkTrace
from pystack.sim.network import MS, Network, S
from pystack.sim.profiles import PROFILES
from pystack.sim.units import parse_probability, parse_rate, parse_time

FRAMES = 60_000


def losses(channel):
    return [not channel.send(b"x" * 100, n) for n in range(FRAMES)]


def lengths(lost):
    """The lengths of the runs of lost frames."""
    text = "".join(".x"[one] for one in lost)
    return [len(run) for run in text.split(".") if run]


@pytest.mark.parametrize(
    "burst", [Burst(0.02, 0.25), Burst(0.05, 0.4, good=0.01, bad=0.7), Burst.of(loss=0.03, length=5)]
)
def test_losses_come_in_bursts_of_the_computed_length(burst):
    lost = losses(Channel(7, burst=burst))
    runs = lengths(lost)
    assert sum(lost) / FRAMES == pytest.approx(burst.mean_loss(), rel=0.1)
    assert sum(runs) / len(runs) == pytest.approx(burst.mean_burst(), rel=0.1)
    # The control: the same loss without memory has shorter bursts.
    alone = losses(Channel(7, loss=burst.mean_loss()))
    assert sum(alone) / FRAMES == pytest.approx(burst.mean_loss(), rel=0.1)
    runs = lengths(alone)
    assert sum(runs) / len(runs) == pytest.approx(1 / (1 - burst.mean_loss()), rel=0.1)
    assert sum(runs) / len(runs) < burst.mean_burst() * 0.8


def test_closed_forms():
    assert Burst(0.02, 0.25).mean_burst() == pytest.approx(4)
    assert Burst(0.02, 0.25).mean_loss() == pytest.approx(0.02 / 0.27)
    same = Burst(0.3, 0.2, good=0.1, bad=0.1)  # the two states do not differ, so this is independent loss
    assert same.mean_loss() == pytest.approx(0.1) and same.mean_burst() == pytest.approx(1 / 0.9)
    assert Burst(0, 0.5).mean_loss() == Burst(0, 0.5).mean_burst() == 0
    assert Burst(0.1, 0.5, 1, 1).mean_burst() == float("inf")
    wanted = Burst.of(loss=0.02, length=8)
    assert (wanted.mean_loss(), wanted.mean_burst()) == (pytest.approx(0.02), pytest.approx(8))


@pytest.mark.parametrize("values", [(1.1, 0.5), (-0.1, 0.5), (0.1, 0.0), (0.1, 0.5, 2.0)])
def test_parameters_of_a_burst_that_are_not_allowed(values):
    with pytest.raises(ValueError, match="probability|leave"):
        Burst(*values)


def test_bursts_that_are_too_short_for_the_loss():
    assert Burst.of(0.9, 9).p == pytest.approx(1)
    with pytest.raises(ValueError, match="a burst has at least 9 frames"):
        Burst.of(0.9, 1)


def test_a_burst_changes_no_other_impairment():
    def corrupted(**more):
        channel = Channel(3, corrupt=0.2, **more)
        sent = [channel.send(b"x" * 40, n) for n in range(2000)]
        return channel, [bool(got) and got[0][1] != b"x" * 40 for got in sent], sent

    channel, with_bursts, sent = corrupted(burst=Burst(0.1, 0.3))
    _, plain, _ = corrupted()
    assert channel.stats.drops["burst"] == channel.stats.dropped() > 100
    assert [bad for bad, got in zip(plain, sent, strict=True) if got] == [
        bad for bad, got in zip(with_bursts, sent, strict=True) if got
    ]


def test_a_trace_sets_rate_and_delay():
    trace = LinkTrace([(0, 8_000_000, 5 * MS), (S, 800_000, 50 * MS), (2 * S, None, 0)])
    channel = Channel(trace=trace)
    assert channel.send(bytes(1000), 0)[0][0] == 1 * MS + 5 * MS
    assert channel.send(bytes(1000), S)[0][0] == S + 10 * MS + 50 * MS
    # The delay falls to 0 while a frame is on the way, and a later frame does not overtake it.
    held = channel.send(bytes(1000), 2 * S - MS)[0][0]
    assert held == 2 * S - MS + 60 * MS
    assert channel.send(bytes(1000), 2 * S)[0][0] == held
    assert channel.send(bytes(1000), 3 * S)[0][0] == 3 * S


def test_a_trace_repeats_and_starts_later():
    trace = LinkTrace([(0, None, 1), (10, None, 2)], repeat=20)
    assert [trace.at(now)[2] for now in (0, 9, 10, 19, 20, 30)] == [1, 1, 2, 2, 1, 2]
    assert [trace.starting(5).at(now)[2] for now in (0, 14, 15, 25)] == [1, 1, 2, 1]


@pytest.mark.parametrize(
    ("rows", "options", "error"),
    [
        ([], {}, "needs a row"),
        ([(0, 0, 0)], {}, "at least 1 bit/s"),
        ([(0, None, -1)], {}, "not negative"),
        ([(5, None, 0), (5, None, 1)], {}, "does not come after"),
        ([(0, None)], {}, "a row is"),
        ([(0.5, None, 0)], {}, "a row is"),
        ([(0, None, 0), (9, None, 0)], {"repeat": 9}, "cannot be repeated"),
        ([(0, None, 0)], {"repeat": 1.5}, "ints of ns"),
        ([(0, None, 0)], {"repeat": float("nan")}, "ints of ns"),
        ([(0, None, 0)], {"start": 0.5}, "ints of ns"),
        ([(0, None, 1 << 63)], {}, "up to 2..62"),
        ([(0, 1 << 63, 0)], {}, "up to 2..62"),
    ],
)
def test_rows_that_are_not_allowed(rows, options, error):
    with pytest.raises(ValueError, match=error):
        LinkTrace(rows, **options)


def test_a_trace_with_too_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("pystack.sim.impairments.MAX_ROWS", 2)
    rows = [(0, None, 0), (1, None, 0), (2, None, 0)]
    assert len(LinkTrace(rows[:2]).rows) == 2
    path = tmp_path / "long"
    path.write_text("0s - 0s\n1s - 0s\n2s - 0s\n")
    for make in (lambda: LinkTrace(rows), lambda: LinkTrace.read(path)):
        with pytest.raises(ValueError, match="at most 2 rows"):
            make()


def test_a_trace_file(tmp_path):
    path = tmp_path / "link.trace"
    path.write_text("# a train\n0s 10mbit 50ms\n\n1.5s 300kbit 200ms  # a tunnel\r\n3s - 1us\n")
    assert LinkTrace.read(path).rows == ((0, 10_000_000, 50 * MS), (1_500 * MS, 300_000, 200 * MS), (3 * S, None, 1000))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", "a trace needs a row"),
        (b"0s 10mbit\n", "line 1: .* this line has 2 words"),
        (b"0s 10mbit 5ms\n0s 1mbit 5ms", "line 2: .*does not come after"),
        (b"0s 10m 5ms", "line 1: '10m' is not a rate"),
        (b"0s 0kbit 5ms", "line 1: .*at least 1bit"),
        (b"-1s 1kbit 5ms", "line 1: '-1s' is not a time"),
        (b"\xff\xfe\x00", "line 1: a trace is a text in ASCII"),
        (b"9" * 5000 + b"s 1bit 1s", "line 1: .* is not a time"),
        (b"999999999999s 1bit 1s", "line 1: .*largest"),
    ],
)
def test_files_that_are_not_traces(tmp_path, text, error):
    path = tmp_path / "hostile"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=error) as caught:
        LinkTrace.read(path)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ValueError, match="at most"):
        LinkTrace.read(path)


def test_units():
    assert [parse_time(text) for text in ("50ms", "1.5s", "7us", "3ns")] == [50 * MS, 1_500 * MS, 7000, 3]
    assert [parse_rate(text) for text in ("10mbit", "1.5Gbit", "64kbit")] == [10**7, 1_500_000_000, 64_000]
    assert [parse_probability(text) for text in ("1%", "0.25", "100%")] == [0.01, 0.25, 1.0]
    for parse, text in ((parse_time, "50"), (parse_time, "1e3s"), (parse_rate, "0bit"), (parse_probability, "101%")):
        with pytest.raises(ValueError, match="50|1e3s|0bit|101%"):
            parse(text)


@pytest.mark.parametrize("name", PROFILES)
def test_links_by_name(name):
    net = Network()
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, profile=name, loss=0.5, ba={"delay": 7})
    up, down = PROFILES[name]
    assert (link.ab.rate, link.ab.delay, link.ba.rate) == (up["rate"], up["delay"], down["rate"])
    assert link.ba.delay == 7 and link.ab.loss == link.ba.loss == 0.5
    # A full segment always finds room in an empty queue.
    assert min(up["queue_bytes"], down["queue_bytes"]) > 1514


def test_a_profile_that_is_unknown():
    net = Network()
    with pytest.raises(ValueError, match="no link profile 'warp'; there are lan, dsl"):
        net.link(net.host("a"), net.host("b"), profile="warp")
