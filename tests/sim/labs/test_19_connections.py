"""Lab 19: the cost of a connection: 100 requests of 100 B with answers of 100 B."""

import pytest

from tests.support.lab import MS, S, lab_net
from tests.support.segments import ACK, SYN

R = 20 * MS


def requests(keep: bool, rtt: int):
    """(Time, SYNs) of 100 requests, on one connection or on a new one each."""
    lab = lab_net(rtt // 2)
    listener = lab.listener()

    def serve():
        while True:
            sock = yield listener.accept()
            while (yield sock.recv_exactly(100)):
                yield sock.sendall(bytes(100))
            sock.close()

    def ask():
        sock = yield from lab.client()
        for number in range(100):
            if number and not keep:
                sock.close()
                sock = yield from lab.client()
            yield sock.sendall(bytes(100))
            yield sock.recv_exactly(100)
        return lab.net.now

    lab.spawn(serve())
    (end,) = lab.run(ask())
    return end, sum(1 for seg in lab.log.sent["a"] if seg.has(SYN) and not seg.has(ACK))


def test_a_new_connection_each_costs_two_round_trips():
    assert requests(keep=False, rtt=R) == (4 * S, 100)


def test_keep_alive_costs_one():
    assert requests(keep=True, rtt=R) == (2 * S + R, 1)


@pytest.mark.parametrize("keep", [False, True])
def test_control_without_distance_it_does_not_matter(keep):
    assert requests(keep, rtt=0)[0] < MS
