"""Source routes, record route and timestamps on their way through routers (RFC 791 3.1, RFC 1812 5.2.4.1 and 5.3.13)."""

import struct

import pytest

import pystack_c.const as C
from pystack.sim.programs import datagram, spawn, stream
from pystack.testing.routed import RoutedChain
from pystack.testing.segments import OUTBOUND
from pystack_c.ip import options as ip_options
from pystack_c.sockets import udp
from tests import frames as f
from tests.support.peer import Peer, S

MS = 1_000_000
LSRR, SSRR = 131, 137
SOL_IP, IP_OPTIONS = 0, 4


def raw(*texts):
    return b"".join(f.bits(text).to_bytes(4, "big") for text in texts)


def route(*texts, kind=LSRR, pointer=4):
    return bytes((kind, 3 + 4 * len(texts), pointer)) + raw(*texts)


def router(**settings):
    """10.0.0.0/24 with the peer (.2), and 192.0.2.0/24 on eth1 with .2 and .3."""
    peer = Peer(**{"ip_forward": True, "accept_source_route": True, **settings})
    far = peer.stack.add_iface("eth1", C.LINK_ETHERNET, 0x0200000000AC)
    peer.stack.add_addr(far, f.addr("192.0.2.1"), 24)
    for last in (2, 3):
        peer.stack.add_neighbor(far, f.addr(f"192.0.2.{last}"), 0x020000000D00 + last)
    return peer


@pytest.mark.parametrize("kind", [LSRR, SSRR])
def test_a_router_sends_it_to_the_next_hop_and_signs(kind):
    peer = router()
    [out] = peer.send(b"x" * 8, 99, options=route("192.0.2.3", "192.0.2.2", kind=kind))
    assert (out.iface, out.ip.dst, out.ip.ttl, out.ip.csum_ok) == ("eth1", f.addr("192.0.2.3"), 63, True)
    # RFC 1812 5.2.4.1: the address of the interface that it leaves by stands where the hop stood.
    assert out.ip.options == route("192.0.2.1", "192.0.2.2", kind=kind, pointer=8) + b"\0"
    [event] = peer.events("ip.source_route")
    assert event.fields == {"hop": f.addr("192.0.2.3"), "left": 1}


def test_its_own_addresses_are_done_with_at_once():
    peer = router()
    [out] = peer.send(b"x" * 8, 99, options=route("192.0.2.1", "10.0.0.1", "192.0.2.2"))
    assert out.ip.dst == f.addr("192.0.2.2")
    assert out.ip.options == route("10.0.0.1", "192.0.2.1", "192.0.2.1", pointer=16) + b"\0"
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.bind, ep, 0, 53)
    peer.udp(1, 53, b"to the router", dst="10.0.0.1", options=route("10.0.0.1"))
    assert udp.recvfrom(ep, 0, 0).data == b"to the router"


@pytest.mark.parametrize(
    ("options", "dst"),
    [
        (route("198.51.100.1"), "10.0.0.1"),  # no way there
        (route("127.0.0.1"), "10.0.0.1"),  # inside
        (route("192.0.2.255"), "10.0.0.1"),  # everybody
        (route("224.0.0.1"), "10.0.0.1"),
        (route("203.0.113.1", kind=SSRR), "10.0.0.1"),  # not next to us
        (route("192.0.2.3", kind=SSRR), "192.0.2.2"),  # strict, and it went astray
        (b"\x83\x05\x04\xc0\x00", "10.0.0.1"),  # half an address
    ],
)
def test_what_cannot_go_on_is_a_source_route_failed(options, dst):
    peer = router()
    peer.stack.add_route(f.addr("203.0.113.0"), 24, f.addr("192.0.2.2"))
    [error] = peer.send(b"x" * 8, 99, dst=dst, options=options)
    assert (error.icmp.type, error.icmp.code, error.ip.dst) == (3, 5, peer.me)
    assert peer.drops == {"ip-source-route": 1}
    options += bytes(-len(options) % 4)
    assert error.icmp.data[20 : 20 + len(options)] == options  # as it was received


def test_a_loose_route_passes_routers_that_it_does_not_name():
    peer = router()
    option = route("203.0.113.9")
    [out] = peer.send(b"x" * 8, 99, dst="192.0.2.2", options=option)
    assert (out.ip.dst, out.ip.options) == (f.addr("192.0.2.2"), option + b"\0") and peer.drops == {}


def test_a_ttl_that_is_used_up_is_told_as_ever():
    peer = router()
    option = route("192.0.2.2")
    [error] = peer.send(b"x" * 8, 99, ttl=1, options=option)
    assert (error.icmp.type, error.icmp.code) == (11, 0) and error.icmp.data[20:28] == option + b"\0"


def test_a_group_is_no_hop():
    peer = router()
    assert peer.send(b"x" * 8, 99, dst="10.0.0.255", eth_dst=0xFFFFFFFFFFFF, options=route("192.0.2.2")) == []
    assert peer.drops == {"ip-source-route": 1}


