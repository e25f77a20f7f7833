"""Lab 17: Nagle's algorithm against delayed acknowledgements: write, write, read (the lab's own values are in its folder)"""

import pytest

from pystack.labs.lab_17_nagle.experiment import D, R, exchanges
from pystack.testing.lab import lab_net


def test_as_linux_the_first_exchange_is_quick():
    # (Its first ACKs are quick ones; measured there: 2 R, then 64 ms with a kernel's clock ticks.)
    assert exchanges(profile="linux") == ([2 * R] + [2 * R + D] * 29, 60)


@pytest.mark.parametrize("minshall", [False, True])
def test_minshall_holds_only_behind_another_small_segment(minshall):
    # Five segments and a bit: classic Nagle keeps the bit until all is acknowledged, Minshall's form sends it.
    lab = lab_net(R // 2, tcp_minshall=minshall)
    client, server = lab.connected()
    lab.upload(bytes(5 * 1460 + 100), client, server)
    data = lab.log.data("a")
    assert [len(seg) for seg in data] == [1460] * 5 + [100]
    assert data[5].time - data[0].time == (0 if minshall else R + D)
