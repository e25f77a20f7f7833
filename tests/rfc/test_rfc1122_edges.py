"""RFC 1122, sections 2 and 4.1: ARP and UDP. The numbers are those of requirements/rfc1122.csv."""

import errno

import pytest

import pystack_c.const as C
from pystack_c.sockets import sockopt, udp
from tests import frames as f
from tests.support.peer import PEER_MAC, STACK_MAC, Peer, S

BROADCAST = 0xFFFFFFFFFFFF


def opened(peer, addr="", port=0):
    """A UDP socket, bound where an address or a port is given."""
    ep = peer.call(udp.udp_open, peer.stack)
    if addr or port:
        peer.call(udp.bind, ep, f.addr(addr or "0.0.0.0"), port)
    return ep


def answer(peer):
    """The peer answers ARP."""
    return peer.arp(2, PEER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")


def test_arp_1_old_entries_are_found_out():
    peer = Peer(known=False)
    ep = opened(peer)
    peer.call(udp.sendto, ep, b"x", peer.me, 9, 0)
    answer(peer)
    peer.run(31)
    peer.call(udp.sendto, ep, b"y", peer.me, 9, 0)  # stale: used, then probed, then given up
    asked = [s for s in peer.run(20) if s.arp]
    assert [s.eth_dst for s in asked] == [PEER_MAC] * 3
    assert peer.iface.neighbors[peer.me].state == C.NUD_FAILED
    peer.call(udp.sendto, ep, b"z", peer.me, 9, 0)
    assert peer.seen[-1].eth_dst == BROADCAST and peer.seen[-1].arp.op == 1


def test_arp_2_one_request_a_second_at_most():
    peer = Peer(known=False)
    ep = opened(peer)
    for _ in range(29):
        peer.call(udp.sendto, ep, b"x", peer.me, 9, 0)
        peer.run(0.1)
    times = [s.time for s in peer.seen if s.arp]
    assert len(times) == 3 and all(b - a >= S for a, b in zip(times, times[1:]))


def test_arp_3_frames_are_those_of_rfc_894():
    peer = Peer(known=False)
    peer.call(udp.sendto, opened(peer), b"x" * 10, peer.me, 9, 0)
    answer(peer)
    assert [(s.eth_type, s.eth_src) for s in peer.seen] == [(0x0806, STACK_MAC), (0x0800, STACK_MAC)]
    assert peer.seen[-1].frame[14] == 0x45 and peer.seen[-1].eth_dst == PEER_MAC
    for ethertype in (0x1000, 0x1001, 0x0100):  # trailers, and a length of IEEE 802.3
        assert peer.frame(f.ether(peer.seen[-1].packet, ethertype, PEER_MAC, STACK_MAC)) == []


def test_arp_4_a_packet_waits_for_its_address():
    peer = Peer(known=False)
    ep = opened(peer)
    peer.call(udp.connect, ep, peer.me, 9)
    peer.call(udp.sendto, ep, b"x", 0, 0, 0)
    peer.run(2.9)
    assert ep.so_error == 0 and peer.drops == {}
    assert [s.udp.data for s in answer(peer)] == [b"x"]


def test_arp_5_ip_knows_of_link_broadcasts():
    peer = Peer()
    ep = opened(peer, port=53)
    peer.udp(1, 53, b"unicast in a broadcast frame", eth_dst=BROADCAST)
    assert udp.recvfrom(ep, 0, 0) is None
    peer.udp(1, 53, b"broadcast", dst="10.0.0.255", eth_dst=BROADCAST)
    assert udp.recvfrom(ep, 0, 0).data == b"broadcast"


def test_arp_6_the_latest_packets_are_kept():
    peer = Peer(known=False, neigh_queue_len=3)
    ep = opened(peer)
    for number in range(10):
        peer.call(udp.sendto, ep, bytes([number]), peer.me, 9, 0)
    assert [s.udp.data[0] for s in answer(peer)] == [7, 8, 9]


def test_udp_1_port_unreachable():
    peer = Peer()
    (error,) = peer.udp(1, 9, b"x")
    assert (error.icmp.type, error.icmp.code) == (3, 3)
    opened(peer, port=9)
    assert peer.udp(1, 9, b"x") == []  # the control


OPTIONS = b"\x94\x04\0\0\x83\x07\x08" + bytes((10, 0, 0, 2)) + b"\0"


def test_udp_2_received_ip_options_are_told():
    peer = Peer(accept_source_route=True)
    ep = opened(peer, port=53)
    for options in (OPTIONS, b""):
        peer.udp(1, 53, b"x", options=options)
        assert udp.recvfrom(ep, 0, 0).options == options


def test_udp_3_the_application_sends_ip_options():
    peer = Peer()
    ep = opened(peer)
    for options in (b"\x94\x04\0\0", b"\x07\x07\x04" + bytes(5), b""):
        peer.call(udp.setsockopt, ep, 0, sockopt.IP_OPTIONS, options)
        peer.call(udp.sendto, ep, bytes(100), peer.me, 9, 0)
        sent = peer.seen[-1]
        assert sent.ip.options[:3] == options[:3].replace(b"\x07\x07\x04", b"\x07\x07\x08") and sent.udp.csum_ok
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_OPTIONS, b"\x94\x04\0\0")
    peer.call(udp.sendto, ep, bytes(3000), peer.me, 9, 0)  # in each fragment, as its flag says (RFC 791 3.1)
    assert [s.ip.options for s in peer.seen[-3:]] == [b"\x94\x04\0\0"] * 3


