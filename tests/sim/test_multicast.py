"""Multicasts through routers: routes by hand, the IGMP proxy and its querier, and what is never forwarded."""

import struct

import pytest

from pystack.addresses import parse_addr
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, spawn
from pystack_c.base.address import addr_bytes
from pystack_c.ip import igmp
from pystack_c.ip.igmp_router import MOST_GROUPS, MOST_SOURCES
from tests import frames as f

GROUP, OTHER = "239.1.2.3", "239.9.9.9"
IP_MULTICAST_TTL, IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP = 33, 35, 36, 39


def chain():
    """Host a - router r - host b, and a host c on a second link of the router. r has eth0 to a, eth1 to b, eth2 to c."""
    net = Network(1)
    a, r, b, c = net.host("a"), net.router("r"), net.host("b"), net.host("c")
    for number, host in enumerate((a, b, c)):
        net.link(host, r, addrs=(f"10.0.{number}.2/24", f"10.0.{number}.1/24"), delay=MS)
        host.route("default", via=f"10.0.{number}.1")
    net.introduce()
    return net, a, r, b, c


def member(host, group=GROUP, source=""):
    """A socket that is a member of a group, and the list of what it gets: (data, TTL)."""
    sock = datagram(host)
    sock.bind("", 5000)
    value = addr_bytes(parse_addr(group)) + bytes(4)
    if source:
        sock.setsockopt(0, IP_ADD_SOURCE_MEMBERSHIP, value + addr_bytes(parse_addr(source)))
    else:
        sock.setsockopt(0, IP_ADD_MEMBERSHIP, value)
    got = []

    def take():
        while True:
            one = yield sock.recvfrom()
            got.append((bytes(one.data), one.ttl))

    spawn(host.net, take())
    return sock, got


def leave(sock, group=GROUP):
    sock.setsockopt(0, IP_DROP_MEMBERSHIP, addr_bytes(parse_addr(group)) + bytes(4))


def sender(host, ttl=8):
    sock = datagram(host)
    sock.setsockopt(0, IP_MULTICAST_TTL, ttl)
    return sock


def send(net, sock, data=b"x", group=GROUP, time=100 * MS):
    sock.sendto(data, group, 5000)
    net.run(net.now + time)


# -- routes by hand ------------------------------------------------------------------------------------------------------


def test_a_route_forwards_a_group_with_one_less_of_ttl():
    net, a, r, b, c = chain()
    r.mroute(GROUP, "eth0", ["eth1", "eth2"])
    _, at_b = member(b)
    _, at_c = member(c)
    out = sender(a)
    send(net, out, b"one")
    assert at_b == [(b"one", 7)] and at_c == [(b"one", 7)]
    send(net, out, b"two", OTHER)
    assert len(at_b) == 1
    assert r.mroute_show() == f"(0.0.0.0,{GROUP}) Iif: eth0 Oifs: eth1 eth2\n"
    # Control: without the route, nothing arrives.
    assert r.stack.del_mroute(parse_addr(GROUP)) and not r.stack.del_mroute(parse_addr(GROUP))
    send(net, out, b"three")
    assert len(at_b) == 1 and r.stack.counters.drops["forward-broadcast"] >= 1


def test_the_rules_of_ttl_source_and_interface():
    net, a, r, b, _ = chain()
    r.mroute(GROUP, "eth0", ["eth1"], source="10.0.0.2", ttl=16)
    _, at_b = member(b)
    drops = r.stack.counters.drops
    send(net, sender(a, 16))
    assert at_b == [] and drops["mforward-ttl"] == 1
    send(net, sender(a, 17))
    assert at_b == [(b"x", 16)]
    # No ICMP error about a multicast (RFC 1122 3.2.2).
    assert r.stack.counters.IcmpOutMsgs == 0
    # The route is for this source only.
    a.addr("10.0.0.3/24")
    other = sender(a, 64)
    other.bind("10.0.0.3", 0)
    send(net, other)
    assert len(at_b) == 1
    # A datagram that arrives at another interface than the route's is not forwarded (RFC 1812 5.2.1.3).
    r.mroute(OTHER, "eth0", ["eth2"])
    send(net, sender(b, 64), group=OTHER)
    assert drops["mforward-wrong-iface"] == 1


