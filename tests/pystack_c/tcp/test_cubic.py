"""CUBIC: time without data does not count; and Linux's arithmetic, number by number."""

from types import SimpleNamespace

import pytest

from pystack_c.counters import Counters
from pystack_c.tcp.congestion.cubic import Cubic
from pystack_c.tcp.congestion.cubic_linux import LinuxCubic
from tests.support.tcp_peer import Peer

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
