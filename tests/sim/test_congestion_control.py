"""Reno, CUBIC, BBR and fixed windows side by side on one bottleneck; pacing; a user's own algorithm."""

import errno
import inspect
import re
from pathlib import Path

import pytest

from pystack.phy.match import is_data
from pystack.sim.network import MS, S
from pystack.testing.lab import lab_net, pattern
from pystack.trace.series import Series
from pystack_c.tcp import sockopt
from pystack_c.tcp.congestion.base import REGISTRY, CongestionControl, register
from pystack_c.tcp.congestion.bbr import PROBE_BW_CRUISE, PROBE_BW_REFILL, PROBE_BW_UP

ROOT = Path(__file__).resolve().parents[2]
RATE = 10_000_000
TCP_CONGESTION, SO_MAX_PACING_RATE = 13, 47


def goodput(algorithm, size=3_000_000, loss=None, queue=42, seed=1, **settings):
    """Mbit/s through 10 Mbit/s, R = 50 ms, and the lab."""
    link = {"rate": RATE, "queue": queue} | ({"loss": loss} if loss else {})
    lab = lab_net(25 * MS, seed=seed, profile="linux", tcp_congestion=algorithm, link=link, **settings)
    client, server = lab.connected()
    elapsed = lab.upload(pattern(size), client, server)
    return size * 8 / (elapsed / S) / 1e6, lab


@pytest.mark.parametrize("algorithm", ["reno", "cubic", "bbr"])
def test_a_clean_bottleneck_is_filled(algorithm):
    mbits, lab = goodput(algorithm)
    assert mbits > 8.3  # of 9.5: slow start and the probes cost the rest
    assert lab.a.counters.TcpExtTCPTimeouts == 0


def test_bbr_does_not_mind_random_loss_that_halves_the_others():
    results = {name: goodput(name, loss=0.01)[0] for name in ("reno", "cubic", "bbr")}
    assert results["bbr"] > 1.5 * results["cubic"] and results["bbr"] > 1.5 * results["reno"]


def bbr_flow(loss: float = 0):
    """A bulk transfer with BBR that is under way, 20 Mbit/s, R = 50 ms, so 83 segments a round trip: the lab, and the sender's block."""
    link = {"rate": 20_000_000, "queue": 400} | ({"loss": loss} if loss else {})
    lab = lab_net(25 * MS, profile="linux", tcp_congestion="bbr", link=link)
    client, server = lab.connected()

    def put():
        yield client.sendall(bytes(1 << 24))

    def take():
        yield server.recv_exactly(1 << 24)

    lab.spawn(put())
    lab.spawn(take())
    return lab, client.endpoint


def slowed_down(loss: float) -> float:
    """The share of the time that BBR's short-term bound on bandwidth costs more than 2 %."""
    lab, tcb = bbr_flow(loss)
    cc = tcb.cc
    samples = []
    while lab.net.now < 5 * S:
        lab.net.run(until=lab.net.now + 10 * MS)
        if lab.net.now > 1 * S:
            samples.append(cc.bw_lo < 0.98 * max(cc.bw_now, cc.bw_last))
    return sum(samples) / len(samples)


def slopes(rounds: int) -> tuple[set[int], int]:
    """How many acknowledged bytes BBR's upper bound takes to grow by a segment, after so many rounds of probing; and the MSS."""
    lab, tcb = bbr_flow()
    cc = tcb.cc
    seen = set()
    while lab.net.now < 5 * S:
        lab.net.run(until=lab.net.now + 5 * MS)
        if cc.state == PROBE_BW_REFILL:
            cc.probe_up_rounds = rounds
        elif cc.state == PROBE_BW_UP:
            seen.add(cc.probe_up_count)
    return seen, tcb.mss


def test_bbr_raises_its_bound_by_a_segment_an_ack_at_most():
    """The slope doubles each round; after 30 of them the product of MSS and 2^30 must still be a number."""
    seen, mss = slopes(30)
    assert seen == {mss}
    seen, mss = slopes(0)
    assert min(seen) > 20 * mss


def test_bbr_takes_chance_for_what_it_is():
    """Lost at random: 1.5 % is below BBR.LossThresh (2 %) even where a round has four of 83; 5 % is above it."""
    assert slowed_down(0.015) < 0.1
    assert slowed_down(0.05) > 0.5


def test_bbr_keeps_the_queue_short_where_cubic_fills_it():
    def worst(algorithm):
        _, lab = goodput(algorithm, size=6_000_000, queue=400)
        return max(tcb.srtt for tcb in lab.a.stack.tcp.all())

    assert worst("bbr") < 120 * MS < worst("reno")


