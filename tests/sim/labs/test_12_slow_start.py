"""Lab 12: slow start and congestion avoidance. ssthresh 80 segments, R = 100 ms, no loss (the experiment is the lab's)."""

import pytest

from pystack.labs.lab_12_slow_start.experiment import MSS, SIZES, R, by_round, transfer


@pytest.mark.parametrize(("size", "k"), SIZES.items())
def test_transfer_takes_one_plus_k_round_trips(size, k):
    # k is the smallest with 10 (2^k - 1) segments >= the answer.
    assert 10 * (2**k - 1) >= -(-size // MSS) > 10 * (2 ** (k - 1) - 1)
    assert transfer(size) == (1 + k) * R


def test_segments_by_round():
    assert by_round()[:7] == [10, 20, 40, 80, 81, 82, 83]


def test_control_counting_acks_instead_of_bytes_grows_by_half():
    assert by_round(tcp_abc_l=0)[:4] == [10, 15, 23, 35]
