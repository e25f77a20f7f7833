"""Two containers on a bridge talk to each other, to the world outside, and are asked from there."""

import errno
import socket
from typing import Any

from pystack.labs.lab_26_docker.world import CLIENT, HOST, IPV4, Docker
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.network import Network, S

OUTBOUND = 2
NAMES = "dns greenlet"  # an ordinary program looks names up


def network() -> Network:
    """Build the network, with port 8080 of the host published."""
    world = Docker()
    world.docker.publish("8080:80", world.c1)
    return world.net


def neighbours() -> list[int]:
    """Let c1 ask c2. Returns the TTL at c2, the frames that the bridge has flooded, and the entries of its table."""
    world = Docker()
    world.serve(world.c2)
    assert world.ask(world.c1, "172.17.0.3") == b"hello"
    ((source, ttl),) = set(world.arrived["c2"])
    assert source == "172.17.0.2"
    bridge = world.docker.bridge
    return [ttl, bridge.flooded, len(bridge.fdb.entries)]


def outside(masquerade: bool = True) -> list[int]:
    """Let c1 ask the client outside. Returns the last byte of the source and the TTL, both as they leave the host, and the answers at c1."""
    world = Docker(masquerade)
    left = set()

    def tap(time: int, direction: int, frame: bytes) -> None:
        if direction == OUTBOUND and frame[12:14] == IPV4:
            left.add((frame[29], frame[22]))

    world.docker.port("eth0").taps.append(tap)
    world.serve(world.client)
    assert world.ask(world.c1, CLIENT) == (b"hello" if masquerade else errno.ETIMEDOUT)
    ((last, ttl),) = left
    return [last, ttl, int(bool(world.arrived["c1"]))]


def published(proxy: bool) -> str:
    """Ask c1 from outside by the published port. Returns the address that c1 sees."""
    world = Docker()
    peers = world.serve(world.c1)
    world.docker.publish("8080:80", world.c1, proxy=proxy)
    assert world.ask(world.client, HOST, 8080) == b"hello"
    assert world.ask(world.client, HOST, 8081) == errno.ECONNREFUSED
    assert {source for source, _ in world.arrived["c1"]} == set(peers)
    return peers[0]


def loopback(proxy: bool) -> int:
    """Ask a service that listens on 127.0.0.1 of c1 by the published port. Returns the errno."""
    world = Docker()
    peers = world.serve(world.c1, address="127.0.0.1")
    world.docker.publish("8080:80", world.c1, proxy=proxy)
    found: int = world.ask(world.client, HOST, 8080)
    assert peers == [] and world.ask(world.c1, "127.0.0.1") == b"hello"
    return found


def directly() -> list[int]:
    """Ask 172.17.0.2 from outside. Returns type and code of the router's answer, and the segments that reach c1."""
    world = Docker()
    world.serve(world.c1)
    errors = set()

    def tap(time: int, direction: int, frame: bytes) -> None:
        if frame[12:14] == IPV4 and frame[23] == 1:
            errors.add((frame[34], frame[35]))

    world.client.port().taps.append(tap)
    assert world.ask(world.client, "172.17.0.2") == errno.ETIMEDOUT
    ((kind, code),) = errors
    return [kind, code, len(world.arrived["c1"])]


def routed() -> int:
    """Put the containers into two networks with a router between them. Returns the TTL at c2."""
    world = Docker()
    c3 = world.net.host("c3")
    world.net.link(world.docker, c3, addrs=("172.18.0.1/16", "172.18.0.2/16"))
    c3.route("default", via="172.18.0.1")
    ttls = set()
    c3.port().taps.append(lambda time, way, frame: ttls.add(frame[22]) if way == 1 and frame[12:14] == IPV4 else None)
    world.serve(c3)
    assert world.ask(world.c1, "172.18.0.2") == b"hello"
    (ttl,) = ttls
    return int(ttl)


def last(address: str) -> int:
    """Return the last byte of an address."""
    return int(address.rpartition(".")[2])


def named(name: str, inside: bool = True) -> int:
    """Look a name up on c1, or on a container of another network. Returns the last byte of the address, or 0 if there is no such name."""
    world = Docker()
    host = world.c1 if inside else world.net.container_host("other", subnet="172.18.0.0/16").container("c3")

    def program() -> int:
        try:
            return last(socket.gethostbyname(name))
        except socket.gaierror:
            return 0

    found: int = world.net.run({host: program}, limit=60 * S)[host]
    return found


VALUES = [
    LabValue("ttl", "c1 asks c2: which TTL arrives?", "64: no router", 64, ""),
    LabValue("flooded", "How many frames does the bridge flood?", "1: the ARP request", 1, "frames"),
    LabValue("fdb", "How many entries does its table have then?", "2", 2, "entries"),
    LabValue("outside", "c1 asks outside: last byte of the source, and TTL, on the wire?", "10, 64 - 1", [10, 63], ""),
    LabValue("published", "Asked by the published port: last byte of the address that c1 sees?", "the client's", 7, ""),
    LabValue("proxy", "The same with the user-space proxy: which last byte?", "the bridge's", 1, ""),
    LabValue("loopback", "The service listens on 127.0.0.1: is the client refused? (1 is yes)", "1", 1, ""),
    LabValue("directly", "Asked at 172.17.0.2: ICMP type and code, segments at c1?", "3, 0, 0", [3, 0, 0], ""),
    LabValue("named", "c1 looks up the name c2: last byte of the address?", "c2's", 3, "", needs=NAMES),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "named":
        return named("c2")
    if name in ("ttl", "flooded", "fdb"):
        return neighbours()[["ttl", "flooded", "fdb"].index(name)]
    if name in ("published", "proxy"):
        return last(published(proxy=name == "proxy"))
    if name == "loopback":
        return int(loopback(proxy=False) == errno.ECONNREFUSED and loopback(proxy=True) == errno.ECONNRESET)
    return outside()[:2] if name == "outside" else directly()


CONTROLS = [
    LabControl(
        "The rule that masquerades is removed",
        LabValue("plain", "Last byte of the source, TTL, answers at c1", "2, 63, 0", [2, 63, 0], ""),
    ),
    LabControl("The two containers are in different networks", LabValue("routed", "The TTL", "64 - 1", 63, "")),
    LabControl(
        "A container of another network looks up the name c2",
        LabValue("stranger", "Last byte of the address (0: no such name)", "0", 0, "", needs=NAMES),
    ),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "stranger":
        return named("c2", inside=False)
    return routed() if name == "routed" else outside(masquerade=False)


LOOKS = [
    LabLook("A client asks by the published port", lambda: published(proxy=False), 'event.kind == "nat.bind" and event.fields.kind == "dnat"', "ladder", frames="1-24"),
]  # fmt: skip
