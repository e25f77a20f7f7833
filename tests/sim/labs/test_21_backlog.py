"""Queues of a listener beyond what lab 21 measures, and the end of SYNs into nothing."""

import pytest

from pystack.labs.lab_21_backlog.experiment import into_nothing
from pystack.testing.lab import MS, B, S, lab_net, stream

R = 10 * MS


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


def test_the_end_of_syns_into_nothing():
    lab = lab_net(R // 2, tcp_syn_retries=2)
    lab.link.down()

    def dial():
        with pytest.raises(TimeoutError):
            yield from lab.client()

    lab.run(dial())
    assert [seg.time for seg in lab.log.sent["a"]] == [0, S, 3 * S] and lab.net.now == 7 * S


def test_control_no_linear_timeouts():
    times = [(2**number - 1) * S for number in range(9)]
    assert into_nothing(tcp_syn_retries=8, tcp_syn_linear_timeouts=0, tcp_rto_max=1000 * S) == times


def test_what_overflows_is_counted_and_not_answered():
    lab = lab_net(R // 2)
    lab.listener(backlog=4)
    for _ in range(8):
        stream(lab.a).connect(B, 80).poll()
        lab.net.run(until=lab.net.now + 2 * R)
    assert lab.b.counters.TcpExtListenOverflows >= 3
    assert len({seg.dport for seg in lab.log.sent["b"]}) == 5
