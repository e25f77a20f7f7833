"""Two hosts of the kernel in different networks, and a pystack router between them that passes a multicast stream, with IGMP and without."""

import contextlib
import socket
import struct
import threading
import time

import pytest

from pystack.kernel.netns import Namespace
from pystack.patching import kernel_socket
from pystack.sim.network import Network
from tests.support.patience import PATIENCE
from tests.support.taps import Tap, play

GROUP, PORT = "239.1.2.3", 5004
DATAGRAMS = 200
SO_RCVBUFFORCE = 33


class TwoHosts:
    """Namespaces with 10.0.1.2 (sender) and 10.0.2.2 (receiver), and a router with 10.0.1.1 (eth0) and 10.0.2.1 (eth1)."""

    def __init__(self, spaces: tuple[Namespace, Namespace]):
        self.spaces = spaces
        self.net = Network(1)
        self.router = self.net.router("router")
        self.joined = {}
        self.taps = []
        for number, space in enumerate(spaces, 1):
            space.quiet()
            tap, wire = Tap(space, "t0", f"10.0.{number}.2/24"), self.net.wire(f"w{number}")
            self.net.link(self.router, wire, addrs=(f"10.0.{number}.1/24", None))
            self.joined[tap] = wire
            done = space.run(
                ["ip", "route", "add", "default", "via", f"10.0.{number}.1"], capture_output=True, timeout=20
            )
            assert done.returncode == 0
            self.taps.append(tap)

    def open(self, number: int) -> socket.socket:
        return self.spaces[number].call(kernel_socket, socket.AF_INET, socket.SOCK_DGRAM)

    def receiver(self) -> socket.socket:
        sock = self.open(1)
        # On a busy machine, all datagrams may wait here.
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 * DATAGRAMS * 1024)
        sock.settimeout(PATIENCE)
        sock.bind(("", PORT))
        sock.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton("10.0.2.2")
        )
        return sock

    def stream(self, taker: socket.socket) -> list[bytes]:
        """Send the stream, and return what the receiver gets, until one datagram does not come within its timeout."""
        got: list[bytes] = []
        out = self.open(0)
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.0.1.2"))

        def put() -> None:
            for number in range(DATAGRAMS):
                out.sendto(struct.pack(">I", number) + bytes(1000), (GROUP, PORT))
                time.sleep(0.001)

        def take() -> None:
            with contextlib.suppress(TimeoutError):
                while len(got) < DATAGRAMS:
                    got.append(taker.recv(2000))

        threads = [threading.Thread(target=put), threading.Thread(target=take)]
        for thread in threads:
            thread.start()
        self.play(2 * PATIENCE, lambda: not any(thread.is_alive() for thread in threads))
        for thread in threads:
            thread.join()
        out.close()
        return got

    def play(self, seconds: float, done=lambda: False) -> bool:
        return play(self.net, self.joined, seconds, done)


@pytest.fixture
def hosts():
    with Namespace.new() as first, Namespace.new() as second:
        made = TwoHosts((first, second))
        yield made
        for tap in made.taps:
            tap.close()


EXPECTED = [struct.pack(">I", number) + bytes(1000) for number in range(DATAGRAMS)]


def test_the_stream_passes_by_a_route(hosts):
    hosts.router.mroute(GROUP, "eth0", ["eth1"])
    taker = hosts.receiver()
    assert hosts.stream(taker) == EXPECTED
    taker.close()


def test_the_stream_passes_while_the_kernel_is_a_member(hosts):
    """The kernel's IGMPv3 reports make the proxy forward, and its leave ends that."""
    hosts.router.igmp_proxy(["eth1"], "eth0")
    taker = hosts.receiver()
    shown = f"eth1 {GROUP} all sources\n"
    assert hosts.play(30, lambda: hosts.router.mroute_show() == shown)
    assert hosts.stream(taker) == EXPECTED
    taker.close()  # leaves the group
    assert hosts.play(30, lambda: hosts.router.mroute_show() == "")
    # Control: a receiver without a membership gets nothing.
    deaf = hosts.open(1)
    deaf.settimeout(1.6)
    deaf.bind(("", PORT))
    assert hosts.stream(deaf) == []
    deaf.close()


def test_the_kernel_answers_the_querier(hosts):
    """A membership from before the router was there is learned by the answer to its first query."""
    taker = hosts.receiver()
    hosts.play(1.5)  # the reports that the kernel sends by itself are over
    hosts.router.igmp_proxy(["eth1"], "eth0")
    assert hosts.router.mroute_show() == ""
    assert hosts.play(30, lambda: hosts.router.mroute_show() != "")
    taker.close()


@pytest.mark.parametrize("version", [2, 3])
def test_older_versions_of_the_kernels_host(hosts, version):
    done = hosts.spaces[1].run(
        ["sysctl", "-w", f"net.ipv4.conf.all.force_igmp_version={version}"], capture_output=True, timeout=20
    )
    if done.returncode != 0:
        pytest.skip("the version cannot be set here")
    hosts.router.igmp_proxy(["eth1"], "eth0")
    taker = hosts.receiver()
    assert hosts.play(30, lambda: hosts.router.mroute_show() == f"eth1 {GROUP} all sources\n")
    assert hosts.stream(taker) == EXPECTED
    taker.close()
    assert hosts.play(30, lambda: hosts.router.mroute_show() == "")
