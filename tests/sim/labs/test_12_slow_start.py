"""Lab 12: slow start and congestion avoidance. ssthresh 80 segments, R = 100 ms, no loss."""

import pytest

from pystack.testing.lab import MS, lab_net, rounds

R = 100 * MS
MSS = 1460


@pytest.mark.parametrize(
    ("size", "k"), [(14_600, 1), (14_601, 2), (43_800, 2), (43_801, 3), (102_201, 4), (1_000_000, 7)]
)
def test_transfer_takes_one_plus_k_round_trips(size, k):
    # k is the smallest with 10 (2^k - 1) segments >= the answer.
    assert 10 * (2**k - 1) >= -(-size // MSS) > 10 * (2 ** (k - 1) - 1)
    assert lab_net(R // 2).fetch(size) == (1 + k) * R


def cwnd_by_round(**settings):
    lab = lab_net(R // 2, tcp_init_ssthresh=80 * MSS, **settings)
    lab.fetch(MSS * 600)
    return rounds(lab.log.data("b"), R)


def test_segments_by_round():
    assert cwnd_by_round()[:7] == [10, 20, 40, 80, 81, 82, 83]


def test_control_counting_acks_instead_of_bytes_grows_by_half():
    assert cwnd_by_round(tcp_abc_l=0)[:4] == [10, 15, 23, 35]
