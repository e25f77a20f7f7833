"""Timestamps and PAWS (RFC 7323 3 to 5), SACK and D-SACK of the receiver (RFC 2018, RFC 2883)."""

import pytest

from pystack.testing.peer import MS, SACK_OK, S, mss_option, ts_option
from pystack.testing.segments import ACK, FIN, RST, SYN

M32 = 0xFFFFFFFF
DAY = 86_400 * S


def stamped(make, value=1000, **settings):
    """A connection with timestamps; the peer's clock shows `value`."""
    conn = make(tcp_timestamps=True, **settings).established(active=True, options=mss_option(1460) + ts_option(value))
    conn.ts = (value, 0)
    return conn


# RFC 7323 3


def test_negotiation(make):
    peer = make(tcp_timestamps=True)
    with_it = peer.established(options=mss_option(1460) + ts_option(77))
    assert with_it.syn_ack.ts[1] == 77 and with_it.tcb.ts_ok
    without = peer.established(options=mss_option(1460))
    assert without.syn_ack.ts is None
    (seg,) = without.send(b"x")
    assert seg.ts is None


def test_every_segment_carries_milliseconds_and_the_echo(make):
    conn = stamped(make)
    (one,) = conn.send(b"1")
    conn.peer.advance(50 * MS)
    conn.has(1)
    conn.ts = (1234, one.ts[0])
    conn.rx()
    (two,) = conn.send(b"2")
    assert (two.ts[0] - one.ts[0]) & M32 == 50 and two.ts[1] == 1234
    (fin,) = conn.shutdown()
    assert fin.ts


def test_offset_differs_by_peer():
    # 7.1 / 5.4: nothing about the uptime
    from pystack.testing.peer import Peer
    from pystack_c.tcp import user

    peer = Peer(tcp_timestamps=True)
    values = []
    for last in range(2, 6):
        tcb = peer.call(user.tcp_open, peer.stack)
        peer.call(user.connect, tcb, 0x0A000000 + last, 7)
        values.append(peer.take()[0].ts[0])
    assert len(set(values)) == 4


def test_ts_recent_follows_the_left_edge_only(make):
    # 4.3 (2): SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent
    conn = stamped(make)
    conn.ts = (1010, 0)
    conn.rx(data=b"late", seq=100)  # beyond a hole
    assert conn.tcb.ts_recent == 1000
    conn.rx(data=b"x")
    assert conn.tcb.ts_recent == 1010


def test_delayed_ack_echoes_the_first_segment(make):
    # 4.3: the RTT includes the delay
    conn = stamped(make)
    conn.ts = (1010, 0)
    conn.rx(data=bytes(1448))
    conn.ts = (1020, 0)
    (ack,) = conn.rx(data=bytes(1448))
    assert ack.ts[1] == 1010


def test_rtt_by_timestamp_of_a_retransmission(make):
    # 4.1: the echo names the transmission, where Karn's rule would take no sample
    conn = stamped(make)
    conn.send(b"x")
    rto = conn.tcb.rto
    (again,) = conn.peer.advance(rto)
    conn.peer.advance(30 * MS)
    conn.has(1)
    conn.ts = (1001, again.ts[0])
    conn.rx()
    assert conn.tcb.min_rtt <= 30 * MS and conn.tcb.backoff == 0


# RFC 7323 5, PAWS


@pytest.mark.parametrize("recent", [1000, 3, 2**31 + 5])
def test_paws_drops_old_segments_and_says_so(make, recent):
    # 5.3 R1
    conn = stamped(make, recent)
    conn.ts = ((recent - 5) & M32, 0)
    (ack,) = conn.rx(data=b"old")
    conn.seq = (conn.seq - 3) & M32
    assert ack.pure_ack and ack.ack == conn.seq and conn.recv() is None
    assert conn.peer.dropped("tcp-paws") == 1 and conn.peer.counters.TcpExtPAWSEstab == 1
    conn.ts = (recent, 0)  # the control: the same value is good
    conn.rx(data=b"new")
    assert conn.recv() == b"new"


