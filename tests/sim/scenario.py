"""A busy little network, as a program: `python -m tests.sim.scenario SEED` prints the hash of its capture."""

import hashlib
import io
import struct
import sys

from pystack.runtime.simulated import MS, Network, S
from tests import frames as f


class Kept(io.BytesIO):
    """A file whose bytes stay after close()."""

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
    net.link(
        router, far, addrs=("10.1.0.1/24", "10.1.0.2/24"), delay=3 * MS, duplicate=0.1, reorder=0.1, reorder_delay=MS
    )
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
        frame = f.ether(packet, dst=target.port().iface.mac)
        net.after(number * 20 * MS, wire.send, frame)


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
