"""Lab 18: delayed acknowledgements."""

import pytest

from pystack.testing.lab import MS, lab_net, pattern, sleep

R = 20 * MS
D = 40 * MS


def bulk_acks(**settings):
    lab = lab_net(R // 2, **settings)
    client, server = lab.connected()
    lab.upload(pattern(1000 * 1460), client, server)
    lab.net.run(until=lab.net.now + 1000 * MS)
    assert len(lab.log.data("a")) == 1000
    return len([seg for seg in lab.log.sent["b"] if seg.pure_ack])


def test_every_second_full_segment_is_acknowledged():
    assert bulk_acks() == pytest.approx(500, abs=2)


def one_byte(answer_after=None, **settings):
    """(When the sender has the ACK of its one byte, the receiver's pure ACKs)."""
    lab = lab_net(R // 2, **settings)
    client, server = lab.connected()
    sent = lab.net.now
    client.call("send", b"x", 0)

    def serve():
        yield server.recv(1)
        if answer_after is not None:
            yield sleep(answer_after)
            yield server.sendall(b"y")

    lab.run(serve())
    lab.net.run(until=sent + 1000 * MS)
    acked = next(seg.time for seg in lab.log.got["a"] if seg.time > sent)
    return acked - sent, len([seg for seg in lab.log.sent["b"] if seg.pure_ack])


def test_the_ack_of_one_byte_waits_for_company():
    assert one_byte() == (R + D, 1)


def test_an_answer_in_time_carries_the_ack():
    assert one_byte(answer_after=D // 2) == (R + D // 2, 0)
    assert one_byte(answer_after=D + 1) == (R + D, 1)


def test_never_over_half_a_second_in_any_profile():
    # RFC 9293 MUST-40
    for profile in ("lab", "linux", "rfc"):
        assert one_byte(profile=profile)[0] - R < 500 * MS


def test_control_quick_acks():
    assert bulk_acks(tcp_quickack_segs=1 << 20) == 1000
    assert one_byte(tcp_quickack_segs=16) == (R, 1)