def test_paws_spares_rst(make):
    # 5.2: RST segments are not tested
    conn = stamped(make)
    conn.ts = (1, 0)
    conn.rx(RST)
    assert conn.state == "CLOSED"


def test_paws_after_24_days(make):
    # 5.5: an idle connection's TS.Recent is out of date
    conn = stamped(make)
    conn.ts = (5, 0)
    conn.peer.advance(23 * DAY)
    conn.rx(data=b"old")
    assert conn.recv() is None
    conn.seq = (conn.seq - 3) & M32
    conn.peer.advance(2 * DAY)
    conn.rx(data=b"new")
    assert conn.recv() == b"new"


@pytest.mark.parametrize("days", [24, 25, 40, 49])
def test_ts_recent_is_set_anew_after_24_idle_days(make, days):
    # 5.5: a peer with a clock of 1 ms: after 25 days its timestamps look older than the last; they count, and the next ones are measured by them
    conn = stamped(make)
    conn.peer.advance(days * DAY)
    stamp = (1000 + days * DAY // MS) & M32
    for more in (0, 7, 2000):
        conn.ts = ((stamp + more) & M32, 0)
        (ack,) = conn.rx(data=b"new") or conn.peer.advance(S)
        assert conn.recv() == b"new" and ack.ts[1] == (stamp + more) & M32
    conn.ts = ((stamp + 1000) & M32, 0)  # PAWS works again
    conn.rx(data=b"old")
    assert conn.recv() is None and conn.peer.dropped("tcp-paws") == 1


def test_time_wait_reopens_by_timestamp(make):
    # RFC 6191 2: a newer timestamp is enough, whatever the sequence number
    peer = make(tcp_timestamps=True)
    for value, seq, opens in ((1001, -50_000, True), (1000, 10, True), (1000, 0, False), (999, 100_000, False)):
        conn = peer.established(options=mss_option(1460) + ts_option(1000))
        conn.ts = (1000, 0)
        conn.to("TIME-WAIT")
        conn.ts = (value, 0)
        (out,) = conn.rx(SYN, seq=seq)
        assert out.has(SYN | ACK) == opens, (value, seq)


# RFC 2018, RFC 2883: the receiver


def sacking(make, **settings):
    return make(**settings).established(options=mss_option(1460) + SACK_OK)


def blocks(conn, segs):
    """The SACK blocks of the one segment, relative to what the peer sends next."""
    (seg,) = segs
    return [((left - conn.seq) & M32, (right - conn.seq) & M32) for left, right in seg.sack]


def test_sack_is_negotiated(make):
    conn = sacking(make)
    assert 4 in conn.syn_ack.options
    off = make().established()
    assert 4 not in off.syn_ack.options
    (dup,) = off.rx(data=b"x", seq=10)
    assert not dup.sack


def test_blocks_newest_first_then_most_recent(make):
    # RFC 2018 4
    conn = sacking(make)
    assert blocks(conn, conn.rx(data=bytes(10), seq=20)) == [(20, 30)]
    assert blocks(conn, conn.rx(data=bytes(10), seq=60)) == [(60, 70), (20, 30)]
    assert blocks(conn, conn.rx(data=bytes(10), seq=40)) == [(40, 50), (60, 70), (20, 30)]
    assert blocks(conn, conn.rx(data=bytes(10), seq=30)) == [(20, 50), (60, 70)]  # joined
    for at in (80, 100, 120):
        last = conn.rx(data=bytes(10), seq=at)
    assert blocks(conn, last) == [(120, 130), (100, 110), (80, 90), (20, 50)]  # at most four


def test_three_blocks_beside_timestamps(make):
    conn = make(tcp_timestamps=True).established(options=mss_option(1460) + SACK_OK + ts_option(1))
    conn.ts = (1, 0)
    for at in (20, 40, 60, 80):
        last = conn.rx(data=bytes(10), seq=at)
    assert len(last[0].sack) == 3 and last[0].ts


def test_blocks_go_away_when_the_hole_is_filled(make):
    conn = sacking(make)
    conn.rx(data=bytes(10), seq=10)
    conn.rx(data=bytes(10), seq=30)
    (ack,) = conn.rx(data=bytes(10))
    assert ack.ack == (conn.seq + 10) & M32 and ack.sack == [((conn.seq + 20) & M32, (conn.seq + 30) & M32)]
    conn.seq = (conn.seq + 10) & M32
    (ack,) = conn.rx(data=bytes(10))
    assert ack.sack == [] and ack.ack == (conn.seq + 10) & M32


def test_data_segments_carry_sack_and_stay_within_the_mtu(make):
    conn = sacking(make)
    conn.rx(data=bytes(10), seq=20)
    out = conn.send(bytes(1460))
    assert out[0].sack and len(out[0]) == 1460 - 12 and sum(len(seg) for seg in out) == 1460


def test_d_sack_below_the_ack(make):
    # RFC 2883 4.1.1: a full duplicate
    conn = sacking(make)
    conn.rx(data=bytes(10))
    conn.rx(data=bytes(10))
    assert blocks(conn, conn.rx(data=bytes(10), seq=-10)) == [(M32 + 1 - 10, 0)]
    (ack,) = conn.rx(data=b"x", seq=5)
    assert ack.sack == [((conn.seq + 5) & M32, (conn.seq + 6) & M32)]  # told once


def test_d_sack_of_a_part(make):
    # RFC 2883 4.2
    conn = sacking(make)
    conn.rx(data=bytes(10))
    out = conn.rx(data=bytes(10), seq=-5) or conn.peer.advance(S)
    assert out[0].sack[0] == ((conn.seq - 5) & M32, conn.seq)
    assert out[0].ack == (conn.seq + 5) & M32


def test_d_sack_above_the_ack(make):
    # RFC 2883 4.1.3: the duplicate first, then the block it is in
    conn = sacking(make)
    conn.rx(data=bytes(30), seq=20)
    assert blocks(conn, conn.rx(data=bytes(10), seq=30)) == [(30, 40), (20, 50)]


def test_out_of_order_pieces_are_bounded(make):
    conn = sacking(make, tcp_max_ooo=50)
    for n in range(80):
        conn.rx(data=b"x", seq=2 + 2 * n)
    assert len(conn.tcb.recvbuf.ooo) == 50 and conn.peer.dropped("tcp-ooo-full") == 30


def test_adjacent_pieces_join(make):
    """`tcp_max_ooo` bounds holes: what adjoins a piece that is kept makes no other hole, and is kept."""
    conn = sacking(make, tcp_max_ooo=2)
    conn.rx(data=b"c", seq=20)
    conn.rx(data=b"x", seq=40)
    for n in range(100):
        conn.rx(data=b"y", seq=41 + n)
    for n in range(5):
        conn.rx(data=b"z", seq=39 - n)
    assert blocks(conn, conn.rx(data=b"w" * 19, seq=141)) == [(35, 160), (20, 21)]
    assert conn.peer.dropped("tcp-ooo-full") == 0 and len(conn.tcb.recvbuf.ooo) == 2
    conn.rx(data=b"v", seq=30)
    assert conn.peer.dropped("tcp-ooo-full") == 1
    conn.rx(data=bytes(14), seq=21)  # the hole between the two is filled
    assert len(conn.tcb.recvbuf.ooo) == 1
    conn.rx(data=bytes(20))
    assert len(conn.recv()) == 160 and conn.tcb.recvbuf.ooo is None


def test_reassembly_in_every_order(make):
    text = b"abcdefghijklmnopqrstuvwxyz"
    orders = [
        range(26),
        range(25, -1, -1),
        sorted(range(26), key=lambda n: n * 7 % 26),
        sorted(range(26), key=lambda n: n * 11 % 5),
    ]
    for order in orders:
        conn = sacking(make)
        for at in order:
            if at:
                conn.rx(data=text[at : at + 3], seq=at)
        conn.rx(data=text[:1])
        conn.rx(ACK | FIN, seq=25)
        assert conn.recv() == text and conn.recv() == b"" and conn.tcb.recvbuf.ooo is None
