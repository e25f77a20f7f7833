"""The congestion pages' figures: ten segments answer one request, R = 100 ms; times from the request."""

import pytest

from pystack.phy.match import is_data
from pystack.testing.lab import MS, lab_net, pattern, rounds

R = 100 * MS
MSS = 1460


def answer(*lost, quick=True, segments=10, **settings):
    """Ten segments, of which these are lost (counted from 1); (lab, the time until the last byte has arrived).

    The client acknowledges at once (`quick`): otherwise an odd segment's ACK waits 40 ms, see the control below."""
    client = {"tcp_quickack_segs": 1 << 20} if quick else {}
    lab = lab_net(R // 2, client=client, **settings)
    client_sock, server = lab.connected()
    lab.net.run(until=lab.net.now + 10 * R)
    start = lab.net.now
    client_sock.call("send", b"GET", 0)
    lab.link.ba.drop(*lost, match=is_data)

    def serve():
        yield server.recv_exactly(3)
        yield server.sendall(pattern(segments * MSS))

    def read():
        assert (yield client_sock.recv_exactly(segments * MSS)) == pattern(segments * MSS)

    lab.run(serve(), read())
    return lab, lab.net.now - start


def resent(lab):
    """When (from the first data segment on) and how many segments were sent again."""
    first = lab.log.data("b")[0].time
    again = lab.log.resent("b")
    return [(seg.time - first) // MS for seg in again]


def test_no_loss():
    lab, elapsed = answer()
    assert elapsed == R and resent(lab) == []


@pytest.mark.parametrize("settings", [{}, {"tcp_sack": False}, {"tcp_rack": False}])
def test_segment_3_lost(settings):
    lab, elapsed = answer(3, **settings)
    assert elapsed == 2 * R and resent(lab) == [100]


def test_all_ten_lost():
    lab, elapsed = answer(*range(1, 11), tcp_tlp=False)
    assert resent(lab) == [300] + [400] * 2 + [500] * 4 + [600] * 3
    assert elapsed == 700 * MS


def test_control_with_delayed_acks_the_first_retransmissions_ack_waits():
    lab, _ = answer(*range(1, 11), quick=False, tcp_tlp=False)
    assert resent(lab) == [300] + [440] * 2 + [540] * 4 + [640] * 3


def test_all_ten_lost_with_the_probe():
    """The probe is the last segment; its SACK, R later, shows the nine others lost: no timeout, 100 ms sooner."""
    lab, elapsed = answer(*range(1, 11))
    assert resent(lab) == [200] + [300] * 2 + [400] * 4 + [500] * 3
    assert elapsed == 600 * MS and lab.b.counters.TcpExtTCPTimeouts == 0


def test_two_segments_both_lost_are_probed_two_srtt_after_they_were_sent():
    lab, elapsed = answer(1, 2, segments=2)
    assert resent(lab) == [200, 300] and elapsed == 400 * MS
    assert lab.b.counters.TcpExtTCPTimeouts == 0


def test_last_two_lost_are_found_by_the_probe():
    # ACKs of the eight before them come R after they were sent, and each sets the timer anew: 2 SRTT from there (RFC 8985 7.2).
    lab, elapsed = answer(9, 10)
    assert resent(lab) == [300, 400] and elapsed == 500 * MS
    assert (lab.b.counters.TcpExtTCPLossProbes, lab.b.counters.TcpExtTCPTimeouts) == (1, 0)


@pytest.mark.parametrize(("segments", "sent"), [(10, 400), (1, 300)])
@pytest.mark.parametrize("probe", [True, False])
def test_last_one_lost_waits_for_the_ack_delay_too(probe, segments, sent):
    # RFC 8985 7.2: 2 SRTT and the peer's 200 ms are no sooner than the RTO (300 ms, from the last ACK on), with or without a probe.
    lab, elapsed = answer(segments, segments=segments, tcp_tlp=probe)
    assert resent(lab) == [sent] and elapsed == sent * MS + R
    assert (lab.b.counters.TcpExtTCPLossProbes, lab.b.counters.TcpExtTCPTimeouts) == (0, 1)


def test_control_a_peer_that_delays_acks_less_is_probed():
    lab, _ = answer(10, server={"tcp_tlp_max_ack_delay": 40 * MS})
    assert resent(lab) == [340] and lab.b.counters.TcpExtTCPTimeouts == 0


@pytest.mark.parametrize(("segments", "sent"), [(10, [400, 500]), (2, [300, 400])])
def test_control_without_probe(segments, sent):
    lab, _ = answer(segments - 1, segments, segments=segments, tcp_tlp=False, tcp_rack=False)
    assert resent(lab) == sent and lab.b.counters.TcpExtTCPTimeouts == 1


def test_three_holes_take_one_round_with_sack():
    lab, elapsed = answer(2, 4, 6)
    assert elapsed == 2 * R and resent(lab) == [100, 100, 100]


def test_control_three_holes_take_three_rounds_with_newreno():
    lab, elapsed = answer(2, 4, 6, tcp_sack=False)
    assert elapsed == 4 * R and resent(lab) == [100, 200, 300]


def test_three_holes_without_rack():
    # RFC 6675 NextSeg() rule 3: holes below SACKed data are filled though IsLost() does not hold for them yet.
    lab, elapsed = answer(4, 6, 8, tcp_rack=False, tcp_tlp=False)
    assert elapsed == 2 * R and resent(lab) == [100, 100, 100]


@pytest.mark.parametrize("isn", [2**32 - 5 * MSS, 2**32 - 1])
def test_recovery_across_sequence_zero(isn):
    lab, elapsed = answer(2, 4, 6, server={"tcp_isn": isn})
    assert elapsed == 2 * R
    lab, elapsed = answer(*range(1, 11), server={"tcp_isn": isn}, tcp_tlp=False)
    assert elapsed == 700 * MS


def test_rounds_of_a_clean_answer():
    lab, _ = answer(segments=70)
    assert rounds(lab.log.data("b"), R) == [10, 20, 40]
