"""Addresses of both families in one number (pystack_c.base.address), against the standard library's ipaddress."""

import errno
import random
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

import pystack_c.const as C
from pystack_c.base import address
from pystack_c.base.rng import Rng
from pystack_c.iface import LocalAddr
from pystack_c.route import Dst, Route, RouteTable, transport_sum
from pystack_c.sockets import udp
from pystack_c.stack import Stack
from pystack_c.tcp import user
from pystack_c.wire import checksum
from tests import frames as f

V4 = [
    0x00000001,
    0x0A000001,
    0x7F000001,
    0x7FFFFFFF,
    0xDFFFFFFF,
    0xE0000001,
    0xEFFFFFFF,
    0xF0000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
]
V6 = ["::1", "2001:db8::1", "fe80::1:2", "ff02::1", "::2:0:1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "1:0:0:2::3"]


def numbers() -> list[int]:
    """Addresses of both families, edges and random ones."""
    rng = random.Random(1)
    found = [address.v4(bits) for bits in (*V4, *(rng.getrandbits(32) for _ in range(300)))]
    found += [int(IPv6Address(text)) for text in V6] + [rng.getrandbits(128) for _ in range(300)]
    return found


@pytest.mark.parametrize("addr", numbers(), ids=hex)
def test_what_an_address_is(addr):
    mapped = IPv6Address(addr).ipv4_mapped
    of: IPv4Address | IPv6Address = IPv6Address(addr) if mapped is None else mapped
    assert address.is_v4(addr) == (of.version == 4) and address.is_v6(addr) == (of.version == 6)
    assert address.is_multicast(addr) == of.is_multicast
    assert address.is_loopback(addr) == of.is_loopback
    assert address.is_group(addr) == (of.is_multicast or (of.version == 4 and of.is_reserved))
    assert address.is_broadcast(addr) == (str(of) == "255.255.255.255")
    assert address.is_this_network(addr) == (of.version == 4 and of.packed[0] == 0)
    assert address.addr_text(addr) == str(of)
    assert address.addr_bytes(addr) == of.packed and address.from_bytes(of.packed) == addr
    assert address.plain(addr) == int(of) and address.key(addr) == addr == address.normal(addr)
    assert address.most_prefixlen(addr) == of.max_prefixlen
    assert address.addr_sum(addr, 0) == f.ones(of.packed)
    assert address.addr_sum(addr, addr) == f.ones(of.packed * 2)


def test_the_unspecified_address_has_no_family():
    assert address.v4(0) == address.normal(0) == address.normal(0xFFFF << 32) == address.from_bytes(bytes(4)) == 0
    assert not address.is_v4(0) and not address.is_v6(0)
    assert (address.addr_text(0), address.addr_bytes(0)) == ("0.0.0.0", bytes(4))
    assert address.addr_sum(0, 0) == 0 and address.is_this_network(0)


@pytest.mark.parametrize("bits", V4[1:])
def test_a_number_of_32_bits_is_ipv4_for_callers(bits):
    assert address.normal(bits) == address.v4(bits) == int(IPv6Address(f"::ffff:{IPv4Address(bits)}"))
    assert address.v4_bits(address.v4(bits)) == bits
    assert address.addr_text(bits) == str(IPv4Address(bits))


def test_prefixes():
    rng = random.Random(2)
    for length in range(129):
        addr = rng.getrandbits(128) | 1 << 127
        net = IPv6Network((addr, length), strict=False)
        assert address.prefix_mask(length) == int(net.netmask)
        assert address.prefix_of(addr, length) == int(net.network_address)
    for prefixlen in range(33):
        own = LocalAddr(f.addr("10.1.2.3"), prefixlen, None)
        assert own.mask == address.prefix_mask(96 + prefixlen)
        host = (1 << 32 - prefixlen) - 1
        assert address.v4_bits(own.broadcast) == (f.bits("10.1.2.3") | host if prefixlen < 31 else 0xFFFFFFFF)


def test_keys_of_connections_never_meet():
    rng, keys = random.Random(3), {}
    for addr in numbers():
        for _ in range(10):
            four = (addr, rng.getrandbits(16), rng.getrandbits(16))
            assert keys.setdefault(address.conn_key(*four), four) == four
            assert (address.conn_key(*four) < 1 << 64) == address.is_v4(addr)
    # ::a:b:c:d with the bits of an IPv4 address is another host.
    low = int(IPv6Address("::1:0:0a00:1"))
    assert address.conn_key(low, 1, 2) != address.conn_key(f.addr("10.0.0.1"), 1, 2)


def test_hashes_of_ipv6_see_every_bit():
    rng = Rng(1)
    base = int(IPv6Address("2001:db8::1"))
    mine = f.addr("10.0.0.1")
    fours = {rng.keyed_four(base ^ (1 << bit), 1, base, 2) for bit in range(128)}
    fours |= {rng.keyed_four(base, 1, base ^ (1 << bit), 2) for bit in range(128)} | {rng.keyed_four(mine, 1, base, 2)}
    ports = {rng.keyed_port(base, base ^ (1 << bit), 2) for bit in range(128)}
    assert len(fours) == 257 and len(ports) == 128


def test_no_ipv4_address_matches_a_route_of_ipv6():
    table = RouteTable()
    wide = Route(1 << 127, 1, 0, None, 0, 0)
    table.add(wide)
    table.add(Route(int(IPv6Address("fe80::")), 10, 0, None, 0, 0))
    everything = Route(int(IPv6Address("::1")), 0, 0, None, 0, 0)  # as ::/0: `dst` 0 would be 0.0.0.0/0
    table.add(everything)
    assert table.lookup(int(IPv6Address("8000::1"))) is wide
    assert table.lookup(int(IPv6Address("2001:db8::1"))) is everything
    assert table.lookup(f.addr("10.0.0.1")) is None
    default = Route(0, 0, f.addr("10.0.0.9"), None, 0, 0)
    table.add(default)
    assert table.lookup(f.addr("10.0.0.1")) is default
    assert table.lookup(int(IPv6Address("2001:db8::1"))) is everything
    assert table.remove(0, 0) and table.lookup(f.addr("10.0.0.1")) is None


@pytest.mark.parametrize("src", ["10.0.0.1", "10.0.0.7"])
def test_checksums_begin_with_the_routes_sum(src):
    """A route stores the sum for its own source address. For any other source the sum is calculated."""
    dst = Dst(None, f.addr("192.0.2.1"), f.addr("10.0.0.1"), 1500, C.DST_UNICAST, 0)
    dst.pseudo = address.addr_sum(dst.src, dst.addr)
    for proto, length in ((6, 20), (17, 65535), (17, 70000)):
        want = checksum.pseudo_sum(f.addr(src), dst.addr, proto, length)
        assert transport_sum(dst, f.addr(src), dst.addr, proto, length) == want
    assert want == f.ones(f.pseudo(src, "192.0.2.1", 17, 70000 & 0xFFFF) + (70000).to_bytes(4, "big")[:2])


def test_ipv6_is_refused_where_an_address_is_given():
    """No layer speaks IPv6 yet. A call must not use the last 32 bits of such an address as an IPv4 address."""
    stack = Stack(1)
    iface = stack.add_iface("eth0", C.LINK_ETHERNET, 1, 1500)
    stack.add_addr(iface, 0x0A000001, 24)
    stack.add_route(0, 0, 0x0A000002)
    other = int(IPv6Address("2001:db8::a00:1"))
    for call in (
        lambda: stack.add_addr(iface, other, 64),
        lambda: stack.add_route(other, 128, 0, iface),
        lambda: stack.add_route(0x0B000000, 8, other, iface),
        lambda: stack.add_neighbor(iface, other, 2),
    ):
        with pytest.raises(ValueError, match="not an IPv4 address"):
            call()
    sock, tcb = udp.udp_open(stack, 0), user.tcp_open(stack, 0)
    for call, error in (
        (lambda: udp.bind(sock, other, 53, 0), errno.EADDRNOTAVAIL),
        (lambda: udp.sendto(sock, b"x", other, 53, 0, 0), errno.ENETUNREACH),
        (lambda: udp.connect(sock, other, 53, 0), errno.ENETUNREACH),
        (lambda: user.bind(tcb, other, 80, 0), errno.EADDRNOTAVAIL),
        (lambda: user.connect(tcb, other, 80, 0), errno.ENETUNREACH),
    ):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == error
    tcb.freebind = True
    with pytest.raises(OSError) as caught:
        user.bind(tcb, other, 80, 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert stack.poll_transmit(0) is None
    assert udp.sendto(sock, b"x", 0x0A000002, 53, 0, 0) == 1  # control
