"""The words of a topology that are made of others: kernel hosts, container hosts, LANs."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from pystack.sim.containers import ContainerHost
from pystack.sim.nodes import SimHost, Switch

if TYPE_CHECKING:
    from pystack.sim.kernelhost import KernelHost
    from pystack.sim.network import Network
    from pystack.sim.realtime import RealTime


class Topology:
    """The part of a Network that has these words."""

    def kernel(self, name: str, *, dns: Sequence[str] = (), search: Sequence[str] = ()) -> KernelHost:
        """A host whose stack is Linux's own: a network namespace, on which programs of any language run (see sim/kernelhost.py).

        The network is driven by the real clock then. Close it at the end, or use it as a context manager. `dns` and `search` are the addresses of
        DNS servers and the domains of short names, for names that are no hosts of this network. OSError: the kernel does not allow it.
        """
        from pystack.sim.kernelhost import KernelHost  # a browser has not what it needs

        net = cast("Network", self)
        net._new_name(name)
        host = net.kernels[name] = KernelHost(net, name, dns, search)
        net.real_time()
        return host

    def real_time(self) -> RealTime:
        """Drive the network by the real clock from now on. Returns the driver, whose `late` says how far it was off."""
        from pystack.sim.realtime import RealTime

        net = cast("Network", self)
        if net.driver is None:
            net.driver = RealTime(net)
        return net.driver

    def container_host(
        self,
        name: str,
        *,
        subnet: str = "172.17.0.0/16",
        masquerade: bool = True,
        dns: Sequence[str] = (),
        **options: Any,
    ) -> ContainerHost:
        """A host of containers as Docker sets it up (see sim/containers.py). The embedded resolver needs the extra `dns`.

        subnet      the network of the containers; its first address is the host's on the bridge
        masquerade  whether what leaves to the outside gets the host's address as its source
        dns         the servers that the containers' resolvers ask for names that are no containers
        options     of `host`
        """
        net = cast("Network", self)
        known = {key: options.pop(key) for key in ("config", "profile", "seed", "offload") if key in options}
        found = net._host(ContainerHost, name, **known, settings={"ip_forward": True, **options})
        found.build(subnet, masquerade, dns)
        return found

    def lan(
        self,
        name: str,
        *hosts: SimHost | KernelHost,
        subnet: str = "10.0.0.0/24",
        routed: bool = True,
        **link: Any,
    ) -> Switch:
        """A switch, links from hosts to it (with the settings `link`), and addresses of `subnet` in the order of the hosts.

        With `routed`, the first host that forwards packets, if there is one, becomes the default gateway of the others that have no default route.

            net.lan("office", home, pc, printer, subnet="192.168.1.0/24")    # 192.168.1.1, .2 and .3
        """
        net = cast("Network", self)
        addresses = addresses_of(subnet, len(hosts))
        switch = net.switch(name)
        gateways = []
        for host, address in zip(hosts, addresses, strict=True):
            net.link(host, switch, addrs=(address, None), **link)
            if isinstance(host, SimHost) and host.stack.config.ip_forward:
                gateways.append((host, address.partition("/")[0]))
        for host in hosts if routed and gateways else ():
            if host is not gateways[0][0]:
                with suppress(FileExistsError):  # it has another way already
                    host.route("default", via=gateways[0][1])
        return switch


def addresses_of(subnet: str, count: int) -> list[str]:
    """The first addresses of a network, such as "10.0.0.1/24". ValueError: it is no network, or has too few."""
    network = ipaddress.IPv4Network(subnet)
    found = [f"{address}/{network.prefixlen}" for address in islice(network.hosts(), count)]
    if len(found) < count:
        raise ValueError(f"{subnet} has room for {len(found)} hosts, not for {count}")
    return found
