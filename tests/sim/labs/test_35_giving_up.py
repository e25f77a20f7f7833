"""Lab 35: when a connection is given up: keep-alive (RFC 9293 3.8.4) and retransmission (3.8.3)."""

import errno
import time

import pytest

from pystack.testing.lab import MS, S, lab_net

SOL_SOCKET, SO_KEEPALIVE = 1, 9


def dead_peer(**settings):
    """A connection whose cable is pulled at once; (lab, client, the time of that)."""
    lab = lab_net(0, **settings)
    client, _ = lab.connected()
    return lab, client


def reader(lab, client):
    with pytest.raises(OSError) as caught:
        yield client.recv()
    return caught.value.errno, lab.net.now


def test_keepalive_to_a_dead_peer():
    wall = time.perf_counter()
    lab, client = dead_peer()
    client.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    start = lab.net.now
    lab.link.down()
    ((code, end),) = lab.run(reader(lab, client), limit=10_000 * S)
    assert (code, end - start) == (errno.ETIMEDOUT, 7_875 * S)
    probes = [seg.time - start for seg in lab.log.sent["a"] if seg.time > start and seg.pure_ack]
    assert probes == [(7200 + 75 * n) * S for n in range(9)]
    assert time.perf_counter() - wall < 60  # virtual time is not waited for, however slow the machine is


def test_control_a_living_peer_and_a_connection_without_keepalive():
    lab, client = dead_peer()
    client.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    lab.net.run(until=100_000 * S)
    assert client.endpoint.state == 1 and 13 <= lab.a.counters.TcpExtTCPKeepAlive <= 14
    lab, client = dead_peer()
    lab.link.down()
    lab.net.run(until=100_000 * S)
    assert client.endpoint.state == 1


def test_write_to_an_unplugged_peer():
    wall = time.perf_counter()
    lab, client = dead_peer(tcp_rto_var_min=200 * MS - 1)  # RTO = SRTT (1 ns at R = 0) + that
    assert client.endpoint.rto == 200 * MS
    start = lab.net.now
    lab.link.down()
    client.call("send", b"are you there?", 0)
    ((code, end),) = lab.run(reader(lab, client), limit=10_000 * S)
    assert (code, end - start) == (errno.ETIMEDOUT, 924_600 * MS)
    assert len(lab.log.data("a")) == 1 + 15
    assert time.perf_counter() - wall < 60  # virtual time is not waited for, however slow the machine is


def test_control_fewer_retries_give_up_sooner():
    lab, client = dead_peer(tcp_rto_var_min=200 * MS - 1, tcp_retries2=3)
    start = lab.net.now
    lab.link.down()
    client.call("send", b"are you there?", 0)
    ((code, end),) = lab.run(reader(lab, client), limit=10_000 * S)
    assert (code, end - start) == (errno.ETIMEDOUT, (200 + 400 + 800 + 1600) * MS)
