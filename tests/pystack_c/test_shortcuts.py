"""The results that a host keeps by addresses (route.slot): they never change what happens to a packet, and they stay bounded."""

import random

import pytest

from pystack_c.base.address import v4
from pystack_c.route import SLOTS, slot
from tests import frames as f
from tests.pystack_c.test_forward import FAR_MAC, router
from tests.support.peer import PEER_MAC, STACK_MAC, ip_packet

ECHO = f.icmp(8, 0, b"\0\1\0\1", b"ping")
NEAR = [f"10.0.0.{n}" for n in (1, 2, 3, 4, 255)] + ["127.0.0.1", "0.0.0.0", "224.0.0.5", "192.0.2.9", "198.51.100.3"]
FAR = [f"192.0.2.{n}" for n in (1, 2, 3, 4, 5, 255)] + ["10.0.0.1", "10.0.0.2", "10.0.0.255", "127.0.0.1", "0.0.0.0"]
FAR += ["224.0.0.5", "255.255.255.255", "198.51.100.2", "198.51.100.3", "203.0.113.7"]


def forget(core):
    core.accepted[:] = [None] * SLOTS
    core.latest[:] = [None] * SLOTS


def change(rng, stack):
    """Change an address, a route or a rule, or nothing. The generator alone decides which."""
    far = stack.ifaces[-1]
    at, length = f.addr(rng.choice(["198.51.100.3", "192.0.2.4", "10.0.0.4"])), rng.choice([24, 30])
    steps = [
        lambda: stack.add_addr(far, at, length),
        lambda: stack.del_addr(far, at),
        lambda: stack.add_route(f.addr("203.0.113.0"), 24, f.addr("192.0.2.2"), far),
        lambda: stack.del_route(f.addr("203.0.113.0"), 24),
    ]
    step = rng.choice(steps)
    try:
        step()
    except (ValueError, KeyError, OSError):
        pass


@pytest.mark.parametrize("seed", range(12))
def test_a_host_with_the_shortcuts_does_what_one_without_does(seed):
    peers = [router() for _ in range(2)]
    rngs = [random.Random(seed) for _ in peers]
    sent = 0
    for peer in peers:
        for n in (3, 4, 5):
            peer.stack.add_neighbor(peer.stack.ifaces[-1], f.addr(f"192.0.2.{n}"), FAR_MAC + n)
    for _ in range(900):
        seen = []
        for peer, rng in zip(peers, rngs, strict=True):
            if rng.random() < 0.05:
                change(rng, peer.stack)
            src, dst, ttl = rng.choice(NEAR), rng.choice(FAR), rng.choice([1, 9, 64])
            if peer is peers[1]:
                forget(peer.stack)
            packet = ip_packet(src, dst, 1, ECHO, ttl=ttl)
            seen.append([(out.iface, out.frame) for out in peer.frame(f.ether(packet, 0x0800, PEER_MAC, STACK_MAC))])
        assert seen[0] == seen[1]
        assert peers[0].drops == peers[1].drops
        sent += len(seen[0])
    # the control: packets of many kinds passed, and many kinds were refused
    assert sent > 30 and len(peers[0].drops) >= 5
    assert sum(known is not None for known in peers[0].stack.accepted) > 5


def test_the_result_for_another_interface_is_not_used():
    """A broadcast of one network is an ordinary address on the other interface."""
    peer = router()
    far = peer.stack.ifaces[-1]
    for iface in (peer.iface, far):
        peer.stack.receive(
            iface, f.ether(ip_packet("10.0.0.1", "192.0.2.255", 1, ECHO), 0x0800, PEER_MAC, iface.mac), 0
        )
    assert set(peer.drops) == {"ip-martian-source"}
    for iface in (peer.iface, far):
        frame = f.ether(ip_packet("203.0.113.9", "192.0.2.255", 1, ECHO, ttl=9), 0x0800, PEER_MAC, iface.mac)
        peer.stack.receive(iface, frame, 0)
    assert peer.drops["forward-directed-broadcast"] == 1  # at the first interface alone


def test_sixteen_flows_at_once_keep_their_results():
    peer = router()
    core = peer.stack
    flows = [(f.addr(f"10.0.0.{n}"), f.addr(f"192.0.2.{n}")) for n in range(2, 18)]
    for n in range(2, 18):
        core.add_neighbor(core.ifaces[-1], f.addr(f"192.0.2.{n}"), FAR_MAC)
    for _ in range(2):
        for n in range(2, 18):
            assert len(peer.send(ECHO, 1, src=f"10.0.0.{n}", dst=f"192.0.2.{n}", ttl=9)) == 1
    kept = [core.accepted[slot(src, dst)] for src, dst in flows]
    assert flows == [(one.src, one.dst) for one in kept]
    assert [core.latest[slot(0, dst)].addr for _, dst in flows] == [dst for _, dst in flows]


def test_addresses_that_share_a_place_replace_each_other():
    """An attacker can choose such addresses. Each packet is still treated as it should be, and nothing grows."""
    place = slot(f.addr("10.0.0.2"), f.addr("192.0.2.2"))
    peer = router()
    core = peer.stack
    rivals = [n for n in range(1 << 16) if slot(v4(0xC6330000 + n), f.addr("192.0.2.2")) == place]
    assert len(rivals) > 100
    for n in rivals[:200]:
        src = f"198.51.{n >> 8}.{n & 255}"
        assert len(peer.send(ECHO, 1, src=src, dst="192.0.2.2", ttl=9)) == 1
        assert peer.send(ECHO, 1, src="127.0.0.1", dst="192.0.2.2", ttl=9) == []
        assert core.accepted[place].src == v4(0xC6330000 + n)
    assert len(core.accepted) == len(core.latest) == SLOTS
    assert sum(one is not None for one in core.accepted) == 1


def test_places_are_in_range_and_spread():
    places = [slot(v4(0x0A000000 + n), v4(0x0A010000 + n)) for n in range(4096)]
    assert set(places) == set(range(SLOTS))
    assert max(places.count(place) for place in range(SLOTS)) < 64
    assert slot((1 << 128) - 1, (1 << 128) - 1) in range(SLOTS)
