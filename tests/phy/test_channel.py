"""The link model: exact times, exact counts, independent chances."""

import pytest

from pystack.phy import match
from pystack.sim.channel import SETTINGS, Channel, flip_bit
from tests import frames as f

MS = 1_000_000
FRAME = f.ether(bytes(1500))  # 1514 bytes


def test_delay_alone_is_exact_and_keeps_the_order():
    channel = Channel(delay=5 * MS)
    assert channel.send(b"one", 100) == [(5 * MS + 100, b"one")]
    assert channel.send(b"two", 100) == [(5 * MS + 100, b"two")]


def test_rate_serialises():
    channel = Channel(delay=10, rate=10_000_000)
    first = channel.send(FRAME, 0)[0][0]
    second = channel.send(FRAME, 0)[0][0]
    assert first == 1514 * 8 * 100 + 10
    assert second == 2 * 1514 * 8 * 100 + 10
    # idle wire: no waiting
    assert channel.send(FRAME, 10**9)[0][0] == 10**9 + 1514 * 8 * 100 + 10
    # never faster than the rate
    assert Channel(rate=3).send(b"x", 0)[0][0] == 2_666_666_667
    assert Channel(rate=10_000_000, overhead=24).send(FRAME, 0)[0][0] == 1538 * 8 * 100


def test_queue_of_50_packets_at_twice_the_rate_delivers_half():
    """LABS 8: 20 Mbit/s offered to 10 Mbit/s: 50 % delivered, worst queueing 50 * 1514 * 8 / 10^7 = 60.6 ms."""
    channel = Channel(rate=10_000_000, queue=50)
    gap = 1514 * 8 * 50
    for number in range(20_000):
        channel.send(FRAME, number * gap)
    assert channel.stats.drops == {"queue": channel.stats.frames - channel.stats.delivered}
    assert abs(channel.stats.delivered / 20_000 - 0.5) < 0.005
    assert channel.stats.queue_max == 50
    assert abs(channel.stats.wait_max - 60.56 * MS) < 0.1 * MS
    # the control: half the load, nothing waits, nothing is lost
    calm = Channel(rate=10_000_000, queue=50)
    for number in range(1000):
        calm.send(FRAME, number * 2 * gap)
    assert calm.stats.drops == {} and calm.stats.wait_max == 0


def test_queue_in_bytes():
    channel = Channel(rate=8_000, queue_bytes=3000)
    results = [bool(channel.send(bytes(size), 0)) for size in (1000, 1500, 1500, 1, 1)]
    assert results == [True, True, True, False, False]
    assert channel.send(b"1", 1_000_000_000 + 1)  # one second later the first of those has started


def test_when_a_lost_frame_would_have_arrived():
    free = Channel(delay=5)
    free.drop(1)
    assert free.send(FRAME, 100) == [] and free.arrival_of(1514, 100, True) == 105
    # one that was lost on the wire had its turn there
    wire, same = Channel(delay=5, rate=10_000_000), Channel(delay=5, rate=10_000_000)
    wire.drop(2)
    assert wire.send(FRAME, 0) == same.send(FRAME, 0)
    assert wire.send(FRAME, 0) == [] and wire.arrival_of(1514, 0, True) == same.send(FRAME, 0)[0][0]
    # one that the queue had no room for would have come after those that are in it
    full, more = Channel(delay=5, rate=10_000_000, queue=1), Channel(delay=5, rate=10_000_000, queue=2)
    assert [len(full.send(FRAME, 0)) for _ in range(3)] == [1, 1, 0]
    assert full.arrival_of(1514, 0, False) == [more.send(FRAME, 0) for _ in range(3)][2][0][0]


def test_rules_by_number_and_period_count_only_what_matches():
    syn = f.ether(f.ipv4("10.0.0.1", "10.0.0.2", 6, f.tcp("10.0.0.1", 1, "10.0.0.2", 2, 2, 0, 0)))
    data = f.ether(f.ipv4("10.0.0.1", "10.0.0.2", 6, f.tcp("10.0.0.1", 1, "10.0.0.2", 2, 16, 0, 0, b"x")))
    channel = Channel()
    channel.drop(2, 4, match=match.is_data)
    got = [bool(channel.send(frame, 0)) for frame in (syn, data, data, syn, data, data, data)]
    assert got == [True, True, False, True, True, False, True]
    channel = Channel()
    channel.drop_every(3)
    assert [bool(channel.send(b"x", 0)) for _ in range(7)] == [True, True, False, True, True, False, True]
    assert channel.stats.drops == {"rule": 2}


def test_rules_hold_repeat_and_flip():
    channel = Channel(delay=10)
    channel.hold(1, extra=100)
    channel.repeat(2, extra=5)
    channel.flip(3, bit=-1)
    channel.drop_if(lambda frame: frame == b"no")
    assert channel.send(b"a", 0) == [(110, b"a")]
    assert channel.send(b"b", 0) == [(10, b"b"), (15, b"b")]
    assert channel.send(b"\x00\x00", 0) == [(10, b"\x00\x01")]
    assert channel.send(b"no", 0) == []
    assert (channel.stats.reordered, channel.stats.duplicated, channel.stats.corrupted) == (1, 1, 1)


