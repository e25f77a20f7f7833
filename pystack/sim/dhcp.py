"""DHCP in virtual time: the agent of a simulated host (`Network.host(dhcp=True)`, `SimHost.dhcp_server`, `SimHost.dhcp_relay`)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pystack.dhcp import Client, ClientSettings, Relay, Server, Subnet
from pystack.dhcp.actions import Machine, S
from pystack.dhcp.agent import Agent, server_for
from pystack.dhcp.message import CLIENT_PORT, SERVER_PORT
from pystack.sockets.resolve import text


class SimAgent(Agent):
    """An agent that the network's scheduler runs."""

    def __init__(self, host: Any, iface: Any, machine: Machine, port: int):
        super().__init__(host, iface, machine, port)
        self._waking = False
        self._at: int | None = None
        self.ended = False

    def wake(self) -> None:
        """Agent.wake: run after everything that is due now."""
        if not self._waking and not self.ended:
            self._waking = True
            self.host.net.after(0, self._run)

    def _run(self) -> None:
        self._waking = False
        host = self.host
        if self.ended:
            return
        if not host.up:
            host.net.after(1 * S, self.wake)  # frozen: look again
            return
        deadline = self.run()
        if deadline is None:
            return
        at = max(int(host.net.now), int(host.true(deadline)))
        if self._at is None or at < self._at or self._at <= host.net.now:
            self._at = at
            host.net.at(at, self._due, at)

    def _due(self, at: int) -> None:
        if at == self._at:
            self._at = None
            self.wake()

    def stop(self, release: bool = False) -> None:
        """End it. A client gives its address back, if `release` is true."""
        if release and isinstance(self.machine, Client):
            self.machine.release(self.host.clock())
            self.run()
        self.ended = True
        self.end()


def settings_of(dhcp: "bool | ClientSettings", name: str) -> ClientSettings:
    """The settings of a client from the argument `dhcp` of `Network.host`."""
    settings = dhcp if isinstance(dhcp, ClientSettings) else ClientSettings()
    return settings if settings.host_name else replace(settings, host_name=name)


class WithDhcp:
    """The methods of a simulated host that are about DHCP."""

    #: the agents of its machines
    agents: "list[SimAgent]"
    #: the settings of the client on its first interface, or None
    dhcp: ClientSettings | None = None

    name: str
    net: Any
    stack: Any
    on_boot: Any
    port: Any

    def dhcp_client(self, iface: str = "", settings: ClientSettings | None = None) -> SimAgent:
        """Ask for an address on an interface (the newest one, if not named). The agent's `lease` is what the host has."""
        chosen = settings_of(settings or True, self.name)
        return self._machine(
            self.port(iface), lambda port: Client(port.iface.mac, self.stack.seed, chosen), CLIENT_PORT
        )

    def dhcp_server(
        self, *subnets: "Subnet | str", iface: str = "", authoritative: bool = True, **options: Any
    ) -> SimAgent:
        """Serve DHCP on an interface (the newest one, if not named), which has an address.

        subnets  the subnets whose addresses are given away: `Subnet`, or "10.0.0.0/24". By default, the interface's own network.
        options  those of a Subnet that is not given as one, such as lease=600, routers="10.0.0.1", dns="10.0.0.53"
        """
        port = self.port(iface)

        def make(_: Any) -> Server:
            return server_for(port.iface, subnets, self.stack.seed, authoritative=authoritative, **options)

        return self._machine(port, make, SERVER_PORT)

    def dhcp_relay(self, servers: "str | Sequence[str]", iface: str = "", circuit: bytes = b"") -> SimAgent:
        """Pass the DHCP messages of an interface's link to servers elsewhere. `circuit`: the option 82 that says where they came from."""
        port = self.port(iface)
        if not port.iface.addrs:
            raise ValueError(f"the interface {port.name} of a DHCP relay needs an address")
        address = text(port.iface.addrs[0].addr)
        return self._machine(port, lambda _: Relay(address, servers, circuit), SERVER_PORT)

    def _machine(self, port: Any, make: Any, number: int) -> SimAgent:
        agent: SimAgent

        def start() -> None:
            nonlocal agent
            agent = SimAgent(self, port.iface, make(port), number)
            self.agents.append(agent)
            agent.begin()
            agent.wake()

        def boot(host: Any) -> None:
            """Make the machine again, with nothing in its memory, unless the user has stopped it."""
            if agent in self.agents:
                self.agents.remove(agent)
                if not agent.ended:
                    agent.ended = True
                    self.net.after(0, start)

        start()
        self.on_boot.append(boot)
        return agent
