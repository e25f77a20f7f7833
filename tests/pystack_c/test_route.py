"""The routing table (RFC 1812 5.2.4.3; LABS section 6)."""

import errno
import random

import pytest

import pystack_c.const as C
from pystack_c.base.address import addr_text
from pystack_c.iface import Iface
from pystack_c.ip.routing import route_output
from pystack_c.route import Route, RouteTable
from pystack_c.sockets import sockopt, udp
from pystack_c.tcp import sockopt as tcp_sockopt
from pystack_c.tcp import user
from tests import frames as f
from tests.support.peer import Peer

ETH = Iface(1, "eth0", C.LINK_ETHERNET, 1, 1500)
OTHER = Iface(2, "eth1", C.LINK_ETHERNET, 2, 1500)


def route(text: str, gateway: str = "0.0.0.0", metric: int = 0, iface: Iface = ETH) -> Route:
    """A route from "10.0.0.0/8"."""
    dst, _, length = text.partition("/")
    return Route(f.addr(dst), int(length), f.addr(gateway), iface, metric, 0)


def fits(r: Route, dst: int) -> bool:
    """Return True if the address has the route's prefix, in the 32 bits of IPv4."""
    return ((dst ^ r.dst) & 0xFFFFFFFF) >> (32 - r.prefixlen) == 0


def brute_force(routes: list[Route], dst: int) -> Route | None:
    """The oracle: every route that matches, the longest first, then the lowest metric."""
    fit = [r for r in routes if fits(r, dst)]
    return min(fit, key=lambda r: (-r.prefixlen, r.metric), default=None)


def test_longest_prefix_wins_for_1000_of_1000_destinations():
    routes = [
        route("10.0.0.0/8", "1.0.0.1"), route("10.1.0.0/16", "1.0.0.2"), route("10.1.2.0/24", "1.0.0.3"),
        route("0.0.0.0/0", "1.0.0.9"),
    ]  # fmt: skip
    table = RouteTable()
    for r in routes:
        table.add(r)
    rng = random.Random(6)
    bases = ["10.1.2.0", "10.1.0.0", "10.0.0.0", "192.0.2.0"]
    dsts = [f.addr(rng.choice(bases)) | rng.getrandbits(rng.choice([8, 16, 24])) for _ in range(1000)]
    assert sum(table.lookup(dst) is brute_force(routes, dst) for dst in dsts) == 1000
    # Control: the first match in the order of the list, the /8 first, is another router's for many.
    first = sum(next(r for r in routes if fits(r, dst)) is table.lookup(dst) for dst in dsts)
    assert first < 900


def test_thousands_of_random_routes_agree_with_the_oracle():
    rng = random.Random(7)
    table, routes = RouteTable(), {}
    for number in range(3000):
        length = rng.randint(0, 32)
        net = (rng.getrandbits(12) << 20) >> (32 - length) << (32 - length)
        r = Route(f.core(net), length, number, ETH, rng.randint(0, 2), 0)
        routes[(r.dst, r.prefixlen, r.metric)] = r
        table.add(r)
    for number, key in enumerate(list(routes)):
        if number % 3 == 0:
            gone = routes.pop(key)
            assert table.remove(gone.dst, gone.prefixlen, gone.gateway)
    for _ in range(1000):
        dst = f.core(rng.randint(1, 0xFFF) << 20)
        assert table.lookup(dst) is brute_force(list(routes.values()), dst)
    assert {id(r) for r in table.all()} == {id(r) for r in routes.values()}


def test_the_lower_metric_wins_and_the_other_takes_over():
    table = RouteTable()
    best, backup = route("10.0.0.0/8", "1.0.0.1", 10), route("10.0.0.0/8", "1.0.0.2", 20, OTHER)
    table.add(backup)
    table.add(best)
    assert table.lookup(f.addr("10.9.9.9")) is best
    assert table.lookup(f.addr("10.9.9.9"), OTHER) is backup
    ETH.up = False
    try:
        assert table.lookup(f.addr("10.9.9.9")) is backup
    finally:
        ETH.up = True
    assert table.remove(best.dst, 8, best.gateway) and table.lookup(f.addr("10.9.9.9")) is backup
    assert not table.remove(best.dst, 8, best.gateway)