def test_routers_sign_record_route_and_timestamps():
    peer = router()
    peer.now = 7 * MS
    own = raw("192.0.2.1")
    stamp = struct.pack(">I", 0x80000007)
    for option, want in (
        (b"\x07\x0b\x08" + raw("10.9.9.9", "0.0.0.0") + b"\0", b"\x07\x0b\x0c" + raw("10.9.9.9") + own + b"\0"),
        (b"\x44\x08\x05\x00" + bytes(4), b"\x44\x08\x09\x00" + stamp),
        (b"\x44\x0c\x05\x01" + bytes(8), b"\x44\x0c\x0d\x01" + own + stamp),
        (b"\x44\x0c\x05\x03" + own + bytes(4), b"\x44\x0c\x0d\x03" + own + stamp),
        (b"\x44\x0c\x05\x03" + raw("10.9.9.9") + bytes(4), b"\x44\x0c\x05\x03" + raw("10.9.9.9") + bytes(4)),
        (b"\x44\x08\x09\x20" + bytes(4), b"\x44\x08\x09\x30" + bytes(4)),  # full: the third that could not
        (b"\x07\x07\x08" + raw("10.9.9.9") + b"\0", b"\x07\x07\x08" + raw("10.9.9.9") + b"\0"),
    ):
        [out] = peer.send(b"x" * 8, 99, dst="192.0.2.2", options=option)
        assert (out.ip.options, out.ip.csum_ok) == (want, True)
    assert peer.send(b"x" * 8, 99, dst="192.0.2.2", options=b"\x44\x08\x09\xf0" + bytes(4)) == []
    assert peer.drops == {"forward-bad-timestamp": 1}


def test_each_fragment_goes_the_way():
    peer = router()
    option = route("192.0.2.2")
    outs = [peer.send(bytes(80), 99, options=option, ident=5, offset=at, mf=at == 0)[0] for at in (0, 80)]
    assert [(s.ip.dst, s.ip.offset) for s in outs] == [(f.addr("192.0.2.2"), 0), (f.addr("192.0.2.2"), 80)]


def test_reversing_is_bounded_and_needs_hosts():
    for options in (
        route("224.0.0.1", pointer=8),
        route("0.0.0.1", pointer=8),
        route("10.0.0.9"),
        b"\x83\x03\x04",
        b"",
    ):
        assert ip_options.reverse_route(options, f.addr("10.0.0.2")) == b""
    assert ip_options.reverse_route(route("10.0.0.9", pointer=8), f.addr("10.0.0.2")) == route("10.0.0.9")


def detour(**settings):
    """a - r1 - r2 - b in a line, where a may go to b over r1 and r2 by name."""
    chain = RoutedChain([{"delay": MS}] * 3, **{"accept_source_route": True, **settings})
    return chain, route("10.0.0.2", "10.0.1.2")


def test_a_datagram_and_its_answer_go_the_same_way():
    chain, hops = detour()
    server, client = datagram(chain.b), datagram(chain.a)
    server.bind("", 53)
    client.setsockopt(SOL_IP, IP_OPTIONS, hops)
    client.sendto(b"question", chain.addr, 53)
    seen = []

    def serve():
        got = yield server.recvfrom()
        seen.append(got.options)
        server.setsockopt(SOL_IP, IP_OPTIONS, ip_options.reply(got.options, got.src).asked)
        server.sendto(b"answer", "10.0.0.1", got.sport)
        back = yield client.recvfrom()
        seen.append((back.data, back.options))

    spawn(chain.net, serve())
    chain.net.run(chain.net.now + S)
    assert seen[0] == route("10.0.1.1", "10.0.2.1", pointer=12) + b"\0"
    assert seen[1] == (b"answer", route("10.0.1.2", "10.0.0.2", pointer=12) + b"\0")


@pytest.mark.parametrize("on", [True, False])
def test_a_connection_goes_both_ways_along_its_route(on):
    chain, hops = detour(accept_source_route=on)
    listener = stream(chain.b)
    listener.bind("", 80)
    listener.listen()
    got = []
    headers = []

    def tap(time, direction, frame):
        if direction == OUTBOUND and frame[12:14] == b"\x08\x00" and frame[23] == 6:
            headers.append(frame[14] & 15)

    for port in chain.b.ports:
        port.taps.append(tap)

    def serve():
        sock = yield listener.accept()
        got.append((yield sock.recv_exactly(100_000)))
        yield sock.sendall(b"thanks")

    def connect():
        sock = stream(chain.a)
        sock.setsockopt(SOL_IP, IP_OPTIONS, hops)
        yield sock.connect(chain.addr, 80)
        yield sock.sendall(bytes(range(250)) * 400)
        got.append((yield sock.recv_exactly(6)))

    spawn(chain.net, serve())
    spawn(chain.net, connect())
    chain.net.run(chain.net.now + 20 * S)
    if on:
        assert got == [bytes(range(250)) * 400, b"thanks"] and set(headers) == {8}
    else:
        assert got == [] and headers == []
