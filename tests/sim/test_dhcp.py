"""DHCP in virtual time: hosts that get their addresses from a server, over links, relays and reboots; and hostile neighbours."""

import io

import pytest

from pystack.addresses import parse_addr
from pystack.dhcp import ClientSettings, Probing
from pystack.dhcp import message as m
from pystack.dhcp.actions import S
from pystack.dhcp.check import FIRST
from pystack.dhcp.packets import ETH_P_IP, write_arp, write_udp
from pystack.sim import MS, Network
from pystack.trace.replay import Replay
from pystack_c.probe import ListProbe

QUICK = ClientSettings(probing=Probing(count=0))


def lan(clients=1, seed=1, dhcp=QUICK, record=None, **options):
    """A switch with a server at 10.0.0.1 and clients. Returns the network, the server's agent, and the clients."""
    net = Network(seed)
    if record is not None:
        net.record(record)
    switch = net.switch("lan")
    server = net.host("server")
    net.link(server, switch, delay=5 * MS, addrs=("10.0.0.1/24", None))
    hosts = [net.host(f"c{number}", dhcp=dhcp) for number in range(clients)]
    for host in hosts:
        net.link(host, switch, delay=5 * MS)
    agent = net.dhcp_server(server, **{"routers": "10.0.0.1", "lease": 600, **options})
    return net, agent, hosts


def states(host):
    """The states that a host's client entered."""
    return [note.fields["new"] for note in host.agents[0].notes if note.kind == "dhcp.state"]


def test_an_address_takes_two_round_trips_and_then_works():
    net, _, (host,) = lan()
    net.run_until(lambda: host.agents and host.agents[0].lease, limit=1 * S)
    assert (
        net.now == 2 * 20 * MS
        and host.addresses() == ["10.0.0.2"]
        and states(host) == ["SELECTING", "REQUESTING", "BOUND"]
    )
    assert host.stack.routes.lookup(parse_addr("8.8.8.8")).gateway == parse_addr("10.0.0.1")
    assert host.counters.drops == {
        "ip-not-for-us": 2
    }  # the stack does not know yet that the OFFER and the ACK are for it


def test_the_probes_of_rfc_5227_take_four_to_seven_seconds():
    for seed in (1, 2):
        net, _, (host,) = lan(dhcp=True, seed=seed)
        net.run_until(lambda: host.agents and host.agents[0].lease, limit=10 * S)  # noqa: B023
        assert 4 * S <= net.now - 40 * MS <= 7 * S


def test_fifty_hosts_get_fifty_addresses_and_keep_them_for_a_day():
    net, server, hosts = lan(50, lease=3600)
    net.run(86_400 * S)
    addresses = {host.addresses()[0] for host in hosts}
    assert len(addresses) == 50 and addresses == set(server.machine.leases(net.now))
    assert all(set(states(host)[3:]) <= {"RENEWING", "BOUND"} for host in hosts)
    assert not any(name.startswith("dhcp") for host in hosts for name in host.counters.drops if name != "dhcp-not-ours")


def test_the_server_dies_and_comes_back():
    net, server, (host,) = lan()
    net.run(100 * S)
    server.host.crash()
    net.run(700 * S)  # the lease of 600 s is over
    assert states(host)[3:6] == ["RENEWING", "REBINDING", "INIT"]
    assert host.agents[0].lease.addr >> 16 == 0xA9FE and host.addresses()[0].startswith("169.254.")
    server.host.boot()
    net.run(900 * S)
    assert host.addresses() == ["10.0.0.2"] and states(host)[-1] == "BOUND"


def test_a_client_that_boots_asks_again_and_gets_the_same_address():
    net, server, hosts = lan(2)
    net.run(10 * S)
    before = [host.addresses() for host in hosts]
    hosts[1].crash()
    net.run(20 * S)
    hosts[1].boot()
    net.run(30 * S)
    assert [host.addresses() for host in hosts] == before and len(hosts[1].agents) == 1
    hosts[1].agents[0].stop(release=True)
    net.run(31 * S)
    assert hosts[1].addresses() == ["127.0.0.1"] and list(server.machine.leases(net.now)) == before[0]


