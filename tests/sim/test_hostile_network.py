"""A megabyte each way over 10 % loss, reordering, duplication and corruption: every byte right, nothing left behind.

More seeds by command: `python -m tools.sim_soak --seeds 1000`.
"""

import pytest

import pystack_c.tcp.output
from pystack.sim.network import MS
from tests.sim.hostile import IMPAIRMENTS, Transfer

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")
#: the uncompiled core is slower by an order of magnitude
SEEDS = range(25 if COMPILED else 4)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_megabyte_each_way(seed):
    transfer = Transfer(seed)
    transfer.run()
    for channel in transfer.channels():
        stats = channel.stats
        # the link did do its worst
        assert stats.drops["loss"] > 0.07 * stats.frames and stats.reordered > 0.05 * stats.frames
        assert stats.duplicated > 0 and stats.corrupted > 0
    for host in (transfer.a, transfer.b):
        assert host.counters.TcpRetransSegs > 50
        # corrupted frames were all noticed, by one checksum or the other, or by an address that is not ours
        assert host.counters.TcpInCsumErrors > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"tcp_sack": False},
        {"tcp_timestamps": False},
        {"tcp_sack": False, "tcp_timestamps": False, "tcp_window_scaling": False},
        {"tcp_rmem": 8192},
        {"tcp_wmem": 4096, "tcp_nagle": False},
        {"tcp_delack_time": 200 * MS, "tcp_quickack_segs": 0},
    ],
    ids=lambda settings: ",".join(f"{name}={value}" for name, value in settings.items()),
)
def test_with_other_settings(settings):
    Transfer(1, 200_000, **settings).run()


@pytest.mark.parametrize("name", ["loss", "reorder", "duplicate", "corrupt"])
def test_each_impairment_alone(name):
    impairments = {name: IMPAIRMENTS[name], "reorder_delay": 15 * MS}
    transfer = Transfer(1, 200_000, impairments)
    transfer.run()
    counters = transfer.a.counters
    assert (counters.TcpInCsumErrors > 0) == (name == "corrupt")


def test_the_control_a_clean_link_needs_no_retransmission():
    transfer = Transfer(1, impairments={})
    transfer.run()
    for host in (transfer.a, transfer.b):
        assert host.counters.TcpRetransSegs == 0 and host.counters.drops == {}
