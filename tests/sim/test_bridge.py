"""Bridges in virtual time: learning, ageing, VLANs, static entries, loops."""

import struct

import pytest

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram
from pystack_c.link.bridge import MacRelay
from pystack_c.link.fdb import AGEING_TIME
from tests import frames as f

MACS = [bytes((2, 0, 0, 0, 0, number)) for number in range(8)]
GROUP = b"\x01\x00\x5e\x01\x02\x03"


def relay(ports=3, **options):
    bridge = MacRelay("br0", **options)
    return bridge, [bridge.add_port(f"port{number}") for number in range(ports)]


def frame(dst, src, tci=-1, data=b"data", kind=0x88B5):
    tag = b"" if tci < 0 else struct.pack(">HH", 0x8100, tci)
    return dst + src + tag + struct.pack(">H", kind) + data


def out(bridge, port, data, now=0):
    return [(to.number, sent) for to, sent in bridge.receive(port, data, now)]


def names(bridge, port, data, now=0):
    return [to.number for to, _ in bridge.receive(port, data, now)]


def test_an_unknown_destination_is_flooded_and_a_known_one_is_not():
    bridge, ports = relay()
    assert names(bridge, ports[0], frame(MACS[1], MACS[0])) == [1, 2]
    assert names(bridge, ports[1], frame(MACS[0], MACS[1])) == [0]
    assert names(bridge, ports[0], frame(MACS[1], MACS[0])) == [1]
    assert names(bridge, ports[2], frame(b"\xff" * 6, MACS[2])) == [0, 1]
    assert bridge.flooded == 2
    assert bridge.fdb_show(0).splitlines()[1] == "02:00:00:00:00:01 dev port1 master br0"


def test_an_address_behind_the_same_port_is_filtered():
    bridge, ports = relay()
    bridge.receive(ports[0], frame(MACS[1], MACS[0]), 0)
    assert names(bridge, ports[0], frame(MACS[0], MACS[1])) == [] and bridge.drops == {"same-port": 1}
    ports[0].hairpin = True
    assert names(bridge, ports[0], frame(MACS[0], MACS[1])) == [0]


def test_an_address_ages_after_the_ageing_time_and_not_before():
    bridge, ports = relay()
    bridge.receive(ports[1], frame(MACS[0], MACS[1]), 0)
    assert names(bridge, ports[0], frame(MACS[1], MACS[0]), AGEING_TIME) == [1]
    assert names(bridge, ports[0], frame(MACS[1], MACS[0]), AGEING_TIME + 1) == [1, 2]
    assert "02:00:00:00:00:01" not in bridge.fdb_show(AGEING_TIME + 1)


def test_a_static_entry_neither_moves_nor_ages():
    bridge, ports = relay()
    bridge.fdb.set_static(MACS[1], ports[1])
    bridge.receive(ports[2], frame(MACS[0], MACS[1]), 0)
    assert names(bridge, ports[0], frame(MACS[1], MACS[0]), 10 * AGEING_TIME) == [1]
    assert bridge.fdb_show(0).splitlines()[0] == "02:00:00:00:00:01 dev port1 master br0 static"
    assert bridge.fdb.remove(MACS[1]) and not bridge.fdb.remove(MACS[1])


def test_a_full_table_learns_nothing_new_and_still_forwards():
    bridge, ports = relay(fdb_max_learned=2)
    for number in (0, 1, 2):
        bridge.receive(ports[number], frame(GROUP, MACS[number]), 0)
    assert bridge.fdb.refused == 1
    assert names(bridge, ports[0], frame(MACS[2], MACS[0])) == [1, 2]
    assert names(bridge, ports[0], frame(MACS[1], MACS[0])) == [1]


def test_the_flags_of_a_port_decide_about_flooding():
    bridge, ports = relay(4)
    ports[1].flood = ports[2].mcast_flood = ports[3].bcast_flood = False
    assert names(bridge, ports[0], frame(MACS[7], MACS[0])) == [2, 3]
    assert names(bridge, ports[0], frame(GROUP, MACS[0])) == [1, 3]
    assert names(bridge, ports[0], frame(b"\xff" * 6, MACS[0])) == [1, 2]


def test_isolated_ports_reach_only_the_others():
    bridge, ports = relay()
    ports[0].isolated = ports[1].isolated = True
    assert names(bridge, ports[0], frame(GROUP, MACS[0])) == [2]
    assert names(bridge, ports[2], frame(GROUP, MACS[2])) == [0, 1]


