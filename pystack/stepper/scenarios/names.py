"""Scenarios about addresses and names: DHCP."""

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