def test_another_host_has_the_address_already():
    """A host that was set up by hand answers the probe. The client declines, and gets another address."""
    net, server, (host,) = lan(dhcp=True)
    other = net.host("other")
    net.link(other, net.switches["lan"], delay=5 * MS, addrs=("10.0.0.2/24", None))
    net.run(40 * S)
    types = [note.fields["type"] for note in host.agents[0].notes if note.kind == "dhcp.message"]
    assert types == ["DISCOVER", "REQUEST", "ACK", "DECLINE", "DISCOVER", "REQUEST", "ACK"]
    assert host.addresses() == ["10.0.0.3"] and list(server.machine.leases(net.now)) == ["10.0.0.3"]


def test_a_relay_in_front_of_a_router():
    """The server is behind a router, which relays. The renewal is unicast, and goes through the router as any packet."""
    net = Network(seed=1)
    server, router, host = net.host("server"), net.router("router"), net.host("client", dhcp=QUICK)
    net.link(server, router, delay=5 * MS, addrs=("10.0.0.1/24", "10.0.0.254/24"))
    net.link(host, router, delay=5 * MS, addrs=(None, "10.1.0.254/24"))
    server.route("default", via="10.0.0.254")
    agent = server.dhcp_server("10.0.0.0/24", "10.1.0.0/24", lease=100)
    for pool in agent.machine.pools:
        pool.subnet.router_addrs = []
    agent.machine.pools[1].subnet.router_addrs = [0x0A0100FE]
    relay = router.dhcp_relay("10.0.0.1", "eth1", circuit=b"eth1")
    net.run(1 * S)
    assert host.addresses() == ["10.1.0.1"] and list(agent.machine.leases(net.now)) == ["10.1.0.1"]
    passed = len(relay.notes)
    net.run(60 * S)
    assert len(relay.notes) == passed and states(host)[-2:] == ["RENEWING", "BOUND"]
    net.run(1000 * S)
    assert states(host).count("BOUND") > 10 and "REBINDING" not in states(host)


def test_two_hosts_without_a_server_talk_by_link_local_addresses():
    net = Network(seed=1)
    a, b = net.host("a", dhcp=ClientSettings(fallback=1 * S)), net.host("b", dhcp=ClientSettings(fallback=1 * S))
    net.link(a, b, delay=5 * MS)
    net.run(20 * S)
    first, second = a.addresses()[0], b.addresses()[0]
    assert first != second and first.startswith("169.254.") and second.startswith("169.254.")
    got = []

    def server():
        import socket

        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind((second, 9))
            got.append(sock.recvfrom(99))

    def client():
        import socket

        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello", (second, 9))

    pytest.importorskip("greenlet")
    net.run({b: server, a: client})
    assert got[0][0] == b"hello" and got[0][1][0] == first


def test_a_link_local_address_with_two_owners_is_defended_and_then_given_up():
    net = Network(seed=1)
    host, wire = net.host("a", dhcp=ClientSettings(fallback=1 * S)), net.wire("w")
    net.link(host, wire)
    net.run(20 * S)
    lease = host.agents[0].lease
    claim = write_arp(0x020000000099, lease.addr, lease.addr)
    frame = b"\xff" * 6 + bytes.fromhex("020000000099") + b"\x08\x06" + claim
    wire.send(frame)
    net.run(21 * S)
    assert host.agents[0].lease == lease
    wire.send(frame)
    net.run(40 * S)
    assert host.agents[0].lease != lease and host.agents[0].lease.addr >= FIRST
    assert host.addresses() != ["127.0.0.1"]


def test_a_server_that_answers_everything_with_nonsense_bounds_the_work():
    """A spoofed server on the wire: malformed messages, wrong identifiers, other clients' messages, and NAKs."""
    net = Network(seed=1)
    host, wire = net.host("a", dhcp=QUICK), net.wire("w")
    net.link(host, wire)
    net.run(1 * MS)
    mac = host.ports[0].iface.mac

    def send(data):
        packet = write_udp(0x0A000001, 0xFFFFFFFF, 67, 68, data)
        wire.send(b"\xff" * 6 + bytes(5) + b"\1" + ETH_P_IP.to_bytes(2, "big") + packet)

    for number in range(2000):
        message = m.DhcpMessage(op=2, xid=number, chaddr=mac.to_bytes(6, "big"), yiaddr=0x0A000032)
        message.options[m.MESSAGE_TYPE] = bytes((number % 9,))
        send(m.write(message)[: 200 + number % 200])
        net.run(net.now + 1 * MS)
    drops = host.counters.drops
    assert host.agents[0].machine.state == "SELECTING" and drops["dhcp-malformed"] + drops["dhcp-not-ours"] == 2000
    assert len(host.agents[0].notes) <= 256 and len(host.stack.endpoints) == 3