def test_a_port_without_learning_is_flooded():
    bridge, ports = relay()
    ports[0].learning = False
    bridge.receive(ports[0], frame(GROUP, MACS[0]), 0)
    assert names(bridge, ports[1], frame(MACS[0], MACS[1])) == [0, 2]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x" * 13, "runt"),
        (frame(MACS[1], GROUP), "source"),
        (frame(MACS[1], bytes(6)), "source"),
        (frame(bytes.fromhex("0180c2000001"), MACS[0]), "reserved"),
        (frame(bytes.fromhex("0180c200000e"), MACS[0]), "reserved"),
    ],
)
def test_what_no_bridge_forwards_is_a_counted_drop(data, reason):
    bridge, ports = relay()
    assert names(bridge, ports[0], data) == [] and bridge.drops == {reason: 1}


def test_reserved_addresses_may_be_forwarded_by_setting():
    bridge, ports = relay(group_fwd_mask=1 << 14)
    assert names(bridge, ports[0], frame(bytes.fromhex("0180c200000e"), MACS[0])) == [1, 2]
    assert names(bridge, ports[0], frame(bytes.fromhex("0180c2000002"), MACS[0])) == []


def test_a_disabled_port_neither_receives_nor_sends():
    bridge, ports = relay()
    bridge.receive(ports[1], frame(GROUP, MACS[1]), 0)
    bridge.disable(ports[1])
    assert names(bridge, ports[1], frame(GROUP, MACS[1])) == []
    assert names(bridge, ports[0], frame(MACS[1], MACS[0])) == [2]
    bridge.enable(ports[1])
    assert names(bridge, ports[0], frame(MACS[1], MACS[0])) == [1, 2]


# -- VLANs ---------------------------------------------------------------------------------------------------------------


def vlans():
    """Port 0: access 10. Port 1: access 20. Port 2: trunk 10 and 20. Port 3: trunk 10, native 20."""
    bridge, ports = relay(4, vlan_filtering=True, loop_guard=False)
    ports[0].access(10)
    ports[1].access(20)
    ports[2].trunk(10, 20)
    ports[3].trunk(10, native=20)
    return bridge, ports


def test_access_ports_have_no_tags_and_trunks_have_them():
    bridge, ports = vlans()
    plain = frame(GROUP, MACS[0])
    assert out(bridge, ports[0], plain) == [(2, frame(GROUP, MACS[0], 10)), (3, frame(GROUP, MACS[0], 10))]
    assert out(bridge, ports[1], frame(GROUP, MACS[1])) == [
        (2, frame(GROUP, MACS[1], 20)),
        (3, frame(GROUP, MACS[1])),
    ]
    assert out(bridge, ports[3], frame(GROUP, MACS[3])) == [
        (1, frame(GROUP, MACS[3])),
        (2, frame(GROUP, MACS[3], 20)),
    ]


def test_a_priority_stays_and_a_tag_with_only_a_priority_gets_the_pvid():
    bridge, ports = vlans()
    assert out(bridge, ports[2], frame(GROUP, MACS[2], 0xA000 | 10)) == [
        (0, frame(GROUP, MACS[2])),
        (3, frame(GROUP, MACS[2], 0xA000 | 10)),
    ]
    assert out(bridge, ports[0], frame(GROUP, MACS[0], 0x6000))[0] == (2, frame(GROUP, MACS[0], 0x6000 | 10))


def test_filtering_at_the_entrance_and_at_the_exit():
    bridge, ports = vlans()
    assert names(bridge, ports[0], frame(GROUP, MACS[0], 20)) == []
    assert names(bridge, ports[2], frame(GROUP, MACS[2])) == []
    assert bridge.drops == {"vlan-ingress": 2}
    # What was refused was not learned.
    assert bridge.fdb_show(0) == ""
    bridge.fdb.set_static(MACS[6], ports[1], 10)
    assert names(bridge, ports[0], frame(MACS[6], MACS[0])) == [] and bridge.drops["vlan-egress"] == 1


def test_each_vlan_has_addresses_of_its_own():
    bridge, ports = vlans()
    bridge.receive(ports[0], frame(GROUP, MACS[5]), 0)
    bridge.receive(ports[1], frame(GROUP, MACS[5]), 0)
    assert names(bridge, ports[2], frame(MACS[5], MACS[2], 10)) == [0]
    assert names(bridge, ports[2], frame(MACS[5], MACS[2], 20)) == [1]
    assert bridge.fdb_show(0).splitlines()[:2] == [
        "02:00:00:00:00:05 dev port0 vlan 10 master br0",
        "02:00:00:00:00:05 dev port1 vlan 20 master br0",
    ]
    assert bridge.vlan_show().splitlines()[-2:] == ["port3  10", "       20 PVID Egress Untagged"]