def test_groups_of_one_link_are_never_forwarded():
    net, a, r, b, _ = chain()
    with pytest.raises(ValueError, match=r"224\.0\.0\.5 is not a group that can be forwarded"):
        r.mroute("224.0.0.5", "eth0", ["eth1"])
    for wrong in ((GROUP, "eth0", []), (GROUP, "eth0", ["eth0"])):
        with pytest.raises(ValueError, match="a route needs interfaces"):
            r.mroute(*wrong)
    with pytest.raises(ValueError, match="TTL 0"):
        r.mroute(GROUP, "eth0", ["eth1"], ttl=0)
    r.igmp_proxy(["eth1"], "eth0")
    _, at_b = member(b, "224.0.0.77")
    send(net, sender(a, 64), group="224.0.0.77")
    assert at_b == []


def test_two_routers_with_routes_in_a_ring_do_not_melt():
    """Each datagram is forwarded only from the interface of its route, and the TTL ends what a wrong set of routes begins."""
    net = Network(1)
    r1, r2, a = net.router("r1"), net.router("r2"), net.host("a")
    net.link(a, r1, addrs=("10.0.0.2/24", "10.0.0.1/24"))
    net.link(r1, r2, addrs=("10.0.1.1/24", "10.0.1.2/24"))
    net.link(r2, r1, addrs=("10.0.2.2/24", "10.0.2.1/24"))
    a.route("default", via="10.0.0.1")
    r1.mroute(GROUP, "eth0", ["eth1"])
    r2.mroute(GROUP, "eth0", ["eth1"])
    send(net, sender(a, 255))
    # The copy comes back to r1 by eth2, which is not the interface of the route.
    assert r1.stack.counters.drops["mforward-wrong-iface"] == 1
    r1.stack.del_mroute(parse_addr(GROUP))
    r1.mroute(GROUP, "eth2", ["eth1"])
    before = r1.stack.counters.IpForwDatagrams + r2.stack.counters.IpForwDatagrams
    r1.ports[1].send(
        f.ether(f.ipv4("10.0.9.9", GROUP, 17, bytes(8), ttl=64), dst=0x01005E010203, src=r1.ports[1].iface.mac)
    )
    net.run(net.now + S)
    assert r1.stack.counters.IpForwDatagrams + r2.stack.counters.IpForwDatagrams - before == 63


def test_a_datagram_larger_than_the_mtu_is_cut_or_dropped_in_silence():
    net = Network(1)
    a, r, b = net.host("a"), net.router("r"), net.host("b")
    net.link(a, r, addrs=("10.0.0.2/24", "10.0.0.1/24"))
    net.link(r, b, mtu=600, addrs=("10.0.1.1/24", "10.0.1.2/24"))
    a.route("default", via="10.0.0.1")
    r.mroute(GROUP, "eth0", ["eth1"])
    _, at_b = member(b)
    out = sender(a)
    out.setsockopt(0, 10, 0)  # IP_MTU_DISCOVER: do not set DF
    send(net, out, bytes(1000))
    assert [len(data) for data, _ in at_b] == [1000]
    out.setsockopt(0, 10, 2)
    send(net, out, bytes(1000))
    assert len(at_b) == 1 and r.stack.counters.drops["mforward-too-big"] == 1
    assert r.stack.counters.IcmpOutMsgs == 0


# -- the proxy -----------------------------------------------------------------------------------------------------------


