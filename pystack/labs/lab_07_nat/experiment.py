"""Two hosts in a private network, a NAT, the ISP's router, and a server."""

import errno
from collections.abc import Callable
from typing import Any

from pystack.labs.lab_07_nat.home import PUBLIC, SERVER, Home
from pystack.labs.lab_07_nat.trouble import R_COMPANY, asked, company, hairpin
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.network import Network
from pystack.sim.programs import datagram, spawn, stream
from pystack.testing.lab import MS, S
from pystack.testing.segments import OUTBOUND, ones

TIMER = 30 * S  # an idle mapping of UDP
PORTS, PACKETS = 100, 1000


def network() -> Network:
    """Build the network."""
    return Home().net


def two_hosts() -> Home:
    """Let both hosts send from port 40000."""
    home = Home()
    home.serving()
    for number in (0, 1):
        home.client(number).sendto(b"?", SERVER, 7)
        home.run()
    assert home.seen[0][1] == 40000  # the first one keeps its port
    return home


def strangers() -> int:
    """Send to the NAT what nobody has asked for. Returns how many datagrams reach a host."""
    home = two_hosts()
    for port in (40000, 40001, 80):
        datagram(home.server).sendto(b"!", PUBLIC, port)
    home.run()
    return home.arrived()


def reply_after(seconds: int) -> int:
    """Answer after some seconds. Returns how many answers arrive."""
    home = Home(nf_conntrack_udp_timeout=TIMER)
    server = home.serving()
    home.client().sendto(b"?", SERVER, 7)
    home.run()
    home.run(seconds * S - 20 * MS)
    server.sendto(b"!", PUBLIC, home.seen[0][1])
    home.run()
    return home.arrived()


def flows() -> list[int]:
    """Send from 101 ports through a NAT with 100, and once to another server. Returns what arrives at both."""
    home = Home(translate=False)
    home.nat.snat(f"{PUBLIC}:5000-5099", iface="eth0")
    home.serving()
    for number in range(PORTS + 1):
        home.client(port=1000 + number).sendto(b"?", SERVER, 7)
        home.run()
    first = len(home.seen)
    assert {port for _, port in home.seen} == set(range(5000, 5000 + PORTS))
    home.serving(8)
    home.client(port=3000).sendto(b"?", SERVER, 8)
    home.run()
    return [first, len(home.seen) - first]


def translated() -> tuple[int, int]:
    """Send 1,000 datagrams. Returns by how much the TTL falls, and how many packets have right checksums behind the NAT."""
    home = Home()
    home.serving()
    ttls, right = set(), 0

    def tap(time, direction, frame):
        nonlocal right
        packet = frame[14:]
        if direction == OUTBOUND and packet[9] == 17:
            ttls.add(packet[8])
            pseudo = packet[12:20] + bytes((0, 17)) + (len(packet) - 20).to_bytes(2, "big")
            right += ones(packet[:20]) == ones(pseudo + packet[20:]) == 0xFFFF

    home.outer.a.taps.append(tap)
    sock = home.client()
    for number in range(PACKETS):
        sock.sendto(number.to_bytes(2, "big") * (number % 60), SERVER, 7)
        home.run(MS)
    home.run()
    (ttl,) = ttls
    return 64 - ttl, right


def private() -> int:
    """Send to 10.0.0.2 from the server. Returns how many packets the ISP's router drops because it has no route."""
    home = Home()
    sock = datagram(home.server)
    sock.connect("10.0.0.2", 9)
    sock.sendto(b"?")
    codes = []

    def wait():
        try:
            yield sock.recvfrom()
        except OSError as error:
            codes.append(error.errno)

    spawn(home.net, wait())
    home.run(S)
    assert codes == [errno.ENETUNREACH]
    return int(home.isp.counters.IpExtInNoRoutes)


def connects(translate: bool) -> list[int]:
    """Open a TCP connection. Returns whether the SYN arrived (1 or 0), and whether the connection was established."""
    home = Home(translate=translate)
    listener = stream(home.server)
    listener.bind("0.0.0.0", 80)
    listener.listen(1)
    proc = spawn(home.net, _connect(stream(home.inside[0])))
    home.run(500 * MS)
    return [int(home.server.counters.TcpInSegs >= 1), int(proc.finished())]


def _connect(sock):
    yield sock.connect(SERVER, 80)


VALUES = [
    LabValue("addresses", "How many addresses does the server see?", "1", 1, ""),
    LabValue("ports", "How many ports does it see?", "2", 2, ""),
    LabValue("strangers", "How many datagrams reach a host that nobody asked for?", "none", 0, "datagrams"),
    LabValue("replies", "Does a reply arrive after 29 s, and after 31 s? (1 is yes, 0 is no)", "1, 0", [1, 0], ""),
    LabValue("flows", "101 flows to one server, 1 to another: how many get through?", "100, 1", [PORTS, 1], "flows"),
    LabValue("ttl", "By how much does the NAT lower the TTL?", "1", 1, ""),
    LabValue("checksums", "How many of 1,000 packets have right checksums?", "all", PACKETS, "packets"),
    LabValue("private", "How many packets to 10.0.0.2 does the ISP's router drop?", "1 of 1", 1, "packets"),
    LabValue("connects", "Does a SYN arrive, and is the connection established?", "1, 1", [1, 1], ""),
    LabValue("hairpin", "b asks port 7000 of 203.0.113.1, which is a's port 7: how many answers does b get?", "1", 1, "answers"),
    LabValue("portal", "The passenger has not paid: which status comes from port 80 of the server?", "the portal's", 302, ""),
    LabValue("clash", "No route to the company: when does the laptop know that it cannot reach 10.20.0.5?", "3 * 1 s", 3 * S, "s"),
    LabValue("tunnel", "With a route to 10.20.0.0/16 by the tunnel: when is it connected?", "R", R_COMPANY),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name in ("addresses", "ports"):
        return len({sender[name == "ports"] for sender in two_hosts().seen})
    if name in ("ttl", "checksums"):
        return translated()[name == "checksums"]
    if name == "replies":
        return [reply_after(29), reply_after(31)]
    found: dict[str, Callable[[], Any]] = {
        "strangers": strangers,
        "flows": flows,
        "private": private,
        "connects": lambda: connects(True),
        "hairpin": hairpin,
        "portal": lambda: asked(paid=False),
        "clash": lambda: company(tunnel=False),
        "tunnel": lambda: company(tunnel=True),
    }
    return found[name]()


CONTROLS = [
    LabControl(
        "A plain router instead of the NAT",
        LabValue("plain", "Does the SYN arrive, and is the connection established?", "1, 0", [1, 0], ""),
    ),
    LabControl("Only the destination is translated", LabValue("one side", "Answers that b gets", "0", 0, "answers")),
    LabControl("The passenger has paid", LabValue("paid", "The status from port 80", "the server's", 200, "")),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "paid":
        return asked(paid=True)
    return hairpin(both=False) if name == "one side" else connects(False)


LOOKS = [
    LabLook("Two hosts send from the same port, by one address", two_hosts, 'event.kind == "nat.bind" and event.fields.port != 40000', "ladder"),
]  # fmt: skip