def test_without_filtering_a_tag_is_payload():
    bridge, ports = relay()
    tagged = frame(GROUP, MACS[0], 77)
    assert out(bridge, ports[0], tagged) == [(1, tagged), (2, tagged)]


@pytest.mark.parametrize("vid", [0, 4095, -1, 1.0, True, "10"])
def test_a_vlan_that_cannot_be_is_refused(vid):
    _, ports = vlans()
    with pytest.raises(ValueError, match="is not in 1..4094"):
        ports[0].vlan_add(vid)


def test_the_error_shows_what_was_given():
    _, ports = vlans()
    with pytest.raises(ValueError, match="the VLAN '10' is not in"):
        ports[0].vlan_add("10")
    with pytest.raises(KeyError, match="lonely has no interface yet: a link"):
        Network(1).host("lonely").vlan(10)


# -- hosts ---------------------------------------------------------------------------------------------------------------


def talk(net, sender, receiver, address, data=b"hello"):
    """Send a datagram, and return what the receiver got within a second."""
    sock = datagram(receiver)
    sock.bind("", 9)
    datagram(sender).sendto(data, address, 9)
    net.run(net.now + S)
    got = sock.recvfrom_now() if hasattr(sock, "recvfrom_now") else receiver_data(sock)
    sock.close()
    return got


def receiver_data(sock):
    from pystack_c.sockets import udp

    found = udp.recvfrom(sock.endpoint, 0, 0)
    return None if found is None else bytes(found.data)


def test_the_first_frame_is_flooded_and_the_second_is_not():
    net = Network(1)
    hosts = [net.host(name) for name in "abc"]
    bridge = net.bridge("br0", ports=hosts)
    for number, host in enumerate(hosts):
        host.addr(f"10.0.0.{number + 1}/24")
    assert talk(net, hosts[0], hosts[1], "10.0.0.2") == b"hello"
    # The ARP request was a broadcast. The reply and the datagram had known destinations.
    assert bridge.flooded == 1 and len(bridge.fdb_show().splitlines()) == 2


def test_static_entries_of_a_network_are_set_and_removed_by_text():
    net = Network()
    a, bridge = net.host("a"), net.bridge("br0")
    net.link(a, bridge)
    bridge.fdb_add("2:0:0:0:0:1f", a, 7)
    assert bridge.fdb_show() == "02:00:00:00:00:1f dev port0 vlan 7 master br0 static\n"
    with pytest.raises(KeyError, match="no entry for 02:00:00:00:00:1f"):
        bridge.fdb_del("02:00:00:00:00:1f")
    bridge.fdb_del("02:00:00:00:00:1F", 7)
    assert bridge.fdb_show() == ""
    for text in ("02:00:00:00:00", "02:00:00:00:00:001", "02:00:00:00:00:0g", "02:00:00:00:00:+1", "02:00:00:00:00:"):
        with pytest.raises(ValueError, match="is not a MAC address"):
            bridge.fdb_add(text, a)
    for text in ("01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"):
        with pytest.raises(ValueError, match=f"{text} is not a unicast address"):
            bridge.fdb_add(text, a)
    assert bridge.fdb_show() == ""


def test_wrong_values_are_refused_and_change_nothing():
    net = Network()
    a, other = net.host("a"), net.host("other")
    for wrong in ({"ageing_time": -1}, {"fdb_max_learned": -1}):
        with pytest.raises(ValueError, match="-1.* must not be negative"):
            net.bridge("br0", **wrong)
    with pytest.raises(TypeError, match="'a' is not a node: .* not names"):
        net.bridge("br0", ports=(other, "a"))
    assert net.links == {} and net.switches == {}
    bridge = net.bridge("br0", ports=(a,), vlan_filtering=True)  # (the name is free)
    bridge.trunk(a, 10, 20, native=30)
    before = bridge.vlan_show()
    for native in (0, 4095, True):
        with pytest.raises(ValueError, match=f"the VLAN {native} is not in 1..4094"):
            bridge.trunk(a, 40, native=native)
    assert bridge.vlan_show() == before and "30 PVID Egress Untagged" in before
    bridge.trunk(a, 10)
    assert "PVID" not in bridge.vlan_show()


