"""Lab 7: private addresses. Two hosts behind one address, and the reply that never comes back without a NAT."""

import errno

import pytest

from pystack.phy.match import is_icmp
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, spawn, stream
from tests import frames as f

SERVER, PUBLIC = "198.51.100.2", "203.0.113.1"


class Home:
    """Two inside hosts, a NAT, the ISP's router, and a server; with `translate` False, the NAT is a plain router."""

    def __init__(self, translate=True, **settings):
        self.net = net = Network()
        self.inside = [net.host(name) for name in ("a", "b")]
        self.nat = net.nat("nat", **settings) if translate else net.router("nat", **settings)
        self.isp = net.router("isp")
        self.server = net.host("server")
        self.outer = net.link(self.nat, self.isp, addrs=(f"{PUBLIC}/24", "203.0.113.254/24"), delay=MS)
        switch = net.switch("lan")
        net.link(self.nat, switch, addrs=("10.0.0.1/24", None))
        for n, host in enumerate(self.inside):
            net.link(host, switch, addrs=(f"10.0.0.{n + 2}/24", None), delay=MS)
            host.route("default", via="10.0.0.1")
        net.link(self.isp, self.server, addrs=("198.51.100.1/24", f"{SERVER}/24"), delay=MS)
        self.nat.route("default", via="203.0.113.254")
        self.server.route("default", via="198.51.100.1")
        net.introduce()

    def client(self, n=0, port=40000):
        sock = datagram(self.inside[n])
        sock.bind("0.0.0.0", port)
        return sock

    def serving(self, port=7):
        """A socket of the server, and the senders that it has seen."""
        sock = datagram(self.server)
        sock.bind("0.0.0.0", port)
        seen = []

        def serve():
            while True:
                got = yield sock.recvfrom()
                seen.append(got)

        spawn(self.net, serve())
        return sock, seen

    def run(self, time=20 * MS):
        self.net.run(self.net.now + time)


def senders(seen):
    return [(got.src, got.sport) for got in seen]


def test_the_server_sees_one_address_and_two_ports():
    home = Home()
    _, seen = home.serving()
    for n in (0, 1):
        home.client(n).sendto(b"?", SERVER, 7)
        home.run()
    (first, one), (second, two) = senders(seen)
    assert first == second and f.addr(PUBLIC) == first
    # The first keeps its port.
    assert one == 40000 != two


def test_nothing_that_was_not_asked_for_comes_in():
    home = Home()
    home.serving()
    home.client().sendto(b"?", SERVER, 7)
    home.run()
    before = home.inside[0].counters.UdpInDatagrams, home.inside[1].counters.UdpInDatagrams
    stranger = datagram(home.server)
    for port in (40000, 40001, 80):
        stranger.sendto(b"!", PUBLIC, port)
    home.run()
    assert (home.inside[0].counters.UdpInDatagrams, home.inside[1].counters.UdpInDatagrams) == before == (0, 0)


@pytest.mark.parametrize("wait, arrives", [(29, 1), (31, 0)])
def test_a_mapping_passes_a_reply_after_29_s_and_not_after_31(wait, arrives):
    home = Home(nf_conntrack_udp_timeout=30 * S)
    server, seen = home.serving()
    home.client().sendto(b"?", SERVER, 7)
    home.run()
    ((addr, port),) = senders(seen)
    home.run(wait * S - 20 * MS)
    server.sendto(b"!", PUBLIC, port)
    home.run()
    assert home.inside[0].counters.UdpInDatagrams == arrives


def test_the_ttl_falls_by_one_and_a_thousand_translated_packets_have_right_checksums():
    home = Home()
    home.serving()
    ttls, right = [], 0

    def tap(time, out, frame):
        nonlocal right
        packet = frame[14:]
        if out == 2 and packet[9] == 17:
            ttls.append(packet[8])
            segment = packet[20:]
            pseudo = packet[12:20] + bytes((0, 17)) + len(segment).to_bytes(2, "big")
            right += f.ones(packet[:20]) == 0xFFFF and f.ones(pseudo + segment) == 0xFFFF

    home.outer.a.taps.append(tap)
    sock = home.client()
    for n in range(1000):
        sock.sendto(n.to_bytes(2, "big") * (n % 60), SERVER, 7)
        home.run(MS)
    home.run()
    assert ttls == [63] * 1000 and right == 1000


def test_the_101st_flow_through_100_ports_fails_and_one_to_another_server_does_not():
    home = Home(translate=False)
    home.nat.snat(f"{PUBLIC}:5000-5099", iface="eth0")
    _, seen = home.serving()
    _, other = home.serving(8)
    for n in range(101):
        home.client(port=1000 + n).sendto(b"?", SERVER, 7)
        home.run()
    assert len({port for _, port in senders(seen)}) == 100 == len(seen)
    assert {port for _, port in senders(seen)} == set(range(5000, 5100))
    home.client(port=3000).sendto(b"?", SERVER, 8)
    home.run()
    assert len(other) == 1


def test_a_packet_to_a_private_address_is_unreachable_at_the_isp():
    home = Home()
    sock = datagram(home.server)
    sock.connect("10.0.0.2", 9)
    sock.sendto(b"?")

    def wait():
        with pytest.raises(OSError) as caught:
            yield sock.recvfrom()
        return caught.value.errno

    proc = spawn(home.net, wait())
    home.net.run_until(proc.finished, limit=S)
    assert proc.value == errno.ENETUNREACH and home.isp.counters.IpExtInNoRoutes == 1


def test_without_a_nat_the_reply_never_comes_back():
    for translate in (False, True):
        home = Home(translate=translate)
        listener = stream(home.server)
        listener.bind("0.0.0.0", 80)
        listener.listen(1)
        errors = []
        home.outer.b.taps.append(lambda time, out, frame, into=errors: into.append(frame) if is_icmp(frame) else None)
        sock = stream(home.inside[0])

        def connect(sock=sock):
            yield sock.connect(SERVER, 80)
            return True

        proc = spawn(home.net, connect())
        home.run(500 * MS)
        assert proc.finished() == translate
        # The server has got the request all the same.
        assert home.server.counters.TcpInSegs >= 1
