"""A chain of links with routers between two hosts, and an ICMP echo client for it."""

import struct
from typing import Any

from pystack.sim.network import Network, SimHost
from pystack.sim.programs import Program, raw
from pystack.testing.segments import ones

IPPROTO_ICMP = 1
SOL_IP, IP_TTL, IP_MTU_DISCOVER = 0, 2, 10


class RoutedChain:
    """a - r1 - ... - b. Link i is 10.0.i.0/24: .1 on its left, .2 on its right. `addr` is b's."""

    def __init__(self, links: list[dict[str, Any]], profile: str = "lab", arp: bool = False, **settings: Any):
        self.net = Network(1)
        names = ["a", *(f"r{i}" for i in range(1, len(links))), "b"]
        self.nodes: list[SimHost] = []
        for name in names:
            router = name not in ("a", "b")
            self.nodes.append(self.net.host(name, profile=profile, ip_forward=router, **settings))
        self.links = []
        for i, options in enumerate(links):
            ends = (f"10.0.{i}.1/24", f"10.0.{i}.2/24")
            self.links.append(self.net.link(self.nodes[i], self.nodes[i + 1], addrs=ends, **options))
        for i, node in enumerate(self.nodes):
            if i + 1 < len(self.nodes):
                for far in range(i + 1, len(links)):
                    node.route(f"10.0.{far}.0/24", via=f"10.0.{i}.2")
            for far in range(i - 1):
                node.route(f"10.0.{far}.0/24", via=f"10.0.{i - 1}.1")
        if not arp:
            self.net.introduce()
        self.a, self.b = self.nodes[0], self.nodes[-1]
        self.addr = f"10.0.{len(links) - 1}.2"


def echo(number: int, size: int = 56) -> bytes:
    """An echo request."""
    body = struct.pack(">BBHHH", 8, 0, 0, 77, number) + bytes(size)
    return body[:2] + struct.pack(">H", ones(body) ^ 0xFFFF) + body[4:]


def ping(
    host: SimHost, addr: str, number: int = 1, size: int = 56, ttl: int = 64, df: bool = False, probe: bool = False
) -> Program:
    """Send one echo request. With `df`, routers may not fragment it, and with `probe`, this host does not heed what it knows of the path.

    Returns (round trip time, ICMP type, who answered, the answer), or None after 2 s."""
    sock = raw(host, IPPROTO_ICMP)
    sock.setsockopt(SOL_IP, IP_TTL, ttl)
    if df or probe:
        sock.setsockopt(SOL_IP, IP_MTU_DISCOVER, 3 if probe else 2)
    started = host.net.now
    try:
        sock.sendto(echo(number, size), addr)
        while True:
            got = yield sock.within(sock.recvfrom(), 2_000_000_000 - (host.net.now - started))
            message = got.data[(got.data[0] & 15) * 4 :]
            quoted = message if message[0] == 0 else message[28:]
            if message[0] != 8 and quoted[4:8] == struct.pack(">HH", 77, number):
                return host.net.now - started, message[0], got.src, got.data
    except TimeoutError:
        return None
    finally:
        sock.close()
