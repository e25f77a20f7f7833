"""The real `dig` of this machine asks the resolver of the lab: on a kernel host, by the real clock."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from pystack.labs.lab_14_dns.zones import ZONES
from pystack.sim.network import MS, Network

NAME = "big.example.test"


def dug() -> list[int]:
    """Ask for a name with 100 addresses. Returns how many dig prints, and whether it says that it went on over TCP."""
    from pystack.services.dns import DnsServer, RecursiveServer, Zone

    with Network(1) as net, TemporaryDirectory() as folder:
        near, far = net.switch("near"), net.switch("far")
        stub, host = net.kernel("stub"), net.host("resolver")
        net.link(stub, near, delay=MS, addrs=("10.0.0.2/24", None))
        net.link(host, near, delay=MS, addrs=("10.0.0.53/24", None))
        net.link(host, far, delay=MS, addrs=("10.1.0.53/24", None))
        servers = {net.host(name): DnsServer(Zone(*zone)) for name, zone in ZONES.items()}
        for number, server in enumerate(servers, 1):
            net.link(server, far, delay=MS, addrs=(f"10.1.0.{number}/24", None))
        out = Path(folder, "out")
        command = ["sh", "-c", f"dig @10.0.0.53 +tries=3 +time=5 {NAME} A > {out}"]
        background = {**servers, host: RecursiveServer({"a.root.": "10.1.0.1"})}
        net.run({stub: command}, background=background)
        text = out.read_text()
    addresses = re.findall(r"^big\.example\.test\.\s+\d+\s+IN\s+A\s+192\.0\.2\.\d+$", text, re.M)
    return [len(addresses), int("retrying in TCP mode" in text)]
