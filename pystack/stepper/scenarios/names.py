"""Scenarios about addresses and names: DHCP and DNS. The second one needs dnspython and greenlet."""

import socket
import time
from typing import Any

from pystack.dhcp import ClientSettings, Probing
from pystack.sim.network import MS, Network, S
from pystack.stepper.scenarios.base import scenario


@scenario(
    "dhcp",
    "An address from a server, and its renewal",
    "Why does the client ask twice, and who hears it?",
    look='event.kind == "dhcp.state" and event.fields.new == "REQUESTING"',
    mechanism="dhcp",
)
def dhcp(net: Network) -> None:
    """Host c has no address, so it broadcasts a DISCOVER from 0.0.0.0 (state SELECTING). Two servers offer one. The client
    takes the first offer and broadcasts a REQUEST that names its server (REQUESTING), so the other server learns that its
    offer is free again. The ACK is followed by an ARP probe, because another host may use the address without a lease. Then the
    client is BOUND. After T1, half of the lease, it sends a unicast REQUEST to its server (RENEWING), and is BOUND again.
    """
    lan = net.switch("lan")
    quick = ClientSettings(probing=Probing(count=1, wait=0, silence=100 * MS))
    client = net.host("c", dhcp=quick)
    for name, address, delay in (("near", "10.0.0.1", 5 * MS), ("far", "10.0.0.2", 20 * MS)):
        server = net.host(name)
        net.link(server, lan, delay=delay, addrs=(f"{address}/24", None))
        last = address[-1]
        net.dhcp_server(server, "10.0.0.0/24", pool=(f"10.0.0.{last}0", f"10.0.0.{last}9"), routers=address, lease=20)
    net.link(client, lan, delay=5 * MS)
    net.run(net.now + 12 * S)


ROOT = "@ 3600 SOA a.root. h 1 3600 600 86400 60\n@ 86400 NS a.root.\na.root. 86400 A 10.1.0.1\ntest. 86400 NS ns.test.\nns.test. 86400 A 10.1.0.2\n"
TEST = "@ 3600 SOA ns h 1 3600 600 86400 60\n@ 86400 NS ns\nns 86400 A 10.1.0.2\nshop 86400 NS ns.shop\nns.shop 86400 A 10.1.0.3\n"
SHOP = (
    "@ 3600 SOA ns h 1 3600 600 86400 60\n@ 86400 NS ns\nns 86400 A 10.1.0.3\nweb 30 A 192.0.2.80\nwww 30 CNAME web\n"
)


@scenario(
    "dns-recursion",
    "A name is looked up from the root down",
    "Who knows the address of www.shop.test, and who must be asked first?",
    look='event.kind == "dns" and event.fields.action == "refer"',
    mechanism="dns",
)
def dns_recursion(net: Network) -> None:
    """Host stub asks its resolver for www.shop.test. The resolver knows only the address of a root server. The root refers it
    to the servers of test, and these refer it to the server of shop.test, which knows that the name is an alias, and the address.
    One second later, the stub asks for web.shop.test: the resolver has the record in its cache. After 30 s, the time to live of
    the record, it must ask again, but only the server of shop.test.
    """
    from pystack.dns import need_dnspython

    need_dnspython()
    from pystack.services.dns import DnsServer, RecursiveServer, Zone

    stub, resolver = net.host("stub", dns="10.0.0.53"), net.host("resolver")
    net.link(stub, resolver, delay=10 * MS, addrs=("10.0.0.2/24", "10.0.0.53/24"))
    far = net.switch("far")
    net.link(resolver, far, delay=10 * MS, addrs=("10.1.0.53/24", None))
    background: dict[Any, Any] = {resolver: RecursiveServer({"a.root.": "10.1.0.1"})}
    zones = (("root", ".", ROOT), ("test", "test.", TEST), ("shop", "shop.test.", SHOP))
    for number, (name, origin, records) in enumerate(zones, 1):
        host = net.host(name)
        net.link(host, far, delay=10 * MS, addrs=(f"10.1.0.{number}/24", None))
        background[host] = DnsServer(Zone(origin, records))
    net.introduce()

    assert stub.names is not None and stub.names.dns is not None
    cache = stub.names.dns

    def program() -> None:
        for name, pause in (("www.shop.test", 1), ("web.shop.test", 30), ("web.shop.test", 0)):
            socket.getaddrinfo(name, 80)
            cache.forget()  # so that each question goes to the resolver
            time.sleep(pause)

    net.run({stub: program}, background=background)
