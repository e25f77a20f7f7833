"""A busy little network, as a program: `python -m tests.sim.scenario SEED` prints the hash of its capture."""

import hashlib
import io
import struct
import sys

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, sleep, spawn, stream
from tests import frames as f


class Kept(io.BytesIO):
    """A file that keeps its bytes after close()."""

    def close(self) -> None:
        self.kept = self.getvalue()


def build(net: Network) -> None:
    """Three hosts on a switch, one behind a router, a bare wire that pings everybody; every impairment there is."""
    switch = net.switch("s")
    hosts = [net.host(name) for name in "abc"]
    router, far = net.host("r", ip_forward=True), net.host("far")
    for number, host in enumerate((*hosts, router)):
        link = net.link(host, switch, delay=MS, jitter=MS, loss=0.05, rate=10_000_000, queue=20)
        host.addr(f"10.0.0.{number + 1}/24")
        link.ab.drop(3)
    bad = {"duplicate": 0.1, "reorder": 0.1, "reorder_delay": MS}
    net.link(router, far, addrs=("10.1.0.1/24", "10.1.0.2/24"), delay=3 * MS, **bad)
    for host in hosts:
        host.route("default", via="10.0.0.4")
    far.route("default", via="10.1.0.1")
    wire = net.wire("w")
    net.link(wire, switch, delay=MS, corrupt=0.02)
    for number in range(100):
        target = hosts[number % 3]
        body = f.icmp(8, 0, struct.pack(">HH", 1, number), bytes(40 + number))
        source = ("10.0.0.77", "10.1.0.2")[number % 2]  # the second one makes the answer cross the router
        packet = f.ipv4(source, f"10.0.0.{number % 3 + 1}", 1, body)
        net.after(number * 20 * MS, wire.send, f.ether(packet, dst=target.port().iface.mac))
    spawn(net, server(far))
    for number, host in enumerate(hosts):
        spawn(net, client(host, 20_000 * (number + 1)))
        spawn(net, shouter(host, "10.0.0.3"))


def server(host):
    """Send back what comes, one connection after the other."""
    listener = stream(host)
    listener.bind("", 7)
    listener.listen()
    for _ in range(3):
        sock = yield listener.accept()
        yield sock.sendall((yield sock.recv_all()))
        sock.close()
    listener.close()


def client(host, size: int):
    """A transfer through the router and back."""
    sock = stream(host)
    yield sleep(50 * MS)
    yield sock.connect("10.1.0.2", 7)
    yield sock.sendall(bytes(size))
    sock.shutdown()
    yield sock.recv_all()
    sock.close()


def shouter(host, addr: str):
    """Datagrams to a closed port, some of them in fragments."""
    sock = datagram(host)
    sock.bind("", 5353)
    for number in range(20):
        try:
            sock.sendto(bytes(number * 150), addr, 9)
        except OSError:
            pass  # what ICMP told about an earlier one
        yield sleep(30 * MS)
    sock.close()


def run(seed: int) -> bytes:
    """The capture of one run, comments of the stacks included."""
    out = Kept()
    with Network(seed) as net:
        build(net)
        net.annotated_capture(out)
        net.run(until=20 * S)
    return out.kept


if __name__ == "__main__":
    print(hashlib.sha256(run(int(sys.argv[1]))).hexdigest())
