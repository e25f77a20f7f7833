"""Lab 22: head-of-line blocking: 1,000 bytes every 10 ms, stream = i mod 6, R = 100 ms, message 20 dropped once."""

from pystack.phy.match import is_data, is_udp
from pystack.sim.programs import datagram
from pystack.testing.lab import MS, B, S, lab_net, sleep

R = 100 * MS
COUNT = 60
SOL_TCP, TCP_NODELAY = 6, 1


def message(i: int) -> bytes:
    return i.to_bytes(4, "big") * 250


def streams(connections: int, drop: bool) -> dict[int, int]:
    """Message number -> latency."""
    lab = lab_net(R // 2, tcp_congestion="fixed", tcp_rack=False, tcp_tlp=False)
    pairs = [lab.connected(80 + n) for n in range(connections)]
    latency, sent = {}, {}

    def read(server):
        while True:
            data = yield server.recv_exactly(1000)
            i = int.from_bytes(data[:4], "big")
            assert data == message(i)
            latency[i] = lab.net.now - sent[i]

    for client, server in pairs:
        client.setsockopt(SOL_TCP, TCP_NODELAY, 1)
        lab.spawn(read(server))
    if drop:
        lab.link.ab.drop(1, match=lambda frame: is_data(frame) and frame[54:58] == message(20)[:4])

    def write():
        for i in range(COUNT):
            sent[i] = lab.net.now
            pairs[i % connections][0].call("send", message(i), 0)
            yield sleep(10 * MS)

    lab.run(write())
    lab.net.run(until=lab.net.now + 5 * S)
    assert sorted(latency) == list(range(COUNT))
    return latency


def late(latency):
    return {i: time for i, time in latency.items() if time > R // 2}


def test_one_connection_blocks_all_streams():
    delayed = late(streams(1, drop=True))
    # Three more messages (30 ms) and a round trip until the third duplicate ACK is back, and 50 ms for the retransmission.
    assert delayed[20] == 30 * MS + R + R // 2
    assert sorted(delayed) == list(range(20, 33)) and {i % 6 for i in delayed} == set(range(6))
    assert [delayed[i] for i in range(21, 33)] == [delayed[20] - (i - 20) * 10 * MS for i in range(21, 33)]


def test_six_connections_hurt_one_stream():
    delayed = late(streams(6, drop=True))
    assert 20 in delayed and {i % 6 for i in delayed} == {20 % 6}


def test_udp_loses_one_and_delays_none():
    lab = lab_net(R // 2)
    taker, sock = datagram(lab.b), datagram(lab.a)
    taker.bind("", 9)
    lab.link.ab.drop(21, match=is_udp)
    arrivals = {}

    def read():
        while True:
            item = yield taker.recvfrom()
            arrivals[int.from_bytes(item.data[:4], "big")] = lab.net.now

    def write():
        for i in range(COUNT):
            sock.sendto(message(i), B, 9)
            yield sleep(10 * MS)

    lab.spawn(read())
    lab.run(write())
    lab.net.run(until=lab.net.now + S)
    assert arrivals == {i: i * 10 * MS + R // 2 for i in range(COUNT) if i != 20}


def test_control_no_drop():
    for connections in (1, 6):
        assert set(streams(connections, drop=False).values()) == {R // 2}
