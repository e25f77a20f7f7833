"""A host with four routers, each of which is a bare wire that keeps what it gets, and two routers that make a loop."""

import errno
import ipaddress
import random
from collections.abc import Sequence
from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_icmp, is_udp
from pystack.sim.network import Network
from pystack.sim.programs import datagram, spawn
from pystack.testing.lab import MS, S
from pystack.testing.segments import OUTBOUND

#: (network, number of the router), the widest first
ROUTES = [("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("10.1.2.0/24", 3), ("0.0.0.0/0", 0)]
PACKETS = 1000
NEAR = 5 * MS  # from `a` to the first router


def network() -> Network:
    """Build the network: a host with four routers."""
    return star(ROUTES)


def star(routes: Sequence[tuple[str, int]]) -> Network:
    """Build a host `h` with four routers `r0` to `r3`, and these routes."""
    net = Network()
    host = net.host("h")
    for number in range(4):
        link = net.link(host, net.wire(f"r{number}"), addrs=(f"192.168.{number}.1/24", None), delay=MS)
        host.neighbor(f"192.168.{number}.2", 0x020000000100 + number, iface=link.a.name)
    for prefix, number in routes:
        host.route(prefix, via=f"192.168.{number}.2", iface=f"eth{number}")
    return net


def destinations(count: int = PACKETS) -> list[str]:
    """Return addresses, a quarter of them in each route's network."""
    rng = random.Random(1)
    parts = [(0x0A000000, 0xFFFFFF), (0x0A010000, 0xFFFF), (0x0A010200, 0xFF), (0x08080000, 0xFFFF)]
    return [str(ipaddress.IPv4Address(base | rng.getrandbits(32) & mask)) for base, mask in (parts * count)[:count]]


def chosen(addresses: Sequence[str], routes: Sequence[tuple[str, int]] = ROUTES) -> list[int]:
    """Send a datagram to each address. Returns the router that gets it, or -1 if there is no route."""
    net = star(routes)
    sock = datagram(net.hosts["h"])
    found = []
    for address in addresses:
        try:
            sock.sendto(address.encode(), address, 9)
        except OSError as error:
            assert error.errno == errno.ENETUNREACH
            found.append(-1)
            continue
        net.run(net.now + 2 * MS)
        got = [number for number in range(4) if net.wires[f"r{number}"].got]
        frame = net.wires[f"r{got[0]}"].got.pop()[1]
        assert len(got) == 1 and frame.endswith(address.encode())
        found.append(got[0])
    return found


def matching(address: str, first: bool = False) -> int:
    """Return the router by trying all routes: the longest prefix that matches, or the first one."""
    fitting = [
        (ipaddress.ip_network(prefix).prefixlen, number)
        for prefix, number in ROUTES
        if ipaddress.ip_address(address) in ipaddress.ip_network(prefix)
    ]
    return fitting[0][1] if first else max(fitting)[1]


def loop(routes: bool = True) -> Network:
    """Build a - r1 = r2, where each router thinks that 10.9.0.0/16 is behind the other one."""
    net = Network()
    a, r1, r2 = net.host("a"), net.router("r1"), net.router("r2")
    net.link(a, r1, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=NEAR)
    net.link(r1, r2, addrs=("10.1.0.1/24", "10.1.0.2/24"), delay=MS)
    a.route("default", via="10.0.0.2")
    r2.route("10.0.0.0/24", via="10.1.0.1")
    if routes:
        r1.route("10.9.0.0/16", via="10.1.0.2")
        r2.route("10.9.0.0/16", via="10.1.0.1")
    net.introduce()
    return net


def circle() -> tuple[list[int], int]:
    """Send a packet into the loop. Returns the TTL at each crossing, and the number of "time exceeded" at `a`."""
    net = loop()
    crossed: list[int] = []
    errors: list[bytes] = []

    def crossing(time, direction, frame):
        if direction == OUTBOUND and is_udp(frame):
            crossed.append(frame[22])

    for port in (net.hosts["r1"].ports[1], net.hosts["r2"].ports[0]):
        port.taps.append(crossing)
    net.hosts["a"].port().taps.append(lambda time, way, frame: errors.append(frame[34:36]) if is_icmp(frame) else None)
    datagram(net.hosts["a"]).sendto(b"round and round", "10.9.0.1", 9)
    net.run(10 * S)
    assert set(errors) == {b"\x0b\0"}
    return crossed, len(errors)


def unreachable() -> int:
    """Send a packet for which the router has no route. Returns the time (ns) of the error."""
    net = loop(routes=False)
    sock = datagram(net.hosts["a"])
    sock.connect("10.9.0.1", 9)
    sock.sendto(b"?")

    def wait():
        try:
            yield sock.recvfrom()
        except OSError as error:
            assert error.errno == errno.ENETUNREACH
            return net.now

    proc = spawn(net, wait())
    net.run_until(proc.finished, limit=S)
    return proc.value


def agreeing(first: bool = False, only: str = "") -> int:
    """Return to how many of the destinations the host sends as `matching` says."""
    addresses = [address for address in destinations() if address.startswith(only)]
    return sum(got == matching(address, first) for got, address in zip(chosen(addresses), addresses))


VALUES = [
    LabValue("longest", "How many of 1,000 packets follow the longest prefix?", "all", PACKETS, "packets"),
    LabValue("each", "How many packets get the routers 0, 1, 2, 3?", "1,000 / 4", [250] * 4, "packets", tolerance=3),
    LabValue("crossed", "How often does the packet cross the link?", "64 - 1", 63, "times"),
    LabValue("ttl", "With which TTL does it cross first and last?", "63, 1", [63, 1], ""),
    LabValue("errors", "How many ICMP errors come back?", "1", 1, "errors"),
    LabValue("unreachable", "No route at the router: when does the sender know?", "2 * 5 ms", 2 * NEAR),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "longest":
        return agreeing()
    if name == "each":
        got = chosen(destinations())
        return [got.count(number) for number in range(4)]
    if name == "unreachable":
        return unreachable()
    crossed, errors = circle()
    return {"crossed": len(crossed), "ttl": [crossed[0], crossed[-1]], "errors": errors}[name]


CONTROLS = [
    LabControl(
        "The first route that matches wins, instead of the longest",
        LabValue("first", "Of 750 packets to 10.x.x.x, how many go where the host sends them?", "750 / 3", 250, "", 3),
    ),
    LabControl(
        "The same routes, entered in the opposite order",
        LabValue("order", "How many of 1,000 packets go elsewhere?", "none", 0, "packets"),
    ),
]


def control(name: str) -> int:
    """Measure a control."""
    if name == "first":
        return agreeing(first=True, only="10.")
    return sum(one != other for one, other in zip(chosen(destinations()), chosen(destinations(), ROUTES[::-1])))


LOOKS = [
    LabLook("A packet goes round in the loop until its TTL ends", circle, 'event.kind == "icmp.out" and event.fields.type == 11', "ladder", frames="1-20"),
]  # fmt: skip
