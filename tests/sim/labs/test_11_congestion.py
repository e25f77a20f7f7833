"""Lab 11: congestion control: Mathis' law, buffers, CUBIC's curve, fairness."""

import pytest

import pystack
from pystack.phy.match import is_data
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import spawn, stream
from pystack.testing.lab import lab_net, pattern, sleep

MSS = 1460
DATA = pattern(1 << 20)


def pour(sock):
    """Write for ever."""
    while True:
        yield sock.sendall(DATA)


def drain(sock, count):
    """Read for ever; count[0] is the bytes so far."""
    while True:
        count[0] += len((yield sock.recv(1 << 20)))


def flow(lab, port=80):
    """A bulk transfer from a to b; its byte count and the sender's endpoint."""
    client, server = lab.connected(port)
    count = [0]
    lab.spawn(pour(client))
    lab.spawn(drain(server, count))
    return count, client.endpoint


def measured(lab, count, seconds=60, start=10):
    """Bytes a second over `seconds`, after `start` s."""
    lab.net.run(until=lab.net.now + start * S)
    before = count[0]
    lab.net.run(until=lab.net.now + seconds * S)
    return (count[0] - before) / seconds


def mathis(period: int, seconds: int) -> float:
    """Throughput over the model's MSS / R * sqrt(1.5 N), every N-th data segment being lost; R = 50 ms."""
    lab = lab_net(25 * MS, tcp_congestion="reno")
    lab.link.ab.drop_every(period, match=is_data)
    count, _ = flow(lab)
    return measured(lab, count, seconds) / (MSS / 0.05 * (1.5 * period) ** 0.5)


@pytest.mark.timeout(600)  # half a minute of CPU uncompiled, and the machine may have other things to do
def test_mathis():
    ratios = [mathis(period, 60 if pystack.compiled() else 30) for period in (100, 400, 1600)]
    assert 0.75 <= ratios[0] <= 1.05 and 0.85 <= ratios[1] <= 1.05 and 0.90 <= ratios[2] <= 1.05
    # Four times the period, twice the rate.
    assert 2.0 <= 2 * ratios[1] / ratios[0] <= 2.3 and 2.0 <= 2 * ratios[2] / ratios[1] <= 2.3


def utilisation(queue: int, congestion="reno", seconds=30) -> tuple[float, float]:
    """(Share of a 10 Mbit/s link in use, share of frames lost); R = 50 ms: 42 packets fit on the way."""
    lab = lab_net(25 * MS, tcp_congestion=congestion, link={"ab": {"rate": 10_000_000, "queue": queue}})
    count, _ = flow(lab)
    lab.net.run(until=lab.net.now + 10 * S)
    stats = lab.link.ab.stats
    busy, frames, lost = stats.busy, stats.frames, stats.dropped()
    lab.net.run(until=lab.net.now + seconds * S)
    return (stats.busy - busy) / (seconds * S), (stats.dropped() - lost) / (stats.frames - frames)


def test_a_buffer_of_one_bandwidth_delay_product_keeps_the_link_busy():
    assert utilisation(42)[0] >= 0.99


def test_a_small_buffer_leaves_a_quarter():
    assert 0.76 <= utilisation(4)[0] <= 0.82


def test_control_without_congestion_control():
    assert utilisation(42, congestion="fixed", seconds=5)[1] > 0.2


