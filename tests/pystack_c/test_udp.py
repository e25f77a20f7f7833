"""UDP sockets (RFC 768, RFC 1122 4.1; LABS section 8)."""

import errno

import pytest

import pystack_c.const as C
from pystack_c.base.address import addr_bytes
from pystack_c.sockets import sockopt, udp
from tests import frames as f
from tests.support.peer import Peer, ip_packet


def bound(peer: Peer, port: int = 53, addr: str = "0.0.0.0", **options):
    """A bound socket."""
    ep = peer.call(udp.udp_open, peer.stack)
    for name in options:
        peer.call(udp.setsockopt, ep, sockopt.SOL_SOCKET, getattr(sockopt, name), options[name])
    peer.call(udp.bind, ep, f.addr(addr), port)
    return ep


def take(ep) -> list[bytes]:
    """Everything in the queue."""
    found = []
    while (dgram := udp.recvfrom(ep, 0, 0)) is not None:
        found.append(dgram.data)
    return found


def fails(error: int, fn, *args) -> None:
    with pytest.raises(OSError) as caught:
        fn(*args)
    assert caught.value.errno == error


def test_boundaries_are_kept():
    """100, 200, 300 bytes are exactly three receives of those sizes."""
    peer = Peer()
    ep = bound(peer)
    for size in (100, 200, 300):
        peer.udp(1000, 53, bytes(size))
    assert [len(data) for data in take(ep)] == [100, 200, 300]


def test_a_datagram_tells_where_it_came_from():
    peer = Peer()
    ep = bound(peer)
    peer.udp(1000, 53, b"hi", ttl=9, tos=0x2E)
    peek = udp.recvfrom(ep, C.MSG_PEEK, 0)
    dgram = udp.recvfrom(ep, 0, 0)
    assert dgram is peek
    assert (dgram.data, dgram.src, dgram.sport, dgram.dst) == (b"hi", peer.me, 1000, peer.addr)
    assert (dgram.iface.name, dgram.ttl, dgram.tos) == ("eth0", 9, 0x2E)
    assert udp.recvfrom(ep, 0, 0) is None


def test_empty_datagrams_are_datagrams():
    peer = Peer()
    ep = bound(peer)
    peer.udp(1000, 53, b"")
    assert ep.readiness() & C.EV_IN
    assert take(ep) == [b""]


def test_sending_sets_ttl_and_tos():
    peer = Peer()
    ep = bound(peer)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_TTL, 7)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_TOS, 0xB8)
    assert peer.call(udp.sendto, ep, b"hi", peer.me, 9, 0) == 2
    [sent] = peer.seen
    assert (sent.ip.ttl, sent.ip.tos, sent.udp.sport, sent.udp.dport, sent.udp.data) == (7, 0xB8, 53, 9, b"hi")
    assert sent.udp.csum_ok and sent.udp.csum != 0


# Checksum and length


def test_checksum_zero_is_accepted():
    """RFC 768: the sender made none."""
    peer = Peer()
    ep = bound(peer)
    datagram = f.udp("10.0.0.2", 1000, "10.0.0.1", 53, b"hi")
    peer.send(datagram[:6] + b"\0\0" + datagram[8:])
    assert take(ep) == [b"hi"]


