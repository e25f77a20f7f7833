"""TCP in UDP: what is no segment stays UDP's, and what comes from outside is checked."""

import errno
import random
import struct

import pytest

from pystack.testing.peer import HOST, MS, PEER, SERVICE, Peer, build, mss_option
from pystack.testing.segments import ACK, FIN, SYN, decode, ones
from pystack_c.tcp import sockopt, user

PORT, THEIRS = 9899, 7
UDP = 17
SOL_IP, IP_OPTIONS, SOL_TCP = 0, 4, 6


def datagram(payload, sport=THEIRS, dport=PORT, check=True, length=None):
    """An IPv4 packet with a UDP datagram in it."""
    size = 8 + len(payload) if length is None else length
    body = struct.pack(">HHHH", sport, dport, size, 0) + payload
    if check:
        value = ones(struct.pack(">IIHH", PEER, HOST, UDP, len(body)) + body) ^ 0xFFFF or 0xFFFF
        body = body[:6] + struct.pack(">H", value) + body[8:]
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(body), 1, 0x4000, 64, UDP, 0, PEER, HOST)
    return head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:] + body


def segment(flags, seq, ack=0, sport=9, options=b"", data=b""):
    """The TCP segment alone, without a checksum of its own."""
    tcp = build(PEER, HOST, sport, SERVICE, seq, ack, flags, options=options, data=data)[20:]
    return tcp[:16] + b"\0\0" + tcp[18:]


def inner(packet):
    """What the stack sent in UDP: its ports, and the segment decoded."""
    assert packet[9] == UDP
    udp = packet[20:]
    sport, dport, length, check = struct.unpack(">HHHH", udp[:8])
    assert length == len(udp) and check != 0
    assert ones(struct.pack(">IIHH", HOST, PEER, UDP, length) + udp) == 0xFFFF
    assert udp[24:26] == b"\0\0"
    tcp = udp[8:]
    value = ones(struct.pack(">IIHH", HOST, PEER, 6, len(tcp)) + tcp) ^ 0xFFFF
    tcp = tcp[:16] + struct.pack(">H", value) + tcp[18:]
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0, HOST, PEER)
    head = head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:]
    return (sport, dport), decode(head + tcp, 0)


def answers(peer, packet):
    """What the stack sends in datagrams after a packet."""
    peer.packet(packet)
    found, peer.other = peer.other, []
    return [inner(p) for p in found if p[9] == UDP]


def opened(**settings):
    """A passive connection through UDP: the peer, its Tcb, and our ISS."""
    peer = Peer(tcp_udp_port=PORT, **settings)
    listener = peer.listener()
    ((ports, syn_ack),) = answers(peer, datagram(segment(SYN, 100, options=mss_option(1452))))
    assert ports == (PORT, THEIRS) and syn_ack.has(SYN | ACK) and syn_ack.mss == 1452
    assert answers(peer, datagram(segment(ACK, 101, syn_ack.end))) == []
    return peer, peer.call(user.accept, listener), syn_ack.end


def test_both_ways_and_large_sends_are_cut():
    peer, tcb, ours = opened()
    answers(peer, datagram(segment(ACK, 101, ours, data=b"x" * 10)))
    assert peer.call(user.recv, tcb, 100, 0) == b"x" * 10
    peer.other.clear()
    peer.call(user.send, tcb, bytes(4000), 0)
    sent = [inner(p)[1] for p in peer.other]
    # (No offload can cut a datagram: each segment is one.)
    assert [len(s.payload) for s in sent] == [1452, 1452, 1096]
    assert peer.sent == []


def test_no_checksum_no_segment():
    # Nothing else covers it; to UDP such a datagram is fine, and nobody listens there.
    peer = Peer(tcp_udp_port=PORT)
    peer.listener()
    syn = segment(SYN, 100, options=mss_option(1452))
    assert answers(peer, datagram(syn, check=False)) == []
    assert peer.counters.UdpNoPorts == 1
    assert len(answers(peer, datagram(syn))) == 1
    # (A wrong one is UDP's to count.)
    wrong = bytearray(datagram(syn))
    wrong[-1] ^= 1
    assert answers(peer, bytes(wrong)) == []
    assert peer.counters.UdpInCsumErrors == 1


def test_off_it_is_a_datagram_like_any_other():
    peer = Peer()
    peer.listener()
    assert answers(peer, datagram(segment(SYN, 100))) == []
    assert peer.counters.UdpNoPorts == 1 and peer.counters.TcpInSegs == 0


def test_rubbish_in_datagrams():
    peer, tcb, _ = opened()
    rng = random.Random(5)
    for size in (*range(24), *[rng.randrange(24, 80) for _ in range(200)]):
        answers(peer, datagram(rng.randbytes(size)))
        answers(peer, datagram(rng.randbytes(size), length=rng.randrange(0, 200)))
        assert peer.stack.tunnel is None
    assert peer.counters.TcpInErrs > 0
    assert tcb.state == 1


def error_about(sport, dport, quote, length=28):
    """ICMP port unreachable about a datagram of ours."""
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 1076, 1, 0x4000, 64, UDP, 0, HOST, PEER)
    head = head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:]
    body = struct.pack(">BBHI", 3, 4, 0, 1000) + head + struct.pack(">HHHH", sport, dport, length, 0) + quote
    body = body[:2] + struct.pack(">H", ones(body + b"\0" * (len(body) % 2)) ^ 0xFFFF) + body[4:]
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(body), 1, 0x4000, 64, 1, 0, PEER, HOST)
    return head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:] + body


@pytest.mark.parametrize(
    ("sport", "dport", "cut", "believed"),
    [(PORT, THEIRS, 8, True), (PORT, THEIRS + 1, 8, False), (PORT + 1, THEIRS, 8, False), (PORT, THEIRS, 7, False)],
)
def test_icmp_must_quote_the_datagram_and_the_segment(sport, dport, cut, believed):
    peer, tcb, ours = opened()
    peer.call(user.send, tcb, bytes(1000), 0)
    quote = struct.pack(">HHI", SERVICE, 9, ours)
    peer.packet(error_about(sport, dport, quote[:cut]))
    assert (tcb.mss == 1000 - 48) is believed


def test_a_way_and_ip_options_exclude_each_other():
    peer = Peer(tcp_udp_port=PORT)
    route = bytes((131, 7, 4)) + struct.pack(">I", PEER) + b"\0"
    for first, second in (
        ((SOL_TCP, sockopt.TCP_REMOTE_UDP_ENCAPS_PORT, THEIRS), (SOL_IP, IP_OPTIONS, route)),
        ((SOL_IP, IP_OPTIONS, route), (SOL_TCP, sockopt.TCP_REMOTE_UDP_ENCAPS_PORT, THEIRS)),
    ):
        tcb = peer.call(user.tcp_open, peer.stack)
        peer.call(sockopt.setsockopt, tcb, *first)
        with pytest.raises(OSError) as caught:
            peer.call(sockopt.setsockopt, tcb, *second)
        assert caught.value.errno == errno.EINVAL


def test_a_plain_segment_is_not_the_connections():
    peer, tcb, ours = opened()
    (reset,) = peer.segment(ACK | FIN, 101, ours)
    assert reset.seq == ours and tcb.state == 1
    assert peer.dropped("tcp-another-way") == 1
    # The control: by its own way it is.
    answers(peer, datagram(segment(ACK | FIN, 101, ours)))
    peer.advance(MS)
    assert tcb.state == 8