def test_the_proxy_forwards_what_hosts_want_and_stops_when_they_leave():
    net, a, r, b, c = chain()
    r.igmp_proxy(["eth1", "eth2"], "eth0")
    net.run(20 * S)
    out = sender(a)
    send(net, out, b"early")
    sock, at_b = member(b)
    net.run(net.now + S)
    # The proxy has joined upstream.
    assert parse_addr(GROUP) in r.ports[0].iface.groups
    assert r.mroute_show() == f"eth1 {GROUP} all sources\n"
    send(net, out, b"wanted")
    assert at_b == [(b"wanted", 7)]
    heard = []
    c.ports[0].taps.append(lambda time, way, frame: heard.append(frame[30:34]))
    send(net, out, b"again")
    assert addr_bytes(parse_addr(GROUP)) not in heard
    leave(sock)
    # RFC 3376 8.10: two queries with a second between them, and then the group is gone.
    net.run(net.now + 1900 * MS)
    assert parse_addr(GROUP) in r.stack.mrouter.links[3].groups
    net.run(net.now + 200 * MS)
    assert r.mroute_show() == "" and parse_addr(GROUP) not in r.ports[0].iface.groups


def test_a_host_downstream_sends_upstream_and_to_the_other_links():
    net, a, r, b, c = chain()
    r.igmp_proxy(["eth1", "eth2"], "eth0")
    _, at_a = member(a)
    _, at_c = member(c)
    net.run(S)
    send(net, sender(b))
    # RFC 4605 4.2: upstream always, and to links with members.
    assert at_a == [(b"x", 7)] and at_c == [(b"x", 7)]


def test_only_the_sources_that_hosts_want_pass():
    net, a, r, b, _ = chain()
    a.addr("10.0.0.3/24")
    r.igmp_proxy(["eth1"], "eth0")
    member(b, source="10.0.0.3")
    net.run(S)
    assert r.mroute_show() == f"eth1 {GROUP} only 10.0.0.3\n"
    seen = []
    b.ports[0].taps.append(lambda time, way, frame: seen.append(frame[26:30]))
    for address in ("10.0.0.2", "10.0.0.3"):
        sock = sender(a)
        sock.bind(address, 0)
        send(net, sock)
    assert addr_bytes(parse_addr("10.0.0.3")) in seen and addr_bytes(parse_addr("10.0.0.2")) not in seen


def test_a_membership_expires_if_its_host_is_gone():
    net, _, r, b, _ = chain()
    r.igmp_proxy(["eth1"], "eth0")
    net.run(S)
    member(b)
    net.run(2 * S)
    b.crash()
    # RFC 3376 8.4: 2 * 125 + 10 s after the last report, which was repeated within a second.
    net.run(261 * S)
    assert r.mroute_show() != ""
    net.run(264 * S)
    assert r.mroute_show() == ""


def queries(port):
    """The times (s) at which a port sent a general query."""
    found = []
    port.taps.append(
        lambda time, way, frame: (
            found.append(round(time / S, 3))
            if way == 2 and frame[23] == 2 and frame[38] == 0x11 and frame[42:46] == bytes(4)
            else None
        )
    )
    return found


def test_the_querier_asks_at_the_times_of_the_rfc():
    net, _, r, _, _ = chain()
    asked = queries(r.ports[1])
    r.igmp_proxy(["eth1"])
    net.run(500 * S)
    # RFC 3376 8.6, 8.7: Startup Query Count 2, and a quarter of the Query Interval between them.
    assert asked == [0, 31.25, 156.25, 281.25, 406.25]


def test_the_router_with_the_lowest_address_is_the_querier_until_it_is_silent():
    net = Network(1)
    r1, r2, host = net.router("r1"), net.router("r2"), net.host("h")
    switch = net.switch("s")
    for number, node in enumerate((r1, r2, host)):
        net.link(node, switch, addrs=(f"10.0.0.{number + 1}/24", None))
    mine, others = queries(r1.ports[0]), queries(r2.ports[0])
    r2.igmp_proxy(["eth0"])
    net.run(10 * S)
    r1.igmp_proxy(["eth0"])
    net.run(400 * S)
    assert others == [0] and mine == [10, 41.25, 166.25, 291.25]
    assert r1.stack.mrouter.links[2].querier and not r2.stack.mrouter.links[2].querier
    r1.crash()
    # RFC 3376 8.5: 2 * 125 + 5 s after its last query.
    net.run(700 * S)
    assert others == [0, 546.25, 671.25] and r2.stack.mrouter.links[2].querier


