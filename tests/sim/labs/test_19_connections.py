"""Lab 19: the cost of a connection: 100 requests of 100 B with answers of 100 B (the experiment is the lab's)."""

import shutil
import ssl

import pytest

from pystack.labs.lab_19_connections.experiment import MS, R, S, requests, tls_requests


def test_a_new_connection_each_costs_two_round_trips():
    assert requests(keep=False, rtt=R) == (4 * S, 100)


def test_keep_alive_costs_one():
    assert requests(keep=True, rtt=R) == (2 * S + R, 1)


@pytest.mark.parametrize("keep", [False, True])
def test_control_without_distance_it_does_not_matter(keep):
    assert requests(keep, rtt=0)[0] < MS


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_tls_costs_one_more_each():
    assert tls_requests(pooled=False) == 6 * S
    assert tls_requests(pooled=True) == 2 * R + 100 * R  # 2.04 s
    # Control: without distance, it does not matter.
    assert max(tls_requests(pooled, rtt=0) for pooled in (False, True)) < MS
    # Control: TLS 1.2 takes one round trip more to agree.
    assert tls_requests(pooled=False, version=ssl.TLSVersion.TLSv1_2) == 8 * S
