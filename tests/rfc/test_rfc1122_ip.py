"""RFC 1122, sections 3.1 to 3.4: IP. The numbers are those of requirements/rfc1122.csv."""

import errno

import pytest

import pystack_c.const as C
from pystack_c.config import PROFILES, profile
from pystack_c.sockets import raw, sockopt, udp
from pystack_c.tcp import sockopt as tcp_sockopt
from pystack_c.tcp import user
from tests import frames as f
from tests.support.peer import PEER_MAC, STACK_MAC, Peer, S, ip_packet

BROADCAST = 0xFFFFFFFFFFFF
ECHO = f.icmp(8, 0, b"\0\1\0\1", b"ping")
LONG_ECHO = f.icmp(8, 0, b"\0\1\0\1", bytes(range(256)) * 4)


def refused(name, payload=ECHO, proto=1, **header):
    """The packet is dropped in silence, for that reason."""
    peer = Peer()
    assert peer.send(payload, proto, **header) == []
    assert peer.drops == {name: 1}


def sender(peer, **options):
    """An unbound UDP socket."""
    ep = peer.call(udp.udp_open, peer.stack)
    for name, value in options.items():
        peer.call(udp.setsockopt, ep, sockopt.SOL_SOCKET, getattr(sockopt, name), value)
    return ep


def test_the_control_a_good_packet_is_answered():
    assert len(Peer().send(ECHO, 1)) == 1


@pytest.mark.parametrize("version", [0, 3, 5, 6, 15])
def test_ip_1_other_versions_are_discarded(version):
    refused("ip-bad-version", version=version)


