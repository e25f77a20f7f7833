"""Forwarding (RFC 1812 5.2.1, 5.3; LABS sections 3, 6 and 7)."""

import struct

import pytest

import pystack_c.const as C
from pystack_c.wire import checksum
from tests import frames as f
from tests.support.peer import PEER_MAC, STACK_MAC, Peer, ip_packet

FAR_MAC = 0x0200000000DD
ECHO = f.icmp(8, 0, b"\0\1\0\1", b"ping")


def router(mtu: int = 1500, **settings) -> Peer:
    """A router between 10.0.0.0/24 (the peer) and 192.0.2.0/24 (a far host on eth1)."""
    peer = Peer(ip_forward=True, **settings)
    far = peer.stack.add_iface("eth1", C.LINK_ETHERNET, 0x0200000000AC, mtu)
    peer.stack.add_addr(far, f.addr("192.0.2.1"), 24)
    peer.stack.add_neighbor(far, f.addr("192.0.2.2"), FAR_MAC)
    return peer


def test_ttl_falls_by_one_and_the_rest_stays():
    peer = router()
    packet = ip_packet(
        "10.0.0.2", "192.0.2.2", 17, b"payload", ttl=64, tos=0x2E, ident=77, df=True, options=b"\x94\4\0\0"
    )
    [out] = peer.packet(packet)
    assert (out.iface, out.eth_dst, out.eth_src) == ("eth1", FAR_MAC, 0x0200000000AC)
    assert out.ip.ttl == 63 and out.ip.csum_ok
    assert out.packet[:8] + out.packet[12:] == packet[:8] + packet[12:] or out.packet[12:] == packet[12:]
    assert out.packet[:8] == packet[:8] and out.packet[9] == packet[9]


def test_1000_incremental_checksums_verify():
    peer = router()
    for number in range(1000):
        packet = ip_packet(
            "10.0.0.2", "192.0.2.2", number & 255, b"", ident=number * 65, ttl=2 + number % 254, tos=number & 255
        )
        [out] = peer.packet(packet)
        assert out.ip.csum_ok and out.ip.ttl == 1 + number % 254


@pytest.mark.parametrize("ttl", [0, 1])
def test_time_exceeded(ttl):
    peer = router()
    [error] = peer.send(ECHO, 1, dst="192.0.2.2", ttl=ttl)
    assert (error.icmp.type, error.icmp.code, error.ip.src, error.ip.dst) == (11, 0, peer.addr, peer.me)
    assert peer.drops == {"forward-ttl": 1}


def test_ttl_1_for_us_is_ours():
    """RFC 1122 3.2.1.7: a host does not look at the TTL of what is for it."""
    peer = router()
    [reply] = peer.send(ECHO, 1, ttl=1)
    assert reply.icmp.type == 0


def test_no_forwarding_unless_configured():
    peer = Peer()
    assert peer.send(ECHO, 1, dst="192.0.2.2") == []
    assert peer.drops == {"ip-not-for-us": 1}


def test_net_unreachable_without_a_route():
    peer = router()
    [error] = peer.send(ECHO, 1, dst="198.51.100.1")
    assert (error.icmp.type, error.icmp.code) == (3, 0)
    assert peer.drops == {"forward-no-route": 1}


@pytest.mark.parametrize("kind, code", [(C.RT_UNREACHABLE, 1), (C.RT_PROHIBIT, 13)])
def test_refusing_routes_say_so(kind, code):
    peer = router()
    peer.stack.add_route(f.addr("198.51.100.0"), 24, kind=kind)
    [error] = peer.send(ECHO, 1, dst="198.51.100.1")
    assert (error.icmp.type, error.icmp.code) == (3, code)


def test_a_black_hole_says_nothing():
    peer = router()
    peer.stack.add_route(f.addr("198.51.100.0"), 24, kind=C.RT_BLACKHOLE)
    assert peer.send(ECHO, 1, dst="198.51.100.1") == []
    assert peer.drops == {"forward-no-route": 1}


def test_host_unreachable_when_arp_fails():
    """RFC 1812 5.2.7.1: three requests, then the sender is told."""
    peer = router()
    peer.send(ECHO, 1, dst="192.0.2.99")
    frames = peer.run(10)
    assert [s.arp.tpa for s in peer.seen if s.arp] == [f.addr("192.0.2.99")] * 3
    assert [(s.icmp.type, s.icmp.code, s.ip.dst) for s in frames if s.icmp] == [(3, 1, peer.me)]


def test_fragmentation_needed_tells_the_mtu():
    peer = router(mtu=1400)
    [error] = peer.send(bytes(1480), 17, dst="192.0.2.2", df=True)
    assert (error.icmp.type, error.icmp.code, error.icmp.rest) == (3, 4, 1400)
    assert peer.drops == {"forward-too-big": 1}
    [out] = peer.send(bytes(1380), 17, dst="192.0.2.2", df=True)  # control
    assert out.ip.total == 1400


