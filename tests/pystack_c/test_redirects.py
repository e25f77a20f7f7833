"""ICMP redirects: when a router sends one and how often (RFC 1812 5.2.7.2), and which ones a host believes (RFC 1122 3.2.2.2)."""

import pytest

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, spawn, stream
from pystack_c.ip import redirect
from pystack_c.ip.routing import find_route
from tests import frames as f

ANSWER = 0x0200000000AA


class Lan:
    """A host a and two routers r1, r2 on one link. Behind r2 is 10.9/16; a knows only r1, and r1 knows r2."""

    def __init__(self, **settings):
        self.net = net = Network()
        self.a = net.host("a", **settings)
        self.r1, self.r2 = net.router("r1"), net.router("r2")
        self.far = net.host("far")
        switch = net.switch("s")
        for n, host in enumerate((self.a, self.r1, self.r2)):
            net.link(host, switch, addrs=(f"192.168.0.{n + 1}/24", None), delay=MS)
        net.link(self.r2, self.far, addrs=("10.9.0.1/16", "10.9.0.2/16"), delay=MS)
        self.a.route("default", via="192.168.0.2")
        self.r1.route("10.9.0.0/16", via="192.168.0.3")
        self.far.route("default", via="10.9.0.1")
        net.introduce()
        self.server = datagram(self.far)
        self.server.bind("0.0.0.0", 9)
        self.sock = datagram(self.a)

    def send(self, wait=50 * MS):
        self.sock.sendto(b"?", "10.9.0.2", 9)
        self.net.run(self.net.now + wait)

    def hop(self):
        return find_route(self.a.stack, f.addr("10.9.0.2")).next_hop


def test_a_host_that_believes_a_redirect_sends_to_the_better_router():
    lan = Lan(accept_redirects=True)
    lan.send()
    assert lan.r1.counters.IcmpOutRedirects == lan.a.counters.IcmpInRedirects == 1
    assert lan.hop() == f.addr("192.168.0.3")
    lan.send()
    assert lan.r1.counters.IpForwDatagrams == 1 and lan.r2.counters.IpForwDatagrams == 2
    assert lan.far.counters.UdpInDatagrams == 2
    # A change of the routes removes what was learned.
    lan.a.route("10.8.0.0/16", via="192.168.0.2")
    assert lan.hop() == f.addr("192.168.0.2")


def test_by_default_a_host_ignores_redirects_and_the_router_forwards_all_the_same():
    lan = Lan()
    for _ in range(3):
        lan.send()
    assert lan.hop() == f.addr("192.168.0.2")
    assert lan.a.counters.drops["icmp-redirect"] == lan.a.counters.IcmpInRedirects > 0
    assert lan.far.counters.UdpInDatagrams == 3 == lan.r1.counters.IpForwDatagrams


def test_the_setting_and_the_way_out_decide_whether_a_router_sends_one():
    lan = Lan()
    lan.r1.stack.config.send_redirects = False
    lan.send()
    assert lan.r1.counters.IcmpOutRedirects == 0 == lan.r2.counters.IcmpOutRedirects


