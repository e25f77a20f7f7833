"""The real ping and traceroute of this machine: on a kernel host, behind the same routers."""

from pystack.labs.hosts import said
from pystack.sim.network import MS, Network

TARGET = "10.0.2.2"


def network() -> Network:
    """Build the network of the lab with short links, and with a kernel host in the place of host A."""
    net = Network(1)
    a, r1, r2, b = net.kernel("a"), net.router("r1"), net.router("r2"), net.host("b")
    net.link(a, r1, delay=MS, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    net.link(r1, r2, delay=MS, addrs=("10.0.1.1/24", "10.0.1.2/24"))
    net.link(r2, b, delay=MS, addrs=("10.0.2.1/24", "10.0.2.2/24"))
    a.route("default", via="10.0.0.2")
    r1.route("10.0.2.0/24", via="10.0.1.2")
    r2.route("10.0.0.0/24", via="10.0.1.1")
    b.route("default", via="10.0.2.1")
    return net


def traced() -> list[int]:
    """Run traceroute. Returns the third byte of the address in each line."""
    with network() as net:
        text = said(net.kernels["a"], "traceroute", "-n", "-q", "1", "-N", "1", TARGET)
    lines = [line.split() for line in text.splitlines()[1:]]  # the number of the hop, its address, and its time
    return [int(words[1].split(".")[2]) for words in lines if words[1:2] and words[1].startswith("10.0.")]


def unfragmented() -> list[int]:
    """Send pings with 1,472 and 1,473 bytes that must not be fragmented. Returns how many replies each gets."""
    with network() as net:
        texts = [
            said(net.kernels["a"], "ping", "-c", "1", "-W", "2", "-M", "do", "-s", size, TARGET)
            for size in ("1472", "1473")
        ]
    return [text.count("bytes from") for text in texts]