def test_checksum_wrong_is_not():
    """RFC 1122 4.1.3.4."""
    peer = Peer()
    ep = bound(peer)
    datagram = f.udp("10.0.0.2", 1000, "10.0.0.1", 53, b"hi")
    for bit in range(len(datagram) * 8):
        broken = bytearray(datagram)
        broken[bit // 8] ^= 0x80 >> bit % 8
        assert peer.send(bytes(broken)) == []
    assert take(ep) == []
    assert sum(peer.drops.values()) == len(datagram) * 8
    assert set(peer.drops) == {"udp-bad-checksum", "udp-bad-length"}


def test_no_check_sends_zero():
    peer = Peer()
    ep = bound(peer, SO_NO_CHECK=1)
    peer.call(udp.sendto, ep, b"hi", peer.me, 9, 0)
    assert peer.seen[-1].udp.csum == 0


@pytest.mark.parametrize("length, name", [(7, "udp-bad-length"), (0, "udp-bad-length"), (11, "udp-bad-length")])
def test_length_field_that_lies(length, name):
    peer = Peer()
    datagram = f.udp("10.0.0.2", 1000, "10.0.0.1", 53, b"hi")
    assert peer.send(datagram[:4] + length.to_bytes(2, "big") + b"\0\0" + datagram[8:]) == []
    assert peer.drops == {name: 1}


def test_what_follows_the_length_is_cut_off():
    peer = Peer()
    ep = bound(peer)
    peer.send(f.udp("10.0.0.2", 1000, "10.0.0.1", 53, b"hi") + b"trailer")
    assert take(ep) == [b"hi"]


def test_truncated_header():
    peer = Peer()
    assert peer.send(bytes(7)) == []
    assert peer.drops == {"udp-truncated": 1}


# Queue


def test_a_full_queue_drops_and_counts():
    peer = Peer(udp_rmem=10_000)
    ep = bound(peer)
    for _ in range(100):
        peer.udp(1000, 53, bytes(744))
    assert len(take(ep)) == 10
    assert peer.drops == {"udp-queue-full": 90} and ep.dropped == 90
    peer.udp(1000, 53, b"room again")
    assert take(ep) == [b"room again"]


def test_a_flood_of_empty_datagrams_is_bounded():
    peer = Peer(udp_rmem=25_600)
    ep = bound(peer)
    for _ in range(500):
        peer.udp(1000, 53, b"")
    assert len(take(ep)) == 100


# Connected


def test_a_connected_socket_hears_its_peer_only():
    peer = Peer()
    ep = bound(peer)
    peer.call(udp.connect, ep, peer.me, 1000)
    peer.udp(1000, 53, b"yes")
    peer.udp(1001, 53, b"no: port")
    peer.udp(1000, 53, b"no: address", src="10.0.0.3")
    assert take(ep) == [b"yes"]
    assert peer.drops == {"udp-no-port": 2}
    peer.call(udp.connect, ep, 0, 0)
    peer.udp(1001, 53, b"any")
    assert take(ep) == [b"any"]


def test_connect_chooses_address_and_port():
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.connect, ep, peer.me, 9)
    assert ep.laddr == peer.addr and 32768 <= ep.lport <= 60999
    peer.call(udp.connect, ep, 0, 0)
    assert (ep.laddr, ep.lport, ep.raddr, ep.rport) == (0, 0, 0, 0)


def test_the_most_specific_socket_gets_it():
    peer = Peer()
    wild = bound(peer, SO_REUSEADDR=1)
    local = bound(peer, 53, "10.0.0.1", SO_REUSEADDR=1)
    linked = bound(peer, 53, "10.0.0.1", SO_REUSEADDR=1)
    peer.call(udp.connect, linked, peer.me, 1000)
    peer.udp(1000, 53, b"linked")
    peer.udp(1001, 53, b"local")
    peer.stack.add_addr(peer.iface, f.addr("10.0.0.5"), 24)
    peer.udp(1000, 53, b"wild", dst="10.0.0.5")
    assert (take(linked), take(local), take(wild)) == ([b"linked"], [b"local"], [b"wild"])


def test_reuseport_spreads_peers_and_keeps_each_at_its_socket():
    peer = Peer()
    group = [bound(peer, SO_REUSEPORT=1) for _ in range(4)]
    for _ in range(2):
        for port in range(1000, 1200):
            peer.udp(port, 53, port.to_bytes(2, "big"))
    queues = [take(ep) for ep in group]
    assert sum(map(len, queues)) == 400
    for queue in queues:
        assert len(queue) > 40
        assert all(queue.count(data) == 2 for data in queue)


# Broadcast and multicast


def test_broadcast_needs_permission_and_goes_to_everybody():
    peer = Peer()
    ep = bound(peer)
    fails(errno.EACCES, udp.sendto, ep, b"x", f.addr("10.0.0.255"), 9, 0, 0)
    fails(errno.EACCES, udp.connect, ep, f.addr("255.255.255.255"), 9, 0)
    peer.call(udp.setsockopt, ep, sockopt.SOL_SOCKET, sockopt.SO_BROADCAST, 1)
    peer.call(udp.sendto, ep, b"x", f.addr("10.0.0.255"), 9, 0)
    peer.call(udp.sendto, ep, b"x", f.addr("255.255.255.255"), 9, 0)
    assert [s.eth_dst for s in peer.seen] == [0xFFFFFFFFFFFF] * 2


