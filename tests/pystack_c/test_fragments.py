"""Fragmentation and reassembly (RFC 791 3.2, RFC 1122 3.3.2; LABS section 2)."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystack_c.ip.routing import route_output
from pystack_c.sockets import udp
from tests import frames as f
from tests.support.peer import Peer, S, ip_packet


def cut(payload: bytes, sizes: list[int]) -> list[tuple[int, bytes, bool]]:
    """(offset, piece, more) for pieces of these sizes, the rest in the last one."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append((at, payload[at : at + size], True))
        at += size
    return [*pieces, (at, payload[at:], False)]


def feed(peer: Peer, pieces, proto: int = 1, **header) -> list:
    """Send fragments; what comes back."""
    answers = []
    for offset, piece, more in pieces:
        answers += peer.send(piece, proto, offset=offset, mf=more, **header)
    return answers


def ping(size: int) -> bytes:
    return f.icmp(8, 0, b"\0\1\0\1", random.Random(size).randbytes(size))


def held(peer: Peer) -> int:
    return peer.stack.reasm.held


def test_4000_bytes_in_three_fragments():
    """Total lengths 1500, 1500, 1068; offsets 0, 185, 370; MF 1, 1, 0; one ID."""
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.sendto, ep, bytes(4000), peer.me, 9, 0)
    ips = [s.ip for s in peer.seen]
    assert [ip.total for ip in ips] == [1500, 1500, 1068]
    assert [ip.offset // 8 for ip in ips] == [0, 185, 370]
    assert [ip.mf for ip in ips] == [True, True, False]
    assert len({ip.ident for ip in ips}) == 1 and all(ip.csum_ok for ip in ips)
    whole = b"".join(s.l4 for s in peer.seen)
    assert f.ones(f.pseudo("10.0.0.1", "10.0.0.2", 17, 4008) + whole) == 0xFFFF


def test_1472_bytes_in_one_packet():
    """Control."""
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.sendto, ep, bytes(1472), peer.me, 9, 0)
    [seen] = peer.seen
    assert (seen.ip.total, seen.ip.mf, seen.ip.offset) == (1500, False, 0)
    peer.call(udp.sendto, ep, bytes(1473), peer.me, 9, 0)
    assert len(peer.seen) == 3


def test_ping_of_65000_bytes_is_answered():
    peer = Peer()
    request = ping(65000)
    frames = feed(peer, cut(request, [1480] * 43))
    whole = b"".join(s.l4 for s in frames)
    assert f.ones(whole) == 0xFFFF and whole[8:] == request[8:]
    assert len(frames) == 44 and held(peer) == 0


def test_out_of_order_with_a_duplicate():
    peer = Peer()
    request = ping(3000)
    a, b, c = cut(request, [1000, 1000])
    [one, two, three] = feed(peer, [c, a, a, b])
    assert one.l4[8:] + two.l4 + three.l4 == request[8:]
    assert peer.drops == {"ip-fragment-duplicate": 1}
    assert held(peer) == 0 and peer.stack.poll_timeout() is None


@given(st.integers(0, 3000), st.data())
@settings(max_examples=50)
def test_any_cut_in_any_order_comes_together(size, draw):
    request = ping(size)
    sizes, left = [], len(request)
    while left > 8 and len(sizes) < 20:
        sizes.append(8 * draw.draw(st.integers(1, max(1, left // 8))))
        left -= sizes[-1]
    while sizes and sum(sizes) >= len(request):
        sizes.pop()
    pieces = draw.draw(st.permutations(cut(request, sizes)))
    peer = Peer()
    frames = feed(peer, pieces)
    assert b"".join(s.l4 for s in frames)[8:] == request[8:]
    assert peer.drops == {}


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, 1000, True), (992, 1000, False)],  # the second begins inside the first
        [(800, 800, False), (0, 808, True)],  # the first reaches into the second
        [(0, 800, True), (0, 1600, True)],  # same start, longer
        [(0, 1600, True), (800, 400, True)],  # inside: teardrop
        [(0, 1600, True), (800, 400, False)],  # inside, and last
    ],
)
def test_overlapping_fragments_spoil_their_datagram(pieces):
    """As RFC 5722 rules for IPv6 and Linux does: no answer, and no later fragment of it is taken."""
    peer = Peer()
    data = ping(3000)
    assert feed(peer, [(off, data[off : off + n], more) for off, n, more in pieces]) == []
    [name] = peer.drops
    assert name in ("ip-fragment-overlap", "ip-fragment-conflict")
    assert feed(peer, cut(data, [1000, 1000])) == []
    assert peer.drops["ip-fragment-poisoned"] == 3
    assert peer.run(31) == [] and held(peer) == 0
    assert len(feed(peer, cut(data, [1000, 1000]))) == 3  # the ID may be used again after the timeout


def test_two_different_ends():
    peer = Peer()
    assert feed(peer, [(800, bytes(800), False), (1600, bytes(8), False)]) == []
    assert peer.drops == {"ip-fragment-conflict": 1}


