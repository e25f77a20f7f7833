"""RFC 1122, sections 3.2.2 and 3.3.8: ICMP. The numbers are those of requirements/rfc1122.csv."""

import errno

import pytest

from pystack.testing.peer import Peer as TcpPeer
from pystack_c.sockets import raw, udp
from tests import frames as f
from tests.rfc import quoting
from tests.support.peer import PEER_MAC, Peer, ip_packet

BROADCAST = 0xFFFFFFFFFFFF
ECHO = f.icmp(8, 0, b"\0\1\0\1", b"ping")


def connected(peer):
    """A connected UDP socket that has just sent a datagram."""
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.connect, ep, peer.me, 9)
    peer.call(udp.sendto, ep, b"hello", 0, 0, 0)
    return ep


def tell(peer, kind, code, rest=bytes(4)):
    """An ICMP error about the last packet that the stack sent."""
    return peer.send(f.icmp(kind, code, rest, peer.seen[-1].packet[:28]), 1)


def closed(peer, **header):
    """A datagram to a closed port; what is answered."""
    return peer.udp(1000, 9, b"x" * 20, **header)


@pytest.mark.parametrize("kind", [1, 2, 7, 41, 200, 255])
def test_icmp_1_unknown_types_are_discarded(kind):
    peer = Peer()
    assert peer.send(f.icmp(kind, 0, bytes(4), b"x" * 20), 1) == []
    assert peer.drops == {"icmp-unknown-type": 1}


def test_icmp_2_an_error_quotes_what_was_received():
    for options in (b"", b"\x94\x04\0\0"):
        (error,) = closed(Peer(), options=options, tos=0x10, ttl=9)
        sent = ip_packet(payload=f.udp("10.0.0.2", 1000, "10.0.0.1", 9, b"x" * 20), options=options, tos=0x10, ttl=9)
        assert error.icmp.data == sent and error.icmp.csum_ok


def test_icmp_3_errors_go_to_the_socket_they_concern():
    peer = Peer()
    first, second = connected(peer), connected(peer)
    tell(peer, 3, 3)
    assert (first.so_error, second.so_error) == (0, errno.ECONNREFUSED)


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_icmp_4_no_error_about_an_error(kind):
    peer = Peer()
    assert peer.send(f.icmp(kind, 1, bytes(4), b""), 1, options=b"\x07\0\0\0") == []
    assert len(peer.send(ECHO, 1, options=b"\x07\0\0\0")) == 1  # the control: about a request


@pytest.mark.parametrize("dst", ["10.0.0.255", "255.255.255.255", "224.0.0.1"])
def test_icmp_5_no_error_about_a_broadcast(dst):
    peer = Peer()
    assert closed(peer, dst=dst) == [] and peer.send(b"x" * 20, 99, dst=dst) == []
    assert len(closed(peer)) == 1 and len(peer.send(b"x" * 20, 99)) == 1  # the control


def test_icmp_6_no_error_about_a_link_broadcast():
    peer = Peer(ip_forward=True)
    assert peer.send(bytes(100), 17, dst="192.0.2.1", eth_dst=BROADCAST) == []
    assert len(peer.send(bytes(100), 17, dst="192.0.2.1")) == 1  # the control


def test_icmp_7_no_error_about_a_later_fragment():
    peer = Peer(ip_forward=True)
    assert peer.send(bytes(104), 17, dst="192.0.2.1", offset=800, mf=True) == []
    assert len(peer.send(bytes(104), 17, dst="192.0.2.1", mf=True)) == 1  # the control: the first one


def test_icmp_8_no_error_to_a_source_that_is_no_host():
    peer = Peer(ip_forward=True)
    assert closed(peer, dst="255.255.255.255", src="0.0.0.0") == []
    for src in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.0.255"):
        assert peer.send(b"x" * 20, 99, src=src) == []
    assert len(peer.send(b"x" * 20, 99)) == 1  # the control


@pytest.mark.parametrize(("code", "error"), [(0, errno.ENETUNREACH), (1, errno.EHOSTUNREACH), (2, errno.ENOPROTOOPT), (3, errno.ECONNREFUSED), (13, errno.EHOSTUNREACH)])  # fmt: skip
def test_icmp_9_destination_unreachable_is_passed_up(code, error):
    peer = Peer()
    ep = connected(peer)
    tell(peer, 3, code)
    assert ep.so_error == error


@pytest.mark.parametrize("code", range(16))
def test_icmp_10_and_is_a_hint_only(code):
    conn = TcpPeer().established()
    conn.send(b"x")
    quoting.error(conn, 3, code, 1400)
    assert conn.state == "ESTABLISHED"
    conn.has(1)
    conn.rx()
    assert conn.send(b"y")[0].payload == b"y"