def test_a_broadcast_is_copied_to_all_sockets():
    peer = Peer()
    a, b = bound(peer, SO_REUSEADDR=1), bound(peer, SO_REUSEADDR=1)
    other = bound(peer, 54)
    for dst in ("10.0.0.255", "255.255.255.255"):
        assert peer.udp(1000, 53, b"all", dst=dst, eth_dst=0xFFFFFFFFFFFF) == []
    assert take(a) == take(b) == [b"all"] * 2 and take(other) == []


def test_multicast_needs_membership():
    peer = Peer()
    ep = bound(peer)
    group = f.addr("239.1.2.3")
    mreq = addr_bytes(group) + addr_bytes(peer.addr)
    peer.udp(1000, 53, b"before", dst="239.1.2.3", eth_dst=0x01005E010203)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_ADD_MEMBERSHIP, mreq)
    peer.udp(1000, 53, b"member", dst="239.1.2.3", eth_dst=0x01005E010203)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_DROP_MEMBERSHIP, mreq)
    peer.udp(1000, 53, b"after", dst="239.1.2.3", eth_dst=0x01005E010203)
    assert take(ep) == [b"member"]
    peer.call(udp.sendto, ep, b"x", group, 9, 0)
    assert (peer.seen[-1].eth_dst, peer.seen[-1].ip.ttl) == (0x01005E010203, 1)


def test_closing_leaves_groups():
    peer = Peer()
    ep = bound(peer)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_ADD_MEMBERSHIP, f.bits("239.1.2.3").to_bytes(4, "big") + bytes(4))
    assert peer.iface.groups
    peer.call(udp.close, ep)
    assert not peer.iface.groups


# Errors of calls


def test_errors_of_sendto():
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    fails(errno.EDESTADDRREQ, udp.sendto, ep, b"x", 0, 0, 0, 0)
    fails(errno.EINVAL, udp.sendto, ep, b"x", peer.me, 0, 0, 0)
    fails(errno.EMSGSIZE, udp.sendto, ep, bytes(65508), peer.me, 9, 0, 0)
    fails(errno.ENETUNREACH, udp.sendto, ep, b"x", f.addr("192.0.2.1"), 9, 0, 0)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_MTU_DISCOVER, 2)
    fails(errno.EMSGSIZE, udp.sendto, ep, bytes(1473), peer.me, 9, 0, 0)
    assert udp.sendto(ep, bytes(1472), peer.me, 9, 0, 0) == 1472
    [sent] = peer.drain()
    assert sent.ip.df and sent.ip.total == 1500


def test_the_largest_datagram():
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    assert peer.call(udp.sendto, ep, bytes(65507), peer.me, 9, 0) == 65507
    assert sum(s.ip.total - 20 for s in peer.seen) == 65515


def test_shutdown():
    peer = Peer()
    ep = bound(peer)
    fails(errno.ENOTCONN, udp.shutdown, ep, 2, 0)
    ep = bound(peer, 54)
    peer.call(udp.connect, ep, peer.me, 1000)
    peer.call(udp.shutdown, ep, 1)
    fails(errno.EPIPE, udp.sendto, ep, b"x", 0, 0, 0, 0)
    peer.udp(1000, 54, b"still in")
    assert take_one(ep) == b"still in"
    peer.call(udp.shutdown, ep, 0)
    assert take_one(ep) == b"" and ep.readiness() & C.EV_HUP


def take_one(ep) -> bytes:
    return udp.recvfrom(ep, 0, 0).data


def test_a_closed_socket_is_gone():
    peer = Peer()
    ep = bound(peer)
    peer.call(udp.close, ep)
    peer.call(udp.close, ep)
    fails(errno.EBADF, udp.recvfrom, ep, 0, 0)
    fails(errno.EBADF, udp.sendto, ep, b"", peer.me, 9, 0, 0)
    assert ep.ident not in peer.stack.endpoints
    peer.udp(1000, 53, b"x")
    assert peer.drops == {"udp-no-port": 1}
    bound(peer)


