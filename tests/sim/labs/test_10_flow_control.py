"""Lab 10: flow control: the window bounds the rate, closes, is probed, and opens by worthwhile steps."""

import pytest

from pystack.testing.lab import MS, S, lab_net, pattern, sleep

R = 100 * MS


def rate(window: int, rtt: int) -> float:
    """Mbit/s over 10 s with a receiver that announces at most `window`."""
    lab = lab_net(rtt // 2, tcp_window_scaling=window > 65535, server={"tcp_rmem": window})
    client, server = lab.connected()
    got = 0

    def put():
        yield client.sendall(pattern(40_000_000))

    def take():
        nonlocal got
        while True:
            got += len((yield server.recv(1 << 20)))

    lab.spawn(put())
    lab.spawn(take())
    lab.net.run(until=lab.net.now + 10 * S)
    return got * 8 / 10 / 1e6


def test_rate_is_window_over_round_trip():
    one = rate(65_535, R)
    assert one == pytest.approx(65_535 * 8 / 0.1 / 1e6, rel=0.05)
    assert rate(2 * 65_535, R) / one == pytest.approx(2, rel=0.05)
    assert rate(65_535, 2 * R) / one == pytest.approx(0.5, rel=0.05)


def sleeper(rtt=0, drop_update=False, pause=10 * S, **settings):
    """A sender with plenty to say, and a reader that sleeps."""
    lab = lab_net(rtt // 2, tcp_window_scaling=False, server={"tcp_rmem": 65_535}, **settings)
    client, server = lab.connected()
    start = lab.net.now
    if drop_update:
        # What says again that there is room, after the reader has woken.
        lab.net.after(pause - 1, lab.link.ba.drop, 1)
    held = 0

    def put():
        yield client.sendall(pattern(300_000))

    def take():
        nonlocal held
        yield sleep(pause)
        held = server.endpoint.recvbuf.used
        got = b""
        while len(got) < 300_000:
            got += yield server.recv(65_536)
        assert got == pattern(300_000)

    lab.spawn(put())
    reader = lab.spawn(take())
    return lab, client, start, reader, lambda: held


def probes(lab, client):
    """When zero-window probes were sent: segments one below SND.UNA, without data."""
    return [
        seg.time for seg in lab.log.sent["a"] if seg.pure_ack and seg.seq == (client.endpoint.snd_una - 1) & 0xFFFFFFFF
    ]


def test_zero_window_probes_double():
    lab, client, start, reader, held = sleeper()
    lab.net.run(until=start + 9 * S)
    assert lab.log.sent["b"][-1].window == 0
    times = probes(lab, client)
    closed = next(seg.time for seg in lab.log.got["a"] if seg.window == 0)
    rto = client.endpoint.rto
    assert rto == pytest.approx(200 * MS, rel=0.05)
    assert [b - a for a, b in zip([closed, *times], times)] == [rto, 2 * rto, 4 * rto, 8 * rto, 16 * rto]
    counters = lab.b.stack.counters
    assert (counters.TcpExtTCPToZeroWindowAdv, counters.TcpExtTCPFromZeroWindowAdv) == (1, 0)
    lab.net.run_until(reader.finished, limit=start + 20 * S)
    assert 0 < held() <= 65_535
    assert counters.TcpExtTCPFromZeroWindowAdv == counters.TcpExtTCPToZeroWindowAdv >= 1


def test_a_lost_window_update_is_found_by_the_next_probe():
    lab, client, start, reader, _ = sleeper(rtt=10 * MS, drop_update=True)
    lab.net.run(until=start + 9 * S)
    last = probes(lab, client)[-1]
    gap = last - probes(lab, client)[-2]
    lab.net.run_until(reader.finished, limit=start + 30 * S)
    resumed = next(seg.time for seg in lab.log.data("a") if seg.time > last)
    assert resumed == last + 2 * gap + 10 * MS  # the next probe, and its answer's way


def test_control_without_persist_timer_it_never_resumes():
    lab, client, start, reader, _ = sleeper(rtt=10 * MS, drop_update=True, client={"tcp_persist": False})
    lab.net.run(until=start + 3600 * S)
    assert not reader.done and lab.net.next_time() is None


def slow_reader(window: int, size: int = 20_000, **settings) -> list[int]:
    """A reader that takes one byte each millisecond: the sizes of the segments it gets."""
    lab = lab_net(MS, server={"tcp_rmem": window}, **settings)
    client, server = lab.connected()

    def put():
        yield client.sendall(pattern(size))

    def take():
        for _ in range(size):
            yield server.recv(1)
            yield sleep(MS)

    lab.run(put(), take(), limit=100 * S)
    sizes = [len(seg) for seg in lab.log.data("a")]
    assert sum(sizes) == size
    return sizes


def test_silly_window_avoidance():
    assert min(slow_reader(5 * 1460)[:-1]) >= min(1460, 5 * 1460 // 2)


def test_what_the_window_leaves_over_goes_after_the_override_timeout():
    # RFC 9293 3.8.6.2.1 (4): 8192 is five segments and 892 bytes; these wait one RTO, the rest comes in full segments.
    assert slow_reader(8192)[:8] == [1460] * 5 + [892, 1460, 1460]


def test_control_without_silly_window_avoidance():
    sizes = slow_reader(5 * 1460, 10_000, tcp_sws=False, tcp_nagle=False)
    assert sum(1 for size in sizes if size < 100) >= 1000
