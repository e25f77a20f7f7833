"""What IPv4 input takes and refuses (RFC 1122 3.2.1, RFC 791; LABS section 2). Every frame is answered or counted."""

import pytest

import pystack_c.const as C
from pystack_c.tcp import user
from tests import frames as f
from tests.support.peer import PEER_MAC, STACK_MAC, Peer, ip_packet

ECHO = f.icmp(8, 0, b"\0\1\0\1", b"ping")


def test_ping_is_answered():
    peer = Peer()
    [reply] = peer.send(ECHO, 1, ident=99)
    assert (reply.eth_dst, reply.eth_src) == (PEER_MAC, STACK_MAC)
    assert (reply.ip.src, reply.ip.dst, reply.ip.ttl, reply.ip.csum_ok) == (peer.addr, peer.me, 64, True)
    assert reply.icmp == (0, 0, True, 0x00010001, b"ping")
    assert peer.drops == {}


@pytest.mark.parametrize("bit", range(160))
def test_each_flipped_header_bit_is_caught(bit):
    """160 of 160 dropped; the checksum says so for each bit outside version and length."""
    peer = Peer()
    packet = bytearray(ip_packet(proto=1, payload=ECHO))
    packet[bit // 8] ^= 0x80 >> bit % 8
    assert peer.packet(bytes(packet)) == []
    [name] = peer.drops
    assert peer.drops[name] == 1
    outside = bit >= 8 and not 16 <= bit < 32
    if outside:
        assert name == "ip-bad-checksum"
    assert name in ("ip-bad-checksum", "ip-bad-version", "ip-bad-ihl", "ip-bad-length")


@pytest.mark.parametrize("length", range(len(ip_packet(proto=1, payload=ECHO)) + 14))
def test_every_truncation_is_counted(length):
    peer = Peer()
    frame = f.ether(ip_packet(proto=1, payload=ECHO), 0x0800, PEER_MAC, STACK_MAC)
    assert peer.frame(frame[:length]) == []
    [name] = peer.drops
    assert name == ("eth-truncated" if length < 14 else "ip-truncated" if length < 34 else "ip-bad-length")


def test_ethernet_padding_is_cut_off():
    peer = Peer()
    packet = ip_packet(proto=1, payload=ECHO)
    [reply] = peer.packet(packet + bytes(46 - len(packet)))
    assert reply.icmp.data == b"ping"


def test_a_frame_may_begin_at_an_offset():
    peer = Peer()
    frame = f.ether(ip_packet(proto=1, payload=ECHO), 0x0800, PEER_MAC, STACK_MAC)
    [reply] = peer.frame(b"virtio-net" + frame, offset=10)
    assert reply.icmp.data == b"ping"


@pytest.mark.parametrize(
    "header, name",
    [
        ({"version": 5}, "ip-bad-version"),
        ({"version": 6}, "ip-bad-version"),
        ({"ihl": 4}, "ip-bad-ihl"),
        ({"ihl": 15}, "ip-bad-ihl"),
        ({"total": 19}, "ip-bad-length"),
        ({"total": 1000}, "ip-bad-length"),
        ({"csum": 0}, "ip-bad-checksum"),
        ({"src": "127.0.0.1"}, "ip-martian-source"),
        ({"src": "224.0.0.1"}, "ip-martian-source"),
        ({"src": "240.0.0.1"}, "ip-martian-source"),
        ({"src": "255.255.255.255"}, "ip-martian-source"),
        ({"src": "10.0.0.255"}, "ip-martian-source"),
        ({"src": "0.0.0.0"}, "ip-martian-source"),
        ({"src": "0.1.2.3"}, "ip-martian-source"),
        ({"src": "10.0.0.1"}, "ip-land"),
        ({"dst": "127.0.0.1"}, "ip-martian-destination"),
        ({"dst": "0.0.0.0"}, "ip-martian-destination"),
        ({"dst": "10.0.0.77"}, "ip-not-for-us"),
        ({"dst": "224.0.0.99"}, "ip-not-for-us"),
        ({"dst": "10.0.0.255"}, "icmp-echo-broadcast"),
        ({"dst": "255.255.255.255"}, "icmp-echo-broadcast"),
        ({"dst": "224.0.0.1"}, "icmp-echo-broadcast"),
        ({"eth_dst": 0xFFFFFFFFFFFF}, "ip-l2-broadcast"),
        ({"eth_dst": 0x0200000000CC}, "eth-other-host"),
    ],
    ids=lambda value: str(value),
)
def test_refused_in_silence(header, name):
    peer = Peer()
    assert peer.send(ECHO, 1, **header) == []
    assert peer.drops == {name: 1}


@pytest.mark.parametrize("src", ["10.0.1.255", "10.0.7.255"])
@pytest.mark.parametrize("forward", [False, True])
def test_broadcast_source_of_another_interface(src, forward):
    """RFC 1122 3.2.1.3: whatever answered it (a pong, a SYN-ACK, a RST, an ICMP error) went to every host of that other link."""
    peer = Peer(ip_forward=forward)
    other = peer.stack.add_iface("eth1", C.LINK_ETHERNET, STACK_MAC + 1, 1500)
    peer.stack.add_addr(other, f.addr("10.0.1.1"), 24)
    peer.stack.add_addr(other, f.addr("10.0.4.1"), 22)
    listener = peer.call(user.tcp_open, peer.stack)
    peer.call(user.bind, listener, 0, 80)
    peer.call(user.listen, listener, 5)
    for proto, payload in (
        (1, ECHO),
        (6, f.tcp(src, 999, "10.0.0.1", 80, C.SYN, 1, 0)),
        (6, f.tcp(src, 999, "10.0.0.1", 81, C.SYN, 1, 0)),
        (17, f.udp(src, 999, "10.0.0.1", 9, b"x")),
        (89, b"no such protocol"),
    ):
        assert peer.send(payload, proto, src=src) == [], proto
    assert peer.drops == {"ip-martian-source": 5} and peer.stack.counters.IpInAddrErrors == 5
    # The control: its neighbour in the address space is a host, and is answered (if there is a way to it).
    peer.stack.add_neighbor(other, f.addr("10.0.1.254"), PEER_MAC)
    [pong] = peer.send(ECHO, 1, src="10.0.1.254")
    assert pong.eth_dst == PEER_MAC and pong.iface == "eth1"


def test_land_attack():
    """Source and destination are both the victim (CA-1997-28): nothing comes back, for TCP, UDP and ICMP."""
    peer = Peer()
    syn = f.tcp("10.0.0.1", 80, "10.0.0.1", 80, C.SYN, 1, 0)
    udp = f.udp("10.0.0.1", 7, "10.0.0.1", 7, b"x")
    for proto, payload in ((6, syn), (17, udp), (1, ECHO)):
        assert peer.send(payload, proto, src="10.0.0.1") == []
    assert peer.drops == {"ip-land": 3}
    peer.stack.add_addr(peer.iface, f.addr("10.0.0.9"), 24)
    assert peer.send(ECHO, 1, src="10.0.0.9") == []
    assert peer.drops == {"ip-land": 3, "ip-martian-source": 1}


@pytest.mark.parametrize("ethertype", [0x0000, 0x002E, 0x05DC, 0x0600, 0x86DD, 0x88A8, 0xFFFF])
def test_other_ethertypes_are_counted(ethertype):
    peer = Peer()
    assert peer.frame(f.ether(b"x" * 50, ethertype, PEER_MAC, STACK_MAC)) == []
    assert peer.drops == {"eth-802.3" if ethertype < 0x600 else "eth-unknown-type": 1}


def test_the_tag_of_a_vlan_that_the_host_lacks_is_counted():
    peer = Peer()
    for tag, name in ((b"\0\5\x08\0", "eth-no-vlan"), (b"\0\5\x08", "eth-truncated")):
        assert peer.frame(f.ether(tag, 0x8100, PEER_MAC, STACK_MAC)) == []
        assert peer.drops.pop(name) == 1


def test_unknown_protocol_is_told():
    """RFC 1122 3.2.2.1: protocol unreachable."""
    peer = Peer()
    [error] = peer.send(b"x" * 8, 132)
    assert (error.icmp.type, error.icmp.code, error.icmp.csum_ok) == (3, 2, True)
    assert error.icmp.data == ip_packet(proto=132, payload=b"x" * 8)
    assert error.ip.tos == 0xC0
    assert peer.drops == {"ip-unknown-protocol": 1}


# Options (RFC 1122 3.2.1.8)


@pytest.mark.parametrize(
    "options, pointer",
    [
        (b"\x07\x00\x00\x00", 21),  # length zero: the classic endless loop
        (b"\x07\x01\x04\x00", 21),
        (b"\x82\x0b\x00\x00", 21),  # longer than the header
        (b"\x01\x01\x01\x07", 23),  # no room for the length
        (b"\x07\x07\x03\x00\x00\x00\x00\x00", 22),  # record route, pointer below 4
        (b"\x44\x04\x04\x00", 22),  # timestamp, pointer below 5
        (b"\x83\x02\x00\x00", 21),  # source route without a pointer
    ],
)
def test_malformed_option_is_a_parameter_problem(options, pointer):
    peer = Peer()
    [error] = peer.send(ECHO, 1, options=options)
    assert (error.icmp.type, error.icmp.code, error.icmp.rest >> 24) == (12, 0, pointer)
    assert peer.drops == {"ip-bad-option": 1}


@pytest.mark.parametrize(
    "options",
    [
        b"\x01\x01\x01\x01",
        b"\x00\xff\xff\xff",  # what follows END is padding, whatever it holds
        b"\x94\x04\x00\x00",  # router alert
        b"\x88\x04\x12\x34",  # stream identifier
        b"\x44\x0c\x05\x00" + bytes(8),  # timestamp
        b"\x1e\x04\x00\x00",  # unknown
        b"\x07\x27\x04" + bytes(37),  # record route, 9 slots: all 40 bytes
    ],
)
def test_good_and_unknown_options_are_passed_over(options):
    peer = Peer()
    [reply] = peer.send(ECHO, 1, options=options)
    assert reply.icmp.type == 0 and reply.icmp.data == b"ping"
    assert peer.drops == {}


@pytest.mark.parametrize("kind", [131, 137])
@pytest.mark.parametrize("forward", [False, True])
def test_source_routes_are_refused(kind, forward):
    """RFC 7126 4.3: drop by default; a router says so (RFC 1812 5.2.7.1, Source Route Failed), a host does not."""
    peer = Peer(ip_forward=forward)
    options = bytes((kind, 7, 4)) + f.bits("10.0.0.9").to_bytes(4, "big")
    told = peer.send(ECHO, 1, options=options)
    assert [(s.icmp.type, s.icmp.code) for s in told] == [(3, 5)] * forward
    assert peer.drops == {"ip-source-route": 1}


def test_a_malformed_option_in_a_broadcast_is_not_answered():
    peer = Peer()
    assert peer.send(ECHO, 1, options=b"\x07\x00\x00\x00", dst="10.0.0.255", eth_dst=0xFFFFFFFFFFFF) == []
    assert peer.drops == {"ip-bad-option": 1}


# Several interfaces and addresses


def test_weak_host_model():
    """RFC 1122 3.3.4.2: an address of another interface is ours too, and answers from itself."""
    peer = Peer()
    other = peer.stack.add_iface("eth1", C.LINK_ETHERNET, 0x0200000000AC)
    peer.stack.add_addr(other, f.addr("10.9.9.1"), 24)
    [reply] = peer.send(ECHO, 1, dst="10.9.9.1")
    assert reply.iface == "eth0" and reply.ip.src == f.addr("10.9.9.1")


def test_an_interface_that_is_down_takes_nothing():
    peer = Peer()
    peer.stack.set_iface(peer.iface, False)
    assert peer.send(ECHO, 1) == []
    assert peer.drops == {"iface-down": 1}
    peer.stack.set_iface(peer.iface, True)
    peer.stack.add_neighbor(peer.iface, peer.me, PEER_MAC)
    assert len(peer.send(ECHO, 1)) == 1


def test_tun_has_no_link_header():
    peer = Peer(kind=C.LINK_IP)
    [reply] = peer.send(ECHO, 1)
    assert reply.frame[0] == 0x45 and reply.icmp.type == 0


def test_frames_in_are_frames_out_or_drops():
    """The books balance: 7 frames in, 2 answers, 5 drops."""
    peer = Peer()
    for frame in (
        f.ether(ip_packet(proto=1, payload=ECHO), 0x0800, PEER_MAC, STACK_MAC),
        f.ether(f.arp(1, PEER_MAC, "10.0.0.2", 0, "10.0.0.1"), 0x0806, PEER_MAC, 0xFFFFFFFFFFFF),
        f.ether(f.arp(1, PEER_MAC, "10.0.0.2", 0, "10.0.0.7"), 0x0806, PEER_MAC, 0xFFFFFFFFFFFF)[:41],
        f.ether(ip_packet(proto=1, payload=ECHO, csum=1), 0x0800, PEER_MAC, STACK_MAC),
        f.ether(b"", 0x0800, PEER_MAC, STACK_MAC),
        b"",
        f.ether(ip_packet(proto=1, payload=ECHO[:7]), 0x0800, PEER_MAC, STACK_MAC),
    ):
        peer.frame(frame)
    assert len(peer.seen) == 2
    assert sum(peer.drops.values()) == 5
