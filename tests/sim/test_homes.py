"""A thousand hosts behind ten NATs with the same addresses inside: every byte arrives, and every address is translated."""

from tools.bench.simulator import Homes


def test_a_thousand_hosts_behind_ten_nats_reach_one_server():
    homes = Homes(10, 100)
    assert homes.move(3000) == [3000] * 1000
    for nat in homes.nats:
        assert len(nat.stack.conntrack.all()) == 100
        assert nat.counters.drops == {}
    # What leaves the router has come in: nothing is made up, and nothing is lost.
    router = homes.router.counters
    assert router.IpForwDatagrams == router.IpOutTransmits == router.IpInReceives
    assert router.IpForwDatagrams == sum(nat.counters.IpForwDatagrams for nat in homes.nats)
