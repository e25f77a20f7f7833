"""The names of the lab: the root, `test.` and `example.test.`, each with the server that has it."""

from typing import Any

from pystack.sim.network import Network
from pystack.testing.lab import MS

SOA = "@ 3600 SOA ns.example.test. hostmaster 1 3600 600 86400 60\n"
LIFE, NEGATIVE = 30, 60  # seconds: of the record of `web`, and of the knowledge that a name does not exist
ROOT = SOA + "@ 86400 NS a.root.\na.root. 86400 A 10.1.0.1\ntest. 86400 NS ns.test.\nns.test. 86400 A 10.1.0.2\n"
TLD = (
    SOA
    + "@ 86400 NS ns.test.\nns.test. 86400 A 10.1.0.2\n"
    + "example.test. 86400 NS ns.example.test.\nns.example.test. 86400 A 10.1.0.3\n"
)
ZONE = (
    SOA
    + "@ 86400 NS ns\nns 86400 A 10.1.0.3\nweb 30 A 192.0.2.80\nzero 0 A 192.0.2.81\nalias 30 CNAME web\n"
    + "".join(f"big 30 A 192.0.2.{number}\n" for number in range(1, 101))
)
#: server -> (its zone, the zone's text)
ZONES = {"root": (".", ROOT), "tld": ("test.", TLD), "auth": ("example.test.", ZONE)}
ADDRESSES = {name: f"10.1.0.{number}" for number, name in enumerate(ZONES, 1)}


def build(resolver: Any = None, client: Any = None) -> Network:
    """Build the network: `stub` and `other`, 10 ms from `resolver`, which is 20 ms from the three servers.

    The arguments are options of `Network.host` for the resolver and for its clients.
    """
    net = Network(1)
    near, far = net.switch("near"), net.switch("far")
    host = net.host("resolver", **(resolver or {}))
    net.link(host, near, delay=5 * MS, addrs=("10.0.0.53/24", None))
    net.link(host, far, delay=10 * MS, addrs=("10.1.0.53/24", None))
    for number, name in enumerate(("stub", "other"), 2):
        net.link(net.host(name, **(client or {})), near, delay=5 * MS, addrs=(f"10.0.0.{number}/24", None), name=name)
    for name, address in ADDRESSES.items():
        net.link(net.host(name), far, delay=10 * MS, addrs=(f"{address}/24", None))
    net.introduce()
    return net