def test_a_router_cuts_what_may_be_cut():
    peer = router(mtu=620)
    payload = bytes(i & 255 for i in range(1480))
    frames = peer.send(payload, 17, dst="192.0.2.2", ident=500, mf=True, offset=1480, ttl=9)
    assert [(s.ip.offset, s.ip.mf) for s in frames] == [(1480, True), (2080, True), (2680, True)]
    assert b"".join(s.l4 for s in frames) == payload
    assert {(s.ip.ident, s.ip.ttl, s.ip.csum_ok) for s in frames} == {(500, 8, True)}


@pytest.mark.parametrize(
    "header, name",
    [
        ({"dst": "192.0.2.255"}, "forward-directed-broadcast"),
        ({"dst": "224.1.2.3"}, "forward-broadcast"),
        ({"dst": "240.0.0.1"}, "forward-broadcast"),
        ({"dst": "192.0.2.2", "eth_dst": 0xFFFFFFFFFFFF}, "forward-broadcast"),
        ({"dst": "192.0.2.2", "src": "127.0.0.1"}, "ip-martian-source"),
    ],
)
def test_not_forwarded(header, name):
    peer = router()
    assert peer.send(ECHO, 1, **header) == []
    assert peer.drops == {name: 1}


def test_a_checksum_left_to_the_device_is_finished_before_forwarding():
    """A packet from a TAP with offload holds only the pseudo-header's sum."""
    peer = router()
    segment = f.tcp("10.0.0.2", 5, "192.0.2.2", 80, C.SYN, 1, 0, partial=True)
    frame = f.ether(ip_packet("10.0.0.2", "192.0.2.2", 6, segment), 0x0800, PEER_MAC, STACK_MAC)
    [out] = peer.frame(frame, flags=C.RX_CSUM_OK)
    assert out.l4 == f.tcp("10.0.0.2", 5, "192.0.2.2", 80, C.SYN, 1, 0)


def test_a_looping_link_is_crossed_63_times():
    """LABS section 6: two routers that point at each other, TTL 64: 63 crossings and one Time Exceeded."""
    one, two = router(), router()
    other = one.iface.mac
    for peer, via in ((one, "192.0.2.2"), (two, "192.0.2.2")):
        peer.stack.add_route(f.addr("203.0.113.0"), 24, f.addr(via))
    peers = [one, two]
    packet = ip_packet("10.0.0.2", "203.0.113.1", 17, b"x", ttl=64)
    crossings, errors = 0, 0
    at = 0
    while True:
        out = peers[at].packet(packet, eth_dst=other)
        assert len(out) == 1
        if out[0].icmp:
            errors += 1
            break
        assert out[0].ip.csum_ok
        crossings += 1
        packet = out[0].packet
        at ^= 1
    assert (crossings, errors) == (63, 1)


def test_rfc1624_corner_case():
    """RFC 1624 section 4: the example where RFC 1141's update goes wrong: HC 0xDD2F, m 0x5555, m' 0x3285 gives 0x0000."""
    assert checksum.update(0xDD2F, 0x5555, 0x3285) == 0x0000


@pytest.mark.parametrize("options", [b"", b"\x94\4\0\0"])
def test_an_offloaded_group_is_cut_as_the_senders_device_would_have(options):
    """A 3,000-byte group of 1,000-byte segments: three packets, with right numbers, flags and checksums."""
    peer = router()
    data = bytes(i * 7 & 255 for i in range(2500))
    flags = C.ACK | C.PSH | C.FIN | C.CWR
    base = (1 << 32) - 1500
    tcp_options = b"\1\1\x08\x0a" + bytes(8)
    group = f.tcp("10.0.0.2", 5, "192.0.2.2", 80, flags, base, 9, data, tcp_options, partial=True)
    packet = ip_packet("10.0.0.2", "192.0.2.2", 6, group, df=True, ident=0xFFFF, options=options)
    frame = f.ether(packet, 0x0800, PEER_MAC, STACK_MAC)
    peer.stack.receive(peer.iface, frame, 0, 0, C.RX_CSUM_OK, 1000)
    out = peer.drain()
    want = [
        (base, C.ACK | C.CWR, data[:1000]),
        (base + 1000, C.ACK, data[1000:2000]),
        (500, C.ACK | C.PSH | C.FIN, data[2000:]),
    ]
    assert [s.l4 for s in out] == [
        f.tcp("10.0.0.2", 5, "192.0.2.2", 80, keep, seq, 9, piece, tcp_options) for seq, keep, piece in want
    ]
    assert [(s.ip.ident, s.ip.df, s.ip.ttl, s.ip.csum_ok, s.ip.options) for s in out] == [
        (ident, True, 63, True, options) for ident in (0xFFFF, 0, 1)
    ]