def test_ip_2_the_header_checksum_is_verified():
    good = ip_packet(proto=1, payload=ECHO)
    caught = 0
    for bit in range(8 * 12, 160):  # addresses and TTL, protocol, the checksum itself
        packet = bytearray(good)
        packet[bit // 8] ^= 0x80 >> bit % 8
        peer = Peer()
        assert peer.packet(bytes(packet)) == []
        caught += peer.drops.get("ip-bad-checksum", 0)
    assert caught == 160 - 96


def test_ip_3_each_address_has_a_mask():
    for length, local in ((24, False), (16, True)):
        peer = Peer(addr=f"10.0.0.1/{length}", known=False)
        ep = sender(peer)
        if local:
            peer.call(udp.sendto, ep, b"x", f.addr("10.0.7.7"), 9, 0)
            assert [s.arp.tpa for s in peer.seen] == [f.addr("10.0.7.7")]
        else:
            with pytest.raises(OSError):
                peer.call(udp.sendto, ep, b"x", f.addr("10.0.7.7"), 9, 0)


def test_ip_4_the_source_is_our_own():
    peer = Peer()
    peer.stack.add_addr(peer.iface, f.addr("10.0.0.9"), 24)
    peer.send(ECHO, 1)
    peer.send(ECHO, 1, dst="10.0.0.9")
    peer.udp(1, 9, b"x", dst="10.0.0.9")
    peer.call(udp.sendto, sender(peer), b"x", peer.me, 9, 0)
    assert [s.ip.src for s in peer.seen] == [f.addr(a) for a in ("10.0.0.1", "10.0.0.9", "10.0.0.9", "10.0.0.1")]
    with pytest.raises(OSError):
        peer.call(udp.bind, sender(peer), f.addr("10.0.0.77"), 0)


@pytest.mark.parametrize("dst", ["10.0.0.77", "224.0.0.99", "192.0.2.1"])
def test_ip_5_what_is_not_for_us_is_discarded(dst):
    refused("ip-not-for-us", dst=dst)


@pytest.mark.parametrize("src", ["127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "10.0.0.255", "0.0.0.0"])
def test_ip_6_impossible_sources_are_discarded(src):
    refused("ip-martian-source", src=src)


@pytest.mark.parametrize("size", [576 - 20, 4000, 60000])
def test_ip_7_fragments_are_put_together(size):
    peer = Peer()
    message = f.icmp(8, 0, b"\0\1\0\1", (bytes(range(251)) * 240)[: size - 8])
    pieces = [(at, message[at : at + 1000], at + 1000 < size) for at in range(0, size, 1000)]
    replies = []
    for at, data, more in reversed(pieces):
        assert replies == []
        replies = peer.send(data, 1, offset=at, mf=more)
    assert b"".join(s.l4 for s in replies)[8:] == message[8:]


def test_ip_8_the_transport_sets_the_tos():
    peer = Peer()
    ep = sender(peer)
    for tos in (0, 0x10, 0xB8):
        peer.call(udp.setsockopt, ep, 0, sockopt.IP_TOS, tos)
        peer.call(udp.sendto, ep, b"x", peer.me, 9, 0)
    assert [s.ip.tos for s in peer.seen] == [0, 0x10, 0xB8]


def test_ip_9_no_ttl_of_zero_is_sent():
    peer = Peer()
    with pytest.raises(OSError) as caught:
        peer.call(udp.setsockopt, sender(peer), 0, sockopt.IP_TTL, 0)
    assert caught.value.errno == errno.EINVAL
    router = Peer(ip_forward=True, send_redirects=False)
    router.stack.add_route(0, 0, router.me)
    assert [s.icmp.type for s in router.send(b"x" * 8, 17, dst="192.0.2.1", ttl=1)] == [11]
    (onward,) = router.send(b"x" * 8, 17, dst="192.0.2.1", ttl=2)  # the control
    assert onward.ip.ttl == 1


@pytest.mark.parametrize("ttl", [0, 1])
def test_ip_10_a_small_ttl_is_no_reason_to_discard(ttl):
    (reply,) = Peer().send(ECHO, 1, ttl=ttl)
    assert reply.icmp.type == 0 and reply.ip.ttl == 64


def test_ip_11_the_ttl_can_be_set_and_its_default_too():
    peer = Peer(ip_default_ttl=33)
    ep = sender(peer)
    peer.call(udp.sendto, ep, b"x", peer.me, 9, 0)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_TTL, 5)
    peer.call(udp.sendto, ep, b"x", peer.me, 9, 0)
    assert [s.ip.ttl for s in peer.seen] == [33, 5]


def test_ip_12_options_can_be_sent():
    peer = Peer()
    ep = peer.call(raw.raw_open, peer.stack, 255)
    peer.call(raw.setsockopt, ep, 0, sockopt.IP_HDRINCL, 1)
    packet = ip_packet("10.0.0.1", "10.0.0.2", 99, b"x", options=b"\x94\x04\0\0")
    peer.call(raw.sendto, ep, packet, peer.me, 0, 0)
    assert peer.seen[-1].ip.options == b"\x94\x04\0\0"
    for opened, proto in ((udp.udp_open, ()), (raw.raw_open, (99,)), (user.tcp_open, ())):
        module = {udp.udp_open: udp, raw.raw_open: raw, user.tcp_open: tcp_sockopt}[opened]
        ep = peer.call(opened, peer.stack, *proto)
        peer.call(module.setsockopt, ep, 0, sockopt.IP_OPTIONS, b"\x94\x04\0\0")
        if opened is user.tcp_open:
            peer.call(user.connect, ep, peer.me, 80)
        else:
            peer.call(module.sendto, ep, b"x", peer.me, 9, 0)
        assert peer.seen[-1].ip.options == b"\x94\x04\0\0" == module.getsockopt(ep, 0, sockopt.IP_OPTIONS, peer.now)


def test_ip_13_received_options_are_passed_up():
    peer = Peer()
    ep = peer.call(raw.raw_open, peer.stack, 99)
    peer.send(b"x", 99, options=b"\x94\x04\0\0")
    got = raw.recvfrom(ep, 0, peer.now)
    assert got.data[20:24] == got.options == b"\x94\x04\0\0"


@pytest.mark.parametrize("options", [b"\x1e\x04\0\0", b"\x88\x04\x12\x34", b"\xde\x08" + bytes(6)])
def test_ip_14_unknown_options_are_ignored(options):
    peer = Peer()
    (reply,) = peer.send(ECHO, 1, options=options)
    assert reply.icmp.data == b"ping" and peer.drops == {}


@pytest.mark.parametrize("kind", [131, 137])
def test_ip_15_source_routes_begin_and_end_here(kind):
    peer = Peer(accept_source_route=True)
    one, two, me = (f.bits(a).to_bytes(4, "big") for a in ("10.0.0.71", "10.0.0.72", "10.0.0.2"))
    peer.stack.add_neighbor(peer.iface, f.addr("10.0.0.71"), PEER_MAC)
    ep = sender(peer)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_OPTIONS, bytes((kind, 11, 4)) + one + two)
    peer.call(udp.sendto, ep, b"x", peer.me, 9, 0)
    assert (peer.seen[-1].ip.dst, peer.seen[-1].ip.options[:-1]) == (
        f.addr("10.0.0.71"),
        bytes((kind, 11, 4)) + two + me,
    )
    listener = sender(peer)
    peer.call(udp.bind, listener, 0, 53)
    recorded = bytes((kind, 11, 12)) + one + two
    peer.udp(1, 53, b"x", options=recorded)
    assert udp.recvfrom(listener, 0, S).options[:-1] == recorded
    peer.udp(1, 53, b"x", options=bytes((kind, 7, 4)) + two)  # not at its end, and we are no router
    assert udp.recvfrom(listener, 0, S) is None and peer.seen[-1].icmp[:2] == (3, 5)
    silent = Peer()
    assert silent.udp(1, 53, b"x", options=recorded) == [] and silent.drops == {"ip-source-route": 1}  # the default


def routed():
    """A host on 10.0.0.0/24 whose default gateway is 10.0.0.2."""
    peer = Peer(known=False)
    peer.stack.add_route(0, 0, peer.me)
    return peer


def test_ip_16_the_mask_decides_what_is_local():
    peer = routed()
    ep = sender(peer)
    for text in ("10.0.0.200", "10.0.1.200"):
        peer.call(udp.sendto, ep, b"x", f.addr(text), 9, 0)
    assert [s.arp.tpa for s in peer.seen] == [f.addr("10.0.0.200"), peer.me]


def test_ip_17_no_gateway_is_needed():
    peer = Peer()
    assert len(peer.send(ECHO, 1)) == 1
    with pytest.raises(OSError) as caught:
        peer.call(udp.sendto, sender(peer), b"x", f.addr("192.0.2.1"), 9, 0)
    assert caught.value.errno == errno.ENETUNREACH


def test_ip_18_the_default_gateway_takes_what_no_other_route_does():
    peer = routed()
    peer.stack.add_route(f.addr("192.0.2.0"), 24, f.addr("10.0.0.3"))
    ep = sender(peer)
    for text in ("198.51.100.1", "192.0.2.1"):
        peer.call(udp.sendto, ep, b"x", f.addr(text), 9, 0)
    assert [s.arp.tpa for s in peer.seen] == [peer.me, f.addr("10.0.0.3")]


def test_ip_19_a_dead_gateway_is_found_out():
    peer = routed()
    ep = sender(peer)
    peer.call(udp.connect, ep, f.addr("198.51.100.1"), 9)
    peer.call(udp.sendto, ep, b"x", 0, 0, 0)
    peer.run(10)
    assert ep.so_error == errno.EHOSTUNREACH


def test_ip_20_an_idle_host_says_nothing():
    peer = routed()
    peer.call(udp.sendto, sender(peer), b"x", f.addr("198.51.100.1"), 9, 0)
    peer.arp(2, PEER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")
    assert peer.run(100_000) == []


def test_ip_21_reassembly_that_times_out_is_told():
    peer = Peer()
    peer.send(LONG_ECHO[:800], 1, mf=True)
    (error,) = peer.run(30)
    assert (error.icmp.type, error.icmp.code) == (11, 1)
    peer = Peer()
    peer.send(LONG_ECHO[800:], 1, offset=800)  # not without the first one
    assert peer.run(60) == [] and peer.drops == {"ip-reassembly-timeout": 1}


@pytest.mark.parametrize("mtu", [576, 1500])
def test_ip_22_the_transport_learns_the_sizes(mtu):
    peer = Peer(mtu=mtu)
    tcb = peer.call(user.tcp_open, peer.stack)
    peer.call(user.connect, tcb, peer.me, 80)
    assert peer.seen[-1].l4[20:24] == b"\x02\x04" + (mtu - 40).to_bytes(2, "big") and tcb.mss <= mtu - 40


def test_ip_23_nothing_larger_than_the_link_takes():
    peer = Peer(mtu=600)
    ep = sender(peer)
    peer.call(udp.sendto, ep, bytes(3000), peer.me, 9, 0)
    assert len(peer.seen) == 6 and all(s.ip.total <= 600 for s in peer.seen)
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_MTU_DISCOVER, 2)
    with pytest.raises(OSError) as caught:
        peer.call(udp.sendto, ep, bytes(3000), peer.me, 9, 0)
    assert caught.value.errno == errno.EMSGSIZE and len(peer.seen) == 6


def test_ip_24_the_application_chooses_the_local_address():
    peer = Peer()
    peer.stack.add_addr(peer.iface, f.addr("10.0.0.9"), 24)
    ep = sender(peer)
    peer.call(udp.bind, ep, f.addr("10.0.0.9"), 0)
    peer.call(udp.sendto, ep, b"x", peer.me, 9, 0)
    assert peer.seen[-1].ip.src == f.addr("10.0.0.9")


def test_ip_25_a_broadcast_address_is_never_a_source():
    peer = Peer(icmp_echo_ignore_broadcasts=False)
    ep = sender(peer)
    peer.call(udp.bind, ep, 0, 53)
    for dst in ("10.0.0.255", "255.255.255.255", "224.0.0.1"):
        (reply,) = peer.send(ECHO, 1, dst=dst, eth_dst=BROADCAST)
        assert reply.ip.src == peer.addr


def test_ip_26_broadcasts_are_recognised():
    peer = Peer(icmp_echo_ignore_broadcasts=False)
    for dst in ("10.0.0.255", "255.255.255.255"):
        assert len(peer.send(ECHO, 1, dst=dst, eth_dst=BROADCAST)) == 1
    assert peer.send(ECHO, 1, dst="10.0.1.255", eth_dst=BROADCAST) == []  # another subnet's


def test_ip_27_a_broadcast_is_one_on_the_link_too():
    peer = Peer()
    ep = sender(peer, SO_BROADCAST=1)
    for dst in ("10.0.0.255", "255.255.255.255", "239.1.2.3", "10.0.0.2"):
        peer.call(udp.sendto, ep, b"x", f.addr(dst), 9, 0)
    assert [s.eth_dst for s in peer.seen] == [BROADCAST, BROADCAST, 0x01005E010203, PEER_MAC]


def test_ip_28_one_hosts_address_in_a_link_broadcast_is_discarded():
    refused("ip-l2-broadcast", eth_dst=BROADCAST)


def test_ip_29_forwarding_is_off_by_default():
    assert not any(profile(name).ip_forward for name in PROFILES)
    for forward in (False, True):
        peer = Peer(ip_forward=forward, send_redirects=False)
        peer.stack.add_route(0, 0, peer.me)
        assert len(peer.send(b"x" * 8, 17, dst="192.0.2.1")) == forward


def test_ip_30_what_is_discarded_is_counted():
    peer = Peer()
    for number in range(1, 4):
        peer.send(ECHO, 1, csum=0)
        assert peer.drops == {"ip-bad-checksum": number} and peer.stack.counters.IpInHdrErrors == number


def test_ip_31_the_interface_is_told():
    peer = Peer()
    other = peer.stack.add_iface("eth1", C.LINK_ETHERNET, 0x0200000000AC)
    peer.stack.add_addr(other, f.addr("10.9.9.1"), 24)
    ep = sender(peer)
    peer.call(udp.bind, ep, 0, 53)
    peer.udp(1, 53, b"one")
    packet = ip_packet("10.9.9.2", "10.9.9.1", 17, f.udp("10.9.9.2", 1, "10.9.9.1", 53, b"two"))
    peer.frame(f.ether(packet, 0x0800, PEER_MAC, 0x0200000000AC), other)
    got = [udp.recvfrom(ep, 0, S) for _ in range(2)]
    assert [(g.data, g.iface.name) for g in got] == [(b"one", "eth0"), (b"two", "eth1")]