def test_route_output_is_cached_until_routes_change():
    peer = Peer()
    to = f.addr("10.0.0.2")
    dst = route_output(peer.stack, to)
    assert dst is route_output(peer.stack, to)
    assert (dst.iface.name, dst.next_hop, dst.src, dst.mtu, dst.kind) == ("eth0", to, peer.addr, 1500, C.DST_UNICAST)
    peer.stack.add_route(to, 32, f.addr("10.0.0.9"))
    again = route_output(peer.stack, to)
    assert again is not dst and again.next_hop == f.addr("10.0.0.9")
    assert dst.epoch != peer.stack.route_epoch


@pytest.mark.parametrize(
    "kind, error",
    [(C.RT_UNREACHABLE, errno.EHOSTUNREACH), (C.RT_PROHIBIT, errno.EACCES), (C.RT_BLACKHOLE, errno.EINVAL)],
)
def test_routes_that_refuse(kind, error):
    peer = Peer()
    peer.stack.add_route(f.addr("192.0.2.0"), 24, kind=kind)
    assert route_output(peer.stack, f.addr("192.0.2.1")) is None
    assert peer.stack.route_error == error
    assert route_output(peer.stack, f.addr("192.0.3.1")) is None
    assert peer.stack.route_error == errno.ENETUNREACH


def test_kinds_of_destination():
    peer = Peer()
    kinds = {
        "10.0.0.1": (C.DST_LOCAL, "lo"), "127.0.0.1": (C.DST_LOCAL, "lo"), "127.9.9.9": (C.DST_LOCAL, "lo"),
        "10.0.0.255": (C.DST_BROADCAST, "eth0"), "255.255.255.255": (C.DST_BROADCAST, "eth0"),
        "224.0.0.5": (C.DST_MULTICAST, "eth0"), "10.0.0.7": (C.DST_UNICAST, "eth0"),
    }  # fmt: skip
    for text, (kind, iface) in kinds.items():
        dst = route_output(peer.stack, f.addr(text))
        assert (dst.kind, dst.iface.name) == (kind, iface), text
    assert route_output(peer.stack, f.addr("0.0.0.0")) is None


def test_source_address_is_the_one_of_the_next_hops_subnet():
    """RFC 1122 3.3.4.3."""
    peer = Peer()
    peer.stack.add_addr(peer.iface, f.addr("192.168.7.1"), 24)
    peer.stack.add_route(0, 0, f.addr("192.168.7.254"))
    assert route_output(peer.stack, f.addr("10.0.0.9")).src == f.addr("10.0.0.1")
    assert route_output(peer.stack, f.addr("192.168.7.9")).src == f.addr("192.168.7.1")
    assert route_output(peer.stack, f.addr("8.8.8.8")).src == f.addr("192.168.7.1")


def test_bad_configuration_is_refused():
    peer = Peer()
    for call in (
        lambda: peer.stack.add_route(f.addr("10.0.0.1"), 24),
        lambda: peer.stack.add_route(f.addr("10.0.0.0"), 33),
        lambda: peer.stack.add_route(0, 0, f.addr("172.16.0.1")),
        lambda: peer.stack.add_addr(peer.iface, peer.addr, 24),
        lambda: peer.stack.add_iface("eth0"),
        lambda: peer.stack.add_iface("eth9", mtu=67),
    ):
        with pytest.raises(ValueError):
            call()


def test_an_address_taken_away_takes_its_route_with_it():
    peer = Peer()
    peer.stack.del_addr(peer.iface, peer.addr)
    assert route_output(peer.stack, f.addr("10.0.0.2")) is None
    assert not peer.arp(1, 0x0200000000BB, "10.0.0.2", 0, "10.0.0.1")


# SO_DONTROUTE and MSG_DONTROUTE: only to hosts on a link of ours (socket(7))


def gated() -> Peer:
    """A host whose way to everywhere is 10.0.0.2, and to half of everywhere a link of its own besides."""
    peer = Peer()
    peer.stack.add_route(0, 0, peer.me, peer.iface)
    peer.stack.add_route(f.addr("192.0.2.0"), 24, 0, peer.iface)
    peer.stack.add_route(f.addr("192.0.2.128"), 25, peer.me, peer.iface)
    return peer