def test_udp_4_icmp_errors_reach_the_application():
    peer = Peer()
    ep = opened(peer)
    peer.call(udp.connect, ep, peer.me, 9)
    peer.call(udp.sendto, ep, b"x", 0, 0, 0)
    peer.send(f.icmp(3, 3, bytes(4), peer.seen[-1].packet[:28]), 1)
    with pytest.raises(OSError) as caught:
        udp.recvfrom(ep, 0, peer.now)
    assert caught.value.errno == errno.ECONNREFUSED


def test_udp_5_checksums_are_made_and_checked():
    peer = Peer()
    ep = opened(peer, port=53)
    for size in (0, 1, 2, 999):
        peer.call(udp.sendto, ep, bytes(range(256))[:size] * 2, peer.me, 9, 0)
        assert peer.seen[-1].udp.csum_ok
        peer.udp(1, 53, bytes(size))
        assert len(udp.recvfrom(ep, 0, 0).data) == size


def test_udp_6_what_fails_is_discarded():
    peer = Peer()
    ep = opened(peer, port=53)
    good = f.udp("10.0.0.2", 1000, "10.0.0.1", 53, b"hi")
    for byte in (0, 3, 7, 8, 9):
        bad = bytearray(good)
        bad[byte] ^= 1
        assert peer.send(bytes(bad)) == []
    assert udp.recvfrom(ep, 0, 0) is None and peer.drops == {"udp-bad-checksum": 5}


def test_udp_7_a_checksum_is_the_default():
    peer = Peer()
    ep = opened(peer)
    for no_check in (0, 1):
        peer.call(udp.setsockopt, ep, sockopt.SOL_SOCKET, sockopt.SO_NO_CHECK, no_check)
        peer.call(udp.sendto, ep, b"x", peer.me, 9, 0)
    made = opened(peer)
    peer.call(udp.sendto, made, b"x", peer.me, 9, 0)
    assert [s.udp.csum != 0 for s in peer.seen] == [True, False, True]


def two(peer):
    peer.stack.add_addr(peer.iface, f.addr("10.0.0.9"), 24)
    return peer


def test_udp_8_the_address_meant_is_told():
    peer = two(Peer())
    ep = opened(peer, port=53)
    for dst in ("10.0.0.1", "10.0.0.9", "10.0.0.255"):
        peer.udp(1, 53, b"x", dst=dst)
        assert udp.recvfrom(ep, 0, 0).dst == f.addr(dst)


def test_udp_9_the_local_address_can_be_chosen():
    peer = two(Peer())
    ep = opened(peer, "10.0.0.9", 53)
    peer.call(udp.sendto, ep, b"x", peer.me, 9, 0)
    assert peer.seen[-1].ip.src == f.addr("10.0.0.9")
    peer.udp(1, 53, b"other", dst="10.0.0.1")
    peer.udp(1, 53, b"mine", dst="10.0.0.9")
    assert udp.recvfrom(ep, 0, 0).data == b"mine"


def test_udp_10_or_left_open():
    peer = two(Peer())
    ep = opened(peer, port=53)
    for dst in ("10.0.0.1", "10.0.0.9"):
        peer.udp(1, 53, b"x", dst=dst)
        assert udp.recvfrom(ep, 0, 0).data == b"x"


@pytest.mark.parametrize("src", ["10.0.0.255", "255.255.255.255", "224.0.0.1", "127.0.0.1", "10.0.0.1"])
def test_udp_11_impossible_sources_are_discarded(src):
    peer = Peer()
    ep = opened(peer, port=53)
    assert peer.udp(1, 53, b"x", src=src) == [] and udp.recvfrom(ep, 0, 0) is None


def test_udp_12_only_our_own_addresses_are_sources():
    peer = Peer()
    for addr in ("10.0.0.77", "10.0.0.2"):
        with pytest.raises(OSError) as caught:
            opened(peer, addr, 53)
        assert caught.value.errno == errno.EADDRNOTAVAIL


def test_udp_13_ttl_and_tos_can_be_set():
    peer = Peer()
    ep = opened(peer)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_TTL, 7)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_TOS, 0x48)
    peer.call(udp.sendto, ep, b"x", peer.me, 9, 0)
    assert (peer.seen[-1].ip.ttl, peer.seen[-1].ip.tos) == (7, 0x48)