def after_a_loss(congestion: str, rtt: int = 100 * MS, seconds: int = 12) -> list[tuple[float, float]]:
    """(Seconds since a loss at W = 100, cwnd in segments)."""
    lab = lab_net(rtt // 2, tcp_congestion=congestion, tcp_init_cwnd=100, tcp_init_ssthresh=100 * MSS)
    lab.link.ab.drop(5, match=is_data)
    samples = []
    _, tcb = flow(lab)

    def watch():
        while True:
            samples.append((lab.net.now, tcb.cwnd / MSS))
            yield sleep(rtt // 4)

    lab.spawn(watch())
    lab.net.run(until=lab.net.now + seconds * S)
    # Recovery is over where cwnd is at its lowest for the last time.
    low = min(cwnd for _, cwnd in samples)
    start = max(time for time, cwnd in samples if cwnd == low and time < 3 * S)
    return [((time - start) / S, cwnd) for time, cwnd in samples if time >= start]


def test_cubic_is_back_after_k():
    # RFC 9438 4.2: W_cubic(t) = C (t - K)^3 + W_max, K = cbrt(W_max (1 - beta) / C) = 4.217 s for W_max = 100; the target is
    # W_cubic one round trip ahead. (At R = 10 ms the Reno-friendly region of 4.3 would be far above it: R is 100 ms here.)
    samples = after_a_loss("cubic")
    assert samples[0][1] == pytest.approx(70, abs=2)
    k = (0.3 * 100 / 0.4) ** (1 / 3)
    assert k == pytest.approx(4.217, abs=0.001)

    def cubic(time):
        return 0.4 * (time - k) ** 3 + 100

    rising = [(time, cwnd) for time, cwnd in samples if time <= k]
    assert max(abs(cwnd - cubic(time + 0.1)) for time, cwnd in rising) < 2
    assert rising[-1][1] == pytest.approx(100, abs=0.1)
    flat = [cwnd for time, cwnd in samples if abs(time - k) < 0.5]
    assert max(flat) - min(flat) < 0.3
    assert next(cwnd for time, cwnd in samples if time >= 2 * k) == pytest.approx(130, abs=4)
    assert all(cwnd > cubic(time) - 1 for time, cwnd in samples)


def test_cubic_on_a_short_path_is_as_fast_as_reno():
    """K knows no round trip, Reno does: at R = 10 ms RFC 9438 4.3 decides, not K.

    W_est rises by 3 (1 - 0.7) / (1 + 0.7) = 0.529 segments a round trip up to the old window, by 1 from there on.
    """
    samples = after_a_loss("cubic", 10 * MS, 2)
    back = next(time for time, cwnd in samples if cwnd >= 99.5)
    assert back == pytest.approx(30 / (0.9 / 1.7) * 0.01, abs=0.01) and back < 4.217 / 7
    at = {time: next(cwnd for when, cwnd in samples if when >= time) for time in (0.7, 1.2)}
    assert at[1.2] - at[0.7] == pytest.approx(50, abs=2)
    # Control: at R = 100 ms that would take 5.67 s, so K decides (above).
    assert 30 / (0.9 / 1.7) * 0.1 > 4.217


def test_control_reno_goes_up_in_a_straight_line():
    samples = after_a_loss("reno")
    assert samples[0][1] == pytest.approx(50, abs=1.5)
    at = {second: next(cwnd for time, cwnd in samples if time >= second) for second in (1, 3, 5)}
    assert at[3] - at[1] == pytest.approx(at[5] - at[3], abs=1.5) and at[5] - at[1] == pytest.approx(40, abs=3)


def two_flows(extra: int):
    """Two Reno flows through one 10 Mbit/s link with 40 packets of buffer, the second with `extra` ns more each way."""
    net = Network(1)
    config = {"profile": "lab", "tcp_congestion": "reno"}
    router, server = net.host("r", ip_forward=True, **config), net.host("s", **config)
    clients = [net.host(name, **config) for name in ("a", "b")]
    for number, client in enumerate(clients):
        net.link(client, router, delay=5 * MS + number * extra, addrs=(f"10.0.{number}.1/24", f"10.0.{number}.2/24"))
        client.route("default", via=f"10.0.{number}.2")
    net.link(router, server, delay=20 * MS, addrs=("10.0.9.1/24", "10.0.9.2/24"), ab={"rate": 10_000_000, "queue": 40})
    server.route("default", via="10.0.9.1")
    net.introduce()
    listener = stream(server)
    listener.bind("", 80)
    listener.listen()
    counts = {}

    def serve():
        while True:
            sock = yield listener.accept()
            counts[sock.endpoint.raddr >> 8 & 255] = count = [0]
            spawn(net, drain(sock, count))

    def dial(client, wait):
        yield sleep(wait)
        sock = stream(client)
        yield sock.connect("10.0.9.2", 80)
        yield from pour(sock)

    spawn(net, serve())
    for number, client in enumerate(clients):
        spawn(net, dial(client, number * 137 * MS))
    net.run(until=30 * S)
    before = [counts[n][0] for n in range(2)]
    net.run(until=60 * S)
    return [counts[n][0] - before[n] for n in range(2)]


def test_two_flows_share():
    x, y = two_flows(0)
    assert (x + y) ** 2 / (2 * (x * x + y * y)) >= 0.95  # Jain's index
    assert (x + y) * 8 / 30 > 9_000_000


def test_control_twice_the_round_trip_gets_less():
    x, y = two_flows(25 * MS)  # 50 ms and 100 ms
    assert 2 <= x / y <= 4
