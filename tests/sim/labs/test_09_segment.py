"""Lab 9: the TCP segment: sequence numbers, checksum, SACK blocks."""

import pytest

from pystack.phy.match import is_data
from pystack.testing.lab import MS, lab_net, pattern

R = 100 * MS
MSS = 1460


def test_fin_is_acknowledged_at_isn_plus_bytes_plus_two():
    lab = lab_net(R // 2)
    client, server = lab.connected()
    lab.upload(pattern(12_345), client, server)
    client.close()
    lab.net.run(until=lab.net.now + 1000 * MS)
    isn = lab.log.sent["a"][0].seq
    assert lab.log.sent["b"][-1].ack == (isn + 12_345 + 2) & 0xFFFFFFFF
    assert max((seg.ack - isn) & 0xFFFFFFFF for seg in lab.log.sent["b"]) == 12_347


def test_sequence_numbers_pass_zero():
    lab = lab_net(R // 2, client={"tcp_isn": 2**32 - 10_000})
    client, server = lab.connected()
    lab.upload(pattern(1_000_000), client, server)
    data = lab.log.data("a")
    assert data[0].seq == 2**32 - 9_999 and data[-1].seq < 2**31
    assert [seg.seq < 2**31 for seg in data].count(False) == 7  # and the rest lies beyond 0
    assert lab.log.resent("a") == []


def test_one_flipped_bit_costs_one_retransmission():
    lab = lab_net(R // 2)
    client, server = lab.connected()
    lab.link.ab.flip(5, bit=-100, match=is_data)
    lab.upload(pattern(10 * MSS), client, server)
    counters = lab.b.counters
    assert counters.TcpInCsumErrors == 1 and counters.drops["tcp-bad-checksum"] == 1
    (again,) = lab.log.resent("a")
    assert again.seq == lab.log.data("a")[4].seq and len(again) == MSS


def six_segments(**settings):
    # (The receiver acknowledges segment 1 at once. Were that ACK delayed, segment 3 would carry it, and only two
    # duplicates would be left of six segments.)
    lab = lab_net(R // 2, server={"tcp_quickack_segs": 16}, **settings)
    client, server = lab.connected()
    lab.link.ab.drop(2, 4, match=is_data)
    elapsed = lab.upload(pattern(6 * MSS), client, server)
    base = lab.log.data("a")[0].seq
    number = lambda seq: ((seq - base) & 0xFFFFFFFF) // MSS + 1  # noqa: E731
    return lab, elapsed, number


def test_last_duplicate_ack_carries_the_newest_block_first():
    lab, elapsed, number = six_segments()
    sacks = [[(number(left), number(right)) for left, right in seg.sack] for seg in lab.log.sent["b"] if seg.sack]
    assert sacks[:3] == [[(3, 4)], [(5, 6), (3, 4)], [(5, 7), (3, 4)]]
    assert [number(seg.seq) for seg in lab.log.resent("a")] == [2, 4]
    assert elapsed == R + R // 2  # one round of recovery


def test_control_without_sack_recovery_takes_two_rounds():
    lab, elapsed, number = six_segments(tcp_sack=False)
    assert not any(seg.sack for seg in lab.log.sent["b"])
    assert [number(seg.seq) for seg in lab.log.resent("a")] == [2, 4]
    assert elapsed == 2 * R + R // 2


@pytest.mark.parametrize("isn", [2**32 - 5 * MSS, 2**32 - 1, 2**31 - 3 * MSS, 0])
def test_recovery_does_not_mind_where_sequence_numbers_start(isn):
    lab, elapsed, number = six_segments(client={"tcp_isn": isn})
    assert elapsed == R + R // 2 and [number(seg.seq) for seg in lab.log.resent("a")] == [2, 4]