def test_with_two_routers_only_the_querier_forwards():
    """RFC 4605 4.2: otherwise each datagram would arrive twice."""
    net = Network(1)
    up, down = net.switch("up"), net.switch("down")
    source, host = net.host("source"), net.host("host")
    routers = [net.router("r1"), net.router("r2")]
    net.link(source, up, addrs=("10.0.0.9/24", None))
    net.link(host, down, addrs=("10.0.1.9/24", None))
    for number, router in enumerate(routers):
        net.link(router, up, addrs=(f"10.0.0.{number + 1}/24", None))
        net.link(router, down, addrs=(f"10.0.1.{number + 1}/24", None))
        router.igmp_proxy(["eth1"], "eth0")
    source.route("default", via="10.0.0.1")
    _, got = member(host)
    net.run(10 * S)
    send(net, sender(source))
    assert got == [(b"x", 7)]


def test_old_hosts_report_and_leave():
    net = Network(1)
    r, wire = net.router("r"), net.wire("w")
    net.link(r, wire, addrs=("10.0.0.1/24", None))
    r.igmp_proxy(["eth0"])
    group = f.bits(GROUP)

    def say(kind, code=0, src="10.0.0.2", dst=GROUP, rest=b"", ttl=1):
        message = struct.pack(">BBHI", kind, code, 0, group) + rest
        message = message[:2] + (f.ones(message) ^ 0xFFFF).to_bytes(2, "big") + message[4:]
        wire.send(f.ether(f.ipv4(src, dst, 2, message, ttl=ttl), dst=0x01005E000000 | f.bits(dst) & 0x7FFFFF))
        net.run(net.now + MS)

    shown = f"eth0 {GROUP} all sources\n"
    for wrong in ({"src": "192.0.2.1"}, {"ttl": 2}):
        say(0x16, **wrong)
        assert r.mroute_show() == ""
    assert r.stack.counters.drops["igmp-refused"] == 2
    say(0x16)
    assert r.mroute_show() == shown
    say(0x17, dst="224.0.0.2")
    net.run(net.now + 3 * S)
    assert r.mroute_show() == ""
    say(0x12)
    say(0x12)
    say(0x17, dst="224.0.0.2")  # RFC 3376 7.3.2: beside a host of version 1, a leave says nothing
    net.run(net.now + 3 * S)
    assert r.mroute_show() == shown
    # A host answers the query, so the group stays.
    net.run(net.now + 300 * S)
    say(0x16)
    say(0x17, dst="224.0.0.2")
    say(0x16)
    net.run(net.now + 3 * S)
    assert r.mroute_show() == shown


def test_a_flood_of_reports_is_bounded():
    net = Network(1)
    r, wire = net.router("r"), net.wire("w")
    net.link(r, wire, addrs=("10.0.0.1/24", None))
    r.igmp_proxy(["eth0"])
    for number in range(20):
        records = b"".join(
            struct.pack(">BBHI", igmp.IS_EXCLUDE, 0, 0, 0xEF000000 | number << 8 | one) for one in range(1, 181)
        )
        message = struct.pack(">BBHI", 0x22, 0, 0, 180) + records
        message = message[:2] + (f.ones(message) ^ 0xFFFF).to_bytes(2, "big") + message[4:]
        wire.send(f.ether(f.ipv4("10.0.0.2", "224.0.0.22", 2, message, ttl=1), dst=0x01005E000016))
    net.run(S)
    link = r.stack.mrouter.links[2]
    assert len(link.groups) == MOST_GROUPS and link.refused == 20 * 180 - MOST_GROUPS
    sources = b"".join((0x0A000000 + one).to_bytes(4, "big") for one in range(200))
    message = struct.pack(">BBHIBBHI", 0x22, 0, 0, 1, igmp.ALLOW, 0, 200, 0xEF000001) + sources
    message = message[:2] + (f.ones(message) ^ 0xFFFF).to_bytes(2, "big") + message[4:]
    wire.send(f.ether(f.ipv4("10.0.0.2", "224.0.0.22", 2, message, ttl=1), dst=0x01005E000016))
    net.run(2 * S)
    assert len(link.groups[parse_addr("239.0.0.1")].sources) == MOST_SOURCES


