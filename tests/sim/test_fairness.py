"""Many connections share one link: Jain's index, and what makes it fall."""

from typing import NamedTuple

import pytest

import pystack_c.tcp.output
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import sleep, spawn, stream

# (A hundred thousand segments: seconds compiled, minutes uncompiled.)
compiled_only = pytest.mark.skipif(pystack_c.tcp.output.__file__.endswith(".py"), reason="compiled only")

COUNT = 256
RATE = 30_000_000
QUEUE = 400
BLOCK = bytes(1 << 16)


def jain(shares):
    """Jain's index: 1 where all have the same, 1/n where one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


class Race(NamedTuple):
    """What became of it, after the warm-up."""

    shares: list[int]  # bytes that arrived, by connection
    used: float  # of the link
    repeated: float  # retransmissions, of all data segments sent
    backoff: int  # most timeouts of one segment, one after the other
    opened: list[bool]  # by connection: was it open after the warm-up?


def race(algorithm, count=COUNT, seconds=24, warm=8, greedy=0, seed=1, part=1.0, **settings):
    """`count` connections on their `part` of what 256 have: 30 Mbit/s, R = 200 ms, a queue of 0.8 BDP; 3.5 segments for each.

    `greedy` of them have a fixed window of 100 segments instead. (Some jitter: in virtual time, to the nanosecond, packets of
    one connection would meet the full queue again and again.)
    """
    rate = int(RATE * part * count / COUNT)
    link = {"rate": rate, "queue": int(QUEUE * part * count / COUNT), "jitter": 20 * MS}
    net = Network(seed)
    a, b = (net.host(name, tcp_rmem=1 << 20, tcp_wmem=1 << 18, **settings) for name in "ab")
    net.link(a, b, addrs=("10.0.0.1/16", "10.0.0.2/16"), delay=100 * MS, ab=link)
    net.introduce()
    listener = stream(b)
    listener.bind("", 80)
    listener.listen(count)
    got = [0] * count
    socks = []

    def drain(sock, number):
        while True:
            got[number] += len((yield sock.recv(1 << 16)))

    def serve():
        while True:
            sock = yield listener.accept()
            spawn(net, drain(sock, sock.endpoint.rport - 20_000))

    def pour(number):
        yield sleep(number * 10 * MS)
        sock = stream(a)
        socks.append(sock)
        sock.bind("", 20_000 + number)
        sock.setsockopt(6, 13, "fixed(100)" if number < greedy else algorithm)
        yield sock.connect("10.0.0.2", 80)
        while True:
            yield sock.sendall(BLOCK)

    def sums():
        tcbs = [sock.endpoint for sock in socks]
        return sum(tcb.data_segs_out for tcb in tcbs), sum(tcb.total_retrans for tcb in tcbs)

    spawn(net, serve())
    for number in range(count):
        spawn(net, pour(number))
    net.run(until=warm * S)
    opened = [sock.endpoint.cc is not None for sock in socks]
    before, (sent, again) = list(got), sums()
    backoff = 0
    for second in range(seconds):
        net.run(until=(warm + second + 1) * S)
        backoff = max(backoff, *(sock.endpoint.backoff for sock in socks))
    found = [after - one for after, one in zip(got, before, strict=True)]
    used = sum(found) * 8 / seconds / (rate * 1448 / 1514)
    sent_now, again_now = sums()
    return Race(found, used, (again_now - again) / (sent_now - sent), backoff, opened)


@compiled_only
@pytest.mark.parametrize("algorithm", ["reno", "cubic"])
def test_256_connections_share_a_link(algorithm):
    found = race(algorithm)
    assert found.used > 0.9  # it is in use,
    assert min(found.shares) > 0  # by all of them,
    assert jain(found.shares) > 0.9  # alike.


@compiled_only
def test_control_who_does_not_give_way_takes_it_all():
    found = race("reno", seconds=8, greedy=16)
    assert jain(found.shares) < 0.5


@pytest.mark.parametrize("algorithm", ["reno", "cubic"])
def test_a_dozen_share_a_small_link(algorithm):
    """The same in small, for the uncompiled core too."""
    found = race(algorithm, count=12, seconds=16, warm=6)
    assert found.used > 0.9
    assert jain(found.shares) > 0.9
    assert jain(race(algorithm, count=12, seconds=16, warm=6, greedy=2).shares) < 0.5


@compiled_only
def test_bbr_connections_share_a_link_that_holds_little_for_each():
    """BBR takes longer to share alike; four segments in flight, its least, are more than there is room for: an eighth is lost."""
    found = race("bbr", count=64, warm=40)
    mean = sum(found.shares) / 64
    assert found.used > 0.9
    assert min(found.shares) > mean / 2
    assert jain(found.shares) > 0.9
    assert found.repeated < 0.16
    assert found.backoff <= 2


@compiled_only
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bbr_starves_nobody_while_it_learns(seed):
    """In the first half minute shares are not alike yet (Jain's index is 0.7 to 0.8), but all get something.

    At first every other packet is lost, SYNs as well. By RFC 6298 the sixth SYN goes out after 31 s, which no algorithm can change: a
    connection in 256 would not be open until then. So here SYNs are sent again each second at first, as Linux does.
    """
    found = race("bbr", seed=seed, tcp_syn_linear_timeouts=4, tcp_syn_retries=12)
    assert min(found.shares) > 0
    assert found.repeated < 0.2


@compiled_only
@pytest.mark.parametrize("seed", [3, 5])
def test_without_data_while_bbr_learns_are_only_those_whose_syns_were_lost(seed):
    """With RFC 6298's timeouts for SYNs: all that are open when it begins get something, and few are not open."""
    found = race("bbr", seed=seed)
    shares = [share for share, opened in zip(found.shares, found.opened, strict=True) if opened]
    assert len(shares) > COUNT * 0.9
    assert min(shares) > 0
    assert found.repeated < 0.2


@compiled_only
def test_control_bbr_where_the_path_holds_half_of_its_least_window():
    """BBR.MinPipeCwnd is a floor: below it, BBR sends on into a full queue, and who loses all tries of a segment waits. Reno does not.

    (In one seed of three somebody loses all of them. This is one.)
    """
    found = race("bbr", count=64, warm=40, part=0.5, seed=3)
    mean = sum(found.shares) / 64
    assert min(found.shares) < mean / 10
    assert found.repeated > 0.2
    assert found.backoff > 2
    found = race("reno", count=64, warm=40, part=0.5)
    mean = sum(found.shares) / 64
    assert min(found.shares) > mean / 2
