"""Reno, CUBIC, BBR and fixed windows side by side on one bottleneck; pacing; a user's own algorithm."""

import pytest

from pystack.runtime.simulated import MS, S
from pystack_c.tcp import sockopt
from pystack_c.tcp.congestion.base import REGISTRY, CongestionControl, register
from tests.support.lab import lab_net, pattern

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


def test_bbr_keeps_the_queue_short_where_cubic_fills_it():
    def worst(algorithm):
        _, lab = goodput(algorithm, size=6_000_000, queue=400)
        return max(tcb.srtt for tcb in lab.a.stack.tcp.all())

    assert worst("bbr") < 120 * MS < worst("reno")


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


def test_a_users_own_algorithm_in_thirty_lines():
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

    try:
        mbits, lab = goodput("half", size=300_000)
        assert 0.5 < mbits < goodput("reno", size=300_000)[0]
    finally:
        del REGISTRY["half"]