def test_a_trunk_with_vlan_interfaces_is_a_router_on_a_stick():
    net = Network(1)
    a, b, router = net.host("a"), net.host("b"), net.router("router")
    bridge = net.bridge("br0", ports=(a, b, router), vlan_filtering=True)
    bridge.access(a, 10)
    bridge.access(b, 20)
    bridge.trunk(router, 10, 20)
    a.addr("10.0.10.2/24")
    b.addr("10.0.20.2/24")
    for vid in (10, 20):
        router.addr(f"10.0.{vid}.1/24", router.vlan(vid))
    for host, vid in ((a, 10), (b, 20)):
        host.route("default", via=f"10.0.{vid}.1")
    seen = []
    router.ports[0].taps.append(lambda time, way, data: seen.append(data[12:16].hex()))
    assert talk(net, a, b, "10.0.20.2", bytes(1472)) == bytes(1472)
    assert sorted(dict.fromkeys(seen)) == ["8100000a", "81000014"]
    assert [iface.name for iface in router.stack.ifaces] == ["lo", "eth0", "eth0.10", "eth0.20"]
    # Control: on the same bridge without the router, the VLANs do not meet.
    assert bridge.drops == {}
    router.crash()
    assert talk(net, a, b, "10.0.20.2") is None


def test_a_host_drops_frames_of_vlans_that_it_has_not():
    net = Network(1)
    host, wire = net.host("h"), net.wire("w")
    net.link(wire, host, addrs=(None, "10.0.0.1/24"))
    name = host.vlan(5)
    host.addr("10.0.5.1/24", name)
    mac = host.port().iface.mac.to_bytes(6, "big")

    def ask(tci, target):
        arp = (
            struct.pack(">HHBBH", 1, 0x800, 6, 4, 1) + MACS[1] + bytes(target[:3]) + b"\x63" + bytes(6) + bytes(target)
        )
        wire.send(frame(b"\xff" * 6, MACS[1], tci, arp, 0x806))
        before = len(wire.got)
        net.run(net.now + MS)
        return [data for _, data in wire.got[before:]]

    (answer,) = ask(5, (10, 0, 5, 1))
    assert answer[:18] == MACS[1] + mac + bytes.fromhex("810000050806")
    (plain,) = ask(0xE000, (10, 0, 0, 1))  # a priority only
    assert plain[12:14] == b"\x08\x06"
    assert ask(6, (10, 0, 0, 1)) == [] and host.stack.counters.drops["eth-no-vlan"] == 1
    wire.send(mac + MACS[1] + b"\x81\x00\x00")
    net.run(net.now + MS)
    assert host.stack.counters.drops["eth-truncated"] == 1
    host.setup("set_iface", host.port().iface, False)
    assert not host.vlans[name].up


def test_the_drawing_has_bridges_and_vlans():
    from pystack.sim.drawing import draw

    net = Network(1)
    host = net.host("h")
    net.bridge("br0", ports=(host,))
    host.addr("10.0.7.1/24", host.vlan(7))
    text = draw(net)
    assert "  eth0.7  10.0.7.1/24" in text and "br0  (bridge)" in text


def test_a_host_has_its_vlans_again_after_a_boot():
    net = Network(1)
    a, b = net.host("a"), net.host("b")
    net.link(a, b)
    for number, host in enumerate((a, b)):
        host.addr(f"10.0.7.{number + 1}/24", host.vlan(7))
    a.crash()
    a.boot()
    assert talk(net, a, b, "10.0.7.2") == b"hello"


# -- loops ---------------------------------------------------------------------------------------------------------------


def ring(bridges, links=1):
    """Hosts a and b at two ends of bridges in a ring, or beside each other with several links."""
    net = Network(1)
    a, b = net.host("a"), net.host("b")
    made = [
        net.bridge(f"br{number}") if bridges[number] else net.switch(f"sw{number}") for number in range(len(bridges))
    ]
    net.link(a, made[0], addrs=("10.0.0.1/24", None))
    net.link(b, made[-1], addrs=("10.0.0.2/24", None))
    pairs = (
        [(made[number - 1], made[number]) for number in range(len(made))] if len(made) > 2 else [tuple(made)] * links
    )
    for pair in pairs:
        net.link(*pair)
    return net, a, b, made