FAR, NEAR, BEHIND = f.addr("198.51.100.7"), f.addr("10.0.0.2"), f.addr("192.0.2.200")


@pytest.mark.parametrize("how", ["option", "flag"])
@pytest.mark.parametrize("connected", [False, True])
def test_a_datagram_that_must_not_be_routed(how, connected):
    peer = gated()
    ep = peer.call(udp.udp_open, peer.stack)
    if connected:
        peer.call(udp.connect, ep, FAR, 9)
    flags = C.MSG_DONTROUTE if how == "flag" else 0
    if how == "option":
        peer.call(udp.setsockopt, ep, 1, sockopt.SO_DONTROUTE, 1)
        assert peer.call(udp.getsockopt, ep, 1, sockopt.SO_DONTROUTE) == 1
    with pytest.raises(OSError, match="route") as caught:
        peer.call(udp.sendto, ep, b"far", 0 if connected else FAR, 0 if connected else 9, flags)
    assert caught.value.errno == errno.ENETUNREACH and not [s for s in peer.seen if s.udp]
    peer.call(udp.sendto, ep, b"near", NEAR, 9, flags)
    assert [s.udp.data for s in peer.seen if s.udp] == [b"near"]
    # Control: without it, the gateway takes it.
    peer.call(udp.setsockopt, ep, 1, sockopt.SO_DONTROUTE, 0)
    peer.call(udp.sendto, ep, b"far", 0 if connected else FAR, 0 if connected else 9, 0)
    assert [s.udp.data for s in peer.seen if s.udp] == [b"near", b"far"]


def test_a_shorter_prefix_on_the_link_is_taken_where_the_longer_has_a_gateway():
    peer = gated()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.sendto, ep, b"by the gateway", BEHIND, 9, 0)
    assert [s.arp for s in peer.seen] == [None]
    peer.call(udp.sendto, ep, b"itself", BEHIND, 9, C.MSG_DONTROUTE)
    assert peer.seen[-1].arp.tpa == BEHIND


def test_a_stream_that_must_not_be_routed():
    peer = gated()
    tcb = peer.call(user.tcp_open, peer.stack)
    peer.call(tcp_sockopt.setsockopt, tcb, 1, sockopt.SO_DONTROUTE, 1)
    with pytest.raises(OSError, match="unreachable") as caught:
        peer.call(user.connect, tcb, FAR, 7)
    assert caught.value.errno == errno.ENETUNREACH
    peer.call(user.connect, tcb, NEAR, 7)
    assert peer.seen[-1].ip.dst == NEAR
    other = peer.call(user.tcp_open, peer.stack)  # the control
    peer.call(user.connect, other, FAR, 7)
    assert peer.seen[-1].ip.dst == FAR


def test_a_listener_hands_it_on_and_its_answer_finds_no_gateway():
    for value in (0, 1):
        peer = gated()
        tcb = peer.call(user.tcp_open, peer.stack)
        peer.call(user.bind, tcb, 0, 80)
        peer.call(tcp_sockopt.setsockopt, tcb, 1, sockopt.SO_DONTROUTE, value)
        peer.call(user.listen, tcb, 1)
        syn = f.tcp("198.51.100.7", 1000, "10.0.0.1", 80, C.SYN, 1, 0)
        assert len(peer.send(syn, 6, src=FAR)) == (not value)
        assert peer.drops.get("tcp-no-route", 0) == value


def test_a_second_route_to_the_same_network_is_refused_as_by_ip_route_add():
    peer = Peer()
    peer.stack.add_route(0, 0, f.addr("10.0.0.254"))
    with pytest.raises(FileExistsError) as caught:
        peer.stack.add_route(0, 0, f.addr("10.0.0.253"))
    assert caught.value.errno == errno.EEXIST
    assert [addr_text(r.gateway) for r in peer.stack.routes.all() if r.prefixlen == 0] == ["10.0.0.254"]
    # Another metric is another route, and `ip route replace` replaces.
    peer.stack.add_route(0, 0, f.addr("10.0.0.253"), metric=1)
    peer.stack.add_route(0, 0, f.addr("10.0.0.252"), replace=True)
    assert [addr_text(r.gateway) for r in peer.stack.routes.all() if r.prefixlen == 0] == ["10.0.0.252", "10.0.0.253"]
