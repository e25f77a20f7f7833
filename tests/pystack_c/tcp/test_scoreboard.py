"""The scoreboard costs what an ACK newly says, whatever is in flight; and a peer's SACK blocks cut no more than a bounded number of records."""

import random
from functools import lru_cache

import pytest

from pystack.testing.peer import MS, SACK_OK, mss_option, sack_option, wscale_option
from tests.support import ackwork, invariants

IN_FLIGHT = {"wandering": 85_000, "everything again": 20_000, "combs": 20_000, "backwards": 20_000}
#: lines of the uncompiled core for each segment in flight, once: it is found lost, and listed
ONCE = 130


@lru_cache(None)
def measured(plan, rack):
    return ackwork.measure(plan, IN_FLIGHT[plan], tcp_rack=rack)


@pytest.mark.parametrize("rack", [True, False], ids=["rack", "rfc6675"])
@pytest.mark.parametrize("plan", ackwork.PLANS)
def test_an_ack_costs_what_it_newly_says(plan, rack):
    """20,000 to 85,000 segments of 48 bytes in flight: the ACKs that find the losses look at each of them once, all others at a few."""
    lines = measured(plan, rack)["lines"]
    assert sum(count > 1500 for count in lines) <= 2
    assert sum(lines) < IN_FLIGHT[plan] * ONCE + 1500 * len(lines)


def test_lines_are_counted():
    """The counting itself: a plan on fewer segments runs fewer lines in the first ACKs, and some in each."""
    few = ackwork.measure("wandering", 850)["lines"]
    many = measured("wandering", True)["lines"]
    assert min(few) > 200 and max(few) * 20 < max(many)


def test_one_byte_blocks_do_not_split_records_without_bound(make):
    """Blocks of one byte all over what is in flight: 4 an ACK, 3,000 ACKs. The records stay few, and so do retransmissions."""
    peer = make(tcp_sack_whole=False, tcp_init_cwnd=100, tcp_wmem=1 << 20)
    conn = peer.established(options=mss_option(1000) + SACK_OK + wscale_option(4))
    sent = len(conn.send(bytes(100_000)))
    assert sent == 100
    rng = random.Random(1)
    most = again = 0
    for _ in range(3000):
        again += sum(len(seg) > 0 for seg in peer.advance(MS))
        places = sorted(rng.randrange(1000, 100_000 - 1) for _ in range(4))
        out = conn.rx(options=sack_option(*((conn.ack + at, conn.ack + at + 1) for at in places)))
        again += sum(len(seg) > 0 for seg in out)
        most = max(most, len(conn.tcb.rtxq))
    invariants.check_rtxq(conn.tcb, "cut")
    limit = peer.config.tcp_sack_maxholes
    assert conn.tcb.rtxq.cuts == limit
    assert most <= sent + limit
    # (Each is sent again once when it is found lost, and the retransmissions that are lost too once a round trip and a half.)
    assert again <= 4 * (sent + limit)


def test_cuts_are_forgotten_with_their_segments(make):
    """What is acknowledged makes room for the next cuts."""
    peer = make(tcp_sack_whole=False, tcp_sack_maxholes=4, tcp_init_cwnd=20)
    conn = peer.established(options=mss_option(1000) + SACK_OK)
    conn.send(bytes(10_000))
    conn.rx(options=sack_option(*((conn.ack + n * 1000 + 500, conn.ack + n * 1000 + 501) for n in (2, 4, 6))))
    q = conn.tcb.rtxq
    assert q.cuts == 4 and len(q) == 14 and q.sacked_out == 2
    conn.has(3000)
    conn.rx()
    assert q.cuts == 2
    conn.rx(options=sack_option((conn.ack + 5500, conn.ack + 5501)))
    assert q.cuts == 4
    conn.has(7000)
    conn.rx()
    assert q.cuts == 0 and len(q) == 0 and q.board is None
