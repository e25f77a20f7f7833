"""DHCP: addresses from a server, and a server (RFC 2131, RFC 2132), a relay (RFC 1542), and link-local addresses (RFC 3927).

Everything that decides is a machine without I/O: `Client`, `Server`, `Relay`, `LinkLocal`. An agent drives a machine on a host
(`pystack.dhcp.agent`, `pystack.sim.dhcp`).
"""

from pystack.dhcp.check import LinkLocal, Probing
from pystack.dhcp.client import Client, ClientSettings
from pystack.dhcp.lease import Lease
from pystack.dhcp.relay import Relay
from pystack.dhcp.server import Server, Subnet

__all__ = ["Client", "ClientSettings", "Lease", "LinkLocal", "Probing", "Relay", "Server", "Subnet"]
