"""Hosts on a switch, 1 ms from each other, with empty ARP caches, and an address that moves."""

import errno
from collections.abc import Callable
from typing import Any

from pystack.addresses import parse_addr
from pystack.labs.lab_04_arp.poison import BEFORE, COUNT, poisoned
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_arp
from pystack.sim.network import Network, SimHost
from pystack.sim.programs import Program, datagram, spawn
from pystack.testing.lab import MS, S, sleep
from pystack.testing.routed import ping
from pystack_c.config import Config
from pystack_c.link import arp

VIP = "10.0.0.100"
MOVE, EACH = 5 * S, 100 * MS
CONFIG = Config()
STALE = CONFIG.neigh_reachable_time
PROBED = CONFIG.neigh_delay_probe_time + CONFIG.neigh_ucast_solicit * CONFIG.neigh_retrans_time


def network(**settings: Any) -> Network:
    """Build the network: hosts `a`, `b` and `c` on a switch."""
    net = Network(1)
    switch = net.switch("s")
    for number, name in enumerate("abc", 1):
        net.link(net.host(name, **settings), switch, delay=MS // 2, addrs=(f"10.0.0.{number}/24", None))
    return net


def run(net: Network, program: Program) -> Any:
    """Run a program to its end, and return its result."""
    proc = spawn(net, program)
    net.run_until(proc.finished, limit=net.now + 100 * S)
    return proc.value


def pings(known: bool = False) -> list[int]:
    """Return the times (ns) of two pings. With `known`, the caches are full from the start."""
    net = network()
    if known:
        net.introduce()
    return [run(net, ping(net.hosts["a"], "10.0.0.2", number))[0] for number in range(2)]


def absent() -> tuple[list[int], int]:
    """Send to an address that nobody has. Returns the times of A's questions, and of its error."""
    net = network()
    asked: list[int] = []
    net.hosts["a"].port().taps.append(lambda time, direction, frame: asked.append(time) if is_arp(frame) else None)
    sock = datagram(net.hosts["a"])
    sock.connect("10.0.0.77", 9)
    sock.sendto(b"x")

    def wait():
        try:
            yield sock.recvfrom()
        except OSError as error:
            assert error.errno == errno.EHOSTUNREACH
            return net.now

    return asked, run(net, wait())


def queued(length: int) -> int:
    """Send ten datagrams at once to a new neighbour. Returns how many arrive, which are the last ones."""
    net = network(neigh_queue_len=length)
    taker, sock = datagram(net.hosts["b"]), datagram(net.hosts["a"])
    taker.bind("", 9)
    for number in range(10):
        sock.sendto(bytes([number]), "10.0.0.2", 9)
    net.run(until=S)
    got = [item.data[0] for item in taker.endpoint.queue]
    assert got == list(range(10))[-length:]
    return len(got)


def give_up(host: SimHost) -> None:
    """Take the virtual address from a host."""
    host.setup("del_addr", host.port().iface, parse_addr(VIP))


def take_over(host: SimHost, gratuitous: bool) -> None:
    """Give the virtual address to a host, which says so to all stations if `gratuitous`."""
    host.addr(VIP + "/24")
    if gratuitous:
        arp.announce(host.stack, host.port().iface, parse_addr(VIP))
        host.pump()


def moved(gratuitous: bool, watch: Callable[[Network], None] = lambda net: None) -> list[int]:
    """Move the address from B to C at 5 s. Returns when A sent the datagrams that C gets."""
    net = network()
    a, b, c = (net.hosts[name] for name in "abc")
    b.addr(VIP + "/24")
    watch(net)
    taker, sock = datagram(c), datagram(a)
    taker.bind("", 9)

    def send():
        for number in range(600):
            sock.sendto(number.to_bytes(2, "big"), VIP, 9)
            yield sleep(EACH)

    def move():
        give_up(b)
        take_over(c, gratuitous)

    spawn(net, send())
    net.at(MOVE, move)
    net.run(until=61 * S)
    return [int.from_bytes(item.data, "big") * EACH for item in taker.endpoint.queue]


VALUES = [
    LabValue("pings", "How long do the first and the second ping take?", "2 R, R", [4 * MS, 2 * MS]),
    LabValue("asked", "When does A ask for the absent address?", "0, 1, 2 s", [0, S, 2 * S], "s"),
    LabValue("error", "When does the program get EHOSTUNREACH?", "3 * 1 s", 3 * S, "s"),
    LabValue("queue", "Ten datagrams, a queue of three: how many arrive?", "3", 3, "datagrams"),
    LabValue("moved", "With a gratuitous ARP at 5 s: which is C's first datagram?", "5 s + 100 ms", MOVE + EACH, "s"),
    LabValue("all", "How many of the 549 datagrams from then on does C get?", "549", 549, "datagrams"),
    LabValue("poisoned", "C lies after 5 of 10 datagrams to B: how many pass C, and how many reach B?", "10 - 5, 10", [COUNT - BEFORE, COUNT], "datagrams"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "pings":
        return pings()
    if name in ("asked", "error"):
        return absent()[name == "error"]
    if name == "queue":
        return queued(3)
    if name == "poisoned":
        return poisoned(network(ip_forward=True))
    found = moved(gratuitous=True)
    return len(found) if name == "all" else found[0]


CONTROLS = [
    LabControl(
        "No gratuitous ARP",
        LabValue("silent", "C's first datagram", "30 s stale + 5 s + 3 * 1 s", STALE + PROBED, "s", tolerance=S),
    ),
    LabControl("The caches are full from the start", LabValue("known", "Two pings", "R, R", [2 * MS, 2 * MS])),
    LabControl("A queue of ten", LabValue("longer", "How many arrive?", "10", 10, "datagrams")),
    LabControl(
        "A's entry for B is fixed",
        LabValue("fixed", "C lies: how many pass C, and how many reach B", "0, 10", [0, COUNT], "datagrams"),
    ),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "silent":
        return moved(gratuitous=False)[0]
    if name == "fixed":
        return poisoned(network(ip_forward=True), fixed=True)
    return pings(known=True) if name == "known" else queued(10)


LOOKS = [
    LabLook("Two pings, and the question that only the first one needs", pings, 'event.kind == "queued"', "ladder"),
    LabLook("Nobody has the address", absent, 'event.kind == "frame.out"', "ladder"),
]  # fmt: skip
