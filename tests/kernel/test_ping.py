"""The real ping against the stack."""

import re

import pytest


def lost(out):
    return re.search(r"(\d+) packets transmitted, (\d+) received", out).groups()


def test_ping(anynet):
    out = anynet.sh("ping -c 3 -i 0.05 -W 20 10.0.0.2").stdout
    assert lost(out) == ("3", "3")


def test_ping_of_an_address_that_nobody_has(net):
    """Control: silence is seen as loss."""
    out = net.sh("ping -c 1 -W 1 10.0.0.77").stdout
    assert lost(out) == ("1", "0")


def test_large_ping_is_reassembled_and_fragmented(anynet):
    out = anynet.sh("ping -c 2 -i 0.05 -s 65000 -W 20 10.0.0.2").stdout
    assert lost(out) == ("2", "2")
    counters = anynet.running.host.inspect(lambda stack: stack.counters.nonzero())
    assert counters["IpReasmOKs"] == 2
    assert counters["IpFragCreates"] >= 2 * 44


def test_flood_ping(net):
    out = net.sh("ping -f -c 5000 -q 10.0.0.2").stdout
    assert lost(out) == ("5000", "5000")


def test_arping(net):
    out = net.sh("arping -c 2 -w 20 -I tap0 10.0.0.2").stdout
    assert "Received 2 response" in out or "2 packets received" in out


def test_a_second_address_answers(net):
    net.running.add_address("10.0.0.9/24")
    assert lost(net.sh("ping -c 1 -W 20 10.0.0.9").stdout) == ("1", "1")


# At 68, the kernel itself has no room for the fragments of more.
@pytest.mark.parametrize("mtu, size", [(68, 400), (576, 1400), (9000, 10000)])
def test_other_mtu(mtu, size):
    from tests.kernel.conftest import make

    for net in make(mtu=mtu):
        assert lost(net.sh(f"ping -c 2 -i 0.05 -W 20 -s {size} 10.0.0.2").stdout) == ("2", "2")
