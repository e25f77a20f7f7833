"""Local ports: which endpoints may bind them, and the choice of ephemeral ports (RFC 6056).

There is one `PortTable` for each protocol. `bind` is bind(2), where port 0 chooses a port. `connect_port` gives an
unbound connection its port. Both set ep.lport and enter the endpoint into the table, and `bind` also sets ep.laddr and
ep.bound. `release` removes the endpoint. The rules are Linux's: two endpoints may share a port if their interfaces or
addresses differ, if both have SO_REUSEADDR and neither listens, or if both have SO_REUSEPORT. No port is privileged.
"""

import errno
from typing import Any

from pystack_c.base.address import is_broadcast, is_multicast
from pystack_c.core import Core
from pystack_c.endpoint import Endpoint


class PortTable:
    """The bound endpoints of one protocol by port. A bucket maps endpoint numbers to endpoints.

    `groups` means that broadcast and multicast addresses may be
    bound (UDP). A protocol with connections overrides `tuple_busy`.
    """

    def __init__(self, groups: bool = False) -> None:
        self.buckets: dict[int, dict[Any, Any]] = {}
        self.groups = groups

    def add(self, ep: Endpoint, port: int) -> None:
        """Add an endpoint under its local port."""
        bucket = self.buckets.get(port)
        if bucket is None:
            bucket = {}
            self.buckets[port] = bucket
        bucket[ep.ident] = ep

    def remove(self, ep: Endpoint, port: int) -> None:
        """Remove an endpoint. Nothing happens if it is not in the table."""
        bucket = self.buckets.get(port)
        if bucket is not None and bucket.pop(ep.ident, None) is not None and not bucket:
            del self.buckets[port]

    def tuple_busy(self, laddr: int, lport: int, raddr: int, rport: int) -> bool:
        """Return True if a connection with these addresses and ports exists already (TIME-WAIT counts)."""
        return False


def conflict(table: PortTable, ep: Endpoint, addr: int, port: int) -> bool:
    """Return True if `ep` may not share addr:port with the endpoints that already use it."""
    bucket = table.buckets.get(port)
    if bucket is None:
        return False
    for item in bucket.values():
        other: Endpoint = item
        if other is ep:
            continue
        if other.bound_iface is not None and ep.bound_iface is not None and other.bound_iface is not ep.bound_iface:
            continue
        if addr != 0 and other.laddr != 0 and addr != other.laddr:
            continue
        if ep.reuseaddr and other.reuseaddr and not ep.listening() and not other.listening():
            continue
        if ep.reuseport and other.reuseport:
            continue
        return True
    return False


def bind(core: Core, ep: Endpoint, table: PortTable, addr: int, port: int) -> None:
    """Bind an endpoint to a local address and port, as bind(2).

    Raises EINVAL if it is already bound, EADDRNOTAVAIL for a foreign address and EADDRINUSE if the port is taken. Port
    0 takes a random free ephemeral port (RFC 6056 algorithm 1), and raises EADDRINUSE if there is none.
    """
    if ep.bound or ep.lport != 0:
        raise OSError(errno.EINVAL, "the socket is already bound")
    if not 0 <= port <= 65535:
        raise OSError(errno.EINVAL, f"port {port} is not in 0..65535")
    if addr != 0 and core.local_addr(addr) is None and not ep.freebind and not (table.groups and _is_group(core, addr)):
        raise OSError(errno.EADDRNOTAVAIL, "the address is not an address of this host")
    if not core.speaks(addr):
        raise OSError(errno.EADDRNOTAVAIL, "this host does not speak the protocol of the address")
    if port == 0:
        port = _free_port(core, ep, table, addr)
    elif conflict(table, ep, addr, port):
        raise OSError(errno.EADDRINUSE, f"port {port} is already in use at that address")
    ep.laddr = addr
    ep.lport = port
    ep.bound = True
    table.add(ep, port)


def release(ep: Endpoint, table: PortTable) -> None:
    """Release the endpoint's port."""
    if ep.lport != 0:
        table.remove(ep, ep.lport)
        ep.lport = 0
    ep.bound = False


def _is_group(core: Core, addr: int) -> bool:
    if is_broadcast(addr) or is_multicast(addr):
        return True
    for iface in core.ifaces:
        for own in iface.addrs:
            if own.broadcast == addr:
                return True
    return False


def _free_port(core: Core, ep: Endpoint, table: PortTable, addr: int) -> int:
    """Return a random port that no endpoint uses (RFC 6056 3.3.1), or failing that, one that may be shared."""
    first = core.config.port_min
    count = core.config.port_max - first + 1
    if count < 1:
        raise OSError(errno.EADDRINUSE, "there are no ephemeral ports, because port_min is above port_max")
    start = core.rng.below(count)
    for i in range(count):
        port = first + (start + i) % count
        if port not in table.buckets:
            return port
    for i in range(count):
        port = first + (start + i) % count
        if not conflict(table, ep, addr, port):
            return port
    raise OSError(errno.EADDRINUSE, "all ephemeral ports are in use")


def connect_port(core: Core, ep: Endpoint, table: PortTable, laddr: int, raddr: int, rport: int) -> int:
    """Choose, set and return the port of an unbound connection to raddr:rport (RFC 6056 3.3.3, algorithm 3).

    The offset is a keyed hash of the addresses and the remote port, and a counter advances. So the ports to one server
    differ for as long as possible, and no other host can guess them. The call may also take a port that only other
    connections use, none of them with the same addresses and ports. Raises EADDRNOTAVAIL if there is no port left.
    """
    first = core.config.port_min
    count = core.config.port_max - first + 1
    if count < 1:
        raise OSError(errno.EADDRNOTAVAIL, "there are no ephemeral ports, because port_min is above port_max")
    offset = core.rng.keyed_port(laddr, raddr, rport) % count
    for _ in range(count):
        port = first + (core.port_counter + offset) % count
        core.port_counter += 1
        if _connectable(table, port, laddr, raddr, rport):
            ep.lport = port
            table.add(ep, port)
            return port
    raise OSError(errno.EADDRNOTAVAIL, "all ephemeral ports are in use")


def _connectable(table: PortTable, port: int, laddr: int, raddr: int, rport: int) -> bool:
    bucket = table.buckets.get(port)
    if bucket is not None:
        for item in bucket.values():
            other: Endpoint = item
            if other.bound:
                return False
    return not table.tuple_busy(laddr, port, raddr, rport)