def test_the_wait_doubles_nine_are_sent_and_twenty_quiet_seconds_begin_anew():
    lan = Lan()
    times = []
    for _ in range(2600):
        before = lan.r1.counters.IcmpOutRedirects
        start = lan.net.now
        lan.send(5 * MS)
        if lan.r1.counters.IcmpOutRedirects > before:
            times.append(start)
    gaps = [(b - a) // MS for a, b in zip(times, times[1:])]
    assert gaps == [45, 85, 165, 325, 645, 1285, 2565, 5125]  # more than 20 ms << count, on a grid of 5 ms
    lan.net.run(lan.net.now + redirect.SILENCE - 10 * MS)
    lan.send()
    assert lan.r1.counters.IcmpOutRedirects == 9
    lan.net.run(lan.net.now + redirect.SILENCE + 10 * MS)
    lan.send()
    assert lan.r1.counters.IcmpOutRedirects == 10


def test_the_memory_for_hosts_and_for_redirects_is_bounded():
    lan = Lan(accept_redirects=True)
    wire = lan.net.wire("w")
    lan.net.link(lan.r1, wire, addrs=("172.16.0.1/12", None))
    lan.r1.route("10.7.0.0/16", via="172.16.0.2")
    lan.r1.neighbor("172.16.0.2", ANSWER)
    mac = lan.r1.port().iface.mac
    for n in range(redirect.HOSTS_MAX + 50):
        src = f"172.17.{n >> 8}.{n & 255}"
        wire.send(f.ether(f.ipv4(src, "10.7.0.1", 17, f.udp(src, 1, "10.7.0.1", 2, b"")), dst=mac))
    lan.net.run(lan.net.now + 10 * MS)
    assert len(lan.r1.stack.redirected) == redirect.HOSTS_MAX
    learned = redirect.Redirects()
    for n in range(redirect.ACCEPTED_MAX + 50):
        learned.accept(n, lan.a.port().iface, 1, 2)
    assert len(learned.accepted) == redirect.ACCEPTED_MAX and learned.hop(3, lan.a.port().iface, 1) == 1


def forged(lan, gateway="192.168.0.3", sender="192.168.0.2", quote=None, code=1):
    """Send a a redirect as if from `sender`, and return the first hop that a uses then."""
    wire = lan.net.wire(f"w{len(lan.net.links)}")
    lan.net.link(wire, lan.net.switches["s"])
    if quote is None:
        quote = f.ipv4("192.168.0.1", "10.9.0.2", 17, f.udp("192.168.0.1", 5000, "10.9.0.2", 9, b"?"))
    message = f.icmp(5, code, f.bits(gateway).to_bytes(4, "big"), quote[:28])
    wire.send(f.ether(f.ipv4(sender, "192.168.0.1", 1, message), dst=lan.a.port().iface.mac))
    lan.net.run(lan.net.now + 5 * MS)
    return lan.hop()


def fresh():
    """A host that believes redirects, with a socket that has sent something to 10.9.0.2; r1 sent no redirect itself."""
    lan = Lan(accept_redirects=True)
    lan.r1.stack.config.send_redirects = False
    lan.sock.bind("0.0.0.0", 5000)
    lan.sock.connect("10.9.0.2", 9)
    lan.sock.sendto(b"?")
    lan.net.run(lan.net.now + 50 * MS)
    return lan


OTHER_PORT = f.ipv4("192.168.0.1", "10.9.0.2", 17, f.udp("192.168.0.1", 77, "10.9.0.2", 9, b"?"))
OTHER_HOST = f.ipv4("192.168.0.7", "10.9.0.2", 17, f.udp("192.168.0.7", 77, "10.9.0.2", 9, b"?"))
TCP = f.ipv4("192.168.0.1", "10.9.0.2", 6, f.tcp("192.168.0.1", 77, "10.9.0.2", 9, 16, 1, 1))


@pytest.mark.parametrize(
    "wrong, reason",
    [
        ({"gateway": "10.1.1.1"}, "the new first hop is not on the link"),
        ({"gateway": "192.168.0.1"}, "the new first hop cannot be a gateway"),
        ({"gateway": "192.168.0.255"}, "the new first hop is not on the link"),
        ({"gateway": "224.0.0.1"}, "the new first hop cannot be a gateway"),
        ({"gateway": "0.0.0.0"}, "the new first hop cannot be a gateway"),
        ({"gateway": "192.168.0.2"}, "the new first hop cannot be a gateway"),
        ({"sender": "192.168.0.3"}, "the sender is not the current first hop to the destination"),
        ({"quote": OTHER_PORT}, "no socket sent the quoted packet"),
        ({"quote": OTHER_HOST}, "no socket sent the quoted packet"),
        ({"quote": TCP}, "no socket sent the quoted packet"),
        ({"quote": b"\x45"}, "the quoted packet is truncated or not IPv4"),
        ({"code": 4}, "the quoted packet is truncated or not IPv4"),
    ],
)
def test_a_redirect_that_cannot_be_right_is_refused(wrong, reason):
    lan = fresh()
    events = []

    class Probe:
        def event(self, event):
            if event.kind == "drop":
                events.append(event.reason)

    lan.a.stack.probe = Probe()
    assert forged(lan, **wrong) == f.addr("192.168.0.2")
    assert [text for text in events if "MAC" not in text] == [reason]
    # The control: without the fault, it is accepted.
    assert forged(lan) == f.addr("192.168.0.3")


def test_a_connection_follows_a_redirect_that_quotes_a_segment_in_flight():
    lan = Lan(accept_redirects=True)
    listener = stream(lan.far)
    listener.bind("0.0.0.0", 80)
    listener.listen(1)

    def serve():
        conn = yield listener.accept()
        yield conn.recv_exactly(20000)

    def client():
        sock = stream(lan.a)
        yield sock.connect("10.9.0.2", 80)
        yield sock.sendall(bytes(20000))

    done = spawn(lan.net, serve())
    spawn(lan.net, client())
    lan.net.run_until(done.finished, limit=10 * S)
    assert lan.a.counters.IcmpInRedirects >= 1 and lan.hop() == f.addr("192.168.0.3")
    assert lan.r1.counters.IpForwDatagrams < lan.r2.counters.IpForwDatagrams / 2


def test_proxy_arp_answers_for_what_is_behind_another_interface():
    net = Network()
    router = net.router("r", proxy_arp=True)
    near, far = net.host("near"), net.host("far")
    # near believes that all of 10/8 is on its link (RFC 1027).
    net.link(near, router, addrs=("10.0.0.2/8", "10.0.0.1/24"), delay=MS)
    net.link(router, far, addrs=("10.1.0.1/24", "10.1.0.2/24"), delay=MS)
    far.route("default", via="10.1.0.1")
    server = datagram(far)
    server.bind("0.0.0.0", 9)
    sock = datagram(near)
    sock.sendto(b"?", "10.1.0.2", 9)
    net.run(net.now + 100 * MS)
    assert far.counters.UdpInDatagrams == 1
    assert near.port().iface.neighbors[f.addr("10.1.0.2")].mac == router.ports[0].iface.mac
    # No answer: an address on the same link, one without a route, a probe for a duplicate, and without the setting.
    before = router.counters.ArpOutReplies
    sock.sendto(b"?", "10.0.0.77", 9)
    sock.sendto(b"?", "10.200.0.1", 9)
    router.stack.config.proxy_arp = False
    net.run(net.now + 100 * MS)
    sock.sendto(b"?", "10.1.0.9", 9)
    net.run(net.now + 100 * MS)
    assert router.counters.ArpOutReplies == before
