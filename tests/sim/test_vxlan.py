"""VXLAN between two bridges: hosts of one segment in two places, and what a VTEP refuses."""

import pytest

from pystack.addresses import parse_addr
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, spawn, stream
from pystack_c.link.vxlan import Vtep, entropy
from tests import frames as f

FRAME = f.ether(f.ipv4("10.9.0.1", "10.9.0.2", 17, bytes(20)))
REMOTE = parse_addr("192.0.2.2")


def two_places(mtu=1550, inner=1500, **options):
    """Hosts a1 and a2 on bridge br1, b1 on br2, and a routed network with an MTU of 1550 between the VTEPs v1 and v2."""
    net = Network(1)
    v1, router, v2 = net.host("v1"), net.router("router"), net.host("v2")
    net.link(v1, router, addrs=("192.0.2.1/30", "192.0.2.2/30"), mtu=mtu, delay=5 * MS)
    net.link(router, v2, addrs=("198.51.100.2/30", "198.51.100.1/30"), mtu=mtu, delay=5 * MS)
    v1.route("default", via="192.0.2.2")
    v2.route("default", via="198.51.100.2")
    hosts, bridges = [net.host(name) for name in ("a1", "a2", "b1")], [net.bridge("br1"), net.bridge("br2")]
    for number, (host, bridge) in enumerate(zip(hosts, (*bridges[:1] * 2, bridges[1]), strict=True)):
        net.link(host, bridge, mtu=inner, addrs=(f"10.9.0.{number + 1}/24", None))
    ends = [
        bridges[0].vxlan(v1, 42, ["198.51.100.1"], **options),
        bridges[1].vxlan(v2, 42, ["192.0.2.1"], **options),
    ]
    return net, hosts, bridges, ends


def send(net, a, b, address, size=1000):
    """Send bytes over TCP. Returns those that arrived within 10 s."""

    def take():
        listener = stream(b)
        listener.bind("", 80)
        listener.listen()
        sock = yield listener.accept()
        return (yield sock.recv_all())

    def put():
        sock = stream(a)
        try:
            yield sock.connect(address, 80)
        except OSError:
            return
        yield sock.sendall(bytes(size))
        sock.close()

    server = spawn(net, take())
    spawn(net, put())
    net.run(net.now + 10 * S)
    return server.value if server.finished() else None


def test_two_places_are_one_segment():
    net, (a1, a2, b1), bridges, ends = two_places()
    assert send(net, a1, b1, "10.9.0.3", 100_000) == bytes(100_000)
    # The addresses of the other place are behind the tunnel, and the VTEP has learned behind which one.
    assert "02:50:59:00:00:07 dev vxlan42 master br1" in bridges[0].fdb_show()
    assert ends[0].fdb_show().splitlines() == [
        "00:00:00:00:00:00 dev vxlan42 dst 198.51.100.1 self permanent",
        "02:50:59:00:00:07 dev vxlan42 dst 198.51.100.1 self",
    ]
    # TTL 64: no router is between the hosts.
    seen = []
    b1.ports[0].taps.append(lambda time, way, frame: seen.append(frame[22]))
    datagram(a2).sendto(b"x", "10.9.0.3", 9)
    net.run(net.now + S)
    assert 64 in seen and not ends[0].vtep.drops and not ends[1].vtep.drops


def test_a_tunnel_needs_50_bytes_of_the_mtu():
    """RFC 7348 4.3: the datagrams are not fragmented. With 1500 bytes below, hosts must not use 1500 bytes themselves."""
    net, (a1, _, b1), _, ends = two_places(mtu=1500)
    assert send(net, a1, b1, "10.9.0.3", 100_000) is None
    assert ends[0].vtep.drops["too-big"] > 0
    net, (a1, _, b1), _, ends = two_places(mtu=1500, inner=1450)
    assert send(net, a1, b1, "10.9.0.3", 100_000) == bytes(100_000) and not ends[0].vtep.drops


def test_two_segments_do_not_meet():
    net, (a1, _, b1), bridges, ends = two_places()
    ends[1].vtep.vni = 43
    assert send(net, a1, b1, "10.9.0.3") is None
    assert ends[1].vtep.drops["other-vni"] > 0


def test_a_multicast_group_floods_to_all_vteps():
    net = Network(1)
    switch = net.switch("s")
    vteps, hosts = [], []
    for number in range(3):
        vtep, host, bridge = net.host(f"v{number}"), net.host(f"h{number}"), net.bridge(f"br{number}")
        net.link(vtep, switch, mtu=1550, addrs=(f"192.0.2.{number + 1}/24", None))
        net.link(host, bridge, addrs=(f"10.9.0.{number + 1}/24", None))
        vteps.append(bridge.vxlan(vtep, 7, ["239.1.1.1"], local=f"192.0.2.{number + 1}"))
        hosts.append(host)
    assert send(net, hosts[0], hosts[2], "10.9.0.3") == bytes(1000)
    # The ARP request was a multicast, which the third VTEP got, too. The rest went to one VTEP.
    assert len(vteps[0].vtep.fdb.entries) == 1 and len(vteps[1].vtep.fdb.entries) == 1