def test_an_offloaded_group_whose_segments_are_too_big_is_told():
    """As the single segments would have been."""
    peer = router(mtu=1000)
    group = f.tcp("10.0.0.2", 5, "192.0.2.2", 80, C.ACK, 1, 9, bytes(3000), partial=True)
    frame = f.ether(ip_packet("10.0.0.2", "192.0.2.2", 6, group, df=True), 0x0800, PEER_MAC, STACK_MAC)
    peer.stack.receive(peer.iface, frame, 0, 0, C.RX_CSUM_OK, 1000)
    [error] = peer.drain()
    assert (error.icmp.type, error.icmp.code, error.icmp.rest) == (3, 4, 1000)
    peer.stack.receive(peer.iface, frame, 0, 0, C.RX_CSUM_OK, 960)  # control
    assert len(peer.drain()) == 4


def test_an_offloaded_group_that_is_no_tcp_is_refused():
    peer = router()
    frame = f.ether(ip_packet("10.0.0.2", "192.0.2.2", 6, bytes(30)), 0x0800, PEER_MAC, STACK_MAC)
    peer.stack.receive(peer.iface, frame, 0, 0, C.RX_CSUM_OK, 10)
    assert peer.drain() == [] and peer.drops == {"forward-bad-gso": 1}


# -- MSS clamping (RFC 4459 3.2) ---------------------------------------------------------------------------------------------


def syn(options: bytes, flags: int = 2) -> bytes:
    """A TCP segment with that option field."""
    options += bytes(-len(options) % 4)
    head = struct.pack(">HHIIBBHHH", 4000, 80, 1, 0, (20 + len(options)) << 2, flags, 65535, 0, 0) + options
    pseudo = struct.pack(">IIHH", f.bits("10.0.0.2"), f.bits("192.0.2.2"), 6, len(head))
    return head[:16] + struct.pack(">H", f.ones(pseudo + head) ^ 0xFFFF) + head[18:]


def through(peer: Peer, segment: bytes) -> bytes:
    """The segment as the router passes it on, its checksum still right."""
    [out] = peer.packet(ip_packet("10.0.0.2", "192.0.2.2", 6, segment))
    pseudo = struct.pack(">IIHH", f.bits("10.0.0.2"), f.bits("192.0.2.2"), 6, len(out.l4))
    assert f.ones(pseudo + out.l4) == 0xFFFF
    return out.l4


MSS_1460 = b"\2\4" + struct.pack(">H", 1460)


@pytest.mark.parametrize("before", [b"", b"\1", b"\4\2", b"\1\3\3\7", b"\3\3\7"])
@pytest.mark.parametrize(("setting", "want"), [(-1, 1360), (1200, 1200), (0, 1460), (1460, 1460), (9000, 1460)])
@pytest.mark.parametrize("flags", [0x02, 0x12])
def test_the_mss_of_a_syn_is_lowered_to_what_the_links_carry(before, setting, want, flags):
    peer = router(1400, ip_forward_mss=setting)
    options = before + MSS_1460
    sent = syn(options + b"\1\1", flags)
    got = through(peer, sent)
    at = 20 + len(before) + 2
    assert struct.unpack_from(">H", got, at) == (want,)
    assert got[:16] + got[18:at] + got[at + 2 :] == sent[:16] + sent[18:at] + sent[at + 2 :]
    assert peer.stack.counters.IpForwMssClamped == (want != 1460)


def test_smaller_mss_and_segments_without_syn_pass_as_they_are():
    peer = router(1400, ip_forward_mss=-1)
    for segment in (syn(b"\2\4\2\x18"), syn(b"\1\1\1\1"), syn(MSS_1460, 0x10), syn(b"")):
        assert through(peer, segment) == segment
    assert peer.stack.counters.IpForwMssClamped == 0


@pytest.mark.parametrize(
    "options", [b"\2", b"\2\0\5\xb4", b"\2\1\5\xb4", b"\2\5\5\xb4\0", b"\x08\x0a\0\0", b"\0" + MSS_1460]
)
def test_malformed_options_pass_as_they_are(options):
    peer = router(1400, ip_forward_mss=-1)
    segment = syn(options)
    assert through(peer, segment) == segment


def test_a_header_length_beyond_the_segment_is_not_followed():
    peer = router(1400, ip_forward_mss=-1)
    segment = bytearray(syn(MSS_1460))
    segment[12] = 0xF0
    [out] = peer.packet(ip_packet("10.0.0.2", "192.0.2.2", 6, bytes(segment)))
    assert out.l4 == bytes(segment)
