"""The connections of one host: demultiplexing, ports, initial sequence numbers, and limits on them all."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import conn_key, key
from pystack_c.base.ratelimit import SharedBudget
from pystack_c.core import Core
from pystack_c.packet import Packet
from pystack_c.sockets.ports import PortTable
from pystack_c.tcp.congestion.base import create
from pystack_c.tcp.tcb import Tcb


class TcpTables(PortTable):
    """The tables of connections and listeners. PortTable holds the ports.

    `conns` maps a local address to a dict from key to Tcb. `listeners` maps a port to the Tcbs in LISTEN.
    """

    def __init__(self, core: Core) -> None:
        PortTable.__init__(self)
        # Raise the ValueError for an unknown algorithm now, and not in the middle of a handshake.
        create(core.config.tcp_congestion)
        self.core = core
        self.conns: dict[int, dict[int, Any]] = {}
        self.listeners: dict[int, list[Any]] = {}
        self.latest: Any = None
        self.time_wait = 0
        self.challenge_budget = SharedBudget(2)
        self.cookie_at = -1
        self.fastopen_cache: dict[int, Any] = {}

    # Demultiplexing (RFC 9293 3.10.7): first a connection, then a listener on the address, then a listener on any
    # address.

    def lookup(self, pkt: Packet) -> Any:
        """Return the Tcb to which a segment belongs, or None."""
        tcb: Any = self.latest
        if tcb is not None and tcb.rport == pkt.sport and tcb.lport == pkt.dport:
            # Segments arrive in runs, so this one often belongs to the same connection as the previous one.
            if tcb.raddr == pkt.src and tcb.laddr == pkt.dst:
                return tcb
        of_addr = self.conns.get(key(pkt.dst))
        if of_addr is not None:
            tcb = of_addr.get(conn_key(pkt.src, pkt.sport, pkt.dport))
            if tcb is not None:
                self.latest = tcb
                return tcb
        return self.listener_for(pkt)

    def listener_for(self, pkt: Packet) -> Any:
        """Return the listener for a packet's destination, or None.

        A listener bound to the address takes precedence over one on any address. A hash distributes the connections
        over a SO_REUSEPORT group.
        """
        group = self.listeners.get(pkt.dport)
        if group is None:
            return None
        if len(group) == 1:
            only: Tcb = group[0]
            return only if only.laddr == 0 or only.laddr == pkt.dst else None
        exact = [tcb for tcb in group if tcb.laddr == pkt.dst]
        if not exact:
            exact = [tcb for tcb in group if tcb.laddr == 0]
        if not exact:
            return None
        if len(exact) == 1:
            return exact[0]
        return exact[self.hash4(pkt.dst, pkt.dport, pkt.src, pkt.sport) % len(exact)]

    def find(self, laddr: int, lport: int, raddr: int, rport: int) -> Any:
        """Return the connection with these addresses and ports, or None."""
        of_addr = self.conns.get(key(laddr))
        if of_addr is None:
            return None
        return of_addr.get(conn_key(raddr, rport, lport))

    def register(self, tcb: Tcb) -> None:
        """Add a connection whose addresses and ports are known, so that segments reach it.

        A connection that we open is already an endpoint, and already has its port.
        """
        of_addr = self.conns.get(key(tcb.laddr))
        if of_addr is None:
            of_addr = {}
            self.conns[key(tcb.laddr)] = of_addr
        of_addr[conn_key(tcb.raddr, tcb.rport, tcb.lport)] = tcb
        tcb.registered = True
        if tcb.passive:
            self.add(tcb, tcb.lport)
            self.core.endpoints[tcb.ident] = tcb

    def unregister(self, tcb: Tcb) -> None:
        """Remove a connection, so that segments do not reach it any more, and free its port."""
        if tcb is self.latest:
            self.latest = None
        if tcb.registered:
            tcb.registered = False
            of_addr = self.conns[key(tcb.laddr)]
            del of_addr[conn_key(tcb.raddr, tcb.rport, tcb.lport)]
            if not of_addr:
                del self.conns[key(tcb.laddr)]
        if tcb.time_waiting:
            tcb.time_waiting = False
            self.time_wait -= 1
        self.remove(tcb, tcb.lport)

    def release(self, tcb: Tcb) -> None:
        """Forget the number of an endpoint that nothing refers to any more."""
        self.core.endpoints.pop(tcb.ident, None)

    def listen(self, tcb: Tcb) -> None:
        """Add a Tcb that entered LISTEN."""
        self.listeners.setdefault(tcb.lport, []).append(tcb)

    def unlisten(self, tcb: Tcb) -> None:
        """Remove a Tcb that left LISTEN."""
        group = self.listeners.get(tcb.lport)
        if group is not None and tcb in group:
            group.remove(tcb)
            if not group:
                del self.listeners[tcb.lport]

    def tuple_busy(self, laddr: int, lport: int, raddr: int, rport: int) -> bool:
        """Return True if the connection exists, unless it is in TIME-WAIT and reusable.

        ports.connect_port calls this.
        """
        tcb = self.find(laddr, lport, raddr, rport)
        return tcb is not None and not self.reusable(tcb)

    def reusable(self, tcb: Tcb) -> bool:
        """Return True if an active OPEN may reuse the addresses and ports of a connection in TIME-WAIT (tcp_tw_reuse).

        Timestamps distinguish old segments from new ones after their clock has advanced; one second is enough
        (RFC 6191 2, RFC 7323 5.3).
        """
        core = self.core
        how = core.config.tcp_tw_reuse
        if tcb.state != C.TIME_WAIT or how == 0 or not tcb.ts_ok:
            return False
        if how == 2 and core.local_addr(tcb.raddr) is None:
            return False
        return core.now - tcb.ts_recent_stamp > 1_000_000_000

    # Numbers that an attacker must not guess.

    def hash4(self, laddr: int, lport: int, raddr: int, rport: int) -> int:
        """Return the keyed hash of a connection's addresses and ports."""
        return self.core.rng.keyed_four(laddr, lport, raddr, rport)

    def isn(self, tcb: Tcb) -> int:
        """Return the initial sequence number: M + F(localip, localport, remoteip, remoteport, secretkey) (RFC 9293 3.4.1).

        M increases by one every 4 microseconds.
        """
        forced = self.core.config.tcp_isn
        if forced >= 0:
            return forced & C.M32
        return (self.core.now // 4000 + self.hash4(tcb.laddr, tcb.lport, tcb.raddr, tcb.rport)) & C.M32

    def ts_offset(self, tcb: Tcb) -> int:
        """Return a timestamp offset for an address pair, which hides the uptime (RFC 7323 7.1)."""
        return self.hash4(tcb.laddr, 1, tcb.raddr, 0) & C.M32

    # Limits.

    def challenge_allowed(self) -> bool:
        """Return True if the shared budget allows one more challenge ACK (RFC 5961 7).

        The budget is about tcp_challenge_ack_limit per second for all connections. An exact limit would reveal which of
        them receive challenge ACKs.
        """
        core = self.core
        return self.challenge_budget.take(core.rng, core.now, core.config.tcp_challenge_ack_limit)

    def count_time_wait(self, tcb: Tcb) -> bool:
        """Count one more connection in TIME-WAIT. Return False if there are too many."""
        if self.time_wait >= self.core.config.tcp_max_tw_buckets:
            return False
        self.time_wait += 1
        tcb.time_waiting = True
        return True

    def all(self) -> list[Any]:
        """Return every Tcb, listeners and connections, in the order of their numbers."""
        found = {}
        for group in self.listeners.values():
            for tcb in group:
                found[tcb.ident] = tcb
        for of_addr in self.conns.values():
            for tcb in of_addr.values():
                found[tcb.ident] = tcb
        return [found[ident] for ident in sorted(found)]
