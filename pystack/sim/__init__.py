"""Networks in virtual time: hosts, links, switches, and programs that run on the hosts."""

from pystack.sim.network import MS, US, Network, S
from pystack.sim.scheduler import SimDeadlock, SimError

__all__ = ["MS", "US", "Network", "S", "SimDeadlock", "SimError"]