def cruising(rate: int) -> float:
    """BBR's largest window in ProbeBW_CRUISE, in segments, from the third second to the tenth; R = 20 ms."""
    lab = lab_net(10 * MS, profile="linux", tcp_congestion="bbr", link={"ab": {"rate": rate, "queue": 100}})
    client, server = lab.connected()
    tcb = client.endpoint

    def put():
        yield client.sendall(bytes(16 << 20))

    def take():
        yield server.recv_exactly(16 << 20)

    lab.spawn(put())
    lab.spawn(take())
    lab.net.run(until=3 * S)
    largest = 0
    while lab.net.now < 10 * S:
        lab.net.run(until=lab.net.now + 20 * MS)
        if tcb.cc.state == PROBE_BW_CRUISE:
            largest = max(largest, tcb.cwnd)
    return largest / tcb.mss


def test_bbrs_window_follows_what_the_path_holds():
    """draft-ietf-ccwg-bbr-06 5.6.4.2: twice the BDP and what ACKs bring at once (two segments), six segments at least."""
    bdp = 1_000_000 / 8 * (0.020 + 1514 * 8 / 1_000_000) / 1448  # with the time that a frame takes on the wire
    assert 2 * bdp < 6 <= cruising(1_000_000) < 2 * bdp + 2.1
    bdp = 10_000_000 / 8 * (0.020 + 1514 * 8 / 10_000_000) / 1448
    assert 2 * bdp - 2 < cruising(10_000_000) < 2 * bdp + 2.1


def test_hystart_leaves_slow_start_before_the_queue_overflows():
    """The queue holds 300 packets: HyStart++ sees the round-trip time rise before it is full."""
    _, with_it = goodput("cubic", queue=300, server={"tcp_rmem": 4 << 20})
    _, without = goodput("reno", queue=300, server={"tcp_rmem": 4 << 20})
    assert with_it.a.counters.TcpRetransSegs < without.a.counters.TcpRetransSegs / 2


def test_pacing_spreads_segments_evenly():
    lab = lab_net(10 * MS, profile="linux")
    client, server = lab.connected()
    lab.a.call(sockopt.setsockopt, client.endpoint, 1, SO_MAX_PACING_RATE, 1_000_000)
    elapsed = lab.upload(pattern(1_000_000), client, server)
    assert 0.97 * S < elapsed < 1.1 * S
    times = [segment.time for segment in lab.log.data("a")]
    gaps = [b - a for a, b in zip(times[100:], times[101:], strict=False)]
    assert max(gaps) <= 2 * min(gap for gap in gaps if gap)
    # Control: unpaced, it is over in a few round trips.
    lab = lab_net(10 * MS, profile="linux")
    client, server = lab.connected()
    assert lab.upload(pattern(1_000_000), client, server) < 0.3 * S


@pytest.fixture
def registry():
    """What a test registers is gone afterwards."""
    before = dict(REGISTRY)
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)


def test_the_guides_own_algorithm(registry):
    """docs/howto/congestion.md is a program: its Vegas fills the link with a short queue, Reno with a long one."""
    text = (ROOT / "docs" / "howto" / "congestion.md").read_text()
    program = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.M | re.S))
    names: dict = {}
    exec(compile(program, "congestion.md", "exec"), names)
    own = names["Vegas"]
    assert len(inspect.cleandoc(text.split("@register\n")[1].split("\n```")[0]).splitlines()) <= 30
    (vegas, short, _), (reno, long, series), (fixed, _, still) = (
        names["results"][n] for n in ("vegas", "reno", "fixed(8)")
    )
    assert vegas > 9 and reno > 9 and 2 < fixed < 2.5
    assert short < 6 < 150 < long
    assert set(still.column("cwnd")) == {0, 8 * 1448} and len(set(series.column("cwnd"))) > 100
    assert registry["vegas"] is own


