"""Lab 4: ARP: what a first packet costs, an absent address, a small queue, an address that moves."""

import errno

import pytest

from pystack.addresses import parse_addr
from pystack.phy.match import is_arp
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, sleep, spawn
from pystack.testing.routed import ping
from pystack_c.config import Config
from pystack_c.link import arp

VIP = "10.0.0.100"


def lan(names="ab", **settings):
    """Hosts on a switch with 1 ms from any to any other."""
    net = Network(1)
    switch = net.switch("s")
    hosts = []
    for number, name in enumerate(names):
        host = net.host(name, **settings)
        net.link(host, switch, delay=MS // 2, addrs=(f"10.0.0.{number + 1}/24", None))
        hosts.append(host)
    return net, hosts


def run(net, program, limit=100 * S):
    proc = spawn(net, program)
    net.run_until(proc.finished, limit=net.now + limit)
    return proc.value


def test_the_first_ping_costs_a_round_trip_more():
    net, (a, b) = lan()
    times = [run(net, ping(a, "10.0.0.2", number))[0] for number in range(2)]
    assert times == [4 * MS, 2 * MS]
    net, (a, b) = lan()
    net.introduce()  # the control
    assert run(net, ping(a, "10.0.0.2"))[0] == 2 * MS


def test_absent_address():
    net, (a, b) = lan()
    asked = []
    a.port().taps.append(lambda time, direction, frame: asked.append(time) if is_arp(frame) else None)
    sock = datagram(a)
    sock.connect("10.0.0.77", 9)
    sock.sendto(b"x")

    def wait():
        with pytest.raises(OSError) as caught:
            yield sock.recvfrom()
        return caught.value.errno, net.now

    assert run(net, wait()) == (errno.EHOSTUNREACH, 3 * S)
    assert asked == [0, S, 2 * S]


@pytest.mark.parametrize("length", [3, 10])
def test_ten_packets_wait_in_a_queue_of_fewer(length):
    net, (a, b) = lan(neigh_queue_len=length)
    taker = datagram(b)
    taker.bind("", 9)
    sock = datagram(a)
    for number in range(10):
        sock.sendto(bytes([number]), "10.0.0.2", 9)
    net.run(until=S)
    got = [item.data[0] for item in taker.endpoint.queue]
    assert got == list(range(10))[-length:]


def moved(gratuitous: bool):
    """VIP goes from b to c at 5 s while a sends every 100 ms for a minute: the packets that c gets, by their time."""
    net, (a, b, c) = lan("abc")
    b.addr(VIP + "/24")
    taker = datagram(c)
    taker.bind("", 9)
    sock = datagram(a)

    def send():
        for number in range(600):
            sock.sendto(number.to_bytes(2, "big"), VIP, 9)
            yield sleep(100 * MS)

    def move():
        b.setup("del_addr", b.port().iface, parse_addr(VIP))
        c.addr(VIP + "/24")
        if gratuitous:
            arp.announce(c.stack, c.port().iface, parse_addr(VIP))
            c.pump()

    spawn(net, send())
    net.at(5 * S, move)
    net.run(until=61 * S)
    return [int.from_bytes(item.data, "big") * 100 * MS for item in taker.endpoint.queue]


def test_gratuitous_arp_moves_an_address_at_once():
    assert moved(gratuitous=True) == [n * 100 * MS for n in range(51, 600)]


def test_control_without_it_the_entry_must_go_stale_and_its_probes_fail():
    first = moved(gratuitous=False)[0]
    config = Config()
    stale = config.neigh_reachable_time  # after the answer to the first packet
    probed = config.neigh_delay_probe_time + config.neigh_ucast_solicit * config.neigh_retrans_time
    assert first == pytest.approx(stale + probed, abs=S)