def test_loopback():
    """A datagram to an own address goes through lo, and a closed port there refuses."""
    peer = Peer()
    server = bound(peer)
    for addr in (peer.addr, f.addr("127.0.0.1")):
        client = peer.call(udp.udp_open, peer.stack)
        peer.call(udp.connect, client, addr, 53)
        peer.call(udp.sendto, client, b"hi", 0, 0, 0)
        dgram = udp.recvfrom(server, 0, 0)
        assert (dgram.data, dgram.src, dgram.iface.name) == (b"hi", addr, "lo")
        peer.call(udp.connect, client, addr, 99)
        peer.call(udp.sendto, client, b"hi", 0, 0, 0)
        fails(errno.ECONNREFUSED, udp.recvfrom, client, 0, 0)
    assert peer.seen == []


def test_readiness_events():
    peer = Peer()
    ep = bound(peer)
    ep.waiter = object()
    peer.udp(1000, 53, b"x")
    peer.udp(1000, 53, b"y")
    assert peer.stack.poll_event() is ep and peer.stack.poll_event() is None
    assert ep.take_pending() == C.EV_IN and ep.readiness() == C.EV_IN | C.EV_OUT


def test_unknown_options():
    peer = Peer()
    ep = bound(peer)
    fails(errno.ENOPROTOOPT, udp.setsockopt, ep, 6, 1, 1, 0)
    fails(errno.ENOPROTOOPT, udp.getsockopt, ep, sockopt.SOL_SOCKET, 9999, 0)
    fails(errno.EINVAL, udp.setsockopt, ep, 0, sockopt.IP_TTL, 256, 0)
    assert udp.getsockopt(ep, sockopt.SOL_SOCKET, sockopt.SO_TYPE, 0) == 2
    peer.call(udp.setsockopt, ep, sockopt.SOL_SOCKET, sockopt.SO_RCVBUF, 5000)
    assert udp.getsockopt(ep, sockopt.SOL_SOCKET, sockopt.SO_RCVBUF, 0) == 10000


def test_bind_to_device():
    peer = Peer()
    other = peer.stack.add_iface("eth1", C.LINK_ETHERNET, 0x0200000000AC)
    peer.stack.add_addr(other, f.addr("10.1.0.1"), 24)
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.setsockopt, ep, sockopt.SOL_SOCKET, sockopt.SO_BINDTODEVICE, b"eth1\0")
    peer.call(udp.bind, ep, 0, 53)
    peer.udp(1000, 53, b"wrong wire")
    packet = ip_packet("10.1.0.2", "10.1.0.1", 17, f.udp("10.1.0.2", 1, "10.1.0.1", 53, b"right"))
    peer.packet(packet, eth_dst=other.mac, iface=other)
    assert take(ep) == [b"right"]
    fails(errno.ENODEV, udp.setsockopt, ep, sockopt.SOL_SOCKET, sockopt.SO_BINDTODEVICE, b"eth7", 0)


def test_a_broadcast_reaches_our_own_sockets_too():
    """As on Linux; and a group datagram unless IP_MULTICAST_LOOP is off, members only."""
    peer = Peer()
    server = bound(peer)
    client = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.setsockopt, client, sockopt.SOL_SOCKET, sockopt.SO_BROADCAST, 1)
    peer.call(udp.sendto, client, b"all", f.addr("10.0.0.255"), 53, 0)
    dgram = udp.recvfrom(server, 0, 0)
    assert (dgram.data, dgram.src, dgram.sport, dgram.iface.name) == (b"all", peer.addr, client.lport, "eth0")
    peer.call(udp.sendto, client, bytes(4000), f.addr("10.0.0.255"), 53, 0)
    assert len(udp.recvfrom(server, 0, 0).data) == 4000
    group = f.addr("239.1.2.3")
    peer.call(udp.sendto, client, b"group", group, 53, 0)
    assert take(server) == []
    peer.call(udp.setsockopt, server, 0, sockopt.IP_ADD_MEMBERSHIP, addr_bytes(group) + bytes(4))
    peer.call(udp.sendto, client, b"group", group, 53, 0)
    assert take(server) == [b"group"]
    peer.call(udp.setsockopt, client, 0, sockopt.IP_MULTICAST_LOOP, 0)
    peer.call(udp.sendto, client, b"group", group, 53, 0)
    assert take(server) == []
    # and each went out on the wire (beside IGMP's reports)
    assert len([one for one in peer.seen if one.ip.proto == 17]) == 1 + 3 + 3
