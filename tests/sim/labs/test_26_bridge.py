"""Lab 26, the bridge: two containers on docker0 talk without a router and without translation, and only the first frame is flooded."""

from pystack.sim.network import Network, S
from pystack.sim.programs import datagram


def docker(bridge=True):
    """c1 (172.17.0.2) and c2 (172.17.0.3) on docker0, or, as a control, with a router between them."""
    net = Network(1)
    c1, c2 = net.host("c1"), net.host("c2")
    if bridge:
        middle = net.bridge("docker0", ports=(c1, c2))
        c1.addr("172.17.0.2/16")
        c2.addr("172.17.0.3/16")
        return net, c1, c2, middle
    middle = net.router("router")
    for number, host in enumerate((c1, c2), 2):
        net.link(host, middle, addrs=(f"172.17.{number}.{number}/24", f"172.17.{number}.1/24"))
        host.route("default", via=f"172.17.{number}.1")
    return net, c1, c2, middle


def arriving(net, sender, receiver, address):
    """Send two datagrams. Returns the source and the TTL of what the receiver gets."""
    found = []
    receiver.ports[0].taps.append(
        lambda time, way, frame: found.append((".".join(map(str, frame[26:30])), frame[22])) if frame[12:14] == b"\x08\0" and way == 1 else None
    )  # fmt: skip
    taker = datagram(receiver)
    taker.bind("", 9)
    for _ in range(2):
        datagram(sender).sendto(b"hello", address, 9)
        net.run(net.now + S)
    return found


def test_two_containers_talk_at_the_link_layer():
    net, c1, c2, docker0 = docker()
    assert arriving(net, c1, c2, "172.17.0.3") == [("172.17.0.2", 64)] * 2
    # The ARP request was flooded, and nothing after it. Both containers are in the table.
    assert docker0.flooded == 1
    assert sorted(line.split()[2] for line in docker0.fdb_show().splitlines()) == ["port0", "port1"]


def test_control_a_router_takes_one_of_the_ttl():
    net, c1, c2, _ = docker(bridge=False)
    assert arriving(net, c1, c2, "172.17.3.3") == [("172.17.2.2", 63)] * 2
