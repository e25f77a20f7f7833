"""A container host as Docker sets one up: a bridge, addresses, masquerade, published ports and an embedded resolver.

    docker = net.container_host("docker")
    web = docker.container("web")                       # 172.17.0.2; with kernel=True, a kernel host
    net.link(docker, internet, addrs=("192.0.2.10/24", "192.0.2.1/24"))
    docker.publish("8080:80", web)

Containers reach each other through the bridge without translation, and their names through a resolver of their own at 127.0.0.11.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import pystack_c.const as C
from pystack.dns import DnsMissing
from pystack.sim.embedded import Embedded
from pystack.sim.nodes import SimHost, SimPort, Switch
from pystack.sim.programs import Proc, StreamSocket, spawn, stream

if TYPE_CHECKING:
    from pystack.sim.kernelhost import KernelHost
    from pystack.sim.network import Network

BRIDGE = "docker0"


class ContainerHost(SimHost):
    """The machine on which containers run: a router between their bridge and the links that it has besides. Made by `Network.container_host`.

    containers  the containers by name
    """

    def __init__(self, net: Network, stack: Any, offload: bool = False):
        super().__init__(net, stack, offload)
        self.containers: dict[str, SimHost | KernelHost] = {}
        self.translate_sources = True
        #: (address or "", port, protocol) of all published ports
        self._outer: list[tuple[str, int, str]] = []
        self._published: list[tuple[str, int, str, int, str]] = []
        #: the rules that were made, so that a boot, which repeats them, makes no others
        self._translated: list[tuple[str, str, int, str, int, str]] = []
        self._resolver: Embedded | None = None

    def build(self, subnet: str, masquerade: bool, dns: Sequence[str]) -> None:
        """Make the bridge. `Network.container_host` calls this."""
        try:
            self.subnet = ipaddress.IPv4Network(subnet)
        except ValueError as error:
            raise ValueError(f"subnet={subnet!r:.60}: {error}") from None
        if self.subnet.prefixlen > 29:
            raise ValueError(f"subnet={subnet!r}: there is room for containers in a prefix of at most 29 bits")
        self._free = self.subnet.hosts()
        self.gateway = str(next(self._free))
        self.translate_sources = masquerade
        self.bridge: Switch = self.net.switch(f"{self.name}-{BRIDGE}")
        self.net.link(self, self.bridge, addrs=(f"{self.gateway}/{self.subnet.prefixlen}", None))
        if masquerade:
            # A container that connects to a published port of another one gets its answers by way of this host.
            self.snat(self.gateway, iface=BRIDGE, src=subnet)
        try:
            self._resolver = Embedded(self, dns)
        except DnsMissing:
            if dns:
                raise  # without a server, the network knows the names, too

    def port_name(self, kind: int) -> str:
        """The first interface is the bridge's, and the others are eth0, eth1, ..."""
        number = len(self.ports) - 1
        return BRIDGE if number < 0 else f"eth{number}" if kind == C.LINK_ETHERNET else f"tun{number}"

    def attach(self, mtu: int, kind: int) -> SimPort:
        """A new port. What leaves by it gets its address as the source, unless it is the bridge's."""
        port = super().attach(mtu, kind)
        if port.name != BRIDGE and self.translate_sources:
            self.masquerade(port.name)
        return port

    def addr(self, address: str, iface: str = "") -> None:
        """Give an interface an address. Published ports are published on it, too."""
        before = self.addresses()
        super().addr(address, iface)
        for found in self.addresses():
            if found not in before:
                for rule in self._published:
                    self._translate(found, *rule)

    @overload
    def container(self, name: str, *, kernel: Literal[False] = False, address: str = "", **options: Any) -> SimHost:
        """A host of pystack."""

    @overload
    def container(self, name: str, *, kernel: Literal[True], address: str = "", **options: Any) -> KernelHost:
        """A kernel host."""

    def container(self, name: str, *, kernel: bool = False, address: str = "", **options: Any) -> SimHost | KernelHost:
        """A container: a host on the bridge with the next free address, or with `address`. With `kernel`, it is a kernel host.

        The other options are those of Network.host or, with `kernel`, of Network.kernel.
        """
        net = self.net
        chosen = ipaddress.IPv4Address(address) if address else self._next()
        if chosen not in self.subnet or str(chosen) in self._taken():
            raise ValueError(f"{chosen} is not a free address of {self.subnet}")
        found: SimHost | KernelHost = net.kernel(name, **options) if kernel else net.host(name, **options)
        net.link(found, self.bridge, addrs=(f"{chosen}/{self.subnet.prefixlen}", None))
        found.route("default", via=self.gateway)
        self.containers[name] = found
        if self._resolver is not None:
            self._resolver.serve(found)
        return found

    def _taken(self) -> list[str]:
        return [self.gateway, *(address for host in self.containers.values() for address in host.addresses())]

    def _next(self) -> ipaddress.IPv4Address:
        taken = self._taken()
        for address in self._free:
            if str(address) not in taken:
                return address
        raise ValueError(f"{self.name}: no address of {self.subnet} is free")

    # -- published ports ---------------------------------------------------------------------------------------------

    def publish(self, ports: str, container: SimHost | KernelHost, proto: str = "tcp", *, proxy: bool = False) -> None:
        """Publish "8080:80": connections to port 8080 of this host go to port 80 of a container. "192.0.2.10:8080:80" is for one address.

        The destination is translated, and the container sees the client's address. With `proxy`, a program on this host accepts the connections and
        makes new ones (docker-proxy does that), so the container sees the address of the bridge.
        """
        if container not in self.containers.values():
            raise ValueError(f"{container!r:.60} is no container of {self.name}")
        where, outer, inner = _parse(ports)
        for other, number, kind in self._outer:
            if (number, kind) == (outer, proto) and (other == where or not other or not where):
                raise ValueError(f"{ports!r:.60}: the {proto} port {outer} of {self.name} is published already")
        if proxy and proto != "tcp":
            raise ValueError("the proxy carries TCP only: leave out proxy=True for UDP")
        target = container.addresses()[0]
        self._outer.append((where, outer, proto))
        if proxy:

            def start(host: SimHost) -> None:
                spawn(host.net, _listen(host, host.boots, where, outer, target, inner))

            start(self)
            self.on_boot.append(start)
            return
        rule = (where, outer, target, inner, proto)
        self._published.append(rule)
        for address in self.addresses():
            self._translate(address, *rule)

    def _translate(self, address: str, where: str, outer: int, target: str, inner: int, proto: str) -> None:
        """Translate the destination of connections to one own address, if the rule is for it and it is not the bridge's."""
        made = (address, where, outer, target, inner, proto)
        if address not in (self.gateway, "127.0.0.1") and where in ("", address) and made not in self._translated:
            self._translated.append(made)
            self.dnat(f"{address}:{outer}", f"{target}:{inner}", proto)

    def __repr__(self) -> str:
        return f"<ContainerHost {self.name}>"


