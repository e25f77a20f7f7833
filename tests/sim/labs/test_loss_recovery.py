"""Loss recovery beyond what lab 38 measures: when exactly each segment is repeated, without RACK, and across sequence zero."""

import pytest

from pystack.labs.lab_38_loss_recovery import experiment
from pystack.labs.lab_38_loss_recovery.experiment import MSS, R, answer
from pystack.testing.lab import MS, rounds


def resent(lab):
    """When (ms, from the first data segment on) segments were sent again."""
    return [time // MS for time in experiment.resent(lab)]


@pytest.mark.parametrize("settings", [{}, {"tcp_sack": False}, {"tcp_rack": False}])
def test_segment_3_lost(settings):
    lab, elapsed = answer(3, **settings)
    assert elapsed == 2 * R and resent(lab) == [100]


def test_two_segments_both_lost_are_probed_two_srtt_after_they_were_sent():
    lab, elapsed = answer(1, 2, segments=2)
    assert resent(lab) == [200, 300] and elapsed == 400 * MS
    assert lab.b.counters.TcpExtTCPTimeouts == 0


@pytest.mark.parametrize(("segments", "sent"), [(10, 400), (1, 300)])
@pytest.mark.parametrize("probe", [True, False])
def test_last_one_lost_waits_for_the_ack_delay_too(probe, segments, sent):
    # RFC 8985 7.2: 2 SRTT and the peer's 200 ms are no sooner than the RTO (300 ms, from the last ACK on), with or without a probe.
    lab, elapsed = answer(segments, segments=segments, tcp_tlp=probe)
    assert resent(lab) == [sent] and elapsed == sent * MS + R
    assert (lab.b.counters.TcpExtTCPLossProbes, lab.b.counters.TcpExtTCPTimeouts) == (0, 1)


@pytest.mark.parametrize(("segments", "sent"), [(10, [400, 500]), (2, [300, 400])])
def test_control_without_probe(segments, sent):
    lab, _ = answer(segments - 1, segments, segments=segments, tcp_tlp=False, tcp_rack=False)
    assert resent(lab) == sent and lab.b.counters.TcpExtTCPTimeouts == 1


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
