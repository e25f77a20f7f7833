"""Lab 17: Nagle's algorithm against delayed acknowledgements: write, write, read."""

import pytest

from pystack.testing.lab import MS, lab_net

R = 10 * MS
D = 40 * MS
SOL_TCP, TCP_NODELAY, TCP_CORK = 6, 1, 3


def exchanges(write="twice", **settings):
    """30 times: write 100 B, write 100 B, read 10 B. The times they took, and the data segments of the client."""
    lab = lab_net(R // 2, **settings)
    client, server = lab.connected()
    if write == "nodelay":
        client.setsockopt(SOL_TCP, TCP_NODELAY, 1)
    times = []

    def ask():
        for _ in range(30):
            started = lab.net.now
            if write == "cork":
                client.setsockopt(SOL_TCP, TCP_CORK, 1)
            for part in [200] if write == "once" else [100, 100]:
                yield client.sendall(bytes(part))
            if write == "cork":
                client.setsockopt(SOL_TCP, TCP_CORK, 0)
            yield client.recv_exactly(10)
            times.append(lab.net.now - started)

    def answer():
        for _ in range(30):
            yield server.recv_exactly(200)
            yield server.sendall(bytes(10))

    lab.run(ask(), answer())
    return times, len(lab.log.data("a"))


def test_nagle_and_delayed_ack_cost_two_round_trips_and_the_delay():
    assert exchanges() == ([2 * R + D] * 30, 60)


@pytest.mark.parametrize(("write", "segments"), [("nodelay", 60), ("once", 30), ("cork", 30)])
def test_ways_out(write, segments):
    assert exchanges(write) == ([R] * 30, segments)


def test_control_without_delayed_acks():
    assert exchanges(server={"tcp_quickack_segs": 1 << 20, "tcp_delack_time": 0}) == ([2 * R] * 30, 60)


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