def _parse(ports: str) -> tuple[str, int, int]:
    """The address (or an empty text) and the two ports of "ADDRESS:OUTER:INNER". Raises ValueError."""
    words = ports.split(":") if isinstance(ports, str) else []
    numbers = [int(word) for word in words[-2:] if word.isascii() and word.isdigit() and len(word) < 6]
    if len(words) not in (2, 3) or len(numbers) != 2 or not all(0 < number < 65536 for number in numbers):
        raise ValueError(f"{ports!r:.60}: write OUTER:INNER or ADDRESS:OUTER:INNER, such as '8080:80'")
    if len(words) == 3:
        ipaddress.IPv4Address(words[0])
    return "" if len(words) == 2 else words[0], numbers[0], numbers[1]


# -- the proxy -------------------------------------------------------------------------------------------------------


def _listen(host: SimHost, boots: int, where: str, outer: int, target: str, inner: int) -> Generator[Any, Any, None]:
    """Accept connections for ever, or until the host is switched off, and carry each to the target."""
    if host.boots != boots:
        return
    sock = stream(host)
    sock.bind(where, outer)
    sock.listen()
    while True:
        try:
            near = yield sock.accept()
        except OSError:
            return  # the host has been switched off and on
        spawn(host.net, _carry(host, near, target, inner))


def _carry(host: SimHost, near: StreamSocket, target: str, inner: int) -> Generator[Any, Any, None]:
    """Connect to the target, and copy both ways until both have ended. A client whose target refuses is reset."""
    far = stream(host)
    try:
        yield far.connect(target, inner)
    except OSError:
        near.abort()
        far.close()
        return
    back: Proc = spawn(host.net, _copy(far, near))
    yield from _copy(near, far)
    yield back
    near.close()
    far.close()


def _copy(source: StreamSocket, sink: StreamSocket) -> Generator[Any, Any, None]:
    """Copy bytes until the end of the stream, and end the other stream then. An error resets both."""
    try:
        while data := (yield source.recv()):
            yield sink.sendall(data)
        sink.shutdown()
    except OSError:
        source.abort()
        sink.abort()