def test_without_learning_everything_is_flooded():
    net, (a1, _, b1), _, ends = two_places(learning=False)
    assert send(net, a1, b1, "10.9.0.3") == bytes(1000)
    assert ends[0].vtep.fdb.entries == {}


def test_a_tunnel_works_again_after_a_boot():
    net, (a1, _, b1), _, ends = two_places()
    ends[1].host.crash()
    ends[1].host.boot()
    assert send(net, a1, b1, "10.9.0.3") == bytes(1000)


def test_the_header_is_that_of_the_rfc():
    vtep = Vtep(0xABCDEF, (REMOTE,))
    assert vtep.header == bytes.fromhex("08000000abcdef00")
    assert vtep.receivers(FRAME, 0) == [REMOTE]
    assert vtep.unwrap(vtep.header + FRAME, REMOTE, 0) == (FRAME, "")
    # RFC 7348 5: what is reserved is ignored.
    assert vtep.unwrap(bytes.fromhex("ffffffffabcdefff") + FRAME, REMOTE, 0) == (FRAME, "")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "truncated"),
        (bytes(7), "truncated"),
        (bytes(8) + FRAME, "no-vni"),
        (bytes.fromhex("0800000000000100") + FRAME, "other-vni"),
        (bytes.fromhex("0800000000000500") + FRAME[:13], "truncated"),
        (bytes.fromhex("0800000000000500") + FRAME[:12] + b"\x81\x00\x00\x05" + FRAME[12:], "tagged"),
        (bytes.fromhex("0800000000000500") + FRAME[:6] + b"\xff" * 6 + FRAME[12:], "source"),
    ],
)
def test_what_a_vtep_refuses_is_a_counted_drop(data, name):
    vtep = Vtep(5, (REMOTE,))
    frame, why = vtep.unwrap(data, REMOTE, 0)
    assert frame == b"" and why and vtep.drops == {name: 1} and not vtep.fdb.entries


def test_a_frame_that_no_vtep_gets_is_counted():
    vtep = Vtep(5)
    assert vtep.receivers(FRAME, 0) == [] == vtep.receivers(b"x", 0)
    assert vtep.receivers(FRAME[:12] + b"\x81\x00\x00\x05" + FRAME[12:], 0) == []
    assert vtep.drops == {"no-remote": 1, "truncated": 1, "tagged": 1}
    passing = Vtep(5, (REMOTE,), tags=True)
    assert passing.receivers(FRAME[:12] + b"\x81\x00\x00\x05" + FRAME[12:], 0) == [REMOTE]


def test_the_table_of_a_vtep_is_bounded():
    vtep = Vtep(5, (REMOTE,), limit=10)
    for number in range(100):
        vtep.unwrap(vtep.header + FRAME[:6] + bytes((2, 0, 0, 0, 0, number)) + FRAME[12:], number, number)
    assert len(vtep.fdb.entries) == 10 and vtep.fdb.refused == 90
    with pytest.raises(ValueError, match="not to 257"):
        Vtep(5, (REMOTE,) * 257)


@pytest.mark.parametrize("vni", [-1, 1 << 24, True, "5"])
def test_a_vni_has_24_bits(vni):
    with pytest.raises(ValueError, match="is not in 0..16777215"):
        Vtep(vni)


def test_a_program_that_has_a_source_port_of_the_tunnel_is_no_error():
    """The 64 source ports are among those that programs get, too."""
    net, (a, _, b), _, _ = two_places()
    v1 = net.hosts["v1"]
    for number in range(64):
        datagram(v1).bind("192.0.2.1", 49_152 + number)
    assert send(net, a, b, "10.9.0.3") == bytes(1000)


def test_a_host_has_one_tunnel_at_a_port():
    net, _, (left, _), _ = two_places()
    v1 = net.hosts["v1"]
    with pytest.raises(ValueError, match="the tunnel vxlan42 of v1 has the UDP port 4789: give another port="):
        left.vxlan(v1, 43, ["198.51.100.1"])
    second = left.vxlan(v1, 43, "198.51.100.1", port=4790)
    assert "dst 198.51.100.1 self permanent" in second.fdb_show()


def test_flows_have_different_source_ports():
    found = {}
    for port in range(64):
        frame = f.ether(f.ipv4("10.9.0.1", "10.9.0.2", 17, port.to_bytes(2, "big") + bytes(18)))
        found[entropy(frame)] = True
        assert 0 <= entropy(frame) < 64
    assert len(found) > 40 and entropy(b"") == 0
