"""Direct return at one balancer: the frames that leave, and the packets that cannot."""

import pytest

import pystack_c.const as C
from tests import frames as f
from tests.pystack_c.test_forward import FAR_MAC, router
from tests.support.peer import PEER_MAC, STACK_MAC, ip_packet

VIP = "10.0.0.1"  # the router's own address


def balancer(mtu=1500, servers=("192.0.2.2",), **settings):
    peer = router(mtu, **settings)
    stack = peer.stack
    stack.add_service(f.addr(VIP), 80, C.IPPROTO_TCP, "round-robin", True)
    for server in servers:
        stack.set_server(f.addr(VIP), 80, C.IPPROTO_TCP, f.addr(server), 80)
    return peer


def syn(port=1024, **fields):
    payload = fields.pop("payload", b"")
    segment = f.tcp("10.0.0.2", port, VIP, 80, C.SYN, 1, 0, payload)
    return ip_packet("10.0.0.2", VIP, C.IPPROTO_TCP, segment, **{"ttl": 64, "df": True, **fields})


def test_only_the_mac_address_and_the_ttl_change():
    peer = balancer()
    assert peer.addr == f.addr(VIP)
    packet = syn()
    [out] = peer.packet(packet)
    assert (out.iface, out.eth_dst) == ("eth1", FAR_MAC)
    assert out.ip.ttl == 63 and out.ip.csum_ok and out.packet[12:] == packet[12:]
    assert peer.drops == {}


def test_another_port_is_not_of_the_service():
    peer = balancer()
    segment = f.tcp("10.0.0.2", 1024, VIP, 81, C.SYN, 1, 0)
    [reset] = peer.packet(ip_packet("10.0.0.2", VIP, C.IPPROTO_TCP, segment, ttl=64))
    assert reset.iface != "eth1"


@pytest.mark.parametrize(
    "made, packet, drop",
    [
        ({}, {"ttl": 1}, "forward-ttl"),
        ({"mtu": 600}, {"payload": bytes(1000)}, "forward-too-big"),
        ({"servers": ()}, {}, "balance-no-server"),
        ({"servers": ("203.0.113.7",)}, {}, "balance-not-direct"),
    ],
)
def test_what_goes_no_further(made, packet, drop):
    peer = balancer(**made)
    outs = peer.packet(syn(**packet))
    assert peer.drops == {drop: 1}
    assert [out.iface for out in outs] == (["eth0"] if drop.startswith("forward") else [])  # an ICMP error


def test_a_large_packet_without_df_is_fragmented():
    peer = balancer(600)
    outs = peer.packet(syn(payload=bytes(1000), df=False))
    assert len(outs) == 2 and all(out.eth_dst == FAR_MAC for out in outs)


@pytest.mark.parametrize("data, drop", [(bytes(3000), {}), (b"", {"forward-bad-gso": 1})])
def test_an_offloaded_group(data, drop):
    """It is cut into segments. A group that is no whole TCP header is dropped."""
    peer = balancer()
    group = f.tcp("10.0.0.2", 1024, VIP, 80, C.ACK, 1, 9, data, partial=True) if data else b"\4\0\0\x50" + bytes(20)
    group = group if data else group[:12] + b"\xf0" + group[13:]  # a header of 60 bytes
    frame = f.ether(ip_packet("10.0.0.2", VIP, C.IPPROTO_TCP, group, df=True), 0x0800, PEER_MAC, STACK_MAC)
    peer.stack.receive(peer.iface, frame, 0, 0, C.RX_CSUM_OK, 1000)
    outs = peer.drain()
    assert [(out.eth_dst, len(out.l4)) for out in outs] == ([(FAR_MAC, 1020)] * 3 if data else [])
    assert peer.drops == drop


def test_a_server_that_goes_away_loses_nothing_and_gets_nothing_new():
    peer = balancer()
    peer.packet(syn(1024))
    peer.stack.del_server(f.addr(VIP), 80, C.IPPROTO_TCP, f.addr("192.0.2.2"), 80)
    [out] = peer.packet(syn(1024))
    assert out.eth_dst == FAR_MAC
    assert peer.packet(syn(1025)) == [] and peer.drops == {"balance-no-server": 1}


def test_mistakes():
    stack = balancer().stack
    with pytest.raises(ValueError, match="there is no service"):
        stack.set_server(f.addr(VIP), 81, C.IPPROTO_TCP, f.addr("192.0.2.2"), 81)
    with pytest.raises(ValueError, match="has no such server"):
        stack.del_server(f.addr(VIP), 80, C.IPPROTO_TCP, f.addr("192.0.2.9"), 80)
    with pytest.raises(ValueError, match="a port of TCP or UDP"):
        stack.add_service(f.addr(VIP), 80, C.IPPROTO_ICMP, "round-robin")