def test_a_fragment_beyond_the_end():
    peer = Peer()
    assert feed(peer, [(800, bytes(800), False), (1600, bytes(8), True)]) == []
    assert peer.drops == {"ip-fragment-conflict": 1}


def test_ping_of_death():
    """A last fragment that ends beyond 65,535 bytes (CVE-1999-0128)."""
    peer = Peer()
    pieces = cut(bytes(65600), [1480] * 44)
    assert feed(peer, pieces) == []
    assert peer.drops == {"ip-fragment-too-long": 1}


@pytest.mark.parametrize("size, more", [(7, True), (1001, True), (0, True), (0, False)])
def test_inner_fragments_are_multiples_of_8(size, more):
    peer = Peer()
    assert feed(peer, [(8, bytes(size), more)]) == []
    assert peer.drops == {"ip-fragment-bad-length": 1}


def test_timeout_tells_the_sender_if_the_first_fragment_came():
    """RFC 1122 3.3.2: ICMP 11/1, only with fragment zero."""
    peer = Peer()
    data = ping(3000)
    first, second, _ = cut(data, [1000, 1000])
    assert feed(peer, [second, first]) == []
    [error] = peer.run(30)
    assert (error.time, error.icmp.type, error.icmp.code) == (30 * S, 11, 1)
    assert error.icmp.data[:20] == ip_packet(proto=1, payload=first[1], mf=True)[:20]
    assert error.icmp.data[20:28] == data[:8]
    assert peer.drops == {"ip-reassembly-timeout": 1} and held(peer) == 0


def test_timeout_without_the_first_fragment_is_silent():
    peer = Peer()
    feed(peer, cut(ping(3000), [1000, 1000])[1:])
    assert peer.run(31) == []
    assert peer.drops == {"ip-reassembly-timeout": 1}


def test_a_late_fragment_does_not_prolong_the_wait():
    peer = Peer()
    pieces = cut(ping(3000), [1000, 1000])
    feed(peer, pieces[:1])
    peer.run(29)
    feed(peer, pieces[1:2])
    assert [s.time for s in peer.run(10)] == [30 * S]


def test_memory_is_bounded_and_the_oldest_give_way():
    peer = Peer(ipfrag_high_thresh=64 * 1024)
    for ident in range(1000):
        feed(peer, [(8, bytes(1400), True)], ident=ident)
        assert held(peer) <= 64 * 1024
    assert peer.drops["ip-reassembly-evicted"] > 900
    data = ping(3000)
    assert len(feed(peer, cut(data, [1480, 1480]), ident=5555)) == 3
    peer.run(31)
    assert held(peer) == 0 and peer.stack.poll_timeout() is None


def test_too_many_fragments():
    """8-byte pieces: each datagram may come in ipfrag_max_fragments."""
    peer = Peer(ipfrag_max_fragments=10)
    feed(peer, [(8 * n, bytes(8), True) for n in range(0, 40, 2)])
    assert peer.drops["ip-fragment-too-many"] == 1


def test_fragments_of_two_datagrams_do_not_mix():
    peer = Peer()
    data = ping(1200)
    a, b = cut(data, [800])
    assert feed(peer, [a], ident=1) == [] and feed(peer, [b], ident=2) == []
    assert feed(peer, [b], ident=1, src="10.0.0.3") == []
    assert feed(peer, [b], proto=17, ident=1) == []
    assert len(feed(peer, [b], ident=1)) == 1


def test_congestion_marks_survive_reassembly():
    """RFC 3168 5.3: CE on any fragment is kept; CE beside not-ECT is dropped."""
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.bind, ep, 0, 9)
    data = f.udp("10.0.0.2", 5, "10.0.0.1", 9, bytes(1200))
    a, b = cut(data, [800])
    feed(peer, [a], 17, tos=2)
    feed(peer, [b], 17, tos=3)
    dgram = udp.recvfrom(ep, 0, 0)
    assert dgram.tos & 3 == 3 and len(dgram.data) == 1200
    feed(peer, [a], 17, tos=0)
    feed(peer, [b], 17, tos=3)
    assert udp.recvfrom(ep, 0, 0) is None and peer.drops == {"ip-fragment-ecn": 1}


def test_fragments_of_fragments_carry_options():
    """The first fragment has all options, the others those with the copied flag."""
    peer = Peer()
    from pystack_c.ip import output as ip_output

    dst = route_output(peer.stack, peer.me)
    options = bytes((7, 7, 4, 0, 0, 0, 0, 1)) + bytes((136, 4, 1, 2))
    out = peer.stack.out
    out.begin(dst, peer.addr, peer.me, 99)
    out.payload, out.options = bytes(3000), options
    assert ip_output.output(peer.stack, out) == 0
    frames = peer.drain()
    assert frames[0].ip.options == options
    assert all(s.ip.options == options[8:] for s in frames[1:])
    assert sum(s.ip.total - s.ip.hlen for s in frames) == 3000
    assert all((s.ip.total - s.ip.hlen) % 8 == 0 for s in frames[:-1])
