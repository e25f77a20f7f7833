"""CUBIC: its curve by the RFC's formulas, before and after what interrupts it; and Linux's arithmetic, number by number."""

import math
from types import SimpleNamespace

import pytest

import pystack_c.const as C
from pystack.testing.peer import Peer
from pystack_c.counters import Counters
from pystack_c.tcp.congestion.base import SIGNAL_ECN, SIGNAL_LOSS, SIGNAL_RTO
from pystack_c.tcp.congestion.cubic import Cubic
from pystack_c.tcp.congestion.cubic_linux import LinuxCubic
from pystack_c.tcp.loss import undo

MS = 1_000_000


def flow(cwnd, ssthresh):
    """What the arithmetic looks at of a Tcb with segments of 1000 bytes, busy since time 0."""
    core = SimpleNamespace(now=0, counters=Counters())
    times = {"chrono": 1, "chrono_at": 0, "chrono_busy": 0, "chrono_rwnd": 0, "chrono_sndbuf": 0}
    return SimpleNamespace(core=core, mss=1000, cwnd=cwnd * 1000, ssthresh=ssthresh * 1000, last_rtt=-1, **times)


def windows(cubic, t, acks, w_max=0.0):
    """cwnd in segments after each ACK of two, 100 ms apart."""
    found = []
    for _ in range(acks):
        cubic.avoid(t, 2000, w_max)
        found.append(t.cwnd // 1000)
        t.core.now += 100 * MS
    return found


def growth(idle):
    """cwnd by RFC 9438 after 2 s of ACKs, a pause, and one ACK more."""
    conn = Peer(tcp_congestion="cubic").established()
    tcb = conn.tcb
    tcb.cc = Cubic()
    tcb.mss, tcb.srtt, tcb.cwnd, tcb.ssthresh = 1000, 100 * MS, 40_000, 40_000
    for _ in range(20):
        tcb.cc.ack_received(tcb, 2000)
        tcb.core.now += 100 * MS
    tcb.core.now += idle
    tcb.cc.ack_received(tcb, 2000)
    return tcb.cwnd


def test_time_in_which_cwnd_was_not_updated_does_not_count():
    # RFC 9438 4.2: a minute without data is no minute of growth (at most half of what is acknowledged, 4.4).
    assert growth(60_000 * MS) == growth(0)
    assert growth(0) > 40_000


def linux(delay=100 * MS):
    cubic = LinuxCubic()
    cubic.delay_min = delay
    return cubic


def test_before_a_loss_one_for_twenty_then_the_cubic_then_half():
    # 48 segments: 0.4 * t^3 passes the twentieth after 2.5 s, and the bound of one for two after 4.
    found = windows(linux(), flow(48, 48), 45)
    assert found[8:11] == [48, 49, 49]
    assert (found[20], found[30], found[40]) == (50, 52, 58)
    assert [b - a for a, b in zip(found[40:], found[41:])] == [1] * 4


def test_after_a_loss_quickly_at_first_then_slower_up_to_the_old_window():
    # K = (30 / 0.4)^(1/3) = 4.2 s.
    found = windows(linux(), flow(70, 70), 63, w_max=100.0)
    assert found[20] - found[0] > found[62] - found[42] > 0
    assert found[41] <= 100


def test_time_with_nothing_in_flight_does_not_count():
    t, again = flow(48, 48), flow(48, 48)
    cubic, other = linux(), linux()
    windows(cubic, t, 5)
    windows(other, again, 5)
    # One of them is idle for ten seconds.
    again.chrono, again.chrono_busy = 0, again.core.now
    again.core.now += 10_000 * MS
    again.chrono, again.chrono_at = 1, again.core.now
    assert windows(cubic, t, 20) == windows(other, again, 20)


def test_a_timeout_forgets_a_loss_does_not():
    cubic = linux()
    windows(cubic, flow(48, 48), 3)
    cubic.reset(False)
    assert (cubic.epoch, cubic.delay_min) == (-1, 100 * MS)
    cubic.found = True
    cubic.reset(True)
    assert (cubic.epoch, cubic.delay_min, cubic.found) == (-1, 0, False)


@pytest.mark.parametrize(("rise", "found"), [(12, False), (13, True)])
def test_slow_start_ends_by_delay(rise, found):
    # An eighth of 100 ms is 12.5 ms.
    t = flow(16, 1000)
    t.snd_una, t.snd_nxt = 1, 100_000
    cubic = linux()
    t.last_rtt = (100 + rise) * MS
    for _ in range(9):
        cubic.rtt(t)
    assert cubic.found is found
    assert (t.ssthresh == t.cwnd) is found


def avoiding(cwnd, w_max, rtt=100 * MS, **settings):
    """A Tcb in congestion avoidance with segments of 1000 bytes, whose window was `w_max` segments at the last loss."""
    conn = Peer(tcp_congestion="cubic", **settings).established()
    tcb = conn.tcb
    tcb.cc = Cubic()
    tcb.cc.w_max = float(w_max)
    tcb.mss, tcb.srtt = 1000, rtt
    tcb.cwnd = tcb.ssthresh = cwnd * 1000
    return tcb


def avoid(tcb, rounds):
    """So many round trips in which all of cwnd is acknowledged; the window after each, in segments."""
    found = []
    for _ in range(rounds):
        tcb.core.now += tcb.srtt
        tcb.cc.ack_received(tcb, tcb.cwnd)
        found.append(tcb.cwnd / 1000)
    return found


def lose(tcb, signal=SIGNAL_LOSS):
    """An episode begins."""
    undo.save(tcb, tcb.ca_state < C.CA_RECOVERY)
    # (All of cwnd is out.)
    tcb.snd_una = (tcb.snd_nxt - tcb.cwnd) & C.M32
    tcb.cc.cong_signal(tcb, signal)
    tcb.ca_state = C.CA_LOSS if signal == SIGNAL_RTO else C.CA_RECOVERY


@pytest.mark.parametrize(
    "signals",
    [(SIGNAL_LOSS,), (SIGNAL_RTO,), (SIGNAL_LOSS, SIGNAL_RTO)],
    ids=["loss", "timeout", "timeout in recovery"],
)
def test_an_undo_goes_on_along_the_curve(signals):
    """RFC 9438 4.9: W_cubic(t) = 0.4 * (t - K)^3 + W_max with the t, K and W_max of before."""
    tcb, twin = avoiding(700, 1000), avoiding(700, 1000)
    k = (300 / 0.4) ** (1 / 3)
    avoid(tcb, 50)
    avoid(twin, 50)
    for signal in signals:
        lose(tcb, signal)
    assert tcb.cwnd <= 700_000
    undo.undo(tcb, "nothing was lost", "RFC 3708 3")
    later, same = avoid(tcb, 150), avoid(twin, 150)
    assert later == pytest.approx(same, rel=0.001)
    # (A round trip ahead: 4.4. The first ACK began the epoch.)
    assert later[-1] == pytest.approx(0.4 * (19.9 + 0.1 - k) ** 3 + 1000, rel=0.01)


def test_an_undo_after_a_later_mark_restores_no_older_curve():
    tcb = avoiding(700, 1000)
    avoid(tcb, 50)
    lose(tcb)
    tcb.cc.cong_signal(tcb, SIGNAL_ECN)
    w_max = tcb.cc.w_max
    undo.undo(tcb, "nothing was lost", "RFC 3708 3")
    assert tcb.cc.w_max == w_max


def test_after_a_timeout_the_curve_begins_where_congestion_avoidance_does():
    """RFC 9438 4.8: K = 0 and W_max is cwnd at its beginning: W_cubic(t) = 0.4 * t^3 + ssthresh."""
    tcb = avoiding(700, 1000)
    avoid(tcb, 90)
    lose(tcb, SIGNAL_RTO)
    assert tcb.cwnd == 1000
    tcb.ca_state = C.CA_OPEN
    while tcb.cwnd < tcb.ssthresh:
        avoid(tcb, 1)
    begun = tcb.cwnd / 1000
    found = avoid(tcb, 100)
    assert tcb.cc.k == 0.0
    assert tcb.cc.w_max == pytest.approx(begun)
    assert found[-1] == pytest.approx(begun + 0.4 * (9.9 + 0.1) ** 3, rel=0.01)


def test_it_is_as_fast_as_reno_from_the_window_before_the_loss_on():
    """RFC 9438 4.3: W_est grows by 0.53 segments a round trip up to cwnd_prior (20), and by one above; W_max is 17 (4.7)."""
    tcb = avoiding(20, 30, rtt=10 * MS)
    lose(tcb)
    assert tcb.cc.w_max == pytest.approx(17.0)
    assert tcb.cwnd == 14_000
    tcb.ca_state = C.CA_OPEN
    tcb.cc.post_recovery(tcb)
    found = avoid(tcb, 30)
    alpha = 3 * 0.3 / 1.7
    slow = math.ceil(6 / alpha)  # round trips from 14 to 20
    assert found[slow - 2] == pytest.approx(14 + alpha * (slow - 1), abs=0.05)
    assert [b - a for a, b in zip(found[slow:], found[slow + 1 :])] == pytest.approx([1.0] * (29 - slow), abs=0.01)


def slow_start(tcb, rounds):
    """Round trips that take 20 ms longer each time; cwnd after each, in segments."""
    found = []
    for number in range(rounds):
        tcb.last_rtt = (100 + 20 * number) * MS
        acks = tcb.cwnd // 2000
        tcb.snd_nxt = (tcb.snd_una + tcb.cwnd) & C.M32
        for _ in range(acks):
            tcb.snd_una = (tcb.snd_una + 2000) & C.M32
            tcb.cc.ack_received(tcb, 2000)
        found.append(tcb.cwnd // 1000)
    return found


def test_hystart_is_for_the_initial_slow_start():
    """RFC 9406 4.3: a slow start after a timeout has an ssthresh that tells where it ends."""
    first = avoiding(16, 0)
    first.ssthresh = 1 << 30
    assert slow_start(first, 12)[-1] < 16 << 5
    assert first.ssthresh < 1 << 30
    later = avoiding(16, 0)
    lose(later, SIGNAL_RTO)
    later.cwnd, later.ssthresh = 16_000, 1 << 30
    assert slow_start(later, 6) == [16 << number for number in range(1, 7)]


def test_an_undo_gives_the_initial_slow_start_its_hystart_back():
    tcb = avoiding(16, 0)
    tcb.ssthresh = 1 << 30
    lose(tcb)
    undo.undo(tcb, "nothing was lost", "RFC 3708 3")
    assert tcb.cc.initial
    assert slow_start(tcb, 12)[-1] < 16 << 5


def test_linuxs_undo_restores_the_window_alone():
    """tcp_reno_undo_cwnd: last_max_cwnd, which the loss set, stays."""
    tcb = avoiding(700, 1000)
    tcb.cc.steps = linux()
    lose(tcb)
    assert tcb.cc.w_max == pytest.approx(595.0)
    undo.undo(tcb, "nothing was lost", "RFC 3708 3")
    assert tcb.cwnd == 700_000
    assert tcb.cc.w_max == pytest.approx(595.0)