def test_the_run_is_the_same_each_time_and_its_recording_replays():
    def run(seed):
        out = io.BytesIO()
        out.close = lambda: None
        net, _, hosts = lan(3, seed=seed, dhcp=True, record=out)
        net.run(700 * S)
        net.close()
        return out.getvalue(), [host.addresses() for host in hosts]

    first, second, third = run(1), run(1), run(2)
    assert first == second and first[0] != third[0]
    probe = ListProbe()
    Replay(io.BytesIO(first[0]), probe=probe).run()
    assert sum(event.kind == "dhcp.state" and event.fields["new"] == "BOUND" for event in probe.events) >= 6


def test_events_reach_the_probe():
    net, server, (host,) = lan()
    host.stack.probe, server.host.stack.probe = ListProbe(), ListProbe()
    net.run(1 * S)
    found = [(e.kind, e.subject, e.rfc) for e in host.stack.probe.events if e.kind.startswith("dhcp")]
    assert ("dhcp.state", "dhcp eth0", "RFC 2131 4.4.1") in found and len(found) == 6
    assert [e.fields["type"] for e in server.host.stack.probe.events if e.kind == "dhcp.message"] == [
        "DISCOVER",
        "OFFER",
        "REQUEST",
        "ACK",
    ]


def test_a_router_serves_one_link_and_relays_for_another_on_one_port():
    """Three machines at port 67 of one host: two servers and a relay. Each takes the messages of its own link."""
    net = Network(seed=1)
    router, far = net.router("router"), net.host("far")
    hosts = [net.host(f"c{number}", dhcp=QUICK) for number in range(3)]
    net.link(far, router, addrs=("10.9.0.1/24", "10.9.0.254/24"), delay=1 * MS)
    for number, host in enumerate(hosts):
        net.link(host, router, addrs=(None, f"10.{number}.0.254/24"), delay=1 * MS)
    far.route("default", via="10.9.0.254")
    router.dhcp_server(iface="eth1", lease=100)
    router.dhcp_server(iface="eth2", lease=100)
    router.dhcp_relay("10.9.0.1", iface="eth3")
    far.dhcp_server("10.2.0.0/24", routers="10.2.0.254", lease=100)
    net.run(200 * S)
    assert [host.addresses() for host in hosts] == [["10.0.0.1"], ["10.1.0.1"], ["10.2.0.1"]]
    assert all(states(host).count("BOUND") >= 3 and "REBINDING" not in states(host) for host in hosts)
    router.agents[0].stop()  # it has the socket, which the others use
    net.run(600 * S)
    assert states(hosts[0])[-1] != "BOUND" and [host.addresses() for host in hosts[1:]] == [["10.1.0.1"], ["10.2.0.1"]]
    router.crash()
    router.boot()
    net.run(700 * S)
    assert states(hosts[0])[-1] != "BOUND" and [states(host)[-1] for host in hosts[1:]] == ["BOUND"] * 2
    assert len(router.agents) == 2


def test_inform():
    net, server, _ = lan(domain="example.org")
    other = net.host("other")
    net.link(other, net.switches["lan"], delay=5 * MS, addrs=("10.0.0.77/24", None))
    agent = other.dhcp_client(settings=ClientSettings(fallback=None))
    agent.inform("10.0.0.77")
    net.run(1 * S)
    assert agent.machine.informed[m.DOMAIN_NAME] == b"example.org"


def test_mistakes_in_the_arguments_of_servers_and_relays():
    net = Network(seed=1)
    router, other = net.router("router"), net.host("other")
    net.link(router, other)
    with pytest.raises(ValueError, match="the interface eth0 of a DHCP relay needs an address"):
        router.dhcp_relay("10.0.0.1")
    router.addr("10.5.0.1/24")
    with pytest.raises(ValueError, match="fixed: 'printer' is not a MAC address such as"):
        net.dhcp_server(router, fixed={"printer": "10.5.0.9"})