def half():
    @register
    class Half(CongestionControl):
        """Grows by a segment a round trip, halves on loss, from four segments."""

        name = "half"

        def conn_init(self, tcb):
            tcb.cwnd = 4 * tcb.mss

        def ack_received(self, tcb, acked):
            tcb.cwnd += tcb.mss * acked // tcb.cwnd

        def cong_signal(self, tcb, signal):
            tcb.ssthresh = tcb.cwnd = max(tcb.cwnd // 2, 2 * tcb.mss)

    return Half


def test_one_of_ones_own_by_setting_and_by_option(registry):
    half()
    mbits, _ = goodput("half", size=300_000)
    assert 0.5 < mbits < goodput("reno", size=300_000)[0]
    lab = lab_net(10 * MS, profile="linux")
    client, server = lab.connected()
    client.setsockopt(6, TCP_CONGESTION, "half")
    assert client.endpoint.cc.name == "half" and client.endpoint.cwnd == 10 * client.endpoint.mss
    assert client.getsockopt(6, TCP_CONGESTION) == "half"


def test_names_that_are_none(registry):
    for name in ("none", "vegas", "fixed(0)", "fixed()", "fixed(3", "reno(3)", "", "Fixed(3)"):
        with pytest.raises(ValueError):
            lab_net(MS, tcp_congestion=name)
        lab = lab_net(MS)
        client, server = lab.connected()
        with pytest.raises(OSError) as caught:
            client.setsockopt(6, TCP_CONGESTION, name)
        assert caught.value.errno == errno.ENOENT and client.endpoint.cc.name == "reno"


def test_what_cannot_be_registered(registry):
    with pytest.raises(TypeError):
        register(object)
    for name in ("", "none", "Upper", "x" * 16, "two words", 3):
        with pytest.raises(ValueError):
            register(type("Odd", (CongestionControl,), {"name": name}))
    before = dict(registry)
    register(type("Other", (CongestionControl,), {"name": "cubic"}))
    assert registry["cubic"] is not before["cubic"]


def test_a_name_taken_away_leaves_reno(registry):
    """As on Linux: a connection has an algorithm, whatever the setting says."""
    half()
    lab = lab_net(MS, tcp_congestion="half")
    del registry["half"]
    client, server = lab.connected()
    assert client.endpoint.cc.name == "reno" == client.getsockopt(6, TCP_CONGESTION)


@pytest.mark.parametrize("window", [0, -5, 1])
def test_a_window_that_sends_nothing_is_one_segment(registry, window):
    """A mistake in a hook slows a connection down, and does not stop it for good."""
    register(
        type("Nil", (CongestionControl,), {"name": "nil", "conn_init": lambda self, t: setattr(t, "cwnd", window)})
    )
    lab = lab_net(10 * MS, profile="linux", tcp_congestion="nil")
    client, server = lab.connected()
    size = 20 * client.endpoint.mss
    # (One segment a round trip of 20 ms; without the floor, a zero-window probe now and then.)
    assert 19 * 20 * MS <= lab.upload(pattern(size), client, server) <= 21 * 20 * MS + 200 * MS
    assert client.endpoint.cwnd == client.endpoint.mss


def test_fixed_windows_by_number():
    """n segments a round trip, to the segment; cwnd never moves, whatever is lost."""
    for n in (1, 4, 30):
        lab = lab_net(10 * MS, profile="linux", tcp_congestion=f"fixed({n})")
        lab.link.ab.drop(25, match=is_data)
        client, server = lab.connected()
        lab.upload(pattern(200_000), client, server)
        assert client.endpoint.cwnd == n * client.endpoint.mss
        times = [s.time for s in lab.log.data("a")]
        first = [t for t in times if t < times[0] + 20 * MS]
        assert len(first) == n
    lab = lab_net(10 * MS, profile="linux")
    client, server = lab.connected()
    client.setsockopt(6, TCP_CONGESTION, "fixed(7)")
    assert client.endpoint.cwnd == 7 * client.endpoint.mss


def after_one_loss(lab):
    """cwnd in segments, event by event, after the 40th data segment is lost."""
    series = Series(lab.a.stack)
    lab.link.ab.drop(40, match=is_data)
    client, server = lab.connected()
    lab.upload(pattern(250_000), client, server)
    conn = series.connections()[0]
    mss = client.endpoint.mss
    lost = conn.column("phase")
    start = next(i for i, phase in enumerate(lost) if phase in ("recovery", "loss"))
    return lost[start], [w // mss for w in conn.column("cwnd")[start:]], conn, mss


def test_tahoe_begins_anew_after_a_loss_and_reno_halves():
    """The profile of 1988: three duplicate ACKs, one retransmission, then slow start from one segment."""
    lab = lab_net(20 * MS, profile="tahoe")
    phase, windows, conn, mss = after_one_loss(lab)
    assert phase == "loss" and windows[0] == 1
    assert lab.a.counters.TcpExtTCPTimeouts == 0 and lab.a.counters.TcpRetransSegs == 1
    ssthresh = max(conn.column("ssthresh")) // mss
    # One segment more at a time; in slow start several a round trip, from ssthresh on one.
    assert list(dict.fromkeys(windows)) == list(range(1, max(windows) + 1)) and max(windows) >= ssthresh + 4
    when = {w: next(r[0] for r in conn.rows[-len(windows) :] if r[4] // mss == w) for w in (1, ssthresh, ssthresh + 4)}
    rtt = 40 * MS
    assert (when[ssthresh] - when[1]) / (ssthresh - 1) < 0.7 * rtt < (when[ssthresh + 4] - when[ssthresh]) / 4
    # Control: Reno with the same settings halves, and never falls to one segment.
    lab = lab_net(20 * MS, profile="tahoe", tcp_congestion="reno")
    phase, windows, _, _ = after_one_loss(lab)
    assert phase == "recovery" and min(windows) > 3 and lab.a.counters.TcpRetransSegs == 1


def test_tahoe_sends_a_window_again_where_several_are_lost():
    lab = lab_net(20 * MS, profile="tahoe")
    for number in (40, 41, 44):
        lab.link.ab.drop(number, match=is_data)
    client, server = lab.connected()
    lab.upload(pattern(250_000), client, server)
    assert lab.a.counters.TcpExtTCPTimeouts == 0 and 3 <= lab.a.counters.TcpRetransSegs < 20


def test_tahoe_by_option_on_a_modern_stack():
    lab = lab_net(20 * MS, profile="linux", tcp_congestion="tahoe")
    phase, windows, _, _ = after_one_loss(lab)
    assert phase == "loss" and windows[0] == 1 and lab.a.counters.TcpRetransSegs == 1


def after_a_pause(pause, **settings):
    """(cwnd before, cwnd after, segments sent at once after), where the application writes nothing for `pause`."""
    lab = lab_net(20 * MS, profile="linux", tcp_init_ssthresh=40 * 1448, **settings)
    client, server = lab.connected()
    lab.upload(pattern(500_000), client, server)
    lab.net.run(until=lab.net.now + 100 * MS)
    tcb = client.endpoint
    before, since = tcb.cwnd // tcb.mss, tcb.last_send
    lab.net.run(until=since + pause)
    lab.upload(pattern(100_000), client, server)
    burst = [s for s in lab.log.data("a") if since + pause <= s.time < since + pause + 20 * MS]
    return before, len(burst), tcb.rto


def test_idle_windows():
    """RTO is 241 ms. RFC 5681: ten segments at once; RFC 2861: half for each RTO; RFC 7661: five minutes as it was."""
    before, burst, rto = after_a_pause(1000 * MS)
    assert before > 40 and burst == 10 and 240 * MS < rto < 242 * MS
    assert after_a_pause(200 * MS)[1] > 40  # (control: not yet an RTO)
    for pause, halves in ((250 * MS, 1), (500 * MS, 2), (2000 * MS, 9)):
        assert after_a_pause(pause, tcp_idle_cwnd=1)[1] == max(10, before >> halves), pause
    assert after_a_pause(200 * MS, tcp_idle_cwnd=1)[1] == before
    assert after_a_pause(299 * S, tcp_idle_cwnd=2)[1] == before
    assert after_a_pause(301 * S, tcp_idle_cwnd=2)[1] == before >> 1
    assert after_a_pause(3600 * S, tcp_slow_start_after_idle=False)[1] == before


@pytest.mark.parametrize("algorithm", ["cubic", "reno"])
def test_what_was_never_used_does_not_grow(algorithm):
    """RFC 7661 4.4: a sender that writes ten segments a second does not collect a window; one that fills it does."""
    lab = lab_net(20 * MS, profile="linux", tcp_congestion=algorithm, tcp_slow_start_after_idle=False)
    client, server = lab.connected()
    for _ in range(60):
        lab.upload(pattern(10_000), client, server)
        lab.net.run(until=lab.net.now + 100 * MS)
    assert client.endpoint.cwnd <= 20 * client.endpoint.mss
    lab.upload(pattern(600_000), client, server)
    assert client.endpoint.cwnd > 60 * client.endpoint.mss


@pytest.mark.parametrize(
    ("lost", "timeouts", "settings"),
    [((3, 5), 0, {}), (range(1, 11), 1, {"tcp_tlp": False}), ((), 0, {})],
    ids=["two holes", "a whole window", "control: none"],
)
def test_each_segment_that_is_lost_is_told_once(registry, lost, timeouts, settings):
    """segment_lost, by whichever rule found it; and the rate of losses counts the same bytes."""
    told = []

    @register
    class Told(registry["reno"]):
        name = "told"

        def segment_lost(self, tcb, seg):
            told.append((seg.seq - tcb.iss - 1) % 2**32 // 1460 + 1)

    lab = lab_net(25 * MS, tcp_congestion="told", **settings)
    client, server = lab.connected()
    lab.link.ab.drop(*lost, match=is_data)
    lab.upload(pattern(10 * 1460), client, server)
    assert sorted(told) == list(lost)
    assert client.endpoint.rate.lost == len(lost) * 1460
    assert lab.a.counters.TcpExtTCPTimeouts == timeouts
