"""Load balancing of connections, in the manner of Linux's IPVS: a virtual service has an address and port, and real servers behind it.

A service works in one of two ways. By translation (IPVS "masquerading"), the first packet of a connection chooses a server, connection tracking
remembers it, and both directions pass the balancer. By direct return (IPVS "direct routing"), only the client's packets pass: the balancer
sends them, unchanged, to the MAC address of the server, which has the service's address on its loopback interface and answers the client itself.

A server that is down or has the weight 0 gets no new connections. It keeps those that it has.
"""

from collections import OrderedDict
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_bytes, addr_text
from pystack_c.base.siphash import SipHash
from pystack_c.filter import scheduling
from pystack_c.packet import Packet

#: the key of the hash of a client. It is fixed, so that several balancers send a client to the same server.
_HASH = SipHash(b"pystack-balancer")
#: the most connections that a service with direct return remembers; the one that was idle longest gives way
MOST = 65_536
#: how long such a connection is remembered without a packet (ns), and after its FIN or RST (IPVS: 15 and 2 minutes)
ESTABLISHED, CLOSING = 900_000_000_000, 120_000_000_000


class RealServer:
    """A server behind a service. `active` counts its open connections, and `chosen` all that it got."""

    def __init__(self, name: str, addr: int, port: int) -> None:
        self.name = name
        self.addr = addr
        self.port = port
        self.weight = 1
        self.up = True
        self.active = 0
        self.chosen = 0

    def opened(self) -> None:
        """Count a connection."""
        self.active += 1
        self.chosen += 1

    def closed(self) -> None:
        """Count the end of one."""
        self.active -= 1


class DirectConnection:
    """A connection that passes a service with direct return."""

    def __init__(self, server: RealServer) -> None:
        self.server = server
        self.until = 0
        self.closing = False


class VirtualService:
    """An address, port and protocol, with the servers for it."""

    def __init__(self, addr: int, port: int, proto: int, kind: str, direct: bool) -> None:
        self.addr = addr
        self.port = port
        self.proto = proto
        self.direct = direct
        self.scheduling = scheduling.make(kind)
        self.servers: list[RealServer] = []
        #: the connections of direct return by client, the one that was idle longest first
        self.connections: OrderedDict[tuple[int, int], DirectConnection] = OrderedDict()

    def text(self) -> str:
        """Return the service for people."""
        return f"{addr_text(self.addr)}:{self.port}"

    def find(self, addr: int, port: int) -> Any:
        """Return the server with an address and port, or None."""
        return next((one for one in self.servers if one.addr == addr and one.port == port), None)

    def put(self, addr: int, port: int, weight: int, up: bool) -> None:
        """Add a server, or change the weight and state of one. Raises ValueError if the weight or the port is not possible."""
        if not 0 <= weight <= 65_535:
            raise ValueError(f"the weight {weight} is not in 0..65535")
        if self.direct and port != self.port:
            raise ValueError("direct return changes no port: the server's must be the service's")
        server = self.find(addr, port)
        if server is None:
            server = RealServer(f"{addr_text(addr)}:{port}", addr, port)
            self.servers.append(server)
        server.weight = weight
        server.up = up

    def take(self, addr: int, port: int) -> None:
        """Remove a server. Its connections remain. Raises ValueError if there is none."""
        server = self.find(addr, port)
        if server is None:
            raise ValueError("the service has no such server")
        self.servers.remove(server)

    def choose(self, core: Any, src: int, sport: int) -> Any:
        """Return the server for a client's new connection, or None."""
        key = _HASH.hash(addr_bytes(src) + (sport.to_bytes(2, "big") if self.scheduling.by_port else b""))
        server = self.scheduling.choose(self.servers, _is_up, key)
        if server is not None and core.probe is not None:
            by = self.scheduling.name
            able = sum(one.up and one.weight > 0 for one in self.servers)
            why = f"{by} chose it among {able} servers that are up"
            fields = {"client": f"{addr_text(src)}:{sport}", "server": server.name, "by": by, "active": server.active}
            core.emit("balance.choose", f"service {self.text()}", 0, why, "Linux IPVS", fields)
        return server

    # Direct return.

    def server_of(self, core: Any, pkt: Packet) -> Any:
        """Return the server for a packet of a client, and remember it; None if there is none."""
        now = core.now
        at = pkt.l4_off
        client = (pkt.src, pkt.frame[at] << 8 | pkt.frame[at + 1])
        flags = pkt.frame[at + 13] if self.proto == C.IPPROTO_TCP and pkt.l4_end - at >= 20 else 0
        while self.connections and next(iter(self.connections.values())).until <= now:
            self._forget(next(iter(self.connections)))
        found = self.connections.get(client)
        if found is not None and found.closing and flags & C.SYN and not flags & C.ACK:
            self._forget(client)  # the client uses its port for another connection
            found = None
        if found is None:
            server = self.choose(core, *client)
            if server is None:
                return None
            if len(self.connections) >= MOST:
                self._forget(next(iter(self.connections)))
            found = self.connections[client] = DirectConnection(server)
            server.opened()
        if flags & (C.FIN | C.RST) and not found.closing:
            found.closing = True
            found.server.closed()
        found.until = now + (CLOSING if found.closing else ESTABLISHED)
        self.connections.move_to_end(client)
        return found.server

    def _forget(self, client: tuple[int, int]) -> None:
        found = self.connections.pop(client)
        if not found.closing:
            found.server.closed()


def _is_up(server: RealServer) -> bool:
    return server.up