def test_icmp_11_redirects_are_counted_and_not_believed():
    peer = Peer()
    ep = connected(peer)
    tell(peer, 5, 1, f.bits("10.0.0.77").to_bytes(4, "big"))
    peer.call(udp.sendto, ep, b"again", 0, 0, 0)
    assert peer.seen[-1].eth_dst == peer.seen[0].eth_dst
    assert peer.drops == {"icmp-redirect": 1} and peer.stack.counters.IcmpInRedirects == 1


def test_icmp_12_source_quench_is_dropped():
    peer = Peer()
    ep = connected(peer)
    assert tell(peer, 4, 0) == [] and ep.so_error == 0
    assert peer.drops == {"icmp-source-quench": 1}


def test_icmp_13_time_exceeded_is_passed_up():
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.setsockopt, ep, 0, 11, 1)  # IP_RECVERR
    peer.call(udp.sendto, ep, b"hello", peer.me, 9, 0)
    tell(peer, 11, 0)
    assert udp.recvfrom(ep, 0x2000, 0).icmp == (11, 0)


def test_icmp_14_parameter_problem_is_passed_up():
    peer = Peer()
    ep = connected(peer)
    tell(peer, 12, 0)
    assert ep.so_error == errno.EPROTO


def test_icmp_15_echo_requests_are_answered():
    (reply,) = Peer().send(ECHO, 1)
    assert (reply.icmp.type, reply.icmp.code, reply.icmp.rest, reply.icmp.csum_ok) == (0, 0, 0x10001, True)


def test_icmp_16_from_the_address_that_was_asked():
    peer = Peer()
    peer.stack.add_addr(peer.iface, f.addr("10.0.0.9"), 24)
    for dst in ("10.0.0.1", "10.0.0.9"):
        (reply,) = peer.send(ECHO, 1, dst=dst)
        assert reply.ip.src == f.addr(dst)


@pytest.mark.parametrize("size", [0, 1, 56, 1472])
def test_icmp_17_with_the_same_data(size):
    data = (bytes(range(256)) * 6)[:size]
    (reply,) = Peer().send(f.icmp(8, 0, b"\0\1\0\1", data), 1)
    assert reply.icmp.data == data


@pytest.mark.parametrize("kind", [131, 137])
def test_icmp_19_a_source_route_is_turned_round(kind):
    one, two, me = (f.bits(a).to_bytes(4, "big") for a in ("10.0.0.71", "10.0.0.72", "10.0.0.2"))
    for head in (b"", me):  # (who counts itself among the hops is left out)
        peer = Peer(accept_source_route=True)
        peer.stack.add_neighbor(peer.iface, f.addr("10.0.0.72"), PEER_MAC)
        hops = head + one + two
        (reply,) = peer.send(ECHO, 1, options=bytes((kind, 3 + len(hops), 4 + len(hops))) + hops)
        assert (reply.ip.dst, reply.ip.options[:-1]) == (f.addr("10.0.0.72"), bytes((kind, 11, 4)) + one + me)
        assert (reply.icmp.type, reply.icmp.data, reply.icmp.csum_ok) == (0, b"ping", True)
    (plain,) = Peer(accept_source_route=True).send(ECHO, 1)
    assert (plain.ip.dst, plain.ip.options) == (f.addr("10.0.0.2"), b"")


def test_icmp_18_replies_reach_who_asked():
    peer = Peer()
    ep = peer.call(raw.ping_open, peer.stack)
    peer.call(raw.sendto, ep, f.icmp(8, 0, b"\0\0\0\7", b"hi"), peer.me, 0, 0)
    asked = peer.seen[-1].icmp
    peer.send(f.icmp(0, 0, asked.rest.to_bytes(4, "big"), asked.data), 1)
    assert raw.recvfrom(ep, 0, peer.now).data[8:] == b"hi"
    peer.send(f.icmp(0, 0, (asked.rest ^ 0x10000).to_bytes(4, "big"), asked.data), 1)  # somebody else's
    assert raw.recvfrom(ep, 0, peer.now) is None


@pytest.mark.parametrize("kind", [13, 15, 17])
def test_icmp_20_no_mask_timestamp_or_information_replies(kind):
    peer = Peer()
    assert peer.send(f.icmp(kind, 0, b"\0\1\0\1", bytes(12)), 1) == []
    assert peer.drops == {"icmp-unknown-type": 1}


def test_icmp_21_errors_that_are_not_forbidden_are_sent():
    peer = Peer()
    answers = [closed(peer), peer.send(b"x" * 20, 99), peer.send(ECHO, 1, options=b"\x07\0\0\0")]
    assert [[(s.icmp.type, s.icmp.code) for s in out] for out in answers] == [[(3, 3)], [(3, 2)], [(12, 0)]]
