"""Lab 36: a day of one request a second, in seconds; nothing is left of it."""

import time

import pytest

import pystack_c.tcp.output
from pystack.sim.programs import sleep
from pystack.testing.lab import MS, S, lab_net
from tests.sim.hostile import Transfer

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")
#: the uncompiled core gets an hour
REQUESTS = 86_400 if COMPILED else 3_600


@pytest.mark.slow
def test_a_day_of_requests_leaves_nothing():
    lab = lab_net(10 * MS)
    client, server = lab.connected()
    for host in (lab.a, lab.b):
        host.port().taps.clear()  # nobody reads half a million segments
    began, cpu = lab.net.now, time.process_time()

    def serve():
        while (yield server.recv_exactly(100)):
            yield server.sendall(bytes(1000))
        server.close()

    def ask():
        for number in range(REQUESTS):
            yield client.sendall(bytes(100))
            assert len((yield client.recv_exactly(1000))) == 1000
            yield sleep(began + (number + 1) * S - lab.net.now)
        client.close()

    lab.run(serve(), ask(), limit=began + 2 * REQUESTS * S)
    assert lab.net.now - began >= REQUESTS * S
    assert time.process_time() - cpu < 120  # and not a day; a few seconds on most machines
    lab.net.run_until_idle()
    for host in (lab.a, lab.b):
        assert not Transfer.leftovers(host)
        assert host.counters.TcpRetransSegs == 0
