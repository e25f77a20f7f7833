"""Clocks that run fast or slow: timers, timestamps and programs follow them exactly, and all of it is the same in each run."""

import asyncio
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystack.sim.clock import HostClock
from pystack.sim.network import MS, Network, S
from pystack.sim.schedule import Schedule
from pystack.stepper.timeline import Timeline
from pystack.stepper.verify import verify
from pystack.testing.lab import lab_net, pattern, sleep
from pystack.trace.replay import Replay, replay
from tests.sim.test_middleboxes import Kept

D = 50 * MS
FAST, SLOW = 500, -500


@given(
    st.integers(0, 10**15),
    st.integers(-(10**15), 10**15),
    st.integers(-500_000_000, 500_000_000),
    st.integers(0, 10**15),
)
def test_a_clock_and_its_inverse(began, base, ppb, later):
    """`true` is the first time at which the clock shows at least `own`."""
    clock = HostClock(began, base, ppb)
    own = clock.own(began + later)
    assert own == base + later * (10**9 + ppb) // 10**9
    for wanted in (own, own + 1):
        true = clock.true(wanted)
        assert clock.own(true) >= wanted > clock.own(true - 1)


def pair():
    """Two hosts whose clocks run 500 ppm fast and slow."""
    net = Network(seed=3)
    a, b = net.host("a"), net.host("b")
    net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=D)
    net.introduce()
    a.set_clock(ppm=FAST)
    b.set_clock(ppm=SLOW)
    return net, a, b


