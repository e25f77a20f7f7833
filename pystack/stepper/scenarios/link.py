"""Scenarios below TCP: ARP, ICMP, fragments, and the path MTU."""

import struct
from collections.abc import Generator
from typing import Any

from pystack.phy.segmenter import ones_sum
from pystack.sim.network import MS, Network, S, SimHost
from pystack.sim.programs import Proc, datagram, raw, sleep, spawn
from pystack.stepper.scenarios.base import B, finish, listener, pair, pattern, scenario

IPPROTO_ICMP = 1
SOL_IP, IP_TTL = 0, 2
IP_MTU_DISCOVER, PMTUDISC_DONT = 10, 0


def echo(number: int, size: int = 56) -> bytes:
    """Return an ICMP echo request (RFC 792)."""
    body = struct.pack(">BBHHH", 8, 0, 0, 77, number) + pattern(size)
    return body[:2] + struct.pack(">H", ones_sum(body) ^ 0xFFFF) + body[4:]


def ping(host: SimHost, addr: str, number: int = 1, size: int = 56, ttl: int = 64) -> Generator[Any, Any, int]:
    """Send one echo request. The result is the ICMP type of the answer, or -1 after a second."""
    sock = raw(host, IPPROTO_ICMP)
    sock.setsockopt(SOL_IP, IP_TTL, ttl)
    if size > 1472:
        sock.setsockopt(SOL_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)
    sock.sendto(echo(number, size), addr)
    try:
        while True:
            got = yield sock.within(sock.recvfrom(), 1000 * MS)
            kind: int = got.data[(got.data[0] & 15) * 4]
            if kind != 8:
                return kind
    except TimeoutError:
        return -1
    finally:
        sock.close()


@scenario(
    "arp",
    "Who has 10.0.0.2?",
    "Why is the first frame not the one I sent?",
    look='event.kind == "queued"',
    mechanism="arp",
    tries=(("deliver=1", "the network delivered the first ARP request"),),
)
def arp(net: Network) -> None:
    """Host a sends a datagram to b, whose MAC address it does not know. The packet waits in the ARP entry (INCOMPLETE)
    while a broadcasts a request. The network loses the request, so a sends another one after a second. The reply makes
    the entry REACHABLE, and the waiting packet is sent. Host b has learned the address of a from the request.
    """
    a, b, link = pair(net, arp=True, delay=5 * MS)
    receiver = datagram(b)
    receiver.bind("", 9)
    link.ab.drop(1)
    datagram(a).sendto(b"hello", B, 9)
    net.run(net.now + 1500 * MS)


@scenario(
    "ping",
    "An echo request and its reply",
    "What makes the reply come back?",
    look='event.kind == "icmp.in" and host == "b"',
    mechanism="ping",
    tries=(("drop=4", "the network lost the first echo reply"),),
)
def ping_(net: Network) -> None:
    """Host a pings b three times, once per second. After ARP, a sends an ICMP echo request (type 8), and the ICMP code of b
    answers with a reply (type 0). No application on b takes part.
    """
    a, _, _ = pair(net, arp=True, delay=10 * MS)

    def program() -> Generator[Any, Any, None]:
        for number in range(3):
            yield from ping(a, B, number + 1)
            yield sleep(1 * S)

    finish(net, spawn(net, program()))


def chain(net: Network, mtus: "tuple[int, ...]", **settings: Any) -> list[SimHost]:
    """Build a - r1 - r2 - ... - b with 5 ms per link. Link i is 10.0.i.0/24, with .1 on its left and .2 on its right."""
    names = ["a", *(f"r{number}" for number in range(1, len(mtus))), "b"]
    nodes = [net.host(name, ip_forward=name not in ("a", "b"), **settings) for name in names]
    for number, mtu in enumerate(mtus):
        ends = (f"10.0.{number}.1/24", f"10.0.{number}.2/24")
        net.link(nodes[number], nodes[number + 1], addrs=ends, delay=5 * MS, mtu=mtu)
    for number, node in enumerate(nodes):
        if number < len(mtus):
            node.route("default", via=f"10.0.{number}.2")
        for far in range(number - 1):
            node.route(f"10.0.{far}.0/24", via=f"10.0.{number - 1}.1")
    net.introduce()
    return nodes


@scenario(
    "traceroute",
    "Expired packets reveal the path",
    "How does traceroute know the routers?",
    look='event.kind == "icmp.out" and event.fields.type == 11',
    mechanism="traceroute",
)
def traceroute(net: Network) -> None:
    """Host a sends echo requests to b with TTL 1, 2 and 3. Each router decrements the TTL. The router at which it reaches 0
    drops the packet and sends an ICMP "time exceeded" message (type 11), whose source address identifies the hop. The
    third request reaches b.
    """
    nodes = chain(net, (1500, 1500, 1500))

    def program() -> Generator[Any, Any, None]:
        for ttl in (1, 2, 3):
            yield from ping(nodes[0], "10.0.2.2", ttl, ttl=ttl)

    finish(net, spawn(net, program()))


@scenario(
    "fragment",
    "A datagram larger than the MTU",
    "Why are there three frames for one ping?",
    look='event.kind == "fragment"',
    mechanism="fragment",
    tries=(("deliver=8", "no fragment of the second ping was lost"),),
)
def fragment(net: Network) -> None:
    """Host a pings b with 4,000 bytes. The datagram does not fit into the MTU of 1,500 bytes, so IP cuts it into three
    fragments with the same identification. Host b keeps them until the last one arrives, reassembles them, and answers
    in fragments, too. The network loses the middle fragment of the second ping. Host b waits for it until the
    reassembly timer expires after 30 s.
    """
    a, _, link = pair(net, delay=10 * MS)
    finish(net, spawn(net, ping(a, B, 1, size=4000)))
    link.ab.drop(2)
    finish(net, spawn(net, ping(a, B, 2, size=4000)))
    net.run(net.now + 40 * S)


@scenario(
    "pmtud",
    "A link in the middle with a small MTU",
    "Why did the segments get smaller?",
    look='host == "a" and event.kind == "icmp.in"',
    mechanism="pmtud",
    pane="sequence",
)
def pmtud(net: Network) -> None:
    """Host a sends 30 kB to b through two routers, and the link between them has an MTU of 1,400 bytes. The segments must
    not be fragmented (DF), so r1 drops the first flight and reports "fragmentation needed, MTU 1400". Host a lowers its
    MSS and retransmits the lost data at once in smaller segments. From then on all segments fit.
    """
    nodes = chain(net, (1500, 1400, 1500))
    a, b = nodes[0], nodes[-1]
    waiting = listener(b)

    def take() -> Generator[Any, Any, None]:
        sock = yield waiting.accept()
        yield sock.recv_exactly(30_000)

    def put() -> Generator[Any, Any, None]:
        from pystack.sim.programs import stream

        sock = stream(a)
        yield sock.connect("10.0.2.2", 80)
        yield sock.sendall(pattern(30_000))

    procs: list[Proc] = [spawn(net, take()), spawn(net, put())]
    finish(net, *procs)
    net.run(net.now + 100 * MS)
