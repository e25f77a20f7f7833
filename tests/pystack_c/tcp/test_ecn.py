"""Explicit Congestion Notification: RFC 3168 section 6.1."""

import pytest

from pystack.testing.peer import HOST, PEER, PeerConn, build, mss_option, with_tos
from pystack.testing.segments import ACK, SYN

ECE, CWR = 0x40, 0x80
ECT0, CE = 2, 3


def marked(make, **settings):
    """A connection with ECN, opened by the peer."""
    peer = make(tcp_ecn=2, **settings)
    peer.listener()
    (syn_ack,) = peer.segment(SYN | ECE | CWR, peer.irs, options=mss_option(1000))
    assert syn_ack.flags == SYN | ACK | ECE
    conn = PeerConn(peer, None, 9, 80, (peer.irs + 1) & 0xFFFFFFFF, 65535)
    conn.ack = syn_ack.end
    conn.rx()
    assert conn.state == "ESTABLISHED"
    return conn


@pytest.mark.parametrize(("mode", "asked", "agreed"), [(0, False, False), (1, True, True), (2, False, True)])
def test_negotiation(make, mode, asked, agreed):
    # 6.1.1: a SYN with ECE and CWR asks; a SYN,ACK with ECE alone agrees
    peer = make(tcp_ecn=mode)
    tcb, syn = peer.connecting()
    assert (syn.flags == SYN | ECE | CWR) == asked
    peer.segment(SYN | ACK | ECE, 1, syn.end, syn.dport, syn.sport)
    assert tcb.ecn_ok == asked  # nobody may agree to what was not asked for
    peer.listener()
    (syn_ack,) = peer.segment(SYN | ECE | CWR, 1)
    assert (syn_ack.flags == SYN | ACK | ECE) == agreed
    (plain,) = peer.segment(SYN, 1, sport=77)
    assert plain.flags == SYN | ACK
    (odd,) = peer.segment(SYN | ECE, 1, sport=78)
    assert odd.flags == SYN | ACK


def test_a_syn_ack_that_only_mirrors_the_flags_does_not_agree(make):
    # 6.1.1: broken hosts that copy reserved bits
    peer = make(tcp_ecn=1)
    tcb, syn = peer.connecting()
    peer.segment(SYN | ACK | ECE | CWR, 1, syn.end, syn.dport, syn.sport)
    assert tcb.state == 1 and not tcb.ecn_ok


def test_the_second_syn_asks_no_more(make):
    # 6.1.1.1: something on the way may not like it
    peer = make(tcp_ecn=1)
    peer.connecting()
    again = peer.advance(2_000_000_000)
    assert [seg.flags for seg in again] == [SYN]


def test_what_is_marked_as_capable(make):
    # 6.1.4, 6.1.5, 6.1.6: new data only; not ACKs, retransmissions, SYNs
    conn = marked(make)
    (data,) = conn.send(b"x")
    assert data.tos & 3 == ECT0
    (again,) = conn.peer.advance(conn.tcb.rto)
    assert again.payload == b"x" and again.tos & 3 == 0
    (dup,) = conn.rx(data=b"y", seq=5)
    assert dup.tos & 3 == 0
    plain = make().established()
    assert plain.send(b"x")[0].tos == 0


def congested(conn, data, flags=ACK):
    """A data segment that a router marked."""
    packet = build(PEER, HOST, conn.sport, conn.dport, conn.seq, conn.ack, flags, data=data)
    out = conn.peer.packet(with_tos(packet, CE))
    conn.seq = (conn.seq + len(data)) & 0xFFFFFFFF
    return out or conn.peer.advance(50_000_000)


def test_a_mark_is_echoed_until_cwr(make):
    # 6.1.3
    conn = marked(make)
    assert not (conn.rx(data=b"x") or conn.peer.advance(50_000_000))[0].flags & ECE
    assert congested(conn, b"a")[0].flags & ECE
    (ack,) = conn.rx(data=b"b") or conn.peer.advance(50_000_000)
    assert ack.flags & ECE  # still, though this one was not marked
    (ack,) = conn.rx(ACK | CWR, b"c") or conn.peer.advance(50_000_000)
    assert not ack.flags & ECE


def test_the_sender_reacts_once_a_window(make):
    # 6.1.2: as to a loss, without sending anything again, and says CWR
    conn = marked(make, tcp_init_cwnd=10)
    conn.send(bytes(60_000))
    conn.has(1000)
    out = conn.rx(ACK | ECE)
    assert conn.tcb.ssthresh == conn.tcb.cwnd < 10_000 and conn.tcb.total_retrans == 0
    cwnd = conn.tcb.cwnd
    for _ in range(5):
        conn.has(1000)
        out += conn.rx(ACK | ECE)
    assert conn.tcb.cwnd == cwnd
    for _ in range(6):
        conn.has(1000)
        out += conn.rx()
    new = [seg for seg in out if seg.payload]
    assert new[0].flags & CWR and not any(seg.flags & CWR for seg in new[1:])


def test_without_agreement_the_bits_mean_nothing(make):
    conn = make(tcp_ecn=2, tcp_init_cwnd=10).established()
    conn.send(bytes(60_000))
    cwnd = conn.tcb.cwnd
    conn.has(1460)
    conn.rx(ACK | ECE)
    assert conn.tcb.cwnd >= cwnd
    assert not congested(conn, b"a")[0].flags & ECE
