"""Address translation on simulated hosts (masquerade, snat, dnat, redirect, in words instead of the core's numbers), and the packet filter."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pystack_c.const as C
from pystack.addresses import parse_addr, parse_network
from pystack_c.ingress import queued

PROTOCOLS = {"": 0, "icmp": C.IPPROTO_ICMP, "tcp": C.IPPROTO_TCP, "udp": C.IPPROTO_UDP}


def parse_range(text: str) -> tuple[int, int, int, int]:
    """Return "10.0.0.1", "10.0.0.1-10.0.0.5:80", ":1024-2048" as (first, last address, first, last port). Raises ValueError."""
    addresses, _, ports = text.partition(":")
    first, _, last = addresses.partition("-")
    low = parse_addr(first) if first else 0
    high = parse_addr(last) if last else low
    return low, high, *parse_ports(ports)


def parse_ports(text: str) -> tuple[int, int]:
    """Return "80" or "1024-2048" as (first, last port), and an empty text as (0, 0). Raises ValueError."""
    low, dash, high = text.partition("-")
    words = [low, high] if dash else [low] if text else []
    if not all(word.isascii() and word.isdigit() and len(word) <= 5 for word in words):
        raise ValueError(f"{text!r} is not a port or a range of ports, such as 80 or 1024-2047")
    return (int(low), int(high or low)) if words else (0, 0)


def _must_translate(to: str) -> str:
    """Return the text. ValueError: it names neither an address nor a port, so a rule would change nothing."""
    if not to.strip(":"):
        raise ValueError(f'to={to!r}: write the new address or port, such as "10.0.0.2:80"')
    return to


def _endpoint(text: str) -> tuple[int, int]:
    """Return "10.0.0.1:80" as (address, port). Raises ValueError."""
    address, colon, port = text.rpartition(":")
    low = int(port) if colon and port.isascii() and port.isdigit() and len(port) <= 5 else 0
    if not 0 < low < 65536:
        raise ValueError(f"{text!r} is not an address and a port, such as 10.0.0.1:80")
    return parse_addr(address), low


class Balanced:
    """A service of a balancer, and its servers by name, such as "10.0.0.2:80"."""

    def __init__(self, host: Any, addr: int, port: int, proto: int):
        self.host = host
        self.service = (addr, port, proto)

    def set(self, server: str, weight: int = 1, up: bool = True) -> None:
        """Add a server, or change the weight and state of one. With the weight 0 it keeps its connections and gets no new ones (draining)."""
        self.host.setup("set_server", *self.service, *_endpoint(server), weight, up)

    def drain(self, server: str) -> None:
        """Send no new connections to a server."""
        self.set(server, 0, self._found(server).up)

    def mark(self, server: str, up: bool) -> None:
        """Note that a server is up or down, as a health check does."""
        self.set(server, self._found(server).weight, up)

    def remove(self, server: str) -> None:
        """Remove a server. Its connections remain."""
        self.host.setup("del_server", *self.service, *_endpoint(server))

    def servers(self) -> list[Any]:
        """The servers now (see pystack_c.filter.balance.RealServer)."""
        return list(self.host.stack.service(*self.service).servers)

    def _found(self, server: str) -> Any:
        for one in self.servers():
            if one.name == server:
                return one
        raise ValueError(
            f"the service has no server {server!r}; it has {', '.join(one.name for one in self.servers())}"
        )


class Translating:
    """The part of a SimHost that sets up connection tracking and address translation. See pystack_c.filter.nat."""

    _script: list[tuple[str, tuple[Any, ...]]]
    _deciders: dict[int, Callable[[bytes], bool | bytes]]
    stack: Any
    net: Any

    def call(self, fn: Callable[..., Any], target: Any, *args: Any) -> Any:
        """Make an application call."""
        raise NotImplementedError

    def setup(self, name: str, *args: Any) -> Any:
        """Call a method that sets the stack up."""
        raise NotImplementedError

    def port(self, name: str = "") -> Any:
        """A port by name; without a name, the newest port."""
        raise NotImplementedError

    def track(self) -> None:
        """Switch connection tracking on. The rules below do that, too."""
        self.setup("track")
        self._script.append(("track", ()))

    def masquerade(self, iface: str = "", ports: str = "", fully_random: bool = False) -> None:
        """Translate the source of what leaves by an interface (the newest one, if not named) to the interface's address.

        `ports` is the range to use, such as "1024-2047".
        """
        name = self.port(iface).name
        self._rule(C.HOOK_POSTROUTING, C.NAT_MASQUERADE, f":{ports}", fully_random, name)
        self._script.append(("masquerade", (name, ports, fully_random)))

    def snat(self, to: str, iface: str = "", src: str = "", proto: str = "", fully_random: bool = False) -> None:
        """Translate the source to `to`, such as "192.0.2.7", "192.0.2.7-192.0.2.9" or "192.0.2.7:5000-5999".

        The rule holds for what leaves by `iface`, comes from the network `src` and has the protocol `proto` ("tcp", "udp",
        "icmp"), as far as they are given. Ports need a protocol.
        """
        self._rule(C.HOOK_POSTROUTING, C.NAT_SNAT, _must_translate(to), fully_random, iface, proto, src)
        self._script.append(("snat", (to, iface, src, proto, fully_random)))

    def dnat(self, match: str, to: str, proto: str = "tcp", iface: str = "", own: bool = True) -> None:
        """Translate the destination of connections to `match`, such as "192.0.2.1:8080", to `to`, such as "10.0.0.2:80".

        `match` may be a network such as "192.0.2.0/24", and end with a port or a range of ports. With `own`, the rule also
        holds for connections that this host opens itself.
        """
        where, _, ports = match.partition(":")
        dst = where if "/" in where or not where else f"{where}/32"
        self._rule(C.HOOK_PREROUTING, C.NAT_DNAT, _must_translate(to), False, iface, proto, "", dst, ports)
        if own and not iface:
            self._rule(C.HOOK_OUTPUT, C.NAT_DNAT, to, False, "", proto, "", dst, ports)
        self._script.append(("dnat", (match, to, proto, iface, own)))

    def redirect(self, match: str, port: int, proto: str = "tcp", iface: str = "") -> None:
        """Send connections to `match` (as for dnat) that arrive on an interface to a port of this host."""
        if not 0 < port < 65536:
            raise ValueError(f"port={port}: it must be in 1..65535")
        where, _, ports = match.partition(":")
        dst = where if "/" in where or not where else f"{where}/32"
        self._rule(C.HOOK_PREROUTING, C.NAT_REDIRECT, f":{port}", False, iface, proto, "", dst, ports)
        self._script.append(("redirect", (match, port, proto, iface)))

    def nft(self, commands: Any) -> None:
        """Change the packet filter, by commands in nft's language or in nft's JSON.

            router.nft("add table inet filter")
            router.nft(Path("rules.nft"))                        a file, with the files that it includes
            router.nft([{"add": {"table": {"family": "inet", "name": "filter"}}}])

        Raises pystack.nft.RulesetError with the line that is wrong or not supported, and then nothing has changed. nft's language needs
        lark (`pip install pystack[nft]`).
        """
        from pystack.nft import as_program  # most networks have no such rules, and start faster without it

        as_program(commands, self.ruleset()).run(self._load_filter)

    def _load_filter(self, text: str) -> None:
        self.setup("nft", text)
        self._script.append(("nft", (text,)))

    def nft_queue(self, number: int, decide: Callable[[bytes], bool | bytes]) -> None:
        """Let a function decide about the packets of a queue (the statement `queue`).

        It gets an IPv4 packet, and returns True, False (the packet is dropped), or the packet that takes its place.
        """
        self.call(queued.listen, self.stack, number, 0)
        self._deciders[number] = decide
        self.stack.nftables.packets.queues.notify = self._packet_waits

    def _packet_waits(self, number: int) -> None:
        # The host is in the middle of a packet now.
        self.net.after(0, self._decide, number)

    def _decide(self, number: int) -> None:
        while (found := self.call(queued.take, self.stack, number)) is not None:
            ident, packet = found[:2]
            said = self._deciders[number](packet)
            changed = said if isinstance(said, bytes) else b""
            self.call(queued.verdict, self.stack, ident, bool(said), changed)

    def ruleset(self) -> list[dict[str, Any]]:
        """Return the packet filter as `nft -j list ruleset` shows it, with its counters."""
        rules = self.stack.nftables
        return [] if rules is None else rules.dump()

    def balance(
        self,
        service: str,
        servers: Sequence[str] | Mapping[str, int],
        by: str = "round-robin",
        proto: str = "tcp",
        direct: bool = False,
    ) -> "Balanced":
        """Spread the connections to `service`, such as "192.0.2.10:80", over servers such as "10.0.0.2:80" (as IPVS does).

        `by` is round-robin, weighted, least-connections, source-hash or maglev. A dict gives the servers weights. By default the
        destination is translated, and the servers answer by way of this host. With `direct`, each server has the address of
        the service on its loopback interface and answers the client itself.
        """
        addr, port = _endpoint(service)
        self.setup("add_service", addr, port, PROTOCOLS[proto], by, direct)
        balanced = Balanced(self, addr, port, PROTOCOLS[proto])
        weights = servers if isinstance(servers, Mapping) else dict.fromkeys(servers, 1)
        for server, weight in weights.items():
            balanced.set(server, weight)
        self._script.append(("balance", (service, dict(weights), by, proto, direct)))
        return balanced

    def _rule(
        self,
        place: int,
        action: int,
        to: str,
        fully_random: bool,
        iface: str = "",
        proto: str = "",
        src: str = "",
        dst: str = "",
        ports: str = "",
    ) -> None:
        if proto not in PROTOCOLS:
            raise ValueError(
                f"the protocol must be one of {', '.join(name for name in PROTOCOLS if name)}, not {proto!r}"
            )
        network, length = parse_network(src) if src else (0, 0)
        target, target_length = parse_network(dst) if dst else (0, 0)
        match = parse_ports(ports) if ports else (0, 65535)
        found = self.port(iface).iface if iface else None
        options = (found, PROTOCOLS[proto], network, length, target, target_length, *match)
        self.setup("add_nat", place, action, *parse_range(to), fully_random, *options)
