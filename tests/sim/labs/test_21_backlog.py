"""Lab 21: listening and backlogs, and SYNs into nothing."""

import errno

import pytest

from pystack.testing.lab import MS, B, S, lab_net, sleep, stream
from pystack.testing.segments import SYN

R = 10 * MS


def eight_clients(backlog: int, accept_at: int = -1, **settings):
    """8 clients, 2 R apart, and a listener that accepts at most once: how long each took, or its errno."""
    lab = lab_net(R // 2, server=settings)
    listener = lab.listener(backlog=backlog)
    results = [None] * 8

    def dial(number: int):
        yield sleep(number * 2 * R)
        started = lab.net.now
        sock = stream(lab.a)
        try:
            yield sock.connect(B, 80)
            yield sock.within(sock.recv(), R)  # (a reset comes a round trip later than the SYN-ACK)
        except TimeoutError:
            results[number] = lab.net.now - R - started
        except OSError as error:
            assert lab.net.now - started == R
            results[number] = error.errno

    for number in range(8):
        lab.spawn(dial(number))
    if accept_at >= 0:
        lab.net.at(accept_at, listener.call, "accept")
    lab.net.run(until=20 * S)
    return lab, results


def test_backlog_plus_one_connect_and_the_others_hear_nothing():
    lab, results = eight_clients(4)
    assert results[:5] == [R] * 5 and results[5:] == [None] * 3
    assert lab.b.counters.TcpExtListenOverflows >= 3
    ports = {seg.sport for seg in lab.log.sent["a"] if seg.has(SYN)}
    answered = {seg.dport for seg in lab.log.sent["b"]}
    assert len(ports) == 8 and len(answered) == 5


def test_one_accept_lets_the_sixth_in_with_its_next_syn():
    _, results = eight_clients(4, accept_at=500 * MS)
    assert results == [R] * 5 + [S + R, None, None]


def test_overflow_policy_reset():
    # (A RST that answers a SYN is ECONNREFUSED to connect(); one that answers the third step would be ECONNRESET.)
    lab, results = eight_clients(4, tcp_abort_on_overflow=True)
    assert results == [R] * 5 + [errno.ECONNREFUSED] * 3
    assert lab.b.counters.TcpOutRsts == 3


def test_control_a_longer_backlog():
    assert eight_clients(8)[1] == [R] * 8


def test_accepting_from_the_queue_keeps_the_order():
    lab = lab_net(R // 2)
    listener = lab.listener(backlog=8)
    ports = []

    def dial():
        sock = yield from lab.client()
        ports.append(sock.endpoint.lport)

    for _ in range(5):
        lab.run(dial())
    lab.net.run(until=lab.net.now + R)
    assert [listener.call("accept").rport for _ in range(5)] == ports


def test_syn_queue_is_bounded():
    lab = lab_net(R // 2, server={"tcp_max_syn_backlog": 128, "tcp_syncookies": False})
    listener = lab.listener(backlog=1000)
    lab.link.ab.drop_if(lambda frame: len(frame) >= 54 and frame[47] & 0x12 == 0x10)  # no third step
    for _ in range(200):
        sock = stream(lab.a)
        sock.connect(B, 80).poll()
    lab.net.run(until=100 * MS)
    assert len(listener.endpoint.listener.syn_queue) == 128
    assert lab.b.counters.TcpExtTCPReqQFullDrop == 72


@pytest.mark.parametrize(("retries", "times"), [(6, [0, 1, 3, 7, 15, 31, 63]), (2, [0, 1, 3])])
def test_syns_into_nothing(retries, times):
    lab = lab_net(R // 2, tcp_syn_retries=retries)
    lab.link.down()

    def dial():
        with pytest.raises(OSError) as caught:
            yield from lab.client()
        assert caught.value.errno == errno.ETIMEDOUT

    lab.run(dial())
    assert [seg.time for seg in lab.log.sent["a"]] == [t * S for t in times]
    assert lab.net.now == (2 ** (retries + 1) - 1) * S


@pytest.mark.parametrize(
    ("linear", "times"), [(4, [0, 1, 2, 3, 4, 5, 7, 11, 19]), (0, [0, 1, 3, 7, 15, 31, 63, 127, 255])]
)
def test_syns_into_nothing_as_linux_sends_them(linear, times):
    """tcp_syn_linear_timeouts: the first four go again after a second each; the control has none such."""
    lab = lab_net(R // 2, tcp_syn_retries=8, tcp_syn_linear_timeouts=linear, tcp_rto_max=1000 * S)
    lab.link.down()

    def dial():
        with pytest.raises(TimeoutError):
            yield from lab.client()

    lab.run(dial())
    assert [seg.time for seg in lab.log.sent["a"]] == [t * S for t in times]