def test_two_hosts_see_each_others_timeouts_drift():
    """Both sleep 100 s. Measured by the other one's clock, each sleep has the wrong length, by the closed form."""
    net, a, b = pair()
    ends = {}

    def program(host):
        def run():
            began = time.monotonic_ns()
            time.sleep(100)
            ends[host.name] = net.now, time.monotonic_ns() - began

        return run

    pytest.importorskip("greenlet")
    net.run({a: program(a), b: program(b)})
    # 100 s on a clock that runs r times as fast as time are 100 s / r.
    for name, ppm in (("a", FAST), ("b", SLOW)):
        true, own = ends[name]
        assert own == 100 * S
        assert true == -(-100 * S * 10**6 // (10**6 + ppm))
    assert ends["b"][0] - ends["a"][0] == 100_000_025  # 100 s * 2 * 500 ppm, and what is of second order
    assert b.local.own(ends["a"][0]) == 99_900_049_975 and a.local.own(ends["b"][0]) == 100_100_050_025


def test_the_retransmission_timeouts_of_the_stack_drift():
    """A SYN is retransmitted after 1, 2 and 4 s of the sender's clock, and ETIMEDOUT comes after 8 s more."""
    for ppm in (0, FAST, SLOW, 200_000):
        lab = lab_net(D, tcp_syn_retries=2, tcp_syn_linear_timeouts=0)
        lab.a.set_clock(ppm=ppm)
        times = []
        lab.a.port().taps.append(lambda now, way, frame, times=times: times.append(now))
        lab.b.freeze()
        with pytest.raises(OSError, match="timed out"):
            lab.run(lab.client())
        assert times == [-(-at * S * 10**6 // (10**6 + ppm)) for at in (0, 1, 3)]
        assert lab.net.now == -(-7 * S * 10**6 // (10**6 + ppm))


def test_tcp_timestamps_run_with_the_clock():
    seen = {}
    for ppm in (0, 100_000):
        lab = lab_net(D, profile="linux")
        lab.a.set_clock(ppm=ppm)
        values = seen[ppm] = []

        def tap(now, way, frame, values=values):
            at = frame.find(b"\x01\x01\x08\x0a")
            if at > 0 and frame[26:30] == bytes((10, 0, 0, 1)):
                values.append((now, int.from_bytes(frame[at + 4 : at + 8], "big")))

        lab.a.port().taps.append(tap)
        client, server = lab.connected()

        def later(client=client):
            yield client.sendall(b"x")
            yield sleep(100 * S)
            yield client.sendall(b"x")

        lab.run(later())
        lab.net.run(lab.net.now + S)
    for ppm, values in seen.items():
        gone = values[-1][0] - values[0][0]
        ticks = (values[-1][1] - values[0][1]) & 0xFFFFFFFF
        assert abs(ticks - gone * (10**6 + ppm) // 10**6 // MS) <= 1 and ticks > 100_000


def test_the_time_of_day_has_the_offset():
    net = Network()
    a, b = net.host("a"), net.host("b")
    a.set_clock(offset=-3600 * S)
    seen = {}

    async def look(host):
        seen[host] = time.time(), time.monotonic(), time.time_ns()

    net.run({a: _bind(look, "a"), b: _bind(look, "b")})
    assert seen["b"][0] - seen["a"][0] == 3600 and seen["b"][2] - seen["a"][2] == 3600 * S
    assert seen["a"][1] == seen["b"][1]  # control: the monotonic clock has none


def _bind(function, value):
    async def program():
        return await function(value)

    return program


def test_tasks_that_share_a_loop_wait_by_their_own_clocks():
    net, a, b = pair()
    ends = {}

    async def program(name):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(60)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(40):
                await asyncio.Event().wait()
        ends[name] = net.now, loop.time() - began

    net.run({a: _bind(program, "a"), b: _bind(program, "b")})
    for name, ppm in (("a", FAST), ("b", SLOW)):
        true, own = ends[name]
        assert own == pytest.approx(100, abs=1e-6) and true == pytest.approx(100 * S * 10**6 / (10**6 + ppm), abs=1000)
    # a loop of one host, which asyncio.run makes in a program that blocks
    pytest.importorskip("greenlet")
    start = net.now
    net.run({a: lambda: asyncio.run(_bind(program, "a")())})
    assert ends["a"][1] == pytest.approx(100, abs=1e-6)
    assert net.now - start == pytest.approx(100 * S * 10**6 / (10**6 + FAST), abs=1000)


def test_blocking_timeouts_follow_the_clock():
    import queue
    import selectors
    import socket
    import threading

    pytest.importorskip("greenlet")
    net, a, b = pair()
    a.set_clock(ppm=250_000)  # 5 s of this clock are 4 s
    took = []

    def measure(wait):
        before = net.now
        wait()
        took.append(net.now - before)

    def get():
        with pytest.raises(queue.Empty):
            queue.Queue().get(timeout=5)

    def receive():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(TimeoutError):
            sock.settimeout(5)
            sock.recv(1)

    def join():
        thread = threading.Thread(target=time.sleep, args=(50,))
        thread.start()
        thread.join(5)

    def program():
        measure(lambda: time.sleep(5))
        measure(lambda: threading.Event().wait(5))
        measure(get)
        measure(receive)
        measure(lambda: selectors.DefaultSelector().select(5))
        measure(join)

    net.run({a: program})
    assert took == [4 * S] * 6
    net.run({b: lambda: measure(lambda: time.sleep(5))})  # the control: another host, another clock
    assert took[-1] == -(-5 * S * 10**6 // (10**6 + SLOW))


def test_a_clock_that_is_changed_never_goes_back():
    net = Network()
    a = net.host("a")
    plan = Schedule(net)
    plan.clock(10 * S, a, ppm=100_000)
    plan.clock(20 * S, a, ppm=-100_000, offset=5 * S)
    plan.clock(30 * S, a)
    shown = []
    for at in range(0, 50, 10):
        net.run(at * S)
        shown.append(a.clock())
    assert shown == [0, 10 * S, 21 * S, 30 * S, 40 * S]
    assert a.wall_time(a.clock()) == net.epoch + 40 * S
    for wrong in ("1", None, float("nan"), 1e9, -600_000, True):
        with pytest.raises(ValueError, match="ppm="):
            a.set_clock(ppm=wrong)
        with pytest.raises(ValueError, match="ppm="):
            plan.clock(60 * S, a, ppm=wrong)
    for wrong in (1.5, "1s", 10**30, True):
        with pytest.raises(ValueError, match="offset="):
            a.set_clock(offset=wrong)
    with pytest.raises(ValueError, match="is not in this network"):
        plan.clock(60 * S, "a")


def test_timers_are_moved_when_the_clock_changes():
    """The deadline of a timer is on the host's clock, so a faster clock brings it nearer."""
    lab = lab_net(D, tcp_syn_retries=0, tcp_syn_linear_timeouts=0)
    lab.b.freeze()
    Schedule(lab.net).clock(500 * MS, lab.a, ppm=500_000)
    with pytest.raises(OSError, match="timed out"):
        lab.run(lab.client())
    # half of the second by the right clock, and the other half by one that is half as fast again
    assert lab.net.now == 500 * MS + -(-500 * MS * 2 // 3)
    slow = lab_net(D, tcp_syn_retries=0, tcp_syn_linear_timeouts=0)
    slow.b.freeze()
    Schedule(slow.net).clock(500 * MS, slow.a, ppm=-500_000)
    with pytest.raises(OSError, match="timed out"):
        slow.run(slow.client())
    assert slow.net.now == 500 * MS + 500 * MS * 2


def record(ppm=(FAST, SLOW), boot=False):
    file = Kept()
    with Network(seed=5) as net:
        net.record(file)
        a, b = net.host("a"), net.host("b")
        link = net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=D, loss=0.05)
        a.set_clock(ppm=ppm[0], offset=S)
        b.set_clock(ppm=ppm[1])
        lab = type(lab_net())(net, a, b, link)
        client, server = lab.connected()
        lab.upload(pattern(100_000), client, server)
        net.run(100 * S)
        lab.upload(pattern(100_000), client, server)
        if boot:
            b.crash()
            b.boot()
            net.run(200 * S)
    return file.getvalue()


def test_a_run_with_wrong_clocks_is_recorded_and_replayed():
    recording = record()
    assert recording == record() != record(ppm=(0, 0))
    assert replay(io.BytesIO(recording)).frames > 100
    assert replay(io.BytesIO(record(boot=True))).frames > 100
    timeline = Timeline.of(recording)
    told = [entry.text() for entry in timeline.events if entry.kind == "clock"]
    assert told == [
        "the clock of the host runs 500 ppm fast, and its time of day is +1 s off",
        "the clock of the host runs 500 ppm slow",
    ]
    assert verify(timeline, recording).values > 1000
    # The stepper shows the network's time, so each frame needs the link's delay, although the clocks are 100 ms apart by now.
    delays = {sent.arrival - sent.time for sent in timeline.frames if sent.arrival is not None}
    assert all(abs(delay - D) <= 3 for delay in delays) and len(timeline.frames) > 100


def test_the_times_of_what_is_watched_are_the_networks():
    lab = lab_net(D)
    times = []
    lab.net.watch(lambda record: times.append((record.time, record.host)))
    lab.a.set_clock(ppm=500_000)
    lab.net.run(10 * S)
    lab.connected()
    assert times and all(10 * S <= time <= lab.net.now for time, _ in times[1:])


def test_a_forged_clock_is_no_clock():
    from pystack.trace.errors import TraceError
    from pystack.trace.recorder import Recorder
    from pystack_c.config import Config

    for kind, fields, message in (
        ("clock", {"true": 0, "ppb": -(10**9), "offset": 0}, "ppb fast"),
        ("clock", {"true": 0, "ppb": "1", "offset": 0}, "without ppb"),
        ("clock", {}, "without true"),
        ("tcp.state", {}, "is not allowed"),
        ("frame.in", {"iface": "eth0", "frame": "text"}, "without frame"),
        ("drop", {"name": 5}, "without name"),
        ("box", {5: 5}, "is not allowed"),
        ("box", [], "is not allowed"),
    ):
        file = Kept()
        recorder = Recorder(file)
        recorder.host("a", 1, Config()).note(0, kind, "", "", "", fields)
        recorder.close()
        with pytest.raises(TraceError, match=message):
            Replay(io.BytesIO(file.getvalue())).run()
