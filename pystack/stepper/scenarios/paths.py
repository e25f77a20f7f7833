"""Scenarios about datagrams, routes, and a path that swallows large packets."""

from collections.abc import Generator
from contextlib import suppress
from typing import Any

from pystack.phy.match import is_icmp
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, sleep, spawn, stream
from pystack.stepper.scenarios.base import B, finish, listener, pair, pattern, scenario
from pystack.stepper.scenarios.link import chain


@scenario(
    "udp",
    "Datagrams, and a closed port",
    "Why does the send to a closed port fail only the second time?",
    look='host == "a" and event.kind == "error"',
    mechanism="icmp",
)
def udp(net: Network) -> None:
    """Host a sends datagrams of 100, 200 and 300 bytes. Host b receives exactly these three: UDP keeps the boundaries, opens no connection, and
    acknowledges nothing. The network loses the second one of three more, and neither side notices. Then a sends to a port on which no socket
    listens. The first send succeeds, because a does not know it yet. One round trip later the ICMP message "port unreachable" arrives, and
    the next call of the connected socket fails with ECONNREFUSED.
    """
    a, b, link = pair(net, delay=10 * MS)
    taker, sock = datagram(b), datagram(a)
    taker.bind("", 9)

    def send() -> Generator[Any, Any, None]:
        for size in (100, 200, 300):
            sock.sendto(bytes(size), B, 9)
        yield sleep(50 * MS)
        link.ab.drop(2)
        for size in (100, 200, 300):
            sock.sendto(bytes(size), B, 9)
        yield sleep(50 * MS)
        other = datagram(a)
        other.connect(B, 10)
        other.sendto(b"is anybody there?")
        yield sleep(50 * MS)
        try:
            other.sendto(b"hello?")
        except ConnectionRefusedError:
            other.close()

    def take() -> Generator[Any, Any, None]:
        for _ in range(5):
            yield taker.recvfrom()

    finish(net, spawn(net, take()), spawn(net, send()))
    net.run(net.now + 50 * MS)


@scenario(
    "routing",
    "The longest prefix wins, and a loop ends",
    "Why do two packets to 10/8 go to different routers, and what stops the one that goes round in circles?",
    look=('host == "a" and event.kind == "route"', 'event.kind == "drop" and event.fields.name == "forward-ttl"'),
    mechanism="routing",
)
def routing(net: Network) -> None:
    """Host a has four routes: 10.0.0.0/8 by r1, 10.1.0.0/16 by r2, 10.1.2.0/24 by r3, and a default route by r0. Of all routes that match, it
    takes the one with the longest prefix, so 10.1.2.3, 10.1.9.9, 10.7.7.7 and 8.8.8.8 leave by four routers. The router r1 and its neighbour r9 each
    believe that 10.7.0.0/16 is behind the other one. The packet to 10.7.7.7 crosses the link between them until its TTL, 64, is used up, and
    one of them reports this to a (time exceeded).
    """
    a = net.host("a")
    routers = [net.router(f"r{number}") for number in range(4)]
    far = net.router("r9")
    for number, router in enumerate(routers):
        net.link(a, router, addrs=(f"192.168.{number}.1/24", f"192.168.{number}.2/24"), delay=5 * MS)
    net.link(routers[1], far, addrs=("172.16.0.1/24", "172.16.0.2/24"), delay=1 * MS)
    net.introduce()
    for prefix, number in (("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("10.1.2.0/24", 3), ("default", 0)):
        a.route(prefix, via=f"192.168.{number}.2")
    routers[1].route("10.7.0.0/16", via="172.16.0.2")
    far.route("default", via="172.16.0.1")

    def send() -> Generator[Any, Any, None]:
        sock = datagram(a)
        for address in ("10.1.2.3", "10.1.9.9", "10.7.7.7", "8.8.8.8"):
            sock.sendto(b"where to?", address, 9)
            yield sleep(100 * MS)

    finish(net, spawn(net, send()))
    net.run(net.now + 100 * MS)


@scenario(
    "pmtud-blackhole",
    "Large segments vanish, and nobody says so",
    "Why does the connection open at once, and then stall for seconds?",
    look='host == "a" and event.kind == "mtu"',
    mechanism="pmtud",
    tries=(("set=a:tcp_mtu_probing=0", "a did not search for the path MTU"),),
    pane="sequence",
)
def pmtud_blackhole(net: Network) -> None:
    """The link between r1 and r2 carries packets of 1,400 bytes, and a filter swallows the ICMP messages of r1. So the handshake works, but
    each full segment of a is dropped, and a is not told why. The retransmission timer expires four times, and the timeout doubles each time. Three
    retransmissions got no answer by then, so a guesses that the path swallows large packets, and tries smaller segments (RFC 4821). They arrive. The stall
    lasts 1 + 2 + 4 + 8 = 15 times the first timeout, and a searches upwards from there. With set=a:tcp_mtu_probing=0 in a branch, nothing arrives within
    a minute.
    """
    nodes = chain(net, (1500, 1400, 1500), tcp_mtu_probing=1, tcp_tlp=False)
    a, b = nodes[0], nodes[-1]
    net.links["a-r1"].ba.drop_if(is_icmp)
    waiting = listener(b)

    def take() -> Generator[Any, Any, None]:
        sock = yield waiting.accept()
        with suppress(TimeoutError):
            yield sock.within(sock.recv_exactly(30_000), 60 * S)

    def put() -> Generator[Any, Any, None]:
        sock = stream(a)
        yield sock.connect("10.0.2.2", 80)
        yield sock.sendall(pattern(30_000))

    finish(net, spawn(net, take()), spawn(net, put()))
    net.run(net.now + 100 * MS)