@pytest.mark.parametrize(
    ("bridges", "links"), [((1, 1), 2), ((1, 1), 5), ((1, 1, 1), 1), ((0, 0, 0, 0), 1), ((0, 0), 3)]
)
def test_a_loop_costs_a_bounded_number_of_frames_and_is_noticed(bridges, links):
    net, a, b, made = ring(bridges, links)
    assert talk(net, a, b, "10.0.0.2") == b"hello"
    returned = sum(node.guard.returned if not bridges[0] else node.relay.guard.returned for node in made)
    assert returned >= 2
    # Without the guard, this number has no bound: links have no delay here, so no time would pass.
    assert net.steps < 200


def test_control_without_the_guard_the_frames_never_end():
    net = Network(1)
    a = net.host("a")
    bridges = [net.bridge(name, loop_guard=False) for name in "xy"]
    net.link(a, bridges[0], addrs=("10.0.0.1/24", None))
    for _ in range(3):
        net.link(*bridges, delay=MS)
    datagram(a).sendto(b"x", "10.0.0.2", 9)
    counts = []
    for time in (5, 10, 15):
        net.run(time * MS)
        counts.append(bridges[1].flooded)
    # Each copy makes two, so the number doubles with each millisecond.
    assert counts[1] > 16 * counts[0] and counts[2] > 16 * counts[1]


def test_a_loop_is_reported_with_its_port_and_address():
    net, a, b, made = ring((1, 1), 2)
    events = []
    for bridge in made:
        bridge._tell = lambda *event: events.append(event)
    net.frame_probe = type("P", (), {"flush": lambda self: None})()
    datagram(a).sendto(b"x", "10.0.0.2", 9)
    net.run(MS)
    loops = [event for event in events if event[1] == "bridge" and event[5]["action"] == "loop"]
    assert loops and loops[0][5]["mac"] == "02:50:59:00:00:01"
    assert [event[5]["name"] for event in events if event[1] == "drop"] == ["bridge-loop"] * len(loops)


def test_an_address_that_flaps_is_reported_once_a_second():
    bridge, ports = relay()
    told = []
    bridge.report = lambda *event: told.append((event[0], event[5].get("action")))
    for number in range(8):
        bridge.receive(ports[number % 2], frame(MACS[7], MACS[0], data=bytes((number,))), number)
    flaps = [event for event in told if event[1] == "flap"]
    assert flaps == [(5, "flap")] and bridge.guard.flapping == 1
    for number in range(8):
        bridge.receive(ports[number % 2], frame(MACS[7], MACS[1], data=bytes((number,))), number * S)
    assert bridge.guard.flapping == 1  # a host that moves once a second is no loop


def test_hosts_that_send_the_same_bytes_again_are_no_loop():
    bridge, ports = relay()
    for now in (0, 1, S // 2, S):
        assert names(bridge, ports[0], frame(GROUP, MACS[0]), now) == [1, 2]
    # A host that moved sends its announcement again.
    assert names(bridge, ports[1], frame(GROUP, MACS[0]), 2 * S + 1) == [0, 2]


def test_a_recording_has_what_the_bridge_decided():
    import io

    from pystack.stepper.timeline import Timeline

    class Kept(io.BytesIO):
        def close(self):
            self.kept = self.getvalue()

    file = Kept()
    with Network(1) as net:
        net.record(file)
        hosts = [net.host(name) for name in "ab"]
        net.bridge("br0", ports=hosts)
        for number, host in enumerate(hosts):
            host.addr(f"10.0.0.{number + 1}/24")
        talk(net, hosts[0], hosts[1], "10.0.0.2")
    timeline = Timeline.of(file.kept, "bridge")
    told = [(entry.fields["action"], entry.fields["mac"]) for entry in timeline.events if entry.kind == "bridge"]
    assert ("flood", "ff:ff:ff:ff:ff:ff") in told and ("learn", "02:50:59:00:00:01") in told
    assert ("forward", "02:50:59:00:00:01") in told
    # The bridge is a lane of the stepper, and each frame that leaves it has a reason.
    sent = [frame for frame in timeline.frames if frame.host == "br0"]
    assert timeline.boxes == ["br0"] and len(sent) == 3
    assert all(frame.why and frame.to in ("a", "b") for frame in sent)


def test_frames_of_arp_are_whole():
    """The helper of this file makes what tests.frames makes."""
    packet = f.ipv4("10.0.0.1", "10.0.0.2", 17, b"")
    assert f.ether(packet, dst=0x020000000001, src=0x020000000000) == frame(MACS[1], MACS[0], -1, packet, 0x800)
