"""What else happens in such networks: a portal that answers for everybody, a published port seen from inside, and two networks with the same addresses."""

import errno

from pystack.labs.lab_07_nat.home import PUBLIC, SERVER, Home
from pystack.sim.network import Network, SimHost
from pystack.sim.programs import datagram, spawn, stream
from pystack.sockets.resolve import text
from pystack.testing.lab import MS, S

PORTAL = 8080
R_COMPANY = 20 * MS
OFFICE = "10.20.0.5"


def _answer(host: SimHost, port: int, words: bytes) -> None:
    """Answer one connection."""
    listener = stream(host)
    listener.bind("0.0.0.0", port)
    listener.listen()

    def program():
        sock = yield listener.accept()
        yield sock.sendall(words)
        sock.close()

    spawn(host.net, program())


def asked(paid: bool) -> int:
    """Connect to port 80 of the server. Returns the status that comes: 200 from the server, or 302 from the portal, which speaks in the server's name."""
    home = Home()
    if not paid:
        home.nat.redirect(f"{SERVER}/32:80", PORTAL, iface="eth1")
    _answer(home.nat, PORTAL, b"302")
    _answer(home.server, 80, b"200")

    def program():
        sock = stream(home.inside[0])
        yield sock.connect(SERVER, 80)
        return (yield sock.recv_all())

    proc = spawn(home.net, program())
    home.net.run_until(proc.finished, limit=10 * S)
    return int(proc.value)


def hairpin(both: bool = True) -> int:
    """Publish port 7 of `a` as 7000 of the NAT, and ask it from `b`, by the public address. Returns how many answers `b` gets.

    Without `both`, only the destination is translated.
    """
    home = Home()
    home.nat.dnat(f"{PUBLIC}:7000", "10.0.0.2:7", proto="udp")
    if both:
        home.nat.masquerade("eth1")
    service = datagram(home.inside[0])
    service.bind("0.0.0.0", 7)
    asker = home.client(1)
    asker.connect(PUBLIC, 7000)

    def serve():
        got = yield service.recvfrom()
        service.sendto(got.data, text(got.src), got.sport)

    spawn(home.net, serve())
    asker.sendto(b"?")
    home.run(S)
    return len(asker.endpoint.queue)


def plane(tunnel: bool) -> Network:
    """Build the passenger's network: the plane's WiFi, and a company behind a tunnel, which both use 10.0.0.0/8."""
    net = Network()
    laptop, gateway, office = net.host("laptop"), net.router("gateway"), net.host("office")
    cabin = net.switch("cabin")
    net.link(laptop, cabin, addrs=("10.0.0.2/8", None), delay=MS)
    net.link(laptop, gateway, addrs=("192.168.7.2/24", "192.168.7.1/24"), delay=R_COMPANY // 4)
    net.link(gateway, office, addrs=("10.20.0.1/24", f"{OFFICE}/24"), delay=R_COMPANY // 4)
    office.route("default", via="10.20.0.1")
    if tunnel:
        laptop.route("10.20.0.0/16", via="192.168.7.1")
    for link in list(net.links.values())[1:]:  # not the cabin, where nobody has the address of the office
        for port, other in ((link.a, link.b), (link.b, link.a)):
            port.node.neighbor(text(other.iface.addrs[0].addr), other.iface.mac, port.name)
    return net


def company(tunnel: bool) -> int:
    """Connect to the office. Returns the time until the connection is there, or until its error (ns)."""
    net = plane(tunnel)
    _answer(net.hosts["office"], 443, b"hello")

    def program():
        sock = stream(net.hosts["laptop"])
        try:
            yield sock.connect(OFFICE, 443)
        except OSError as error:
            assert error.errno == errno.EHOSTUNREACH
        return net.now

    proc = spawn(net, program())
    net.run_until(proc.finished, limit=100 * S)
    found: int = proc.value
    return found
