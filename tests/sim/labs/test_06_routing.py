"""Lab 6: the longest prefix wins; a loop is ended by the TTL."""

import errno
import ipaddress
import random

import pytest

from pystack.phy.match import is_icmp, is_udp
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, spawn

ROUTES = [("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("10.1.2.0/24", 3), ("default", 0)]


def star():
    """A host with four routers, each a bare wire that keeps what it is sent."""
    net = Network()
    host = net.host("h")
    wires = []
    for number in range(4):
        wire = net.wire(f"r{number}")
        link = net.link(host, wire, addrs=(f"192.168.{number}.1/24", None), delay=MS)
        host.neighbor(f"192.168.{number}.2", 0x020000000100 + number, iface=link.a.name)
        wires.append(wire)
    return net, host, wires


def destinations():
    rng = random.Random(1)
    bases = [0x0A000000, 0x0A010000, 0x0A010200, 0]
    masks = [0xFFFFFF, 0xFFFF, 0xFF, 0xFFFFFFFF]
    for number in range(1000):
        at = number % 4
        address = bases[at] | (rng.getrandbits(32) & masks[at])
        if 0x01000000 <= address < 0xDF000000 and address >> 24 != 127 and address >> 16 != 0xC0A8:
            yield address
        else:
            yield 0x08080000 | (address & 0xFFFF)


def chosen(net, host, wires):
    """Which router each destination's datagram went to."""
    sock = datagram(host)
    result = []
    for address in destinations():
        sock.sendto(address.to_bytes(4, "big"), str(ipaddress.IPv4Address(address)), 9)
        net.run(net.now + 2 * MS)
        (where,) = [number for number, wire in enumerate(wires) if wire.got]
        assert wires[where].got[0][1][-4:] == address.to_bytes(4, "big")
        wires[where].got.clear()
        result.append(where)
    return result


def oracle(address, first_match=False):
    """The best route by brute force, or the first that matches."""
    best = (-1, None)
    for network, router in ROUTES:
        parsed = ipaddress.IPv4Network("0.0.0.0/0" if network == "default" else network)
        if ipaddress.IPv4Address(address) in parsed:
            if first_match:
                return router
            best = max(best, (parsed.prefixlen, router))
    return best[1]


def test_a_thousand_destinations_go_where_the_oracle_says():
    net, host, wires = star()
    for network, router in ROUTES:
        host.route(network, via=f"192.168.{router}.2", iface=f"eth{router}")
    got = chosen(net, host, wires)
    expected = [oracle(address) for address in destinations()]
    assert got == expected and set(got) == {0, 1, 2, 3}
    # the control: first match instead of longest match is another answer
    assert [oracle(address, first_match=True) for address in destinations()] != expected
    assert {oracle(a, first_match=True) for a in destinations() if a >> 24 == 10} == {1}


def loop(routes=True):
    """a - r1 = r2, where both routers think that 10.9/16 is behind the other one."""
    net = Network()
    a, r1, r2 = net.host("a"), net.host("r1", ip_forward=True), net.host("r2", ip_forward=True)
    net.link(a, r1, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=5 * MS)
    between = net.link(r1, r2, addrs=("10.1.0.1/24", "10.1.0.2/24"), delay=MS)
    a.route("default", via="10.0.0.2")
    r2.route("10.0.0.0/24", via="10.1.0.1")
    if routes:
        r1.route("10.9.0.0/16", via="10.1.0.2")
        r2.route("10.9.0.0/16", via="10.1.0.1")
    net.introduce()
    return net, a, r1, r2, between


def test_a_looping_packet_crosses_63_times_and_causes_one_time_exceeded():
    net, a, _, _, between = loop()
    crossed, errors = [], []
    for port in (between.a, between.b):
        port.taps.append(lambda time, out, frame: crossed.append(frame[22]) if out == 2 and is_udp(frame) else None)
    a.port().taps.append(lambda time, out, frame: errors.append(frame[34:36]) if is_icmp(frame) else None)
    datagram(a).sendto(b"round and round", "10.9.0.1", 9)
    net.run(10 * S)
    # 64 at the source, 63 when it first crosses, 1 when it last does
    assert crossed == list(range(63, 0, -1))
    assert errors == [bytes((11, 0))]
    assert a.counters.IcmpInTimeExcds == 1


def test_without_the_route_the_network_is_unreachable_after_one_round_trip_to_the_router():
    net, a, _, _, _ = loop(routes=False)
    sock = datagram(a)
    sock.connect("10.9.0.1", 9)
    sock.sendto(b"?")

    def wait():
        with pytest.raises(OSError) as caught:
            yield sock.recvfrom()
        return net.now, caught.value.errno

    proc = spawn(net, wait())
    net.run_until(proc.finished, limit=S)
    assert proc.value == (10 * MS, errno.ENETUNREACH)
