"""What ends a burst: PSH tells the receiver that no second segment comes for the ACK to wait for."""

import pytest

from pystack.testing.lab import MS, S, lab_net, pattern

MSS = 1460
R = 50 * MS
PSH = 8
ODD = {"tcp_init_cwnd": 5, "tcp_quickack_segs": 0, "tcp_timestamps": False, "tcp_congestion": "fixed5"}


@pytest.fixture(autouse=True)
def window_of_five():
    from pystack_c.tcp.congestion.base import REGISTRY, CongestionControl, register

    @register
    class Five(CongestionControl):
        """Five segments, always: an odd number."""

        name = "fixed5"

        def conn_init(self, tcb):
            tcb.cwnd = 5 * tcb.mss

    yield
    del REGISTRY["fixed5"]


def upload(segments=50, **settings):
    lab = lab_net(R // 2, profile="linux", **{**ODD, **settings})
    client, server = lab.connected()
    lab.net.run(until=lab.net.now + 2 * S)
    begin = len(lab.log.data("a"))
    took = lab.upload(pattern(segments * MSS), client, server)
    return lab, took, lab.log.data("a")[begin:]


def test_a_burst_that_the_window_ends_is_acknowledged_at_once():
    lab, took, segs = upload()
    # Five at first; then each ACK releases what it acknowledges.
    assert "".join(".P"[seg.flags & PSH > 0] for seg in segs[:10]) == "....P.P.PP"
    # Ten rounds of five; the last ends where it arrives.
    assert took == 9 * R + R // 2
    assert lab.b.counters.TcpExtDelayedACKs == 0


@pytest.mark.parametrize("settings", [{"tcp_push_bursts": False}, {"tcp_ack_pushed": False}])
def test_control_without_it_the_fifth_waits_for_the_delayed_ack(settings):
    lab, took, segs = upload(**settings)
    assert took > 9 * R + R // 2 + 40 * MS
    assert lab.b.counters.TcpExtDelayedACKs > 0


def test_the_segments_are_the_same_with_offload():
    plain, _, segs = upload()
    merged, took, _ = upload(offload=True)
    pushed = [seg for seg in merged.log.data("a")[1:] if seg.flags & PSH]
    assert took == 9 * R + R // 2
    assert [seg.end for seg in pushed] == [seg.end for seg in plain.log.data("a")[1:] if seg.flags & PSH]


def test_single_segments_carry_none():
    """One segment at a time is no burst: the sender may be held up, and its ACK need not hurry."""
    lab = lab_net(R // 2, profile="linux", tcp_init_cwnd=1, tcp_quickack_segs=0)
    client, server = lab.connected()
    lab.upload(pattern(3 * MSS), client, server)
    assert lab.log.data("a")[0].flags & PSH == 0


def test_who_answers_needs_no_extra_ack():
    """Requests of one full segment each: the answer carries the ACK; in one direction only it goes on its own."""
    counts = {}
    for answers in (True, False):
        lab = lab_net(R // 2, profile="linux", tcp_quickack_segs=0, tcp_timestamps=False)
        client, server = lab.connected()

        def ask(client=client, answers=answers):
            for _ in range(10):
                yield client.sendall(pattern(MSS))
                if answers:
                    yield client.recv_exactly(1)

        def answer(server=server, answers=answers):
            for _ in range(10):
                yield server.recv_exactly(MSS)
                if answers:
                    yield server.sendall(b"!")

        lab.run(ask(), answer())
        lab.net.run(until=lab.net.now + S)
        counts[answers] = sum(not len(seg) for seg in lab.log.sent["b"]) - 1
    assert counts[True] <= 1 and counts[False] >= 5