def test_rules_are_exact_with_jitter_too():
    """A frame that is held back is overtaken, and delays no other; a copy comes as much later as it shall."""
    channel = Channel(3, delay=1000, jitter=10)
    channel.hold(2, extra=100_000)
    channel.repeat(4, extra=5_000)
    times = [[at for at, _ in channel.send(b"x", number * 100)] for number in range(6)]
    plain = Channel(3, delay=1000, jitter=10)
    expected = [[at for at, _ in plain.send(b"x", number * 100)] for number in range(6)]
    expected[1] = [expected[1][0] + 100_000]
    expected[3] = [expected[3][0], expected[3][0] + 5_000]
    assert times == expected
    assert all(1000 <= at[0] - number * 100 <= 1010 for number, at in enumerate(times) if number != 1)


@pytest.mark.parametrize(
    ("rate", "length"), [(10**12, 64), (10**12, 1514), (40 * 10**9, 64), (999_999_937, 1514), (3, 1)]
)
def test_many_frames_take_as_long_as_their_bits(rate, length):
    """What is rounded up for one frame is taken off the next; each arrives at its exact time, rounded up to a nanosecond."""
    channel = Channel(rate=rate)
    frame = bytes(length)
    bits = length * 8 * 10**9
    for number in range(1, 2001):
        assert channel.send(frame, 0)[0][0] == -(-number * bits // rate)
    assert abs(channel.stats.busy - 2000 * bits / rate) <= 1
    # An idle wire begins anew; another rate, too.
    later = 10 * channel.stats.busy
    assert channel.send(frame, later)[0][0] == later - (-bits // rate)
    channel.set(rate=2 * rate)
    assert channel.send(frame, later)[0][0] == later - (-bits // rate) - (-bits // (2 * rate))


def test_mtu_counts_the_ip_packet():
    channel = Channel(mtu=1500)
    assert channel.send(FRAME, 0) and not channel.send(FRAME + b"x", 0)
    assert channel.stats.drops == {"mtu": 1}


def outcomes(**settings) -> list:
    channel = Channel(7, "x", **settings)
    return [channel.send(number.to_bytes(4, "big"), 0) for number in range(5000)]


@pytest.mark.parametrize("other", [{"corrupt": 0.3}, {"duplicate": 0.3}, {"reorder": 0.3, "reorder_delay": 9}])
def test_an_impairment_does_not_disturb_another(other):
    lost = [number for number, got in enumerate(outcomes(loss=0.1)) if not got]
    lost_too = [number for number, got in enumerate(outcomes(loss=0.1, **other)) if not got]
    assert lost == lost_too
    assert abs(len(lost) - 500) < 64  # 3 sigma
    assert lost != [
        number for number, got in enumerate(outcomes(corrupt=0.1)) if got[0][1] != number.to_bytes(4, "big")
    ]


def test_chance_is_the_seeds():
    assert outcomes(loss=0.5, corrupt=0.5) == outcomes(loss=0.5, corrupt=0.5)
    other = Channel(8, "x", loss=0.5)
    assert [bool(other.send(b"x", 0)) for _ in range(100)] != [bool(got) for got in outcomes(loss=0.5)[:100]]


def test_corruption_changes_one_bit():
    for number, got in enumerate(outcomes(corrupt=1.0)[:200]):
        (_, data), was = got[0], number.to_bytes(4, "big")
        assert (int.from_bytes(data, "big") ^ int.from_bytes(was, "big")).bit_count() == 1
    assert flip_bit(b"\x00", 0) == b"\x80"


def test_jitter_keeps_the_order_and_reordering_does_not():
    times = [got[0][0] for got in outcomes(jitter=1000, delay=50)]
    assert times == sorted(times) and len(set(times)) > 5
    assert min(times) >= 50 and max(times) <= 1050
    late = [got[0][0] for got in outcomes(reorder=0.25, reorder_delay=9, delay=50)]
    assert set(late) == {50, 59} and abs(late.count(59) - 1250) < 92


def test_down_and_settings():
    channel = Channel()
    channel.set(up=False)
    assert channel.send(b"x", 0) == [] and channel.stats.drops == {"down": 1}
    channel.set(up=True, delay=3)
    assert channel.send(b"x", 0) == [(3, b"x")]
    with pytest.raises(TypeError, match="no setting named 'dleay'"):
        channel.set(dleay=3)


@pytest.mark.parametrize(
    "settings",
    [
        {"delay": 0.05},  # seconds
        {"delay": "50ms"},  # texts are for live links
        {"delay": 1 << 63},
        {"jitter": 10**25},
        {"reorder_delay": 0.03},
        {"rate": -1},
        {"rate": 1e6},
        {"queue": -1},
        {"queue_bytes": 1.5},
        {"mark": "x"},
        {"mtu": -1},
        {"overhead": -5000},
        {"loss": 5},
        {"loss": float("nan")},
        {"reorder": 2},
        {"duplicate": -0.1},
        {"corrupt": None},
        {"burst": 0.05},
        {"trace": [(0, 1, 1)]},
    ],
)
def test_values_that_are_not_allowed(settings):
    """A channel that took such a value would fail at a later frame, and an exception there stops the stack of a live link."""
    (name,) = settings
    with pytest.raises(ValueError, match=f"^{name}=.*: write "):
        Channel(**settings)
    channel = Channel(delay=MS)
    before = {each: getattr(channel, each) for each in SETTINGS}
    with pytest.raises(ValueError, match=f"^{name}="):
        channel.set(mtu=9000, **settings) if name != "mtu" else channel.set(**settings)
    assert before == {each: getattr(channel, each) for each in SETTINGS}
    with pytest.raises(ValueError, match="^up=down: write True or False"):
        channel.set(up="down")
