"""Raw and ping sockets, as on Linux (raw(7), icmp(7))."""

import errno

import pytest

from pystack_c.sockets import raw, sockopt
from tests import frames as f
from tests.support.peer import Peer, ip_packet

ECHO = f.icmp(8, 0, b"\0\1\0\1", b"ping")
REPLY = f.icmp(0, 0, b"\0\1\0\1", b"ping")


def icmp_socket(peer: Peer):
    return peer.call(raw.raw_open, peer.stack, 1)


def test_a_raw_socket_gets_the_whole_packet():
    peer = Peer()
    ep = icmp_socket(peer)
    peer.send(REPLY, 1, ident=3)
    dgram = raw.recvfrom(ep, 0, 0)
    assert dgram.data == ip_packet(proto=1, payload=REPLY, ident=3)
    assert (dgram.src, dgram.sport) == (peer.me, 0)
    assert peer.drops == {}


def test_the_stack_still_answers():
    peer = Peer()
    ep = icmp_socket(peer)
    [pong] = peer.send(ECHO, 1)
    assert pong.icmp.type == 0
    assert raw.recvfrom(ep, 0, 0).data[20] == 8


def test_every_raw_socket_gets_a_copy_and_others_none():
    peer = Peer()
    a, b = icmp_socket(peer), icmp_socket(peer)
    udp = peer.call(raw.raw_open, peer.stack, 17)
    peer.send(REPLY, 1)
    assert raw.recvfrom(a, 0, 0).data == raw.recvfrom(b, 0, 0).data
    assert raw.recvfrom(udp, 0, 0) is None


def test_sending_puts_an_ip_header_in_front():
    peer = Peer()
    ep = icmp_socket(peer)
    peer.call(raw.setsockopt, ep, 0, sockopt.IP_TTL, 3)
    assert peer.call(raw.sendto, ep, ECHO, peer.me, 0, 0) == len(ECHO)
    [sent] = peer.seen
    assert sent.l4 == ECHO and (sent.ip.ttl, sent.ip.src, sent.ip.proto) == (3, peer.addr, 1)


def test_hdrincl():
    """The stack fills in source, ID, total length and checksum."""
    peer = Peer()
    ep = peer.call(raw.raw_open, peer.stack, 255)
    packet = ip_packet("0.0.0.0", "10.0.0.2", 200, b"payload", ident=0, ttl=5, csum=0, total=1, options=b"\x94\4\0\0")
    peer.call(raw.sendto, ep, packet, peer.me, 0, 0)
    [sent] = peer.seen
    assert (sent.ip.src, sent.ip.total, sent.ip.ttl, sent.ip.proto) == (peer.addr, 31, 5, 200)
    assert sent.ip.csum_ok and sent.ip.ident != 0 and sent.ip.options == b"\x94\4\0\0"
    for bad, error in (
        (packet[:19], errno.EINVAL),
        (b"\x65" + packet[1:], errno.EINVAL),
        (b"\x45" + bytes(1500), errno.EMSGSIZE),
    ):
        with pytest.raises(OSError) as caught:
            raw.sendto(ep, bad, peer.me, 0, 0, 0)
        assert caught.value.errno == error


def test_unknown_protocols_are_taken_by_a_raw_socket():
    peer = Peer()
    ep = peer.call(raw.raw_open, peer.stack, 89)
    assert peer.send(b"ospf", 89) == []
    assert raw.recvfrom(ep, 0, 0).data[20:] == b"ospf"
    assert peer.drops == {}
    peer.call(raw.close, ep)
    assert len(peer.send(b"ospf", 89)) == 1  # control: protocol unreachable


def test_bound_and_connected():
    peer = Peer()
    ep = icmp_socket(peer)
    peer.call(raw.connect, ep, f.addr("10.0.0.3"), 0)
    peer.send(REPLY, 1)
    assert raw.recvfrom(ep, 0, 0) is None
    peer.send(REPLY, 1, src="10.0.0.3")
    assert raw.recvfrom(ep, 0, 0).src == f.addr("10.0.0.3")


def test_icmp_filter():
    peer = Peer()
    ep = icmp_socket(peer)
    peer.call(raw.setsockopt, ep, raw.SOL_RAW, raw.ICMP_FILTER, 1 << 8)
    peer.send(ECHO, 1)
    assert raw.recvfrom(ep, 0, 0) is None
    peer.send(REPLY, 1)
    assert raw.recvfrom(ep, 0, 0).data[20] == 0


def test_a_full_queue_drops():
    peer = Peer(udp_rmem=4096)
    icmp_socket(peer)
    for _ in range(100):
        peer.send(ECHO, 1)
    assert peer.drops["raw-queue-full"] > 80
    assert len(peer.seen) == 100  # and pings are answered all the same


def test_ping_socket():
    """Its identifier and checksum are the stack's; only its own replies come in."""
    peer = Peer()
    a = peer.call(raw.ping_open, peer.stack)
    b = peer.call(raw.ping_open, peer.stack)
    for ep in (a, b):
        peer.call(raw.sendto, ep, b"\x08\0\0\0\xff\xff\0\7data", peer.me, 0, 0)
    assert all(s.icmp.csum_ok and s.icmp.rest & 0xFFFF == 7 for s in peer.seen)
    idents = [s.icmp.rest >> 16 for s in peer.seen]
    assert idents == [a.lport, b.lport] and idents[0] != idents[1]
    reply = f.icmp(0, 0, idents[1].to_bytes(2, "big") + b"\0\7", b"data")
    peer.send(reply, 1)
    assert raw.recvfrom(a, 0, 0) is None
    assert raw.recvfrom(b, 0, 0).data == reply
    for bad in (b"\x08\0\0\0", b"\0\0\0\0\0\0\0\0"):
        with pytest.raises(OSError):
            raw.sendto(a, bad, peer.me, 0, 0, 0)
    peer.call(raw.close, b)
    peer.send(reply, 1)
    assert peer.drops == {"icmp-unwanted": 1}
