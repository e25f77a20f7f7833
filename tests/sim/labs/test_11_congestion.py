"""CUBIC's curve in detail, for which lab 11 has single values. The experiment is the lab's."""

import pytest

from pystack.labs.lab_11_congestion.experiment import MS, after_a_loss


def test_cubic_is_back_after_k():
    # RFC 9438 4.2: W_cubic(t) = C (t - K)^3 + W_max, K = cbrt(W_max (1 - beta) / C) = 4.217 s for W_max = 100; the target is
    # W_cubic one round trip ahead. (At R = 10 ms the Reno-friendly region of 4.3 would be far above it: R is 100 ms here.)
    samples = after_a_loss("cubic")
    assert samples[0][1] == pytest.approx(70, abs=2)
    k = (0.3 * 100 / 0.4) ** (1 / 3)
    assert k == pytest.approx(4.217, abs=0.001)

    def cubic(time):
        return 0.4 * (time - k) ** 3 + 100

    rising = [(time, cwnd) for time, cwnd in samples if time <= k]
    assert max(abs(cwnd - cubic(time + 0.1)) for time, cwnd in rising) < 2
    assert rising[-1][1] == pytest.approx(100, abs=0.1)
    flat = [cwnd for time, cwnd in samples if abs(time - k) < 0.5]
    assert max(flat) - min(flat) < 0.3
    assert next(cwnd for time, cwnd in samples if time >= 2 * k) == pytest.approx(130, abs=4)
    assert all(cwnd > cubic(time) - 1 for time, cwnd in samples)


def test_cubic_on_a_short_path_is_as_fast_as_reno():
    """K knows no round trip, Reno does: at R = 10 ms RFC 9438 4.3 decides, not K.

    W_est rises by 3 (1 - 0.7) / (1 + 0.7) = 0.529 segments a round trip up to the old window, by 1 from there on.
    """
    samples = after_a_loss("cubic", 10 * MS, 2)
    back = next(time for time, cwnd in samples if cwnd >= 99.5)
    assert back == pytest.approx(30 / (0.9 / 1.7) * 0.01, abs=0.01) and back < 4.217 / 7
    at = {time: next(cwnd for when, cwnd in samples if when >= time) for time in (0.7, 1.2)}
    assert at[1.2] - at[0.7] == pytest.approx(50, abs=2)
    # Control: at R = 100 ms that would take 5.67 s, so K decides (above).
    assert 30 / (0.9 / 1.7) * 0.1 > 4.217