def test_a_router_has_its_multicasts_again_after_a_boot():
    net, a, r, b, c = chain()
    r.mroute(OTHER, "eth0", ["eth2"])
    r.igmp_proxy(["eth1"], "eth0")
    _, at_b = member(b)
    _, at_c = member(c, OTHER)
    r.crash()
    net.run(S)
    r.boot()
    net.introduce()
    net.run(20 * S)  # b answers the first query within 10 s
    out = sender(a)
    send(net, out)
    send(net, out, group=OTHER)
    assert at_b == [(b"x", 7)] and at_c == [(b"x", 7)]


# -- an interface that goes down and up ------------------------------------------------------------------------------------


def reports(port):
    """The types of the records that a port sends, with their times."""
    found = []
    port.taps.append(
        lambda time, way, frame: (
            found.append((round(time / S, 1), frame[46])) if way == 2 and frame[23] == 2 and frame[38] == 0x22 else None
        )
    )
    return found


def test_a_host_reports_its_groups_again_when_its_interface_comes_up():
    net, a, _, _, _ = chain()
    sock, _ = member(a)
    net.run(5 * S)
    sent = reports(a.ports[0])
    a.setup("set_iface", a.ports[0].iface, False)
    net.run(10 * S)
    assert sent == []
    a.setup("set_iface", a.ports[0].iface, True)
    net.run(20 * S)
    # At once, and again within a second (RFC 3376 5.1).
    assert [kind for _, kind in sent] == [igmp.TO_EXCLUDE] * 2 and sent[0][0] == 10.0 and sent[1][0] <= 11.0
    a.setup("set_iface", a.ports[0].iface, True)
    net.run(30 * S)
    assert len(sent) == 2  # it was up


def test_a_report_that_was_to_be_repeated_is_not_sent_by_an_interface_that_is_down():
    net, a, _, _, _ = chain()
    sent = reports(a.ports[0])
    member(a)
    assert len(sent) == 1
    a.setup("set_iface", a.ports[0].iface, False)
    net.run(S * 5)
    assert len(sent) == 1 and not a.ports[0].iface.groups[parse_addr(GROUP)].change_timer.armed()


def test_a_router_forgets_the_groups_of_a_link_that_goes_down_and_asks_again():
    net, _, r, b, _ = chain()
    r.igmp_proxy(["eth1"], "eth0")
    member(b)
    net.run(5 * S)
    asked = queries(r.ports[1])
    r.setup("set_iface", r.ports[1].iface, False)
    assert r.mroute_show() == "" and parse_addr(GROUP) not in r.ports[0].iface.groups
    net.run(200 * S)
    assert asked == []
    r.setup("set_iface", r.ports[1].iface, True)
    net.run(215 * S)
    assert asked == [200] and r.mroute_show() == f"eth1 {GROUP} all sources\n"


# -- snooping --------------------------------------------------------------------------------------------------------------


def test_a_bridge_with_snooping_sends_a_group_only_to_its_members():
    net = Network(1)
    hosts = [net.host(name) for name in ("source", "member", "other")]
    router = net.router("r")
    bridge = net.bridge("br0", ports=(*hosts, router))
    for number, node in enumerate((*hosts, router)):
        node.addr(f"10.0.0.{number + 1}/24")
    _, got = member(hosts[1])
    counts = [0, 0]

    def count(number):
        return lambda time, way, frame: counts.__setitem__(
            number, counts[number] + (frame[30:34] == addr_bytes(parse_addr(GROUP)) and frame[23] == 17)
        )

    for number in (0, 1):
        hosts[number + 1].ports[0].taps.append(count(number))
    hosts[0].route("default", via="10.0.0.4")
    out = sender(hosts[0])
    send(net, out)
    assert counts == [1, 1]  # without a querier, everybody gets it
    router.igmp_proxy(["eth0"])
    net.run(20 * S)
    send(net, out)
    assert counts == [2, 1] and len(got) == 2
    assert bridge.mdb_show() == f"dev br0 port port1 grp {GROUP} temp\nrouter ports on br0: port3\n"
